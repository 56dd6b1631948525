// ranking.c - the planner of losses by pairs within groups: scores, labels and offsets to values and gradients.
//
// offsets are checked and made increasing by a scan; items find their groups, and are packed into planes; pairs runs
// every item against all of its group; sums over segments give each group its value; reduce gives the scalars; write
// gives the gradients. The plan knows the number of items and of groups, and nothing of the groups' sizes.
#include "loss/ranking.h"

enum {
    DISPATCH_ITEMS_LEAST = 16384,          // of the pairs in one dispatch: enough to fill a device
    GROUP_SPREAD = 16,                     // groups are taken to be at most so many times their mean
    ROUND_ITEMS = 1024,                    // of a group, which meet each other in one round (src/backend/cpu/rank_hand.h)
    ROUNDS_MOST = 63                       // so many times two threads may write a group
};

static uint32_t statistics_need(const wane_plan *plan) { (void)plan; return 0; }

// ---- workspace ----

static uint32_t item_plane(rank_problem *p) { return rank_place(p, (uint64_t)p->items); }

static bool has_gains(const rank_problem *p)
{
    uint32_t w = p->pair_weight;
    return w == WEIGHT_LAMBDA || w == WEIGHT_NDCG_LOSS1 || w == WEIGHT_NDCG_LOSS2 || w == WEIGHT_NDCG_LOSS2PP;
}

static bool needs_ranks(const rank_problem *p)
{
    return has_gains(p) || p->pair_weight == WEIGHT_PRECISION || rank_wants(p, WANE_ROLE_NDCG);
}

static bool needs_table(const rank_problem *p)
{
    return p->pair_weight == WEIGHT_NDCG_LOSS2 || p->pair_weight == WEIGHT_NDCG_LOSS2PP;
}

// The pairs are what takes time: they are left out where ndcg, auc and status alone are asked for.
static bool needs_pairs(const rank_problem *p)
{
    return p->grad >= 0 || rank_wants(p, WANE_ROLE_LOSS) || rank_wants(p, WANE_ROLE_GROUP_LOSS)
        || rank_wants(p, WANE_ROLE_PAIR_COUNT) || rank_wants(p, WANE_ROLE_AUC);
}

static void choose_flags(rank_problem *p)
{
    uint32_t w = p->pair_weight, *flags = &p->record->flags;
    if (has_gains(p)) *flags |= RANK_GAINS | RANK_NORMALISED;
    if (rank_wants(p, WANE_ROLE_NDCG)) *flags |= RANK_GAINS;
    if (p->plan->loss->loss == WANE_LOSS_AUC_MARGIN) *flags |= RANK_BINARY;
    if (w == WEIGHT_LABEL_DIFF || w == WEIGHT_PRECISION || w == WEIGHT_PROFIT) *flags |= RANK_VALUES;
    if (rank_wants(p, WANE_ROLE_AUC)) *flags |= RANK_WITH_AUC;
    if (p->plan->loss->loss == WANE_LOSS_MANN_WHITNEY) *flags |= RANK_BINARY;
}

// How many items a group is likely to have at most.
static int64_t largest_group(const rank_problem *p)
{
    int64_t mean = p->groups > 0 ? p->items / p->groups + 1 : 1;
    return p->offsets < 0 || mean > p->items / GROUP_SPREAD ? p->items : mean * GROUP_SPREAD;
}

// Rounds after the first in which a CPU compares the items of large groups: an odd number, so that blocks of items meet in
// pairs. A larger group than was thought of has larger blocks.
static uint32_t count_rounds(const rank_problem *p)
{
    int64_t blocks = (largest_group(p) + ROUND_ITEMS - 1) / ROUND_ITEMS;
    if (p->plan->limits.backend != WANE_BACKEND_CPU || p->plan->loss->loss == WANE_LOSS_AUC_MARGIN || blocks < 2) return 0;
    return blocks > ROUNDS_MOST ? ROUNDS_MOST : (uint32_t)(blocks - 1) | 1;
}

static void place_all(rank_problem *p)
{
    rank_record *r = p->record;
    uint64_t ends = (uint64_t)p->groups + 1;
    r->group_words = (uint32_t)wane_round_up(ends, 64);
    r->at_offset = rank_place(p, ends);
    r->at_raw = rank_place(p, ends);
    r->at_group_plane = rank_place(p, (uint64_t)GROUP_PLANES * r->group_words);
    r->at_parts = rank_place(p, (uint64_t)PART_WORDS * (rank_blocks(p->groups, PART_GROUPS) + 1));
    p->at_scan = rank_place(p, (ends > (uint64_t)p->items ? ends : (uint64_t)p->items) / (SCAN_BLOCK - 1) + 16);
    uint32_t *planes[] = {&r->at_group, &r->at_score, &r->at_label, &r->at_flags, &r->at_grad, &r->at_loss, &r->at_pairs};
    for (size_t i = 0; i < sizeof planes / sizeof *planes; i++) *planes[i] = item_plane(p);
    if (needs_pairs(p) && count_rounds(p)) r->at_low = item_plane(p), r->at_place = rank_place(p, (uint64_t)(p->items + 1) / 2);
    if (p->weight >= 0) r->at_weight = item_plane(p);
    if (r->flags & RANK_GAINS) r->at_gain = item_plane(p), r->at_dcg = item_plane(p), r->at_ideal = item_plane(p);
    if (r->flags & RANK_VALUES) r->at_value = item_plane(p);
    if (r->flags & RANK_NORMALISED) r->at_value = r->at_gain;
    if (needs_ranks(p)) r->at_rank = item_plane(p), r->at_discount = item_plane(p);
    if (needs_table(p)) r->at_table = item_plane(p);
    if (p->plan->loss->loss == WANE_LOSS_AUC_MARGIN) r->at_dcg = item_plane(p), r->at_ideal = item_plane(p), r->at_half = item_plane(p);
    if (r->flags & RANK_WITH_AUC) r->at_above = item_plane(p), r->at_half = item_plane(p);
    if (needs_ranks(p) || r->flags & RANK_WITH_AUC) {
        r->sort_words = (uint32_t)wane_round_up((uint64_t)p->items, 64);
        r->at_key = rank_place(p, 2 * (uint64_t)r->sort_words);
        r->at_other = rank_place(p, 2 * (uint64_t)r->sort_words);
    }
    rank_place_sums(p, p->items, RANK_SUMS);
}

// ---- passes ----

static bool add_groups(rank_problem *p)
{
    wane_pass *pass = rank_add(p, WANE_KERNEL_RANK_OFFSETS, p->groups + 1);
    if (!pass) return false;
    pass->slots[0] = rank_slot(p, p->offsets);
    pass->slots[1] = rank_work(p);
    if (p->offsets >= 0 && !rank_add_scan(p, p->record->at_offset, p->groups + 1, SCAN_MAX)) return false;
    if (p->items == 0) return true;
    if (!rank_add_map(p, 0, MAP_GROUPS)) return false;
    pass = rank_add(p, WANE_KERNEL_RANK_GATHER, p->items);
    if (!pass) return false;
    pass->slots[0] = rank_slot(p, p->scores);
    pass->slots[1] = rank_slot(p, p->labels);
    pass->slots[2] = rank_slot(p, p->weight);
    pass->slots[3] = rank_work(p);
    return true;
}

// Ranks by score, then the ideal order; both by the same sort.
static bool add_orders(rank_problem *p)
{
    const rank_record *r = p->record;
    uint32_t at;
    bool good = true;
    if (p->items == 0) return true;
    if (needs_ranks(p) || r->flags & RANK_WITH_AUC)
        good = rank_add_map(p, r->at_key, MAP_SCORES) && rank_add_sort(p, p->items, false, &at);
    if (good && needs_ranks(p)) good = rank_add_map(p, at, MAP_RANKS);
    if (good && r->flags & RANK_WITH_AUC)
        good = rank_add_map(p, at, MAP_ABOVE) && rank_add_scan(p, r->at_above, p->items, 0)
            && rank_add_map(p, at, MAP_HALVES) && rank_add_sum(p, r->at_half, SUM_OF_HALVES, SUM_LONG, p->items);
    if (good && r->flags & RANK_GAINS)
        good = rank_add_map(p, r->at_key, MAP_LABELS) && rank_add_sort(p, p->items, false, &at)
            && rank_add_map(p, at, MAP_IDEAL) && rank_add_sum(p, r->at_dcg, SUM_OF_DCG, SUM_FLOAT, p->items)
            && rank_add_sum(p, r->at_ideal, SUM_OF_IDEAL, SUM_FLOAT, p->items);
    if (good && r->flags & RANK_GAINS && !(r->flags & RANK_NORMALISED))
        good = rank_add_sum(p, r->at_flags, SUM_OF_GAINLESS, SUM_GAINLESS, p->items);
    if (good && needs_table(p)) good = rank_add_map(p, 0, MAP_TABLE);
    return good;
}

// auc_margin has moments of two classes in place of pairs.
static bool add_moments(rank_problem *p)
{
    const rank_record *r = p->record;
    if (p->items == 0) return true;
    if (!rank_add_map(p, 0, MAP_CLASSES) || !rank_add_sum(p, r->at_dcg, SUM_OF_DCG, SUM_FLOAT, p->items)
        || !rank_add_sum(p, r->at_ideal, SUM_OF_IDEAL, SUM_FLOAT, p->items)
        || !rank_add_sum(p, r->at_half, SUM_OF_HALVES, SUM_LONG, p->items) || !rank_add_map(p, 0, MAP_MOMENTS))
        return false;
    p->plan->passes[p->plan->pass_count - 1].items = p->plan->passes[p->plan->pass_count - 1].window[0] = 1;
    return rank_add_map(p, 0, MAP_CENTRED);
}

// One round. A dispatch runs as many items as its budget allows if each met the largest group that is likely.
static bool add_round(rank_problem *p, uint32_t round, uint32_t rounds)
{
    int64_t largest = largest_group(p);
    uint64_t budget = p->plan->limits.max_dispatch_elems / (uint64_t)(largest > 0 ? largest : 1);
    int64_t step = budget < DISPATCH_ITEMS_LEAST ? DISPATCH_ITEMS_LEAST : budget > INT32_MAX ? INT32_MAX : (int64_t)budget;
    step = step / PAIR_ITEMS * PAIR_ITEMS;
    bool valued = rank_wants(p, WANE_ROLE_LOSS) || rank_wants(p, WANE_ROLE_GROUP_LOSS);
    for (int64_t first = 0; first < p->items; first += step) {
        int64_t count = p->items - first < step ? p->items - first : step;
        wane_pass *pass = rank_add(p, WANE_KERNEL_RANK_PAIRS, rank_blocks(count, PAIR_ITEMS));
        if (!pass) return false;
        if (first) pass->flags = WANE_PASS_WITH_PREVIOUS;       // no two of a round write one item
        pass->window[2] = (uint32_t)first;
        pass->window[3] = round;
        pass->window[4] = rounds;
        pass->consts[0] = p->link;
        pass->consts[1] = p->pair_weight | (p->weight >= 0 ? WEIGHT_OF_ITEMS : 0) | (valued ? 0 : PAIR_NO_VALUE);
        pass->slots[0] = rank_work(p);
    }
    return true;
}

static bool add_pairs(rank_problem *p)
{
    if (p->plan->loss->loss == WANE_LOSS_AUC_MARGIN) return add_moments(p);
    if (!needs_pairs(p)) return p->items == 0 || rank_add_map(p, 0, MAP_LEVELS);
    uint32_t rounds = count_rounds(p);
    for (uint32_t round = 0; round <= rounds; round++)
        if (!add_round(p, round, rounds)) return false;
    return true;
}

static wane_status plan_ranking(wane_plan *plan)
{
    rank_problem p;
    wane_status status = rank_read_problem(&p, plan);
    if (status) return status;
    if (p.pairs >= 0) return rank_plan_given(&p);
    choose_flags(&p);
    place_all(&p);
    status = rank_check_workspace(&p);
    if (status) return status;
    bool good = wane_plan_note(plan, "all pairs of a group, both roles: %lld items, %lld groups", (long long)p.items,
                               (long long)p.groups)
             && add_groups(&p) && add_orders(&p) && add_pairs(&p) && rank_add_values(&p, p.items) && rank_add_outputs(&p, p.record->at_group_plane + TALLY_VALUE * p.record->group_words, p.groups);
    if (!good) return wane_no_memory(plan->context);
    // groups of equal size; both roles of every pair
    rank_count_costs(&p, p.groups > 0 ? (uint64_t)p.items * ((uint64_t)p.items / (uint64_t)p.groups) : 0);
    return WANE_OK;
}

extern const wane_family wane_family_ranking;
const wane_family wane_family_ranking = {"ranking", statistics_need, plan_ranking};
