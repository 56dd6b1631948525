// test_checker.c - the checker finds what it says it finds: one small kernel a fault, and the selftest kernel with
// faults planted at every place where it waits or touches memory.
#define BODY_LANES 7
#include "prelude_checked.h"

#include "lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const uint32_t lane_counts[] = { 1, 4, 7, 64, 128 };
enum { LANE_COUNTS = 5 };

// ---- small kernels --------------------------------------------------------------------------------------------------

enum { k_slot_source, k_slot_dest, k_slot_both, k_slot_absent };
typedef struct { float x[8]; uint u[8]; } k_shared;
typedef struct k_ctx { const body_call *call; uint item, lane; } k_ctx;
static k_shared k_shared_now;

#define KERNEL(name) \
    static void name(const body_call *call, uint32_t item, uint32_t lane) \
    { \
        const k_ctx k = { call, item, lane }; \
        const k_ctx *k_ = &k; \
        (void)k_;

KERNEL(right)
    K_SS(x, K_LANE, K_FLT(K_LD(source, K_LANE)));
    K_BARRIER();
    float left = K_SL(x, (K_LANE + 1u) % K_LANES);
    K_BARRIER();
    K_SS(x, K_LANE, left);
    K_ST(dest, K_ITEM * K_LANES + K_LANE, K_BITS(left));
    uint old = K_LD(both, K_LANE);
    if (K_ITEM == 0u) K_ST(both, 8u + K_LANE, old + K_UINT(K_MAX(1.0f, 2.0f)));
}
KERNEL(past_the_end) K_ST(dest, 13u + K_LANE, 0u); }
KERNEL(before_the_start) (void)K_LD(source, (K_INDEX)K_LANE - 4); }
KERNEL(store_to_r) K_ST(source, K_LANE, 0u); }
KERNEL(load_from_w) (void)K_LD(dest, K_LANE); }
KERNEL(not_bound) (void)K_LD(absent, K_LANE); }
KERNEL(unwritten) (void)K_LD(both, 15u); }
KERNEL(group_reads_group)
    if (K_ITEM == 0u && K_LANE == 4u) K_ST(both, 12u, 1u);
    if (K_ITEM == 1u) (void)K_LD(both, 12u);
}
KERNEL(lane_reads_lane)
    if (K_LANE == 3u) K_ST(both, 14u, 1u);
    K_BARRIER();
    if (K_LANE == 2u && K_ITEM == 0u) (void)K_LD(both, 14u);
}
KERNEL(two_writers) K_ST(dest, K_LANE / 2u, 0u); }
KERNEL(writes_what_group_read)
    if (K_ITEM == 0u) (void)K_LD(both, 0u);
    if (K_ITEM == 1u && K_LANE == 0u) K_ST(both, 0u, 0u);
}
KERNEL(writes_what_lane_read)
    if (K_LANE == 1u && K_ITEM == 0u) (void)K_LD(both, 0u);
    if (K_LANE == 4u && K_ITEM == 0u) K_ST(both, 0u, 0u);
}
KERNEL(shared_past_the_end) K_SS(u, K_LANE + 2u, 1u); }
KERNEL(shared_unwritten) (void)K_SL(x, 7u); }
KERNEL(shared_of_last_group)
    if (K_ITEM == 0u) K_SS(x, K_LANE, 1.0f);
    else (void)K_SL(x, K_LANE);
}
KERNEL(shared_read_early)
    K_SS(u, K_LANE, 1u);
    (void)K_SL(u, K_LANES - 1u - K_LANE);
}
KERNEL(shared_write_early)
    K_SS(u, K_LANE, 1u);
    K_BARRIER();
    (void)K_SL(u, K_LANES - 1u - K_LANE);
    K_SS(u, K_LANE, 2u);
}
KERNEL(shared_two_writers) K_SS(x, 3u, 1.0f); }
KERNEL(some_lanes_wait)
    if (K_LANE > 2u) K_BARRIER();
}
KERNEL(other_barrier)
    if (K_LANE > 2u) K_BARRIER();
    else K_BARRIER();
}
KERNEL(waits_alone) K_BARRIER(); }
KERNEL(shares_alone) K_SS(u, 0u, 1u); }
KERNEL(two_passes) K_ST(both, K_LANE, K_LD(both, K_LANE) + 1u); }
KERNEL(nan_in_max) (void)K_MAX(K_FLT(0x7fc00000u), 1.0f); }
KERNEL(float_to_int) (void)K_INT(K_FLOAT(K_LANE) + 3.0e9f); }

typedef struct small_case {
    const char *name;
    void (*lane)(const body_call *, uint32_t, uint32_t);
    bool per_lane;
    const char *found;                      // NULL: no fault
} small_case;

#define CASE(name, per_lane, found) { #name, name, per_lane, found }
static const small_case small_cases[] = {
    CASE(right, false, NULL),
    CASE(past_the_end, false, "index outside the slot's range: dest[14]"),
    CASE(before_the_start, false, "index outside the slot's range: source[-4]"),
    CASE(store_to_r, false, "store to a read-only slot: source"),
    CASE(load_from_w, false, "load from a write-only slot: dest"),
    CASE(not_bound, false, "nothing is bound to the slot: absent"),
    CASE(unwritten, false, "read of a word that nobody wrote: both[15]"),
    CASE(group_reads_group, false, "read of what another lane wrote in this pass: both[12], lane 4 of another group"),
    CASE(lane_reads_lane, false, "read of what another lane wrote in this pass: both[14], lane 3"),
    CASE(two_writers, true, "write to what another lane wrote in this pass: dest[0], lane 0"),
    CASE(writes_what_group_read, false, "write to what another group read in this pass: both[0]"),
    CASE(writes_what_lane_read, false, "write to what another lane read, no barrier between: both[0]"),
    CASE(shared_past_the_end, false, "index outside shared memory: u[8], 8 elements"),
    CASE(shared_unwritten, false, "read of a shared word that nobody wrote: x[7]"),
    CASE(shared_of_last_group, false, "read of a shared word that nobody wrote: x[0]"),
    CASE(shared_read_early, false, "read of what another lane wrote, no barrier between: u[2], lane 2"),
    CASE(shared_write_early, false, "write to what another lane read, no barrier between: u"),
    CASE(shared_two_writers, false, "write to what another lane wrote, no barrier between: x[3], lane 0"),
    CASE(some_lanes_wait, false, "lanes at different barriers: lane 3 at line"),
    CASE(other_barrier, false, "lanes at different barriers: lane 3 at line"),
    CASE(waits_alone, true, "barrier in a kernel of single lanes"),
    CASE(shares_alone, true, "shared memory in a kernel of single lanes: u[0]"),
    CASE(nan_in_max, false, "NaN in max or min"),
    CASE(float_to_int, false, "a float that fits no int: 3e+09"),
};

static bool was_found(const char *text)
{
    for (uint32_t i = 0; body_fault_text(i); i++)
        if (strstr(body_fault_text(i), text)) return true;
    return false;
}

static void finds_small_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof small_cases / sizeof *small_cases; i++) {
        const small_case *c = &small_cases[i];
        const body_kernel kernel = {
            .name = c->name, .lanes = BODY_LANES, .per_lane = c->per_lane, .lane = c->lane, .shared = &k_shared_now,
            .shared_bytes = sizeof k_shared_now, .slot_count = 4,
            .access = { BODY_ACCESS_r, BODY_ACCESS_w, BODY_ACCESS_rw, BODY_ACCESS_rw },
            .slot_names = { "source", "dest", "both", "absent" },
        };
        static const uint32_t zeros[16];
        body_memory source = body_memory_make(zeros, 7 * 4);
        body_memory dest = body_memory_make(NULL, 14 * 4);
        body_memory both = body_memory_make(zeros, 16 * 4);
        both.traces[15].written = 0;
        body_call call = { .items = c->per_lane ? BODY_LANES : 2 };
        call.slots[0] = (body_slot){ &source, 0, 7, 0, 0 };
        call.slots[1] = (body_slot){ &dest, 0, 14, 0, 0 };
        call.slots[2] = (body_slot){ &both, 0, 16, 0, 0 };
        body_faults_clear();
        body_call_kernel(&kernel, &call);
        bool as_said = c->found ? was_found(c->found) : !body_fault_count();
        if (!as_said) {
            body_faults_print();
            fail_msg("%s: wanted \"%s\"", c->name, c->found ? c->found : "no fault");
        }
        body_memory_free(&source);
        body_memory_free(&dest);
        body_memory_free(&both);
    }
    body_faults_clear();
}

// A pass without a barrier before it may touch nothing that the passes since the last barrier write.
static void passes_without_a_barrier_are_one(void **state)
{
    (void)state;
    static const uint32_t zeros[16];
    for (int with_previous = 0; with_previous < 2; with_previous++) {
        const body_kernel kernel = {
            .name = "pass", .lanes = BODY_LANES, .lane = two_passes, .shared = &k_shared_now, .slot_count = 3,
            .access = { BODY_ACCESS_r, BODY_ACCESS_w, BODY_ACCESS_rw }, .slot_names = { "source", "dest", "both" },
        };
        body_memory both = body_memory_make(zeros, sizeof zeros);
        body_call call = { .items = 1 };
        call.slots[2] = (body_slot){ &both, 0, 16, 0, 0 };
        body_faults_clear();
        body_call_kernel(&kernel, &call);
        call.with_previous = with_previous != 0;
        body_call_kernel(&kernel, &call);
        if (with_previous) assert_true(was_found("what another lane wrote in this pass: both[0], lane 0 of"));
        else assert_int_equal(body_fault_count(), 0);
        body_memory_free(&both);
    }
    body_faults_clear();
}

static void origin_and_window_are_kept(void **state)
{
    (void)state;
    const uint32_t words[6] = { 10, 11, 12, 13, 14, 15 };
    const body_kernel kernel = { .name = "origin", .slot_count = 1, .access = { BODY_ACCESS_r },
                                 .slot_names = { "source" }, .lanes = 1, .shared = &k_shared_now };
    body_memory source = body_memory_make(words, sizeof words);
    body_call call = { .items = 0 };
    call.slots[0] = (body_slot){ &source, 1, 4, 3, 0 };
    body_faults_clear();
    body_call_kernel(&kernel, &call);
    assert_int_equal(body_load(&call, 0, 0, K_HERE), 14);
    assert_int_equal(body_load(&call, 0, -3, K_HERE), 11);
    assert_int_equal(body_fault_count(), 0);
    (void)body_load(&call, 0, -4, K_HERE);
    (void)body_load(&call, 0, 1, K_HERE);
    assert_int_equal(body_fault_count(), 2);
    body_faults_clear();
    body_memory_free(&source);
}

// ---- the selftest kernel --------------------------------------------------------------------------------------------

enum { SELFTEST_CELLS = 128, SELFTEST_WORDS = 1026 };

static void selftest_source(uint32_t *words)
{
    for (uint32_t i = 0; i < SELFTEST_CELLS; i++) words[i] = K_BITS(0.37f * ((float)i - 60.5f));
    words[5] = 0x7fc00000u;
    words[6] = 0x7f800000u;
    words[7] = 0xff800000u;
}

// Runs it with `lanes`; result may be NULL.
static void selftest_run(uint32_t lanes, uint32_t *result)
{
    uint32_t words[SELFTEST_CELLS];
    selftest_source(words);
    body_memory source = body_memory_make(words, sizeof words);
    body_memory dest = body_memory_make(NULL, SELFTEST_WORDS * 4);
    const uint32_t record[2] = { 0xabcd, K_BITS(1.0f) }, window[3] = { 1, 1, 0 }, consts[1] = { 5 };
    body_call call = { .items = 1, .record = record, .window = window, .consts = consts };
    call.slots[0] = (body_slot){ &source, 0, source.count, 0, 0 };
    call.slots[1] = (body_slot){ &dest, 0, dest.count, 0, 0 };
    body_call_kernel(body_kernel_find("selftest", lanes), &call);
    if (result) memcpy(result, dest.words, SELFTEST_WORDS * 4);
    body_memory_free(&source);
    body_memory_free(&dest);
}

static void selftest_is_clean_and_the_same_for_any_lanes(void **state)
{
    (void)state;
    uint32_t first[SELFTEST_WORDS], other[SELFTEST_WORDS];
    body_faults_clear();
    for (int i = 0; i < LANE_COUNTS; i++) {
        selftest_run(lane_counts[i], i ? other : first);
        if (i) assert_memory_equal(first, other, sizeof first);
    }
    body_faults_print();
    assert_int_equal(body_fault_count(), 0);
    uint32_t words[SELFTEST_CELLS];
    selftest_source(words);
    double sum = 0;
    for (uint32_t i = 0; i < SELFTEST_CELLS; i++)
        if (i < 5 || i > 7) sum += (double)K_FLT(words[i]);
    assert_true(fabs((double)K_FLT(first[1024]) - sum) < 1e-4);
    assert_int_equal(first[1025], (1u << 1 | 1u << 2 | 1u << 3 | 1u << 4) | 5u << 8 | 0xabcdu << 16);
}

// Whether a planted fault is found with some number of lanes (64 never read each other's words in a tree of 128), by
// the checker, or by its results where `right` is given.
static bool selftest_plant_found(uint32_t site, body_plant plant, const uint32_t *right)
{
    uint32_t result[SELFTEST_WORDS];
    bool found = false;
    body_plant_at("selftest", site, plant);
    for (int i = 0; i < LANE_COUNTS && !found; i++) {
        body_faults_clear();
        selftest_run(lane_counts[i], result);
        found = body_fault_count() > 0 || (right && memcmp(result, right, sizeof result) != 0);
    }
    body_plant_clear();
    body_faults_clear();
    return found;
}

// No barrier may be left out, by all lanes or by some: the checker sees it. No access may move by one: the checker or
// the results show it.
static void selftest_plants_are_found(void **state)
{
    (void)state;
    uint32_t barriers = 0, accesses = 0;
    body_census_begin("selftest");
    uint32_t right[SELFTEST_WORDS];
    selftest_run(4, right);
    body_census_begin(NULL);
    for (uint32_t site = 0; site < BODY_MAX_SITES; site++) {
        const body_visit *v = body_census(site);
        if (!v) continue;
        bool barrier = v->kind == BODY_BARRIER;
        barriers += barrier;
        accesses += !barrier;
        const body_plant one = barrier ? BODY_PLANT_SKIP : BODY_PLANT_SHIFT;
        const body_plant other = barrier ? BODY_PLANT_SKIP_ODD : BODY_PLANT_SHIFT_DOWN;
        const uint32_t *results = barrier ? NULL : right;
        bool found = selftest_plant_found(site, one, results) && selftest_plant_found(site, other, results);
        if (!found)
            fail_msg("%s:%d, %s: a planted fault was not found", v->site.file, v->site.line, v->name);
    }
    assert_int_equal(barriers, 2);
    assert_true(accesses > 12);
}

static int close_lanes(void **state)
{
    (void)state;
    lanes_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_small_faults),
        cmocka_unit_test(passes_without_a_barrier_are_one),
        cmocka_unit_test(origin_and_window_are_kept),
        cmocka_unit_test(selftest_is_clean_and_the_same_for_any_lanes),
        cmocka_unit_test(selftest_plants_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, close_lanes);
}
