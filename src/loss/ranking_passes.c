// ranking_passes.c - the passes that ranking losses have in common: scans, sums over segments, outputs.
#include "loss/ranking.h"

wane_pass *rank_add(rank_problem *p, uint16_t kernel, int64_t items) { return wane_plan_add(p->plan, kernel, (uint32_t)items); }

wane_slot rank_slot(const rank_problem *p, int operand)
{
    wane_slot slot = {WANE_SLOT_NONE, 0, 0, 0, 0};
    if (operand < 0) return slot;
    const wane_plan_operand *o = &p->plan->operands[operand];
    slot.operand = operand;
    slot.byte_offset = o->first_byte;
    slot.byte_length = (uint64_t)(o->end_byte - o->first_byte);
    slot.origin_bytes = (uint64_t)-o->first_byte;
    return slot;
}

wane_slot rank_work(const rank_problem *p)
{
    wane_slot slot = {WANE_SLOT_WORKSPACE, 0, 0, p->plan->workspace_bytes, 0};
    return slot;
}

// Up over blocks of blocks until one block is left, then down again.
bool rank_add_scan(rank_problem *p, uint32_t at, int64_t count, uint32_t mode)
{
    uint32_t from[8], counts[8], levels = 0, to = p->at_scan;
    for (uint32_t n = (uint32_t)count; ; levels++) {
        uint32_t blocks = rank_blocks(n, SCAN_BLOCK);
        from[levels] = at;
        counts[levels] = n;
        wane_pass *pass = rank_add(p, WANE_KERNEL_RANK_SCAN, blocks);
        if (!pass) return false;
        uint32_t window[] = {at, n, to, mode | SCAN_UP};
        memcpy(pass->window + 2, window, sizeof window);
        pass->slots[0] = rank_work(p);
        if (blocks == 1) break;
        at = to;
        to += blocks;
        n = blocks;
    }
    for (; levels > 0; levels--) {
        wane_pass *pass = rank_add(p, WANE_KERNEL_RANK_SCAN, counts[levels - 1]);
        if (!pass) return false;
        uint32_t window[] = {from[levels - 1], counts[levels - 1], from[levels], mode};
        memcpy(pass->window + 2, window, sizeof window);
        pass->slots[0] = rank_work(p);
    }
    return true;
}

bool rank_add_sum(rank_problem *p, uint32_t at, uint32_t sum, uint32_t kind, int64_t count)
{
    for (uint32_t level = 0; level < 2 && count >= SUM_BLOCK; level++) {
        wane_pass *pass = rank_add(p, WANE_KERNEL_RANK_SUM, rank_blocks(count, SUM_BLOCK));
        if (!pass) return false;
        uint32_t window[] = {at, (uint32_t)count, sum, kind, level};
        memcpy(pass->window + 2, window, sizeof window);
        pass->slots[0] = rank_work(p);
        count = rank_blocks(count, SUM_BLOCK);
    }
    return true;
}

bool rank_add_map(rank_problem *p, uint32_t at, uint32_t mode)
{
    wane_pass *pass = rank_add(p, WANE_KERNEL_RANK_MAP, p->items);
    if (!pass) return false;
    pass->window[2] = at;
    pass->window[3] = mode;
    pass->slots[0] = rank_work(p);
    return true;
}

bool rank_add_sort(rank_problem *p, int64_t count, bool whole, uint32_t *at)
{
    uint32_t from = p->record->at_key, to = p->record->at_other;
    for (int64_t width = 0; width == 0 || width < count; width = width ? 2 * width : SORT_CHUNK) {
        wane_pass *pass = rank_add(p, WANE_KERNEL_RANK_SORT, rank_blocks(count, SORT_CHUNK));
        if (!pass) return false;
        uint32_t window[] = {from, to, (uint32_t)width, (uint32_t)count, whole};
        memcpy(pass->window + 2, window, sizeof window);
        pass->slots[0] = rank_work(p);
        uint32_t swap = from;
        from = to;
        to = swap;
    }
    *at = from;
    return true;
}

// The sums of the groups, their values, and the scalars, from planes of so many terms.
bool rank_add_values(rank_problem *p, int64_t terms)
{
    const rank_record *r = p->record;
    if (!rank_add_sum(p, r->at_loss, SUM_OF_LOSS, SUM_FLOAT, terms) || !rank_add_sum(p, r->at_pairs, SUM_OF_PAIRS, SUM_LONG, terms)
        || !rank_add_sum(p, r->at_flags, SUM_OF_FLAGS, SUM_FLAGS, terms))
        return false;
    uint32_t parts = rank_blocks(p->groups, PART_GROUPS);
    if (p->groups > 0) {
        wane_pass *pass = rank_add(p, WANE_KERNEL_RANK_GROUP, p->groups);
        if (!pass) return false;
        pass->slots[0] = rank_work(p);
        pass = rank_add(p, WANE_KERNEL_RANK_REDUCE, parts);
        if (!pass) return false;
        pass->window[3] = REDUCE_PART;
        pass->slots[0] = rank_work(p);
    }
    wane_pass *pass = rank_add(p, WANE_KERNEL_RANK_REDUCE, 1);
    if (!pass) return false;
    pass->window[2] = parts;
    pass->window[3] = REDUCE_ALL;
    pass->slots[0] = rank_work(p);
    return true;
}

// Copies words of the workspace to an output; an i64 is two of them.
bool rank_add_emit(rank_problem *p, wane_role role, uint32_t first, int64_t count)
{
    if (!rank_wants(p, role) || count == 0) return true;
    int index = wane_plan_find(p->plan, role);
    const wane_plan_operand *o = &p->plan->operands[index];
    bool wide = o->dtype == WANE_DTYPE_I64;
    wane_pass *pass = rank_add(p, WANE_KERNEL_EMIT, wide ? 2 * count : count);
    if (!pass) return false;
    pass->window[2] = first;
    pass->window[3] = wide || !o->rank ? 1 : (uint32_t)o->strides[0];
    pass->window[5] = 0xffffffffu;
    pass->slots[0] = rank_work(p);
    pass->slots[1] = rank_slot(p, index);
    return true;
}

// Gradients and every output that is asked for; loss for the reduction none is each_count words at each_at.
bool rank_add_outputs(rank_problem *p, uint32_t each_at, int64_t each_count)
{
    const rank_record *r = p->record;
    if (p->grad >= 0 && p->items > 0) {
        wane_pass *pass = rank_add(p, WANE_KERNEL_RANK_WRITE, p->items);
        if (!pass) return false;
        pass->slots[0] = rank_slot(p, p->upstream);
        pass->slots[1] = rank_slot(p, p->grad);
        pass->slots[2] = rank_work(p);
    }
    uint32_t values = r->at_group_plane + TALLY_VALUE * r->group_words;
    bool each = p->reduction == WANE_REDUCTION_NONE;
    return rank_add_emit(p, WANE_ROLE_LOSS, each ? each_at : RANK_LOSS, each ? each_count : 1)
        && rank_add_emit(p, WANE_ROLE_GROUP_LOSS, values, p->groups)
        && rank_add_emit(p, WANE_ROLE_PAIR_COUNT, RANK_PAIRS_LO, 1)
        && rank_add_emit(p, WANE_ROLE_NDCG, r->at_group_plane + GROUP_NDCG * r->group_words, p->groups)
        && rank_add_emit(p, WANE_ROLE_AUC, RANK_AUC, 1)
        && rank_add_emit(p, WANE_ROLE_STATUS, RANK_STATUS, 8);
}

void rank_count_costs(rank_problem *p, uint64_t pairs)
{
    wane_plan_info *info = &p->plan->info;
    info->moved_bytes += 2 * p->plan->workspace_bytes;
    info->exps = pairs;
    info->flops = pairs * 8;
}
