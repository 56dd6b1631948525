// softmax_hand_sweep.h - the sweep of softmax_hand.h.

typedef struct hand_sums {
    float top;                             // the highest so far, finite
    double sum, sum_ex, sum_d, sum_w;      // of exp(d), exp(d) d, w d and w, with d = (x - ref) / temperature
    uint flags, best;
} hand_sums;

// What a sweep keeps while it goes along a row.
typedef struct hand_row {
    const char *x;                         // of column `begin`
    const float *weight;
    uint begin, label, type, options;
    float ref, it;
    vec_exp k;
    bool started;
    hand_sums s;
} hand_row;

// Sums move from ref to a higher one, or to the maximum at the end.
static void move_reference(hand_row *r, float ref)
{
    if (r->started) {
        float shift = r->s.sum > 0 ? k_clamp((r->ref - ref) * r->it) : 0.0f;
        double fade = (double)k_exp(shift);
        r->s.sum_ex = fade > 0 ? fade * (r->s.sum_ex + (double)shift * r->s.sum) : 0;
        r->s.sum *= fade;
        r->s.sum_d += ((double)r->ref - (double)ref) * (double)r->it * r->s.sum_w;
    }
    r->ref = ref;
    r->started = true;
}

// The first of `count` columns from `first` that holds `value`, the target left out.
static void find_best(hand_row *r, uint first, uint count, float value)
{
    for (uint i = 0; i < count; i += V_LANES) {
        uint n = count - i < V_LANES ? count - i : V_LANES;
        vec x = col_load_part(r->x + (size_t)(first + i - r->begin) * col_bytes(r->type), n, r->type);
        vecmask live = v_first(n);
        if (r->label - (first + i) < n) live = v_but(live, r->label - (first + i));
        uint32_t bits = v_bits(v_both(v_equal(x, v_all(value)), live));
        if (bits) {
            r->s.best = first + i + (uint)__builtin_ctz(bits);
            return;
        }
    }
}

static void raise_top(hand_row *r, uint first, uint count, float top)
{
    if ((r->options & OPTION_ARGMAX) != 0 && (top > r->s.top || r->s.best == SOFTMAX_NO_COLUMN)) find_best(r, first, count, top);
    if (top > r->s.top) r->s.top = top;
}

VFN vec weights_at(const float *p, uint count) { return count >= V_LANES ? v_load(p) : v_load_part(p, count, 0); }

// Any columns: few, the target among them, NaN and infinities, class weights. Two passes over what the first one brought
// into cache.
VFN void careful_block(hand_row *r, uint first, uint count, uint type)
{
    const char *x = r->x + (size_t)(first - r->begin) * col_bytes(type);
    bool weighted = (r->options & OPTION_CLASS_WEIGHT) != 0, sums = (r->options & OPTION_WEIGHT_SUMS) != 0;
    vec top = v_all(-3.4028235e38f);
    uint flags = 0;
    for (uint i = 0; i < count; i += V_LANES) {
        uint n = count - i < V_LANES ? count - i : V_LANES;
        vec v = col_load_part(x + i * col_bytes(type), n, type);
        vecmask live = v_first(n);
        if (r->label - (first + i) < n) live = v_but(live, r->label - (first + i));
        vecmask finite = v_both(live, v_size_below(v, K_WORD_INF));
        top = v_max(top, v_select(finite, v, top));
        if (v_any(finite)) flags |= FLAG_OTHER;
        if (v_bits(finite) == v_bits(live)) continue;
        if (v_any(v_both(live, v_is_word(v, K_WORD_INF)))) flags |= FLAG_PLUS_INF;
        vecmask minus = v_both(live, v_is_word(v, K_WORD_MINUS_INF));
        if (v_bits(live) & ~v_bits(v_size_below(v, K_WORD_INF + 1))) flags |= FLAG_NAN;
        // with class weights in sums a column of -inf counts if its weight does
        if (sums && weighted) {
            vec w = weights_at(r->weight + (first + i - r->begin), n);
            if (v_bits(minus) & ~v_bits(v_equal(w, v_all(0)))) flags |= FLAG_MINUS_INF;
        } else if (v_any(minus)) {
            flags |= FLAG_MINUS_INF;
        }
    }
    float highest = v_top(top);
    r->s.flags |= flags;
    if ((flags & FLAG_OTHER) != 0) raise_top(r, first, count, highest);
    if (!r->started || (highest - r->ref) * r->it > 1) move_reference(r, highest);
    vec ref = v_all(r->ref), it = v_all(r->it), least = v_all(-3.4028235e38f);
    vec sum = v_all(0), sum_ex = sum, sum_d = sum, sum_w = sum;
    for (uint i = 0; i < count; i += V_LANES) {
        uint n = count - i < V_LANES ? count - i : V_LANES;
        vec v = col_load_part(x + i * col_bytes(type), n, type);
        vecmask live = v_first(n);
        if (r->label - (first + i) < n) live = v_but(live, r->label - (first + i));
        vecmask finite = v_both(live, v_size_below(v, K_WORD_INF));
        vec d = v_select(finite, v_max(v_sub(v, ref), least), v_all(0));
        vec e = v_select(finite, v_exp(d, r->k), v_all(0));
        sum = v_add(sum, e);
        sum_ex = v_fma(e, v_max(v_mul(d, it), least), sum_ex);
        if (sums) {
            vec w = v_all(1);
            if (weighted) w = weights_at(r->weight + (first + i - r->begin), n);
            w = v_select(live, w, v_all(0));
            sum_w = v_add(sum_w, w);
            sum_d = v_fma(w, d, sum_d);
        }
    }
    r->s.sum += (double)v_sum(sum);
    r->s.sum_ex += (double)v_sum(sum_ex);
    r->s.sum_d += (double)v_sum(sum_d) * (double)r->it;
    r->s.sum_w += (double)v_sum(sum_w);
}

VFN bool is_finite(float x) { return (K_BITS(x) & 0x7fffffffu) < K_WORD_INF; }

// Whole vectors without the target, if all are finite and r->ref suits them; otherwise false, and nothing is added. The
// sum of d, which smoothing wants anyway, tells NaN and infinities.
VFN bool plain_block(hand_row *r, uint first, uint count, uint type, bool entropy)
{
    const char *x = r->x + (size_t)(first - r->begin) * col_bytes(type);
    const size_t step = V_LANES * col_bytes(type);
    vec ref = v_all(r->ref), sum[4], top[4], sum_d[4], sum_ex[4];
    vec_exp k = r->k;
    for (int j = 0; j < 4; j++) sum[j] = sum_d[j] = sum_ex[j] = v_all(0), top[j] = v_all(-3.4028235e38f);
    uint vectors = count / V_LANES;
    for (uint i = 0; i + 4 <= vectors; i += 4, x += 4 * step) {
        for (size_t line = 0; line < 4 * step; line += 64) v_prefetch(x + line + HAND_AHEAD);
        for (int j = 0; j < 4; j++) {
            vec v = col_load(x + (size_t)j * step, type), d = v_sub(v, ref), e = v_exp(d, k);
            top[j] = v_max(top[j], v);
            sum[j] = v_add(sum[j], e);
            sum_d[j] = v_add(sum_d[j], d);
            if (entropy) sum_ex[j] = v_fma(e, d, sum_ex[j]);
        }
    }
    for (uint i = vectors / 4 * 4; i < vectors; i++, x += step) {
        vec v = col_load(x, type), d = v_sub(v, ref), e = v_exp(d, k);
        top[0] = v_max(top[0], v);
        sum[0] = v_add(sum[0], e);
        sum_d[0] = v_add(sum_d[0], d);
        if (entropy) sum_ex[0] = v_fma(e, d, sum_ex[0]);
    }
    float highest = v_top(v_max(v_max(top[0], top[1]), v_max(top[2], top[3])));
    float total = v_sum(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])));
    float total_d = v_sum(v_add(v_add(sum_d[0], sum_d[1]), v_add(sum_d[2], sum_d[3])));
    if (!is_finite(total) || !is_finite(total_d) || !((highest - r->ref) * r->it <= 1)) return false;
    r->s.sum += (double)total;
    r->s.sum_d += (double)total_d * (double)r->it;
    r->s.sum_w += (double)count;
    if (entropy) r->s.sum_ex += (double)v_sum(v_add(v_add(sum_ex[0], sum_ex[1]), v_add(sum_ex[2], sum_ex[3]))) * (double)r->it;
    r->s.flags |= FLAG_OTHER;
    raise_top(r, first, count, highest);
    return true;
}

// The highest of whole vectors, for a first reference.
VFN float top_of(const hand_row *r, uint first, uint count, uint type)
{
    const char *x = r->x + (size_t)(first - r->begin) * col_bytes(type);
    const size_t step = V_LANES * col_bytes(type);
    vec top[2] = {v_all(-3.4028235e38f), v_all(-3.4028235e38f)};
    for (uint i = 0; i < count; i += V_LANES, x += step) top[i / V_LANES % 2] = v_max(top[i / V_LANES % 2], col_load(x, type));
    return v_top(v_max(top[0], top[1]));
}

VFN void sweep_typed(hand_row *r, uint end, uint type)
{
    bool entropy = (r->options & OPTION_ENTROPY) != 0;
    bool weighted = (r->options & OPTION_CLASS_WEIGHT) != 0 && (r->options & OPTION_WEIGHT_SUMS) != 0;
    // the first blocks, which find the reference, are short
    for (uint i = r->begin, n, most = HAND_BLOCK / 8; i < end; i += n) {
        n = K_MIN(most, end - i);
        if (most < HAND_BLOCK) most *= 2;
        // the target's vector, what is less than a vector, and rows of few vectors
        bool whole = n >= V_LANES && r->label - i >= V_LANES && end - r->begin > 4 * V_LANES && !weighted;
        if (whole) {
            if (r->label - i < n) n = r->label - i;
            n -= n % V_LANES;
            if (!r->started) move_reference(r, top_of(r, i, n, type));
            if (entropy ? plain_block(r, i, n, type, true) : plain_block(r, i, n, type, false)) continue;
        } else if (end - r->begin > 4 * V_LANES && !weighted) {
            n = K_MIN(n, V_LANES);
        }
        careful_block(r, i, n, type);
    }
    if (r->started) move_reference(r, r->s.top);
}

// In place of sweep_columns (shaders/kernels/softmax_sweep.h): the same statistics, in element 0 of the shared arrays.
static void hand_sweep(k_context *restrict k_, uint row, uint begin, uint end, uint label)
{
    hand_row r;
    memset(&r, 0, sizeof r);
    r.type = LOGITS_TYPE;
    ptrdiff_t at = ROW_AT(row, K_P(logits_outer), K_P(logits_row)) + (ptrdiff_t)(begin - K_W(col0));
    r.x = (const char *)HAND_LOGITS + at * (ptrdiff_t)col_bytes(r.type);
    if ((K_C(options) & OPTION_CLASS_WEIGHT) != 0u) r.weight = (const float *)(const void *)k_->s_weight + (begin - K_W(col0));
    r.begin = begin;
    r.label = label;
    r.options = K_C(options);
    r.it = K_P(inverse_temperature);
    r.k = v_exp_of(r.it);
    r.s.top = -3.4028235e38f;
    r.s.best = SOFTMAX_NO_COLUMN;
    if (r.type == TYPE_F32) sweep_typed(&r, end, TYPE_F32);
    else if (r.type == TYPE_F16) sweep_typed(&r, end, TYPE_F16);
    else sweep_typed(&r, end, TYPE_BF16);
    K_SS(top, 0u, r.s.top);
    K_SS(sum, 0u, (float)r.s.sum);
    K_SS(sum_ex, 0u, (float)r.s.sum_ex);
    K_SS(sum_wx, 0u, (float)r.s.sum_d);
    K_SS(sum_w, 0u, (float)r.s.sum_w);
    K_SS(lead, 0u, r.s.top);
    K_SS(flag, 0u, r.s.flags);
    K_SS(best, 0u, r.s.best);
}
