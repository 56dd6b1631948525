// One lane, one word: dense[p] = source[order[first + p]] where that row counts, else zeros; rows of window.cols elements, of
// the source's own type, out_row words apart. A word of a half type holds two columns, and the second of an odd last pair
// is 0. Items are window.rows x out_row. order: the plane that softmax_order leaves, window.tiles words into work.
#if K_PHASE == 1
#include "softmax.h"
#include "tile.h"
#else
    uint number = K_ITEM;
    uint row = number / K_P(out_row);
    uint word = number % K_P(out_row);
    uint place = K_W(depth) + row;
    bool live = place < K_LD(work, SOFTMAX_LIVE);
    uint value = 0u;
    if (live) {
        K_INDEX at = K_STEP(K_LD(work, K_W(tiles) + place), K_P(a_row));
        if ((K_C(types) & 15u) == TYPE_F32) {
            value = K_LD(source, at + K_STEP(word, K_P(a_depth)));
        } else {
            uint col = word * 2u;
            value = K_LDH(source, at + K_STEP(col, K_P(a_depth)));
            if (col + 1u < K_W(cols)) value |= K_LDH(source, at + K_STEP(col + 1u, K_P(a_depth))) << 16u;
        }
    }
    K_ST(dense, number, value);
#endif
