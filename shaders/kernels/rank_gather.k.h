// One lane, one item. Reads scores (f32, f16 or bf16), labels (f32 or i32) and weight; writes score and weight (0 where they
// are NaN or infinite), label, flags and value planes. Labels become integers in the order of the labels, so that
// comparisons are exact for both types and need no float.
#if K_PHASE == 1
#include "softmax.h"
#include "types.h"
#include "rank.h"
#include "elementary.h"
#define SCORE_MOST 4.2535296e37f           // 2^125

// 2^label - 1 for labels of 0 to 30, exact for whole ones until f32 ends.
K_FN float gain_of(float label)
{
    float whole = K_FLOOR(label);
    float power = K_FLT((K_UINT(whole) + 127u) << 23u);
    return power * k_exp((label - whole) * 0.69314718f) - 1.0f;
}
#else
    uint i = K_ITEM;
    uint type = K_P(types) & 15u;
    K_INDEX at = K_STEP(i, K_P(scores_step));
    uint word = 0u;
    if (type == TYPE_F32) word = K_LD(scores, at);
    else word = half_to_word(type, K_LDH(scores, at));
    bool odd = (word & 0x7fffffffu) >= K_WORD_INF;
    // differences must not overflow
    float score = K_FLT(odd ? 0u : word);
    score = K_MAX(K_MIN(score, SCORE_MOST), -SCORE_MOST);
    K_ST(work, K_P(at_score) + i, K_BITS(score));
    uint label = K_LD(labels, K_STEP(i, K_P(labels_step)));
    bool whole = (K_P(flags) & RANK_LABELS_I32) != 0u;
    bool bad = !whole && (label & 0x7fffffffu) >= K_WORD_INF;
    float value = whole ? K_FLOAT(K_INT(label)) : K_FLT(bad ? 0u : label);
    bool gainless = false;
    if ((K_P(flags) & RANK_GAINS) != 0u) {
        bool fits = value >= 0.0f && value <= 30.0f;
        // a metric must not change the loss: only where pairs weigh by gains is such a label bad
        bool needed = (K_P(flags) & RANK_NORMALISED) != 0u;
        bad = bad || (needed && !fits);
        gainless = !needed && !fits;
        K_ST(work, K_P(at_gain) + i, K_BITS(gain_of(fits ? value : 0.0f)));
    }
    if ((K_P(flags) & RANK_VALUES) != 0u) K_ST(work, K_P(at_value) + i, K_BITS(value));
    // as a two's complement number: a float's word is its size, and the sign
    uint order = whole || label < 0x80000000u ? label : 0u - (label & 0x7fffffffu);
    order = bad ? 0u : order;
    if ((K_P(flags) & RANK_BINARY) != 0u) order = order != 0u && order < 0x80000000u ? 1u : 0u;
    K_ST(work, K_P(at_label) + i, order);
    if ((K_P(flags) & RANK_HAS_WEIGHT) != 0u) {
        word = K_LD(weight, K_STEP(i, K_P(weight_step)));
        bool loose = (word & 0x7fffffffu) >= K_WORD_INF;
        K_ST(work, K_P(at_weight) + i, loose ? 0u : word);
        odd = odd || loose;
    }
    K_ST(work, K_P(at_flags) + i, (odd ? ITEM_ODD : 0u) | (bad ? ITEM_BAD : 0u) | (gainless ? ITEM_GAINLESS : 0u));
#endif
