// accuracy.c - the fused call against the oracle on a few rows of the very data that was timed.
#include "bench.h"

#include "oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct sample {
    double *logits, *target;                // [BENCH_SAMPLES, cols], [BENCH_SAMPLES]
    double upstream;
    void *words;                            // one row, as read
    double *values;                         // and widened
} sample;

static int read_row(const bench_work *work, const bench_place *place, uint64_t row, sample *s, double *values)
{
    int code = bench_work_read(work, place, row * work->row_bytes, s->words, work->row_bytes);
    if (!code) bench_widen(work->dtype, s->words, values, work->cols);
    return code;
}

static int read_sample(const bench_work *work, sample *s)
{
    uint64_t cols = (uint64_t)work->cols;
    int code = TOOL_OK;
    for (uint64_t i = 0; i < BENCH_SAMPLES && !code; i++) {
        uint64_t row = (uint64_t)work->sample_rows[i];
        int64_t target = 0;
        code = read_row(work, &work->logits, row, s, s->logits + i * cols);
        if (!code) code = bench_work_read(work, &work->target, row * 8, &target, 8);
        s->target[i] = (double)target;
    }
    return code;
}

// The rows alone with the reduction sum: what a mean divides by goes into the upstream.
static const char *solve(const bench_work *work, const bench_options *options, sample *s, oracle_problem *problem)
{
    memset(problem, 0, sizeof *problem);
    problem->loss = (int)options->loss->loss;
    double reduction = WANE_REDUCTION_MEAN;
    for (uint32_t i = 0; i < options->param_count; i++) {
        problem->param_given[options->params[i].param] = true;
        problem->param[options->params[i].param] = options->params[i].value;
        if (options->params[i].param == WANE_PARAM_REDUCTION) reduction = options->params[i].value;
    }
    problem->param_given[WANE_PARAM_REDUCTION] = true;
    problem->param[WANE_PARAM_REDUCTION] = WANE_REDUCTION_SUM;
    s->upstream = reduction == WANE_REDUCTION_MEAN ? 1.0 / (double)work->rows : 1.0;
    problem->in[WANE_ROLE_LOGITS] = (oracle_array){2, {BENCH_SAMPLES, work->cols}, s->logits};
    problem->in[WANE_ROLE_TARGET] = (oracle_array){1, {BENCH_SAMPLES}, s->target};
    problem->in[WANE_ROLE_UPSTREAM] = (oracle_array){1, {1}, &s->upstream};
    problem->want[WANE_ROLE_ROW_LOSS] = problem->want[WANE_ROLE_GRAD_LOGITS] = true;
    return oracle_solve(problem);
}

static int compare(const bench_work *work, sample *s, const oracle_problem *problem, bench_result *result)
{
    uint64_t cols = (uint64_t)work->cols;
    result->loss_error = result->grad_error = 0;
    for (uint64_t i = 0; i < BENCH_SAMPLES; i++) {
        uint64_t row = (uint64_t)work->sample_rows[i];
        float loss = 0;
        int code = bench_work_read(work, &work->row_loss, row * 4, &loss, 4);
        if (!code) code = read_row(work, &work->grad, row, s, s->values);
        if (code) return code;
        double want = problem->out[WANE_ROLE_ROW_LOSS].data[i];
        result->loss_error = fmax(result->loss_error, fabs((double)loss - want) / fmax(1, fabs(want)));
        const double *grad = problem->out[WANE_ROLE_GRAD_LOGITS].data + i * cols;
        double largest = 0, error = 0;
        for (uint64_t k = 0; k < cols; k++) {
            largest = fmax(largest, fabs(grad[k]));
            error = fmax(error, fabs(s->values[k] - grad[k]));
        }
        if (largest > 0) result->grad_error = fmax(result->grad_error, error / largest);
    }
    return TOOL_OK;
}

int bench_accuracy(bench_work *work, const bench_options *options, bench_result *result)
{
    size_t cols = (size_t)work->cols;
    sample s = {malloc(BENCH_SAMPLES * cols * sizeof(double)), malloc(BENCH_SAMPLES * sizeof(double)), 1,
                malloc(work->row_bytes), malloc(cols * sizeof(double))};
    int code = TOOL_FAILED;
    oracle_problem *problem = calloc(1, sizeof *problem);
    if (!s.logits || !s.target || !s.words || !s.values || !problem) {
        tool_error("out of memory");
    } else {
        // the references have written where the gradient stands
        code = bench_work_run(work, BENCH_FUSED);
        if (!code) code = read_sample(work, &s);
        const char *wrong = code ? NULL : solve(work, options, &s, problem);
        if (wrong) tool_warning("no accuracy: the oracle says: %s", wrong);
        else if (!code) code = compare(work, &s, problem, result);
        oracle_free(problem);
    }
    free(problem);
    free(s.logits);
    free(s.target);
    free(s.words);
    free(s.values);
    return code;
}
