// product_bench.c - the three products of a linear head by each set's tile_product, beside OpenBLAS in the same process.
//     OPENBLAS_CORETYPE=SkylakeX product_bench [ROWS COLS DIM [THREADS [bf16]]]
// OpenBLAS is loaded if it is there, and no part of the build. Each figure is the median of the rounds; rounds alternate.
#include "backend/cpu/sets.h"
#include "backend/cpu/threads.h"

#include "kernels/softmax.h"
#include "kernels/tile.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 5, PRODUCTS = 3 };

typedef void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                      float beta, float *c, int ldc);

typedef struct shape { uint32_t rows, cols, dim; bool half; } shape;
typedef struct matrices { float *x, *w, *z, *dx, *dw; uint16_t *xh, *wh; } matrices;

typedef struct job { wane_cpu_kernel kernel; wane_cpu_call call; uint32_t items, parts, line; } job;

static void run_part(void *argument, uint32_t index)
{
    const job *j = argument;
    uint32_t lines = j->items / j->line;
    j->kernel(&j->call, lines * index / j->parts * j->line, lines * (index + 1) / j->parts * j->line);
}

static void product(wane_pool *pool, const wane_cpu_set *set, shape s, matrices m, int which)
{
    uint32_t rows = which == 2 ? s.cols : s.rows, cols = which == 0 ? s.cols : s.dim;
    uint32_t depth = which == 0 ? s.dim : which == 1 ? s.cols : s.rows;
    const void *x = s.half ? (void *)m.xh : (void *)m.x, *w = s.half ? (void *)m.wh : (void *)m.w;
    uint32_t type = s.half ? TYPE_BF16 : TYPE_F32, types[4] = {which == 0 ? type | type << 4 : type << 4, which == 0 ? 3 : which == 1 ? 1 : 0};
    uint32_t record[64] = {which == 2 ? 1 : which == 1 ? s.cols : s.dim, which == 2 ? s.cols : 1, which == 0 ? s.dim : 1,
                           which == 0 ? 1 : s.dim, which == 0 ? s.cols : s.dim, 1, 1, 0};
    uint32_t ti = (rows + 63) / 64, tj = (cols + 63) / 64, tiles = which == 2 ? tj : ti;
    uint32_t window[8] = {ti * tj, 0, rows, cols, depth, tiles, (which == 2 ? TILE_ACROSS : 0) | TILE_MAY_ROUND};
    job j = {set->kernels[WANE_KERNEL_TILE_PRODUCT], {{0}, record, window, types, false}, ti * tj, wane_pool_width(pool), tiles};
    j.call.slots[0] = (uint32_t *)(which == 0 ? x : m.z);
    j.call.slots[1] = (uint32_t *)(which == 2 ? x : w);
    j.call.slots[3] = (uint32_t *)(which == 0 ? m.z : which == 1 ? m.dx : m.dw);
    wane_pool_run(pool, j.parts, run_part, &j);
}

static void blas(sgemm f, shape s, matrices m, int which)
{
    int n = (int)s.rows, v = (int)s.cols, d = (int)s.dim;
    enum { ROW_MAJOR = 101, NO = 111, YES = 112 };
    if (which == 0) f(ROW_MAJOR, NO, YES, n, v, d, 1, m.x, d, m.w, d, 0, m.z, v);
    if (which == 1) f(ROW_MAJOR, NO, NO, n, d, v, 1, m.z, v, m.w, d, 0, m.dx, d);
    if (which == 2) f(ROW_MAJOR, YES, NO, v, d, n, 1, m.z, v, m.x, d, 0, m.dw, d);
}

static double seconds(void) { return (double)wane_clock_ns() * 1e-9; }
static int by_size(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return (x > y) - (x < y); }

static float *random_floats(size_t count)
{
    float *x = aligned_alloc(64, (count * 4 + 63) / 64 * 64);
    uint32_t seed = 1;
    for (size_t i = 0; x && i < count; i++) seed = seed * 1664525u + 1013904223u, x[i] = (float)(int32_t)seed * 1e-10f;
    return x;
}

static uint16_t *halves_of(const float *x, size_t count)
{
    uint16_t *h = aligned_alloc(64, (count * 2 + 63) / 64 * 64);
    for (size_t i = 0; h && i < count; i++) h[i] = (uint16_t)(wane_float_bits(x[i]) >> 16);
    return h;
}

int main(int argc, char **argv)
{
    shape s = {argc > 1 ? (uint32_t)atoi(argv[1]) : 1024, argc > 2 ? (uint32_t)atoi(argv[2]) : 32768, argc > 3 ? (uint32_t)atoi(argv[3]) : 768,
               argc > 5 && strcmp(argv[5], "bf16") == 0};
    wane_context_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.thread_count = argc > 4 ? (uint32_t)atoi(argv[4]) : 2;
    wane_context *context = NULL;
    wane_pool *pool = NULL;
    if (wane_context_create(&desc, &context) || wane_pool_create(context, &pool)) return 1;
    size_t xs = (size_t)s.rows * s.dim, ws = (size_t)s.cols * s.dim, zs = (size_t)s.rows * s.cols;
    matrices m = {random_floats(xs), random_floats(ws), random_floats(zs), random_floats(xs), random_floats(ws), NULL, NULL};
    m.xh = halves_of(m.x, xs);
    m.wh = halves_of(m.w, ws);
    void *library = dlopen("libopenblas.so.0", RTLD_NOW);
    sgemm f = NULL;
    if (library) *(void **)&f = dlsym(library, "cblas_sgemm");
    void (*set_threads)(int) = NULL;
    if (library) *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
    if (set_threads) set_threads((int)desc.thread_count);
    const wane_cpu_set *sets[WANE_CPU_SETS_MOST + 1];
    uint32_t count = wane_cpu_sets(sets);
    double times[WANE_CPU_SETS_MOST + 1][PRODUCTS][ROUNDS];
    uint32_t first = argc > 6 ? (uint32_t)atoi(argv[6]) : count > 2 ? count - 2 : 0;
    for (int r = 0; r < ROUNDS; r++)
        for (int w = 0; w < PRODUCTS; w++)
            for (uint32_t i = first; i <= count; i++) {
                double t = seconds();
                if (i < count) product(pool, sets[i], s, m, w);
                else if (f) blas(f, s, m, w);
                times[i][w][r] = seconds() - t;
                for (t = seconds(); i == count && f && seconds() - t < 0.1;) continue;   // OpenBLAS's threads spin for a while
            }
    double flops = 2.0 * s.rows * s.cols * s.dim;
    printf("rows %u cols %u dim %u, %s, %u threads: ms (GFLOP/s)\n", s.rows, s.cols, s.dim, s.half ? "bf16" : "f32", desc.thread_count);
    for (uint32_t i = first; i <= count; i++) {
        double sum = 0;
        printf("%-12s", i < count ? sets[i]->name : f ? "OpenBLAS f32" : "no OpenBLAS");
        for (int w = 0; w < PRODUCTS; w++) {
            qsort(times[i][w], ROUNDS, sizeof(double), by_size);
            double t = times[i][w][ROUNDS / 2];
            sum += t;
            printf("  %s %7.1f (%4.0f)", w == 0 ? "X W'" : w == 1 ? "G W" : "G' X", t * 1e3, flops / t * 1e-9);
        }
        printf("  sum %7.1f\n", sum * 1e3);
    }
    wane_pool_destroy(pool);
    wane_context_destroy(context);
    return 0;
}
