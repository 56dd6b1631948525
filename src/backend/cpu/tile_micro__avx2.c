// tile_micro__avx2.c - tile_product for AVX2 with FMA: a register tile of 6 x 16, 12 sums in 16 registers.
#define MICRO_ROWS 6
#define MICRO_COLS 16
#define MICRO_SQUARE 8

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef float __attribute__((may_alias, aligned(1))) any_float;

// 8 rows of 8 words: by words, by two words, by halves of registers.
static inline void transpose_square(uint32_t *out, const char *in, ptrdiff_t in_row_bytes)
{
    __m256 r[8], t[8];
    float *to = (float *)(void *)out;
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps((const float *)(const void *)(in + i * in_row_bytes));
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++)
        for (int h = 0; h < 2; h++) {
            __m256d lo = _mm256_castps_pd(t[4 * i + h]), hi = _mm256_castps_pd(t[4 * i + 2 + h]);
            r[4 * i + 2 * h] = _mm256_castpd_ps(_mm256_unpacklo_pd(lo, hi));
            r[4 * i + 2 * h + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(lo, hi));
        }
    for (int q = 0; q < 4; q++) {                      // r[4 i + q] holds depths q and 4 + q of rows 4 i ..
        _mm256_storeu_ps(to + q * MICRO_COLS, _mm256_permute2f128_ps(r[q], r[4 + q], 0x20));
        _mm256_storeu_ps(to + (4 + q) * MICRO_COLS, _mm256_permute2f128_ps(r[q], r[4 + q], 0x31));
    }
}

#include "backend/cpu/tile_pack.h"

K_FN void multiply(const tile_job *job, bool panel)
{
    const any_float *b = (const any_float *)job->b;
    const char *row[MICRO_ROWS];
    __m256 sum[MICRO_ROWS][2];
    _Pragma("GCC unroll 6") for (int i = 0; i < MICRO_ROWS; i++) {
        sum[i][0] = sum[i][1] = _mm256_setzero_ps();
        row[i] = panel ? job->a + 4 * i : job->a + i * job->a_row_bytes;
        _mm_prefetch((const char *)(job->c + i * job->c_row), _MM_HINT_T0);
    }
    for (uint32_t k = 0; k < job->words; k++, b += MICRO_COLS) {
        __m256 b0 = _mm256_loadu_ps((const float *)b), b1 = _mm256_loadu_ps((const float *)b + 8);
        _Pragma("GCC unroll 6") for (int i = 0; i < MICRO_ROWS; i++) {
            __m256 x = _mm256_set1_ps(*(const any_float *)(row[i] + (panel ? 4 * MICRO_ROWS : 4) * (size_t)k));
            sum[i][0] = _mm256_fmadd_ps(x, b0, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(x, b1, sum[i][1]);
        }
    }
    _Pragma("GCC unroll 6") for (int i = 0; i < MICRO_ROWS; i++)
        _Pragma("GCC unroll 2") for (int j = 0; j < 2; j++) {
            float *c = job->c + i * job->c_row + 8 * j;
            __m256 x = sum[i][j];
            if (job->bias) x = _mm256_add_ps(x, _mm256_loadu_ps(job->bias + 8 * j));
            if (job->add) x = _mm256_add_ps(_mm256_loadu_ps(c), x);
            _mm256_storeu_ps(c, x);
        }
}

static void multiply_rows(const tile_job *job) { multiply(job, false); }
static void multiply_panel(const tile_job *job) { multiply(job, true); }

static const tile_micro micro = {
    MICRO_ROWS, MICRO_COLS, 1, multiply_rows, multiply_panel, pack_rows, pack_a, pack_b, load_floats, store_floats,
};

WANE_CPU_MADE(tile_product, avx2);

WANE_CPU_OVERRIDE(tile_product, avx2)
{
    if (!wane_tile_run(&micro, NULL, call, begin, end)) wane_tile_product__avx2(call, begin, end);
}
