// tile_sweep.c - statistics of a linear head without memory for its logits: each group of tile_sweep has 64 rows and a slice of
// the columns, and what it leaves are planes. Slices of a dispatch are joined to those of the dispatches before.
#include "loss/tile_linear.h"

typedef struct sweep_record {
#define U(name) uint32_t name;
#define F(name) float name;
    TILE_SWEEP_RECORD(U, F)
#undef U
#undef F
} sweep_record;

typedef struct sweep_window {
#define U(name) uint32_t name;
    TILE_SWEEP_WINDOW(U)
#undef U
} sweep_window;

bool linear_window_fits(const linear *l, int64_t rows, int64_t cols)
{
    const softmax_problem *p = &l->rows;
    tile_matrix part[3] = {l->input, l->weight, l->bias};
    if (!l->ordered) part[0].rows = rows;
    else part[0].rows = p->batch_rows;
    part[1].rows = cols;
    if (l->bias.operand >= 0) part[2].cols = cols;
    for (int i = 0; i < 3; i++)
        if (!tile_fits(p->plan, &part[i])) return false;
    uint64_t reach = p->weight < 0 ? 0 : softmax_reach(p, softmax_view_of(p, p->weight), 1, cols);
    return reach < (p->plan->limits.max_window_bytes - 512) / 4;
}

int64_t linear_sweep_window(const linear *l, int64_t *rows)
{
    const wane_plan *plan = l->rows.plan;
    int64_t cols = l->rows.cols, wide = (int64_t)TILE_COLS * l->splits;
    for (;;) {
        bool fits = linear_window_fits(l, *rows, cols), long_ = tile_long(plan, *rows, cols, l->dim);
        if (fits && !long_) return cols;
        if (cols > wide || (cols > (int64_t)TILE_COLS && *rows <= (int64_t)TILE_ROWS)) cols = tile_half(cols, TILE_COLS);
        else if (*rows > (int64_t)TILE_ROWS) *rows = tile_half(*rows, TILE_ROWS);
        else return fits ? cols : 0;       // one tile
    }
}

// One dispatch: `rows` of the batch at `row` from `first` on, columns col .. col + cols.
static bool add_sweep(linear *l, int64_t row, int64_t batch, int64_t first, int64_t rows, int64_t col, int64_t cols)
{
    softmax_problem *p = &l->rows;
    wane_plan *plan = p->plan;
    const softmax_record *r = p->record;
    uint32_t tiles = (uint32_t)tile_ceil_div(rows, TILE_ROWS);
    int64_t slice = tile_ceil_div(tile_ceil_div(cols, l->splits), TILE_COLS) * (int64_t)TILE_COLS, slices = tile_ceil_div(cols, slice);
    tile_matrix a = l->ordered ? tile_part(l->input, row, batch, 0, l->dim) : tile_part(l->input, row + first, rows, 0, l->dim);
    tile_matrix b = tile_part(l->weight, col, cols, 0, l->dim), bias = tile_none();
    if (l->bias.operand >= 0) bias = tile_part(l->bias, 0, 1, col, cols);
    sweep_record record = {(uint32_t)a.row, (uint32_t)a.col, (uint32_t)b.row, (uint32_t)b.col, (uint32_t)bias.col, r->weight_col,
                           (uint32_t)l->dim, (uint32_t)slice, r->planes, r->plane_rows, r->inverse_temperature, r->softcap, r->inverse_softcap};
    uint32_t words[sizeof record / 4];
    memcpy(words, &record, sizeof record);
    uint8_t number = tile_record(plan, words, sizeof record / 4);
    if (number == WANE_MAX_RECORDS) return false;
    wane_pass *pass = wane_plan_add(plan, WANE_KERNEL_TILE_SWEEP, tiles * (uint32_t)slices);
    if (!pass) return false;
    sweep_window window = {pass->items, 0, (uint32_t)rows, (uint32_t)cols, (uint32_t)col, tiles, col > 0, (uint32_t)first};
    memcpy(pass->window, &window, sizeof window);
    pass->record = number;
    uint32_t reading = OPTION_SOFTCAP | OPTION_WEIGHT_SUMS | OPTION_CLASS_WEIGHT | OPTION_NO_TARGET | OPTION_ORDERED;
    pass->consts[0] = tile_type(&a) | tile_type(&b) << TILE_SHIFT_B | tile_type(&bias) << TILE_SHIFT_BIAS;
    pass->consts[1] = tile_by_depth(&a, &b) | (bias.operand != WANE_SLOT_NONE ? TILE_BIAS : 0);
    pass->consts[2] = p->options & reading;
    pass->slots[0] = tile_slot(&a);
    pass->slots[1] = tile_slot(&b);
    pass->slots[2] = tile_slot(&bias);
    if (p->options & OPTION_CLASS_WEIGHT) pass->slots[3] = softmax_cols_of(p, p->weight, p->col_offset + col, cols);
    pass->slots[4] = softmax_whole_work(p);
    l->products += rows * cols;
    return slices + (col > 0) == 1 || linear_add_merge(l, first, rows, slices - (col == 0));
}

bool linear_add_sweeps(linear *l, int64_t row, int64_t rows)
{
    int64_t each = rows, cols = linear_sweep_window(l, &each);
    for (int64_t first = 0; first < rows; first += each)
        for (int64_t col = 0; col < l->rows.cols; col += cols)
            if (!add_sweep(l, row, rows, first, softmax_clamp(rows - first, 1, each), col, softmax_clamp(l->rows.cols - col, 1, cols)))
                return false;
    return true;
}
