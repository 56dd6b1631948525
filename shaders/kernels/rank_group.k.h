// One lane, one group: sums over its items, and from them its value, pairs and state. A group with a bad label or
// between bad offsets is dropped; one with a NaN or infinite score is NaN if it has a pair.
#if K_PHASE == 1
#include "softmax.h"
#include "rank.h"
#include "elementary.h"
#include "rank_item.h"
#include "rank_sum.h"
#else
    uint g = K_ITEM;
    uint begin = K_LD(work, K_P(at_offset) + g);
    uint end = K_LD(work, K_P(at_offset) + g + 1u);
    bool good = K_LD(work, K_P(at_raw) + g) == begin && K_LD(work, K_P(at_raw) + g + 1u) == end;
    if (!good) end = begin;
    uint flags[2];
    uint pairs[2];
    segment_pair(K_PASS K_P(at_flags), SUM_OF_FLAGS, SUM_FLAGS, begin, end, flags);
    segment_pair(K_PASS K_P(at_pairs), SUM_OF_PAIRS, SUM_LONG, begin, end, pairs);
    float value = segment_float(K_PASS K_P(at_loss), SUM_OF_LOSS, begin, end);
    bool dropped = !good || flags[1] != 0u;
    bool some = !dropped && (pairs[0] | pairs[1]) != 0u;
    bool nan_ = some && flags[0] != 0u;
    uint word = value >= 3.4028235e38f ? K_WORD_INF : K_BITS(value);
    K_ST(work, group_at(K_PASS GROUP_VALUE, g), nan_ ? K_WORD_NAN : some ? word : 0u);
    K_ST(work, group_at(K_PASS GROUP_PAIRS_LO, g), some ? pairs[0] : 0u);
    K_ST(work, group_at(K_PASS GROUP_PAIRS_HI, g), some ? pairs[1] : 0u);
    K_ST(work, group_at(K_PASS GROUP_STATE, g), dropped ? GROUP_DROPPED : nan_ ? GROUP_NAN : GROUP_NORMAL);
    K_ST(work, group_at(K_PASS GROUP_FACTOR, g), K_BITS(1.0f));
    K_ST(work, group_at(K_PASS GROUP_BAD, g), flags[1]);
    K_ST(work, group_at(K_PASS GROUP_ODD, g), flags[0]);
#endif
