// One lane, one group: sums over its items, and from them its value, pairs and state. A group with a bad label or
// between bad offsets is dropped, one with a label that has no gain where ndcg alone needs it has ndcg 0; one with a NaN or infinite score is NaN if it has a pair.
#if K_PHASE == 1
#include "softmax.h"
#include "rank.h"
#include "elementary.h"
#include "rank_item.h"
#include "rank_sum.h"
K_FN float float_of(uint low, uint high) { return K_FLOAT(high) * 4294967296.0f + K_FLOAT(low); }
#else
    uint g = K_ITEM;
    uint begin = K_LD(work, K_P(at_offset) + g);
    uint end = K_LD(work, K_P(at_offset) + g + 1u);
    bool good = K_LD(work, K_P(at_raw) + g) == begin && K_LD(work, K_P(at_raw) + g + 1u) == end;
    if (!good) end = begin;
    uint flags[2];
    uint pairs[2];
    uint value[2];
    segment(K_PASS SUM_FLAGS, K_P(at_flags), SUM_OF_FLAGS, begin, end, flags);
    segment(K_PASS SUM_LONG, K_P(at_pairs), SUM_OF_PAIRS, begin, end, pairs);
    segment(K_PASS SUM_FLOAT, K_P(at_loss), SUM_OF_LOSS, begin, end, value);
    bool given = (K_P(flags) & RANK_GIVEN) != 0u;
    bool dropped = !good || (flags[1] != 0u && !given);
    bool some = !dropped && (pairs[0] | pairs[1]) != 0u;
    bool odd = some && flags[0] != 0u;
    float factor = 1.0f;
    float ndcg = 0.0f;
    uint gainless[2];
    gainless[0] = 0u;
    if ((K_P(flags) & RANK_GAINS) != 0u) {
        uint ideal[2];
        segment(K_PASS SUM_FLOAT, K_P(at_ideal), SUM_OF_IDEAL, begin, end, ideal);
        float best = K_FLT(ideal[0]);
        segment(K_PASS SUM_FLOAT, K_P(at_dcg), SUM_OF_DCG, begin, end, ideal);
        ndcg = best > 0.0f ? K_FLT(ideal[0]) / best : 0.0f;
        if ((K_P(flags) & RANK_NORMALISED) != 0u) factor = best > 0.0f ? 1.0f / best : 0.0f;
        else segment(K_PASS SUM_GAINLESS, K_P(at_flags), SUM_OF_GAINLESS, begin, end, gainless);
    }
    float auc = 0.0f;
    if ((K_P(flags) & RANK_WITH_AUC) != 0u) {
        uint halves[2];
        segment(K_PASS SUM_LONG, K_P(at_half), SUM_OF_HALVES, begin, end, halves);
        float all = float_of(pairs[0], pairs[1]);
        auc = all > 0.0f ? 0.5f * float_of(halves[0], halves[1]) / all : 0.0f;
    }
    bool inf = K_FLT(value[0]) >= 3.4028235e38f && factor > 0.0f;
    value[0] = K_BITS(K_FLT(value[0]) * factor);
    uint tally[TALLY_COUNTS];
    for (uint i = 0u; i < TALLY_COUNTS; i++) tally[i] = 0u;
    tally[TALLY_VALUE] = odd ? K_WORD_NAN : !some ? 0u : inf ? K_WORD_INF : value[0];
    tally[TALLY_CLASS] = odd ? 1u : some && inf ? 2u : 0u;
    tally[TALLY_PAIRS_LO] = some ? pairs[0] : 0u;
    tally[TALLY_PAIRS_HI] = some ? pairs[1] : 0u;
    tally[TALLY_LIVE] = some ? 1u : 0u;
    tally[TALLY_STATUS + (given ? STATUS_PAIRS : STATUS_BAD)] = flags[1] + gainless[0];
    tally[TALLY_STATUS + STATUS_ODD] = dropped ? 0u : flags[0];
    tally[TALLY_STATUS + STATUS_NONE] = !some && !dropped && !given ? 1u : 0u;
    tally[TALLY_STATUS + STATUS_OFFSETS] = K_LD(work, K_P(at_raw) + g) != begin ? 1u : 0u;
    // the last offset belongs to no group
    if (g + 1u == K_P(groups) && K_LD(work, K_P(at_raw) + g + 1u) != K_LD(work, K_P(at_offset) + g + 1u))
        tally[TALLY_STATUS + STATUS_OFFSETS] += 1u;
    tally[TALLY_STATUS + STATUS_NAN] = odd && !given ? 1u : 0u;
    tally[TALLY_AUC] = some && !odd ? K_BITS(auc) : 0u;
    for (uint i = 0u; i < TALLY_COUNTS; i++) K_ST(work, group_at(K_PASS i, g), tally[i]);
    K_ST(work, group_at(K_PASS GROUP_STATE, g), dropped ? GROUP_DROPPED : odd ? GROUP_NAN : GROUP_NORMAL);
    K_ST(work, group_at(K_PASS GROUP_FACTOR, g), K_BITS(some ? factor : 0.0f));
    K_ST(work, group_at(K_PASS GROUP_NDCG, g), dropped || gainless[0] != 0u ? 0u : flags[0] != 0u ? K_WORD_NAN : K_BITS(ndcg));
#endif
