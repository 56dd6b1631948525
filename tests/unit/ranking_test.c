// ranking_test.c - plans of ranking losses: what can be seen of bad input before anything runs is refused, and the log names
// the operand; problems past a device's limits too.
#include "family_fixture.h"

#include <math.h>
#include <stdlib.h>

static wane_param_value params[6];

enum { SCORES, LABELS, WEIGHT, OFFSETS, UPSTREAM, LOSS, GROUP_LOSS, GRAD, COUNT, NDCG };
enum { GIVEN_SCORES, GIVEN_PAIRS, GIVEN_LOSS, GIVEN_GRAD };
static const int64_t items = 100, groups = 7;

static void set(wane_param param, double value)
{
    params[p.desc.param_count++] = (wane_param_value){.param = param, .value = value};
    p.desc.params = params;
}

static void begin(void)
{
    test_problem_begin(&p, context, WANE_LOSS_PAIRWISE_RANK, 1, 1);
    p.desc.param_count = 0;
    add(WANE_ROLE_SCORES, WANE_DTYPE_F32, 1, items, 0);
    add(WANE_ROLE_LABELS, WANE_DTYPE_F32, 1, items, 0);
    add(WANE_ROLE_WEIGHT, WANE_DTYPE_F32, 1, items, 0);
    add(WANE_ROLE_OFFSETS, WANE_DTYPE_I32, 1, groups + 1, 0);
    add(WANE_ROLE_UPSTREAM, WANE_DTYPE_F32, 1, 1, 0);
    add(WANE_ROLE_LOSS, WANE_DTYPE_F32, 1, 1, 0);
    add(WANE_ROLE_GROUP_LOSS, WANE_DTYPE_F32, 1, groups, 0);
    add(WANE_ROLE_GRAD_SCORES, WANE_DTYPE_F32, 1, items, 0);
    add(WANE_ROLE_PAIR_COUNT, WANE_DTYPE_I64, 1, 1, 0);
    add(WANE_ROLE_NDCG, WANE_DTYPE_F32, 1, groups, 0);
}

static void begin_given(wane_loss loss)
{
    test_problem_begin(&p, context, loss, 1, 1);
    p.desc.param_count = 0;
    add(WANE_ROLE_SCORES, WANE_DTYPE_F32, 1, items, 0);
    add(WANE_ROLE_PAIRS, WANE_DTYPE_I64, 2, 30, 2);
    add(WANE_ROLE_LOSS, WANE_DTYPE_F32, 1, 1, 0);
    add(WANE_ROLE_GRAD_SCORES, WANE_DTYPE_F32, 1, items, 0);
}

static wane_status plan(void)
{
    wane_plan *made = NULL;
    wane_status status = wane_plan_create(cpu, &p.desc, &made);
    wane_plan_destroy(made);
    return status;
}

static wane_status plan_for(uint64_t window_bytes, uint64_t budget)
{
    wane_limits limits = {.struct_size = sizeof limits, .backend = WANE_BACKEND_VULKAN, .max_lanes = 128, .shared_bytes = 16384,
                          .max_window_bytes = window_bytes, .max_buffer_bytes = 1u << 30, .offset_align_bytes = 256,
                          .max_groups = 65535, .max_dispatch_elems = 1u << 28};
    wane_plan *made = NULL;
    p.desc.workspace_limit_bytes = budget;
    wane_status status = wane_plan_create_for(context, &limits, &p.desc, &made);
    wane_plan_destroy(made);
    return status;
}

#define REFUSED(want, operand) expect_error(&log_, want, operand, plan())
static wane_tensor *tensor(int operand) { return &p.operands[operand].tensor; }

static void test_extents(void **state)
{
    static const struct { int operand; int64_t extent; const char *name; } cases[] = {
        {LABELS, items - 1, "labels"}, {WEIGHT, items + 1, "weight"}, {GRAD, items + 1, "grad_scores"},
        {OFFSETS, 0, "offsets"}, {LOSS, 2, "loss"}, {UPSTREAM, groups, "upstream"}, {GROUP_LOSS, groups + 1, "group_loss"},
        {COUNT, 2, "pair_count"}, {NDCG, 1, "ndcg"}};
    (void)state;
    begin();
    assert_int_equal(plan(), WANE_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        tensor(cases[i].operand)->extents[0] = cases[i].extent;
        REFUSED(WANE_ERROR_EXTENT, cases[i].name);
    }
    // without offsets there is one group
    begin();
    memmove(p.operands + OFFSETS, p.operands + OFFSETS + 1, (size_t)(NDCG - OFFSETS) * sizeof *p.operands);
    p.desc.operand_count--;
    REFUSED(WANE_ERROR_EXTENT, "group_loss");
    assert_non_null(strstr(log_.text, "without offsets"));
    begin_given(WANE_LOSS_BPR);
    tensor(GIVEN_PAIRS)->extents[1] = 3;
    REFUSED(WANE_ERROR_EXTENT, "pairs");
}

static void test_types(void **state)
{
    static const struct { int operand; wane_dtype dtype; const char *name; } cases[] = {
        {SCORES, WANE_DTYPE_I32, "scores"}, {LABELS, WANE_DTYPE_I64, "labels"}, {LABELS, WANE_DTYPE_F16, "labels"},
        {WEIGHT, WANE_DTYPE_F16, "weight"}, {OFFSETS, WANE_DTYPE_F32, "offsets"}, {OFFSETS, WANE_DTYPE_U32, "offsets"},
        {GRAD, WANE_DTYPE_F16, "grad_scores"}, {COUNT, WANE_DTYPE_I32, "pair_count"}, {NDCG, WANE_DTYPE_F16, "ndcg"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        tensor(cases[i].operand)->dtype = cases[i].dtype;
        REFUSED(WANE_ERROR_DTYPE, cases[i].name);
    }
    begin();
    tensor(LABELS)->dtype = WANE_DTYPE_I64;
    REFUSED(WANE_ERROR_DTYPE, "labels");
    assert_string_equal(log_.text, "has type i64; it takes f32 or i32: convert it");
    begin();
    tensor(SCORES)->dtype = WANE_DTYPE_BF16;
    assert_int_equal(plan(), WANE_OK);      // the gradient may be f32
    begin_given(WANE_LOSS_MARGIN_RANKING);
    tensor(GIVEN_PAIRS)->dtype = WANE_DTYPE_F32;
    REFUSED(WANE_ERROR_DTYPE, "pairs");
}

static void test_params(void **state)
{
    static const struct { wane_param param; double value; const char *name; } cases[] = {
        {WANE_PARAM_K, 0, "k"}, {WANE_PARAM_K, -1, "k"}, {WANE_PARAM_K, NAN, "k"}, {WANE_PARAM_K, 2.5, "k"},
        {WANE_PARAM_SIGMA, 0, "sigma"}, {WANE_PARAM_SIGMA, -1, "sigma"}, {WANE_PARAM_SIGMA, INFINITY, "sigma"},
        {WANE_PARAM_MARGIN, NAN, "margin"}, {WANE_PARAM_MU, -1, "mu"}, {WANE_PARAM_LINK, 6, "link"},
        {WANE_PARAM_PAIR_WEIGHT, 8, "pair_weight"}, {WANE_PARAM_REDUCTION, 4, "reduction"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        set(cases[i].param, cases[i].value);
        REFUSED(WANE_ERROR_PARAM_RANGE, cases[i].name);
    }
    begin();
    set(WANE_PARAM_K, 1);
    assert_int_equal(plan(), WANE_OK);
}

static void test_missing(void **state)
{
    static const struct { int operand; const char *name; } cases[] = {{SCORES, "scores"}, {LABELS, "labels"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        memmove(p.operands + cases[i].operand, p.operands + cases[i].operand + 1, (size_t)(NDCG - cases[i].operand) * sizeof *p.operands);
        p.desc.operand_count--;
        REFUSED(WANE_ERROR_MISSING_OPERAND, cases[i].name);
    }
    begin_given(WANE_LOSS_BPR);
    p.operands[GIVEN_PAIRS] = p.operands[GIVEN_GRAD];
    p.desc.operand_count--;
    REFUSED(WANE_ERROR_MISSING_OPERAND, "pairs");
}

static void test_views(void **state)
{
    (void)state;
    begin();
    tensor(GRAD)->flags = WANE_TENSOR_STRIDED;
    tensor(GRAD)->strides[0] = 0;
    REFUSED(WANE_ERROR_STRIDE, "grad_scores");
    begin();
    p.operands[GRAD].flags = WANE_OPERAND_IN_PLACE | WANE_OPERAND_ACCUMULATE;
    REFUSED(WANE_ERROR_FLAGS, "grad_scores");
    begin();
    p.operands[GRAD].flags = WANE_OPERAND_IN_PLACE;
    tensor(SCORES)->dtype = WANE_DTYPE_BF16;
    REFUSED(WANE_ERROR_STRIDE, "grad_scores");
}

// Operands and workspace are bound whole: past a device's window they are refused, with the limit's name.
static void test_limits(void **state)
{
    const uint64_t floor_bytes = 128u << 20;
    (void)state;
    begin();
    assert_int_equal(plan_for(floor_bytes, 0), WANE_OK);
    tensor(LABELS)->flags = WANE_TENSOR_STRIDED;
    tensor(LABELS)->strides[0] = 400000;    // 40 million words from the first to the last
    expect_error(&log_, WANE_ERROR_TOO_LARGE, "labels", plan_for(floor_bytes, 0));
    assert_non_null(strstr(log_.text, "max_window_bytes"));
    begin();
    for (int i = 0; i < NDCG; i++)
        if (tensor(i)->extents[0] == items) tensor(i)->extents[0] = 2000000;
    expect_error(&log_, WANE_ERROR_TOO_LARGE, "scores", plan_for(floor_bytes, 0));
    assert_non_null(strstr(log_.text, "max_window_bytes"));
    assert_non_null(strstr(log_.text, "split them by groups"));
    assert_int_equal(plan_for(1u << 30, 0), WANE_OK);
    expect_error(&log_, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes", plan_for(1u << 30, 1u << 20));
    assert_non_null(strstr(log_.text, "is 1048576: 2000000 items"));
    for (int i = 0; i < NDCG; i++)
        if (tensor(i)->extents[0] == 2000000) tensor(i)->extents[0] = 1000000;
    assert_int_equal(plan_for(floor_bytes, 0), WANE_OK);        // what the header promises
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extents), cmocka_unit_test(test_types), cmocka_unit_test(test_params),
        cmocka_unit_test(test_missing), cmocka_unit_test(test_views), cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
