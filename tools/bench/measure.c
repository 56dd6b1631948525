// measure.c - rounds of all providers in rotated order, so that a machine whose speed drifts drifts for all of them;
// ratios are taken within a round.
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS_MOST = 4096, WARM_UP = 3, REPEATS_MOST = 256 };
static const double least_seconds = 50e-6;  // of one timing: a clock is read in some 50 ns

double bench_now(void)
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

static bench_provider *add_reference(bench_result *result, const char *name, bench_reference reference)
{
    bench_provider *p = &result->providers[result->provider_count++];
    p->name = name;
    p->is_reference = true;
    p->reference = reference;
    return p;
}

static void list_providers(const bench_work *work, const bench_options *options, bench_result *result)
{
    static const char *const modes[] = {"forward", "backward", "fused", "in place"};
    double matrix = (double)work->rows * (double)work->row_bytes, logits = (double)work->rows * (double)work->cols;
    add_reference(result, "read", BENCH_READ)->bytes = matrix;
    add_reference(result, "copy", BENCH_COPY)->bytes = 2 * matrix;
    if (bench_reference_exists(BENCH_NT_COPY)) add_reference(result, "nt copy", BENCH_NT_COPY)->bytes = 2 * matrix;
    add_reference(result, "fma", BENCH_FMA)->flops = 2.0 * BENCH_FMA_COUNT * options->threads;
    add_reference(result, "exp", BENCH_EXP)->exps = (double)BENCH_EXP_COUNT * options->threads;
    for (int i = 0; i < BENCH_MODES; i++) {
        bench_provider *p = &result->providers[result->provider_count++];
        p->name = modes[i];
        p->mode = (bench_mode)i;
        p->reads_only = i == BENCH_FORWARD;
        p->bytes = (double)work->calls[i].info.minimal_bytes;
        p->flops = (double)work->calls[i].info.flops;
        p->exps = logits;
    }
}

// More than the last level of the caches holds, four times over.
static void flush_caches(bench_team *team, unsigned char *junk, size_t bytes)
{
    bench_refer(team, BENCH_COPY, junk, junk + bytes / 2, bytes / 2);
}

static int run_once(bench_work *work, bench_team *team, const bench_provider *p, double *seconds)
{
    size_t bytes = (size_t)work->rows * work->row_bytes;
    double spent = 0;
    uint32_t repeats = 0;
    int code = TOOL_OK;
    do {
        if (work->junk) flush_caches(team, work->junk, work->junk_bytes);
        double start = bench_now();
        if (p->is_reference) {
            spent += bench_refer(team, p->reference, work->logits.host, work->copy, bytes);
        } else {
            code = bench_work_run(work, p->mode);
            spent += bench_now() - start;
        }
    } while (++repeats < REPEATS_MOST && !code && spent < least_seconds);
    *seconds = spent / repeats;
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
    double ignored, start = bench_now(), wanted = options->seconds * count;
    for (uint32_t i = 0; i < count * (options->quick ? 1 : WARM_UP) && !code; i++)
        code = run_once(work, team, &result->providers[i % count], &ignored);
    start = bench_now();
    for (uint32_t round = 0; round < ROUNDS_MOST && !code; round++) {
        double spent = bench_now() - start;
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

static const bench_provider *find_reference(const bench_result *result, bench_reference reference)
{
    for (uint32_t i = 0; i < result->provider_count; i++)
        if (result->providers[i].is_reference && result->providers[i].reference == reference) return &result->providers[i];
    return NULL;
}

// The least time that the references' rates of this round allow: what only reads at the speed of reading, the others at
// that of the better copy.
static double roof_seconds(const bench_result *result, const bench_provider *p, uint32_t round)
{
    const bench_provider *read = find_reference(result, BENCH_READ), *copy = find_reference(result, BENCH_COPY);
    const bench_provider *past = find_reference(result, BENCH_NT_COPY), *fma = find_reference(result, BENCH_FMA);
    const bench_provider *exp = find_reference(result, BENCH_EXP);
    double rate = copy->bytes / copy->seconds[round];
    if (past && past->bytes / past->seconds[round] > rate) rate = past->bytes / past->seconds[round];
    if (p->reads_only) rate = read->bytes / read->seconds[round];
    double roof = p->bytes / rate;
    double by_flops = p->flops * fma->seconds[round] / fma->flops, by_exps = p->exps * exp->seconds[round] / exp->exps;
    roof = by_flops > roof ? by_flops : roof;
    return by_exps > roof ? by_exps : roof;
}

static void summarise(bench_result *result, double *scratch)
{
    uint32_t rounds = result->rounds;
    for (uint32_t i = 0; i < result->provider_count; i++) {
        bench_provider *p = &result->providers[i];
        for (int k = 0; k <= BENCH_NT_COPY; k++) {
            const bench_provider *r = find_reference(result, (bench_reference)k);
            if (!r) continue;
            for (uint32_t n = 0; n < rounds; n++) scratch[n] = (p->bytes / p->seconds[n]) / (r->bytes / r->seconds[n]);
            p->of[k] = spread_of(scratch, rounds);
        }
        for (uint32_t n = 0; n < rounds && !p->is_reference; n++) scratch[n] = roof_seconds(result, p, n) / p->seconds[n];
        if (!p->is_reference) p->of_roof = spread_of(scratch, rounds);
    }
    for (uint32_t i = 0; i < result->provider_count; i++) {
        memcpy(scratch, result->providers[i].seconds, rounds * sizeof *scratch);
        result->providers[i].time = spread_of(scratch, rounds);
    }
}

int bench_measure(bench_work *work, bench_team *team, const bench_options *options, bool cold, bench_result *result)
{
    memset(result, 0, sizeof *result);
    result->loss_error = result->grad_error = -1;
    result->cold = cold;
    list_providers(work, options, result);
    work->junk_bytes = cold ? 4 * bench_cache_bytes() : 0;
    work->junk = cold ? calloc(1, work->junk_bytes) : NULL;
    size_t sample_bytes = work->row_bytes * BENCH_SAMPLES + 4;
    unsigned char *first = malloc(sample_bytes), *last = malloc(sample_bytes);
    double *scratch = malloc(ROUNDS_MOST * sizeof *scratch);
    bool good = first && last && scratch && (work->junk || !cold);
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
    free(work->junk);
    work->junk = NULL;
    return code;
}

void bench_result_free(bench_result *result)
{
    for (uint32_t i = 0; i < result->provider_count; i++) free(result->providers[i].seconds);
    memset(result, 0, sizeof *result);
}
