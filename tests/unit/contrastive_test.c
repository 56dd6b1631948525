// contrastive_test.c - plans of contrastive losses: bad input is named before anything is written, and the budget holds.
#include "family_fixture.h"

#include <math.h>
#include <stdlib.h>

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

static wane_param_value params[4];

static void set(wane_param param, double value)
{
    params[p.desc.param_count++] = (wane_param_value){.param = param, .value = value};
    p.desc.params = params;
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
    begin(WANE_LOSS_CLIP);
    set(WANE_PARAM_TEMPERATURE, 0.1);
    REFUSED(WANE_ERROR_DUPLICATE, "temperature");
    assert_non_null(strstr(log_.text, "leave the temperature out"));
    const double bad[] = {0, -1, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        params[0].value = bad[i];
        REFUSED(WANE_ERROR_PARAM_RANGE, "temperature");
    }
}

// No pairs at all: a loss of 0, as of no rows of logits. Columns without rows are a mistake.
static void test_no_rows(void **state)
{
    (void)state;
    begin(WANE_LOSS_CLIP);
    *extent(A, 0) = *extent(GA, 0) = *extent(LABELS, 0) = *extent(B, 0) = *extent(GB, 0) = 0;
    assert_int_equal(plan(NULL), WANE_OK);
    *extent(B, 0) = *extent(GB, 0) = 1;
    REFUSED(WANE_ERROR_EXTENT, "b");
    p.desc.loss = WANE_LOSS_INFO_NCE;
    assert_int_equal(plan(NULL), WANE_OK);
    *extent(B, 0) = *extent(GB, 0) = 0;
    REFUSED(WANE_ERROR_EXTENT, "b");
}

static wane_operand *add_statistics(wane_role role, int64_t planes, uint32_t flags)
{
    add(role, WANE_DTYPE_F32, 2, planes, rows);
    p.operands[p.desc.operand_count - 1].flags = flags;
    return &p.operands[p.desc.operand_count - 1];
}

static void test_statistics(void **state)
{
    (void)state;
    begin(WANE_LOSS_CLIP);
    wane_operand *own = add_statistics(WANE_ROLE_STATISTICS, 4, 0);
    assert_int_equal(plan(NULL), WANE_OK);
    own->flags = WANE_OPERAND_GIVEN;
    REFUSED(WANE_ERROR_MISSING_OPERAND, "col_statistics");
    wane_operand *other = add_statistics(WANE_ROLE_COL_STATISTICS, 4, WANE_OPERAND_GIVEN);
    assert_int_equal(plan(NULL), WANE_OK);
    own->flags = 0;
    REFUSED(WANE_ERROR_MISSING_OPERAND, "statistics");
    own->flags = WANE_OPERAND_GIVEN;
    other->tensor.extents[1]--;
    REFUSED(WANE_ERROR_EXTENT, "col_statistics");
    other->tensor.extents[1]++;
    own->tensor.extents[0] = other->tensor.extents[0] = 5;
    REFUSED(WANE_ERROR_EXTENT, "statistics");
    p.desc.statistics_mask = 31;
    REFUSED(WANE_ERROR_UNSUPPORTED, "statistics_mask");
    begin(WANE_LOSS_SIGLIP);
    add_statistics(WANE_ROLE_STATISTICS, 4, 0);
    REFUSED(WANE_ERROR_UNKNOWN_ROLE, NULL);
}

// A block of a batch: what it may ask for, and where it may lie.
static void test_blocks(void **state)
{
    (void)state;
    begin(WANE_LOSS_CLIP);
    set(WANE_PARAM_TOTAL_COLS, 2 * rows);
    set(WANE_PARAM_ROW_OFFSET, rows);
    REFUSED(WANE_ERROR_UNSUPPORTED, "labels");
    p.operands[LABELS] = p.operands[SCALE];
    p.operands[LABELS].role = WANE_ROLE_BIAS;
    REFUSED(WANE_ERROR_UNSUPPORTED, "loss");
    add_statistics(WANE_ROLE_STATISTICS, 4, WANE_OPERAND_GIVEN);
    add_statistics(WANE_ROLE_COL_STATISTICS, 4, WANE_OPERAND_GIVEN);
    REFUSED(WANE_ERROR_UNSUPPORTED, "reduction");
    set(WANE_PARAM_REDUCTION, WANE_REDUCTION_SUM);
    assert_int_equal(plan(NULL), WANE_OK);
    params[1].value = rows + 1;
    REFUSED(WANE_ERROR_PARAM_RANGE, "total_cols");
    params[1].value = -1;
    REFUSED(WANE_ERROR_PARAM_RANGE, "row_offset");
    params[1] = (wane_param_value){.param = WANE_PARAM_COL_OFFSET, .value = rows + 1};
    REFUSED(WANE_ERROR_PARAM_RANGE, "total_cols");
    params[1].value = -1;
    REFUSED(WANE_ERROR_PARAM_RANGE, "col_offset");
    params[1].value = rows;
    p.desc.operand_count -= 2;
    p.operands[LOSS] = p.operands[p.desc.operand_count];
    p.operands[LOSS].flags = 0;
    p.desc.operand_count = LOSS + 1;
    params[2].value = WANE_REDUCTION_MEAN;     // of no matter where statistics alone are saved
    assert_int_equal(plan(NULL), WANE_OK);
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

// What docs/contrastive.md says of memory, for as many rows as a matrix of 16 GiB would have.
static void test_workspace(void **state)
{
    (void)state;
    const int64_t n = 65536, d = 512;
    wane_plan_info info = {.struct_size = sizeof info};
    for (wane_loss loss = WANE_LOSS_INFO_NCE; loss <= WANE_LOSS_SIGLIP; loss++) {
        begin(loss);
        for (int i = A; i <= GB; i++)
            if (i != SCALE && i != LOSS) *extent(i, 0) = n;
        *extent(A, 1) = *extent(B, 1) = *extent(GA, 1) = *extent(GB, 1) = d;
        assert_int_equal(plan(&info), WANE_OK);
        int64_t chunk = 64, bytes = 4 * n * d + 4 * chunk * (d + n) + 128 * (loss == WANE_LOSS_CLIP ? 2 * n : chunk);
        assert_true((int64_t)info.workspace_bytes <= bytes + 65536);
        assert_true((int64_t)info.workspace_bytes >= bytes - 65536 - (loss == WANE_LOSS_SIGLIP ? 36 * chunk : 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes), cmocka_unit_test(test_types), cmocka_unit_test(test_scale_or_temperature),
        cmocka_unit_test(test_budget), cmocka_unit_test(test_no_rows), cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_blocks), cmocka_unit_test(test_workspace),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
