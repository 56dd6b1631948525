// oracle_test_gradient.c - every gradient against differences of the value, over every combination of options.
#include <math.h>
#include <stdio.h>

#include "oracle_test.h"

enum { ROWS = 3, COLS = 4, SWITCHES = 7, REDUCTIONS = 3 };

// One loss with one value of its own parameter.
typedef struct variant {
    int loss, param;
    double value;
} variant;

static const variant variants[] = {
    {ORACLE_LOSS_CROSS_ENTROPY, ORACLE_PARAM_LABEL_SMOOTHING, 0},
    {ORACLE_LOSS_CROSS_ENTROPY, ORACLE_PARAM_LABEL_SMOOTHING, 0.1},
    {ORACLE_LOSS_CROSS_ENTROPY, ORACLE_PARAM_LABEL_SMOOTHING, 1},
    {ORACLE_LOSS_COMP_SUM, ORACLE_PARAM_TAU, 0},
    {ORACLE_LOSS_COMP_SUM, ORACLE_PARAM_TAU, 0.5},
    {ORACLE_LOSS_COMP_SUM, ORACLE_PARAM_TAU, 1},
    {ORACLE_LOSS_COMP_SUM, ORACLE_PARAM_TAU, 1.5},
    {ORACLE_LOSS_COMP_SUM, ORACLE_PARAM_TAU, 2},
    {ORACLE_LOSS_COMP_SUM, ORACLE_PARAM_TAU, 3},
};

// Bits of `mask`: weight, row_weight, upstream, upstream_lse, temperature, softcap, z_loss.
static void configure(test_case *test, const variant *of, int reduction, unsigned mask) {
    test_make(test, of->loss, ROWS, COLS, 1.5, 7 * mask + (unsigned)reduction);
    test->target[1] = -100;
    test_set(test, of->param, of->value);
    test_set(test, ORACLE_PARAM_REDUCTION, reduction);
    const int roles[] = {ORACLE_ROLE_WEIGHT, ORACLE_ROLE_ROW_WEIGHT, ORACLE_ROLE_UPSTREAM, ORACLE_ROLE_UPSTREAM_LSE};
    for (unsigned i = 0; i < 4; i++) {
        if (mask >> i & 1) {
            test_bind(test, roles[i]);
        }
    }
    const int params[] = {ORACLE_PARAM_TEMPERATURE, ORACLE_PARAM_SOFTCAP, ORACLE_PARAM_Z_LOSS};
    const double values[] = {0.7, 3, 0.05};
    for (unsigned i = 0; i < 3; i++) {
        if (mask >> (4 + i) & 1) {
            test_set(test, params[i], values[i]);
        }
    }
    test->problem.want[ORACLE_ROLE_LOSS] = true;
    test->problem.want[ORACLE_ROLE_LSE] = true;
    test->problem.want[ORACLE_ROLE_GRAD_LOGITS] = true;
}

// What grad_logits is the gradient of: upstream . loss + upstream_lse . lse.
static double objective(test_case *test) {
    test_solve(test);
    const double *loss = test_out(test, ORACLE_ROLE_LOSS);
    const double *lse = test_out(test, ORACLE_ROLE_LSE);
    const double *upstream = test->problem.in[ORACLE_ROLE_UPSTREAM].data;
    const double *upstream_lse = test->problem.in[ORACLE_ROLE_UPSTREAM_LSE].data;
    double sum = 0;
    for (int64_t i = 0; i < oracle_count(&test->problem.out[ORACLE_ROLE_LOSS]); i++) {
        sum += loss[i] * (upstream != NULL ? upstream[i] : 1);
    }
    for (int64_t i = 0; i < test->rows && upstream_lse != NULL; i++) {
        sum += lse[i] * upstream_lse[i];
    }
    return sum;
}

// Central difference of fourth order: with h = 2^-9 its own error is some 1e-11 here.
static double difference(test_case *test, int64_t at) {
    const double h = 0x1p-9, centre = test->logits[at];
    const double steps[] = {-2, -1, 1, 2}, factors[] = {1, -8, 8, -1};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        test->logits[at] = centre + steps[i] * h;
        sum += factors[i] * objective(test);
    }
    test->logits[at] = centre;
    return sum / (12 * h);
}

static void check_combination(const variant *of, int reduction, unsigned mask) {
    test_case test;
    double gradient[ROWS * COLS];
    configure(&test, of, reduction, mask);
    double size = fabs(objective(&test));
    for (int i = 0; i < ROWS * COLS; i++) {
        gradient[i] = test_out(&test, ORACLE_ROLE_GRAD_LOGITS)[i];
        size += fabs(gradient[i]);
    }
    for (int i = 0; i < ROWS * COLS; i++) {
        char what[120];
        snprintf(what, sizeof what, "loss %d (%g), reduction %d, mask %u, entry %d", of->loss, of->value,
                 reduction, mask, i);
        test_near(gradient[i], difference(&test, i), 2e-9 * (1 + size), what);
    }
    test_drop(&test);
}

static void test_every_combination(void **state) {
    (void)state;
    for (size_t v = 0; v < sizeof variants / sizeof variants[0]; v++) {
        for (int reduction = 0; reduction < REDUCTIONS; reduction++) {
            for (unsigned mask = 0; mask < 1u << SWITCHES; mask++) {
                check_combination(&variants[v], reduction, mask);
            }
        }
    }
}

// In the far tails a difference in z cannot see an entry; its logarithm is the check: log p_j = x_j - lse.
static void test_tails_relative(void **state) {
    (void)state;
    test_case test;
    test_make(&test, ORACLE_LOSS_CROSS_ENTROPY, 1, 4, 1, 3);
    const double logits[] = {40, 0, -5, -60};
    for (int j = 0; j < 4; j++) {
        test.logits[j] = logits[j];
    }
    test.target[0] = 0;
    test.problem.want[ORACLE_ROLE_GRAD_LOGITS] = true;
    test_solve(&test);
    const double *gradient = test_out(&test, ORACLE_ROLE_GRAD_LOGITS);
    double others = exp(-40) + exp(-45) + exp(-100);
    for (int j = 1; j < 4; j++) {
        double want = exp(logits[j] - 40) / (1 + others);
        test_near(gradient[j], want, 1e-14 * want, "tail");
    }
    test_near(gradient[0], -others / (1 + others), 1e-14 * others, "dominating target");
    test_drop(&test);
}

const struct CMUnitTest gradient_tests[] = {
    cmocka_unit_test(test_every_combination),
    cmocka_unit_test(test_tails_relative),
};
const size_t gradient_test_count = sizeof gradient_tests / sizeof gradient_tests[0];
