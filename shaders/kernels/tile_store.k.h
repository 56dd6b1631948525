// One lane, one element: product[i, j] = (product[i, j] +) the sum of source[i, j] and of what lies window.tiles elements behind
// it, and so on, window.depth in all, f32 rounded once to the output's type.
// Items are window.rows x window.cols, columns fastest. Source strides are a_row, a_depth of the record.
#if K_PHASE == 1
#include "softmax.h"
#include "tile.h"
#include "types.h"
#include "tile_cell.h"
#else
    uint number = K_ITEM;
    uint row = number / K_W(cols);
    uint col = number % K_W(cols);
    K_INDEX at = K_STEP(row, K_P(a_row)) + K_STEP(col, K_P(a_depth));
    float total = 0.0f;
    for (uint plane = 0u; plane < K_W(depth); plane++) total += K_FLT(K_LD(source, at + K_WIDE(plane * K_W(tiles))));
    store_cell(K_PASS total, row, col);
#endif
