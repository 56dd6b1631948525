// blas.c - the products of a linear head by OpenBLAS, in the same process and round.
#include "bench.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                      int ldb, float beta, float *c, int ldc);

struct bench_blas {
    sgemm multiply;
    int rows, cols, dim;
    float *a, *b, *g, *grad_a, *grad_b;
};

static char loaded[128];

const char *bench_blas_name(void) { return loaded; }

static void *load(uint32_t threads)
{
#if defined(__x86_64__) && defined(__GNUC__)
    // its own choice on processors that it does not know is AVX2, at half the speed
    if (__builtin_cpu_supports("avx512f")) setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
#endif
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) return NULL;
    void (*set_threads)(int) = NULL;
    char *(*config)(void) = NULL;
    *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
    *(void **)&config = dlsym(library, "openblas_get_config");
    if (set_threads) set_threads((int)threads);
    snprintf(loaded, sizeof loaded, "%s", config ? config() : "OpenBLAS");
    return dlsym(library, "cblas_sgemm");
}

static float *numbers(int64_t count)
{
    float *x = aligned_alloc(64, ((size_t)count * 4 + 63) / 64 * 64);
    for (int64_t i = 0; x && i < count; i++) x[i] = (float)bench_uniform(WANE_ROLE_INPUT, i, -1, 1);
    return x;
}

bench_blas *bench_blas_make(uint32_t threads, int64_t rows, int64_t cols, int64_t dim)
{
    enum { MOST = 1 << 30 };                // 4 GiB of product
    if (rows * cols > MOST || cols * dim > MOST || rows * dim > MOST) return NULL;
    static void *multiply;                  // the library stays
    static bool tried;
    if (!tried) multiply = load(threads);
    tried = true;
    bench_blas *blas = multiply ? calloc(1, sizeof *blas) : NULL;
    if (!blas) return NULL;
    *(void **)&blas->multiply = multiply;
    blas->rows = (int)rows, blas->cols = (int)cols, blas->dim = (int)dim;
    float **all[] = {&blas->a, &blas->b, &blas->g, &blas->grad_a, &blas->grad_b};
    const int64_t counts[] = {rows * dim, cols * dim, rows * cols, rows * dim, cols * dim};
    bool good = true;
    for (int i = 0; i < 5; i++) {
        *all[i] = numbers(counts[i]);
        good = good && *all[i];
    }
    if (good) return blas;
    bench_blas_free(blas);
    return NULL;
}

double bench_blas_run(bench_blas *blas, bench_reference which)
{
    enum { ROW_MAJOR = 101, NO = 111, YES = 112 };
    int n = blas->rows, v = blas->cols, d = blas->dim;
    double start = bench_now();
    blas->multiply(ROW_MAJOR, NO, YES, n, v, d, 1, blas->a, d, blas->b, d, 0, blas->g, v);
    if (which == BENCH_PRODUCTS) {
        blas->multiply(ROW_MAJOR, NO, NO, n, d, v, 1, blas->g, v, blas->b, d, 0, blas->grad_a, d);
        blas->multiply(ROW_MAJOR, YES, NO, v, d, n, 1, blas->g, v, blas->a, d, 0, blas->grad_b, d);
    }
    double seconds = bench_now() - start;
    // its threads look for more work for a while, on processors that the next provider wants
    for (double end = bench_now() + 0.1; bench_now() < end;) continue;
    return seconds;
}

void bench_blas_free(bench_blas *blas)
{
    if (!blas) return;
    float *all[] = {blas->a, blas->b, blas->g, blas->grad_a, blas->grad_b};
    for (int i = 0; i < 5; i++) free(all[i]);
    free(blas);
}
