// tile_fetch_b.h - what a group loads of the other operand, whose rows lie a stride apart. After tile_lanes.h.

// 16 steps of depth of the tile's columns of b. All loads first, so that their times in flight overlap; 0 past the ends.
K_FN void fetch_b(K_CTX K_INOUT_ARRAY(float, x, K_OWN * LANE_FETCHES), uint col0, uint cols, uint k0, uint depth)
{
    bool by_depth = (K_C(options) & TILE_B_BY_DEPTH) != 0u;
    bool whole = col0 + TILE_COLS <= cols && k0 + TILE_DEPTH <= depth;
    K_INDEX pace = by_depth ? K_STEP(8u, K_P(b_row)) : K_STEP(2u, K_P(b_depth));
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        K_INDEX at = K_STEP(col0 + FETCH_ROW(by_depth, v, 0u), K_P(b_row)) + K_STEP(k0 + FETCH_DEPTH(by_depth, v, 0u), K_P(b_depth));
        if (whole && v < VIRTUAL_LANES)
            K_UNROLL for (uint f = 0u; f < LANE_FETCHES; f++) {
                x[s * LANE_FETCHES + f] = load_b(K_PASS at);
                at += pace;
            }
        else
            K_UNROLL for (uint f = 0u; f < LANE_FETCHES; f++) {
                bool inside = col0 + FETCH_ROW(by_depth, v, f) < cols && k0 + FETCH_DEPTH(by_depth, v, f) < depth;
                x[s * LANE_FETCHES + f] = 0.0f;
                if (inside && v < VIRTUAL_LANES) x[s * LANE_FETCHES + f] = load_b(K_PASS at);
                at += pace;
            }
    }
}
