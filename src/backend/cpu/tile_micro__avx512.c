// tile_micro__avx512.c - tile_product for AVX-512: a register tile of 8 x 32, 16 sums in 32 registers.
// Two Zen 5 cores, rows 1024, cols 8192, dim 768: 457 to 475 GFLOP/s, where the made kernel has 8 and OpenBLAS 0.3.21 with
// OPENBLAS_CORETYPE=SkylakeX 467 to 478 (simd_product_bench). 12 or 14 rows a tile were 3 to 5 % slower.
#define MICRO_ROWS 8
#define MICRO_COLS 32
#define MICRO_SQUARE 16

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef float __attribute__((may_alias, aligned(1))) any_float;

// 16 rows of 16 words: pairs of rows are interleaved by words, then by two words, then quarters of registers are sorted.
static inline void transpose_square(uint32_t *out, const char *in, ptrdiff_t in_row_bytes)
{
    __m512 r[16], t[16];
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(in + i * in_row_bytes);
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++)
        for (int h = 0; h < 2; h++) {
            __m512d lo = _mm512_castps_pd(t[4 * i + h]), hi = _mm512_castps_pd(t[4 * i + 2 + h]);
            r[4 * i + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo, hi));
            r[4 * i + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo, hi));
        }
    for (int q = 0; q < 4; q++) {                      // r[4 i + q] holds depths q, 4 + q, 8 + q, 12 + q of rows 4 i ..
        __m512 a = _mm512_shuffle_f32x4(r[q], r[4 + q], 0x88), b = _mm512_shuffle_f32x4(r[8 + q], r[12 + q], 0x88);
        __m512 c = _mm512_shuffle_f32x4(r[q], r[4 + q], 0xdd), d = _mm512_shuffle_f32x4(r[8 + q], r[12 + q], 0xdd);
        _mm512_storeu_ps(out + q * MICRO_COLS, _mm512_shuffle_f32x4(a, b, 0x88));
        _mm512_storeu_ps(out + (4 + q) * MICRO_COLS, _mm512_shuffle_f32x4(c, d, 0x88));
        _mm512_storeu_ps(out + (8 + q) * MICRO_COLS, _mm512_shuffle_f32x4(a, b, 0xdd));
        _mm512_storeu_ps(out + (12 + q) * MICRO_COLS, _mm512_shuffle_f32x4(c, d, 0xdd));
    }
}

#include "backend/cpu/tile_pack.h"

K_FN void multiply(const tile_job *job, bool panel)
{
    const char *a = job->a;
    const any_float *b = (const any_float *)job->b;
    __m512 sum[MICRO_ROWS][2];
    _Pragma("GCC unroll 8") for (int i = 0; i < MICRO_ROWS; i++) {
        sum[i][0] = sum[i][1] = _mm512_setzero_ps();
        _mm_prefetch((const char *)(job->c + i * job->c_row), _MM_HINT_T0);
        _mm_prefetch((const char *)(job->c + i * job->c_row + 16), _MM_HINT_T0);
    }
    const char *row[MICRO_ROWS];
    _Pragma("GCC unroll 8") for (int i = 0; i < MICRO_ROWS; i++) row[i] = panel ? a + 4 * i : a + i * job->a_row_bytes;
    for (uint32_t k = 0; k < job->words; k++, b += MICRO_COLS) {
        __m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + 16);
        _Pragma("GCC unroll 8") for (int i = 0; i < MICRO_ROWS; i++) {
            __m512 x = _mm512_set1_ps(*(const any_float *)(row[i] + (panel ? 4 * MICRO_ROWS : 4) * (size_t)k));
            sum[i][0] = _mm512_fmadd_ps(x, b0, sum[i][0]);
            sum[i][1] = _mm512_fmadd_ps(x, b1, sum[i][1]);
        }
    }
    _Pragma("GCC unroll 8") for (int i = 0; i < MICRO_ROWS; i++)
        _Pragma("GCC unroll 2") for (int j = 0; j < 2; j++) {
            float *c = job->c + i * job->c_row + 16 * j;
            __m512 x = sum[i][j];
            if (job->bias) x = _mm512_add_ps(x, _mm512_loadu_ps(job->bias + 16 * j));
            if (job->add) x = _mm512_add_ps(_mm512_loadu_ps(c), x);
            _mm512_storeu_ps(c, x);
        }
}

static void multiply_rows(const tile_job *job) { multiply(job, false); }
static void multiply_panel(const tile_job *job) { multiply(job, true); }

const tile_micro wane_tile_micro_avx512 = {
    MICRO_ROWS, MICRO_COLS, 1, multiply_rows, multiply_panel, pack_rows, pack_a, pack_b, load_floats, store_floats,
};

void wane_tile_transpose_avx512(uint32_t *out, const char *in, ptrdiff_t in_row_bytes)
{
    transpose_square(out, in, in_row_bytes);
}

WANE_CPU_MADE(tile_product, avx512);

WANE_CPU_OVERRIDE(tile_product, avx512)
{
    if (!wane_tile_run(&wane_tile_micro_avx512, NULL, call, begin, end)) wane_tile_product__avx512(call, begin, end);
}
