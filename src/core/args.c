// args.c - checks memory against a plan, before anything is written.
#include "core/core.h"

typedef struct span {
    uint64_t begin, end;                   // absolute within the memory that `key` names
    const void *key;
    uint64_t native;
    bool host, written, in_place;
    const char *name;
} span;

// The memory that a binding stands for, as a buffer; host pointers and native handles borrow `temporary`.
static wane_status binding_buffer(const wane_executable *executable, const wane_binding *binding, const char *name,
                                  bool allow_host, wane_buffer *temporary, wane_buffer **out)
{
    wane_context *context = executable->context;
    int given = (binding->buffer != NULL) + (binding->host != NULL) + (binding->native != 0);
    if (given > 1)
        return wane_fail(context, WANE_ERROR_FLAGS, name, "give one of buffer, host and native");
    if (given == 0)
        return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, name, "has no memory: set buffer, host or native");
    if (binding->buffer) {
        if (binding->buffer->device != executable->device)
            return wane_fail(context, WANE_ERROR_MISMATCH, name, "its buffer belongs to another device");
        if (binding->buffer->is_host && !allow_host)
            return wane_fail(context, WANE_ERROR_MISMATCH, name, "host memory works with wane_run and wane_run_cpu alone");
        *out = binding->buffer;
        return WANE_OK;
    }
    if (binding->host && !allow_host)
        return wane_fail(context, WANE_ERROR_MISMATCH, name, "host memory works with wane_run and wane_run_cpu alone");
    if (binding->native && (allow_host || executable->device->host_memory))
        return wane_fail(context, WANE_ERROR_MISMATCH, name, "native handles work with the record functions of a GPU alone");
    memset(temporary, 0, sizeof *temporary);
    temporary->context = context;
    temporary->device = executable->device;
    temporary->bytes = binding->bytes;
    temporary->host = binding->host;
    temporary->is_host = binding->host != NULL;
    temporary->native[0] = binding->native;
    *out = temporary;
    return WANE_OK;
}

static wane_status check_binding(const wane_executable *executable, const wane_binding *binding,
                                 const wane_plan_operand *o, bool allow_host, wane_buffer *temporary, wane_range *range)
{
    wane_context *context = executable->context;
    const char *name = o->role->name;
    if (binding->flags || binding->reserved[0] || binding->reserved[1])
        return wane_fail(context, WANE_ERROR_FLAGS, name, "no binding flags or reserved members are known yet");
    if (o->first_byte == o->end_byte && !binding->buffer && !binding->host && !binding->native) return WANE_OK;
    wane_status status = binding_buffer(executable, binding, name, allow_host, temporary, &range->buffer);
    if (status) return status;
    if (binding->byte_offset % o->align_bytes)
        return wane_fail(context, WANE_ERROR_ALIGNMENT, name, "byte_offset %llu is no multiple of the promised %u",
                         (unsigned long long)binding->byte_offset, o->align_bytes);
    if (range->buffer->host && ((uintptr_t)range->buffer->host + binding->byte_offset) % wane_dtype_bytes(o->dtype))
        return wane_fail(context, WANE_ERROR_ALIGNMENT, name, "the host pointer is not aligned to its type");
    uint64_t size = range->buffer->bytes, at = binding->byte_offset;
    // the buffer's end is a word's end: a view may end inside the last word, the word must be there
    if (at > size || (uint64_t)-o->first_byte > at || (uint64_t)o->end_byte > size - at)
        return wane_fail(context, WANE_ERROR_BOUNDS, name, "needs bytes %lld to %lld around offset %llu of a buffer of %llu",
                         (long long)o->first_byte, (long long)o->end_byte, (unsigned long long)at, (unsigned long long)size);
    range->byte_offset = at;
    range->bytes = size - at;
    return WANE_OK;
}

static wane_status check_workspace(const wane_executable *executable, const wane_binding *binding, bool allow_host,
                                   wane_buffer *temporary, wane_range *workspace)
{
    wane_context *context = executable->context;
    const wane_plan *plan = executable->plan;
    wane_status status = wane_struct_check(context, binding, sizeof *binding, sizeof *binding, "workspace");
    if (status) return status;
    if (binding->role)
        return wane_fail(context, WANE_ERROR_UNKNOWN_ROLE, "workspace", "has role %s (number %d) and must have none",
                         wane_role_name(binding->role), (int)binding->role);
    if (binding->flags || binding->reserved[0] || binding->reserved[1])
        return wane_fail(context, WANE_ERROR_FLAGS, "workspace", "no binding flags or reserved members are known yet");
    status = binding_buffer(executable, binding, "workspace", allow_host, temporary, &workspace->buffer);
    if (status) return status;
    uint64_t at = binding->byte_offset, size = workspace->buffer->bytes;
    uint64_t base = workspace->buffer->host ? (uint64_t)(uintptr_t)workspace->buffer->host : 0;
    // a GPU never sees host memory: wane_run brings its own workspace instead
    uint32_t align = workspace->buffer->host ? 4 : plan->info.workspace_align_bytes;
    if ((base + at) % align)
        return wane_fail(context, WANE_ERROR_ALIGNMENT, "workspace", "byte_offset must be a multiple of %u", align);
    if (at > size || size - at < plan->workspace_bytes)
        return wane_fail(context, WANE_ERROR_WORKSPACE, "workspace", "has %llu bytes from its offset; the plan needs %llu",
                         (unsigned long long)(at > size ? 0 : size - at), (unsigned long long)plan->workspace_bytes);
    workspace->byte_offset = at;
    workspace->bytes = plan->workspace_bytes;
    return WANE_OK;
}

static span span_of(const wane_range *range, int64_t first, int64_t end, bool written, const char *name)
{
    span s;
    const wane_buffer *buffer = range->buffer;
    uint64_t base = buffer->host ? (uint64_t)(uintptr_t)buffer->host : 0;
    s.begin = base + range->byte_offset + (uint64_t)first;
    s.end = base + range->byte_offset + (uint64_t)end;
    s.native = buffer->native[0];
    s.key = buffer->host || s.native ? NULL : buffer;
    s.host = buffer->host != NULL;
    s.written = written;
    s.in_place = false;
    s.name = name;
    return s;
}

static bool same_memory(const span *a, const span *b)
{
    return a->host == b->host && a->key == b->key && a->native == b->native;
}

// The gradient of role R is called grad_R.
static bool is_gradient_of(const span *a, const span *b)
{
    size_t length = strlen("grad_");
    return strncmp(a->name, "grad_", length) == 0 && strcmp(a->name + length, b->name) == 0;
}

// A gradient in place lies over one input, on the very same bytes.
static bool lies_over(const span *a, const span *b)
{
    return a->in_place && !b->written && is_gradient_of(a, b) && same_memory(a, b) && a->begin == b->begin && a->end == b->end;
}

static wane_status check_in_place(wane_context *context, const span *spans, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool found = !spans[i].in_place;
        for (uint32_t j = 0; j < count && !found; j++) found = lies_over(&spans[i], &spans[j]);
        if (!found)
            return wane_fail(context, WANE_ERROR_OVERLAP, spans[i].name,
                             "was planned in place and must be bound to the very bytes of its tensor");
    }
    return WANE_OK;
}

static wane_status overlap(wane_context *context, const span *output, const span *other)
{
    return wane_fail(context, WANE_ERROR_OVERLAP, output->name, "is written and shares bytes with %s%s", other->name,
                     is_gradient_of(output, other) ? "; WANE_OPERAND_IN_PLACE in the plan puts a gradient over its tensor" : "");
}

// An output must share bytes with nothing, as far as the reach of the views tells.
static wane_status check_overlaps(const wane_executable *executable, const wane_range *operands, const wane_range *workspace)
{
    const wane_plan *plan = executable->plan;
    span spans[WANE_MAX_OPERANDS + 1];
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->operand_count; i++) {
        const wane_plan_operand *o = &plan->operands[i];
        if (operands[i].buffer && o->end_byte > o->first_byte) {
            spans[count] = span_of(&operands[i], o->first_byte, o->end_byte, o->written, o->role->name);
            spans[count++].in_place = o->flags & WANE_OPERAND_IN_PLACE && o->role->direction == WANE_DIRECTION_GRAD;
        }
    }
    if (workspace->buffer && plan->workspace_bytes)
        spans[count++] = span_of(workspace, 0, (int64_t)plan->workspace_bytes, true, "workspace");
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = i + 1; j < count; j++) {
            const span *a = &spans[i], *b = &spans[j];
            if (lies_over(a, b) || lies_over(b, a)) continue;
            if (same_memory(a, b) && (a->written || b->written) && a->begin < b->end && b->begin < a->end)
                return overlap(executable->context, a->written ? a : b, a->written ? b : a);
        }
    return check_in_place(executable->context, spans, count);
}

wane_status wane_args_resolve(const wane_executable *executable, const wane_args *args, bool allow_host,
                              wane_buffer *hosts, wane_range *operands, wane_range *workspace)
{
    wane_context *context = executable->context;
    const wane_plan *plan = executable->plan;
    wane_status status = wane_struct_check(context, args, sizeof *args, sizeof *args, "wane_args");
    if (status) return status;
    if (args->flags) return wane_fail(context, WANE_ERROR_FLAGS, "flags", "no flags are known yet");
    if (args->binding_count && !args->bindings)
        return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "bindings", "binding_count is %u but bindings is NULL",
                         args->binding_count);
    bool bound[WANE_MAX_OPERANDS] = {false};
    memset(operands, 0, plan->operand_count * sizeof *operands);
    memset(workspace, 0, sizeof *workspace);
    size_t step = args->binding_count ? args->bindings[0].struct_size : 0;
    for (uint32_t i = 0; i < args->binding_count; i++) {
        const wane_binding *binding = (const wane_binding *)((const char *)args->bindings + i * step);
        status = wane_struct_check(context, binding, sizeof *binding, sizeof *binding, "wane_binding");
        if (status) return status;
        int index = wane_plan_find(plan, binding->role);
        if (index < 0)
            return wane_fail(context, WANE_ERROR_UNKNOWN_ROLE, "bindings", "the plan has no operand of role %s (number %d)",
                             wane_role_name(binding->role), (int)binding->role);
        const wane_plan_operand *o = &plan->operands[index];
        if (bound[index]) return wane_fail(context, WANE_ERROR_DUPLICATE, o->role->name, "is bound twice");
        bound[index] = true;
        status = check_binding(executable, binding, o, allow_host, &hosts[index], &operands[index]);
        if (status) return status;
    }
    for (uint32_t i = 0; i < plan->operand_count; i++)
        if (!bound[i])
            return wane_fail(context, WANE_ERROR_MISSING_OPERAND, plan->operands[i].role->name, "is in the plan but not bound");
    const wane_binding *w = &args->workspace;
    if (w->struct_size || w->buffer || w->host || w->native) {
        status = check_workspace(executable, w, allow_host, &hosts[WANE_MAX_OPERANDS], workspace);
        if (status) return status;
    }
    return check_overlaps(executable, operands, workspace);
}
