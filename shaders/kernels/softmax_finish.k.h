// One group in all: adds the parts of every batch into the scalars. window.col0 is the number of parts, window.mode
// MODE_COUNT leaves the denominator, MODE_LOSS loss, accuracy and status. Valid rows are under 2^31.
#if K_PHASE == 1
#include "softmax.h"
#include "reduce.h"
#else
    float sum[K_OWN];
    uint count[K_OWN * REDUCE_COUNTS];
    for (uint s = 0u; s < K_OWN; s++) sum[s] = 0.0f;
    for (uint s = 0u; s < K_OWN * REDUCE_COUNTS; s++) count[s] = 0u;
    for (uint first = 0u; first < K_W(col0); first += REDUCE_LANES)
        for (uint s = 0u; s < K_OWN; s++) {
            uint v = s * K_LANES + K_LANE;
            if (v < REDUCE_LANES && first + v < K_W(col0)) {
                uint at = K_P(partials) + (first + v) * SOFTMAX_PART_WORDS;
                sum[s] += K_FLT(K_LD(work, at + SOFTMAX_PART_SUM));
                count[s * REDUCE_COUNTS] |= K_LD(work, at + SOFTMAX_PART_CLASS);
                for (uint i = 1u; i < REDUCE_COUNTS; i++)
                    count[s * REDUCE_COUNTS + i] += K_LD(work, at + SOFTMAX_PART_CLASS + i);
            }
        }
    reduce_lanes(K_PASS sum, count);
    if (K_LANE == 0u) {
        float total = K_SL(sum, 0u);
        uint class_ = K_SL(count, 0u);
        uint valid = K_SL(count, REDUCE_LANES);
        if (K_W(mode) == MODE_COUNT) {
            K_ST(work, SOFTMAX_WEIGHT_SUM, K_BITS(total));
        } else {
            uint loss = K_BITS(total);
            if (K_P(reduction) == REDUCE_MEAN) {
                float d = K_FLT(K_LD(work, SOFTMAX_WEIGHT_SUM));
                // a denominator of 0 gives 0, infinite rows or not; NaN stays
                loss = d == 0.0f ? 0u : K_BITS(total / d);
                class_ = d == 0.0f ? class_ & FLAG_NAN : class_;
            }
            if ((class_ & FLAG_PLUS_INF) != 0u) loss = K_WORD_INF;
            if ((class_ & FLAG_NAN) != 0u) loss = K_WORD_NAN;
            K_ST(work, SOFTMAX_LOSS, loss);
            K_ST(work, SOFTMAX_VALID, valid);
            float correct = K_FLOAT(K_SL(count, 5u * REDUCE_LANES));
            K_ST(work, SOFTMAX_ACCURACY, valid == 0u ? 0u : K_BITS(correct / K_FLOAT(valid)));
            K_ST(work, SOFTMAX_STATUS, K_SL(count, 2u * REDUCE_LANES));
            K_ST(work, SOFTMAX_STATUS + 1u, K_SL(count, 3u * REDUCE_LANES));
            K_ST(work, SOFTMAX_STATUS + 2u, K_SL(count, 4u * REDUCE_LANES));
            K_ST(work, SOFTMAX_STATUS + 3u, K_SL(count, 6u * REDUCE_LANES));
            for (uint i = 4u; i < 8u; i++) K_ST(work, SOFTMAX_STATUS + i, 0u);
        }
    }
#endif
