// oracle_test.h - what the parts of the oracle's own test share: a small problem with its data, and random numbers.
#ifndef WANE_TESTS_ORACLE_TEST_H
#define WANE_TESTS_ORACLE_TEST_H

// cmocka.h wants these four before it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "registry.h"

enum { TEST_ROWS = 16, TEST_COLS = 64 };

// All inputs have storage; bind_* says which are given.
typedef struct test_case {
    oracle_problem problem;
    int64_t rows, cols;
    double logits[TEST_ROWS * TEST_COLS];
    double teacher[TEST_ROWS * TEST_COLS];
    double shares[TEST_ROWS * TEST_COLS];        // probabilities, as ORACLE_ROLE_TARGET of rank 2
    double target[TEST_ROWS];
    double weight[TEST_COLS];
    double row_weight[TEST_ROWS];
    double upstream[TEST_ROWS];
    double upstream_lse[TEST_ROWS];
} test_case;

// Logits normal with the stated deviation, targets uniform; weights and upstreams have values, but are not bound.
void test_make(test_case *test, int loss, int64_t rows, int64_t cols, double deviation, uint64_t seed);
void test_set(test_case *test, int param, double value);
void test_bind(test_case *test, int role);       // after `reduction` is set, for the upstream's shape
void test_want_all(test_case *test);
void test_solve(test_case *test);                // fails the test on an error
const double *test_out(const test_case *test, int role);
void test_drop(test_case *test);

uint64_t test_random(uint64_t *state);
double test_uniform(uint64_t *state);            // [0, 1)
double test_normal(uint64_t *state);

// |got - want| <= tolerance, or the same class of NaN or infinity.
void test_near(double got, double want, double tolerance, const char *what);

extern const struct CMUnitTest gradient_tests[], value_tests[], special_tests[], scale_tests[], contrastive_tests[],
    whole_tests[], ranking_tests[];
extern const size_t gradient_test_count, value_test_count, special_test_count, scale_test_count, contrastive_test_count,
    whole_test_count, ranking_test_count;

#endif
