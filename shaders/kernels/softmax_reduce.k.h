// One group, one block of SOFTMAX_REDUCE_ROWS rows: sums a plane and counts the flags of valid rows into a part.
// window.mode MODE_COUNT sums weight[y] (the denominator), MODE_LOSS row_loss, MODE_COLUMNS too without counting; NaN and
// infinite values are or-ed as classes, not summed. The order is that of 128 virtual lanes, then pairwise. window.part is the first item's part,
// window.col0 the number of rows in the batch.
#if K_PHASE == 1
#include "softmax.h"
#include "reduce.h"
#else
    float sum[K_OWN];
    uint count[K_OWN * REDUCE_COUNTS];
    for (uint s = 0u; s < K_OWN; s++) sum[s] = 0.0f;
    for (uint s = 0u; s < K_OWN * REDUCE_COUNTS; s++) count[s] = 0u;
    uint begin = K_ITEM * SOFTMAX_REDUCE_ROWS;
    uint end = K_MIN(begin + SOFTMAX_REDUCE_ROWS, K_W(col0));
    uint plane = K_P(planes) + (K_W(mode) == MODE_COUNT ? PLANE_WEIGHT : PLANE_ROW_LOSS) * K_P(plane_rows);
    uint flags_at = K_P(planes) + PLANE_FLAGS * K_P(plane_rows);
    for (uint first = begin; first < end; first += REDUCE_LANES)
        for (uint s = 0u; s < K_OWN; s++) {
            uint v = s * K_LANES + K_LANE;
            if (v < REDUCE_LANES && first + v < end) {
                uint f = K_LD(work, flags_at + first + v);
                uint word = K_LD(work, plane + first + v);
                bool valid = (f & (FLAG_IGNORED | FLAG_BAD)) == 0u;
                bool finite = (word & 0x7fffffffu) < K_WORD_INF;
                sum[s] += valid && finite ? K_FLT(word) : 0.0f;
                uint class_ = (word & 0x7fffffffu) == K_WORD_INF ? FLAG_PLUS_INF : FLAG_NAN;
                count[s * REDUCE_COUNTS] |= valid && !finite ? class_ : 0u;
                valid = valid && K_W(mode) != MODE_COLUMNS;
                count[s * REDUCE_COUNTS + 1u] += valid ? 1u : 0u;
                count[s * REDUCE_COUNTS + 2u] += (f & FLAG_BAD) != 0u ? 1u : 0u;
                count[s * REDUCE_COUNTS + 3u] += valid && (f & (FLAG_NAN | FLAG_PLUS_INF)) != 0u ? 1u : 0u;
                count[s * REDUCE_COUNTS + 4u] += valid && (f & FLAG_ALL_MINUS_INF) != 0u ? 1u : 0u;
                count[s * REDUCE_COUNTS + 5u] += valid && (f & FLAG_CORRECT) != 0u ? 1u : 0u;
                count[s * REDUCE_COUNTS + 6u] += (f & FLAG_DROPPED) != 0u ? 1u : 0u;
            }
        }
    reduce_lanes(K_PASS sum, count);
    if (K_LANE == 0u) {
        uint at = K_P(partials) + (K_W(part) + K_ITEM) * SOFTMAX_PART_WORDS;
        K_ST(work, at + SOFTMAX_PART_SUM, K_BITS(K_SL(sum, 0u)));
        for (uint i = 0u; i < REDUCE_COUNTS; i++) K_ST(work, at + SOFTMAX_PART_CLASS + i, K_SL(count, i * REDUCE_LANES));
    }
#endif
