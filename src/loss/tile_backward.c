// tile_backward.c - gradients of a linear head without memory for its logits: each group of tile_backward has 64 rows of its own
// side, and a slice of the other side. For grad_input the own side is the input, for the gradients of linear_weight and its bias
// linear_weight. Dispatch after dispatch along the other side adds to the gradient; what may not be added to, and what several
// slices made, is summed in the workspace and stored once.
#include "loss/tile_linear.h"

typedef struct backward_record {
#define U(name) uint32_t name;
#define F(name) float name;
    TILE_BACKWARD_RECORD(U, F)
#undef U
#undef F
} backward_record;

typedef struct backward_window {
#define U(name) uint32_t name;
    TILE_BACKWARD_WINDOW(U)
#undef U
} backward_window;

static const tile_matrix *grad_of(const linear *l, int side) { return side == LINEAR_ROWS ? &l->grad_input : &l->grad_weight; }

static bool has_sums(const linear *l, int side) { return side == LINEAR_COLS && l->grad_bias.operand >= 0; }

bool linear_has_side(const linear *l, int side) { return grad_of(l, side)->operand >= 0 || has_sums(l, side); }

// ---- how a side is cut ----

static bool side_fits(const linear *l, int side, const linear_side *s)
{
    const wane_plan *plan = l->rows.plan;
    int64_t rows = side == LINEAR_ROWS ? s->owns : s->others, cols = side == LINEAR_ROWS ? s->others : s->owns;
    tile_matrix grad = *grad_of(l, side), sums = l->grad_bias;
    grad.rows = side == LINEAR_COLS ? s->owns : l->ordered ? l->rows.batch_rows : s->owns;
    sums.cols = s->owns;
    return linear_window_fits(l, rows, cols) && tile_fits(plan, &grad) && (!has_sums(l, side) || tile_fits(plan, &sums));
}

// Rows of both sides that a dispatch has, at most `most` of the own one. False if it cannot have one tile.
static bool cut_windows(const linear *l, int side, int64_t most, int64_t splits, linear_side *s)
{
    int64_t batch = l->rows.batch_rows, all = side == LINEAR_ROWS ? l->rows.cols : batch;
    s->owns = most;
    s->others = softmax_clamp(splits * (int64_t)TILE_DEPTH_MOST, 1, all);
    for (;;) {
        bool fits = side_fits(l, side, s), long_ = tile_long(l->rows.plan, s->owns, s->others, 2 * l->dim);
        bool by_owns = s->owns > (int64_t)TILE_ROWS, by_others = s->others > (int64_t)TILE_COLS;
        if ((fits && !long_) || (!by_owns && !by_others)) {
            s->slice = tile_ceil_div(tile_ceil_div(s->others, splits), TILE_COLS) * (int64_t)TILE_COLS;
            s->slices = tile_ceil_div(s->others, s->slice);
            return fits;
        }
        if (by_owns && (!by_others || s->owns >= s->others)) s->owns = tile_half(s->owns, TILE_ROWS);
        else s->others = tile_half(s->others, TILE_COLS);
    }
}

// What is there is added to once, not once a dispatch; the kernel makes f32, and a half type is rounded once.
static bool made_apart(const linear *l, const tile_matrix *grad, const linear_side *s, int64_t others)
{
    if (grad->operand < 0) return false;
    return s->slices > 1 || linear_is_half(grad) || (s->others < others && linear_adds(l, grad));
}

uint64_t linear_cut_side(linear *l, int side, uint64_t room)
{
    linear_side *s = &l->sides[side];
    int64_t batch = l->rows.batch_rows, owns = batch, others = l->rows.cols;
    if (side == LINEAR_COLS) owns = l->rows.cols, others = batch;
    int64_t splits = softmax_clamp(tile_ceil_div(LINEAR_GROUPS, tile_ceil_div(owns, TILE_ROWS)), 1, LINEAR_SPLITS_MOST);
    splits = softmax_clamp(tile_ceil_div(others, TILE_COLS), 1, splits);
    uint64_t window = wane_min_u64(l->rows.plan->limits.max_window_bytes - 512, (uint64_t)4 * INT32_MAX);
    for (int64_t most = owns;;) {
        if (!cut_windows(l, side, most, splits, s)) return UINT64_MAX;
        s->plane = side == LINEAR_ROWS ? batch : s->owns;
        s->apart = made_apart(l, grad_of(l, side), s, others);
        s->sums_apart = has_sums(l, side) && made_apart(l, &l->grad_bias, s, others);
        uint64_t rows = (uint64_t)(s->slices * s->plane);
        s->sums_at = s->apart ? wane_round_up(4 * rows * (uint64_t)l->dim, 256) : 0;
        uint64_t bytes = s->sums_at + (s->sums_apart ? wane_round_up(4 * rows, 256) : 0);
        if (bytes <= wane_min_u64(room, window)) return bytes;
        if (splits > 1) splits /= 2;
        else if (side == LINEAR_COLS && s->owns > (int64_t)TILE_ROWS) most = tile_half(s->owns, TILE_ROWS);
        else return bytes <= window ? bytes : UINT64_MAX;
    }
}

// ---- passes ----

// Rows `own` .. of the own side of the batch at `row`, and `other` .. of the other side.
typedef struct part {
    int side;
    int64_t row, batch, own, owns, other, others;
} part;

static tile_matrix input_of(const linear *l, const tile_matrix *m, const part *d)
{
    if (l->ordered) return tile_part(*m, d->row, d->batch, 0, l->dim);
    bool own = d->side == LINEAR_ROWS;
    return tile_part(*m, d->row + (own ? d->own : d->other), own ? d->owns : d->others, 0, l->dim);
}

// Where a dispatch leaves its product, or its sums as a matrix of one column.
static tile_matrix product_of(const linear *l, const part *d)
{
    const linear_side *s = &l->sides[d->side];
    if (grad_of(l, d->side)->operand < 0) return tile_none();
    tile_matrix made = tile_dense(l->sums, s->slices * s->plane, l->dim);
    if (s->apart) return d->side == LINEAR_ROWS && !l->ordered ? tile_part(made, d->own, made.rows - d->own, 0, l->dim) : made;
    return d->side == LINEAR_ROWS ? input_of(l, &l->grad_input, d) : tile_part(l->grad_weight, d->own, d->owns, 0, l->dim);
}

static tile_matrix sums_of(const linear *l, const part *d)
{
    const linear_side *s = &l->sides[d->side];
    if (!has_sums(l, d->side)) return tile_none();
    if (s->sums_apart) return tile_dense(l->sums + s->sums_at, s->slices * s->plane, 1);
    return tile_turned(tile_part(l->grad_bias, 0, 1, d->own, d->owns));
}

// Whether a gradient holds something that is added to.
static bool is_begun(const linear *l, const tile_matrix *grad, const part *d)
{
    return linear_adds(l, grad) || (d->side == LINEAR_COLS && d->row > 0);
}

static uint8_t record_of(linear *l, const part *d, const tile_matrix *a, const tile_matrix *b, const tile_matrix *bias,
                         const tile_matrix *product, const tile_matrix *sums)
{
    const softmax_record *r = l->rows.record;
    const linear_side *s = &l->sides[d->side];
    backward_record record = {(uint32_t)a->row, (uint32_t)a->col, (uint32_t)b->row, (uint32_t)b->col, (uint32_t)bias->col, r->weight_col,
                              (uint32_t)l->dim, (uint32_t)s->slice, r->planes, r->plane_rows, (uint32_t)product->row,
                              (uint32_t)product->col, (uint32_t)s->plane, (uint32_t)sums->row, r->inverse_temperature, r->softcap,
                              r->inverse_softcap};
    uint32_t words[sizeof record / 4];
    memcpy(words, &record, sizeof record);
    return tile_record(l->rows.plan, words, sizeof record / 4);
}

static bool add_dispatch(linear *l, const part *d)
{
    softmax_problem *p = &l->rows;
    const linear_side *s = &l->sides[d->side];
    bool own_rows = d->side == LINEAR_ROWS;
    int64_t col = own_rows ? d->other : d->own, cols = own_rows ? d->others : d->owns;
    tile_matrix input = input_of(l, &l->input, d), weight = tile_part(l->weight, col, cols, 0, l->dim), bias = tile_none();
    if (l->bias.operand >= 0) bias = tile_part(l->bias, 0, 1, col, cols);
    tile_matrix a = own_rows ? input : weight, b = own_rows ? weight : input, product = product_of(l, d), sums = sums_of(l, d);
    uint8_t record = record_of(l, d, &a, &b, &bias, &product, &sums);
    if (record == WANE_MAX_RECORDS) return false;
    uint32_t tiles = (uint32_t)tile_ceil_div(d->owns, TILE_ROWS);
    wane_pass *pass = wane_plan_add(p->plan, WANE_KERNEL_TILE_BACKWARD, tiles * (uint32_t)tile_ceil_div(d->others, s->slice));
    if (!pass) return false;
    bool add = d->other > 0 || (!s->apart && is_begun(l, grad_of(l, d->side), d));
    bool add_sums = d->other > 0 || (!s->sums_apart && is_begun(l, &l->grad_bias, d));
    backward_window window = {pass->items, 0, (uint32_t)d->owns, (uint32_t)d->others, (uint32_t)col, tiles,
                              (add ? TILE_ADD : 0) | (add_sums ? TILE_ADD_SUMS : 0), (uint32_t)(own_rows ? d->own : d->other)};
    memcpy(pass->window, &window, sizeof window);
    pass->record = record;
    pass->consts[0] = tile_type(&a) | tile_type(&b) << TILE_SHIFT_B | tile_type(&bias) << TILE_SHIFT_BIAS;
    pass->consts[1] = tile_by_depth(&a, &b) | (bias.operand != WANE_SLOT_NONE ? TILE_BIAS : 0) | (own_rows ? TILE_OWN_ROWS : 0)
                    | (product.operand != WANE_SLOT_NONE ? TILE_OUT : 0) | (sums.operand != WANE_SLOT_NONE ? TILE_OUT_SUMS : 0);
    pass->consts[2] = p->options & (OPTION_SOFTCAP | OPTION_CLASS_WEIGHT | OPTION_ORDERED);
    const tile_matrix *bound[] = {&a, &b, &bias, NULL, NULL, &product, &sums};
    for (int i = 0; i < 7; i++)
        if (bound[i]) pass->slots[i] = tile_slot(bound[i]);
    if (p->options & OPTION_CLASS_WEIGHT) pass->slots[3] = softmax_cols_of(p, p->weight, p->col_offset + col, cols);
    pass->slots[4] = softmax_whole_work(p);
    l->products += d->owns * d->others * (product.operand != WANE_SLOT_NONE ? 2 : 1);
    return true;
}

// What the slices of rows own .. own + owns made, once all of the other side has passed them.
static bool add_stores(linear *l, const part *d)
{
    const linear_side *s = &l->sides[d->side];
    wane_status status = WANE_OK;
    if (s->apart)
        status = tile_add_store(l->rows.plan, tile_dense(l->sums, d->owns, l->dim), s->slices, s->plane,
                                d->side == LINEAR_ROWS ? tile_part(l->grad_input, d->row, d->owns, 0, l->dim)
                                                       : tile_part(l->grad_weight, d->own, d->owns, 0, l->dim),
                                is_begun(l, grad_of(l, d->side), d));
    if (status == WANE_OK && s->sums_apart)
        status = tile_add_store(l->rows.plan, tile_dense(l->sums + s->sums_at, d->owns, 1), s->slices, s->plane,
                                tile_turned(tile_part(l->grad_bias, 0, 1, d->own, d->owns)), is_begun(l, &l->grad_bias, d));
    if (l->status == WANE_OK) l->status = status;
    return status == WANE_OK;
}

static bool add_side(linear *l, int side, int64_t row, int64_t batch)
{
    const linear_side *s = &l->sides[side];
    int64_t owns = side == LINEAR_ROWS ? batch : l->rows.cols, others = side == LINEAR_ROWS ? l->rows.cols : batch;
    part d = {side, row, batch, 0, 0, 0, 0};
    for (d.own = 0; d.own < owns; d.own += s->owns) {
        d.owns = softmax_clamp(owns - d.own, 1, s->owns);
        for (d.other = 0; d.other < others; d.other += s->others) {
            d.others = softmax_clamp(others - d.other, 1, s->others);
            if (!add_dispatch(l, &d)) return false;
        }
        if (side == LINEAR_COLS && !add_stores(l, &d)) return false;
    }
    if (side == LINEAR_COLS) return true;
    // rows of the batch are anywhere in it
    d.own = 0;
    d.owns = batch;
    return add_stores(l, &d);
}

bool linear_add_backward(linear *l, int64_t row, int64_t rows)
{
    for (int side = 0; side < LINEAR_SIDES; side++)
        if (linear_has_side(l, side) && !add_side(l, side, row, rows)) return false;
    return true;
}
