// One lane, one row: merges the sums of softmax_pair_sweep, and leaves values, the coefficients of the logits' gradient, and
// those of the second tensor's in its own planes. Touches the workspace alone.
#if K_PHASE == 1
#include "softmax.h"
#include "elementary.h"
#include "softmax_planes.h"

K_FN uint second_at(K_CTX uint plane, uint row) { return K_P(second_planes) + plane * K_P(plane_rows) + row; }

// A plane of all slices, in blocks of 64.
K_FN float sum_slices(K_CTX uint plane, uint row)
{
    float total = 0.0f;
    for (uint first = 0u; first < K_P(slices); first += 64u) {
        uint stop = K_MIN(first + 64u, K_P(slices));
        float block = 0.0f;
        for (uint i = first; i < stop; i++) block += plane_float(K_PASS SOFTMAX_PLANES + i * SLICE_PLANES + plane, row);
        total += block;
    }
    return total;
}

K_FN void store_coefs(K_CTX uint planes, uint row, uint mode, float p, float alpha, float beta, float mean)
{
    uint at = planes + PLANE_COEF * K_P(plane_rows) + row;
    K_ST(work, at + COEF_MODE * K_P(plane_rows), mode);
    K_ST(work, at + COEF_P * K_P(plane_rows), K_BITS(k_clamp(p)));
    K_ST(work, at + COEF_ALPHA * K_P(plane_rows), K_BITS(k_clamp(alpha)));
    K_ST(work, at + COEF_BETA * K_P(plane_rows), K_BITS(k_clamp(beta)));
    K_ST(work, at + COEF_MEAN * K_P(plane_rows), K_BITS(k_clamp(mean)));
}
#else
    uint row = K_ITEM;
    bool teacher = (K_C(term) & PAIR_TEACHER) != 0u;
    bool forward = (K_C(term) & PAIR_FORWARD) != 0u;
    bool reverse = (K_C(term) & PAIR_REVERSE) != 0u;
    uint swept = K_LD(work, plane_at(K_PASS PLANE_SWEPT, row));
    uint second_swept = FLAG_OTHER;
    if (teacher) second_swept = K_LD(work, second_at(K_PASS PLANE_SWEPT, row));
    uint found = 0u;
    for (uint i = 0u; i < K_P(slices); i++)
        found |= K_LD(work, plane_at(K_PASS SOFTMAX_PLANES + i * SLICE_PLANES + SLICE_FLAGS, row));
    uint flags = K_LD(work, plane_at(K_PASS PLANE_FLAGS, row)) | (swept & ~FLAG_MINUS_INF) | found
        | (second_swept & (FLAG_NAN | FLAG_PLUS_INF));
    float total = sum_slices(K_PASS SLICE_WEIGHTS, row);
    // a weight that is NaN or infinite
    if ((K_BITS(total) & 0x7fffffffu) >= K_WORD_INF) flags |= FLAG_NAN;
    bool empty = (swept & FLAG_OTHER) == 0u;
    bool nothing = empty || (second_swept & FLAG_OTHER) == 0u;
    bool poisoned = (flags & (FLAG_NAN | FLAG_PLUS_INF)) != 0u;
    float row_weight = plane_float(K_PASS PLANE_ROW_WEIGHT, row);

    float sum = plane_float(K_PASS PLANE_SUM, row);
    sum = sum > 0.0f ? sum : 1.0f;
    float log_sum = k_log(sum);
    float entropy = log_sum - plane_float(K_PASS PLANE_SUM_EX, row) / sum;
    float wide = plane_float(K_PASS PLANE_MAX, row) * K_P(inverse_temperature) + log_sum;
    float lse = k_clamp(wide);
    uint lse_word = wide > 3.4028235e38f ? K_WORD_INF : wide < -3.4028235e38f ? K_WORD_MINUS_INF : K_BITS(wide);
    float weighted = sum_slices(K_PASS SLICE_FORWARD, row);
    float back = 0.0f;
    if (teacher) back = sum_slices(K_PASS SLICE_REVERSE, row);
    // values of the two directions
    float one = weighted;
    float other = back;
    if ((K_C(term) & PAIR_DIVERGENCE) == 0u) {
        one = (teacher ? log_sum : total * log_sum) - weighted;
        float second_sum = 1.0f;
        if (teacher) second_sum = K_FLT(K_LD(work, second_at(K_PASS PLANE_SUM, row)));
        other = k_log(second_sum > 0.0f ? second_sum : 1.0f) - back;
    }
    bool beyond = forward && (found & FLAG_MINUS_INF) != 0u;
    bool back_beyond = reverse && (found & FLAG_TARGET_MINUS_INF) != 0u;
    float value = ((forward ? one : 0.0f) + (reverse ? other : 0.0f)) * K_P(pair_scale) + K_P(z_loss) * lse * lse;
    bool infinite = beyond || back_beyond || nothing || value > 3.4028235e38f;
    value = row_weight == 0.0f ? 0.0f : value * row_weight;
    uint loss = (infinite || value > 3.4028235e38f) && row_weight != 0.0f ? K_WORD_INF : K_BITS(infinite ? 0.0f : value);
    uint best = K_LD(work, plane_at(K_PASS PLANE_ARGMAX, row));
    if (poisoned) {
        store_values(K_PASS row, K_WORD_NAN, K_WORD_NAN, K_WORD_NAN, 0xffffffffu, flags);
    } else {
        store_values(K_PASS row, loss, empty ? K_WORD_MINUS_INF : lse_word, empty ? 0u : K_BITS(entropy), empty ? 0u : best,
                     flags | (nothing ? FLAG_ALL_MINUS_INF : 0u));
    }
    plane_store(K_PASS PLANE_SUM_WX, row, K_BITS(weighted));
    plane_store(K_PASS PLANE_SUM_W, row, K_BITS(total));

    uint mode = poisoned ? ROW_NAN : nothing ? ROW_ZERO : (flags & FLAG_ADRIFT) != 0u ? ROW_NAN : ROW_NORMAL;
    float scale = row_scale(K_PASS row);
    float g = scale * K_P(inverse_temperature) * K_P(pair_scale);
    float p = ((2.0f * K_P(z_loss) * scale) * lse + plane_float(K_PASS PLANE_UPSTREAM_LSE, row)) * K_P(inverse_temperature);
    float ahead = forward ? g : 0.0f;
    float behind = reverse ? g : 0.0f;
    // where a direction is infinite, its gradient by the distribution that weighs has no limit: 0
    if (teacher) {
        store_coefs(K_PASS K_P(planes), row, mode, p, ahead, back_beyond ? 0.0f : behind, other);
        store_coefs(K_PASS K_P(second_planes), row, mode, 0.0f, behind, beyond ? 0.0f : ahead, one);
    } else {
        store_coefs(K_PASS K_P(planes), row, mode, p + total * ahead, ahead, 0.0f, 0.0f);
    }
#endif
