// tile_sweep.h - statistics of cells of a tile. After tile_multiply.h, softmax_class.h and softmax_stats.h.

#define HALF_ROWS 32u
#define HELD 256u                          // statistics in shared memory at a time: HALF_ROWS * LANES_ACROSS

// What one lane's cells of a row are before their sums: values, -inf (as bits) where the sums must leave one out.
K_FN row_stats classify_cells(K_CTX K_INOUT_ARRAY(float, total, K_OWN * LANE_CELLS), K_INOUT_ARRAY(float, x, LANE_COLS),
                              K_INOUT_ARRAY(float, w, LANE_COLS), uint s, uint r, uint label, uint col0, uint end)
{
    bool weighted = (K_C(row_options) & OPTION_WEIGHT_SUMS) != 0u && (K_C(row_options) & OPTION_CLASS_WEIGHT) != 0u;
    row_stats t = stats_none();
    for (uint c = 0u; c < LANE_COLS; c++) {
        uint col = col0 + CELL_COL(s * K_LANES + K_LANE, c);
        uint column = K_W(col0) + col;
        bool here = col < end;
        bool own = here && column == label;
        float z = total[s * LANE_CELLS + r * LANE_COLS + c];
        if (here && (K_C(options) & TILE_BIAS) != 0u) z += load_bias(K_PASS col);
        uint class_ = word_class(K_BITS(z));
        bool finite = here && class_ == FLAG_OTHER;
        float value = K_SELECT(finite, z, 0.0f);
        if ((K_C(row_options) & OPTION_SOFTCAP) != 0u) value = soft_cap(K_PASS value);
        w[c] = here && !own ? 1.0f : 0.0f;
        if (weighted && here && !own) w[c] = K_FLT(K_LD(weight, K_STEP(col, K_P(weight_col))));
        // with class weights in sums a -inf column counts only if its weight does
        bool counts = !weighted || class_ != FLAG_MINUS_INF || w[c] != 0.0f;
        if (here && !own && counts) t.flags |= class_;
        if (own) {
            t.flags |= FLAG_TARGET | (class_ == FLAG_MINUS_INF ? FLAG_TARGET_MINUS_INF : finite ? 0u : class_);
            t.target = value;
        }
        bool leads = finite && (t.best == SOFTMAX_NO_COLUMN || z > t.lead);
        t.best = leads ? column : t.best;
        t.lead = leads ? z : t.lead;
        x[c] = K_FLT(finite && !own ? K_BITS(value) : K_WORD_MINUS_INF);
        if (finite && !own) t.top = K_MAX(t.top, value);
    }
    return t;
}

// Statistics of one lane's cells of row r of its four.
K_FN row_stats sweep_cells(K_CTX K_INOUT_ARRAY(float, total, K_OWN * LANE_CELLS), uint s, uint r, uint row, uint col0, uint end)
{
    uint label = SOFTMAX_NO_COLUMN;
    if ((K_C(row_options) & OPTION_NO_TARGET) == 0u) label = K_LD(work, plane_at(K_PASS PLANE_LABEL, K_W(first) + row));
    float x[LANE_COLS];
    float w[LANE_COLS];
    row_stats t = classify_cells(K_PASS total, x, w, s, r, label, col0, end);
    for (uint c = 0u; c < LANE_COLS; c++) {
        bool absent = K_BITS(x[c]) == K_WORD_MINUS_INF;
        float d = absent ? 0.0f : k_clamp((x[c] - t.top) * K_P(inverse_temperature));
        float e = absent ? 0.0f : k_exp(d);
        t.sum += e;
        t.sum_ex += e > 0.0f ? e * d : 0.0f;
        t.sum_w += w[c];
        t.sum_wx += w[c] == 0.0f ? 0.0f : w[c] * d;
    }
    return t;
}

// A lane's statistics into shared memory, and out of it.
K_FN void hand_over(K_CTX uint at, row_stats t)
{
    K_SS(pool, at, t.top);
    K_SS(pool, HELD + at, t.sum);
    K_SS(pool, 2u * HELD + at, t.target);
    K_SS(pool, 3u * HELD + at, t.sum_ex);
    K_SS(pool, 4u * HELD + at, t.sum_wx);
    K_SS(pool, 5u * HELD + at, t.sum_w);
    K_SS(pool, 6u * HELD + at, t.lead);
    K_SS(word, at, t.flags);
    K_SS(word, HELD + at, t.best);
}

K_FN row_stats take_over(K_CTX uint at)
{
    row_stats t;
    t.top = K_SL(pool, at);
    t.sum = K_SL(pool, HELD + at);
    t.target = K_SL(pool, 2u * HELD + at);
    t.sum_ex = K_SL(pool, 3u * HELD + at);
    t.sum_wx = K_SL(pool, 4u * HELD + at);
    t.sum_w = K_SL(pool, 5u * HELD + at);
    t.lead = K_SL(pool, 6u * HELD + at);
    t.flags = K_SL(word, at);
    t.best = K_SL(word, HELD + at);
    return t;
}
