// softmax_cut.c - rows of a batch and columns of a window, so that windows, the workspace and a dispatch's budget hold.
#include "loss/softmax.h"

enum {
    SPLIT_ROWS_BELOW = 64,                 // fewer rows than this do not fill a device, unless it is tuned,
    SPLIT_COLS_FROM = 1 << 16,             // and are split if they are long
    SLICE_LEAST = 1 << 14,
    SLICE_MOST = 1 << 20,
    SLICE_STEP = 1024,                     // a block of the kernels
    WORKSPACE_WORDS = 1 << 22,             // planes of a batch, unless the caller says otherwise: at most so many, and
    WORKSPACE_WORDS_ROW = 4,               // for each row of the problem: 16 bytes, whatever planes a row of the batch has,
    WORKSPACE_WORDS_LEAST = 1 << 16,       // or these
    BATCHES_MOST = 1024,
    PASSES_MOST = 1 << 18                  // a plan of more is a stride gone wrong, and some 60 MB
};

// Whether a window of an operand spans few enough bytes, and strides that are stepped over fit a word.
static bool span_fits(const softmax_problem *p, int operand, int64_t rows, int64_t cols)
{
    if (operand < 0) return true;
    softmax_view v = softmax_view_of(p, operand);
    const uint64_t most = INT32_MAX;
    if ((rows > p->inner && softmax_stride_size(v.outer) > most) || (rows > 1 && softmax_stride_size(v.inner) > most)
        || (cols > 1 && softmax_stride_size(v.col) > most))
        return false;
    uint64_t most_bytes = p->plan->limits.max_window_bytes - 512;
    return softmax_reach(p, v, rows, cols) + 1 <= most_bytes / wane_dtype_bytes(p->plan->operands[operand].dtype);
}

static bool fits(const softmax_problem *p, int64_t rows, int64_t cols)
{
    int64_t planes = wane_statistics_plane_count(p->plan->statistics_mask);
    return span_fits(p, p->logits, rows, cols) && span_fits(p, p->grad, rows, cols) && span_fits(p, p->weight, 1, cols)
        && span_fits(p, p->target, rows, 1) && span_fits(p, p->second, rows, cols)
        && span_fits(p, p->grad_second, rows, cols) && span_fits(p, p->row_weight, rows, 1) && span_fits(p, p->upstream, rows, 1)
        && span_fits(p, p->upstream_lse, rows, 1) && span_fits(p, p->statistics, rows, planes);
}

int64_t softmax_most_rows(const softmax_problem *p, int64_t most, int64_t cols)
{
    if (!fits(p, 1, cols)) return 0;
    int64_t good = 1, bad = most + 1;
    while (bad - good > 1) {
        int64_t middle = good + (bad - good) / 2;
        if (fits(p, middle, cols)) good = middle;
        else bad = middle;
    }
    return good;
}

static int64_t most_cols(const softmax_problem *p, int64_t rows)
{
    int64_t good = 0, bad = p->cols / SLICE_STEP + 1;
    while (bad - good > 1) {
        int64_t middle = good + (bad - good) / 2;
        if (fits(p, rows, middle * SLICE_STEP)) good = middle;
        else bad = middle;
    }
    return good * SLICE_STEP;
}

static void cut_columns(softmax_problem *p)
{
    int64_t slice = softmax_clamp(p->cols / 1024, SLICE_LEAST, SLICE_MOST);
    slice = softmax_clamp((slice + SLICE_STEP - 1) / SLICE_STEP * SLICE_STEP, SLICE_STEP, p->window_cols);
    p->slice_cols = (uint32_t)slice;
    p->slices = (uint32_t)((p->cols + slice - 1) / slice);
    if (p->window_cols < p->cols) p->window_cols = p->window_cols / slice * slice;
}

uint32_t softmax_plane_count(const softmax_problem *p)
{
    // a fused row keeps its coefficients, and unless they are asked for its statistics, to itself
    if (p->fused) return p->save ? PLANE_COEF : PLANE_MAX;
    uint32_t slices = p->given ? 1 : p->slices;
    return (SOFTMAX_PLANES + slices * SLICE_PLANES) * (p->pair & PAIR_TEACHER ? 2 : 1);
}

// Rows of the batch that begins at `row`: whole outers, or a part of one.
int64_t softmax_batch_at(const softmax_problem *p, int64_t row, int64_t batch)
{
    int64_t rows = softmax_clamp(p->rows - row, 1, batch);
    return batch < p->inner ? softmax_clamp(p->inner - row % p->inner, 1, rows) : rows;
}

static uint64_t batch_count(const softmax_problem *p, int64_t batch)
{
    if (p->rows == 0) return 0;
    if (batch >= p->inner) return (uint64_t)((p->rows + batch - 1) / batch);
    return (uint64_t)p->outer * (uint64_t)((p->inner + batch - 1) / batch);
}

// Rows of a batch whose planes take the words that they may.
static int64_t usual_rows(const softmax_problem *p)
{
    int64_t words = softmax_clamp(WORKSPACE_WORDS_ROW * p->rows, WORKSPACE_WORDS_LEAST, WORKSPACE_WORDS);
    return softmax_clamp(words / softmax_plane_count(p), p->rows / BATCHES_MOST + 1, INT32_MAX);
}

static wane_status does_not_fit(const wane_plan *plan, uint64_t least, uint64_t allowed)
{
    uint64_t window = plan->limits.max_window_bytes - 512;
    if (least > window)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "logits",
                         "the smallest plan needs %llu bytes of workspace, and the device's window has %llu: call with fewer rows",
                         (unsigned long long)least, (unsigned long long)window);
    return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes",
                     "allows %llu, and the smallest plan needs %llu bytes of workspace", (unsigned long long)allowed,
                     (unsigned long long)least);
}

// Rows of a batch and columns of a window.
wane_status softmax_cut(softmax_problem *p)
{
    wane_plan *plan = p->plan;
    softmax_view logits = softmax_view_of(p, p->logits);
    int64_t rows = p->rows ? p->rows : 1;
    if (!p->inner) p->inner = 1;
    int64_t budget = (int64_t)(plan->limits.max_dispatch_elems / (uint64_t)p->cols);
    rows = softmax_clamp(rows, 1, softmax_clamp(budget, 1, INT32_MAX));
    bool whole = fits(p, 1, p->cols);
    int64_t below = plan->limits.split_rows_below ? (int64_t)plan->limits.split_rows_below : SPLIT_ROWS_BELOW;
    bool few = p->rows < below && p->cols >= SPLIT_COLS_FROM;
    p->fused = !p->given && !p->pair && whole && p->cols <= SOFTMAX_FUSED_COLS_MOST && !few;
    p->window_cols = p->cols;
    if (whole) {
        rows = softmax_most_rows(p, rows, p->cols);
    } else {
        // along the dimension of the larger stride first
        bool by_rows = softmax_stride_size(logits.inner) >= softmax_stride_size(logits.col);
        int64_t cols = most_cols(p, by_rows ? 1 : rows);
        if (cols == 0) cols = most_cols(p, 1);
        if (cols == 0)
            return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "logits",
                             "not even %d columns of a row fit the device's window of %llu bytes: make rows contiguous",
                             SLICE_STEP, (unsigned long long)plan->limits.max_window_bytes);
        p->window_cols = cols;
        rows = softmax_most_rows(p, rows, cols);
    }
    cut_columns(p);
    if (whole && !plan->workspace_limit_bytes) rows = softmax_clamp(rows, 1, usual_rows(p));
    uint64_t words = WORKSPACE_WORDS;
    if (plan->workspace_limit_bytes) words = plan->workspace_limit_bytes / 4;
    words = wane_min_u64(words, (plan->limits.max_window_bytes - 512) / 4);
    words = wane_min_u64(words, UINT32_MAX);   // kernels count them in 32 bits
    uint64_t parts = (uint64_t)p->rows / SOFTMAX_REDUCE_ROWS + 2, fixed, least = UINT64_MAX;
    // every batch has a part of its own, so fewer rows a batch cost parts: settle by halving
    int64_t batch = rows;
    for (;; batch = (batch + 1) / 2) {
        if (batch > p->inner && p->inner) batch = batch / p->inner * p->inner;
        parts = batch_count(p, batch) * (((uint64_t)batch + SOFTMAX_REDUCE_ROWS - 1) / SOFTMAX_REDUCE_ROWS);
        fixed = wane_round_up(SOFTMAX_SCALARS + parts * SOFTMAX_PART_WORDS, 64);
        uint64_t need = fixed + (uint64_t)batch * softmax_plane_count(p);
        if (need <= words) break;
        least = wane_min_u64(least, need);
        if (batch == 1) return does_not_fit(plan, 4 * least, plan->workspace_limit_bytes ? plan->workspace_limit_bytes : 4 * words);
    }
    p->batch_rows = batch;
    p->parts = (uint32_t)parts;
    uint64_t windows = p->fused ? 1 : ((uint64_t)p->cols + (uint64_t)p->window_cols - 1) / (uint64_t)p->window_cols;
    uint64_t batches = ((uint64_t)p->rows + (uint64_t)batch - 1) / (uint64_t)batch;
    if (batches * (2 * windows + 12) > PASSES_MOST)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "logits",
                         "would take %llu batches of %llu windows: make rows contiguous, or raise workspace_limit_bytes",
                         (unsigned long long)batches, (unsigned long long)windows);
    return WANE_OK;
}
