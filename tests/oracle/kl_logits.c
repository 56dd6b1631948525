// kl_logits.c - T^2 times a Kullback-Leibler divergence of two softmaxes: forward KL(q || p), with q the teacher's,
// reverse KL(p || q), symmetric their sum.
//
// Hinton, Vinyals, Dean, Distilling the Knowledge in a Neural Network, arXiv 1503.02531. With r = log(p / q) the forward
// direction is sum q (e^r - 1 - r), all terms positive, because both distributions sum to 1; the reverse one is that with
// p and q exchanged. d/dx forward p - q, reverse p (r - KL); d/du likewise with the two exchanged.
#include <math.h>

#include "pair.h"
#include "registry.h"

typedef struct divergence {
    double value, scale;
} divergence;

// sum of b (e^r - 1 - r), r = log(a / b): KL(b || a).
static divergence measure(const whole_row *row, const whole_side *a, const whole_side *b) {
    bool swapped = a != row->x;
    long double sum = 0, scale = 0;
    double common = 0;
    for (int64_t j = 0; j < row->cols; j++) {
        double own, r = pair_ratio(row, j, &own, &common), p = a->p[j], q = b->p[j];
        r = swapped ? -r : r;
        if (isinf(a->z[j]) || isinf(b->z[j])) {
            sum += (long double)p - (long double)q;   // b -inf: a's whole probability
            scale += (long double)(p * (a->p_error[j] + 4));
            continue;
        }
        long double part = r < 0.05 && r > -0.05
            ? (long double)q * (long double)r * (long double)r * (0.5L + (long double)r / 6 + (long double)(r * r) / 24 +
              (long double)(r * r * r) / 120 + (long double)(r * r * r * r) / 720 + (long double)(r * r * r * r * r) / 5040)
            : r < 1 ? (long double)q * (expm1l((long double)r) - (long double)r)
                    : (long double)p - (long double)q * (1 + (long double)r);
        sum += part;
        scale += part * (long double)(b->p_error[j] + 10 + row->growth) +
                 (long double)(fabs(p - q) * own + ORACLE_FLUSH * (2 + fabs(r)));
        if (r > 0.4) {   // there the exponential may be taken as p itself
            scale += (long double)(p * (a->p_error[j] + 4) + q * (1 + r) * (b->p_error[j] + 4) + q * own + p * common);
        }
    }
    divergence d = {(double)sum, (double)scale + common * common * 0x1p-24};
    if (pair_infinite(row, b, a)) {
        d = (divergence){INFINITY, 0};
    }
    return d;
}

// Adds p (l - KL) to the derivative by the logits that make p, l = log(p / q).
static void add_weighing(const whole_row *row, whole_result *result, bool swapped, divergence d, double factor) {
    const whole_side *a = swapped ? row->u : row->x;
    double *by = swapped ? result->by_u : result->by_x, *scale = swapped ? result->by_u_scale : result->by_x_scale;
    for (int64_t j = 0; j < row->cols && isfinite(d.value); j++) {
        double own, common, r = pair_ratio(row, j, &own, &common), p = a->p[j];
        if (isinf(row->x->z[j]) || isinf(row->u->z[j])) {
            continue;
        }
        r = swapped ? -r : r;
        by[j] += factor * p * (r - d.value);
        scale[j] += factor * (p * ((fabs(r) + d.value) * (a->p_error[j] + 6) + own + common + d.scale) +
                              ORACLE_FLUSH * (1 + fabs(r) + d.value));
    }
}

static bool link(const whole_row *row, whole_result *result) {
    int direction = (int)row->problem->param[ORACLE_PARAM_DIRECTION];
    double factor = row->temperature * row->temperature;
    divergence total = {0, 0};
    for (int way = 0; way < 2; way++) {   // forward, reverse
        if (direction != way && direction != 2) {
            continue;
        }
        const whole_side *weighs = way == 0 ? row->u : row->x, *other = way == 0 ? row->x : row->u;
        divergence d = measure(row, other, weighs);
        pair_add_difference(row, result, way == 1, factor);
        add_weighing(row, result, way == 0, d, factor);
        total.value += d.value;
        total.scale += d.scale;
    }
    result->value = factor * total.value;
    result->value_scale = isfinite(total.value) ? factor * (total.scale + 2 * total.value) : 0;
    return true;
}

const char *oracle_kl_logits(oracle_problem *problem) {
    return whole_solve(problem, link);
}
