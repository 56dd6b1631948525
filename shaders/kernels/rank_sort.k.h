// One step of a stable ascending merge sort within groups: one lane, SORT_CHUNK positions of the result. Keys are words,
// their indices sort_words later; window.from is read, window.to written. Runs begin at multiples of their width from
// the group's first position, whatever the chunks. width 0: runs of SORT_CHUNK by counting who comes before. Else two
// runs of `width` become one: a lane finds where its first position lies in both, by bisection, and merges from there.
// window.whole: all of 0 .. count is one group. Positions without a group are copied.
#if K_PHASE == 1
#include "rank.h"

K_FN void sort_copy(K_CTX uint to, uint from)
{
    K_ST(work, K_W(to) + to, K_LD(work, K_W(from) + from));
    K_ST(work, K_W(to) + K_P(sort_words) + to, K_LD(work, K_W(from) + K_P(sort_words) + from));
}

K_FN uint sort_key(K_CTX uint i) { return K_LD(work, K_W(from) + i); }

// Where position p of the run first .. end belongs in it.
K_FN uint sort_place(K_CTX uint p, uint first, uint end)
{
    uint key = sort_key(K_PASS p);
    uint before = 0u;
    for (uint k = first; k < end; k++) {
        uint other = sort_key(K_PASS k);
        before += other < key || (other == key && k < p) ? 1u : 0u;
    }
    return first + before;
}

// How many of the first `ahead` of two runs' merge come from the run first .. middle; the other is middle .. end.
K_FN uint sort_split(K_CTX uint ahead, uint first, uint middle, uint end)
{
    uint low = ahead > end - middle ? ahead - (end - middle) : 0u;
    uint high = K_MIN(ahead, middle - first);
    for (uint halving = 0u; halving < 32u && low < high; halving++) {
        uint m = low + (high - low) / 2u;
        bool taken = sort_key(K_PASS first + m) <= sort_key(K_PASS middle + ahead - m - 1u);
        low = taken ? m + 1u : low;
        high = taken ? high : m;
    }
    return low;
}

// Positions p .. stop of the merge of first .. middle and middle .. end.
K_FN void sort_merge(K_CTX uint p, uint stop, uint first, uint middle, uint end)
{
    uint x = first + sort_split(K_PASS p - first, first, middle, end);
    uint y = middle + (p - first) - (x - first);
    uint a = 0u;
    uint b = 0u;
    if (x < middle) a = sort_key(K_PASS x);
    if (y < end) b = sort_key(K_PASS y);
    for (uint q = p; q < stop; q++) {
        bool left = x < middle && (y >= end || a <= b);
        sort_copy(K_PASS q, left ? x : y);
        x += left ? 1u : 0u;
        y += left ? 0u : 1u;
        if (left && x < middle) a = sort_key(K_PASS x);
        if (!left && y < end) b = sort_key(K_PASS y);
    }
}
#else
    uint p = K_ITEM * SORT_CHUNK;
    uint last = K_MIN(p + SORT_CHUNK, K_W(count));
    while (p < last) {
        uint g = 0u;
        uint begin = 0u;
        uint end = K_W(count);
        if (K_W(whole) == 0u) {
            g = K_LD(work, K_P(at_group) + p);
            if (g != RANK_NO_GROUP) {
                begin = K_LD(work, K_P(at_offset) + g);
                end = K_LD(work, K_P(at_offset) + g + 1u);
            }
        }
        uint stop = p + 1u;
        if (g == RANK_NO_GROUP) {
            sort_copy(K_PASS p, p);
        } else if (K_W(width) == 0u) {
            uint first = p - (p - begin) % SORT_CHUNK;
            sort_copy(K_PASS sort_place(K_PASS p, first, K_MIN(first + SORT_CHUNK, end)), p);
        } else {
            uint first = p - (p - begin) % (2u * K_W(width));
            uint middle = K_MIN(first + K_W(width), end);
            uint over = K_MIN(first + 2u * K_W(width), end);
            stop = K_MIN(last, over);
            sort_merge(K_PASS p, stop, first, middle, over);
        }
        p = stop;
    }
#endif
