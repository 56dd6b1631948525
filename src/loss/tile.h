// tile.h - what the planners of losses on products share: matrices that lie in operands or in the workspace, the passes
// that multiply them, and the loops over chunks of a product that is never stored whole.
#ifndef WANE_LOSS_TILE_H
#define WANE_LOSS_TILE_H

#include "loss/softmax.h"

#include "kernels/tile.h"

// A matrix of an operand or of the workspace; parts and transposes of it are matrices too.
typedef struct tile_matrix {
    int32_t operand;                       // or WANE_SLOT_WORKSPACE, WANE_SLOT_NONE
    wane_dtype dtype;
    int64_t first_byte;                    // of element [0, 0], from the operand's element 0 or the workspace's start
    int64_t rows, cols;
    int64_t row, col;                      // strides in elements
} tile_matrix;

// ---- tile_matrix.c ----
tile_matrix tile_none(void);
tile_matrix tile_of(const wane_plan *plan, int operand);           // [rows, cols]; one dimension is one row
tile_matrix tile_dense(uint64_t byte, int64_t rows, int64_t cols); // f32 in the workspace
// In the workspace, of a type; rows begin at words.
tile_matrix tile_typed(uint64_t byte, wane_dtype dtype, int64_t rows, int64_t cols);
tile_matrix tile_part(tile_matrix m, int64_t row, int64_t rows, int64_t col, int64_t cols);
tile_matrix tile_turned(tile_matrix m);
wane_slot tile_slot(const tile_matrix *m);
// Whether a dispatch can bind it, and its strides fit a record.
bool tile_fits(const wane_plan *plan, const tile_matrix *m);
uint32_t tile_type(const tile_matrix *m);                          // TYPE_*
uint32_t tile_by_depth(const tile_matrix *a, const tile_matrix *b); // TILE_A_BY_DEPTH, TILE_B_BY_DEPTH
// The index of a record with these words, one that is there if it can be; at most WANE_MAX_RECORDS differ.
uint8_t tile_record(wane_plan *plan, const uint32_t *words, uint32_t count);

// ---- tile_passes.c: WANE_OK, or why the passes could not be added ----
// out = (out +) bias + a . b^T: a [rows, depth], b [cols, depth], bias none or [1, cols]. Cut into as many dispatches as
// windows and the time budget ask for.
typedef struct tile_product {
    tile_matrix a, b, bias, out;
    bool add;
    bool across;                           // threads take rows of tiles, not columns of them
    uint32_t live;                         // 0, or TILE_LIVE_ROWS, TILE_LIVE_DEPTH: where the batch's rows that count end,
    int64_t first;                         // row 0 (depth 0) being the batch's so many-th
} tile_product;

wane_status tile_add_product(wane_plan *plan, const tile_product *product);
// Whether such a product is too long for one dispatch; and half of an extent, a whole number of tiles.
bool tile_long(const wane_plan *plan, int64_t rows, int64_t cols, int64_t depth);
int64_t tile_half(int64_t extent, int64_t tile);
// out [1, cols] (+)= the sum of each column of `from`, f32 or a half type.
wane_status tile_add_sums(wane_plan *plan, tile_matrix from, tile_matrix out, bool add);
// Rows of a batch that count, first: where softmax_order leaves their numbers.
typedef struct tile_order {
    wane_slot work;                        // the row kernels' part of the workspace
    uint32_t word;                         // of the plane, from its start
} tile_order;

// dense [rows, cols] = the rows that count of `from` (all rows of the batch), from the first-th on, and zeros behind them.
wane_status tile_add_gather(wane_plan *plan, tile_matrix from, tile_matrix dense, int64_t first, tile_order order);
// The other way: out (all rows of the batch) (+)= from where a row counts, else 0.
wane_status tile_add_scatter(wane_plan *plan, tile_matrix from, tile_matrix out, bool add, tile_order order);
// out (+)= the sum of so many f32 matrices like `from`, each `plane` rows behind the one before, rounded once to out's type.
wane_status tile_add_store(wane_plan *plan, tile_matrix from, int64_t planes, int64_t plane, tile_matrix out, bool add);

#endif
