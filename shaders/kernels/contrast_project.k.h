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

// h of elements first + v for every virtual lane; 0 past the end.
K_FN void load_slopes(K_CTX K_INOUT_ARRAY(float, h, K_OWN), uint row, uint first)
{
    bool here = (K_C(options) & CONTRAST_IN_PLACE) != 0u;
    uint stride = here ? K_P(grad_col) : 1u;
    K_INDEX at = here ? K_STEP(row, K_P(grad_row)) + K_STEP(first, K_P(grad_col)) : K_WIDE(row) * K_WIDE(K_P(dim)) + K_WIDE(first);
    if (STEP_WHOLE(first, stride)) {
        if (here)
            for (uint s = 0u; s < K_OWN; s++) h[s] = K_FLT(K_LD(grad, at + K_WIDE(s * K_LANES + K_LANE)));
        else
            for (uint s = 0u; s < K_OWN; s++) h[s] = K_FLT(K_LD(dense, at + K_WIDE(s * K_LANES + K_LANE)));
    } else {
        for (uint s = 0u; s < K_OWN; s++) {
            K_INDEX i = at + K_STEP(s * K_LANES + K_LANE, stride);
            uint word = 0u;
            if (LANE_LIVE(first, s)) word = here ? K_LD(grad, i) : K_LD(dense, i);
            h[s] = K_FLT(word);
        }
    }
}

// <u, h> in element 0 of `sum`, the largest size of h as bits in that of `top`.
K_FN void dot_of_row(K_CTX uint row, float up, float inverse)
{
    float sum[K_OWN];
    uint top[K_OWN];
    for (uint s = 0u; s < K_OWN; s++) { sum[s] = 0.0f; top[s] = 0u; }
    for (uint block = 0u; block < K_P(dim); block += ROW_BLOCK) {
        float part[K_OWN];
        for (uint s = 0u; s < K_OWN; s++) part[s] = 0.0f;
        for (uint first = block; first < K_P(dim) && first - block < ROW_BLOCK; first += ROW_LANES) {
            float x[K_OWN];
            float h[K_OWN];
            load_source(K_PASS x, row, first);
            load_slopes(K_PASS h, row, first);
            for (uint s = 0u; s < K_OWN; s++) {
                top[s] = K_MAX(top[s], K_BITS(h[s]) & 0x7fffffffu);
                part[s] += ((x[s] * up) * inverse) * h[s];
            }
        }
        for (uint s = 0u; s < K_OWN; s++) sum[s] += part[s];
    }
    merge_row(K_PASS sum, top);
}

K_FN void store_grad(K_CTX K_INOUT_ARRAY(float, g, K_OWN), uint row, uint first)
{
    K_INDEX at = K_STEP(row, K_P(grad_row)) + K_STEP(first, K_P(grad_col));
    bool add = (K_C(options) & CONTRAST_ADD) != 0u;
    if (GRAD_TYPE == TYPE_F32 && !add && STEP_WHOLE(first, K_P(grad_col))) {
        for (uint s = 0u; s < K_OWN; s++) K_ST(grad, at + K_WIDE(s * K_LANES + K_LANE), K_BITS(g[s]));
    } else {
        for (uint s = 0u; s < K_OWN; s++)
            if (LANE_LIVE(first, s)) {
                K_INDEX i = at + K_STEP(s * K_LANES + K_LANE, K_P(grad_col));
                uint old = 0u;
                if (add) old = GRAD_TYPE == TYPE_F32 ? K_LD(grad, i) : half_to_word(GRAD_TYPE, K_LDH(grad, i));
                uint word = add ? K_BITS(g[s] + K_FLT(old)) : K_BITS(g[s]);
                if (GRAD_TYPE == TYPE_F32) {
                    K_ST(grad, i, word);
                } else {
                    uint half_ = word_to_half(GRAD_TYPE, word);
                    K_STH(grad, i, half_);
                }
            }
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
        for (uint first = 0u; first < K_P(dim); first += ROW_LANES) {
            float x[K_OWN];
            float h[K_OWN];
            load_source(K_PASS x, row, first);
            load_slopes(K_PASS h, row, first);
            for (uint s = 0u; s < K_OWN; s++) {
                float along = (x[s] * norm.up) * norm.inverse * dot_;
                float g = divide ? ((h[s] - along) * norm.inverse) * norm.up : h[s];
                uint word = K_BITS(scale * g);
                h[s] = K_FLT(idle ? 0u : broken ? K_WORD_NAN : word);
            }
            store_grad(K_PASS h, row, first);
        }
    if (K_LANE == 0u && (K_C(options) & CONTRAST_SCALED) != 0u)
        K_ST(work, side_at(K_PASS PLANE_DOT, K_W(first) + row), idle ? 0u : broken ? K_WORD_NAN : K_BITS(dot_));
#endif
