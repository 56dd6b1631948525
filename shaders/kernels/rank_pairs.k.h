// One item, PAIR_ITEMS consecutive items of the problem from window.first on, each against all of its group.
// Reads the planes of gather; writes gradient (of the group's plain sum), loss (as the preferred one) and pairs of each
// item. Work is O(items x group); the planner cuts dispatches. All of it is done in round 0 (core/kernels.def).
#if K_PHASE == 1
#include "softmax.h"
#include "rank.h"
#include "elementary.h"
#include "pair_math.h"
#include "pair_terms.h"
#include "rank_pairs.h"
#else
    uint first = K_W(first) + K_ITEM * PAIR_ITEMS;
    for (uint own = 0u; own < K_OWN && K_W(round) == 0u; own += PAIR_SUB) pair_lanes(K_PASS first, own);
#endif
