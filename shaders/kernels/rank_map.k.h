// One lane, one item (or one position of a sorted plane at window.at): what window.mode says, from planes to planes.
// An item without a group keeps its place in sorts and gets rank 0.
#if K_PHASE == 1
#include "softmax.h"
#include "rank.h"
#include "elementary.h"
#include "rank_item.h"
#include "rank_discount.h"
#include "rank_sum.h"

// The positives of the group's positions begin .. p, from the running count over all positions.
K_FN uint above(K_CTX uint begin, uint p)
{
    uint r = 0u;
    if (p > 0u) r = K_LD(work, K_P(at_above) + p - 1u);
    if (begin > 0u) r -= K_LD(work, K_P(at_above) + begin - 1u);
    return p > begin ? r : 0u;
}

// The first position in begin .. end whose key is not below `key`, or with `past` not below or at it.
K_FN uint bound(K_CTX uint keys, uint key, bool past, uint begin, uint end)
{
    uint low = begin;
    uint high = end;
    for (uint halving = 0u; halving < 32u && low < high; halving++) {
        uint middle = low + (high - low) / 2u;
        uint k = K_LD(work, keys + middle);
        bool before = k < key || (past && k == key);
        low = before ? middle + 1u : low;
        high = before ? high : middle;
    }
    return low;
}
#else
    uint i = K_ITEM;
    uint mode = K_W(mode);
    uint g = RANK_NO_GROUP;
    if (mode == MAP_GROUPS) K_ST(work, K_P(at_group) + i, find_group(K_PASS i));
    else g = K_LD(work, K_P(at_group) + i);
    uint begin = 0u;
    uint end = 0u;
    if (g != RANK_NO_GROUP) {
        begin = K_LD(work, K_P(at_offset) + g);
        end = K_LD(work, K_P(at_offset) + g + 1u);
    }
    if (mode == MAP_SCORES || mode == MAP_LABELS) {
        uint word = 0u;
        uint key = 0u;
        if (mode == MAP_SCORES) {
            word = K_LD(work, K_P(at_score) + i);
            // -0 is 0; larger floats have smaller keys
            word = (word & 0x7fffffffu) == 0u ? 0u : word;
            key = word >= 0x80000000u ? word : ~word & 0x7fffffffu;
        } else {
            key = ~(K_LD(work, K_P(at_label) + i) ^ 0x80000000u);
        }
        K_ST(work, K_W(at) + i, key);
        K_ST(work, K_W(at) + K_P(sort_words) + i, i);
    }
    if (mode == MAP_RANKS || mode == MAP_IDEAL) {
        uint from = K_LD(work, K_W(at) + K_P(sort_words) + i);
        uint rank = i - begin + 1u;
        float discount = g != RANK_NO_GROUP ? discount_of(K_PASS rank) : 0.0f;
        float share = 0.0f;
        if ((K_P(flags) & RANK_GAINS) != 0u) share = K_FLT(K_LD(work, K_P(at_gain) + from)) * discount;
        if (mode == MAP_RANKS) {
            K_ST(work, K_P(at_rank) + from, g != RANK_NO_GROUP ? rank : 0u);
            K_ST(work, K_P(at_discount) + from, K_BITS(discount));
            if ((K_P(flags) & RANK_GAINS) != 0u) K_ST(work, K_P(at_dcg) + from, K_BITS(share));
        } else {
            K_ST(work, K_P(at_ideal) + i, K_BITS(share));
        }
    }
    if (mode == MAP_TABLE) {
        float here = log2_of(i);
        float next = log2_of(i + 1u);
        float apart = k_log1p(1.0f / K_FLOAT(i + 1u)) * 1.44269504f;
        K_ST(work, K_P(at_table) + i, i == 0u ? 0u : K_BITS(apart / (here * next)));
    }
    if (mode == MAP_LEVELS) {
        uint other = 0u;
        if (g != RANK_NO_GROUP)
            other = K_LD(work, K_P(at_label) + i) != K_LD(work, K_P(at_label) + begin) ? 1u : 0u;
        K_ST(work, K_P(at_pairs) + i, other);
        K_ST(work, K_P(at_loss) + i, 0u);
        K_ST(work, K_P(at_grad) + i, 0u);
    }
    if (mode == MAP_CLASSES) {
        bool positive = K_LD(work, K_P(at_label) + i) != 0u;
        float x = K_FLT(K_LD(work, K_P(at_score) + i)) - K_FLT(K_LD(work, K_P(at_score)));
        K_ST(work, K_P(at_dcg) + i, positive ? K_BITS(x) : 0u);
        K_ST(work, K_P(at_ideal) + i, positive ? 0u : K_BITS(x));
        K_ST(work, K_P(at_half) + i, positive ? 1u : 0u);
        K_ST(work, K_P(at_pairs) + i, 1u);
    }
    if (mode == MAP_MOMENTS) {
        uint r[2];
        segment(K_PASS SUM_LONG, K_P(at_half), SUM_OF_HALVES, 0u, K_P(item_count), r);
        float each = r[0] > 0u ? 1.0f / K_FLOAT(r[0]) : 0.0f;
        float other = r[0] < K_P(item_count) ? 1.0f / K_FLOAT(K_P(item_count) - r[0]) : 0.0f;
        segment(K_PASS SUM_FLOAT, K_P(at_dcg), SUM_OF_DCG, 0u, K_P(item_count), r);
        float high = K_FLT(r[0]) * each;
        segment(K_PASS SUM_FLOAT, K_P(at_ideal), SUM_OF_IDEAL, 0u, K_P(item_count), r);
        float low = K_FLT(r[0]) * other;
        float alpha = K_MAX(K_P(margin) + (low - high), 0.0f);
        K_ST(work, RANK_MEAN_POS, K_BITS(high));
        K_ST(work, RANK_MEAN_NEG, K_BITS(low));
        K_ST(work, RANK_EACH_POS, K_BITS(each));
        K_ST(work, RANK_EACH_NEG, K_BITS(other));
        K_ST(work, RANK_ALPHA, K_BITS(each > 0.0f && other > 0.0f ? alpha : 0.0f));
    }
    if (mode == MAP_CENTRED) {
        bool positive = K_LD(work, K_P(at_label) + i) != 0u;
        float x = K_FLT(K_LD(work, K_P(at_score) + i)) - K_FLT(K_LD(work, K_P(at_score)));
        float apart = x - K_FLT(K_LD(work, positive ? RANK_MEAN_POS : RANK_MEAN_NEG));
        float each = K_FLT(K_LD(work, positive ? RANK_EACH_POS : RANK_EACH_NEG));
        float alpha = K_FLT(K_LD(work, RANK_ALPHA));
        K_ST(work, K_P(at_grad) + i, K_BITS(k_clamp(2.0f * each * (positive ? apart - alpha : apart + alpha))));
        K_ST(work, K_P(at_loss) + i, K_BITS(k_clamp(each * (apart * apart) + (i == 0u ? alpha * alpha : 0.0f))));
    }
    if (mode == MAP_ABOVE) {
        uint from = K_LD(work, K_W(at) + K_P(sort_words) + i);
        K_ST(work, K_P(at_above) + i, g != RANK_NO_GROUP ? K_LD(work, K_P(at_label) + from) : 0u);
    }
    if (mode == MAP_HALVES) {
        uint from = K_LD(work, K_W(at) + K_P(sort_words) + i);
        uint key = K_LD(work, K_W(at) + i);
        uint half_ = 0u;
        if (g != RANK_NO_GROUP && K_LD(work, K_P(at_label) + from) == 0u)
            half_ = above(K_PASS begin, bound(K_PASS K_W(at), key, false, begin, end))
                  + above(K_PASS begin, bound(K_PASS K_W(at), key, true, begin, end));
        K_ST(work, K_P(at_half) + i, half_);
    }
#endif
