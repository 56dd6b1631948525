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

bench_spread bench_spread_of(double *values, uint32_t count)
{
    qsort(values, count, sizeof *values, compare);
    bench_spread s;
    s.median = count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
    s.p20 = values[(count - 1) / 5];
    s.p80 = values[count - 1 - (count - 1) / 5];
    return s;
}

// ---- who runs ----

static bool is_product(bench_reference reference) { return reference == BENCH_PRODUCT || reference == BENCH_PRODUCTS; }

static bool exists(const bench_work *work, bench_reference reference)
{
    const bench_options *options = work->options;
    switch (reference) {
    case BENCH_READ: case BENCH_COPY: case BENCH_FMA: case BENCH_EXP: return true;
    case BENCH_NT_COPY: return bench_copy_past_cache(NULL, NULL, 0);
    case BENCH_DOT: return options->dtype == WANE_DTYPE_BF16 && options->family->rate == BENCH_FLOPS && bench_dot(0) > 0;
    case BENCH_LINK: return options->family->references >> reference & 1;
    default: return work->blas != NULL;
    }
}

static void add_reference(const bench_work *work, bench_reference reference, bench_result *result)
{
    bench_provider *p = &result->providers[result->provider_count++];
    double bulk = (double)work->bulk->shape.bytes, threads = work->options->threads;
    double product = 2.0 * (double)bench_extent(&work->extents, "rows") * (double)bench_extent(&work->extents, "cols")
                   * (double)bench_extent(&work->extents, "dim");
    const double amounts[BENCH_REFERENCES] = {bulk, 2 * bulk, 2 * bulk, 2 * BENCH_FMA_COUNT * threads, 2 * BENCH_FMA_COUNT * threads,
                                              BENCH_EXP_COUNT * threads, BENCH_EXP_COUNT * threads, product, 3 * product};
    p->name = bench_references[reference].name;
    p->reference = reference;
    p->amount[bench_references[reference].unit] = amounts[reference];
}

static void list_providers(const bench_work *work, bench_result *result)
{
    for (int r = 0; r < BENCH_REFERENCES; r++)
        if (exists(work, (bench_reference)r)) add_reference(work, (bench_reference)r, result);
    for (int i = 0; i < BENCH_MODES && work->calls[i].mode; i++) {
        bench_provider *p = &result->providers[result->provider_count++];
        p->name = work->calls[i].mode->name;
        p->call = &work->calls[i];
        work->options->family->costs(work, p->call->mode, p->amount);
        p->amount[BENCH_BYTES] = (double)p->call->info.minimal_bytes;
    }
}

// ---- rounds ----

// More than the last level of the caches holds, four times over.
static void flush_caches(bench_team *team, unsigned char *junk, size_t bytes)
{
    bench_refer(team, BENCH_COPY, junk, junk + bytes / 2, bytes / 2);
}

static int run_once(bench_work *work, bench_team *team, const bench_provider *p, double *seconds)
{
    double spent = 0;
    uint32_t repeats = 0;
    int code = TOOL_OK;
    do {
        if (work->junk) flush_caches(team, work->junk, work->junk_bytes);
        double start = bench_now();
        if (p->call) {
            code = bench_work_run(work, p->call);
            spent += bench_now() - start;
        } else if (is_product(p->reference)) {
            spent += bench_blas_run(work->blas, p->reference);
        } else {
            spent += bench_refer(team, p->reference, work->bulk_host, work->copy, work->bulk->shape.bytes);
        }
    } while (++repeats < REPEATS_MOST && !code && spent < least_seconds);
    *seconds = spent / repeats;
    return code;
}

// FNV-1a over the head and the tail of what the fused call writes.
static int take_sample(bench_work *work, uint64_t *sample)
{
    enum { PART = 1 << 20 };
    const bench_call *call = bench_work_fused(work);
    unsigned char *part = malloc(PART);
    int code = part ? bench_work_run(work, call) : TOOL_FAILED;
    *sample = 0xcbf29ce484222325u;
    for (int r = 0; r < BENCH_ROLES && !code; r++) {
        const bench_tensor *t = &work->tensors[r];
        if (!t->role || !(call->mode->outputs >> r & 1)) continue;
        uint64_t bytes = t->shape.bytes, size = bytes < PART ? bytes : PART;
        for (int end = 0; end < 2 && !code; end++) {
            code = bench_work_read(work, &t->place, end ? bytes - size : 0, part, size);
            for (uint64_t i = 0; i < size; i++) *sample = (*sample ^ part[i]) * 0x100000001b3u;
        }
    }
    free(part);
    return code;
}

static int run_rounds(bench_work *work, bench_team *team, bench_result *result)
{
    const bench_options *options = work->options;
    uint32_t count = result->provider_count;
    char shape[96];
    int code = TOOL_OK;
    double ignored, start = bench_now(), wanted = options->seconds * count;
    for (uint32_t i = 0; i < count * (options->quick ? 1 : WARM_UP) && !code; i++)
        code = run_once(work, team, &result->providers[i % count], &ignored);
    start = bench_now();
    for (uint32_t round = 0; round < ROUNDS_MOST && !code; round++) {
        double spent = bench_now() - start;
        // enough rounds and time; or, where a round is very long, ten times the time
        if ((round >= options->rounds && spent >= wanted) || (round >= 5 && spent >= 10 * wanted)) break;
        bench_progress("%s: round %u, %.0f s", bench_extents_text(&work->extents, shape), round + 1, spent);
        for (uint32_t i = 0; i < count && !code; i++) {
            bench_provider *p = &result->providers[(i + round) % count];
            code = run_once(work, team, p, &p->seconds[round]);
        }
        result->rounds = round + 1;
    }
    bench_progress(NULL);
    return code;
}

// ---- ratios ----

const bench_provider *bench_find_reference(const bench_result *result, bench_reference reference)
{
    for (uint32_t i = 0; i < result->provider_count; i++)
        if (!result->providers[i].call && result->providers[i].reference == reference) return &result->providers[i];
    return NULL;
}

static double rate_of(const bench_result *result, bench_reference reference, uint32_t round)
{
    const bench_provider *r = bench_find_reference(result, reference);
    return r ? r->amount[bench_references[reference].unit] / r->seconds[round] : 0;
}

// The least time that the references' rates of this round allow: what only reads at the speed of reading, the others at
// that of the better copy. What OpenBLAS reaches is no limit of the machine.
static double roof_seconds(const bench_result *result, const bench_provider *p, uint32_t round)
{
    double longest = 0;
    bool copies = p->call && p->call->writes;
    for (int r = 0; r <= BENCH_LINK; r++) {
        double rate = rate_of(result, (bench_reference)r, round), amount = p->amount[bench_references[r].unit];
        if (r == BENCH_READ && copies) continue;
        if ((r == BENCH_COPY || r == BENCH_NT_COPY) && !copies) continue;
        if (r == BENCH_COPY && rate_of(result, BENCH_NT_COPY, round) > rate) continue;
        if (r == BENCH_NT_COPY && rate_of(result, BENCH_COPY, round) >= rate) continue;
        if (r == BENCH_FMA && rate_of(result, BENCH_DOT, round) > rate) continue;
        if (rate > 0 && amount / rate > longest) longest = amount / rate;
    }
    return longest;
}

static void summarise(bench_result *result, double *scratch)
{
    uint32_t rounds = result->rounds;
    for (uint32_t i = 0; i < result->provider_count; i++) {
        bench_provider *p = &result->providers[i];
        for (int k = 0; k < BENCH_REFERENCES; k++) {
            double amount = p->amount[bench_references[k].unit];
            if (!bench_find_reference(result, (bench_reference)k) || amount <= 0) continue;
            for (uint32_t n = 0; n < rounds; n++) scratch[n] = amount / p->seconds[n] / rate_of(result, (bench_reference)k, n);
            p->of[k] = bench_spread_of(scratch, rounds);
        }
        for (uint32_t n = 0; n < rounds && p->call; n++) scratch[n] = roof_seconds(result, p, n) / p->seconds[n];
        if (p->call) p->of_roof = bench_spread_of(scratch, rounds);
    }
    for (uint32_t i = 0; i < result->provider_count; i++) {
        memcpy(scratch, result->providers[i].seconds, rounds * sizeof *scratch);
        result->providers[i].time = bench_spread_of(scratch, rounds);
    }
}

int bench_measure(bench_work *work, bench_team *team, bool cold, bench_result *result)
{
    memset(result, 0, sizeof *result);
    result->value_error = result->grad_error = -1;
    result->cold = cold;
    uint32_t products = 1u << BENCH_PRODUCT | 1u << BENCH_PRODUCTS;
    if (!work->blas && work->options->family->references & products)
        work->blas = bench_blas_make(work->options->threads, bench_extent(&work->extents, "rows"),
                                     bench_extent(&work->extents, "cols"), bench_extent(&work->extents, "dim"));
    list_providers(work, result);
    work->junk_bytes = cold ? 4 * bench_cache_bytes() : 0;
    work->junk = cold ? calloc(1, work->junk_bytes) : NULL;
    double *scratch = malloc(ROUNDS_MOST * sizeof *scratch);
    bool good = scratch && (work->junk || !cold);
    for (uint32_t i = 0; i < result->provider_count; i++) {
        result->providers[i].seconds = calloc(ROUNDS_MOST, sizeof(double));
        good = good && result->providers[i].seconds;
    }
    uint64_t first = 0, last = 0;
    int code = TOOL_OK;
    if (!good) {
        tool_error("out of memory");
        code = TOOL_FAILED;
    }
    if (!code) code = take_sample(work, &first);
    if (!code) code = run_rounds(work, team, result);
    if (!code) code = take_sample(work, &last);
    if (!code) summarise(result, scratch);
    result->bits_equal = first == last;
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
