// test_contrast.c - plans of contrastive losses on the checked kernels: no fault, and the bits of the plain C kernels, for any
// number of lanes, under windows, dispatches and workspaces so small that everything is cut; and every fault that is planted
// in their kernels is noticed.
#include "plants.h"

#include "lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
    LABELS = 1, I64 = 2, SCALE = 4, BIAS = 8, UPSTREAM = 16, NONE = 32, PLAIN = 64, ADD = 128, STRIDED = 256, FAULTS = 512,
    GIVEN = 1024, SAVE = 2048, BLOCK = 4096, OFFSET = 8192, SUM = 1 << 14, NO_GRAD_A = 1 << 15, NO_GRADS = 1 << 16, NANS = 1 << 17, LARGE = 1 << 18,
    ALL_IN = LABELS | SCALE | BIAS | UPSTREAM
};

typedef struct pairing {
    wane_loss loss;
    int64_t rows, cols, dim;
    wane_dtype type, grad;
    uint32_t options;
    uint64_t window_bytes, elems, budget;   // 0: the floor's
} pairing;

static uint32_t seed;

static float number(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / 8388608.0f - 1.0f;
}

// ---- plans ----

typedef struct maker {
    const pairing *p;
    wane_operand operands[WANE_MAX_OPERANDS];
    uint32_t count;
    wane_param_value params[8];
    uint32_t param_count;
} maker;

static void add(maker *m, wane_role role, wane_dtype dtype, uint32_t rank, int64_t a, int64_t b, uint32_t flags)
{
    wane_operand *o = &m->operands[m->count++];
    *o = (wane_operand){.struct_size = sizeof *o, .role = role, .flags = flags};
    o->tensor = (wane_tensor){.struct_size = sizeof o->tensor, .dtype = dtype, .rank = rank, .flags = WANE_TENSOR_STRIDED, .extents = {a, b}};
    bool strided = m->p->options & STRIDED;
    // rows backwards, an odd number of halves apart; small operands apart too
    o->tensor.strides[0] = rank < 2 ? (strided ? 2 : 1) : strided ? -(b + 3) : b;
    o->tensor.strides[1] = 1;
    if (role == WANE_ROLE_GRAD_B && strided) o->tensor.strides[0] = 1, o->tensor.strides[1] = a + 1;
}

static void set(maker *m, wane_param param, double value) { m->params[m->param_count++] = (wane_param_value){param, 0, value}; }

static void add_all(maker *m)
{
    const pairing *p = m->p;
    uint32_t o = p->options, given = o & GIVEN ? WANE_OPERAND_GIVEN : 0, adds = o & ADD ? WANE_OPERAND_ACCUMULATE : 0;
    add(m, WANE_ROLE_A, p->type, 2, p->rows, p->dim, 0);
    add(m, WANE_ROLE_B, p->type, 2, p->cols, p->dim, 0);
    if (o & LABELS) add(m, WANE_ROLE_LABELS, o & I64 ? WANE_DTYPE_I64 : WANE_DTYPE_I32, 1, p->rows, 0, 0);
    if (o & SCALE) add(m, WANE_ROLE_SCALE, WANE_DTYPE_F32, 1, 1, 0, 0);
    if (o & BIAS) add(m, WANE_ROLE_BIAS, WANE_DTYPE_F32, 1, 1, 0, 0);
    bool values = !(o & SAVE && o & BLOCK);
    if (o & UPSTREAM && values) add(m, WANE_ROLE_UPSTREAM, WANE_DTYPE_F32, 1, o & NONE ? p->rows : 1, 0, 0);
    if (o & (SAVE | GIVEN)) add(m, WANE_ROLE_STATISTICS, WANE_DTYPE_F32, 2, 4, p->rows, given);
    if (o & (SAVE | GIVEN) && p->loss == WANE_LOSS_CLIP) add(m, WANE_ROLE_COL_STATISTICS, WANE_DTYPE_F32, 2, 4, p->cols, given);
    if (values) {
        add(m, WANE_ROLE_LOSS, WANE_DTYPE_F32, 1, o & NONE ? p->rows : 1, 0, 0);
        add(m, WANE_ROLE_ROW_LOSS, WANE_DTYPE_F32, 1, p->rows, 0, 0);
        add(m, WANE_ROLE_STATUS, WANE_DTYPE_U32, 1, 8, 0, 0);
        if (!(o & (NO_GRAD_A | NO_GRADS))) add(m, WANE_ROLE_GRAD_A, p->grad, 2, p->rows, p->dim, adds);
        if (!(o & NO_GRADS)) add(m, WANE_ROLE_GRAD_B, p->grad, 2, p->cols, p->dim, adds);
        if (!(o & NO_GRADS)) add(m, WANE_ROLE_GRAD_SCALE, WANE_DTYPE_F32, 1, 1, 0, adds);
        add(m, WANE_ROLE_GRAD_BIAS, WANE_DTYPE_F32, 1, 1, 0, adds);
    }
    if (o & PLAIN) set(m, WANE_PARAM_NORMALIZE, 0);
    set(m, WANE_PARAM_REDUCTION, o & NONE ? WANE_REDUCTION_NONE : o & SUM ? WANE_REDUCTION_SUM : WANE_REDUCTION_MEAN);
    if (o & (OFFSET | BLOCK)) set(m, WANE_PARAM_ROW_OFFSET, 2), set(m, WANE_PARAM_COL_OFFSET, 1);
    if (o & BLOCK) set(m, WANE_PARAM_TOTAL_COLS, (double)(p->rows + p->cols));
}

static void fill(const pairing *p, problem_run *run, uint32_t operand)
{
    const wane_plan_operand *o = &run->plan->operands[operand];
    problem_make_memory(run, operand);
    int64_t outer = o->rank > 0 ? o->extents[0] : 1, inner = o->rank > 1 ? o->extents[1] : 1;
    wane_role role = o->role->role;
    bool planes = role == WANE_ROLE_STATISTICS || role == WANE_ROLE_COL_STATISTICS, faults = p->options & FAULTS;
    for (int64_t i = 0; i < outer && o->read; i++)
        for (int64_t k = 0; k < inner; k++) {
            float x = number();
            uint32_t nan = 0x7fc00000u;
            if (role == WANE_ROLE_SCALE) x = 5;
            // plausible planes: max, sum, target, flags
            if (planes) x = i == 0 ? 1 + x / 8 : i == 1 ? 3 + x : i == 2 ? x : WANE_FLAG_OTHER_FINITE | WANE_FLAG_TARGET_SEEN;
            // a row of 0, one whose squares leave f32's range, and a NaN where a bad label keeps it out
            if (faults && role == WANE_ROLE_A && i % 5 == 1) x = 0;
            if (faults && role == WANE_ROLE_A && i % 5 == 2 && k == i * 53 % inner) x = 1e30f;
            if (faults && role == WANE_ROLE_A && i == 6 && k == 0) memcpy(&x, &nan, 4);
            bool broken = role == WANE_ROLE_A || (role == WANE_ROLE_B && p->loss != WANE_LOSS_INFO_NCE);
            if (broken && p->options & NANS && i == 4 && k == 4 % inner) memcpy(&x, &nan, 4);
            // similarities whose sum, but not that of the odd columns, leaves f32's range
            if (p->options & LARGE && k == 0) x = role == WANE_ROLE_B ? 1 : role == WANE_ROLE_A && i == 2 ? 2e37f : x;
            uint32_t u;
            memcpy(&u, &x, 4);
            int64_t label = (i * 7 + 2) % p->cols;
            if (faults && i % 6 == 0) label = i % 4 ? -1 : p->cols;
            if (role == WANE_ROLE_LABELS) u = (uint32_t)(int32_t)label;
            if (o->dtype == WANE_DTYPE_BF16) u >>= 16;
            if (o->dtype == WANE_DTYPE_F16) u = 0x3000u + (seed >> 20) % 2048;
            size_t size = wane_dtype_bytes(o->dtype);
            if (size == 8) memcpy(problem_element(run, operand, i, k), &label, 8);
            else memcpy(problem_element(run, operand, i, k), &u, size);
        }
}

static bool open_run(const pairing *p, problem_run *run)
{
    maker m = {.p = p};
    add_all(&m);
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = p->loss, .params = m.params, .param_count = m.param_count,
                           .operands = m.operands, .operand_count = m.count, .workspace_limit_bytes = p->budget};
    wane_limits limits = {.struct_size = sizeof limits, .backend = WANE_BACKEND_VULKAN, .max_lanes = 128, .shared_bytes = 16384,
                          .max_window_bytes = p->window_bytes ? p->window_bytes : 128u << 20, .max_buffer_bytes = 1u << 30,
                          .offset_align_bytes = 256, .max_groups = 65535, .max_dispatch_elems = p->elems ? p->elems : 1u << 28};
    memset(run, 0, sizeof *run);
    if (wane_plan_create_for(problem_context(), &limits, &desc, &run->plan) != WANE_OK) return false;
    seed = 1;
    for (uint32_t i = 0; i < run->plan->operand_count; i++) fill(p, run, i);
    return true;
}

// Returns the plan's passes.
static uint32_t check(const pairing *p)
{
    problem_run run, cpu;
    bool good = open_run(p, &run) && open_run(p, &cpu) && problem_runs_agree(&run, &cpu);
    if (!good)
        fail_msg("%s, %lld x %lld x %lld, types %d %d, options 0x%x, window %llu, elements %llu, budget %llu",
                 wane_loss_by_id(p->loss)->name, (long long)p->rows, (long long)p->cols, (long long)p->dim, (int)p->type, (int)p->grad,
                 p->options, (unsigned long long)p->window_bytes, (unsigned long long)p->elems, (unsigned long long)p->budget);
    uint32_t passes = run.plan->pass_count;
    problem_free(&run);
    problem_free(&cpu);
    return passes;
}

// ---- the bits of the plain kernels ----

#define F32 WANE_DTYPE_F32, WANE_DTYPE_F32
static const wane_loss losses[3] = {WANE_LOSS_INFO_NCE, WANE_LOSS_CLIP, WANE_LOSS_SIGLIP};
static int64_t rows_for(wane_loss loss, int64_t rows, int64_t cols) { return loss == WANE_LOSS_CLIP ? cols : rows; }

static void shapes(void **state)
{
    (void)state;
    const int64_t all[][3] = {{1, 1, 1}, {3, 65, 2}, {65, 40, 17}, {2, 9, 300}, {0, 5, 3}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (int l = 0; l < 3; l++) {
            pairing p = {losses[l], rows_for(losses[l], all[i][0], all[i][1]), all[i][1], all[i][2], F32, i % 2 ? ALL_IN : SCALE, 0, 0, 0};
            check(&p);
        }
    pairing wide = {WANE_LOSS_SIGLIP, 2, 2100, 2, F32, 0, 0, 0, 0};
    check(&wide);
    wide.loss = WANE_LOSS_INFO_NCE;
    check(&wide);
    pairing deep = {WANE_LOSS_SIGLIP, 1, 2, 8200, F32, 0, 0, 0, 0};
    check(&deep);
}

static void types_and_views(void **state)
{
    (void)state;
    const wane_dtype types[3] = {WANE_DTYPE_F32, WANE_DTYPE_F16, WANE_DTYPE_BF16};
    for (int t = 0; t < 3; t++)
        for (int l = 0; l < 3; l++)
            for (int way = 0; way < 3; way++) {
                uint32_t options = way == 0 ? ALL_IN : way == 1 ? ALL_IN | STRIDED | ADD | I64 | NONE : PLAIN;
                pairing p = {losses[l], 19, 19, 7, types[t], way == 2 ? WANE_DTYPE_F32 : types[t], options, 0, 0, 0};
                check(&p);
            }
}

static void options(void **state)
{
    (void)state;
    const uint32_t all[] = {FAULTS | ALL_IN, FAULTS | NANS | ALL_IN | PLAIN, OFFSET, OFFSET | FAULTS | NANS | SUM, NO_GRAD_A | SCALE, NO_GRADS};
    const uint32_t more[] = {SAVE | ALL_IN, GIVEN | ALL_IN, GIVEN | NO_GRADS, SAVE | BLOCK, GIVEN | BLOCK | SUM, GIVEN | FAULTS | ALL_IN};
    for (int l = 0; l < 3; l++)
        for (size_t i = 0; i < 12; i++) {
            if (i >= 6 && l == 2) continue;
            uint32_t o = i < 6 ? all[i] : more[i - 6];
            bool block = o & BLOCK;
            for (uint64_t budget = 0; budget <= 9000; budget += 9000) {
                pairing p = {losses[l], l == 1 && !block ? 25 : 13, 25, 5, F32, o, 0, 0, budget};
                check(&p);
            }
        }
}

// The smaller the window, the dispatch or the workspace, the more passes; never other numbers than the same passes give.
static void cuts(void **state)
{
    (void)state;
    for (int l = 0; l < 3; l++) {
        const pairing all[] = {
            {losses[l], 70, 70, 20, F32, ALL_IN, 0, 0, 0},
            {losses[l], 70, 70, 20, F32, ALL_IN, 18944, 0, 0},
            {losses[l], 70, 70, 20, F32, ALL_IN | STRIDED, 18944, 0, 0},
            {losses[l], 70, 70, 20, F32, ALL_IN, 0, 300, 0},
            {losses[l], 70, 70, 20, WANE_DTYPE_BF16, WANE_DTYPE_BF16, ALL_IN | ADD, 18944, 0, 40000},
        };
        uint32_t whole = check(&all[0]);
        for (size_t i = 1; i < sizeof all / sizeof all[0]; i++)
            if (!(check(&all[i]) > whole)) fail_msg("%d: problem %d is not cut", l, (int)i);
    }
}

// ---- planted faults ----

// Together these reach every access of the contrast kernels, with data on which each index matters.
static const pairing planted_in[] = {
    {WANE_LOSS_CLIP, 13, 13, 7, F32, ALL_IN | NONE | FAULTS, 0, 0, 0},
    {WANE_LOSS_CLIP, 9, 9, 133, F32, SCALE | I64 | LABELS | ADD | FAULTS, 0, 0, 0},
    {WANE_LOSS_INFO_NCE, 11, 14, 5, F32, OFFSET | SCALE, 0, 0, 0},
    {WANE_LOSS_SIGLIP, 3, 1100, 5, F32, ALL_IN | NONE, 0, 0, 0},
    {WANE_LOSS_SIGLIP, 8, 140, 7, WANE_DTYPE_BF16, WANE_DTYPE_BF16, LABELS | FAULTS | ADD | BIAS, 0, 0, 0},
    {WANE_LOSS_CLIP, 6, 9, 5, F32, GIVEN | BLOCK | SUM | SCALE, 0, 0, 0},
    {WANE_LOSS_INFO_NCE, 3, 1030, 3, F32, PLAIN | LABELS, 0, 0, 0},
    {WANE_LOSS_CLIP, 40, 40, 3, F32, SCALE | LABELS, 0, 0, 14000},
    {WANE_LOSS_INFO_NCE, 9, 9, 5, F32, NANS, 0, 0, 0},
    {WANE_LOSS_SIGLIP, 9, 9, 5, F32, NANS, 0, 0, 0},
    {WANE_LOSS_SIGLIP, 4, 6, 2, F32, SCALE | PLAIN | LARGE, 0, 0, 0},
};
enum { PLANTED = sizeof planted_in / sizeof planted_in[0] };

static bool is_contrast(const char *kernel) { return strncmp(kernel, "contrast_", 9) == 0; }

// Whether sums of slopes hold a NaN is asked for drivers that lose it: in C the NaN itself comes to the same result.
static bool is_for_drivers(const body_visit *v) { return plants_line_has(v, "bool broken = norm.top"); }

static void plants_are_noticed(void **state)
{
    (void)state;
    static problem_run runs[PLANTED];
    for (int i = 0; i < PLANTED; i++) assert_true(open_run(&planted_in[i], &runs[i]));
    plants p = {runs, PLANTED, is_contrast, is_for_drivers};
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(types_and_views), cmocka_unit_test(options),
                                       cmocka_unit_test(cuts), cmocka_unit_test(plants_are_noticed)};
    return cmocka_run_group_tests(tests, NULL, close_all);
}
