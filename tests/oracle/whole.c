// whole.c - the row machinery of losses without a target column, in double precision.
//
// As softmax.c, which says what the scales are made of: x = softcap tanh(z / softcap) / temperature, the second tensor
// likewise; the value of a row is row_weight (link + z_loss lse^2), mean divides by the number of rows. Special values, on
// the raw logits of both tensors, in this order: NaN or +inf anywhere, or a row weight that is NaN or infinite: the row's value, lse, entropy and gradients are NaN,
// argmax -1; one of the tensors -inf throughout: value +inf if row_weight is not 0, gradients 0; some -inf: left out,
// p_j = 0. lse, entropy and argmax are those of the logits: a row of -inf has -inf, 0 and 0.
#include "whole.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "registry.h"

typedef struct whole_batch {
    oracle_problem *problem;
    whole_link *link;
    int64_t rows, cols;
    int reduction;
    double temperature, softcap, z_loss, growth, row_growth;
    whole_side x, u;
    whole_result result;
    double *memory;
} whole_batch;

typedef struct whole_sum {
    long double sum, sum_abs, scale;
    bool nan, infinite;
} whole_sum;

static double entry(const oracle_problem *problem, int role, int64_t index, double absent) {
    const double *data = problem->in[role].data;
    return data == NULL ? absent : data[index];
}

static double within_f32(double value) {
    return fabs(value) > (double)FLT_MAX ? copysign(INFINITY, value) : value;
}

static void put(const whole_batch *batch, int role, int64_t index, double value, double scale) {
    if (batch->problem->out[role].data != NULL) {
        batch->problem->out[role].data[index] = value;
        batch->problem->scale[role].data[index] = isfinite(value) ? scale : 0;
    }
}

static long double transform(const whole_batch *batch, double z) {
    long double x = z;
    if (batch->softcap > 0) {
        x = (long double)batch->softcap * tanhl(x / (long double)batch->softcap);
    }
    return x / (long double)batch->temperature;
}

static double slope_of(const whole_batch *batch, double z, double *error) {
    double slope = 1 / batch->temperature;
    *error = batch->temperature != 1 ? 1 : 0;
    if (batch->softcap > 0) {
        double e = exp(-2 * fabs(z / batch->softcap));
        slope *= 4 * e / ((1 + e) * (1 + e));
        *error += isfinite(z) ? 2 + 2 * fabs(z / batch->softcap) : 0;
    }
    return slope;
}

// Everything about a row of one tensor. False: NaN or +inf in it.
static bool measure(const whole_batch *batch, int role, int64_t row, whole_side *side) {
    const double *z = batch->problem->in[role].data + row * batch->cols;
    side->z = z;
    side->top = -1;
    for (int64_t j = 0; j < batch->cols; j++) {
        if (isnan(z[j]) || z[j] == INFINITY) {
            return false;
        }
        if (isfinite(z[j]) && (side->top < 0 || z[j] > z[side->top])) {
            side->top = j;
        }
    }
    if (side->top < 0) {
        return true;
    }
    long double top = transform(batch, z[side->top]), others = 0, error = 0;
    for (int64_t j = 0; j < batch->cols; j++) {
        bool out = isinf(z[j]);
        long double below = out ? -INFINITY
                          : batch->softcap > 0 ? transform(batch, z[j]) - top
                          : ((long double)z[j] - (long double)z[side->top]) / (long double)batch->temperature;
        double e = fabs((double)below) * (batch->softcap > 0 || batch->temperature != 1 ? 1 : 0.5);
        if (batch->softcap > 0) {
            e += 3 * (fabs((double)top) + fabs((double)transform(batch, z[j])));
        }
        side->below[j] = (double)below;
        side->below_error[j] = out || j == side->top ? 0 : e;
        others += j == side->top || out ? 0 : expl(below);
        error += out ? 0 : expl(below) * (long double)side->below_error[j];
    }
    side->top_x = (double)top;
    side->log_sum = (double)log1pl(others);
    side->lse = (double)(top + log1pl(others));
    side->sum_error = 2 + batch->growth + (double)(error / (1 + others));
    for (int64_t j = 0; j < batch->cols; j++) {
        side->log[j] = side->below[j] - side->log_sum;
        side->p[j] = exp(side->log[j]);
        side->p_error[j] = isinf(z[j]) ? 0 : 3 + side->below_error[j] + side->sum_error;
    }
    return true;
}

static void put_values(const whole_batch *batch, int64_t row) {
    const whole_side *x = &batch->x;
    if (x->top < 0) {
        put(batch, ORACLE_ROLE_LSE, row, -INFINITY, 0);
        return;
    }
    double top_error = fabs(x->top_x) * (batch->softcap > 0 ? 4 : 1);
    double lse_scale = fabs(x->lse) + top_error + x->log_sum + 1 + x->sum_error;
    put(batch, ORACLE_ROLE_LSE, row, within_f32(x->lse), lse_scale);
    put(batch, ORACLE_ROLE_ARGMAX, row, (double)x->top, 0);
    long double sum = 0, scale = 0;
    for (int64_t j = 0; j < batch->cols; j++) {
        if (x->p[j] > 0) {
            sum -= (long double)x->p[j] * (long double)x->log[j];
            scale += (long double)(x->p[j] * (1 - x->log[j]) * (2 + x->p_error[j]));
        }
    }
    put(batch, ORACLE_ROLE_ENTROPY, row, (double)sum, 1 + (double)(scale + sum * (long double)batch->growth));
}

static double factor_of(const whole_batch *batch, int64_t row) {
    int64_t at = batch->reduction == ORACLE_REDUCTION_NONE ? row : 0;
    double rows = batch->reduction == ORACLE_REDUCTION_MEAN ? (double)batch->rows : 1;
    return entry(batch->problem, ORACLE_ROLE_ROW_WEIGHT, row, 1) *
           entry(batch->problem, ORACLE_ROLE_UPSTREAM, at, 1) / rows;
}

// The gradient of one tensor: the link's slopes, and for the logits what goes through lse.
static void put_gradient(const whole_batch *batch, int64_t row, int role, const whole_side *side, const double *by,
                         const double *by_scale, bool through_lse) {
    double factor = factor_of(batch, row);
    double slope_lse = through_lse ? 2 * batch->z_loss * side->lse : 0;
    double through = entry(batch->problem, ORACLE_ROLE_UPSTREAM_LSE, row, 0);
    bool adrift = !isfinite(factor) || !isfinite(through);
    through = through_lse ? through : 0;
    double lse_scale = 1 + fabs(side->lse) + fabs(side->top_x) * (batch->softcap > 0 ? 4 : 1) + side->log_sum + side->sum_error;
    for (int64_t j = 0; j < batch->cols; j++) {
        double p = side->p[j], error;
        double sum = factor * (by[j] + slope_lse * p) + through * p;
        double scale = fabs(factor) * (by_scale[j] + 4 * fabs(by[j])) + fabs(through) * p * (side->p_error[j] + 2) +
                       fabs(factor) * 2 * fabs(batch->z_loss) * p * (through_lse ? 1 : 0) *
                           (fabs(side->lse) * (side->p_error[j] + 4) + lse_scale);
        double slope = slope_of(batch, side->z[j], &error);
        scale = slope * (scale + fabs(sum) * error);
        if (isfinite(side->z[j])) {
            scale += ORACLE_FLUSH * (1 + fmax(slope, 1 / batch->temperature) *
                                      (fabs(factor) * (4 + fabs(slope_lse)) + fabs(through)));
        }
        double value = fabs(sum * slope) > (double)FLT_MAX ? copysign((double)FLT_MAX, sum) : sum * slope;
        // an upstream that is no number, the caller's: the gradients alone
        put(batch, role, row * batch->cols + j, adrift ? NAN : value, scale);
    }
}

static void put_nan_row(const whole_batch *batch, int64_t row) {
    put(batch, ORACLE_ROLE_LSE, row, NAN, 0);
    put(batch, ORACLE_ROLE_ENTROPY, row, NAN, 0);
    put(batch, ORACLE_ROLE_ARGMAX, row, -1, 0);
    for (int64_t j = 0; j < batch->cols; j++) {
        put(batch, ORACLE_ROLE_GRAD_LOGITS, row * batch->cols + j, NAN, 0);
        put(batch, ORACLE_ROLE_GRAD_TEACHER_LOGITS, row * batch->cols + j, NAN, 0);
    }
}

// Value and scale of a row; status counts poisoned and empty rows.
static double solve_row(whole_batch *batch, int64_t row, double status[8], double *scale) {
    bool pair = batch->problem->in[ORACLE_ROLE_TEACHER_LOGITS].data != NULL;
    whole_row facts = {.problem = batch->problem, .row = row, .cols = batch->cols, .growth = batch->growth,
                       .temperature = batch->temperature, .softcap = batch->softcap, .x = &batch->x,
                       .u = pair ? &batch->u : NULL};
    whole_result *result = &batch->result;
    memset(result->by_x, 0, 4 * (size_t)batch->cols * sizeof result->by_x[0]);   // all four arrays
    result->value = result->value_scale = 0;
    bool good = measure(batch, ORACLE_ROLE_LOGITS, row, &batch->x);
    good = (!pair || measure(batch, ORACLE_ROLE_TEACHER_LOGITS, row, &batch->u)) && good;
    bool empty = good && (batch->x.top < 0 || (pair && batch->u.top < 0));
    if (good && !empty) {
        good = batch->link(&facts, result);
    } else if (empty) {
        whole_result unused = *result;
        batch->x.log_sum = 0;
        good = pair || batch->link(&facts, &unused);   // weights may still be NaN
        memset(result->by_x, 0, 4 * (size_t)batch->cols * sizeof result->by_x[0]);
    }
    *scale = 0;
    double row_weight = entry(batch->problem, ORACLE_ROLE_ROW_WEIGHT, row, 1);
    if (!good || !isfinite(row_weight)) {
        status[1]++;
        put_nan_row(batch, row);
        return NAN;
    }
    put_values(batch, row);
    if (empty) {
        status[2]++;
        return row_weight == 0 ? 0 : INFINITY;
    }
    put_gradient(batch, row, ORACLE_ROLE_GRAD_LOGITS, &batch->x, result->by_x, result->by_x_scale, true);
    if (pair) {
        put_gradient(batch, row, ORACLE_ROLE_GRAD_TEACHER_LOGITS, &batch->u, result->by_u, result->by_u_scale, false);
    }
    const whole_side *x = &batch->x;
    double lse_scale = fabs(x->lse) + fabs(x->top_x) * (batch->softcap > 0 ? 4 : 1) + x->log_sum + 1 + x->sum_error;
    double value = within_f32(result->value) + within_f32(batch->z_loss * x->lse * x->lse);
    value = row_weight == 0 ? 0 : within_f32(row_weight * value);
    *scale = fabs(row_weight) * (result->value_scale + 2 * batch->z_loss * fabs(x->lse) * (fabs(x->lse) + lse_scale) + ORACLE_FLUSH) +
             2 * fabs(value) + ORACLE_FLUSH;
    return value;
}

static void put_reduced(const whole_batch *batch, const whole_sum *total) {
    double rows = batch->reduction == ORACLE_REDUCTION_MEAN ? (double)batch->rows : 1;
    if (total->nan || rows == 0) {
        put(batch, ORACLE_ROLE_LOSS, 0, total->nan ? NAN : 0, 0);
    } else if (total->infinite) {
        put(batch, ORACLE_ROLE_LOSS, 0, INFINITY, 0);
    } else {
        double value = (double)(total->sum / (long double)rows);
        double scale = (double)(total->scale + total->sum_abs * (long double)batch->row_growth) / rows + fabs(value);
        put(batch, ORACLE_ROLE_LOSS, 0, within_f32(value), total->sum_abs > 0 || total->scale > 0 ? scale : 0);
    }
}

static void solve_rows(whole_batch *batch) {
    whole_sum total = {0};
    double status[8] = {0};
    for (int64_t row = 0; row < batch->rows; row++) {
        double scale, value = solve_row(batch, row, status, &scale);
        put(batch, ORACLE_ROLE_ROW_LOSS, row, value, scale);
        if (batch->reduction == ORACLE_REDUCTION_NONE) {
            put(batch, ORACLE_ROLE_LOSS, row, value, scale);
        }
        total.nan = total.nan || isnan(value);
        total.infinite = total.infinite || isinf(value);
        if (isfinite(value)) {
            total.sum += value;
            total.sum_abs += fabs(value);
            total.scale += scale;
        }
    }
    if (batch->reduction != ORACLE_REDUCTION_NONE) {
        put_reduced(batch, &total);
    }
    put(batch, ORACLE_ROLE_VALID_COUNT, 0, (double)batch->rows, 0);
    for (int i = 0; i < 8; i++) {
        put(batch, ORACLE_ROLE_STATUS, i, status[i], 0);
    }
}

void whole_spread(const whole_row *row, const double *a, const double *a_error, whole_result *result) {
    long double sum = 0, scale = 0, total = 0, total_abs = 0;
    for (int64_t j = 0; j < row->cols; j++) {
        total += a[j];
        total_abs += fabs(a[j]);
        if (a[j] == 0) {
            continue;
        }
        double ahead = -row->x->log[j];
        sum = isinf(ahead) ? INFINITY : sum + (long double)a[j] * (long double)ahead;
        scale += (long double)fabs(a[j]) * (long double)(ahead * (4 + row->growth + a_error[j]) + row->x->log_sum *
                 (2 + row->growth) + row->x->below_error[j] + row->x->sum_error);
    }
    result->value = (double)sum;
    result->value_scale = isfinite(result->value) ? (double)scale : 0;
    for (int64_t j = 0; j < row->cols; j++) {
        double p = row->x->p[j];
        result->by_x[j] = (double)total * p - a[j];
        result->by_x_scale[j] = (double)total_abs * p * (row->x->p_error[j] + 4 + row->growth) + fabs(a[j]) * (4 + a_error[j]);
    }
}

const char *whole_solve(oracle_problem *problem, whole_link *link) {
    const oracle_array *logits = &problem->in[ORACLE_ROLE_LOGITS];
    whole_batch batch = {
        .problem = problem,
        .link = link,
        .rows = logits->extents[0],
        .cols = logits->extents[1],
        .reduction = (int)problem->param[ORACLE_PARAM_REDUCTION],
        .temperature = problem->param[ORACLE_PARAM_TEMPERATURE],
        .softcap = problem->param[ORACLE_PARAM_SOFTCAP],
        .z_loss = problem->param[ORACLE_PARAM_Z_LOSS],
    };
    if (batch.cols < 1) {
        return "logits need at least one column";
    }
    batch.growth = log2((double)batch.cols) / 2;
    batch.row_growth = batch.rows > 0 ? log2((double)batch.rows) / 2 : 0;
    size_t cols = (size_t)batch.cols;
    batch.memory = calloc(14 * cols, sizeof batch.memory[0]);
    if (batch.memory == NULL) {
        return "out of memory";
    }
    double *at = batch.memory;
    batch.result = (whole_result){.by_x = at, .by_x_scale = at + cols, .by_u = at + 2 * cols, .by_u_scale = at + 3 * cols};
    whole_side *sides[2] = {&batch.x, &batch.u};
    for (size_t i = 0; i < 2; i++) {
        at = batch.memory + (4 + 5 * i) * cols;
        *sides[i] = (whole_side){.log = at, .p = at + cols, .p_error = at + 2 * cols, .below = at + 3 * cols,
                                 .below_error = at + 4 * cols};
    }
    solve_rows(&batch);
    free(batch.memory);
    return NULL;
}
