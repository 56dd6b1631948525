// softmax_link.h - from a row's statistics to its values and gradient coefficients: one lane, one row.
//
// With m the max over the columns other than the target, S the sum of exp(x_j - m) over them and x_y the target:
// t = (m - x_y) + log S, n = -log p_y = softplus(t), 1 - p_y = sigmoid(t). Nobody forms p_y - 1 from a rounded p_y.
// A term (shaders/terms) is a link on n: value and slope dL/dn. Smoothing, z-loss, weights and the upstream gradient
// are added here for every term alike.

struct row_state {
    float t;                               // log-odds against the target
    float n;                               // -log p_y; the largest finite f32 if the target is -inf
    float others;                          // 1 - p_y
};
struct row_term {
    float value, slope;
};
K_STRUCT(row_state)
K_STRUCT(row_term)

#include "terms.h"
#include "softmax_planes.h"

// exp(t) may underflow where its product with a large upstream does not: two halves.
K_FN float scaled_sigmoid(float t, float factor)
{
    float h = k_exp(0.5f * t);
    return t < -40.0f ? factor * h * h : factor * k_sigmoid(t);
}

// Keeps the merged statistics for the output `statistics`.
K_FN void store_stats(K_CTX uint row, row_stats s)
{
    plane_store(K_PASS PLANE_MAX, row, K_BITS(s.top));
    plane_store(K_PASS PLANE_SUM, row, K_BITS(s.sum));
    plane_store(K_PASS PLANE_TARGET, row, K_BITS(s.target));
    plane_store(K_PASS PLANE_SUM_EX, row, K_BITS(s.sum_ex));
    plane_store(K_PASS PLANE_SUM_WX, row, K_BITS(s.sum_wx));
    plane_store(K_PASS PLANE_SUM_W, row, K_BITS(s.sum_w));
}

// A finished row without a usable distribution: ignored, bad target, NaN, all -inf. Bits, not arithmetic.
K_FN row_coefs link_special(K_CTX uint row, uint label, row_stats s)
{
    row_coefs c;
    c.p = 0.0f; c.target = 0.0f; c.w = 0.0f; c.ex = 0.0f; c.top = 0.0f;
    c.mode = ROW_ZERO;
    if ((s.flags & (FLAG_IGNORED | FLAG_BAD)) != 0u) {
        store_values(K_PASS row, 0u, 0u, 0u, 0xffffffffu, s.flags);
    } else if ((s.flags & (FLAG_NAN | FLAG_PLUS_INF)) != 0u) {
        c.mode = ROW_NAN;
        store_values(K_PASS row, K_WORD_NAN, K_WORD_NAN, K_WORD_NAN, 0xffffffffu, s.flags);
    } else {
        uint f = s.flags | FLAG_ALL_MINUS_INF | (label == 0u ? FLAG_CORRECT : 0u);
        bool counts = plane_float(K_PASS PLANE_ROW_WEIGHT, row) != 0.0f
            && (plane_float(K_PASS PLANE_WEIGHT, row) != 0.0f || K_P(z_loss) != 0.0f
                || (K_P(smoothing) != 0.0f && (s.flags & FLAG_MINUS_INF) != 0u));
        store_values(K_PASS row, counts ? K_WORD_INF : 0u, K_WORD_MINUS_INF, 0u, 0u, f);
    }
    return c;
}

// Entropy as h(p_y) + (1 - p_y) * entropy of the others: sums of positive terms. Its error is absolute, some 1e-8 of 1:
// where one of the others dominates, their sum 1 + tiny is rounded.
K_FN float row_entropy(row_stats s, row_state r, float log_sum)
{
    float own = (1.0f - r.others) * r.n;
    if (r.t > 0.0f) own = k_sigmoid(-r.t) * r.n;
    if ((s.flags & FLAG_TARGET_MINUS_INF) != 0u) own = 0.0f;
    float rest = s.sum > 0.0f ? log_sum - s.sum_ex / s.sum : 0.0f;
    float apart = s.sum > 0.0f ? k_softplus(-r.t) : 0.0f;
    if ((s.flags & FLAG_TARGET_MINUS_INF) != 0u) apart = 0.0f;
    return own + r.others * (apart + rest);
}

// A row without a target: a link on the entropy, log S - S1 / S with S1 the sum of exp(x_j - m) (x_j - m), all of them of
// one sign. Its gradient by x_j is -p_j (x_j - m - S1 / S).
K_FN row_coefs link_whole(K_CTX uint row, row_stats s)
{
    if ((s.flags & (FLAG_NAN | FLAG_PLUS_INF)) != 0u || (s.flags & FLAG_OTHER) == 0u)
        return link_special(K_PASS row, SOFTMAX_NO_COLUMN, s);
    float log_sum = k_log(s.sum);
    float below = s.sum_ex / s.sum;        // E_p[x] - max
    float wide = s.top * K_P(inverse_temperature) + log_sum;
    float lse = k_clamp(wide);
    row_state r;
    r.t = 0.0f;
    r.others = 1.0f;
    r.n = log_sum - below;
    row_term term = term_apply(K_PASS r);
    float row_weight = plane_float(K_PASS PLANE_ROW_WEIGHT, row);
    float value = term.value + K_P(z_loss) * lse * lse;
    bool infinite = value > 3.4028235e38f;
    value = row_weight == 0.0f ? 0.0f : value * row_weight;
    uint loss = (infinite || value > 3.4028235e38f) && row_weight != 0.0f ? K_WORD_INF : K_BITS(value);
    uint lse_word = wide > 3.4028235e38f ? K_WORD_INF : wide < -3.4028235e38f ? K_WORD_MINUS_INF : K_BITS(wide);
    store_values(K_PASS row, loss, lse_word, K_BITS(r.n), s.best, s.flags);

    float g = row_scale(K_PASS row);
    float scale = K_P(inverse_temperature) / s.sum;
    float p = k_clamp((2.0f * K_P(z_loss) * g) * lse + plane_float(K_PASS PLANE_UPSTREAM_LSE, row));
    row_coefs c;
    c.mode = (s.flags & FLAG_ADRIFT) != 0u ? ROW_NAN : ROW_NORMAL;
    c.top = s.top;
    c.p = k_clamp((p + (term.slope * g) * below) * scale);
    c.target = 0.0f;
    c.w = 0.0f;
    c.ex = k_clamp(-(term.slope * g) * scale);
    return c;
}

K_FN row_coefs link_row(K_CTX uint row, uint label, row_stats s)
{
    if ((K_C(options) & OPTION_NO_TARGET) != 0u) return link_whole(K_PASS row, s);
    // one of the class weights that smoothing sums over the columns is NaN or infinite
    if (K_P(smoothing_each) != 0.0f && (K_BITS(s.sum_w) & 0x7fffffffu) >= K_WORD_INF) s.flags |= FLAG_NAN;
    bool empty = (s.flags & FLAG_OTHER) == 0u;
    bool target_out = (s.flags & FLAG_TARGET_MINUS_INF) != 0u;
    if ((s.flags & (FLAG_IGNORED | FLAG_BAD | FLAG_NAN | FLAG_PLUS_INF)) != 0u || (empty && target_out))
        return link_special(K_PASS row, label, s);

    float it = K_P(inverse_temperature);
    float log_sum = empty ? 0.0f : k_log(s.sum);
    row_state r;
    // halves, because the difference of two finite logits may pass f32's range before the temperature brings it back
    float ahead = 2.0f * ((0.5f * s.top - 0.5f * s.target) * it);
    bool beyond_f32 = target_out || (!empty && ahead > 3.4028235e38f);
    r.t = k_clamp(ahead) + log_sum;
    if (empty) r.t = -3.4028235e38f;
    if (target_out) r.t = 3.4028235e38f;
    r.n = k_softplus(r.t);
    r.others = k_sigmoid(r.t);
    float beyond = target_out ? 0.0f : k_softplus(-r.t);         // lse - (m + log S)
    float wide = r.t > 0.0f ? s.top * it + (log_sum + beyond) : s.target * it + r.n;
    float lse = k_clamp(wide);
    uint lse_word = wide > 3.4028235e38f ? K_WORD_INF : wide < -3.4028235e38f ? K_WORD_MINUS_INF : K_BITS(wide);

    float weight = plane_float(K_PASS PLANE_WEIGHT, row);
    float row_weight = plane_float(K_PASS PLANE_ROW_WEIGHT, row);
    float keep = 1.0f - K_P(smoothing);
    float each = K_P(smoothing_each);
    row_term term = term_apply(K_PASS r);
    float first = keep * weight;
    // n itself may be the largest finite f32, a value like another; what grew to it by a slope above 1 is beyond it
    bool infinite = term.value >= 3.4028234e38f && (beyond_f32 || term.slope > 1.0f)
        && (first != 0.0f || (each != 0.0f && weight != 0.0f));
    float value = (first == 0.0f ? 0.0f : first * k_clamp(term.value)) + K_P(z_loss) * lse * lse;
    if (each != 0.0f) {
        float sum_x = s.sum_w * (log_sum + beyond) - s.sum_wx;   // sum over the others of weight[j] (lse - x_j)
        value += each * ((weight == 0.0f ? 0.0f : weight * r.n) + (empty ? 0.0f : sum_x));
        infinite = infinite || (s.flags & FLAG_MINUS_INF) != 0u;
    }
    infinite = infinite || value > 3.4028235e38f;
    value = row_weight == 0.0f ? 0.0f : value * row_weight;
    uint loss = (infinite || value > 3.4028235e38f) && row_weight != 0.0f ? K_WORD_INF : K_BITS(value);

    float entropy = row_entropy(s, r, log_sum);
    uint right = s.best == label ? FLAG_CORRECT : 0u;
    store_values(K_PASS row, loss, lse_word, K_BITS(entropy), s.best, s.flags | right);

    // coefficients: `np` of p_j - [j = y], `p` of p_j alone
    float g = row_scale(K_PASS row);
    // a slope or lse at the end of f32's range comes last, so that a small g brings it back
    float np = k_clamp((first * g) * term.slope + (each * weight) * g);
    float p = k_clamp((each * s.sum_w) * g + (2.0f * K_P(z_loss) * g) * lse + plane_float(K_PASS PLANE_UPSTREAM_LSE, row));
    row_coefs c;
    c.mode = (s.flags & FLAG_ADRIFT) != 0u ? ROW_NAN : ROW_NORMAL;
    c.top = s.top;
    c.p = empty ? 0.0f : k_clamp(scaled_sigmoid(r.t, k_clamp(np + p) / s.sum) * it);
    c.target = k_clamp((scaled_sigmoid(-r.t, p) - scaled_sigmoid(r.t, np)) * it);
    c.w = -each * g * it;
    c.ex = 0.0f;
    return c;
}
