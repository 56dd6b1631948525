// One group, one tile of 64 x 64: out[i, j] = (out[i, j] +) bias[j] + sum over k of a[i, k] * b[j, k].
// Reads a, b, bias (f32, f16, bf16) by strides of any sign, so that a transposed operand is one with its strides
// changed; writes out. Accumulates in f32: 16 products are summed by themselves and then join the total, so a chain is
// at most 16 + 1024 additions, and the error about 1e-6 of the sum of |a b|.
// Items: with T = window.tiles, item / T counts tiles down the columns of tiles (TILE_ACROSS: rows), item % T within one.
// With TILE_LIVE_ROWS rows from live[0] - window.first on hold anything afterwards, and whole tiles of them cost nothing; with
// TILE_LIVE_DEPTH the depth ends there.
// The planner guarantees depth <= 16384, at least 1 of rows and cols, and that out overlaps no operand.
#if K_PHASE == 1
#include "softmax.h"
#include "tile.h"
#include "types.h"
#include "tile_cell.h"

#include "tile_lanes.h"

// All loads first, so that their times in flight overlap; 0 past the ends.
K_FN void fetch_a(K_CTX K_INOUT_ARRAY(float, x, K_OWN * LANE_FETCHES), uint row0, uint rows, uint k0, uint depth)
{
    bool by_depth = (K_C(options) & TILE_A_BY_DEPTH) != 0u;
    bool whole = row0 + TILE_ROWS <= rows && k0 + TILE_DEPTH <= depth;
    K_INDEX pace = by_depth ? K_STEP(8u, K_P(a_row)) : K_STEP(2u, K_P(a_depth));
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        K_INDEX at = K_STEP(row0 + FETCH_ROW(by_depth, v, 0u), K_P(a_row))
                   + K_STEP(k0 + FETCH_DEPTH(by_depth, v, 0u), K_P(a_depth));
        if (whole && v < VIRTUAL_LANES)
            K_UNROLL for (uint f = 0u; f < LANE_FETCHES; f++) {
                x[s * LANE_FETCHES + f] = load_a(K_PASS at);
                at += pace;
            }
        else
            K_UNROLL for (uint f = 0u; f < LANE_FETCHES; f++) {
                bool inside = row0 + FETCH_ROW(by_depth, v, f) < rows && k0 + FETCH_DEPTH(by_depth, v, f) < depth;
                x[s * LANE_FETCHES + f] = 0.0f;
                if (inside && v < VIRTUAL_LANES) x[s * LANE_FETCHES + f] = load_a(K_PASS at);
                at += pace;
            }
    }
}

#include "tile_fetch_b.h"
#include "tile_multiply.h"
#else
    uint number = K_ITEM;
    uint live = 0xffffffffu;
    if ((K_C(options) & (TILE_LIVE_ROWS | TILE_LIVE_DEPTH)) != 0u) {
        uint every = K_LD(live, 0u);
        live = every > K_W(first) ? every - K_W(first) : 0u;
    }
    uint along = number % K_W(tiles);
    uint line = number / K_W(tiles);
    bool across = (K_W(flags) & TILE_ACROSS) != 0u;
    uint row0 = (across ? line : along) * TILE_ROWS;
    uint col0 = (across ? along : line) * TILE_COLS;
    uint depth = (K_C(options) & TILE_LIVE_DEPTH) != 0u ? K_MIN(K_W(depth), live) : K_W(depth);
    if ((K_C(options) & TILE_LIVE_ROWS) != 0u && row0 >= live) depth = 0u;
    float total[K_OWN * LANE_CELLS];
    for (uint q = 0u; q < K_OWN * LANE_CELLS; q++) total[q] = 0.0f;
    multiply_tile(K_PASS total, row0, K_W(rows), col0, K_W(cols), depth);
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        if (v < VIRTUAL_LANES)
            for (uint q = 0u; q < LANE_CELLS; q++) {
                uint row = row0 + CELL_ROW(v, q / LANE_COLS);
                uint col = col0 + CELL_COL(v, q % LANE_COLS);
                float x = total[s * LANE_CELLS + q];
                if (row < K_W(rows) && col < K_W(cols)) {
                    if ((K_C(options) & TILE_BIAS) != 0u) x += load_bias(K_PASS col);
                    store_cell(K_PASS x, row, col);
                }
            }
    }
#endif
