// One lane, one row: joins the statistics of slices 1 to window.slices_here, in order, to those of slice 0, where logits are
// made and swept some slices at a time. The planner guarantees at most 1024 such passes for a row, so that no chain of
// additions is longer; the slices of a pass are added up by themselves.
#if K_PHASE == 1
#include "softmax.h"
#include "elementary.h"
#include "softmax_stats.h"
#else
    uint row = K_ITEM;
    bool targeted = (K_C(options) & OPTION_NO_TARGET) == 0u;
    bool live = true;
    if (targeted) live = K_LD(work, plane_at(K_PASS PLANE_LABEL, row)) != SOFTMAX_NO_COLUMN;
    if (live) {
        row_stats more = stats_load(K_PASS 1u, row);
        for (uint i = 2u; i <= K_W(slices_here); i++) more = stats_merge(K_PASS more, stats_load(K_PASS i, row));
        stats_store(K_PASS 0u, row, stats_merge(K_PASS stats_load(K_PASS 0u, row), more));
    }
#endif
