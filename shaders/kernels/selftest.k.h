// A small kernel whose results are known (src/core/selftest.c keeps them): elementary functions, integer classes of
// special values, shared memory under barriers, a sum in the order of 128 virtual lanes.
// Reads 128 f32 from source; writes 8 results for each of 128 cells, then 2 words of the group.
#if K_PHASE == 1
#include "elementary.h"
K_FN uint cell_class(uint word)
{
    uint size = word & 0x7fffffffu;
    return size > 0x7f800000u ? 1u : word == 0x7f800000u ? 2u : word == 0xff800000u ? 3u : 4u;
}
#else
    float own[K_OWN];
    uint seen[K_OWN];
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        own[s] = 0.0f;
        seen[s] = 0u;
        if (v < 128u) {
            uint word = K_LD(source, K_W(offset) + v);
            uint class_ = cell_class(word);
            float x = K_FLT(class_ == 4u ? word : 0u) * K_P(scale);
            K_ST(dest, v * 8u, K_BITS(k_exp(x)));
            K_ST(dest, v * 8u + 1u, K_BITS(k_log(1.0f + x * x)));
            K_ST(dest, v * 8u + 2u, K_BITS(k_softplus(x)));
            K_ST(dest, v * 8u + 3u, K_BITS(k_sigmoid(x)));
            K_ST(dest, v * 8u + 4u, K_BITS(k_tanh(x)));
            K_ST(dest, v * 8u + 5u, K_BITS(k_expm1(x)));
            K_ST(dest, v * 8u + 6u, class_);
            K_ST(dest, v * 8u + 7u, word ^ (v << 3u));
            own[s] = x;
            seen[s] = 1u << class_;
            K_SS(sum, v, own[s]);
            K_SS(word, v, seen[s]);
        }
    }
    K_BARRIER();
    for (uint w = 64u; w > 0u; w >>= 1u) {
        for (uint v = K_LANE; v < w; v += K_LANES) {
            K_SS(sum, v, K_SL(sum, v) + K_SL(sum, v + w));
            K_SS(word, v, K_SL(word, v) | K_SL(word, v + w));
        }
        K_BARRIER();
    }
    if (K_LANE == 0u) {
        K_ST(dest, 1024u, K_BITS(K_SL(sum, 0u)));
        K_ST(dest, 1025u, K_SL(word, 0u) | (K_C(mode) << 8u) | (K_P(scale_bits) << 16u));
    }
#endif
