// softmax.c - the planner of the softmax family: which passes turn logits and targets into values and gradients.
//
// Per batch of rows: gather packs the small per-row operands; then the fused row (sweep, link and write while the row is
// on chip or in cache), or the split row (sweep to partial planes, merge and link, write). reduce and finish make the
// scalars in a fixed order, emit writes each small output that was asked for. mean counts its denominator first, in a
// loop over the batches of its own. Rows are cut so that windows, the workspace and a dispatch's budget hold; columns
// only where one row does not fit a window, or where rows are too few to fill a device.
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

enum {
    FUSED_COLS_MOST = 1 << 20,             // beyond it a chain of additions would exceed 1024
    SPLIT_ROWS_BELOW = 64,                 // fewer rows than this do not fill a device,
    SPLIT_COLS_FROM = 1 << 16,             // and are split if they are long
    SLICE_LEAST = 1 << 14,
    SLICE_MOST = 1 << 20,
    SLICE_STEP = 1024,                     // a block of the kernels
    WORKSPACE_WORDS = 1 << 22,             // planes of a batch, unless the caller says otherwise
    PASSES_MOST = 1 << 18                  // a plan of more is a stride gone wrong, and some 60 MB
};

// A problem on its way to passes.
typedef struct problem {
    wane_plan *plan;
    softmax_record *record;
    int logits, target, weight, row_weight, upstream, upstream_lse, statistics, grad;
    int64_t rows, cols;
    bool given, save, fused, mean;
    uint32_t term, options;
    int64_t batch_rows, window_cols;       // of one window
    uint32_t slice_cols, slices, parts;    // parts of all batches
} problem;

static double param(const wane_plan *plan, wane_param id) { return plan->params[id]; }

static uint32_t statistics_need(const wane_plan *plan)
{
    uint32_t mask = WANE_STATISTIC_MAX | WANE_STATISTIC_SUM | WANE_STATISTIC_TARGET | WANE_STATISTIC_FLAGS;
    if (param(plan, WANE_PARAM_LABEL_SMOOTHING) > 0) mask |= WANE_STATISTIC_SUM_WEIGHT_X | WANE_STATISTIC_SUM_WEIGHT;
    return mask;
}

// ---- reading the problem ----

static bool wants(const problem *p, wane_role role)
{
    int index = wane_plan_find(p->plan, role);
    return index >= 0 && p->plan->operands[index].written;
}

static wane_status read_problem(problem *p, wane_plan *plan)
{
    wane_context *context = plan->context;
    memset(p, 0, sizeof *p);
    p->plan = plan;
    p->record = (softmax_record *)(void *)plan->records[0].words;
    p->logits = wane_plan_find(plan, WANE_ROLE_LOGITS);
    p->target = wane_plan_find(plan, WANE_ROLE_TARGET);
    p->weight = wane_plan_find(plan, WANE_ROLE_WEIGHT);
    p->row_weight = wane_plan_find(plan, WANE_ROLE_ROW_WEIGHT);
    p->upstream = wane_plan_find(plan, WANE_ROLE_UPSTREAM);
    p->upstream_lse = wane_plan_find(plan, WANE_ROLE_UPSTREAM_LSE);
    p->statistics = wane_plan_find(plan, WANE_ROLE_STATISTICS);
    p->grad = wane_plan_find(plan, WANE_ROLE_GRAD_LOGITS);
    p->rows = plan->operands[p->logits].extents[0];
    p->cols = plan->operands[p->logits].extents[1];
    if (p->cols < 1) return wane_fail(context, WANE_ERROR_EXTENT, "logits", "has no columns: a softmax needs one or more");
    if (p->cols > INT32_MAX || p->rows > INT32_MAX)
        return wane_fail(context, WANE_ERROR_TOO_LARGE, "logits", "rows and columns are at most 2^31 - 1");
    p->given = p->statistics >= 0 && !plan->operands[p->statistics].written;
    p->save = p->statistics >= 0 && !p->given;
    p->mean = param(plan, WANE_PARAM_REDUCTION) == WANE_REDUCTION_MEAN;
    p->term = (uint32_t)plan->loss->loss;
    uint32_t mask = plan->statistics_mask;
    if (p->given && (wants(p, WANE_ROLE_ARGMAX) || wants(p, WANE_ROLE_ACCURACY)))
        return wane_fail(context, WANE_ERROR_UNSUPPORTED, wants(p, WANE_ROLE_ARGMAX) ? "argmax" : "accuracy",
                         "cannot be told from statistics: ask for it in the forward call");
    if (p->given && wants(p, WANE_ROLE_ENTROPY) && !(mask & WANE_STATISTIC_SUM_EXP_X))
        return wane_fail(context, WANE_ERROR_STATISTICS, "entropy", "needs the plane WANE_STATISTIC_SUM_EXP_X");
    if (p->grad >= 0) p->options |= OPTION_GRAD;
    if (p->grad >= 0 && plan->operands[p->grad].flags & WANE_OPERAND_ACCUMULATE) p->options |= OPTION_ACCUMULATE;
    if (param(plan, WANE_PARAM_SOFTCAP) > 0) p->options |= OPTION_SOFTCAP;
    bool smooth = param(plan, WANE_PARAM_LABEL_SMOOTHING) > 0;
    if (smooth || (p->save && mask & (WANE_STATISTIC_SUM_WEIGHT_X | WANE_STATISTIC_SUM_WEIGHT))) p->options |= OPTION_WEIGHT_SUMS;
    if (p->weight >= 0 && p->options & OPTION_WEIGHT_SUMS) p->options |= OPTION_CLASS_WEIGHT;
    if (wants(p, WANE_ROLE_ENTROPY) || (p->save && mask & WANE_STATISTIC_SUM_EXP_X)) p->options |= OPTION_ENTROPY;
    if (wants(p, WANE_ROLE_ARGMAX) || wants(p, WANE_ROLE_ACCURACY)) p->options |= OPTION_ARGMAX;
    if (p->save) p->options |= OPTION_SAVE;
    return WANE_OK;
}

// ---- cutting ----

static uint64_t reach(const wane_plan_operand *o, uint32_t dim, int64_t count)
{
    int64_t stride = o->strides[dim] < 0 ? -o->strides[dim] : o->strides[dim];
    return (uint64_t)(count - 1) * (uint64_t)stride;
}

// Whether a window of an operand spans few enough bytes, and strides that are stepped over fit a word.
static bool span_fits(const problem *p, int operand, const int64_t *count)
{
    if (operand < 0) return true;
    const wane_plan_operand *o = &p->plan->operands[operand];
    uint64_t elements = 1;
    for (uint32_t d = 0; d < o->rank; d++) {
        if (count[d] > 1 && (o->strides[d] > INT32_MAX || o->strides[d] < -(int64_t)INT32_MAX)) return false;
        elements += reach(o, d, count[d]);
    }
    return elements <= (p->plan->limits.max_window_bytes - 512) / wane_dtype_bytes(o->dtype);
}

static bool fits(const problem *p, int64_t rows, int64_t cols)
{
    const int64_t matrix[2] = {rows, cols}, vector[1] = {rows}, row[1] = {cols};
    const int64_t planes[2] = {wane_statistics_plane_count(p->plan->statistics_mask), rows};
    int64_t scalars[1] = {p->plan->params[WANE_PARAM_REDUCTION] == WANE_REDUCTION_NONE ? rows : 1};
    return span_fits(p, p->logits, matrix) && span_fits(p, p->grad, matrix) && span_fits(p, p->weight, row)
        && span_fits(p, p->target, vector) && span_fits(p, p->row_weight, vector) && span_fits(p, p->upstream, scalars)
        && span_fits(p, p->upstream_lse, vector) && span_fits(p, p->statistics, planes);
}

// The largest count in 1..most with fits(count of rows, cols), 0 if there is none.
static int64_t most_rows(const problem *p, int64_t most, int64_t cols)
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

static int64_t most_cols(const problem *p, int64_t rows)
{
    int64_t good = 0, bad = p->cols / SLICE_STEP + 1;
    while (bad - good > 1) {
        int64_t middle = good + (bad - good) / 2;
        if (fits(p, rows, middle * SLICE_STEP)) good = middle;
        else bad = middle;
    }
    return good * SLICE_STEP;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high) { return value < low ? low : value > high ? high : value; }

static void cut_columns(problem *p)
{
    int64_t slice = clamp(p->cols / 1024, SLICE_LEAST, SLICE_MOST);
    slice = clamp((slice + SLICE_STEP - 1) / SLICE_STEP * SLICE_STEP, SLICE_STEP, p->window_cols);
    p->slice_cols = (uint32_t)slice;
    p->slices = (uint32_t)((p->cols + slice - 1) / slice);
    if (p->window_cols < p->cols) p->window_cols = p->window_cols / slice * slice;
}

static uint32_t plane_count(const problem *p)
{
    uint32_t slices = p->fused ? 0 : p->given ? 1 : p->slices;
    return SOFTMAX_PLANES + slices * SLICE_PLANES;
}

// Rows of a batch and columns of a window.
static wane_status cut(problem *p)
{
    wane_plan *plan = p->plan;
    const wane_plan_operand *logits = &plan->operands[p->logits];
    int64_t rows = p->rows ? p->rows : 1;
    int64_t budget = (int64_t)(plan->limits.max_dispatch_elems / (uint64_t)p->cols);
    rows = clamp(rows, 1, clamp(budget, 1, INT32_MAX));
    bool whole = fits(p, 1, p->cols);
    bool few = p->rows < SPLIT_ROWS_BELOW && p->cols >= SPLIT_COLS_FROM;
    p->fused = !p->given && whole && p->cols <= FUSED_COLS_MOST && !few;
    p->window_cols = p->cols;
    if (whole) {
        rows = most_rows(p, rows, p->cols);
    } else {
        // along the dimension of the larger stride first
        bool by_rows = reach(logits, 0, 2) >= reach(logits, 1, 2);
        int64_t cols = most_cols(p, by_rows ? 1 : rows);
        if (cols == 0) cols = most_cols(p, 1);
        if (cols == 0)
            return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "logits",
                             "not even %d columns of a row fit the device's window of %llu bytes: make rows contiguous",
                             SLICE_STEP, (unsigned long long)plan->limits.max_window_bytes);
        p->window_cols = cols;
        rows = most_rows(p, rows, cols);
    }
    cut_columns(p);
    uint64_t words = WORKSPACE_WORDS;
    if (plan->workspace_limit_bytes) words = plan->workspace_limit_bytes / 4;
    words = wane_min_u64(words, (plan->limits.max_window_bytes - 512) / 4);
    words = wane_min_u64(words, UINT32_MAX);   // kernels count them in 32 bits
    uint64_t parts = (uint64_t)p->rows / SOFTMAX_REDUCE_ROWS + 2, fixed;
    // every batch has a part of its own, so fewer rows a batch cost parts: settle by halving
    int64_t batch = rows;
    for (;; batch = (batch + 1) / 2) {
        parts = ((uint64_t)p->rows + (uint64_t)batch - 1) / (uint64_t)batch
              * (((uint64_t)batch + SOFTMAX_REDUCE_ROWS - 1) / SOFTMAX_REDUCE_ROWS);
        fixed = wane_round_up(SOFTMAX_SCALARS + parts * SOFTMAX_PART_WORDS, 64);
        uint64_t need = fixed + (uint64_t)batch * plane_count(p);
        if (need <= words) break;
        if (batch == 1)
            return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes",
                             "the smallest plan needs %llu bytes of workspace", (unsigned long long)need * 4);
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

// ---- the record ----

static uint32_t stride_words(const problem *p, int operand, uint32_t dim)
{
    return operand < 0 ? 0 : (uint32_t)p->plan->operands[operand].strides[dim];
}

static void fill_record(problem *p)
{
    const wane_plan *plan = p->plan;
    softmax_record *r = p->record;
    r->cols = (uint32_t)p->cols;
    uint64_t ignore = (uint64_t)(int64_t)param(plan, WANE_PARAM_IGNORE_INDEX);
    r->ignore_lo = (uint32_t)ignore;
    r->ignore_hi = (uint32_t)(ignore >> 32);
    r->logits_row = stride_words(p, p->logits, 0);
    r->logits_col = stride_words(p, p->logits, 1);
    r->grad_row = stride_words(p, p->grad, 0);
    r->grad_col = stride_words(p, p->grad, 1);
    r->target_row = stride_words(p, p->target, 0);
    r->weight_col = stride_words(p, p->weight, 0);
    r->row_weight_row = stride_words(p, p->row_weight, 0);
    r->upstream_lse_row = stride_words(p, p->upstream_lse, 0);
    r->reduction = (uint32_t)param(plan, WANE_PARAM_REDUCTION);
    if (p->upstream >= 0 && r->reduction == WANE_REDUCTION_NONE) r->upstream_row = stride_words(p, p->upstream, 0);
    r->statistics_plane = stride_words(p, p->statistics, 0);
    r->statistics_row = stride_words(p, p->statistics, 1);
    r->statistics_mask = plan->statistics_mask;
    r->flags = (p->row_weight >= 0 ? HAS_ROW_WEIGHT : 0) | (p->upstream >= 0 ? HAS_UPSTREAM : 0)
             | (p->upstream_lse >= 0 ? HAS_UPSTREAM_LSE : 0) | (p->weight >= 0 ? HAS_WEIGHT : 0)
             | (plan->operands[p->target].dtype == WANE_DTYPE_I64 ? HAS_TARGET_I64 : 0);
    r->partials = SOFTMAX_SCALARS;
    r->parts = p->parts;
    r->planes = (uint32_t)wane_round_up(SOFTMAX_SCALARS + (uint64_t)p->parts * SOFTMAX_PART_WORDS, 64);
    r->plane_rows = (uint32_t)p->batch_rows;
    r->slices = p->given ? 1 : p->slices;
    r->slice_cols = p->slice_cols;
    r->inverse_temperature = (float)(1.0 / param(plan, WANE_PARAM_TEMPERATURE));
    double cap = param(plan, WANE_PARAM_SOFTCAP), smooth = param(plan, WANE_PARAM_LABEL_SMOOTHING);
    r->softcap = (float)cap;
    r->inverse_softcap = cap > 0 ? (float)(1.0 / cap) : 0;
    r->z_loss = (float)param(plan, WANE_PARAM_Z_LOSS);
    r->smoothing = (float)smooth;
    r->smoothing_each = (float)(smooth / (double)p->cols);
    r->term_a = (float)(1.0 - param(plan, WANE_PARAM_TAU));
    p->plan->record_count = 1;
    p->plan->workspace_bytes = 4 * (r->planes + (uint64_t)p->batch_rows * plane_count(p));
    p->plan->status_byte = 4 * SOFTMAX_STATUS;
}

// ---- passes ----

static wane_pass *add(problem *p, uint16_t kernel, int64_t items, softmax_window window)
{
    wane_pass *pass = wane_plan_add(p->plan, kernel, (uint32_t)items);
    if (!pass) return NULL;
    window.items = (uint32_t)items;
    memcpy(pass->window, &window, sizeof window);
    return pass;
}

static wane_slot whole_work(const problem *p)
{
    wane_slot slot = {WANE_SLOT_WORKSPACE, 0, 0, p->plan->workspace_bytes};
    return slot;
}

static wane_slot rows_of(const problem *p, int operand, int64_t first, int64_t count)
{
    return wane_plan_window(p->plan, operand, &first, &count);
}

static wane_slot matrix_of(const problem *p, int operand, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    const int64_t first[2] = {row, col}, count[2] = {rows, cols};
    return wane_plan_window(p->plan, operand, first, count);
}

// One dispatch for each window of the class weights, which are looked up by target.
static bool add_gather(problem *p, int64_t row, int64_t rows)
{
    bool each = p->record->reduction == WANE_REDUCTION_NONE;
    int64_t step = p->weight >= 0 ? p->window_cols : p->cols;
    for (int64_t col = 0; col < p->cols; col += step) {
        softmax_window window = {0};
        int64_t cols = clamp(p->cols - col, 1, step);
        window.col0 = (uint32_t)col;
        window.cols_here = (uint32_t)cols;
        wane_pass *pass = add(p, WANE_KERNEL_SOFTMAX_GATHER, rows, window);
        if (!pass) return false;
        pass->slots[0] = rows_of(p, p->target, row, rows);
        pass->slots[1] = rows_of(p, p->weight, col, cols);
        pass->slots[2] = rows_of(p, p->row_weight, row, rows);
        pass->slots[3] = rows_of(p, p->upstream, each ? row : 0, each ? rows : 1);
        pass->slots[4] = rows_of(p, p->upstream_lse, row, rows);
        pass->slots[5] = whole_work(p);
    }
    return true;
}

// Always as many parts as a full batch has: those past the rows are zero, so that finish finds every part written.
static bool add_reduce(problem *p, int64_t rows, uint32_t mode, uint32_t part)
{
    softmax_window window = {0};
    window.col0 = (uint32_t)rows;
    window.mode = mode;
    window.part = part;
    wane_pass *pass = add(p, WANE_KERNEL_SOFTMAX_REDUCE, (p->batch_rows + SOFTMAX_REDUCE_ROWS - 1) / SOFTMAX_REDUCE_ROWS, window);
    if (pass) pass->slots[0] = whole_work(p);
    return pass != NULL;
}

static bool add_finish(problem *p, uint32_t mode, uint32_t parts)
{
    softmax_window window = {0};
    window.col0 = parts;
    window.mode = mode;
    wane_pass *pass = add(p, WANE_KERNEL_SOFTMAX_FINISH, 1, window);
    if (pass) pass->slots[0] = whole_work(p);
    return pass != NULL;
}

static bool add_fused(problem *p, int64_t row, int64_t rows)
{
    softmax_window window = {0};
    window.cols_here = (uint32_t)p->cols;
    wane_pass *pass = add(p, WANE_KERNEL_SOFTMAX_ROW, rows, window);
    if (!pass) return false;
    pass->consts[0] = p->term;
    pass->consts[1] = p->options;
    pass->slots[0] = matrix_of(p, p->logits, row, rows, 0, p->cols);
    if (p->options & OPTION_CLASS_WEIGHT) pass->slots[1] = rows_of(p, p->weight, 0, p->cols);
    pass->slots[2] = matrix_of(p, p->grad, row, rows, 0, p->cols);
    pass->slots[3] = whole_work(p);
    return true;
}

// One dispatch for each window of columns: partial statistics, or the gradient.
static bool add_columns(problem *p, uint16_t kernel, int64_t row, int64_t rows)
{
    bool write = kernel == WANE_KERNEL_SOFTMAX_WRITE;
    for (int64_t col = 0; col < p->cols; col += p->window_cols) {
        int64_t cols = clamp(p->cols - col, 1, p->window_cols);
        softmax_window window = {0};
        window.col0 = (uint32_t)col;
        window.cols_here = (uint32_t)cols;
        window.slice0 = (uint32_t)(col / p->slice_cols);
        window.slices_here = (uint32_t)((cols + p->slice_cols - 1) / p->slice_cols);
        wane_pass *pass = add(p, kernel, rows * window.slices_here, window);
        if (!pass) return false;
        // windows of one stage write different places
        if (col) pass->flags = WANE_PASS_WITH_PREVIOUS;
        pass->consts[1] = write ? p->options & (OPTION_GRAD | OPTION_ACCUMULATE | OPTION_SOFTCAP | OPTION_CLASS_WEIGHT)
                                : p->options & ~(OPTION_GRAD | OPTION_ACCUMULATE | OPTION_SAVE);
        pass->slots[0] = matrix_of(p, p->logits, row, rows, col, cols);
        if (p->options & OPTION_CLASS_WEIGHT) pass->slots[1] = rows_of(p, p->weight, col, cols);
        if (write) pass->slots[2] = matrix_of(p, p->grad, row, rows, col, cols);
        pass->slots[write ? 3 : 2] = whole_work(p);
    }
    return true;
}

static bool add_planes(problem *p, uint16_t kernel, int64_t row, int64_t rows)
{
    softmax_window window = {0};
    wane_pass *pass = add(p, kernel, rows, window);
    if (!pass) return false;
    wane_slot planes = matrix_of(p, p->statistics, 0, wane_statistics_plane_count(p->plan->statistics_mask), row, rows);
    bool save = kernel == WANE_KERNEL_SOFTMAX_SAVE;
    pass->slots[save ? 1 : 0] = planes;
    pass->slots[save ? 0 : 1] = whole_work(p);
    return true;
}

static bool add_split(problem *p, int64_t row, int64_t rows)
{
    bool good = p->given ? add_planes(p, WANE_KERNEL_SOFTMAX_RESTORE, row, rows)
                         : add_columns(p, WANE_KERNEL_SOFTMAX_SWEEP, row, rows);
    softmax_window window = {0};
    wane_pass *pass = good ? add(p, WANE_KERNEL_SOFTMAX_LINK, rows, window) : NULL;
    if (!pass) return false;
    pass->consts[0] = p->term;
    pass->slots[0] = whole_work(p);
    return p->grad < 0 || add_columns(p, WANE_KERNEL_SOFTMAX_WRITE, row, rows);
}

// Writes an output from consecutive words of the workspace. Outputs touch nothing that another emit touches.
static bool add_emit(problem *p, wane_role role, uint32_t first, int64_t row, int64_t rows, bool *before)
{
    if (!wants(p, role)) return true;
    int index = wane_plan_find(p->plan, role);
    const wane_plan_operand *o = &p->plan->operands[index];
    wane_pass *pass = wane_plan_add(p->plan, WANE_KERNEL_EMIT, (uint32_t)rows);
    if (!pass) return false;
    if (*before) pass->flags = WANE_PASS_WITH_PREVIOUS;
    *before = true;
    pass->window[2] = first;
    pass->window[3] = o->rank ? (uint32_t)o->strides[0] : 0;
    pass->window[4] = o->dtype == WANE_DTYPE_I64;
    pass->slots[0] = whole_work(p);
    pass->slots[1] = rows_of(p, index, row, rows);
    return true;
}

static bool emit_rows(problem *p, int64_t row, int64_t rows)
{
    bool before = false;
    uint32_t plane[] = {PLANE_ROW_LOSS, PLANE_ROW_LOSS, PLANE_LSE, PLANE_ENTROPY, PLANE_ARGMAX};
    wane_role roles[] = {WANE_ROLE_LOSS, WANE_ROLE_ROW_LOSS, WANE_ROLE_LSE, WANE_ROLE_ENTROPY, WANE_ROLE_ARGMAX};
    bool each = p->record->reduction == WANE_REDUCTION_NONE;
    for (int i = each ? 0 : 1; i < 5; i++)
        if (!add_emit(p, roles[i], p->record->planes + plane[i] * p->record->plane_rows, row, rows, &before)) return false;
    return true;
}

static bool emit_scalars(problem *p)
{
    bool before = false;
    bool each = p->record->reduction == WANE_REDUCTION_NONE;
    return (each || add_emit(p, WANE_ROLE_LOSS, SOFTMAX_LOSS, 0, 1, &before))
        && add_emit(p, WANE_ROLE_VALID_COUNT, SOFTMAX_VALID, 0, 1, &before)
        && add_emit(p, WANE_ROLE_ACCURACY, SOFTMAX_ACCURACY, 0, 1, &before)
        && add_emit(p, WANE_ROLE_STATUS, SOFTMAX_STATUS, 0, 8, &before);
}

static bool add_passes(problem *p)
{
    bool one = p->rows <= p->batch_rows;
    uint32_t part = 0, parts_each = (uint32_t)((p->batch_rows + SOFTMAX_REDUCE_ROWS - 1) / SOFTMAX_REDUCE_ROWS);
    if (p->mean) {
        for (int64_t row = 0; row < p->rows; row += p->batch_rows, part += parts_each) {
            int64_t rows = clamp(p->rows - row, 1, p->batch_rows);
            if (!add_gather(p, row, rows) || !add_reduce(p, rows, MODE_COUNT, part)) return false;
        }
        if (!add_finish(p, MODE_COUNT, p->rows ? p->parts : 0)) return false;
    }
    part = 0;
    for (int64_t row = 0; row < p->rows; row += p->batch_rows, part += parts_each) {
        int64_t rows = clamp(p->rows - row, 1, p->batch_rows);
        if (!(p->mean && one) && !add_gather(p, row, rows)) return false;
        if (!(p->fused ? add_fused(p, row, rows) : add_split(p, row, rows))) return false;
        if (!add_reduce(p, rows, MODE_LOSS, part) || !emit_rows(p, row, rows)) return false;
        if (p->save && !add_planes(p, WANE_KERNEL_SOFTMAX_SAVE, row, rows)) return false;
    }
    return add_finish(p, MODE_LOSS, p->rows ? p->parts : 0) && emit_scalars(p);
}

static void count_costs(problem *p)
{
    wane_plan_info *info = &p->plan->info;
    uint64_t elements = (uint64_t)p->rows * (uint64_t)p->cols;
    for (uint32_t i = 0; i < p->plan->operand_count; i++) {
        const wane_plan_operand *o = &p->plan->operands[i];
        uint64_t bytes = wane_dtype_bytes(o->dtype);
        for (uint32_t d = 0; d < o->rank; d++) bytes *= (uint64_t)o->extents[d];
        info->minimal_bytes += bytes * ((uint64_t)o->read + o->written);
    }
    // a split row's gradient reads the logits once more; a fused row's second reading finds them in cache
    info->moved_bytes = info->minimal_bytes;
    if (!p->fused && !p->given && p->grad >= 0) info->moved_bytes += elements * 4;
    if (p->given && p->grad < 0) info->moved_bytes -= elements * 4;
    info->exps = elements * ((uint64_t)!p->given + (p->grad >= 0));
    info->flops = elements * (p->grad >= 0 ? 6 : 3);
}

static wane_status plan_softmax(wane_plan *plan)
{
    problem p;
    wane_status status = read_problem(&p, plan);
    if (status == WANE_OK) status = cut(&p);
    if (status) return status;
    fill_record(&p);
    const char *why = p.fused ? "fused row" : "split row";
    const char *reason = p.fused ? "a row fits a window and is at most 2^20 columns"
                       : p.given ? "statistics are given"
                       : p.window_cols < p.cols ? "a row does not fit a window"
                       : p.cols > FUSED_COLS_MOST ? "more than 2^20 columns" : "few and long rows";
    bool good = wane_plan_note(plan, "%s: %s. %lld rows a batch, windows of %lld columns, %u slices of %u columns", why,
                               reason, (long long)p.batch_rows, (long long)p.window_cols, p.fused ? 1 : p.slices,
                               p.fused ? (uint32_t)p.cols : p.slice_cols)
             && add_passes(&p);
    if (!good) return wane_no_memory(plan->context);
    count_costs(&p);
    return WANE_OK;
}

extern const wane_family wane_family_softmax;
const wane_family wane_family_softmax = {"softmax", statistics_need, plan_softmax};
