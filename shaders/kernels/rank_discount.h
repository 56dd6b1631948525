// rank_discount.h - discounts of ranks. After elementary.h. The integer and the fraction of the logarithm are kept apart,
// so that neighbouring discounts, whose differences are weights, keep their digits.

// log2(1 + rank), relative 1.5 ulp for ranks below 2^24.
K_FN float log2_of(uint rank)
{
    uint u = K_BITS(K_FLOAT(rank + 1u));
    float whole = K_FLOAT(u >> 23u) - 127.0f;
    float m = K_FLT((u & 0x7fffffu) | 0x3f800000u);
    whole = m > 1.41421356f ? whole + 1.0f : whole;
    m = m > 1.41421356f ? m * 0.5f : m;
    return whole + k_atanh2((m - 1.0f) / (m + 1.0f)) * 1.44269504f;
}

// 1 / log2(1 + rank), 0 beyond the top k.
K_FN float discount_of(K_CTX uint rank) { return rank <= K_P(top_k) ? 1.0f / log2_of(rank) : 0.0f; }
