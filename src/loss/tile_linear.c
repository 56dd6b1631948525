// tile_linear.c - the planner of row losses on a linear head: logits = input . linear_weight^T + linear_bias, made a chunk
// at a time in the workspace and never stored whole.
//
// A chunk is some rows times a slice of the columns. Per slice: product, sweep, merge into the row's statistics; then the
// link; then, for the gradient, each chunk becomes its own gradient in place and is multiplied by linear_weight (into
// grad_input) and by input (into grad_linear_weight). Two plans, chosen by the budget:
//   chunks of rows      the workspace holds all slices of a batch of rows from the statistics to the gradient: three
//                       products of rows * cols * dim in all; grad_linear_weight is added to once a batch
//   chunks of columns   only one chunk is held, so the gradient makes its logits again: four products;
//                       grad_linear_weight's slice is complete after its chunks, and written once
// Rows share statistics planes, link, reductions and outputs with the softmax family: see softmax_passes.c.
#include "loss/tile.h"

enum {
    FORWARD_BYTES = 4 << 20,               // of workspace, unless the caller says otherwise
    BACKWARD_BYTES = 64 << 20,             // beyond an f32 rows x dim accumulator
    SLICE = 2048,                          // columns of a slice: dim-long sums over it keep the product busy,
    SLICE_LEAST = 512,                     // and fewer do not, where memory allows more
    SLICES_MOST = 1024,                    // of a row: a chain of merges
    CHUNK_ROWS_MOST = 8192,
    FORWARD_ROWS_MOST = 1024,
    BATCH_ROWS_LEAST = 256,                // fewer rows a batch would read linear_weight too often
    PASSES_MOST = 1 << 18
};

typedef struct linear {
    softmax_problem rows;                  // first: passes around the rows are given a softmax_problem
    tile_matrix input, weight, bias, grad_input, grad_weight, grad_bias;
    int64_t dim;
    bool grad, keep;
    bool ordered;                          // rows that count are copied together before the products
    int64_t chunk_rows, slice;
    int64_t slices;
    uint64_t work, scratch, copy, sum_input, sum_weight, sum_bias, total;   // bytes, and where in the workspace each begins
    wane_status status;
} linear;

static bool is_half(const tile_matrix *m) { return m->operand >= 0 && m->dtype != WANE_DTYPE_F32; }
static bool adds(const linear *l, const tile_matrix *m)
{
    return m->operand >= 0 && l->rows.plan->operands[m->operand].flags & WANE_OPERAND_ACCUMULATE;
}

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
    if (p->weight >= 0)
        return wane_fail(plan->context, WANE_ERROR_UNSUPPORTED, "weight", "is not read where the vocabulary is split: fold it into row_weight");
    for (uint32_t i = 0; i < plan->operand_count && !p->given; i++)
        if (plan->operands[i].written && (int)i != p->statistics)
            return wane_fail(plan->context, WANE_ERROR_UNSUPPORTED, plan->operands[i].role->name,
                             "is made from the statistics of all columns: save each call's, merge them by "
                             "wane_statistics_merge, and give them");
    if (p->given && p->target >= 0) p->options |= OPTION_MERGED;
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
    return status;
}

// ---- cutting ----

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// From one row of a chunk to the next, in words. Rows a power of two apart would share a few sets of a cache.
static int64_t line_of(int64_t slice) { return slice % 256 ? slice : slice + 16; }

static uint64_t words_of_rows(linear *l, int64_t batch)
{
    softmax_problem *p = &l->rows;
    p->batch_rows = batch;
    p->parts = p->rows ? (uint32_t)(ceil_div(p->rows, batch) * ceil_div(batch, SOFTMAX_REDUCE_ROWS)) : 0;
    return wane_round_up(SOFTMAX_SCALARS + (uint64_t)p->parts * SOFTMAX_PART_WORDS, 64) + (uint64_t)batch * softmax_plane_count(p);
}

// What is there is added to once, not once a chunk, and a half type is rounded once.
static bool sums_apart(const linear *l, const tile_matrix *m) { return is_half(m) || (!l->keep && adds(l, m)); }

// Lays the workspace out for a choice and returns its bytes.
static uint64_t lay_out(linear *l, int64_t batch, int64_t chunk_rows, int64_t slice)
{
    softmax_problem *p = &l->rows;
    l->chunk_rows = chunk_rows;
    l->slice = slice;
    l->slices = ceil_div(p->cols, slice);
    p->slices = l->slices > 1 ? 2 : 1;
    uint64_t at = wane_round_up(4 * words_of_rows(l, batch), 256);
    l->work = 4 * words_of_rows(l, batch);
    l->scratch = at;
    at += wane_round_up(4 * (uint64_t)chunk_rows * (uint64_t)line_of(slice) * (uint64_t)(l->keep ? l->slices : 1), 256);
    l->sum_input = l->sum_weight = l->sum_bias = l->copy = 0;
    tile_matrix copy = tile_typed(0, l->input.dtype, chunk_rows, l->dim);
    if (l->ordered) l->copy = at, at += wane_round_up((uint64_t)(chunk_rows * copy.row) * wane_dtype_bytes(copy.dtype), 256);
    bool summed = l->ordered ? l->grad_input.operand >= 0 : is_half(&l->grad_input) && l->slices > 1;
    if (summed) l->sum_input = at, at += wane_round_up(4 * (uint64_t)batch * (uint64_t)l->dim, 256);
    bool many = chunk_rows < batch;
    if (sums_apart(l, &l->grad_weight) && many) l->sum_weight = at, at += wane_round_up(4 * (uint64_t)slice * (uint64_t)l->dim, 256);
    if (sums_apart(l, &l->grad_bias) && many) l->sum_bias = at, at += wane_round_up(4 * (uint64_t)slice, 256);
    l->total = at;
    return at;
}

// Half gradients of linear_weight and its bias are rounded once, so all rows must pass a slice before the next.
static bool one_batch(const linear *l, int64_t batch)
{
    return batch >= l->rows.rows || !(is_half(&l->grad_weight) || is_half(&l->grad_bias));
}

static int64_t slice_least(const linear *l)
{
    int64_t least = ceil_div(l->rows.cols, SLICES_MOST);
    return softmax_clamp(ceil_div(least, 64) * 64, 64, INT32_MAX - 63);
}

// A slice that a dispatch can bind with so many rows, no wider than the columns.
static int64_t slice_within(const linear *l, int64_t rows, int64_t most)
{
    const wane_limits *limits = &l->rows.plan->limits;
    uint64_t elems = wane_min_u64((limits->max_window_bytes - 512) / 4, limits->max_dispatch_elems) / (uint64_t)rows;
    int64_t slice = elems > (uint64_t)most + 16 ? most : (int64_t)elems - 16;
    slice = softmax_clamp(slice, 0, ceil_div(l->rows.cols, 64) * 64) / 64 * 64;
    if (slice == 0) return 0;
    // as many slices, of one width
    return ceil_div(ceil_div(l->rows.cols, ceil_div(l->rows.cols, slice)), 64) * 64;
}

static bool keep_chunks(linear *l, uint64_t limit, int64_t most)
{
    int64_t rows = l->rows.rows;
    if (!l->grad || l->rows.given || rows == 0) return false;
    l->keep = true;
    for (int64_t count = ceil_div(rows, most); ; count++) {
        int64_t batch = ceil_div(rows, count);
        int64_t slice = slice_within(l, batch, SLICE > slice_least(l) ? SLICE : slice_least(l));
        if (slice >= slice_least(l) && one_batch(l, batch) && lay_out(l, batch, batch, slice) <= limit) return true;
        if (count >= rows || ceil_div(rows, count + 1) < BATCH_ROWS_LEAST) break;
    }
    l->keep = false;
    return false;
}

// One chunk for a batch of rows: the widest slice that fits, for the most rows that leave it wide enough.
static bool one_chunk(linear *l, uint64_t limit, int64_t batch)
{
    int64_t best_rows = 0, best_slice = 0, least = slice_least(l);
    int64_t want = softmax_clamp(ceil_div(l->rows.cols, 64) * 64, least, SLICE_LEAST > least ? SLICE_LEAST : least);
    for (int64_t rows = softmax_clamp(batch, 1, l->grad ? CHUNK_ROWS_MOST : FORWARD_ROWS_MOST); ; rows = ceil_div(rows, 2)) {
        int64_t low = least, high = slice_within(l, rows, SLICE > least ? SLICE : least);
        if (low <= high && lay_out(l, batch, rows, low) <= limit) {
            while (high - low >= 64) {
                int64_t middle = low + (high - low + 64) / 128 * 64;
                if (lay_out(l, batch, rows, middle) <= limit) low = middle;
                else high = middle - 64;
            }
            if (low > best_slice) best_rows = rows, best_slice = low;
            if (low >= want) break;
        }
        if (rows == 1) break;
    }
    if (!best_rows) return false;
    lay_out(l, batch, best_rows, best_slice);
    return true;
}

static wane_status cut(linear *l)
{
    softmax_problem *p = &l->rows;
    wane_plan *plan = p->plan;
    if (!p->inner) p->inner = 1;
    p->slices = 2;
    int64_t most = softmax_most_rows(p, p->rows ? p->rows : 1, p->cols);
    // scalars, parts and planes of a batch are one window too; words are counted in 32 bits
    uint64_t window = wane_min_u64(plan->limits.max_window_bytes - 512, (uint64_t)4 * INT32_MAX);
    while (most > 0 && 4 * words_of_rows(l, most) > window) most = most > 1 ? ceil_div(most, 2) : 0;
    if (most == 0)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "workspace", "planes of one row do not fit the device's window of %llu bytes",
                         (unsigned long long)plan->limits.max_window_bytes);
    // the batch's rows, wherever they lie, in one window
    tile_matrix all[2] = {l->input, l->grad_input};
    for (int i = 0; i < 2 && l->ordered; i++)
        for (all[i].rows = most; most > 1 && all[i].operand >= 0 && !tile_fits(plan, &all[i]); all[i].rows = most) most = ceil_div(most, 2);
    p->window_cols = p->cols;
    uint64_t limit = plan->workspace_limit_bytes;
    if (!limit) limit = l->grad ? BACKWARD_BYTES + 4 * (uint64_t)p->rows * (uint64_t)l->dim : FORWARD_BYTES;
    uint64_t least = UINT64_MAX;
    if (keep_chunks(l, limit, most)) return WANE_OK;
    for (int64_t batch = most; ; batch = ceil_div(batch, 2)) {
        // planes may take half of the budget, unless there is no other way; each batch adds to what is there once
        bool thin = 8 * words_of_rows(l, batch) <= limit || batch == 1 || !one_batch(l, ceil_div(batch, 2))
                 || adds(l, &l->grad_weight) || adds(l, &l->grad_bias);
        if (one_batch(l, batch) && thin && one_chunk(l, limit, batch)) return WANE_OK;
        if (one_batch(l, batch)) least = wane_min_u64(least, lay_out(l, batch, 1, slice_least(l)));
        if (batch == 1) break;
    }
    for (int64_t batch = most; ; batch = ceil_div(batch, 2)) {
        if (one_batch(l, batch) && one_chunk(l, limit, batch)) return WANE_OK;
        if (batch == 1) break;
    }
    if (least == UINT64_MAX)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "grad_linear_weight",
                         "of a half type is rounded once, which needs all rows in one batch, and those do not fit a window: "
                         "ask for f32 gradients, or call with fewer rows and accumulate");
    return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes",
                     "is %llu, and the smallest plan needs %llu bytes of workspace", (unsigned long long)limit,
                     (unsigned long long)least);
}

// ---- passes ----

static bool fail(linear *l, wane_status status)
{
    if (l->status == WANE_OK) l->status = status;
    return status == WANE_OK;
}

// The logits, then the gradient, of rows of the batch from `row` and of slice s.
static tile_matrix chunk_at(const linear *l, int64_t s, int64_t rows)
{
    uint64_t each = 4 * (uint64_t)l->chunk_rows * (uint64_t)line_of(l->slice);
    int64_t cols = softmax_clamp(l->rows.cols - s * l->slice, 1, l->slice);
    return tile_part(tile_dense(l->scratch + (l->keep ? (uint64_t)s * each : 0), l->chunk_rows, line_of(l->slice)), 0, rows, 0, cols);
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
    tile_matrix z = chunk_at(l, s, rows);
    int64_t col = s * l->slice;
    tile_product p = {rows_of_input(l, row + first, rows), tile_part(l->weight, col, z.cols, 0, l->dim), tile_none(), z, false, false,
                      l->ordered ? TILE_LIVE_ROWS : 0, first};
    if (l->bias.operand >= 0) p.bias = tile_part(l->bias, 0, 1, col, z.cols);
    return fail(l, tile_add_product(l->rows.plan, &p));
}

// A pass of row kernels over a chunk; `first` is the chunk's first row within the batch.
static bool add_chunk_pass(linear *l, uint16_t kernel, int64_t first, int64_t rows, int64_t s)
{
    softmax_problem *p = &l->rows;
    bool write = kernel == WANE_KERNEL_SOFTMAX_WRITE;
    tile_matrix z = chunk_at(l, s, rows);
    softmax_window window = {0};
    window.col0 = (uint32_t)(s * l->slice);
    window.cols_here = (uint32_t)z.cols;
    window.slice0 = (uint32_t)s;
    window.slices_here = 1;
    window.part = s > 0;
    wane_pass *pass = softmax_add(p, kernel, rows, window);
    if (!pass) return false;
    uint32_t writing = OPTION_GRAD | OPTION_SOFTCAP | OPTION_CLASS_WEIGHT;
    pass->consts[1] = write ? (p->options & writing) | OPTION_IN_PLACE : p->options & ~(uint32_t)(OPTION_GRAD | OPTION_SAVE | OPTION_MERGED);
    pass->slots[0] = tile_slot(&z);
    if (p->options & OPTION_CLASS_WEIGHT) pass->slots[1] = softmax_cols_of(p, p->weight, window.col0, z.cols);
    if (write) pass->slots[2] = pass->slots[0];
    // planes of the row numbered 0 in this chunk: the kernel's index 0 moves by as many rows
    wane_slot work = softmax_whole_work(p);
    work.origin_bytes += 4 * (uint64_t)first;
    pass->slots[write ? 3 : 2] = work;
    return true;
}

static bool add_merge(linear *l, int64_t first, int64_t rows)
{
    softmax_window window = {0};
    wane_pass *pass = softmax_add(&l->rows, WANE_KERNEL_SOFTMAX_MERGE, rows, window);
    if (!pass) return false;
    pass->consts[1] = l->rows.options & OPTION_NO_TARGET;
    pass->slots[0] = softmax_whole_work(&l->rows);
    pass->slots[0].origin_bytes += 4 * (uint64_t)first;
    return true;
}

static bool add_statistics(linear *l, int64_t row, int64_t rows)
{
    for (int64_t s = 0; s < l->slices; s++)
        for (int64_t first = 0; first < rows; first += l->chunk_rows) {
            int64_t count = softmax_clamp(rows - first, 1, l->chunk_rows);
            if (l->chunk_rows < rows && !add_copy(l, row, rows, first, count)) return false;
            if (!add_logits(l, row, first, count, s) || !add_chunk_pass(l, WANE_KERNEL_SOFTMAX_SWEEP, first, count, s)
                || (s && !add_merge(l, first, count)))
                return false;
        }
    return true;
}

// Gradients of one chunk: row is its first row, `first` that within the batch.
static bool add_products(linear *l, int64_t row, int64_t first, int64_t rows, int64_t s)
{
    wane_plan *plan = l->rows.plan;
    tile_matrix dz = chunk_at(l, s, rows);
    int64_t col = s * l->slice, cols = dz.cols;
    if (l->grad_weight.operand >= 0) {
        tile_matrix out = l->sum_weight ? tile_dense(l->sum_weight, cols, l->dim) : tile_part(l->grad_weight, col, cols, 0, l->dim);
        tile_product p = {tile_turned(dz), tile_turned(rows_of_input(l, row, rows)), tile_none(), out,
                          l->sum_weight ? first > 0 : row > 0 || adds(l, &l->grad_weight), true, l->ordered ? TILE_LIVE_DEPTH : 0, first};
        if (!fail(l, tile_add_product(plan, &p))) return false;
    }
    if (l->grad_input.operand >= 0) {
        tile_matrix out = l->sum_input ? tile_part(tile_dense(l->sum_input, l->rows.batch_rows, l->dim), first, rows, 0, l->dim)
                                       : tile_part(l->grad_input, row, rows, 0, l->dim);
        tile_product p = {dz, tile_turned(tile_part(l->weight, col, cols, 0, l->dim)), tile_none(), out,
                          s > 0 || (!l->sum_input && adds(l, &l->grad_input)), false, l->ordered ? TILE_LIVE_ROWS : 0, first};
        if (!fail(l, tile_add_product(plan, &p))) return false;
    }
    if (l->grad_bias.operand < 0) return true;
    tile_matrix out = l->sum_bias ? tile_dense(l->sum_bias, 1, cols) : tile_part(l->grad_bias, 0, 1, col, cols);
    return fail(l, tile_add_sums(plan, dz, out, l->sum_bias ? first > 0 : row > 0 || adds(l, &l->grad_bias)));
}

// What was summed in f32, once the batch's rows have passed the slice.
static bool add_stores(linear *l, int64_t row, int64_t s)
{
    wane_plan *plan = l->rows.plan;
    int64_t col = s * l->slice, cols = softmax_clamp(l->rows.cols - col, 1, l->slice);
    if (l->sum_weight && !fail(l, tile_add_store(plan, tile_dense(l->sum_weight, cols, l->dim),
                                                 tile_part(l->grad_weight, col, cols, 0, l->dim), row > 0 || adds(l, &l->grad_weight))))
        return false;
    return !l->sum_bias || fail(l, tile_add_store(plan, tile_dense(l->sum_bias, 1, cols), tile_part(l->grad_bias, 0, 1, col, cols),
                                                  row > 0 || adds(l, &l->grad_bias)));
}

static bool add_gradients(linear *l, int64_t row, int64_t rows)
{
    for (int64_t s = 0; s < l->slices; s++) {
        for (int64_t first = 0; first < rows; first += l->chunk_rows) {
            int64_t count = softmax_clamp(rows - first, 1, l->chunk_rows);
            if (l->chunk_rows < rows && !add_copy(l, row, rows, first, count)) return false;
            if (!l->keep && !add_logits(l, row, first, count, s)) return false;
            if (!add_chunk_pass(l, WANE_KERNEL_SOFTMAX_WRITE, first, count, s) || !add_products(l, row + first, first, count, s))
                return false;
        }
        if (!add_stores(l, row, s)) return false;
    }
    if (!l->sum_input) return true;
    if (l->ordered)
        return fail(l, tile_add_scatter(l->rows.plan, tile_dense(l->sum_input, rows, l->dim),
                                        tile_part(l->grad_input, row, rows, 0, l->dim), adds(l, &l->grad_input), order_of(l)));
    return fail(l, tile_add_store(l->rows.plan, tile_dense(l->sum_input, rows, l->dim), tile_part(l->grad_input, row, rows, 0, l->dim),
                                  adds(l, &l->grad_input)));
}

static bool add_batch(softmax_problem *p, int64_t row, int64_t rows)
{
    linear *l = (linear *)(void *)p;
    bool products = !p->given || l->grad;
    if (products && l->chunk_rows >= rows && !add_copy(l, row, rows, 0, rows)) return false;
    if (!(p->given ? softmax_add_planes(p, WANE_KERNEL_SOFTMAX_RESTORE, row, rows) : add_statistics(l, row, rows))) return false;
    softmax_window window = {0};
    wane_pass *pass = softmax_add(p, WANE_KERNEL_SOFTMAX_LINK, rows, window);
    if (!pass) return false;
    pass->consts[0] = p->term;
    pass->consts[1] = p->options & (OPTION_NO_TARGET | OPTION_MERGED);
    pass->slots[0] = softmax_whole_work(p);
    return !l->grad || add_gradients(l, row, rows);
}

// Gradients of no rows: 0, where they are not added to something.
static bool add_zeros(linear *l)
{
    tile_matrix *grads[] = {&l->grad_weight, &l->grad_bias};
    for (int i = 0; i < 2; i++) {
        if (grads[i]->operand < 0 || adds(l, grads[i])) continue;
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
    uint64_t products = (uint64_t)!p->given + (l->grad && !l->keep) + (l->grad_input.operand >= 0) + (l->grad_weight.operand >= 0);
    info->flops = products * 2 * elements * (uint64_t)l->dim;
    info->exps = elements * ((uint64_t)!p->given + l->grad);
}

static bool note(const linear *l)
{
    const softmax_problem *p = &l->rows;
    const char *why = l->keep ? "all logits of a batch of rows fit the budget"
                    : !l->grad ? "no gradient is asked for"
                    : p->given ? "statistics are given"
                    : !one_batch(l, p->rows - 1) ? "gradients of a half type are rounded once, and the logits of all rows do not fit the budget"
                    : "the logits of 256 rows do not fit the budget";
    return wane_plan_note(p->plan, "chunks of %s: %s. Batches of %lld rows, chunks of %lld rows x %lld columns, %d products",
                          l->keep ? "rows" : "columns", why, (long long)p->batch_rows, (long long)l->chunk_rows,
                          (long long)l->slice, (int)!p->given + (l->grad && !l->keep) + (l->grad_input.operand >= 0)
                                                   + (l->grad_weight.operand >= 0));
}

static void fill_record(linear *l)
{
    softmax_problem *p = &l->rows;
    p->slice_cols = (uint32_t)l->slice;
    softmax_fill_record(p);
    softmax_record *r = p->record;
    r->slices = 1;                         // slice 1 is joined to slice 0 before the link looks
    r->logits_outer = r->grad_outer = 0;
    r->logits_row = r->grad_row = (uint32_t)line_of(l->slice);
    r->logits_col = r->grad_col = 1;
    p->plan->workspace_bytes = l->total;
}

static wane_status plan_linear(wane_plan *plan)
{
    linear l;
    wane_status status = read_linear(&l, plan);
    if (status == WANE_OK) status = cut(&l);
    if (status) return status;
    softmax_problem *p = &l.rows;
    uint64_t passes = (uint64_t)l.slices * (uint64_t)ceil_div(p->rows, l.chunk_rows) * 8;
    if (passes > PASSES_MOST)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes",
                         "would cut the problem into %llu passes: raise it", (unsigned long long)passes);
    fill_record(&l);
    bool good = note(&l) && softmax_add_batches(p, add_batch) && (p->rows || add_zeros(&l));
    if (!good) return l.status ? l.status : wane_no_memory(plan->context);
    count_costs(&l);
    return WANE_OK;
}

extern const wane_family wane_family_linear;
const wane_family wane_family_linear = {"linear", softmax_statistics_need, plan_linear};
