// softmax_hand_write.h - the gradient writer of softmax_hand.h.

enum { HAND_CHUNK_BYTES = 1 << 16, HAND_LONG_BYTES = 1 << 18 };

// The gradient of the columns of a vector but for the target; class weights and entropy are what few losses need.
VFN vec grad_of(const hand_out *o, vec x, const float *weight, uint count, vec top, vec p, vec w, bool odd)
{
    vec d = v_sub(x, top);
    vec e = v_exp(d, o->k);
    if (odd && weight) w = v_mul(w, count >= V_LANES ? v_load(weight) : v_load_part(weight, count, 0));
    if (odd && o->c.ex != 0.0f) {
        vec bent = v_fma(v_max(v_mul(d, v_all(o->it)), v_all(-3.4028235e38f)), v_all(o->c.ex), p);
        return v_add(v_select(v_equal(e, v_all(0)), e, v_mul(e, bent)), w);
    }
    return v_fma(e, p, w);
}

#if HAND_ROWS
// The gradient of columns of one segment, to the bit what it is from kept exponentials: where a row's lines begin may decide
// which columns are made from them, and nothing else.
VFN vec grad_again(const hand_out *o, uint i, float factor, vec x, const float *weight, uint count)
{
    float ref = o->keep->segments[i].ref;
    vec e = o->keep->segments[i].from_ref ? v_exp_from(x, v_from(ref)) : v_exp(v_sub(x, v_all(ref)), o->k), w = v_all(o->c.w);
    if (weight && o->c.w != 0.0f) w = v_mul(w, count >= V_LANES ? v_load(weight) : v_load_part(weight, count, 0));
    return v_fma(e, v_all(factor), w);
}

// Of a vector from `column` of the row on: what comes of kept exponentials, but `direct` in the target's pair and behind the last
// whole one, which may be above any segment's reference.
VFN vec kept_lanes(const hand_out *o, uint column, vec kept, vec direct)
{
    uint own = own_pair(o), cols = o->keep->cols, stop = cols > column ? K_MIN(cols - column, V_LANES) : 0;
    uint before = own > column ? K_MIN(own - column, stop) : 0, after = own + HAND_PAIR - column;
    if (own >= column + V_LANES || own + HAND_PAIR <= column) return v_select(v_first(stop), kept, direct);
    vec rest = v_select(v_first(K_MIN(after, V_LANES)), direct, v_select(v_first(stop), kept, direct));
    return v_select(v_first(before), kept, rest);
}
#endif

// Up to a vector of columns, the target perhaps among them.
VFN void write_few(const hand_out *o, uint first, uint count, uint from, uint to)
{
    size_t at = first - o->begin;
    const char *x = o->x + at * col_bytes(from);
    char *g = o->g + at * col_bytes(to);
    vec y = grad_of(o, col_load_part(x, count, from), o->weight ? o->weight + at : NULL, count, v_all(o->c.top), v_all(o->c.p),
                    v_all(o->c.w), true);
#if HAND_ROWS
    if (o->keep) {
        float factor;
        uint column = first - o->keep_begin, i = segment_of(o, column, &factor);
        vec all = col_load_part(x, count, from);
        const float *weight = o->weight ? o->weight + at : NULL;
        vec kept = grad_again(o, i, factor, all, weight, count);
        while (++i < o->keep->count && o->keep->segments[i].first < column + count) {
            vecmask before = v_first(o->keep->segments[i].first - column);
            segment_of(o, o->keep->segments[i].first, &factor);
            kept = v_select(before, kept, grad_again(o, i, factor, all, weight, count));
        }
        y = kept_lanes(o, column, kept, y);
    }
#endif
    if (o->label - first < count) y = v_select(v_but(v_first(V_LANES), o->label - first), y, v_all(o->c.target));
    if (o->add) y = v_add(y, col_load_part(g, count, to));
    if (o->stream && count == V_LANES) col_store(g, y, to, true);
    else col_store_part(g, y, count, to);
}

// Whole pairs of vectors without the target.
VFN void write_many(const hand_out *o, uint first, uint count, uint from, uint to)
{
    size_t at = first - o->begin;
    const size_t step = HAND_PAIR * col_bytes(from), out = HAND_PAIR * col_bytes(to);
    const char *x = o->x + at * col_bytes(from);
    char *g = o->g + at * col_bytes(to);
    const char *limit = g + count * col_bytes(to);
    vec top = v_all(o->c.top), p = v_all(o->c.p), w = v_all(o->c.w);
    bool odd = o->add || (o->weight && o->c.w != 0.0f) || o->c.ex != 0.0f, in_order = odd || from != to;
    if (odd) {
        for (uint i = 0; i < count; i += V_LANES) write_few(o, first + i, V_LANES, from, to);
        return;
    }
    for (uint i = 0; i < count; i += HAND_PAIR, x += step, g += out) {
        vec a, b;
        if (o->stream) touch_ahead(g, out, limit);
        if (in_order) col_load_pair(x, &a, &b, from, true);
        else col_load_pair(x, &a, &b, from, false);
        a = grad_of(o, a, NULL, V_LANES, top, p, w, false);
        b = grad_of(o, b, NULL, V_LANES, top, p, w, false);
        if (o->stream) {
            if (in_order) col_store_pair(g, a, b, to, true, true);
            else col_store_pair(g, a, b, to, false, true);
        } else {
            if (in_order) col_store_pair(g, a, b, to, true, false);
            else col_store_pair(g, a, b, to, false, false);
        }
    }
}

#if HAND_ROWS
// Writes some of the columns first..end and returns how many.
VFN uint write_some(const hand_out *o, kept_run *run, uint first, uint end, uint type)
{
    if (first >= run->end) *run = find_run(o, first);
    uint n = K_MIN(end, run->end) - first;
    n -= n % HAND_PAIR;
    if (n > 0) {
        kept_pen pen = pen_at(o, run, first, type);
        for (uint i = 0; i < n; i += HAND_PAIR) pen_write(&pen, type);
    } else {
        n = K_MIN(end - first, HAND_PAIR);
        for (uint i = 0; i < n; i += V_LANES) write_few(o, first + i, K_MIN(n - i, V_LANES), type, type);
    }
    return n;
}

// Columns first..end from kept exponentials, a row's in rising order; `run` is what the last call left, at first all 0.
static void write_kept(const hand_out *o, kept_run *run, uint first, uint end)
{
    uint type = o->types & 15u;
    if (type == TYPE_F32) while (first < end) first += write_some(o, run, first, end, TYPE_F32);
    else if (type == TYPE_F16) while (first < end) first += write_some(o, run, first, end, TYPE_F16);
    else while (first < end) first += write_some(o, run, first, end, TYPE_BF16);
}

// Nothing but the row's first line, which may be another row's too, is stored plainly in a gradient that goes past the caches.
static void trail_begin(hand_trail *trail, const hand_out *o, uint end)
{
    trail->o = *o;
    trail->keep = *o->keep;
    trail->o.keep = &trail->keep;
    trail->run = (kept_run){0, 0.0f};
    trail->end = end;
    trail->next = o->begin + hand_head(o->g, o->types & 15u, o->stream, end - o->begin);
    hand_out near = trail->o;
    near.stream = false;
    for (uint i = o->begin; i < trail->next; i += V_LANES)
        write_few(&near, i, K_MIN(V_LANES, trail->next - i), o->types & 15u, o->types & 15u);
}

// In whole pairs of vectors, so that stores past the caches stay at the beginnings of lines.
static void trail_to(hand_trail *trail, uint end)
{
    if (trail->next >= K_MIN(end, trail->end)) return;
    end = K_MIN((end - trail->next + HAND_PAIR - 1) / HAND_PAIR * HAND_PAIR + trail->next, trail->end);
    write_kept(&trail->o, &trail->run, trail->next, end);
    trail->next = end;
}
#endif

// Columns first..end; vectors start where `first` is, so that stores past the caches are of whole vectors.
VFN void span_typed(const hand_out *o, uint first, uint end, uint from, uint to)
{
    for (uint n; first < end; first += n) {
        n = end - first;
        if (n < HAND_PAIR || o->label - first < HAND_PAIR) {
            n = K_MIN(n, HAND_PAIR);
            for (uint i = 0; i < n; i += V_LANES) write_few(o, first + i, K_MIN(n - i, V_LANES), from, to);
            continue;
        }
        if (o->label - first < n) n = o->label - first;
        n -= n % HAND_PAIR;
        write_many(o, first, n, from, to);
    }
}

static void write_span(const hand_out *o, uint first, uint end)
{
    uint from = o->types & 15u, to = o->types >> SHIFT_GRAD & 15u;
    if (to == TYPE_F16) span_typed(o, first, end, TYPE_F16, TYPE_F16);
    else if (to == TYPE_BF16 && from == TYPE_BF16) span_typed(o, first, end, TYPE_BF16, TYPE_BF16);
    else if (to == TYPE_BF16) span_typed(o, first, end, TYPE_F32, TYPE_BF16);      // of a chunk of a linear head
    else if (from == TYPE_F32) span_typed(o, first, end, TYPE_F32, TYPE_F32);
    else if (from == TYPE_F16) span_typed(o, first, end, TYPE_F16, TYPE_F32);
    else span_typed(o, first, end, TYPE_BF16, TYPE_F32);
}

// A long row is written from its end, which the sweep has left in cache, to its beginning.
static void write_row(const hand_out *o, uint end)
{
    uint from = o->types & 15u, to = o->types >> SHIFT_GRAD & 15u;
    uint begin = o->begin, head = hand_head(o->g, to, o->stream, end - begin);
    hand_out near = *o;                    // what does not begin a line stays in the caches
    near.stream = false;
    if (head) write_span(&near, begin, begin + head);
    begin += head;
    uint chunk = (uint)(HAND_CHUNK_BYTES / col_bytes(from));
    if ((end - begin) * col_bytes(from) < HAND_LONG_BYTES) chunk = end - begin;
    for (uint count = chunk ? (end - begin + chunk - 1) / chunk : 0; count > 0; count--) {
        uint first = begin + (count - 1) * chunk;
        write_span(o, first, K_MIN(end - first, chunk) + first);
    }
}

static void fill_row(const hand_out *o, uint end, float value)
{
    uint to = o->types >> SHIFT_GRAD & 15u, count = end - o->begin;
    uint16_t half = (uint16_t)word_to_half(to, K_BITS(value));
    if (K_BITS(value) == 0u) {
        memset(o->g, 0, count * col_bytes(to));
        return;
    }
    for (uint i = 0; i < count; i++)
        if (to == TYPE_F32) memcpy(o->g + (size_t)i * 4, &value, 4);
        else memcpy(o->g + (size_t)i * 2, &half, 2);
}

// In place of write_columns (shaders/kernels/softmax_write.h).
static void hand_write(k_context *restrict k_, uint row, uint begin, uint end, uint label, row_coefs c)
{
    hand_out o;
    o.begin = begin;
    o.label = label;
    o.types = K_C(types);
    o.c = c;
    o.it = K_P(inverse_temperature);
    o.k = v_exp_of(o.it);
    o.add = (K_C(options) & OPTION_ACCUMULATE) != 0u;
    o.stream = hand_streams(k_);
    o.keep = NULL;
    o.keep_begin = begin;
#if HAND_ROWS
    if (k_->keep && k_->keep->count > 0) o.keep = k_->keep;
#endif
    uint from = o.types & 15u, to = o.types >> SHIFT_GRAD & 15u;
    ptrdiff_t at = ROW_AT(row, K_P(logits_outer), K_P(logits_row)) + (ptrdiff_t)(begin - K_W(col0));
    o.x = (const char *)HAND_LOGITS + at * (ptrdiff_t)col_bytes(from);
    o.g = hand_grad(k_, row) + (ptrdiff_t)(begin - K_W(col0)) * (ptrdiff_t)col_bytes(to);
    o.limit = o.g + (end - begin) * col_bytes(to);
    o.weight = NULL;
    if ((K_C(options) & OPTION_CLASS_WEIGHT) != 0u) o.weight = (const float *)(const void *)k_->s_weight + (begin - K_W(col0));
    if (c.mode == ROW_NAN) fill_row(&o, end, K_FLT(K_WORD_NAN));
    if (c.mode == ROW_ZERO && !o.add) fill_row(&o, end, 0.0f);
    if (c.mode != ROW_NORMAL) return;
#if HAND_ROWS
    kept_run run = {0, 0.0f};
    if (o.keep && k_->trail) trail_begin(k_->trail, &o, end);
    else if (o.keep) write_kept(&o, &run, begin, end);
    else write_row(&o, end);
#else
    write_row(&o, end);
#endif
}
