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
    int64_t rows, cols;                    // rows = outer * inner: all dimensions but the class axis
    int64_t outer, inner;
    uint32_t row_dims;                     // dimensions that make the rows: 1, 2 or 3
    bool fold_outer;                       // of three, the first two are folded to `outer`; else the last two to `inner`
    bool given, save, fused, mean;
    uint32_t term, options, types;
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

// ---- views: rows as (outer, inner), each with a stride ----

typedef struct view {
    int64_t outer, inner, col;             // strides in elements
} view;

// First dimension of an operand's rows, or -1: [rows.., cols], [rows..], [planes, rows..], or no rows at all.
static void row_dims_of(const wane_plan_operand *o, uint32_t dims[3], uint32_t count)
{
    bool matrix = strcmp(o->role->shape, "rows,cols") == 0, planes = strcmp(o->role->shape, "planes,rows") == 0;
    for (uint32_t i = 0; i < count; i++) dims[i] = matrix ? (i ? i + 1 : 0) : planes ? i + 1 : i;
}

static bool has_rows(const problem *p, const wane_plan_operand *o)
{
    return strstr(o->role->shape, "rows") || (strcmp(o->role->shape, "reduced") == 0
                                              && p->plan->params[WANE_PARAM_REDUCTION] == WANE_REDUCTION_NONE);
}

static view view_of(const problem *p, int operand)
{
    const wane_plan_operand *o = &p->plan->operands[operand];
    view v = {0, 0, 0};
    bool planes = strcmp(o->role->shape, "planes,rows") == 0;
    if (!has_rows(p, o)) {
        v.col = o->rank ? o->strides[0] : 0;
        return v;
    }
    uint32_t dims[3];
    row_dims_of(o, dims, p->row_dims);
    if (strcmp(o->role->shape, "rows,cols") == 0) v.col = o->strides[1];
    if (planes) v.col = o->strides[0];
    v.inner = o->strides[dims[p->row_dims - 1]];
    if (p->row_dims == 2) v.outer = o->strides[dims[0]];
    if (p->row_dims == 3) v.outer = o->strides[dims[p->fold_outer ? 1 : 0]];
    return v;
}

// Whether dimensions a and a + 1 of an operand's three row dimensions step like one.
static bool folds(const wane_plan_operand *o, uint32_t a)
{
    uint32_t dims[3];
    row_dims_of(o, dims, 3);
    int64_t extent = o->extents[dims[a + 1]];
    return o->extents[dims[a]] <= 1 || o->strides[dims[a]] == extent * o->strides[dims[a + 1]];
}

static wane_status read_rows(problem *p)
{
    const wane_plan_operand *logits = &p->plan->operands[p->logits];
    uint32_t dims[3];
    p->row_dims = logits->rank - 1;
    row_dims_of(logits, dims, p->row_dims);
    int64_t extent[3] = {1, 1, 1};
    p->rows = 1;
    for (uint32_t i = 0; i < p->row_dims; i++) {
        extent[3 - p->row_dims + i] = logits->extents[dims[i]];
        if (!wane_mul_i64(p->rows, logits->extents[dims[i]], &p->rows)) p->rows = INT64_MAX;
    }
    p->outer = extent[0] * extent[1];
    p->inner = extent[2];
    if (p->row_dims < 3 || p->rows == 0) return WANE_OK;
    bool by_inner = true, by_outer = true;
    const char *bent = "logits";
    for (uint32_t i = 0; i < p->plan->operand_count; i++) {
        const wane_plan_operand *o = &p->plan->operands[i];
        if (!has_rows(p, o)) continue;
        if (!folds(o, 1)) by_inner = false, bent = o->role->name;   // what is contiguous folds this way
        if (!folds(o, 0)) by_outer = false;
    }
    if (!by_inner && !by_outer)
        return wane_fail(p->plan->context, WANE_ERROR_UNSUPPORTED, bent,
                         "has strides under which neither the last two nor the first two row dimensions step like one: "
                         "make it contiguous");
    p->fold_outer = !by_inner;
    p->outer = by_inner ? extent[0] : extent[0] * extent[1];
    p->inner = by_inner ? extent[1] * extent[2] : extent[2];
    return WANE_OK;
}

static uint32_t type_code(wane_dtype dtype)
{
    return dtype == WANE_DTYPE_F16 ? TYPE_F16 : dtype == WANE_DTYPE_BF16 ? TYPE_BF16 : TYPE_F32;
}

// The gradient's type is that of the logits, or f32; in place it is the logits' own memory.
static wane_status read_types(problem *p)
{
    wane_context *context = p->plan->context;
    const wane_plan_operand *logits = &p->plan->operands[p->logits];
    p->types = type_code(logits->dtype);
    if (p->grad < 0) return WANE_OK;
    const wane_plan_operand *grad = &p->plan->operands[p->grad];
    p->types |= type_code(grad->dtype) << SHIFT_GRAD;
    if (grad->dtype != logits->dtype && grad->dtype != WANE_DTYPE_F32)
        return wane_fail(context, WANE_ERROR_DTYPE, "grad_logits", "has type %s: it takes that of logits, %s, or f32",
                         wane_dtype_name(grad->dtype), wane_dtype_name(logits->dtype));
    if (!(grad->flags & WANE_OPERAND_IN_PLACE)) return WANE_OK;
    if (grad->flags & WANE_OPERAND_ACCUMULATE)
        return wane_fail(context, WANE_ERROR_FLAGS, "grad_logits", "cannot both accumulate and lie over the logits");
    bool same = grad->dtype == logits->dtype;
    for (uint32_t d = 0; d < logits->rank; d++) same = same && grad->strides[d] == logits->strides[d];
    if (!same)
        return wane_fail(context, WANE_ERROR_STRIDE, "grad_logits", "lies over the logits and must have their type and strides");
    return WANE_OK;
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
    p->cols = plan->operands[p->logits].extents[1];
    if (p->cols < 1) return wane_fail(context, WANE_ERROR_EXTENT, "logits", "has no columns: a softmax needs one or more");
    wane_status status = read_rows(p);
    if (status == WANE_OK) status = read_types(p);
    if (status) return status;
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
        return wane_fail(context, WANE_ERROR_STATISTICS, "entropy", "needs the plane WANE_STATISTIC_SUM_EXP_X: save it by statistics_mask in the forward call, and give that mask");
    if (p->grad >= 0) p->options |= OPTION_GRAD;
    if (p->grad >= 0 && plan->operands[p->grad].flags & WANE_OPERAND_ACCUMULATE) p->options |= OPTION_ACCUMULATE;
    if (p->grad >= 0 && plan->operands[p->grad].flags & WANE_OPERAND_IN_PLACE) p->options |= OPTION_IN_PLACE;
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

static uint64_t size_of(int64_t stride) { return stride < 0 ? (uint64_t)-stride : (uint64_t)stride; }

// Elements from the lowest to the highest of `rows` rows and `cols` columns of a view, less one.
static uint64_t reach(const problem *p, view v, int64_t rows, int64_t cols)
{
    int64_t inner = rows < p->inner ? rows : p->inner, outer = (rows + p->inner - 1) / p->inner;
    return (uint64_t)(outer - 1) * size_of(v.outer) + (uint64_t)(inner - 1) * size_of(v.inner)
         + (uint64_t)(cols - 1) * size_of(v.col);
}

// Whether a window of an operand spans few enough bytes, and strides that are stepped over fit a word.
static bool span_fits(const problem *p, int operand, int64_t rows, int64_t cols)
{
    if (operand < 0) return true;
    view v = view_of(p, operand);
    const uint64_t most = INT32_MAX;
    if ((rows > p->inner && size_of(v.outer) > most) || (rows > 1 && size_of(v.inner) > most)
        || (cols > 1 && size_of(v.col) > most))
        return false;
    return reach(p, v, rows, cols) + 1 <= (p->plan->limits.max_window_bytes - 512) / wane_dtype_bytes(p->plan->operands[operand].dtype);
}

static bool fits(const problem *p, int64_t rows, int64_t cols)
{
    int64_t planes = wane_statistics_plane_count(p->plan->statistics_mask);
    return span_fits(p, p->logits, rows, cols) && span_fits(p, p->grad, rows, cols) && span_fits(p, p->weight, 1, cols)
        && span_fits(p, p->target, rows, 1) && span_fits(p, p->row_weight, rows, 1) && span_fits(p, p->upstream, rows, 1)
        && span_fits(p, p->upstream_lse, rows, 1) && span_fits(p, p->statistics, rows, planes);
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

// Rows of the batch that begins at `row`: whole outers, or a part of one.
static int64_t batch_at(const problem *p, int64_t row, int64_t batch)
{
    int64_t rows = clamp(p->rows - row, 1, batch);
    return batch < p->inner ? clamp(p->inner - row % p->inner, 1, rows) : rows;
}

static uint64_t batch_count(const problem *p, int64_t batch)
{
    if (p->rows == 0) return 0;
    if (batch >= p->inner) return (uint64_t)((p->rows + batch - 1) / batch);
    return (uint64_t)p->outer * (uint64_t)((p->inner + batch - 1) / batch);
}

// Rows of a batch and columns of a window.
static wane_status cut(problem *p)
{
    wane_plan *plan = p->plan;
    view logits = view_of(p, p->logits);
    int64_t rows = p->rows ? p->rows : 1;
    if (!p->inner) p->inner = 1;
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
        bool by_rows = size_of(logits.inner) >= size_of(logits.col);
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
        if (batch > p->inner && p->inner) batch = batch / p->inner * p->inner;
        parts = batch_count(p, batch) * (((uint64_t)batch + SOFTMAX_REDUCE_ROWS - 1) / SOFTMAX_REDUCE_ROWS);
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

// Outer and inner stride of an operand's rows, and the stride of its columns or planes.
static void put_strides(const problem *p, int operand, uint32_t *outer, uint32_t *inner, uint32_t *col)
{
    if (operand < 0) return;
    view v = view_of(p, operand);
    *outer = (uint32_t)v.outer;
    *inner = (uint32_t)v.inner;
    if (col) *col = (uint32_t)v.col;
}

// A loss's own parameters, those that are none of the family's, in the registry's order: what its term reads.
static void put_term(const wane_plan *plan, softmax_record *r)
{
    static const wane_param common[] = {WANE_PARAM_REDUCTION, WANE_PARAM_IGNORE_INDEX, WANE_PARAM_LABEL_SMOOTHING,
                                        WANE_PARAM_TEMPERATURE, WANE_PARAM_SOFTCAP, WANE_PARAM_Z_LOSS};
    float *own[2] = {&r->term_a, &r->term_b};
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->loss->param_count; i++) {
        wane_param id = wane_loss_param_at(plan->loss, i)->param;
        bool shared = false;
        for (uint32_t k = 0; k < sizeof common / sizeof common[0]; k++) shared = shared || common[k] == id;
        if (!shared && count < 2) *own[count++] = (float)param(plan, id);
    }
}

static void fill_record(problem *p)
{
    const wane_plan *plan = p->plan;
    softmax_record *r = p->record;
    r->cols = (uint32_t)p->cols;
    uint64_t ignore = (uint64_t)(int64_t)param(plan, WANE_PARAM_IGNORE_INDEX);
    r->ignore_lo = (uint32_t)ignore;
    r->ignore_hi = (uint32_t)(ignore >> 32);
    uint32_t none = 0;
    r->rows_inner = (uint32_t)p->inner;
    put_strides(p, p->logits, &r->logits_outer, &r->logits_row, &r->logits_col);
    put_strides(p, p->grad, &r->grad_outer, &r->grad_row, &r->grad_col);
    put_strides(p, p->target, &r->target_outer, &r->target_row, NULL);
    put_strides(p, p->weight, &none, &none, &r->weight_col);
    put_strides(p, p->row_weight, &r->row_weight_outer, &r->row_weight_row, NULL);
    put_strides(p, p->upstream, &r->upstream_outer, &r->upstream_row, NULL);
    put_strides(p, p->upstream_lse, &r->upstream_lse_outer, &r->upstream_lse_row, NULL);
    put_strides(p, p->statistics, &r->statistics_outer, &r->statistics_row, &r->statistics_plane);
    r->reduction = (uint32_t)param(plan, WANE_PARAM_REDUCTION);
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
    // a temperature near 0 has an inverse beyond f32, and infinity times a difference of 0 would be NaN
    double inverse = 1.0 / param(plan, WANE_PARAM_TEMPERATURE);
    r->inverse_temperature = inverse < 3.4028234e38 ? (float)inverse : 3.4028234e38f;
    double cap = param(plan, WANE_PARAM_SOFTCAP), smooth = param(plan, WANE_PARAM_LABEL_SMOOTHING);
    r->softcap = (float)cap;
    r->inverse_softcap = cap > 0 ? (float)(1.0 / cap) : 0;
    r->z_loss = (float)param(plan, WANE_PARAM_Z_LOSS);
    r->smoothing = (float)smooth;
    r->smoothing_each = (float)(smooth / (double)p->cols);
    put_term(plan, r);
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
    wane_slot slot = {WANE_SLOT_WORKSPACE, 0, 0, p->plan->workspace_bytes, 0};
    return slot;
}

// Rows row .. row + rows and columns col .. col + cols of an operand as a slot whose index 0 is the first of them.
static wane_slot slot_of(const problem *p, int operand, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    wane_slot slot = {WANE_SLOT_NONE, 0, 0, 0, 0};
    if (operand < 0) return slot;
    view v = view_of(p, operand);
    int64_t size = (int64_t)wane_dtype_bytes(p->plan->operands[operand].dtype), low = 0;
    int64_t inner = rows < p->inner ? rows : p->inner, outer = (rows + p->inner - 1) / p->inner;
    if (v.outer < 0) low += (outer - 1) * v.outer;
    if (v.inner < 0) low += (inner - 1) * v.inner;
    if (v.col < 0) low += (cols - 1) * v.col;
    int64_t first = row / p->inner * v.outer + row % p->inner * v.inner + col * v.col;
    slot.operand = operand;
    slot.byte_offset = (first + low) * size;
    slot.byte_length = (reach(p, v, rows, cols) + 1) * (uint64_t)size;
    slot.origin_bytes = (uint64_t)(-low * size);
    return slot;
}

static wane_slot rows_of(const problem *p, int operand, int64_t row, int64_t rows)
{
    return slot_of(p, operand, row, rows, 0, 1);
}

static wane_slot cols_of(const problem *p, int operand, int64_t col, int64_t cols)
{
    return slot_of(p, operand, 0, 1, col, cols);
}

// One dispatch for each window of the class weights, which are looked up by target.
static bool add_gather(problem *p, int64_t row, int64_t rows)
{
    int64_t step = p->weight >= 0 ? p->window_cols : p->cols;
    for (int64_t col = 0; col < p->cols; col += step) {
        softmax_window window = {0};
        int64_t cols = clamp(p->cols - col, 1, step);
        window.col0 = (uint32_t)col;
        window.cols_here = (uint32_t)cols;
        wane_pass *pass = add(p, WANE_KERNEL_SOFTMAX_GATHER, rows, window);
        if (!pass) return false;
        pass->slots[0] = rows_of(p, p->target, row, rows);
        pass->slots[1] = cols_of(p, p->weight, col, cols);
        pass->slots[2] = rows_of(p, p->row_weight, row, rows);
        pass->slots[3] = rows_of(p, p->upstream, row, rows);
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
    pass->consts[2] = p->types;
    pass->slots[0] = slot_of(p, p->logits, row, rows, 0, p->cols);
    if (p->options & OPTION_CLASS_WEIGHT) pass->slots[1] = cols_of(p, p->weight, 0, p->cols);
    pass->slots[2] = slot_of(p, p->grad, row, rows, 0, p->cols);
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
        pass->consts[1] = write ? p->options & (OPTION_GRAD | OPTION_ACCUMULATE | OPTION_SOFTCAP | OPTION_CLASS_WEIGHT
                                                | OPTION_IN_PLACE)
                                : p->options & ~(OPTION_GRAD | OPTION_ACCUMULATE | OPTION_SAVE | OPTION_IN_PLACE);
        pass->consts[2] = write ? p->types : p->types & 15u;
        pass->slots[0] = slot_of(p, p->logits, row, rows, col, cols);
        if (p->options & OPTION_CLASS_WEIGHT) pass->slots[1] = cols_of(p, p->weight, col, cols);
        if (write) pass->slots[2] = slot_of(p, p->grad, row, rows, col, cols);
        pass->slots[write ? 3 : 2] = whole_work(p);
    }
    return true;
}

static bool add_planes(problem *p, uint16_t kernel, int64_t row, int64_t rows)
{
    softmax_window window = {0};
    wane_pass *pass = add(p, kernel, rows, window);
    if (!pass) return false;
    wane_slot planes = slot_of(p, p->statistics, row, rows, 0, wane_statistics_plane_count(p->plan->statistics_mask));
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
    view v = view_of(p, index);
    bool by_row = has_rows(p, o);
    pass->window[2] = first;
    pass->window[3] = (uint32_t)(by_row ? v.inner : v.col);
    pass->window[4] = o->dtype == WANE_DTYPE_I64;
    pass->window[5] = by_row ? (uint32_t)p->inner : 0xffffffffu;
    pass->window[6] = (uint32_t)v.outer;
    pass->slots[0] = whole_work(p);
    pass->slots[1] = by_row ? rows_of(p, index, row, rows) : cols_of(p, index, 0, rows);
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
    bool one = p->rows <= batch_at(p, 0, p->batch_rows);
    uint32_t part = 0, parts_each = (uint32_t)((p->batch_rows + SOFTMAX_REDUCE_ROWS - 1) / SOFTMAX_REDUCE_ROWS);
    if (p->mean) {
        for (int64_t row = 0, rows; row < p->rows; row += rows, part += parts_each) {
            rows = batch_at(p, row, p->batch_rows);
            if (!add_gather(p, row, rows) || !add_reduce(p, rows, MODE_COUNT, part)) return false;
        }
        if (!add_finish(p, MODE_COUNT, p->rows ? p->parts : 0)) return false;
    }
    part = 0;
    for (int64_t row = 0, rows; row < p->rows; row += rows, part += parts_each) {
        rows = batch_at(p, row, p->batch_rows);
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
    uint64_t size = wane_dtype_bytes(p->plan->operands[p->logits].dtype);
    if (!p->fused && !p->given && p->grad >= 0) info->moved_bytes += elements * size;
    if (p->given && p->grad < 0) info->moved_bytes -= elements * size;
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
