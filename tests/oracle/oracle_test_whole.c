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
};

// Bits of `mask`: row_weight, upstream, upstream_lse, temperature, softcap, z_loss.
static void configure(test_case *test, const variant *of, int reduction, unsigned mask) {
    test_make(test, of->loss, ROWS, COLS, 1.5, 5 * mask + (unsigned)reduction);
    if (of->param != 0) {
        test_set(test, of->param, of->value);
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

const struct CMUnitTest whole_tests[] = {
    cmocka_unit_test(test_every_combination),
    cmocka_unit_test(test_entropy_forms),
    cmocka_unit_test(test_entropy_special),
};
const size_t whole_test_count = sizeof whole_tests / sizeof whole_tests[0];
