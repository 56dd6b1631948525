// One group, one slice of a row: the gradient from the coefficients that the link left. Items as in softmax_sweep.
#if K_PHASE == 1
#include "softmax.h"
#include "elementary.h"
#include "softmax_coefs.h"
// In place the logits are read where the gradient is written: each cell by the lane that will store it.
#define LOAD_LOGIT(i) K_LD_EITHER((K_C(options) & OPTION_IN_PLACE) != 0u, grad, logits, i)
#define LOAD_LOGIT_HALF(i) K_LDH_EITHER((K_C(options) & OPTION_IN_PLACE) != 0u, grad, logits, i)
#include "softmax_columns.h"
#include "softmax_write.h"
#else
    uint row = K_ITEM / K_W(slices_here);
    uint slice = K_W(slice0) + K_ITEM % K_W(slices_here);
    uint begin = slice * K_P(slice_cols);
    uint end = K_MIN(begin + K_P(slice_cols), K_P(cols));
    uint label = K_LD(work, plane_at(K_PASS PLANE_LABEL, row));
    write_columns(K_PASS row, begin, end, label, coefs_load(K_PASS row));
#endif
