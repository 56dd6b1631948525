// softmax_sweep.h - from the columns of a row to its statistics. After softmax_columns.h.

struct row_target {
    float value, lead;
    uint flags, best;
};
K_STRUCT(row_target)

// Values of a block; -inf (as bits) where the sums must leave a cell out: no column, the target, NaN, an infinity.
K_FN void classify_block(K_CTX K_INOUT_ARRAY(uint, word, BLOCK_CELLS), K_INOUT_ARRAY(float, x, BLOCK_CELLS),
                         K_INOUT_ARRAY(uint, flag, K_OWN), uint first, uint end, uint label)
{
    // with class weights in sums a -inf column counts only if its weight does: weigh_block sees to that
    uint seen = (K_C(options) & OPTION_WEIGHT_SUMS) != 0u && (K_C(options) & OPTION_CLASS_WEIGHT) != 0u ? ~FLAG_MINUS_INF : ~0u;
    K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
        for (uint s = 0u; s < K_OWN; s++) {
            uint q = u * K_OWN + s;
            bool live = CELL_LIVE(first, u, s, end) && CELL_COLUMN(first, u, s) != label;
            uint class_ = word_class(word[q]);
            flag[s] |= live ? class_ & seen : 0u;
            x[q] = K_FLT(live && class_ == FLAG_OTHER ? word[q] : K_WORD_MINUS_INF);
        }
    if ((K_C(options) & OPTION_SOFTCAP) != 0u)
        for (uint q = 0u; q < BLOCK_CELLS; q++) {
            bool absent = K_BITS(x[q]) == K_WORD_MINUS_INF;
            float capped = soft_cap(K_PASS K_SELECT(absent, 0.0f, x[q]));
            x[q] = K_SELECT(absent, x[q], capped);
        }
}

// The first column that holds the highest logit so far, and that logit as stored: where a softcap saturates, values
// that it makes equal are still in order.
K_FN void rank_block(K_CTX K_INOUT_ARRAY(uint, word, BLOCK_CELLS), K_INOUT_ARRAY(float, x, BLOCK_CELLS),
                     K_INOUT_ARRAY(float, lead, K_OWN), K_INOUT_ARRAY(uint, best, K_OWN), uint first, uint end)
{
    for (uint s = 0u; s < K_OWN; s++)
        for (uint u = 0u; u < STEPS_LIVE(first, end); u++) {
            uint q = u * K_OWN + s;
            bool live = K_BITS(x[q]) != K_WORD_MINUS_INF;
            float z = K_FLT(live ? word[q] : 0u);
            bool wins = live && (z > lead[s] || best[s] == SOFTMAX_NO_COLUMN);
            best[s] = wins ? CELL_COLUMN(first, u, s) : best[s];
            lead[s] = wins ? z : lead[s];
        }
}

// Sums of weight[j] and of weight[j] (x_j - peak); what was summed against the old top moves to the new one, peak.
K_FN void weigh_block(K_CTX K_INOUT_ARRAY(uint, word, BLOCK_CELLS), K_INOUT_ARRAY(float, x, BLOCK_CELLS),
                      K_INOUT_ARRAY(float, shift, K_OWN), K_INOUT_ARRAY(float, peak, K_OWN),
                      K_INOUT_ARRAY(float, sum_wx, K_OWN), K_INOUT_ARRAY(float, sum_w, K_OWN),
                      K_INOUT_ARRAY(uint, flag, K_OWN), uint first, uint end, uint label)
{
    bool weighted = (K_C(options) & OPTION_CLASS_WEIGHT) != 0u;
    for (uint s = 0u; s < K_OWN; s++) {
        float total = 0.0f;
        float moved = 0.0f;
        for (uint u = 0u; u < STEPS_LIVE(first, end); u++) {
            uint q = u * K_OWN + s;
            uint column = CELL_COLUMN(first, u, s);
            float w = 0.0f;
            if (CELL_LIVE(first, u, s, end) && column != label)
                w = weighted ? K_FLT(K_LD(weight, K_STEP(column - K_W(col0), K_P(weight_col)))) : 1.0f;
            bool absent = K_BITS(x[q]) == K_WORD_MINUS_INF;
            flag[s] |= weighted && w != 0.0f && word[q] == K_WORD_MINUS_INF ? FLAG_MINUS_INF : 0u;
            total += w;
            moved += absent || w == 0.0f ? 0.0f : w * ((x[q] - peak[s]) * K_P(inverse_temperature));
        }
        sum_wx[s] = (sum_wx[s] + shift[s] * sum_w[s]) + moved;
        sum_w[s] += total;
    }
}

// Sums of exp(x_j - peak), and of that times (x_j - peak); older sums fade by exp(shift), shift = old top - peak.
K_FN void add_block(K_CTX K_INOUT_ARRAY(float, x, BLOCK_CELLS), K_INOUT_ARRAY(float, shift, K_OWN),
                    K_INOUT_ARRAY(float, peak, K_OWN), K_INOUT_ARRAY(float, sum, K_OWN),
                    K_INOUT_ARRAY(float, sum_ex, K_OWN), uint first, uint end)
{
    float e[BLOCK_CELLS];
    for (uint q = STEPS_LIVE(first, end) * K_OWN; q < BLOCK_CELLS; q++) e[q] = 0.0f;
    K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
        for (uint s = 0u; s < K_OWN; s++) {
            uint q = u * K_OWN + s;
            float y = k_exp((x[q] - peak[s]) * K_P(inverse_temperature));
            e[q] = K_SELECT(K_BITS(x[q]) == K_WORD_MINUS_INF, 0.0f, y);
        }
    if ((K_C(options) & OPTION_ENTROPY) != 0u)
        for (uint s = 0u; s < K_OWN; s++) {
            float fade = k_exp(shift[s]);
            float ex = 0.0f;
            for (uint u = 0u; u < STEPS_LIVE(first, end); u++) {
                float y = e[u * K_OWN + s];
                ex += K_SELECT(y > 0.0f, y * ((x[u * K_OWN + s] - peak[s]) * K_P(inverse_temperature)), 0.0f);
            }
            sum_ex[s] = K_SELECT(fade > 0.0f, fade * (sum_ex[s] + shift[s] * sum[s]), 0.0f) + ex;
        }
    for (uint s = 0u; s < K_OWN; s++) {
        float low = (e[s] + e[K_OWN + s]) + (e[2u * K_OWN + s] + e[3u * K_OWN + s]);
        float high = (e[4u * K_OWN + s] + e[5u * K_OWN + s]) + (e[6u * K_OWN + s] + e[7u * K_OWN + s]);
        sum[s] = sum[s] * k_exp(shift[s]) + (low + high);
    }
}

// Merges the virtual lanes pairwise into element 0 of the shared arrays: first the highest value, to which each lane
// moves its own sums, then the sums. `lanes` of them hold anything; the rest add nothing and are skipped.
K_FN void merge_lanes(K_CTX uint lanes, K_INOUT_ARRAY(float, top, K_OWN), K_INOUT_ARRAY(float, sum, K_OWN),
                      K_INOUT_ARRAY(float, sum_ex, K_OWN), K_INOUT_ARRAY(float, sum_wx, K_OWN),
                      K_INOUT_ARRAY(float, sum_w, K_OWN), K_INOUT_ARRAY(float, lead, K_OWN),
                      K_INOUT_ARRAY(uint, flag, K_OWN), K_INOUT_ARRAY(uint, best, K_OWN))
{
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        if (v < lanes) {
            K_SS(top, v, top[s]);
            K_SS(lead, v, lead[s]);
            K_SS(best, v, best[s]);
            K_SS(flag, v, flag[s]);
        }
    }
    K_BARRIER();
    for (uint w = VIRTUAL_LANES / 2u; w > 0u; w >>= 1u) {
        for (uint v = K_LANE; v < w; v += K_LANES)
            if (v + w < lanes) {
                float a = K_SL(lead, v);
                float b = K_SL(lead, v + w);
                uint i = K_SL(best, v);
                uint j = K_SL(best, v + w);
                K_SS(best, v, b > a ? j : b < a ? i : K_MIN(i, j));
                K_SS(lead, v, K_MAX(a, b));
                K_SS(top, v, K_MAX(K_SL(top, v), K_SL(top, v + w)));
                K_SS(flag, v, K_SL(flag, v) | K_SL(flag, v + w));
            }
        K_BARRIER();
    }
    float peak = K_SL(top, 0u);
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        float shift = K_SELECT(sum[s] > 0.0f, k_clamp((top[s] - peak) * K_P(inverse_temperature)), 0.0f);
        float fade = k_exp(shift);
        if (v < lanes) {
            K_SS(sum, v, sum[s] * fade);
            K_SS(sum_ex, v, K_SELECT(fade > 0.0f, fade * (sum_ex[s] + shift * sum[s]), 0.0f));
            K_SS(sum_wx, v, sum_wx[s] + shift * sum_w[s]);
            K_SS(sum_w, v, sum_w[s]);
        }
    }
    K_BARRIER();
    for (uint w = VIRTUAL_LANES / 2u; w > 0u; w >>= 1u) {
        for (uint v = K_LANE; v < w; v += K_LANES)
            if (v + w < lanes) {
                K_SS(sum, v, K_SL(sum, v) + K_SL(sum, v + w));
                K_SS(sum_ex, v, K_SL(sum_ex, v) + K_SL(sum_ex, v + w));
                K_SS(sum_wx, v, K_SL(sum_wx, v) + K_SL(sum_wx, v + w));
                K_SS(sum_w, v, K_SL(sum_w, v) + K_SL(sum_w, v + w));
            }
        K_BARRIER();
    }
}

// Statistics of columns begin..end of a row without the target, merged over the group into element 0 of the shared
// arrays, which every lane may read after the call.
K_FN void sweep_columns(K_CTX uint row, uint begin, uint end, uint label)
{
    float top[K_OWN];
    float sum[K_OWN];
    float sum_ex[K_OWN];
    float sum_wx[K_OWN];
    float sum_w[K_OWN];
    float lead[K_OWN];
    uint flag[K_OWN];
    uint best[K_OWN];
    for (uint s = 0u; s < K_OWN; s++) {
        top[s] = -3.4028235e38f; sum[s] = 0.0f; sum_ex[s] = 0.0f; sum_wx[s] = 0.0f; sum_w[s] = 0.0f;
        lead[s] = -3.4028235e38f; flag[s] = 0u; best[s] = SOFTMAX_NO_COLUMN;
    }
    for (uint first = begin; first < end; first += BLOCK_COLUMNS) {
        uint word[BLOCK_CELLS];
        float x[BLOCK_CELLS];
        float peak[K_OWN];
        float shift[K_OWN];
        load_block(K_PASS word, row, first, end);
        classify_block(K_PASS word, x, flag, first, end, label);
        if ((K_C(options) & OPTION_ARGMAX) != 0u) rank_block(K_PASS word, x, lead, best, first, end);
        for (uint s = 0u; s < K_OWN; s++) peak[s] = top[s];
        K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
            for (uint s = 0u; s < K_OWN; s++) peak[s] = K_MAX(x[u * K_OWN + s], peak[s]);
        for (uint s = 0u; s < K_OWN; s++)
            shift[s] = K_SELECT(sum[s] > 0.0f, k_clamp((top[s] - peak[s]) * K_P(inverse_temperature)), 0.0f);
        if ((K_C(options) & OPTION_WEIGHT_SUMS) != 0u)
            weigh_block(K_PASS word, x, shift, peak, sum_wx, sum_w, flag, first, end, label);
        add_block(K_PASS x, shift, peak, sum, sum_ex, first, end);
        for (uint s = 0u; s < K_OWN; s++) top[s] = peak[s];
    }
    merge_lanes(K_PASS K_MIN(end - begin, VIRTUAL_LANES), top, sum, sum_ex, sum_wx, sum_w, lead, flag, best);
}

// The target logit as the statistics keep it, and its class. `best` and `lead` are those of the swept columns with the
// target among them. Called by one lane after sweep_columns.
K_FN row_target load_target(K_CTX uint row, uint label)
{
    row_target t;
    K_INDEX at = ROW_AT(row, K_P(logits_outer), K_P(logits_row)) + K_STEP(label - K_W(col0), K_P(logits_col));
    uint word = 0u;
    if (LOGITS_TYPE == TYPE_F32) word = LOAD_LOGIT(at);
    else word = half_to_word(LOGITS_TYPE, LOAD_LOGIT_HALF(at));
    uint class_ = word_class(word);
    t.flags = FLAG_TARGET | (class_ == FLAG_MINUS_INF ? FLAG_TARGET_MINUS_INF : class_ == FLAG_OTHER ? 0u : class_);
    float z = K_FLT(class_ == FLAG_OTHER ? word : 0u);
    t.value = (K_C(options) & OPTION_SOFTCAP) != 0u ? soft_cap(K_PASS z) : z;
    t.best = K_SL(best, 0u);
    t.lead = K_SL(lead, 0u);
    bool wins = class_ == FLAG_OTHER && (z > t.lead || (z == t.lead && label < t.best) || t.best == SOFTMAX_NO_COLUMN);
    t.best = wins ? label : t.best;
    t.lead = wins ? z : t.lead;
    return t;
}
