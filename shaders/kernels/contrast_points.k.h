// One group, one row of a chunk of similarities: value and gradient of softplus(-y z), y = 1 for the row's positive and -1
// elsewhere, each pair by itself. Leaves the row's value, class and sum of gradients in planes; with CONTRAST_STORE each
// similarity becomes its gradient. window.first is the planes' row of the first item. Each cell is read and written by one
// lane; 128 virtual lanes sum in blocks of 8 columns, then pairwise.
#if K_PHASE == 1
#include "softmax.h"
#include "contrast.h"
#include "elementary.h"
#include "contrast_planes.h"

#define CELL_LANES 128u
#define CELL_STEPS 8u
#define CELLS (CELL_STEPS * K_OWN)
#define CELL_BLOCK 1024u
#define CELL_COL(first, u, s) ((first) + (u) * CELL_LANES + (s) * K_LANES + K_LANE)
#define CELL_LIVE(first, u, s) (CELL_COL(first, u, s) < K_P(others) && (s) * K_LANES + K_LANE < CELL_LANES)
#define CELL_AT(row, col) (K_WIDE(row) * K_WIDE(K_P(others)) + K_WIDE(col))

// One block: adds to the lanes' sums and leaves what is to be stored.
K_FN void take_block(K_CTX K_INOUT_ARRAY(uint, word, CELLS), K_INOUT_ARRAY(float, value, K_OWN),
                     K_INOUT_ARRAY(float, slope, K_OWN), K_INOUT_ARRAY(uint, flag, K_OWN), uint first, uint label, float factor)
{
    float f[CELLS];
    float g[CELLS];
    K_UNROLL for (uint u = 0u; u < CELL_STEPS; u++)
        for (uint s = 0u; s < K_OWN; s++) {
            uint q = u * K_OWN + s;
            bool own = CELL_COL(first, u, s) == label;
            bool finite = (word[q] & 0x7fffffffu) < K_WORD_INF;
            bool low = word[q] == K_WORD_MINUS_INF;
            float z = K_SELECT(finite, K_FLT(word[q]), low ? -3.4028235e38f : 0.0f);
            float x = K_SELECT(own, -z, z);            // a positive is a negative turned around
            f[q] = k_softplus(x);
            float part = factor * k_sigmoid(x);
            g[q] = K_SELECT(own, -part, part);
            bool bad = !finite && !low;
            flag[s] |= bad ? FLAG_NAN : low && own ? FLAG_TARGET_MINUS_INF : 0u;
            f[q] = K_SELECT(bad || (low && own), 0.0f, f[q]);
            g[q] = K_SELECT(bad, 0.0f, g[q]);
            word[q] = bad ? K_WORD_NAN : K_BITS(g[q]);
        }
    for (uint s = 0u; s < K_OWN; s++) {
        float low = (f[s] + f[K_OWN + s]) + (f[2u * K_OWN + s] + f[3u * K_OWN + s]);
        float high = (f[4u * K_OWN + s] + f[5u * K_OWN + s]) + (f[6u * K_OWN + s] + f[7u * K_OWN + s]);
        value[s] = k_clamp(value[s] + k_clamp(low + high));
        float left = (g[s] + g[K_OWN + s]) + (g[2u * K_OWN + s] + g[3u * K_OWN + s]);
        float right = (g[4u * K_OWN + s] + g[5u * K_OWN + s]) + (g[6u * K_OWN + s] + g[7u * K_OWN + s]);
        slope[s] += left + right;
    }
}

K_FN void merge_points(K_CTX K_INOUT_ARRAY(float, value, K_OWN), K_INOUT_ARRAY(float, slope, K_OWN),
                       K_INOUT_ARRAY(uint, flag, K_OWN))
{
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        if (v < CELL_LANES) {
            K_SS(value, v, value[s]);
            K_SS(slope, v, slope[s]);
            K_SS(flag, v, flag[s]);
        }
    }
    K_BARRIER();
    for (uint w = CELL_LANES / 2u; w > 0u; w >>= 1u) {
        for (uint v = K_LANE; v < w; v += K_LANES) {
            K_SS(value, v, k_clamp(K_SL(value, v) + K_SL(value, v + w)));
            K_SS(slope, v, K_SL(slope, v) + K_SL(slope, v + w));
            K_SS(flag, v, K_SL(flag, v) | K_SL(flag, v + w));
        }
        K_BARRIER();
    }
}

// upstream and the denominator of mean
K_FN float row_factor(K_CTX uint row)
{
    float g = K_FLT(K_LD(work, side_at(K_PASS PLANE_UPSTREAM, row)));
    if (K_P(reduction) == REDUCE_MEAN) {
        float d = K_FLT(K_LD(work, SOFTMAX_WEIGHT_SUM));
        g = d == 0.0f ? 0.0f : g / d;
    }
    return g;
}
#else
    uint row = K_ITEM;
    uint side = K_W(first) + row;
    uint flags = K_LD(work, side_at(K_PASS PLANE_FLAGS, side));
    uint label = K_LD(work, side_at(K_PASS PLANE_LABEL, side));
    bool idle = (flags & FLAG_BAD) != 0u;
    float factor = row_factor(K_PASS side);
    float value[K_OWN];
    float slope[K_OWN];
    uint flag[K_OWN];
    for (uint s = 0u; s < K_OWN; s++) { value[s] = 0.0f; slope[s] = 0.0f; flag[s] = 0u; }
    for (uint first = 0u; first < K_P(others); first += CELL_BLOCK) {
        uint word[CELLS];
        for (uint u = 0u; u < CELL_STEPS; u++)
            for (uint s = 0u; s < K_OWN; s++) {
                uint x = K_WORD_MINUS_INF;             // adds nothing
                if (CELL_LIVE(first, u, s)) x = K_LD(chunk, CELL_AT(row, CELL_COL(first, u, s)));
                word[u * K_OWN + s] = x;
            }
        take_block(K_PASS word, value, slope, flag, first, label, factor);
        if ((K_C(options) & CONTRAST_STORE) != 0u)
            for (uint u = 0u; u < CELL_STEPS; u++)
                for (uint s = 0u; s < K_OWN; s++)
                    if (CELL_LIVE(first, u, s))
                        K_ST(chunk, CELL_AT(row, CELL_COL(first, u, s)), idle ? 0u : word[u * K_OWN + s]);
    }
    merge_points(K_PASS value, slope, flag);
    if (K_LANE == 0u) {
        uint seen = K_SL(flag, 0u);
        uint word = K_BITS(K_SL(value, 0u));
        uint sum = K_BITS(K_SL(slope, 0u));
        if ((seen & FLAG_TARGET_MINUS_INF) != 0u || K_SL(value, 0u) >= 3.4028235e38f) word = K_WORD_INF;
        if ((seen & FLAG_NAN) != 0u) { word = K_WORD_NAN; sum = K_WORD_NAN; }
        K_ST(work, side_at(K_PASS PLANE_ROW_LOSS, side), idle ? 0u : word);
        K_ST(work, side_at(K_PASS PLANE_SLOPES, side), idle ? 0u : sum);
        K_ST(work, side_at(K_PASS PLANE_FLAGS, side), idle ? flags : flags | seen);
    }
#endif
