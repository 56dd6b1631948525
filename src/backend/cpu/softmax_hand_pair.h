// softmax_hand_pair.h - the column loops of softmax_pair_sweep and softmax_pair_write by hand: what softmax_hand.h puts in the
// place of their texts' sweep_pair and write_pair.
//
// A block of columns is at hand as f32 in whole pairs of vectors: where the tensor has it so, or copied and widened. What is
// no column there is -inf, of weight 0, which adds nothing. -inf needs no selections: its distance from the maximum is taken
// for the lowest number, whose exponential is 0; where it has a weight the flags say so, which are made for rows that hold
// one. Of a row with NaN or +inf nobody reads what is made here.
// Sums: V_LANES x 2 f32 chains of at most 64 columns a block, pairwise, then blocks in double.
//
// Gained on 2 cores of Zen 4, f32, value and gradient, AVX-512, with rows going through the passes while they are in cache:
// kl_logits of 1024 x 32000 from 3000 to 33 ms, cross_entropy with probabilities from 740 to 14 ms (tools/bench-peers).

enum { PAIR_BLOCK = 512 };                 // columns

// A row, and what is constant along it.
typedef struct pair_hand {
    const char *x, *u;                     // of column `begin`; u NULL: bins
    const float *weight;                   // NULL: 1
    uint begin, type, second_type;
    bool steep;                            // the temperature is below 1
    vec top, second_top, gap, gap_size, it, log_gap, scale, second_scale, second_log_sum, lowest, highest;
    vec_exp k;
    float x_room[PAIR_BLOCK], u_room[PAIR_BLOCK + HAND_PAIR], weight_room[PAIR_BLOCK];
} pair_hand;

// ---- columns ----

VFN void widen(const char *p, uint count, float fill, float *room, uint type)
{
    uint i = 0;
    for (; i + V_LANES <= count; i += V_LANES) v_store(room + i, col_load(p + i * col_bytes(type), type));
    if (i < count) {
        v_store(room + i, v_select(v_first(count - i), col_load_part(p + i * col_bytes(type), count - i, type), v_all(fill)));
        i += V_LANES;
    }
    if (i % HAND_PAIR != 0) v_store(room + i, v_all(fill));
}

// `count` columns as f32 in whole pairs of vectors.
static const float *as_floats(const char *p, uint count, float fill, float *room, uint type)
{
    if (type == TYPE_F32 && count % HAND_PAIR == 0) return (const float *)(const void *)p;
    if (type == TYPE_F32) widen(p, count, fill, room, TYPE_F32);
    else if (type == TYPE_F16) widen(p, count, fill, room, TYPE_F16);
    else widen(p, count, fill, room, TYPE_BF16);
    return room;
}

// ---- bins: softmax_bins.h in vectors ----

VFN vec erfc_of(vec x, vec_exp one)        // of 0 <= x <= 10
{
    vec t = v_inverse(v_fma(v_all(0.4f), x, v_all(1)));
    vec q = v_fma(t, v_all(0.0400544019f), v_all(-0.134418884f));
    q = v_fma(t, q, v_all(0.0716308233f));
    q = v_fma(t, q, v_all(0.102306781f));
    q = v_fma(t, q, v_all(0.069691135f));
    q = v_fma(t, q, v_all(0.197754744f));
    q = v_fma(t, q, v_all(0.200750955f));
    q = v_fma(t, q, v_all(0.22660561f));
    q = v_fma(t, q, v_all(0.225624491f));
    return v_mul(v_exp(v_sub(v_all(0), v_mul(x, x)), one), v_mul(t, q));
}

// mass_between for a bin `width` wide around each of the centres.
VFN vec mass_of(vec centre, vec width)
{
    const vec_exp one = v_exp_of(1);
    vec c = v_size(centre), h = v_mul(v_all(0.5f), width), low = v_sub(c, h), ten = v_all(10), zero = v_all(0);
    vec narrow = zero, wide = zero;
    vecmask thin = v_less(v_fma(width, c, width), v_all(0.5f));
    if (v_any(thin)) {
        vec c2 = v_min(v_mul(c, c), v_all(100)), h2 = v_mul(h, h);
        vec six = v_fma(c2, v_fma(c2, v_fma(v_all(64), c2, v_all(-480)), v_all(720)), v_all(-120));
        vec four = v_fma(c2, v_fma(v_all(16), c2, v_all(-48)), v_all(12)), two = v_fma(v_all(4), c2, v_all(-2));
        vec s = v_fma(h2, v_mul(six, v_all(1.984127e-4f)), v_mul(four, v_all(0.0083333333f)));
        s = v_fma(h2, v_fma(h2, s, v_mul(two, v_all(0.16666667f))), v_all(1));
        narrow = v_mul(v_mul(v_mul(v_all(1.1283792f), width), v_exp(v_sub(zero, c2), one)), s);
    }
    if (v_bits(thin) != v_bits(v_first(V_LANES))) {
        vec above = erfc_of(v_min(v_add(c, h), ten), one), below = erfc_of(v_min(v_size(low), ten), one);
        wide = v_select(v_less(low, zero), v_sub(v_sub(v_all(2), below), above), v_sub(below, above));
    }
    return v_select(thin, narrow, wide);
}

// load_pair, with the masses on both sides of the target as two lanes.
static pair_row load_bins(k_context *restrict k_, uint row)
{
    float sum = plane_float(k_, PLANE_SUM, row), bins = K_FLOAT(K_P(cols)), y = plane_float(k_, PLANE_LABEL, row);
    pair_row w = {.top = plane_float(k_, PLANE_MAX, row), .scale = sum > 0.0f ? 1.0f / sum : 1.0f, .second_scale = 1.0f};
    y = K_MIN(K_MAX(y, K_P(bin_first)), K_P(bin_last));
    w.aim = K_MIN((y - K_P(bin_first)) * K_P(bins_each), bins);
    float sides[V_LANES] = {w.aim * K_P(bin_width), (bins - w.aim) * K_P(bin_width)};
    vec widths = v_load(sides);
    w.share = 1.0f / v_sum(mass_of(v_mul(v_all(0.5f), widths), widths));
    return w;
}

// Masses of the bins from `first` on: few are not 0.
static void fill_bins(k_context *restrict k_, const pair_row *w, uint first, uint count, float *room)
{
    // beyond 10 lengths of the density from its edge a bin has none
    float middle = w->aim - 0.5f - (float)(int)first, reach = 1.5f + 10.0f / K_P(bin_width), most = (float)(int)count;
    uint from = (uint)K_MIN(K_MAX(middle - reach, 0.0f), most), to = (uint)K_MIN(K_MAX(middle + reach + 1.0f, 0.0f), most);
    vec share = v_all(w->share), width = v_all(K_P(bin_width)), least = v_all(1.0e-30f);
    float lanes[V_LANES];
    for (uint j = 0; j < V_LANES; j++) lanes[j] = (float)(int)j + 0.5f - w->aim;
    memset(room, 0, (count + HAND_PAIR) * sizeof *room);
    for (uint i = from; i < to; i += V_LANES) {
        vec a = v_mul(share, mass_of(v_mul(v_add(v_all((float)(int)(first + i)), v_load(lanes)), width), width));
        v_store(room + i, v_select(v_less(a, least), v_all(0), a));
    }
    memset(room + count, 0, HAND_PAIR * sizeof *room);
}

typedef struct pair_block {
    const float *x, *u, *weight;
    uint count;                            // whole pairs of vectors, with what is no column
} pair_block;

static pair_block block_at(k_context *restrict k_, pair_hand *h, const pair_row *w, uint first, uint count)
{
    size_t at = first - h->begin;
    pair_block b = {.count = (count + HAND_PAIR - 1) / HAND_PAIR * HAND_PAIR};
    const float minus = K_FLT(K_WORD_MINUS_INF), none = (K_C(term) & PAIR_TEACHER) != 0u ? minus : 0.0f;
    b.x = as_floats(h->x + at * col_bytes(h->type), count, minus, h->x_room, h->type);
    if (h->u) b.u = as_floats(h->u + at * col_bytes(h->second_type), count, none, h->u_room, h->second_type);
    else fill_bins(k_, w, first, count, h->u_room), b.u = h->u_room;
    if (h->weight) {
        b.weight = as_floats((const char *)(h->weight + at), count, 0, h->weight_room, TYPE_F32);
    } else if (K_P(smoothing_each) != 0.0f && b.count != count) {
        for (uint i = 0; i < b.count; i++) h->weight_room[i] = i < count ? 1.0f : 0.0f;
        b.weight = h->weight_room;
    }
    return b;
}

// Whole pairs of vectors as long as there are any.
VFN uint block_count(uint left) { return left < HAND_PAIR ? left : K_MIN(left - left % HAND_PAIR, (uint)PAIR_BLOCK); }

static void begin_pair(k_context *restrict k_, pair_hand *h, const pair_row *w, uint row, uint begin)
{
    ptrdiff_t at = (ptrdiff_t)(begin - K_W(col0));
    h->begin = begin;
    h->type = LOGITS_TYPE;
    h->second_type = SECOND_TYPE;
    h->x = (const char *)HAND_LOGITS + (ROW_AT(row, K_P(logits_outer), K_P(logits_row)) + at) * (ptrdiff_t)col_bytes(h->type);
    h->u = NULL;
    if ((K_C(term) & PAIR_BINS) == 0u)
        h->u = (const char *)k_->s_second + (ROW_AT(row, K_P(second_outer), K_P(second_row)) + at) * (ptrdiff_t)col_bytes(h->second_type);
    h->weight = (K_C(options) & OPTION_CLASS_WEIGHT) != 0u ? (const float *)(const void *)k_->s_weight + at : NULL;
    float gap = k_clamp(w->top - w->second_top);
    h->top = v_all(w->top);
    h->second_top = v_all(w->second_top);
    h->gap = v_all(gap);
    h->gap_size = v_all(size_of(gap));
    h->it = v_all(K_P(inverse_temperature));
    h->steep = K_P(inverse_temperature) > 1.0f;
    h->log_gap = v_all(w->second_log_sum - w->log_sum);
    h->scale = v_all(w->scale);
    h->second_scale = v_all(w->second_scale);
    h->second_log_sum = v_all(w->second_log_sum);
    h->lowest = v_all(-3.4028235e38f);
    h->highest = v_all(3.4028235e38f);
    h->k = v_exp_of(K_P(inverse_temperature));
}

// ---- two tensors of logits: compare (shaders/kernels/softmax_pair.h) ----

typedef struct pair_vec {
    vec x, u, below, other, p, q;          // below, other: from the maxima
} pair_vec;

VFN pair_vec pair_at(const pair_hand *h, const float *x, const float *u)
{
    pair_vec v;
    v.x = v_load(x);
    v.u = v_load(u);
    v.below = v_max(v_sub(v.x, h->top), h->lowest);
    v.other = v_max(v_sub(v.u, h->second_top), h->lowest);
    v.p = v_mul(v_exp(v.below, h->k), h->scale);
    v.q = v_mul(v_exp(v.other, h->k), h->second_scale);
    return v;
}

VFN vec within(const pair_hand *h, vec v) { return v_min(v_max(v, h->lowest), h->highest); }

// log(p / q): of x - u where the rows are near each other, of the distances from the maxima where they are shifted. Where
// x - u is NaN or infinite, it is not near.
VFN vec log_ratio(const pair_hand *h, const pair_vec *v)
{
    vec apart = v_sub(v->x, v->u), sizes = v_add(v->below, v->other);
    vecmask near = v_less(v_add(v_add(v_size(apart), h->gap_size), sizes), v_all(0));
    vec d = v_select(near, v_sub(apart, h->gap), v_sub(v->below, v->other));
    return within(h, v_fma(d, h->it, h->log_gap));
}

// q (e^r - 1 - r), with p = q e^r.
VFN vec divergence_of(vec p, vec q, vec r)
{
    vec s = v_fma(r, v_all(2.4801588e-5f), v_all(1.984127e-4f));
    s = v_fma(r, s, v_all(0.0013888889f));
    s = v_fma(r, s, v_all(0.0083333338f));
    s = v_fma(r, s, v_all(0.041666668f));
    s = v_fma(r, s, v_all(0.16666667f));
    s = v_fma(r, s, v_all(0.5f));
    vec near = v_mul(v_mul(v_mul(q, r), r), s), far = v_sub(p, v_fma(q, r, q));
    return v_select(v_less(v_size(r), v_all(0.5f)), near, far);
}

// p - q
VFN vec difference_of(vec p, vec q, vec r)
{
    vec s = v_fma(r, v_all(1.9919936e-4f), v_all(0.0013945131f));
    s = v_fma(r, s, v_all(0.0083332639f));
    s = v_fma(r, s, v_all(0.041666303f));
    s = v_fma(r, s, v_all(0.16666667f));
    s = v_fma(r, s, v_all(0.5f));
    vec near = v_mul(q, v_fma(v_mul(r, r), s, r));
    return v_select(v_less(v_size(r), v_all(0.36f)), near, v_sub(p, q));
}

#if !HAND_WRITES

// ---- sums ----

typedef struct pair_total {
    double forward, weights, reverse;
    uint flag;
} pair_total;

// Flags of a block: a weight where the logit is -inf, a weight that is no number.
static uint flags_of(k_context *restrict k_, const pair_block *b, float share, float each)
{
    uint32_t ahead = 0, behind = 0, bad = 0;
    for (uint i = 0; i < b->count; i += V_LANES) {
        vec u = v_load(b->u + i);
        uint32_t x_gone = v_bits(v_is_word(v_load(b->x + i), K_WORD_MINUS_INF)), u_gone = v_bits(v_is_word(u, K_WORD_MINUS_INF));
        if ((K_C(term) & PAIR_TEACHER) == 0u) {
            vec a = v_fma(v_all(share), u, v_all(each));
            if (b->weight) a = v_mul(a, v_load(b->weight + i));
            uint32_t odd = v_bits(v_first(V_LANES)) & ~v_bits(v_size_below(u, K_WORD_INF));
            u_gone = odd | v_bits(v_equal(a, v_all(0)));
            bad |= odd;
        } else {
            behind |= u_gone & ~x_gone;
        }
        ahead |= x_gone & ~u_gone;
    }
    return (ahead ? FLAG_MINUS_INF : 0u) | (behind ? FLAG_TARGET_MINUS_INF : 0u) | (bad ? FLAG_NAN : 0u);
}

// Whether no ratio left f32: where the temperature is below 1, it may of logits that are masked by numbers.
VFN bool compare_block(const pair_hand *h, const pair_block *b, bool divergence, bool back, pair_total *t)
{
    vec zero = v_all(0), forward[2] = {zero, zero}, reverse[2] = {zero, zero}, far = zero;
    const bool steep = divergence && h->steep;
    for (uint i = 0; i < b->count; i += HAND_PAIR)
        for (uint j = 0; j < 2; j++) {
            pair_vec v = pair_at(h, b->x + i + j * V_LANES, b->u + i + j * V_LANES);
            if (divergence) {
                vec r = log_ratio(h, &v);
                if (steep) {
                    vecmask both = v_both(v_size_below(v.x, K_WORD_INF), v_size_below(v.u, K_WORD_INF));
                    far = v_max(far, v_select(both, v_size(r), zero));
                }
                forward[j] = v_add(forward[j], divergence_of(v.p, v.q, r));
                if (back) reverse[j] = v_add(reverse[j], divergence_of(v.q, v.p, v_sub(zero, r)));
            } else {
                forward[j] = v_fma(v.q, v.below, forward[j]);
                if (back) reverse[j] = v_fma(v.p, v.other, reverse[j]);
            }
        }
    t->forward += (double)v_sum(v_add(forward[0], forward[1]));
    if (back) t->reverse += (double)v_sum(v_add(reverse[0], reverse[1]));
    return v_top(far) < 3.4028235e38f;
}

// Weights that are read or made: their sum, and that of half of what is weighed (weigh_half says why half).
// Returns whether the weights are numbers.
VFN bool weigh_block(const pair_hand *h, const pair_block *b, float share, float each, bool weighted, pair_total *t)
{
    vec zero = v_all(0), sums[2] = {zero, zero}, weights[2] = {zero, zero};
    vec half = v_all(0.5f), half_top = v_mul(half, h->top), least = v_mul(half, h->lowest), s = v_all(share), e = v_all(each);
    for (uint i = 0; i < b->count; i += HAND_PAIR)
        for (uint j = 0; j < 2; j++) {
            uint at = i + j * V_LANES;
            v_prefetch((const char *)(b->u + at) + hand_ahead());
            vec x = v_load(b->x + at), a = v_fma(s, v_load(b->u + at), e);
            if (weighted) a = v_mul(a, v_load(b->weight + at));
            weights[j] = v_add(weights[j], a);
            sums[j] = v_fma(a, v_sub(v_max(v_mul(half, x), least), half_top), sums[j]);
        }
    float total = v_sum(v_add(weights[0], weights[1]));
    t->weights += (double)total;
    t->forward += 2 * (double)v_sum(v_add(sums[0], sums[1]));
    return (K_BITS(total) & 0x7fffffffu) < K_WORD_INF;
}

// In place of sweep_pair (shaders/kernels/softmax_pair_sweep.k.h): the same sums in element 0 of the shared arrays.
static void hand_sweep_pair(k_context *restrict k_, uint row, uint begin, uint end)
{
    pair_row w = (K_C(term) & PAIR_BINS) != 0u ? load_bins(k_, row) : load_pair(k_, row);
    pair_hand h;
    // from such a maximum distances may leave f32
    if (K_MAX(w.top, w.second_top) > 1e30f) {
        sweep_pair(k_, row, begin, end);
        return;
    }
    begin_pair(k_, &h, &w, row, begin);
    bool bins = !h.u, back = (K_C(term) & PAIR_REVERSE) != 0u;
    float share = bins ? 1.0f : 1.0f - K_P(smoothing), each = bins ? 0.0f : K_P(smoothing_each);
    bool teacher = (K_C(term) & PAIR_TEACHER) != 0u, divergence = (K_C(term) & PAIR_DIVERGENCE) != 0u;
    uint swept = K_LD(work, plane_at(k_, PLANE_SWEPT, row));
    if (teacher) swept |= K_LD(work, K_P(second_planes) + PLANE_SWEPT * K_P(plane_rows) + row);
    pair_total t = {0};
    for (uint i = begin, n; i < end; i += n) {
        n = block_count(end - i);
        pair_block b = block_at(k_, &h, &w, i, n);
        bool numbers = true, fits = true;
        if (!teacher) numbers = b.weight ? weigh_block(&h, &b, share, each, true, &t) : weigh_block(&h, &b, share, each, false, &t);
        else if (divergence && back) fits = compare_block(&h, &b, true, true, &t);
        else if (divergence) fits = compare_block(&h, &b, true, false, &t);
        else if (back) fits = compare_block(&h, &b, false, true, &t);
        else fits = compare_block(&h, &b, false, false, &t);
        if (!fits) {
            sweep_pair(k_, row, begin, end);
            return;
        }
        if (!numbers || (swept & FLAG_MINUS_INF) != 0u) t.flag |= flags_of(k_, &b, share, each);
    }
    if (!divergence) {
        t.forward *= (double)K_P(inverse_temperature);
        t.reverse *= (double)K_P(inverse_temperature);
    }
    K_SS(forward, 0u, (float)t.forward);
    K_SS(weights, 0u, (float)t.weights);
    K_SS(reverse, 0u, (float)t.reverse);
    K_SS(flag, 0u, t.flag);
}
#define sweep_pair hand_sweep_pair

#else

// ---- the gradient ----

// (p - q) alpha + p coef (+ p (l - mean) beta, if it is bent).
VFN void compare_slopes(const pair_hand *h, const pair_block *b, row_coefs c, bool bent, bool divergence, float *slope)
{
    vec alpha = v_all(c.target), coef = v_all(c.p), beta = v_all(c.w), mean = v_all(c.ex);
    for (uint i = 0; i < b->count; i += V_LANES) {
        pair_vec v = pair_at(h, b->x + i, b->u + i);
        vec r = log_ratio(h, &v);
        vec g = v_fma(alpha, difference_of(v.p, v.q, r), v_mul(v.p, coef));
        if (bent) {
            vec l = divergence ? r : v_sub(h->second_log_sum, within(h, v_mul(v.other, h->it)));
            g = v_fma(v.p, within(h, v_mul(beta, v_sub(l, mean))), g);
        }
        v_store(slope + i, g);
    }
}

VFN void weighed_slopes(const pair_hand *h, const pair_block *b, row_coefs c, float share, float each, bool weighted, float *slope)
{
    vec p = v_mul(v_all(c.p), h->scale), s = v_all(-c.target * share), e = v_all(-c.target * each);
    for (uint i = 0; i < b->count; i += V_LANES) {
        vec a = v_fma(s, v_load(b->u + i), e);
        if (weighted) a = v_mul(a, v_load(b->weight + i));
        vec below = v_max(v_sub(v_load(b->x + i), h->top), h->lowest);
        v_store(slope + i, v_fma(v_exp(below, h->k), p, a));
    }
}

// Stores a block's slopes, added to what is there if `add`.
VFN void store_slopes(const pair_hand *h, const float *slope, char *g, uint count, bool add, bool stream, uint to)
{
    uint i = 0;
    for (; i + V_LANES <= count; i += V_LANES) {
        char *at = g + i * col_bytes(to);
        vec v = within(h, v_load(slope + i));
        col_store(at, add ? v_add(v, col_load(at, to)) : v, to, stream);
    }
    if (i < count) {
        char *at = g + i * col_bytes(to);
        vec v = within(h, v_load(slope + i));
        col_store_part(at, add ? v_add(v, col_load_part(at, count - i, to)) : v, count - i, to);
    }
}

static void store_block_of(const pair_hand *h, const float *slope, char *g, uint count, bool add, bool stream, uint to)
{
    if (add) {
        if (to == TYPE_F32) store_slopes(h, slope, g, count, true, false, TYPE_F32);
        else if (to == TYPE_F16) store_slopes(h, slope, g, count, true, false, TYPE_F16);
        else store_slopes(h, slope, g, count, true, false, TYPE_BF16);
    } else {
        if (to == TYPE_F32 && stream) store_slopes(h, slope, g, count, false, true, TYPE_F32);
        else if (to == TYPE_F32) store_slopes(h, slope, g, count, false, false, TYPE_F32);
        else if (to == TYPE_F16) store_slopes(h, slope, g, count, false, stream, TYPE_F16);
        else store_slopes(h, slope, g, count, false, stream, TYPE_BF16);
    }
}

static void write_row_pair(k_context *restrict k_, uint row, uint begin, uint end, row_coefs c, const hand_out *o)
{
    _Alignas(64) float slope[PAIR_BLOCK];
    pair_row w = (K_C(term) & PAIR_BINS) != 0u ? load_bins(k_, row) : load_pair(k_, row);
    pair_hand h;
    begin_pair(k_, &h, &w, row, begin);
    uint to = GRAD_TYPE;
    bool bins = !h.u, divergence = (K_C(term) & PAIR_DIVERGENCE) != 0u;
    float share = bins ? 1.0f : 1.0f - K_P(smoothing), each = bins ? 0.0f : K_P(smoothing_each);
    uint head = hand_head(o->g, to, o->stream, end - begin);
    for (uint i = begin, n; i < end; i += n) {
        n = i == begin && head ? K_MIN(head, (uint)PAIR_BLOCK) : block_count(end - i);
        pair_block b = block_at(k_, &h, &w, i, n);
        if ((K_C(term) & PAIR_TEACHER) == 0u) {
            if (b.weight) weighed_slopes(&h, &b, c, share, each, true, slope);
            else weighed_slopes(&h, &b, c, share, each, false, slope);
        } else if (c.w == 0.0f) {
            compare_slopes(&h, &b, c, false, false, slope);
        } else {
            if (divergence) compare_slopes(&h, &b, c, true, true, slope);
            else compare_slopes(&h, &b, c, true, false, slope);
        }
        store_block_of(&h, slope, o->g + (i - begin) * col_bytes(to), n, o->add, o->stream && (i > begin || !head), to);
    }
}

// In place of write_pair (shaders/kernels/softmax_pair_write.k.h).
static void hand_write_pair(k_context *restrict k_, uint row, uint begin, uint end, row_coefs c)
{
    hand_out o;
    o.begin = begin;
    o.types = K_C(types);
    o.add = (K_C(options) & OPTION_ACCUMULATE) != 0u;
    o.stream = hand_streams(k_);
    o.g = hand_grad(k_, row) + (ptrdiff_t)(begin - K_W(col0)) * (ptrdiff_t)col_bytes(GRAD_TYPE);
    if (c.mode == ROW_NAN) fill_row(&o, end, K_FLT(K_WORD_NAN));
    if (c.mode == ROW_ZERO && !o.add) fill_row(&o, end, 0.0f);
    if (c.mode == ROW_NORMAL) write_row_pair(k_, row, begin, end, c, &o);
}
#define write_pair hand_write_pair

#endif
