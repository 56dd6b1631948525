// focal.c - the focal loss: weight[y] (1 - p_y)^gamma n, n = -log p_y.
//
// Lin, Goyal, Girshick, He, Dollar, Focal Loss for Dense Object Detection, arXiv 1708.02002, equation 4 (its alpha is the
// class weight here). d/dn: (1 - p)^gamma (1 + gamma p n / (1 - p)).
#include <float.h>
#include <math.h>

#include "registry.h"
#include "softmax.h"

static const double flush = 0x1p-126 / 0x1p-24;   // smallest normal f32, in units of eps

static double slope_at(double gamma, double n) {
    if (!isfinite(n)) {
        return 1;
    }
    double others = -expm1(-n);
    double ratio = n > 0 ? n / others : 1;
    return pow(others, gamma) * (1 + gamma * exp(-n) * ratio);
}

static softmax_term link(const double *param, const softmax_row *row) {
    double gamma = param[ORACLE_PARAM_GAMMA];
    double n = row->nll;
    double others = -expm1(-n);
    double power = pow(others, gamma);
    double value = power == 0 ? 0 : power * n;
    double slope = slope_at(gamma, n);
    double log_others = others > 0 ? fabs(log(others)) : 0;
    double relative = 4 + gamma * (2 + log_others) + softmax_stored_error(gamma) * log_others;
    double finite = isfinite(n) ? value : 0;
    // how fast the slope turns, for the error that n brings along
    double step = 1e-4 * (isfinite(n) ? n : 0);
    double bend = step > 0 ? fabs(slope_at(gamma, n + step) - slope_at(gamma, n - step)) / (2 * step) : 0;
    return (softmax_term){
        .value = softmax_times(row->weight, value > (double)FLT_MAX ? INFINITY : value),
        // a power that ends among subnormals may be 0 before n multiplies it
        .value_scale = fabs(row->weight) * (finite * relative + slope * row->nll_scale + (isfinite(n) ? n * flush : 0)),
        .by_nll = row->weight * slope,
        .by_nll_scale = fabs(row->weight) * (slope * relative + bend * row->nll_scale),
    };
}

const char *oracle_focal(oracle_problem *problem) {
    return softmax_solve(problem, link);
}
