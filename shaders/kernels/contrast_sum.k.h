// One group in all: total[0] = (total[0] +) the sum of window.count words of the workspace from window.from, in the order
// of 128 virtual lanes and blocks of 64. A NaN among them makes the result NaN. window.mode: CONTRAST_ADD to what total holds.
#if K_PHASE == 1
#include "softmax.h"
#include "contrast.h"
#define SUM_LANES 128u
#define SUM_BLOCK 8192u
#else
    float sum[K_OWN];
    uint top[K_OWN];
    for (uint s = 0u; s < K_OWN; s++) { sum[s] = 0.0f; top[s] = 0u; }
    for (uint first = 0u; first < K_W(count); first += SUM_BLOCK)
        for (uint s = 0u; s < K_OWN; s++) {
            float part = 0.0f;
            for (uint u = s * K_LANES + K_LANE; u < SUM_BLOCK; u += SUM_LANES)
                if (s * K_LANES + K_LANE < SUM_LANES && first + u < K_W(count)) {
                    uint word = K_LD(work, K_W(from) + first + u);
                    top[s] = K_MAX(top[s], word & 0x7fffffffu);
                    part += (word & 0x7fffffffu) > K_WORD_INF ? 0.0f : K_FLT(word);
                }
            sum[s] += part;
        }
    for (uint s = 0u; s < K_OWN; s++)
        if (s * K_LANES + K_LANE < SUM_LANES) {
            K_SS(sum, s * K_LANES + K_LANE, sum[s]);
            K_SS(top, s * K_LANES + K_LANE, top[s]);
        }
    K_BARRIER();
    for (uint w = SUM_LANES / 2u; w > 0u; w >>= 1u) {
        for (uint v = K_LANE; v < w; v += K_LANES) {
            K_SS(sum, v, K_SL(sum, v) + K_SL(sum, v + w));
            K_SS(top, v, K_MAX(K_SL(top, v), K_SL(top, v + w)));
        }
        K_BARRIER();
    }
    if (K_LANE == 0u) {
        float x = K_SL(sum, 0u);
        if ((K_W(mode) & CONTRAST_ADD) != 0u) x += K_FLT(K_LD(total, 0));
        K_ST(total, 0, K_SL(top, 0u) > K_WORD_INF ? K_WORD_NAN : K_BITS(x));
    }
#endif
