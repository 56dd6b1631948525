// contrastive.c - losses of the similarities z_ij = s <a_i, b_j> + bias of two matrices' rows, in double precision.
//
// A softmax line (a row of z, in clip a column too) with positive t has the value lse - z_t and the slopes p_k - [k = t].
// A pair of siglip has softplus(-y z) and -y sigmoid(-y z). With slopes G: H = G b', K = s G^T a' for rows a', b' that may
// be divided by their norms; grad_scale = sum G (z - bias) / s, grad_bias = sum G; the gradient of x / |x| is
// (h - u <u, h>) / |x|.
//
// THE SCALE, in units of eps. A similarity errs by d_ij = |s| sum_k |a'_ik b'_jk| (growth(dim) + 6) + 2 |z| + 2 |bias|: the
// sum in short chains, and the roundings of norm, scale and division, some 3 a side. A line's value then errs by
// sum |G| d, and by some roundings of its own; an exponential by 2 max d of its line relative to itself. Sums of products
// add growth(terms) of the sum of |products|.
#include "contrastive.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "registry.h"

typedef struct side {
    int64_t rows;
    const double *x;
    double *unit;                          // [rows, dim]: x or x / |x|
    double *inverse;                       // [rows]: 1 / |x|; 0 for a norm of 0; NaN where x is not finite
    int64_t *partner;                      // [rows]: on the other side; -1 none
    bool *bad, *counts;
} side;

typedef struct contrast {
    oracle_problem *problem;
    contrastive_kind kind;
    int64_t dim;
    bool normalize;
    double s, bias, weight, counted;       // weight of a value: clip takes the mean of two directions
    side a, b;
    double *z, *d;                         // [a.rows, b.rows]: similarities, and their errors
    double *g, *e;                         // slopes, and their errors
    double *value, *value_error;           // [a.rows + b.rows]: of rows, then of clip's columns
    bool *not_number;                      // [a.rows]: a similarity of the row is NaN or +inf
} contrast;

// What a flushed probability does to a slope, and a flushed slope.
static double flush(double factor) {
    return factor == 0 ? 0 : ORACLE_FLUSH * (1 + fabs(factor));
}

static double growth(int64_t terms) {
    return 2 + sqrt((double)terms) / 8;
}

static double softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

static double given(const oracle_problem *problem, int role, int64_t index, double absent) {
    const double *data = problem->in[role].data;
    return data == NULL ? absent : data[index];
}

// ---- the problem ----

static void make_units(const contrast *c, side *x) {
    for (int64_t i = 0; i < x->rows; i++) {
        long double sum = 0;
        for (int64_t k = 0; k < c->dim; k++) {
            sum += (long double)x->x[i * c->dim + k] * (long double)x->x[i * c->dim + k];
        }
        double norm = (double)sqrtl(sum);
        x->inverse[i] = !c->normalize ? 1 : norm == 0 ? 0 : isfinite(norm) ? 1 / norm : NAN;
        for (int64_t k = 0; k < c->dim; k++) {
            x->unit[i * c->dim + k] = c->normalize ? x->x[i * c->dim + k] * x->inverse[i] : x->x[i * c->dim + k];
        }
    }
}

// Which row is whose positive. A label must be a column; in clip the lowest row that has it keeps it.
static void make_pairs(contrast *c) {
    const double *labels = c->problem->in[ORACLE_ROLE_LABELS].data;
    double shift = c->problem->param[ORACLE_PARAM_ROW_OFFSET] - c->problem->param[ORACLE_PARAM_COL_OFFSET];
    for (int64_t j = 0; j < c->b.rows; j++) {
        c->b.partner[j] = -1;
    }
    for (int64_t i = 0; i < c->a.rows; i++) {
        double y = labels != NULL ? labels[i] : (double)i + shift;
        bool inside = y >= 0 && y < (double)c->b.rows;
        bool taken = inside && c->kind == CONTRASTIVE_BOTH && c->b.partner[(int64_t)y] >= 0;
        c->a.bad[i] = labels != NULL && (!inside || taken);
        c->a.partner[i] = inside && !taken ? (int64_t)y : -1;
        c->a.counts[i] = c->a.partner[i] >= 0 || (c->kind == CONTRASTIVE_PAIRS && !c->a.bad[i]);
        c->counted += c->a.counts[i];
        if (c->a.partner[i] >= 0) {
            c->b.partner[c->a.partner[i]] = i;
        }
    }
    for (int64_t j = 0; j < c->b.rows; j++) {
        c->b.counts[j] = c->b.partner[j] >= 0;
    }
}

static void make_similarities(contrast *c) {
    for (int64_t i = 0; i < c->a.rows; i++) {
        for (int64_t j = 0; j < c->b.rows; j++) {
            long double sum = 0, size = 0;
            for (int64_t k = 0; k < c->dim; k++) {
                long double term = (long double)c->a.unit[i * c->dim + k] * (long double)c->b.unit[j * c->dim + k];
                sum += term;
                size += fabsl(term);
            }
            double z = (double)(sum * (long double)c->s + (long double)c->bias);
            int64_t at = i * c->b.rows + j;
            c->z[at] = fabs(z) > (double)FLT_MAX ? copysign(INFINITY, z) : z;
            c->d[at] = fabs(c->s) * (double)size * (growth(c->dim) + 6) + 2 * fabs(z) + 2 * fabs(c->bias);
            if (isnan(z) || c->z[at] == INFINITY) {
                c->not_number[i] = c->not_number[i] || c->a.counts[i];
            }
        }
    }
}

// What slopes of a row's value are multiplied by.
static double factor(const contrast *c, int64_t row) {
    int reduction = (int)c->problem->param[ORACLE_PARAM_REDUCTION];
    double f = given(c->problem, ORACLE_ROLE_UPSTREAM, reduction == ORACLE_REDUCTION_NONE ? row : 0, 1) * c->weight;
    return reduction == ORACLE_REDUCTION_MEAN ? (c->counted > 0 ? f / c->counted : 0) : f;
}

// ---- lines ----

// `length` similarities from `at` in steps of `step`, of which number `partner` is the positive; `skip` leaves rows out.
static void solve_line(contrast *c, int64_t at, int64_t step, int64_t length, int64_t partner, const bool *skip, double f,
                       double *value, double *value_error) {
    double top = -INFINITY, worst = 0;
    bool broken = false;
    for (int64_t k = 0; k < length; k++) {
        double z = c->z[at + k * step];
        if (skip != NULL && skip[k]) {
            continue;
        }
        broken = broken || isnan(z) || z == INFINITY;
        worst = fmax(worst, isfinite(z) ? c->d[at + k * step] : 0);
        top = k != partner && z > top ? z : top;
    }
    long double sum = 0;
    for (int64_t k = 0; k < length; k++) {
        double z = c->z[at + k * step];
        if (k != partner && isfinite(z) && !(skip != NULL && skip[k])) {
            sum += expl((long double)z - (long double)top);
        }
    }
    double own = c->z[at + partner * step];
    double odds = sum > 0 ? (top - own) + (double)logl(sum) : -INFINITY;
    double others = sum > 0 ? sigmoid(odds) : 0, loss = sum > 0 ? softplus(odds) : 0;
    *value = broken ? NAN : loss * c->weight;
    *value_error = 4 * loss + others * (4 + 2 * log1p((double)length) + 2 * worst) + (sum > 0 ? ORACLE_FLUSH : 0);
    *value_error *= c->weight;
    double rough = 8 + 2 * worst + 2 * log1p((double)length);
    for (int64_t k = 0; k < length; k++) {
        int64_t cell = at + k * step;
        if (skip != NULL && skip[k]) {
            continue;
        }
        double p = k == partner ? -others : isfinite(c->z[cell]) ? (double)expl((long double)c->z[cell] - (long double)top) / (double)sum * others : 0;
        c->g[cell] += broken ? NAN : f * p;
        c->e[cell] += broken || p == 0 ? 0 : fabs(f * p) * rough + flush(f);
    }
}

static void solve_pairs(contrast *c, int64_t row) {
    double sum = 0, error = 0, f = factor(c, row);
    for (int64_t j = 0; j < c->b.rows; j++) {
        int64_t at = row * c->b.rows + j;
        double y = j == c->a.partner[row] ? 1 : -1, x = -y * c->z[at];
        bool broken = isnan(c->z[at]) || c->z[at] == INFINITY;
        double value = broken ? NAN : softplus(x), slope = broken ? NAN : -y * f * sigmoid(x);
        sum += value;
        error += isfinite(value) ? (5 + growth(c->b.rows)) * value + sigmoid(x) * c->d[at] + ORACLE_FLUSH : 0;
        c->g[at] = slope;
        c->e[at] = isfinite(slope) ? fabs(slope) * (8 + c->d[at]) + flush(f) : 0;
    }
    c->value[row] = sum;
    c->value_error[row] = error;
}

static void solve_lines(contrast *c) {
    for (int64_t i = 0; i < c->a.rows; i++) {
        if (!c->a.counts[i]) {
            continue;
        }
        if (c->kind == CONTRASTIVE_PAIRS) {
            solve_pairs(c, i);
        } else {
            solve_line(c, i * c->b.rows, 1, c->b.rows, c->a.partner[i], NULL, factor(c, i), &c->value[i], &c->value_error[i]);
        }
    }
    for (int64_t j = 0; j < c->b.rows && c->kind == CONTRASTIVE_BOTH; j++) {
        if (c->b.counts[j]) {
            int64_t at = c->a.rows + j;
            solve_line(c, j, c->b.rows, c->a.rows, c->b.partner[j], c->a.bad, factor(c, j), &c->value[at], &c->value_error[at]);
        }
    }
}

// ---- outputs ----

static void put(const contrast *c, int role, int64_t at, double value, double scale) {
    if (c->problem->out[role].data == NULL) {
        return;
    }
    double stored = fabs(value) > (double)FLT_MAX ? copysign(INFINITY, value) : value;
    c->problem->out[role].data[at] = stored;
    c->problem->scale[role].data[at] = isfinite(stored) ? scale : 0;
}

static void put_values(const contrast *c) {
    int reduction = (int)c->problem->param[ORACLE_PARAM_REDUCTION];
    double total = 0, error = 0, size = 0;
    for (int64_t i = 0; i < c->a.rows; i++) {
        double value = c->value[i], scale = c->value_error[i];
        if (c->kind == CONTRASTIVE_BOTH) {
            value += c->value[c->a.rows + i];
            scale += c->value_error[c->a.rows + i];
        }
        scale += fabs(value);
        put(c, ORACLE_ROLE_ROW_LOSS, i, value, scale);
        if (reduction == ORACLE_REDUCTION_NONE) {
            put(c, ORACLE_ROLE_LOSS, i, value, scale);
        }
        total += value;
        error += isfinite(scale) ? scale : 0;
        size += fabs(value);
    }
    double denominator = reduction == ORACLE_REDUCTION_MEAN ? c->counted : 1;
    if (reduction != ORACLE_REDUCTION_NONE) {
        put(c, ORACLE_ROLE_LOSS, 0, denominator > 0 ? total / denominator : 0,
            denominator > 0 ? (error + growth(c->a.rows) * size) / denominator : 0);
    }
    double status[8] = {0};
    for (int64_t i = 0; i < c->a.rows; i++) {
        status[0] += c->a.bad[i];
        status[1] += c->not_number[i];
        status[3] += !c->a.bad[i] && !c->a.counts[i];
    }
    for (int i = 0; i < 8; i++) {
        put(c, ORACLE_ROLE_STATUS, i, status[i], 0);
    }
}

// Rows of a side that are in no similarity and have no gradient.
static bool is_out(const contrast *c, const side *x, int64_t row) {
    return x == &c->a && (c->a.bad[row] || (c->kind == CONTRASTIVE_ROWS && !c->a.counts[row]));
}

// h = sum over the other side of slope times its unit rows, with its error.
static void slopes_of_row(const contrast *c, const side *x, int64_t row, double *h, double *h_error) {
    bool first = x == &c->a;
    const side *other = first ? &c->b : &c->a;
    double s = first ? 1 : c->s;
    for (int64_t k = 0; k < c->dim; k++) {
        long double sum = 0;
        double error = 0;
        for (int64_t j = 0; j < other->rows; j++) {
            if (is_out(c, other, j)) {
                continue;
            }
            int64_t at = first ? row * c->b.rows + j : j * c->b.rows + row;
            double u = other->unit[j * c->dim + k] * s;
            sum += (long double)c->g[at] * (long double)u;
            error += fabs(u) * (c->e[at] + fabs(c->g[at]) * (growth(other->rows) + 8));
        }
        h[k] = (double)sum;
        h_error[k] = error;
    }
}

// The gradient of a side, and of the side of a its part of grad_scale.
static void put_side(const contrast *c, const side *x, int role, double *h, double *h_error) {
    double s = x == &c->a ? c->s : 1, total = 0, total_error = 0;
    for (int64_t i = 0; i < x->rows; i++) {
        slopes_of_row(c, x, i, h, h_error);
        const double *u = x->unit + i * c->dim;
        long double dot = 0;
        double dot_error = 0, inverse = x->inverse[i];
        bool none = is_out(c, x, i) || inverse == 0;
        for (int64_t k = 0; k < c->dim; k++) {
            dot += (long double)u[k] * (long double)h[k];
            dot_error += fabs(u[k]) * (h_error[k] + (growth(c->dim) + 8) * fabs(h[k]));
        }
        total += none ? 0 : (double)dot;
        total_error += none ? 0 : dot_error + growth(x->rows) * fabs((double)dot);
        for (int64_t k = 0; k < c->dim; k++) {
            double along = c->normalize ? u[k] * (double)dot : 0;
            double error = h_error[k] + 8 * (fabs(h[k]) + fabs(along)) + (c->normalize ? fabs(u[k]) * dot_error : 0);
            put(c, role, i * c->dim + k, none ? 0 : s * (h[k] - along) * inverse, none ? 0 : fabs(s) * inverse * error);
        }
    }
    if (x == &c->a) {
        put(c, ORACLE_ROLE_GRAD_SCALE, 0, total, total_error);
    }
}

static void put_grad_bias(const contrast *c) {
    double sum = 0, error = 0;
    for (int64_t i = 0; i < c->a.rows * c->b.rows; i++) {
        sum += c->g[i];
        error += c->e[i] + (growth(c->a.rows) + growth(c->b.rows)) * fabs(c->g[i]);
    }
    put(c, ORACLE_ROLE_GRAD_BIAS, 0, sum, error);
}

// ---- solving ----

static bool take_side(side *x, int64_t dim) {
    size_t rows = (size_t)x->rows + 1;
    x->unit = calloc(rows * (size_t)dim, sizeof x->unit[0]);
    x->inverse = calloc(rows, sizeof x->inverse[0]);
    x->partner = calloc(rows, sizeof x->partner[0]);
    x->bad = calloc(rows, sizeof x->bad[0]);
    x->counts = calloc(rows, sizeof x->counts[0]);
    return x->unit && x->inverse && x->partner && x->bad && x->counts;
}

static void free_side(side *x) {
    free(x->unit);
    free(x->inverse);
    free(x->partner);
    free(x->bad);
    free(x->counts);
}

static const char *solve(contrast *c, double *h) {
    make_units(c, &c->a);
    make_units(c, &c->b);
    make_pairs(c);
    make_similarities(c);
    solve_lines(c);
    put_values(c);
    put_side(c, &c->a, ORACLE_ROLE_GRAD_A, h, h + c->dim);
    put_side(c, &c->b, ORACLE_ROLE_GRAD_B, h, h + c->dim);
    put_grad_bias(c);
    return NULL;
}

const char *contrastive_solve(oracle_problem *problem, contrastive_kind kind) {
    const oracle_array *a = &problem->in[ORACLE_ROLE_A], *b = &problem->in[ORACLE_ROLE_B];
    contrast c = {.problem = problem, .kind = kind, .dim = a->extents[1], .weight = kind == CONTRASTIVE_BOTH ? 0.5 : 1,
                  .normalize = problem->param[ORACLE_PARAM_NORMALIZE] != 0,
                  .a = {.rows = a->extents[0], .x = a->data}, .b = {.rows = b->extents[0], .x = b->data}};
    bool nothing = kind == CONTRASTIVE_BOTH && c.a.rows == 0;
    if (c.dim < 1 || (c.b.rows < 1 && !nothing)) {
        return "similarities need at least one column and one dimension";
    }
    if (kind == CONTRASTIVE_BOTH && c.a.rows != c.b.rows) {
        return "clip needs as many rows as columns";
    }
    if (problem->in[ORACLE_ROLE_SCALE].data != NULL && problem->param_given[ORACLE_PARAM_TEMPERATURE]) {
        return "scale and temperature are both given";
    }
    if (problem->param[ORACLE_PARAM_TOTAL_COLS] != 0 && problem->param[ORACLE_PARAM_TOTAL_COLS] != (double)c.b.rows) {
        return "the oracle takes all rows and columns at once";
    }
    c.s = given(problem, ORACLE_ROLE_SCALE, 0, 1 / problem->param[ORACLE_PARAM_TEMPERATURE]);
    c.bias = given(problem, ORACLE_ROLE_BIAS, 0, kind == CONTRASTIVE_PAIRS ? -10 : 0);
    size_t cells = (size_t)(c.a.rows * c.b.rows) + 1, lines = (size_t)(c.a.rows + c.b.rows) + 1;
    double **arrays[] = {&c.z, &c.d, &c.g, &c.e, &c.value, &c.value_error};
    bool good = take_side(&c.a, c.dim) && take_side(&c.b, c.dim);
    for (int i = 0; i < 6; i++) {
        *arrays[i] = calloc(i < 4 ? cells : lines, sizeof(double));
        good = good && *arrays[i] != NULL;
    }
    c.not_number = calloc(lines, sizeof c.not_number[0]);
    double *h = calloc(2 * (size_t)c.dim, sizeof h[0]);
    const char *fault = good && c.not_number != NULL && h != NULL ? solve(&c, h) : "out of memory";
    for (int i = 0; i < 6; i++) {
        free(*arrays[i]);
    }
    free(c.not_number);
    free(h);
    free_side(&c.a);
    free_side(&c.b);
    return fault;
}
