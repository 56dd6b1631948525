// softmax_write.h - the gradient of a row's columns from its coefficients. After softmax_columns.h and softmax_coefs.h.

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
        for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) g[q] = uncapped_slope(K_PASS g[q], word[q]);
}

#define GRAD_TYPE ((K_C(types) >> SHIFT_GRAD) & 15u)

// Adds what the gradient holds already.
K_FN void add_old(K_CTX K_INOUT_ARRAY(float, g, BLOCK_CELLS), uint row, uint first, uint end)
{
    K_INDEX at = ROW_AT(row, K_P(grad_outer), K_P(grad_row)) + K_STEP(first - K_W(col0), K_P(grad_col));
    K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
        for (uint s = 0u; s < K_OWN; s++)
            if (CELL_LIVE(first, u, s, end)) {
                K_INDEX i = at + K_STEP(u * VIRTUAL_LANES + s * K_LANES + K_LANE, K_P(grad_col));
                uint old = 0u;
                if (GRAD_TYPE == TYPE_F32) old = K_LD(grad, i);
                else old = half_to_word(GRAD_TYPE, K_LDH(grad, i));
                g[u * K_OWN + s] += K_FLT(old);
            }
}

#if K_WORDS_ONLY
// Halves of a dense row on a device that stores whole words: lanes hand theirs over through shared memory, and each
// word is stored by one lane. Only a half whose neighbour is not of this block is stored by itself.
K_FN void store_halves_in_words(K_CTX K_INOUT_ARRAY(uint, word, BLOCK_CELLS), K_INDEX at, uint count)
{
    for (uint q = 0u; q < BLOCK_CELLS; q++) {
        uint v = q / K_OWN * VIRTUAL_LANES + q % K_OWN * K_LANES + K_LANE;
        if (q % K_OWN * K_LANES + K_LANE < VIRTUAL_LANES && v < count) K_SS(halves, v, word[q]);
    }
    K_BARRIER();
    uint odd = K_ODD(grad, at);
    for (uint pair = K_LANE; pair < count / 2u + 1u; pair += K_LANES) {
        // halves pair * 2 - odd and the next one
        uint low = pair * 2u - odd;
        bool has_low = low < count;        // of the first pair of an odd row, low has wrapped
        bool has_high = low + 1u < count;
        if (has_low && has_high) {
            K_ST_PAIR(grad, at + K_WIDE(low), K_SL(halves, low) | (K_SL(halves, low + 1u) << 16u));
        } else if (has_low) {
            K_STH(grad, at + K_WIDE(low), K_SL(halves, low));
        } else if (has_high) {
            K_STH(grad, at + K_WIDE(low + 1u), K_SL(halves, low + 1u));
        }
    }
    K_BARRIER();
}
#endif

// A block of encoded gradients: f32 words, or halves in the low bits.
K_FN void store_block(K_CTX K_INOUT_ARRAY(uint, word, BLOCK_CELLS), uint row, uint first, uint end)
{
    K_INDEX at = ROW_AT(row, K_P(grad_outer), K_P(grad_row)) + K_STEP(first - K_W(col0), K_P(grad_col));
    if (GRAD_TYPE == TYPE_F32 && BLOCK_WHOLE(first, end, K_P(grad_col))) {
        K_UNROLL for (uint u = 0u; u < BLOCK_STEPS; u++)
            for (uint s = 0u; s < K_OWN; s++)
                K_ST(grad, at + K_WIDE(u * VIRTUAL_LANES + s * K_LANES + K_LANE), word[u * K_OWN + s]);
    } else if (GRAD_TYPE == TYPE_F32) {
        K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
            for (uint s = 0u; s < K_OWN; s++)
                if (CELL_LIVE(first, u, s, end))
                    K_ST(grad, at + K_STEP(u * VIRTUAL_LANES + s * K_LANES + K_LANE, K_P(grad_col)), word[u * K_OWN + s]);
#if K_WORDS_ONLY
    } else if (K_P(grad_col) == 1u) {      // the same for the whole group
        store_halves_in_words(K_PASS word, at, K_MIN(end - first, BLOCK_COLUMNS));
#endif
    } else {
        K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
            for (uint s = 0u; s < K_OWN; s++)
                if (CELL_LIVE(first, u, s, end)) {
                    K_INDEX i = at + K_STEP(u * VIRTUAL_LANES + s * K_LANES + K_LANE, K_P(grad_col));
                    K_STH(grad, i, word[u * K_OWN + s]);
                }
    }
}

// A row whose gradient is one value: 0 (nothing to do when accumulating) or NaN, as an f32 word.
K_FN void fill_columns(K_CTX uint row, uint begin, uint end, uint value)
{
    for (uint first = begin; first < end; first += BLOCK_COLUMNS) {
        uint word[BLOCK_CELLS];
        for (uint q = 0u; q < BLOCK_CELLS; q++) word[q] = GRAD_TYPE == TYPE_F32 ? value : word_to_half(GRAD_TYPE, value);
        store_block(K_PASS word, row, first, end);
    }
}

// The gradient of columns begin..end of a row.
K_FN void write_columns(K_CTX uint row, uint begin, uint end, uint label, row_coefs c)
{
    bool add = (K_C(options) & OPTION_ACCUMULATE) != 0u;
    if (c.mode == ROW_NAN)                 // the same for the whole group
        fill_columns(K_PASS row, begin, end, K_WORD_NAN);
    if (c.mode == ROW_ZERO && !add)        // the same for the whole group
        fill_columns(K_PASS row, begin, end, 0u);
    if (c.mode == ROW_NORMAL)              // the same for the whole group
        for (uint first = begin; first < end; first += BLOCK_COLUMNS) {
            uint word[BLOCK_CELLS];
            float g[BLOCK_CELLS];
            load_block(K_PASS word, row, first, end);
            for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++)
                g[q] = K_SELECT(word[q] == K_WORD_MINUS_INF, 0.0f, K_FLT(word[q]));
            if ((K_C(options) & OPTION_SOFTCAP) != 0u)
                for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) g[q] = soft_cap(K_PASS g[q]);
            for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) {
                float y = column_slope(K_PASS g[q], c);
                g[q] = K_SELECT(word[q] == K_WORD_MINUS_INF, 0.0f, y);
            }
            finish_block(K_PASS g, word, first, end, label, c);
            if (add) add_old(K_PASS g, row, first, end);
            for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) word[q] = K_BITS(g[q]);
            if (GRAD_TYPE != TYPE_F32)
                for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) word[q] = word_to_half(GRAD_TYPE, word[q]);
            store_block(K_PASS word, row, first, end);
        }
}
