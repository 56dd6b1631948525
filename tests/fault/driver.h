// driver.h - lets each driver call of a life fail with each code that it may legally return. Included after a shim of
// tests/unit, whose `shim` it works with; each program has one.
//
// Every try must end in a status, leave no object of the driver's and no block of ours, make no further call but destroys
// once the device was said to be lost, and leave the machine so that a new life succeeds. A hang is the test's time-out.
// Quick: each call with each of its codes once, where it first comes, and every loss of the device. Full: at every place.
#ifndef WANE_TESTS_FAULT_DRIVER_H
#define WANE_TESTS_FAULT_DRIVER_H

#include "support.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct driver_life {
    const char *name;
    void (*begin)(void);                    // what the tries share; may be NULL
    wane_status (*run)(void);               // from nothing to numbers and back; the first error, or WANE_OK
    void (*end)(void);
    void (*arrange)(void);                  // after each reset of the shim; may be NULL
    const char *forgives;                   // names of calls that this life may do without once
} driver_life;

static test_log driver_log;
static test_memory driver_memory;
static bool driver_full;

// Calls and codes that were tried, over all lives.
static struct { const char *name; int32_t code; } driver_pairs[1024];
static uint32_t driver_pair_count, driver_runs;

static bool driver_new_pair(const char *name, int32_t code)
{
    for (uint32_t i = 0; i < driver_pair_count; i++)
        if (driver_pairs[i].code == code && strcmp(driver_pairs[i].name, name) == 0) return false;
    assert_true(driver_pair_count < sizeof driver_pairs / sizeof *driver_pairs);
    driver_pairs[driver_pair_count].name = name;
    driver_pairs[driver_pair_count++].code = code;
    return true;
}

static void driver_reset(const driver_life *life)
{
    reset_shim();
    if (life->arrange) life->arrange();
    test_log_clear(&driver_log);
    test_memory_begin(&driver_memory);
}

static void driver_try(const driver_life *life, const shim_site *site, uint32_t call, int32_t code, bool forever)
{
    driver_reset(life);
    shim.fail_at = call;
    shim.fail_again = forever ? call : 0;
    shim.fail_with = code;
    wane_status status = life->run();
    char what[160];
    snprintf(what, sizeof what, "%s: call %u, %s, answers %d%s", life->name, call, site->name, code,
             forever ? ", and all after it" : "");
    driver_runs++;
    if (!shim.failed) fail_msg("%s: it was not made", what);
    bool harmless = site->kind == SHIM_HINT || (!forever && strstr(life->forgives, site->name));
    if (status >= 0 && !harmless) fail_msg("%s: nobody noticed", what);
    if (status < 0 && !driver_log.text[0]) fail_msg("%s: %s, and no message", what, wane_status_text(status));
    if (shim.lost && status != WANE_ERROR_DEVICE_LOST && status != WANE_ERROR_DEVICE_UNUSABLE)
        fail_msg("%s: the device was lost, and the status is %s", what, wane_status_text(status));
    if (atomic_load(&shim.live)) fail_msg("%s: %d objects are left", what, atomic_load(&shim.live));
    if (shim.late) fail_msg("%s: %s was called on a lost device", what, shim.late);
    if (atomic_load(&driver_memory.blocks)) fail_msg("%s: %ld blocks left", what, atomic_load(&driver_memory.blocks));
}

static void driver_test(void **state)
{
    const driver_life *life = *state;
    if (life->begin) life->begin();
    driver_reset(life);
    shim_site *sites = calloc(SHIM_SITES, sizeof *sites);
    shim.sites = sites;
    assert_int_equal(life->run(), WANE_OK);
    uint32_t calls = shim.calls, runs = driver_runs;
    assert_in_range(calls, 1, SHIM_SITES);
    for (uint32_t i = 1; i <= calls; i++) {
        const shim_site *site = &sites[i - 1];
        bool fresh = false;
        for (uint32_t k = 0; k < site->code_count; k++) {
            int32_t code = site->codes[k];
            bool first = driver_new_pair(site->name, code);
            fresh = fresh || first;
            if (!first && !driver_full && !DRIVER_LOSS(code)) continue;
            driver_try(life, site, i, code, false);
            // a driver that stays broken: what follows hangs little on the code, so a place that is tried again has one, and
            // every loss. A question's failure may change what is asked next, and is told apart above
            if (site->kind != SHIM_HINT && (first || k == 0 || DRIVER_LOSS(code))) driver_try(life, site, i, code, true);
        }
        if (!fresh && !driver_full) continue;
        driver_reset(life);
        assert_int_equal(life->run(), WANE_OK);
    }
    free(sites);
    if (life->end) life->end();
    printf("    %s: %u calls that can fail, %u runs\n", life->name, calls, driver_runs - runs);
    fflush(stdout);
}

#endif
