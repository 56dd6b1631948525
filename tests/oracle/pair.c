// pair.c - see pair.h. r = log(p / q) is taken from differences of logits that are small where the rows are near each
// other: x - u, or the distances from the two maxima, whichever is smaller, as a careful implementation does.
#include "pair.h"

#include <math.h>

double pair_ratio(const whole_row *row, int64_t j, double *own, double *common) {
    const whole_side *x = row->x, *u = row->u;
    *common = x->sum_error + u->sum_error + 2 * (x->log_sum + u->log_sum) + 2;
    *own = 0;
    if (isinf(x->z[j]) || isinf(u->z[j])) {
        return 0;
    }
    double r = x->log[j] - u->log[j];
    double far = fabs(x->below[j]) + fabs(u->below[j]);
    double near = (fabs(x->z[j] - u->z[j]) + fabs(x->z[x->top] - u->z[u->top])) / row->temperature;
    double size = row->softcap > 0 ? x->below_error[j] + u->below_error[j] + far : fmin(near, far);
    *own = size + fabs(r) + fabs(x->log_sum - u->log_sum);
    return r;
}

bool pair_infinite(const whole_row *row, const whole_side *of, const whole_side *by) {
    for (int64_t j = 0; j < row->cols; j++) {
        if (isfinite(of->z[j]) && isinf(by->z[j])) {
            return true;
        }
    }
    return false;
}

void pair_add_difference(const whole_row *row, whole_result *result, bool swapped, double factor) {
    const whole_side *a = swapped ? row->u : row->x, *b = swapped ? row->x : row->u;
    double *by = swapped ? result->by_u : result->by_x, *scale = swapped ? result->by_u_scale : result->by_x_scale;
    for (int64_t j = 0; j < row->cols; j++) {
        double own, common, apart = a->p[j] - b->p[j], error;
        double r = pair_ratio(row, j, &own, &common);
        if (isinf(a->z[j]) || isinf(b->z[j])) {
            error = a->p[j] * (a->p_error[j] + 2) + b->p[j] * (b->p_error[j] + 2);
        } else {
            double upper_error = a->p[j] > b->p[j] ? a->p_error[j] : b->p_error[j];
            r = swapped ? -r : r;
            apart = r >= 0 ? -a->p[j] * expm1(-r) : b->p[j] * expm1(r);
            error = fabs(apart) * (upper_error + 6) + fmin(a->p[j], b->p[j]) * (own + common);
        }
        by[j] += factor * apart;
        scale[j] += fabs(factor) * (error + 4 * ORACLE_FLUSH);
    }
}
