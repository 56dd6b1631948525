// rank_sort_hand.h - rank_sort for groups that fit a cache: the first step makes runs of RANK_PLACES_MOST at once, so that
// the next ones have nothing to merge and copy, as does every step in groups that are one run. What is left, the made
// kernel merges. A sorted group is the same words however it was made.
//
// Included by rank__<set>.c. Gained on Zen 5 for 1000 groups of 10 to 1000 items: docs/performance.md, Ranking.
#include "backend/cpu/override.h"
#include "backend/cpu/rank_places.h"

#include "kernels/rank.h"

#include <stdbool.h>

WANE_CPU_ARGUMENTS(rank_sort, RANK_SORT)
HAND_DECLARE(rank_sort);

// The group of position p: false if there is none, which is a group of its own.
static bool group_bounds(const rank_sort_args *args, uint32_t p, uint32_t *begin, uint32_t *end)
{
    uint32_t g = args->w.whole ? 0 : args->s.work[args->p.at_group + p];
    *begin = args->w.whole ? 0 : g == RANK_NO_GROUP ? p : args->s.work[args->p.at_offset + g];
    *end = args->w.whole ? args->w.count : g == RANK_NO_GROUP ? p + 1 : args->s.work[args->p.at_offset + g + 1];
    return g != RANK_NO_GROUP;
}

static void copy_span(const rank_sort_args *args, uint32_t from, uint32_t to)
{
    uint32_t *work = args->s.work, words = args->p.sort_words;
    if (from >= to) return;
    memcpy(work + args->w.to + from, work + args->w.from + from, (to - from) * sizeof *work);
    memcpy(work + args->w.to + words + from, work + args->w.from + words + from, (to - from) * sizeof *work);
}

// The runs that begin at positions p..stop.
static void sort_runs(const rank_sort_args *args, uint32_t p, uint32_t stop)
{
    uint32_t *to = args->s.work + args->w.to, words = args->p.sort_words, begin, end;
    const uint32_t *from = args->s.work + args->w.from;
    uint16_t place[RANK_PLACES_MOST];
    while (p < stop) {
        group_bounds(args, p, &begin, &end);
        uint32_t first = begin + (p - begin) / RANK_PLACES_MOST * RANK_PLACES_MOST;
        uint32_t count = end - first < RANK_PLACES_MOST ? end - first : RANK_PLACES_MOST;
        if (first == p) {
            rank_places(from + first, 0, count, place);
            for (uint32_t k = 0; k < count; k++) to[first + k] = from[first + place[k]];
            for (uint32_t k = 0; k < count; k++) to[words + first + k] = from[words + first + place[k]];
        }
        p = first + count;
    }
}

void HAND_NAME(rank_sort)(const wane_cpu_call *call, uint32_t item, uint32_t item_end)
{
    rank_sort_args args = rank_sort_arguments(call);
    uint32_t p = item * SORT_CHUNK, stop = item_end * SORT_CHUNK < args.w.count ? item_end * SORT_CHUNK : args.w.count;
    if (args.w.width == 0) {
        sort_runs(&args, p, stop);
        return;
    }
    copy_span(&args, p, stop);
    while (args.w.width >= RANK_PLACES_MOST && p < stop) {
        uint32_t begin, end;
        if (group_bounds(&args, p, &begin, &end) && end - begin > args.w.width)
            HAND_MADE(rank_sort)(call, p / SORT_CHUNK, ((end < stop ? end : stop) + SORT_CHUNK - 1) / SORT_CHUNK);
        p = end;
    }
}
