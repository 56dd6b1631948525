// ranking_links.c - the links of a pair: value and slope as functions of t = s_i - s_j, and how far f32 may be off.
#include <float.h>
#include <math.h>

#include "ranking.h"
#include "registry.h"

typedef struct difference {
    double t;
    double t_scale;       // of one f32 subtraction
    double rounded;       // what that subtraction gives
} difference;

// 1 / (1 + e^x) without overflow.
static double sigmoid_of_minus(double x) {
    return x > 0 ? exp(-x) / (1 + exp(-x)) : 1 / (1 + exp(x));
}

static double softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

// sigma t loses the rounding of t, of sigma as stored, and of the product.
static double steep_scale(double sigma, difference d) {
    return sigma * d.t_scale + 2 * fabs(sigma * d.t);
}

static pair_value logistic(const double *param, difference d) {
    double sigma = param[ORACLE_PARAM_SIGMA], x = sigma * d.t, off = steep_scale(sigma, d);
    double p = sigmoid_of_minus(x);
    pair_value r = {.value = softplus(-x), .slope = -sigma * p};
    r.value_scale = 4 * r.value + p * off + RANKING_TINY;
    r.slope_scale = 5 * fabs(r.slope) + sigma * (p * (1 - p) * off + RANKING_TINY);
    return r;
}

// margin - t, and whether it is positive; on the margin itself two implementations may fall on different sides.
static double short_of(const double *param, difference d, double *scale, bool *unsure) {
    double margin = param[ORACLE_PARAM_MARGIN], x = margin - d.t;
    *scale = d.t_scale + fabs((double)(float)margin - margin) * 0x1p24 + fabs(x);
    *unsure = (x > 0) != ((double)(float)margin - d.rounded > 0);
    return x;
}

static pair_value hinge(const double *param, difference d) {
    double scale;
    bool unsure;
    double x = short_of(param, d, &scale, &unsure);
    pair_value r = {.value = fmax(x, 0), .slope = x > 0 ? -1 : 0};
    r.value_scale = x > -scale * 0x1p-24 ? scale : 0;
    r.slope_scale = unsure ? 0x1p24 : 0;
    return r;
}

static pair_value squared_hinge(const double *param, difference d) {
    double scale;
    bool unsure;
    double x = fmax(short_of(param, d, &scale, &unsure), 0);
    pair_value r = {.value = x * x, .slope = -2 * x};
    scale = x > 0 || unsure ? scale : 0;
    r.value_scale = 2 * x * scale + x * x + RANKING_TINY;
    r.slope_scale = 2 * scale;
    return r;
}

static pair_value exponential(const double *param, difference d) {
    double sigma = param[ORACLE_PARAM_SIGMA], x = sigma * d.t, off = steep_scale(sigma, d);
    pair_value r = {.value = exp(-x), .slope = -sigma * exp(-x)};
    r.value_scale = r.value * (3 + off) + RANKING_TINY;
    r.slope_scale = sigma * (r.value * (5 + off) + RANKING_TINY);
    return r;
}

static pair_value square(const double *param, difference d) {
    double scale;
    bool unsure;
    double x = short_of(param, d, &scale, &unsure);
    pair_value r = {.value = x * x, .slope = -2 * x};
    r.value_scale = 2 * fabs(x) * scale + x * x + RANKING_TINY;
    r.slope_scale = 2 * scale;
    return r;
}

static pair_value smooth_zero_one(const double *param, difference d) {
    double sigma = param[ORACLE_PARAM_SIGMA], x = sigma * d.t, off = steep_scale(sigma, d);
    double p = sigmoid_of_minus(x);
    pair_value r = {.value = p, .slope = -sigma * p * (1 - p)};
    r.value_scale = 4 * p + p * (1 - p) * off + RANKING_TINY;
    r.slope_scale = 6 * fabs(r.slope) + sigma * (p * (1 - p) * fabs(1 - 2 * p) * off + RANKING_TINY);
    return r;
}

pair_value ranking_link(const double *param, int link, double a, double b) {
    static pair_value (*const links[])(const double *, difference) = {logistic,    hinge,  squared_hinge,
                                                                      exponential, square, smooth_zero_one};
    difference d = {.t = a - b, .rounded = (double)((float)a - (float)b)};
    d.t_scale = d.rounded == d.t ? 0 : fabs(d.t);
    return links[link](param, d);
}
