// Given pairs, after their entries are sorted by item (window.at). COLLECT_ENTRIES: one lane, one entry: the pair's slope,
// with its sign for the second item, and whether it is NaN. COLLECT_ITEMS: one lane, one item: finds its entries
// by bisection and leaves their sum as its gradient, its state, and itself as its group.
#if K_PHASE == 1
#include "softmax.h"
#include "rank.h"
#include "elementary.h"
#include "rank_sum.h"

// The first entry of item i or a later one.
K_FN uint entry_of(K_CTX uint i)
{
    uint low = 0u;
    uint high = 2u * K_P(pair_total);
    for (uint halving = 0u; halving < 32u; halving++)
        if (low < high) {
            uint middle = low + (high - low) / 2u;
            bool before = K_LD(work, K_W(at) + middle) < i;
            low = before ? middle + 1u : low;
            high = before ? high : middle;
        }
    return low;
}
#else
    uint i = K_ITEM;
    if (K_W(mode) == COLLECT_ENTRIES) {
        uint e = K_LD(work, K_W(at) + K_P(sort_words) + i);
        float slope = K_FLT(K_LD(work, K_P(at_value) + e / 2u));
        K_ST(work, K_P(at_dcg) + i, K_BITS((e & 1u) == 0u ? slope : -slope));
        uint flags = K_LD(work, K_P(at_flags) + e / 2u);
        K_ST(work, K_P(at_ideal) + i, (flags & (ITEM_ODD | ITEM_PULLED)) != 0u ? ITEM_ODD : 0u);
    } else {
        uint sum[2];
        uint odd[2];
        uint begin = entry_of(K_PASS i);
        uint end = entry_of(K_PASS i + 1u);
        segment(K_PASS SUM_FLOAT, K_P(at_dcg), SUM_OF_TERMS, begin, end, sum);
        segment(K_PASS SUM_FLAGS, K_P(at_ideal), SUM_OF_ODD, begin, end, odd);
        K_ST(work, K_P(at_grad) + i, sum[0]);
        K_ST(work, K_P(at_rank) + i, odd[0] != 0u ? GROUP_NAN : GROUP_NORMAL);
    }
#endif
