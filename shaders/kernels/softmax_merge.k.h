// One lane, one row: joins the statistics of slice 1 to those of slice 0, where logits are made and swept a slice at a
// time. The planner guarantees at most 1024 slices a row, so that the chain of additions is no longer.
#if K_PHASE == 1
#include "softmax.h"
#include "elementary.h"
#include "softmax_link.h"
#include "softmax_merge.h"
K_FN void slice_store(K_CTX uint what, uint row, uint word) { plane_store(K_PASS SOFTMAX_PLANES + what, row, word); }
#else
    uint row = K_ITEM;
    bool targeted = (K_C(options) & OPTION_NO_TARGET) == 0u;
    bool live = true;
    if (targeted) live = K_LD(work, plane_at(K_PASS PLANE_LABEL, row)) != SOFTMAX_NO_COLUMN;
    if (live) {
        row_stats s = stats_merge(K_PASS stats_load(K_PASS 0u, row), stats_load(K_PASS 1u, row));
        slice_store(K_PASS SLICE_MAX, row, K_BITS(s.top));
        slice_store(K_PASS SLICE_SUM, row, K_BITS(s.sum));
        slice_store(K_PASS SLICE_TARGET, row, K_BITS(s.target));
        slice_store(K_PASS SLICE_FLAGS, row, s.flags);
        slice_store(K_PASS SLICE_SUM_EX, row, K_BITS(s.sum_ex));
        slice_store(K_PASS SLICE_SUM_WX, row, K_BITS(s.sum_wx));
        slice_store(K_PASS SLICE_SUM_W, row, K_BITS(s.sum_w));
        slice_store(K_PASS SLICE_BEST, row, s.best);
        slice_store(K_PASS SLICE_LEAD, row, K_BITS(s.lead));
    }
#endif
