// The fused row: one group, one row; sweep, link and write while the row is on chip or in cache (2 N V s bytes).
// Reads logits, weight, planes of gather; writes the value planes, and grad if asked for.
// The planner guarantees cols <= 2^20 and a window that holds whole rows.
#if K_PHASE == 1
#include "softmax.h"
#include "elementary.h"
#include "softmax_link.h"
// In place the logits are read where the gradient is written: each cell by the lane that will store it.
#define LOAD_LOGIT(i) K_LD_EITHER((K_C(options) & OPTION_IN_PLACE) != 0u, grad, logits, i)
#define LOAD_LOGIT_HALF(i) K_LDH_EITHER((K_C(options) & OPTION_IN_PLACE) != 0u, grad, logits, i)
#include "softmax_columns.h"
#include "softmax_sweep.h"
#include "softmax_write.h"
#else
    uint row = K_ITEM;
    uint label = K_LD(work, plane_at(K_PASS PLANE_LABEL, row));
    bool targeted = (K_C(options) & OPTION_NO_TARGET) == 0u;
    bool live = label != SOFTMAX_NO_COLUMN || !targeted;
    if (live) {                            // the same for the whole group
        sweep_columns(K_PASS row, 0u, K_P(cols), label);
    }
    if (K_LANE == 0u) {
        row_stats s;
        s.top = -3.4028235e38f; s.sum = 0.0f; s.target = 0.0f; s.sum_ex = 0.0f; s.sum_wx = 0.0f; s.sum_w = 0.0f;
        s.flags = K_LD(work, plane_at(K_PASS PLANE_FLAGS, row));
        s.best = SOFTMAX_NO_COLUMN; s.lead = 0.0f;
        if (live) {
            row_target t;
            t.value = 0.0f; t.flags = 0u; t.lead = 0.0f; t.best = K_SL(best, 0u);
            if (targeted) t = load_target(K_PASS row, label);
            s.top = K_SL(top, 0u); s.sum = K_SL(sum, 0u); s.target = t.value; s.sum_ex = K_SL(sum_ex, 0u);
            s.sum_wx = K_SL(sum_wx, 0u); s.sum_w = K_SL(sum_w, 0u);
            s.flags |= K_SL(flag, 0u) | t.flags;
            s.best = t.best;
        }
        row_coefs c = link_row(K_PASS row, label, s);
        if ((K_C(options) & OPTION_SAVE) != 0u) store_stats(K_PASS row, s);
        K_SS(coef, 0u, K_FLOAT(c.mode)); K_SS(coef, 1u, c.p); K_SS(coef, 2u, c.target); K_SS(coef, 3u, c.w);
        K_SS(coef, 4u, c.ex); K_SS(coef, 5u, c.top);
    }
    K_BARRIER();
    if ((K_C(options) & OPTION_GRAD) != 0u) {
        row_coefs c;
        c.mode = K_UINT(K_SL(coef, 0u)); c.p = K_SL(coef, 1u); c.target = K_SL(coef, 2u); c.w = K_SL(coef, 3u);
        c.ex = K_SL(coef, 4u); c.top = K_SL(coef, 5u);
        write_columns(K_PASS row, 0u, K_P(cols), label, c);
    }
#endif
