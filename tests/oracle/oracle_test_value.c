// oracle_test_value.c - values against closed forms and against the plain formula; laws; errors of the interface.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "oracle_test.h"

// ---- closed forms ----

static void solve_row(test_case *test, int loss, const double *logits, int64_t cols, double target) {
    test_make(test, loss, 1, cols, 1, 1);
    memcpy(test->logits, logits, (size_t)cols * sizeof logits[0]);
    test->target[0] = target;
    test_want_all(test);
}

static void test_one_column(void **state) {
    (void)state;
    test_case test;
    const double z = 3;
    for (int loss = 1; loss <= 2; loss++) {
        solve_row(&test, loss, &z, 1, 0);
        test_solve(&test);
        assert_true(test_out(&test, ORACLE_ROLE_LOSS)[0] == 0);
        assert_true(test_out(&test, ORACLE_ROLE_GRAD_LOGITS)[0] == 0);
        assert_true(test_out(&test, ORACLE_ROLE_LSE)[0] == 3);
        assert_true(test_out(&test, ORACLE_ROLE_ACCURACY)[0] == 1);
        test_set(&test, ORACLE_PARAM_Z_LOSS, 0.5);
        test_set(&test, ORACLE_PARAM_TEMPERATURE, 2);
        test_bind(&test, ORACLE_ROLE_UPSTREAM_LSE);
        test_solve(&test);
        test_near(test_out(&test, ORACLE_ROLE_LOSS)[0], 0.5 * 1.5 * 1.5, 1e-15, "z_loss of one column");
        double slope = (2 * 0.5 * 1.5 + test.upstream_lse[0]) / 2;
        test_near(test_out(&test, ORACLE_ROLE_GRAD_LOGITS)[0], slope, 1e-15, "gradient of one column");
        test_drop(&test);
    }
}

static void test_two_columns(void **state) {
    (void)state;
    for (double d = -700; d <= 700; d += 3.5) {
        const double logits[] = {d, 0};   // t = d for target 1
        test_case test;
        solve_row(&test, ORACLE_LOSS_CROSS_ENTROPY, logits, 2, 1);
        test_solve(&test);
        double n = d > 0 ? d + log1p(exp(-d)) : log1p(exp(d));
        double sigma = d > 0 ? 1 / (1 + exp(-d)) : exp(d) / (1 + exp(d));
        test_near(test_out(&test, ORACLE_ROLE_LOSS)[0], n, 1e-14 * n, "softplus");
        test_near(test_out(&test, ORACLE_ROLE_GRAD_LOGITS)[0], sigma, 4e-13 * sigma, "sigmoid");
        test_near(test_out(&test, ORACLE_ROLE_GRAD_LOGITS)[1], -sigma, 4e-13 * sigma, "minus sigmoid");
        test_drop(&test);
    }
}

static void test_uniform_logits(void **state) {
    (void)state;
    double logits[TEST_COLS];
    for (int64_t cols = 1; cols <= TEST_COLS; cols++) {
        for (int64_t j = 0; j < cols; j++) {
            logits[j] = -17.25;
        }
        test_case test;
        solve_row(&test, ORACLE_LOSS_CROSS_ENTROPY, logits, cols, (double)(cols - 1));
        test_set(&test, ORACLE_PARAM_LABEL_SMOOTHING, 0.3);
        test_solve(&test);
        double log_cols = log((double)cols);
        test_near(test_out(&test, ORACLE_ROLE_LOSS)[0], log_cols, 1e-15 * (1 + log_cols), "log cols");
        test_near(test_out(&test, ORACLE_ROLE_ENTROPY)[0], log_cols, 1e-15 * (1 + log_cols), "entropy");
        test_near(test_out(&test, ORACLE_ROLE_LSE)[0], log_cols - 17.25, 1e-14, "lse");
        assert_true(test_out(&test, ORACLE_ROLE_ARGMAX)[0] == 0);
        test_drop(&test);
    }
}

static void test_dominated(void **state) {
    (void)state;
    double logits[10] = {0};
    for (double d = 1; d < 600; d += 7) {
        logits[4] = d;
        double u = 9 * exp(-d);
        test_case test;
        solve_row(&test, ORACLE_LOSS_CROSS_ENTROPY, logits, 10, 4);
        test_solve(&test);
        test_near(test_out(&test, ORACLE_ROLE_LOSS)[0], log1p(u), 1e-14 * u, "dominating target");
        double sigma = u / (1 + u);
        test_near(test_out(&test, ORACLE_ROLE_GRAD_LOGITS)[4], -sigma, 1e-14 * sigma, "its gradient");
        test_near(test_out(&test, ORACLE_ROLE_GRAD_LOGITS)[0], sigma / 9, 1e-14 * sigma, "the others'");
        double scale = test.problem.scale[ORACLE_ROLE_LOSS].data[0];
        assert_true(d > 60 || scale < log1p(u) * (10 + d));   // never inflated to O(1); then flushes count
        test_drop(&test);
    }
}

// comp_sum in terms of p: sum-exponential, square-root form, GCE of Zhang and Sabuncu, MAE.
static void test_comp_sum_forms(void **state) {
    (void)state;
    const double logits[] = {0.3, -1.2, 2.1, 0.05, -0.7};
    double u = 0;
    for (int j = 0; j < 5; j++) {
        u += j == 3 ? 0 : exp(logits[j] - logits[3]);
    }
    double p = 1 / (1 + u);
    const double taus[] = {0, 0.5, 1, 1.7, 2, 3};
    const double values[] = {u, 2 * (1 / sqrt(p) - 1), log1p(u), (1 - pow(p, 0.7)) / 0.7, 1 - p, (1 - p * p) / 2};
    for (int i = 0; i < 6; i++) {
        test_case test;
        solve_row(&test, ORACLE_LOSS_COMP_SUM, logits, 5, 3);
        test_set(&test, ORACLE_PARAM_TAU, taus[i]);
        test_solve(&test);
        test_near(test_out(&test, ORACLE_ROLE_LOSS)[0], values[i], 1e-14 * values[i], "comp_sum");
        test_near(test_out(&test, ORACLE_ROLE_GRAD_LOGITS)[3], pow(p, taus[i] - 1) * (p - 1), 1e-13, "its gradient");
        test_drop(&test);
    }
}

// tau near 1 passes into cross-entropy without a gap, and at 1 it is cross-entropy.
static void test_comp_sum_near_one(void **state) {
    (void)state;
    test_case plain, near;
    for (double step = -1e-3; step <= 1e-3; step += 1e-3) {
        for (double size = 1e-9; size <= 1; size *= 1e3) {
            test_make(&plain, ORACLE_LOSS_CROSS_ENTROPY, 4, 9, 4, 5);
            test_make(&near, ORACLE_LOSS_COMP_SUM, 4, 9, 4, 5);
            test_set(&near, ORACLE_PARAM_TAU, 1 + step * size);
            test_want_all(&plain);
            test_want_all(&near);
            test_solve(&plain);
            test_solve(&near);
            for (int r = 0; r < 4; r++) {
                double n = test_out(&plain, ORACLE_ROLE_ROW_LOSS)[r];
                double series = n - step * size * n * n / 2 + step * step * size * size * n * n * n / 6;
                double rest = pow(step * size, 3) * n * n * n * n;
                double tolerance = 1e-15 * n * (1 + n) + fabs(rest);
                test_near(test_out(&near, ORACLE_ROLE_ROW_LOSS)[r], series, tolerance, "tau near 1");
            }
            test_drop(&plain);
            test_drop(&near);
        }
    }
}

// ---- the plain formula ----

typedef struct plain_row {
    long double lse, value, entropy;
} plain_row;

static long double plain_x(const test_case *test, int64_t at) {
    long double cap = (long double)test->problem.param[ORACLE_PARAM_SOFTCAP];
    long double z = (long double)test->logits[at];
    return (cap > 0 ? cap * tanhl(z / cap) : z) / (long double)test->problem.param[ORACLE_PARAM_TEMPERATURE];
}

// Straight from the definition, for logits of moderate size.
static plain_row plain(const test_case *test, int64_t r, bool weighted) {
    long double sum = 0, mean = 0, spread = 0;
    int64_t y = (int64_t)test->target[r];
    for (int64_t j = 0; j < test->cols; j++) {
        long double x = plain_x(test, r * test->cols + j);
        sum += expl(x);
        mean += expl(x) * x;
    }
    plain_row row = {.lse = logl(sum)};
    row.entropy = row.lse - mean / sum;
    for (int64_t j = 0; j < test->cols; j++) {
        spread += (long double)(weighted ? test->weight[j] : 1) * (row.lse - plain_x(test, r * test->cols + j));
    }
    long double n = row.lse - plain_x(test, r * test->cols + y);
    long double weight = (long double)(weighted ? test->weight[y] : 1);
    if (test->problem.loss == ORACLE_LOSS_CROSS_ENTROPY) {
        long double s = (long double)test->problem.param[ORACLE_PARAM_LABEL_SMOOTHING];
        row.value = weight * (1 - s) * n + s / (long double)test->cols * spread;
    } else {
        long double power = 1 - (long double)test->problem.param[ORACLE_PARAM_TAU];
        row.value = weight * (power == 0 ? n : (expl(power * n) - 1) / power);
    }
    row.value += (long double)test->problem.param[ORACLE_PARAM_Z_LOSS] * row.lse * row.lse;
    return row;
}

static void compare_plain(test_case *test, unsigned mask, int reduction) {
    bool weighted = mask & 1, row_weighted = mask & 2;
    long double sum = 0, weights = 0;
    for (int64_t r = 0; r < test->rows; r++) {
        if (test->target[r] < 0) {
            continue;
        }
        plain_row row = plain(test, r, weighted);
        row.value *= (long double)(row_weighted ? test->row_weight[r] : 1);
        sum += row.value;
        weights += (long double)(weighted ? test->weight[(int64_t)test->target[r]] : 1);
        double value = (double)row.value, tolerance = 1e-13 * (1 + fabs(value));
        test_near(test_out(test, ORACLE_ROLE_ROW_LOSS)[r], value, tolerance, "row_loss");
        test_near(test_out(test, ORACLE_ROLE_LSE)[r], (double)row.lse, 1e-13, "lse");
        test_near(test_out(test, ORACLE_ROLE_ENTROPY)[r], (double)row.entropy, 1e-13, "entropy");
        if (reduction == ORACLE_REDUCTION_NONE) {
            test_near(test_out(test, ORACLE_ROLE_LOSS)[r], value, tolerance, "loss by row");
        }
    }
    double total = (double)(reduction == ORACLE_REDUCTION_MEAN ? sum / weights : sum);
    if (reduction != ORACLE_REDUCTION_NONE) {
        test_near(test_out(test, ORACLE_ROLE_LOSS)[0], total, 1e-13 * (1 + fabs(total)), "reduced loss");
    }
}

static void test_plain_formula(void **state) {
    (void)state;
    for (unsigned mask = 0; mask < 32; mask++) {
        for (int choice = 0; choice < 6; choice++) {
            test_case test;
            int loss = choice < 3 ? ORACLE_LOSS_CROSS_ENTROPY : ORACLE_LOSS_COMP_SUM;
            test_make(&test, loss, 5, 11, 2, mask);
            test.target[2] = -100;
            test_set(&test, ORACLE_PARAM_REDUCTION, choice % 3);
            test_set(&test, ORACLE_PARAM_Z_LOSS, mask & 4 ? 0.03 : 0);
            test_set(&test, ORACLE_PARAM_SOFTCAP, mask & 8 ? 5 : 0);
            test_set(&test, ORACLE_PARAM_TEMPERATURE, mask & 16 ? 1.3 : 1);
            test_set(&test, choice < 3 ? ORACLE_PARAM_LABEL_SMOOTHING : ORACLE_PARAM_TAU, 0.2);
            if (mask & 1) {
                test_bind(&test, ORACLE_ROLE_WEIGHT);
            }
            if (mask & 2) {
                test_bind(&test, ORACLE_ROLE_ROW_WEIGHT);
            }
            test_want_all(&test);
            test_solve(&test);
            compare_plain(&test, mask, choice % 3);
            assert_true(test_out(&test, ORACLE_ROLE_VALID_COUNT)[0] == 4);
            test_drop(&test);
        }
    }
}

// ---- laws ----

static void test_shift(void **state) {
    (void)state;
    for (int loss = 1; loss <= 2; loss++) {
        test_case base, moved;
        test_make(&base, loss, 4, 13, 3, 11);
        for (int64_t i = 0; i < 4 * 13; i++) {
            base.logits[i] = ldexp(round(ldexp(base.logits[i], 20)), -20);   // so that the shift is exact
        }
        moved = base;
        for (int64_t i = 0; i < 4 * 13; i++) {
            moved.logits[i] += 1048576;
        }
        test_bind(&moved, ORACLE_ROLE_LOGITS);
        test_bind(&moved, ORACLE_ROLE_TARGET);
        test_bind(&base, ORACLE_ROLE_LOGITS);
        test_bind(&base, ORACLE_ROLE_TARGET);
        test_want_all(&base);
        test_want_all(&moved);
        test_solve(&base);
        test_solve(&moved);
        test_near(test_out(&moved, ORACLE_ROLE_LOSS)[0], test_out(&base, ORACLE_ROLE_LOSS)[0], 0, "shifted loss");
        for (int64_t i = 0; i < 4 * 13; i++) {
            test_near(test_out(&moved, ORACLE_ROLE_GRAD_LOGITS)[i], test_out(&base, ORACLE_ROLE_GRAD_LOGITS)[i], 0,
                      "shifted gradient");
        }
        for (int64_t r = 0; r < 4; r++) {
            test_near(test_out(&moved, ORACLE_ROLE_LSE)[r], test_out(&base, ORACLE_ROLE_LSE)[r] + 1048576, 1e-9, "lse");
            test_near(test_out(&moved, ORACLE_ROLE_ENTROPY)[r], test_out(&base, ORACLE_ROLE_ENTROPY)[r], 0, "entropy");
        }
        test_drop(&base);
        test_drop(&moved);
    }
}

// Without softcap, z_loss and upstream_lse a shift changes nothing, so a row of the gradient sums to 0.
static void test_gradient_sum(void **state) {
    (void)state;
    for (int loss = 1; loss <= 2; loss++) {
        for (unsigned mask = 0; mask < 8; mask++) {
            test_case test;
            test_make(&test, loss, 6, 40, 3, mask);
            test_set(&test, ORACLE_PARAM_TEMPERATURE, mask & 1 ? 0.5 : 1);
            if (mask & 2) {
                test_bind(&test, ORACLE_ROLE_WEIGHT);
            }
            if (mask & 4) {
                test_set(&test, loss == ORACLE_LOSS_COMP_SUM ? ORACLE_PARAM_TAU : ORACLE_PARAM_LABEL_SMOOTHING, 0.5);
            }
            test_want_all(&test);
            test_solve(&test);
            for (int64_t r = 0; r < 6; r++) {
                double sum = 0, size = 0;
                for (int64_t j = 0; j < 40; j++) {
                    sum += test_out(&test, ORACLE_ROLE_GRAD_LOGITS)[r * 40 + j];
                    size += fabs(test_out(&test, ORACLE_ROLE_GRAD_LOGITS)[r * 40 + j]);
                }
                test_near(sum, 0, 1e-14 * size, "gradient of a row");
            }
            test_drop(&test);
        }
    }
}

// Columns are permuted with targets and weights, rows with all that belongs to them: values follow.
static void test_permutation(void **state) {
    (void)state;
    test_case base, moved;
    test_make(&base, ORACLE_LOSS_CROSS_ENTROPY, 5, 7, 2, 21);
    moved = base;
    for (int64_t r = 0; r < 5; r++) {
        int64_t to = (r * 3 + 1) % 5;
        moved.target[to] = (double)(((int64_t)base.target[r] * 4 + 2) % 7);
        moved.row_weight[to] = base.row_weight[r];
        for (int64_t j = 0; j < 7; j++) {
            moved.logits[to * 7 + (j * 4 + 2) % 7] = base.logits[r * 7 + j];
            moved.weight[(j * 4 + 2) % 7] = base.weight[j];
        }
    }
    test_case *const both[] = {&base, &moved};
    for (int i = 0; i < 2; i++) {
        test_set(both[i], ORACLE_PARAM_LABEL_SMOOTHING, 0.1);
        test_bind(both[i], ORACLE_ROLE_LOGITS);
        test_bind(both[i], ORACLE_ROLE_TARGET);
        test_bind(both[i], ORACLE_ROLE_WEIGHT);
        test_bind(both[i], ORACLE_ROLE_ROW_WEIGHT);
        test_want_all(both[i]);
        test_solve(both[i]);
    }
    test_near(test_out(&moved, ORACLE_ROLE_LOSS)[0], test_out(&base, ORACLE_ROLE_LOSS)[0], 1e-15, "loss");
    for (int64_t r = 0; r < 5; r++) {
        int64_t to = (r * 3 + 1) % 5;
        test_near(test_out(&moved, ORACLE_ROLE_ROW_LOSS)[to], test_out(&base, ORACLE_ROLE_ROW_LOSS)[r], 1e-14, "row");
        for (int64_t j = 0; j < 7; j++) {
            test_near(test_out(&moved, ORACLE_ROLE_GRAD_LOGITS)[to * 7 + (j * 4 + 2) % 7],
                      test_out(&base, ORACLE_ROLE_GRAD_LOGITS)[r * 7 + j], 1e-15, "gradient");
        }
    }
    test_drop(&base);
    test_drop(&moved);
}

// ---- errors of the interface ----

static void expect_error(test_case *test, const char *part) {
    const char *fault = oracle_solve(&test->problem);
    if (fault == NULL || strstr(fault, part) == NULL) {
        fail_msg("want an error with '%s', got %s", part, fault == NULL ? "none" : fault);
    }
    assert_null(test->problem.out[ORACLE_ROLE_LOSS].data);
    test_make(test, ORACLE_LOSS_CROSS_ENTROPY, 3, 4, 1, 1);
    test_want_all(test);
}

static void test_errors(void **state) {
    (void)state;
    test_case test;
    test_make(&test, 9999, 3, 4, 1, 1);
    expect_error(&test, "no such loss");
    test.problem.in[ORACLE_ROLE_TARGET].data = NULL;
    expect_error(&test, "required input");
    test_set(&test, ORACLE_PARAM_TAU, 1);
    expect_error(&test, "does not have");
    test_set(&test, ORACLE_PARAM_TEMPERATURE, 0);
    expect_error(&test, "range");
    test_set(&test, ORACLE_PARAM_TEMPERATURE, NAN);
    expect_error(&test, "range");
    test_set(&test, ORACLE_PARAM_LABEL_SMOOTHING, 1.5);
    expect_error(&test, "range");
    test_set(&test, ORACLE_PARAM_IGNORE_INDEX, 0.5);
    expect_error(&test, "integer");
    test_set(&test, ORACLE_PARAM_REDUCTION, 3);
    expect_error(&test, "range");
    test.problem.want[ORACLE_ROLE_STATISTICS] = true;
    expect_error(&test, "does not make");
    test.problem.want[ORACLE_ROLE_LOGITS] = true;
    expect_error(&test, "does not make");
    test.problem.in[ORACLE_ROLE_LOSS].data = test.upstream;
    expect_error(&test, "does not have");
    test.problem.in[ORACLE_ROLE_LOGITS].extents[1] = 0;
    expect_error(&test, "at least one column");
    test.problem.in[ORACLE_ROLE_TARGET].extents[0] = 2;
    expect_error(&test, "wrong shape");
    test_bind(&test, ORACLE_ROLE_UPSTREAM);
    test_set(&test, ORACLE_PARAM_REDUCTION, ORACLE_REDUCTION_NONE);
    expect_error(&test, "wrong shape");
    test_set(&test, ORACLE_PARAM_REDUCTION, ORACLE_REDUCTION_NONE);
    test_bind(&test, ORACLE_ROLE_UPSTREAM);
    test_set(&test, ORACLE_PARAM_REDUCTION, ORACLE_REDUCTION_MEAN);
    expect_error(&test, "wrong shape");
}

// Only what is wanted is made, and a problem can be solved again.
static void test_wanted_only(void **state) {
    (void)state;
    test_case test;
    test_make(&test, ORACLE_LOSS_COMP_SUM, 3, 4, 1, 1);
    test.problem.want[ORACLE_ROLE_LSE] = true;
    test_solve(&test);
    test_solve(&test);
    for (int role = 0; role < ORACLE_ROLES; role++) {
        assert_int_equal(test.problem.out[role].data != NULL, role == ORACLE_ROLE_LSE);
        assert_int_equal(test.problem.scale[role].data != NULL, role == ORACLE_ROLE_LSE);
    }
    assert_true(test.problem.param[ORACLE_PARAM_TAU] == 1 && !test.problem.param_given[ORACLE_PARAM_TAU]);
    test_drop(&test);
    assert_null(test.problem.out[ORACLE_ROLE_LSE].data);
}

const struct CMUnitTest value_tests[] = {
    cmocka_unit_test(test_one_column),        cmocka_unit_test(test_two_columns),
    cmocka_unit_test(test_uniform_logits),    cmocka_unit_test(test_dominated),
    cmocka_unit_test(test_comp_sum_forms),    cmocka_unit_test(test_comp_sum_near_one),
    cmocka_unit_test(test_plain_formula),     cmocka_unit_test(test_shift),
    cmocka_unit_test(test_gradient_sum),      cmocka_unit_test(test_permutation),
    cmocka_unit_test(test_errors),            cmocka_unit_test(test_wanted_only),
};
const size_t value_test_count = sizeof value_tests / sizeof value_tests[0];
