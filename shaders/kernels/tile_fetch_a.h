// tile_fetch_a.h - what a group loads of rows of a that lie anywhere. After tile_lanes.h and the kernel's own load_row.

// 16 steps of depth of the tile's rows of a, which lie anywhere; 0 past the ends.
K_FN void fetch_a(K_CTX K_INOUT_ARRAY(float, x, K_OWN * LANE_FETCHES), uint row0, uint rows, uint k0, uint depth)
{
    bool by_depth = (K_C(options) & TILE_A_BY_DEPTH) != 0u;
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        K_UNROLL for (uint f = 0u; f < LANE_FETCHES; f++) {
            uint row = row0 + FETCH_ROW(by_depth, v, f);
            uint k = k0 + FETCH_DEPTH(by_depth, v, f);
            x[s * LANE_FETCHES + f] = 0.0f;
            if (row < rows && k < depth && v < VIRTUAL_LANES) x[s * LANE_FETCHES + f] = load_row(K_PASS row, k);
        }
    }
}
