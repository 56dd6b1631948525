// softmax_problem.c - reads a problem of the softmax family: options, types, and the kernels' record.
#include "loss/softmax.h"

// A loss of a row by itself: no target, no second row.
static bool is_whole(const wane_plan *plan)
{
    for (uint32_t i = 0; i < plan->loss->role_count; i++) {
        wane_role role = wane_loss_role_at(plan->loss, i)->role;
        if (role == WANE_ROLE_TARGET || role == WANE_ROLE_TEACHER_LOGITS) return false;
    }
    return true;
}

uint32_t softmax_statistics_need(const wane_plan *plan)
{
    uint32_t mask = WANE_STATISTIC_MAX | WANE_STATISTIC_SUM | WANE_STATISTIC_TARGET | WANE_STATISTIC_FLAGS;
    if (softmax_param(plan, WANE_PARAM_LABEL_SMOOTHING) > 0) mask |= WANE_STATISTIC_SUM_WEIGHT_X | WANE_STATISTIC_SUM_WEIGHT;
    if (is_whole(plan)) mask |= WANE_STATISTIC_SUM_EXP_X;
    int target = wane_plan_find(plan, WANE_ROLE_TARGET);
    bool shares = target >= 0 && strchr(plan->operands[target].role->shape, '|');     // an index or probabilities
    if (shares && WANE_TYPES_FLOAT & 1u << plan->operands[target].dtype)
        mask |= WANE_STATISTIC_SUM_WEIGHT_X | WANE_STATISTIC_SUM_WEIGHT;
    return mask;
}

bool softmax_wants(const softmax_problem *p, wane_role role)
{
    int index = wane_plan_find(p->plan, role);
    return index >= 0 && p->plan->operands[index].written;
}

static uint32_t type_code(wane_dtype dtype)
{
    return dtype == WANE_DTYPE_F16 ? TYPE_F16 : dtype == WANE_DTYPE_BF16 ? TYPE_BF16 : TYPE_F32;
}

// The types of a tensor of logits and of its gradient, which is of that type or f32; in place it is the tensor's memory.
wane_status softmax_read_grad(const softmax_problem *p, int tensor, int grad, uint32_t *types, uint32_t *options)
{
    wane_context *context = p->plan->context;
    const wane_plan_operand *logits = &p->plan->operands[tensor];
    *types = type_code(logits->dtype);
    if (grad < 0) return WANE_OK;
    const wane_plan_operand *g = &p->plan->operands[grad];
    *options |= OPTION_GRAD | (g->flags & WANE_OPERAND_ACCUMULATE ? OPTION_ACCUMULATE : 0)
              | (g->flags & WANE_OPERAND_IN_PLACE ? OPTION_IN_PLACE : 0);
    *types |= type_code(g->dtype) << SHIFT_GRAD;
    if (g->dtype != logits->dtype && g->dtype != WANE_DTYPE_F32)
        return wane_fail(context, WANE_ERROR_DTYPE, g->role->name, "has type %s: it takes that of %s, %s, or f32",
                         wane_dtype_name(g->dtype), logits->role->name, wane_dtype_name(logits->dtype));
    if (!(g->flags & WANE_OPERAND_IN_PLACE)) return WANE_OK;
    if (g->flags & WANE_OPERAND_ACCUMULATE)
        return wane_fail(context, WANE_ERROR_FLAGS, g->role->name, "cannot both accumulate and lie over %s",
                         logits->role->name);
    bool same = g->dtype == logits->dtype;
    for (uint32_t d = 0; d < logits->rank; d++) same = same && g->strides[d] == logits->strides[d];
    if (!same)
        return wane_fail(context, WANE_ERROR_STRIDE, g->role->name, "lies over %s and must have its type and strides",
                         logits->role->name);
    return WANE_OK;
}

wane_status softmax_read_problem(softmax_problem *p, wane_plan *plan)
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
    // logits that a planner makes of a product: rows of one operand times rows of another
    int rows_of = p->logits < 0 ? wane_plan_find(plan, WANE_ROLE_INPUT) : p->logits;
    int cols_of = p->logits < 0 ? wane_plan_find(plan, WANE_ROLE_LINEAR_WEIGHT) : p->logits;
    p->cols = plan->operands[cols_of].extents[p->logits < 0 ? 0 : 1];
    if (p->cols < 1)
        return wane_fail(context, WANE_ERROR_EXTENT, plan->operands[cols_of].role->name,
                         "has no columns: a softmax needs one or more");
    wane_status status = softmax_read_rows(p, rows_of);
    if (status == WANE_OK && p->logits >= 0) status = softmax_read_grad(p, p->logits, p->grad, &p->types, &p->options);
    if (status) return status;
    if (p->cols > INT32_MAX || p->rows > INT32_MAX)
        return wane_fail(context, WANE_ERROR_TOO_LARGE, plan->operands[rows_of].role->name, "rows and columns are at most 2^31 - 1");
    p->given = p->statistics >= 0 && !plan->operands[p->statistics].written;
    p->save = p->statistics >= 0 && !p->given;
    p->mean = softmax_param(plan, WANE_PARAM_REDUCTION) == WANE_REDUCTION_MEAN;
    p->term = (uint32_t)plan->loss->loss;
    uint32_t mask = plan->statistics_mask;
    if (p->given && (softmax_wants(p, WANE_ROLE_ARGMAX) || softmax_wants(p, WANE_ROLE_ACCURACY)))
        return wane_fail(context, WANE_ERROR_UNSUPPORTED, softmax_wants(p, WANE_ROLE_ARGMAX) ? "argmax" : "accuracy",
                         "cannot be told from statistics: ask for it in the forward call");
    if (p->given && softmax_wants(p, WANE_ROLE_ENTROPY) && !(mask & WANE_STATISTIC_SUM_EXP_X))
        return wane_fail(context, WANE_ERROR_STATISTICS, "entropy", "needs the plane WANE_STATISTIC_SUM_EXP_X: save it by statistics_mask in the forward call, and "
                         "give that mask");
    if (softmax_param(plan, WANE_PARAM_SOFTCAP) > 0) p->options |= OPTION_SOFTCAP;
    bool smooth = softmax_param(plan, WANE_PARAM_LABEL_SMOOTHING) > 0;
    if (smooth || (p->save && mask & (WANE_STATISTIC_SUM_WEIGHT_X | WANE_STATISTIC_SUM_WEIGHT))) p->options |= OPTION_WEIGHT_SUMS;
    if (p->weight >= 0 && p->options & OPTION_WEIGHT_SUMS) p->options |= OPTION_CLASS_WEIGHT;
    if (softmax_wants(p, WANE_ROLE_ENTROPY) || (p->save && mask & WANE_STATISTIC_SUM_EXP_X)) p->options |= OPTION_ENTROPY;
    if (softmax_wants(p, WANE_ROLE_ARGMAX) || softmax_wants(p, WANE_ROLE_ACCURACY)) p->options |= OPTION_ARGMAX;
    if (p->save) p->options |= OPTION_SAVE;
    if (is_whole(plan)) p->options |= OPTION_NO_TARGET | OPTION_ENTROPY;
    if (p->given && p->target >= 0) p->options |= OPTION_GIVEN;
    return softmax_read_pair(p);
}

// A loss's own parameters, those that are none of the family's, in the registry's order: what its term reads.
static void put_term(const wane_plan *plan, softmax_record *r)
{
    static const wane_param common[] = {WANE_PARAM_REDUCTION, WANE_PARAM_IGNORE_INDEX, WANE_PARAM_LABEL_SMOOTHING,
                                        WANE_PARAM_TEMPERATURE, WANE_PARAM_SOFTCAP, WANE_PARAM_Z_LOSS,
                                        WANE_PARAM_COL_OFFSET, WANE_PARAM_TOTAL_COLS};
    float *own[2] = {&r->term_a, &r->term_b};
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->loss->param_count; i++) {
        wane_param id = wane_loss_param_at(plan->loss, i)->param;
        bool shared = false;
        for (uint32_t k = 0; k < sizeof common / sizeof common[0]; k++) shared = shared || common[k] == id;
        if (!shared && count < 2) *own[count++] = (float)softmax_param(plan, id);
    }
}

void softmax_fill_record(softmax_problem *p)
{
    const wane_plan *plan = p->plan;
    softmax_record *r = p->record;
    r->cols = (uint32_t)p->cols;
    r->total_cols = p->total_cols ? (uint32_t)p->total_cols : r->cols;
    r->col_offset = (uint32_t)p->col_offset;
    uint64_t ignore = (uint64_t)(int64_t)softmax_param(plan, WANE_PARAM_IGNORE_INDEX);
    r->ignore_lo = (uint32_t)ignore;
    r->ignore_hi = (uint32_t)(ignore >> 32);
    uint32_t none = 0;
    r->rows_inner = (uint32_t)p->inner;
    softmax_put_strides(p, p->logits, &r->logits_outer, &r->logits_row, &r->logits_col);
    softmax_put_strides(p, p->grad, &r->grad_outer, &r->grad_row, &r->grad_col);
    bool indexed = p->target >= 0 && WANE_TYPES_INDEX & 1u << plan->operands[p->target].dtype;
    softmax_put_strides(p, p->target, &r->target_outer, &r->target_row, NULL);
    softmax_put_strides(p, p->weight, &none, &none, &r->weight_col);
    softmax_put_strides(p, p->row_weight, &r->row_weight_outer, &r->row_weight_row, NULL);
    softmax_put_strides(p, p->upstream, &r->upstream_outer, &r->upstream_row, NULL);
    softmax_put_strides(p, p->upstream_lse, &r->upstream_lse_outer, &r->upstream_lse_row, NULL);
    softmax_put_strides(p, p->statistics, &r->statistics_outer, &r->statistics_row, &r->statistics_plane);
    r->reduction = (uint32_t)softmax_param(plan, WANE_PARAM_REDUCTION);
    r->statistics_mask = plan->statistics_mask;
    r->flags = (p->row_weight >= 0 ? HAS_ROW_WEIGHT : 0) | (p->upstream >= 0 ? HAS_UPSTREAM : 0)
             | (p->upstream_lse >= 0 ? HAS_UPSTREAM_LSE : 0) | (p->weight >= 0 ? HAS_WEIGHT : 0)
             | (indexed ? HAS_TARGET : 0) | (indexed && plan->operands[p->target].dtype == WANE_DTYPE_I64 ? HAS_TARGET_I64 : 0);
    r->partials = SOFTMAX_SCALARS;
    r->parts = p->parts;
    r->planes = (uint32_t)wane_round_up(SOFTMAX_SCALARS + (uint64_t)p->parts * SOFTMAX_PART_WORDS, 64);
    r->plane_rows = (uint32_t)p->batch_rows;
    r->slices = p->given ? 1 : p->slices;
    r->slice_cols = p->slice_cols;
    // a temperature near 0 has an inverse beyond f32, and infinity times a difference of 0 would be NaN
    double inverse = 1.0 / softmax_param(plan, WANE_PARAM_TEMPERATURE);
    r->inverse_temperature = inverse < 3.4028234e38 ? (float)inverse : 3.4028234e38f;
    double cap = softmax_param(plan, WANE_PARAM_SOFTCAP), smooth = softmax_param(plan, WANE_PARAM_LABEL_SMOOTHING);
    r->softcap = (float)cap;
    r->inverse_softcap = cap > 0 ? (float)(1.0 / cap) : 0;
    r->z_loss = (float)softmax_param(plan, WANE_PARAM_Z_LOSS);
    r->smoothing = (float)smooth;
    r->smoothing_each = (float)(smooth / (double)r->total_cols);
    put_term(plan, r);
    p->plan->record_count = 1;
    p->plan->workspace_bytes = p->work_bytes = 4 * (r->planes + (uint64_t)p->batch_rows * softmax_plane_count(p));
    p->plan->status_byte = 4 * SOFTMAX_STATUS;
    if (p->pair) softmax_fill_pair(p);
}
