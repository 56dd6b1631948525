// gce.c - generalised cross-entropy: weight[y] (1 - p_y^q) / q.
//
// Zhang, Sabuncu, Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels, arXiv 1805.07836,
// equation 6. With n = -log p_y: -expm1(-q n) / q, slope exp(-q n).
#include <math.h>

#include "registry.h"
#include "softmax.h"

static softmax_term link(const double *param, const softmax_row *row) {
    double q = param[ORACLE_PARAM_Q];
    double n = isfinite(row->nll) ? row->nll : 0;   // only in the scales
    double value = -expm1(-q * row->nll) / q;
    double slope = exp(-q * row->nll);
    double by_q = (n * slope - value) / q;
    double lost = softmax_stored_error(q);
    return (softmax_term){
        .value = softmax_times(row->weight, value),
        .value_scale = fabs(row->weight) * (4 * value + slope * row->nll_scale + fabs(by_q) * lost),
        .by_nll = row->weight * slope,
        .by_nll_scale = fabs(row->weight) * slope * (2 + q * (row->nll_scale + n) + n * lost),
    };
}

const char *oracle_gce(oracle_problem *problem) {
    return softmax_solve(problem, link);
}
