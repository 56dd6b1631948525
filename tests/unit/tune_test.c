// tune_test.c - tuning records: what was written comes back, what is damaged or foreign is refused with nothing of it taken,
// and plans are made by it.
#include "cpu_fixture.h"

enum { MOST = 2048 };

static int set_up(void **state)
{
    make_fixture(state, 1);
    return 0;
}

static wane_limits limits_of(wane_device *device)
{
    wane_device_info info = {.struct_size = sizeof info};
    assert_int_equal(wane_device_get_info(device, &info), WANE_OK);
    return info.limits;
}

static wane_limits chosen(wane_device *device)
{
    wane_limits limits = limits_of(device);
    limits.max_dispatch_elems = 1 << 20;
    limits.split_rows_below = 3;
    limits.linear_slice_cols = 4096;
    limits.linear_chunk_dim = 33;
    return limits;
}

static size_t write(wane_device *device, const wane_limits *limits, char text[MOST])
{
    size_t bytes = wane_tuning_write(device, limits, text, MOST);
    assert_true(bytes > 0 && bytes < MOST && strlen(text) == bytes);
    return bytes;
}

static void same(wane_device *device, const wane_limits *want)
{
    wane_limits got = limits_of(device);
    assert_int_equal(got.max_dispatch_elems, want->max_dispatch_elems);
    assert_int_equal(got.split_rows_below, want->split_rows_below);
    assert_int_equal(got.linear_slice_cols, want->linear_slice_cols);
    assert_int_equal(got.linear_chunk_dim, want->linear_chunk_dim);
    assert_int_equal(got.max_window_bytes, want->max_window_bytes);
}

static void test_round_trip(void **state)
{
    fixture *f = *state;
    const wane_limits plain = limits_of(f->cpu), want = chosen(f->cpu);
    assert_int_equal(plain.split_rows_below, 0);
    char text[MOST], again[MOST];
    size_t bytes = write(f->cpu, &want, text);
    assert_int_equal(wane_device_tune(f->cpu, text, bytes), WANE_OK);
    same(f->cpu, &want);
    wane_limits now = limits_of(f->cpu);
    assert_int_equal(write(f->cpu, &now, again), bytes);
    assert_string_equal(text, again);
    // a second one replaces the first, and no record takes the library's choices again
    now.linear_slice_cols = 0;
    bytes = write(f->cpu, &now, text);
    assert_int_equal(wane_device_tune(f->cpu, text, bytes), WANE_OK);
    same(f->cpu, &now);
    assert_int_equal(wane_device_tune(f->cpu, NULL, 0), WANE_OK);
    same(f->cpu, &plain);
    // a text is not cut
    assert_int_equal(wane_tuning_write(f->cpu, &want, again, 20), bytes + 3);
    assert_string_equal(again, "");
    assert_int_equal(wane_tuning_write(f->cpu, &want, NULL, 0), bytes + 3);
    assert_int_equal(wane_tuning_write(NULL, &want, again, MOST), 0);
    assert_int_equal(wane_tuning_write(f->cpu, NULL, again, MOST), 0);
}

static void test_damaged(void **state)
{
    fixture *f = *state;
    const wane_limits plain = limits_of(f->cpu), want = chosen(f->cpu);
    char text[MOST + 8];
    size_t bytes = write(f->cpu, &want, text);
    for (size_t i = 0; i < bytes; i++) {
        char was = text[i];
        text[i] = (char)(was ^ 1);
        expect_error(&f->log, WANE_ERROR_STRUCT, "record", wane_device_tune(f->cpu, text, bytes));
        text[i] = was;
        if (i) expect_error(&f->log, WANE_ERROR_STRUCT, "record", wane_device_tune(f->cpu, text, i));
    }
    strcpy(text + bytes, "x");
    expect_error(&f->log, WANE_ERROR_STRUCT, "record", wane_device_tune(f->cpu, text, bytes + 1));
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "record", wane_device_tune(f->cpu, NULL, 1));
    assert_int_equal(wane_device_tune(NULL, text, bytes), WANE_ERROR_NULL_ARGUMENT);
    same(f->cpu, &plain);
}

// Whole, of this device, and out of range.
static void test_range(void **state)
{
    fixture *f = *state;
    const wane_limits plain = limits_of(f->cpu);
    for (int i = 0; i < 7; i++) {
        wane_limits wrong = chosen(f->cpu);
        if (i == 0) wrong.max_dispatch_elems = 0;
        if (i == 1) wrong.max_dispatch_elems = 65535;
        if (i == 2) wrong.max_dispatch_elems = UINT64_MAX;
        if (i == 3) wrong.split_rows_below = 65537;
        if (i == 4) wrong.linear_slice_cols = 32;
        if (i == 5) wrong.linear_slice_cols = 1000;
        if (i == 6) wrong.linear_chunk_dim = 65537;
        char text[MOST];
        size_t bytes = write(f->cpu, &wrong, text);
        expect_error(&f->log, WANE_ERROR_STRUCT, "record", wane_device_tune(f->cpu, text, bytes));
        same(f->cpu, &plain);
    }
}

static void test_foreign(void **state)
{
    fixture *f = *state;
    wane_device *other = test_device(f->context, "cpu:generic");
    const wane_limits plain = limits_of(f->cpu), want = chosen(f->cpu);
    char text[2 * MOST];
    size_t bytes = write(other, &want, text);
    expect_error(&f->log, WANE_ERROR_MISMATCH, "record", wane_device_tune(f->cpu, text, bytes));
    same(f->cpu, &plain);
    // a host's file of many devices
    bytes += write(f->cpu, &want, text + bytes);
    assert_int_equal(wane_device_tune(f->cpu, text, bytes), WANE_OK);
    same(f->cpu, &want);
    assert_int_equal(wane_device_tune(other, text, bytes), WANE_OK);
    same(other, &want);
}

// Of a plan for the CPU, or for limits.
static void describe(fixture *f, const wane_limits *limits, char text[MOST])
{
    wane_plan *plan = NULL;
    if (limits) assert_int_equal(wane_plan_create_for(f->context, limits, &f->p.desc, &plan), WANE_OK);
    else assert_int_equal(wane_plan_create(f->cpu, &f->p.desc, &plan), WANE_OK);
    wane_plan_describe(plan, text, MOST);
    wane_plan_destroy(plan);
}

// The text behind the first line, which names the device.
static const char *body(const char *text) { return strchr(text, '\n'); }

static void test_plan(void **state)
{
    fixture *f = *state;
    test_problem *p = &f->p;
    test_problem_begin(p, f->context, WANE_LOSS_CROSS_ENTROPY, 4, 65536);
    test_problem_add_inputs(p, false);
    test_problem_add_outputs(p);
    char plain[MOST], tuned[MOST], again[MOST];
    describe(f, NULL, plain);
    assert_non_null(strstr(plain, "split row"));
    const wane_limits want = chosen(f->cpu);
    char record[MOST];
    size_t bytes = write(f->cpu, &want, record);
    assert_int_equal(wane_device_tune(f->cpu, record, bytes), WANE_OK);
    describe(f, NULL, tuned);
    assert_non_null(strstr(tuned, "fused row"));
    // equal records, equal plans; and equal limits
    assert_int_equal(wane_device_tune(f->cpu, record, bytes), WANE_OK);
    describe(f, NULL, again);
    assert_string_equal(tuned, again);
    wane_limits limits = limits_of(f->cpu);
    describe(f, &limits, again);
    assert_string_equal(body(tuned), body(again));
    assert_int_equal(wane_device_tune(f->cpu, NULL, 0), WANE_OK);
    describe(f, NULL, again);
    assert_string_equal(plain, again);
}

static void add_matrix(test_problem *p, wane_role role, int64_t rows, int64_t cols)
{
    p->operands[p->desc.operand_count++] = (wane_operand){
        .struct_size = sizeof(wane_operand), .role = role,
        .tensor = {.struct_size = sizeof(wane_tensor), .dtype = role == WANE_ROLE_TARGET ? WANE_DTYPE_I64 : WANE_DTYPE_F32,
                   .rank = cols ? 2 : 1, .extents = {rows, cols}}};
}

// The other two choices, on a linear head.
static void test_linear(void **state)
{
    fixture *f = *state;
    test_problem *p = &f->p;
    test_problem_begin(p, f->context, WANE_LOSS_LINEAR_CROSS_ENTROPY, 64, 9000);
    add_matrix(p, WANE_ROLE_INPUT, 64, 32);
    add_matrix(p, WANE_ROLE_LINEAR_WEIGHT, 9000, 32);
    add_matrix(p, WANE_ROLE_TARGET, 64, 0);
    add_matrix(p, WANE_ROLE_LOSS, 1, 0);
    char plain[MOST], tuned[MOST], text[MOST];
    describe(f, NULL, plain);
    wane_limits limits = limits_of(f->cpu);
    limits.linear_slice_cols = 4096;
    describe(f, &limits, tuned);
    assert_non_null(strstr(tuned, "rows x 3008 columns"));      // 9000 in three even slices of at most 4096
    assert_null(strstr(plain, "rows x 3008 columns"));
    limits = limits_of(f->cpu);
    limits.max_dispatch_elems = 1 << 16;
    describe(f, &limits, text);
    assert_int_not_equal(strtol(strchr(plain, ':') + 1, NULL, 10), strtol(strchr(text, ':') + 1, NULL, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_range, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_plan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_linear, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
