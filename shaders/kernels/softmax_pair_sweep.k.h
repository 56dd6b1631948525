// One group, one slice of a row: sums over the row and its second source of weights, into the slice's planes of work.
// Items are rows x window.slices_here, slice fastest. The planner guarantees slices of at most 2^20 columns within the
// bound windows, and that the statistics of each tensor of logits are merged.
// SLICE_WEIGHTS sum a_j and SLICE_FORWARD sum a_j (x_j - max) of given or generated weights; of a second tensor
// SLICE_FORWARD sum q_j (x_j - max) and SLICE_REVERSE sum p_j (u_j - max), or the two divergences themselves. FLAG_NAN: a
// weight is NaN or infinite; FLAG_MINUS_INF: a column has a weight and x_j = -inf; FLAG_TARGET_MINUS_INF: the reverse.
#if K_PHASE == 1
#include "softmax.h"
#include "elementary.h"
#include "softmax_planes.h"
#define LOAD_LOGIT(i) K_LD(logits, i)
#define LOAD_LOGIT_HALF(i) K_LDH(logits, i)
#include "softmax_columns.h"
#include "softmax_bins.h"
#include "softmax_pair.h"

struct pair_sums {
    float forward, weights, reverse;
    uint flag;
};
K_STRUCT(pair_sums)

#define VAST 1.0e30f                       // beyond it e^r - 1 - r is -r

// e^r - 1 - r >= 0, relative 8 ulp, for r below 0.6.
K_FN float excess(float r)
{
    float b = K_SELECT(r > -0.5f, r, -0.5f);
    float q = 0.5f + b * (0.16666667f + b * (0.041666668f + b * (0.0083333338f + b * (0.0013888889f + b * (1.984127e-4f
        + b * 2.4801588e-5f)))));
    return r > -0.5f ? r * r * q : k_expm1(r) - r;
}

K_FN pair_sums weigh_cell(K_CTX pair_row w, uint word, uint other, uint column)
{
    pair_sums s;
    float a = weight_of(K_PASS w, other, column);
    bool there = word_class(word) == FLAG_OTHER;
    float x = K_FLT(there ? word : 0u);
    if ((K_C(options) & OPTION_SOFTCAP) != 0u) x = soft_cap(K_PASS x);
    s.weights = a;
    s.forward = there && a != 0.0f ? weigh_half(K_PASS a, 0.5f * x - 0.5f * w.top) : 0.0f;
    s.reverse = 0.0f;
    s.flag = a != 0.0f && word == K_WORD_MINUS_INF ? FLAG_MINUS_INF : 0u;
    if ((K_C(term) & PAIR_GIVEN) != 0u && (other & 0x7fffffffu) >= K_WORD_INF) s.flag = s.flag | FLAG_NAN;
    return s;
}

K_FN pair_sums compare_cell(K_CTX pair_row w, uint word, uint other)
{
    pair_cell c = compare(K_PASS w, word, other);
    pair_sums s;
    s.weights = 0.0f;
    s.flag = (c.has_q && !c.has_p ? FLAG_MINUS_INF : 0u) | (c.has_p && !c.has_q ? FLAG_TARGET_MINUS_INF : 0u);
    if ((K_C(term) & PAIR_DIVERGENCE) != 0u) {
        bool both = c.has_p && c.has_q;
        // far from each other the exponential is one of the two probabilities
        s.forward = both && c.r < 0.5f ? c.q * excess(c.r) : c.p - c.q * (1.0f + c.r);
        s.reverse = both && c.r > -0.5f ? c.p * excess(-c.r) : c.q - c.p * (1.0f - c.r);
        if (both && c.r < -VAST) s.forward = weigh_half(K_PASS c.q, -c.half_d);
        if (both && c.r > VAST) s.reverse = weigh_half(K_PASS c.p, c.half_d);
    } else {
        s.forward = c.has_p && c.q > 0.0f ? weigh_half(K_PASS c.q, c.half_x) : 0.0f;
        s.reverse = c.has_q && c.p > 0.0f ? weigh_half(K_PASS c.p, c.half_u) : 0.0f;
    }
    return s;
}

K_FN float pair_up(K_CTX K_INOUT_ARRAY(float, f, BLOCK_CELLS), uint s)
{
    float low = (f[s] + f[K_OWN + s]) + (f[2u * K_OWN + s] + f[3u * K_OWN + s]);
    float high = (f[4u * K_OWN + s] + f[5u * K_OWN + s]) + (f[6u * K_OWN + s] + f[7u * K_OWN + s]);
    return low + high;
}

// Merges the virtual lanes pairwise into element 0 of the shared arrays.
K_FN void merge_sums(K_CTX K_INOUT_ARRAY(float, forward, K_OWN), K_INOUT_ARRAY(float, weights, K_OWN),
                     K_INOUT_ARRAY(float, reverse, K_OWN), K_INOUT_ARRAY(uint, flag, K_OWN))
{
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        if (v < VIRTUAL_LANES) {
            K_SS(forward, v, forward[s]);
            K_SS(weights, v, weights[s]);
            K_SS(reverse, v, reverse[s]);
            K_SS(flag, v, flag[s]);
        }
    }
    K_BARRIER();
    for (uint w = VIRTUAL_LANES / 2u; w > 0u; w >>= 1u) {
        for (uint v = K_LANE; v < w; v += K_LANES) {
            K_SS(forward, v, K_SL(forward, v) + K_SL(forward, v + w));
            K_SS(weights, v, K_SL(weights, v) + K_SL(weights, v + w));
            K_SS(reverse, v, K_SL(reverse, v) + K_SL(reverse, v + w));
            K_SS(flag, v, K_SL(flag, v) | K_SL(flag, v + w));
        }
        K_BARRIER();
    }
}

K_FN void sweep_pair(K_CTX uint row, uint begin, uint end)
{
    float forward[K_OWN];
    float weights[K_OWN];
    float reverse[K_OWN];
    uint flag[K_OWN];
    pair_row w = load_pair(K_PASS row);
    bool teacher = (K_C(term) & PAIR_TEACHER) != 0u;
    for (uint s = 0u; s < K_OWN; s++) {
        forward[s] = 0.0f; weights[s] = 0.0f; reverse[s] = 0.0f; flag[s] = 0u;
    }
    for (uint first = begin; first < end; first += BLOCK_COLUMNS) {
        uint word[BLOCK_CELLS];
        uint other[BLOCK_CELLS];
        float f[BLOCK_CELLS];
        float a[BLOCK_CELLS];
        float b[BLOCK_CELLS];
        load_block(K_PASS word, row, first, end);
        if ((K_C(term) & PAIR_BINS) == 0u) load_second(K_PASS other, row, first, end);
        for (uint q = 0u; q < BLOCK_CELLS; q++) {
            f[q] = 0.0f; a[q] = 0.0f; b[q] = 0.0f;
        }
        K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
            for (uint s = 0u; s < K_OWN; s++)
                if (CELL_LIVE(first, u, s, end)) {
                    uint q = u * K_OWN + s;
                    uint second_word = (K_C(term) & PAIR_BINS) != 0u ? 0u : other[q];
                    pair_sums c;
                    if (teacher) c = compare_cell(K_PASS w, word[q], second_word);
                    else c = weigh_cell(K_PASS w, word[q], second_word, CELL_COLUMN(first, u, s));
                    f[q] = c.forward;
                    a[q] = c.weights;
                    b[q] = c.reverse;
                    flag[s] |= c.flag;
                }
        for (uint s = 0u; s < K_OWN; s++) {
            forward[s] += pair_up(K_PASS f, s);
            weights[s] += pair_up(K_PASS a, s);
            reverse[s] += pair_up(K_PASS b, s);
        }
    }
    merge_sums(K_PASS forward, weights, reverse, flag);
}
#else
    uint row = K_ITEM / K_W(slices_here);
    uint slice = K_W(slice0) + K_ITEM % K_W(slices_here);
    uint begin = slice * K_P(slice_cols);
    sweep_pair(K_PASS row, begin, K_MIN(begin + K_P(slice_cols), K_P(cols)));
    if (K_LANE == 0u) {
        uint at = SOFTMAX_PLANES + slice * SLICE_PLANES;
        plane_store(K_PASS at + SLICE_FORWARD, row, K_BITS(K_SL(forward, 0u)));
        plane_store(K_PASS at + SLICE_WEIGHTS, row, K_BITS(K_SL(weights, 0u)));
        plane_store(K_PASS at + SLICE_REVERSE, row, K_BITS(K_SL(reverse, 0u)));
        plane_store(K_PASS at + SLICE_FLAGS, row, K_SL(flag, 0u));
    }
#endif
