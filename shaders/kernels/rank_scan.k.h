// Inclusive scan of words, sums or maxima, in place. Up: one lane, SCAN_BLOCK words from at + item * SCAN_BLOCK, and
// their total to at_blocks + item; the planner scans the totals the same way. Down: one lane, one word of at .. at +
// count: joins it with the scanned totals of the blocks before its own.
#if K_PHASE == 1
#include "rank.h"
K_FN uint scan_join(uint mode, uint a, uint b) { return (mode & SCAN_MAX) != 0u ? K_MAX(a, b) : a + b; }
#else
    if ((K_W(mode) & SCAN_UP) != 0u) {
        uint begin = K_ITEM * SCAN_BLOCK;
        uint end = K_MIN(begin + SCAN_BLOCK, K_W(count));
        uint run = 0u;
        for (uint i = begin; i < end; i++) {
            run = scan_join(K_W(mode), run, K_LD(work, K_W(at) + i));
            K_ST(work, K_W(at) + i, run);
        }
        K_ST(work, K_W(at_blocks) + K_ITEM, run);
    } else if (K_ITEM >= SCAN_BLOCK) {
        uint before = K_LD(work, K_W(at_blocks) + K_ITEM / SCAN_BLOCK - 1u);
        K_ST(work, K_W(at) + K_ITEM, scan_join(K_W(mode), before, K_LD(work, K_W(at) + K_ITEM)));
    }
#endif
