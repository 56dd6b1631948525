// tile_micro__portable.c - tile_product for any processor: a register tile of 4 x 8 in the compilers' vectors of 16 bytes.
// It is a set of its own: those of `generic` are all made, and the checked build has their bits. No multiply-add is fused,
// so that every processor gives the same bits.
#define MICRO_ROWS 4
#define MICRO_COLS 8
#define MICRO_SQUARE 4

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void transpose_square(uint32_t *out, const char *in, ptrdiff_t in_row_bytes)
{
    for (int i = 0; i < 4; i++) {
        uint32_t row[4];
        memcpy(row, in + i * in_row_bytes, sizeof row);
        for (int k = 0; k < 4; k++) out[k * MICRO_COLS + i] = row[k];
    }
}

#include "backend/cpu/tile_pack.h"

typedef float quad __attribute__((vector_size(16)));

K_FN quad load_quad(const void *at) { quad x; memcpy(&x, at, sizeof x); return x; }

K_FN void multiply(const tile_job *job, bool panel)
{
    const uint32_t *b = job->b;
    quad sum[MICRO_ROWS][2];
    memset(sum, 0, sizeof sum);
    const char *row[MICRO_ROWS];
    for (int i = 0; i < MICRO_ROWS; i++) row[i] = panel ? job->a + 4 * i : job->a + i * job->a_row_bytes;
    for (uint32_t k = 0; k < job->words; k++, b += MICRO_COLS) {
        quad b0 = load_quad(b), b1 = load_quad(b + 4);
        _Pragma("GCC unroll 4") for (int i = 0; i < MICRO_ROWS; i++) {
            float x;
            memcpy(&x, row[i] + (panel ? 4 * MICRO_ROWS : 4) * (size_t)k, sizeof x);
            quad all = {x, x, x, x};
            sum[i][0] += all * b0;
            sum[i][1] += all * b1;
        }
    }
    _Pragma("GCC unroll 4") for (int i = 0; i < MICRO_ROWS; i++)
        _Pragma("GCC unroll 2") for (int j = 0; j < 2; j++) {
            float *c = job->c + i * job->c_row + 4 * j;
            quad x = sum[i][j];
            if (job->bias) x += load_quad(job->bias + 4 * j);
            if (job->add) x = load_quad(c) + x;
            memcpy(c, &x, sizeof x);
        }
}

static void multiply_rows(const tile_job *job) { multiply(job, false); }
static void multiply_panel(const tile_job *job) { multiply(job, true); }

static const tile_micro micro = {
    MICRO_ROWS, MICRO_COLS, 1, multiply_rows, multiply_panel, pack_rows, pack_a, pack_b, load_floats, store_floats,
};

WANE_CPU_MADE(tile_product, generic);

WANE_CPU_OVERRIDE(tile_product, portable)
{
    if (!wane_tile_run(&micro, NULL, call, begin, end)) wane_tile_product__generic(call, begin, end);
}
