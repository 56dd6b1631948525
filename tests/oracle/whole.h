// whole.h - what a loss of whole rows (no target column) gives to its row machinery: value and slopes by the logits.
//
// The row machinery (whole.c) does transforms, special values, reductions and what goes through lse. A loss is a link: from
// the distributions p = softmax(x), and q = softmax(u) or the weights a_j of a row, to its value and its derivatives by x
// and u. A `_scale` or `_error` is a bound on the error of a careful f32 implementation, in units of eps = 2^-24.
#ifndef WANE_TESTS_ORACLE_WHOLE_H
#define WANE_TESTS_ORACLE_WHOLE_H

#include "oracle.h"

// A row of one tensor. Where a logit is -inf: log is -inf, p and both errors are 0.
typedef struct whole_side {
    const double *z;       // as given
    double *log;           // log p_j
    double *p;
    double *p_error;       // relative
    double *below;         // x_j - max <= 0
    double *below_error;   // absolute
    int64_t top;           // -1: all -inf
    double top_x, log_sum, lse;
    double sum_error;      // relative, of the sum of exp(x_j - max); absolute, of its logarithm without its own rounding
} whole_side;

typedef struct whole_row {
    oracle_problem *problem;
    int64_t row, cols;
    double growth;         // log2(cols) / 2: how the error of a merged sum grows
    double temperature, softcap;
    const whole_side *x, *u;   // u: NULL where there is no second tensor of logits
} whole_row;

// by_x and by_u are zero at first; by_u is NULL where no gradient of u is wanted.
typedef struct whole_result {
    double value, value_scale;
    double *by_x, *by_x_scale, *by_u, *by_u_scale;
} whole_result;

// False: the row is NaN (a NaN among weights or targets). The value may be +inf.
typedef bool whole_link(const whole_row *row, whole_result *result);

const char *whole_solve(oracle_problem *problem, whole_link *link);

// sum_j a_j (lse - x_j) with weights a_j whose relative errors are given; a term of weight 0 is 0.
void whole_spread(const whole_row *row, const double *a, const double *a_error, whole_result *result);

#endif
