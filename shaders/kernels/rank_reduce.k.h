// Sums over the groups in the order of 128 virtual lanes, then pairwise. REDUCE_PART: one group, PART_GROUPS of the
// groups into a part. REDUCE_ALL: one group in all, window.count parts into the scalars. NaN and infinite values are
// or-ed as classes, not summed.
#if K_PHASE == 1
#include "softmax.h"
#include "rank.h"
#include "elementary.h"
#include "rank_item.h"

#define TALLY_LANES 128u
#define TALLY_COUNTS 10u                   // PART_* of a part; the sum's place is not used

// Adds b to a, both u64 as two counts.
K_FN void tally_add(K_CTX K_INOUT_ARRAY(uint, count, K_OWN * TALLY_COUNTS), uint s, uint i, uint low, uint high)
{
    uint at = s * TALLY_COUNTS + i;
    count[at] += low;
    count[at + 1u] += high + (count[at] < low ? 1u : 0u);
}

K_FN float pair_float(uint low, uint high) { return K_FLOAT(high) * 4294967296.0f + K_FLOAT(low); }

// One group of the problem.
K_FN float tally_group(K_CTX K_INOUT_ARRAY(uint, count, K_OWN * TALLY_COUNTS), uint s, uint g)
{
    uint word = K_LD(work, group_at(K_PASS GROUP_VALUE, g));
    uint low = K_LD(work, group_at(K_PASS GROUP_PAIRS_LO, g));
    uint high = K_LD(work, group_at(K_PASS GROUP_PAIRS_HI, g));
    uint state = K_LD(work, group_at(K_PASS GROUP_STATE, g));
    bool finite = (word & 0x7fffffffu) < K_WORD_INF;
    bool some = (low | high) != 0u;
    uint at = s * TALLY_COUNTS;
    count[at + PART_CLASS] |= finite ? 0u : (word & 0x7fffffffu) == K_WORD_INF ? 2u : 1u;
    tally_add(K_PASS count, s, PART_PAIRS_LO, low, high);
    count[at + PART_LIVE] += some ? 1u : 0u;
    count[at + PART_BAD] += K_LD(work, group_at(K_PASS GROUP_BAD, g));
    count[at + PART_ODD] += state != GROUP_DROPPED ? K_LD(work, group_at(K_PASS GROUP_ODD, g)) : 0u;
    count[at + PART_NONE] += !some && state == GROUP_NORMAL ? 1u : 0u;
    count[at + PART_NAN] += state == GROUP_NAN ? 1u : 0u;
    float value = finite ? K_FLT(word) : 0.0f;
    if (K_P(reduction) == RANK_GROUP_MEAN && some) value = value / pair_float(low, high);
    return value;
}

K_FN float tally_part(K_CTX K_INOUT_ARRAY(uint, count, K_OWN * TALLY_COUNTS), uint s, uint part)
{
    uint from = K_P(at_parts) + part * PART_WORDS;
    count[s * TALLY_COUNTS + PART_CLASS] |= K_LD(work, from + PART_CLASS);
    tally_add(K_PASS count, s, PART_PAIRS_LO, K_LD(work, from + PART_PAIRS_LO), K_LD(work, from + PART_PAIRS_HI));
    for (uint i = PART_LIVE; i < TALLY_COUNTS; i++) count[s * TALLY_COUNTS + i] += K_LD(work, from + i);
    return K_FLT(K_LD(work, from + PART_SUM));
}

// Merges the virtual lanes into element 0 of `sum`, and of each TALLY_LANES of `count`.
K_FN void tally_merge(K_CTX K_INOUT_ARRAY(float, sum, K_OWN), K_INOUT_ARRAY(uint, count, K_OWN * TALLY_COUNTS))
{
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        if (v < TALLY_LANES) {
            K_SS(sum, v, sum[s]);
            for (uint i = 0u; i < TALLY_COUNTS; i++) K_SS(count, i * TALLY_LANES + v, count[s * TALLY_COUNTS + i]);
        }
    }
    K_BARRIER();
    for (uint w = TALLY_LANES / 2u; w > 0u; w >>= 1u) {
        for (uint v = K_LANE; v < w; v += K_LANES) {
            K_SS(sum, v, k_clamp(K_SL(sum, v) + K_SL(sum, v + w)));
            uint at = PART_CLASS * TALLY_LANES + v;
            K_SS(count, at, K_SL(count, at) | K_SL(count, at + w));
            at = PART_PAIRS_LO * TALLY_LANES + v;
            uint low = K_SL(count, at + w);
            uint total = K_SL(count, at) + low;
            K_SS(count, at, total);
            at = PART_PAIRS_HI * TALLY_LANES + v;
            K_SS(count, at, K_SL(count, at) + K_SL(count, at + w) + (total < low ? 1u : 0u));
            for (uint i = PART_LIVE; i < TALLY_COUNTS; i++)
                K_SS(count, i * TALLY_LANES + v, K_SL(count, i * TALLY_LANES + v) + K_SL(count, i * TALLY_LANES + v + w));
        }
        K_BARRIER();
    }
}

K_FN uint tally_count(K_CTX uint i) { return K_SL(count, i * TALLY_LANES); }

// The scalars, from what tally_merge left.
K_FN void finish(K_CTX float total)
{
    uint class_ = tally_count(K_PASS PART_CLASS);
    uint low = tally_count(K_PASS PART_PAIRS_LO);
    uint high = tally_count(K_PASS PART_PAIRS_HI);
    uint live = tally_count(K_PASS PART_LIVE);
    float d = 1.0f;
    if (K_P(reduction) == RANK_MEAN) d = pair_float(low, high);
    if (K_P(reduction) == RANK_GROUP_MEAN) d = K_FLOAT(live);
    float loss = d > 0.0f ? total / d : 0.0f;
    uint word = loss >= 3.4028235e38f || (class_ & 2u) != 0u ? K_WORD_INF : K_BITS(loss);
    K_ST(work, RANK_LOSS, (class_ & 1u) != 0u ? K_WORD_NAN : word);
    K_ST(work, RANK_PAIRS_LO, low);
    K_ST(work, RANK_PAIRS_HI, high);
    K_ST(work, RANK_FACTOR, K_BITS(d > 0.0f ? 1.0f / d : 0.0f));
    K_ST(work, RANK_STATUS, tally_count(K_PASS PART_BAD));
    K_ST(work, RANK_STATUS + 1u, tally_count(K_PASS PART_ODD));
    K_ST(work, RANK_STATUS + 2u, 0u);
    K_ST(work, RANK_STATUS + 3u, tally_count(K_PASS PART_NONE));
    K_ST(work, RANK_STATUS + 4u, tally_count(K_PASS PART_OFFSETS));
    K_ST(work, RANK_STATUS + 5u, 0u);
    K_ST(work, RANK_STATUS + 6u, tally_count(K_PASS PART_NAN));
    K_ST(work, RANK_STATUS + 7u, 0u);
}
#else
    float sum[K_OWN];
    uint count[K_OWN * TALLY_COUNTS];
    bool parts = K_W(mode) == REDUCE_ALL;
    uint begin = parts ? 0u : K_ITEM * PART_GROUPS;
    uint end = parts ? K_W(count) : K_MIN(begin + PART_GROUPS, K_P(groups));
    for (uint i = 0u; i < K_OWN * TALLY_COUNTS; i++) count[i] = 0u;
    for (uint s = 0u; s < K_OWN; s++) {
        sum[s] = 0.0f;
        for (uint i = begin + s * K_LANES + K_LANE; i < end && s * K_LANES + K_LANE < TALLY_LANES; i += TALLY_LANES) {
            if (parts) {
                sum[s] = k_clamp(sum[s] + tally_part(K_PASS count, s, i));
            } else {
                sum[s] = k_clamp(sum[s] + tally_group(K_PASS count, s, i));
                bool bad = K_LD(work, K_P(at_raw) + i) != K_LD(work, K_P(at_offset) + i);
                count[s * TALLY_COUNTS + PART_OFFSETS] += bad ? 1u : 0u;
            }
        }
    }
    tally_merge(K_PASS sum, count);
    if (K_LANE == 0u) {
        if (parts) {
            finish(K_PASS K_SL(sum, 0u));
        } else {
            uint to = K_P(at_parts) + K_ITEM * PART_WORDS;
            K_ST(work, to + PART_SUM, K_BITS(K_SL(sum, 0u)));
            for (uint i = PART_CLASS; i < TALLY_COUNTS; i++) K_ST(work, to + i, tally_count(K_PASS i));
            // the last offset belongs to no group
            if (end == K_P(groups) && K_LD(work, K_P(at_raw) + end) != K_LD(work, K_P(at_offset) + end))
                K_ST(work, to + PART_OFFSETS, tally_count(K_PASS PART_OFFSETS) + 1u);
        }
    }
#endif
