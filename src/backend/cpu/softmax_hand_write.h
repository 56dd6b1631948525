// softmax_hand_write.h - the gradient writer of softmax_hand.h.

enum { HAND_CHUNK_BYTES = 1 << 16, HAND_LONG_BYTES = 1 << 18 };

typedef struct hand_out {
    const char *x;                         // of column `begin`
    char *g;
    const float *weight;                   // NULL: 1
    uint begin, label, types;
    row_coefs c;
    float it;
    vec_exp k;
    bool add, stream;
} hand_out;

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

// Up to a vector of columns, the target perhaps among them.
VFN void write_few(const hand_out *o, uint first, uint count, uint from, uint to)
{
    size_t at = first - o->begin;
    const char *x = o->x + at * col_bytes(from);
    char *g = o->g + at * col_bytes(to);
    vec y = grad_of(o, col_load_part(x, count, from), o->weight ? o->weight + at : NULL, count, v_all(o->c.top), v_all(o->c.p),
                    v_all(o->c.w), true);
    if (o->label - first < count) y = v_select(v_but(v_first(V_LANES), o->label - first), y, v_all(o->c.target));
    if (o->add) y = v_add(y, col_load_part(g, count, to));
    if (o->stream && count == V_LANES) col_store(g, y, to, true);
    else col_store_part(g, y, count, to);
}

// Whole vectors without the target.
VFN void write_many(const hand_out *o, uint first, uint count, uint from, uint to)
{
    size_t at = first - o->begin;
    const size_t step = V_LANES * col_bytes(from), out = V_LANES * col_bytes(to);
    const char *x = o->x + at * col_bytes(from);
    char *g = o->g + at * col_bytes(to);
    vec top = v_all(o->c.top), p = v_all(o->c.p), w = v_all(o->c.w);
    uint i = 0, vectors = count / V_LANES;
    bool odd = o->add || (o->weight && o->c.w != 0.0f) || o->c.ex != 0.0f;
    for (; !odd && i + 4 <= vectors; i += 4, x += 4 * step, g += 4 * out) {
        vec y[4];
        for (int j = 0; j < 4; j++) y[j] = grad_of(o, col_load(x + (size_t)j * step, from), NULL, V_LANES, top, p, w, false);
        if (o->stream)
            for (int j = 0; j < 4; j++) col_store(g + (size_t)j * out, y[j], to, true);
        else
            for (int j = 0; j < 4; j++) col_store(g + (size_t)j * out, y[j], to, false);
    }
    for (; i < vectors; i++, x += step, g += out) {
        const float *weight = o->weight ? o->weight + at + (size_t)i * V_LANES : NULL;
        vec y = grad_of(o, col_load(x, from), weight, V_LANES, top, p, w, true);
        if (o->add) y = v_add(y, col_load(g, to));
        if (o->stream) col_store(g, y, to, true);
        else col_store(g, y, to, false);
    }
}

// Columns first..end; vectors start where `first` is, so that stores past the caches are of whole vectors.
VFN void span_typed(const hand_out *o, uint first, uint end, uint from, uint to)
{
    for (uint n; first < end; first += n) {
        n = end - first;
        bool few = n < V_LANES || o->label - first < V_LANES;
        if (few) n = K_MIN(n, V_LANES);
        else if (o->label - first < n) n = o->label - first;
        if (!few) n -= n % V_LANES;
        if (few) write_few(o, first, n, from, to);
        else write_many(o, first, n, from, to);
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
    uint begin = o->begin, misfit = (uint)((uintptr_t)o->g & 63) / (uint)col_bytes(to);
    uint head = misfit == 0 || !o->stream ? 0 : 64 / (uint)col_bytes(to) - misfit;
    if (head > end - begin) head = end - begin;
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
static void hand_write(bool past_cache, k_context *restrict k_, uint row, uint begin, uint end, uint label, row_coefs c)
{
    hand_out o;
    o.begin = begin;
    o.label = label;
    o.types = K_C(types);
    o.c = c;
    o.it = K_P(inverse_temperature);
    o.k = v_exp_of(o.it);
    o.add = (K_C(options) & OPTION_ACCUMULATE) != 0u;
    o.stream = past_cache && V_STREAMS && !o.add && (K_C(options) & OPTION_IN_PLACE) == 0u;
    uint from = o.types & 15u, to = o.types >> SHIFT_GRAD & 15u;
    ptrdiff_t at = ROW_AT(row, K_P(logits_outer), K_P(logits_row)) + (ptrdiff_t)(begin - K_W(col0));
    o.x = (const char *)HAND_LOGITS + at * (ptrdiff_t)col_bytes(from);
    at = ROW_AT(row, K_P(grad_outer), K_P(grad_row)) + (ptrdiff_t)(begin - K_W(col0));
    o.g = (char *)k_->s_grad + at * (ptrdiff_t)col_bytes(to);
    o.weight = NULL;
    if ((K_C(options) & OPTION_CLASS_WEIGHT) != 0u) o.weight = (const float *)(const void *)k_->s_weight + (begin - K_W(col0));
    if (c.mode == ROW_NAN) fill_row(&o, end, K_FLT(K_WORD_NAN));
    if (c.mode == ROW_ZERO && !o.add) fill_row(&o, end, 0.0f);
    if (c.mode == ROW_NORMAL) write_row(&o, end);
}
