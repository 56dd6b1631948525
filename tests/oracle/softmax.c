// softmax.c - the row machinery of the softmax family, in double precision.
//
// x = softcap tanh(z / softcap) / temperature; the value of a row is row_weight (link(x) + z_loss lse^2); mean divides
// by the sum of weight[y] over counted rows; gradients are by z. A row is counted unless it is ignored or its label is
// bad. What cancels is never formed: with m = max and S = sum exp(x_j - m) over the columns other than the target,
// t = (m - x_y) + log S, the value is n = -log p_y = softplus(t), 1 - p_y = sigmoid(t).
//
// Special values, decided on the raw logits, in this order:
//   ignored, bad label   everything 0, argmax -1, the logits are not looked at
//   NaN or +inf, or a row weight or class weight of the target, with smoothing of any class, that is NaN or infinite:
//                        value, lse, entropy and gradient NaN, argmax -1
//   all -inf             value +inf if one of its weights is not 0, lse -inf, entropy, gradient and argmax 0
//   some -inf            left out: p_j = 0, and the formulas stand; 0 times an infinite value is 0
// A value beyond f32 is infinite, an entry of the gradient stays within FLT_MAX. A mean whose denominator is 0 has
// value and gradient 0, but a NaN row stays NaN. As x grows strictly with z, argmax is decided on z: where a softcap
// saturates there are no ties. At a -inf logit the softcap's slope, and with it the gradient, is 0.
//
// THE SCALE of an element is a bound, in units of eps = 2^-24, on the error of a careful f32 implementation: one that
// takes maxima exactly, exponents as (z_j - m) / temperature, sums in short chains that are merged pairwise, and has
// exp, log and tanh good to some units in the last place. It is made from the size of the terms that made the element:
//   exponent e = x_j - m   |e| / 2 for its one rounding (half, because a rounding reaches |e| eps only at powers of
//                          two, and c of tolerance.def is at least 2); |e| with a temperature; plus 3 (|x_j| + |x_m|)
//                          with a softcap, which rounds x before the subtraction
//   S, relative            2 + log2(cols) / 2 + mean of the exponents' errors
//   t                      error of m - x_y, + |log S| + |t| / 2 + relative error of S
//   n                      2 n + sigmoid(t) (error of t): relative to n itself, however small n is
//   sums over columns      the sum of |terms| (1 + log2(cols) / 2)
//   p_j, relative          3 + errors of e_j and of S + (1 - sigmoid(t)) (error of t)
//   1 - p_y, relative      3 + (1 - sigmoid(t)) (error of t)
//   gradient               the sum of the parts' sizes, each with its relative error; so an entry is judged relative to
//                          itself, 1e-20 to some 1e-5, unless parts of it cancel. The derivative of the softcap is
//                          taken as sech^2, not as 1 - tanh^2: 2 + 2 |z / softcap|, relative
//   lse, entropy           absolute: the size of the largest logit and of the sums, and at least 1
//   reduced loss           the sum of the rows' scales and of log2(rows) / 2 times the |values|, over the denominator
// A floor allows subnormals to be flushed to zero, in the result and before it is multiplied. Scale 0: equality.
#include "softmax.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "registry.h"

static const double flush = 0x1p-126 / 0x1p-24;   // smallest normal f32, in units of eps

typedef enum { ROW_IGNORED, ROW_BAD_LABEL, ROW_POISONED, ROW_EMPTY, ROW_PLAIN } row_class;

typedef struct softmax_batch {
    oracle_problem *problem;
    softmax_link *link;
    int64_t rows, cols;
    int reduction;
    double temperature, softcap, z_loss;
    double column_growth, row_growth;       // log2(n) / 2: how the error of a merged sum grows
    double weight_total, weight_total_abs;  // over all columns
    double denominator, denominator_error;  // the error is relative, in units of eps
    double *gap;                            // scratch of one row: x_top - x_j >= 0, +inf for a column left out
} softmax_batch;

// The quantities of one plain row.
typedef struct row_facts {
    int64_t row, target, top;
    const double *logits;
    double rest;          // lse - x_top = log1p(sum of the others' exponentials)
    double top_x, lse, lse_scale;
    int64_t rival;        // largest column other than the target; -1 if none is finite
    double sum_error;     // relative error of S
    double t_error;
    double sigma;         // 1 - p_y
    softmax_row quantities;
} row_facts;

double softmax_times(double weight, double value) {
    return weight == 0 || value == 0 ? 0 : weight * value;
}

double softmax_stored_error(double parameter) {
    return fabs(parameter - (double)(float)parameter) * 0x1p24;
}

static double as_f32_range(double value) {
    return fabs(value) > (double)FLT_MAX ? copysign(INFINITY, value) : value;
}

static double saturate(double value) {
    return fabs(value) > (double)FLT_MAX ? copysign((double)FLT_MAX, value) : value;   // keeps NaN
}

static double entry(const oracle_problem *problem, int role, int64_t index, double absent) {
    const double *data = problem->in[role].data;
    return data == NULL ? absent : data[index];
}

static double *made(const softmax_batch *batch, int role) {
    return batch->problem->out[role].data;
}

static double *scale_of(const softmax_batch *batch, int role) {
    return batch->problem->scale[role].data;
}

static void put(const softmax_batch *batch, int role, int64_t index, double value, double scale) {
    if (made(batch, role) != NULL) {
        made(batch, role)[index] = value;
        scale_of(batch, role)[index] = isfinite(value) ? scale : 0;
    }
}

// ---- transforms ----

static long double transform(const softmax_batch *batch, double z) {
    long double x = z;
    if (batch->softcap > 0) {
        x = (long double)batch->softcap * tanhl(x / (long double)batch->softcap);
    }
    return x / (long double)batch->temperature;
}

// x_a - x_b for a finite z_a; without a softcap it is taken before the division, so large logits lose nothing.
static double difference(const softmax_batch *batch, double z_a, double z_b) {
    if (isinf(z_b)) {
        return INFINITY;
    }
    if (batch->softcap > 0) {
        return (double)(transform(batch, z_a) - transform(batch, z_b));
    }
    return (double)(((long double)z_a - (long double)z_b) / (long double)batch->temperature);
}

// Error of the difference of two different columns, of the stated size.
static double difference_error(const softmax_batch *batch, double z_a, double z_b, double size) {
    double error = fabs(size) * (batch->softcap > 0 || batch->temperature != 1 ? 1 : 0.5);
    if (batch->softcap > 0) {
        error += 3 * (fabs((double)transform(batch, z_a)) + fabs((double)transform(batch, z_b)));
    }
    return error;
}

// dx/dz = sech^2(z / softcap) / temperature. A column left out is at the end of the cap, where the slope is 0.
static double transform_slope(const softmax_batch *batch, double z) {
    double slope = 1 / batch->temperature;
    if (batch->softcap > 0) {
        double e = exp(-2 * fabs(z / batch->softcap));
        slope *= 4 * e / ((1 + e) * (1 + e));
    }
    return slope;
}

static double transform_slope_error(const softmax_batch *batch, double z) {
    double error = batch->temperature != 1 ? 1 : 0;
    return batch->softcap > 0 && isfinite(z) ? error + 2 + 2 * fabs(z / batch->softcap) : error;
}

// ---- classes and counts ----

static double weight_of(const softmax_batch *batch, int64_t column) {
    return entry(batch->problem, ORACLE_ROLE_WEIGHT, column, 1);
}

static row_class classify(const softmax_batch *batch, int64_t row) {
    const oracle_problem *problem = batch->problem;
    double target = problem->in[ORACLE_ROLE_TARGET].data[row];
    if (target == problem->param[ORACLE_PARAM_IGNORE_INDEX]) {
        return ROW_IGNORED;
    }
    if (!(target >= 0 && target < (double)batch->cols && target == floor(target))) {
        return ROW_BAD_LABEL;
    }
    bool smooth = problem->param[ORACLE_PARAM_LABEL_SMOOTHING] > 0;
    if (!isfinite(entry(problem, ORACLE_ROLE_ROW_WEIGHT, row, 1)) || !isfinite(weight_of(batch, (int64_t)target)) ||
        (smooth && !isfinite(batch->weight_total_abs))) {
        return ROW_POISONED;
    }
    const double *z = problem->in[ORACLE_ROLE_LOGITS].data + row * batch->cols;
    bool finite = false;
    for (int64_t j = 0; j < batch->cols; j++) {
        if (isnan(z[j]) || z[j] == INFINITY) {
            return ROW_POISONED;
        }
        finite = finite || isfinite(z[j]);
    }
    return finite ? ROW_PLAIN : ROW_EMPTY;
}

static int64_t target_of(const softmax_batch *batch, int64_t row) {
    return (int64_t)batch->problem->in[ORACLE_ROLE_TARGET].data[row];
}

// Counts the rows, reports their faults, and makes the denominator of a mean.
static void count_rows(softmax_batch *batch) {
    double status[8] = {0};
    int64_t valid = 0;
    long double sum = 0, sum_abs = 0;
    for (int64_t row = 0; row < batch->rows; row++) {
        row_class kind = classify(batch, row);
        status[0] += kind == ROW_BAD_LABEL;
        status[1] += kind == ROW_POISONED;
        status[2] += kind == ROW_EMPTY;
        if (kind != ROW_IGNORED && kind != ROW_BAD_LABEL) {
            double weight = weight_of(batch, target_of(batch, row));
            valid++;
            sum += isfinite(weight) ? weight : 0;
            sum_abs += isfinite(weight) ? fabs(weight) : 0;
        }
    }
    put(batch, ORACLE_ROLE_VALID_COUNT, 0, (double)valid, 0);
    for (int i = 0; i < 8; i++) {
        put(batch, ORACLE_ROLE_STATUS, i, status[i], 0);
    }
    batch->denominator = 1;
    if (batch->reduction == ORACLE_REDUCTION_MEAN) {
        batch->denominator = (double)sum;
        bool weighted = batch->problem->in[ORACLE_ROLE_WEIGHT].data != NULL && sum != 0;
        batch->denominator_error = weighted ? (1 + batch->row_growth) * (double)(sum_abs / fabsl(sum)) : 0;
    }
}

// ---- the quantities of a row ----

static int64_t largest(const double *z, int64_t cols, int64_t except) {
    int64_t found = -1;
    for (int64_t j = 0; j < cols; j++) {
        if (j != except && isfinite(z[j]) && (found < 0 || z[j] > z[found])) {
            found = j;
        }
    }
    return found;
}

static double exponent_error(const softmax_batch *batch, const row_facts *facts, int64_t j) {
    if (j == facts->rival) {
        return 0;
    }
    double size = batch->gap[j] - batch->gap[facts->rival];
    return difference_error(batch, facts->logits[facts->rival], facts->logits[j], size);
}

// t, n and 1 - p_y from the columns other than the target.
static void measure_target(const softmax_batch *batch, row_facts *facts) {
    const double *gap = batch->gap;
    int64_t y = facts->target;
    softmax_row *row = &facts->quantities;
    if (facts->rival < 0) {   // nothing beside the target: t = -inf, n = 0
        return;
    }
    long double sum = 0, error = 0;
    for (int64_t j = 0; j < batch->cols; j++) {
        if (j != y && isfinite(gap[j])) {
            long double term = expl((long double)gap[facts->rival] - (long double)gap[j]);
            sum += term;
            error += term * (long double)exponent_error(batch, facts, j);
        }
    }
    facts->sum_error = 2 + batch->column_growth + (double)(error / sum);
    if (isinf(gap[y])) {      // nothing in the target: t = +inf
        facts->sigma = 1;
        row->nll = INFINITY;
        return;
    }
    double log_sum = (double)logl(sum);
    double ahead = gap[y] - gap[facts->rival];
    double t = ahead + log_sum;
    facts->t_error = difference_error(batch, facts->logits[y], facts->logits[facts->rival], ahead) + fabs(log_sum) +
                     (log_sum != 0 ? fabs(t) / 2 : 0) + facts->sum_error;
    facts->sigma = t > 0 ? 1 / (1 + exp(-t)) : exp(t) / (1 + exp(t));
    row->nll = as_f32_range(t > 0 ? t + log1p(exp(-t)) : log1p(exp(t)));
    row->nll_scale = isfinite(row->nll) ? 2 * row->nll + facts->sigma * facts->t_error + flush : 0;
}

static void measure_spread(const softmax_batch *batch, row_facts *facts) {
    softmax_row *row = &facts->quantities;
    long double sum = 0, scale = 0;
    for (int64_t j = 0; j < batch->cols; j++) {
        double weight = weight_of(batch, j);
        if (weight == 0) {
            continue;
        }
        double ahead = batch->gap[j] + facts->rest;   // lse - x_j
        sum += (long double)weight * (long double)ahead;
        double error = 2 * ahead + facts->sum_error;
        if (j != facts->top && isfinite(ahead)) {
            error += difference_error(batch, facts->logits[facts->top], facts->logits[j], batch->gap[j]);
        }
        scale += (long double)fabs(weight) * (long double)(error + ahead * batch->column_growth);
    }
    row->spread = as_f32_range((double)sum);
    row->spread_scale = isfinite(row->spread) ? (double)scale : 0;
}

static void measure(const softmax_batch *batch, int64_t r, row_facts *facts) {
    const double *z = batch->problem->in[ORACLE_ROLE_LOGITS].data + r * batch->cols;
    int64_t top = largest(z, batch->cols, -1);
    int64_t y = target_of(batch, r);
    *facts = (row_facts){.row = r, .target = y, .top = top, .logits = z};
    facts->quantities = (softmax_row){.cols = batch->cols, .weight = weight_of(batch, y)};
    long double others = 0;
    for (int64_t j = 0; j < batch->cols; j++) {
        batch->gap[j] = j == top ? 0 : difference(batch, z[top], z[j]);
        others += j == top ? 0 : expl(-(long double)batch->gap[j]);
    }
    long double top_x = transform(batch, z[top]);
    facts->rest = (double)log1pl(others);
    facts->top_x = (double)top_x;
    facts->lse = (double)(top_x + log1pl(others));
    facts->rival = largest(z, batch->cols, y);
    measure_target(batch, facts);
    measure_spread(batch, facts);
    double top_error = fabs(facts->top_x) * (batch->softcap > 0 ? 4 : 1);
    facts->lse_scale = fabs(facts->lse) + top_error + facts->rest + 1 + facts->sum_error;
}

// p_j from its logarithm; nothing that matters in it cancels.
static double probability(const softmax_batch *batch, const row_facts *facts, int64_t j) {
    return exp(-(batch->gap[j] + facts->rest));
}

static double probability_error(const softmax_batch *batch, const row_facts *facts, int64_t j) {
    if (isinf(batch->gap[j])) {
        return 0;
    }
    if (j == facts->target) {
        return 3 + facts->sigma * facts->t_error;
    }
    return 3 + exponent_error(batch, facts, j) + facts->sum_error + (1 - facts->sigma) * facts->t_error;
}

// H = sum of p_j (lse - x_j), all terms positive. Its scale is absolute: near one-hot rows lse - E[x] is what an
// implementation has.
static void put_entropy(const softmax_batch *batch, const row_facts *facts) {
    long double sum = 0, scale = 0;
    for (int64_t j = 0; j < batch->cols; j++) {
        double p = probability(batch, facts, j);
        if (p == 0) {
            continue;
        }
        double ahead = batch->gap[j] + facts->rest;
        sum += (long double)p * (long double)ahead;
        scale += (long double)(p * (1 + ahead) * (2 + probability_error(batch, facts, j)));
    }
    put(batch, ORACLE_ROLE_ENTROPY, facts->row, (double)sum, 1 + (double)scale + (double)sum * batch->column_growth);
}

// ---- value and gradient of a row ----

typedef struct row_result {
    double value, scale;
} row_result;

static row_result row_value(const softmax_batch *batch, const row_facts *facts, const softmax_term *term) {
    double row_weight = entry(batch->problem, ORACLE_ROLE_ROW_WEIGHT, facts->row, 1);
    double squared = batch->z_loss * facts->lse * facts->lse;
    double value = as_f32_range(term->value) + as_f32_range(squared);
    double scale = term->value_scale + 2 * batch->z_loss * fabs(facts->lse) * (fabs(facts->lse) + facts->lse_scale);
    row_result result = {.value = as_f32_range(softmax_times(row_weight, value))};
    scale = fabs(row_weight) * (scale + flush * fabs(term->by_nll)) + fabs(result.value) + flush;
    result.scale = isfinite(result.value) ? scale : 0;
    return result;
}

// A row that is -inf throughout: +inf, unless all its weights are 0.
static double empty_row_value(const softmax_batch *batch, int64_t row) {
    softmax_row quantities = {.cols = batch->cols, .weight = weight_of(batch, target_of(batch, row)), .nll = INFINITY};
    softmax_term term = batch->link(batch->problem->param, &quantities);
    bool weighs = quantities.weight != 0 || softmax_times(term.by_spread, batch->weight_total_abs) != 0;
    double row_weight = entry(batch->problem, ORACLE_ROLE_ROW_WEIGHT, row, 1);
    return softmax_times(row_weight, weighs || batch->z_loss > 0 ? INFINITY : 0);
}

static double loss_factor(const softmax_batch *batch, int64_t row) {
    if (batch->denominator == 0) {
        return 0;
    }
    int64_t at = batch->reduction == ORACLE_REDUCTION_NONE ? row : 0;
    double upstream = entry(batch->problem, ORACLE_ROLE_UPSTREAM, at, 1);
    return entry(batch->problem, ORACLE_ROLE_ROW_WEIGHT, row, 1) * upstream / batch->denominator;
}

// One entry: the loss's part (p_j - [j = y]), the smoothing's (W p_j - w_j), and p_j for what goes through lse.
static void put_gradient(const softmax_batch *batch, const row_facts *facts, const softmax_term *term, int64_t j) {
    double factor = loss_factor(batch, facts->row);
    double factor_error = 2 + batch->denominator_error;
    double through = entry(batch->problem, ORACLE_ROLE_UPSTREAM_LSE, facts->row, 0);
    double p = probability(batch, facts, j);
    double p_error = probability_error(batch, facts, j);
    double residue = j == facts->target ? -facts->sigma : p;
    double residue_error = j == facts->target ? 3 + (1 - facts->sigma) * facts->t_error : p_error;
    double column_weight = weight_of(batch, j);
    double lse_slope = 2 * batch->z_loss * facts->lse;
    bool spreads = term->by_spread != 0;
    double sum = factor * (term->by_nll * residue + lse_slope * p +
                           (spreads ? term->by_spread * (batch->weight_total * p - column_weight) : 0)) +
                 through * p;
    double from_nll = fabs(residue) * (fabs(term->by_nll) * (residue_error + factor_error) + term->by_nll_scale);
    double from_spread =
        !spreads ? 0 : term->by_spread * (batch->weight_total_abs * p * (p_error + factor_error + 2 + batch->column_growth) +
                           fabs(column_weight) * (factor_error + 2));
    double from_lse = 2 * batch->z_loss * p * (fabs(facts->lse) * (p_error + factor_error + 2) + facts->lse_scale);
    double scale = fabs(factor) * (from_nll + from_spread + from_lse) + fabs(through) * p * p_error;
    double slope = transform_slope(batch, facts->logits[j]);
    scale = slope * (scale + fabs(sum) * transform_slope_error(batch, facts->logits[j]));
    if (isfinite(facts->logits[j])) {
        double coefficient = fabs(factor) * (fabs(term->by_nll) + (spreads ? term->by_spread * batch->weight_total_abs : 0) +
                                             fabs(lse_slope)) + fabs(through);
        scale += flush * (1 + fmax(slope, 1 / batch->temperature) * coefficient);
    }
    // an upstream that is no number, the caller's: the gradient alone
    bool adrift = !isfinite(through) ||
                  !isfinite(entry(batch->problem, ORACLE_ROLE_UPSTREAM, batch->reduction == ORACLE_REDUCTION_NONE ? facts->row : 0, 1));
    put(batch, ORACLE_ROLE_GRAD_LOGITS, facts->row * batch->cols + j, adrift ? NAN : saturate(sum * slope), scale);
}

static row_result solve_plain(const softmax_batch *batch, int64_t row) {
    row_facts facts;
    measure(batch, row, &facts);
    softmax_term term = batch->link(batch->problem->param, &facts.quantities);
    term.by_nll_scale += fabs(facts.quantities.weight) * flush;   // a slope that ends among subnormals may be 0
    put(batch, ORACLE_ROLE_LSE, row, as_f32_range(facts.lse), facts.lse_scale);
    put(batch, ORACLE_ROLE_ARGMAX, row, (double)facts.top, 0);
    if (made(batch, ORACLE_ROLE_ENTROPY) != NULL) {
        put_entropy(batch, &facts);
    }
    if (made(batch, ORACLE_ROLE_GRAD_LOGITS) != NULL) {
        for (int64_t j = 0; j < batch->cols; j++) {
            put_gradient(batch, &facts, &term, j);
        }
    }
    return row_value(batch, &facts, &term);
}

static row_result solve_poisoned(const softmax_batch *batch, int64_t row) {
    put(batch, ORACLE_ROLE_LSE, row, NAN, 0);
    put(batch, ORACLE_ROLE_ENTROPY, row, NAN, 0);
    put(batch, ORACLE_ROLE_ARGMAX, row, -1, 0);
    for (int64_t j = 0; j < batch->cols; j++) {
        put(batch, ORACLE_ROLE_GRAD_LOGITS, row * batch->cols + j, NAN, 0);
    }
    return (row_result){.value = NAN};
}

static row_result solve_row(const softmax_batch *batch, int64_t row) {
    switch (classify(batch, row)) {
    case ROW_PLAIN:
        return solve_plain(batch, row);
    case ROW_POISONED:
        return solve_poisoned(batch, row);
    case ROW_EMPTY:
        put(batch, ORACLE_ROLE_LSE, row, -INFINITY, 0);
        return (row_result){.value = empty_row_value(batch, row)};   // argmax, entropy, gradient stay 0
    case ROW_IGNORED:
    case ROW_BAD_LABEL:
        break;
    }
    put(batch, ORACLE_ROLE_ARGMAX, row, -1, 0);
    return (row_result){0};
}

// ---- reductions ----

typedef struct running_sum {
    long double sum, sum_abs, scale;
    bool nan, infinite;
} running_sum;

static void add(running_sum *total, row_result row) {
    total->nan = total->nan || isnan(row.value);
    total->infinite = total->infinite || isinf(row.value);
    if (isfinite(row.value)) {
        total->sum += row.value;
        total->sum_abs += fabs(row.value);
        total->scale += row.scale;
    }
}

static void put_reduced(const softmax_batch *batch, const running_sum *total) {
    if (total->nan || batch->denominator == 0) {
        put(batch, ORACLE_ROLE_LOSS, 0, total->nan ? NAN : 0, 0);
        return;
    }
    if (total->infinite) {
        put(batch, ORACLE_ROLE_LOSS, 0, INFINITY, 0);
        return;
    }
    double value = (double)(total->sum / batch->denominator);
    double scale = (double)(total->scale + total->sum_abs * batch->row_growth) / fabs(batch->denominator);
    scale += fabs(value) * (1 + batch->denominator_error);
    put(batch, ORACLE_ROLE_LOSS, 0, as_f32_range(value), total->sum_abs > 0 ? scale : 0);
}

static bool is_accurate(const softmax_batch *batch, int64_t row) {
    switch (classify(batch, row)) {
    case ROW_PLAIN: {
        const double *z = batch->problem->in[ORACLE_ROLE_LOGITS].data + row * batch->cols;
        return largest(z, batch->cols, -1) == target_of(batch, row);
    }
    case ROW_EMPTY:
        return target_of(batch, row) == 0;
    default:
        return false;
    }
}

static void put_accuracy(const softmax_batch *batch) {
    int64_t valid = 0, right = 0;
    for (int64_t row = 0; row < batch->rows; row++) {
        row_class kind = classify(batch, row);
        valid += kind != ROW_IGNORED && kind != ROW_BAD_LABEL;
        right += is_accurate(batch, row);
    }
    double accuracy = valid == 0 ? 0 : (double)right / (double)valid;
    put(batch, ORACLE_ROLE_ACCURACY, 0, accuracy, accuracy);
}

static void solve_rows(const softmax_batch *batch) {
    running_sum total = {0};
    for (int64_t row = 0; row < batch->rows; row++) {
        row_result result = solve_row(batch, row);
        put(batch, ORACLE_ROLE_ROW_LOSS, row, result.value, result.scale);
        if (batch->reduction == ORACLE_REDUCTION_NONE) {
            put(batch, ORACLE_ROLE_LOSS, row, result.value, result.scale);
        }
        add(&total, result);
    }
    if (batch->reduction != ORACLE_REDUCTION_NONE) {
        put_reduced(batch, &total);
    }
    if (made(batch, ORACLE_ROLE_ACCURACY) != NULL) {
        put_accuracy(batch);
    }
}

const char *softmax_solve(oracle_problem *problem, softmax_link *link) {
    const oracle_array *logits = &problem->in[ORACLE_ROLE_LOGITS];
    if (logits->extents[1] < 1) {
        return "logits need at least one column";
    }
    softmax_batch batch = {
        .problem = problem,
        .link = link,
        .rows = logits->extents[0],
        .cols = logits->extents[1],
        .reduction = (int)problem->param[ORACLE_PARAM_REDUCTION],
        .temperature = problem->param[ORACLE_PARAM_TEMPERATURE],
        .softcap = problem->param[ORACLE_PARAM_SOFTCAP],
        .z_loss = problem->param[ORACLE_PARAM_Z_LOSS],
    };
    batch.column_growth = log2((double)batch.cols) / 2;
    batch.row_growth = batch.rows > 0 ? log2((double)batch.rows) / 2 : 0;
    batch.gap = malloc((size_t)batch.cols * sizeof batch.gap[0]);
    if (batch.gap == NULL) {
        return "out of memory";
    }
    for (int64_t j = 0; j < batch.cols; j++) {
        batch.weight_total += weight_of(&batch, j);
        batch.weight_total_abs += fabs(weight_of(&batch, j));
    }
    count_rows(&batch);
    solve_rows(&batch);
    free(batch.gap);
    return NULL;
}
