// cross_entropy_logits.c - cross-entropy of two softmaxes: sum q (lse_x - x_j), with q that of the teacher's logits u;
// symmetric adds sum p (lse_u - u_j).
//
// Doebler, Marsden, Yang, Robust Mean Teacher for Continual and Gradual Test-Time Adaptation, arXiv 2211.13081.
// d/dx of the first is p - q, d/du of it q (-log p - H) with H its value; the second likewise, exchanged.
#include <math.h>

#include "pair.h"
#include "registry.h"

// sum of b (-log a), and its derivative by the logits of b, which weighs.
static double add_direction(const whole_row *row, whole_result *result, bool swapped, double *scale) {
    const whole_side *a = swapped ? row->u : row->x, *b = swapped ? row->x : row->u;
    double *by = swapped ? result->by_x : result->by_u, *by_scale = swapped ? result->by_x_scale : result->by_u_scale;
    *scale = 0;
    pair_add_difference(row, result, swapped, 1);
    if (pair_infinite(row, b, a)) {
        return INFINITY;
    }
    long double sum = 0, sum_scale = 0;
    for (int64_t j = 0; j < row->cols; j++) {
        if (b->p[j] > 0) {
            double ahead = -a->log[j];
            sum += (long double)b->p[j] * (long double)ahead;
            sum_scale += (long double)(b->p[j] * (ahead * (b->p_error[j] + 6 + row->growth) + a->below_error[j]) +
                                       ORACLE_FLUSH * ahead);
        }
    }
    double value = (double)sum;
    *scale = (double)sum_scale + a->sum_error + 4 * a->log_sum;
    for (int64_t j = 0; j < row->cols; j++) {
        if (b->p[j] > 0) {
            double ahead = -a->log[j], error = a->below_error[j] + a->sum_error + 4 * a->log_sum;
            by[j] += b->p[j] * (ahead - value);
            by_scale[j] += b->p[j] * ((ahead + value) * (b->p_error[j] + 6) + error + *scale) +
                           ORACLE_FLUSH * (1 + ahead + value);
        }
    }
    return value;
}

static bool link(const whole_row *row, whole_result *result) {
    double scale = 0;
    for (int way = 0; way < 2; way++) {
        if (way == 0 || row->problem->param[ORACLE_PARAM_SYMMETRIC] > 0) {
            result->value += add_direction(row, result, way == 1, &scale);
            result->value_scale += scale;
        }
    }
    return true;
}

const char *oracle_cross_entropy_logits(oracle_problem *problem) {
    return whole_solve(problem, link);
}
