// tile_lanes.h - how the virtual lanes of a group share a tile of a . b^T and the loads of its operands. After types.h.
// A virtual lane has 4 consecutive rows and 8 columns in two runs of 4.

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
