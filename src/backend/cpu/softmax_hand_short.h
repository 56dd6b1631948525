// softmax_hand_short.h - the fused row where rows are short: V_LANES rows at once, the link of cross-entropy over the rows in
// vectors, exponentials kept between sweep and write. What is usual is done here; a row with NaN, an infinity, no usable
// target, or a target far from the others is left to the kernel's own text.
//
// Gained on 2 cores of Zen 5: wane-bench --shape rows=1000000,cols=10 from 102 to 17 ms, rows=32768,cols=1000 from 9.6
// to 7.0 ms, forward and gradient of f32.

#define SHORT_COLS 1024u
#define SHORT_OPTIONS (OPTION_GRAD | OPTION_ACCUMULATE | OPTION_WEIGHT_SUMS | OPTION_CLASS_WEIGHT | OPTION_ARGMAX | OPTION_IN_PLACE \
                       | OPTION_SAVE)
// Rows together: a vector of short ones, four longer ones, whose exponentials would not stay in the nearest cache.
enum { SHORT_ROWS_COLS = 256, SHORT_ROWS = 4, SHORT_CELLS = SHORT_ROWS * (SHORT_COLS + V_LANES) };
_Static_assert(V_LANES * SHORT_ROWS_COLS <= SHORT_CELLS, "a vector of rows fits");
enum { SHORT_STREAM_COLS = 256 };          // below it a row's lines are shared with its neighbours too often

typedef struct short_rows {
    float e[SHORT_CELLS];                  // of a row after the other, `step` columns each
    uint step;
    float top[V_LANES], sum[V_LANES], target[V_LANES], sum_d[V_LANES], sum_w[V_LANES], p[V_LANES], at_target[V_LANES], w[V_LANES];
    const float *weight;                   // of columns, in sums over them; NULL: 1
    uint label[V_LANES], best[V_LANES];
    vec_exp k;
} short_rows;

VFN const char *short_logits(const k_context *k_, uint row, uint type)
{
    return (const char *)HAND_LOGITS + ROW_AT(row, K_P(logits_outer), K_P(logits_row)) * (ptrdiff_t)col_bytes(type);
}

// Statistics of row i, and its exponentials; false if it is no usual row.
VFN bool short_sweep(short_rows *s, uint i, const char *x, uint cols, uint type, bool argmax)
{
    uint label = s->label[i], own = label / V_LANES, count = (cols + V_LANES - 1) / V_LANES;
    if (label >= cols) return false;
    const size_t step = V_LANES * col_bytes(type);
    vec low = v_all(-3.4028235e38f), top = low;
    vecmask ends = v_first(cols - (count - 1) * V_LANES), mine = v_but(v_first(V_LANES), label % V_LANES);
    for (uint j = 0; j + 1 < count; j++) {
        vec v = col_load(x + j * step, type);
        if (j == own) v = v_select(mine, v, low);
        top = v_max(top, v);
    }
    vec last = col_load_part(x + (count - 1) * step, cols - (count - 1) * V_LANES, type);
    vecmask live = count - 1 == own ? v_both(ends, mine) : ends;
    top = v_max(top, v_select(live, last, low));
    float highest = v_top(top);
    vec ref = v_all(highest), sum = v_all(0), sum_d = v_all(0), sum_w = v_all(0);
    for (uint j = 0; j + 1 < count; j++) {
        v_prefetch(x + (j + count) * step);                // of the next row, most often
        vec d = v_sub(col_load(x + j * step, type), ref);
        if (j == own) d = v_select(mine, d, v_all(0));
        vec e = v_exp(d, s->k);
        if (j == own) e = v_select(mine, e, v_all(0));
        v_store(&s->e[i * s->step + j * V_LANES], e);
        sum = v_add(sum, e);
        if (s->weight) {
            vec w = v_load(s->weight + j * V_LANES);
            if (j == own) w = v_select(mine, w, v_all(0));
            sum_w = v_add(sum_w, w);
            sum_d = v_fma(w, d, sum_d);
        } else {
            sum_d = v_add(sum_d, d);
        }
    }
    vec d = v_select(live, v_sub(last, ref), v_all(0)), e = v_select(live, v_exp(d, s->k), v_all(0));
    v_store(&s->e[i * s->step + (count - 1) * V_LANES], e);
    s->top[i] = highest;
    s->sum[i] = v_sum(v_add(sum, e));
    s->sum_w[i] = (float)(cols - 1);
    if (s->weight) {
        vec w = v_select(live, v_load_part(s->weight + (count - 1) * V_LANES, cols - (count - 1) * V_LANES, 0), v_all(0));
        s->sum_w[i] = v_sum(v_add(sum_w, w));
        d = v_mul(w, d);
    }
    s->sum_d[i] = v_sum(v_add(sum_d, d));
    uint16_t half = 0;
    uint word = 0;
    if (type == TYPE_F32) memcpy(&word, x + (size_t)label * 4, 4);
    else memcpy(&half, x + (size_t)label * 2, 2), word = half_to_word(type, half);
    s->target[i] = K_FLT(word);
    if (argmax) {
        hand_row r = {.x = x, .label = label, .type = type};
        find_best(&r, 0, cols, highest);
        s->best[i] = s->target[i] > highest || (s->target[i] == highest && label < r.s.best) ? label : r.s.best;
    }
    return is_finite(s->sum_d[i]) && is_finite(s->target[i]) && s->sum[i] > 0;
}

// Planes of `count` rows from `row` on.
VFN vec plane_vec(k_context *k_, uint plane, uint row, uint count)
{
    const uint *p = k_->s_work + plane_at(k_, plane, row);
    return count < V_LANES ? v_load_part(p, count, 0) : v_load(p);
}

VFN void plane_put(k_context *k_, uint plane, uint row, uint count, vec v)
{
    uint *p = k_->s_work + plane_at(k_, plane, row);
    if (count < V_LANES) v_store_part(p, v, count);
    else v_store(p, v);
}

// link_row (shaders/kernels/softmax_link.h) for `rows` rows from `row` on, whose targets are finite and whose term is n
// itself. Returns the rows that it has done; planes of the others are written again later. No row's bits depend on the
// others.
static uint32_t short_link(k_context *restrict k_, short_rows *s, uint row, uint rows)
{
    vec one = v_all(1), zero = v_all(0), it = v_all(K_P(inverse_temperature));
    vec top = v_load(s->top), sum = v_load(s->sum), target = v_load(s->target);
    vec log_sum = v_log(sum);
    vec t = v_fma(v_sub(top, target), it, log_sum);
    vecmask ahead = v_less(zero, t);
    vec size = v_max(t, v_sub(zero, t)), u = v_exp(v_sub(zero, size), v_exp_of(1.0f));
    vec tail = v_log1p(u), over = v_div(one, v_add(one, u)), under = v_mul(u, over);
    vec n = v_add(v_select(ahead, t, zero), tail);                       // softplus(t)
    vec beyond = v_add(v_select(ahead, zero, v_sub(zero, t)), tail);     // softplus(-t)
    vec others = v_select(ahead, over, under), own = v_select(ahead, under, over);
    vec lse = v_select(ahead, v_fma(top, it, v_add(log_sum, beyond)), v_fma(target, it, n));

    vec weight = plane_vec(k_, PLANE_WEIGHT, row, rows), row_weight = plane_vec(k_, PLANE_ROW_WEIGHT, row, rows);
    vec each = v_all(K_P(smoothing_each)), first = v_mul(v_all(1.0f - K_P(smoothing)), weight);
    vec others_w = v_load(s->sum_w), sum_wx = v_mul(v_load(s->sum_d), it);
    vec value = v_fma(v_mul(v_all(K_P(z_loss)), lse), lse, v_mul(first, n));
    vec spread = v_fma(weight, n, v_sub(v_mul(others_w, v_add(log_sum, beyond)), sum_wx));
    if (K_P(smoothing_each) != 0.0f) value = v_fma(each, spread, value);
    vec loss = v_mul(value, row_weight);

    vec g = v_mul(plane_vec(k_, PLANE_UPSTREAM, row, rows), row_weight);
    if (K_P(reduction) == REDUCE_MEAN) {
        float d = K_FLT(K_LD(work, SOFTMAX_WEIGHT_SUM));
        g = d == 0.0f ? zero : v_div(g, v_all(d));
    }
    vec np = v_mul(v_add(first, v_mul(each, weight)), g);
    vec p = v_fma(v_mul(v_all(2.0f * K_P(z_loss)), g), lse, v_fma(v_mul(each, others_w), g, plane_vec(k_, PLANE_UPSTREAM_LSE, row, rows)));
    vec each_column = v_mul(v_mul(v_div(v_add(np, p), sum), others), it);
    vec at_target = v_mul(v_sub(v_mul(own, p), v_mul(others, np)), it);
    v_store(s->p, each_column);
    v_store(s->at_target, at_target);
    v_store(s->w, v_sub(zero, v_mul(v_mul(each, g), it)));
    plane_put(k_, PLANE_ROW_LOSS, row, rows, loss);
    plane_put(k_, PLANE_LSE, row, rows, lse);
    if ((K_C(options) & OPTION_SAVE) != 0u) {
        plane_put(k_, PLANE_MAX, row, rows, top);
        plane_put(k_, PLANE_SUM, row, rows, sum);
        plane_put(k_, PLANE_TARGET, row, rows, target);
        plane_put(k_, PLANE_SUM_EX, row, rows, zero);
        plane_put(k_, PLANE_SUM_WX, row, rows, sum_wx);
        plane_put(k_, PLANE_SUM_W, row, rows, others_w);
    }
    // products of what is finite here are finite or are left to the text; so are tails that underflow
    vecmask usual = v_both(v_less(size, v_all(40.0f)), v_size_below(loss, K_WORD_INF));
    usual = v_both(usual, v_both(v_size_below(each_column, K_WORD_INF), v_size_below(at_target, K_WORD_INF)));
    return v_bits(usual);
}

// Up to a vector of the gradient of row i from column `at` on.
VFN void short_store(const short_rows *s, uint i, char *g, uint at, uint count, uint type, bool add, bool stream)
{
    vec w = v_all(s->w[i]);
    if (s->weight) w = v_mul(w, count < V_LANES ? v_load_part(s->weight + at, count, 0) : v_load(s->weight + at));
    vec y = v_fma(v_load(&s->e[i * s->step + at]), v_all(s->p[i]), w);
    if (s->label[i] - at < V_LANES) y = v_select(v_but(v_first(V_LANES), s->label[i] - at), y, v_all(s->at_target[i]));
    g += (size_t)at * col_bytes(type);
    if (add) y = v_add(y, col_load_part(g, count, type));
    if (count < V_LANES) col_store_part(g, y, count, type);
    else if (stream) col_store(g, y, type, true);
    else col_store(g, y, type, false);
}

// Stores past the caches begin with a line; what comes before it is stored plainly.
VFN void short_write(const short_rows *s, uint i, char *g, uint cols, uint type, bool add, bool stream)
{
    uint head = hand_head(g, type, stream, cols), at = 0;
    for (uint n; at < head; at += n) {
        n = K_MIN(V_LANES, head - at);
        short_store(s, i, g, at, n, type, add, false);
    }
    for (; at + V_LANES <= cols; at += V_LANES) short_store(s, i, g, at, V_LANES, type, add, stream);
    if (at < cols) short_store(s, i, g, at, cols - at, type, add, false);
}

// Rows first .. first + rows. Returns a bit for each that is done.
VFN uint32_t short_typed(k_context *restrict k_, short_rows *s, uint first, uint rows, bool stream, uint type)
{
    uint cols = K_P(cols);
    bool argmax = (K_C(options) & OPTION_ARGMAX) != 0u;
    uint32_t done = 0;
    memcpy(s->label, k_->s_work + plane_at(k_, PLANE_LABEL, first), rows * sizeof *s->label);
    for (uint i = 0; i < V_LANES; i++) {
        if (i < rows && short_sweep(s, i, short_logits(k_, first + i, type), cols, type, argmax)) done |= 1u << i;
        else s->top[i] = s->target[i] = s->sum_d[i] = s->sum_w[i] = 0, s->sum[i] = 1;
    }
    done &= short_link(k_, s, first, rows);
    for (uint i = 0; i < rows; i++) {
        if (!(done >> i & 1)) continue;
        uint flags = FLAG_OTHER | FLAG_TARGET;
        if (argmax) K_ST(work, plane_at(k_, PLANE_ARGMAX, first + i), s->best[i]);
        if (argmax && s->best[i] == s->label[i]) flags |= FLAG_CORRECT;
        K_ST(work, plane_at(k_, PLANE_FLAGS, first + i), flags);
        if ((K_C(options) & OPTION_GRAD) == 0u) continue;
        short_write(s, i, hand_grad(k_, first + i), cols, type, (K_C(options) & OPTION_ACCUMULATE) != 0u, stream);
    }
    return done;
}

VFN bool is_short(const k_context *k_)
{
    bool one_type = (K_C(options) & OPTION_GRAD) == 0u || (K_C(types) & 15u) == (K_C(types) >> SHIFT_GRAD & 15u);
    return K_P(cols) > 1 && K_P(cols) <= SHORT_COLS && K_C(term) == WANE_LOSS_CROSS_ENTROPY && one_type
        && (K_C(options) & ~SHORT_OPTIONS) == 0;
}

// As many rows of `first` .. `end` as are done together; one whose bit is 0 in *done is left to the text.
static uint short_group(k_context *restrict k_, short_rows *s, uint first, uint end, uint32_t *done)
{
    uint rows = K_MIN(end - first, K_P(cols) > SHORT_ROWS_COLS ? SHORT_ROWS : V_LANES);
    bool stream = hand_streams(k_) && K_P(cols) >= SHORT_STREAM_COLS;
    s->step = (K_P(cols) + V_LANES - 1) / V_LANES * V_LANES;
    s->weight = (K_C(options) & OPTION_CLASS_WEIGHT) != 0u ? (const float *)(const void *)k_->s_weight : NULL;
    if (LOGITS_TYPE == TYPE_F32) *done = short_typed(k_, s, first, rows, stream, TYPE_F32);
    else if (LOGITS_TYPE == TYPE_F16) *done = short_typed(k_, s, first, rows, stream, TYPE_F16);
    else *done = short_typed(k_, s, first, rows, stream, TYPE_BF16);
    return rows;
}
