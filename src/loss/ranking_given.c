// ranking_given.c - the planner of losses of given pairs: a pair by itself, then its slopes gathered by item.
//
// Gradients are sums over the pairs of an item, in the order of the pairs: the two entries of each pair are sorted by
// item, and an item sums its segment. No atomics, whatever the pairs.
#include "loss/ranking.h"

static void place_all(rank_problem *p, int64_t pairs)
{
    rank_record *r = p->record;
    uint32_t *of_pairs[] = {&r->at_loss, &r->at_value, &r->at_above, &r->at_flags, &r->at_pairs};
    uint32_t *of_entries[] = {&r->at_dcg, &r->at_ideal};
    r->pair_total = (uint32_t)pairs;
    r->group_words = 64;
    r->at_offset = rank_place(p, 2);
    r->at_raw = rank_place(p, 2);
    r->at_group_plane = rank_place(p, (uint64_t)GROUP_PLANES * r->group_words);
    r->at_parts = rank_place(p, 2 * PART_WORDS);
    for (size_t i = 0; i < sizeof of_pairs / sizeof *of_pairs; i++) *of_pairs[i] = rank_place(p, (uint64_t)pairs);
    for (size_t i = 0; i < sizeof of_entries / sizeof *of_entries; i++) *of_entries[i] = rank_place(p, 2 * (uint64_t)pairs);
    r->sort_words = (uint32_t)wane_round_up(2 * (uint64_t)pairs, 64);
    r->at_key = rank_place(p, 2 * (uint64_t)r->sort_words);
    r->at_other = rank_place(p, 2 * (uint64_t)r->sort_words);
    r->at_grad = rank_place(p, (uint64_t)p->items);
    r->at_rank = rank_place(p, (uint64_t)p->items);
    rank_place_sums(p, 2 * pairs, RANK_SUMS);
}

static bool add_collect(rank_problem *p, int64_t items, uint32_t at, uint32_t mode)
{
    if (items == 0) return true;
    wane_pass *pass = rank_add(p, WANE_KERNEL_RANK_COLLECT, items);
    if (!pass) return false;
    pass->window[2] = at;
    pass->window[3] = mode;
    pass->slots[0] = rank_work(p);
    return true;
}

static bool add_passes(rank_problem *p, int64_t pairs)
{
    const rank_record *r = p->record;
    uint32_t at = r->at_key;
    wane_pass *pass = rank_add(p, WANE_KERNEL_RANK_OFFSETS, 2);
    if (!pass) return false;
    pass->slots[1] = rank_work(p);
    if (pairs > 0) {
        pass = rank_add(p, WANE_KERNEL_RANK_GIVEN, pairs);
        if (!pass) return false;
        pass->consts[0] = p->link;
        pass->slots[0] = rank_slot(p, p->scores);
        pass->slots[1] = rank_slot(p, p->pairs);
        if (p->reduction == WANE_REDUCTION_NONE) pass->slots[2] = rank_slot(p, p->upstream);
        pass->slots[3] = rank_work(p);
    }
    if (p->grad >= 0 && pairs > 0
        && (!rank_add_sort(p, 2 * pairs, true, &at) || !add_collect(p, 2 * pairs, at, COLLECT_ENTRIES)
            || !rank_add_sum(p, r->at_dcg, SUM_OF_TERMS, SUM_FLOAT, 2 * pairs)
            || !rank_add_sum(p, r->at_ideal, SUM_OF_ODD, SUM_FLAGS, 2 * pairs)))
        return false;
    return (p->grad < 0 || add_collect(p, p->items, at, COLLECT_ITEMS)) && rank_add_values(p, pairs);
}

wane_status rank_plan_given(rank_problem *p)
{
    int64_t pairs = p->plan->operands[p->pairs].extents[0];
    bool margin = p->plan->loss->loss == WANE_LOSS_MARGIN_RANKING;
    if (pairs > INT32_MAX / 2)
        return wane_fail(p->plan->context, WANE_ERROR_TOO_LARGE, "pairs", "has more than 2^30 - 1 pairs");
    p->link = margin ? WANE_LINK_HINGE : WANE_LINK_LOGISTIC;
    p->record->flags |= RANK_GIVEN | (margin ? RANK_ACTIVE : 0);
    place_all(p, pairs);
    wane_status status = rank_check_workspace(p);
    if (status) return status;
    bool good = wane_plan_note(p->plan, "%lld given pairs of %lld items, their slopes sorted by item", (long long)pairs,
                               (long long)p->items)
             && add_passes(p, pairs) && rank_add_outputs(p, p->record->at_above, pairs);
    if (!good) return wane_no_memory(p->plan->context);
    rank_count_costs(p, (uint64_t)pairs);
    return WANE_OK;
}
