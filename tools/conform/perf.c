// perf.c - how long a case's call takes: a first look at a device. wane-bench measures with more care.
#include "call.h"

bool conform_perf_fits(const conform_case *c)
{
    return !c->values->fill && c->calls == CALLS_FUSED && !c->layout && !c->memory && !c->accumulate && !c->batches && c->rows > 0;
}

void conform_execute_perf(conform_session *session, const conform_case *c, conform_result *result)
{
    conform_case on_device = *c;
    on_device.memory = MEMORY_BUFFER;
    conform_run *run = conform_run_open(session, &on_device, result);
    if (!run) return;
    conform_call k = {.run = run, .name = "call", .repeat = 0.2};
    if (conform_bind_all(&k, on_device.outputs) && conform_do_call(&k) && k.seconds[0] > 0)
        snprintf(result->message, sizeof result->message, "median %.4g ms, least %.4g ms, %.4g GB/s of the bytes that have to move",
                 k.seconds[0] * 1e3, k.seconds[1] * 1e3, (double)k.minimal_bytes / k.seconds[0] * 1e-9);
    conform_run_close(run);
}
