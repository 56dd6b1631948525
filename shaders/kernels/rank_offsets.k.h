// One lane, one of the groups + 1 offsets (i32, or i64 as two words; without offsets 0 and the number of items).
// Writes at_raw, RANK_BAD_OFFSET where out of 0 .. item_count, and at_offset, of which a scan takes the running
// maximum: an offset below it is a bad one too, and the groups on both sides of a bad offset are dropped.
#if K_PHASE == 1
#include "rank.h"
#else
    uint j = K_ITEM;
    uint most = (K_P(flags) & RANK_GIVEN) != 0u ? K_P(pair_total) : K_P(item_count);
    uint low = j == 0u ? 0u : most;
    uint high = 0u;
    if ((K_P(flags) & RANK_HAS_OFFSETS) != 0u) {
        bool wide = (K_P(flags) & RANK_OFFSETS_I64) != 0u;
        K_INDEX at = K_STEP(j, K_P(offsets_step));
        low = wide ? K_LD(offsets, at * 2) : K_LD(offsets, at);
        if (wide) high = K_LD(offsets, at * 2 + 1);
    }
    bool good = high == 0u && low <= most;
    K_ST(work, K_P(at_raw) + j, good ? low : RANK_BAD_OFFSET);
    K_ST(work, K_P(at_offset) + j, good ? low : 0u);
#endif
