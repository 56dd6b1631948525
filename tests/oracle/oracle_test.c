// oracle_test.c - the oracle's own test: gradients against differences, values against closed forms and against the
// plain formula, the special values, the laws, and the published tolerances against a plain f32 implementation.
#include "oracle_test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int outputs[] = {ORACLE_ROLE_LOSS,        ORACLE_ROLE_ROW_LOSS, ORACLE_ROLE_LSE,
                              ORACLE_ROLE_GRAD_LOGITS, ORACLE_ROLE_VALID_COUNT, ORACLE_ROLE_ARGMAX,
                              ORACLE_ROLE_ACCURACY,    ORACLE_ROLE_ENTROPY,  ORACLE_ROLE_STATUS};

uint64_t test_random(uint64_t *state) {   // splitmix64
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double test_uniform(uint64_t *state) {
    return (double)(test_random(state) >> 11) * 0x1p-53;
}

double test_normal(uint64_t *state) {
    double radius = sqrt(-2 * log(1 - test_uniform(state)));
    return radius * cos(6.283185307179586 * test_uniform(state));
}

void test_near(double got, double want, double tolerance, const char *what) {
    bool same = (isnan(got) && isnan(want)) || got == want;
    if (!same && !(isfinite(want) && fabs(got - want) <= tolerance)) {
        fail_msg("%s: got %.17g, want %.17g, tolerance %g", what, got, want, tolerance);
    }
}

void test_make(test_case *test, int loss, int64_t rows, int64_t cols, double deviation, uint64_t seed) {
    assert_true(rows <= TEST_ROWS && cols <= TEST_COLS);
    *test = (test_case){.rows = rows, .cols = cols};
    test->problem.loss = loss;
    for (int64_t i = 0; i < rows * cols; i++) {
        test->logits[i] = deviation * test_normal(&seed);
    }
    for (int64_t i = 0; i < rows; i++) {
        test->target[i] = (double)(test_random(&seed) % (uint64_t)cols);
        test->row_weight[i] = 0.25 + test_uniform(&seed);
        test->upstream[i] = 0.5 - 2 * test_uniform(&seed);
        test->upstream_lse[i] = test_normal(&seed);
    }
    for (int64_t j = 0; j < cols; j++) {
        test->weight[j] = 0.25 + 1.5 * test_uniform(&seed);
    }
    for (int64_t i = 0; i < rows * cols; i++) {
        test->teacher[i] = deviation * test_normal(&seed);
        test->shares[i] = 2 * test_uniform(&seed) / (double)cols;
    }
    test_bind(test, ORACLE_ROLE_LOGITS);
    if (loss == ORACLE_LOSS_KL_LOGITS || loss == ORACLE_LOSS_CROSS_ENTROPY_LOGITS) {
        oracle_array teacher = {.rank = 2, .extents = {rows, cols}, .data = test->teacher};
        test->problem.in[ORACLE_ROLE_TEACHER_LOGITS] = teacher;
    } else if (loss != ORACLE_LOSS_ENTROPY) {
        test_bind(test, ORACLE_ROLE_TARGET);
    }
}

void test_set(test_case *test, int param, double value) {
    test->problem.param_given[param] = true;
    test->problem.param[param] = value;
}

void test_bind(test_case *test, int role) {
    oracle_array vector = {.rank = 1, .extents = {test->rows}};
    bool none = test->problem.param_given[ORACLE_PARAM_REDUCTION] &&
                test->problem.param[ORACLE_PARAM_REDUCTION] == ORACLE_REDUCTION_NONE;
    switch (role) {
    case ORACLE_ROLE_LOGITS:
        vector = (oracle_array){.rank = 2, .extents = {test->rows, test->cols}, .data = test->logits};
        break;
    case ORACLE_ROLE_TARGET:
        vector.data = test->target;
        break;
    case ORACLE_ROLE_WEIGHT:
        vector = (oracle_array){.rank = 1, .extents = {test->cols}, .data = test->weight};
        break;
    case ORACLE_ROLE_ROW_WEIGHT:
        vector.data = test->row_weight;
        break;
    case ORACLE_ROLE_UPSTREAM:
        vector = (oracle_array){.rank = 1, .extents = {none ? test->rows : 1}, .data = test->upstream};
        break;
    case ORACLE_ROLE_UPSTREAM_LSE:
        vector.data = test->upstream_lse;
        break;
    default:
        fail_msg("role %d is not an input of the test", role);
    }
    test->problem.in[role] = vector;
}

void test_want_all(test_case *test) {
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        test->problem.want[outputs[i]] = true;
    }
}

void test_solve(test_case *test) {
    const char *fault = oracle_solve(&test->problem);
    if (fault != NULL) {
        fail_msg("oracle_solve: %s", fault);
    }
}

const double *test_out(const test_case *test, int role) {
    return test->problem.out[role].data;
}

void test_drop(test_case *test) {
    oracle_free(&test->problem);
}

int main(void) {
    int failures = 0;
    failures += _cmocka_run_group_tests("gradients", gradient_tests, gradient_test_count, NULL, NULL);
    failures += _cmocka_run_group_tests("values", value_tests, value_test_count, NULL, NULL);
    failures += _cmocka_run_group_tests("whole rows", whole_tests, whole_test_count, NULL, NULL);
    failures += _cmocka_run_group_tests("special values", special_tests, special_test_count, NULL, NULL);
    failures += _cmocka_run_group_tests("contrastive", contrastive_tests, contrastive_test_count, NULL, NULL);
    failures += _cmocka_run_group_tests("scales", scale_tests, scale_test_count, NULL, NULL);
    failures += _cmocka_run_group_tests("ranking", ranking_tests, ranking_test_count, NULL, NULL);
    return failures == 0 ? 0 : 1;
}
