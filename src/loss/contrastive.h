// contrastive.h - what the parts of the contrastive planner share: a problem of two sides, cut into chunks of rows.
#ifndef WANE_LOSS_CONTRASTIVE_H
#define WANE_LOSS_CONTRASTIVE_H

#include "loss/tile.h"

#include "kernels/contrast.h"

typedef struct contrast_record {
#define U(name) uint32_t name;
#define F(name) float name;
    CONTRAST_RECORD(U, F)
#undef U
#undef F
} contrast_record;

typedef struct contrast_window {
#define U(name) uint32_t name;
    CONTRAST_WINDOW(U)
#undef U
} contrast_window;

enum { CONTRAST_STATISTICS = WANE_STATISTIC_MAX | WANE_STATISTIC_SUM | WANE_STATISTIC_TARGET | WANE_STATISTIC_FLAGS };

// Records of a plan: row kernels see rows and columns as two sets of planes, contrastive kernels each side beside the other.
enum { RECORD_ROWS, RECORD_COLS, RECORD_A, RECORD_B, RECORD_COUNT };

// The rows of a, or those of b.
typedef struct contrast_side {
    tile_matrix source, grad;              // grad.operand < 0 where none is asked for
    bool adds, in_place;                   // in_place: the gradient's own memory holds the sums that it is made of
    uint8_t record;                        // RECORD_A, RECORD_B
    uint32_t mask;                         // flags of rows that take no part
} contrast_side;

typedef struct contrastive {
    softmax_problem rows;                  // of a; the batch's planes
    softmax_problem cols;                  // clip: of b, as rows of the other direction
    contrast_side a, b;
    int64_t dim;
    int labels, scale, bias, grad_scale, grad_bias;
    bool both, points, normalize;          // clip; siglip
    bool split;                            // rows and columns are blocks of a batch's
    bool grad;                             // of anything
    bool slopes;                           // similarities' gradients are asked for, if only as their sum
    bool copied;                           // rows of b are made anew in the workspace, else read where they are
    bool kept;                             // all similarities are held from the statistics to the gradient
    int64_t chunk_rows;
    tile_matrix dense_a, dense_b, chunk, sum_a, sum_b;
    uint64_t total;                        // bytes of the workspace
    wane_status status;
} contrastive;

// ---- contrastive_problem.c ----
wane_status contrast_read(contrastive *c, wane_plan *plan);
wane_status contrast_cut(contrastive *c);
void contrast_fill_records(contrastive *c);

#endif
