// One lane, one element: product[order[p], j] = (product[..] +) source[p, j], and 0 for rows that do not count. f32 rounded once to
// the output's type. Items are window.rows x window.cols, columns fastest; order as in tile_gather.
#if K_PHASE == 1
#include "softmax.h"
#include "tile.h"
#include "types.h"
#include "tile_cell.h"
#else
    uint number = K_ITEM;
    uint row = number / K_W(cols);
    uint col = number % K_W(cols);
    bool live = row < K_LD(work, SOFTMAX_LIVE);
    float value = 0.0f;
    if (live) value = K_FLT(K_LD(source, K_STEP(row, K_P(a_row)) + K_STEP(col, K_P(a_depth))));
    store_cell(K_PASS value, K_LD(work, K_W(tiles) + row), col);
#endif
