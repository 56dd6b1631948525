// kernels.c - what the machine can do at best: reading, copying, multiplying, exponentials. Each for the best instruction
// set that this processor has, on one thread; reference.c runs them on all.
#include "bench.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define BENCH_X86
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__GNUC__)
#include <arm_neon.h>
#endif

// e^r = 1 + r + r^2 q(r): the polynomial of shaders/kernels/elementary.h.
#define Q0 0.49999994f
#define Q1 0.16666521f
#define Q2 0.041668389f
#define Q3 0.0083687454f
#define Q4 0.0013814538f
// log1p(e) / e for e in 0..1, within 3e-8.
static const float LOG1P[9] = {0.99999997f, -0.49999502f, 0.33319271f, -0.24844370f, 0.19111431f, -0.13674770f, 0.078361668f,
                               -0.029588507f, 0.0052534578f};
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f
#define LOG2_E 1.44269504f

// ---- any processor ----

static uint64_t read_plain(const unsigned char *from, size_t bytes)
{
    uint64_t sum[8] = {0}, word[8];
    for (size_t i = 0; i + 64 <= bytes; i += 64) {
        memcpy(word, from + i, 64);
        for (int k = 0; k < 8; k++) sum[k] ^= word[k];
    }
    return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

#if !defined(__aarch64__)
static float multiply_plain(uint64_t count)
{
    float sum[64];
    for (int k = 0; k < 64; k++) sum[k] = (float)k;
    for (uint64_t i = 0; i < count; i += 64)
        for (int k = 0; k < 64; k++) sum[k] = sum[k] * 0.5f + 1.0f;
    float all = 0;
    for (int k = 0; k < 64; k++) all += sum[k];
    return all;
}
#endif

static float exp_plain(const float *x, uint64_t count)
{
    float sum[16] = {0};
    for (uint64_t i = 0; i < count; i += 16)
        for (int k = 0; k < 16; k++) {
            float n = (x[(i + (uint64_t)k) % BENCH_EXPS] * LOG2_E + 12582912.0f) - 12582912.0f;
            float r = x[(i + (uint64_t)k) % BENCH_EXPS] - n * LN2_HIGH - n * LN2_LOW;
            float p = 1 + (r + r * r * (Q0 + r * (Q1 + r * (Q2 + r * (Q3 + r * Q4)))));
            int32_t bits = (int32_t)n + 127;
            bits = (int32_t)((uint32_t)bits << 23);
            float scale;
            memcpy(&scale, &bits, 4);
            sum[k] += p * scale;
        }
    float all = 0;
    for (int k = 0; k < 16; k++) all += sum[k];
    return all;
}

// log1p(e), e = exp(x) <= 1, and the slope e / (1 + e): one exponential, one division, one polynomial.
static float link_plain(const float *x, uint64_t count)
{
    float value[16] = {0}, slope[16] = {0};
    for (uint64_t i = 0; i < count; i += 16)
        for (int k = 0; k < 16; k++) {
            float t = x[(i + (uint64_t)k) % BENCH_EXPS];
            float n = (t * LOG2_E + 12582912.0f) - 12582912.0f, r = t - n * LN2_HIGH - n * LN2_LOW;
            float p = 1 + (r + r * r * (Q0 + r * (Q1 + r * (Q2 + r * (Q3 + r * Q4)))));
            int32_t bits = (int32_t)((uint32_t)((int32_t)n + 127) << 23);
            float scale;
            memcpy(&scale, &bits, 4);
            float e = p * scale, l = LOG1P[8];
            for (int d = 7; d >= 0; d--) l = l * e + LOG1P[d];
            value[k] += l * e;
            slope[k] += e / (1 + e);
        }
    float all = 0;
    for (int k = 0; k < 16; k++) all += value[k] + slope[k];
    return all;
}

// ---- Arm ----

#if defined(__aarch64__)
static float multiply_neon(uint64_t count)
{
    float32x4_t sum[16], half = vdupq_n_f32(0.5f), one = vdupq_n_f32(1);
    for (int k = 0; k < 16; k++) sum[k] = vdupq_n_f32((float)k);
    for (uint64_t i = 0; i < count; i += 64)
        for (int k = 0; k < 16; k++) sum[k] = vfmaq_f32(one, sum[k], half);
    float all = 0;
    for (int k = 0; k < 16; k++) all += vaddvq_f32(sum[k]);
    return all;
}
#endif

// ---- x86 ----

#ifdef BENCH_X86
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw")))

// `ahead` bytes are prefetched, none if 0: which of the two is faster depends on the machine.
AVX2 static uint64_t read_avx2(const unsigned char *from, size_t bytes, size_t ahead)
{
    __m256i a = _mm256_setzero_si256(), b = a;
    for (size_t i = 0; i + 64 <= bytes; i += 64) {
        if (ahead) _mm_prefetch((const char *)from + i + ahead, _MM_HINT_T0);
        a = _mm256_xor_si256(a, _mm256_loadu_si256((const __m256i *)(const void *)(from + i)));
        b = _mm256_xor_si256(b, _mm256_loadu_si256((const __m256i *)(const void *)(from + i + 32)));
    }
    uint64_t words[4];
    _mm256_storeu_si256((__m256i *)(void *)words, _mm256_xor_si256(a, b));
    return words[0] ^ words[1] ^ words[2] ^ words[3];
}

AVX512 static uint64_t read_avx512(const unsigned char *from, size_t bytes, size_t ahead)
{
    __m512i a[4];
    for (int k = 0; k < 4; k++) a[k] = _mm512_setzero_si512();
    for (size_t i = 0; i + 256 <= bytes; i += 256)
        for (size_t k = 0; k < 4; k++) {
            if (ahead) _mm_prefetch((const char *)from + i + k * 64 + ahead, _MM_HINT_T0);
            a[k] = _mm512_xor_si512(a[k], _mm512_loadu_si512(from + i + k * 64));
        }
    a[0] = _mm512_xor_si512(_mm512_xor_si512(a[0], a[1]), _mm512_xor_si512(a[2], a[3]));
    return (uint64_t)_mm512_reduce_or_epi64(a[0]);
}

AVX512 static void copy_avx512(unsigned char *to, const unsigned char *from, size_t bytes)
{
    for (size_t i = 0; i + 64 <= bytes; i += 64) {
        _mm_prefetch((const char *)from + i + 2048, _MM_HINT_T0);
        _mm512_stream_si512((__m512i *)(void *)(to + i), _mm512_loadu_si512(from + i));
    }
}

static void copy_sse2(unsigned char *to, const unsigned char *from, size_t bytes)
{
    for (size_t i = 0; i + 64 <= bytes; i += 64)
        for (size_t k = 0; k < 64; k += 16)
            _mm_stream_si128((__m128i *)(void *)(to + i + k),
                             _mm_loadu_si128((const __m128i *)(const void *)(from + i + k)));
}

AVX2 static float multiply_avx2(uint64_t count)
{
    __m256 sum[12], half = _mm256_set1_ps(0.5f), one = _mm256_set1_ps(1);
    for (int k = 0; k < 12; k++) sum[k] = _mm256_set1_ps((float)k);
    for (uint64_t i = 0; i < count; i += 96)
        for (int k = 0; k < 12; k++) sum[k] = _mm256_fmadd_ps(sum[k], half, one);
    for (int k = 1; k < 12; k++) sum[0] = _mm256_add_ps(sum[0], sum[k]);
    return _mm256_cvtss_f32(sum[0]);
}

AVX512 static float multiply_avx512(uint64_t count)
{
    __m512 sum[12], half = _mm512_set1_ps(0.5f), one = _mm512_set1_ps(1);
    for (int k = 0; k < 12; k++) sum[k] = _mm512_set1_ps((float)k);
    for (uint64_t i = 0; i < count; i += 192)
        for (int k = 0; k < 12; k++) sum[k] = _mm512_fmadd_ps(sum[k], half, one);
    for (int k = 1; k < 12; k++) sum[0] = _mm512_add_ps(sum[0], sum[k]);
    return _mm512_reduce_add_ps(sum[0]);
}

AVX2 static float exp_avx2(const float *x, uint64_t count)
{
    __m256 sum[4];
    for (int k = 0; k < 4; k++) sum[k] = _mm256_setzero_ps();
    for (uint64_t i = 0; i < count; i += 32)
        for (uint64_t k = 0; k < 4; k++) {
            __m256 v = _mm256_loadu_ps(x + (i + 8 * k) % BENCH_EXPS);
            __m256 n = _mm256_round_ps(_mm256_mul_ps(v, _mm256_set1_ps(LOG2_E)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
            __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN2_LOW), _mm256_fnmadd_ps(n, _mm256_set1_ps(LN2_HIGH), v));
            __m256 p = _mm256_fmadd_ps(r, _mm256_set1_ps(Q4), _mm256_set1_ps(Q3));
            p = _mm256_fmadd_ps(r, p, _mm256_set1_ps(Q2));
            p = _mm256_fmadd_ps(r, p, _mm256_set1_ps(Q1));
            p = _mm256_fmadd_ps(r, p, _mm256_set1_ps(Q0));
            p = _mm256_fmadd_ps(r, p, _mm256_set1_ps(1));
            p = _mm256_fmadd_ps(r, p, _mm256_set1_ps(1));
            __m256i shift = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
            p = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), shift));
            sum[k] = _mm256_add_ps(sum[k], p);
        }
    sum[0] = _mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3]));
    return _mm256_cvtss_f32(sum[0]);
}

// Degree 5 in r: what 2 ulp take, as in src/backend/cpu/vector.h.
AVX512 static float exp_avx512(const float *x, uint64_t count)
{
    __m512 sum[4];
    for (int k = 0; k < 4; k++) sum[k] = _mm512_setzero_ps();
    for (uint64_t i = 0; i < count; i += 64)
        for (uint64_t k = 0; k < 4; k++) {
            __m512 v = _mm512_loadu_ps(x + (i + 16 * k) % BENCH_EXPS);
            __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(v, _mm512_set1_ps(LOG2_E)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
            __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN2_LOW), _mm512_fnmadd_ps(n, _mm512_set1_ps(LN2_HIGH), v));
            __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(Q3), _mm512_set1_ps(Q2));
            p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(Q1));
            p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(Q0));
            p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(1));
            p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(1));
            sum[k] = _mm512_add_ps(sum[k], _mm512_scalef_ps(p, n));
        }
    sum[0] = _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3]));
    return _mm512_reduce_add_ps(sum[0]);
}

AVX2 static float link_avx2(const float *x, uint64_t count)
{
    __m256 value = _mm256_setzero_ps(), slope = value, one = _mm256_set1_ps(1);
    for (uint64_t i = 0; i < count; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i % BENCH_EXPS);
        __m256 n = _mm256_round_ps(_mm256_mul_ps(v, _mm256_set1_ps(LOG2_E)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN2_LOW), _mm256_fnmadd_ps(n, _mm256_set1_ps(LN2_HIGH), v));
        __m256 p = _mm256_fmadd_ps(r, _mm256_set1_ps(Q4), _mm256_set1_ps(Q3));
        p = _mm256_fmadd_ps(r, p, _mm256_set1_ps(Q2));
        p = _mm256_fmadd_ps(r, p, _mm256_set1_ps(Q1));
        p = _mm256_fmadd_ps(r, p, _mm256_set1_ps(Q0));
        p = _mm256_fmadd_ps(r, _mm256_fmadd_ps(r, p, one), one);
        __m256 e = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23)));
        __m256 l = _mm256_set1_ps(LOG1P[8]);
        for (int d = 7; d >= 0; d--) l = _mm256_fmadd_ps(l, e, _mm256_set1_ps(LOG1P[d]));
        value = _mm256_fmadd_ps(l, e, value);
        slope = _mm256_add_ps(slope, _mm256_div_ps(e, _mm256_add_ps(one, e)));
    }
    return _mm256_cvtss_f32(_mm256_add_ps(value, slope));
}

AVX512 static float link_avx512(const float *x, uint64_t count)
{
    __m512 value = _mm512_setzero_ps(), slope = value, one = _mm512_set1_ps(1);
    for (uint64_t i = 0; i < count; i += 16) {
        __m512 v = _mm512_loadu_ps(x + i % BENCH_EXPS);
        __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(v, _mm512_set1_ps(LOG2_E)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN2_LOW), _mm512_fnmadd_ps(n, _mm512_set1_ps(LN2_HIGH), v));
        __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(Q3), _mm512_set1_ps(Q2));
        p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(Q1));
        p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(Q0));
        p = _mm512_fmadd_ps(r, _mm512_fmadd_ps(r, p, one), one);
        __m512 e = _mm512_scalef_ps(p, n);
        __m512 l = _mm512_set1_ps(LOG1P[8]);
        for (int d = 7; d >= 0; d--) l = _mm512_fmadd_ps(l, e, _mm512_set1_ps(LOG1P[d]));
        value = _mm512_fmadd_ps(l, e, value);
        slope = _mm512_add_ps(slope, _mm512_div_ps(e, _mm512_add_ps(one, e)));
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(value, slope));
}

__attribute__((target("avx512f,avx512bf16"))) static float dot_avx512(uint64_t count)
{
    __m512 sum[12];
    __m512bh half = (__m512bh)_mm512_set1_epi32(0x3f003f00);
    for (int k = 0; k < 12; k++) sum[k] = _mm512_set1_ps((float)k);
    for (uint64_t i = 0; i < count; i += 384)
        for (int k = 0; k < 12; k++) sum[k] = _mm512_dpbf16_ps(sum[k], half, half);
    for (int k = 1; k < 12; k++) sum[0] = _mm512_add_ps(sum[0], sum[k]);
    return _mm512_reduce_add_ps(sum[0]);
}

static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512bw");
}
#endif

// ---- the best of each ----

uint64_t bench_read(const unsigned char *from, size_t bytes, size_t ahead_bytes)
{
#ifdef BENCH_X86
    if (has_avx512()) return read_avx512(from, bytes, ahead_bytes);
    if (has_avx2()) return read_avx2(from, bytes, ahead_bytes);
#endif
    (void)ahead_bytes;
    return read_plain(from, bytes);
}

bool bench_copy_past_cache(unsigned char *to, const unsigned char *from, size_t bytes)
{
#ifdef BENCH_X86
    size_t head = (64 - ((uintptr_t)to & 63)) & 63, middle;
    if (head > bytes) head = bytes;
    middle = (bytes - head) / 64 * 64;
    memcpy(to, from, head);
    if (has_avx512()) copy_avx512(to + head, from + head, middle);
    else copy_sse2(to + head, from + head, middle);
    memcpy(to + head + middle, from + head + middle, bytes - head - middle);
    _mm_sfence();
    return true;
#else
    (void)to, (void)from, (void)bytes;
    return false;
#endif
}

float bench_multiply(uint64_t count)
{
#if defined(__aarch64__)
    return multiply_neon(count);
#else
#ifdef BENCH_X86
    if (has_avx512()) return multiply_avx512(count);
    if (has_avx2()) return multiply_avx2(count);
#endif
    return multiply_plain(count);
#endif
}

float bench_exp(const float *x, uint64_t count)
{
#ifdef BENCH_X86
    if (has_avx512()) return exp_avx512(x, count);
    if (has_avx2()) return exp_avx2(x, count);
#endif
    return exp_plain(x, count);
}

float bench_link(const float *x, uint64_t count)
{
#ifdef BENCH_X86
    if (has_avx512()) return link_avx512(x, count);
    if (has_avx2()) return link_avx2(x, count);
#endif
    return link_plain(x, count);
}

float bench_dot(uint64_t count)
{
#ifdef BENCH_X86
    if (__builtin_cpu_supports("avx512bf16")) return count ? dot_avx512(count) : 1;
#endif
    (void)count;
    return 0;
}
