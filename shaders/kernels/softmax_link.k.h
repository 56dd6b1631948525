// One lane, one row: merges the slices of a row in order, links, and leaves values and gradient coefficients in planes.
// Touches the workspace alone. Slices are merged in blocks of 64 and the blocks in order, so that no chain of additions
// is longer than 64 plus the number of blocks.
#if K_PHASE == 1
#include "softmax.h"
#include "elementary.h"
#include "softmax_link.h"
#else
    uint row = K_ITEM;
    bool merge = (K_C(options) & OPTION_MERGE) != 0u;
    uint label = SOFTMAX_NO_COLUMN;
    uint flags = 0u;
    if (!merge) {                          // the planes of a second tensor have neither
        label = K_LD(work, plane_at(K_PASS PLANE_LABEL, row));
        flags = K_LD(work, plane_at(K_PASS PLANE_FLAGS, row));
    }
    row_stats s = stats_none();
    if (label != SOFTMAX_NO_COLUMN || (K_C(options) & OPTION_NO_TARGET) != 0u)
        for (uint first = 0u; first < K_P(slices); first += 64u) {
            uint stop = K_MIN(first + 64u, K_P(slices));
            row_stats block = stats_load(K_PASS first, row);
            for (uint i = first + 1u; i < stop; i++) block = stats_merge(K_PASS block, stats_load(K_PASS i, row));
            s = stats_merge(K_PASS s, block);
        }
    s.flags |= flags;
    // planes that nobody made, or of one shard where those of all were asked for
    if ((K_C(options) & OPTION_GIVEN) != 0u && (s.flags & (FLAG_TARGET | FLAG_IGNORED | FLAG_BAD)) == 0u) s.flags |= FLAG_NAN;
    row_coefs c;
    c.mode = ROW_ZERO; c.p = 0.0f; c.target = 0.0f; c.w = 0.0f; c.ex = 0.0f; c.top = 0.0f;
    if (merge) {
        plane_store(K_PASS PLANE_ARGMAX, row, s.best);
        s.target = K_FLT(0u);
    } else {
        c = link_row(K_PASS row, label, s);
    }
    store_stats(K_PASS row, s);
    if (merge) plane_store(K_PASS PLANE_SWEPT, row, s.flags);
    plane_store(K_PASS PLANE_COEF + COEF_MODE, row, c.mode);
    plane_store(K_PASS PLANE_COEF + COEF_P, row, K_BITS(c.p));
    plane_store(K_PASS PLANE_COEF + COEF_TARGET, row, K_BITS(c.target));
    plane_store(K_PASS PLANE_COEF + COEF_W, row, K_BITS(c.w));
    plane_store(K_PASS PLANE_COEF + COEF_EX, row, K_BITS(c.ex));
    plane_store(K_PASS PLANE_COEF + COEF_TOP, row, K_BITS(c.top));
#endif
