// linear.c - row losses on a linear head, in double precision: the logits z = input . linear_weight^T + linear_bias, the
// loss of those by its own oracle, and gradients by the chain rule.
//
// THE SCALE. A sum of n products in f32, in short chains that are merged, errs by some (2 + sqrt(n) / 8) eps of the sum
// of |products|: that is the error d_ij of a logit, and d_ij / temperature that of x, which a temperature of 0.1 makes ten
// times as large. It moves a row's value by sum_j |dL_i/dz_ij| d_ij. A gradient dz_ij, whose scale counts each of its parts
// at 3 or more relative errors, changes by at most 2 (1 + |1 - tau| + gamma) max_j d_ij / temperature of those parts:
// exponents, and the slope of the link; and by d_ij through the softcap's slope, which no temperature divides. The entropy's
// gradient p_j (E - x_j) may be small where its parts are not: 4 p_j max d_ij / temperature. lse: max_j d_ij / temperature,
// entropy 2 + log(cols) times that, both absolute.
#include "linear.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

typedef struct head {
    oracle_problem *problem;
    oracle_problem dense;                  // on the logits; its inputs are the problem's own arrays
    int64_t rows, cols, dim;
    double *z, *error;                     // [rows, cols]; the error of a logit, in units of eps
    double *worst;                         // [rows]: the largest error of a row's logits
} head;

static double growth(int64_t terms) {
    return 2 + sqrt((double)terms) / 8;
}

static void make_logits(head *h) {
    const double *x = h->problem->in[ORACLE_ROLE_INPUT].data;
    const double *w = h->problem->in[ORACLE_ROLE_LINEAR_WEIGHT].data;
    const double *b = h->problem->in[ORACLE_ROLE_LINEAR_BIAS].data;
    for (int64_t i = 0; i < h->rows; i++) {
        for (int64_t j = 0; j < h->cols; j++) {
            long double sum = b != NULL ? b[j] : 0, size = fabsl(sum);
            for (int64_t k = 0; k < h->dim; k++) {
                long double term = (long double)x[i * h->dim + k] * (long double)w[j * h->dim + k];
                sum += term;
                size += fabsl(term);
            }
            double z = (double)sum;
            h->z[i * h->cols + j] = fabs(z) > (double)FLT_MAX ? copysign(INFINITY, z) : z;
            double error = isfinite(z) ? growth(h->dim) * (double)size : 0;
            h->error[i * h->cols + j] = error;
            h->worst[i] = fmax(h->worst[i], error);
        }
    }
}

static const char *solve_dense(head *h, int base, bool rows_alone) {
    oracle_problem *d = &h->dense;
    const int shared[] = {ORACLE_ROLE_TARGET, ORACLE_ROLE_WEIGHT, ORACLE_ROLE_ROW_WEIGHT, ORACLE_ROLE_UPSTREAM,
                          ORACLE_ROLE_UPSTREAM_LSE};
    const int outputs[] = {ORACLE_ROLE_LOSS, ORACLE_ROLE_ROW_LOSS, ORACLE_ROLE_LSE, ORACLE_ROLE_VALID_COUNT,
                           ORACLE_ROLE_ARGMAX, ORACLE_ROLE_ACCURACY, ORACLE_ROLE_ENTROPY, ORACLE_ROLE_STATUS};
    d->loss = base;
    d->in[ORACLE_ROLE_LOGITS] = (oracle_array){.rank = 2, .extents = {h->rows, h->cols}, .data = h->z};
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
        bool gradient_only = shared[i] == ORACLE_ROLE_UPSTREAM || shared[i] == ORACLE_ROLE_UPSTREAM_LSE;
        d->in[shared[i]] = rows_alone && gradient_only ? (oracle_array){0} : h->problem->in[shared[i]];
    }
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        d->want[outputs[i]] = !rows_alone && h->problem->want[outputs[i]];
    }
    d->want[ORACLE_ROLE_GRAD_LOGITS] = true;
    for (int i = 0; i < ORACLE_PARAMS; i++) {
        d->param_given[i] = h->problem->param_given[i] && i != ORACLE_PARAM_COL_OFFSET && i != ORACLE_PARAM_TOTAL_COLS;
        d->param[i] = h->problem->param[i];
    }
    if (rows_alone) {
        d->param_given[ORACLE_PARAM_REDUCTION] = true;
        d->param[ORACLE_PARAM_REDUCTION] = ORACLE_REDUCTION_NONE;
    }
    return oracle_solve(d);
}

// What the logits' errors do to the value of a row.
static double value_error(const head *h, int64_t row) {
    const double *g = h->dense.out[ORACLE_ROLE_GRAD_LOGITS].data + row * h->cols;
    double sum = 0;
    for (int64_t j = 0; j < h->cols; j++) {
        sum += isfinite(g[j]) ? fabs(g[j]) * h->error[row * h->cols + j] : 0;
    }
    return sum;
}

static void copy_outputs(head *h) {
    for (int role = 0; role < ORACLE_ROLES; role++) {
        if (!h->problem->want[role] || h->dense.out[role].data == NULL) {
            continue;
        }
        int64_t count = oracle_count(&h->dense.out[role]);
        for (int64_t i = 0; i < count; i++) {
            h->problem->out[role].data[i] = h->dense.out[role].data[i];
            h->problem->scale[role].data[i] = h->dense.scale[role].data[i];
        }
    }
}

static void widen(head *h, int role, int64_t at, double by) {
    oracle_problem *p = h->problem;
    if (p->want[role] && p->scale[role].data[at] != 0) {
        p->scale[role].data[at] += by;
    }
}

// Scales of values: after the first solution, of the rows alone.
static void widen_values(head *h) {
    double total = 0, counted = 0;
    const double *y = h->problem->in[ORACLE_ROLE_TARGET].data;
    const double *w = h->problem->in[ORACLE_ROLE_WEIGHT].data;
    int reduction = (int)h->problem->param[ORACLE_PARAM_REDUCTION];
    for (int64_t i = 0; i < h->rows; i++) {
        double error = value_error(h, i);
        bool counts = y == NULL || (y[i] >= 0 && y[i] < (double)h->cols && y[i] != h->problem->param[ORACLE_PARAM_IGNORE_INDEX]);
        total += error;
        double weight = counts && w != NULL && y != NULL ? w[(int64_t)y[i]] : 1;
        counted += counts && isfinite(weight) ? weight : 0;
        widen(h, ORACLE_ROLE_ROW_LOSS, i, error);
        if (reduction == ORACLE_REDUCTION_NONE) {
            widen(h, ORACLE_ROLE_LOSS, i, error);
        }
        double of_x = h->worst[i] / h->problem->param[ORACLE_PARAM_TEMPERATURE];
        widen(h, ORACLE_ROLE_LSE, i, of_x);
        widen(h, ORACLE_ROLE_ENTROPY, i, of_x * (2 + log((double)h->cols)));
    }
    if (reduction != ORACLE_REDUCTION_NONE) {
        widen(h, ORACLE_ROLE_LOSS, 0, reduction == ORACLE_REDUCTION_MEAN && counted != 0 ? total / fabs(counted) : total);
    }
}

// A row that counts nowhere has no part in any gradient, whatever its input holds.
static bool is_out(const head *h, int64_t row) {
    const oracle_array *target = &h->problem->in[ORACLE_ROLE_TARGET];
    if (target->data == NULL) {
        return false;
    }
    double y = target->data[row];
    return y == h->problem->param[ORACLE_PARAM_IGNORE_INDEX] || !(y >= 0 && y < (double)h->cols);
}

typedef struct entry {
    double value, scale;
} entry;

static double transform(const head *h, double z) {
    const double *param = h->problem->param;
    double cap = param[ORACLE_PARAM_SOFTCAP];
    return (cap > 0 ? cap * tanh(z / cap) : z) / param[ORACLE_PARAM_TEMPERATURE];
}

// p_j of a row whose exponentials sum to `sum`.
static double probability(const head *h, int64_t at, double sum) {
    return isfinite(h->z[at]) ? exp(transform(h, h->z[at])) / sum : 0;
}

static double sum_of_row(const head *h, int64_t row) {
    double sum = 0;
    for (int64_t k = 0; k < h->cols; k++) {
        sum += isfinite(h->z[row * h->cols + k]) ? exp(transform(h, h->z[row * h->cols + k])) : 0;
    }
    return sum;
}

// What a row's gradient is multiplied by.
static double row_factor(const head *h, int64_t row) {
    const oracle_problem *p = h->problem;
    const double *weight = p->in[ORACLE_ROLE_ROW_WEIGHT].data, *upstream = p->in[ORACLE_ROLE_UPSTREAM].data;
    bool each = p->param[ORACLE_PARAM_REDUCTION] == ORACLE_REDUCTION_NONE;
    double mean = p->param[ORACLE_PARAM_REDUCTION] == ORACLE_REDUCTION_MEAN ? (double)h->rows : 1;
    double slope = 1 / p->param[ORACLE_PARAM_TEMPERATURE];
    return fabs((weight != NULL ? weight[row] : 1) * (upstream != NULL ? upstream[each ? row : 0] : 1)) / mean * slope * slope;
}

// Gradients of the logits: the scales, so that the errors of the logits are in them.
static void widen_gradients(head *h) {
    const double *param = h->problem->param;
    double sharp = 1 + fabs(1 - (h->problem->loss == ORACLE_LOSS_LINEAR_COMP_SUM ? param[ORACLE_PARAM_TAU] : 1)) +
                   (h->problem->loss == ORACLE_LOSS_LINEAR_FOCAL ? param[ORACLE_PARAM_GAMMA] : 0);
    sharp *= fmax(1, 1 / param[ORACLE_PARAM_TEMPERATURE]);
    bool entropy = h->problem->loss == ORACLE_LOSS_LINEAR_ENTROPY;
    double *scale = h->dense.scale[ORACLE_ROLE_GRAD_LOGITS].data;
    for (int64_t row = 0; row < h->rows; row++) {
        double sum = entropy ? sum_of_row(h, row) : 1, factor = entropy ? row_factor(h, row) : 0;
        for (int64_t at = row * h->cols; at < (row + 1) * h->cols; at++) {
            scale[at] *= 1 + sharp * h->worst[row];
            scale[at] += entropy && sum > 0 ? 4 * probability(h, at, sum) * h->worst[row] * factor : 0;
        }
    }
}

static entry logit_gradient(const head *h, int64_t row, int64_t j) {
    int64_t at = row * h->cols + j;
    return (entry){h->dense.out[ORACLE_ROLE_GRAD_LOGITS].data[at], h->dense.scale[ORACLE_ROLE_GRAD_LOGITS].data[at]};
}

static void put(head *h, int role, int64_t at, long double value, double scale) {
    h->problem->out[role].data[at] = (double)value;
    h->problem->scale[role].data[at] = isfinite((double)value) ? scale : 0;
}

static void solve_grad_input(head *h) {
    const double *w = h->problem->in[ORACLE_ROLE_LINEAR_WEIGHT].data;
    for (int64_t i = 0; i < h->rows; i++) {
        for (int64_t k = 0; k < h->dim; k++) {
            long double sum = 0;
            double scale = 0;
            for (int64_t j = 0; j < h->cols && !is_out(h, i); j++) {
                entry g = logit_gradient(h, i, j);
                double factor = w[j * h->dim + k];
                sum += (long double)g.value * (long double)factor;
                scale += fabs(factor) * (g.scale + growth(h->cols) * fabs(g.value));
            }
            put(h, ORACLE_ROLE_GRAD_INPUT, i * h->dim + k, sum, scale);
        }
    }
}

static void solve_grad_weight(head *h) {
    const double *x = h->problem->in[ORACLE_ROLE_INPUT].data;
    for (int64_t j = 0; j < h->cols; j++) {
        for (int64_t k = 0; k < h->dim; k++) {
            long double sum = 0;
            double scale = 0;
            for (int64_t i = 0; i < h->rows; i++) {
                if (is_out(h, i)) {
                    continue;
                }
                entry g = logit_gradient(h, i, j);
                double factor = x[i * h->dim + k];
                sum += (long double)g.value * (long double)factor;
                scale += fabs(factor) * (g.scale + growth(h->rows) * fabs(g.value));
            }
            put(h, ORACLE_ROLE_GRAD_LINEAR_WEIGHT, j * h->dim + k, sum, scale);
        }
    }
}

static void solve_grad_bias(head *h) {
    for (int64_t j = 0; j < h->cols; j++) {
        long double sum = 0;
        double scale = 0;
        for (int64_t i = 0; i < h->rows; i++) {
            if (!is_out(h, i)) {
                entry g = logit_gradient(h, i, j);
                sum += (long double)g.value;
                scale += g.scale + growth(h->rows) * fabs(g.value);
            }
        }
        put(h, ORACLE_ROLE_GRAD_LINEAR_BIAS, j, sum, scale);
    }
}

static const char *solve(head *h, int base) {
    make_logits(h);
    const char *fault = solve_dense(h, base, false);
    if (fault != NULL) {
        return fault;
    }
    copy_outputs(h);
    widen_gradients(h);
    if (h->problem->want[ORACLE_ROLE_GRAD_INPUT]) {
        solve_grad_input(h);
    }
    if (h->problem->want[ORACLE_ROLE_GRAD_LINEAR_WEIGHT]) {
        solve_grad_weight(h);
    }
    if (h->problem->want[ORACLE_ROLE_GRAD_LINEAR_BIAS]) {
        solve_grad_bias(h);
    }
    fault = solve_dense(h, base, true);
    if (fault == NULL) {
        widen_values(h);
    }
    return fault;
}

const char *linear_solve(oracle_problem *problem, int base) {
    const oracle_array *input = &problem->in[ORACLE_ROLE_INPUT];
    head h = {.problem = problem, .rows = input->extents[0], .dim = input->extents[1],
              .cols = problem->in[ORACLE_ROLE_LINEAR_WEIGHT].extents[0]};
    if (h.dim < 1 || h.cols < 1) {
        return "a linear head needs at least one column and one dimension";
    }
    if (problem->param[ORACLE_PARAM_TOTAL_COLS] != 0 && problem->param[ORACLE_PARAM_TOTAL_COLS] != (double)h.cols) {
        return "the oracle takes all columns at once";
    }
    size_t cells = (size_t)(h.rows * h.cols) + 1;
    h.z = calloc(cells, sizeof h.z[0]);
    h.error = calloc(cells, sizeof h.error[0]);
    h.worst = calloc((size_t)h.rows + 1, sizeof h.worst[0]);
    const char *fault = "out of memory";
    if (h.z != NULL && h.error != NULL && h.worst != NULL) {
        fault = solve(&h, base);
    }
    oracle_free(&h.dense);
    free(h.z);
    free(h.error);
    free(h.worst);
    return fault;
}
