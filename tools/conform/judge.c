// judge.c - what a call made against what the oracle says.
#include "conform.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

const char *const conform_figure_names[FIGURE_COUNT] = {
    "loss, relative, rows with a loss of 0.1 or more", "gradient, of the row's largest entry, the same rows",
    "loss, relative, rows with a loss of 1e-6 to 0.1", "gradient, of the row's largest entry, the same rows",
    "gradient, each entry above 1e-30, target at 0.999999"};
const double conform_figure_limits[FIGURE_COUNT] = {2e-6, 5e-6, 2e-6, 5e-6, 1e-5};

void conform_fail(conform_result *result, const char *format, ...)
{
    if (result->outcome == OUTCOME_FAIL) return;   // the first reason is told
    result->outcome = OUTCOME_FAIL;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->message, sizeof result->message, format, arguments);
    va_end(arguments);
}

static void place(const conform_tensor *t, int64_t index, char *text, size_t capacity)
{
    if (t->spec.rank == 2)
        snprintf(text, capacity, "%s[%lld, %lld]", t->role->name, (long long)(index / t->spec.extents[1]),
                 (long long)(index % t->spec.extents[1]));
    else
        snprintf(text, capacity, "%s[%lld]", t->role->name, (long long)index);
}

// ---- the end of f32's range ----
// There an infinity and the largest number lie within one rounding. Four rules, for inputs like logits of -FLT_MAX:
//   a value within its tolerance of the end may be infinite;
//   so may a value beyond HUGE_VALUE of a row with a logit that, divided by the temperature, passes the end;
//   so may a reduced loss where a row's value or the rows' sum, before the division, is such a value;
//   a row with an entry of the gradient beyond SATURATED (in such a row HUGE_VALUE) before the softcap's slope has a
//   coefficient that saturates on the way: its entries must be finite, and nothing is said about their size.

#define SATURATED 1e34
#define HUGE_VALUE 1e30

static bool row_passes_the_end(const conform_run *run, int64_t row)
{
    const double *z = run->problem.in[WANE_ROLE_LOGITS].data;
    double most = (double)FLT_MAX * conform_param(run->c, WANE_PARAM_TEMPERATURE, 1);
    for (int64_t j = 0; z && j < run->c->cols; j++)
        if (isfinite(z[row * run->c->cols + j]) && fabs(z[row * run->c->cols + j]) > most) return true;
    return false;
}

static bool sum_passes_the_end(const conform_run *run)
{
    const oracle_array *rows = &run->problem.out[WANE_ROLE_ROW_LOSS];
    double sum = 0;
    for (int64_t i = 0; rows->data && i < oracle_count(rows); i++) {
        double value = isfinite(rows->data[i]) ? fabs(rows->data[i]) : 0;
        if (value > HUGE_VALUE && row_passes_the_end(run, i)) return true;
        sum += value;
    }
    return sum >= (double)FLT_MAX * (1 - 0x1p-20);
}

static double cap_slope(double z, double softcap)
{
    double e = exp(-2 * fabs(z / softcap));
    return softcap > 0 && isfinite(z) ? 4 * e / ((1 + e) * (1 + e)) : 1;
}

static bool saturates(const conform_run *run, const conform_tensor *t, int64_t index)
{
    const double *z = run->problem.in[WANE_ROLE_LOGITS].data;
    if (t->role->role != WANE_ROLE_GRAD_LOGITS || !z) return false;
    int64_t row = index / run->c->cols, first = row * run->c->cols;
    double most = row_passes_the_end(run, row) ? HUGE_VALUE : SATURATED;
    const double *want = run->problem.out[t->role->role].data;
    double softcap = conform_param(run->c, WANE_PARAM_SOFTCAP, 0);
    for (int64_t i = first; i < first + run->c->cols; i++)
        if (fabs(want[i]) > most * cap_slope(z[i], softcap)) return true;
    return false;
}

// ---- elements ----

// The error in units of the tolerance; infinite where equality or a class is asked for and not found.
static double element_error(double got, double want, double tolerance)
{
    if (isnan(want)) return isnan(got) ? 0 : (double)INFINITY;
    if (isinf(want) || tolerance == 0) return got == want ? 0 : (double)INFINITY;
    if (isinf(got) && got * want > 0 && fabs(want) + tolerance > (double)FLT_MAX) return 0;
    return isfinite(got) ? fabs(got - want) / tolerance : (double)INFINITY;
}

// The same with the rules above, which are looked at only where an element is wrong.
static double lenient_error(const conform_run *run, const conform_tensor *t, int64_t index, double got, double error)
{
    const double *want = run->problem.out[t->role->role].data;
    if (error <= 1) return error;
    if (isfinite(got) && saturates(run, t, index)) return 0;
    bool of_row = t->role->role == WANE_ROLE_ROW_LOSS || (t->role->role == WANE_ROLE_LOSS && t->count == run->c->rows);
    if (of_row && isinf(got) && isfinite(want[index]) && got * want[index] > HUGE_VALUE)
        return row_passes_the_end(run, index) ? 0 : error;
    bool reduced = t->role->role == WANE_ROLE_LOSS && t->count == 1;
    if (reduced && isinf(got) && isfinite(*want) && sum_passes_the_end(run)) return 0;
    return error;
}

void conform_judge(conform_run *run, const conform_tensor *t, const char *call)
{
    const oracle_array *out = &run->problem.out[t->role->role], *scales = &run->problem.scale[t->role->role];
    conform_result *result = run->result;
    if (!out->data) return;
    double unit = conform_tolerance(t->role->role), worst = 0;
    int64_t worst_at = -1, wrong = 0;
    conform_tensor_load(t, run->scratch);
    for (int64_t i = 0; i < t->count; i++) {
        double want = out->data[i], scale = scales->data[i];
        if (t->previous) {
            want += t->previous[i];
            scale += scale > 0 ? fabs(want) : 0;
        }
        double error = element_error(run->scratch[i], want, unit * scale);
        error = lenient_error(run, t, i, run->scratch[i], error);
        wrong += error > 1;
        if (error > worst || worst_at < 0) {
            worst = error;
            worst_at = i;
        }
    }
    if (worst_at < 0) return;
    char where[96];
    double want = out->data[worst_at] + (t->previous ? t->previous[worst_at] : 0);
    place(t, worst_at, where, sizeof where);
    if (wrong)
        conform_fail(result, "%s: %s is %.9g and must be %.9g, %.3g times the tolerance; %lld of %lld elements are wrong",
                     call, where, run->scratch[worst_at], want, worst, (long long)wrong, (long long)t->count);
    if (worst > result->error) {
        result->error = worst;
        if (result->outcome == OUTCOME_PASS)
            snprintf(result->message, sizeof result->message, "%s: %s is %.9g, the oracle says %.9g", call, where,
                     run->scratch[worst_at], want);
    }
}

// Whether nothing but zeros is expected: a library that writes zeros would pass too.
bool conform_is_trivial(const conform_run *run)
{
    for (int role = 0; role < CONFORM_IDS; role++) {
        const oracle_array *out = &run->problem.out[role];
        if (!(run->c->outputs & CONFORM_BIT(role)) || !out->data) continue;
        for (int64_t i = 0; i < oracle_count(out); i++)
            if (out->data[i] != 0) return false;
    }
    return true;
}

// ---- figures ----

static void note(conform_result *result, int figure, double value)
{
    if (value > result->figures[figure]) result->figures[figure] = value;
}

// Of the last call that made it.
static const conform_tensor *find(const conform_run *run, wane_role role)
{
    for (uint32_t i = run->tensor_count; i > 0; i--)
        if (run->tensors[i - 1].role->role == role && run->tensors[i - 1].written) return &run->tensors[i - 1];
    return NULL;
}

static void measure_losses(conform_run *run, const conform_tensor *loss)
{
    conform_tensor_load(loss, run->scratch);
    for (int64_t row = 0; row < loss->count; row++) {
        double n = run->problem.out[WANE_ROLE_ROW_LOSS].data[row];
        if (n >= 1e-6) note(run->result, n >= 0.1 ? FIGURE_LOSS : FIGURE_LOSS_SURE, fabs(run->scratch[row] - n) / n);
    }
}

static void measure_gradients(conform_run *run, const conform_tensor *grad)
{
    int64_t cols = run->c->cols;
    conform_tensor_load(grad, run->scratch);
    for (int64_t row = 0; row < run->c->rows; row++) {
        const double *want = run->problem.out[WANE_ROLE_GRAD_LOGITS].data + row * cols, *got = run->scratch + row * cols;
        double n = run->problem.out[WANE_ROLE_ROW_LOSS].data[row], largest = 0, error = 0;
        for (int64_t j = 0; j < cols; j++) {
            largest = fmax(largest, fabs(want[j]));
            error = fmax(error, fabs(got[j] - want[j]));
            if (run->c->values->flags & VALUES_DOMINATED && fabs(want[j]) > 1e-30)
                note(run->result, FIGURE_ENTRY, fabs(got[j] - want[j]) / fabs(want[j]));
        }
        // a row whose entries are all under 1e-30 (a link with a vanishing slope) ends among f32's subnormals
        if (n >= 1e-6 && largest > 1e-30)
            note(run->result, n >= 0.1 ? FIGURE_GRADIENT : FIGURE_GRADIENT_SURE, error / largest);
    }
}

void conform_judge_figures(conform_run *run)
{
    const conform_tensor *loss = find(run, WANE_ROLE_ROW_LOSS), *grad = find(run, WANE_ROLE_GRAD_LOGITS);
    if (!loss || !grad) return;
    measure_losses(run, loss);
    measure_gradients(run, grad);
    for (int i = 0; i < FIGURE_COUNT; i++)
        if (run->result->figures[i] > conform_figure_limits[i])
            conform_fail(run->result, "%s: %.3g, the limit is %.3g", conform_figure_names[i], run->result->figures[i],
                         conform_figure_limits[i]);
}
