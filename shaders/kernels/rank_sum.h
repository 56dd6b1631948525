// rank_sum.h - sums over segments of a plane, in an order that depends on positions alone. After rank.h.
//
// SUM_BLOCK words make a block, SUM_BLOCK blocks a block of the next level. A segment is the words before its first whole
// block, its whole blocks (the same way, one level up), and the words after the last one: no chain is longer than
// 2 SUM_BLOCK below 2^24 words.

// Words at + k for from <= k < to, as f32.
K_FN float chain_float(K_CTX uint at, uint stride, uint from, uint to)
{
    float total = 0.0f;
    float part = 0.0f;
    for (uint k = from; k < to; k++) {
        part += K_FLT(K_LD(work, at + k * stride));
        if (k % SUM_BLOCK == SUM_BLOCK - 1u) {
            total = k_clamp(total + part);
            part = 0.0f;
        }
    }
    return k_clamp(total + part);
}

// Adds words (SUM_LONG: u32 to a u64; SUM_FLAGS: counts of two bits) or, of a higher level, such pairs.
K_FN void chain_pair(K_CTX uint at, uint stride, uint kind, bool words, uint from, uint to, K_INOUT_ARRAY(uint, sum, 2))
{
    for (uint k = from; k < to; k++) {
        uint low = K_LD(work, at + k * stride);
        uint high = words ? 0u : K_LD(work, at + k * stride + 1u);
        if (words && kind == SUM_FLAGS) {
            high = (low & ITEM_BAD) != 0u ? 1u : 0u;
            low = low & ITEM_ODD;
        }
        sum[0] += low;
        sum[1] += high + (kind == SUM_LONG && sum[0] < low ? 1u : 0u);
    }
}

K_FN uint level_at(K_CTX uint sum, uint level) { return K_P(at_sums) + sum * K_P(sum_words) + level * K_P(sum_level); }

K_FN float segment_float(K_CTX uint at, uint sum, uint begin, uint end)
{
    uint b = (begin + SUM_BLOCK - 1u) / SUM_BLOCK;
    uint e = end / SUM_BLOCK;
    float r = 0.0f;
    if (b >= e) {
        r = chain_float(K_PASS at, 1u, begin, end);
    } else {
        r = chain_float(K_PASS at, 1u, begin, b * SUM_BLOCK) + chain_float(K_PASS at, 1u, e * SUM_BLOCK, end);
        uint bb = (b + SUM_BLOCK - 1u) / SUM_BLOCK;
        uint ee = e / SUM_BLOCK;
        uint low = level_at(K_PASS sum, 0u);
        if (bb >= ee) {
            r += chain_float(K_PASS low, SUM_WORDS, b, e);
        } else {
            r += chain_float(K_PASS low, SUM_WORDS, b, bb * SUM_BLOCK) + chain_float(K_PASS low, SUM_WORDS, ee * SUM_BLOCK, e);
            r += chain_float(K_PASS level_at(K_PASS sum, 1u), SUM_WORDS, bb, ee);
        }
    }
    return k_clamp(r);
}

K_FN void segment_pair(K_CTX uint at, uint sum, uint kind, uint begin, uint end, K_INOUT_ARRAY(uint, r, 2))
{
    uint b = (begin + SUM_BLOCK - 1u) / SUM_BLOCK;
    uint e = end / SUM_BLOCK;
    uint bb = (b + SUM_BLOCK - 1u) / SUM_BLOCK;
    uint ee = e / SUM_BLOCK;
    uint low = level_at(K_PASS sum, 0u);
    r[0] = 0u;
    r[1] = 0u;
    if (b >= e) {
        chain_pair(K_PASS at, 1u, kind, true, begin, end, r);
    } else {
        chain_pair(K_PASS at, 1u, kind, true, begin, b * SUM_BLOCK, r);
        chain_pair(K_PASS at, 1u, kind, true, e * SUM_BLOCK, end, r);
        if (bb >= ee) {
            chain_pair(K_PASS low, SUM_WORDS, kind, false, b, e, r);
        } else {
            chain_pair(K_PASS low, SUM_WORDS, kind, false, b, bb * SUM_BLOCK, r);
            chain_pair(K_PASS low, SUM_WORDS, kind, false, ee * SUM_BLOCK, e, r);
            chain_pair(K_PASS level_at(K_PASS sum, 1u), SUM_WORDS, kind, false, bb, ee, r);
        }
    }
}
