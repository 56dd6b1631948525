// tile_micro.h - what an instruction set brings to tile_product: a register tile, and the packing that feeds it.
// tile_block.c does the rest: items to blocks, blocks to panels, edges, outputs of other types.
//
// Operands are packed into words of 32 bits: an f32, or a pair of bf16 of neighbouring depths. A panel of b is
// [depth][cols], so that a row of it fills vectors; a panel of a is [depth][rows] or [rows][depth], whose words are
// broadcast. The order of a cell's additions is that of the depth, whatever the panel it falls into.
#ifndef WANE_BACKEND_CPU_TILE_MICRO_H
#define WANE_BACKEND_CPU_TILE_MICRO_H

#include "backend/cpu/override.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    TILE_BLOCK_WORDS = 256,                // of depth in a packed panel: summed in registers, then added to the output
    TILE_PANEL_ROWS = 8, TILE_PANEL_COLS = 32                                    // of a register tile at most
};

// Rows of an operand (of a, or of b: columns of the output) over some depth.
typedef struct tile_view {
    const char *at;
    ptrdiff_t row_bytes, depth_bytes;
    uint32_t type;                         // TYPE_*
    uint32_t rows, depth;
} tile_view;

// c[i][j] = (add ? c[i][j] : 0) + ((bias ? bias[j] : 0) + sum over the words of a's row i and b's column j), for a whole
// register tile. c_row in floats.
typedef struct tile_job {
    const char *a;
    ptrdiff_t a_row_bytes;                 // multiply_rows alone
    const uint32_t *b;
    float *c;
    ptrdiff_t c_row;
    const float *bias;
    uint32_t words;
    bool add;
} tile_job;

typedef struct tile_micro {
    uint32_t rows, cols;                   // of the register tile
    uint32_t pair;                         // steps of depth in a word: 1 (f32) or 2 (bf16)
    void (*multiply_rows)(const tile_job *job);                      // a as [rows][depth], in place or packed
    void (*multiply_panel)(const tile_job *job);                     // a as [depth][rows], packed
    // Packing: at most a panel's rows; rows that are missing are 0, and so is the second half of an odd last pair.
    void (*pack_rows)(uint32_t *out, ptrdiff_t row_words, const tile_view *view);    // [rows][depth] of a
    void (*pack_a)(uint32_t *out, const tile_view *view);            // [depth][rows] of a; neighbours along the rows
    void (*pack_b)(uint32_t *out, const tile_view *view);            // [depth][cols] of b; neighbours along either
    // Neighbouring elements of a type to f32 and back.
    void (*load)(float *out, const char *in, uint32_t type, uint32_t count);
    void (*store)(char *out, uint32_t type, const float *in, uint32_t count);
} tile_micro;

// Runs the items, or returns false and writes nothing: operands without neighbours in memory are not for packing.
// pairs may be NULL; it takes operands of bf16, and f32 ones that may be rounded to it.
bool wane_tile_run(const tile_micro *words, const tile_micro *pairs, const wane_cpu_call *call, uint32_t begin, uint32_t end);

// How many items of a pass make a whole line of tiles.
uint32_t wane_tile_line(const uint32_t *window);

// What avx512bf16 takes from avx512: the product of other types, and a transposed square of 16 words a row, written to
// rows of 32.
extern const tile_micro wane_tile_micro_avx512;
void wane_tile_transpose_avx512(uint32_t *out, const char *in, ptrdiff_t in_row_bytes);

#endif
