// softmax_pair.h - a row of logits beside a second source of its target weights: probabilities a_j that are read, bins
// that are generated, or q = softmax(u) of a second tensor. After softmax_columns.h and softmax_planes.h.
//
// The statistics of each tensor of logits are known: m and S. What compares the two, r_j = log(p_j / q_j), is made from
// differences that are small where the rows are near each other, and a divergence is summed in the form
// q (e^r - 1 - r) >= 0, whose terms add up to it because sum p = sum q = 1: nothing cancels in it, and an error of r that
// is common to all columns counts only by its square.

#define SECOND_TYPE ((K_C(types) >> SHIFT_SECOND) & 15u)

struct pair_row {
    float top, log_sum, scale;             // of the logits: max before the temperature, log S, 1 / S
    float second_top, second_log_sum, second_scale;
    float aim, share;                      // bins: the target in bins from the first edge; 1 / mass of all bins
};
K_STRUCT(pair_row)

struct pair_cell {
    float x, u;                            // x_j - max and u_j - max; 0 where there is none
    float p, q;                            // 0 where there is none
    float r;                               // log(p / q) where both are there
    float half_x, half_u, half_d;          // halves of x, u and x - u before the temperature, which stay within f32
    bool has_p, has_q;
};
K_STRUCT(pair_cell)

K_FN pair_row load_pair(K_CTX uint row)
{
    pair_row w;
    w.top = plane_float(K_PASS PLANE_MAX, row);
    float sum = plane_float(K_PASS PLANE_SUM, row);
    sum = sum > 0.0f ? sum : 1.0f;
    w.log_sum = k_log(sum);
    w.scale = 1.0f / sum;
    w.second_top = 0.0f; w.second_log_sum = 0.0f; w.second_scale = 1.0f; w.aim = 0.0f; w.share = 1.0f;
    if ((K_C(term) & PAIR_TEACHER) != 0u) {
        w.second_top = K_FLT(K_LD(work, K_P(second_planes) + PLANE_MAX * K_P(plane_rows) + row));
        sum = K_FLT(K_LD(work, K_P(second_planes) + PLANE_SUM * K_P(plane_rows) + row));
        sum = sum > 0.0f ? sum : 1.0f;
        w.second_log_sum = k_log(sum);
        w.second_scale = 1.0f / sum;
    }
    if ((K_C(term) & PAIR_BINS) != 0u) {
        // a target outside of the range is at its end
        float y = plane_float(K_PASS PLANE_LABEL, row);
        y = K_MIN(K_MAX(y, K_P(bin_first)), K_P(bin_last));
        float bins = K_FLOAT(K_P(cols));
        w.aim = K_MIN((y - K_P(bin_first)) * K_P(bins_each), bins);
        float before = w.aim * K_P(bin_width);
        float after = (bins - w.aim) * K_P(bin_width);
        w.share = 1.0f / (mass_between(0.5f * before, before) + mass_between(0.5f * after, after));
    }
    return w;
}

// One block of a row of the second tensor as f32 words; -inf where there is no column.
K_FN void load_second(K_CTX K_INOUT_ARRAY(uint, word, BLOCK_CELLS), uint row, uint first, uint end)
{
    K_INDEX at = ROW_AT(row, K_P(second_outer), K_P(second_row)) + K_STEP(first - K_W(col0), K_P(second_col));
    bool halves = SECOND_TYPE != TYPE_F32;
    K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
        for (uint s = 0u; s < K_OWN; s++) {
            K_INDEX i = at + K_STEP(u * VIRTUAL_LANES + s * K_LANES + K_LANE, K_P(second_col));
            word[u * K_OWN + s] = halves ? (SECOND_TYPE == TYPE_F16 ? 0xfc00u : 0xff80u) : K_WORD_MINUS_INF;
            if (CELL_LIVE(first, u, s, end)) word[u * K_OWN + s] = halves ? K_LDH(second, i) : K_LD(second, i);
        }
    if (halves)
        for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) word[q] = half_to_word(SECOND_TYPE, word[q]);
}

// The weight a_j of a column: smoothed, times the class weight; or the bin's mass. Its word is the column's probability.
K_FN float weight_of(K_CTX pair_row w, uint word, uint column)
{
    float a = 0.0f;
    if ((K_C(term) & PAIR_BINS) != 0u) {
        a = w.share * mass_between((K_FLOAT(column) + 0.5f - w.aim) * K_P(bin_width), K_P(bin_width));
        a = a < 1.0e-30f ? 0.0f : a;       // asks nothing of a column that is left out
    } else {
        a = (1.0f - K_P(smoothing)) * K_FLT((word & 0x7fffffffu) < K_WORD_INF ? word : 0u) + K_P(smoothing_each);
        if ((K_C(options) & OPTION_CLASS_WEIGHT) != 0u)
            a = a * K_FLT(K_LD(weight, K_STEP(column - K_W(col0), K_P(weight_col))));
    }
    return a;
}

// weight * difference / temperature, of half the difference: two finite logits may be further apart than f32 reaches, and
// what the weight does not bring back is an infinite value.
K_FN float weigh_half(K_CTX float weight, float half_) { return 2.0f * ((weight * half_) * K_P(inverse_temperature)); }

K_FN float size_of(float x) { return x < 0.0f ? -x : x; }

K_FN pair_cell compare(K_CTX pair_row w, uint word, uint other)
{
    pair_cell c;
    c.has_p = word_class(word) == FLAG_OTHER;
    c.has_q = word_class(other) == FLAG_OTHER;
    float x = K_FLT(c.has_p ? word : 0u);
    float u = K_FLT(c.has_q ? other : 0u);
    if ((K_C(options) & OPTION_SOFTCAP) != 0u) {
        x = soft_cap(K_PASS x);
        u = soft_cap(K_PASS u);
    }
    float below = c.has_p ? k_clamp(x - w.top) : 0.0f;
    float other_below = c.has_q ? k_clamp(u - w.second_top) : 0.0f;
    // x - u is exact where the rows are near each other, the distances from the maxima where they are shifted
    float gap = k_clamp(w.top - w.second_top);
    float apart = k_clamp(x - u);
    bool near = size_of(apart) + size_of(gap) < size_of(below) + size_of(other_below);
    float d = near ? apart - gap : below - other_below;
    c.half_x = c.has_p ? 0.5f * x - 0.5f * w.top : 0.0f;
    c.half_u = c.has_q ? 0.5f * u - 0.5f * w.second_top : 0.0f;
    c.half_d = near ? 0.5f * d : c.half_x - c.half_u;
    c.x = k_clamp(below * K_P(inverse_temperature));
    c.u = k_clamp(other_below * K_P(inverse_temperature));
    c.p = c.has_p ? k_exp(c.x) * w.scale : 0.0f;
    c.q = c.has_q ? k_exp(c.u) * w.second_scale : 0.0f;
    c.r = c.has_p && c.has_q ? k_clamp(k_clamp(d) * K_P(inverse_temperature)) - (w.log_sum - w.second_log_sum) : 0.0f;
    return c;
}
