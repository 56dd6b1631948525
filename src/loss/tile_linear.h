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
    int64_t splits;                        // not 0: statistics by tile_sweep, so many slices a dispatch, and no chunk at all
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


// ---- tile_linear.c ----
// Joins so many slices from the second on to the first.
bool linear_add_merge(linear *l, int64_t first, int64_t rows, int64_t slices);

// ---- tile_sweep.c: statistics of logits that no memory holds ----
// Whether a plan can do without memory for logits: values alone, where the device's own sweep has all that it takes.
bool linear_sweeps_tiles(const linear *l);
// Columns of a dispatch for so many rows (both are made smaller until it can be bound and is short enough); 0 if not one tile.
int64_t linear_sweep_window(const linear *l, int64_t *rows);
bool linear_add_sweeps(linear *l, int64_t row, int64_t rows);

#endif
