// One lane, one row: public statistics planes into the planes of slice 0, where the link looks for them.
// Flags that are no integer of 0..255 are taken for a NaN row.
#if K_PHASE == 1
#include "softmax.h"
#else
    uint row = K_ITEM;
    uint at = row;
    if ((K_C(options) & OPTION_ORDERED) != 0u) at = K_LD(work, K_P(planes) + PLANE_ORDER * K_P(plane_rows) + row);
    uint plane = 0u;
    for (uint bit = 0u; bit < 7u; bit++) {
        uint word = 0u;
        if ((K_P(statistics_mask) & (1u << bit)) != 0u) {
            word = K_LD(statistics, K_STEP(plane, K_P(statistics_plane)) + K_STEP(at / K_P(rows_inner), K_P(statistics_outer))
                + K_STEP(at % K_P(rows_inner), K_P(statistics_row)));
            plane = plane + 1u;
            // 0x437f0000 is 255.0: as integers, words of floats in [0, 255] are at most that
            if (bit == 3u) word = word <= 0x437f0000u ? K_UINT(K_FLT(word)) : FLAG_NAN;
        }
        uint to = bit < 4u ? bit : SLICE_SUM_EX + (bit - 4u);
        K_ST(work, K_P(planes) + (SOFTMAX_PLANES + to) * K_P(plane_rows) + row, word);
    }
    K_ST(work, K_P(planes) + (SOFTMAX_PLANES + SLICE_BEST) * K_P(plane_rows) + row, SOFTMAX_NO_COLUMN);
    K_ST(work, K_P(planes) + (SOFTMAX_PLANES + SLICE_LEAD) * K_P(plane_rows) + row, 0u);
#endif
