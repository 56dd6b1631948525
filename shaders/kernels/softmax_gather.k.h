// Packs what a row needs besides its logits: one lane, one row.
// Reads target (i32, or i64 as two words; a loss without one has valid rows of weight 1 alone), weight[target], row_weight, upstream, upstream_lse; writes six planes of work.
// The planner guarantees that each operand's window starts at the batch's first row. Where weight does not fit one
// there is a pass for each window of it, columns col0 to col0 + cols_here: the first writes all planes, the others the
// weights of rows whose target is theirs. No logits are read here, so the denominator of mean is known before the first
// gradient is written. A weight of either kind that is NaN or infinite makes its row a NaN row.
// With OPTION_ORDERED rows that count come first (softmax_order), and planes are numbered so from here on.
#if K_PHASE == 1
#include "softmax.h"
#include "softmax_target.h"
K_FN void plane_store(K_CTX uint plane, uint row, uint word) { K_ST(work, K_P(planes) + plane * K_P(plane_rows) + row, word); }
#else
    uint row = K_ITEM;
    uint from = row;
    if ((K_C(options) & OPTION_ORDERED) != 0u) from = K_LD(work, K_P(planes) + PLANE_ORDER * K_P(plane_rows) + row);
    bool labelled = (K_P(flags) & HAS_TARGET) != 0u;
    target_class t = classify_target(K_PASS from);
    bool valid = !t.ignored && !t.bad;
    float weight = 0.0f;
    // of a split vocabulary the column may lie in another call; its weight does not
    uint column = t.low - K_P(col_offset);
    uint class_ = t.low - K_W(col0);
    bool here = valid && (class_ < K_W(cols_here) || (K_P(flags) & HAS_WEIGHT) == 0u);
    if (here) weight = 1.0f;
    if (here && labelled && (K_P(flags) & HAS_WEIGHT) != 0u) weight = K_FLT(K_LD(weight, K_STEP(class_, K_P(weight_col))));
    if (here || K_W(col0) == 0u) plane_store(K_PASS PLANE_WEIGHT, row, K_BITS(weight));
    uint found = (K_BITS(weight) & 0x7fffffffu) < K_WORD_INF ? 0u : FLAG_NAN;
    if (K_W(col0) == 0u) {
        uint one = K_BITS(1.0f);
        uint label = !valid || !labelled ? SOFTMAX_NO_COLUMN : column < K_P(cols) ? column : SOFTMAX_ELSEWHERE;
        found |= t.ignored ? FLAG_IGNORED : t.bad ? FLAG_BAD : 0u;
        if ((K_P(flags) & HAS_AIM) != 0u) {
            label = K_LD(target, ROW_AT(from, K_P(target_outer), K_P(target_row)));
            uint size = label & 0x7fffffffu;
            found |= size > K_WORD_INF ? FLAG_NAN : 0u;
            label = size < K_WORD_INF ? label : (label & 0x80000000u) | 0x7f7fffffu;
        }
        plane_store(K_PASS PLANE_LABEL, row, label);
        uint word = one;
        if ((K_P(flags) & HAS_ROW_WEIGHT) != 0u) word = K_LD(row_weight, ROW_AT(from, K_P(row_weight_outer), K_P(row_weight_row)));
        plane_store(K_PASS PLANE_ROW_WEIGHT, row, word);
        found |= (word & 0x7fffffffu) < K_WORD_INF ? 0u : FLAG_NAN;
        word = one;
        if ((K_P(flags) & HAS_UPSTREAM) != 0u) word = K_LD(upstream, ROW_AT(from, K_P(upstream_outer), K_P(upstream_row)));
        plane_store(K_PASS PLANE_UPSTREAM, row, word);
        found |= (word & 0x7fffffffu) < K_WORD_INF ? 0u : FLAG_ADRIFT;
        word = 0u;
        if ((K_P(flags) & HAS_UPSTREAM_LSE) != 0u) word = K_LD(upstream_lse, ROW_AT(from, K_P(upstream_lse_outer), K_P(upstream_lse_row)));
        plane_store(K_PASS PLANE_UPSTREAM_LSE, row, word);
        found |= (word & 0x7fffffffu) < K_WORD_INF ? 0u : FLAG_ADRIFT;
    }
    if (K_W(col0) == 0u || found != 0u) plane_store(K_PASS PLANE_FLAGS, row, found);
#endif
