// softmax_passes.c - the passes around a row's statistics, whoever makes those: gather, reduce, finish, planes, emit.
#include "loss/softmax.h"

wane_pass *softmax_add(softmax_problem *p, uint16_t kernel, int64_t items, softmax_window window)
{
    wane_pass *pass = wane_plan_add(p->plan, kernel, (uint32_t)items);
    if (!pass) return NULL;
    window.items = (uint32_t)items;
    memcpy(pass->window, &window, sizeof window);
    return pass;
}

wane_slot softmax_whole_work(const softmax_problem *p)
{
    wane_slot slot = {WANE_SLOT_WORKSPACE, 0, 0, p->work_bytes, 0};
    return slot;
}

// One dispatch for each window of the class weights, which are looked up by target.
bool softmax_add_gather(softmax_problem *p, int64_t row, int64_t rows)
{
    if (p->options & OPTION_ORDERED) {
        softmax_window window = {0};
        window.cols_here = (uint32_t)rows;
        wane_pass *pass = softmax_add(p, WANE_KERNEL_SOFTMAX_ORDER, 1, window);
        if (!pass) return false;
        pass->slots[0] = softmax_rows_of(p, p->target, row, rows);
        pass->slots[1] = softmax_whole_work(p);
    }
    int64_t all = p->total_cols ? p->total_cols : p->cols, step = p->weight >= 0 ? p->window_cols : all;
    for (int64_t col = 0; col < all; col += step) {
        softmax_window window = {0};
        int64_t cols = softmax_clamp(all - col, 1, step);
        window.col0 = (uint32_t)col;
        window.cols_here = (uint32_t)cols;
        wane_pass *pass = softmax_add(p, WANE_KERNEL_SOFTMAX_GATHER, rows, window);
        if (!pass) return false;
        if (!(p->options & OPTION_ORDERED)) pass->row_items = 1;
        pass->consts[1] = p->options & OPTION_ORDERED;
        pass->slots[0] = softmax_rows_of(p, p->target, row, rows);
        pass->slots[1] = softmax_cols_of(p, p->weight, col, cols);
        pass->slots[2] = softmax_rows_of(p, p->row_weight, row, rows);
        pass->slots[3] = softmax_rows_of(p, p->upstream, row, rows);
        pass->slots[4] = softmax_rows_of(p, p->upstream_lse, row, rows);
        pass->slots[5] = softmax_whole_work(p);
    }
    return true;
}

// Always as many parts as a full batch has: those past the rows are zero, so that finish finds every part written.
bool softmax_add_reduce(softmax_problem *p, int64_t rows, uint32_t mode, uint32_t part)
{
    softmax_window window = {0};
    window.col0 = (uint32_t)rows;
    window.mode = mode;
    window.part = part;
    int64_t parts = (p->batch_rows + SOFTMAX_REDUCE_ROWS - 1) / SOFTMAX_REDUCE_ROWS;
    wane_pass *pass = softmax_add(p, WANE_KERNEL_SOFTMAX_REDUCE, parts, window);
    if (pass) pass->slots[0] = softmax_whole_work(p);
    return pass != NULL;
}

bool softmax_add_finish(softmax_problem *p, uint32_t mode, uint32_t parts)
{
    softmax_window window = {0};
    window.col0 = parts;
    window.mode = mode;
    wane_pass *pass = softmax_add(p, WANE_KERNEL_SOFTMAX_FINISH, 1, window);
    if (pass) pass->slots[0] = softmax_whole_work(p);
    return pass != NULL;
}

bool softmax_add_planes(softmax_problem *p, uint16_t kernel, int64_t row, int64_t rows)
{
    softmax_window window = {0};
    wane_pass *pass = softmax_add(p, kernel, rows, window);
    if (!pass) return false;
    uint32_t count = wane_statistics_plane_count(p->plan->statistics_mask);
    wane_slot planes = softmax_slot_of(p, p->statistics, row, rows, 0, count);
    bool save = kernel == WANE_KERNEL_SOFTMAX_SAVE;
    if (!(p->options & OPTION_ORDERED)) pass->row_items = 1;
    pass->consts[1] = p->options & OPTION_ORDERED;
    pass->slots[save ? 1 : 0] = planes;
    pass->slots[save ? 0 : 1] = softmax_whole_work(p);
    return true;
}

// Writes an output from consecutive words of the workspace. Outputs touch nothing that another emit touches.
bool softmax_add_emit(softmax_problem *p, wane_role role, uint32_t first, int64_t row, int64_t rows, bool *before)
{
    if (!softmax_wants(p, role)) return true;
    int index = wane_plan_find(p->plan, role);
    const wane_plan_operand *o = &p->plan->operands[index];
    wane_pass *pass = wane_plan_add(p->plan, WANE_KERNEL_EMIT, (uint32_t)rows);
    if (!pass) return false;
    if (*before) pass->flags = WANE_PASS_WITH_PREVIOUS;
    *before = true;
    softmax_view v = softmax_view_of(p, index);
    bool by_row = softmax_has_rows(p, o);
    pass->window[2] = first;
    pass->window[3] = (uint32_t)(by_row ? v.inner : v.col);
    pass->window[4] = o->dtype == WANE_DTYPE_I64;
    pass->window[5] = by_row ? (uint32_t)p->inner : 0xffffffffu;
    pass->window[6] = (uint32_t)v.outer;
    if (by_row && p->options & OPTION_ORDERED) pass->window[7] = p->record->planes + PLANE_ORDER * p->record->plane_rows;
    pass->slots[0] = softmax_whole_work(p);
    pass->slots[1] = by_row ? softmax_rows_of(p, index, row, rows) : softmax_cols_of(p, index, 0, rows);
    return true;
}

bool softmax_emit_rows(softmax_problem *p, int64_t row, int64_t rows)
{
    bool before = false;
    uint32_t plane[] = {PLANE_ROW_LOSS, PLANE_ROW_LOSS, PLANE_LSE, PLANE_ENTROPY, PLANE_ARGMAX};
    wane_role roles[] = {WANE_ROLE_LOSS, WANE_ROLE_ROW_LOSS, WANE_ROLE_LSE, WANE_ROLE_ENTROPY, WANE_ROLE_ARGMAX};
    bool each = p->record->reduction == WANE_REDUCTION_NONE;
    for (int i = each ? 0 : 1; i < 5; i++)
        if (!softmax_add_emit(p, roles[i], p->record->planes + plane[i] * p->record->plane_rows, row, rows, &before))
            return false;
    return true;
}

bool softmax_emit_scalars(softmax_problem *p)
{
    bool before = false;
    bool each = p->record->reduction == WANE_REDUCTION_NONE;
    return (each || softmax_add_emit(p, WANE_ROLE_LOSS, SOFTMAX_LOSS, 0, 1, &before))
        && softmax_add_emit(p, WANE_ROLE_VALID_COUNT, SOFTMAX_VALID, 0, 1, &before)
        && softmax_add_emit(p, WANE_ROLE_ACCURACY, SOFTMAX_ACCURACY, 0, 1, &before)
        && softmax_add_emit(p, WANE_ROLE_STATUS, SOFTMAX_STATUS, 0, 8, &before);
}

bool softmax_add_batches(softmax_problem *p, bool (*body)(softmax_problem *p, int64_t row, int64_t rows))
{
    bool one = p->rows <= softmax_batch_at(p, 0, p->batch_rows);
    uint32_t part = 0, parts_each = (uint32_t)((p->batch_rows + SOFTMAX_REDUCE_ROWS - 1) / SOFTMAX_REDUCE_ROWS);
    if (p->mean) {
        for (int64_t row = 0, rows; row < p->rows; row += rows, part += parts_each) {
            rows = softmax_batch_at(p, row, p->batch_rows);
            if (!softmax_add_gather(p, row, rows) || !softmax_add_reduce(p, rows, MODE_COUNT, part)) return false;
        }
        if (!softmax_add_finish(p, MODE_COUNT, p->rows ? p->parts : 0)) return false;
    }
    part = 0;
    for (int64_t row = 0, rows; row < p->rows; row += rows, part += parts_each) {
        rows = softmax_batch_at(p, row, p->batch_rows);
        if (!(p->mean && one) && !softmax_add_gather(p, row, rows)) return false;
        if (!body(p, row, rows)) return false;
        if (!softmax_add_reduce(p, rows, MODE_LOSS, part) || !softmax_emit_rows(p, row, rows)) return false;
        if (p->save && !softmax_add_planes(p, WANE_KERNEL_SOFTMAX_SAVE, row, rows)) return false;
    }
    return softmax_add_finish(p, MODE_LOSS, p->rows ? p->parts : 0) && softmax_emit_scalars(p);
}
