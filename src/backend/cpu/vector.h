// vector.h - one vocabulary of f32 vectors for kernels written by hand: AVX-512, AVX2 with FMA and F16C, 64-bit NEON. A file
// that includes it is compiled with one set's flags, and means that set.
//
//   vec, vecmask        V_LANES floats; one bit or lane of ones for each
//   v_max(a, b)         b where either is NaN (x86), or NaN (Arm): no caller may rely on which
//   v_minus_size(v)     -|v|
//   v_inverse(v)        1 / v, 2 ulp, of normal numbers whose inverse is one
//   v_load_part         the first `count` lanes, 1..V_LANES - 1, `fill` in the others; touches no byte past them
//   v_load_pair         2 V_LANES columns of bf16: those of even number, those of odd; one shift instead of two, and widening
//   v_to_pair           the way back, to the nearest, ties to even; no NaN
//   v_to_pair_quick     the same by an instruction of AVX512_BF16, which takes denormals for 0, if V_QUICK_PAIR
//   v_both_halves       a vector's halves and the next one's, in their order: one store past the caches, not two
//   v_shift_pair        columns `count`.. of two pairs that lie behind each other, count < 2 V_LANES: v_shift_of(count)
//   v_touch             reads a byte, for its page to be looked up beforehand: that of a prefetch may not be
//   v_exp, v_exp_from   see below
#ifndef WANE_BACKEND_CPU_VECTOR_H
#define WANE_BACKEND_CPU_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VFN static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__)
#include <immintrin.h>
#define V_LANES 16
typedef __m512 vec;
typedef __mmask16 vecmask;
VFN vec v_all(float x) { return _mm512_set1_ps(x); }
VFN vec v_load(const void *p) { return _mm512_loadu_ps(p); }
VFN void v_store(void *p, vec v) { _mm512_storeu_ps(p, v); }
VFN void v_stream(void *p, vec v) { _mm512_stream_ps(p, v); }
VFN vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
VFN vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
VFN vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
VFN vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
VFN vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
VFN vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
VFN float v_sum(vec v) { return _mm512_reduce_add_ps(v); }
VFN float v_top(vec v) { return _mm512_reduce_max_ps(v); }
VFN float v_low(vec v) { return _mm512_reduce_min_ps(v); }
VFN vecmask v_first(uint32_t count) { return (vecmask)((1u << count) - 1u); }           // count <= V_LANES
VFN vecmask v_but(vecmask m, uint32_t lane) { return (vecmask)(m & ~(1u << lane)); }    // lane < V_LANES
VFN vecmask v_both(vecmask a, vecmask b) { return (vecmask)(a & b); }
VFN vec v_select(vecmask m, vec a, vec b) { return _mm512_mask_blend_ps(m, b, a); }
VFN int v_any(vecmask m) { return m != 0; }
VFN uint32_t v_bits(vecmask m) { return m; }                                            // bit i: lane i
VFN vecmask v_equal(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
VFN vecmask v_is_word(vec v, uint32_t word) { return _mm512_cmpeq_epi32_mask(_mm512_castps_si512(v), _mm512_set1_epi32((int)word)); }
// of the words without their sign
VFN vecmask v_size_below(vec v, uint32_t word)
{
    return _mm512_cmplt_epu32_mask(_mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff)), _mm512_set1_epi32((int)word));
}
VFN vec v_load_part(const void *p, uint32_t count, float fill) { return _mm512_mask_loadu_ps(v_all(fill), v_first(count), p); }
VFN void v_store_part(void *p, vec v, uint32_t count) { _mm512_mask_storeu_ps(p, v_first(count), v); }
VFN vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
VFN vec v_minus_size(vec v) { return _mm512_or_ps(v, v_all(-0.0f)); }
VFN vec v_size(vec v) { return _mm512_andnot_ps(v_all(-0.0f), v); }
VFN vec v_inverse(vec v)                                                                // a division waits 4 times as long
{
    vec r = _mm512_rcp14_ps(v);
    return v_fma(r, _mm512_fnmadd_ps(v, r, v_all(1)), r);
}
VFN vecmask v_less(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
VFN vec v_exponent(vec v) { return _mm512_getexp_ps(v); }                               // of normal numbers: floor(log2 v)
VFN vec v_mantissa(vec v) { return _mm512_getmant_ps(v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero); }
VFN vec v_load_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256(p)); }
VFN vec v_load_bf16(const void *p) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16)); }
typedef __m256i vechalf;
VFN vechalf v_to_f16(vec v) { return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
VFN vechalf v_to_bf16(vec v)
{
    __m512i u = _mm512_castps_si512(v), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    __m512i nan = _mm512_or_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(64));
    return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(r, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), nan));
}
VFN void v_store_half(void *p, vechalf h) { _mm256_storeu_si256(p, h); }
VFN void v_stream_half(void *p, vechalf h) { _mm256_stream_si256(p, h); }
VFN void v_load_pair(const void *p, vec *even, vec *odd)
{
    __m512i w = _mm512_loadu_si512(p);
    *even = _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
    *odd = _mm512_castsi512_ps(_mm512_and_si512(w, _mm512_set1_epi32((int)0xffff0000u)));
}
typedef __m512i vecpair;
VFN __m512i v_round_up(__m512i u)          // to the nearest, ties to even, once the low half is cut off
{
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
}
VFN vecpair v_to_pair(vec even, vec odd)
{
    __m512i low = _mm512_srli_epi32(v_round_up(_mm512_castps_si512(even)), 16);
    return _mm512_mask_blend_epi16(0xaaaaaaaau, low, v_round_up(_mm512_castps_si512(odd)));
}
#if defined(WANE_CPU_AVX512BF16)           // the compiler knows it, and this processor perhaps
#define V_QUICK_PAIR (__builtin_cpu_supports("avx512bf16") != 0)
VFN vecpair v_to_pair_quick(vec even, vec odd)
{
    const __m512i in_turn = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
        19, 3, 18, 2, 17, 1, 16, 0);
    __m512i halves;
    __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(halves) : "v"(even), "v"(odd));
    return _mm512_permutexvar_epi16(in_turn, halves);
}
#endif
VFN vecpair v_both_halves(vechalf a, vechalf b) { return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1); }
VFN void v_store_pair(void *p, vecpair h) { _mm512_storeu_si512(p, h); }
VFN void v_stream_pair(void *p, vecpair h) { _mm512_stream_si512(p, h); }
typedef __m512i pair_shift;
VFN pair_shift v_shift_of(uint32_t count)
{
    uint16_t at[32];
    for (uint32_t i = 0; i < 32; i++) at[i] = (uint16_t)(i + count);
    return _mm512_loadu_si512(at);
}
VFN vecpair v_shift_pair(vecpair a, vecpair b, pair_shift by) { return _mm512_permutex2var_epi16(a, by, b); }
#define V_STREAMS 1
VFN void v_fence(void) { _mm_sfence(); }
VFN void v_prefetch(const void *p) { _mm_prefetch(p, _MM_HINT_T0); }

#elif defined(__AVX2__)
#include <immintrin.h>
#define V_LANES 8
typedef __m256 vec;
typedef __m256i vecmask;
VFN vec v_all(float x) { return _mm256_set1_ps(x); }
VFN vec v_load(const void *p) { return _mm256_loadu_ps(p); }
VFN void v_store(void *p, vec v) { _mm256_storeu_ps(p, v); }
VFN void v_stream(void *p, vec v) { _mm256_stream_ps(p, v); }
VFN vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
VFN vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
VFN vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
VFN vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
VFN vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
VFN vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
VFN float v_sum(vec v)
{
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}
VFN float v_top(vec v)
{
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}
VFN float v_low(vec v)
{
    __m128 h = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_min_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_min_ss(h, _mm_movehdup_ps(h)));
}
VFN __m256i v_lanes(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
VFN vecmask v_first(uint32_t count) { return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), v_lanes()); }
VFN vecmask v_but(vecmask m, uint32_t lane) { return _mm256_andnot_si256(_mm256_cmpeq_epi32(_mm256_set1_epi32((int)lane), v_lanes()), m); }
VFN vecmask v_both(vecmask a, vecmask b) { return _mm256_and_si256(a, b); }
VFN vec v_select(vecmask m, vec a, vec b) { return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(m)); }
VFN uint32_t v_bits(vecmask m) { return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(m)); }
VFN int v_any(vecmask m) { return v_bits(m) != 0; }
VFN vecmask v_equal(vec a, vec b) { return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)); }
VFN vecmask v_is_word(vec v, uint32_t word) { return _mm256_cmpeq_epi32(_mm256_castps_si256(v), _mm256_set1_epi32((int)word)); }
VFN vecmask v_size_below(vec v, uint32_t word)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)word), _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffffff)));
}
VFN vec v_load_part(const void *p, uint32_t count, float fill) { return v_select(v_first(count), _mm256_maskload_ps(p, v_first(count)), v_all(fill)); }
VFN void v_store_part(void *p, vec v, uint32_t count) { _mm256_maskstore_ps(p, v_first(count), v); }
VFN vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
VFN vec v_minus_size(vec v) { return _mm256_or_ps(v, v_all(-0.0f)); }
VFN vec v_size(vec v) { return _mm256_andnot_ps(v_all(-0.0f), v); }
VFN vec v_inverse(vec v) { return v_div(v_all(1), v); }
VFN vecmask v_less(vec a, vec b) { return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
VFN vec v_exponent(vec v)
{
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(_mm256_castps_si256(v), 23), _mm256_set1_epi32(127)));
}
VFN vec v_mantissa(vec v)
{
    __m256i low = _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffff));
    return _mm256_castsi256_ps(_mm256_or_si256(low, _mm256_set1_epi32(0x3f800000)));
}
VFN vec v_load_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128(p)); }
VFN vec v_load_bf16(const void *p) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16)); }
typedef __m128i vechalf;
VFN vechalf v_to_f16(vec v) { return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
VFN vechalf v_to_bf16(vec v)
{
    __m256i u = _mm256_castps_si256(v), odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    __m256i nan = _mm256_or_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(64));
    r = _mm256_blendv_epi8(r, nan, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
    return _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
}
VFN void v_store_half(void *p, vechalf h) { _mm_storeu_si128(p, h); }
VFN void v_stream_half(void *p, vechalf h) { _mm_stream_si128(p, h); }
VFN void v_load_pair(const void *p, vec *even, vec *odd)
{
    __m256i w = _mm256_loadu_si256(p);
    *even = _mm256_castsi256_ps(_mm256_slli_epi32(w, 16));
    *odd = _mm256_castsi256_ps(_mm256_and_si256(w, _mm256_set1_epi32((int)0xffff0000u)));
}
typedef __m256i vecpair;
VFN __m256i v_round_up(__m256i u)
{
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    return _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
}
VFN vecpair v_to_pair(vec even, vec odd)
{
    __m256i low = _mm256_srli_epi32(v_round_up(_mm256_castps_si256(even)), 16);
    return _mm256_blend_epi16(low, v_round_up(_mm256_castps_si256(odd)), 0xaa);
}
VFN vecpair v_both_halves(vechalf a, vechalf b) { return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1); }
VFN void v_store_pair(void *p, vecpair h) { _mm256_storeu_si256(p, h); }
VFN void v_stream_pair(void *p, vecpair h) { _mm256_stream_si256(p, h); }
typedef struct pair_shift { __m256i low, high; int far; } pair_shift;
VFN pair_shift v_shift_of(uint32_t count)       // bytes of a half of a register from two, which a sign bit leaves out
{
    int8_t low[32], high[32];
    int by = (int)(count % 8 * 2);
    for (int i = 0; i < 32; i++) {
        int from = i % 16 + by;
        low[i] = (int8_t)(from < 16 ? from : -1);
        high[i] = (int8_t)(from < 16 ? -1 : from - 16);
    }
    pair_shift s = {_mm256_loadu_si256((const __m256i *)low), _mm256_loadu_si256((const __m256i *)high), count >= 8};
    return s;
}
VFN vecpair v_shift_pair(vecpair a, vecpair b, pair_shift by)
{
    __m256i middle = _mm256_permute2x128_si256(a, b, 0x21), low = by.far ? middle : a, high = by.far ? b : middle;
    return _mm256_or_si256(_mm256_shuffle_epi8(low, by.low), _mm256_shuffle_epi8(high, by.high));
}
#define V_STREAMS 1
VFN void v_fence(void) { _mm_sfence(); }
VFN void v_prefetch(const void *p) { _mm_prefetch(p, _MM_HINT_T0); }

#elif defined(__aarch64__)
#include <arm_neon.h>
#define V_LANES 4
typedef float32x4_t vec;
typedef uint32x4_t vecmask;
VFN vec v_all(float x) { return vdupq_n_f32(x); }
VFN vec v_load(const void *p) { return vreinterpretq_f32_u8(vld1q_u8(p)); }
VFN void v_store(void *p, vec v) { vst1q_u8(p, vreinterpretq_u8_f32(v)); }
VFN void v_stream(void *p, vec v) { v_store(p, v); }
VFN vec v_add(vec a, vec b) { return vaddq_f32(a, b); }
VFN vec v_sub(vec a, vec b) { return vsubq_f32(a, b); }
VFN vec v_mul(vec a, vec b) { return vmulq_f32(a, b); }
VFN vec v_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
VFN vec v_max(vec a, vec b) { return vmaxq_f32(a, b); }
VFN vec v_min(vec a, vec b) { return vminq_f32(a, b); }
VFN float v_sum(vec v) { return vaddvq_f32(v); }
VFN float v_top(vec v) { return vmaxvq_f32(v); }
VFN float v_low(vec v) { return vminvq_f32(v); }
VFN vecmask v_lanes(void) { const uint32_t lanes[4] = {0, 1, 2, 3}; return vld1q_u32(lanes); }
VFN vecmask v_first(uint32_t count) { return vcltq_u32(v_lanes(), vdupq_n_u32(count)); }
VFN vecmask v_but(vecmask m, uint32_t lane) { return vbicq_u32(m, vceqq_u32(v_lanes(), vdupq_n_u32(lane))); }
VFN vecmask v_both(vecmask a, vecmask b) { return vandq_u32(a, b); }
VFN vec v_select(vecmask m, vec a, vec b) { return vbslq_f32(m, a, b); }
VFN int v_any(vecmask m) { return vmaxvq_u32(m) != 0; }
VFN uint32_t v_bits(vecmask m) { const uint32_t bits[4] = {1, 2, 4, 8}; return vaddvq_u32(vandq_u32(m, vld1q_u32(bits))); }
VFN vecmask v_equal(vec a, vec b) { return vceqq_f32(a, b); }
VFN vecmask v_is_word(vec v, uint32_t word) { return vceqq_u32(vreinterpretq_u32_f32(v), vdupq_n_u32(word)); }
VFN vecmask v_size_below(vec v, uint32_t word)
{
    return vcltq_u32(vandq_u32(vreinterpretq_u32_f32(v), vdupq_n_u32(0x7fffffff)), vdupq_n_u32(word));
}
VFN vec v_load_part(const void *p, uint32_t count, float fill)
{
    float lanes[4] = {fill, fill, fill, fill};
    memcpy(lanes, p, count * 4);
    return vld1q_f32(lanes);
}
VFN void v_store_part(void *p, vec v, uint32_t count)
{
    float lanes[4];
    vst1q_f32(lanes, v);
    memcpy(p, lanes, count * 4);
}
VFN vec v_div(vec a, vec b) { return vdivq_f32(a, b); }
VFN vec v_minus_size(vec v) { return vnegq_f32(vabsq_f32(v)); }
VFN vec v_size(vec v) { return vabsq_f32(v); }
VFN vec v_inverse(vec v) { return v_div(v_all(1), v); }
VFN vecmask v_less(vec a, vec b) { return vcltq_f32(a, b); }
VFN vec v_exponent(vec v) { return vcvtq_f32_s32(vsubq_s32(vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_f32(v), 23)), vdupq_n_s32(127))); }
VFN vec v_mantissa(vec v)
{
    uint32x4_t low = vandq_u32(vreinterpretq_u32_f32(v), vdupq_n_u32(0x7fffff));
    return vreinterpretq_f32_u32(vorrq_u32(low, vdupq_n_u32(0x3f800000)));
}
VFN vec v_load_f16(const void *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
VFN vec v_load_bf16(const void *p) { return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16)); }
typedef uint16x4_t vechalf;
VFN vechalf v_to_f16(vec v) { return vreinterpret_u16_f16(vcvt_f16_f32(v)); }
VFN vechalf v_to_bf16(vec v)
{
    uint32x4_t u = vreinterpretq_u32_f32(v), odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t r = vshrq_n_u32(vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16);
    uint32x4_t nan = vorrq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(64));
    return vmovn_u32(vbslq_u32(vceqq_f32(v, v), r, nan));
}
VFN void v_store_half(void *p, vechalf h) { vst1_u8(p, vreinterpret_u8_u16(h)); }
VFN void v_stream_half(void *p, vechalf h) { v_store_half(p, h); }
VFN void v_load_pair(const void *p, vec *even, vec *odd)
{
    uint32x4_t w = vreinterpretq_u32_u8(vld1q_u8(p));
    *even = vreinterpretq_f32_u32(vshlq_n_u32(w, 16));
    *odd = vreinterpretq_f32_u32(vandq_u32(w, vdupq_n_u32(0xffff0000u)));
}
typedef uint32x4_t vecpair;
VFN uint32x4_t v_round_up(uint32x4_t u)
{
    return vaddq_u32(u, vaddq_u32(vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1)), vdupq_n_u32(0x7fff)));
}
VFN vecpair v_to_pair(vec even, vec odd)
{
    uint32x4_t low = vshrq_n_u32(v_round_up(vreinterpretq_u32_f32(even)), 16);
    return vbslq_u32(vdupq_n_u32(0xffff0000u), v_round_up(vreinterpretq_u32_f32(odd)), low);
}
VFN vecpair v_both_halves(vechalf a, vechalf b) { return vreinterpretq_u32_u16(vcombine_u16(a, b)); }
VFN void v_store_pair(void *p, vecpair h) { vst1q_u8(p, vreinterpretq_u8_u32(h)); }
VFN void v_stream_pair(void *p, vecpair h) { v_store_pair(p, h); }
typedef uint8x16_t pair_shift;
VFN pair_shift v_shift_of(uint32_t count)
{
    uint8_t at[16];
    for (uint32_t i = 0; i < 16; i++) at[i] = (uint8_t)(i + 2 * count);
    return vld1q_u8(at);
}
VFN vecpair v_shift_pair(vecpair a, vecpair b, pair_shift by)
{
    uint8x16x2_t both = {{vreinterpretq_u8_u32(a), vreinterpretq_u8_u32(b)}};
    return vreinterpretq_u32_u8(vqtbl2q_u8(both, by));
}
#define V_STREAMS 0
VFN void v_fence(void) {}
VFN void v_prefetch(const void *p) { __builtin_prefetch(p); }
#endif

VFN void v_touch(const void *p)            // by an instruction that no compiler leaves out
{
#if defined(__aarch64__)
    uint32_t w;
    __asm__ volatile("ldrb %w0, %1" : "=r"(w) : "m"(*(const char *)p));
#else
    char c;
    __asm__ volatile("movb %1, %0" : "=r"(c) : "m"(*(const char *)p));
#endif
}

#ifndef V_QUICK_PAIR
#define V_QUICK_PAIR 0
VFN vecpair v_to_pair_quick(vec even, vec odd) { return v_to_pair(even, odd); }
#endif

// ---- exponentials ----

// e^(d k) for a factor k known beforehand: 2^(d k log2 e) with k log2 e in two parts. 0 where d is below `low`, which is
// where the result would be under 2^-126; NaN where d is NaN; anything where the result would pass f32's range.
// With k = 1, 2 ulp (tests/simd/exp_test.c goes through all f32).
typedef struct vec_exp {
    vec high, low_part, least;
} vec_exp;

VFN vec_exp v_exp_of(float factor)
{
    double k = (double)factor * 1.4426950408889634;
    vec_exp e = {v_all((float)k), v_all((float)(k - (double)(float)k)), v_all((float)(-87.3 / (double)factor))};
    return e;
}

// e^(x - about ref), for logits x: 2^n e^f with n the nearest multiple of V_FROM_STEP to x log2 e and f = x - n ln 2, so that
// no difference from a reference has to be made first, and one multiply-add makes f: ln 2 as f32 is off by 3e-9 of itself.
// |ref| < V_FROM_MOST. Its results are e^(x - at), 0 where x is below `least`, NaN where x is, and anything where x is above
// ref by so much that the result would pass f32's range; 3 ulp from ref - 30 on, 6 below (tests/simd/exp_test.c).
typedef struct vec_from {
    vec base, least;
    double at;
} vec_from;
#define V_FROM_MOST 65536.0f

#if V_LANES == 16
// 2^(i / 32) from a table in two registers, 2^f with |f| <= 1/64 of degree 2: the multipliers are what an exponential
// waits for on Zen 5, and 2^n is then an addition of integers. The table's words lack i << 18, which the shift brings.
// From a sum with `magic` and from 2^f - 1; 0 where not `live`.
VFN vec v_power(vecmask live, vec sum, vec q)
{
    const __m512i low = _mm512_setr_epi32(0x3f800000, 0x3f7ecd87, 0x3f7daac3, 0x3f7c980f, 0x3f7b95c2, 0x3f7aa43a, 0x3f79c3d3, 0x3f78f4f0,
        0x3f7837f0, 0x3f778d3a, 0x3f76f532, 0x3f767043, 0x3f75fed7, 0x3f75a15b, 0x3f75583f, 0x3f7523f6);
    const __m512i high = _mm512_setr_epi32(0x3f7504f3, 0x3f74fbaf, 0x3f7508a4, 0x3f752c4d, 0x3f75672a, 0x3f75b9be, 0x3f76248c, 0x3f76a81e,
        0x3f7744fd, 0x3f77fbb8, 0x3f78ccdf, 0x3f79b907, 0x3f7ac0c7, 0x3f7be4ba, 0x3f7d257d, 0x3f7e83b3);
    __m512i word = _mm512_castps_si512(sum);
    word = _mm512_add_epi32(_mm512_permutex2var_epi32(low, word, high), _mm512_slli_epi32(word, 18));
    vec t = _mm512_castsi512_ps(word);
    return _mm512_maskz_fmadd_ps(live, q, t, t);
}
#define V_MAGIC 393216.0f                  // 1.5 2^18: a sum with it is a multiple of 1/32, counted in its low bits
VFN vec v_exp(vec d, vec_exp k)
{
    vecmask live = _mm512_cmp_ps_mask(d, k.least, _CMP_NLT_UQ);
    vec sum = v_fma(d, k.high, v_all(V_MAGIC));
    vec n = v_sub(sum, v_all(V_MAGIC));
    vec f = v_fma(d, k.low_part, _mm512_fmsub_ps(d, k.high, n));
    return v_power(live, sum, v_mul(v_fma(f, v_all(0.240226507f), v_all(0.693157346f)), f));
}
#define V_FROM_STEP 0.03125
VFN vec v_exp_from(vec x, vec_from from)
{
    vecmask live = _mm512_cmp_ps_mask(x, from.least, _CMP_NLT_UQ);
    vec sum = v_fma(x, v_all(1.44269504f), from.base);
    vec f = _mm512_fnmadd_ps(v_sub(sum, from.base), v_all(0.693147182f), x);
    return v_power(live, sum, v_mul(v_fma(f, v_all(0.5f), v_all(1.00001466f)), f));
}
#else
// y, but 0 where x is below `least`.
VFN vec v_unless_below(vec y, vec x, vec least)
{
#if V_LANES == 8
    return _mm256_and_ps(y, _mm256_cmp_ps(x, least, _CMP_NLT_UQ));
#else
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(y), vcltq_f32(x, least)));
#endif
}
VFN vec v_exp(vec d, vec_exp k)
{
#if V_LANES == 8
    vec n = _mm256_round_ps(v_mul(d, k.high), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    vec f = v_fma(d, k.low_part, _mm256_fmsub_ps(d, k.high, n));
#else
    vec n = vrndnq_f32(v_mul(d, k.high));
    vec f = v_fma(d, k.low_part, vnegq_f32(vfmsq_f32(n, d, k.high)));
#endif
    vec p = v_fma(f, v_all(0.00015353362f), v_all(0.0013398875f));
    p = v_fma(f, p, v_all(0.00961843692f));
    p = v_fma(f, p, v_all(0.0555033237f));
    p = v_fma(f, p, v_all(0.240226477f));
    p = v_fma(f, p, v_all(0.693147182f));
    p = v_fma(f, p, v_all(1.0f));
#if V_LANES == 8
    __m256i shift = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    // a NaN comes through as one: its n converts to INT_MIN, whose shift is 0
    p = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), shift));
#else
    uint32x4_t shift = vreinterpretq_u32_s32(vshlq_n_s32(vcvtq_s32_f32(n), 23));
    p = vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), shift));
#endif
    return v_unless_below(p, d, k.least);
}
#define V_FROM_STEP 1.0
#define V_MAGIC 12582912.0f                // 1.5 2^23: a sum with it is a whole number, counted in its low bits
VFN vec v_exp_from(vec x, vec_from from)
{
    vec sum = v_fma(x, v_all(1.44269504f), from.base), n = v_sub(sum, from.base);
#if V_LANES == 8
    vec f = _mm256_fnmadd_ps(n, v_all(0.693147182f), x);
#else
    vec f = vfmsq_f32(x, n, v_all(0.693147182f));
#endif
    vec p = v_fma(f, v_all(0.00138436536f), v_all(0.00837415568f));
    p = v_fma(f, p, v_all(0.0416680001f));
    p = v_fma(f, p, v_all(0.16666431f));
    p = v_fma(f, p, v_all(0.499999938f));
    p = v_fma(f, p, v_all(1.0f));
    p = v_fma(f, p, v_all(1.0f));
#if V_LANES == 8
    p = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(sum), 23)));
#else
    p = vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), vshlq_n_u32(vreinterpretq_u32_f32(sum), 23)));
#endif
    return v_unless_below(p, x, from.least);
}
#endif

VFN vec_from v_from(float ref)
{
    double n = (double)ref * 1.4426950408889634 / V_FROM_STEP;
    n = (double)(int64_t)(n + (n < 0 ? -0.5 : 0.5)) * V_FROM_STEP;
    // low enough for a normal result, whichever multiple is next to ref
    vec_from from = {v_all(V_MAGIC - (float)n), v_all(ref - (V_LANES == 16 ? 87.3f : 86.6f)), n * 0.693147182464599609375};
    return from;
}

// The others as in shaders/kernels/elementary.h, with the same coefficients.
VFN vec v_atanh2(vec t)
{
    vec q = v_mul(t, t);
    vec s = v_fma(q, v_all(0.10899378f), v_all(0.08572967f));
    s = v_fma(q, s, v_all(0.11150856f));
    s = v_fma(q, s, v_all(0.14284192f));
    s = v_fma(q, s, v_all(0.20000027f));
    s = v_fma(q, s, v_all(0.33333334f));
    vec twice = v_add(t, t);
    return v_fma(twice, v_mul(q, s), twice);
}
// log(1 + u) for u in [0, 1], 2 ulp (tests/simd/exp_test.c), without a division: a minimax fit of log(1 + u) / u.
VFN vec v_log1p(vec u)
{
    vec p = v_fma(u, v_all(-0.0032440260984f), v_all(0.0198514703661f));
    p = v_fma(u, p, v_all(-0.0569595582783f));
    p = v_fma(u, p, v_all(0.1060365885496f));
    p = v_fma(u, p, v_all(-0.1530559509993f));
    p = v_fma(u, p, v_all(0.1967594027519f));
    p = v_fma(u, p, v_all(-0.2495413422584f));
    p = v_fma(u, p, v_all(0.3332996368408f));
    p = v_fma(u, p, v_all(-0.4999990165234f));
    return v_fma(v_mul(u, p), u, u);
}
VFN vec v_log(vec x)                                                                    // normal and positive
{
    vec e = v_exponent(x), m = v_mantissa(x);
    vecmask high = v_less(v_all(1.41421356f), m);
    e = v_select(high, v_add(e, v_all(1)), e);
    m = v_select(high, v_mul(m, v_all(0.5f)), m);
    vec l = v_atanh2(v_div(v_sub(m, v_all(1)), v_add(m, v_all(1))));
    return v_fma(e, v_all(0.693359375f), v_fma(e, v_all(-2.12194440e-4f), l));
}

#endif
