// One lane, one row: merged statistics from the workspace to the public planes of the mask, in the order of its bits.
#if K_PHASE == 1
#include "softmax.h"
#else
    uint row = K_ITEM;
    uint at = row;
    if ((K_C(options) & OPTION_ORDERED) != 0u) at = K_LD(work, K_P(planes) + PLANE_ORDER * K_P(plane_rows) + row);
    uint plane = 0u;
    for (uint bit = 0u; bit < 7u; bit++)
        if ((K_P(statistics_mask) & (1u << bit)) != 0u) {
            uint from = bit < 3u ? PLANE_MAX + bit : bit == 3u ? PLANE_FLAGS : PLANE_SUM_EX + (bit - 4u);
            uint word = K_LD(work, K_P(planes) + from * K_P(plane_rows) + row);
            // flags are stored as the number they spell, so that any language can read them
            if (bit == 3u) word = K_BITS(K_FLOAT(word & 255u));
            K_ST(statistics, K_STEP(plane, K_P(statistics_plane)) + K_STEP(at / K_P(rows_inner), K_P(statistics_outer))
                + K_STEP(at % K_P(rows_inner), K_P(statistics_row)), word);
            plane = plane + 1u;
        }
#endif
