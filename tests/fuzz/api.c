// api.c - random descriptions of problems, views and memory through the public structs. Most are nearly right, because
// what is wrong in ten places is refused at the first. What must hold: a refusal says why, makes nothing and writes
// nothing; a problem that is accepted runs within its memory, twice with the same bits.
#include "fuzz.h"
#include "support.h"

#include <math.h>

enum { MOST_BYTES = 1 << 20, DEVICES = 3 };

typedef struct world {
    test_log log;
    test_memory memory;
    wane_context *context;
    wane_device *devices[DEVICES];
    uint32_t device_count;
} world;

static world *get_world(void)
{
    static world w;
    if (w.context) return &w;
    static const char *const names[DEVICES] = {"cpu", "cpu:generic", "cpu:avx2"};
    test_memory_begin(&w.memory);
    w.context = test_context(&w.log, &w.memory, 2);
    for (int i = 0; i < DEVICES; i++)
        if (wane_device_find(w.context, names[i], &w.devices[w.device_count]) == WANE_OK) w.device_count++;
    return &w;
}

static int64_t wild_integer(fuzz_input *in)
{
    static const int64_t values[] = {
        0, 1, -1, 2, 3, 7, 8, 255, 256, 4096, 65536, 1 << 20, INT32_MAX, (int64_t)INT32_MAX + 1, INT32_MIN,
        (int64_t)1 << 32, (int64_t)1 << 40, (int64_t)1 << 60, (int64_t)1 << 61, (int64_t)1 << 62, INT64_MAX, INT64_MIN,
        INT64_MIN + 1};
    uint32_t i = fuzz_below(in, sizeof values / sizeof values[0] + 1);
    return i < sizeof values / sizeof values[0] ? values[i] : (int64_t)fuzz_bytes(in, 8);
}

static double wild_real(fuzz_input *in)
{
    static const double values[] = {0, -0.0, 1, -1, 0.5, 1e-300, 1e300, 3.4e38, 3.5e38, -100, 1e19, -1e19, 5e-324};
    uint32_t i = fuzz_below(in, 16);
    return i < 13 ? values[i] : i == 13 ? (double)NAN : i == 14 ? (double)INFINITY : (double)-INFINITY;
}

static int64_t small_extent(fuzz_input *in)
{
    static const int64_t values[] = {1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 33, 64, 100, 257};
    return fuzz_rarely(in, 12) ? 0 : values[fuzz_below(in, sizeof values / sizeof values[0])];
}

// ---- descriptions ----

static void add_params(fuzz_input *in, test_problem *p)
{
    const wane_loss_info *loss = wane_loss_by_id(p->desc.loss);
    for (uint32_t i = 0; i < loss->param_count; i++) {
        const wane_param_info *info = wane_loss_param_at(loss, i);
        if (fuzz_below(in, 3)) continue;
        double value = info->standard, low = info->lowest < -8 ? -8 : info->lowest,
               high = info->highest > 8 ? 8 : info->highest;
        if (fuzz_rarely(in, 30)) value = wild_real(in);
        else if (info->kind == WANE_KIND_REAL) value = low + (high - low) * (double)(1 + fuzz_below(in, 255)) / 256;
        else value = low + (double)fuzz_below(in, (uint32_t)(high - low) + 1);
        test_problem_param(p, fuzz_rarely(in, 60) ? (wane_param)wild_integer(in) : info->param, value);
        if (fuzz_rarely(in, 100)) p->params[p->desc.param_count - 1].reserved = 1;
    }
}

static void add_operands(fuzz_input *in, test_problem *p)
{
    const wane_loss_info *loss = wane_loss_by_id(p->desc.loss);
    for (uint32_t i = 0; i < loss->role_count; i++) {
        const wane_role_info *role = wane_loss_role_at(loss, i);
        bool wanted = role->need == WANE_NEED_REQUIRED ? !fuzz_rarely(in, 60) : fuzz_below(in, 3) > 0;
        if (!wanted || p->desc.operand_count == TEST_OPERANDS) continue;
        wane_operand *o = test_problem_add(p, role->role);
        if (role->direction == WANE_DIRECTION_GRAD) o->flags = fuzz_below(in, 3) * WANE_OPERAND_ACCUMULATE;
        if (o->flags == 2) o->flags = WANE_OPERAND_IN_PLACE;
        if (role->direction == WANE_DIRECTION_STATE && fuzz_below(in, 2)) o->flags = WANE_OPERAND_GIVEN;
        if (fuzz_rarely(in, 80) && p->desc.operand_count < 20) test_problem_add(p, role->role);
    }
}

static void lay_out(fuzz_input *in, wane_tensor *t)
{
    uint32_t how = fuzz_below(in, 6);
    int64_t step = how == 1 ? 2 : 1;
    t->flags = WANE_TENSOR_STRIDED;
    for (uint32_t k = 0; k < t->rank && k < 4; k++) {
        uint32_t d = how == 2 ? k : t->rank - 1 - k;
        if (d > 3) continue;
        t->strides[d] = how == 3 || (how == 4 && k == 0) ? -step : step;
        if (how == 5) t->strides[d] = fuzz_rarely(in, 3) ? wild_integer(in) : (int64_t)fuzz_below(in, 9) - 4;
        step = step * t->extents[d] + (how == 1 ? fuzz_below(in, 3) : 0);
    }
}

static void bend_operand(fuzz_input *in, wane_operand *o)
{
    wane_tensor *t = &o->tensor;
    switch (fuzz_below(in, 12)) {
    case 0: t->dtype = (wane_dtype)fuzz_below(in, 9); break;
    case 1: t->rank = fuzz_rarely(in, 4) ? (uint32_t)wild_integer(in) : fuzz_below(in, 6); break;
    case 2: t->extents[fuzz_below(in, 4)] = wild_integer(in); break;
    case 3: t->extents[fuzz_below(in, 2)] += (int64_t)fuzz_below(in, 3) - 1; break;
    case 4: t->flags = (uint32_t)wild_integer(in); break;
    case 5: t->offset_align_bytes = fuzz_rarely(in, 3) ? (uint32_t)wild_integer(in) : 1u << fuzz_below(in, 12); break;
    case 6: o->flags = (uint32_t)wild_integer(in); break;
    case 7: o->role = (wane_role)wild_integer(in); break;
    case 8: o->role = (wane_role)(1 + fuzz_below(in, 20)); break;
    case 9: o->reserved[fuzz_below(in, 2)] = fuzz_bytes(in, 1); break;
    case 10: o->struct_size = fuzz_below(in, 2 * sizeof *o); break;
    default: t->struct_size = fuzz_below(in, 2 * sizeof *t); break;
    }
}

static void make_problem(fuzz_input *in, world *w, test_problem *p)
{
    uint32_t losses = 0;
    while (wane_loss_at(losses)) losses++;
    wane_loss loss = wane_loss_at(fuzz_below(in, losses))->loss;
    test_problem_begin(p, w->context, loss, small_extent(in), small_extent(in));
    add_params(in, p);
    static const wane_dtype types[] = {WANE_DTYPE_F32, WANE_DTYPE_F16, WANE_DTYPE_BF16};
    p->logits_type = types[fuzz_below(in, 3)];
    p->grad_type = fuzz_below(in, 2) ? p->logits_type : fuzz_rarely(in, 10) ? types[fuzz_below(in, 3)] : WANE_DTYPE_F32;
    p->more_count = fuzz_below(in, 2) ? 0 : fuzz_below(in, 3);
    for (uint32_t i = 0; i < 2; i++) p->more_rows[i] = small_extent(in) % 9;
    if (fuzz_below(in, 2)) {
        p->desc.statistics_mask = fuzz_rarely(in, 20) ? (uint32_t)fuzz_bytes(in, 4) : 15 + 16 * fuzz_below(in, 8);
        p->mask = p->desc.statistics_mask;
    } else {
        uint32_t mask = 0;
        if (wane_statistics_need(w->context, &p->desc, &mask) == WANE_OK) p->mask = mask;
    }
    add_operands(in, p);
    for (uint32_t i = 0; i < p->desc.operand_count; i++) {
        if (fuzz_rarely(in, 6)) lay_out(in, &p->operands[i].tensor);
        if (fuzz_rarely(in, 100)) bend_operand(in, &p->operands[i]);
    }
    if (fuzz_rarely(in, 10))
        p->desc.workspace_limit_bytes = fuzz_rarely(in, 3) ? (uint64_t)wild_integer(in) : fuzz_below(in, 60000);
    if (fuzz_rarely(in, 100)) p->desc.loss = (wane_loss)wild_integer(in);
    if (fuzz_rarely(in, 100)) p->desc.flags = (uint32_t)fuzz_bytes(in, 4);
    if (fuzz_rarely(in, 100)) p->desc.struct_size = fuzz_below(in, 2 * sizeof p->desc);
}

// ---- plans ----

static bool is_refusal(wane_status status)
{
    return (status <= WANE_ERROR_NULL_ARGUMENT && status >= WANE_ERROR_STATISTICS) || status == WANE_ERROR_UNSUPPORTED
        || status == WANE_ERROR_TOO_LARGE;
}

static void check_refusal(const world *w, wane_status status)
{
    FUZZ_CHECK(is_refusal(status), "%s: %s: %s", wane_status_text(status), w->log.operand, w->log.text);
    FUZZ_CHECK(w->log.count == 1 && w->log.status == status && w->log.text[0], "%u messages, status %d, \"%s\"",
               w->log.count, (int)w->log.status, w->log.text);
}

static wane_plan *make_plan(fuzz_input *in, world *w, test_problem *p, wane_plan_info *info)
{
    wane_plan *plan = (wane_plan *)1;
    wane_status status;
    test_log_clear(&w->log);
    if (fuzz_rarely(in, 5)) {
        wane_limits limits = {.struct_size = sizeof limits,
                              .backend = WANE_BACKEND_VULKAN,
                              .max_lanes = 1u << fuzz_below(in, 11),
                              .shared_bytes = 16384,
                              .max_window_bytes = (uint64_t)1 << fuzz_below(in, 40),
                              .max_buffer_bytes = (uint64_t)1 << 40,
                              .offset_align_bytes = 1u << fuzz_below(in, 10),
                              .max_groups = fuzz_rarely(in, 20) ? 0 : 65535,
                              .max_dispatch_elems = (uint64_t)1 << fuzz_below(in, 40),
                              .split_rows_below = fuzz_below(in, 100), .linear_slice_cols = fuzz_below(in, 2) ? fuzz_below(in, 9000) : 0,
                              .linear_chunk_dim = fuzz_below(in, 100)};
        status = wane_plan_create_for(w->context, &limits, &p->desc, &plan);
    } else {
        status = wane_plan_create(w->devices[fuzz_below(in, w->device_count)], &p->desc, &plan);
    }
    if (status) {
        check_refusal(w, status);
        FUZZ_CHECK(plan == NULL, "a plan after %s", wane_status_text(status));
        return NULL;
    }
    FUZZ_CHECK(w->log.count == 0, "an error on the way to success: %s", w->log.text);
    memset(info, 0, sizeof *info);
    info->struct_size = sizeof *info;
    FUZZ_CHECK(wane_plan_get_info(plan, info) == WANE_OK, "no info");
    unsigned long long bytes = info->workspace_bytes;
    FUZZ_CHECK(info->dispatch_count > 0 && bytes % 4 == 0, "%u dispatches, %llu bytes", info->dispatch_count, bytes);
    char text[128];
    FUZZ_CHECK(wane_plan_describe(plan, text, sizeof text) > 0 && strlen(text) < sizeof text, "no text");
    return plan;
}

// Bytes that the views of a problem reach over, in double so that nothing overflows.
static double reach(const test_problem *p)
{
    double total = 0;
    for (uint32_t i = 0; i < p->desc.operand_count; i++) {
        const wane_tensor *t = &p->operands[i].tensor;
        double elements = 1, dense = 1;
        bool empty = false;
        for (uint32_t d = t->rank; d-- > 0; dense *= (double)t->extents[d]) {
            empty = empty || t->extents[d] == 0;
            elements +=
                ((double)t->extents[d] - 1) * (t->flags & WANE_TENSOR_STRIDED ? fabs((double)t->strides[d]) : dense);
        }
        total += empty ? 0 : 8 * elements;
    }
    return total;
}

// ---- memory ----

static void wild_data(fuzz_input *in, test_problem *p)
{
    static const uint32_t words[] = {0x7fc00000, 0x7f800000, 0xff800000, 0xff7fffff, 0x7f7fffff, 0x80000000,
                                     1,          0xffffffff, 0x7f800001, 0x42f00000, 0xffffff9c};
    uint32_t count = fuzz_below(in, 3) ? 0 : fuzz_below(in, 12);
    for (uint32_t k = 0; k < count && p->desc.operand_count; k++) {
        uint32_t i = fuzz_below(in, p->desc.operand_count);
        if (test_problem_writes(p, i) || p->blocks[i].bytes < 4) continue;
        memcpy(p->blocks[i].data + 4 * (fuzz_bytes(in, 4) % (p->blocks[i].bytes / 4)),
               &words[fuzz_below(in, sizeof words / sizeof words[0])], 4);
    }
}

// Bends one binding. Only what the library can see is bent: a size is never larger than what is there.
static void bend_binding(fuzz_input *in, test_problem *p)
{
    if (!p->args.binding_count) return;
    uint32_t which = fuzz_below(in, p->args.binding_count + 1);
    wane_binding *b = which < p->args.binding_count ? &p->bindings[which] : &p->args.workspace;
    switch (fuzz_below(in, 10)) {
    case 0: b->byte_offset += fuzz_bytes(in, 1); break;
    case 1: b->byte_offset = (uint64_t)wild_integer(in); break;
    case 2: b->bytes -= b->bytes ? 1 + fuzz_bytes(in, 1) % b->bytes : 0; break;
    case 3: b->host = NULL; break;
    case 4: b->native = fuzz_bytes(in, 1); break;
    case 5: b->flags = (uint32_t)fuzz_bytes(in, 1); break;
    case 6: b->role = (wane_role)fuzz_below(in, 20); break;
    case 7: p->args.binding_count--; break;
    case 8: b->struct_size = fuzz_below(in, 2 * sizeof *b); break;
    default: p->args.struct_size = fuzz_below(in, 2 * sizeof p->args); break;
    }
}

// A result with faults in the data says so, and one without does not.
static void check_status_output(const test_problem *p, wane_status status)
{
    int index = test_problem_find(p, WANE_ROLE_STATUS);
    if (index < 0 || p->operands[index].tensor.flags & WANE_TENSOR_STRIDED) return;
    uint32_t words[8], faults = 0;
    memcpy(words, p->blocks[index].data, sizeof words);
    for (int i = 0; i < 8; i++) faults += i != 3 && words[i];
    FUZZ_CHECK((status == WANE_WARN_DATA) == (faults > 0), "status %d with %u kinds of faults", (int)status, faults);
}

static void run_problem(fuzz_input *in, world *w, test_problem *p, wane_executable *executable,
                        const wane_plan_info *info)
{
    for (uint32_t i = 0; i < p->desc.operand_count; i++) p->bindings[i].role = p->operands[i].role;
    test_problem_memory(p, info->workspace_bytes, fuzz_rarely(in, 8) ? TEST_GUARD_AFTER : TEST_PLAIN);
    // a gradient in place takes its tensor's place
    static const wane_role pairs[2][2] = {{WANE_ROLE_GRAD_LOGITS, WANE_ROLE_LOGITS},
                                          {WANE_ROLE_GRAD_TEACHER_LOGITS, WANE_ROLE_TEACHER_LOGITS}};
    for (int i = 0; i < 2; i++) {
        int grad = test_problem_find(p, pairs[i][0]), logits = test_problem_find(p, pairs[i][1]);
        bool in_place = grad >= 0 && p->operands[grad].flags & WANE_OPERAND_IN_PLACE;
        if (in_place) p->bindings[grad].host = p->bindings[logits].host;
    }
    const wane_args good = p->args;
    wane_binding bindings[TEST_OPERANDS];
    memcpy(bindings, p->bindings, sizeof bindings);
    bool bent = fuzz_rarely(in, 4);
    if (bent) bend_binding(in, p);
    // element 0 of a view that runs backwards need not keep the promised alignment
    for (uint32_t i = 0; i < p->desc.operand_count; i++) {
        uint32_t align = p->operands[i].tensor.offset_align_bytes;
        bent = bent || (align && p->bindings[i].byte_offset % align);
    }
    test_log_clear(&w->log);
    size_t at = in->at;
    wild_data(in, p);
    wane_status status = fuzz_below(in, 2) ? wane_run(executable, NULL, &p->args) : wane_run_cpu(executable, &p->args);
    FUZZ_CHECK(status >= 0 || bent, "a good problem is refused: %s: %s: %s", wane_status_text(status), w->log.operand,
               w->log.text);
    if (status < 0) {
        check_refusal(w, status);
        FUZZ_CHECK(test_problem_untouched(p), "%s, but something was written", wane_status_text(status));
    } else if (!bent) {
        check_status_output(p, status);
        uint64_t hash = test_problem_hash(p);
        test_problem_fill(p);
        in->at = at;
        wild_data(in, p);
        FUZZ_CHECK(wane_run(executable, NULL, &p->args) == status, "another status the second time");
        FUZZ_CHECK(test_problem_hash(p) == hash, "other bits the second time");
    }
    p->args = good;
    memcpy(p->bindings, bindings, sizeof bindings);
}

void fuzz_body(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size, 0};
    world *w = get_world();
    long before = atomic_load(&w->memory.blocks);
    static test_problem p;
    make_problem(&in, w, &p);
    wane_plan_info info;
    wane_plan *plan = make_plan(&in, w, &p, &info);
    if (plan) {
        wane_executable *executable = NULL;
        test_log_clear(&w->log);
        wane_status status = wane_executable_create(plan, &executable);
        FUZZ_CHECK(status == WANE_OK || (status == WANE_ERROR_MISMATCH && !executable), "%s", wane_status_text(status));
        wane_plan_destroy(plan);
        if (executable && reach(&p) + (double)info.workspace_bytes < MOST_BYTES)
            run_problem(&in, w, &p, executable, &info);
        wane_executable_destroy(executable);
    }
    test_problem_end(&p);
    FUZZ_CHECK(atomic_load(&w->memory.blocks) == before, "%ld blocks are left",
               atomic_load(&w->memory.blocks) - before);
}
