// work.c - the loss on one shape: memory, data, and the calls that are timed, made from the registry's roles.
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
    place->bytes = (bytes + 63) / 64 * 64 + 64;
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

// ---- tensors ----

static wane_dtype type_of(const bench_options *options, const wane_role_info *role)
{
    if ((role->types & WANE_TYPES_INDEX) == WANE_TYPES_INDEX) return WANE_DTYPE_I64;
    if (role->types & 1u << options->dtype) return options->dtype;
    static const wane_dtype others[] = {WANE_DTYPE_F32, WANE_DTYPE_I64, WANE_DTYPE_U32};
    for (int i = 0; i < 2; i++)
        if (role->types & 1u << others[i]) return others[i];
    return others[2];
}

static bool is_wanted(const bench_options *options, const wane_role_info *role)
{
    if (role->direction == WANE_DIRECTION_IN)
        return role->need == WANE_NEED_REQUIRED || (options->family->given && options->family->given(options) >> role->role & 1);
    for (const bench_mode *m = options->family->modes; m->name; m++)
        if (m->outputs >> role->role & 1 || (m->given && role->direction == WANE_DIRECTION_STATE)) return true;
    return false;
}

// Fills an input. That of the bulk stays on the host, on a GPU too: the references read it.
static int make_data(bench_work *work, bench_tensor *t)
{
    void *data = t->place.host ? t->place.host : aligned_alloc(64, t->place.bytes);
    if (!data) {
        tool_error("no memory for %.0f MiB: use smaller --shape", (double)t->shape.bytes / 1048576);
        return TOOL_FAILED;
    }
    int code = TOOL_OK;
    if (!bench_fill(work, t, data)) {
        tool_error("%s: no numbers of its type are made", t->role->name);
        code = TOOL_FAILED;
    }
    if (!code && t->place.buffer) {
        wane_status status = wane_buffer_write(t->place.buffer, 0, data, t->shape.bytes);
        if (status) code = tool_report(work->session, status, NULL);
    }
    if (work->bulk == t) work->bulk_host = data;
    else if (!t->place.host) free(data);
    return code;
}

static int make_tensors(bench_work *work)
{
    const bench_options *options = work->options;
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(options->loss, i)) != NULL; i++) {
        if (!is_wanted(options, role)) continue;
        bench_tensor *t = &work->tensors[role->role];
        t->role = role;
        if (!tool_extents_shape(&work->extents, role->shape, type_of(options, role), &t->shape)) {
            tool_error("%s is larger than memory can be: use smaller --shape", role->name);
            return TOOL_FAILED;
        }
        int code = make_place(work, &t->place, t->shape.bytes);
        if (code) return code;
        bool input = role->direction == WANE_DIRECTION_IN;
        if (input && (!work->bulk || t->shape.bytes > work->bulk->shape.bytes)) work->bulk = t;
    }
    for (int r = 0; r < BENCH_ROLES; r++) {
        bench_tensor *t = &work->tensors[r];
        int code = t->role && t->role->direction == WANE_DIRECTION_IN ? make_data(work, t) : TOOL_OK;
        if (code) return code;
    }
    return TOOL_OK;
}

// Where references copy the bulk: over a gradient, which each call makes anew.
static int make_copy(bench_work *work)
{
    for (int r = 0; r < BENCH_ROLES && !work->copy; r++) {
        const bench_tensor *t = &work->tensors[r];
        bool grad = t->role && t->role->direction == WANE_DIRECTION_GRAD && t->place.host;
        if (grad && t->place.bytes >= work->bulk->shape.bytes) work->copy = t->place.host;
    }
    if (work->copy) return TOOL_OK;
    work->owns_copy = true;
    work->copy = aligned_alloc(64, work->bulk->place.bytes);
    if (work->copy) {
        memset(work->copy, 0, work->bulk->place.bytes);
        return TOOL_OK;
    }
    tool_error("out of memory");
    return TOOL_FAILED;
}

// ---- calls ----

// The tensor that a gradient is of: grad_x of x.
static bench_tensor *source_of(bench_work *work, const bench_tensor *grad)
{
    for (int r = 0; r < BENCH_ROLES; r++)
        if (work->tensors[r].role && strcmp(work->tensors[r].role->name, grad->role->name + strlen("grad_")) == 0)
            return &work->tensors[r];
    return NULL;
}

static void add_operand(const bench_work *work, bench_call *call, const bench_tensor *t, const bench_place *place, uint32_t flags,
                        wane_operand *operand)
{
    *operand = (wane_operand){.struct_size = sizeof *operand, .role = t->role->role, .flags = flags,
                              .tensor = {.struct_size = sizeof operand->tensor, .dtype = (wane_dtype)t->shape.dtype,
                                         .rank = t->shape.rank}};
    memcpy(operand->tensor.extents, t->shape.extents, sizeof operand->tensor.extents);
    wane_binding *binding = &call->bindings[call->args.binding_count++];
    *binding = (wane_binding){.struct_size = sizeof *binding, .role = t->role->role, .bytes = place->bytes};
    if (work->is_cpu) binding->host = place->host;
    else binding->buffer = place->buffer;
}

// In place works where the gradient stands: its tensor is the gradient of the call before.
static void add_operands(bench_work *work, bench_call *call, wane_operand operands[BENCH_ROLES])
{
    const bench_mode *mode = call->mode;
    const bench_place *places[BENCH_ROLES] = {NULL};
    for (int r = 0; r < BENCH_ROLES; r++) {
        bench_tensor *t = &work->tensors[r], *source = NULL;
        if (!t->role || t->role->direction != WANE_DIRECTION_GRAD || !(mode->outputs >> r & 1)) continue;
        call->writes = true;
        if (mode->in_place) source = source_of(work, t);
        if (source) places[source->role->role] = &t->place;
    }
    for (int r = 0; r < BENCH_ROLES; r++) {
        const bench_tensor *t = &work->tensors[r];
        if (!t->role) continue;
        bool input = t->role->direction == WANE_DIRECTION_IN, state = t->role->direction == WANE_DIRECTION_STATE;
        bool grad = t->role->direction == WANE_DIRECTION_GRAD;
        if (!input && !(mode->outputs >> r & 1) && !(state && mode->given)) continue;
        uint32_t flags = state && mode->given ? WANE_OPERAND_GIVEN : grad && mode->in_place ? WANE_OPERAND_IN_PLACE : 0;
        add_operand(work, call, t, places[r] ? places[r] : &t->place, flags, &operands[call->args.binding_count]);
    }
}

static wane_status make_call(bench_work *work, bench_call *call)
{
    const bench_options *options = work->options;
    wane_operand operands[BENCH_ROLES];
    call->args = (wane_args){.struct_size = sizeof call->args, .bindings = call->bindings};
    add_operands(work, call, operands);
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = options->loss->loss, .params = options->params,
                           .operands = operands, .param_count = options->param_count,
                           .operand_count = call->args.binding_count};
    wane_plan *plan = NULL;
    wane_status status = wane_plan_create(work->device, &desc, &plan);
    call->info.struct_size = sizeof call->info;
    if (!status) status = wane_plan_get_info(plan, &call->info);
    if (!status) status = wane_executable_create(plan, &call->executable);
    wane_plan_destroy(plan);
    if (!status && !work->is_cpu) status = wane_recorder_create(&call->executable, 1, 0, &call->recorder);
    return status;
}

static wane_status planes_of(bench_work *work, uint32_t *planes)
{
    const bench_options *options = work->options;
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = options->loss->loss, .params = options->params,
                           .param_count = options->param_count};
    uint32_t mask = 0;
    wane_status status = wane_statistics_need(work->session->context, &desc, &mask);
    *planes = wane_statistics_plane_count(mask);
    return status;
}

static wane_status run_call(const bench_call *call)
{
    if (call->recorder) return wane_run(call->executable, call->recorder, &call->args);
    return wane_run_cpu(call->executable, &call->args);
}

static int64_t begin_count(bench_memory *memory)
{
    int64_t before = __atomic_load_n(&memory->now_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&memory->peak_bytes, before, __ATOMIC_RELAXED);
    return before;
}

static bool has_call(const bench_work *work, const bench_mode *mode)
{
    bool makes = false, states = false;
    for (int r = 0; r < BENCH_ROLES; r++) {
        const wane_role_info *role = work->tensors[r].role;
        if (role && role->direction != WANE_DIRECTION_IN) makes = makes || mode->outputs >> r & 1;
        if (role && role->direction == WANE_DIRECTION_STATE) states = true;
    }
    return makes && (states || !mode->given);
}

static int make_calls(bench_work *work, bench_memory *memory)
{
    uint64_t most = 0;
    bench_call *call = work->calls;
    for (const bench_mode *mode = work->options->family->modes; mode->name; mode++) {
        if (!has_call(work, mode)) continue;
        call->mode = mode;
        int64_t before = begin_count(memory);
        wane_status status = make_call(work, call);
        if (status) return tool_report(work->session, status, NULL);
        call->extra_bytes = __atomic_load_n(&memory->peak_bytes, __ATOMIC_RELAXED) - before;
        if (call->info.workspace_bytes > most) most = call->info.workspace_bytes;
        call++;
    }
    int code = make_place(work, &work->workspace, most);
    for (call = work->calls; call < work->calls + BENCH_MODES && call->mode && !code; call++) {
        wane_binding *w = &call->args.workspace;
        *w = (wane_binding){.struct_size = sizeof *w, .buffer = work->workspace.buffer, .host = work->workspace.host,
                            .bytes = work->workspace.bytes};
        if (!work->is_cpu) w->host = NULL;
        int64_t before = begin_count(memory);
        wane_status status = run_call(call);
        if (status) return tool_report(work->session, status, NULL);
        call->extra_bytes += __atomic_load_n(&memory->peak_bytes, __ATOMIC_RELAXED) - before;
        call->extra_bytes += (int64_t)call->info.workspace_bytes;
    }
    return code;
}

int bench_work_make(bench_work *work, tool_session *session, bench_memory *memory, wane_device *device,
                    const bench_options *options, const tool_extents *extents)
{
    memset(work, 0, sizeof *work);
    work->session = session;
    work->device = device;
    work->options = options;
    work->is_cpu = strcmp(tool_device_info(device).backend, "cpu") == 0;
    work->extents = *extents;
    bench_keep_extents(&work->extents, options->loss);
    tool_extents_start(&work->extents, options->loss, options->params, options->param_count);
    wane_status status = planes_of(work, &work->extents.planes);
    if (status) return tool_report(session, status, NULL);
    int code = make_tensors(work);
    if (!code) code = make_copy(work);
    if (!code) code = make_calls(work, memory);
    return code;
}

int bench_work_run(bench_work *work, const bench_call *call)
{
    wane_status status = run_call(call);
    return status ? tool_report(work->session, status, NULL) : TOOL_OK;
}

const bench_call *bench_work_fused(const bench_work *work)
{
    for (int i = 0; i < BENCH_MODES; i++) {
        const bench_mode *mode = work->calls[i].mode;
        if (mode && !mode->given && !mode->in_place && work->calls[i].writes) return &work->calls[i];
    }
    return &work->calls[0];
}

void bench_work_free(bench_work *work)
{
    for (int i = 0; i < BENCH_MODES; i++) {
        wane_recorder_destroy(work->calls[i].recorder);
        wane_executable_destroy(work->calls[i].executable);
    }
    if (work->bulk && !work->bulk->place.host) free(work->bulk_host);
    if (work->owns_copy) free(work->copy);
    for (int r = 0; r < BENCH_ROLES; r++) free_place(&work->tensors[r].place);
    free_place(&work->workspace);
    bench_blas_free(work->blas);
    memset(work, 0, sizeof *work);
}
