// tune.c - --tune: which choices suit a device best. For each, plans under the candidates run in rotated order on the same
// problem, and the fastest median wins; a candidate has to be faster than the library's own choice by 3 %.
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CANDIDATES = 4, ROUNDS = 9, ROUNDS_MOST = 200, RECORD_BYTES = 2048 };
static const double BETTER = 0.97, DISPATCH_SECONDS = 0.05;

typedef struct tuner {
    tool_session *session;
    bench_memory *memory;
    wane_device *device;
    bench_options options;
    wane_limits best;                       // the choices so far
} tuner;

static int tune_device(tuner *t, const wane_limits *limits)
{
    char record[RECORD_BYTES];
    size_t bytes = wane_tuning_write(t->device, limits, record, sizeof record);
    wane_status status = wane_device_tune(t->device, record, bytes);
    return status ? tool_report(t->session, status, NULL) : TOOL_OK;
}

static void set_op(tuner *t, const char *op)
{
    t->options.loss = wane_loss_by_name(op);
    for (uint32_t i = 0; bench_families[i]; i++)
        if (strcmp(bench_families[i]->name, t->options.loss->family) == 0) t->options.family = bench_families[i];
}

// The seconds of the fused call under each candidate, medians of rounds.
static int contest(tuner *t, const char *op, const tool_extents *extents, const wane_limits *candidates, uint32_t count,
                   double medians[CANDIDATES])
{
    static bench_work works[CANDIDATES];
    static double seconds[CANDIDATES][ROUNDS_MOST];
    set_op(t, op);
    int code = TOOL_OK;
    uint32_t made = 0, rounds = 0;
    for (; made < count && !code; made++) {
        code = tune_device(t, &candidates[made]);
        memset(&works[made], 0, sizeof works[made]);
        if (!code) code = bench_work_make(&works[made], t->session, t->memory, t->device, &t->options, extents);
    }
    double start = bench_now();
    for (; !code && rounds < ROUNDS_MOST && (rounds < ROUNDS || bench_now() - start < t->options.seconds * count); rounds++)
        for (uint32_t i = 0; i < count && !code; i++) {
            uint32_t k = (i + rounds) % count;
            double begin = bench_now();
            code = bench_work_run(&works[k], bench_work_fused(&works[k]));
            seconds[k][rounds] = bench_now() - begin;
        }
    for (uint32_t i = 0; i < made; i++) {
        if (!code) medians[i] = bench_spread_of(seconds[i], rounds).median;
        bench_work_free(&works[i]);
    }
    if (!code) code = tune_device(t, &t->best);
    return code;
}

static tool_extents extents_of(int64_t rows, int64_t cols, int64_t dim)
{
    tool_extents extents;
    memset(&extents, 0, sizeof extents);
    bench_set_extent(&extents, "rows", rows);
    bench_set_extent(&extents, "cols", cols);
    if (dim) bench_set_extent(&extents, "dim", dim);
    return extents;
}

// Elements a second of an op, of a problem that takes about as long as a dispatch may. 64 multiply-adds of a product count
// as an element.
static int rate_of(tuner *t, const char *op, int64_t cols, int64_t dim, double *rate)
{
    double seconds[CANDIDATES] = {0};
    int code = TOOL_OK;
    for (int64_t rows = 64; seconds[0] < DISPATCH_SECONDS && rows <= 8192 && !code; rows *= 4) {
        tool_extents extents = extents_of(rows, cols, dim);
        code = contest(t, op, &extents, &t->best, 1, seconds);
        *rate = (double)rows * (double)cols * (dim ? 3.0 * (double)dim / 64 : 1) / seconds[0];
    }
    if (!code) printf("%s: %.1f M elements a second\n", op, *rate / 1e6);
    return code;
}

// The largest power of two that the slower of the two kinds of work does in 50 ms. Nothing watches how long the CPU takes.
static int tune_dispatch(tuner *t, double rows, double products)
{
    uint64_t elems = 1 << 16;
    double most = DISPATCH_SECONDS * (rows < products ? rows : products);
    while (elems < UINT64_C(1) << 40 && (double)(2 * elems) <= most) elems *= 2;
    if (strcmp(tool_device_info(t->device).backend, "cpu") != 0) t->best.max_dispatch_elems = elems;
    return tune_device(t, &t->best);
}

// The fewest rows from which on a row for each group of threads is no slower than rows in slices.
static int tune_split(tuner *t)
{
    uint32_t below = 64;
    for (uint32_t rows = 32; rows >= 1; rows /= 2) {
        wane_limits candidates[2] = {t->best, t->best};
        candidates[0].split_rows_below = rows;
        candidates[1].split_rows_below = rows + 1;
        double seconds[CANDIDATES];
        tool_extents extents = extents_of(rows, 131072, 0);
        int code = contest(t, "cross_entropy", &extents, candidates, 2, seconds);
        if (code) return code;
        printf("%u rows of 131072 columns: whole %.2f ms, split %.2f ms\n", (unsigned)rows, 1e3 * seconds[0], 1e3 * seconds[1]);
        fflush(stdout);
        if (BETTER * seconds[0] > seconds[1]) break;       // whole rows move fewer bytes: in doubt they are whole
        below = rows;
    }
    t->best.split_rows_below = below;
    return tune_device(t, &t->best);
}

// Of a problem of some 0.2 seconds.
static int tune_slice(tuner *t, double products)
{
    static const uint32_t values[] = {0, 1024, 4096, 8192};
    enum { COUNT = sizeof values / sizeof values[0] };
    int64_t rows = 512, cols = 16384, dim = 256;
    while (rows > 64 && 3.0 * (double)(rows * cols * dim) / 64 > 0.2 * products) rows /= 2;
    wane_limits candidates[COUNT];
    double seconds[CANDIDATES];
    for (uint32_t i = 0; i < COUNT; i++) {
        candidates[i] = t->best;
        candidates[i].linear_slice_cols = values[i];
    }
    tool_extents extents = extents_of(rows, cols, dim);
    int code = contest(t, "linear_cross_entropy", &extents, candidates, COUNT, seconds);
    uint32_t best = 0;
    for (uint32_t i = 1; i < COUNT && !code; i++)
        if (seconds[i] < seconds[best] && seconds[i] < BETTER * seconds[0]) best = i;
    for (uint32_t i = 0; i < COUNT && !code; i++)
        printf("linear heads, slices of %u columns%s: %.2f ms%s\n", (unsigned)values[i], i ? "" : " (the library's choice)",
               1e3 * seconds[i], i == best ? " *" : "");
    if (!code) t->best.linear_slice_cols = values[best];
    return code ? code : tune_device(t, &t->best);
}

// The dims of which gradients are faster without memory for logits, of heads whose logits take some 0.2 seconds.
static int tune_chunk(tuner *t, double products)
{
    t->best.linear_chunk_dim = 1;
    for (uint32_t dim = 16; dim <= 64; dim *= 2) {
        int64_t rows = 1024, cols = 16384;
        while (rows > 64 && 3.0 * (double)(rows * cols * dim) / 64 > 0.2 * products) rows /= 2;
        wane_limits candidates[2] = {t->best, t->best};
        candidates[0].linear_chunk_dim = 1;
        candidates[1].linear_chunk_dim = dim + 1;
        double seconds[CANDIDATES];
        tool_extents extents = extents_of(rows, cols, dim);
        int code = contest(t, "linear_cross_entropy", &extents, candidates, 2, seconds);
        if (code) return code;
        bool better = seconds[1] < BETTER * seconds[0];
        printf("linear heads of dim %u, %lld rows: memory for logits %.2f ms, none %.2f ms%s\n", (unsigned)dim, (long long)rows,
               1e3 * seconds[0], 1e3 * seconds[1], better ? " *" : "");
        if (!better) break;
        t->best.linear_chunk_dim = dim + 1;
    }
    return tune_device(t, &t->best);
}

// `file` is at its end, behind what it held before.
static int write_record(tuner *t, FILE *file, const char *path)
{
    char record[RECORD_BYTES];
    wane_tuning_write(t->device, &t->best, record, sizeof record);
    file = freopen(path, "w", file);
    bool good = file && fputs(record, file) >= 0;
    if (file && fclose(file) != 0) good = false;
    if (!good) {
        tool_error("--tune %s: %s", path, strerror(errno));
        return TOOL_FAILED;
    }
    printf("%s:\n%s", path, record);
    return TOOL_OK;
}

static int measure(tuner *t)
{
    double rows = 0, products = 0;
    int code = rate_of(t, "cross_entropy", 8192, 0, &rows);
    if (!code) code = rate_of(t, "linear_cross_entropy", 1024, 256, &products);
    if (!code) code = tune_dispatch(t, rows, products);
    if (!code) code = tune_split(t);
    if (!code) code = tune_slice(t, products);
    if (!code) code = tune_chunk(t, products);
    return code;
}

int bench_tune(tool_session *session, bench_memory *memory, wane_device *device, const bench_options *options)
{
    tuner t = {session, memory, device, *options, {0}};
    wane_status status = wane_device_tune(device, NULL, 0);
    if (status) return tool_report(session, status, NULL);
    wane_device_info info = tool_device_info(device);
    t.best = info.limits;
    t.options.param_count = 0;
    t.options.dtype = WANE_DTYPE_F32;
    // Whether it can be written shows before minutes of measuring; an older record in it stays until there is a new one.
    FILE *file = fopen(options->tune, "a");
    if (!file) {
        tool_error("--tune %s: %s", options->tune, strerror(errno));
        return TOOL_FAILED;
    }
    int code = measure(&t);
    if (!code) return write_record(&t, file, options->tune);
    fclose(file);
    return code;
}
