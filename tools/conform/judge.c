// judge.c - what a call made against what the oracle says.
#include "family.h"

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

// ---- elements ----

// The error in units of the tolerance; infinite where equality or a class is asked for and not found.
static double element_error(double got, double want, double tolerance, double largest)
{
    if (isnan(want)) return isnan(got) ? 0 : (double)INFINITY;
    if (isinf(want) || tolerance == 0) return got == want ? 0 : (double)INFINITY;
    if (isinf(got) && got * want > 0 && fabs(want) + tolerance > largest) return 0;
    return isfinite(got) ? fabs(got - want) / tolerance : (double)INFINITY;
}

void conform_judge(conform_run *run, const conform_tensor *t, const char *call)
{
    const oracle_array *out = &run->problem.out[t->role->role], *scales = &run->problem.scale[t->role->role];
    conform_result *result = run->result;
    if (!out->data) return;
    double unit = conform_tolerance(t->role->role), worst = 0, worst_allowed = 0;
    double largest = t->spec.dtype == WANE_DTYPE_F16 ? 65504 : (double)FLT_MAX;
    int64_t worst_at = -1, wrong = 0;
    conform_tensor_load(t, run->scratch);
    for (int64_t i = 0; i < t->count; i++) {
        double want = out->data[i], scale = scales->data[i];
        if (t->previous) {
            want += t->previous[i];
            scale += scale > 0 ? fabs(want) : 0;
        }
        double tolerance = unit * scale;
        if (tolerance > 0) tolerance += conform_rounding(t->spec.dtype, want);
        double error = element_error(run->scratch[i], want, tolerance, largest);
        if (error > 1 && run->c->family->lenient_error)
            error = run->c->family->lenient_error(run, t, i, run->scratch[i], error);
        wrong += error > 1;
        if (error > worst || worst_at < 0) {
            worst = error;
            worst_at = i;
            worst_allowed = scale > 0 ? tolerance / (conform_last_place(t->spec.dtype) * scale) : 0;
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
        result->allowed_ulps = worst_allowed;
        result->ulps = worst_allowed > 0 ? worst * worst_allowed : 0;
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

void conform_note_figure(conform_result *result, int figure, double value)
{
    if (value > result->figures[figure]) result->figures[figure] = value;
}

const conform_tensor *conform_made(const conform_run *run, wane_role role)
{
    for (uint32_t i = run->tensor_count; i > 0; i--)
        if (run->tensors[i - 1].role->role == role && run->tensors[i - 1].written) return &run->tensors[i - 1];
    return NULL;
}

void conform_judge_figures(conform_run *run)
{
    if (!run->c->family->figures) return;
    run->c->family->figures(run);
    for (int i = 0; i < FIGURE_COUNT; i++)
        if (run->result->figures[i] > conform_figure_limits[i])
            conform_fail(run->result, "%s: %.3g, the limit is %.3g", conform_figure_names[i], run->result->figures[i],
                         conform_figure_limits[i]);
}
