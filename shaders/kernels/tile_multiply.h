// tile_multiply.h - one tile of a . b^T by a group: operands go through shared memory 16 steps of depth at a time, cells stay in
// registers. After tile_lanes.h and the kernel's own fetch_a.

K_FN void share_at(K_CTX K_INOUT_ARRAY(float, x, K_OWN * LANE_FETCHES), uint at, bool by_depth)
{
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        if (v < VIRTUAL_LANES)
            K_UNROLL for (uint f = 0u; f < LANE_FETCHES; f++)
                K_SS(pool, at + FETCH_DEPTH(by_depth, v, f) * POOL_STEP + FETCH_ROW(by_depth, v, f), x[s * LANE_FETCHES + f]);
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

// total += the tile's product.
K_FN void multiply_tile(K_CTX K_INOUT_ARRAY(float, total, K_OWN * LANE_CELLS), uint row0, uint rows, uint col0, uint cols, uint depth)
{
    for (uint k0 = 0u; k0 < depth; k0 += TILE_DEPTH) {       // the same for the whole group
        float x[K_OWN * LANE_FETCHES], y[K_OWN * LANE_FETCHES];
        fetch_a(K_PASS x, row0, rows, k0, depth);
        fetch_b(K_PASS y, col0, cols, k0, depth);
        share_at(K_PASS x, 0u, (K_C(options) & TILE_A_BY_DEPTH) != 0u);
        share_at(K_PASS y, POOL_B, (K_C(options) & TILE_B_BY_DEPTH) != 0u);
        K_BARRIER();
        multiply_cells(K_PASS total);
        K_BARRIER();
    }
}
