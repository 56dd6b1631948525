// tile_micro__avx512bf16.c - tile_product of bf16 for AVX-512 BF16: vdpbf16ps multiplies pairs of neighbouring depths and
// adds both products in f32. A register tile of 8 x 32, as for f32. Subnormal bf16 count as 0.
// Two Zen 5 cores, rows 1024, cols 8192, dim 768: 602 to 912 GFLOP/s, where f32 has 438 to 477 (simd_product_bench ... bf16).
#include "backend/cpu/tile_micro.h"

#include "prelude_c.h"
#include "kernels/softmax.h"
#include "kernels/types.h"

#include <immintrin.h>

enum { ROWS = 8, COLS = 32 };

typedef int __attribute__((may_alias, aligned(1))) any_word;

// ---- packing: words of two bf16, the earlier depth in the lower half ----

K_FN __mmask16 lanes(uint32_t count) { return count >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << count) - 1u); }

// Depths are neighbours: words of one row, some of them past its end.
K_FN __m512i load_words_16(const char *in, uint32_t type, uint32_t depth)
{
    if (type == TYPE_BF16) return _mm512_maskz_loadu_epi16(depth >= 32 ? 0xffffffffu : (1u << depth) - 1u, in);
    __m512 lo = _mm512_maskz_loadu_ps(lanes(depth), in);
    __m512 hi = _mm512_maskz_loadu_ps(depth > 16 ? lanes(depth - 16) : 0, in + 64);
    return (__m512i)_mm512_cvtne2ps_pbh(hi, lo);
}

static void pack_rows(uint32_t *out, ptrdiff_t row_words, const tile_view *view)
{
    ptrdiff_t bytes = view->type == TYPE_BF16 ? 2 : 4;
    for (uint32_t i = 0; i < ROWS; i++, out += row_words)
        for (uint32_t k = 0; k < view->depth; k += 32) {
            __m512i words = _mm512_setzero_si512();
            uint32_t depth = view->depth - k;
            if (i < view->rows) words = load_words_16(view->at + (ptrdiff_t)i * view->row_bytes + (ptrdiff_t)k * bytes, view->type, depth);
            _mm512_mask_storeu_epi32(out + k / 2, lanes((depth + 1) / 2), words);
        }
}

// Puts the halves of b after those of a, word by word: a0 b0 a1 b1 ... of lanes 0..15 (first) or 16..31 of both.
K_FN __m512i interleave(__m512i a, __m512i b, bool first)
{
    __m512i at = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1,
                                  32, 0);
    if (!first) at = _mm512_add_epi16(at, _mm512_set1_epi16(16));
    return _mm512_permutex2var_epi16(a, at, b);
}

// Rows are neighbours: two runs of memory make the words of a panel of b. `whole` is known to the compiler.
K_FN void pack_runs(uint32_t *out, const tile_view *view, bool whole)
{
    __mmask32 some = whole || view->rows >= 32 ? 0xffffffffu : (1u << view->rows) - 1u;
    for (uint32_t k = 0; k < view->depth; k += 2, out += COLS) {
        const char *in = view->at + (ptrdiff_t)k * view->depth_bytes;
        __m512i two[2];
        for (uint32_t h = 0; h < 2; h++) {
            const char *from = in + (ptrdiff_t)h * view->depth_bytes;
            __mmask32 most = k + h < view->depth ? some : 0;
            if (view->type == TYPE_BF16) two[h] = _mm512_maskz_loadu_epi16(most, from);
            else two[h] = (__m512i)_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps((__mmask16)(most >> 16), from + 64),
                                                       _mm512_maskz_loadu_ps((__mmask16)most, from));
        }
        _mm512_storeu_si512(out, interleave(two[0], two[1], true));
        _mm512_storeu_si512(out + 16, interleave(two[0], two[1], false));
    }
}

// Likewise for a panel of a.
K_FN void pack_runs_8(uint32_t *out, const tile_view *view, uint32_t type)
{
    const __m256i at = _mm256_set_epi16(15, 7, 14, 6, 13, 5, 12, 4, 11, 3, 10, 2, 9, 1, 8, 0);
    __mmask8 some = (__mmask8)lanes(view->rows);
    for (uint32_t k = 0; k < view->depth; k += 2, out += ROWS) {
        const char *in = view->at + (ptrdiff_t)k * view->depth_bytes, *next = in + view->depth_bytes;
        __mmask8 most = k + 1 < view->depth ? some : 0;
        __m256i both;
        if (type == TYPE_BF16) both = _mm256_set_m128i(_mm_maskz_loadu_epi16(most, next), _mm_maskz_loadu_epi16(some, in));
        else both = (__m256i)_mm256_cvtne2ps_pbh(_mm256_maskz_loadu_ps(most, next), _mm256_maskz_loadu_ps(some, in));
        _mm256_storeu_si256((__m256i *)(void *)out, _mm256_permutexvar_epi16(at, both));
    }
}

static void pack_a(uint32_t *out, const tile_view *view)
{
    if (view->type == TYPE_BF16) pack_runs_8(out, view, TYPE_BF16);
    else pack_runs_8(out, view, TYPE_F32);
}

static void pack_b(uint32_t *out, const tile_view *view)
{
    if (view->row_bytes == (view->type == TYPE_BF16 ? 2 : 4)) {
        if (view->rows == COLS && view->depth % 2 == 0) pack_runs(out, view, true);
        else pack_runs(out, view, false);
        return;
    }
    ptrdiff_t bytes = view->type == TYPE_BF16 ? 2 : 4;
    for (uint32_t k = 0; k < view->depth; k += 32)
        for (uint32_t i = 0; i < COLS; i += 16) {
            uint32_t copy[256], square[16 * COLS], depth = view->depth - k;
            for (uint32_t r = 0; r < 16; r++) {
                __m512i words = _mm512_setzero_si512();
                if (i + r < view->rows)
                    words = load_words_16(view->at + (ptrdiff_t)(i + r) * view->row_bytes + (ptrdiff_t)k * bytes, view->type, depth);
                _mm512_storeu_si512(copy + r * 16, words);
            }
            uint32_t words = depth >= 32 ? 16 : (depth + 1) / 2;
            wane_tile_transpose_avx512(words == 16 ? out + (size_t)k / 2 * COLS + i : square, (const char *)copy, 64);
            for (uint32_t q = 0; words < 16 && q < words; q++)
                memcpy(out + (size_t)(k / 2 + q) * COLS + i, square + q * COLS, 64);
        }
}

// ---- the register tile ----

K_FN void multiply(const tile_job *job, bool panel)
{
    const char *row[ROWS];
    __m512 sum[ROWS][2];
    _Pragma("GCC unroll 8") for (int i = 0; i < ROWS; i++) {
        sum[i][0] = sum[i][1] = _mm512_setzero_ps();
        row[i] = panel ? job->a + 4 * i : job->a + i * job->a_row_bytes;
        _mm_prefetch((const char *)(job->c + i * job->c_row), _MM_HINT_T0);
        _mm_prefetch((const char *)(job->c + i * job->c_row + 16), _MM_HINT_T0);
    }
    const uint32_t *b = job->b;
    for (uint32_t k = 0; k < job->words; k++, b += COLS) {
        __m512bh b0 = (__m512bh)_mm512_loadu_si512(b), b1 = (__m512bh)_mm512_loadu_si512(b + 16);
        _Pragma("GCC unroll 8") for (int i = 0; i < ROWS; i++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32(*(const any_word *)(row[i] + (panel ? 4 * ROWS : 4) * (size_t)k));
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], x, b0);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], x, b1);
        }
    }
    _Pragma("GCC unroll 8") for (int i = 0; i < ROWS; i++)
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

static void load_floats(float *out, const char *in, uint32_t type, uint32_t count)
{
    wane_tile_micro_avx512.load(out, in, type, count);
}

static void store_floats(char *out, uint32_t type, const float *in, uint32_t count)
{
    wane_tile_micro_avx512.store(out, type, in, count);
}

static const tile_micro pairs = {
    ROWS, COLS, 2, multiply_rows, multiply_panel, pack_rows, pack_a, pack_b, load_floats, store_floats,
};

WANE_CPU_MADE(tile_product, avx512);

WANE_CPU_OVERRIDE(tile_product, avx512bf16)
{
    if (!wane_tile_run(&wane_tile_micro_avx512, &pairs, call, begin, end)) wane_tile_product__avx512(call, begin, end);
}
