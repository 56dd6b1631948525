// rank_item.h - items and groups as all ranking kernels see them. After rank.h.

// The group of item i, by the offsets' running maximum: the last one that begins at i or before. RANK_NO_GROUP where
// there is none, or where an offset at its ends is bad.
K_FN uint find_group(K_CTX uint i)
{
    uint low = 0u;                         // offsets before `low` are <= i, those from `high` on are > i
    uint high = K_P(groups) + 1u;
    for (uint halving = 0u; halving < 32u && low < high; halving++) {
        uint middle = low + (high - low) / 2u;
        bool before = K_LD(work, K_P(at_offset) + middle) <= i;
        low = before ? middle + 1u : low;
        high = before ? high : middle;
    }
    uint g = RANK_NO_GROUP;
    if (low > 0u && low <= K_P(groups)) {
        uint begin = K_LD(work, K_P(at_offset) + low - 1u);
        uint end = K_LD(work, K_P(at_offset) + low);
        if (K_LD(work, K_P(at_raw) + low - 1u) == begin && K_LD(work, K_P(at_raw) + low) == end) g = low - 1u;
    }
    return g;
}

K_FN uint group_at(K_CTX uint plane, uint g) { return K_P(at_group_plane) + plane * K_P(group_words) + g; }
