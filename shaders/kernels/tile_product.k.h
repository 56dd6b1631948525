// One group, one tile of 64 x 64: out[i, j] = (out[i, j] +) bias[j] + sum over k of a[i, k] * b[j, k].
// Reads a, b, bias (f32, f16, bf16) by strides of any sign, so that a transposed operand is one with its strides
// changed; writes out. Accumulates in f32: 16 products are summed by themselves and then join the total, so a chain is
// at most 16 + 1024 additions, and the error about 1e-6 of the sum of |a b|.
// Items: with T = window.tiles, item / T counts tiles down the columns of tiles (TILE_ACROSS: rows), item % T within one.
// With TILE_LIVE_ROWS rows from live[0] - window.first on hold anything afterwards, and whole tiles of them cost nothing; with
// TILE_LIVE_DEPTH the depth ends there.
// The planner guarantees depth <= 16384, at least 1 of rows and cols, and that out overlaps no operand.
// A virtual lane has 4 consecutive rows and 4 pairs of columns: a pair is a whole word of a half type.
#if K_PHASE == 1
#include "softmax.h"
#include "tile.h"
#include "types.h"
#include "tile_cell.h"

#define VIRTUAL_LANES 128u
#define LANE_ROWS 4u
#define LANE_COLS 8u
#define LANE_CELLS 32u
#define LANES_ACROSS 8u
#define POOL_STEP 68u                      // 4 more than a tile is wide: lanes fall on different banks, 4 cells are one load
#define POOL_B 1088u                       // TILE_DEPTH * POOL_STEP
#define CELL_ROW(v, r) ((v) / LANES_ACROSS * LANE_ROWS + (r))
#define CELL_COL(v, c) ((v) % LANES_ACROSS * 4u + ((c) & 3u) + ((c) >> 2u) * 4u * LANES_ACROSS)
#define TYPE_OF_A (K_C(types) & 15u)
#define TYPE_OF_B ((K_C(types) >> TILE_SHIFT_B) & 15u)
#define TYPE_OF_BIAS ((K_C(types) >> TILE_SHIFT_BIAS) & 15u)

K_FN float load_a(K_CTX K_INDEX at)
{
    uint word = 0u;
    if (TYPE_OF_A == TYPE_F32) word = K_LD(a, at);
    else word = half_to_word(TYPE_OF_A, K_LDH(a, at));
    return K_FLT(word);
}

K_FN float load_b(K_CTX K_INDEX at)
{
    uint word = 0u;
    if (TYPE_OF_B == TYPE_F32) word = K_LD(b, at);
    else word = half_to_word(TYPE_OF_B, K_LDH(b, at));
    return K_FLT(word);
}

K_FN float load_bias(K_CTX uint col)
{
    K_INDEX at = K_STEP(col, K_P(bias_col));
    uint word = 0u;
    if (TYPE_OF_BIAS == TYPE_F32) word = K_LD(bias, at);
    else word = half_to_word(TYPE_OF_BIAS, K_LDH(bias, at));
    return K_FLT(word);
}

// Element f of virtual lane v when the lanes share out 16 steps of depth of 64 rows: neighbours in memory to neighbours.
#define LANE_FETCHES 8u
#define FETCH_ROW(by_depth, v, f) ((by_depth) ? (f) * 8u + (v) / TILE_DEPTH : (v) % TILE_ROWS)
#define FETCH_DEPTH(by_depth, v, f) ((by_depth) ? (v) % TILE_DEPTH : (f) * 2u + (v) / TILE_ROWS)

// All loads first, so that their times in flight overlap; 0 past the ends.
K_FN void fetch_a(K_CTX K_INOUT_ARRAY(float, x, K_OWN * LANE_FETCHES), uint row0, uint k0)
{
    bool by_depth = (K_C(options) & TILE_A_BY_DEPTH) != 0u;
    bool whole = row0 + TILE_ROWS <= K_W(rows) && k0 + TILE_DEPTH <= K_W(depth);
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
                bool inside = row0 + FETCH_ROW(by_depth, v, f) < K_W(rows) && k0 + FETCH_DEPTH(by_depth, v, f) < K_W(depth);
                x[s * LANE_FETCHES + f] = 0.0f;
                if (inside && v < VIRTUAL_LANES) x[s * LANE_FETCHES + f] = load_a(K_PASS at);
                at += pace;
            }
    }
}

K_FN void fetch_b(K_CTX K_INOUT_ARRAY(float, x, K_OWN * LANE_FETCHES), uint col0, uint k0)
{
    bool by_depth = (K_C(options) & TILE_B_BY_DEPTH) != 0u;
    bool whole = col0 + TILE_COLS <= K_W(cols) && k0 + TILE_DEPTH <= K_W(depth);
    K_INDEX pace = by_depth ? K_STEP(8u, K_P(b_row)) : K_STEP(2u, K_P(b_depth));
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        K_INDEX at = K_STEP(col0 + FETCH_ROW(by_depth, v, 0u), K_P(b_row))
                   + K_STEP(k0 + FETCH_DEPTH(by_depth, v, 0u), K_P(b_depth));
        if (whole && v < VIRTUAL_LANES)
            K_UNROLL for (uint f = 0u; f < LANE_FETCHES; f++) {
                x[s * LANE_FETCHES + f] = load_b(K_PASS at);
                at += pace;
            }
        else
            K_UNROLL for (uint f = 0u; f < LANE_FETCHES; f++) {
                bool inside = col0 + FETCH_ROW(by_depth, v, f) < K_W(cols) && k0 + FETCH_DEPTH(by_depth, v, f) < K_W(depth);
                x[s * LANE_FETCHES + f] = 0.0f;
                if (inside && v < VIRTUAL_LANES) x[s * LANE_FETCHES + f] = load_b(K_PASS at);
                at += pace;
            }
    }
}

K_FN void share_operands(K_CTX K_INOUT_ARRAY(float, x, K_OWN * LANE_FETCHES), K_INOUT_ARRAY(float, y, K_OWN * LANE_FETCHES))
{
    bool a_by_depth = (K_C(options) & TILE_A_BY_DEPTH) != 0u, b_by_depth = (K_C(options) & TILE_B_BY_DEPTH) != 0u;
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        if (v < VIRTUAL_LANES)
            K_UNROLL for (uint f = 0u; f < LANE_FETCHES; f++) {
                K_SS(pool, FETCH_DEPTH(a_by_depth, v, f) * POOL_STEP + FETCH_ROW(a_by_depth, v, f), x[s * LANE_FETCHES + f]);
                K_SS(pool, POOL_B + FETCH_DEPTH(b_by_depth, v, f) * POOL_STEP + FETCH_ROW(b_by_depth, v, f),
                     y[s * LANE_FETCHES + f]);
            }
    }
}

// Adds what is in shared memory to the cells of every virtual lane.
K_FN void multiply_cells(K_CTX K_INOUT_ARRAY(float, total, K_OWN * LANE_CELLS))
{
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        float part[LANE_CELLS];
        K_UNROLL for (uint q = 0u; q < LANE_CELLS; q++) part[q] = 0.0f;
        if (v < VIRTUAL_LANES)
            for (uint k0 = 0u; k0 < TILE_DEPTH; k0 += 4u)
                K_UNROLL for (uint k = 0u; k < 4u; k++) {
                    float x[LANE_ROWS];
                    K_UNROLL for (uint r = 0u; r < LANE_ROWS; r++) x[r] = K_SL(pool, (k0 + k) * POOL_STEP + CELL_ROW(v, r));
                    K_UNROLL for (uint c = 0u; c < LANE_COLS; c++) {
                        float y = K_SL(pool, POOL_B + (k0 + k) * POOL_STEP + CELL_COL(v, c));
                        K_UNROLL for (uint r = 0u; r < LANE_ROWS; r++)
                            part[r * LANE_COLS + c] = K_MAD(x[r], y, part[r * LANE_COLS + c]);
                    }
                }
        K_UNROLL for (uint q = 0u; q < LANE_CELLS; q++) total[s * LANE_CELLS + q] += part[q];
    }
}

#else
    uint live = 0xffffffffu;
    if ((K_C(options) & (TILE_LIVE_ROWS | TILE_LIVE_DEPTH)) != 0u) {
        uint every = K_LD(live, 0u);
        live = every > K_W(first) ? every - K_W(first) : 0u;
    }
    uint along = K_ITEM % K_W(tiles);
    uint line = K_ITEM / K_W(tiles);
    bool across = (K_W(flags) & TILE_ACROSS) != 0u;
    uint row0 = (across ? line : along) * TILE_ROWS;
    uint col0 = (across ? along : line) * TILE_COLS;
    uint depth = (K_C(options) & TILE_LIVE_DEPTH) != 0u ? K_MIN(K_W(depth), live) : K_W(depth);
    if ((K_C(options) & TILE_LIVE_ROWS) != 0u && row0 >= live) depth = 0u;
    float total[K_OWN * LANE_CELLS];
    for (uint q = 0u; q < K_OWN * LANE_CELLS; q++) total[q] = 0.0f;
    for (uint k0 = 0u; k0 < depth; k0 += TILE_DEPTH) {       // the same for the whole group
        float x[K_OWN * LANE_FETCHES], y[K_OWN * LANE_FETCHES];
        fetch_a(K_PASS x, row0, k0);
        fetch_b(K_PASS y, col0, k0);
        share_operands(K_PASS x, y);
        K_BARRIER();
        multiply_cells(K_PASS total);
        K_BARRIER();
    }
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
