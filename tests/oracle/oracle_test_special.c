// oracle_test_special.c - ignored rows, bad labels, NaN, infinities, empty batches: the rules at softmax.c's head.
#include <float.h>
#include <math.h>
#include <string.h>

#include "oracle_test.h"

enum { COLS = 4 };

static double out(const test_case *test, int role, int64_t at) {
    return test_out(test, role)[at];
}

static void start(test_case *test, int loss, int64_t rows) {
    test_make(test, loss, rows, COLS, 1.5, 77);
    for (int64_t r = 0; r < rows; r++) {
        test->target[r] = (double)(r % COLS);
    }
    test_want_all(test);
}

static void fill_row(test_case *test, int64_t row, double value) {
    for (int64_t j = 0; j < COLS; j++) {
        test->logits[row * COLS + j] = value;
    }
}

static void expect_gradient(const test_case *test, int64_t row, double value) {
    for (int64_t j = 0; j < COLS; j++) {
        test_near(out(test, ORACLE_ROLE_GRAD_LOGITS, row * COLS + j), value, 0, "gradient");
        assert_true(test->problem.scale[ORACLE_ROLE_GRAD_LOGITS].data[row * COLS + j] == 0);
    }
}

static void expect_row(const test_case *test, int64_t row, double loss, double lse, double entropy, double argmax) {
    test_near(out(test, ORACLE_ROLE_ROW_LOSS, row), loss, 0, "row_loss");
    test_near(out(test, ORACLE_ROLE_LSE, row), lse, 0, "lse");
    test_near(out(test, ORACLE_ROLE_ENTROPY, row), entropy, 0, "entropy");
    test_near(out(test, ORACLE_ROLE_ARGMAX, row), argmax, 0, "argmax");
}

static void expect_status(const test_case *test, double bad, double poisoned, double empty) {
    const double want[8] = {bad, poisoned, empty};
    for (int i = 0; i < 8; i++) {
        test_near(out(test, ORACLE_ROLE_STATUS, i), want[i], 0, "status");
    }
}

// Ignored rows and bad labels never look at their logits, not even at a NaN.
static void test_rows_left_out(void **state) {
    (void)state;
    test_case test, rest;
    start(&test, ORACLE_LOSS_CROSS_ENTROPY, 6);
    test.target[0] = -100;
    test.target[1] = COLS;
    test.target[2] = -1;
    test.target[3] = NAN;
    fill_row(&test, 0, NAN);
    fill_row(&test, 1, -INFINITY);
    fill_row(&test, 2, INFINITY);
    test_bind(&test, ORACLE_ROLE_UPSTREAM_LSE);
    test_set(&test, ORACLE_PARAM_Z_LOSS, 0.1);
    test_solve(&test);
    for (int64_t r = 0; r < 4; r++) {
        expect_row(&test, r, 0, 0, 0, -1);
        expect_gradient(&test, r, 0);
    }
    expect_status(&test, 3, 0, 0);
    assert_true(out(&test, ORACLE_ROLE_VALID_COUNT, 0) == 2);
    double mean = (out(&test, ORACLE_ROLE_ROW_LOSS, 4) + out(&test, ORACLE_ROLE_ROW_LOSS, 5)) / 2;
    test_near(out(&test, ORACLE_ROLE_LOSS, 0), mean, 1e-15, "mean over the counted rows");

    start(&rest, ORACLE_LOSS_CROSS_ENTROPY, 2);   // an ignore_index that is a column
    test_set(&rest, ORACLE_PARAM_IGNORE_INDEX, 0);
    test_solve(&rest);
    expect_row(&rest, 0, 0, 0, 0, -1);
    assert_true(out(&rest, ORACLE_ROLE_VALID_COUNT, 0) == 1 && out(&rest, ORACLE_ROLE_ROW_LOSS, 1) > 0);
    test_drop(&test);
    test_drop(&rest);
}

static void test_poisoned_rows(void **state) {
    (void)state;
    const double poisons[] = {NAN, INFINITY};
    for (int i = 0; i < 2; i++) {
        for (int reduction = 0; reduction < 3; reduction++) {
            test_case test;
            start(&test, ORACLE_LOSS_COMP_SUM, 3);
            test.logits[COLS + 2] = poisons[i];
            test.logits[COLS + 3] = -INFINITY;
            test.row_weight[1] = 0;   // does not heal it
            test_bind(&test, ORACLE_ROLE_ROW_WEIGHT);
            test_set(&test, ORACLE_PARAM_REDUCTION, reduction);
            test_set(&test, ORACLE_PARAM_SOFTCAP, 5);
            test_solve(&test);
            expect_row(&test, 1, NAN, NAN, NAN, -1);
            expect_gradient(&test, 1, NAN);
            expect_status(&test, 0, 1, 0);
            assert_true(out(&test, ORACLE_ROLE_VALID_COUNT, 0) == 3);
            int64_t at = reduction == ORACLE_REDUCTION_NONE ? 1 : 0;
            assert_true(isnan(out(&test, ORACLE_ROLE_LOSS, at)));
            for (int64_t j = 0; j < COLS; j++) {
                assert_true(isfinite(out(&test, ORACLE_ROLE_GRAD_LOGITS, j)));
                assert_true(isfinite(out(&test, ORACLE_ROLE_GRAD_LOGITS, 2 * COLS + j)));
            }
            test_drop(&test);
        }
    }
}

static void test_empty_rows(void **state) {
    (void)state;
    for (int loss = 1; loss <= 2; loss++) {
        test_case test;
        start(&test, loss, 3);
        fill_row(&test, 0, -INFINITY);   // target 0: its argmax
        fill_row(&test, 1, -INFINITY);
        if (loss == ORACLE_LOSS_COMP_SUM) {
            test_set(&test, ORACLE_PARAM_TAU, 2);   // although its value is bounded elsewhere
        }
        test_set(&test, ORACLE_PARAM_Z_LOSS, 0.1);
        test_bind(&test, ORACLE_ROLE_UPSTREAM_LSE);
        test.logits[2 * COLS + 2] = 10;
        test_solve(&test);
        for (int64_t r = 0; r < 2; r++) {
            expect_row(&test, r, INFINITY, -INFINITY, 0, 0);
            expect_gradient(&test, r, 0);
        }
        expect_status(&test, 0, 0, 2);
        assert_true(out(&test, ORACLE_ROLE_LOSS, 0) == INFINITY);
        assert_true(out(&test, ORACLE_ROLE_VALID_COUNT, 0) == 3);
        test_near(out(&test, ORACLE_ROLE_ACCURACY, 0), 2.0 / 3, 1e-16, "accuracy");
        test_drop(&test);
    }
}

// +inf only if a weight of the row is not 0.
static void test_empty_row_weights(void **state) {
    (void)state;
    for (unsigned mask = 0; mask < 16; mask++) {
        test_case test;
        bool smooth = mask & 1, class_zero = mask & 2, row_zero = mask & 4, z_loss = mask & 8;
        start(&test, ORACLE_LOSS_CROSS_ENTROPY, 2);
        fill_row(&test, 1, -INFINITY);
        test.weight[1] = class_zero ? 0 : 0.5;
        test.row_weight[1] = row_zero ? 0 : 2;
        test_bind(&test, ORACLE_ROLE_WEIGHT);
        test_bind(&test, ORACLE_ROLE_ROW_WEIGHT);
        test_set(&test, ORACLE_PARAM_LABEL_SMOOTHING, smooth ? 0.5 : 0);
        test_set(&test, ORACLE_PARAM_Z_LOSS, z_loss ? 0.5 : 0);
        test_solve(&test);
        bool infinite = !row_zero && (!class_zero || smooth || z_loss);
        test_near(out(&test, ORACLE_ROLE_ROW_LOSS, 1), infinite ? INFINITY : 0, 0, "weights of an empty row");
        test_drop(&test);
    }
}

// One column is still an empty row when it is -inf.
static void test_empty_single_column(void **state) {
    (void)state;
    test_case test;
    test_make(&test, ORACLE_LOSS_CROSS_ENTROPY, 1, 1, 1, 1);
    test.logits[0] = -INFINITY;
    test_want_all(&test);
    test_solve(&test);
    expect_row(&test, 0, INFINITY, -INFINITY, 0, 0);
    assert_true(out(&test, ORACLE_ROLE_GRAD_LOGITS, 0) == 0 && out(&test, ORACLE_ROLE_ACCURACY, 0) == 1);
    test_drop(&test);
}

static void test_target_left_out(void **state) {
    (void)state;
    const double taus[] = {0, 0.5, 1, 1.5, 2, 3};
    const double values[] = {INFINITY, INFINITY, INFINITY, 2, 1, 0.5};
    const double slopes[] = {(double)FLT_MAX, (double)FLT_MAX, 1, 0, 0, 0};
    for (int i = 0; i < 6; i++) {
        test_case test;
        start(&test, ORACLE_LOSS_COMP_SUM, 1);
        test.logits[0] = -INFINITY;
        test.logits[3] = -INFINITY;
        test_set(&test, ORACLE_PARAM_TAU, taus[i]);
        test_solve(&test);
        double p_1 = 1 / (1 + exp(test.logits[2] - test.logits[1]));
        test_near(out(&test, ORACLE_ROLE_LOSS, 0), values[i], 1e-15, "limit of the value");
        test_near(out(&test, ORACLE_ROLE_GRAD_LOGITS, 0), -slopes[i], 0, "target");
        test_near(out(&test, ORACLE_ROLE_GRAD_LOGITS, 1), slopes[i] * p_1, 1e-15 * slopes[i], "other");
        test_near(out(&test, ORACLE_ROLE_GRAD_LOGITS, 3), 0, 0, "left out");
        test_near(out(&test, ORACLE_ROLE_LSE, 0), log(exp(test.logits[1]) + exp(test.logits[2])), 1e-15, "lse");
        test_drop(&test);
    }
}

static void test_target_left_out_weights(void **state) {
    (void)state;
    for (unsigned mask = 0; mask < 4; mask++) {
        test_case test;
        start(&test, ORACLE_LOSS_CROSS_ENTROPY, 2);
        test.logits[0] = -INFINITY;
        test.weight[0] = mask & 1 ? 0 : 2;
        test.row_weight[0] = mask & 2 ? 0 : 3;
        test_bind(&test, ORACLE_ROLE_WEIGHT);
        test_bind(&test, ORACLE_ROLE_ROW_WEIGHT);
        test_set(&test, ORACLE_PARAM_REDUCTION, ORACLE_REDUCTION_SUM);
        test_solve(&test);
        test_near(out(&test, ORACLE_ROLE_ROW_LOSS, 0), mask == 0 ? INFINITY : 0, 0, "row_loss");
        test_near(out(&test, ORACLE_ROLE_GRAD_LOGITS, 0), mask == 0 ? -6 : 0, 0, "target");
        test_drop(&test);
    }
}

// Smoothing spreads the target over all columns, the left out ones too.
static void test_column_left_out(void **state) {
    (void)state;
    for (int weightless = 0; weightless < 2; weightless++) {
        for (int smooth = 0; smooth < 2; smooth++) {
            test_case test;
            start(&test, ORACLE_LOSS_CROSS_ENTROPY, 1);
            test.logits[3] = -INFINITY;
            test.weight[3] = weightless ? 0 : 0.75;
            test_bind(&test, ORACLE_ROLE_WEIGHT);
            test_set(&test, ORACLE_PARAM_REDUCTION, ORACLE_REDUCTION_SUM);
            test_set(&test, ORACLE_PARAM_LABEL_SMOOTHING, smooth ? 0.2 : 0);
            test_solve(&test);
            double want = 0, share = smooth ? 0.2 / COLS : 0, total = 0;
            for (int j = 0; j < 3; j++) {
                want += share * test.weight[j] * (out(&test, ORACLE_ROLE_LSE, 0) - test.logits[j]);
                total += test.weight[j];
            }
            total += test.weight[3];
            double n = out(&test, ORACLE_ROLE_LSE, 0) - test.logits[0];
            want += (smooth ? 0.8 : 1) * test.weight[0] * n;
            test_near(out(&test, ORACLE_ROLE_LOSS, 0), smooth && !weightless ? INFINITY : want, 1e-14, "loss");
            test_near(out(&test, ORACLE_ROLE_GRAD_LOGITS, 3), -share * test.weight[3], 1e-17, "left out");
            double p = exp(test.logits[1] - out(&test, ORACLE_ROLE_LSE, 0));
            double slope = (smooth ? 0.8 : 1) * test.weight[0] * p + share * (total * p - test.weight[1]);
            test_near(out(&test, ORACLE_ROLE_GRAD_LOGITS, 1), slope, 1e-15, "finite column");
            expect_status(&test, 0, 0, 0);
            test_drop(&test);
        }
    }
}

// All columns but the target left out: p_y = 1.
static void test_only_the_target(void **state) {
    (void)state;
    for (int loss = 1; loss <= 2; loss++) {
        test_case test;
        start(&test, loss, 1);
        fill_row(&test, 0, -INFINITY);
        test.logits[0] = 5;
        test_solve(&test);
        expect_row(&test, 0, 0, 5, 0, 0);
        for (int64_t j = 0; j < COLS; j++) {
            assert_true(out(&test, ORACLE_ROLE_GRAD_LOGITS, j) == 0);
        }
        test_drop(&test);
    }
}

// A softcap does not bring a column back, and its gradient there has slope 0.
static void test_softcap_keeps_classes(void **state) {
    (void)state;
    test_case test;
    start(&test, ORACLE_LOSS_CROSS_ENTROPY, 1);
    test.logits[0] = -INFINITY;
    test.logits[3] = -INFINITY;
    test_set(&test, ORACLE_PARAM_SOFTCAP, 4);
    test_set(&test, ORACLE_PARAM_LABEL_SMOOTHING, 0.1);
    test_solve(&test);
    double x_1 = 4 * tanh(test.logits[1] / 4), x_2 = 4 * tanh(test.logits[2] / 4);
    test_near(out(&test, ORACLE_ROLE_LSE, 0), log(exp(x_1) + exp(x_2)), 1e-15, "lse");
    test_near(out(&test, ORACLE_ROLE_LOSS, 0), INFINITY, 0, "loss");
    assert_true(out(&test, ORACLE_ROLE_GRAD_LOGITS, 0) == 0 && out(&test, ORACLE_ROLE_GRAD_LOGITS, 3) == 0);
    double p = 1 / (1 + exp(x_2 - x_1)), slope = (1 - pow(tanh(test.logits[1] / 4), 2)) * (p - 0.1 / COLS);
    test_near(out(&test, ORACLE_ROLE_GRAD_LOGITS, 1), slope, 1e-15, "finite column");
    test_drop(&test);
}

// argmax is that of the logits themselves: saturation of the cap makes no ties.
static void test_argmax(void **state) {
    (void)state;
    test_case test;
    start(&test, ORACLE_LOSS_CROSS_ENTROPY, 2);
    const double logits[] = {1, 3, 3, -2, 900, 901, 902, 902};
    memcpy(test.logits, logits, sizeof logits);
    test.target[0] = 1;
    test.target[1] = 3;
    test_set(&test, ORACLE_PARAM_SOFTCAP, 10);
    test_solve(&test);
    assert_true(out(&test, ORACLE_ROLE_ARGMAX, 0) == 1 && out(&test, ORACLE_ROLE_ARGMAX, 1) == 2);
    assert_true(out(&test, ORACLE_ROLE_ACCURACY, 0) == 0.5);
    test_drop(&test);
}

static void test_nothing_counted(void **state) {
    (void)state;
    for (int64_t rows = 0; rows <= 2; rows += 2) {
        for (int reduction = 0; reduction < 3; reduction++) {
            test_case test;
            start(&test, ORACLE_LOSS_CROSS_ENTROPY, rows);
            test.target[0] = -100;
            test.target[1] = -100;
            test_set(&test, ORACLE_PARAM_REDUCTION, reduction);
            test_solve(&test);
            const oracle_array *loss = &test.problem.out[ORACLE_ROLE_LOSS];
            assert_int_equal(oracle_count(loss), reduction == ORACLE_REDUCTION_NONE ? rows : 1);
            for (int64_t i = 0; i < oracle_count(loss); i++) {
                assert_true(loss->data[i] == 0);
            }
            assert_true(out(&test, ORACLE_ROLE_VALID_COUNT, 0) == 0 && out(&test, ORACLE_ROLE_ACCURACY, 0) == 0);
            for (int64_t r = 0; r < rows; r++) {
                expect_gradient(&test, r, 0);
            }
            expect_status(&test, 0, 0, 0);
            test_drop(&test);
        }
    }
}

// A weight sum of 0 under mean: loss and gradient 0, rows still count, upstream_lse still acts; a NaN row stays NaN.
static void test_weight_sum_zero(void **state) {
    (void)state;
    for (int poisoned = 0; poisoned < 2; poisoned++) {
        test_case test;
        start(&test, ORACLE_LOSS_CROSS_ENTROPY, 2);
        test.weight[0] = 0;
        test.weight[1] = 0;
        test.upstream_lse[0] = 2;
        test_bind(&test, ORACLE_ROLE_WEIGHT);
        test_bind(&test, ORACLE_ROLE_UPSTREAM_LSE);
        test_set(&test, ORACLE_PARAM_Z_LOSS, 1);
        test_set(&test, ORACLE_PARAM_LABEL_SMOOTHING, 0.5);
        if (poisoned) {
            fill_row(&test, 1, NAN);
        }
        test_solve(&test);
        test_near(out(&test, ORACLE_ROLE_LOSS, 0), poisoned ? NAN : 0, 0, "loss");
        assert_true(out(&test, ORACLE_ROLE_VALID_COUNT, 0) == 2 && out(&test, ORACLE_ROLE_ROW_LOSS, 0) > 0);
        double p = exp(test.logits[2] - out(&test, ORACLE_ROLE_LSE, 0));
        test_near(out(&test, ORACLE_ROLE_GRAD_LOGITS, 2), 2 * p, 1e-15, "upstream_lse alone");
        if (poisoned) {
            expect_gradient(&test, 1, NAN);
        }
        test_drop(&test);
    }
}

// NaN, then +inf, then finite: what a sum takes from its rows.
static void test_reduction_of_infinities(void **state) {
    (void)state;
    for (int reduction = 1; reduction < 3; reduction++) {
        test_case test;
        start(&test, ORACLE_LOSS_CROSS_ENTROPY, 3);
        test_set(&test, ORACLE_PARAM_REDUCTION, reduction);
        fill_row(&test, 0, -INFINITY);
        test_solve(&test);
        assert_true(out(&test, ORACLE_ROLE_LOSS, 0) == INFINITY);
        assert_true(isfinite(out(&test, ORACLE_ROLE_GRAD_LOGITS, COLS)));
        fill_row(&test, 1, NAN);
        test_solve(&test);
        assert_true(isnan(out(&test, ORACLE_ROLE_LOSS, 0)));
        test_drop(&test);
    }
}

// Beyond f32: values go to +inf, slopes stop at FLT_MAX.
static void test_beyond_f32(void **state) {
    (void)state;
    test_case test;
    start(&test, ORACLE_LOSS_COMP_SUM, 1);
    test_set(&test, ORACLE_PARAM_TAU, 0);
    test.logits[0] = -200;
    test_solve(&test);
    test_near(out(&test, ORACLE_ROLE_LOSS, 0), INFINITY, 0, "value");
    test_near(out(&test, ORACLE_ROLE_GRAD_LOGITS, 0), -(double)FLT_MAX, 0, "slope");
    test_drop(&test);
    start(&test, ORACLE_LOSS_CROSS_ENTROPY, 1);
    test.logits[0] = -3e38;
    test.logits[1] = 3e38;
    test_set(&test, ORACLE_PARAM_Z_LOSS, 1e-4);
    test_solve(&test);
    test_near(out(&test, ORACLE_ROLE_LOSS, 0), INFINITY, 0, "value");
    test_near(out(&test, ORACLE_ROLE_LSE, 0), 3e38, 0, "lse");
    test_near(out(&test, ORACLE_ROLE_GRAD_LOGITS, 0), -1, 0, "target");
    test_drop(&test);
}

const struct CMUnitTest special_tests[] = {
    cmocka_unit_test(test_rows_left_out),
    cmocka_unit_test(test_poisoned_rows),
    cmocka_unit_test(test_empty_rows),
    cmocka_unit_test(test_empty_row_weights),
    cmocka_unit_test(test_empty_single_column),
    cmocka_unit_test(test_target_left_out),
    cmocka_unit_test(test_target_left_out_weights),
    cmocka_unit_test(test_column_left_out),
    cmocka_unit_test(test_only_the_target),
    cmocka_unit_test(test_softcap_keeps_classes),
    cmocka_unit_test(test_argmax),
    cmocka_unit_test(test_nothing_counted),
    cmocka_unit_test(test_weight_sum_zero),
    cmocka_unit_test(test_reduction_of_infinities),
    cmocka_unit_test(test_beyond_f32),
};
const size_t special_test_count = sizeof special_tests / sizeof special_tests[0];
