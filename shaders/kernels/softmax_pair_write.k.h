// One group, one slice of a row: the gradient of one tensor from the coefficients that softmax_pair_link left. Items as in
// softmax_pair_sweep. For the gradient of the second tensor the planner's record has the two in each other's place.
#if K_PHASE == 1
#include "softmax.h"
#include "elementary.h"
#include "softmax_coefs.h"
// In place the logits are read where the gradient is written: each cell by the lane that will store it.
#define LOAD_LOGIT(i) K_LD_EITHER((K_C(options) & OPTION_IN_PLACE) != 0u, grad, logits, i)
#define LOAD_LOGIT_HALF(i) K_LDH_EITHER((K_C(options) & OPTION_IN_PLACE) != 0u, grad, logits, i)
#include "softmax_columns.h"
#include "softmax_bins.h"
#include "softmax_pair.h"
#include "softmax_write.h"

// (p - q) alpha + p (l - mean) beta + p coef. p - q by the larger of the two and the ratio, so that it is small where
// they are near each other.
K_FN float compared_slope(K_CTX pair_row w, row_coefs c, uint word, uint other)
{
    pair_cell k = compare(K_PASS w, word, other);
    bool both = k.has_p && k.has_q;
    float apart = !both ? k.p - k.q : k.r >= 0.0f ? -k.p * k_expm1(-k.r) : k.q * k_expm1(k.r);
    float log_ratio = (K_C(term) & PAIR_DIVERGENCE) != 0u ? k.r : w.second_log_sum - k.u;
    float g = c.target * apart + k.p * c.p;
    return both && k.p > 0.0f ? g + k.p * k_clamp(c.w * (log_ratio - c.ex)) : g;
}

K_FN float weighed_slope(K_CTX pair_row w, row_coefs c, uint word, uint other, uint column)
{
    bool there = word_class(word) == FLAG_OTHER;
    float x = K_FLT(there ? word : 0u);
    if ((K_C(options) & OPTION_SOFTCAP) != 0u) x = soft_cap(K_PASS x);
    float p = there ? k_exp(k_clamp((x - w.top) * K_P(inverse_temperature))) * w.scale : 0.0f;
    return p * c.p - c.target * weight_of(K_PASS w, other, column);
}

K_FN void write_pair(K_CTX uint row, uint begin, uint end, row_coefs c)
{
    bool add = (K_C(options) & OPTION_ACCUMULATE) != 0u;
    bool teacher = (K_C(term) & PAIR_TEACHER) != 0u;
    if (c.mode == ROW_NAN)                 // the same for the whole group
        fill_columns(K_PASS row, begin, end, K_WORD_NAN);
    if (c.mode == ROW_ZERO && !add)        // the same for the whole group
        fill_columns(K_PASS row, begin, end, 0u);
    if (c.mode == ROW_NORMAL) {            // the same for the whole group
        pair_row w = load_pair(K_PASS row);
        row_coefs rest = c;                // what finish_block still has to add: nothing
        rest.w = 0.0f;
        for (uint first = begin; first < end; first += BLOCK_COLUMNS) {
            uint word[BLOCK_CELLS];
            uint other[BLOCK_CELLS];
            float g[BLOCK_CELLS];
            load_block(K_PASS word, row, first, end);
            if ((K_C(term) & PAIR_BINS) == 0u) load_second(K_PASS other, row, first, end);
            K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
                for (uint s = 0u; s < K_OWN; s++) {
                    uint q = u * K_OWN + s;
                    uint second_word = (K_C(term) & PAIR_BINS) != 0u ? 0u : other[q];
                    g[q] = 0.0f;
                    if (CELL_LIVE(first, u, s, end)) {
                        if (teacher) g[q] = compared_slope(K_PASS w, c, word[q], second_word);
                        else g[q] = weighed_slope(K_PASS w, c, word[q], second_word, CELL_COLUMN(first, u, s));
                    }
                }
            for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) g[q] = k_clamp(g[q]);
            finish_block(K_PASS g, word, first, end, SOFTMAX_NO_COLUMN, rest);
            if (add) add_old(K_PASS g, row, first, end);
            for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) word[q] = K_BITS(g[q]);
            if (GRAD_TYPE != TYPE_F32)
                for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) word[q] = word_to_half(GRAD_TYPE, word[q]);
            store_block(K_PASS word, row, first, end);
        }
    }
}
#else
    uint row = K_ITEM / K_W(slices_here);
    uint slice = K_W(slice0) + K_ITEM % K_W(slices_here);
    uint begin = slice * K_P(slice_cols);
    row_coefs c;
    c.mode = K_LD(work, plane_at(K_PASS PLANE_COEF + COEF_MODE, row));
    c.p = plane_float(K_PASS PLANE_COEF + COEF_P, row);
    c.target = plane_float(K_PASS PLANE_COEF + COEF_ALPHA, row);
    c.w = plane_float(K_PASS PLANE_COEF + COEF_BETA, row);
    c.ex = plane_float(K_PASS PLANE_COEF + COEF_MEAN, row);
    c.top = 0.0f;
    write_pair(K_PASS row, begin, K_MIN(begin + K_P(slice_cols), K_P(cols)), c);
#endif
