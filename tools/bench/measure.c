// measure.c - rounds of all providers in rotated order, so that a machine whose speed drifts drifts for all of them;
// ratios are taken within a round.
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS_MOST = 4096, WARM_UP = 3 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Sorts the values in place.
static bench_spread spread_of(double *values, uint32_t count)
{
    qsort(values, count, sizeof *values, compare);
    bench_spread s;
    s.median = count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
    s.p20 = values[(count - 1) / 5];
    s.p80 = values[count - 1 - (count - 1) / 5];
    return s;
}

static void list_providers(const bench_work *work, bench_result *result)
{
    static const char *const references[] = {"read", "copy", "nt copy"};
    static const char *const modes[] = {"forward", "backward", "fused", "in place"};
    double matrix = (double)work->rows * (double)work->row_bytes;
    for (int i = 0; i <= BENCH_NT_COPY; i++) {
        if (!bench_reference_exists((bench_reference)i)) continue;
        bench_provider *p = &result->providers[result->provider_count++];
        p->name = references[i];
        p->is_reference = true;
        p->reference = (bench_reference)i;
        p->bytes = i == BENCH_READ ? matrix : 2 * matrix;
    }
    for (int i = 0; i < BENCH_MODES; i++) {
        bench_provider *p = &result->providers[result->provider_count++];
        p->name = modes[i];
        p->mode = (bench_mode)i;
        p->bytes = (double)work->calls[i].info.minimal_bytes;
        p->exps = (double)work->calls[i].info.exps;
    }
}

static int run_once(bench_work *work, bench_team *team, const bench_provider *p, double *seconds)
{
    double start = now();
    int code = TOOL_OK;
    if (p->is_reference)
        bench_refer(team, p->reference, work->logits.host, work->copy, (size_t)work->rows * work->row_bytes);
    else
        code = bench_work_run(work, p->mode);
    *seconds = now() - start;
    return code;
}

// The sampled rows of the gradient and the loss, after a fused call.
static int take_sample(bench_work *work, unsigned char *sample)
{
    uint64_t bytes = work->row_bytes;
    int code = bench_work_run(work, BENCH_FUSED);
    for (uint64_t i = 0; i < BENCH_SAMPLES && !code; i++)
        code = bench_work_read(work, &work->grad, (uint64_t)work->sample_rows[i] * bytes, sample + i * bytes, bytes);
    if (!code) code = bench_work_read(work, &work->loss, 0, sample + BENCH_SAMPLES * bytes, 4);
    return code;
}

static int run_rounds(bench_work *work, bench_team *team, const bench_options *options, bench_result *result)
{
    uint32_t count = result->provider_count;
    int code = TOOL_OK;
    double ignored, start = now(), wanted = options->seconds * count;
    for (uint32_t i = 0; i < count * (options->quick ? 1 : WARM_UP) && !code; i++)
        code = run_once(work, team, &result->providers[i % count], &ignored);
    start = now();
    for (uint32_t round = 0; round < ROUNDS_MOST && !code; round++) {
        double spent = now() - start;
        // enough rounds and time; or, where a round is very long, ten times the time
        if ((round >= options->rounds && spent >= wanted) || (round >= 5 && spent >= 10 * wanted)) break;
        bench_progress("%lld x %lld: round %u, %.0f s", (long long)work->rows, (long long)work->cols, round + 1, spent);
        for (uint32_t i = 0; i < count && !code; i++) {
            bench_provider *p = &result->providers[(i + round) % count];
            code = run_once(work, team, p, &p->seconds[round]);
        }
        result->rounds = round + 1;
    }
    bench_progress(NULL);
    return code;
}

static void summarise(bench_result *result, double *scratch)
{
    uint32_t rounds = result->rounds;
    for (uint32_t i = 0; i < result->provider_count; i++) {
        bench_provider *p = &result->providers[i];
        for (uint32_t k = 0; k < result->provider_count; k++) {
            const bench_provider *r = &result->providers[k];
            if (!r->is_reference) continue;
            for (uint32_t n = 0; n < rounds; n++) scratch[n] = (p->bytes / p->seconds[n]) / (r->bytes / r->seconds[n]);
            p->of[r->reference] = spread_of(scratch, rounds);
        }
    }
    for (uint32_t i = 0; i < result->provider_count; i++) {
        memcpy(scratch, result->providers[i].seconds, rounds * sizeof *scratch);
        result->providers[i].time = spread_of(scratch, rounds);
    }
}

int bench_measure(bench_work *work, bench_team *team, const bench_options *options, bench_result *result)
{
    memset(result, 0, sizeof *result);
    result->loss_error = result->grad_error = -1;
    list_providers(work, result);
    size_t sample_bytes = work->row_bytes * BENCH_SAMPLES + 4;
    unsigned char *first = malloc(sample_bytes), *last = malloc(sample_bytes);
    double *scratch = malloc(ROUNDS_MOST * sizeof *scratch);
    bool good = first && last && scratch;
    for (uint32_t i = 0; i < result->provider_count; i++) {
        result->providers[i].seconds = calloc(ROUNDS_MOST, sizeof(double));
        good = good && result->providers[i].seconds;
    }
    int code = TOOL_OK;
    if (!good) {
        tool_error("out of memory");
        code = TOOL_FAILED;
    }
    if (!code) code = take_sample(work, first);
    if (!code) code = run_rounds(work, team, options, result);
    if (!code) code = take_sample(work, last);
    if (!code) {
        summarise(result, scratch);
        result->bits_equal = memcmp(first, last, sample_bytes) == 0;
    }
    free(first);
    free(last);
    free(scratch);
    return code;
}

void bench_result_free(bench_result *result)
{
    for (uint32_t i = 0; i < result->provider_count; i++) free(result->providers[i].seconds);
    memset(result, 0, sizeof *result);
}
