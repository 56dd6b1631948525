// tile_cut.c - cuts a loss on a linear head: rows into batches, a batch's logits into chunks, some of which are kept.
//
// What a plan costs, for each row and column, with R operations in the time of a byte: the three products 6 dim; logits that
// are not kept are made again, 2 dim; a batch reads linear_weight twice and adds to its gradient, 16 R dim / batch; and R for
// each byte that a logit in memory moves. Without memory for logits each of the two gradients makes them again: 10 dim in all,
// and the logit's gradient twice. The cheapest that fits the budget is taken.
#include "loss/tile_linear.h"

enum {
    FORWARD_BYTES = 4 << 20,               // of workspace, unless the caller says otherwise
    BACKWARD_BYTES = 64 << 20,             // beyond an f32 rows x dim accumulator
    OPS_PER_BYTE = 10,                     // R: 2 cores of Zen 5 have 450 G and 45 G a second, an H200 60 T and 4.8 T in f32
    SLICE = 2048,                          // columns of a slice, unless the device is tuned: dim-long sums over it keep the
                                           // product busy,
    SLICE_LEAST = 512,                     // and fewer do not, where memory allows more
    SLICES_MOST = 1024,                    // of a row: a chain of merges
    CHUNK_ROWS_MOST = 8192,
    FORWARD_ROWS_MOST = 1024,
    SLOPE_OPS = 32,                        // from a logit to its gradient
    BATCH_ROWS_LEAST = 128                 // below it batches are not looked at, if there is another way
};

// Rows a power of two apart would share a few sets of a cache.
int64_t linear_line(const linear *l) { return l->slice % 256 ? l->slice : l->slice + 16; }

uint64_t linear_chunk_bytes(const linear *l)
{
    return wane_round_up(4 * (uint64_t)l->chunk_rows * (uint64_t)linear_line(l), 256);
}

static uint64_t words_of_rows(linear *l, int64_t batch)
{
    softmax_problem *p = &l->rows;
    p->batch_rows = batch;
    p->parts = p->rows ? (uint32_t)(tile_ceil_div(p->rows, batch) * tile_ceil_div(batch, SOFTMAX_REDUCE_ROWS)) : 0;
    return wane_round_up(SOFTMAX_SCALARS + (uint64_t)p->parts * SOFTMAX_PART_WORDS, 64) + (uint64_t)batch * softmax_plane_count(p);
}

// What is there is added to once, not once a chunk, and a half type is rounded once.
static bool sums_apart(const linear *l, const tile_matrix *m) { return linear_is_half(m) || linear_adds(l, m); }

static uint64_t take(uint64_t *at, uint64_t bytes)
{
    uint64_t first = *at;
    *at += wane_round_up(bytes, 256);
    return first;
}

// Lays the workspace out for a choice and returns its bytes.
static uint64_t lay_out(linear *l, int64_t batch, int64_t chunk_rows, int64_t slice, int64_t kept)
{
    softmax_problem *p = &l->rows;
    l->alone = false;
    l->splits = 0;
    l->chunk_rows = chunk_rows;
    l->row_chunks = tile_ceil_div(batch, chunk_rows);
    l->slice = slice;
    l->slices = tile_ceil_div(p->cols, slice);
    l->kept = kept;
    p->slices = l->slices > 1 ? 2 : 1;
    uint64_t dim = (uint64_t)l->dim, at = 0, chunk = linear_chunk_bytes(l);
    l->work = 4 * words_of_rows(l, batch);
    take(&at, l->work);
    l->scratch = take(&at, chunk * (uint64_t)(kept < l->slices * l->row_chunks ? kept + 1 : kept));
    l->half = l->copy = l->sum_input = l->sum_weight = l->sum_bias = 0;
    if (l->halves) l->half = take(&at, chunk / 2);
    tile_matrix copy = tile_typed(0, l->input.dtype, chunk_rows, l->dim);
    if (l->ordered) l->copy = take(&at, (uint64_t)(chunk_rows * copy.row) * wane_dtype_bytes(copy.dtype));
    bool summed = l->ordered ? l->grad_input.operand >= 0 : linear_is_half(&l->grad_input) && l->slices > 1;
    if (summed) l->sum_input = take(&at, 4 * (uint64_t)batch * dim);
    bool many = chunk_rows < batch;
    if (sums_apart(l, &l->grad_weight) && many) l->sum_weight = take(&at, 4 * (uint64_t)slice * dim);
    if (sums_apart(l, &l->grad_bias) && many) l->sum_bias = take(&at, 4 * (uint64_t)slice);
    l->total = at;
    return at;
}

// Half gradients of linear_weight and its bias are rounded once, so all rows must pass a slice before the next.
bool linear_one_batch(const linear *l, int64_t batch)
{
    return batch >= l->rows.rows || !(linear_is_half(&l->grad_weight) || linear_is_half(&l->grad_bias));
}

static int64_t slice_least(const linear *l)
{
    int64_t least = tile_ceil_div(l->rows.cols, SLICES_MOST);
    return softmax_clamp(tile_ceil_div(least, 64) * 64, 64, INT32_MAX - 63);
}

// A slice that a dispatch can bind with so many rows, no wider than the columns.
static int64_t slice_within(const linear *l, int64_t rows, int64_t most)
{
    const wane_limits *limits = &l->rows.plan->limits;
    uint64_t elems = wane_min_u64((limits->max_window_bytes - 512) / 4, limits->max_dispatch_elems) / (uint64_t)rows;
    int64_t cols = l->rows.cols, slice = elems > (uint64_t)most + 16 ? most : (int64_t)elems - 16;
    slice = softmax_clamp(slice, 0, tile_ceil_div(cols, 64) * 64) / 64 * 64;
    if (slice == 0) return 0;
    // as many slices, of one width
    return tile_ceil_div(tile_ceil_div(cols, tile_ceil_div(cols, slice)), 64) * 64;
}

// The width that would be best, and is enough for the row's bound on slices.
static int64_t slice_wanted(const linear *l)
{
    uint32_t tuned = l->rows.plan->limits.linear_slice_cols;
    int64_t slice = tuned ? softmax_clamp((int64_t)tuned / 64 * 64, 64, 1 << 16) : SLICE, least = slice_least(l);
    return slice > least ? slice : least;
}

// The widest slice that fits with one chunk in memory, for the most rows that leave it wide enough.
static bool one_chunk(linear *l, uint64_t limit, int64_t batch)
{
    int64_t best_rows = 0, best_slice = 0, least = slice_least(l);
    int64_t want = softmax_clamp(tile_ceil_div(l->rows.cols, 64) * 64, least, SLICE_LEAST > least ? SLICE_LEAST : least);
    for (int64_t rows = softmax_clamp(batch, 1, l->grad ? CHUNK_ROWS_MOST : FORWARD_ROWS_MOST); ; rows = tile_ceil_div(rows, 2)) {
        int64_t low = least, high = slice_within(l, rows, slice_wanted(l));
        if (low <= high && lay_out(l, batch, rows, low, 0) <= limit) {
            while (high - low >= 64) {
                int64_t middle = low + (high - low + 64) / 128 * 64;
                if (lay_out(l, batch, rows, middle, 0) <= limit) low = middle;
                else high = middle - 64;
            }
            if (low > best_slice) best_rows = rows, best_slice = low;
            if (low >= want) break;
        }
        if (rows == 1) break;
    }
    if (!best_rows) return false;
    lay_out(l, batch, best_rows, best_slice, 0);
    return true;
}

// ---- what it costs: operations for each row and column ----

// Bytes of memory that a logit in a chunk moves. A CPU's chunk is in its cache but for what is kept; elsewhere the product
// writes it, the sweep reads it, it becomes its gradient in place, and each product reads that.
static double bytes_moved(const linear *l, double kept, int sides)
{
    if (l->rows.plan->limits.backend == WANE_BACKEND_CPU) return 8 * kept;
    return (l->rows.given ? 4 : 12 - 4 * kept) + 8 + 4 * sides;
}

static double cost(const linear *l, double kept, double batch)
{
    int sides = (l->grad_input.operand >= 0) + (l->grad_weight.operand >= 0);
    double dim = (double)l->dim, made = l->rows.given ? 1 : 2 - kept;
    return dim * (2 * made + 2 * sides + 16.0 * OPS_PER_BYTE / batch) + SLOPE_OPS + OPS_PER_BYTE * bytes_moved(l, kept, sides);
}

static double cost_alone(const linear *l)
{
    int sides = linear_has_side(l, LINEAR_ROWS) + linear_has_side(l, LINEAR_COLS);
    return (double)l->dim * (l->rows.given ? 0 : 2) + sides * (4 * (double)l->dim + SLOPE_OPS);
}

// ---- how much is kept ----

// As many chunks as the budget has room for, where that is worth it. Returns the cost of a batch so cut.
static double keep_chunks(linear *l, uint64_t limit, int64_t batch)
{
    int64_t all = l->slices * l->row_chunks, room = (int64_t)((limit - l->total) / linear_chunk_bytes(l)), kept = room;
    if (room + 1 >= all) kept = all;
    l->keeps = !l->rows.given && (all == 1 || cost(l, 1, 1) < cost(l, 0, 1));
    if (!l->keeps) kept = 0;
    lay_out(l, batch, l->chunk_rows, l->slice, kept);
    return cost(l, (double)kept / (double)all, (double)batch);
}

// Batches are tried from the largest that a device can bind on: this many, then about an eighth more each time.
static int64_t next_count(int64_t count) { return count + 1 + count / 8; }

static int64_t batch_of(const linear *l, int64_t count)
{
    int64_t rows = softmax_clamp(l->rows.rows, 1, INT64_MAX);
    return tile_ceil_div(rows, count < rows ? count : rows);
}

// Returns what the cut costs that it leaves, 0 if there is none.
static double cheapest(linear *l, uint64_t limit, int64_t first)
{
    int64_t best_batch = 0;
    double best = 0;
    for (int64_t count = first, batch = 0; batch != 1; count = next_count(count)) {
        batch = batch_of(l, count);
        if (batch < BATCH_ROWS_LEAST && best_batch) break;
        if (!linear_one_batch(l, batch) || !one_chunk(l, limit, batch)) continue;
        double found = keep_chunks(l, limit, batch);
        if (!best_batch || found < best) best = found, best_batch = batch;
        if (l->kept == l->slices * l->row_chunks) break;               // smaller ones cost more
    }
    return best_batch && one_chunk(l, limit, best_batch) ? keep_chunks(l, limit, best_batch) : 0;
}

// ---- without memory for logits ----

// Planes of so many slices, and sums of the gradients' sides, which are made one after the other in one place. Returns the bytes
// of it, at most `limit` if that can be; UINT64_MAX if the device cannot bind it.
static uint64_t lay_out_alone(linear *l, uint64_t limit, int64_t batch, int64_t splits)
{
    softmax_problem *p = &l->rows;
    uint64_t window = wane_min_u64(p->plan->limits.max_window_bytes - 512, (uint64_t)4 * INT32_MAX), most = 0;
    l->alone = true;
    l->splits = splits;
    l->kept = 0;
    p->slices = splits ? (uint32_t)splits + 1 : 1;
    l->work = 4 * words_of_rows(l, batch);
    l->chunk_rows = batch;
    int64_t cols = splits ? linear_sweep_window(l, &l->chunk_rows) : p->cols;
    if (l->work > window || cols == 0 || tile_ceil_div(p->cols, cols) > SLICES_MOST) return UINT64_MAX;
    l->slice = tile_ceil_div(tile_ceil_div(cols, splits ? splits : 1), TILE_COLS) * (int64_t)TILE_COLS;
    l->slices = tile_ceil_div(p->cols, cols);
    l->sums = wane_round_up(l->work, 256);
    for (int side = 0; side < LINEAR_SIDES; side++) {
        if (!linear_has_side(l, side)) continue;
        uint64_t bytes = linear_cut_side(l, side, limit > l->sums ? limit - l->sums : 0);
        if (bytes == UINT64_MAX) return bytes;
        most = bytes > most ? bytes : most;
    }
    l->total = most ? l->sums + most : l->work;
    return l->total;
}

// As many slices as fill a device, or as the budget holds.
static bool no_scratch(linear *l, uint64_t limit, int64_t first)
{
    for (int64_t count = first, batch = 0; batch != 1; count = next_count(count)) {
        batch = batch_of(l, count);
        if (!linear_one_batch(l, batch)) continue;
        int64_t splits = softmax_clamp(tile_ceil_div(LINEAR_GROUPS, tile_ceil_div(batch, TILE_ROWS)), 1, LINEAR_SPLITS_MOST);
        for (splits = l->rows.given ? 0 : splits; ; splits /= 2) {
            if (lay_out_alone(l, limit, batch, splits) <= limit) return true;
            if (splits <= 1) break;
        }
    }
    return false;
}

// Whether there is such a plan at all.
static bool can_alone(const linear *l)
{
    return l->grad ? l->dim <= (int64_t)TILE_WIDE_MOST : !l->rows.given && l->dim <= (int64_t)TILE_DEPTH_MOST;
}

// Whether it is better than one that costs so much. A CPU's products are written by hand and leave a chunk in its cache: there a
// chunk is always the faster way.
static bool better_alone(const linear *l, double chunks)
{
    const wane_limits *limits = &l->rows.plan->limits;
    if (!can_alone(l)) return false;
    if (l->grad && limits->linear_chunk_dim) return l->dim < (int64_t)limits->linear_chunk_dim;
    return limits->backend != WANE_BACKEND_CPU && (!l->grad || cost_alone(l) < chunks);
}

// ---- values alone, in chunks ----

// Values alone: planes may take half of the budget, unless there is no other way.
static bool forward(linear *l, uint64_t limit, int64_t first)
{
    for (int thin = 1; thin >= 0; thin--)
        for (int64_t count = first, batch = 0; batch != 1; count = next_count(count)) {
            batch = batch_of(l, count);
            if ((!thin || 8 * words_of_rows(l, batch) <= limit || batch == 1) && one_chunk(l, limit, batch)) return true;
        }
    return false;
}

// ---- rows of a batch ----

static int64_t most_rows(linear *l)
{
    softmax_problem *p = &l->rows;
    wane_plan *plan = p->plan;
    p->slices = 2;
    int64_t most = softmax_most_rows(p, p->rows ? p->rows : 1, p->cols);
    // scalars, parts and planes of a batch are one window too; words are counted in 32 bits
    uint64_t window = wane_min_u64(plan->limits.max_window_bytes - 512, (uint64_t)4 * INT32_MAX);
    while (most > 0 && 4 * words_of_rows(l, most) > window) most = most > 1 ? tile_ceil_div(most, 2) : 0;
    // the batch's rows, wherever they lie, in one window
    tile_matrix all[2] = {l->input, l->grad_input};
    for (int i = 0; i < 2 && l->ordered; i++)
        for (all[i].rows = most; most > 1 && all[i].operand >= 0 && !tile_fits(plan, &all[i]); all[i].rows = most)
            most = tile_ceil_div(most, 2);
    return most;
}

static wane_status does_not_fit(linear *l, uint64_t limit, int64_t first)
{
    wane_context *context = l->rows.plan->context;
    uint64_t least = UINT64_MAX;
    for (int64_t count = first, batch = 0; batch != 1; count = next_count(count)) {
        batch = batch_of(l, count);
        if (!linear_one_batch(l, batch)) continue;
        least = wane_min_u64(least, lay_out(l, batch, 1, slice_least(l), 0));
        if (can_alone(l)) least = wane_min_u64(least, lay_out_alone(l, 0, batch, l->rows.given ? 0 : 1));
    }
    if (least == UINT64_MAX)
        return wane_fail(context, WANE_ERROR_TOO_LARGE, "grad_linear_weight",
                         "of a half type is rounded once, which needs all rows in one batch, and those do not fit a window: "
                         "ask for f32 gradients, or call with fewer rows and accumulate");
    return wane_fail(context, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes",
                     "is %llu, and the smallest plan needs %llu bytes of workspace", (unsigned long long)limit,
                     (unsigned long long)least);
}

wane_status linear_cut(linear *l)
{
    softmax_problem *p = &l->rows;
    wane_plan *plan = p->plan;
    if (!p->inner) p->inner = 1;
    p->window_cols = p->cols;
    int64_t most = most_rows(l);
    if (most == 0)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "workspace", "planes of one row do not fit the device's window of %llu bytes",
                         (unsigned long long)plan->limits.max_window_bytes);
    uint64_t limit = plan->workspace_limit_bytes;
    if (!limit) limit = l->grad ? BACKWARD_BYTES + 4 * (uint64_t)p->rows * (uint64_t)l->dim : FORWARD_BYTES;
    int64_t first = tile_ceil_div(p->rows ? p->rows : 1, most);
    double chunks = l->grad ? cheapest(l, limit, first) : forward(l, limit, first);
    if (better_alone(l, chunks) && no_scratch(l, limit, first)) return WANE_OK;
    if (l->alone) chunks = l->grad ? cheapest(l, limit, first) : forward(l, limit, first);
    l->squeezed = chunks == 0;
    if (!l->squeezed || (can_alone(l) && no_scratch(l, limit, first))) return WANE_OK;
    return does_not_fit(l, limit, first);
}
