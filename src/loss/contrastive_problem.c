// contrastive_problem.c - reads a contrastive problem, cuts it into chunks of rows, and fills the kernels' records.
#include "loss/contrastive.h"

enum {
    CHUNK_BYTES = 16 << 20,                // of similarities, unless the caller says otherwise
    CHUNK_ROWS_LEAST = 64,                 // a tile of the product
    CHUNK_ROWS_MOST = 8192,                // contrast_columns
    SLICE_COLS_MOST = 1 << 20,             // softmax_sweep
    SHIFT_MOST = INT32_MAX                 // beyond it no row has a positive
};

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// ---- reading ----

static wane_status read_side(const contrastive *c, contrast_side *s, wane_role source, wane_role grad)
{
    const wane_plan *plan = c->rows.plan;
    s->source = tile_of(plan, wane_plan_find(plan, source));
    s->grad = tile_of(plan, wane_plan_find(plan, grad));
    if (s->source.rows > INT32_MAX || s->source.cols > INT32_MAX)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, plan->operands[s->source.operand].role->name,
                         "rows and dim are at most 2^31 - 1");
    if (s->grad.operand < 0) return WANE_OK;
    const wane_plan_operand *o = &plan->operands[s->grad.operand];
    s->adds = o->flags & WANE_OPERAND_ACCUMULATE;
    s->in_place = o->dtype == WANE_DTYPE_F32 && !s->adds;
    if (o->flags & WANE_OPERAND_IN_PLACE)
        return wane_fail(plan->context, WANE_ERROR_FLAGS, o->role->name, "cannot lie over what it is the gradient of");
    if (o->dtype == WANE_DTYPE_F32 || o->dtype == s->source.dtype) return WANE_OK;
    return wane_fail(plan->context, WANE_ERROR_DTYPE, o->role->name, "has type %s: it takes that of its tensor, %s, or f32",
                     wane_dtype_name(o->dtype), wane_dtype_name(s->source.dtype));
}

static double total_of(const contrastive *c) { return softmax_param(c->rows.plan, WANE_PARAM_TOTAL_COLS); }

static wane_status check_shapes(const contrastive *c)
{
    wane_context *context = c->rows.plan->context;
    if (c->dim < 1) return wane_fail(context, WANE_ERROR_EXTENT, "a", "has no columns: dim is one or more");
    bool nothing = c->both && c->a.source.rows == 0 && !total_of(c);     // no pairs: its loss is 0
    if (c->b.source.rows < 1 && !nothing) return wane_fail(context, WANE_ERROR_EXTENT, "b", "has no rows: there is nothing to compare with");
    if (c->both && !total_of(c) && c->a.source.rows != c->b.source.rows)
        return wane_fail(context, WANE_ERROR_EXTENT, "b", "has %lld rows and a has %lld: clip pairs them one to one",
                         (long long)c->b.source.rows, (long long)c->a.source.rows);
    if (c->scale >= 0 && c->rows.plan->given[WANE_PARAM_TEMPERATURE])
        return wane_fail(context, WANE_ERROR_DUPLICATE, "temperature",
                         "is given beside the tensor scale, which stands in its place: leave the temperature out");
    return WANE_OK;
}

// Statistics are those of the rows, and in clip of the columns beside them.
static wane_status read_statistics(contrastive *c)
{
    wane_plan *plan = c->rows.plan;
    wane_context *context = plan->context;
    softmax_problem *sides[2] = {&c->rows, &c->cols};
    bool given[2] = {false, false};
    for (int i = 0; i < 2; i++) {
        sides[i]->statistics = wane_plan_find(plan, i ? WANE_ROLE_COL_STATISTICS : WANE_ROLE_STATISTICS);
        bool bound = sides[i]->statistics >= 0;
        given[i] = bound && !plan->operands[sides[i]->statistics].written;
        sides[i]->save = bound && !given[i];
        if (bound && plan->statistics_mask != CONTRAST_STATISTICS)
            return wane_fail(context, WANE_ERROR_UNSUPPORTED, "statistics_mask",
                             "0x%x has planes that similarities do not have: ask wane_statistics_need", (unsigned)plan->statistics_mask);
    }
    if (c->both && given[0] != given[1])
        return wane_fail(context, WANE_ERROR_MISSING_OPERAND, given[0] ? "col_statistics" : "statistics",
                         "is not given, and %s is: clip needs those of rows and of columns", given[0] ? "statistics" : "col_statistics");
    c->rows.given = given[0];
    c->cols.given = given[1];
    return WANE_OK;
}

// Whether a block lies within the whole, whose columns, and in clip rows, are so many.
static wane_status check_block(const contrastive *c, double total)
{
    wane_context *context = c->rows.plan->context;
    double row = softmax_param(c->rows.plan, WANE_PARAM_ROW_OFFSET), col = softmax_param(c->rows.plan, WANE_PARAM_COL_OFFSET);
    double rows = (double)c->a.source.rows, cols = (double)c->b.source.rows;
    if (row < 0 || row > INT32_MAX || col < 0)
        return wane_fail(context, WANE_ERROR_PARAM_RANGE, col < 0 ? "col_offset" : "row_offset",
                         "is %.0f: rows of a split batch are numbered from 0 to 2^31 - 1", col < 0 ? col : row);
    bool fits = col + cols <= total, rows_fit = !c->both || row + rows <= total;
    if (fits && rows_fit) return WANE_OK;
    return wane_fail(context, WANE_ERROR_PARAM_RANGE, "total_cols", "is %.0f, and rows %.0f to %.0f of %s are given", total,
                     fits ? row : col, (fits ? row + rows : col + cols) - 1, fits ? "a" : "b");
}

// A batch that is split into blocks over several calls: each saves statistics, the caller merges them, and each makes the
// values of its own pairs and its part of the gradients from those of all.
static wane_status read_block(contrastive *c)
{
    wane_plan *plan = c->rows.plan;
    wane_context *context = plan->context;
    double total = total_of(c);
    if (total == 0) return WANE_OK;
    wane_status status = check_block(c, total);
    c->split = (double)c->b.source.rows < total || (c->both && (double)c->a.source.rows < total);
    if (status || !c->split || c->points) return status;      // pairs of siglip know nothing of each other
    if (c->both && c->labels >= 0)
        return wane_fail(context, WANE_ERROR_UNSUPPORTED, "labels",
                         "are not read where clip's batch is split: row i of the whole belongs to column i");
    for (uint32_t i = 0; i < plan->operand_count && !c->rows.given; i++)
        if (plan->operands[i].written && !(plan->operands[i].role->direction == WANE_DIRECTION_STATE))
            return wane_fail(context, WANE_ERROR_UNSUPPORTED, plan->operands[i].role->name,
                             "is made from the statistics of all blocks: save each call's, merge them by "
                             "wane_statistics_merge, and give them");
    if (c->both && c->rows.given && softmax_param(plan, WANE_PARAM_REDUCTION) != WANE_REDUCTION_SUM)
        return wane_fail(context, WANE_ERROR_UNSUPPORTED, "reduction",
                         "of a split batch is sum: for the mean give an upstream of 1 / %.0f, the rows of the whole", total);
    return WANE_OK;
}

wane_status contrast_read(contrastive *c, wane_plan *plan)
{
    memset(c, 0, sizeof *c);
    softmax_problem *p = &c->rows;
    p->plan = plan;
    p->mean = softmax_param(plan, WANE_PARAM_REDUCTION) == WANE_REDUCTION_MEAN;
    p->term = WANE_LOSS_CROSS_ENTROPY;
    p->logits = p->target = p->weight = p->row_weight = p->upstream_lse = p->statistics = p->grad = -1;
    p->upstream = wane_plan_find(plan, WANE_ROLE_UPSTREAM);
    p->row_dims = 1;
    p->outer = 1;
    c->both = plan->loss->loss == WANE_LOSS_CLIP;
    c->points = plan->loss->loss == WANE_LOSS_SIGLIP;
    c->normalize = softmax_param(plan, WANE_PARAM_NORMALIZE) != 0;
    c->labels = wane_plan_find(plan, WANE_ROLE_LABELS);
    c->scale = wane_plan_find(plan, WANE_ROLE_SCALE);
    c->bias = wane_plan_find(plan, WANE_ROLE_BIAS);
    c->grad_scale = wane_plan_find(plan, WANE_ROLE_GRAD_SCALE);
    c->grad_bias = wane_plan_find(plan, WANE_ROLE_GRAD_BIAS);
    wane_status status = read_side(c, &c->a, WANE_ROLE_A, WANE_ROLE_GRAD_A);
    if (status == WANE_OK) status = read_side(c, &c->b, WANE_ROLE_B, WANE_ROLE_GRAD_B);
    c->dim = c->a.source.cols;
    if (status == WANE_OK) status = check_shapes(c);
    if (status) return status;
    c->a.record = RECORD_A, c->b.record = RECORD_B;
    // a row without a positive still is one of the others in clip's columns
    c->a.mask = c->both || c->points ? FLAG_BAD : FLAG_BAD | FLAG_IGNORED;
    c->copied = c->normalize || c->b.source.dtype != WANE_DTYPE_F32;
    p->rows = c->a.source.rows;
    p->inner = p->rows ? p->rows : 1;
    p->cols = softmax_clamp(c->b.source.rows, 1, INT32_MAX);
    c->cols = c->rows;
    c->cols.rows = c->cols.inner = p->cols;
    c->cols.cols = p->rows;
    c->grad = c->a.grad.operand >= 0 || c->b.grad.operand >= 0 || c->grad_scale >= 0 || (c->grad_bias >= 0 && c->points);
    c->slopes = c->grad || c->grad_bias >= 0;
    status = read_statistics(c);
    return status == WANE_OK ? read_block(c) : status;
}

// ---- cutting ----

static uint32_t batch_parts(int64_t rows) { return (uint32_t)ceil_div(rows ? rows : 1, SOFTMAX_REDUCE_ROWS); }

static tile_matrix take(uint64_t *at, int64_t rows, int64_t cols)
{
    tile_matrix m = tile_dense(*at, rows, cols);
    *at += wane_round_up(4 * (uint64_t)rows * (uint64_t)cols, 256);
    return m;
}

// Lays the workspace out for chunks of so many rows, and returns its bytes: planes, the rows of b, sums for grad_b, and
// what a chunk needs: its rows of a, its similarities, sums for its rows of grad_a.
static uint64_t lay_out(contrastive *c, int64_t chunk_rows)
{
    softmax_problem *p = &c->rows, *q = &c->cols;
    c->chunk_rows = chunk_rows;
    p->batch_rows = c->both ? p->rows : chunk_rows;
    q->batch_rows = c->both ? p->cols : 0;
    uint32_t batches = p->rows ? (uint32_t)ceil_div(p->rows, p->batch_rows) : 0;
    p->parts = batches * batch_parts(p->batch_rows) + (c->both && batches ? batch_parts(p->cols) : 0);
    p->slice_cols = (uint32_t)softmax_clamp(p->cols, 1, SLICE_COLS_MOST);
    p->slices = c->points ? 0 : p->given ? 1 : (uint32_t)ceil_div(p->cols, p->slice_cols);
    q->slices = 1;
    uint64_t words = wane_round_up(SOFTMAX_SCALARS + (uint64_t)p->parts * SOFTMAX_PART_WORDS, 64);
    words += (uint64_t)p->batch_rows * softmax_plane_count(p);
    if (c->both) words += (uint64_t)q->batch_rows * softmax_plane_count(q);
    p->work_bytes = q->work_bytes = 4 * words;
    uint64_t at = wane_round_up(4 * words, 256);
    c->dense_b = c->b.source;
    if (c->copied) c->dense_b = take(&at, p->cols, c->dim);
    c->sum_b = c->b.grad;
    if (c->b.grad.operand >= 0 && !c->b.in_place) c->sum_b = take(&at, p->cols, c->dim);
    c->dense_a = take(&at, chunk_rows, c->dim);
    c->chunk = take(&at, chunk_rows, p->cols);
    bool sums = c->a.grad.operand >= 0 || c->grad_scale >= 0;
    if (sums && !(c->a.in_place && c->a.grad.operand >= 0)) c->sum_a = take(&at, chunk_rows, c->dim);
    c->total = at;
    return at;
}

// Rows of a chunk that a dispatch can bind and its time budget holds.
static int64_t most_rows(const contrastive *c)
{
    const softmax_problem *p = &c->rows;
    const wane_limits *limits = &p->plan->limits;
    uint64_t window = (limits->max_window_bytes - 512) / 4;
    uint64_t elems = wane_min_u64(window, limits->max_dispatch_elems) / (uint64_t)p->cols;
    int64_t most = softmax_clamp(elems > INT32_MAX ? INT32_MAX : (int64_t)elems, 1, CHUNK_ROWS_MOST);
    if ((uint64_t)p->cols > window) return 0;
    return softmax_clamp(p->rows, 1, most);
}

// As many chunks of one size, whole tiles where there are more.
static int64_t even_rows(const contrastive *c, int64_t most)
{
    int64_t rows = softmax_clamp(c->rows.rows, 1, INT32_MAX), even = ceil_div(rows, ceil_div(rows, most));
    int64_t whole = ceil_div(even, CHUNK_ROWS_LEAST) * CHUNK_ROWS_LEAST;
    return whole <= most ? whole : even;
}

wane_status contrast_cut(contrastive *c)
{
    softmax_problem *p = &c->rows;
    wane_plan *plan = p->plan;
    int64_t most = most_rows(c);
    if (most == 0)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "b", "similarities of one row do not fit the device's window of %llu bytes",
                         (unsigned long long)plan->limits.max_window_bytes);
    uint64_t limit = plan->workspace_limit_bytes;
    int64_t want = CHUNK_BYTES / 4 / p->cols;
    most = softmax_clamp(want, softmax_clamp(CHUNK_ROWS_LEAST, 1, most), most);
    uint64_t least = lay_out(c, 1);
    if (limit && least > limit)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes",
                         "is %llu, and the smallest plan needs %llu bytes of workspace", (unsigned long long)limit,
                         (unsigned long long)least);
    int64_t low = 1, high = most;
    while (limit && low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (lay_out(c, middle) <= limit) low = middle;
        else high = middle - 1;
    }
    int64_t rows = even_rows(c, limit ? low : most);
    if (limit && lay_out(c, rows) > limit) rows = low;     // smaller chunks, and so more batches and parts
    lay_out(c, rows);
    c->kept = rows >= p->rows && !p->given;
    for (int i = 0; i < 1 + c->both; i++) {
        const softmax_problem *side = i ? &c->cols : p;
        if (side->batch_rows && softmax_most_rows(side, side->batch_rows, 1) < side->batch_rows)
            return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, side->statistics >= 0 ? plan->operands[side->statistics].role->name : "upstream",
                             "spans more than the device's window of %llu bytes: make it contiguous",
                             (unsigned long long)plan->limits.max_window_bytes);
    }
    uint64_t window = plan->limits.max_window_bytes - 512;
    if (p->work_bytes > window)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "a", "has too many rows: their statistics take %llu bytes, the device's window has %llu",
                         (unsigned long long)p->work_bytes, (unsigned long long)window);
    return WANE_OK;
}

// ---- records ----

static void fill_rows(const contrastive *c, softmax_problem *p, uint32_t planes, uint32_t parts)
{
    softmax_record *r = p->record;
    r->cols = (uint32_t)p->cols;
    r->rows_inner = INT32_MAX;
    r->logits_row = (uint32_t)c->chunk.row;
    r->logits_col = 1;
    r->reduction = (uint32_t)softmax_param(p->plan, WANE_PARAM_REDUCTION);
    r->partials = SOFTMAX_SCALARS;
    r->parts = parts;
    r->planes = planes;
    r->plane_rows = (uint32_t)p->batch_rows;
    r->slices = p->slices;
    r->slice_cols = p->slice_cols;
    r->inverse_temperature = 1;
    r->statistics_mask = p->plan->statistics_mask;
    softmax_put_strides(p, p->statistics, &r->statistics_outer, &r->statistics_row, &r->statistics_plane);
}

static void fill_side(const contrastive *c, const contrast_side *s, const contrast_side *t, int64_t shift)
{
    const wane_plan *plan = c->rows.plan;
    contrast_record *r = (contrast_record *)(void *)plan->records[s->record].words;
    bool first = s->record == RECORD_A;
    const softmax_record *own = first ? c->rows.record : c->cols.record, *other = first ? c->cols.record : c->rows.record;
    r->rows = (uint32_t)s->source.rows;
    r->others = (uint32_t)t->source.rows;
    r->dim = (uint32_t)c->dim;
    r->flags = (c->labels >= 0 ? HAS_LABELS : 0) | (c->rows.upstream >= 0 ? HAS_PAIR_UPSTREAM : 0)
             | (c->labels >= 0 && plan->operands[c->labels].dtype == WANE_DTYPE_I64 ? HAS_LABELS_I64 : 0)
             | (c->scale >= 0 ? HAS_SCALE : 0) | (c->bias >= 0 ? HAS_BIAS : 0) | (c->points ? EVERY_ROW_COUNTS : 0)
             | (c->split ? OF_A_BLOCK : 0);
    r->before = c->split ? (uint32_t)softmax_param(plan, first ? WANE_PARAM_COL_OFFSET : WANE_PARAM_ROW_OFFSET) : 0;
    r->total = c->split ? (uint32_t)total_of(c) : r->others;
    r->planes = own->planes, r->plane_rows = own->plane_rows;
    r->other_planes = other->planes, r->other_rows = other->plane_rows;
    r->source_row = (uint32_t)s->source.row, r->source_col = (uint32_t)s->source.col;
    r->grad_row = (uint32_t)s->grad.row, r->grad_col = (uint32_t)s->grad.col;
    if (c->labels >= 0 && first) r->label_row = (uint32_t)plan->operands[c->labels].strides[0];
    if (c->rows.upstream >= 0) r->upstream_row = (uint32_t)softmax_view_of(&c->rows, c->rows.upstream).inner;
    r->shift = (uint32_t)(int32_t)shift;
    r->reduction = own->reduction;
    double scale = 1.0 / softmax_param(plan, WANE_PARAM_TEMPERATURE);
    r->scale = scale < 3.4028234e38 ? (float)scale : 3.4028234e38f;
    r->bias = c->points ? -10 : 0;
    r->weight = c->both ? 0.5f : 1;        // of a value: clip takes the mean of two
}

void contrast_fill_records(contrastive *c)
{
    wane_plan *plan = c->rows.plan;
    softmax_problem *p = &c->rows, *q = &c->cols;
    uint32_t planes = (uint32_t)wane_round_up(SOFTMAX_SCALARS + (uint64_t)p->parts * SOFTMAX_PART_WORDS, 64);
    uint32_t more = planes + (uint32_t)p->batch_rows * softmax_plane_count(p);
    p->record = (softmax_record *)(void *)plan->records[RECORD_ROWS].words;
    q->record = (softmax_record *)(void *)plan->records[RECORD_COLS].words;
    fill_rows(c, p, planes, p->parts);
    fill_rows(c, q, c->both ? more : planes, p->parts);
    double shift = softmax_param(plan, WANE_PARAM_ROW_OFFSET) - softmax_param(plan, WANE_PARAM_COL_OFFSET);
    int64_t by = shift > SHIFT_MOST ? SHIFT_MOST : shift < -SHIFT_MOST ? -(int64_t)SHIFT_MOST : (int64_t)shift;
    fill_side(c, &c->a, &c->b, by);
    fill_side(c, &c->b, &c->a, by);
    plan->record_count = RECORD_COUNT;
    plan->workspace_bytes = c->total;
    plan->status_byte = 4 * SOFTMAX_STATUS;
}
