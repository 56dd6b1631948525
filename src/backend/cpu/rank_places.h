// rank_places.h - a stable sort of few keys, in cache: what the ranking kernels written by hand begin with. And how these
// name themselves, since one file holds those of a set: HAND_SET, and HAND_BASE, whose made kernels they replace.
#ifndef WANE_BACKEND_CPU_RANK_PLACES_H
#define WANE_BACKEND_CPU_RANK_PLACES_H

#include <stdint.h>
#include <string.h>

#define HAND_JOIN_(a, b, c) wane_##a##__##b##c
#define HAND_JOIN(a, b, c) HAND_JOIN_(a, b, c)
#define HAND_MADE(kernel) HAND_JOIN(kernel, HAND_BASE, )
#define HAND_NAME(kernel) HAND_JOIN(kernel, HAND_SET, _hand)
#define HAND_DECLARE(kernel)                                                             \
    void HAND_MADE(kernel)(const wane_cpu_call *call, uint32_t begin, uint32_t end);     \
    void HAND_NAME(kernel)(const wane_cpu_call *call, uint32_t begin, uint32_t end)

enum { RANK_PLACES_MOST = 1024, RANK_PLACES_FEW = 24 };

// The places 0 .. count - 1 in rising order of key ^ flip: few by insertion, many byte by byte, of which most are often all
// alike and passed over.
static void rank_places(const uint32_t *key, uint32_t flip, uint32_t count, uint16_t *place)
{
    uint16_t other[RANK_PLACES_MOST], *from = place, *to = other;
    uint32_t counts[4][256];
    if (count <= RANK_PLACES_FEW) {
        for (uint32_t i = 0; i < count; i++) {
            uint32_t k = i;
            for (; k > 0 && (key[place[k - 1]] ^ flip) > (key[i] ^ flip); k--) place[k] = place[k - 1];
            place[k] = (uint16_t)i;
        }
        return;
    }
    memset(counts, 0, sizeof counts);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = key[i] ^ flip;
        place[i] = (uint16_t)i;
        counts[0][k & 255]++, counts[1][k >> 8 & 255]++, counts[2][k >> 16 & 255]++, counts[3][k >> 24]++;
    }
    for (uint32_t b = 0; b < 4; b++) {
        if (counts[b][(key[0] ^ flip) >> 8 * b & 255] == count) continue;
        for (uint32_t v = 0, sum = 0; v < 256; v++) {
            uint32_t here = counts[b][v];
            counts[b][v] = sum;
            sum += here;
        }
        for (uint32_t i = 0; i < count; i++) to[counts[b][(key[from[i]] ^ flip) >> 8 * b & 255]++] = from[i];
        uint16_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != place) memcpy(place, from, count * sizeof *place);
}

#endif
