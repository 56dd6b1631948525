// softmax.c - the planner of the softmax family: which passes turn logits and targets into values and gradients.
//
// Per batch of rows: gather packs the small per-row operands; then the fused row (sweep, link and write while the row is
// on chip or in cache), or the split row (sweep to partial planes, merge and link, write). reduce and finish make the
// scalars in a fixed order, emit writes each small output that was asked for. mean counts its denominator first, in a
// loop over the batches of its own. Rows are cut so that windows, the workspace and a dispatch's budget hold; columns
// only where one row does not fit a window, or where rows are too few to fill a device.
#include "loss/softmax.h"

static bool add_fused(softmax_problem *p, int64_t row, int64_t rows)
{
    softmax_window window = {0};
    window.cols_here = (uint32_t)p->cols;
    wane_pass *pass = softmax_add(p, WANE_KERNEL_SOFTMAX_ROW, rows, window);
    if (!pass) return false;
    pass->consts[0] = p->term;
    pass->consts[1] = p->options;
    pass->consts[2] = p->types;
    pass->slots[0] = softmax_slot_of(p, p->logits, row, rows, 0, p->cols);
    if (p->options & OPTION_CLASS_WEIGHT) pass->slots[1] = softmax_cols_of(p, p->weight, 0, p->cols);
    pass->slots[2] = softmax_slot_of(p, p->grad, row, rows, 0, p->cols);
    pass->slots[3] = softmax_whole_work(p);
    return true;
}

// One dispatch for each window of columns: partial statistics, or the gradient.
static bool add_columns(softmax_problem *p, uint16_t kernel, int64_t row, int64_t rows)
{
    bool write = kernel == WANE_KERNEL_SOFTMAX_WRITE;
    for (int64_t col = 0; col < p->cols; col += p->window_cols) {
        int64_t cols = softmax_clamp(p->cols - col, 1, p->window_cols);
        softmax_window window = {0};
        window.col0 = (uint32_t)col;
        window.cols_here = (uint32_t)cols;
        window.slice0 = window.part = (uint32_t)(col / p->slice_cols);
        window.slices_here = (uint32_t)((cols + p->slice_cols - 1) / p->slice_cols);
        wane_pass *pass = softmax_add(p, kernel, rows * window.slices_here, window);
        if (!pass) return false;
        // windows of one stage write different places
        if (col) pass->flags = WANE_PASS_WITH_PREVIOUS;
        pass->consts[1] = write ? p->options & (OPTION_GRAD | OPTION_ACCUMULATE | OPTION_SOFTCAP | OPTION_CLASS_WEIGHT
                                                | OPTION_IN_PLACE)
                                : p->options & ~(OPTION_GRAD | OPTION_ACCUMULATE | OPTION_SAVE | OPTION_IN_PLACE | OPTION_GIVEN);
        pass->consts[2] = write ? p->types : p->types & 15u;
        pass->slots[0] = softmax_slot_of(p, p->logits, row, rows, col, cols);
        if (p->options & OPTION_CLASS_WEIGHT) pass->slots[1] = softmax_cols_of(p, p->weight, col, cols);
        if (write) pass->slots[2] = softmax_slot_of(p, p->grad, row, rows, col, cols);
        pass->slots[write ? 3 : 2] = softmax_whole_work(p);
    }
    return true;
}

static bool add_split(softmax_problem *p, int64_t row, int64_t rows)
{
    bool good = p->given ? softmax_add_planes(p, WANE_KERNEL_SOFTMAX_RESTORE, row, rows)
                         : add_columns(p, WANE_KERNEL_SOFTMAX_SWEEP, row, rows);
    softmax_window window = {0};
    wane_pass *pass = good ? softmax_add(p, WANE_KERNEL_SOFTMAX_LINK, rows, window) : NULL;
    if (!pass) return false;
    pass->consts[0] = p->term;
    pass->consts[1] = p->options & (OPTION_NO_TARGET | OPTION_GIVEN);
    pass->slots[0] = softmax_whole_work(p);
    return p->grad < 0 || add_columns(p, WANE_KERNEL_SOFTMAX_WRITE, row, rows);
}

static bool add_rows(softmax_problem *p, int64_t row, int64_t rows)
{
    return p->pair ? softmax_add_pair(p, row, rows) : p->fused ? add_fused(p, row, rows) : add_split(p, row, rows);
}

static void count_costs(softmax_problem *p)
{
    wane_plan_info *info = &p->plan->info;
    uint64_t elements = (uint64_t)p->rows * (uint64_t)p->cols;
    // a split row's gradient reads the logits once more; a fused row's second reading finds them in cache
    uint64_t size = wane_dtype_bytes(p->plan->operands[p->logits].dtype);
    if (!p->fused && !p->given && p->grad >= 0) info->moved_bytes += elements * size;
    if (p->given && p->grad < 0) info->moved_bytes -= elements * size;
    info->exps = elements * ((uint64_t)!p->given + (p->grad >= 0));
    info->flops = elements * (p->grad >= 0 ? 6 : 3);
}

static wane_status plan_softmax(wane_plan *plan)
{
    softmax_problem p;
    wane_status status = softmax_read_problem(&p, plan);
    if (status == WANE_OK) status = softmax_cut(&p);
    if (status) return status;
    softmax_fill_record(&p);
    const char *why = p.fused ? "fused row" : "split row";
    const char *reason = p.pair ? "a row is compared with another source of weights"
                       : p.fused ? "a row fits a window and is at most 2^20 columns"
                       : p.given ? "statistics are given"
                       : p.window_cols < p.cols ? "a row does not fit a window"
                       : p.cols > SOFTMAX_FUSED_COLS_MOST ? "more than 2^20 columns" : "few and long rows";
    bool good = wane_plan_note(plan, "%s: %s. %lld rows a batch, windows of %lld columns, %u slices of %u columns", why,
                               reason, (long long)p.batch_rows, (long long)p.window_cols, p.fused ? 1 : p.slices,
                               p.fused ? (uint32_t)p.cols : p.slice_cols)
             && softmax_add_batches(&p, add_rows);
    if (!good) return wane_no_memory(plan->context);
    count_costs(&p);
    return WANE_OK;
}

extern const wane_family wane_family_softmax;
const wane_family wane_family_softmax = {"softmax", softmax_statistics_need, plan_softmax};
