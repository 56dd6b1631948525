// One lane, one given pair of indices (i32, or i64 as two words): reads two scores, writes the pair's value, slope, flags
// and count, and for each of its items an entry of item and entry number. A pair with an index that is none has value
// 0, slope 0, and entries behind those of all items; one with a NaN or infinite score is NaN, and so are its items.
#if K_PHASE == 1
#include "softmax.h"
#include "types.h"
#include "rank.h"
#include "elementary.h"
#include "pair_math.h"
#include "pair_terms.h"

K_FN uint pair_index(K_CTX uint p, uint side)
{
    bool wide = (K_P(flags) & RANK_OFFSETS_I64) != 0u;
    K_INDEX at = K_STEP(p, K_P(pairs_row)) + K_STEP(side, K_P(pairs_col));
    uint low = wide ? K_LD(pairs, at * 2) : K_LD(pairs, at);
    uint high = 0u;
    if (wide) high = K_LD(pairs, at * 2 + 1);
    return high == 0u && low < K_P(item_count) ? low : RANK_NO_GROUP;
}

K_FN uint score_word(K_CTX uint i)
{
    uint type = K_P(types) & 15u;
    K_INDEX at = K_STEP(i, K_P(scores_step));
    uint word = 0u;
    if (type == TYPE_F32) word = K_LD(scores, at);
    else word = half_to_word(type, K_LDH(scores, at));
    return word;
}

K_FN float score_limited(uint word) { return K_MAX(K_MIN(K_FLT(word), 4.2535296e37f), -4.2535296e37f); }
#else
    uint p = K_ITEM;
    uint first = pair_index(K_PASS p, 0u);
    uint second = pair_index(K_PASS p, 1u);
    bool good = first != RANK_NO_GROUP && second != RANK_NO_GROUP;
    uint a = 0u;
    uint b = 0u;
    if (good) {
        a = score_word(K_PASS first);
        b = score_word(K_PASS second);
    }
    bool odd = (a & 0x7fffffffu) >= K_WORD_INF || (b & 0x7fffffffu) >= K_WORD_INF;
    float t = odd || !good ? 0.0f : score_limited(a) - score_limited(b);
    pair_term r = pair_apply(K_PASS K_C(link), t);
    // on the margin torch takes the active side: equal scores must train
    if ((K_P(flags) & RANK_ACTIVE) != 0u && t == K_P(margin)) r.slope = -1.0f;
    bool live = good && !odd;
    float value = live ? k_clamp(r.value) : 0.0f;
    float slope = live ? r.slope : 0.0f;
    bool pulled = false;
    if (K_P(reduction) == RANK_NONE && (K_P(flags) & RANK_HAS_UPSTREAM) != 0u) {
        uint up = K_LD(upstream, K_STEP(p, K_P(upstream_step)));
        pulled = good && (up & 0x7fffffffu) >= K_WORD_INF;
        slope = slope * K_FLT(pulled ? 0u : up);
    }
    K_ST(work, K_P(at_loss) + p, K_BITS(value));
    K_ST(work, K_P(at_value) + p, K_BITS(k_clamp(slope)));
    K_ST(work, K_P(at_above) + p, odd ? K_WORD_NAN : value >= 3.4028235e38f ? K_WORD_INF : K_BITS(value));
    K_ST(work, K_P(at_flags) + p, (odd ? ITEM_ODD : 0u) | (good ? 0u : ITEM_BAD) | (pulled ? ITEM_PULLED : 0u));
    K_ST(work, K_P(at_pairs) + p, good ? 1u : 0u);
    for (uint side = 0u; side < 2u; side++) {
        uint e = 2u * p + side;
        K_ST(work, K_P(at_key) + e, !good ? RANK_NO_GROUP : side == 0u ? first : second);
        K_ST(work, K_P(at_key) + K_P(sort_words) + e, e);
    }
#endif
