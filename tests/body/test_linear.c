// test_linear.c - plans of losses on a linear head on the checked kernels: no fault, and the bits of the plain C kernels,
// for any number of lanes; under windows, dispatches and workspaces so small that everything is cut; and every fault that is
// planted in the kernels of the tile engine is noticed.
#include "plants.h"

#include "lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
    BIAS = 1, ADD = 2, GIVEN = 4, STRIDED = 8, SMOOTH = 16, NO_GRAD = 32, ALONE = 64, WEIGHT = 128, SOFTCAP = 256, NONE = 512, NANS = 1024,
    BIAS_ALONE = 2048, OPERANDS = 16
};

typedef struct head {
    wane_loss loss;
    int64_t rows, cols, dim;
    wane_dtype type, grad;
    uint32_t options;
    uint64_t window_bytes, elems, budget;   // 0: the floor's
} head;

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
    if (h->options & WEIGHT) describe(&o[n++], WANE_ROLE_WEIGHT, WANE_DTYPE_F32, 1, h->cols, 0, false);
    if (planes) describe(&o[n++], WANE_ROLE_STATISTICS, WANE_DTYPE_F32, 2, planes, h->rows, false);
    if (planes) o[n - 1].flags = WANE_OPERAND_GIVEN;
    describe(&o[n++], WANE_ROLE_LOSS, WANE_DTYPE_F32, 1, h->options & NONE ? h->rows : 1, 0, false);
    describe(&o[n++], WANE_ROLE_ROW_LOSS, WANE_DTYPE_F32, 1, h->rows, 0, false);
    if (!planes) describe(&o[n++], WANE_ROLE_ARGMAX, WANE_DTYPE_I32, 1, h->rows, 0, false);
    if (h->options & NO_GRAD) return n;
    uint32_t first = n;
    if (!(h->options & BIAS_ALONE)) describe(&o[n++], WANE_ROLE_GRAD_INPUT, h->grad, 2, h->rows, h->dim, strided);
    if (!(h->options & BIAS_ALONE)) describe(&o[n++], WANE_ROLE_GRAD_LINEAR_WEIGHT, h->grad, 2, h->cols, h->dim, strided);
    describe(&o[n++], WANE_ROLE_GRAD_LINEAR_BIAS, h->grad, 1, h->cols, 0, false);
    for (; h->options & ADD && first < n; first++) o[first].flags = WANE_OPERAND_ACCUMULATE;
    return n;
}

static wane_status make_plan(const head *h, wane_plan **plan)
{
    wane_operand operands[OPERANDS];
    wane_param_value params[3];
    uint32_t count = 0;
    if (h->options & SMOOTH) params[count++] = (wane_param_value){WANE_PARAM_LABEL_SMOOTHING, 0, 0.25};
    if (h->options & SOFTCAP) params[count++] = (wane_param_value){WANE_PARAM_SOFTCAP, 0, 3};
    if (h->options & NONE) params[count++] = (wane_param_value){WANE_PARAM_REDUCTION, 0, WANE_REDUCTION_NONE};
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = h->loss, .params = params, .param_count = count,
                           .operands = operands, .workspace_limit_bytes = h->budget};
    assert_int_equal(wane_statistics_need(problem_context(), &desc, &desc.statistics_mask), WANE_OK);
    uint32_t planes = h->options & GIVEN ? wane_statistics_plane_count(desc.statistics_mask) : 0;
    desc.operand_count = describe_all(h, operands, planes);
    wane_limits limits = {.struct_size = sizeof limits, .backend = WANE_BACKEND_VULKAN, .max_lanes = 128, .shared_bytes = 16384,
                          .max_window_bytes = h->window_bytes ? h->window_bytes : 128u << 20, .max_buffer_bytes = 1u << 30,
                          .offset_align_bytes = 256, .max_groups = 65535, .max_dispatch_elems = h->elems ? h->elems : 1u << 28,
                          .linear_chunk_dim = h->options & ALONE ? 65 : 1};
    return wane_plan_create_for(problem_context(), &limits, &desc, plan);
}

static void fill(const head *h, problem_run *run, uint32_t operand)
{
    const wane_plan_operand *o = &run->plan->operands[operand];
    problem_make_memory(run, operand);
    int64_t outer = o->rank > 0 ? o->extents[0] : 1, inner = o->rank > 1 ? o->extents[1] : 1;
    size_t size = wane_dtype_bytes(o->dtype);
    for (int64_t i = 0; i < outer && o->read; i++)
        for (int64_t k = 0; k < inner; k++) {
            float x = number();
            uint32_t u, nan = 0x7fc00000u;
            // plausible planes: max, sum, target, flags, then sums
            float flags = WANE_FLAG_OTHER_FINITE | WANE_FLAG_TARGET_SEEN;
            if (o->role->role == WANE_ROLE_STATISTICS) x = i == 0 ? 1.0f : i == 1 ? 3.0f + x : i == 3 ? flags : x;
            // in a row that is ignored
            if (o->role->role == WANE_ROLE_INPUT && h->options & NANS && i == 2 && k == 0) memcpy(&x, &nan, 4);
            memcpy(&u, &x, 4);
            if (o->role->role == WANE_ROLE_TARGET)
                u = (seed >> 8) % 11 && !(h->options & NANS && i == 2) ? (seed >> 12) % 50 : (uint32_t)-100;
            if (size == 2) u = o->dtype == WANE_DTYPE_BF16 ? u >> 16 : 0x3000u + (seed >> 20) % 2048;
            memcpy(problem_element(run, operand, i, k), &u, size);
        }
}

static bool open_run(const head *h, problem_run *run)
{
    memset(run, 0, sizeof *run);
    if (make_plan(h, &run->plan) != WANE_OK) return false;
    seed = 1;
    for (uint32_t i = 0; i < run->plan->operand_count; i++) fill(h, run, i);
    return true;
}

// Returns the plan's passes, 0 if the plan is refused.
static uint32_t check(const head *h)
{
    problem_run run, cpu;
    if (!open_run(h, &run)) return 0;
    if (!open_run(h, &cpu) || !problem_runs_agree(&run, &cpu))
        fail_msg("%s, %lld x %lld x %lld, types %d %d, options 0x%x, window %llu, elements %llu, budget %llu", run.plan->loss->name,
                 (long long)h->rows, (long long)h->cols, (long long)h->dim, (int)h->type, (int)h->grad, h->options,
                 (unsigned long long)h->window_bytes, (unsigned long long)h->elems, (unsigned long long)h->budget);
    uint32_t passes = run.plan->pass_count;
    problem_free(&run);
    problem_free(&cpu);
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

// ---- gradients without memory for logits ----

static void alone(void **state)
{
    (void)state;
    const wane_dtype types[3] = {WANE_DTYPE_F32, WANE_DTYPE_F16, WANE_DTYPE_BF16};
    const head heads[] = {
        {CE, 1, 1, 1, F32, ALONE | BIAS, 0, 0, 0},
        {CE, 65, 70, 17, F32, ALONE | BIAS | ADD | STRIDED, 0, 0, 0},
        {CE, 9, 130, 64, F32, ALONE | SMOOTH | WEIGHT, 0, 0, 0},
        {CE, 130, 9, 3, F32, ALONE | SOFTCAP | NONE, 0, 0, 0},
        {CE, 12, 150, 5, F32, ALONE | GIVEN, 0, 0, 0},
        {CE, 12, 40, 5, F32, ALONE | BIAS | BIAS_ALONE, 0, 0, 0},
        {CE, 9, 9, 5, F32, ALONE | NANS, 0, 0, 0},
        {WANE_LOSS_LINEAR_ENTROPY, 70, 66, 5, F32, ALONE | BIAS | ADD, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) assert_true(check(&heads[i]) > 0);
    for (int t = 0; t < 3; t++)
        for (int g = 0; g < 2; g++) {
            head h = {CE, 70, 9, 7, types[t], g ? types[t] : WANE_DTYPE_F32, g ? ALONE | BIAS | STRIDED | ADD : ALONE | BIAS, 0, 0, 0};
            assert_true(check(&h) > 0);
        }
    const head cut[] = {
        {CE, 140, 200, 20, F32, ALONE | BIAS, 0, 0, 0},
        {CE, 140, 200, 20, F32, ALONE | BIAS, 16384, 0, 0},
        {CE, 140, 200, 20, F32, ALONE | BIAS | ADD, 0, 3000, 0},
        {CE, 140, 200, 20, F32, ALONE | BIAS, 0, 0, 20000},
        {CE, 140, 200, 20, WANE_DTYPE_BF16, WANE_DTYPE_BF16, ALONE | BIAS | ADD, 0, 3000, 48000},
    };
    uint32_t whole = check(&cut[0]);
    assert_true(whole > 0);
    for (size_t i = 1; i < sizeof cut / sizeof cut[0]; i++)
        if (!(check(&cut[i]) > whole)) fail_msg("problem %d is not cut", (int)i);
}

// ---- planted faults ----

// Together these reach every access of the tile engine's kernels, with data on which each index matters.
static const head planted_in[] = {
    {CE, 9, 70, 20, F32, BIAS | ADD | STRIDED | WEIGHT | SMOOTH, 0, 0, 0},
    {CE, 9, 70, 5, WANE_DTYPE_BF16, WANE_DTYPE_BF16, BIAS | ADD, 0, 0, 0},
    {CE, 66, 70, 3, F32, NO_GRAD | BIAS | SMOOTH | WEIGHT, 0, 0, 0},
    {WANE_LOSS_LINEAR_ENTROPY, 5, 70, 3, F32, NO_GRAD, 0, 0, 0},
    {CE, 9, 70, 20, F32, ALONE | BIAS | ADD | STRIDED | WEIGHT | SMOOTH, 0, 0, 0},
    {CE, 66, 68, 18, F32, ALONE | SOFTCAP | NONE, 0, 3000, 0},
    {CE, 9, 70, 5, WANE_DTYPE_BF16, WANE_DTYPE_BF16, ALONE | BIAS | ADD, 0, 0, 0},
};
enum { PLANTED = sizeof planted_in / sizeof planted_in[0] };

static bool is_tile(const char *kernel) { return strncmp(kernel, "tile_", 5) == 0; }

static void plants_are_noticed(void **state)
{
    (void)state;
    static problem_run runs[PLANTED];
    for (int i = 0; i < PLANTED; i++) assert_true(open_run(&planted_in[i], &runs[i]));
    plants p = {runs, PLANTED, is_tile, NULL};
    assert_true(plants_noticed(&p, 150));
    for (int i = 0; i < PLANTED; i++) problem_free(&runs[i]);
}

static int close_all(void **state)
{
    (void)state;
    lanes_close();
    problem_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(types_and_views), cmocka_unit_test(cuts),
                                       cmocka_unit_test(options), cmocka_unit_test(alone), cmocka_unit_test(plants_are_noticed)};
    return cmocka_run_group_tests(tests, NULL, close_all);
}
