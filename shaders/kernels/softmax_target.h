// softmax_target.h - the target of a row as the batch's operands hold it: i32, or i64 as two words.
struct target_class {
    uint low;
    bool ignored, bad;
};
K_STRUCT(target_class)

#define ROW_AT(row, outer, inner) (K_STEP((row) / K_P(rows_inner), outer) + K_STEP((row) % K_P(rows_inner), inner))

// Row 0, which is valid, where the loss has no target.
K_FN target_class classify_target(K_CTX uint row)
{
    bool wide = (K_P(flags) & HAS_TARGET_I64) != 0u;
    bool labelled = (K_P(flags) & HAS_TARGET) != 0u;
    K_INDEX at = ROW_AT(row, K_P(target_outer), K_P(target_row));
    target_class t;
    t.low = 0u;
    uint high = 0u;
    if (labelled) {
        t.low = wide ? K_LD(target, at * 2) : K_LD(target, at);
        high = t.low >= 0x80000000u ? 0xffffffffu : 0u;
        if (wide) high = K_LD(target, at * 2 + 1);
    }
    t.ignored = labelled && t.low == K_P(ignore_lo) && high == K_P(ignore_hi);
    t.bad = !t.ignored && (high != 0u || t.low >= K_P(total_cols));
    return t;
}
