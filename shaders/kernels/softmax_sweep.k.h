// One group, one slice of a row: partial statistics into the planes of slice window.part and those after it.
// Items are rows x window.slices_here, slice fastest. The planner guarantees slices of at most 2^20 columns, each within
// the bound window of columns.
#if K_PHASE == 1
#include "softmax.h"
#include "elementary.h"
#define LOAD_LOGIT(i) K_LD(logits, i)
#define LOAD_LOGIT_HALF(i) K_LDH(logits, i)
#include "softmax_columns.h"
#include "softmax_sweep.h"
#else
    uint row = K_ITEM / K_W(slices_here);
    uint slice = K_W(slice0) + K_ITEM % K_W(slices_here);
    uint label = SOFTMAX_NO_COLUMN;
    if ((K_C(options) & OPTION_NO_TARGET) == 0u) label = K_LD(work, K_P(planes) + PLANE_LABEL * K_P(plane_rows) + row);
    uint begin = slice * K_P(slice_cols);
    uint end = K_MIN(begin + K_P(slice_cols), K_P(cols));
    bool targeted = (K_C(options) & OPTION_NO_TARGET) == 0u;
    bool live = label != SOFTMAX_NO_COLUMN || !targeted;
    if (live) {                            // the same for the whole group
        sweep_columns(K_PASS row, begin, end, label);
        if (K_LANE == 0u) {
            row_target t;
            t.value = 0.0f; t.flags = 0u; t.lead = K_SL(lead, 0u); t.best = K_SL(best, 0u);
            if (targeted && label >= begin && label < end) t = load_target(K_PASS row, label);
            uint at = K_P(planes) + (SOFTMAX_PLANES + (K_W(part) + K_ITEM % K_W(slices_here)) * SLICE_PLANES) * K_P(plane_rows) + row;
            K_ST(work, at + SLICE_MAX * K_P(plane_rows), K_BITS(K_SL(top, 0u)));
            K_ST(work, at + SLICE_SUM * K_P(plane_rows), K_BITS(K_SL(sum, 0u)));
            K_ST(work, at + SLICE_TARGET * K_P(plane_rows), K_BITS(t.value));
            K_ST(work, at + SLICE_FLAGS * K_P(plane_rows), K_SL(flag, 0u) | t.flags);
            K_ST(work, at + SLICE_SUM_EX * K_P(plane_rows), K_BITS(K_SL(sum_ex, 0u)));
            K_ST(work, at + SLICE_SUM_WX * K_P(plane_rows), K_BITS(K_SL(sum_wx, 0u)));
            K_ST(work, at + SLICE_SUM_W * K_P(plane_rows), K_BITS(K_SL(sum_w, 0u)));
            K_ST(work, at + SLICE_BEST * K_P(plane_rows), t.best);
            K_ST(work, at + SLICE_LEAD * K_P(plane_rows), K_BITS(t.lead));
        }
    }
#endif
