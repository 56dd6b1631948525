// One lane, one block of SUM_BLOCK words of the plane at window.at (level 0), or of as many sums of level 0 (level 1).
// window.count is the number of words, or of sums.
#if K_PHASE == 1
#include "rank.h"
#include "elementary.h"
#include "rank_sum.h"
#else
    uint begin = K_ITEM * SUM_BLOCK;
    uint end = K_MIN(begin + SUM_BLOCK, K_W(count));
    bool words = K_W(level) == 0u;
    uint from = words ? K_W(at) : level_at(K_PASS K_W(sum), 0u);
    uint to = level_at(K_PASS K_W(sum), K_W(level)) + K_ITEM * SUM_WORDS;
    if (K_W(kind) == SUM_FLOAT) {
        K_ST(work, to, K_BITS(chain_float(K_PASS from, words ? 1u : SUM_WORDS, begin, end)));
    } else {
        uint r[2];
        r[0] = 0u;
        r[1] = 0u;
        chain_pair(K_PASS from, words ? 1u : SUM_WORDS, K_W(kind), words, begin, end, r);
        K_ST(work, to, r[0]);
        K_ST(work, to + 1u, r[1]);
    }
#endif
