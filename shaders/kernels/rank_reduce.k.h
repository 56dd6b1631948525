// Adds the groups' tallies in the order of 128 virtual lanes, then pairwise. REDUCE_PART: one group, PART_GROUPS of the
// groups into a part. REDUCE_ALL: one group in all, window.count parts into the scalars.
#if K_PHASE == 1
#include "softmax.h"
#include "rank.h"
#include "elementary.h"
#include "rank_item.h"

#define TALLY_LANES 128u

K_FN float pairs_float(uint low, uint high) { return K_FLOAT(high) * 4294967296.0f + K_FLOAT(low); }

// What tally word i becomes when `more` joins it; `low` is the sum of the word before it, of which more_low was added.
K_FN uint tally_join(uint i, uint word, uint more, uint low, uint more_low)
{
    uint r = word + more;
    if (i == TALLY_CLASS) r = word | more;
    if (i == TALLY_PAIRS_HI && low < more_low) r += 1u;
    if (i == TALLY_VALUE || i == TALLY_AUC) r = K_BITS(k_clamp(K_FLT(word) + K_FLT(more)));
    return r;
}

// The tally of a group or a part, its value ready to be added: NaN and infinities are classes.
K_FN void tally_load(K_CTX bool parts, uint index, K_INOUT_ARRAY(uint, more, TALLY_COUNTS))
{
    for (uint i = 0u; i < TALLY_COUNTS; i++) {
        uint at = parts ? K_P(at_parts) + index * PART_WORDS + i : group_at(K_PASS i, index);
        more[i] = K_LD(work, at);
    }
    if (!parts) {
        if (more[TALLY_CLASS] != 0u) more[TALLY_VALUE] = 0u;
        float pairs = pairs_float(more[TALLY_PAIRS_LO], more[TALLY_PAIRS_HI]);
        if (K_P(reduction) == RANK_GROUP_MEAN && pairs > 0.0f) more[TALLY_VALUE] = K_BITS(K_FLT(more[TALLY_VALUE]) / pairs);
    }
}

// The scalars, from what stands in element 0 of each TALLY_LANES of `count`.
K_FN void finish(K_CTX uint spare)
{
    uint class_ = K_SL(count, TALLY_CLASS * TALLY_LANES);
    uint low = K_SL(count, TALLY_PAIRS_LO * TALLY_LANES);
    uint high = K_SL(count, TALLY_PAIRS_HI * TALLY_LANES);
    float d = 1.0f;
    if (K_P(reduction) == RANK_MEAN) d = pairs_float(low, high);
    if (K_P(reduction) == RANK_GROUP_MEAN) d = K_FLOAT(K_SL(count, TALLY_LIVE * TALLY_LANES));
    float total = K_FLT(K_SL(count, TALLY_VALUE * TALLY_LANES));
    float loss = d > 0.0f ? total / d : 0.0f;
    uint word = loss >= 3.4028235e38f || (class_ & 2u) != 0u ? K_WORD_INF : K_BITS(loss);
    K_ST(work, RANK_LOSS, (class_ & 1u) != 0u ? K_WORD_NAN : word);
    float live = K_FLOAT(K_SL(count, TALLY_LIVE * TALLY_LANES));
    float auc = K_FLT(K_SL(count, TALLY_AUC * TALLY_LANES)) / K_MAX(live, 1.0f);
    K_ST(work, RANK_AUC, (class_ & 1u) != 0u ? K_WORD_NAN : K_BITS(auc));
    K_ST(work, RANK_PAIRS_LO, low);
    K_ST(work, RANK_PAIRS_HI, high);
    K_ST(work, RANK_FACTOR, K_BITS(d > 0.0f ? 1.0f / d : 0.0f));
    for (uint i = 0u; i < 8u; i++) K_ST(work, RANK_STATUS + i, K_SL(count, (TALLY_STATUS + i) * TALLY_LANES) + spare);
}
#else
    uint more[TALLY_COUNTS];
    bool parts = K_W(mode) == REDUCE_ALL;
    uint begin = parts ? 0u : K_ITEM * PART_GROUPS;
    uint end = parts ? K_W(count) : K_MIN(begin + PART_GROUPS, K_P(groups));
    for (uint v = K_LANE; v < TALLY_LANES; v += K_LANES) {
        uint sum[TALLY_COUNTS];
        for (uint i = 0u; i < TALLY_COUNTS; i++) sum[i] = 0u;
        for (uint at = begin + v; at < end; at += TALLY_LANES) {
            tally_load(K_PASS parts, at, more);
            for (uint i = 0u; i < TALLY_COUNTS; i++)
                sum[i] = tally_join(i, sum[i], more[i], i > 0u ? sum[i - 1u] : 0u, i > 0u ? more[i - 1u] : 0u);
        }
        for (uint i = 0u; i < TALLY_COUNTS; i++) K_SS(count, i * TALLY_LANES + v, sum[i]);
    }
    K_BARRIER();
    for (uint w = TALLY_LANES / 2u; w > 0u; w >>= 1u) {
        for (uint v = K_LANE; v < w; v += K_LANES) {
            uint low = 0u;
            uint more_low = 0u;
            for (uint i = 0u; i < TALLY_COUNTS; i++) {
                uint added = K_SL(count, i * TALLY_LANES + v + w);
                low = tally_join(i, K_SL(count, i * TALLY_LANES + v), added, low, more_low);
                more_low = added;
                K_SS(count, i * TALLY_LANES + v, low);
            }
        }
        K_BARRIER();
    }
    if (K_LANE == 0u) {
        if (parts) {
            finish(K_PASS 0u);
        } else {
            for (uint i = 0u; i < TALLY_COUNTS; i++)
                K_ST(work, K_P(at_parts) + K_ITEM * PART_WORDS + i, K_SL(count, i * TALLY_LANES));
        }
    }
#endif
