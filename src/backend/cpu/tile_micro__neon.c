// tile_micro__neon.c - tile_product for 64-bit Arm: a register tile of 8 x 12, 24 sums in 32 registers.
#define MICRO_ROWS 8
#define MICRO_COLS 12
#define MICRO_SQUARE 4

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

static inline float32x4_t load_any(const void *at) { return vreinterpretq_f32_u8(vld1q_u8(at)); }

static inline void transpose_square(uint32_t *out, const char *in, ptrdiff_t in_row_bytes)
{
    float32x4x2_t lo = vzipq_f32(load_any(in), load_any(in + 2 * in_row_bytes));
    float32x4x2_t hi = vzipq_f32(load_any(in + in_row_bytes), load_any(in + 3 * in_row_bytes));
    for (int h = 0; h < 2; h++) {
        float32x4x2_t two = vzipq_f32(lo.val[h], hi.val[h]);
        vst1q_u32(out + (2 * h) * MICRO_COLS, vreinterpretq_u32_f32(two.val[0]));
        vst1q_u32(out + (2 * h + 1) * MICRO_COLS, vreinterpretq_u32_f32(two.val[1]));
    }
}

#include "backend/cpu/tile_pack.h"

K_FN void multiply(const tile_job *job, bool panel)
{
    const char *b = (const char *)job->b;
    const char *row[MICRO_ROWS];
    float32x4_t sum[MICRO_ROWS][3];
    _Pragma("GCC unroll 8") for (int i = 0; i < MICRO_ROWS; i++) {
        sum[i][0] = sum[i][1] = sum[i][2] = vdupq_n_f32(0);
        row[i] = panel ? job->a + 4 * i : job->a + i * job->a_row_bytes;
    }
    for (uint32_t k = 0; k < job->words; k++, b += 4 * MICRO_COLS) {
        float32x4_t b0 = load_any(b), b1 = load_any(b + 16), b2 = load_any(b + 32);
        _Pragma("GCC unroll 8") for (int i = 0; i < MICRO_ROWS; i++) {
            float x;
            memcpy(&x, row[i] + (panel ? 4 * MICRO_ROWS : 4) * (size_t)k, sizeof x);
            sum[i][0] = vfmaq_n_f32(sum[i][0], b0, x);
            sum[i][1] = vfmaq_n_f32(sum[i][1], b1, x);
            sum[i][2] = vfmaq_n_f32(sum[i][2], b2, x);
        }
    }
    _Pragma("GCC unroll 8") for (int i = 0; i < MICRO_ROWS; i++)
        _Pragma("GCC unroll 3") for (int j = 0; j < 3; j++) {
            float *c = job->c + i * job->c_row + 4 * j;
            float32x4_t x = sum[i][j];
            if (job->bias) x = vaddq_f32(x, vld1q_f32(job->bias + 4 * j));
            if (job->add) x = vaddq_f32(vld1q_f32(c), x);
            vst1q_f32(c, x);
        }
}

static void multiply_rows(const tile_job *job) { multiply(job, false); }
static void multiply_panel(const tile_job *job) { multiply(job, true); }

static const tile_micro micro = {
    MICRO_ROWS, MICRO_COLS, 1, multiply_rows, multiply_panel, pack_rows, pack_a, pack_b, load_floats, store_floats,
};

WANE_CPU_MADE(tile_product, generic);

WANE_CPU_OVERRIDE(tile_product, neon)
{
    if (!wane_tile_run(&micro, NULL, call, begin, end)) wane_tile_product__generic(call, begin, end);
}
