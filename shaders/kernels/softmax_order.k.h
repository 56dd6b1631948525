// One group, one batch of window.cols_here rows: writes the plane PLANE_ORDER, a permutation of the rows with those that
// count first, both kinds in their order, and the number of those into SOFTMAX_LIVE. Each virtual lane has one run of
// consecutive rows and counts it; the runs before it say where its rows go.
#if K_PHASE == 1
#include "softmax.h"
#include "softmax_target.h"
#define VIRTUAL_LANES 128u
K_FN bool row_counts(K_CTX uint row)
{
    target_class t = classify_target(K_PASS row);
    return !t.ignored && !t.bad;
}
#else
    uint rows = K_W(cols_here);
    uint run = (rows + VIRTUAL_LANES - 1u) / VIRTUAL_LANES;
    for (uint v = K_LANE; v < VIRTUAL_LANES; v += K_LANES) {
        uint stop = K_MIN((v + 1u) * run, rows);
        uint found = 0u;
        for (uint row = v * run; row < stop; row++) found += row_counts(K_PASS row) ? 1u : 0u;
        K_SS(live, v, found);
    }
    K_BARRIER();
    uint every = 0u;
    for (uint v = 0u; v < VIRTUAL_LANES; v++) every += K_SL(live, v);
    if (K_LANE == 0u) K_ST(work, SOFTMAX_LIVE, every);
    for (uint v = K_LANE; v < VIRTUAL_LANES; v += K_LANES) {
        uint before = 0u;
        for (uint w = 0u; w < v; w++) before += K_SL(live, w);
        uint stop = K_MIN((v + 1u) * run, rows);
        uint dead = every + K_MIN(v * run, rows) - before;
        for (uint row = v * run; row < stop; row++) {
            bool counts = row_counts(K_PASS row);
            K_ST(work, K_P(planes) + PLANE_ORDER * K_P(plane_rows) + (counts ? before : dead), row);
            before += counts ? 1u : 0u;
            dead += counts ? 0u : 1u;
        }
    }
#endif
