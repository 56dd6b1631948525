// cross_entropy.c - softmax cross-entropy with an index target and label smoothing.
//
// Value: weight[y] (1 - s) (lse - x_y) + (s / cols) sum_j weight[j] (lse - x_j). Smoothing: Szegedy et al., Rethinking
// the Inception Architecture for Computer Vision, arXiv 1512.00567, section 7; the place of the class weights is that
// of torch.nn.functional.cross_entropy.
#include <math.h>

#include "registry.h"
#include "softmax.h"

static softmax_term link(const double *param, const softmax_row *row) {
    double smoothing = param[ORACLE_PARAM_LABEL_SMOOTHING];
    double own = row->weight * (1 - smoothing);
    double share = smoothing / (double)row->cols;
    return (softmax_term){
        .value = softmax_times(own, row->nll) + softmax_times(share, row->spread),
        .value_scale = fabs(own) * row->nll_scale + share * row->spread_scale,
        .by_nll = own,
        .by_nll_scale = fabs(own),
        .by_spread = share,
    };
}

const char *oracle_cross_entropy(oracle_problem *problem) {
    return softmax_solve(problem, link);
}
