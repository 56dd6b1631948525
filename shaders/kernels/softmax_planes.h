// softmax_planes.h - planes of a batch in the workspace, and what every link does with them.

#include "softmax_stats.h"

// The factor of a row's gradient: upstream, row weight, and the denominator of mean (0 if that is 0).
K_FN float row_scale(K_CTX uint row)
{
    float g = plane_float(K_PASS PLANE_UPSTREAM, row) * plane_float(K_PASS PLANE_ROW_WEIGHT, row);
    if (K_P(reduction) == REDUCE_MEAN) {
        float d = K_FLT(K_LD(work, SOFTMAX_WEIGHT_SUM));
        g = d == 0.0f ? 0.0f : g / d;
    }
    return g;
}

K_FN void store_values(K_CTX uint row, uint loss, uint lse, uint entropy, uint argmax, uint flags)
{
    plane_store(K_PASS PLANE_ROW_LOSS, row, loss);
    plane_store(K_PASS PLANE_LSE, row, lse);
    plane_store(K_PASS PLANE_ENTROPY, row, entropy);
    plane_store(K_PASS PLANE_ARGMAX, row, argmax);
    plane_store(K_PASS PLANE_FLAGS, row, flags);
}
