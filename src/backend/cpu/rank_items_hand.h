// rank_items_hand.h - the passes over items that cost most where groups are small, by hand: in rank_map the items'
// groups, found by going on from the last one's rather than by a search for each, and discounts by vectors; in rank_sum
// the sums of whole blocks, by vectors. The rest is the made kernels'. Included by rank__<set>.c. Gained:
// docs/performance.md, Ranking.
#include "backend/cpu/override.h"
#include "backend/cpu/rank_places.h"
#include "backend/cpu/vector.h"

#include "kernels/rank.h"

#include <stdbool.h>

WANE_CPU_ARGUMENTS(rank_map, RANK_MAP)
WANE_CPU_ARGUMENTS(rank_sum, RANK_SUM)
HAND_DECLARE(rank_map);
HAND_DECLARE(rank_sum);

// The first of `count` rising words that is above i, from `low` on.
static uint32_t first_above(const uint32_t *word, uint32_t low, uint32_t count, uint32_t i)
{
    while (low < count) {
        uint32_t middle = low + (count - low) / 2;
        if (word[middle] <= i) low = middle + 1;
        else count = middle;
    }
    return low;
}

// As find_group of shaders/kernels/rank_item.h.
static void map_groups(const rank_map_args *args, uint32_t begin, uint32_t end)
{
    const uint32_t *offset = args->s.work + args->p.at_offset, *raw = args->s.work + args->p.at_raw;
    const uint32_t ends = args->p.groups + 1;
    uint32_t *group = args->s.work + args->p.at_group, next = first_above(offset, 0, ends, begin);
    for (uint32_t i = begin; i < end;) {
        uint32_t stop = next < ends && offset[next] < end ? offset[next] : end;
        bool good = next > 0 && next < ends && raw[next - 1] == offset[next - 1] && raw[next] == offset[next];
        uint32_t here = good ? next - 1 : RANK_NO_GROUP;
        for (; i < stop; i++) group[i] = here;
        while (next < ends && offset[next] <= i) next++;
    }
}

enum { DISCOUNTS = 256 };

// 1 / log2(1 + rank) from `rank` on, as shaders/kernels/rank_discount.h has it; DISCOUNTS of them at the most.
static void make_discounts(uint32_t rank, uint32_t count, float *discount)
{
    static const float lane[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vec one = v_all(1);
    for (uint32_t k = 0; k < count; k += V_LANES) {
        vec x = v_add(v_all((float)(rank + 1 + k)), v_load(lane)), whole = v_exponent(x), m = v_mantissa(x);
        vecmask high = v_less(v_all(1.41421356f), m);
        whole = v_select(high, v_add(whole, one), whole);
        m = v_select(high, v_mul(m, v_all(0.5f)), m);
        vec part = v_atanh2(v_div(v_sub(m, one), v_add(m, one)));
        v_store(discount + k, v_div(one, v_fma(part, v_all(1.44269504f), whole)));
    }
}

// The sorted positions first .. end of a group that begins at `begin`.
static void map_ranks(const rank_map_args *args, uint32_t begin, uint32_t first, uint32_t end)
{
    uint32_t *work = args->s.work;
    const uint32_t *item = work + args->w.at + args->p.sort_words;
    float discount[DISCOUNTS], gain, share = 0;
    make_discounts(first - begin + 1, end - first, discount);
    for (uint32_t i = first; i < end; i++) {
        uint32_t rank = i - begin + 1, from = item[i];
        float here = rank <= args->p.top_k ? discount[i - first] : 0;
        if (args->p.flags & RANK_GAINS) memcpy(&gain, &work[args->p.at_gain + from], 4), share = gain * here;
        if (args->w.mode == MAP_IDEAL) {
            memcpy(&work[args->p.at_ideal + i], &share, 4);
            continue;
        }
        work[args->p.at_rank + from] = rank;
        memcpy(&work[args->p.at_discount + from], &here, 4);
        if (args->p.flags & RANK_GAINS) memcpy(&work[args->p.at_dcg + from], &share, 4);
    }
}

void HAND_NAME(rank_map)(const wane_cpu_call *call, uint32_t begin, uint32_t end)
{
    rank_map_args args = rank_map_arguments(call);
    if (args.w.mode == MAP_GROUPS) map_groups(&args, begin, end);
    else if (args.w.mode != MAP_RANKS && args.w.mode != MAP_IDEAL) HAND_MADE(rank_map)(call, begin, end);
    else
        for (uint32_t i = begin, stop; i < end; i = stop) {
            uint32_t g = args.s.work[args.p.at_group + i];
            stop = i + 1;
            if (g == RANK_NO_GROUP) {
                HAND_MADE(rank_map)(call, i, stop);
                continue;
            }
            const uint32_t *ends = args.s.work + args.p.at_offset + g;
            stop = ends[1] < end ? ends[1] : end;
            if (stop - i > DISCOUNTS) stop = i + DISCOUNTS;
            map_ranks(&args, ends[0], i, stop);
        }
}

// A block's sum; false where it leaves f32.
static bool sum_floats(const uint32_t *word, uint32_t *low)
{
    vec sum = v_load(word);
    for (uint32_t k = V_LANES; k < SUM_BLOCK; k += V_LANES) sum = v_add(sum, v_load(word + k));
    float total = v_sum(sum);
    memcpy(low, &total, 4);
    return total < 3.4e38f && total > -3.4e38f;
}

static void sum_words(const uint32_t *word, uint32_t kind, uint32_t *low, uint32_t *high)
{
    uint64_t sum = 0;
    uint32_t odd = 0, bad = 0, gainless = 0;
    for (uint32_t k = 0; k < SUM_BLOCK && kind == SUM_LONG; k++) sum += word[k];
    for (uint32_t k = 0; k < SUM_BLOCK && kind != SUM_LONG; k++) {
        odd += word[k] & ITEM_ODD;
        bad += word[k] & ITEM_BAD;
        gainless += word[k] & ITEM_GAINLESS;
    }
    *low = kind == SUM_LONG ? (uint32_t)sum : kind == SUM_FLAGS ? odd / ITEM_ODD : gainless / ITEM_GAINLESS;
    *high = kind == SUM_LONG ? (uint32_t)(sum >> 32) : kind == SUM_FLAGS ? bad / ITEM_BAD : 0;
}

void HAND_NAME(rank_sum)(const wane_cpu_call *call, uint32_t begin, uint32_t end)
{
    rank_sum_args args = rank_sum_arguments(call);
    for (uint32_t item = begin; item < end; item++) {
        const uint32_t *word = args.s.work + args.w.at + (size_t)item * SUM_BLOCK;
        uint32_t *to = args.s.work + args.p.at_sums + args.w.sum * args.p.sum_words + item * SUM_WORDS;
        bool whole = args.w.level == 0 && args.w.count - item * SUM_BLOCK >= SUM_BLOCK, done = whole;
        if (whole && args.w.kind != SUM_FLOAT) sum_words(word, args.w.kind, &to[0], &to[1]);
        else if (whole) to[1] = 0, done = sum_floats(word, &to[0]);
        if (!done) HAND_MADE(rank_sum)(call, item, item + 1);
    }
}
