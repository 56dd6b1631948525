// One lane, one item: its gradient, the pair sum times the group's factor, the reduction's and the upstream's. Exactly 0
// where the group is dropped or there is none, NaN where the group is NaN, or has a pair and a NaN or infinite upstream.
#if K_PHASE == 1
#include "softmax.h"
#include "types.h"
#include "rank.h"
#include "elementary.h"
#include "rank_item.h"
K_FN float group_factor(K_CTX uint g)
{
    float f = K_FLT(K_LD(work, group_at(K_PASS GROUP_FACTOR, g))) * K_FLT(K_LD(work, RANK_FACTOR));
    if (K_P(reduction) == RANK_GROUP_MEAN) {
        float pairs = K_FLOAT(K_LD(work, group_at(K_PASS TALLY_PAIRS_HI, g))) * 4294967296.0f
                    + K_FLOAT(K_LD(work, group_at(K_PASS TALLY_PAIRS_LO, g)));
        f = pairs > 0.0f ? f / pairs : 0.0f;
    }
    return f;
}

// Of given pairs each has its own in its slope.
K_FN uint upstream_word(K_CTX uint g)
{
    bool none = K_P(reduction) == RANK_NONE;
    bool here = (K_P(flags) & RANK_HAS_UPSTREAM) != 0u && !((K_P(flags) & RANK_GIVEN) != 0u && none);
    uint word = K_BITS(1.0f);
    if (here) word = K_LD(upstream, K_STEP(none ? g : 0u, K_P(upstream_step)));
    return word;
}
#else
    uint i = K_ITEM;
    bool given = (K_P(flags) & RANK_GIVEN) != 0u;
    uint g = 0u;
    uint state = GROUP_DROPPED;
    if (!given) g = K_LD(work, K_P(at_group) + i);
    if (given) state = K_LD(work, K_P(at_rank) + i);
    else if (g != RANK_NO_GROUP) state = K_LD(work, group_at(K_PASS GROUP_STATE, g));
    float x = 0.0f;
    if (state == GROUP_NORMAL) {
        float factor = group_factor(K_PASS g);
        uint up = upstream_word(K_PASS g);
        bool odd = (up & 0x7fffffffu) >= K_WORD_INF;
        if (odd && factor != 0.0f) state = GROUP_NAN;
        else if (!odd) x = k_clamp(K_FLT(K_LD(work, K_P(at_grad) + i)) * (factor * K_FLT(up)));
    }
    uint type = K_P(types) >> 4u;
    bool add = (K_P(flags) & RANK_ACCUMULATE) != 0u;
    K_INDEX at = K_STEP(i, K_P(grad_step));
    // what is added to may be NaN itself, and then stays so
    uint old = 0u;
    if (add && type == TYPE_F32) old = K_LD(grad, at);
    if (add && type != TYPE_F32) old = half_to_word(type, K_LDH(grad, at));
    uint word = K_BITS(K_FLT(old) + x);
    if (!add) word = K_BITS(x);
    else if ((old & 0x7fffffffu) >= K_WORD_INF) word = old;
    if (state == GROUP_NAN) word = K_WORD_NAN;
    if (type == TYPE_F32) {
        K_ST(grad, at, word);
    } else {
        K_STH(grad, at, word_to_half(type, word));
    }
#endif
