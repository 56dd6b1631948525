// One lane, one block of SUM_BLOCK words of the plane at window.at (level 0), or of as many sums of level 0 (level 1).
// window.count is the number of words, or of sums.
#if K_PHASE == 1
#include "rank.h"
#include "elementary.h"
#include "rank_sum.h"
#else
    uint begin = K_ITEM * SUM_BLOCK;
    uint end = K_MIN(begin + SUM_BLOCK, K_W(count));
    uint r[2];
    r[0] = 0u;
    r[1] = 0u;
    chain(K_PASS K_W(kind), K_W(level), words_at(K_PASS K_W(at), K_W(sum), K_W(level)), begin, end, r);
    uint to = level_at(K_PASS K_W(sum), K_W(level)) + K_ITEM * SUM_WORDS;
    K_ST(work, to, r[0]);
    K_ST(work, to + 1u, r[1]);
#endif
