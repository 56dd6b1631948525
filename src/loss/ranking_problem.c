// ranking_problem.c - reading a ranking problem, and laying out its workspace.
#include "loss/ranking.h"

#include "kernels/softmax.h"               // TYPE_*

bool rank_wants(const rank_problem *p, wane_role role)
{
    int index = wane_plan_find(p->plan, role);
    return index >= 0 && p->plan->operands[index].written;
}

static uint32_t type_code(wane_dtype dtype)
{
    return dtype == WANE_DTYPE_F16 ? TYPE_F16 : dtype == WANE_DTYPE_BF16 ? TYPE_BF16 : TYPE_F32;
}

// The gradient's type is that of the scores, or f32; in place it is the scores' own memory.
static wane_status read_types(rank_problem *p)
{
    wane_context *context = p->plan->context;
    const wane_plan_operand *scores = &p->plan->operands[p->scores];
    p->record->types = type_code(scores->dtype);
    if (p->grad < 0) return WANE_OK;
    const wane_plan_operand *grad = &p->plan->operands[p->grad];
    p->record->types |= type_code(grad->dtype) << 4;
    if (grad->dtype != scores->dtype && grad->dtype != WANE_DTYPE_F32)
        return wane_fail(context, WANE_ERROR_DTYPE, "grad_scores", "has type %s: it takes that of scores, %s, or f32",
                         wane_dtype_name(grad->dtype), wane_dtype_name(scores->dtype));
    if (!(grad->flags & WANE_OPERAND_IN_PLACE)) return WANE_OK;
    if (grad->flags & WANE_OPERAND_ACCUMULATE)
        return wane_fail(context, WANE_ERROR_FLAGS, "grad_scores", "cannot both accumulate and lie over the scores");
    if (grad->dtype != scores->dtype || grad->strides[0] != scores->strides[0])
        return wane_fail(context, WANE_ERROR_STRIDE, "grad_scores", "lies over the scores and must have their type and strides");
    return WANE_OK;
}

// Every operand is bound whole: its reach must fit a window, its strides a word.
static wane_status check_reach(const rank_problem *p)
{
    for (uint32_t i = 0; i < p->plan->operand_count; i++) {
        const wane_plan_operand *o = &p->plan->operands[i];
        bool far = false;
        for (uint32_t d = 0; d < o->rank; d++)
            far = far || (o->extents[d] > 1 && (o->strides[d] > INT32_MAX || o->strides[d] < -INT32_MAX));
        uint64_t bytes = (uint64_t)(o->end_byte - o->first_byte), most = p->plan->limits.max_window_bytes - 512;
        if (far || bytes > most || bytes / wane_dtype_bytes(o->dtype) > INT32_MAX)
            return wane_fail(p->plan->context, WANE_ERROR_TOO_LARGE, o->role->name,
                             "reaches over %llu bytes; a ranking loss binds it whole, and max_window_bytes of the device "
                             "allows %llu", (unsigned long long)bytes, (unsigned long long)most);
    }
    return WANE_OK;
}

static wane_status read_groups(rank_problem *p)
{
    p->groups = 1;
    if (p->pairs >= 0) return WANE_OK;
    if (p->offsets >= 0) {
        p->groups = p->plan->operands[p->offsets].extents[0] - 1;
        return WANE_OK;
    }
    for (uint32_t i = 0; i < p->plan->operand_count; i++) {
        const wane_plan_operand *o = &p->plan->operands[i];
        bool by_group = strcmp(o->role->shape, "groups") == 0
                     || (strcmp(o->role->shape, "reduced=groups") == 0 && p->reduction == WANE_REDUCTION_NONE);
        if (by_group && o->rank && o->extents[0] != 1)
            return wane_fail(p->plan->context, WANE_ERROR_EXTENT, o->role->name,
                             "has %lld elements and must have 1: without offsets there is one group",
                             (long long)o->extents[0]);
    }
    return WANE_OK;
}

static uint32_t step_of(const rank_problem *p, int operand, uint32_t d)
{
    return operand < 0 || p->plan->operands[operand].rank <= d ? 0 : (uint32_t)p->plan->operands[operand].strides[d];
}

static bool has_type(const rank_problem *p, int operand, wane_dtype dtype)
{
    return operand >= 0 && p->plan->operands[operand].dtype == dtype;
}

static void fill_record(rank_problem *p)
{
    rank_record *r = p->record;
    const wane_plan *plan = p->plan;
    r->item_count = (uint32_t)p->items;
    r->groups = (uint32_t)p->groups;
    r->flags = (p->offsets >= 0 ? RANK_HAS_OFFSETS : 0) | (p->weight >= 0 ? RANK_HAS_WEIGHT : 0)
             | (p->upstream >= 0 ? RANK_HAS_UPSTREAM : 0)
             | (has_type(p, p->offsets, WANE_DTYPE_I64) || has_type(p, p->pairs, WANE_DTYPE_I64) ? RANK_OFFSETS_I64 : 0)
             | (has_type(p, p->labels, WANE_DTYPE_I32) ? RANK_LABELS_I32 : 0)
             | (p->grad >= 0 && plan->operands[p->grad].flags & WANE_OPERAND_ACCUMULATE ? RANK_ACCUMULATE : 0);
    r->scores_step = step_of(p, p->scores, 0);
    r->labels_step = step_of(p, p->labels, 0);
    r->weight_step = step_of(p, p->weight, 0);
    r->offsets_step = step_of(p, p->offsets, 0);
    r->pairs_row = step_of(p, p->pairs, 0);
    r->pairs_col = step_of(p, p->pairs, 1);
    r->upstream_step = step_of(p, p->upstream, 0);
    r->grad_step = step_of(p, p->grad, 0);
    r->reduction = p->reduction;
    r->sigma = (float)rank_param(plan, WANE_PARAM_SIGMA);
    r->margin = (float)rank_param(plan, WANE_PARAM_MARGIN);
    r->mu = (float)rank_param(plan, WANE_PARAM_MU);
    r->top_k = (uint32_t)rank_param(plan, WANE_PARAM_K);
}

wane_status rank_read_problem(rank_problem *p, wane_plan *plan)
{
    memset(p, 0, sizeof *p);
    p->plan = plan;
    p->record = (rank_record *)(void *)plan->records[0].words;
    plan->record_count = 1;
    p->scores = wane_plan_find(plan, WANE_ROLE_SCORES);
    p->labels = wane_plan_find(plan, WANE_ROLE_LABELS);
    p->weight = wane_plan_find(plan, WANE_ROLE_WEIGHT);
    p->offsets = wane_plan_find(plan, WANE_ROLE_OFFSETS);
    p->pairs = wane_plan_find(plan, WANE_ROLE_PAIRS);
    p->upstream = wane_plan_find(plan, WANE_ROLE_UPSTREAM);
    p->grad = wane_plan_find(plan, WANE_ROLE_GRAD_SCORES);
    p->items = plan->operands[p->scores].extents[0];
    p->reduction = (uint32_t)rank_param(plan, WANE_PARAM_REDUCTION);
    p->link = (uint32_t)rank_param(plan, WANE_PARAM_LINK);
    p->pair_weight = (uint32_t)rank_param(plan, WANE_PARAM_PAIR_WEIGHT);
    if (plan->loss->loss == WANE_LOSS_MANN_WHITNEY) {
        bool by_group = rank_param(plan, WANE_PARAM_SCOPE) != 0;
        p->reduction = by_group ? WANE_REDUCTION_GROUP_MEAN : WANE_REDUCTION_MEAN;
        if (p->offsets >= 0 && !by_group)
            return wane_fail(plan->context, WANE_ERROR_UNSUPPORTED, "offsets",
                             "make groups, and scope is all: leave them out, or give scope = group");
    }
    wane_status status = read_groups(p);
    if (status == WANE_OK) status = read_types(p);
    if (status == WANE_OK && (p->items > INT32_MAX || p->groups > INT32_MAX - 1))
        status = wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "scores", "items and groups are at most 2^31 - 2");
    if (status == WANE_OK) status = check_reach(p);
    if (status) return status;
    fill_record(p);
    p->words = RANK_SCALARS;
    return WANE_OK;
}

uint32_t rank_place(rank_problem *p, uint64_t words)
{
    uint64_t at = p->words;
    p->words = wane_round_up(p->words + words, 64);
    return (uint32_t)at;                   // one that does not fit is refused by rank_check_workspace
}

void rank_place_sums(rank_problem *p, int64_t count, uint32_t sums)
{
    rank_record *r = p->record;
    uint32_t blocks = rank_blocks(count, SUM_BLOCK);
    r->sum_count = (uint32_t)count;
    r->sum_level = SUM_WORDS * blocks;
    r->sum_words = r->sum_level + SUM_WORDS * rank_blocks(blocks, SUM_BLOCK);
    r->at_sums = rank_place(p, (uint64_t)sums * r->sum_words);
}

wane_status rank_check_workspace(rank_problem *p)
{
    wane_plan *plan = p->plan;
    uint64_t most = wane_min_u64((plan->limits.max_window_bytes - 512) / 4, UINT32_MAX), limit = plan->workspace_limit_bytes;
    if (p->words > most)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "scores",
                         "%lld items in %lld groups take %llu bytes of workspace, which is bound whole, and max_window_bytes of "
                         "the device allows %llu: split them by groups", (long long)p->items, (long long)p->groups,
                         (unsigned long long)p->words * 4, (unsigned long long)most * 4);
    if (limit && p->words * 4 > limit)
        return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes",
                         "is %llu: %lld items in %lld groups take %llu", (unsigned long long)limit, (long long)p->items,
                         (long long)p->groups, (unsigned long long)p->words * 4);
    plan->workspace_bytes = p->words * 4;
    plan->status_byte = 4 * RANK_STATUS;
    return WANE_OK;
}
