// One group, 64 rows and a slice of the columns of logits = a . b^T + bias, which no memory ever holds: tiles of them are made
// one after the other, and each lane joins the statistics of its cells to those of its rows.
// Items: item % window.tiles counts tiles down the rows, item / window.tiles slices of record.slice_cols columns. Writes the
// planes of slice window.part and those after it, for rows window.first .. of the batch that count.
// With OPTION_ORDERED row i is row order[i] of a, which is all rows of the batch; else row i - window.first of it.
// The planner guarantees depth <= 16384 and slices of at most 2^16 columns, whole tiles but for the last.
#if K_PHASE == 1
#include "softmax.h"
#include "tile.h"
#include "elementary.h"
#include "types.h"
#include "softmax_class.h"
#include "softmax_stats.h"

#include "tile_lanes.h"

K_FN float load_row(K_CTX uint row, uint k)
{
    uint from = row;
    if ((K_C(row_options) & OPTION_ORDERED) != 0u) from = K_LD(work, plane_at(K_PASS PLANE_ORDER, K_W(first) + row));
    return load_a(K_PASS K_STEP(from, K_P(a_row)) + K_STEP(k, K_P(a_depth)));
}

#include "tile_fetch_a.h"
#include "tile_fetch_b.h"
#include "tile_multiply.h"
#include "tile_sweep.h"
#else
    uint number = K_ITEM;
    uint rows = K_W(rows);
    if ((K_C(row_options) & OPTION_ORDERED) != 0u) {
        uint every = K_LD(work, SOFTMAX_LIVE);
        rows = K_MIN(rows, every > K_W(first) ? every - K_W(first) : 0u);
    }
    uint row0 = number % K_W(tiles) * TILE_ROWS;
    uint slice = number / K_W(tiles);
    uint begin = slice * K_P(slice_cols);
    uint end = row0 < rows ? K_MIN(begin + K_P(slice_cols), K_W(cols)) : begin;
    row_stats held[K_OWN * LANE_ROWS];
    for (uint q = 0u; q < K_OWN * LANE_ROWS; q++) held[q] = stats_none();
    for (uint col0 = begin; col0 < end; col0 += TILE_COLS) {  // the same for the whole group
        float total[K_OWN * LANE_CELLS];
        for (uint q = 0u; q < K_OWN * LANE_CELLS; q++) total[q] = 0.0f;
        multiply_tile(K_PASS total, row0, rows, col0, end, K_P(depth));
        for (uint s = 0u; s < K_OWN; s++)
            for (uint r = 0u; r < LANE_ROWS; r++) {
                uint row = row0 + CELL_ROW(s * K_LANES + K_LANE, r);
                if (s * K_LANES + K_LANE < VIRTUAL_LANES && row < rows)
                    held[s * LANE_ROWS + r] = stats_merge(K_PASS held[s * LANE_ROWS + r], sweep_cells(K_PASS total, s, r, row, col0, end));
            }
    }
    // lanes of a row hand theirs over, half of the tile's rows at a time: 8 lanes, 7 floats and 2 words each
    for (uint part = 0u; part < 2u; part++) {
        for (uint s = 0u; s < K_OWN; s++)
            for (uint r = 0u; r < LANE_ROWS; r++) {
                uint v = s * K_LANES + K_LANE;
                if (v < VIRTUAL_LANES && CELL_ROW(v, r) / HALF_ROWS == part)
                    hand_over(K_PASS CELL_ROW(v, r) % HALF_ROWS * LANES_ACROSS + v % LANES_ACROSS, held[s * LANE_ROWS + r]);
            }
        K_BARRIER();
        for (uint i = K_LANE; i < HALF_ROWS; i += K_LANES) {
            uint row = row0 + part * HALF_ROWS + i;
            row_stats t = take_over(K_PASS i * LANES_ACROSS);
            for (uint x = 1u; x < LANES_ACROSS; x++) t = stats_merge(K_PASS t, take_over(K_PASS i * LANES_ACROSS + x));
            if (row < rows) stats_store(K_PASS K_W(part) + slice, K_W(first) + row, t);
        }
        K_BARRIER();
    }
#endif
