// contrastive_test.c - plans of contrastive losses: bad input is named before anything is written, and the budget holds.
#include "support.h"

#include <stdlib.h>

static test_log log_;
static wane_context *context;
static wane_device *cpu;
static test_problem p;

static int set_up(void **state)
{
    (void)state;
    context = test_context(&log_, NULL, 1);
    cpu = test_device(context, "cpu");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wane_context_destroy(context);
    return 0;
}

static void add(wane_role role, wane_dtype dtype, uint32_t rank, int64_t a, int64_t b)
{
    wane_operand *o = &p.operands[p.desc.operand_count++];
    memset(o, 0, sizeof *o);
    o->struct_size = sizeof *o;
    o->role = role;
    o->tensor = (wane_tensor){.struct_size = sizeof(wane_tensor), .dtype = dtype, .rank = rank, .extents = {a, b}};
}

enum { A, B, LABELS, SCALE, LOSS, GA, GB };
static const int64_t rows = 300, dim = 20;

static void begin(wane_loss loss)
{
    test_problem_begin(&p, context, loss, rows, rows);
    add(WANE_ROLE_A, WANE_DTYPE_F32, 2, rows, dim);
    add(WANE_ROLE_B, WANE_DTYPE_F32, 2, rows, dim);
    add(WANE_ROLE_LABELS, WANE_DTYPE_I32, 1, rows, 0);
    add(WANE_ROLE_SCALE, WANE_DTYPE_F32, 0, 0, 0);
    add(WANE_ROLE_LOSS, WANE_DTYPE_F32, 0, 0, 0);
    add(WANE_ROLE_GRAD_A, WANE_DTYPE_F32, 2, rows, dim);
    add(WANE_ROLE_GRAD_B, WANE_DTYPE_F32, 2, rows, dim);
}

static wane_status plan(wane_plan_info *info)
{
    wane_plan *made = NULL;
    wane_status status = wane_plan_create(cpu, &p.desc, &made);
    if (info && status == WANE_OK) wane_plan_get_info(made, info);
    wane_plan_destroy(made);
    return status;
}

#define REFUSED(want, operand) expect_error(&log_, want, operand, plan(NULL))
static int64_t *extent(int operand, int d) { return &p.operands[operand].tensor.extents[d]; }

static void test_shapes(void **state)
{
    (void)state;
    begin(WANE_LOSS_CLIP);
    assert_int_equal(plan(NULL), WANE_OK);
    *extent(A, 1) = *extent(B, 1) = *extent(GA, 1) = *extent(GB, 1) = 0;
    REFUSED(WANE_ERROR_EXTENT, "a");
    begin(WANE_LOSS_INFO_NCE);
    *extent(B, 0) = *extent(GB, 0) = 0;
    REFUSED(WANE_ERROR_EXTENT, "b");
    begin(WANE_LOSS_SIGLIP);
    *extent(B, 1) = dim + 1;
    REFUSED(WANE_ERROR_EXTENT, "b");
    begin(WANE_LOSS_CLIP);
    *extent(B, 0) = *extent(GB, 0) = rows + 1;
    REFUSED(WANE_ERROR_EXTENT, "b");
    begin(WANE_LOSS_INFO_NCE);
    *extent(B, 0) = *extent(GB, 0) = rows + 1;
    assert_int_equal(plan(NULL), WANE_OK);
    *extent(GA, 0) = rows + 1;
    REFUSED(WANE_ERROR_EXTENT, "grad_a");
}

static void test_types(void **state)
{
    (void)state;
    begin(WANE_LOSS_CLIP);
    p.operands[GA].tensor.dtype = WANE_DTYPE_F16;
    REFUSED(WANE_ERROR_DTYPE, "grad_a");
    begin(WANE_LOSS_CLIP);
    p.operands[B].tensor.dtype = p.operands[GB].tensor.dtype = WANE_DTYPE_BF16;
    assert_int_equal(plan(NULL), WANE_OK);
    p.operands[GB].flags = WANE_OPERAND_IN_PLACE;
    REFUSED(WANE_ERROR_FLAGS, "grad_b");
}

static void test_scale_or_temperature(void **state)
{
    (void)state;
    wane_param_value value = {.param = WANE_PARAM_TEMPERATURE, .value = 0.1};
    begin(WANE_LOSS_CLIP);
    p.desc.params = &value;
    p.desc.param_count = 1;
    REFUSED(WANE_ERROR_UNSUPPORTED, "scale");
    value.value = 0;
    REFUSED(WANE_ERROR_PARAM_RANGE, "temperature");
}

// The least is what the error says, and is enough. Twice as many flops as two products of a forward pass, in all.
static void test_budget(void **state)
{
    (void)state;
    wane_plan_info info = {.struct_size = sizeof info};
    for (wane_loss loss = WANE_LOSS_INFO_NCE; loss <= WANE_LOSS_SIGLIP; loss++) {
        begin(loss);
        p.desc.workspace_limit_bytes = 1000;
        REFUSED(WANE_ERROR_TOO_LARGE, "workspace_limit_bytes");
        const char *needs = strstr(log_.text, "needs ");
        assert_non_null(needs);
        p.desc.workspace_limit_bytes = strtoull(needs + strlen("needs "), NULL, 10);
        assert_int_equal(plan(&info), WANE_OK);
        assert_true(info.workspace_bytes <= p.desc.workspace_limit_bytes);
        assert_true(info.flops <= 8 * (uint64_t)(rows * rows * dim));
        p.desc.workspace_limit_bytes--;
        REFUSED(WANE_ERROR_TOO_LARGE, "workspace_limit_bytes");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes), cmocka_unit_test(test_types), cmocka_unit_test(test_scale_or_temperature),
        cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
