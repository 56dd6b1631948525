// softmax_hand_sweep.h - the sweep of softmax_hand.h.

typedef struct hand_sums {
    float top;                             // the highest so far, finite
    double sum, sum_ex, sum_d, sum_w;      // of exp(d), exp(d) d, w d and w, with d = (x - ref) / temperature
    uint flags, best;
} hand_sums;

// What a sweep keeps while it goes along a row.
typedef struct hand_row {
    const char *x, *limit;                 // of columns `begin` and `end`
    const float *weight;
    hand_keep *keep;                       // NULL: nothing
    hand_trail *trail;                     // NULL: none
    uint begin, label, type, options;
    float ref, it;
    vec_exp k;
    bool started, sums;                    // sums: those of d are asked for
    bool from_ref;                         // v_exp_from serves, for this reference;
    vec_from from;                         // exponentials are then those of x - ref, over `unit`
    double unit;
    hand_sums s;
} hand_row;

// The block from `first` on is kept against the present reference; after too many changes of it nothing is.
static void keep_segment(hand_row *r, uint first)
{
    hand_keep *keep = r->keep;
    if (keep->count > 0 && keep->segments[keep->count - 1].ref == r->ref) return;
    if (keep->count == HAND_SEGMENTS) {
        keep->count = 0;
        r->keep = NULL;
        return;
    }
    keep->segments[keep->count].first = first - r->begin;
    keep->segments[keep->count].ref = r->ref;
    keep->segments[keep->count].from_ref = r->from_ref;
    keep->segments[keep->count++].unit = (float)r->unit;
}

// e^d for |d| <= 0.35, to 1e-12.
static double exp_small(double d)
{
    static const double over[10] = {1, 1, 1.0 / 2, 1.0 / 3, 1.0 / 4, 1.0 / 5, 1.0 / 6, 1.0 / 7, 1.0 / 8, 1.0 / 9};
    double sum = 1;
    for (int i = 9; i > 0; i--) sum = 1 + sum * (d * over[i]);
    return sum;
}

// Neither the entropy's sums nor class weights': what the quicker ways through a block serve.
static bool few_sums(const hand_row *r) { return (r->options & OPTION_ENTROPY) == 0 && !(r->weight && r->sums); }

static void use_reference(hand_row *r, float ref)
{
    r->ref = ref;
    r->unit = 1;
    // not of f32, whose bits a shift of the row must not change
    r->from_ref = few_sums(r) && r->type != TYPE_F32 && r->it == 1.0f && ref < V_FROM_MOST && ref > -V_FROM_MOST;
    if (r->from_ref) {
        r->from = v_from(ref);
        r->unit = exp_small(r->from.at - (double)ref);
    }
}

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
    use_reference(r, ref);
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
    if (r->keep && (count > HAND_PAIR || (count == HAND_PAIR && r->label - first >= count))) {
        r->keep->count = 0;
        r->keep = NULL;
    }
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

// What a block is asked for besides the maximum and the sum of exponentials.
enum { BLOCK_SUMS = 1, BLOCK_ENTROPY = 2, BLOCK_WEIGHTED = 4, BLOCK_FROM = 8, BLOCK_TRAIL = 16 };

typedef struct block_sums { vec top, sum, sum_d, sum_ex, sum_w; } block_sums;

VFN void block_add(block_sums *s, vec x, vec ref, vec_exp k, vec_from from, int what, const float *weight, float *keep)
{
    vec d = v_sub(x, ref), e = (what & BLOCK_FROM) != 0 ? v_exp_from(x, from) : v_exp(d, k);
    v_store(keep, e);
    s->top = v_max(s->top, x);
    s->sum = v_add(s->sum, e);
    if ((what & BLOCK_WEIGHTED) != 0) {
        vec w = v_load(weight);
        s->sum_w = v_add(s->sum_w, w);
        s->sum_d = v_fma(w, d, s->sum_d);
    } else if ((what & BLOCK_SUMS) != 0) {
        s->sum_d = v_add(s->sum_d, d);
    }
    if ((what & BLOCK_ENTROPY) != 0) s->sum_ex = v_fma(e, v_max(k.least, d), s->sum_ex);
}

// Whole pairs of vectors without the target, if r->ref suits them; otherwise false, with nothing added, and their maximum.
// A sum tells NaN and +inf; where -inf has to be told too, so does the sum of d.
VFN bool plain_block(hand_row *r, uint first, uint count, uint type, int what, float *found)
{
    const char *x = r->x + (size_t)(first - r->begin) * col_bytes(type);
    const bool in_order = (what & BLOCK_WEIGHTED) != 0;
    const float *w = in_order ? r->weight + (first - r->begin) : &r->ref;
    const size_t step = HAND_PAIR * col_bytes(type), each = in_order ? V_LANES : 0;
    // what is not kept is stored all the same, always in one place: a branch costs more
    float aside[4 * V_LANES], *keep = r->keep ? r->keep->e + (first - r->begin) : aside;
    const size_t kept = r->keep ? 4 * V_LANES : 0, ahead = hand_ahead();
    vec ref = v_all(r->ref), zero = v_all(0);
    const vec_exp k = r->k;
    const vec_from from = r->from;
    block_sums s[4];
    for (int j = 0; j < 4; j++) s[j] = (block_sums){v_all(-3.4028235e38f), zero, zero, zero, zero};
#if HAND_ROWS
    kept_pen pen = {0};
    uint next = SOFTMAX_NO_COLUMN, run = 0;        // where the writer of the row before is
    if ((what & BLOCK_TRAIL) != 0 && r->trail && r->trail->next < r->trail->end) next = r->trail->next;
#endif
    for (uint i = 0, end; i < count; i = end) {
        end = K_MIN(HAND_STEP, count - i) + i;
        touch_ahead(x, HAND_STEP * col_bytes(type), r->limit);
#if HAND_ROWS
        if ((what & BLOCK_TRAIL) != 0 && next < first + end) {
            if (__builtin_expect(run >= HAND_STEP, 1)) {
                touch_ahead(pen.g, HAND_STEP * col_bytes(type), r->trail->o.limit);
                for (uint at = 0; at < HAND_STEP; at += HAND_PAIR) pen_write(&pen, type);
                next += HAND_STEP;
                run -= HAND_STEP;
            } else {
                kept_pen other;
                run = trail_on(r->trail, next, first + end, type, &other);
                next = r->trail->next;
                if (run > 0) pen = other;
            }
        }
#endif
        for (; i + 2 * HAND_PAIR <= end; i += 2 * HAND_PAIR, x += 2 * step, w += 4 * each, keep += kept) {
            vec v[4];
            for (size_t line = 0; line < 2 * step; line += 64) v_prefetch(x + line + ahead);
            col_load_pair(x, &v[0], &v[1], type, in_order);
            col_load_pair(x + step, &v[2], &v[3], type, in_order);
            for (int j = 0; j < 4; j++) block_add(&s[j], v[j], ref, k, from, what, w + (size_t)j * each, keep + j * V_LANES);
        }
        if (i == end) continue;
        vec v[2];                          // the last pair
        col_load_pair(x, &v[0], &v[1], type, in_order);
        for (int j = 0; j < 2; j++) block_add(&s[j], v[j], ref, k, from, what, w + (size_t)j * each, keep + j * V_LANES);
    }
#if HAND_ROWS
    if (next != SOFTMAX_NO_COLUMN) r->trail->next = next;
#endif
    float highest = *found = v_top(v_max(v_max(s[0].top, s[1].top), v_max(s[2].top, s[3].top)));
    float total = v_sum(v_add(v_add(s[0].sum, s[1].sum), v_add(s[2].sum, s[3].sum)));
    float total_d = v_sum(v_add(v_add(s[0].sum_d, s[1].sum_d), v_add(s[2].sum_d, s[3].sum_d)));
    bool tells = r->sums || (what & BLOCK_ENTROPY) != 0;       // -inf apart from what is small
    if (!is_finite(total) || (tells && !is_finite(total_d)) || !((highest - r->ref) * r->it <= 1)) return false;
    if (!(highest > -3.4028235e38f || (r->s.flags & FLAG_OTHER) != 0)) return false;
    if (r->keep) keep_segment(r, first);
    r->s.sum += (double)total * r->unit;
    r->s.sum_d += (double)total_d * (double)r->it;
    if ((what & BLOCK_WEIGHTED) != 0) r->s.sum_w += (double)v_sum(v_add(v_add(s[0].sum_w, s[1].sum_w), v_add(s[2].sum_w, s[3].sum_w)));
    else r->s.sum_w += (double)count;
    if ((what & BLOCK_ENTROPY) != 0)
        r->s.sum_ex += (double)v_sum(v_add(v_add(s[0].sum_ex, s[1].sum_ex), v_add(s[2].sum_ex, s[3].sum_ex))) * (double)r->it;
    r->s.flags |= FLAG_OTHER;
    raise_top(r, first, count, highest);
    return true;
}

// The highest of whole pairs of vectors, for a first reference.
VFN float top_of(const hand_row *r, uint first, uint count, uint type)
{
    const char *x = r->x + (size_t)(first - r->begin) * col_bytes(type);
    const size_t step = HAND_PAIR * col_bytes(type);
    vec top[2] = {v_all(-3.4028235e38f), v_all(-3.4028235e38f)};
    for (uint i = 0; i < count; i += HAND_PAIR, x += step) {
        vec v[2];
        col_load_pair(x, &v[0], &v[1], type, false);
        for (int j = 0; j < 2; j++) top[j] = v_max(v[j], top[j]);
    }
    return v_top(v_max(top[0], top[1]));
}

VFN bool block_of(hand_row *r, uint first, uint count, uint type, float *found)
{
    const int from = type == TYPE_F32 ? 0 : BLOCK_FROM;
    bool usual = type == TYPE_F32 || r->from_ref;
#if HAND_ROWS
    const int trail = BLOCK_TRAIL;
    if (r->trail && !(few_sums(r) && usual)) trail_to(r->trail, first + count);
#else
    const int trail = 0;
#endif
    if ((r->options & OPTION_ENTROPY) != 0) return plain_block(r, first, count, type, BLOCK_SUMS | BLOCK_ENTROPY, found);
    if (r->weight && r->sums) return plain_block(r, first, count, type, BLOCK_WEIGHTED, found);
    if (!usual) return plain_block(r, first, count, type, BLOCK_SUMS, found);
    if (!HAND_ROWS || r->sums) return plain_block(r, first, count, type, BLOCK_SUMS | from | trail, found);
    return plain_block(r, first, count, type, from | trail, found);
}

// The target's pair of vectors, what is less than a pair, and rows of few vectors go the careful way.
VFN void sweep_typed(hand_row *r, uint end, uint type)
{
    // class weights of bf16 would have to be sorted into even and odd ones
    bool plain = end - r->begin > 4 * V_LANES && !(r->weight && (r->options & OPTION_ENTROPY) != 0);
    // the first blocks, which find the reference, are short
    for (uint i = r->begin, n, most = HAND_BLOCK / 8; i < end; i += n) {
        n = K_MIN(most, end - i);
        if (plain && n >= HAND_PAIR && r->label - i >= HAND_PAIR) {
            if (most < HAND_BLOCK) most *= 2;
            if (r->label - i < n) n = r->label - i;
            n -= n % HAND_PAIR;
            if (!r->started) move_reference(r, top_of(r, i, n, type));
            bool done = false;
            for (bool again = true; again && !done;) {
                float found;
                done = block_of(r, i, n, type, &found);
                again = !done && is_finite(found) && found > r->ref;
                if (again) move_reference(r, found);
            }
            if (done) continue;
        } else if (plain) {
            n = K_MIN(n, HAND_PAIR);
        }
        careful_block(r, i, n, type);
    }
    if (r->started) move_reference(r, r->s.top);
}

#if HAND_ROWS
// Whether rows of this call keep their exponentials: where the backend has given room for them (cpu.c says when).
static bool keeps(const k_context *k_, hand_keep *keep)
{
    uint type = K_C(types) & 15u;
    const uint not = OPTION_NO_TARGET | (type == TYPE_F32 ? 0u : OPTION_ACCUMULATE) | (type == TYPE_BF16 ? OPTION_CLASS_WEIGHT : 0u);
    size_t room = k_->call->scratch_bytes / sizeof(float);
    keep->e = k_->call->scratch;
    keep->count = 0;
    return (K_C(options) & OPTION_GRAD) != 0u && (K_C(options) & not) == 0u && type == (K_C(types) >> SHIFT_GRAD & 15u)
        && K_P(cols) >= 4 * HAND_PAIR && K_P(cols) <= room;
}
#endif

// In place of sweep_columns (shaders/kernels/softmax_sweep.h): the same statistics, in element 0 of the shared arrays.
static void hand_sweep(k_context *restrict k_, uint row, uint begin, uint end, uint label)
{
    hand_row r;
    memset(&r, 0, sizeof r);
    r.type = LOGITS_TYPE;
    ptrdiff_t at = ROW_AT(row, K_P(logits_outer), K_P(logits_row)) + (ptrdiff_t)(begin - K_W(col0));
    r.x = (const char *)HAND_LOGITS + at * (ptrdiff_t)col_bytes(r.type);
    if ((K_C(options) & OPTION_CLASS_WEIGHT) != 0u) r.weight = (const float *)(const void *)k_->s_weight + (begin - K_W(col0));
    r.limit = r.x + (size_t)(end - begin) * col_bytes(r.type);
    r.begin = begin;
    r.label = label;
    r.options = K_C(options);
    r.sums = !HAND_WRITES || (r.options & (OPTION_WEIGHT_SUMS | OPTION_SAVE)) != 0;
    r.it = K_P(inverse_temperature);
    r.k = v_exp_of(r.it);
    r.s.top = -3.4028235e38f;
    r.s.best = SOFTMAX_NO_COLUMN;
    r.keep = k_->keep;
    r.trail = k_->trail;
    if (r.keep) {
        r.keep->count = 0;
        r.keep->cols = (end - begin) / HAND_PAIR * HAND_PAIR;
    }
    if (r.type == TYPE_F32) sweep_typed(&r, end, TYPE_F32);
    else if (r.type == TYPE_F16) sweep_typed(&r, end, TYPE_F16);
    else sweep_typed(&r, end, TYPE_BF16);
#if HAND_ROWS
    if (r.trail) trail_to(r.trail, end);
#endif
    K_SS(top, 0u, r.s.top);
    K_SS(sum, 0u, (float)r.s.sum);
    K_SS(sum_ex, 0u, (float)r.s.sum_ex);
    K_SS(sum_wx, 0u, (float)r.s.sum_d);
    K_SS(sum_w, 0u, (float)r.s.sum_w);
    K_SS(lead, 0u, r.s.top);
    K_SS(flag, 0u, r.s.flags);
    K_SS(best, 0u, r.s.best);
}
