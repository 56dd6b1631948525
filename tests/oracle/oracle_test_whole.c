// oracle_test_whole.c - losses without a target column: gradients against differences, values against closed forms, and
// the special values.
#include <math.h>
#include <stdio.h>

#include "oracle_test.h"

enum { ROWS = 3, COLS = 5, SWITCHES = 6 };

// One loss with one value of a parameter of its own (0: none).
typedef struct variant {
    int loss, param;
    double value;
} variant;

static const variant variants[] = {
    {ORACLE_LOSS_ENTROPY, 0, 0},
    {ORACLE_LOSS_KL_LOGITS, ORACLE_PARAM_DIRECTION, 0},
    {ORACLE_LOSS_KL_LOGITS, ORACLE_PARAM_DIRECTION, 1},
    {ORACLE_LOSS_KL_LOGITS, ORACLE_PARAM_DIRECTION, 2},
    {ORACLE_LOSS_CROSS_ENTROPY_LOGITS, ORACLE_PARAM_SYMMETRIC, 0},
    {ORACLE_LOSS_CROSS_ENTROPY_LOGITS, ORACLE_PARAM_SYMMETRIC, 1},
    {ORACLE_LOSS_CROSS_ENTROPY, ORACLE_PARAM_LABEL_SMOOTHING, 0},      // with probabilities
    {ORACLE_LOSS_CROSS_ENTROPY, ORACLE_PARAM_LABEL_SMOOTHING, 0.2},
    {ORACLE_LOSS_HL_GAUSS, ORACLE_PARAM_SIGMA, 0},
    {ORACLE_LOSS_HL_GAUSS, ORACLE_PARAM_SIGMA, 0.3},
};

static void bind_shares(test_case *test) {
    oracle_array shares = {.rank = 2, .extents = {test->rows, test->cols}, .data = test->shares};
    test->problem.in[ORACLE_ROLE_TARGET] = shares;
}

// Bits of `mask`: row_weight, upstream, upstream_lse, temperature, softcap, z_loss.
static void configure(test_case *test, const variant *of, int reduction, unsigned mask) {
    test_make(test, of->loss, ROWS, COLS, 1.5, 5 * mask + (unsigned)reduction);
    if (of->param != 0) {
        test_set(test, of->param, of->value);
    }
    if (of->loss == ORACLE_LOSS_CROSS_ENTROPY) {
        bind_shares(test);
        if (mask & 1) {
            test_bind(test, ORACLE_ROLE_WEIGHT);
        }
    }
    for (int i = 0; i < ROWS && of->loss == ORACLE_LOSS_HL_GAUSS; i++) {
        test->target[i] = 0.6 * i - 0.05;
    }
    test_set(test, ORACLE_PARAM_REDUCTION, reduction);
    const int roles[] = {ORACLE_ROLE_ROW_WEIGHT, ORACLE_ROLE_UPSTREAM, ORACLE_ROLE_UPSTREAM_LSE};
    for (unsigned i = 0; i < 3; i++) {
        if (mask >> i & 1) {
            test_bind(test, roles[i]);
        }
    }
    const int params[] = {ORACLE_PARAM_TEMPERATURE, ORACLE_PARAM_SOFTCAP, ORACLE_PARAM_Z_LOSS};
    const double values[] = {0.7, 3, 0.05};
    for (unsigned i = 0; i < 3; i++) {
        if (mask >> (3 + i) & 1) {
            test_set(test, params[i], values[i]);
        }
    }
    test->problem.want[ORACLE_ROLE_LOSS] = true;
    test->problem.want[ORACLE_ROLE_LSE] = true;
    test->problem.want[ORACLE_ROLE_GRAD_LOGITS] = true;
    test->problem.want[ORACLE_ROLE_GRAD_TEACHER_LOGITS] = test->problem.in[ORACLE_ROLE_TEACHER_LOGITS].data != NULL;
}

// What the gradients are those of: upstream . loss + upstream_lse . lse.
static double objective(test_case *test) {
    test_solve(test);
    const double *upstream = test->problem.in[ORACLE_ROLE_UPSTREAM].data;
    const double *upstream_lse = test->problem.in[ORACLE_ROLE_UPSTREAM_LSE].data;
    double sum = 0;
    for (int64_t i = 0; i < oracle_count(&test->problem.out[ORACLE_ROLE_LOSS]); i++) {
        sum += test_out(test, ORACLE_ROLE_LOSS)[i] * (upstream != NULL ? upstream[i] : 1);
    }
    for (int64_t i = 0; i < test->rows && upstream_lse != NULL; i++) {
        sum += test_out(test, ORACLE_ROLE_LSE)[i] * upstream_lse[i];
    }
    return sum;
}

// Central difference of fourth order by one of the inputs.
static double difference(test_case *test, double *at) {
    const double h = 0x1p-9, centre = *at;
    const double steps[] = {-2, -1, 1, 2}, factors[] = {1, -8, 8, -1};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *at = centre + steps[i] * h;
        sum += factors[i] * objective(test);
    }
    *at = centre;
    return sum / (12 * h);
}

static void check_gradient(test_case *test, int role, double *input, const char *what) {
    double gradient[ROWS * COLS], size = fabs(objective(test));
    for (int i = 0; i < ROWS * COLS; i++) {
        gradient[i] = test_out(test, role)[i];
        size += fabs(gradient[i]);
    }
    for (int i = 0; i < ROWS * COLS; i++) {
        test_near(gradient[i], difference(test, &input[i]), 4e-9 * (1 + size), what);
    }
}

static void test_every_combination(void **state) {
    (void)state;
    for (size_t v = 0; v < sizeof variants / sizeof variants[0]; v++) {
        for (int reduction = 0; reduction < 3; reduction++) {
            for (unsigned mask = 0; mask < 1u << SWITCHES; mask++) {
                test_case test;
                char what[120];
                snprintf(what, sizeof what, "loss %d (%g), reduction %d, mask %u", variants[v].loss, variants[v].value,
                         reduction, mask);
                configure(&test, &variants[v], reduction, mask);
                check_gradient(&test, ORACLE_ROLE_GRAD_LOGITS, test.logits, what);
                if (test.problem.want[ORACLE_ROLE_GRAD_TEACHER_LOGITS]) {
                    check_gradient(&test, ORACLE_ROLE_GRAD_TEACHER_LOGITS, test.teacher, what);
                }
                test_drop(&test);
            }
        }
    }
}

// log cols for equal logits; h(p) for two columns; and the row's own entropy.
static void test_entropy_forms(void **state) {
    (void)state;
    for (double d = -40; d <= 40; d += 2.5) {
        test_case test;
        test_make(&test, ORACLE_LOSS_ENTROPY, 1, 2, 1, 1);
        test.logits[0] = d;
        test.logits[1] = 0;
        test.problem.want[ORACLE_ROLE_LOSS] = test.problem.want[ORACLE_ROLE_ENTROPY] = true;
        test_solve(&test);
        double p = 1 / (1 + exp(-fabs(d))), q = exp(-fabs(d)) / (1 + exp(-fabs(d)));
        double want = -p * log1p(-q) - q * log(q);
        test_near(test_out(&test, ORACLE_ROLE_LOSS)[0], want, 1e-13 * want, "entropy of two");
        assert_true(test_out(&test, ORACLE_ROLE_LOSS)[0] == test_out(&test, ORACLE_ROLE_ENTROPY)[0]);
        test_drop(&test);
    }
    test_case test;
    test_make(&test, ORACLE_LOSS_ENTROPY, 2, 7, 0, 1);
    test_want_all(&test);
    test.problem.want[ORACLE_ROLE_ACCURACY] = false;
    test_solve(&test);
    test_near(test_out(&test, ORACLE_ROLE_LOSS)[0], log(7), 1e-15, "entropy of equal logits");
    for (int j = 0; j < 14; j++) {
        test_near(test_out(&test, ORACLE_ROLE_GRAD_LOGITS)[j], 0, 1e-16, "its gradient");
    }
    test_drop(&test);
}

// A row of NaN, one of -inf, one with a column left out.
static void test_entropy_special(void **state) {
    (void)state;
    test_case test;
    test_make(&test, ORACLE_LOSS_ENTROPY, 3, 3, 1, 1);
    const double logits[9] = {NAN, 0, 1, -INFINITY, -INFINITY, -INFINITY, 2, -INFINITY, 2};
    for (int i = 0; i < 9; i++) {
        test.logits[i] = logits[i];
    }
    test_want_all(&test);
    test.problem.want[ORACLE_ROLE_ACCURACY] = false;
    test_solve(&test);
    const double *value = test_out(&test, ORACLE_ROLE_ROW_LOSS), *gradient = test_out(&test, ORACLE_ROLE_GRAD_LOGITS);
    assert_true(isnan(value[0]) && value[1] == INFINITY && isnan(gradient[0]) && gradient[3] == 0);
    test_near(value[2], log(2), 1e-15, "two of three columns");
    assert_true(gradient[7] == 0);
    assert_true(test_out(&test, ORACLE_ROLE_STATUS)[1] == 1 && test_out(&test, ORACLE_ROLE_STATUS)[2] == 1);
    assert_true(test_out(&test, ORACLE_ROLE_VALID_COUNT)[0] == 3);
    test_drop(&test);
}

// ---- probabilities ----

static double solve_loss(test_case *test) {
    test->problem.want[ORACLE_ROLE_LOSS] = test->problem.want[ORACLE_ROLE_GRAD_LOGITS] = true;
    test_solve(test);
    return test_out(test, ORACLE_ROLE_LOSS)[0];
}

// A row of probabilities with one 1 is an index, smoothed or not; but class weights leave no trace in the denominator.
static void test_one_hot(void **state) {
    (void)state;
    for (int smooth = 0; smooth < 2; smooth++) {
        test_case index, shares;
        test_make(&index, ORACLE_LOSS_CROSS_ENTROPY, 4, 6, 2, 3);
        test_set(&index, ORACLE_PARAM_LABEL_SMOOTHING, smooth * 0.3);
        test_set(&index, ORACLE_PARAM_REDUCTION, ORACLE_REDUCTION_SUM);
        test_bind(&index, ORACLE_ROLE_WEIGHT);
        shares = index;
        shares.problem.in[ORACLE_ROLE_LOGITS].data = shares.logits;
        shares.problem.in[ORACLE_ROLE_WEIGHT].data = shares.weight;
        for (int i = 0; i < 24; i++) {
            shares.shares[i] = i % 6 == (int)index.target[i / 6];
        }
        bind_shares(&shares);
        double want = solve_loss(&index), got = solve_loss(&shares);
        test_near(got, want, 1e-14 * want, "one-hot probabilities");
        for (int i = 0; i < 24; i++) {
            test_near(test_out(&shares, ORACLE_ROLE_GRAD_LOGITS)[i], test_out(&index, ORACLE_ROLE_GRAD_LOGITS)[i], 1e-14,
                      "their gradient");
        }
        test_drop(&index);
        test_drop(&shares);
    }
}

static void test_odd_probabilities(void **state) {
    (void)state;
    test_case test;
    test_make(&test, ORACLE_LOSS_CROSS_ENTROPY, 4, 2, 0, 1);
    const double shares[8] = {NAN, 0, -0.5, 1, 1, 0, 0, 1};
    for (int i = 0; i < 8; i++) {
        test.shares[i] = shares[i];
    }
    test.logits[5] = -INFINITY;   // without weight
    test.logits[7] = -INFINITY;   // with weight
    bind_shares(&test);
    test_want_all(&test);
    test.problem.want[ORACLE_ROLE_ACCURACY] = false;
    test_solve(&test);
    const double *value = test_out(&test, ORACLE_ROLE_ROW_LOSS);
    assert_true(isnan(value[0]) && value[3] == INFINITY && value[2] == 0);
    test_near(value[1], 0.5 * log(2), 1e-15, "a negative probability is a number like another");
    assert_true(test_out(&test, ORACLE_ROLE_STATUS)[1] == 1);
    test_set(&test, ORACLE_PARAM_IGNORE_INDEX, 3);
    assert_non_null(oracle_solve(&test.problem));
    test_drop(&test);
}

// ---- two softmaxes ----

// By the plain formula, where it loses nothing.
static void test_plain_divergence(void **state) {
    (void)state;
    for (int direction = 0; direction < 3; direction++) {
        test_case test;
        test_make(&test, ORACLE_LOSS_KL_LOGITS, 1, 9, 2, 11);
        test_set(&test, ORACLE_PARAM_DIRECTION, direction);
        test_set(&test, ORACLE_PARAM_TEMPERATURE, 1.5);
        double p[9], q[9], sum_p = 0, sum_q = 0, forward = 0, reverse = 0;
        for (int j = 0; j < 9; j++) {
            sum_p += p[j] = exp(test.logits[j] / 1.5);
            sum_q += q[j] = exp(test.teacher[j] / 1.5);
        }
        for (int j = 0; j < 9; j++) {
            double r = log(q[j] / sum_q) - log(p[j] / sum_p);
            forward += q[j] / sum_q * r;
            reverse -= p[j] / sum_p * r;
        }
        double want = 2.25 * (direction == 0 ? forward : direction == 1 ? reverse : forward + reverse);
        test_near(solve_loss(&test), want, 1e-13 * want, "divergence");
        test_drop(&test);
    }
}

// Rows that differ by little: half the variance of the difference under q, to second order; 0 for equal rows.
static void test_near_rows(void **state) {
    (void)state;
    for (double step = 1e-2; step > 1e-7; step /= 10) {
        test_case test;
        test_make(&test, ORACLE_LOSS_KL_LOGITS, 1, 8, 1, 5);
        double sum = 0, mean = 0, variance = 0;
        for (int j = 0; j < 8; j++) {
            test.teacher[j] = test.logits[j] + step * cos(j);
            sum += exp(test.teacher[j]);
        }
        for (int j = 0; j < 8; j++) {
            mean += exp(test.teacher[j]) / sum * (test.teacher[j] - test.logits[j]);
        }
        for (int j = 0; j < 8; j++) {
            double apart = test.teacher[j] - test.logits[j] - mean;
            variance += exp(test.teacher[j]) / sum * apart * apart;
        }
        test_near(solve_loss(&test), variance / 2, (step + 1e-9 / step) * variance, "nearly equal rows");
        double scale = test.problem.scale[ORACLE_ROLE_LOSS].data[0];
        assert_true(step < 1e-3 || scale < 2e4 * variance);   // of the size of the value, not of the logits
        test_drop(&test);
    }
    test_case test;
    test_make(&test, ORACLE_LOSS_KL_LOGITS, 1, 8, 1, 5);
    for (int j = 0; j < 8; j++) {
        test.teacher[j] = test.logits[j];
    }
    assert_true(solve_loss(&test) == 0);
    test_drop(&test);
}

// A column that only one of the two has.
static void test_one_sided(void **state) {
    (void)state;
    for (int direction = 0; direction < 2; direction++) {
        for (int side = 0; side < 2; side++) {
            test_case test;
            test_make(&test, ORACLE_LOSS_KL_LOGITS, 1, 3, 0, 5);
            test_set(&test, ORACLE_PARAM_DIRECTION, direction);
            (side == 0 ? test.logits : test.teacher)[1] = -INFINITY;
            double value = solve_loss(&test);
            if (direction == side) {   // who weighs has it, the other has not
                assert_true(value == INFINITY);
            } else {
                test_near(value, log(1.5), 1e-15, "two of three columns");
            }
            test_drop(&test);
        }
    }
}

// ---- bins ----

static void test_bins(void **state) {
    (void)state;
    test_case test;
    test_make(&test, ORACLE_LOSS_HL_GAUSS, 4, 4, 0, 1);
    test_set(&test, ORACLE_PARAM_REDUCTION, ORACLE_REDUCTION_NONE);
    const double targets[4] = {0.5, -7, INFINITY, NAN};
    for (int i = 0; i < 4; i++) {
        test.target[i] = targets[i];
    }
    test.problem.want[ORACLE_ROLE_LOSS] = test.problem.want[ORACLE_ROLE_GRAD_LOGITS] = true;
    test_solve(&test);
    const double *loss = test_out(&test, ORACLE_ROLE_LOSS), *gradient = test_out(&test, ORACLE_ROLE_GRAD_LOGITS);
    for (int i = 0; i < 3; i++) {
        test_near(loss[i], log(4), 1e-15, "equal logits");
    }
    assert_true(isnan(loss[3]) && isnan(gradient[12]));
    // 0.5 is the middle of four bins of width 1/4, sigma 3/16: symmetric, and with the masses of a normal distribution
    double inner = erf(4 / (3 * sqrt(2))), all = erf(8 / (3 * sqrt(2)));
    test_near(gradient[1], 0.25 - inner / all / 2, 1e-15, "inner bin");
    test_near(gradient[0], 0.25 - (all - inner) / all / 2, 1e-15, "outer bin");
    // below the range is its lower end, above it its upper end
    for (int j = 0; j < 4; j++) {
        test_near(gradient[4 + j], gradient[11 - j], 1e-15, "ends");
    }
    test_drop(&test);
}

const struct CMUnitTest whole_tests[] = {
    cmocka_unit_test(test_every_combination),
    cmocka_unit_test(test_entropy_forms),
    cmocka_unit_test(test_entropy_special),
    cmocka_unit_test(test_one_hot),
    cmocka_unit_test(test_odd_probabilities),
    cmocka_unit_test(test_plain_divergence),
    cmocka_unit_test(test_near_rows),
    cmocka_unit_test(test_one_sided),
    cmocka_unit_test(test_bins),
};
const size_t whole_test_count = sizeof whole_tests / sizeof whole_tests[0];
