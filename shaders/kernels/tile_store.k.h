// One lane, one element: product[i, j] = (product[i, j] +) source[i, j], f32 rounded once to the output's type.
// Items are window.rows x window.cols, columns fastest. Source strides are a_row, a_depth of the record.
#if K_PHASE == 1
#include "softmax.h"
#include "tile.h"
#include "types.h"
#include "tile_cell.h"
#else
    uint row = K_ITEM / K_W(cols);
    uint col = K_ITEM % K_W(cols);
    store_cell(K_PASS K_FLT(K_LD(source, K_STEP(row, K_P(a_row)) + K_STEP(col, K_P(a_depth)))), row, col);
#endif
