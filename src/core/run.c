// run.c - executables, recorders, and run: stage, record, submit, wait.
#include "core/core.h"

#include <stdio.h>

wane_status wane_executable_create(const wane_plan *plan, wane_executable **out)
{
    if (out) *out = NULL;
    if (!plan) return WANE_ERROR_NULL_ARGUMENT;
    wane_context *context = plan->context;
    if (!out) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "out", "must not be NULL");
    if (!plan->device)
        return wane_fail(context, WANE_ERROR_MISMATCH, "plan", "was made from limits; make one with wane_plan_create");
    wane_status status = wane_device_require(plan->device);
    if (status) return status;
    wane_executable *executable = wane_alloc(context, sizeof *executable);
    if (!executable) return wane_no_memory(context);
    executable->context = context;
    executable->device = plan->device;
    executable->plan = (wane_plan *)plan;  // immutable but for its count of references
    uint64_t start = wane_clock_ns();
    status = plan->device->backend->program_create(plan->device, plan, &executable->program);
    if (status) {
        wane_free(context, executable);
        return status;
    }
    wane_plan_retain(executable->plan);
    wane_hold(context, executable->device);
    wane_log(context, WANE_LOG_DEBUG, "%s is ready on %s after %.1f ms", plan->loss->name, plan->device->id, wane_ms_since(start));
    *out = executable;
    return WANE_OK;
}

void wane_executable_destroy(wane_executable *executable)
{
    if (!executable) return;
    wane_context *context = executable->context;
    wane_device *device = executable->device;
    device->backend->program_destroy(device, executable->program);
    wane_plan_destroy(executable->plan);
    wane_free(context, executable);
    wane_drop(context, device);
}

// ---- recorders ----

static wane_status recorder_native(wane_recorder *recorder)
{
    wane_context *context = recorder->context;
    uint32_t count = recorder->executable_count;
    const wane_plan **plans = wane_alloc(context, count * sizeof *plans);
    void **programs = wane_alloc(context, count * sizeof *programs);
    wane_status status = plans && programs ? WANE_OK : wane_no_memory(context);
    for (uint32_t i = 0; i < count && status == WANE_OK; i++) {
        plans[i] = recorder->executables[i]->plan;
        programs[i] = recorder->executables[i]->program;
    }
    if (status == WANE_OK)
        status = recorder->device->backend->recorder_create(recorder->device, plans, programs, count, recorder->capacity,
                                                            &recorder->native);
    wane_free(context, plans);
    wane_free(context, programs);
    return status;
}

wane_status wane_recorder_create(wane_executable *const *executables, uint32_t count, uint32_t dispatch_capacity,
                                 wane_recorder **out)
{
    if (out) *out = NULL;
    if (!executables || !count || !executables[0]) return WANE_ERROR_NULL_ARGUMENT;
    wane_context *context = executables[0]->context;
    wane_device *device = executables[0]->device;
    if (!out) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "out", "must not be NULL");
    uint64_t needed = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!executables[i]) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "executables", "entry %u is NULL", i);
        if (executables[i]->device != device)
            return wane_fail(context, WANE_ERROR_MISMATCH, "executables", "entry %u is of another device", i);
        needed += executables[i]->plan->pass_count;
    }
    wane_status status = wane_device_check(device);
    if (status) return status;
    wane_recorder *recorder = wane_alloc(context, sizeof *recorder);
    if (!recorder) return wane_no_memory(context);
    recorder->context = context;
    recorder->device = device;
    recorder->executable_count = count;
    recorder->capacity = dispatch_capacity ? dispatch_capacity : (uint32_t)wane_min_u64(needed, 1u << 24);
    recorder->executables = wane_alloc(context, count * sizeof *recorder->executables);
    status = recorder->executables ? WANE_OK : wane_no_memory(context);
    if (status == WANE_OK) {
        memcpy(recorder->executables, executables, count * sizeof *executables);
        status = recorder_native(recorder);
    }
    if (status) {
        wane_free(context, recorder->executables);
        wane_free(context, recorder);
        return status;
    }
    wane_hold(context, device);
    *out = recorder;
    return WANE_OK;
}

wane_status wane_recorder_reset(wane_recorder *recorder)
{
    if (!recorder) return WANE_ERROR_NULL_ARGUMENT;
    wane_status status = recorder->device->backend->recorder_reset(recorder->device, recorder->native);
    if (status == WANE_OK) recorder->used = 0;
    return status;
}

void wane_recorder_destroy(wane_recorder *recorder)
{
    if (!recorder) return;
    for (uint32_t i = 0; i <= WANE_MAX_OPERANDS; i++) wane_buffer_destroy(recorder->staging[i].buffer);
    wane_context *context = recorder->context;
    wane_device *device = recorder->device;
    device->backend->recorder_destroy(device, recorder->native);
    wane_free(context, recorder->executables);
    wane_free(context, recorder);
    wane_drop(context, device);
}

wane_status wane_recorder_take(wane_recorder *recorder, const wane_executable *executable)
{
    bool known = false;
    for (uint32_t i = 0; i < recorder->executable_count; i++) known = known || recorder->executables[i] == executable;
    if (!known)
        return wane_fail(recorder->context, WANE_ERROR_CAPACITY, "recorder", "was not made for this executable");
    uint32_t needed = executable->plan->pass_count;
    if (needed > recorder->capacity - recorder->used)
        return wane_fail(recorder->context, WANE_ERROR_CAPACITY, "recorder",
                         "has %u of %u dispatches left and the executable needs %u: reset it, or make it larger",
                         recorder->capacity - recorder->used, recorder->capacity, needed);
    recorder->used += needed;
    return WANE_OK;
}

// ---- run ----

// Device memory of at least `bytes`, kept from run to run.
static wane_status staging(wane_recorder *recorder, uint32_t index, uint64_t bytes, wane_buffer **out)
{
    wane_staging *s = &recorder->staging[index];
    if (s->buffer && s->buffer->bytes < bytes) {
        wane_buffer_destroy(s->buffer);
        s->buffer = NULL;
    }
    wane_status status = s->buffer ? WANE_OK : wane_buffer_create(recorder->device, wane_round_up(bytes, 4), &s->buffer);
    *out = s->buffer;
    return status;
}

// Moves host operands of a device without host memory into staging buffers, or results back out of them.
static wane_status stage(wane_recorder *recorder, const wane_plan *plan, const wane_range *given, wane_range *used, bool in)
{
    for (uint32_t i = 0; i < plan->operand_count; i++) {
        const wane_plan_operand *o = &plan->operands[i];
        if (!given[i].buffer || !given[i].buffer->is_host || o->end_byte == o->first_byte) continue;
        uint64_t bytes = (uint64_t)(o->end_byte - o->first_byte);
        char *host = (char *)given[i].buffer->host + given[i].byte_offset + o->first_byte;
        wane_status status = WANE_OK;
        if (in) {
            status = staging(recorder, i, bytes, &used[i].buffer);
            used[i].byte_offset = (uint64_t)-o->first_byte;
            used[i].bytes = status ? 0 : used[i].buffer->bytes - used[i].byte_offset;
            // strided outputs too: what lies between their elements must come back as it was
            if (status == WANE_OK) status = wane_buffer_write(used[i].buffer, 0, host, bytes);
        } else if (o->written) {
            status = wane_buffer_read(used[i].buffer, 0, host, bytes);
        }
        if (status) return status;
    }
    return WANE_OK;
}

static wane_status warn_of_data(wane_executable *executable, const wane_range *workspace)
{
    uint32_t words[WANE_STATUS_WORDS];
    wane_status status = wane_buffer_read(workspace->buffer, workspace->byte_offset + executable->plan->status_byte, words,
                                          sizeof words);
    if (status) return status;
    char text[256] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < WANE_STATUS_WORDS; i++) {
        const char *name = wane_fault_name(i, words[i] != 1);
        if (words[i] == 0 || !name[0]) continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u %s", used ? ", " : "", words[i], name);
    }
    return used ? wane_warn_data(executable->context, text) : WANE_OK;
}

static wane_status run_resolved(wane_executable *executable, wane_recorder *recorder, const wane_range *given,
                                wane_range *workspace)
{
    const wane_plan *plan = executable->plan;
    wane_device *device = executable->device;
    wane_range used[WANE_MAX_OPERANDS];
    memcpy(used, given, sizeof used);
    wane_status status = WANE_OK;
    if (!workspace->buffer || (workspace->buffer->is_host && !device->host_memory)) {
        status = staging(recorder, WANE_MAX_OPERANDS, plan->workspace_bytes, &workspace->buffer);
        workspace->byte_offset = 0;
        workspace->bytes = plan->workspace_bytes;
    }
    if (status == WANE_OK && !device->host_memory) status = stage(recorder, plan, given, used, true);
    if (status == WANE_OK)
        status = device->backend->run(device, plan, executable->program, recorder->native, used, workspace);
    if (status == WANE_OK && !device->host_memory) status = stage(recorder, plan, given, used, false);
    return status ? status : warn_of_data(executable, workspace);
}

wane_status wane_run(wane_executable *executable, wane_recorder *recorder, const wane_args *args)
{
    if (!executable) return WANE_ERROR_NULL_ARGUMENT;
    wane_status status = wane_device_check(executable->device);
    if (status) return status;
    wane_buffer hosts[WANE_MAX_OPERANDS + 1];
    wane_range operands[WANE_MAX_OPERANDS], workspace;
    memset(operands, 0, sizeof operands);
    status = wane_args_resolve(executable, args, true, hosts, operands, &workspace);
    if (status) return status;
    wane_recorder *temporary = NULL;
    if (recorder) {
        status = wane_recorder_reset(recorder);
    } else {
        status = wane_recorder_create(&executable, 1, 0, &temporary);
        recorder = temporary;
    }
    if (status == WANE_OK) status = wane_recorder_take(recorder, executable);
    if (status == WANE_OK) status = run_resolved(executable, recorder, operands, &workspace);
    wane_recorder_destroy(temporary);
    return status;
}

wane_status wane_run_cpu(wane_executable *executable, const wane_args *args)
{
    if (!executable) return WANE_ERROR_NULL_ARGUMENT;
    wane_device *device = executable->device;
    if (!device->host_memory)
        return wane_fail(executable->context, WANE_ERROR_MISMATCH, "executable", "is of %s, not of the CPU", device->id);
    wane_buffer hosts[WANE_MAX_OPERANDS + 1];
    wane_range operands[WANE_MAX_OPERANDS], workspace;
    memset(operands, 0, sizeof operands);
    wane_status status = wane_args_resolve(executable, args, true, hosts, operands, &workspace);
    if (status) return status;
    if (!workspace.buffer)
        return wane_fail(executable->context, WANE_ERROR_MISSING_OPERAND, "workspace", "must be given: %llu bytes",
                         (unsigned long long)executable->plan->workspace_bytes);
    status = device->backend->run(device, executable->plan, executable->program, NULL, operands, &workspace);
    return status ? status : warn_of_data(executable, &workspace);
}
