// rank_sum.h - sums over segments of a plane, in an order that depends on positions alone. After rank.h, elementary.h.
//
// SUM_BLOCK words make a block, SUM_BLOCK blocks a block of the next level. A segment is the words before its first whole
// block, its whole blocks (the same way, one level up), and the words after the last one; SUM_PART terms at a time. No
// chain of f32 additions is longer than 1024 below 2^31 words. A sum has two words: SUM_FLOAT an f32, SUM_LONG a
// u64 of u32 words, SUM_FLAGS the counts of two bits, SUM_GAINLESS that of one.

// Adds to r the words (level 0) or sums (of a higher level) at + k for from <= k < to.
K_FN void chain(K_CTX uint kind, uint level, uint at, uint from, uint to, K_INOUT_ARRAY(uint, r, 2))
{
    uint stride = level == 0u ? 1u : SUM_WORDS;
    float part = 0.0f;
    float total = 0.0f;
    for (uint k = from; k < to; k++) {
        uint low = K_LD(work, at + k * stride);
        uint high = 0u;
        if (level > 0u) high = K_LD(work, at + k * stride + 1u);
        if (kind == SUM_FLOAT) {
            part += K_FLT(low);
            if (k % SUM_PART == SUM_PART - 1u) {
                total += part;
                part = 0.0f;
            }
        } else {
            bool flags = kind == SUM_FLAGS && level == 0u;
            high += flags && (low & ITEM_BAD) != 0u ? 1u : 0u;
            low = flags ? low & ITEM_ODD : low;
            if (kind == SUM_GAINLESS && level == 0u) low = (low & ITEM_GAINLESS) != 0u ? 1u : 0u;
            r[0] += low;
            r[1] += high + (kind == SUM_LONG && r[0] < low ? 1u : 0u);
        }
    }
    if (kind == SUM_FLOAT) r[0] = K_BITS(k_clamp(K_FLT(r[0]) + k_clamp(total + part)));
}

K_FN uint level_at(K_CTX uint sum, uint level) { return K_P(at_sums) + sum * K_P(sum_words) + level * K_P(sum_level); }

// Where level `level` begins: the plane itself, or sums of the level below.
K_FN uint words_at(K_CTX uint plane, uint sum, uint level) { return level == 0u ? plane : level_at(K_PASS sum, level - 1u); }

K_FN void segment(K_CTX uint kind, uint plane, uint sum, uint begin, uint end, K_INOUT_ARRAY(uint, r, 2))
{
    uint b = begin;
    uint e = end;
    bool more = true;
    r[0] = 0u;
    r[1] = 0u;
    for (uint level = 0u; level < 3u && more; level++) {
        uint at = words_at(K_PASS plane, sum, level);
        uint inner = (b + SUM_BLOCK - 1u) / SUM_BLOCK;
        uint outer = e / SUM_BLOCK;
        more = inner < outer && level < 2u;
        chain(K_PASS kind, level, at, b, more ? inner * SUM_BLOCK : e, r);
        if (more) chain(K_PASS kind, level, at, outer * SUM_BLOCK, e, r);
        b = inner;
        e = outer;
    }
}
