// plan.c - from a loss description to a plan: every check that the registry can express, then the family's planner.
#include "core/core.h"

#include <stdio.h>
#include <stdlib.h>

// ---- parameters ----

static const wane_param_info *find_param(const wane_loss_info *loss, wane_param param)
{
    for (uint32_t i = 0; i < loss->param_count; i++)
        if (wane_loss_param_at(loss, i)->param == param) return wane_loss_param_at(loss, i);
    return NULL;
}

static wane_status read_params(wane_plan *plan, const wane_loss_desc *desc)
{
    wane_context *context = plan->context;
    for (uint32_t i = 0; i < plan->loss->param_count; i++) {
        const wane_param_info *info = wane_loss_param_at(plan->loss, i);
        plan->params[info->param] = info->standard;
    }
    if (desc->param_count && !desc->params)
        return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "params", "param_count is %u but params is NULL", desc->param_count);
    for (uint32_t i = 0; i < desc->param_count; i++) {
        const wane_param_value *value = &desc->params[i];
        const wane_param_info *info = find_param(plan->loss, value->param);
        if (!info)
            return wane_fail(context, WANE_ERROR_UNKNOWN_PARAM, "params", "%s has no parameter %s (number %d)",
                             plan->loss->name, wane_param_name(value->param), (int)value->param);
        if (value->reserved)
            return wane_fail(context, WANE_ERROR_STRUCT, info->name, "reserved members must be 0");
        if (plan->given[info->param])
            return wane_fail(context, WANE_ERROR_DUPLICATE, info->name, "is given twice");
        bool low = info->lowest_excluded ? !(value->value > info->lowest) : !(value->value >= info->lowest);
        bool outside = low || !(value->value <= info->highest);
        if (outside && info->kind == WANE_KIND_CHOICE)
            return wane_fail(context, WANE_ERROR_PARAM_RANGE, info->name, "is %g: it counts in %s from 0, up to %g here", value->value,
                             info->choices, info->highest);
        if (outside)
            return wane_fail(context, WANE_ERROR_PARAM_RANGE, info->name, "is %g, outside %c%g, %g]", value->value,
                             info->lowest_excluded ? '(' : '[', info->lowest, info->highest);
        if (info->kind != WANE_KIND_REAL && value->value != (double)(int64_t)value->value)
            return wane_fail(context, WANE_ERROR_PARAM_RANGE, info->name, "is %g, not an integer", value->value);
        plan->given[info->param] = true;
        plan->params[info->param] = value->value;
    }
    return WANE_OK;
}

// ---- operands ----

static const wane_role_info *find_role(const wane_loss_info *loss, wane_role role)
{
    for (uint32_t i = 0; i < loss->role_count; i++)
        if (wane_loss_role_at(loss, i)->role == role) return wane_loss_role_at(loss, i);
    return NULL;
}

int wane_plan_find(const wane_plan *plan, wane_role role)
{
    for (uint32_t i = 0; i < plan->operand_count; i++)
        if (plan->operands[i].role->role == role) return (int)i;
    return -1;
}

// Reach of the view in bytes, and that an output's elements do not share bytes.
static wane_status check_strides(wane_context *context, wane_plan_operand *o)
{
    int64_t first = 0, last = 0, count = 1, size = (int64_t)wane_dtype_bytes(o->dtype);
    for (uint32_t d = 0; d < o->rank; d++)
        if (!wane_mul_i64(count, o->extents[d], &count))
            return wane_fail(context, WANE_ERROR_SIZE, o->role->name, "the product of its extents does not fit 63 bits");
    if (count == 0) {
        // no element, no reach: strides that nobody checked must not come up in later arithmetic
        memset(o->strides, 0, sizeof o->strides);
        return WANE_OK;
    }
    for (uint32_t d = 0; d < o->rank; d++) {
        int64_t reach;
        if (o->strides[d] == INT64_MIN || !wane_mul_i64(o->extents[d] - 1, o->strides[d], &reach)
            || !wane_add_i64(reach < 0 ? first : last, reach, reach < 0 ? &first : &last))
            return wane_fail(context, WANE_ERROR_SIZE, o->role->name, "extents times strides do not fit 63 bits");
    }
    if (!wane_mul_i64(first, size, &o->first_byte) || !wane_add_i64(last, 1, &last)
        || !wane_mul_i64(last, size, &o->end_byte))
        return wane_fail(context, WANE_ERROR_SIZE, o->role->name, "its size in bytes does not fit 63 bits");
    if (!o->written) return WANE_OK;
    // Sorted by stride, each dimension must step over all that the smaller ones reach.
    int64_t covered = 1;
    bool done[4] = {false};
    for (uint32_t k = 0; k < o->rank; k++) {
        int best = -1;
        for (uint32_t d = 0; d < o->rank; d++)
            if (!done[d] && (best < 0 || llabs(o->strides[d]) < llabs(o->strides[best]))) best = (int)d;
        done[best] = true;
        if (o->extents[best] <= 1) continue;
        if (llabs(o->strides[best]) < covered)
            return wane_fail(context, WANE_ERROR_STRIDE, o->role->name,
                             "is an output and its stride %lld in dimension %d makes elements overlap",
                             (long long)o->strides[best], best);
        covered += (o->extents[best] - 1) * llabs(o->strides[best]);
    }
    return WANE_OK;
}

// "f32, f16 or bf16"
static const char *types_text(uint32_t types, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = 0;
    for (uint32_t dtype = WANE_DTYPE_F32; types >> dtype && used < capacity; dtype++) {
        if (!(types & 1u << dtype)) continue;
        const char *between = !used ? "" : types >> dtype > 1 ? ", " : " or ";
        used += (size_t)snprintf(text + used, capacity - used, "%s%s", between, wane_dtype_name((wane_dtype)dtype));
    }
    return text;
}

static wane_status read_tensor(wane_context *context, const wane_tensor *tensor, wane_plan_operand *o)
{
    const char *name = o->role->name;
    char types[64];
    wane_status status = wane_struct_check(context, tensor, sizeof *tensor, sizeof *tensor, name);
    if (status) return status;
    if (tensor->flags & ~(uint32_t)WANE_TENSOR_STRIDED)
        return wane_fail(context, WANE_ERROR_FLAGS, name, "unknown tensor flags 0x%x", (unsigned)tensor->flags);
    if (!wane_dtype_bytes(tensor->dtype) || !(o->role->types & 1u << tensor->dtype))
        return wane_fail(context, WANE_ERROR_DTYPE, name, "has type %s; it takes %s: convert it",
                         wane_dtype_name(tensor->dtype) ? wane_dtype_name(tensor->dtype) : "unknown",
                         types_text(o->role->types, types, sizeof types));
    if (tensor->rank > 4)
        return wane_fail(context, WANE_ERROR_RANK, name, "has rank %u; 4 is the most", tensor->rank);
    o->dtype = tensor->dtype;
    o->rank = tensor->rank;
    uint32_t size = (uint32_t)wane_dtype_bytes(o->dtype);
    o->align_bytes = tensor->offset_align_bytes ? tensor->offset_align_bytes : size;
    if (o->align_bytes & (o->align_bytes - 1) || o->align_bytes < size)
        return wane_fail(context, WANE_ERROR_ALIGNMENT, name, "offset_align_bytes is %u: a power of two of at least %u, or 0",
                         o->align_bytes, size);
    int64_t dense = 1;
    for (int d = (int)o->rank - 1; d >= 0; d--) {
        o->extents[d] = tensor->extents[d];
        if (o->extents[d] < 0)
            return wane_fail(context, WANE_ERROR_EXTENT, name, "extent %d is %lld", d, (long long)o->extents[d]);
        o->strides[d] = tensor->flags & WANE_TENSOR_STRIDED ? tensor->strides[d] : dense;
        if (!wane_mul_i64(dense, o->extents[d] ? o->extents[d] : 1, &dense))
            return wane_fail(context, WANE_ERROR_SIZE, name, "the product of its extents does not fit 63 bits");
    }
    return check_strides(context, o);
}

// "A|B" is A for index types and B for others; "reduced" depends on the reduction, "total=A" on total_cols.
static void decide_shape(const wane_plan *plan, wane_plan_operand *o)
{
    const char *shape = o->role->shape, *other = strchr(shape, '|');
    if (other && !(WANE_TYPES_INDEX & 1u << o->dtype)) shape = other + 1;
    if (strncmp(shape, "reduced", 7) == 0) {
        bool each = plan->params[WANE_PARAM_REDUCTION] == WANE_REDUCTION_NONE;
        shape = !each ? "1" : shape[7] ? shape + 8 : "rows";
    } else if (strncmp(shape, "total=", 6) == 0) {
        shape = plan->params[WANE_PARAM_TOTAL_COLS] > 0 ? "total_cols" : shape + 6;
    }
    snprintf(o->shape, sizeof o->shape, "%.*s", (int)strcspn(shape, "|"), shape);
}

static wane_status read_operand(wane_plan *plan, const wane_operand *operand)
{
    wane_context *context = plan->context;
    wane_status status = wane_struct_check(context, operand, sizeof *operand, sizeof *operand, "operands");
    if (status) return status;
    const wane_role_info *role = find_role(plan->loss, operand->role);
    if (!role)
        return wane_fail(context, WANE_ERROR_UNKNOWN_ROLE, "operands", "%s has no role %s (number %d)", plan->loss->name,
                         wane_role_name(operand->role), (int)operand->role);
    if (wane_plan_find(plan, role->role) >= 0)
        return wane_fail(context, WANE_ERROR_DUPLICATE, role->name, "is given twice");
    uint32_t allowed = role->direction == WANE_DIRECTION_GRAD ? WANE_OPERAND_ACCUMULATE | WANE_OPERAND_IN_PLACE
                     : role->direction == WANE_DIRECTION_STATE ? WANE_OPERAND_GIVEN : 0;
    if (operand->flags & ~allowed)
        return wane_fail(context, WANE_ERROR_FLAGS, role->name, "flags 0x%x do not fit this role", (unsigned)operand->flags);
    if (operand->reserved[0] || operand->reserved[1])
        return wane_fail(context, WANE_ERROR_STRUCT, role->name, "reserved members must be 0");
    wane_plan_operand *o = &plan->operands[plan->operand_count];
    o->role = role;
    o->flags = operand->flags;
    o->read = role->direction == WANE_DIRECTION_IN
           || operand->flags & (WANE_OPERAND_ACCUMULATE | WANE_OPERAND_GIVEN);     // in place, the tensor below is read
    o->written = role->direction != WANE_DIRECTION_IN && !(operand->flags & WANE_OPERAND_GIVEN);
    status = read_tensor(context, &operand->tensor, o);
    if (status) return status;
    decide_shape(plan, o);
    plan->operand_count++;
    return WANE_OK;
}

// ---- shapes: equal names are equal numbers ----

typedef struct named_extent {
    char name[16];
    int64_t value;
    const char *owner;
} named_extent;

static const char *next_extent(const char *shape, char name[16])
{
    size_t length = strcspn(shape, ",");
    snprintf(name, 16, "%.*s", (int)length, shape);
    return shape[length] ? shape + length + 1 : NULL;
}

static wane_status match_extent(wane_plan *plan, named_extent *known, uint32_t *count, const wane_plan_operand *o,
                                uint32_t d, const char *name)
{
    int64_t value = o->rank ? o->extents[d] : 1, want = -1;
    char base[16];
    size_t length = strcspn(name, "+");
    if (name[length]) {                    // "groups+1": the name's number is one less
        snprintf(base, sizeof base, "%.*s", (int)length, name);
        if (value < 1)
            return wane_fail(plan->context, WANE_ERROR_EXTENT, o->role->name, "extent %u is %lld and must be 1 or more", d,
                             (long long)value);
        value--;
        name = base;
    }
    if (name[0] >= '0' && name[0] <= '9') want = name[0] - '0';
    else if (strcmp(name, "planes") == 0) want = wane_statistics_plane_count(plan->statistics_mask);
    else if (strcmp(name, "total_cols") == 0) want = (int64_t)plan->params[WANE_PARAM_TOTAL_COLS];
    if (want >= 0 && value != want)
        return wane_fail(plan->context, WANE_ERROR_EXTENT, o->role->name, "extent %u is %lld and must be %lld", d,
                         (long long)value, (long long)want);
    if (want >= 0) return WANE_OK;
    for (uint32_t i = 0; i < *count; i++)
        if (strcmp(known[i].name, name) == 0) {
            if (known[i].value == value) return WANE_OK;
            return wane_fail(plan->context, WANE_ERROR_EXTENT, o->role->name, "extent %u (%s) is %lld but %s has %lld", d,
                             name, (long long)value, known[i].owner, (long long)known[i].value);
        }
    snprintf(known[*count].name, sizeof known[*count].name, "%s", name);
    known[*count].value = value;
    known[(*count)++].owner = o->role->name;
    return WANE_OK;
}

// Dimensions of rows beyond the first: of the first matrix operand, [rows, cols, ...rows], as torch has its class axis.
static uint32_t extra_rows(const wane_plan *plan)
{
    for (uint32_t i = 0; i < plan->operand_count; i++)
        if (strcmp(plan->operands[i].shape, "rows,cols") == 0)
            return plan->operands[i].rank > 2 ? plan->operands[i].rank - 2 : 0;
    return 0;
}

static wane_status match_operand(wane_plan *plan, named_extent *known, uint32_t *count, const wane_plan_operand *o,
                                 uint32_t extra)
{
    static const char *const more[2] = {"rows1", "rows2"};
    const char *shape = o->shape;
    uint32_t rank = 1, d = 0;
    for (const char *c = shape; *c; c++) rank += *c == ',';
    if (!strstr(shape, "rows")) extra = 0;
    if (o->rank != rank + extra && !(o->rank == 0 && strcmp(shape, "1") == 0)) {
        const char *tail = extra == 1 ? ",rows1" : extra == 2 ? ",rows1,rows2" : "", *other = strchr(o->role->shape, '|');
        if (!other)
            return wane_fail(plan->context, WANE_ERROR_RANK, o->role->name, "has rank %u and must be [%s%s]", o->rank, shape, tail);
        return wane_fail(plan->context, WANE_ERROR_RANK, o->role->name,
                         "has rank %u and type %s and must be [%s%s]: indices (i32, i64) are [%.*s%s], other types [%s%s]",
                         o->rank, wane_dtype_name(o->dtype), shape, tail, (int)(other - o->role->shape), o->role->shape, tail,
                         other + 1, tail);
    }
    for (const char *next = shape; next; d++) {
        char name[16];
        next = next_extent(next, name);
        wane_status status = match_extent(plan, known, count, o, d, name);
        if (status) return status;
    }
    for (uint32_t i = 0; i < extra; i++, d++) {
        wane_status status = match_extent(plan, known, count, o, d, more[i]);
        if (status) return status;
    }
    return WANE_OK;
}

static wane_status match_shapes(wane_plan *plan)
{
    named_extent known[16];
    uint32_t count = 0, extra = extra_rows(plan);
    for (uint32_t r = 0; r < plan->loss->role_count; r++) {
        const wane_role_info *role = wane_loss_role_at(plan->loss, r);
        int index = wane_plan_find(plan, role->role);
        if (index < 0 && role->need == WANE_NEED_REQUIRED)
            return wane_fail(plan->context, WANE_ERROR_MISSING_OPERAND, role->name, "is required by %s", plan->loss->name);
        wane_status status = index < 0 ? WANE_OK : match_operand(plan, known, &count, &plan->operands[index], extra);
        if (status) return status;
    }
    return WANE_OK;
}

// ---- making ----

static wane_status read_desc(wane_plan *plan, const wane_loss_desc *desc, const wane_family **family)
{
    wane_context *context = plan->context;
    wane_status status = wane_struct_check(context, desc, sizeof *desc, sizeof *desc, "wane_loss_desc");
    if (status) return status;
    plan->loss = wane_loss_by_id(desc->loss);
    if (!plan->loss)
        return wane_fail(context, WANE_ERROR_UNKNOWN_LOSS, "loss", "no loss has the number %d; see losses.def", (int)desc->loss);
    if (desc->flags || desc->reserved)
        return wane_fail(context, WANE_ERROR_FLAGS, "flags", "no flags or reserved members are known yet");
    *family = NULL;
    for (uint32_t i = 0; wane_families[i]; i++)
        if (strcmp(wane_families[i]->name, plan->loss->family) == 0) *family = wane_families[i];
    if (!*family) return wane_fail(context, WANE_ERROR_INTERNAL, "loss", "no planner for family %s", plan->loss->family);
    plan->workspace_limit_bytes = desc->workspace_limit_bytes;
    status = read_params(plan, desc);
    if (status) return status;
    return WANE_OK;
}

static wane_status read_statistics(wane_plan *plan, const wane_loss_desc *desc, const wane_family *family)
{
    uint32_t need = family->statistics_need(plan);
    plan->statistics_mask = desc->statistics_mask ? desc->statistics_mask : need;
    if (plan->statistics_mask & ~127u)
        return wane_fail(plan->context, WANE_ERROR_FLAGS, "statistics_mask", "unknown bits 0x%x", (unsigned)plan->statistics_mask);
    if ((plan->statistics_mask & need) != need)
        return wane_fail(plan->context, WANE_ERROR_STATISTICS, "statistics",
                         "the mask 0x%x lacks 0x%x: ask wane_statistics_need", (unsigned)plan->statistics_mask,
                         (unsigned)(need & ~plan->statistics_mask));
    return WANE_OK;
}

// Each input read once, each output written once. A family adds to moved_bytes what its passes move beyond that.
static uint64_t operand_bytes(const wane_plan *plan)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < plan->operand_count; i++) {
        const wane_plan_operand *o = &plan->operands[i];
        uint64_t bytes = wane_dtype_bytes(o->dtype);
        for (uint32_t d = 0; d < o->rank; d++) bytes *= (uint64_t)o->extents[d];
        sum += bytes * ((uint64_t)o->read + o->written);
    }
    return sum;
}

// What the backend would like to have besides, unless the caller has set a limit: as much as each thread has would leave room or
// not by their number, and bits must not depend on that.
static void add_scratch(wane_plan *plan)
{
    if (!plan->device || !plan->device->backend->scratch_bytes || plan->workspace_limit_bytes) return;
    uint64_t bytes = plan->device->backend->scratch_bytes(plan->device, plan);
    plan->scratch_bytes = bytes;
    plan->workspace_bytes += bytes;
}

static wane_status fill_plan(wane_plan *plan, const wane_loss_desc *desc)
{
    const wane_family *family;
    wane_status status = read_desc(plan, desc, &family);
    if (status) return status;
    if (desc->operand_count && !desc->operands)
        return wane_fail(plan->context, WANE_ERROR_NULL_ARGUMENT, "operands", "operand_count is %u but operands is NULL",
                         desc->operand_count);
    size_t step = desc->operand_count ? desc->operands[0].struct_size : 0;
    for (uint32_t i = 0; i < desc->operand_count; i++) {
        if (i >= WANE_MAX_OPERANDS)
            return wane_fail(plan->context, WANE_ERROR_DUPLICATE, "operands", "more operands than roles");
        status = read_operand(plan, (const wane_operand *)((const char *)desc->operands + i * step));
        if (status) return status;
    }
    status = read_statistics(plan, desc, family);
    if (status == WANE_OK) status = match_shapes(plan);
    if (status) return status;
    bool output = false;
    for (uint32_t i = 0; i < plan->operand_count; i++) output = output || plan->operands[i].written;
    if (!output)
        return wane_fail(plan->context, WANE_ERROR_NO_OUTPUT, "operands", "no output is asked for: add loss, or a gradient");
    plan->info.struct_size = sizeof plan->info;
    plan->info.statistics_mask = plan->statistics_mask;
    // on a GPU what every device asks of a range's start; the CPU works in words
    plan->info.workspace_align_bytes = plan->limits.backend == WANE_BACKEND_CPU ? 4 : 256;
    plan->info.minimal_bytes = plan->info.moved_bytes = operand_bytes(plan);
    status = family->plan(plan);
    if (status == WANE_OK) add_scratch(plan);
    plan->info.workspace_bytes = plan->workspace_bytes;
    plan->info.dispatch_count = plan->pass_count;
    return status;
}

// A plan to whoever reads everything: its size, and what was chosen and why.
static void tell(const wane_plan *plan)
{
    if (!wane_logs(plan->context, WANE_LOG_DEBUG)) return;
    wane_log(plan->context, WANE_LOG_DEBUG, "plan of %s on %s: %u passes, workspace %llu bytes", plan->loss->name,
             plan->device ? plan->device->id : "given limits", plan->pass_count, (unsigned long long)plan->workspace_bytes);
    for (size_t at = 0, length; at < plan->notes_bytes; at += length + 1) {
        length = (size_t)((char *)memchr(plan->notes + at, '\n', plan->notes_bytes - at) - (plan->notes + at));
        wane_log(plan->context, WANE_LOG_DEBUG, "plan of %s: %.*s", plan->loss->name, (int)length, plan->notes + at);
    }
}

static wane_status create(wane_context *context, wane_device *device, const wane_limits *limits, const wane_loss_desc *desc,
                          wane_plan **out)
{
    if (!out) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "out", "must not be NULL");
    *out = NULL;
    wane_plan *plan = wane_alloc(context, sizeof *plan);
    if (!plan) return wane_no_memory(context);
    plan->context = context;
    plan->device = device;
    plan->limits = *limits;
    plan->references = 1;
    wane_hold(context, device);
    plan->records = wane_alloc(context, WANE_MAX_RECORDS * sizeof *plan->records);
    wane_status status = plan->records ? fill_plan(plan, desc) : wane_no_memory(context);
    if (status) {
        wane_plan_destroy(plan);
        return status;
    }
    tell(plan);
    *out = plan;
    return WANE_OK;
}

wane_status wane_plan_create(wane_device *device, const wane_loss_desc *desc, wane_plan **out)
{
    if (out) *out = NULL;
    if (!device) return WANE_ERROR_NULL_ARGUMENT;
    return create(device->context, device, &device->limits, desc, out);
}

wane_status wane_plan_create_for(wane_context *context, const wane_limits *limits, const wane_loss_desc *desc,
                                 wane_plan **out)
{
    if (out) *out = NULL;
    if (!context) return WANE_ERROR_NULL_ARGUMENT;
    wane_status status = wane_struct_check(context, limits, sizeof *limits, sizeof *limits, "wane_limits");
    if (status) return status;
    if (limits->max_window_bytes < 4096 || limits->max_groups == 0 || limits->max_dispatch_elems == 0
        || limits->offset_align_bytes == 0 || limits->offset_align_bytes > 256)
        return wane_fail(context, WANE_ERROR_TOO_LARGE, "limits",
                         "max_window_bytes of at least 4096, max_groups, max_dispatch_elems and offset_align_bytes (1..256) "
                         "must be given");
    return create(context, NULL, limits, desc, out);
}

wane_status wane_statistics_need(wane_context *context, const wane_loss_desc *desc, uint32_t *mask)
{
    if (!context) return WANE_ERROR_NULL_ARGUMENT;
    if (!mask) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "mask", "must not be NULL");
    wane_plan *plan = wane_alloc(context, sizeof *plan);
    if (!plan) return wane_no_memory(context);
    plan->context = context;
    const wane_family *family;
    wane_status status = read_desc(plan, desc, &family);
    // of the operands their types alone
    size_t step = status == WANE_OK && desc->operand_count && desc->operands ? desc->operands[0].struct_size : 0;
    for (uint32_t i = 0; step >= sizeof(wane_operand) && i < desc->operand_count && i < WANE_MAX_OPERANDS; i++) {
        const wane_operand *operand = (const wane_operand *)((const char *)desc->operands + i * step);
        const wane_role_info *role = find_role(plan->loss, operand->role);
        if (!role) continue;
        plan->operands[plan->operand_count].role = role;
        plan->operands[plan->operand_count++].dtype = operand->tensor.dtype;
    }
    if (status == WANE_OK) *mask = family->statistics_need(plan);
    wane_free(context, plan);
    return status;
}

void wane_plan_retain(wane_plan *plan) { __atomic_add_fetch(&plan->references, 1, __ATOMIC_RELAXED); }

void wane_plan_destroy(wane_plan *plan)
{
    if (!plan || __atomic_sub_fetch(&plan->references, 1, __ATOMIC_ACQ_REL)) return;
    wane_context *context = plan->context;
    wane_device *device = plan->device;
    wane_free(context, plan->records);
    wane_free(context, plan->passes);
    wane_free(context, plan->notes);
    wane_free(context, plan);
    wane_drop(context, device);
}
