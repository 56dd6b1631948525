// softmax.h - what the planners of row losses share: a problem on its way to passes, its views, and the passes around the
// row statistics. softmax.c plans rows of logits in memory; a planner that makes its logits reads the same problem, cuts
// it in its own way, and calls the passes of softmax_passes.c.
#ifndef WANE_LOSS_SOFTMAX_H
#define WANE_LOSS_SOFTMAX_H

#include "core/core.h"

#include "kernels/softmax.h"

#define WANE_KERNEL(name, NAME, unit)
#include "core/kernels.def"

typedef struct softmax_record {
#define U(name) uint32_t name;
#define F(name) float name;
    SOFTMAX_RECORD(U, F)
#undef U
#undef F
} softmax_record;

typedef struct softmax_window {
#define U(name) uint32_t name;
    SOFTMAX_WINDOW(U)
#undef U
} softmax_window;

enum { SOFTMAX_FUSED_COLS_MOST = 1 << 20 };    // beyond it a chain of additions would exceed 1024

typedef struct softmax_problem {
    wane_plan *plan;
    softmax_record *record;
    int logits, target, weight, row_weight, upstream, upstream_lse, statistics, grad;
    int second, grad_second;               // of softmax_pair.c: teacher logits or probabilities, and the teacher's gradient
    uint32_t pair;                         // PAIR_*, 0 for a row by itself
    int64_t rows, cols;                    // rows = outer * inner: all dimensions but the class axis
    int64_t col_offset, total_cols;        // of a vocabulary split over several calls; 0: it is not
    int64_t outer, inner;
    uint32_t row_dims;                     // dimensions that make the rows: 1, 2 or 3
    bool fold_outer;                       // of three, the first two are folded to `outer`; else the last two to `inner`
    bool given, save, fused, mean;
    uint32_t term, options, types;
    int64_t batch_rows, window_cols;       // of one window
    uint32_t slice_cols, slices, parts;    // parts of all batches
    uint64_t work_bytes;                   // scalars, parts and planes: what the row kernels see of the workspace
} softmax_problem;

static inline double softmax_param(const wane_plan *plan, wane_param id) { return plan->params[id]; }

static inline int64_t softmax_clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

// ---- softmax_problem.c ----
uint32_t softmax_statistics_need(const wane_plan *plan);
wane_status softmax_read_grad(const softmax_problem *p, int tensor, int grad, uint32_t *types, uint32_t *options);
bool softmax_wants(const softmax_problem *p, wane_role role);      // an output that is asked for
wane_status softmax_read_problem(softmax_problem *p, wane_plan *plan);
void softmax_fill_record(softmax_problem *p);                      // after the problem is cut; sets workspace and status

// ---- softmax_view.c ----
// Rows as (outer, inner), each with a stride; strides in elements. col is that of columns or planes.
typedef struct softmax_view {
    int64_t outer, inner, col;
} softmax_view;

static inline uint64_t softmax_stride_size(int64_t stride) { return stride < 0 ? (uint64_t)-stride : (uint64_t)stride; }

bool softmax_has_rows(const softmax_problem *p, const wane_plan_operand *o);
softmax_view softmax_view_of(const softmax_problem *p, int operand);
wane_status softmax_read_rows(softmax_problem *p, int operand);    // rows, outer, inner from this and all operands
uint64_t softmax_reach(const softmax_problem *p, softmax_view v, int64_t rows, int64_t cols);
wane_slot softmax_slot_of(const softmax_problem *p, int operand, int64_t row, int64_t rows, int64_t col, int64_t cols);
wane_slot softmax_rows_of(const softmax_problem *p, int operand, int64_t row, int64_t rows);
wane_slot softmax_cols_of(const softmax_problem *p, int operand, int64_t col, int64_t cols);
void softmax_put_strides(const softmax_problem *p, int operand, uint32_t *outer, uint32_t *inner, uint32_t *col);

// ---- softmax_cut.c ----
wane_status softmax_cut(softmax_problem *p);
uint32_t softmax_plane_count(const softmax_problem *p);
// The most rows, at most `most`, of which every operand fits a window with so many columns; 0 if there is none.
int64_t softmax_most_rows(const softmax_problem *p, int64_t most, int64_t cols);
int64_t softmax_batch_at(const softmax_problem *p, int64_t row, int64_t batch);

// ---- softmax_pair.c: rows with a second source of weights ----
wane_status softmax_read_pair(softmax_problem *p);                 // after the rest of the problem
void softmax_fill_pair(softmax_problem *p);                        // after the rest of the record
bool softmax_add_pair(softmax_problem *p, int64_t row, int64_t rows);

// ---- softmax_passes.c: false when memory runs out ----
wane_pass *softmax_add(softmax_problem *p, uint16_t kernel, int64_t items, softmax_window window);
wane_slot softmax_whole_work(const softmax_problem *p);
bool softmax_add_gather(softmax_problem *p, int64_t row, int64_t rows);
bool softmax_add_reduce(softmax_problem *p, int64_t rows, uint32_t mode, uint32_t part);
bool softmax_add_finish(softmax_problem *p, uint32_t mode, uint32_t parts);
bool softmax_add_planes(softmax_problem *p, uint16_t kernel, int64_t row, int64_t rows);
bool softmax_add_emit(softmax_problem *p, wane_role role, uint32_t first, int64_t row, int64_t rows, bool *before);
bool softmax_emit_rows(softmax_problem *p, int64_t row, int64_t rows);
bool softmax_emit_scalars(softmax_problem *p);
// All passes of a problem, batch by batch: `body` takes rows row .. row + rows of it from gathered operands to linked
// values, and their gradient.
bool softmax_add_batches(softmax_problem *p, bool (*body)(softmax_problem *p, int64_t row, int64_t rows));

#endif
