// work.c - the loss on one shape: memory, data, and the three calls that are timed.
#include "bench.h"

#include <stdlib.h>
#include <string.h>

// ---- the library's host memory, counted ----

static void *counted_alloc(void *user, size_t bytes, size_t align)
{
    bench_memory *memory = user;
    void *data = aligned_alloc(align, (bytes + align - 1) / align * align);
    if (!data) return NULL;
    int64_t now = __atomic_add_fetch(&memory->now_bytes, (int64_t)bytes, __ATOMIC_RELAXED);
    int64_t peak = __atomic_load_n(&memory->peak_bytes, __ATOMIC_RELAXED);
    while (now > peak && !__atomic_compare_exchange_n(&memory->peak_bytes, &peak, now, true, __ATOMIC_RELAXED,
                                                      __ATOMIC_RELAXED)) {}
    return data;
}

static void counted_free(void *user, void *data, size_t bytes, size_t align)
{
    (void)align;
    bench_memory *memory = user;
    __atomic_sub_fetch(&memory->now_bytes, (int64_t)bytes, __ATOMIC_RELAXED);
    free(data);
}

wane_allocator bench_allocator(bench_memory *memory)
{
    wane_allocator allocator = {memory, counted_alloc, counted_free};
    return allocator;
}

// ---- places ----

static int make_place(bench_work *work, bench_place *place, uint64_t bytes)
{
    place->bytes = (bytes + 63) / 64 * 64;
    if (!work->is_cpu) {
        wane_status status = wane_buffer_create(work->device, place->bytes, &place->buffer);
        return status ? tool_report(work->session, status, NULL) : TOOL_OK;
    }
    place->host = aligned_alloc(64, place->bytes);
    if (place->host) {
        memset(place->host, 0, place->bytes);       // the pages are there before anything is timed
        return TOOL_OK;
    }
    tool_error("no memory for %.0f MiB: use smaller --shape", (double)bytes / 1048576);
    return TOOL_FAILED;
}

static void free_place(bench_place *place)
{
    wane_buffer_destroy(place->buffer);
    free(place->host);
}

int bench_work_read(const bench_work *work, const bench_place *place, uint64_t byte_offset, void *data, uint64_t bytes)
{
    if (place->host) {
        memcpy(data, (const char *)place->host + byte_offset, bytes);
        return TOOL_OK;
    }
    wane_status status = wane_buffer_read(place->buffer, byte_offset, data, bytes);
    return status ? tool_report(work->session, status, NULL) : TOOL_OK;
}

// ---- data ----

static int upload(const bench_work *work, const bench_place *place, const void *data, uint64_t bytes)
{
    wane_status status = wane_buffer_write(place->buffer, 0, data, bytes);
    return status ? tool_report(work->session, status, NULL) : TOOL_OK;
}

// On a GPU the logits stay on the host too: the references read them there.
static int make_data(bench_work *work)
{
    uint64_t logits_bytes = (uint64_t)work->rows * work->row_bytes, target_bytes = (uint64_t)work->rows * 8;
    if (work->is_cpu) {
        bench_fill(work->dtype, work->logits.host, work->target.host, work->rows, work->cols);
        work->copy = work->grad.host;
        return TOOL_OK;
    }
    void *logits = aligned_alloc(64, work->logits.bytes), *target = malloc(target_bytes);
    work->copy = aligned_alloc(64, work->logits.bytes);
    int code = TOOL_FAILED;
    if (!logits || !target || !work->copy) {
        tool_error("no memory for %.0f MiB: use smaller --shape", (double)logits_bytes / 1048576);
    } else {
        bench_fill(work->dtype, logits, target, work->rows, work->cols);
        memset(work->copy, 0, work->logits.bytes);
        code = upload(work, &work->logits, logits, logits_bytes);
        if (!code) code = upload(work, &work->target, target, target_bytes);
    }
    free(target);
    work->logits.host = logits;
    return code;
}

// ---- calls ----

typedef struct call_operand {
    wane_role role;
    wane_dtype dtype;
    uint32_t rank, flags;
    int64_t extents[2];
    const bench_place *place;
} call_operand;

static void add_operand(const call_operand *from, wane_operand *operand, wane_binding *binding, bool is_cpu)
{
    memset(operand, 0, sizeof *operand);
    operand->struct_size = sizeof *operand;
    operand->role = from->role;
    operand->flags = from->flags;
    operand->tensor.struct_size = sizeof operand->tensor;
    operand->tensor.dtype = from->dtype;
    operand->tensor.rank = from->rank;
    memcpy(operand->tensor.extents, from->extents, sizeof from->extents);
    memset(binding, 0, sizeof *binding);
    binding->struct_size = sizeof *binding;
    binding->role = from->role;
    if (is_cpu) binding->host = from->place->host;
    else binding->buffer = from->place->buffer;
    binding->bytes = from->place->bytes;
}

// In place works where the other gradients stand: its logits are the gradient of the call before.
static uint32_t list_operands(const bench_work *work, const bench_options *options, bench_mode mode, uint32_t planes,
                              call_operand *list)
{
    int64_t rows = work->rows, reduced = 1;
    for (uint32_t i = 0; i < options->param_count; i++)
        if (options->params[i].param == WANE_PARAM_REDUCTION && options->params[i].value == WANE_REDUCTION_NONE)
            reduced = rows;
    uint32_t count = 0, given = mode == BENCH_BACKWARD ? WANE_OPERAND_GIVEN : 0;
    uint32_t over = mode == BENCH_IN_PLACE ? WANE_OPERAND_IN_PLACE : 0;
    const bench_place *logits = over ? &work->grad : &work->logits;
    list[count++] = (call_operand){WANE_ROLE_LOGITS, work->dtype, 2, 0, {rows, work->cols}, logits};
    list[count++] = (call_operand){WANE_ROLE_TARGET, WANE_DTYPE_I64, 1, 0, {rows, 0}, &work->target};
    if (mode == BENCH_FORWARD || mode == BENCH_BACKWARD)
        list[count++] =
            (call_operand){WANE_ROLE_STATISTICS, WANE_DTYPE_F32, 2, given, {planes, rows}, &work->statistics};
    if (mode != BENCH_BACKWARD)
        list[count++] = (call_operand){WANE_ROLE_LOSS, WANE_DTYPE_F32, 1, 0, {reduced, 0}, &work->loss};
    if (mode == BENCH_FUSED || mode == BENCH_IN_PLACE)
        list[count++] = (call_operand){WANE_ROLE_ROW_LOSS, WANE_DTYPE_F32, 1, 0, {rows, 0}, &work->row_loss};
    if (mode != BENCH_FORWARD)
        list[count++] = (call_operand){WANE_ROLE_GRAD_LOGITS, work->dtype, 2, over, {rows, work->cols}, &work->grad};
    return count;
}

static wane_status make_call(bench_work *work, const bench_options *options, bench_mode mode, uint32_t planes)
{
    bench_call *call = &work->calls[mode];
    call_operand list[8];
    wane_operand operands[8];
    uint32_t count = list_operands(work, options, mode, planes, list);
    for (uint32_t i = 0; i < count; i++) add_operand(&list[i], &operands[i], &call->bindings[i], work->is_cpu);
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = options->loss->loss, .params = options->params,
                           .operands = operands, .param_count = options->param_count, .operand_count = count};
    wane_plan *plan = NULL;
    wane_status status = wane_plan_create(work->device, &desc, &plan);
    call->info.struct_size = sizeof call->info;
    if (!status) status = wane_plan_get_info(plan, &call->info);
    if (!status) status = wane_executable_create(plan, &call->executable);
    wane_plan_destroy(plan);
    if (!status && !work->is_cpu) status = wane_recorder_create(&call->executable, 1, 0, &call->recorder);
    call->args = (wane_args){.struct_size = sizeof call->args, .bindings = call->bindings, .binding_count = count};
    return status;
}

static wane_status planes_of(bench_work *work, const bench_options *options, uint32_t *planes)
{
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = options->loss->loss, .params = options->params,
                           .param_count = options->param_count};
    uint32_t mask = 0;
    wane_status status = wane_statistics_need(work->session->context, &desc, &mask);
    *planes = wane_statistics_plane_count(mask);
    return status;
}

static wane_status run_call(bench_call *call)
{
    if (call->recorder) return wane_run(call->executable, call->recorder, &call->args);
    return wane_run_cpu(call->executable, &call->args);
}

static int make_calls(bench_work *work, bench_memory *memory, const bench_options *options, uint32_t planes)
{
    uint64_t most = 0;
    for (int mode = 0; mode < BENCH_MODES; mode++) {
        bench_call *call = &work->calls[mode];
        int64_t before = __atomic_load_n(&memory->now_bytes, __ATOMIC_RELAXED);
        __atomic_store_n(&memory->peak_bytes, before, __ATOMIC_RELAXED);
        wane_status status = make_call(work, options, (bench_mode)mode, planes);
        if (status) return tool_report(work->session, status, NULL);
        call->extra_bytes = __atomic_load_n(&memory->peak_bytes, __ATOMIC_RELAXED) - before;
        if (call->info.workspace_bytes > most) most = call->info.workspace_bytes;
    }
    int code = make_place(work, &work->workspace, most);
    for (int mode = 0; mode < BENCH_MODES && !code; mode++) {
        bench_call *call = &work->calls[mode];
        wane_binding *w = &call->args.workspace;
        w->struct_size = sizeof *w;
        if (work->is_cpu) w->host = work->workspace.host;
        else w->buffer = work->workspace.buffer;
        w->bytes = work->workspace.bytes;
        int64_t before = __atomic_load_n(&memory->now_bytes, __ATOMIC_RELAXED);
        __atomic_store_n(&memory->peak_bytes, before, __ATOMIC_RELAXED);
        wane_status status = run_call(call);
        if (status) return tool_report(work->session, status, NULL);
        call->extra_bytes += __atomic_load_n(&memory->peak_bytes, __ATOMIC_RELAXED) - before;
        call->extra_bytes += (int64_t)call->info.workspace_bytes;
    }
    return code;
}

int bench_work_make(bench_work *work, tool_session *session, bench_memory *memory, wane_device *device,
                    const bench_options *options, int64_t rows, int64_t cols)
{
    memset(work, 0, sizeof *work);
    work->session = session;
    work->device = device;
    work->is_cpu = strcmp(tool_device_info(device).backend, "cpu") == 0;
    work->rows = rows;
    work->cols = cols;
    work->dtype = options->dtype;
    work->row_bytes = (uint64_t)cols * wane_dtype_bytes(options->dtype);
    // the first, the last, and two on the way
    for (int i = 0; i < BENCH_SAMPLES; i++) work->sample_rows[i] = (rows - 1) * i / (BENCH_SAMPLES - 1);
    uint32_t planes = 0;
    wane_status status = planes_of(work, options, &planes);
    if (status) return tool_report(session, status, NULL);
    const uint64_t matrix = (uint64_t)rows * work->row_bytes, vector = (uint64_t)rows * 4;
    int code = make_place(work, &work->logits, matrix);
    if (!code) code = make_place(work, &work->grad, matrix);
    if (!code) code = make_place(work, &work->target, 2 * vector);
    if (!code) code = make_place(work, &work->statistics, planes * vector);
    if (!code) code = make_place(work, &work->loss, vector);
    if (!code) code = make_place(work, &work->row_loss, vector);
    if (!code) code = make_data(work);
    if (!code) code = make_calls(work, memory, options, planes);
    return code;
}

int bench_work_run(bench_work *work, bench_mode mode)
{
    wane_status status = run_call(&work->calls[mode]);
    return status ? tool_report(work->session, status, NULL) : TOOL_OK;
}

void bench_work_free(bench_work *work)
{
    for (int mode = 0; mode < BENCH_MODES; mode++) {
        wane_recorder_destroy(work->calls[mode].recorder);
        wane_executable_destroy(work->calls[mode].executable);
    }
    if (!work->is_cpu) free(work->copy);
    bench_place *places[] = {&work->logits, &work->target, &work->statistics, &work->loss, &work->row_loss, &work->grad,
                             &work->workspace};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) free_place(places[i]);
    memset(work, 0, sizeof *work);
}
