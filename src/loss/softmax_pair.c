// softmax_pair.c - rows with a second source of target weights: teacher logits, probabilities, or bins around a number.
//
// One order of passes for all of them: sweep each tensor of logits and merge its statistics (planes of its own), then
// sum over both (pair_sweep), link, and write a gradient for each tensor that has one. The second tensor of logits is
// swept and written by the same kernels under a second record, in which the two are in each other's place.
#include "loss/softmax.h"

static bool is_float(const wane_plan_operand *o) { return WANE_TYPES_FLOAT & 1u << o->dtype; }

// Probabilities: torch's rules. No index, so nothing to ignore and nothing to be right about.
static wane_status read_given(softmax_problem *p)
{
    wane_context *context = p->plan->context;
    if (p->plan->given[WANE_PARAM_IGNORE_INDEX])
        return wane_fail(context, WANE_ERROR_UNKNOWN_PARAM, "ignore_index",
                         "means nothing where target holds probabilities: leave it out, or give a row the row_weight 0");
    if (softmax_wants(p, WANE_ROLE_ACCURACY))
        return wane_fail(context, WANE_ERROR_UNSUPPORTED, "accuracy", "needs a target of indices");
    p->pair = PAIR_GIVEN | PAIR_FORWARD;
    p->second = p->target;
    p->target = -1;
    if (p->weight >= 0) p->options |= OPTION_CLASS_WEIGHT;
    return WANE_OK;
}

static wane_status read_bins(softmax_problem *p)
{
    double first = softmax_param(p->plan, WANE_PARAM_VMIN), last = softmax_param(p->plan, WANE_PARAM_VMAX);
    if (!((float)last > (float)first))
        return wane_fail(p->plan->context, WANE_ERROR_PARAM_RANGE, "vmax", "is %g and must be above vmin, %g, in f32", last,
                         first);
    p->pair = PAIR_BINS | PAIR_FORWARD;
    return WANE_OK;
}

static wane_status read_teacher(softmax_problem *p)
{
    static const uint32_t directions[3] = {PAIR_FORWARD, PAIR_REVERSE, PAIR_FORWARD | PAIR_REVERSE};
    wane_plan *plan = p->plan;
    bool divergence = plan->loss->loss == WANE_LOSS_KL_LOGITS;
    p->pair = PAIR_TEACHER;
    if (divergence) p->pair |= PAIR_DIVERGENCE | directions[(int)softmax_param(plan, WANE_PARAM_DIRECTION)];
    else p->pair |= directions[softmax_param(plan, WANE_PARAM_SYMMETRIC) > 0 ? 2 : 0];
    p->grad_second = wane_plan_find(plan, WANE_ROLE_GRAD_TEACHER_LOGITS);
    uint32_t types, options = 0;
    wane_status status = softmax_read_grad(p, p->second, p->grad_second, &types, &options);
    if (status) return status;
    if (options & p->options & OPTION_IN_PLACE)
        return wane_fail(plan->context, WANE_ERROR_FLAGS, "grad_teacher_logits",
                         "cannot lie over teacher_logits while grad_logits lies over logits: each is made from both");
    return WANE_OK;
}

wane_status softmax_read_pair(softmax_problem *p)
{
    const wane_plan *plan = p->plan;
    p->second = wane_plan_find(plan, WANE_ROLE_TEACHER_LOGITS);
    p->grad_second = -1;
    wane_status status = WANE_OK;
    if (p->second >= 0) status = read_teacher(p);
    else if (p->target >= 0 && is_float(&plan->operands[p->target]))
        status = strcmp(plan->operands[p->target].shape, "rows") == 0 ? read_bins(p) : read_given(p);
    if (p->pair) p->options = (p->options & ~(uint32_t)(OPTION_WEIGHT_SUMS | OPTION_GIVEN)) | OPTION_NO_TARGET;
    return status;
}

// The record of the second tensor's passes: it stands where the logits stand.
static void fill_swapped(softmax_problem *p)
{
    softmax_record *r = p->record, *s = (softmax_record *)(void *)p->plan->records[1].words;
    *s = *r;
    s->planes = r->second_planes;
    s->second_planes = r->planes;
    s->logits_outer = r->second_outer;
    s->logits_row = r->second_row;
    s->logits_col = r->second_col;
    s->second_outer = r->logits_outer;
    s->second_row = r->logits_row;
    s->second_col = r->logits_col;
    softmax_put_strides(p, p->grad_second, &s->grad_outer, &s->grad_row, &s->grad_col);
    p->plan->record_count = 2;
}

void softmax_fill_pair(softmax_problem *p)
{
    const wane_plan *plan = p->plan;
    softmax_record *r = p->record;
    softmax_put_strides(p, p->second, &r->second_outer, &r->second_row, &r->second_col);
    r->second_planes = r->planes + (uint32_t)p->batch_rows * (softmax_plane_count(p) / 2);
    double temperature = softmax_param(plan, WANE_PARAM_TEMPERATURE), squared = temperature * temperature;
    r->pair_scale = p->pair & PAIR_DIVERGENCE ? (float)(squared < 3.4028234e38 ? squared : 3.4028234e38) : 1;
    if (p->pair & PAIR_TEACHER) fill_swapped(p);
    if (!(p->pair & PAIR_BINS)) return;
    r->flags |= HAS_AIM;
    double first = softmax_param(plan, WANE_PARAM_VMIN), last = softmax_param(plan, WANE_PARAM_VMAX);
    double width = (last - first) / (double)p->cols, sigma = softmax_param(plan, WANE_PARAM_SIGMA);
    if (sigma == 0) sigma = 0.75 * width;
    double relative = width / (1.4142135623730951 * sigma);
    r->bin_first = (float)first;
    r->bin_last = (float)last;
    r->bins_each = (float)(1 / width < 3.4028234e38 ? 1 / width : 3.4028234e38);
    r->bin_width = (float)(relative < 1e18 ? relative > 1e-18 ? relative : 1e-18 : 1e18);
}

// ---- passes ----

static wane_pass *add(softmax_problem *p, uint16_t kernel, bool swapped, int64_t items, softmax_window window)
{
    wane_pass *pass = softmax_add(p, kernel, items, window);
    if (!pass) return NULL;
    pass->record = swapped;
    pass->row_items = window.slices_here ? window.slices_here : 1;
    pass->slots[0] = softmax_whole_work(p);
    return pass;
}

static uint32_t type_of(const softmax_problem *p, int operand)
{
    uint32_t types = 0, options = 0;
    if (operand >= 0) softmax_read_grad(p, operand, -1, &types, &options);
    return types;
}

// One dispatch for each window of columns: statistics of one tensor, sums over both, or a gradient.
static bool add_columns(softmax_problem *p, uint16_t kernel, bool swapped, int64_t row, int64_t rows)
{
    bool write = kernel == WANE_KERNEL_SOFTMAX_PAIR_WRITE, sweep = kernel == WANE_KERNEL_SOFTMAX_SWEEP;
    int logits = swapped ? p->second : p->logits, second = swapped ? p->logits : p->second;
    int grad = swapped ? p->grad_second : p->grad;
    uint32_t types, options = 0;
    softmax_read_grad(p, logits, write ? grad : -1, &types, &options);
    for (int64_t col = 0; col < p->cols; col += p->window_cols) {
        int64_t cols = softmax_clamp(p->cols - col, 1, p->window_cols);
        softmax_window window = {0};
        window.col0 = (uint32_t)col;
        window.cols_here = (uint32_t)cols;
        window.slice0 = window.part = (uint32_t)(col / p->slice_cols);
        window.slices_here = (uint32_t)((cols + p->slice_cols - 1) / p->slice_cols);
        wane_pass *pass = add(p, kernel, swapped, rows * window.slices_here, window);
        if (!pass) return false;
        if (col) pass->flags = WANE_PASS_WITH_PREVIOUS;     // windows of one stage write different places
        uint32_t wanted = sweep && !swapped ? OPTION_ENTROPY | OPTION_ARGMAX : sweep ? 0 : OPTION_CLASS_WEIGHT;
        pass->consts[0] = sweep ? 0 : p->pair;
        pass->consts[1] = options | (p->options & (OPTION_SOFTCAP | wanted)) | (sweep ? OPTION_NO_TARGET : 0);
        pass->consts[2] = types | (sweep ? 0 : type_of(p, second) << SHIFT_SECOND);
        uint32_t slot = 0;
        pass->slots[slot++] = softmax_slot_of(p, logits, row, rows, col, cols);
        if (!sweep) pass->slots[slot++] = softmax_slot_of(p, second, row, rows, col, cols);
        if (pass->consts[1] & OPTION_CLASS_WEIGHT) pass->slots[slot] = softmax_cols_of(p, p->weight, col, cols);
        slot++;
        if (write) pass->slots[slot++] = softmax_slot_of(p, grad, row, rows, col, cols);
        pass->slots[slot] = softmax_whole_work(p);
    }
    return true;
}

static bool add_link(softmax_problem *p, uint16_t kernel, bool swapped, int64_t rows)
{
    softmax_window window = {0};
    wane_pass *pass = add(p, kernel, swapped, rows, window);
    if (!pass) return false;
    bool merge = kernel == WANE_KERNEL_SOFTMAX_LINK;
    pass->consts[0] = merge ? 0 : p->pair;
    pass->consts[1] = merge ? OPTION_NO_TARGET | OPTION_MERGE : 0;
    return true;
}

bool softmax_add_pair(softmax_problem *p, int64_t row, int64_t rows)
{
    bool teacher = p->pair & PAIR_TEACHER;
    bool good = p->given ? softmax_add_planes(p, WANE_KERNEL_SOFTMAX_RESTORE, row, rows)
                         : add_columns(p, WANE_KERNEL_SOFTMAX_SWEEP, false, row, rows);
    good = good && (!teacher || add_columns(p, WANE_KERNEL_SOFTMAX_SWEEP, true, row, rows));
    good = good && add_link(p, WANE_KERNEL_SOFTMAX_LINK, false, rows);
    good = good && (!teacher || add_link(p, WANE_KERNEL_SOFTMAX_LINK, true, rows));
    good = good && (p->given || add_columns(p, WANE_KERNEL_SOFTMAX_PAIR_SWEEP, false, row, rows));
    good = good && add_link(p, WANE_KERNEL_SOFTMAX_PAIR_LINK, false, rows);
    if (!good) return false;
    // a gradient over its own tensor comes last, because the other one is made from that tensor too
    bool second_last = p->grad_second >= 0 && p->plan->operands[p->grad_second].flags & WANE_OPERAND_IN_PLACE;
    for (int i = 0; i < 2; i++) {
        bool swapped = (i == 1) == second_last;
        if ((swapped ? p->grad_second : p->grad) < 0) continue;
        if (!add_columns(p, WANE_KERNEL_SOFTMAX_PAIR_WRITE, swapped, row, rows)) return false;
    }
    return true;
}
