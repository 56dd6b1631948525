// accuracy.c - the fused call against the oracle: a few rows of the very data that was timed, or a smaller problem whole.
#include "bench.h"

#include "oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct judge {
    bench_work *work;
    bool whole;                             // else BENCH_SAMPLES rows
    int64_t rows[BENCH_SAMPLES];
    double upstream;
    oracle_problem problem;
} judge;

// Whether the first extent of a tensor is the problem's rows.
static bool by_rows(const bench_tensor *t)
{
    return strncmp(t->role->shape, "rows", 4) == 0 && (t->role->shape[4] == ',' || t->role->shape[4] == '|' || !t->role->shape[4]);
}

// What is judged of a tensor, as doubles in a new array; data NULL: no memory, or it could not be read.
static oracle_array take(const judge *j, const bench_tensor *t)
{
    bool some = !j->whole && by_rows(t);
    oracle_array a = {(int)t->shape.rank, {0}, NULL};
    for (uint32_t d = 0; d < t->shape.rank; d++) a.extents[d] = t->shape.extents[d];
    int64_t each = t->shape.count / (some && a.extents[0] ? a.extents[0] : 1), parts = some ? BENCH_SAMPLES : 1;
    if (some) a.extents[0] = BENCH_SAMPLES;
    uint64_t bytes = (uint64_t)each * tool_dtype_bytes(t->shape.dtype);
    void *words = malloc(bytes + 1);
    a.data = malloc((size_t)(parts * each) * sizeof *a.data + 1);
    int code = words && a.data ? TOOL_OK : TOOL_FAILED;
    for (int64_t p = 0; p < parts && !code; p++) {
        code = bench_work_read(j->work, &t->place, some ? (uint64_t)j->rows[p] * bytes : 0, words, bytes);
        for (int64_t i = 0; i < each && !code; i++) a.data[p * each + i] = bench_widen(t->shape.dtype, words, i);
    }
    free(words);
    if (!code) return a;
    free(a.data);
    a.data = NULL;
    return a;
}

// Rows alone take the reduction sum: what a mean divides by goes into the upstream.
static void set_params(judge *j)
{
    const bench_options *options = j->work->options;
    oracle_problem *p = &j->problem;
    p->loss = (int)options->loss->loss;
    for (uint32_t i = 0; i < options->param_count; i++) {
        p->param_given[options->params[i].param] = true;
        p->param[options->params[i].param] = options->params[i].value;
    }
    if (j->whole) return;
    bool mean = bench_param(options, WANE_PARAM_REDUCTION) == WANE_REDUCTION_MEAN;
    p->param_given[WANE_PARAM_REDUCTION] = true;
    p->param[WANE_PARAM_REDUCTION] = WANE_REDUCTION_SUM;
    j->upstream = mean ? 1.0 / (double)bench_extent(&j->work->extents, "rows") : 1.0;
    p->in[WANE_ROLE_UPSTREAM] = (oracle_array){1, {1}, &j->upstream};
}

static void compare(const judge *j, const bench_tensor *t, const oracle_array *got, bench_result *result)
{
    const oracle_array *want = &j->problem.out[t->role->role];
    bool grad = t->role->direction == WANE_DIRECTION_GRAD;
    int64_t count = oracle_count(want), rows = j->whole || !grad ? 1 : want->extents[0];
    double *worst = grad ? &result->grad_error : &result->value_error;
    *worst = fmax(*worst, 0);
    for (int64_t row = 0; row < rows; row++) {
        double largest = 0, error = 0;
        for (int64_t i = row * (count / rows); i < (row + 1) * (count / rows); i++) {
            double size = fabs(want->data[i]), apart = fabs(got->data[i] - want->data[i]);
            largest = fmax(largest, size);
            error = fmax(error, grad ? apart : apart / fmax(1, size));
        }
        if (!grad) *worst = fmax(*worst, error);
        else if (largest > 0) *worst = fmax(*worst, error / largest);
    }
}

static int solve(judge *j, bench_result *result)
{
    const bench_call *call = bench_work_fused(j->work);
    int code = bench_work_run(j->work, call);   // the references have written where a gradient stands
    set_params(j);
    for (int r = 0; r < BENCH_ROLES && !code; r++) {
        const bench_tensor *t = &j->work->tensors[r];
        if (!t->role) continue;
        if (t->role->direction == WANE_DIRECTION_IN) {
            j->problem.in[r] = take(j, t);
            if (!j->problem.in[r].data) code = TOOL_FAILED;
        } else {
            j->problem.want[r] = call->mode->outputs >> r & 1 && t->role->direction != WANE_DIRECTION_STATE && (j->whole || by_rows(t));
        }
    }
    const char *wrong = code ? NULL : oracle_solve(&j->problem);
    if (wrong) tool_warning("no accuracy: the oracle says: %s", wrong);
    for (int r = 0; r < BENCH_ROLES && !code && !wrong; r++) {
        const bench_tensor *t = &j->work->tensors[r];
        if (!t->role || !j->problem.want[r]) continue;
        oracle_array got = take(j, t);
        if (!got.data) code = TOOL_FAILED;
        else compare(j, t, &got, result);
        free(got.data);
    }
    return code;
}

static int judge_work(bench_work *work, bool whole, bench_result *result)
{
    judge *j = calloc(1, sizeof *j);
    if (!j) {
        tool_error("out of memory");
        return TOOL_FAILED;
    }
    j->work = work;
    j->whole = whole;
    // the first, the last, and two on the way
    for (int i = 0; i < BENCH_SAMPLES; i++) j->rows[i] = (bench_extent(&work->extents, "rows") - 1) * i / (BENCH_SAMPLES - 1);
    int code = solve(j, result);
    oracle_free(&j->problem);
    for (int r = 0; r < BENCH_ROLES; r++)
        if (r != WANE_ROLE_UPSTREAM) free(j->problem.in[r].data);
    free(j);
    return code;
}

int bench_accuracy(bench_work *work, bench_memory *memory, bench_result *result)
{
    const bench_family *family = work->options->family;
    if (!family->judged) return judge_work(work, false, result);
    tool_extents extents = work->extents;
    family->judged(&extents);
    char timed[96];
    bench_extents_text(&extents, result->judged);
    if (strcmp(bench_extents_text(&work->extents, timed), result->judged) == 0) {
        result->judged[0] = 0;
        return judge_work(work, true, result);
    }
    bench_work small;
    int code = bench_work_make(&small, work->session, memory, work->device, work->options, &extents);
    if (!code) code = judge_work(&small, true, result);
    bench_work_free(&small);
    return code;
}
