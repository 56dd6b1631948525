// One group, 128 columns: product[0, j] = (product[0, j] +) sum over i of source[i, j] (f32 or bf16), in blocks of 64 rows, so
// that a chain is at most 64 + rows / 64 additions. The planner guarantees rows <= 65536. Source strides are a_row, a_depth.
#if K_PHASE == 1
#include "softmax.h"
#include "tile.h"
#include "types.h"
#include "tile_cell.h"
K_FN float load_source(K_CTX uint row, uint col)
{
    K_INDEX at = K_STEP(row, K_P(a_row)) + K_STEP(col, K_P(a_depth));
    uint word = 0u;
    if ((K_C(types) & 15u) == TYPE_F32) word = K_LD(source, at);
    else word = K_LDH(source, at) << 16u;
    return K_FLT(word);
}
#else
    uint col0 = K_ITEM * TILE_SUM_COLS;
    float total[K_OWN];
    for (uint s = 0u; s < K_OWN; s++) total[s] = 0.0f;
    for (uint first = 0u; first < K_W(rows); first += TILE_SUM_ROWS) {
        uint stop = K_MIN(first + TILE_SUM_ROWS, K_W(rows));
        float part[K_OWN];
        for (uint s = 0u; s < K_OWN; s++) part[s] = 0.0f;
        for (uint row = first; row < stop; row++)
            for (uint s = 0u; s < K_OWN; s++) {
                uint v = s * K_LANES + K_LANE;
                uint col = col0 + v;
                if (v < TILE_SUM_COLS && col < K_W(cols))
                    part[s] += load_source(K_PASS row, col);
            }
        for (uint s = 0u; s < K_OWN; s++) total[s] += part[s];
    }
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        uint col = col0 + v;
        if (v < TILE_SUM_COLS && col < K_W(cols)) store_cell(K_PASS total[s], 0u, col);
    }
#endif
