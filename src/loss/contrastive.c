// contrastive.c - the planner of the contrastive family: similarities z = scale . <a_i, b_j> + bias of the rows of a and b,
// made a chunk of rows at a time in the workspace and never stored whole.
//
// A chunk's rows of a are normalised and scaled, multiplied with those of b, and swept; its gradient takes the place of
// the similarities and is multiplied with b (into grad_a) and with a (into grad_b); the norm's gradient comes last.
//   info_nce   a chunk's rows are complete in themselves: statistics, link, gradient, next chunk. Three products.
//   clip       the same similarities give the statistics of rows and of columns, which need all chunks: unless one chunk
//              holds all, the gradient makes them again. Four products, 8 rows cols dim flops, for both directions.
//   siglip     each pair is by itself: value and gradient in one sweep. Three products.
// Statistics can be saved and given: given, nothing is swept, and similarities are made for the gradient alone. So calls
// that hold blocks of a batch save theirs, the caller merges, and each makes its part from those of all.
// Rows share planes, link and reductions with the softmax family (softmax_passes.c); clip's columns are rows of a second
// such problem. Products: tile_passes.c.
#include "loss/contrastive.h"

static bool fail(contrastive *c, wane_status status)
{
    if (c->status == WANE_OK) c->status = status;
    return status == WANE_OK;
}

static wane_slot work_slot(const contrastive *c) { return softmax_whole_work(&c->rows); }

static wane_pass *add(contrastive *c, uint16_t kernel, int64_t items, uint8_t record, contrast_window window)
{
    wane_pass *pass = wane_plan_add(c->rows.plan, kernel, (uint32_t)items);
    if (!pass) return NULL;
    window.items = (uint32_t)items;
    memcpy(pass->window, &window, sizeof window);
    pass->record = record;
    return pass;
}

// The record of the last pass, which a function of the softmax family has added for one of the two directions.
static bool of_columns(contrastive *c, bool good)
{
    wane_plan *plan = c->rows.plan;
    if (good && plan->pass_count) plan->passes[plan->pass_count - 1].record = RECORD_COLS;
    return good;
}

// ---- pairs ----

static bool add_pairs(contrastive *c, uint32_t mode, int64_t row, int64_t rows)
{
    bool columns = mode == PAIRS_COLUMNS;
    contrast_window window = {0};
    window.mode = mode;
    window.first = (uint32_t)row;
    wane_pass *pass = add(c, WANE_KERNEL_CONTRAST_PAIRS, rows, columns ? RECORD_B : RECORD_A, window);
    if (!pass) return false;
    if (!columns) pass->slots[0] = softmax_rows_of(&c->rows, c->labels, row, rows);
    pass->slots[1] = softmax_rows_of(&c->rows, c->rows.upstream, row, rows);
    pass->slots[2] = softmax_cols_of(&c->rows, c->scale, 0, 1);
    pass->slots[3] = softmax_cols_of(&c->rows, c->bias, 0, 1);
    pass->slots[4] = work_slot(c);
    return true;
}

// Rows row .. row + rows, and in clip all columns: who belongs to whom.
static bool add_gather(contrastive *c, int64_t row, int64_t rows)
{
    if (!add_pairs(c, PAIRS_ROWS, row, rows)) return false;
    if (!c->both) return true;
    return add_pairs(c, PAIRS_COLUMNS, 0, c->rows.cols) && (c->labels < 0 || add_pairs(c, PAIRS_CHECK, 0, rows));
}

// Of a split batch: a value counts where its pair is.
static bool add_here(contrastive *c, int64_t rows)
{
    if (!c->split || c->points) return true;
    contrast_window window = {0};
    window.mode = PAIRS_HERE;
    for (int side = 0; side < 1 + c->both; side++) {
        wane_pass *pass = add(c, WANE_KERNEL_CONTRAST_PAIRS, side ? c->rows.cols : rows, side ? RECORD_B : RECORD_A, window);
        if (!pass) return false;
        pass->slots[4] = work_slot(c);
    }
    return true;
}

// Sums of the batch's values, or of its weights, into parts from `part` on.
static bool add_reduce(contrastive *c, int64_t rows, uint32_t mode, uint32_t *part)
{
    uint32_t each = (uint32_t)((c->rows.batch_rows + SOFTMAX_REDUCE_ROWS - 1) / SOFTMAX_REDUCE_ROWS);
    if (!softmax_add_reduce(&c->rows, rows, mode, *part)) return false;
    *part += each;
    if (!c->both) return true;
    bool good = softmax_add_reduce(&c->cols, c->cols.rows, mode == MODE_COUNT ? MODE_COUNT : MODE_COLUMNS, *part);
    *part += each;
    return of_columns(c, good);
}

// ---- rows of a side ----

static uint32_t types_of(const contrast_side *s)
{
    return tile_type(&s->source) | (s->grad.operand >= 0 ? tile_type(&s->grad) << SHIFT_GRAD : 0);
}

static uint32_t options_of(const contrastive *c, const contrast_side *s)
{
    return (c->normalize ? CONTRAST_NORMALIZE : 0) | (s->record == RECORD_A ? CONTRAST_SCALED : 0);
}

// Rows row .. row + rows of a side to `out`; first is the row's place in the planes. In two halves where a window or the
// time budget asks for it.
static bool add_rows(contrastive *c, const contrast_side *s, int64_t row, int64_t rows, int64_t first, tile_matrix out)
{
    wane_plan *plan = c->rows.plan;
    tile_matrix source = tile_part(s->source, row, rows, 0, c->dim), dense = tile_part(out, 0, rows, 0, c->dim);
    bool fits = tile_fits(plan, &source) && tile_fits(plan, &dense);
    if (rows > 1 && (!fits || (uint64_t)rows > plan->limits.max_dispatch_elems / (uint64_t)c->dim + 1)) {
        int64_t half = rows / 2;
        return add_rows(c, s, row, half, first, out)
            && add_rows(c, s, row + half, rows - half, first + half, tile_part(out, half, rows - half, 0, c->dim));
    }
    if (!fits)
        return fail(c, wane_fail(plan->context, WANE_ERROR_TOO_LARGE, plan->operands[s->source.operand].role->name,
                                 "not even a row of it fits the device's window: make it contiguous"));
    contrast_window window = {0};
    window.first = (uint32_t)first;
    window.mask = s->mask;
    wane_pass *pass = add(c, WANE_KERNEL_CONTRAST_ROWS, rows, s->record, window);
    if (!pass) return false;
    pass->consts[0] = tile_type(&source);
    pass->consts[1] = options_of(c, s);
    pass->slots[0] = tile_slot(&source);
    pass->slots[1] = work_slot(c);
    pass->slots[2] = tile_slot(&dense);
    return true;
}

// From sums of slopes of rows row .. row + rows to their gradient, if it is asked for, and to their part of grad_scale.
static bool add_project(contrastive *c, const contrast_side *s, int64_t row, int64_t rows, int64_t first, tile_matrix sums)
{
    wane_plan *plan = c->rows.plan;
    bool store = s->grad.operand >= 0;
    tile_matrix source = tile_part(s->source, row, rows, 0, c->dim), from = tile_part(sums, 0, rows, 0, c->dim);
    tile_matrix grad = store ? tile_part(s->grad, row, rows, 0, c->dim) : tile_none();
    bool fits = tile_fits(plan, &source) && tile_fits(plan, &from) && tile_fits(plan, &grad);
    if (rows > 1 && (!fits || (uint64_t)rows > plan->limits.max_dispatch_elems / (uint64_t)c->dim + 1)) {
        int64_t half = rows / 2;
        return add_project(c, s, row, half, first, sums)
            && add_project(c, s, row + half, rows - half, first + half, tile_part(sums, half, rows - half, 0, c->dim));
    }
    if (!fits)
        return fail(c, wane_fail(plan->context, WANE_ERROR_TOO_LARGE, store ? plan->operands[s->grad.operand].role->name : "a",
                                 "not even a row of it fits the device's window: make it contiguous"));
    bool in_place = store && s->in_place;
    contrast_window window = {0};
    window.first = (uint32_t)first;
    window.mask = s->mask;
    wane_pass *pass = add(c, WANE_KERNEL_CONTRAST_PROJECT, rows, s->record, window);
    if (!pass) return false;
    pass->consts[0] = types_of(s);
    pass->consts[1] = options_of(c, s) | (store ? CONTRAST_STORE : 0) | (s->adds ? CONTRAST_ADD : 0)
                    | (in_place ? CONTRAST_IN_PLACE : 0);
    pass->slots[0] = tile_slot(&source);
    if (!in_place) pass->slots[1] = tile_slot(&from);
    pass->slots[2] = tile_slot(&grad);
    pass->slots[3] = work_slot(c);
    return true;
}

// ---- chunks ----

static tile_matrix chunk_of(const contrastive *c, int64_t rows) { return tile_part(c->chunk, 0, rows, 0, c->rows.cols); }

// The similarities of rows row .. row + rows; first is the row's place in the planes.
static bool add_similarities(contrastive *c, int64_t row, int64_t rows, int64_t first)
{
    if (!add_rows(c, &c->a, row, rows, first, c->dense_a)) return false;
    tile_product p = {tile_part(c->dense_a, 0, rows, 0, c->dim), c->dense_b, tile_none(), chunk_of(c, rows), false, false, 0, 0};
    if (c->bias >= 0 || c->points) {
        p.bias = tile_dense(4 * CONTRAST_BIAS, 1, c->rows.cols);
        p.bias.col = 0;                    // one for all
    }
    return fail(c, tile_add_product(c->rows.plan, &p));
}

// The row statistics of a chunk, and in clip its columns'.
static bool add_statistics(contrastive *c, int64_t rows, int64_t first)
{
    softmax_problem *p = &c->rows;
    tile_matrix z = chunk_of(c, rows);
    softmax_window window = {0};
    window.cols_here = (uint32_t)p->cols;
    window.slices_here = p->slices;
    wane_pass *pass = softmax_add(p, WANE_KERNEL_SOFTMAX_SWEEP, rows * p->slices, window);
    if (!pass) return false;
    pass->slots[0] = tile_slot(&z);
    pass->slots[2] = work_slot(c);
    pass->slots[2].origin_bytes = 4 * (uint64_t)first;     // planes of the chunk's rows
    if (!c->both) return true;
    contrast_window columns = {0};
    columns.first = (uint32_t)first;
    columns.count = (uint32_t)rows;
    columns.from = first > 0;
    pass = add(c, WANE_KERNEL_CONTRAST_COLUMNS, (p->cols + 127) / 128, RECORD_B, columns);
    if (!pass) return false;
    pass->slots[0] = tile_slot(&z);
    pass->slots[1] = work_slot(c);
    return true;
}

static bool add_link(contrastive *c, softmax_problem *p, int64_t rows)
{
    softmax_window window = {0};
    wane_pass *pass = softmax_add(p, WANE_KERNEL_SOFTMAX_LINK, rows, window);
    if (!pass) return false;
    pass->consts[0] = p->term;
    pass->consts[1] = p->given ? OPTION_GIVEN : 0;
    pass->slots[0] = work_slot(c);
    return p == &c->rows || of_columns(c, true);
}

// Public planes of a side's rows to the workspace (RESTORE), or from it (SAVE) where they are asked for.
static bool add_planes(contrastive *c, softmax_problem *p, uint16_t kernel, int64_t row, int64_t rows)
{
    if (kernel == WANE_KERNEL_SOFTMAX_SAVE && !p->save) return true;
    bool good = softmax_add_planes(p, kernel, row, rows);
    return p == &c->rows ? good : of_columns(c, good);
}

// Slopes of the similarities in their place; of siglip, values too.
static bool add_slopes(contrastive *c, int64_t rows, int64_t first)
{
    contrast_window window = {0};
    window.first = (uint32_t)first;
    wane_pass *pass = add(c, c->points ? WANE_KERNEL_CONTRAST_POINTS : WANE_KERNEL_CONTRAST_WRITE, rows, RECORD_A, window);
    if (!pass) return false;
    tile_matrix z = chunk_of(c, rows);
    pass->consts[1] = (c->both ? CONTRAST_COLUMNS : 0) | (c->grad ? CONTRAST_STORE : 0);
    pass->slots[0] = tile_slot(&z);
    pass->slots[1] = work_slot(c);
    return true;
}

// From a chunk's slopes to the gradients of its rows of a, and to their part of the sums for b.
static bool add_gradients(contrastive *c, int64_t row, int64_t rows, int64_t first)
{
    wane_plan *plan = c->rows.plan;
    tile_matrix g = chunk_of(c, rows);
    if (c->b.grad.operand >= 0) {
        tile_product p = {tile_turned(g), tile_turned(tile_part(c->dense_a, 0, rows, 0, c->dim)), tile_none(), c->sum_b, row > 0, true, 0, 0};
        if (!fail(c, tile_add_product(plan, &p))) return false;
    }
    if (c->a.grad.operand < 0 && c->grad_scale < 0) return true;
    bool in_place = c->a.grad.operand >= 0 && c->a.in_place;
    tile_matrix sums = in_place ? tile_part(c->a.grad, row, rows, 0, c->dim) : tile_part(c->sum_a, 0, rows, 0, c->dim);
    tile_product p = {g, tile_turned(c->dense_b), tile_none(), sums, false, false, 0, 0};
    return fail(c, tile_add_product(plan, &p)) && add_project(c, &c->a, row, rows, first, sums);
}

// ---- batches ----

static bool add_total(contrastive *c, int operand, uint32_t plane, int64_t row, int64_t rows)
{
    if (operand < 0) return true;
    const wane_plan_operand *o = &c->rows.plan->operands[operand];
    contrast_window window = {0};
    window.mode = row > 0 || o->flags & WANE_OPERAND_ACCUMULATE ? CONTRAST_ADD : 0;
    window.count = (uint32_t)rows;
    window.from = c->rows.record->planes + plane * c->rows.record->plane_rows;
    wane_pass *pass = add(c, WANE_KERNEL_CONTRAST_SUM, 1, RECORD_A, window);
    if (!pass) return false;
    pass->slots[0] = work_slot(c);
    pass->slots[1] = softmax_cols_of(&c->rows, operand, 0, 1);
    return true;
}

// info_nce and siglip: a batch of rows is a chunk.
static bool add_rows_alone(contrastive *c, int64_t row, int64_t rows)
{
    softmax_problem *p = &c->rows;
    if ((!p->given || c->slopes) && !add_similarities(c, row, rows, 0)) return false;
    if (c->points) {
        if (!add_slopes(c, rows, 0)) return false;
    } else {
        if (!(p->given ? add_planes(c, p, WANE_KERNEL_SOFTMAX_RESTORE, row, rows) : add_statistics(c, rows, 0))) return false;
        if (!add_link(c, p, rows) || !add_here(c, rows) || !add_planes(c, p, WANE_KERNEL_SOFTMAX_SAVE, row, rows)) return false;
        if (c->slopes && !add_slopes(c, rows, 0)) return false;
    }
    return !c->grad || add_gradients(c, row, rows, 0);
}

// clip: the statistics of all chunks, then the gradients of all.
static bool add_both(contrastive *c)
{
    softmax_problem *p = &c->rows, *q = &c->cols;
    for (int64_t row = 0, rows; row < p->rows && !p->given; row += rows) {
        rows = softmax_clamp(p->rows - row, 1, c->chunk_rows);
        if (!add_similarities(c, row, rows, row) || !add_statistics(c, rows, row)) return false;
    }
    if (p->given && (!add_planes(c, p, WANE_KERNEL_SOFTMAX_RESTORE, 0, p->rows)
                     || !add_planes(c, q, WANE_KERNEL_SOFTMAX_RESTORE, 0, q->rows)))
        return false;
    if (!add_link(c, p, p->rows) || !add_link(c, q, q->rows) || !add_here(c, p->rows)
        || !add_planes(c, p, WANE_KERNEL_SOFTMAX_SAVE, 0, p->rows) || !add_planes(c, q, WANE_KERNEL_SOFTMAX_SAVE, 0, q->rows))
        return false;
    for (int64_t row = 0, rows; row < p->rows && c->slopes; row += rows) {
        rows = softmax_clamp(p->rows - row, 1, c->chunk_rows);
        if (!c->kept && !add_similarities(c, row, rows, row)) return false;
        if (!add_slopes(c, rows, row) || (c->grad && !add_gradients(c, row, rows, row))) return false;
    }
    return true;
}

static bool emit_rows(contrastive *c, int64_t row, int64_t rows)
{
    softmax_problem *p = &c->rows;
    if (!c->both) return softmax_emit_rows(p, row, rows);
    bool before = false, each = p->record->reduction == WANE_REDUCTION_NONE;
    uint32_t from = p->record->planes + PLANE_PAIR_LOSS * p->record->plane_rows;
    return add_pairs(c, PAIRS_JOIN, row, rows) && (!each || softmax_add_emit(p, WANE_ROLE_LOSS, from, row, rows, &before))
        && softmax_add_emit(p, WANE_ROLE_ROW_LOSS, from, row, rows, &before);
}

static bool add_batch(contrastive *c, int64_t row, int64_t rows, uint32_t *part)
{
    if (!(c->both ? add_both(c) : add_rows_alone(c, row, rows))) return false;
    return add_reduce(c, rows, MODE_LOSS, part) && emit_rows(c, row, rows)
        && add_total(c, c->grad_scale, PLANE_DOT, row, rows) && add_total(c, c->grad_bias, PLANE_SLOPES, row, rows);
}

static bool add_count(contrastive *c)
{
    softmax_problem *p = &c->rows;
    uint32_t part = 0;
    for (int64_t row = 0, rows; row < p->rows; row += rows) {
        rows = softmax_clamp(p->rows - row, 1, p->batch_rows);
        if (!add_gather(c, row, rows) || !add_reduce(c, rows, MODE_COUNT, &part)) return false;
    }
    return softmax_add_finish(p, MODE_COUNT, part);
}

// Gradients of no rows: 0, where they are not added to something.
static bool add_zeros(contrastive *c)
{
    if (!add_total(c, c->grad_scale, PLANE_DOT, 0, 0) || !add_total(c, c->grad_bias, PLANE_SLOPES, 0, 0)) return false;
    if (c->b.grad.operand < 0 || c->b.adds || c->b.grad.rows == 0) return true;
    tile_matrix a = tile_none(), b = tile_none();
    a.rows = c->b.grad.rows, b.rows = c->dim;
    tile_product p = {a, b, tile_none(), c->b.grad, false, true, 0, 0};
    return fail(c, tile_add_product(c->rows.plan, &p));
}

static bool add_passes(contrastive *c)
{
    softmax_problem *p = &c->rows;
    bool one = p->rows <= p->batch_rows;
    if (p->mean && !add_count(c)) return false;
    bool products = !p->given || c->slopes;
    if (p->rows && c->copied && products && !add_rows(c, &c->b, 0, p->cols, 0, c->dense_b)) return false;
    uint32_t part = 0;
    for (int64_t row = 0, rows; row < p->rows; row += rows) {
        rows = softmax_clamp(p->rows - row, 1, p->batch_rows);
        if (!(p->mean && one) && !add_gather(c, row, rows)) return false;
        if (!add_batch(c, row, rows, &part)) return false;
    }
    if (!p->rows) {
        if (!add_zeros(c)) return false;
    } else if (c->b.grad.operand >= 0 && !add_project(c, &c->b, 0, p->cols, 0, c->sum_b)) {
        return false;
    }
    return softmax_add_finish(p, MODE_LOSS, part) && softmax_emit_scalars(p);
}

// ---- the plan ----

static uint64_t products(const contrastive *c)
{
    bool first = !c->rows.given, again = c->slopes && (c->rows.given || (c->both && !c->kept));
    bool sums = c->a.grad.operand >= 0 || c->grad_scale >= 0;
    return (uint64_t)first + again + sums + (c->b.grad.operand >= 0);
}

static void count_costs(const contrastive *c)
{
    const softmax_problem *p = &c->rows;
    wane_plan_info *info = &p->plan->info;
    uint64_t elements = (uint64_t)p->rows * (uint64_t)p->cols;
    info->flops = products(c) * 2 * elements * (uint64_t)c->dim;
    info->exps = elements * (c->points ? 2 : (uint64_t)(1 + c->both) * ((uint64_t)!p->given + c->grad));
}

static wane_status plan_contrastive(wane_plan *plan)
{
    contrastive c;
    wane_status status = contrast_read(&c, plan);
    if (status == WANE_OK) status = contrast_cut(&c);
    if (status) return status;
    contrast_fill_records(&c);
    bool good = wane_plan_note(plan, "chunks of %lld rows x %lld columns, %d products%s", (long long)c.chunk_rows,
                               (long long)c.rows.cols, (int)products(&c),
                               c.rows.given ? ": statistics are given" : c.both && c.grad ? c.kept ? ": one chunk holds all similarities"
                                                         : ": the gradient makes the similarities again" : "")
             && add_passes(&c);
    if (!good) return c.status ? c.status : wane_no_memory(plan->context);
    count_costs(&c);
    return WANE_OK;
}

static uint32_t statistics_need(const wane_plan *plan)
{
    return plan->loss->loss == WANE_LOSS_SIGLIP ? 0 : CONTRAST_STATISTICS;
}

extern const wane_family wane_family_contrastive;
const wane_family wane_family_contrastive = {"contrastive", statistics_need, plan_contrastive};
