// test_linear.c - plans of losses on a linear head on the checked kernels: no fault, and the bits of the plain C kernels,
// for any number of lanes; under windows, dispatches and workspaces so small that everything is cut.
#include "body.h"
#include "lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { BIAS = 1, ADD = 2, GIVEN = 4, STRIDED = 8, SMOOTH = 16, NO_GRAD = 32, OPERANDS = 16 };

typedef struct head {
    wane_loss loss;
    int64_t rows, cols, dim;
    wane_dtype type, grad;
    uint32_t options;
    uint64_t window_bytes, elems, budget;   // 0: the floor's
} head;

typedef struct memory {
    unsigned char *bytes;
    uint64_t count, element0;
} memory;

static wane_context *context;
static const uint32_t lane_counts[] = {1, 4, 7, 64, 128};
static uint32_t seed;

static float number(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / 8388608.0f - 1.0f;
}

static void describe(wane_operand *o, wane_role role, wane_dtype dtype, uint32_t rank, int64_t a, int64_t b, bool strided)
{
    memset(o, 0, sizeof *o);
    o->struct_size = sizeof *o;
    o->role = role;
    o->tensor = (wane_tensor){.struct_size = sizeof(wane_tensor), .dtype = dtype, .rank = rank, .flags = WANE_TENSOR_STRIDED, .extents = {a, b}};
    int64_t last = rank == 2 ? b : a;
    // rows backwards, an odd number of halves apart
    o->tensor.strides[0] = rank < 2 ? 1 : strided ? -(last + 3) : last;
    o->tensor.strides[1] = 1;
}

static uint32_t describe_all(const head *h, wane_operand *o, uint32_t planes)
{
    bool strided = h->options & STRIDED, target = h->loss != WANE_LOSS_LINEAR_ENTROPY;
    uint32_t n = 0;
    describe(&o[n++], WANE_ROLE_INPUT, h->type, 2, h->rows, h->dim, strided);
    describe(&o[n++], WANE_ROLE_LINEAR_WEIGHT, h->type, 2, h->cols, h->dim, strided);
    if (target) describe(&o[n++], WANE_ROLE_TARGET, WANE_DTYPE_I32, 1, h->rows, 0, false);
    if (h->options & BIAS) describe(&o[n++], WANE_ROLE_LINEAR_BIAS, h->type, 1, h->cols, 0, false);
    if (planes) describe(&o[n++], WANE_ROLE_STATISTICS, WANE_DTYPE_F32, 2, planes, h->rows, false);
    if (planes) o[n - 1].flags = WANE_OPERAND_GIVEN;
    describe(&o[n++], WANE_ROLE_LOSS, WANE_DTYPE_F32, 1, 1, 0, false);
    describe(&o[n++], WANE_ROLE_ROW_LOSS, WANE_DTYPE_F32, 1, h->rows, 0, false);
    if (!planes) describe(&o[n++], WANE_ROLE_ARGMAX, WANE_DTYPE_I32, 1, h->rows, 0, false);
    if (h->options & NO_GRAD) return n;
    uint32_t first = n;
    describe(&o[n++], WANE_ROLE_GRAD_INPUT, h->grad, 2, h->rows, h->dim, strided);
    describe(&o[n++], WANE_ROLE_GRAD_LINEAR_WEIGHT, h->grad, 2, h->cols, h->dim, strided);
    describe(&o[n++], WANE_ROLE_GRAD_LINEAR_BIAS, h->grad, 1, h->cols, 0, false);
    for (; h->options & ADD && first < n; first++) o[first].flags = WANE_OPERAND_ACCUMULATE;
    return n;
}

static wane_status make_plan(const head *h, wane_plan **plan)
{
    wane_operand operands[OPERANDS];
    wane_param_value smooth = {WANE_PARAM_LABEL_SMOOTHING, 0, 0.25};
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = h->loss, .params = &smooth, .param_count = h->options & SMOOTH ? 1 : 0,
                           .operands = operands, .workspace_limit_bytes = h->budget};
    assert_int_equal(wane_statistics_need(context, &desc, &desc.statistics_mask), WANE_OK);
    uint32_t planes = h->options & GIVEN ? wane_statistics_plane_count(desc.statistics_mask) : 0;
    desc.operand_count = describe_all(h, operands, planes);
    wane_limits limits = {.struct_size = sizeof limits, .backend = WANE_BACKEND_VULKAN, .max_lanes = 128, .shared_bytes = 16384,
                          .max_window_bytes = h->window_bytes ? h->window_bytes : 128u << 20, .max_buffer_bytes = 1u << 30,
                          .offset_align_bytes = 256, .max_groups = 65535, .max_dispatch_elems = h->elems ? h->elems : 1u << 28};
    return wane_plan_create_for(context, &limits, &desc, plan);
}

static void fill(const wane_plan_operand *o, memory *m)
{
    m->element0 = 32 + (uint64_t)-o->first_byte;
    m->count = (m->element0 + (uint64_t)o->end_byte + 3) / 4 * 4;
    m->bytes = calloc(1, m->count + 4);
    size_t size = wane_dtype_bytes(o->dtype);
    for (uint64_t i = 0; i + size <= m->count; i += size) {
        float x = number() * (o->role->role == WANE_ROLE_STATISTICS ? 0.0f : 1.0f);
        uint32_t u;
        memcpy(&u, &x, 4);
        if (o->role->role == WANE_ROLE_TARGET) u = (seed >> 8) % 11 ? (seed >> 12) % 50 : (uint32_t)-100;
        if (size == 2) u = o->dtype == WANE_DTYPE_BF16 ? u >> 16 : 0x3000u + (seed >> 20) % 2048;
        memcpy(m->bytes + i, &u, size);
    }
    if (o->role->role != WANE_ROLE_STATISTICS) return;
    // plausible planes: max, sum, target, flags, then sums
    float flags = WANE_FLAG_OTHER_FINITE | WANE_FLAG_TARGET_SEEN;
    for (int64_t p = 0; p < o->extents[0]; p++)
        for (int64_t row = 0; row < o->extents[1]; row++) {
            float x = p == 0 ? 1.0f : p == 1 ? 3.0f + number() : p == 3 ? flags : number();
            memcpy(m->bytes + m->element0 + (size_t)(p * o->strides[0] + row) * 4, &x, 4);
        }
}

static void run_plain(wane_plan *plan, const memory *memories)
{
    wane_device *device;
    wane_executable *executable = NULL;
    wane_binding bindings[OPERANDS] = {0};
    wane_args args = {.struct_size = sizeof args, .bindings = bindings, .binding_count = plan->operand_count};
    for (uint32_t i = 0; i < plan->operand_count; i++)
        bindings[i] = (wane_binding){.struct_size = sizeof *bindings, .role = plan->operands[i].role->role, .host = memories[i].bytes,
                                     .bytes = memories[i].count, .byte_offset = memories[i].element0};
    assert_int_equal(wane_device_find(context, "cpu:generic", &device), WANE_OK);
    plan->device = device;                  // a plan made from limits runs the same passes here as elsewhere
    assert_int_equal(wane_executable_create(plan, &executable), WANE_OK);
    assert_true(wane_run(executable, NULL, &args) >= 0);
    wane_executable_destroy(executable);
}

static bool same(const wane_plan *plan, const memory *plain, const body_memory *checked, uint32_t lanes)
{
    for (uint32_t i = 0; i < plan->operand_count; i++)
        for (uint64_t w = 0; w < plain[i].count / 4; w++) {
            uint32_t word;
            memcpy(&word, plain[i].bytes + 4 * w, 4);
            if (!plan->operands[i].written || word == checked[i].words[w]) continue;
            fprintf(stderr, "  %u lanes: %s word %llu is 0x%08x, the plain kernels have 0x%08x\n", lanes, plan->operands[i].role->name,
                    (unsigned long long)w, checked[i].words[w], word);
            return false;
        }
    return true;
}

// Returns the plan's passes, 0 if the plan is refused.
static uint32_t check(const head *h)
{
    wane_plan *plan;
    if (make_plan(h, &plan) != WANE_OK) return 0;
    memory start[OPERANDS], plain[OPERANDS];
    for (uint32_t i = 0; i < plan->operand_count; i++) {
        fill(&plan->operands[i], &start[i]);
        plain[i] = start[i];
        plain[i].bytes = malloc(start[i].count + 4);
        memcpy(plain[i].bytes, start[i].bytes, start[i].count);
    }
    run_plain(plan, plain);
    bool good = true;
    for (uint32_t c = 0; c < sizeof lane_counts / sizeof lane_counts[0]; c++) {
        body_memory copies[OPERANDS], workspace = body_memory_make(NULL, plan->workspace_bytes);
        body_operand operands[OPERANDS];
        for (uint32_t i = 0; i < plan->operand_count; i++) {
            copies[i] = body_memory_make(start[i].bytes, start[i].count);
            operands[i] = (body_operand){&copies[i], start[i].element0};
        }
        body_faults_clear();
        good = body_run(plan, lane_counts[c], operands, &workspace) && good;
        body_faults_print();
        good = same(plan, plain, copies, lane_counts[c]) && good;
        for (uint32_t i = 0; i < plan->operand_count; i++) body_memory_free(&copies[i]);
        body_memory_free(&workspace);
    }
    if (!good)
        fail_msg("%s, %lld x %lld x %lld, types %d %d, options 0x%x, window %llu, budget %llu", plan->loss->name, (long long)h->rows,
                 (long long)h->cols, (long long)h->dim, h->type, h->grad, h->options, (unsigned long long)h->window_bytes,
                 (unsigned long long)h->budget);
    uint32_t passes = plan->pass_count;
    for (uint32_t i = 0; i < plan->operand_count; i++) free(start[i].bytes), free(plain[i].bytes);
    wane_plan_destroy(plan);
    return passes;
}

#define CE WANE_LOSS_LINEAR_CROSS_ENTROPY
#define F32 WANE_DTYPE_F32, WANE_DTYPE_F32

static void shapes(void **state)
{
    (void)state;
    const int64_t all[][3] = {{1, 1, 1}, {3, 65, 2}, {65, 50, 17}, {64, 64, 32}, {2, 130, 70}, {0, 5, 3}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        head h = {CE, all[i][0], all[i][1], all[i][2], F32, BIAS, 0, 0, 0};
        assert_true(check(&h) > 0);
    }
}

static void types_and_views(void **state)
{
    (void)state;
    const wane_dtype types[3] = {WANE_DTYPE_F32, WANE_DTYPE_F16, WANE_DTYPE_BF16};
    for (int t = 0; t < 3; t++)
        for (int g = 0; g < 2; g++)
            for (uint32_t options = 0; options < 2; options++) {
                head h = {CE, 9, 70, 7, types[t], g ? types[t] : WANE_DTYPE_F32, options ? BIAS | STRIDED | ADD : BIAS, 0, 0, 0};
                assert_true(check(&h) > 0);
                h.budget = 7000;            // chunks of columns
                assert_true(check(&h) > 0);
            }
}

// The smaller the window, the dispatch or the workspace, the more passes; never other numbers than the same passes give.
static void cuts(void **state)
{
    (void)state;
    const head heads[] = {
        {CE, 70, 200, 20, F32, BIAS, 0, 0, 0},
        {CE, 70, 200, 20, F32, BIAS, 9000, 0, 0},
        {CE, 70, 200, 20, F32, BIAS | STRIDED, 9000, 0, 0},
        {CE, 70, 200, 20, F32, BIAS, 0, 300, 0},
        {CE, 70, 200, 20, F32, BIAS, 0, 0, 20000},
        {CE, 70, 200, 20, WANE_DTYPE_BF16, WANE_DTYPE_BF16, BIAS | ADD, 16000, 0, 24000},
        // values alone, without memory for logits
        {CE, 70, 200, 20, WANE_DTYPE_F16, WANE_DTYPE_F16, BIAS | STRIDED | NO_GRAD, 4096, 0, 0},
        {CE, 70, 200, 20, F32, BIAS | SMOOTH | NO_GRAD, 0, 300, 0},
    };
    uint32_t whole = check(&heads[0]);
    assert_true(whole > 0);
    for (size_t i = 1; i < sizeof heads / sizeof heads[0]; i++) assert_true(check(&heads[i]) > whole);
}

static void options(void **state)
{
    (void)state;
    const uint32_t all[] = {0, SMOOTH, GIVEN, GIVEN | SMOOTH | ADD, NO_GRAD, NO_GRAD | SMOOTH | BIAS};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (uint64_t budget = 0; budget <= 9000; budget += 9000) {
            head h = {CE, 12, 150, 5, F32, all[i], 0, 0, budget};
            assert_true(check(&h) > 0);
            if (all[i] & SMOOTH) continue;
            h.loss = WANE_LOSS_LINEAR_ENTROPY;
            assert_true(check(&h) > 0);
        }
}

static int close_all(void **state)
{
    (void)state;
    lanes_close();
    wane_context_destroy(context);
    return 0;
}

static void say(void *user, const wane_log_record *record)
{
    (void)user;
    fprintf(stderr, "%s: %s\n", record->operand ? record->operand : "", record->text);
}

int main(void)
{
    wane_context_desc desc = {.struct_size = sizeof desc, .backends = WANE_BACKEND_CPU, .thread_count = 1, .log = say};
    if (wane_context_create(&desc, &context)) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(types_and_views), cmocka_unit_test(cuts),
                                       cmocka_unit_test(options)};
    return cmocka_run_group_tests(tests, NULL, close_all);
}
