// cross_entropy.c - softmax cross-entropy with an index target and label smoothing.
//
// Value: weight[y] (1 - s) (lse - x_y) + (s / cols) sum_j weight[j] (lse - x_j). Smoothing: Szegedy et al., Rethinking
// the Inception Architecture for Computer Vision, arXiv 1512.00567, section 7; the place of the class weights is that
// of torch.nn.functional.cross_entropy.
#include <math.h>
#include <stdlib.h>

#include "registry.h"
#include "softmax.h"
#include "whole.h"

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

// With probabilities t: sum_j weight[j] ((1 - s) t_j + s / cols) (lse - x_j). A t_j that is no number poisons its row,
// such a class weight every row.
static bool link_probabilities(const whole_row *row, whole_result *result) {
    const oracle_problem *problem = row->problem;
    const double *t = problem->in[ORACLE_ROLE_TARGET].data + row->row * row->cols;
    const double *weight = problem->in[ORACLE_ROLE_WEIGHT].data;
    double smoothing = problem->param[ORACLE_PARAM_LABEL_SMOOTHING];
    double *a = calloc(2 * (size_t)row->cols, sizeof a[0]);
    bool good = a != NULL;
    for (int64_t j = 0; good && j < row->cols; j++) {
        a[j] = (weight != NULL ? weight[j] : 1) * ((1 - smoothing) * t[j] + smoothing / (double)row->cols);
        good = isfinite(t[j]) && (weight == NULL || isfinite(weight[j]));
        // what the two parts lose where they cancel
        double size = (weight != NULL ? fabs(weight[j]) : 1) * (fabs((1 - smoothing) * t[j]) + smoothing / (double)row->cols);
        a[row->cols + j] = a[j] != 0 ? 4 * size / fabs(a[j]) : 0;
    }
    if (good && row->x->top >= 0) {
        whole_spread(row, a, a + row->cols, result);
    }
    free(a);
    return good;
}

const char *oracle_cross_entropy(oracle_problem *problem) {
    if (problem->in[ORACLE_ROLE_TARGET].rank < 2) {
        return softmax_solve(problem, link);
    }
    if (problem->param_given[ORACLE_PARAM_IGNORE_INDEX] || problem->want[ORACLE_ROLE_ACCURACY]) {
        return "probabilities have neither ignored rows nor an accuracy";
    }
    return whole_solve(problem, link_probabilities);
}
