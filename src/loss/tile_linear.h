// tile_linear.h - a loss on a linear head on its way to passes, and how it is cut.
#ifndef WANE_LOSS_TILE_LINEAR_H
#define WANE_LOSS_TILE_LINEAR_H

#include "loss/tile.h"

// Groups that fill a large device, and slices that a side is cut into to have so many.
enum { LINEAR_GROUPS = 1024, LINEAR_SPLITS_MOST = 16 };

// Gradients without scratch are made side by side: of the input, and of linear_weight and its bias.
enum { LINEAR_ROWS, LINEAR_COLS, LINEAR_SIDES };

typedef struct linear_side {
    int64_t owns, others;                  // rows of a dispatch: of the own side, of the other one
    int64_t slice, slices;                 // of those others
    int64_t plane;                         // rows of what one slice makes, in the workspace
    bool apart, sums_apart;                // product, sums: made there, not where they belong
    uint64_t sums_at;                      // bytes from linear.sums
} linear_side;

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
    // No memory for logits: statistics, unless they are given, by tile_sweep, so many slices a dispatch; gradients by tile_backward.
    bool alone, squeezed;                  // squeezed: no chunk fits the budget
    int64_t splits;
    linear_side sides[LINEAR_SIDES];
    uint64_t work, scratch, half, copy, sum_input, sum_weight, sum_bias, sums, total;   // bytes, and where in the workspace each begins
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
// Whether a dispatch can bind so many rows and columns of what logits are made of.
bool linear_window_fits(const linear *l, int64_t rows, int64_t cols);
// Columns of a dispatch for so many rows (both are made smaller until it can be bound and is short enough); 0 if not one tile.
int64_t linear_sweep_window(const linear *l, int64_t *rows);
bool linear_add_sweeps(linear *l, int64_t row, int64_t rows);

// ---- tile_backward.c: gradients of logits that no memory holds ----
// Whether a gradient of a side is asked for.
bool linear_has_side(const linear *l, int side);
// Cuts a side so that its sums take no more than `room` bytes, and returns how many: more where less cannot be; UINT64_MAX where the
// device cannot bind them.
uint64_t linear_cut_side(linear *l, int side, uint64_t room);
bool linear_add_backward(linear *l, int64_t row, int64_t rows);

#endif
