// linear_test.c - plans of linear heads: bad input is named before anything is written, and the budget chooses the plan.
#include "family_fixture.h"

#include <stdlib.h>

enum { X, W, Y, BIAS, LOSS, GX, GW, GB };
static const int64_t rows = 300, cols = 5000, dim = 64;

static void begin(void)
{
    test_problem_begin(&p, context, WANE_LOSS_LINEAR_CROSS_ENTROPY, rows, cols);
    add(WANE_ROLE_INPUT, WANE_DTYPE_F32, 2, rows, dim);
    add(WANE_ROLE_LINEAR_WEIGHT, WANE_DTYPE_F32, 2, cols, dim);
    add(WANE_ROLE_TARGET, WANE_DTYPE_I32, 1, rows, 0);
    add(WANE_ROLE_LINEAR_BIAS, WANE_DTYPE_F32, 1, cols, 0);
    add(WANE_ROLE_LOSS, WANE_DTYPE_F32, 0, 0, 0);
    add(WANE_ROLE_GRAD_INPUT, WANE_DTYPE_F32, 2, rows, dim);
    add(WANE_ROLE_GRAD_LINEAR_WEIGHT, WANE_DTYPE_F32, 2, cols, dim);
    add(WANE_ROLE_GRAD_LINEAR_BIAS, WANE_DTYPE_F32, 1, cols, 0);
}

static wane_status plan(void)
{
    wane_plan *made = NULL;
    wane_status status = wane_plan_create(cpu, &p.desc, &made);
    wane_plan_destroy(made);
    return status;
}

#define REFUSED(want, operand) expect_error(&log_, want, operand, plan())
static int64_t *extent(int operand, int d) { return &p.operands[operand].tensor.extents[d]; }

static void test_shapes(void **state)
{
    (void)state;
    begin();
    assert_int_equal(plan(), WANE_OK);
    *extent(X, 1) = *extent(W, 1) = *extent(GX, 1) = *extent(GW, 1) = 0;
    REFUSED(WANE_ERROR_EXTENT, "input");
    begin();
    *extent(W, 0) = *extent(BIAS, 0) = *extent(GW, 0) = *extent(GB, 0) = 0;
    REFUSED(WANE_ERROR_EXTENT, "linear_weight");
    begin();
    *extent(W, 1) = dim + 1;
    REFUSED(WANE_ERROR_EXTENT, "linear_weight");
    begin();
    *extent(GX, 1) = dim - 1;
    REFUSED(WANE_ERROR_EXTENT, "grad_input");
    begin();
    *extent(GW, 0) = cols + 1;
    REFUSED(WANE_ERROR_EXTENT, "grad_linear_weight");
    begin();
    *extent(BIAS, 0) = cols - 1;
    REFUSED(WANE_ERROR_EXTENT, "linear_bias");
    begin();
    *extent(Y, 0) = rows + 1;
    REFUSED(WANE_ERROR_EXTENT, "target");
    begin();
    p.operands[X].tensor.rank = 3;
    REFUSED(WANE_ERROR_RANK, "input");
}

static void test_types(void **state)
{
    (void)state;
    begin();
    p.operands[W].tensor.dtype = WANE_DTYPE_F16;
    REFUSED(WANE_ERROR_DTYPE, "linear_weight");
    begin();
    p.operands[X].tensor.dtype = p.operands[W].tensor.dtype = WANE_DTYPE_BF16;
    assert_int_equal(plan(), WANE_OK);
    p.operands[GX].tensor.dtype = WANE_DTYPE_F16;
    REFUSED(WANE_ERROR_DTYPE, "grad_input");
    p.operands[GX].tensor.dtype = WANE_DTYPE_BF16;
    p.operands[BIAS].tensor.dtype = WANE_DTYPE_F16;
    REFUSED(WANE_ERROR_DTYPE, "linear_bias");
    begin();
    p.operands[GW].flags = WANE_OPERAND_IN_PLACE;
    REFUSED(WANE_ERROR_FLAGS, "grad_linear_weight");
    begin();
    p.operands[GX].tensor.flags = WANE_TENSOR_STRIDED;
    p.operands[GX].tensor.strides[1] = 1;
    REFUSED(WANE_ERROR_STRIDE, "grad_input");
}

static void test_shards(void **state)
{
    (void)state;
    begin();
    test_problem_param(&p, WANE_PARAM_COL_OFFSET, 5);
    REFUSED(WANE_ERROR_PARAM_RANGE, "col_offset");
    test_problem_param(&p, WANE_PARAM_TOTAL_COLS, (double)cols + 4);
    REFUSED(WANE_ERROR_PARAM_RANGE, "total_cols");
    begin();
    test_problem_param(&p, WANE_PARAM_TOTAL_COLS, (double)cols + 1);
    REFUSED(WANE_ERROR_UNSUPPORTED, "loss");               // before the shards are merged
    begin();
    test_problem_param(&p, WANE_PARAM_TOTAL_COLS, (double)cols);
    assert_int_equal(plan(), WANE_OK);                     // not split at all
    add(WANE_ROLE_STATISTICS, WANE_DTYPE_F32, 2, 4, rows)->flags = WANE_OPERAND_GIVEN;
    add(WANE_ROLE_WEIGHT, WANE_DTYPE_F32, 1, cols, 0);
    p.params[0].value = (double)cols + 1;                  // weights are those of all columns
    REFUSED(WANE_ERROR_EXTENT, "weight");
    p.operands[p.desc.operand_count - 1].tensor.extents[0] = cols + 1;
    assert_int_equal(plan(), WANE_OK);
}

// A plan for the GPU of these limits, or for the CPU. Its description goes to text.
static wane_status plan_on(const wane_limits *gpu, wane_plan_info *info, char *text, size_t capacity)
{
    wane_plan *made = NULL;
    test_log_clear(&log_);
    wane_status status = gpu ? wane_plan_create_for(context, gpu, &p.desc, &made) : wane_plan_create(cpu, &p.desc, &made);
    if (status) return status;
    *info = (wane_plan_info){.struct_size = sizeof *info};
    assert_int_equal(wane_plan_get_info(made, info), WANE_OK);
    wane_plan_describe(made, text, capacity);
    wane_plan_destroy(made);
    return WANE_OK;
}

static const wane_limits vulkan = {.struct_size = sizeof vulkan, .backend = WANE_BACKEND_VULKAN, .max_lanes = 128, .shared_bytes = 16384,
                                   .max_window_bytes = 128u << 20, .max_buffer_bytes = 1ull << 40, .offset_align_bytes = 256,
                                   .max_groups = 65535, .max_dispatch_elems = 1u << 29};
static char text[1 << 20];

// The largest budget that is refused names the smallest that is not; what a larger one has room for is kept. Below the smallest
// chunk there are plans without any; on a GPU those are cheaper than making chunks again, too.
static void check_budget(wane_dtype type, const wane_limits *gpu)
{
    begin();
    for (uint32_t i = 0; i < p.desc.operand_count; i++)
        if (i != Y && i != LOSS) p.operands[i].tensor.dtype = type;
    bool kept = false;                     // all logits of a batch
    uint64_t least = 0, some = 0, without = 0, product = 2 * (uint64_t)rows * (uint64_t)cols * (uint64_t)dim;
    for (uint64_t budget = 1024; budget <= 16 << 20; budget += budget / 16) {
        p.desc.workspace_limit_bytes = budget;
        wane_plan_info info;
        wane_status status = plan_on(gpu, &info, text, sizeof text);
        if (status) {
            test_expect(&log_, status, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes", "budget");
            const char *needs = strstr(log_.text, "needs ");
            assert_non_null(needs);
            least = strtoull(needs + 6, NULL, 10);
            assert_true(least > budget && !kept);
            continue;
        }
        assert_true(info.workspace_bytes <= budget && budget >= least);
        bool keeps = strstr(text, "chunks of rows") != NULL, alone = strstr(text, gpu ? "no scratch" : "no scratch: not even one chunk") != NULL;
        assert_true(keeps || alone || strstr(text, "chunks of columns"));
        assert_true(info.flops >= 3 * product && info.flops <= (alone ? 5 : 4) * product);
        assert_int_equal(keeps, info.flops == 3 * product);
        assert_false(alone && (kept || some));
        without += alone;
        some += !alone && info.flops > 3 * product && info.flops < 4 * product;
        kept |= keeps;
    }
    assert_true(kept && (gpu || some > 0) && least > 0 && without > 0);
    p.desc.workspace_limit_bytes = least;
    wane_plan_info info;
    assert_int_equal(plan_on(gpu, &info, text, sizeof text), WANE_OK);
    assert_int_equal(info.workspace_bytes, least);
    p.desc.workspace_limit_bytes = least - 1;
    expect_error(&log_, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes", plan_on(gpu, &info, text, sizeof text));
}

static void test_budget(void **state)
{
    (void)state;
    check_budget(WANE_DTYPE_F32, NULL);
    check_budget(WANE_DTYPE_BF16, NULL);
    check_budget(WANE_DTYPE_F32, &vulkan);
}

// Who has memory for logits where a gradient is asked for, and what it is called.
static const char *choice(int64_t d, uint32_t chunk_dim, const wane_limits *gpu)
{
    wane_limits tuned = gpu ? *gpu : (wane_limits){0};
    wane_plan_info info;
    tuned.linear_chunk_dim = chunk_dim;
    begin();
    *extent(X, 1) = *extent(W, 1) = *extent(GX, 1) = *extent(GW, 1) = d;
    assert_int_equal(plan_on(gpu ? &tuned : NULL, &info, text, sizeof text), WANE_OK);
    uint64_t product = 2 * (uint64_t)rows * (uint64_t)cols * (uint64_t)d;
    assert_int_equal(strstr(text, "no scratch: gradients make logits again") != NULL, info.flops == 5 * product);
    return info.flops == 5 * product ? "no scratch" : "chunks";
}

// By cost, 4 dim + 32 operations against 24 bytes at 10 operations each: below 52, but for what small batches add.
static void test_choice(void **state)
{
    (void)state;
    const int64_t dims[] = {1, 16, 32, 48, 64, 65, 128};
    for (int i = 0; i < 7; i++) {
        assert_string_equal(choice(dims[i], 0, &vulkan), dims[i] <= 48 ? "no scratch" : "chunks");
        assert_string_equal(choice(dims[i], 1, &vulkan), "chunks");
        assert_string_equal(choice(dims[i], 33, &vulkan), dims[i] <= 32 ? "no scratch" : "chunks");
        assert_string_equal(choice(dims[i], 1 << 16, &vulkan), dims[i] <= 64 ? "no scratch" : "chunks");
        assert_string_equal(choice(dims[i], 0, NULL), "chunks");
    }
}

// What the documentation promises of the workspace: shapes of large models, other shapes, the CPU and a device of the floor.
static void check_extra(int64_t n, int64_t v, int64_t d, wane_dtype type, bool backward)
{
    test_problem_begin(&p, context, WANE_LOSS_LINEAR_CROSS_ENTROPY, n, v);
    add(WANE_ROLE_INPUT, type, 2, n, d);
    add(WANE_ROLE_LINEAR_WEIGHT, type, 2, v, d);
    add(WANE_ROLE_TARGET, WANE_DTYPE_I64, 1, n, 0);
    add(WANE_ROLE_LOSS, WANE_DTYPE_F32, 0, 0, 0);
    if (backward) add(WANE_ROLE_GRAD_INPUT, type, 2, n, d);
    if (backward) add(WANE_ROLE_GRAD_LINEAR_WEIGHT, type, 2, v, d);
    for (int device = 0; device < 2; device++) {
        wane_plan_info info;
        assert_int_equal(plan_on(device ? &vulkan : NULL, &info, text, sizeof text), WANE_OK);
        assert_true(info.workspace_bytes <= (backward ? (64u << 20) + 4u * (uint64_t)n * (uint64_t)d : 4u << 20));
    }
}

static void test_extra_bytes(void **state)
{
    (void)state;
    static const int64_t shapes[][3] = {{8192, 256000, 2304}, {8192, 256000, 64}, {8192, 256000, 16}, {512, 65536, 1152}, {1, 1000000, 4096}, {20000, 33, 512}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int t = 0; t < 4; t++)
            check_extra(shapes[i][0], shapes[i][1], shapes[i][2], t & 1 ? WANE_DTYPE_BF16 : WANE_DTYPE_F32, t & 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_types), cmocka_unit_test(test_shards),
                                       cmocka_unit_test(test_budget), cmocka_unit_test(test_choice),
                                       cmocka_unit_test(test_extra_bytes)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
