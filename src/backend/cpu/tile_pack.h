// tile_pack.h - packing to f32 words, conversion and stores, for the sets whose register tile multiplies f32.
//
// Before it is included: MICRO_ROWS, MICRO_COLS, MICRO_SQUARE (divides MICRO_COLS), and
//     static inline void transpose_square(uint32_t *out, const char *in, ptrdiff_t in_row_bytes)
// which writes out[k * MICRO_COLS + i] = word k of row i, for i and k below MICRO_SQUARE.
#ifndef WANE_BACKEND_CPU_TILE_PACK_H
#define WANE_BACKEND_CPU_TILE_PACK_H

#include "backend/cpu/tile_micro.h"

#include "prelude_c.h"
#include "kernels/softmax.h"
#include "kernels/types.h"

// The loops are plain, and stand once for each type, so that compilers vectorise them. `in` may be anything in the
// host's memory: it is read as bytes.
K_FN void load_words(uint32_t *restrict out, const char *restrict in, uint32_t type, uint32_t count)
{
    const uint16_t __attribute__((may_alias, aligned(1))) *half = (const void *)in;
    if (type == TYPE_F32) memcpy(out, in, (size_t)count * 4);
    else if (type == TYPE_BF16) for (uint32_t i = 0; i < count; i++) out[i] = (uint32_t)half[i] << 16;
    else for (uint32_t i = 0; i < count; i++) out[i] = half_to_word(TYPE_F16, half[i]);
}

static void load_floats(float *out, const char *in, uint32_t type, uint32_t count)
{
    load_words((uint32_t *)(void *)out, in, type, count);
}

static void store_floats(char *out, uint32_t type, const float *in, uint32_t count)
{
    uint16_t __attribute__((may_alias, aligned(1))) *half = (void *)out;
    if (type == TYPE_F32) memcpy(out, in, (size_t)count * 4);
    else if (type == TYPE_BF16) for (uint32_t i = 0; i < count; i++) half[i] = (uint16_t)word_to_bf16(K_BITS(in[i]));
    else for (uint32_t i = 0; i < count; i++) half[i] = (uint16_t)word_to_f16(K_BITS(in[i]));
}

static void pack_rows(uint32_t *out, ptrdiff_t row_words, const tile_view *view)
{
    for (uint32_t i = 0; i < MICRO_ROWS; i++, out += row_words)
        if (i < view->rows) load_words(out, view->at + (ptrdiff_t)i * view->row_bytes, view->type, view->depth);
        else memset(out, 0, (size_t)view->depth * 4);
}

// Rows are neighbours: each depth is a run of memory.
K_FN void pack_runs(uint32_t *restrict out, const tile_view *view, uint32_t width)
{
    const char *in = view->at;
    if (view->rows == width) {
        for (uint32_t k = 0; k < view->depth; k++, in += view->depth_bytes, out += width)
            load_words(out, in, view->type, width);
        return;
    }
    memset(out, 0, (size_t)view->depth * width * 4);
    for (uint32_t k = 0; k < view->depth; k++, in += view->depth_bytes, out += width)
        load_words(out, in, view->type, view->rows);
}

static void pack_a(uint32_t *out, const tile_view *view) { pack_runs(out, view, MICRO_ROWS); }

// Depths are neighbours: squares are transposed, of another type or at an edge by way of a copy.
static void pack_across(uint32_t *out, const tile_view *view)
{
    for (uint32_t k = 0; k < view->depth; k += MICRO_SQUARE)
        for (uint32_t i = 0; i < MICRO_COLS; i += MICRO_SQUARE) {
            const char *in = view->at + (ptrdiff_t)i * view->row_bytes;
            uint32_t depth = view->depth - k < MICRO_SQUARE ? view->depth - k : MICRO_SQUARE;
            uint32_t rows = view->rows <= i ? 0 : view->rows - i < MICRO_SQUARE ? view->rows - i : MICRO_SQUARE;
            if (view->type == TYPE_F32 && depth == MICRO_SQUARE && rows == MICRO_SQUARE) {
                transpose_square(out + (size_t)k * MICRO_COLS + i, in + (ptrdiff_t)k * 4, view->row_bytes);
                continue;
            }
            uint32_t copy[MICRO_SQUARE * MICRO_SQUARE] = {0}, square[MICRO_SQUARE * MICRO_COLS];
            for (uint32_t r = 0; r < rows; r++)
                load_words(copy + r * MICRO_SQUARE, in + (ptrdiff_t)r * view->row_bytes + (ptrdiff_t)k * view->depth_bytes,
                           view->type, depth);
            transpose_square(square, (const char *)copy, MICRO_SQUARE * 4);
            for (uint32_t q = 0; q < depth; q++)
                memcpy(out + (size_t)(k + q) * MICRO_COLS + i, square + q * MICRO_COLS, MICRO_SQUARE * 4);
        }
}

static void pack_b(uint32_t *out, const tile_view *view)
{
    if (view->row_bytes == (view->type == TYPE_F32 ? 4 : 2)) pack_runs(out, view, MICRO_COLS);
    else pack_across(out, view);
}

#endif
