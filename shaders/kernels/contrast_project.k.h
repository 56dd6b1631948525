// One group, one row of a side: from the gradient h of its normalised row x / |x| to that of x. With u = x / |x|:
// grad = scale (h - u <u, h>) / |x|, in the gradient's type; <u, h> is the row's part of grad_scale. Without
// CONTRAST_NORMALIZE grad = scale h and u = x. Reads the row again: its norm is not kept. dense holds h, or with
// CONTRAST_IN_PLACE the gradient's own place does; each element is read and then written by one lane.
// window.first is the planes' row of the first item. A row whose flags have a bit of window.mask has gradient 0, as has a
// row of norm 0; a row with NaN or an infinity that is divided, or whose h has NaN, has gradient NaN.
#if K_PHASE == 1
#include "softmax.h"
#include "contrast.h"
#include "types.h"
#include "contrast_planes.h"
#include "contrast_row.h"
#define GRAD_TYPE ((K_C(types) >> SHIFT_GRAD) & 15u)

K_FN uint slope_word(K_CTX uint row, uint k)
{
    uint word = 0u;
    if ((K_C(options) & CONTRAST_IN_PLACE) != 0u) word = K_LD(grad, K_STEP(row, K_P(grad_row)) + K_STEP(k, K_P(grad_col)));
    else word = K_LD(dense, K_WIDE(row) * K_WIDE(K_P(dim)) + K_WIDE(k));
    return word;
}

// <u, h> in element 0 of `sum`, the largest size of h as bits in that of `top`.
K_FN void dot_of_row(K_CTX uint row, float up, float inverse)
{
    float sum[K_OWN];
    uint top[K_OWN];
    for (uint s = 0u; s < K_OWN; s++) { sum[s] = 0.0f; top[s] = 0u; }
    for (uint first = 0u; first < K_P(dim); first += ROW_BLOCK)
        for (uint s = 0u; s < K_OWN; s++) {
            float part = 0.0f;
            for (uint u = 0u; u < ROW_BLOCK / ROW_LANES; u++)
                if (LANE_HAS(s) && LANE_CELL(first, u, s) < K_P(dim)) {
                    uint k = LANE_CELL(first, u, s);
                    uint h = slope_word(K_PASS row, k);
                    top[s] = K_MAX(top[s], h & 0x7fffffffu);
                    part += ((K_FLT(source_word(K_PASS row, k)) * up) * inverse) * K_FLT(h);
                }
            sum[s] += part;
        }
    merge_row(K_PASS sum, top);
}

K_FN void store_grad(K_CTX uint row, uint k, uint word)
{
    K_INDEX at = K_STEP(row, K_P(grad_row)) + K_STEP(k, K_P(grad_col));
    bool add = (K_C(options) & CONTRAST_ADD) != 0u;
    float x = K_FLT(word);
    if (GRAD_TYPE == TYPE_F32) {
        if (add) x += K_FLT(K_LD(grad, at));
        K_ST(grad, at, add ? K_BITS(x) : word);
    } else {
        if (add) x += K_FLT(half_to_word(GRAD_TYPE, K_LDH(grad, at)));
        uint half_ = word_to_half(GRAD_TYPE, add ? K_BITS(x) : word);
        K_STH(grad, at, half_);
    }
}
#else
    uint row = K_ITEM;
    bool divide = (K_C(options) & CONTRAST_NORMALIZE) != 0u;
    bool idle = false;
    if (K_W(mask) != 0u) idle = (K_LD(work, side_at(K_PASS PLANE_FLAGS, K_W(first) + row)) & K_W(mask)) != 0u;
    float scale = 1.0f;
    if ((K_C(options) & CONTRAST_SCALED) != 0u) scale = K_FLT(K_LD(work, CONTRAST_SCALE));
    row_norm norm;
    norm.up = 1.0f; norm.inverse = 1.0f; norm.top = 0u;
    if (divide) norm = norm_of_row(K_PASS row);                // the same for the whole group
    dot_of_row(K_PASS row, norm.up, norm.inverse);
    float dot_ = K_SL(sum, 0u);
    bool broken = norm.top >= K_WORD_INF || K_SL(top, 0u) > K_WORD_INF;
    idle = idle || (norm.inverse == 0.0f && norm.top < K_WORD_INF);
    if ((K_C(options) & CONTRAST_STORE) != 0u)
        for (uint col = K_LANE; col < K_P(dim); col += K_LANES) {
            float h = K_FLT(slope_word(K_PASS row, col));
            float x = (K_FLT(source_word(K_PASS row, col)) * norm.up) * norm.inverse;
            float g = divide ? ((h - x * dot_) * norm.inverse) * norm.up : h;
            uint word = K_BITS(scale * g);
            store_grad(K_PASS row, col, idle ? 0u : broken ? K_WORD_NAN : word);
        }
    if (K_LANE == 0u && (K_C(options) & CONTRAST_SCALED) != 0u)
        K_ST(work, side_at(K_PASS PLANE_DOT, K_W(first) + row), idle ? 0u : broken ? K_WORD_NAN : K_BITS(dot_));
#endif
