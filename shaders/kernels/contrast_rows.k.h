// One group, one row of a side: dense[row, k] = scale * x[k] / |x| in f32, what products are made of. Without
// CONTRAST_NORMALIZE it is not divided, without CONTRAST_SCALED not multiplied. window.first is the planes' row of the
// first item; source and dense are bound from their first row on. A row whose flags have a bit of window.mask takes no
// part: it is 0 whatever it holds. A row of norm 0 is 0; one with NaN or an infinity is NaN where it is divided.
#if K_PHASE == 1
#include "softmax.h"
#include "contrast.h"
#include "types.h"
#include "contrast_planes.h"
#include "contrast_row.h"
#else
    uint row = K_ITEM;
    bool idle = false;
    if (K_W(mask) != 0u) idle = (K_LD(work, side_at(K_PASS PLANE_FLAGS, K_W(first) + row)) & K_W(mask)) != 0u;
    float scale = 1.0f;
    if ((K_C(options) & CONTRAST_SCALED) != 0u) scale = K_FLT(K_LD(work, CONTRAST_SCALE));
    row_norm norm;
    norm.up = 1.0f; norm.inverse = 1.0f; norm.top = 0u;
    if ((K_C(options) & CONTRAST_NORMALIZE) != 0u) norm = norm_of_row(K_PASS row);     // the same for the whole group
    bool broken = norm.top >= K_WORD_INF;
    for (uint first = 0u; first < K_P(dim); first += ROW_LANES) {
        float x[K_OWN];
        load_source(K_PASS x, row, first);
        for (uint s = 0u; s < K_OWN; s++) {
            uint word = K_BITS(((x[s] * norm.up) * norm.inverse) * scale);
            x[s] = K_FLT(idle ? 0u : broken ? K_WORD_NAN : word);
        }
        K_INDEX at = K_WIDE(row) * K_WIDE(K_P(dim)) + K_WIDE(first);
        if (STEP_WHOLE(first, 1u))
            for (uint s = 0u; s < K_OWN; s++) K_ST(dense, at + K_WIDE(s * K_LANES + K_LANE), K_BITS(x[s]));
        else
            for (uint s = 0u; s < K_OWN; s++)
                if (LANE_LIVE(first, s)) K_ST(dense, at + K_WIDE(s * K_LANES + K_LANE), K_BITS(x[s]));
    }
#endif
