// One group, one slice of a row: the gradient from the coefficients that the link left. Items as in softmax_sweep.
#if K_PHASE == 1
#include "softmax.h"
#include "elementary.h"
struct row_coefs {
    uint mode;
    float p, target, w, ex, top;
};
K_STRUCT(row_coefs)
K_FN uint plane_at(K_CTX uint plane, uint row) { return K_P(planes) + plane * K_P(plane_rows) + row; }
K_FN float plane_float(K_CTX uint plane, uint row) { return K_FLT(K_LD(work, plane_at(K_PASS plane, row))); }
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
    row_coefs c;
    c.mode = K_LD(work, plane_at(K_PASS PLANE_COEF + COEF_MODE, row));
    c.p = plane_float(K_PASS PLANE_COEF + COEF_P, row);
    c.target = plane_float(K_PASS PLANE_COEF + COEF_TARGET, row);
    c.w = plane_float(K_PASS PLANE_COEF + COEF_W, row);
    c.ex = plane_float(K_PASS PLANE_COEF + COEF_EX, row);
    c.top = plane_float(K_PASS PLANE_COEF + COEF_TOP, row);
    write_columns(K_PASS row, begin, end, label, c);
#endif
