// tile_linear.c - the planner of row losses on a linear head: logits = input . linear_weight^T + linear_bias, made a chunk
// at a time in the workspace and never stored whole.
//
// A chunk is some rows times a slice of the columns. Per slice: product, sweep, merge into the row's statistics; then the
// link; then, for the gradient, each chunk becomes its own gradient and is multiplied by linear_weight (into grad_input) and
// by input (into grad_linear_weight): three products of rows * cols * dim in all, and a fourth of those chunks whose logits
// are made again, because the budget does not hold them from the statistics on (tile_cut.c).
// Rows share statistics planes, link, reductions and outputs with the softmax family: see softmax_passes.c.
#include "loss/tile_linear.h"

enum { PASSES_MOST = 1 << 18 };

// ---- reading ----

static wane_status check_gradient(const linear *l, const tile_matrix *grad, const tile_matrix *of)
{
    if (grad->operand < 0) return WANE_OK;
    const wane_plan *plan = l->rows.plan;
    const wane_plan_operand *o = &plan->operands[grad->operand];
    if (o->flags & WANE_OPERAND_IN_PLACE)
        return wane_fail(plan->context, WANE_ERROR_FLAGS, o->role->name, "cannot lie over what it is the gradient of");
    if (grad->dtype == WANE_DTYPE_F32 || of->operand < 0 || grad->dtype == of->dtype) return WANE_OK;
    return wane_fail(plan->context, WANE_ERROR_DTYPE, o->role->name, "has type %s: it takes that of its tensor, %s, or f32",
                     wane_dtype_name(grad->dtype), wane_dtype_name(of->dtype));
}

// A vocabulary that is split over several calls: each saves statistics of its columns, the caller merges them, and each
// makes values and its part of the gradients from those of all.
static wane_status read_shard(softmax_problem *p)
{
    wane_plan *plan = p->plan;
    int64_t offset = (int64_t)softmax_param(plan, WANE_PARAM_COL_OFFSET), total = (int64_t)softmax_param(plan, WANE_PARAM_TOTAL_COLS);
    if (total == 0 && offset > 0)
        return wane_fail(plan->context, WANE_ERROR_PARAM_RANGE, "col_offset", "is %lld without total_cols", (long long)offset);
    if (total == 0) return WANE_OK;
    if (offset + p->cols > total)
        return wane_fail(plan->context, WANE_ERROR_PARAM_RANGE, "total_cols", "is %lld, and columns %lld to %lld are given",
                         (long long)total, (long long)offset, (long long)(offset + p->cols - 1));
    p->col_offset = offset;
    p->total_cols = total;
    if (total == p->cols) return WANE_OK;
    for (uint32_t i = 0; i < plan->operand_count && !p->given; i++)
        if (plan->operands[i].written && (int)i != p->statistics)
            return wane_fail(plan->context, WANE_ERROR_UNSUPPORTED, plan->operands[i].role->name,
                             "is made from the statistics of all columns: save each call's, merge them by "
                             "wane_statistics_merge, and give them");
    return WANE_OK;
}

static wane_status read_linear(linear *l, wane_plan *plan)
{
    memset(l, 0, sizeof *l);
    wane_status status = softmax_read_problem(&l->rows, plan);
    if (status) return status;
    const wane_loss_info *base = wane_loss_by_name(plan->loss->name + strlen("linear_"));
    l->rows.term = base ? (uint32_t)base->loss : 0;
    status = read_shard(&l->rows);
    if (status) return status;
    tile_matrix *matrices[] = {&l->input, &l->weight, &l->bias, &l->grad_input, &l->grad_weight, &l->grad_bias};
    const wane_role roles[] = {WANE_ROLE_INPUT, WANE_ROLE_LINEAR_WEIGHT, WANE_ROLE_LINEAR_BIAS,
                               WANE_ROLE_GRAD_INPUT, WANE_ROLE_GRAD_LINEAR_WEIGHT, WANE_ROLE_GRAD_LINEAR_BIAS};
    for (int i = 0; i < 6; i++) *matrices[i] = tile_of(plan, wane_plan_find(plan, roles[i]));
    l->dim = l->input.cols;
    if (l->dim < 1) return wane_fail(plan->context, WANE_ERROR_EXTENT, "input", "has no columns: dim is one or more");
    if (l->dim > INT32_MAX)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "input", "dim is at most 2^31 - 1");
    if (l->input.dtype != l->weight.dtype)
        return wane_fail(plan->context, WANE_ERROR_DTYPE, "linear_weight", "has type %s, and input %s: both take the same",
                         wane_dtype_name(l->weight.dtype), wane_dtype_name(l->input.dtype));
    if (l->bias.operand >= 0 && l->bias.dtype != WANE_DTYPE_F32 && l->bias.dtype != l->weight.dtype)
        return wane_fail(plan->context, WANE_ERROR_DTYPE, "linear_bias", "has type %s: it takes that of linear_weight, or f32",
                         wane_dtype_name(l->bias.dtype));
    for (int i = 0; i < 3 && status == WANE_OK; i++) status = check_gradient(l, matrices[i + 3], matrices[i]);
    // a row that is ignored, or whose target is bad, has no part in any product, whatever its input holds
    l->ordered = l->rows.target >= 0;
    if (l->ordered) l->rows.options |= OPTION_ORDERED;
    l->grad = l->grad_input.operand >= 0 || l->grad_weight.operand >= 0 || l->grad_bias.operand >= 0;
    if (l->grad) l->rows.options |= OPTION_GRAD;
    // the bias's gradient is a sum of the unrounded ones
    l->halves = l->input.dtype == WANE_DTYPE_BF16 && l->grad_bias.operand < 0
             && (l->grad_input.operand >= 0 || l->grad_weight.operand >= 0);
    return status;
}

// ---- passes ----

static bool fail(linear *l, wane_status status)
{
    if (l->status == WANE_OK) l->status = status;
    return status == WANE_OK;
}

// Whether the logits of slice s are kept from the statistics to the gradient, and their number among the chunks in memory.
static bool is_kept(const linear *l, int64_t first, int64_t s, int64_t *place)
{
    int64_t all = l->slices * l->row_chunks, passing = all - l->kept, number = s * l->row_chunks + first / l->chunk_rows;
    *place = number < passing ? 0 : number - passing + (passing > 0);
    return number >= passing;
}

// Logits of rows of the batch from `first` on, and of slice s.
static tile_matrix chunk_at(const linear *l, int64_t first, int64_t rows, int64_t s)
{
    int64_t place, line = linear_line(l), cols = softmax_clamp(l->rows.cols - s * l->slice, 1, l->slice);
    is_kept(l, first, s, &place);
    return tile_part(tile_dense(l->scratch + (uint64_t)place * linear_chunk_bytes(l), l->chunk_rows, line), 0, rows, 0, cols);
}

// Their gradient.
static tile_matrix gradient_at(const linear *l, int64_t first, int64_t rows, int64_t s)
{
    tile_matrix z = chunk_at(l, first, rows, s);
    if (!l->halves) return z;
    return tile_part(tile_typed(l->half, WANE_DTYPE_BF16, l->chunk_rows, linear_line(l)), 0, rows, 0, z.cols);
}

static tile_order order_of(const linear *l)
{
    const softmax_record *r = l->rows.record;
    tile_order order = {softmax_whole_work(&l->rows), r->planes + PLANE_ORDER * r->plane_rows};
    return order;
}

// Rows of the input that the products read; `first` is the chunk's first row within the batch.
static tile_matrix rows_of_input(const linear *l, int64_t row, int64_t rows)
{
    if (!l->ordered) return tile_part(l->input, row, rows, 0, l->dim);
    return tile_part(tile_typed(l->copy, l->input.dtype, l->chunk_rows, l->dim), 0, rows, 0, l->dim);
}

// Copies the rows of a chunk together. A batch of one chunk is copied once.
static bool add_copy(linear *l, int64_t row, int64_t batch, int64_t first, int64_t rows)
{
    if (!l->ordered) return true;
    tile_matrix from = tile_part(l->input, row, batch, 0, l->dim);
    return fail(l, tile_add_gather(l->rows.plan, from, rows_of_input(l, 0, rows), first, order_of(l)));
}

static bool add_logits(linear *l, int64_t row, int64_t first, int64_t rows, int64_t s)
{
    tile_matrix z = chunk_at(l, first, rows, s);
    int64_t col = s * l->slice;
    tile_product p = {rows_of_input(l, row + first, rows), tile_part(l->weight, col, z.cols, 0, l->dim), tile_none(), z, false, false,
                      l->ordered ? TILE_LIVE_ROWS : 0, first};
    if (l->bias.operand >= 0) p.bias = tile_part(l->bias, 0, 1, col, z.cols);
    l->products += rows * z.cols;
    return fail(l, tile_add_product(l->rows.plan, &p));
}

// A pass of row kernels over a chunk; `first` is the chunk's first row within the batch.
static bool add_chunk_pass(linear *l, uint16_t kernel, int64_t first, int64_t rows, int64_t s)
{
    softmax_problem *p = &l->rows;
    bool write = kernel == WANE_KERNEL_SOFTMAX_WRITE;
    tile_matrix z = chunk_at(l, first, rows, s);
    softmax_window window = {0};
    window.col0 = (uint32_t)(s * l->slice);
    window.cols_here = (uint32_t)z.cols;
    window.slice0 = (uint32_t)s;
    window.slices_here = 1;
    window.part = s > 0;
    wane_pass *pass = softmax_add(p, kernel, rows, window);
    if (!pass) return false;
    uint32_t writing = OPTION_GRAD | OPTION_SOFTCAP | OPTION_CLASS_WEIGHT;
    pass->consts[1] = write ? (p->options & writing) | (l->halves ? 0 : OPTION_IN_PLACE)
                            : p->options & ~(uint32_t)(OPTION_GRAD | OPTION_SAVE | OPTION_GIVEN | OPTION_ORDERED);
    pass->slots[0] = tile_slot(&z);
    if (p->options & OPTION_CLASS_WEIGHT) pass->slots[1] = softmax_cols_of(p, p->weight, p->col_offset + window.col0, z.cols);
    if (write) {
        tile_matrix dz = gradient_at(l, first, rows, s);
        pass->consts[2] = tile_type(&dz) << SHIFT_GRAD;
        pass->slots[2] = tile_slot(&dz);
    }
    // planes of the row numbered 0 in this chunk: the kernel's index 0 moves by as many rows
    wane_slot work = softmax_whole_work(p);
    work.origin_bytes += 4 * (uint64_t)first;
    pass->slots[write ? 3 : 2] = work;
    return true;
}

bool linear_add_merge(linear *l, int64_t first, int64_t rows, int64_t slices)
{
    softmax_window window = {0};
    window.slices_here = (uint32_t)slices;
    wane_pass *pass = softmax_add(&l->rows, WANE_KERNEL_SOFTMAX_MERGE, rows, window);
    if (!pass) return false;
    pass->consts[1] = l->rows.options & OPTION_NO_TARGET;
    pass->slots[0] = softmax_whole_work(&l->rows);
    pass->slots[0].origin_bytes += 4 * (uint64_t)first;
    return true;
}

static bool add_statistics(linear *l, int64_t row, int64_t rows)
{
    // rows outside: each is copied once, and the weights of a slice are worth hundreds of rows' products a reading
    for (int64_t first = 0; first < rows; first += l->chunk_rows) {
        int64_t count = softmax_clamp(rows - first, 1, l->chunk_rows);
        if (l->chunk_rows < rows && !add_copy(l, row, rows, first, count)) return false;
        for (int64_t s = 0; s < l->slices; s++)
            if (!add_logits(l, row, first, count, s) || !add_chunk_pass(l, WANE_KERNEL_SOFTMAX_SWEEP, first, count, s)
                || (s && !linear_add_merge(l, first, count, 1)))
                return false;
    }
    return true;
}

// Gradients of one chunk: row is its first row, `first` that within the batch.
static bool add_products(linear *l, int64_t row, int64_t first, int64_t rows, int64_t s)
{
    wane_plan *plan = l->rows.plan;
    tile_matrix dz = gradient_at(l, first, rows, s);
    int64_t col = s * l->slice, cols = dz.cols;
    if (l->grad_weight.operand >= 0) {
        tile_matrix out = l->sum_weight ? tile_dense(l->sum_weight, cols, l->dim) : tile_part(l->grad_weight, col, cols, 0, l->dim);
        tile_product p = {tile_turned(dz), tile_turned(rows_of_input(l, row, rows)), tile_none(), out,
                          l->sum_weight ? first > 0 : row > 0 || linear_adds(l, &l->grad_weight), true, l->ordered ? TILE_LIVE_DEPTH : 0, first};
        l->products += rows * cols;
        if (!fail(l, tile_add_product(plan, &p))) return false;
    }
    if (l->grad_input.operand >= 0) {
        tile_matrix out = l->sum_input ? tile_part(tile_dense(l->sum_input, l->rows.batch_rows, l->dim), first, rows, 0, l->dim)
                                       : tile_part(l->grad_input, row, rows, 0, l->dim);
        tile_product p = {dz, tile_turned(tile_part(l->weight, col, cols, 0, l->dim)), tile_none(), out,
                          s > 0 || (!l->sum_input && linear_adds(l, &l->grad_input)), false, l->ordered ? TILE_LIVE_ROWS : 0, first};
        l->products += rows * cols;
        if (!fail(l, tile_add_product(plan, &p))) return false;
    }
    if (l->grad_bias.operand < 0) return true;
    tile_matrix out = l->sum_bias ? tile_dense(l->sum_bias, 1, cols) : tile_part(l->grad_bias, 0, 1, col, cols);
    return fail(l, tile_add_sums(plan, dz, out, l->sum_bias ? first > 0 : row > 0 || linear_adds(l, &l->grad_bias)));
}

// What was summed in f32, once the batch's rows have passed the slice.
static bool add_stores(linear *l, int64_t row, int64_t s)
{
    wane_plan *plan = l->rows.plan;
    int64_t col = s * l->slice, cols = softmax_clamp(l->rows.cols - col, 1, l->slice);
    if (l->sum_weight && !fail(l, tile_add_store(plan, tile_dense(l->sum_weight, cols, l->dim), 1, 0,
                                                 tile_part(l->grad_weight, col, cols, 0, l->dim), row > 0 || linear_adds(l, &l->grad_weight))))
        return false;
    return !l->sum_bias || fail(l, tile_add_store(plan, tile_dense(l->sum_bias, 1, cols), 1, 0, tile_part(l->grad_bias, 0, 1, col, cols),
                                                  row > 0 || linear_adds(l, &l->grad_bias)));
}

static bool add_gradients(linear *l, int64_t row, int64_t rows)
{
    for (int64_t s = 0; s < l->slices; s++) {
        for (int64_t first = 0; first < rows; first += l->chunk_rows) {
            int64_t count = softmax_clamp(rows - first, 1, l->chunk_rows);
            if (l->chunk_rows < rows && !add_copy(l, row, rows, first, count)) return false;
            int64_t place;
            if (!is_kept(l, first, s, &place) && !add_logits(l, row, first, count, s)) return false;
            if (!add_chunk_pass(l, WANE_KERNEL_SOFTMAX_WRITE, first, count, s) || !add_products(l, row + first, first, count, s))
                return false;
        }
        if (!add_stores(l, row, s)) return false;
    }
    if (!l->sum_input) return true;
    if (l->ordered)
        return fail(l, tile_add_scatter(l->rows.plan, tile_dense(l->sum_input, rows, l->dim),
                                        tile_part(l->grad_input, row, rows, 0, l->dim), linear_adds(l, &l->grad_input), order_of(l)));
    return fail(l, tile_add_store(l->rows.plan, tile_dense(l->sum_input, rows, l->dim), 1, 0, tile_part(l->grad_input, row, rows, 0, l->dim),
                                  linear_adds(l, &l->grad_input)));
}

static bool add_batch(softmax_problem *p, int64_t row, int64_t rows)
{
    linear *l = (linear *)(void *)p;
    bool chunks = !l->alone && (!p->given || l->grad);
    if (chunks && l->chunk_rows >= rows && !add_copy(l, row, rows, 0, rows)) return false;
    if (!(p->given ? softmax_add_planes(p, WANE_KERNEL_SOFTMAX_RESTORE, row, rows)
                   : l->alone ? linear_add_sweeps(l, row, rows) : add_statistics(l, row, rows)))
        return false;
    softmax_window window = {0};
    wane_pass *pass = softmax_add(p, WANE_KERNEL_SOFTMAX_LINK, rows, window);
    if (!pass) return false;
    pass->consts[0] = p->term;
    pass->consts[1] = p->options & (OPTION_NO_TARGET | OPTION_GIVEN);
    pass->slots[0] = softmax_whole_work(p);
    return !l->grad || (l->alone ? linear_add_backward(l, row, rows) : add_gradients(l, row, rows));
}

// Gradients of no rows: 0, where they are not added to something.
static bool add_zeros(linear *l)
{
    tile_matrix *grads[] = {&l->grad_weight, &l->grad_bias};
    for (int i = 0; i < 2; i++) {
        if (grads[i]->operand < 0 || linear_adds(l, grads[i])) continue;
        tile_matrix a = tile_none(), b = tile_none();
        a.rows = grads[i]->rows, b.rows = grads[i]->cols;
        tile_product p = {a, b, tile_none(), *grads[i], false, true, 0, 0};
        if (!fail(l, tile_add_product(l->rows.plan, &p))) return false;
    }
    return true;
}

// ---- the plan ----

static void count_costs(const linear *l)
{
    const softmax_problem *p = &l->rows;
    wane_plan_info *info = &p->plan->info;
    uint64_t elements = (uint64_t)p->rows * (uint64_t)p->cols;
    info->flops = 2 * (uint64_t)l->products * (uint64_t)l->dim;
    uint64_t slopes = l->alone ? (uint64_t)linear_has_side(l, LINEAR_ROWS) + linear_has_side(l, LINEAR_COLS) : l->grad;
    info->exps = elements * ((uint64_t)!p->given + slopes);
}

static bool note(const linear *l)
{
    const softmax_problem *p = &l->rows;
    if (l->alone)
        return wane_plan_note(p->plan, "no scratch: %s. Batches of %lld rows; slices of a dispatch: statistics %lld, grad_input %lld, "
                              "grad_linear_weight %lld",
                              l->squeezed ? "not even one chunk of logits fits the budget"
                              : !l->grad ? "values alone, and their statistics are made with the tiles"
                              : p->plan->limits.linear_chunk_dim ? "gradients make logits again, which this device is tuned to"
                              : "gradients make logits again, which costs less than memory for them",
                              (long long)p->batch_rows, (long long)l->splits, (long long)l->sides[LINEAR_ROWS].slices,
                              (long long)l->sides[LINEAR_COLS].slices);
    int64_t all = l->slices * l->row_chunks;
    const char *why = l->kept == all ? "all logits of a batch of rows fit the budget"
                    : !l->grad ? "no gradient is asked for"
                    : p->given ? "statistics are given"
                    : !l->keeps ? "making logits again costs less than keeping them"
                    : !linear_one_batch(l, p->rows - 1) ? "gradients of a half type are rounded once, and the logits of all rows do not fit the budget"
                    : "the logits of a batch of rows do not fit the budget";
    return wane_plan_note(p->plan, "chunks of %s: %s. Batches of %lld rows, chunks of %lld rows x %lld columns, %lld of %lld kept",
                          l->kept == all ? "rows" : "columns", why, (long long)p->batch_rows, (long long)l->chunk_rows,
                          (long long)l->slice, (long long)l->kept, (long long)all);
}

static void fill_record(linear *l)
{
    softmax_problem *p = &l->rows;
    p->slice_cols = (uint32_t)l->slice;
    softmax_fill_record(p);
    softmax_record *r = p->record;
    r->slices = 1;                         // slice 1 is joined to slice 0 before the link looks
    r->logits_outer = r->grad_outer = 0;
    r->logits_row = r->grad_row = (uint32_t)linear_line(l);
    r->logits_col = r->grad_col = 1;
    p->plan->workspace_bytes = l->total;
}

// About as many.
static uint64_t passes_of(const linear *l)
{
    int64_t rows = l->rows.rows, cols = l->rows.cols, passes = l->slices * tile_ceil_div(rows, l->chunk_rows) * 8;
    const linear_side *down = &l->sides[LINEAR_ROWS], *over = &l->sides[LINEAR_COLS];
    if (l->alone && linear_has_side(l, LINEAR_ROWS)) passes += 2 * tile_ceil_div(rows, down->owns) * tile_ceil_div(cols, down->others);
    if (l->alone && linear_has_side(l, LINEAR_COLS)) passes += 2 * tile_ceil_div(cols, over->owns) * tile_ceil_div(rows, over->others);
    return (uint64_t)passes;
}

static wane_status plan_linear(wane_plan *plan)
{
    linear l;
    wane_status status = read_linear(&l, plan);
    if (status == WANE_OK) status = linear_cut(&l);
    if (status) return status;
    softmax_problem *p = &l.rows;
    uint64_t passes = passes_of(&l);
    if (passes > PASSES_MOST)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes",
                         "is %llu, which cuts the problem into %llu passes, and %u are the most: raise it",
                         (unsigned long long)plan->workspace_limit_bytes, (unsigned long long)passes, (unsigned)PASSES_MOST);
    fill_record(&l);
    bool good = note(&l) && softmax_add_batches(p, add_batch) && (p->rows || add_zeros(&l));
    if (!good) return l.status ? l.status : wane_no_memory(plan->context);
    count_costs(&l);
    return WANE_OK;
}

extern const wane_family wane_family_linear;
const wane_family wane_family_linear = {"linear", softmax_statistics_need, plan_linear};
