// One group, 64 rows of one side of logits = input . linear_weight^T + bias, which no memory ever holds, and a slice of the other
// side: tiles of the logits are made one after the other, become their gradients 16 rows of the other side at a time, in shared
// memory, and are multiplied by those rows into 64 x dim sums, which stay in registers.
// a is the groups' own side, b the other one: rows of the input and of linear_weight (TILE_OWN_ROWS: product is grad_input), or
// those in each other's place (grad_linear_weight, and grad_linear_bias as sums). Both outputs are f32.
// Items: item % window.tiles counts tiles of the own side, item / window.tiles slices of record.slice rows of the other; what a
// slice makes goes record.out_slice rows behind that of the slice before. Reads the planes that softmax_link leaves.
// With OPTION_ORDERED row i of the input, whichever side it is, is row order[i] of all rows of the batch, in the product too: rows
// that do not count are not looked at, and get 0. Else it is row i - window.first of the operand.
// The planner guarantees depth <= 64 and slices of at most 16384 rows: a chain is 16 additions and 1024 sums of those.
#if K_PHASE == 1
#include "softmax.h"
#include "tile.h"
#include "elementary.h"
#include "types.h"
#include "softmax_class.h"
#include "softmax_coefs.h"
#include "tile_lanes.h"

#define OWN_ROWS ((K_C(options) & TILE_OWN_ROWS) != 0u)
#define ORDERED ((K_C(row_options) & OPTION_ORDERED) != 0u)
#define B_BY_DEPTH ((K_C(options) & TILE_B_BY_DEPTH) != 0u)

// The operand's row of row i of a side.
K_FN uint row_of(K_CTX uint i, bool is_input)
{
    uint row = i;
    if (is_input && ORDERED) row = K_LD(work, plane_at(K_PASS PLANE_ORDER, K_W(first) + i));
    return row;
}

K_FN float load_row(K_CTX uint i, uint k)
{
    return load_a(K_PASS K_STEP(row_of(K_PASS i, OWN_ROWS), K_P(a_row)) + K_STEP(k, K_P(a_depth)));
}

#include "tile_fetch_a.h"

// Of the other side, 0 past the ends: 16 steps of depth of 64 rows; or turned, 16 rows as steps of depth, of up to 64 columns.
K_FN void fetch_other(K_CTX K_INOUT_ARRAY(float, y, K_OWN * LANE_FETCHES), uint other0, uint others, uint k0, uint depth, bool turned)
{
    bool by_depth = B_BY_DEPTH != turned;
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        K_UNROLL for (uint f = 0u; f < LANE_FETCHES; f++) {
            uint down = FETCH_ROW(by_depth, v, f);
            uint over = FETCH_DEPTH(by_depth, v, f);
            uint j = other0 + (turned ? over : down);
            uint k = k0 + (turned ? down : over);
            y[s * LANE_FETCHES + f] = 0.0f;
            if (j < others && k < depth && v < VIRTUAL_LANES)
                y[s * LANE_FETCHES + f] = load_b(K_PASS K_STEP(row_of(K_PASS j, !OWN_ROWS), K_P(b_row)) + K_STEP(k, K_P(b_depth)));
        }
    }
}

#define fetch_b(y, other0, others, k0, depth) fetch_other(y, other0, others, k0, depth, false)
#include "tile_multiply.h"

// The gradient of a logit, given what the product made of it.
K_FN float slope_of(K_CTX float product, uint col, uint label, row_coefs c)
{
    bool capped = (K_C(row_options) & OPTION_SOFTCAP) != 0u;
    float z = product;
    if ((K_C(options) & TILE_BIAS) != 0u) z += load_bias(K_PASS col);
    uint word = K_BITS(z);
    bool absent = word == K_WORD_MINUS_INF;
    float x = absent ? 0.0f : z;
    if (capped) x = soft_cap(K_PASS x);
    float g = column_slope(K_PASS x, c);
    if (absent) g = 0.0f;
    if (c.w != 0.0f) {
        float w = 1.0f;
        if ((K_C(row_options) & OPTION_CLASS_WEIGHT) != 0u) w = K_FLT(K_LD(weight, K_STEP(col, K_P(weight_col))));
        g += w * c.w;
    }
    if (K_W(col0) + col == label) g = c.target;
    if (capped) g = uncapped_slope(K_PASS g, word);
    if (c.mode != ROW_NORMAL) g = K_FLT(c.mode == ROW_NAN ? K_WORD_NAN : 0u);
    return g;
}

// 16 of the other side's rows into shared memory as steps of depth: of the logits, and of the matrix that they are multiplied with.
K_FN void share_part(K_CTX K_INOUT_ARRAY(float, total, K_OWN * LANE_CELLS), uint part, uint other0, uint others)
{
    float y[K_OWN * LANE_FETCHES];
    fetch_other(K_PASS y, other0, others, 0u, K_P(depth), true);
    share_at(K_PASS y, POOL_B, !B_BY_DEPTH);
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        // a run of a lane's columns lies within a part, the other run within another
        if (v < VIRTUAL_LANES && v % LANES_ACROSS / 4u == part % 2u)
            K_UNROLL for (uint q = 0u; q < LANE_ROWS * 4u; q++) {
                uint cell = s * LANE_CELLS + q / 4u * LANE_COLS + q % 4u;
                K_SS(pool, (v % 4u * 4u + q % 4u) * POOL_STEP + CELL_ROW(v, q / 4u), part < 2u ? total[cell] : total[cell + 4u]);
            }
    }
}

// The logits in shared memory become their gradients; 0 past the ends of either side. What a lane has of them is of one row of
// the logits, whose coefficients it loads once.
K_FN void slope_part(K_CTX uint own0, uint owns, uint other0, uint others)
{
    bool own_rows = OWN_ROWS;
    uint rows = own_rows ? owns : others;
    uint cols = own_rows ? others : owns;
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        uint row = own_rows ? own0 + FETCH_ROW(false, v, 0u) : other0 + FETCH_DEPTH(true, v, 0u);
        uint from = K_W(first) + K_MIN(row, rows - 1u);
        row_coefs c = coefs_load(K_PASS from);
        uint label = K_LD(work, plane_at(K_PASS PLANE_LABEL, from));
        for (uint f = 0u; f < LANE_FETCHES && v < VIRTUAL_LANES; f++) {
            uint i = FETCH_ROW(!own_rows, v, f);
            uint j = FETCH_DEPTH(!own_rows, v, f);
            uint col = own_rows ? other0 + j : own0 + i;
            float g = 0.0f;
            if (row < rows && col < cols) g = slope_of(K_PASS K_SL(pool, j * POOL_STEP + i), col, label, c);
            K_SS(pool, j * POOL_STEP + i, g);
        }
    }
}

// Virtual lane v adds the slopes in shared memory of the own side's row v.
K_FN void sum_slopes(K_CTX K_INOUT_ARRAY(float, sum, K_OWN))
{
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        float part = 0.0f;
        if (v < TILE_ROWS)
            for (uint k = 0u; k < TILE_DEPTH; k++) part += K_SL(pool, k * POOL_STEP + v);
        sum[s] += part;
    }
}
#else
    uint number = K_ITEM;
    bool own_rows = OWN_ROWS;
    bool has_product = (K_C(options) & TILE_OUT) != 0u;
    bool has_sums = (K_C(options) & TILE_OUT_SUMS) != 0u;
    uint live = 0xffffffffu;
    if (ORDERED) {
        uint every = K_LD(work, SOFTMAX_LIVE);
        live = every > K_W(first) ? every - K_W(first) : 0u;
    }
    uint owns = own_rows ? K_MIN(K_W(rows), live) : K_W(rows);
    uint others = own_rows ? K_W(cols) : K_MIN(K_W(cols), live);
    uint own0 = number % K_W(tiles) * TILE_ROWS;
    uint slice = number / K_W(tiles);
    uint begin = slice * K_P(slice);
    uint end = own0 < owns ? K_MIN(begin + K_P(slice), others) : begin;
    float made[K_OWN * LANE_CELLS];
    float sum[K_OWN];
    for (uint q = 0u; q < K_OWN * LANE_CELLS; q++) made[q] = 0.0f;
    for (uint s = 0u; s < K_OWN; s++) sum[s] = 0.0f;
    for (uint other0 = begin; other0 < end; other0 += TILE_COLS) { // the same for the whole group
        float total[K_OWN * LANE_CELLS];
        for (uint q = 0u; q < K_OWN * LANE_CELLS; q++) total[q] = 0.0f;
        multiply_tile(K_PASS total, own0, owns, other0, end, K_P(depth));
        uint parts = (K_MIN(end - other0, TILE_COLS) + TILE_DEPTH - 1u) / TILE_DEPTH;
        for (uint part = 0u; part < parts; part++) {          // the same for the whole group
            share_part(K_PASS total, part, other0 + part * TILE_DEPTH, end);
            K_BARRIER();
            slope_part(K_PASS own0, owns, other0 + part * TILE_DEPTH, end);
            K_BARRIER();
            if (has_product) multiply_cells(K_PASS made);
            if (has_sums) sum_slopes(K_PASS sum);
            K_BARRIER();
        }
    }
    uint before = slice * K_P(out_slice);
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        if (v < VIRTUAL_LANES && has_product)
            for (uint q = 0u; q < LANE_CELLS; q++) {
                uint row = own0 + CELL_ROW(v, q / LANE_COLS);
                uint col = CELL_COL(v, q % LANE_COLS);
                if (row < K_W(rows) && col < K_P(depth)) {
                    float x = made[s * LANE_CELLS + q];
                    K_INDEX at = K_STEP(before + row_of(K_PASS row, own_rows), K_P(out_row)) + K_STEP(col, K_P(out_col));
                    if ((K_W(flags) & TILE_ADD) != 0u) x += K_FLT(K_LD(product, at));
                    K_ST(product, at, K_BITS(x));
                }
            }
        if (v < TILE_ROWS && own0 + v < K_W(rows) && has_sums) {
            K_INDEX at = K_STEP(before + own0 + v, K_P(sum_row));
            if ((K_W(flags) & TILE_ADD_SUMS) != 0u) sum[s] += K_FLT(K_LD(sums, at));
            K_ST(sums, at, K_BITS(sum[s]));
        }
    }
#endif
