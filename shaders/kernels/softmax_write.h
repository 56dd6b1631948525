// softmax_write.h - the gradient of a row's columns from its coefficients. After softmax_columns.h and row_coefs.

// Adds what single columns need to a block of gradients: class weights under smoothing, the target, the softcap's slope.
K_FN void finish_block(K_CTX K_INOUT_ARRAY(float, g, BLOCK_CELLS), K_INOUT_ARRAY(uint, word, BLOCK_CELLS), uint first,
                       uint end, uint label, row_coefs c)
{
    bool weighted = (K_C(options) & OPTION_CLASS_WEIGHT) != 0u;
    if (c.w != 0.0f)
        for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
            for (uint s = 0u; s < K_OWN; s++) {
                float w = 1.0f;
                if (weighted && CELL_LIVE(first, u, s, end))
                    w = K_FLT(K_LD(weight, K_STEP(CELL_COLUMN(first, u, s) - K_W(col0), K_P(weight_col))));
                g[u * K_OWN + s] += w * c.w;
            }
    if (label - first < BLOCK_COLUMNS)
        for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
            for (uint s = 0u; s < K_OWN; s++)
                g[u * K_OWN + s] = K_SELECT(CELL_COLUMN(first, u, s) == label, c.target, g[u * K_OWN + s]);
    if ((K_C(options) & OPTION_SOFTCAP) != 0u)
        for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) {
            float z = K_SELECT(word[q] == K_WORD_MINUS_INF, 0.0f, K_FLT(word[q]));
            g[q] = K_SELECT(word[q] == K_WORD_MINUS_INF, 0.0f, g[q] * k_tanh_slope(z * K_P(inverse_softcap)));
        }
}

K_FN void store_block(K_CTX K_INOUT_ARRAY(float, g, BLOCK_CELLS), uint row, uint first, uint end)
{
    K_INDEX at = K_STEP(row, K_P(grad_row)) + K_STEP(first - K_W(col0), K_P(grad_col));
    bool add = (K_C(options) & OPTION_ACCUMULATE) != 0u;
    if (BLOCK_WHOLE(first, end, K_P(grad_col))) {
        if (add)
            K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
                for (uint s = 0u; s < K_OWN; s++)
                    g[u * K_OWN + s] += K_FLT(K_LD(grad, at + K_WIDE(u * VIRTUAL_LANES + s * K_LANES + K_LANE)));
        K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
            for (uint s = 0u; s < K_OWN; s++)
                K_ST(grad, at + K_WIDE(u * VIRTUAL_LANES + s * K_LANES + K_LANE), K_BITS(g[u * K_OWN + s]));
    } else {
        K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
            for (uint s = 0u; s < K_OWN; s++)
                if (CELL_LIVE(first, u, s, end)) {
                    K_INDEX i = at + K_STEP(u * VIRTUAL_LANES + s * K_LANES + K_LANE, K_P(grad_col));
                    float old = add ? K_FLT(K_LD(grad, i)) : 0.0f;
                    K_ST(grad, i, K_BITS(add ? old + g[u * K_OWN + s] : g[u * K_OWN + s]));
                }
    }
}

// A row whose gradient is one word: 0 (nothing to do when accumulating) or NaN.
K_FN void fill_columns(K_CTX uint row, uint begin, uint end, uint word)
{
    K_INDEX at = K_STEP(row, K_P(grad_row)) + K_STEP(begin - K_W(col0), K_P(grad_col));
    for (uint v = K_LANE; v < end - begin; v += K_LANES) K_ST(grad, at + K_STEP(v, K_P(grad_col)), word);
}

// The gradient of columns begin..end of a row.
K_FN void write_columns(K_CTX uint row, uint begin, uint end, uint label, row_coefs c)
{
    if (c.mode == ROW_NAN) fill_columns(K_PASS row, begin, end, K_WORD_NAN);
    if (c.mode == ROW_ZERO && (K_C(options) & OPTION_ACCUMULATE) == 0u) fill_columns(K_PASS row, begin, end, 0u);
    if (c.mode == ROW_NORMAL)
        for (uint first = begin; first < end; first += BLOCK_COLUMNS) {
            uint word[BLOCK_CELLS];
            float g[BLOCK_CELLS];
            load_block(K_PASS word, row, first, end);
            for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) g[q] = K_SELECT(word[q] == K_WORD_MINUS_INF, 0.0f, K_FLT(word[q]));
            if ((K_C(options) & OPTION_SOFTCAP) != 0u)
                for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) g[q] = soft_cap(K_PASS g[q]);
            for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) {
                float d = k_clamp((g[q] - c.top) * K_P(inverse_temperature));
                float e = k_exp(d);
                float y = K_SELECT(e == 0.0f, 0.0f, e * (c.p + c.ex * d));
                g[q] = K_SELECT(word[q] == K_WORD_MINUS_INF, 0.0f, y);
            }
            finish_block(K_PASS g, word, first, end, label, c);
            store_block(K_PASS g, row, first, end);
        }
}
