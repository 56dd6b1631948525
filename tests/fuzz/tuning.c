// tuning.c - random tuning records: some bytes of a good one changed, or whole ones of random numbers. What must hold: a
// record is taken as it stands or refused with nothing of it taken, and plans can be made by whatever was taken.
#include "fuzz.h"
#include "support.h"

#include <string.h>

enum { MOST = 2048 };

static wane_limits limits_of(wane_device *device)
{
    wane_device_info info = {.struct_size = sizeof info};
    wane_device_get_info(device, &info);
    return info.limits;
}

static uint64_t number(fuzz_input *in)
{
    uint64_t value = fuzz_bytes(in, 8) >> fuzz_below(in, 64);
    return fuzz_rarely(in, 3) ? value : value & ~(uint64_t)63;
}

static void check_plan(wane_context *context, wane_device *device, fuzz_input *in)
{
    static test_problem p;
    test_problem_begin(&p, context, WANE_LOSS_CROSS_ENTROPY, 1 + fuzz_below(in, 80), 65536 + fuzz_below(in, 70000));
    test_problem_add_inputs(&p, false);
    test_problem_add_outputs(&p);
    wane_plan *plan = NULL;
    wane_status status = wane_plan_create(device, &p.desc, &plan);
    FUZZ_CHECK(status == WANE_OK, "%s", wane_status_text(status));
    wane_plan_destroy(plan);
}

void fuzz_body(const uint8_t *data, size_t size)
{
    static test_log log;
    static wane_context *context;
    static wane_device *device;
    if (!context) {
        context = test_context(&log, NULL, 1);
        FUZZ_CHECK(wane_device_find(context, "cpu", &device) == WANE_OK, "no CPU");
    }
    fuzz_input in = {data, size, 0};
    wane_limits wanted = limits_of(device);
    wanted.max_dispatch_elems = number(&in);
    wanted.split_rows_below = (uint32_t)number(&in);
    wanted.linear_slice_cols = (uint32_t)number(&in);
    wanted.linear_chunk_dim = (uint32_t)number(&in);
    char good[MOST], text[MOST];
    size_t bytes = wane_tuning_write(device, &wanted, good, MOST);
    memcpy(text, good, bytes + 1);
    uint32_t flips = fuzz_below(&in, 4);
    for (uint32_t i = 0; i < flips; i++) text[fuzz_bytes(&in, 4) % bytes] = (char)fuzz_bytes(&in, 1);
    size_t given = fuzz_rarely(&in, 8) ? fuzz_bytes(&in, 4) % (bytes + 1) : bytes;
    const wane_limits before = limits_of(device);
    wane_status status = wane_device_tune(device, text, given);
    const wane_limits after = limits_of(device);
    if (status || !given) {
        FUZZ_CHECK(!given || memcmp(&before, &after, sizeof before) == 0, "refused, and taken");
        FUZZ_CHECK(!given || status == WANE_ERROR_STRUCT || status == WANE_ERROR_MISMATCH, "status %d", (int)status);
    } else {
        FUZZ_CHECK(given == bytes && memcmp(text, good, bytes) == 0, "a damaged record was taken");
        FUZZ_CHECK(memcmp(&after, &wanted, sizeof after) == 0, "other choices than the record's");
        check_plan(context, device, &in);
    }
}
