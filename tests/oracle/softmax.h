// softmax.h - what a loss of the softmax family gives to the shared row machinery: its value and its slopes.
//
// The row machinery (softmax.c) does the transforms, the special values, the reductions and the gradient. A loss is a
// link: a function of a row's quantities that returns the value and its derivatives by those quantities.
#ifndef WANE_TESTS_ORACLE_SOFTMAX_H
#define WANE_TESTS_ORACLE_SOFTMAX_H

#include "oracle.h"

// x are the transformed logits, p = softmax(x), y the target. A `_scale` is a bound on the error of a careful f32
// implementation, in units of eps = 2^-24.
typedef struct softmax_row {
    int64_t cols;
    double weight;         // class weight of the target, 1 where absent
    double nll;            // -log p_y, from 0 to +inf; > FLT_MAX is given as +inf
    double nll_scale;
    double spread;         // sum_j weight[j] (lse - x_j), a term of weight 0 left out
    double spread_scale;
} softmax_row;

typedef struct softmax_term {
    double value;
    double value_scale;
    double by_nll;         // d value / d nll
    double by_nll_scale;
    double by_spread;      // d value / d spread
} softmax_term;

// param is indexed by the ids of losses.def.
typedef softmax_term softmax_link(const double *param, const softmax_row *row);

const char *softmax_solve(oracle_problem *problem, softmax_link *link);

// a * b, where 0 wins over infinity: a weight of 0 removes its term.
double softmax_times(double weight, double value);

// What is lost when a parameter is stored in f32, in units of eps; 0 for 0.5, 1, 2 ...
double softmax_stored_error(double parameter);

#endif
