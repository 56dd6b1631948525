// entropy.c - the entropy of the softmax: sum_j p_j (lse - x_j).
//
// Grandvalet, Bengio, Semi-supervised Learning by Entropy Minimization, NIPS 2004. With x_j - max = b_j and
// E = sum p_j b_j: H = log S - E, dH/dx_j = -p_j (b_j - E).
#include <math.h>

#include "registry.h"
#include "whole.h"

static bool link(const whole_row *row, whole_result *result) {
    const whole_side *x = row->x;
    if (x->top < 0) {
        return true;
    }
    long double mean = 0, mean_error = 0, sum = 0, scale = 0;
    for (int64_t j = 0; j < row->cols; j++) {
        if (x->p[j] > 0) {
            mean += (long double)x->p[j] * (long double)x->below[j];
            mean_error += (long double)(x->p[j] * (fabs(x->below[j]) * (x->p_error[j] + 4 + row->growth) + x->below_error[j]) +
                                        ORACLE_FLUSH * fabs(x->below[j]));
            sum -= (long double)x->p[j] * (long double)x->log[j];
            scale += (long double)(x->p[j] * (1 - x->log[j]) * (2 + x->p_error[j]));
        }
    }
    result->value = (double)sum;
    result->value_scale = 1 + (double)(scale + sum * (long double)row->growth);
    for (int64_t j = 0; j < row->cols; j++) {
        if (x->p[j] > 0) {
            double apart = x->below[j] - (double)mean;
            result->by_x[j] = -x->p[j] * apart;
            result->by_x_scale[j] = x->p[j] * ((fabs(x->below[j]) + fabs((double)mean)) * (x->p_error[j] + 4) +
                                               x->below_error[j] + (double)mean_error) +
                                    ORACLE_FLUSH * (1 + fabs(x->below[j]) + fabs((double)mean));
        }
    }
    return true;
}

const char *oracle_entropy(oracle_problem *problem) {
    return whole_solve(problem, link);
}
