// tile_linear.h - a loss on a linear head on its way to passes, and how it is cut.
#ifndef WANE_LOSS_TILE_LINEAR_H
#define WANE_LOSS_TILE_LINEAR_H

#include "loss/tile.h"

typedef struct linear {
    softmax_problem rows;                  // first: passes around the rows are given a softmax_problem
    tile_matrix input, weight, bias, grad_input, grad_weight, grad_bias;
    int64_t dim;
    bool grad;
    bool ordered;                          // rows that count are copied together before the products
    bool keeps;                            // logits that the budget has room for: worth it where dim is large
    bool halves;                           // a chunk's gradient goes to bf16 beside it, not in place
    // Chunks of a batch are numbered slice by slice, rows first within one. The last `kept` of them lie side by side from
    // the statistics to the gradient, those before pass through one chunk's memory.
    int64_t chunk_rows, row_chunks, slice, slices, kept;
    uint64_t work, scratch, half, copy, sum_input, sum_weight, sum_bias, total;   // bytes, and where in the workspace each begins
    int64_t products;                      // elements of all products so far
    wane_status status;
} linear;

static inline int64_t tile_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static inline bool linear_is_half(const tile_matrix *m) { return m->operand >= 0 && m->dtype != WANE_DTYPE_F32; }

static inline bool linear_adds(const linear *l, const tile_matrix *m)
{
    return m->operand >= 0 && l->rows.plan->operands[m->operand].flags & WANE_OPERAND_ACCUMULATE;
}

// ---- tile_cut.c ----
// Chooses batches, chunks and slices within the budget, and lays out the workspace.
wane_status linear_cut(linear *l);
// From one row of a chunk to the next, in elements.
int64_t linear_line(const linear *l);
// Bytes of a chunk of logits; and whether half gradients of linear_weight are rounded once with such batches.
uint64_t linear_chunk_bytes(const linear *l);
bool linear_one_batch(const linear *l, int64_t batch);

#endif
