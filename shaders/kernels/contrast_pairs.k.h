// One lane, one row of a side: which row of the other side is its positive, and its other small operands, into planes.
// window.first is the number of the first item's row; labels and upstream are bound from that row on. PAIRS_COLUMNS
// reads the labels that PAIRS_ROWS left and takes the lowest row that has it; PAIRS_CHECK then turns the others down, so
// that rows and columns are paired one to one. Item 0 leaves scale and bias as scalars.
// The other side's rows here are record.before .. before + others of record.total; a positive among those of other calls is
// SOFTMAX_ELSEWHERE.
#if K_PHASE == 1
#include "softmax.h"
#include "contrast.h"
#include "contrast_planes.h"

K_FN void store_pair(K_CTX uint row, uint label, uint flags)
{
    bool counts = (flags & (FLAG_IGNORED | FLAG_BAD)) == 0u;
    K_ST(work, side_at(K_PASS PLANE_LABEL, row), label);
    K_ST(work, side_at(K_PASS PLANE_FLAGS, row), flags);
    K_ST(work, side_at(K_PASS PLANE_WEIGHT, row), counts ? K_BITS(K_P(weight)) : 0u);
}

K_FN void store_rest(K_CTX uint row)
{
    uint upstream = K_BITS(1.0f);
    if ((K_P(flags) & HAS_PAIR_UPSTREAM) != 0u) upstream = K_LD(upstream, K_STEP(row, K_P(upstream_row)));
    K_ST(work, side_at(K_PASS PLANE_UPSTREAM, row), upstream);
    K_ST(work, side_at(K_PASS PLANE_UPSTREAM_LSE, row), 0u);
    K_ST(work, side_at(K_PASS PLANE_ROW_WEIGHT, row), K_BITS(1.0f));
}

K_FN void pair_row(K_CTX uint row)
{
    uint label = K_W(first) + row + K_P(shift);
    uint flags = 0u;
    if ((K_P(flags) & HAS_LABELS) != 0u) {
        bool wide = (K_P(flags) & HAS_LABELS_I64) != 0u;
        K_INDEX at = K_STEP(row, K_P(label_row));
        label = wide ? K_LD(labels, at * 2) : K_LD(labels, at);
        uint high = label >= 0x80000000u ? 0xffffffffu : 0u;
        if (wide) high = K_LD(labels, at * 2 + 1);
        if (high != 0u || label >= K_P(total)) flags = FLAG_BAD;
        label = label - K_P(before);
    } else if (label + K_P(before) >= K_P(total)) {
        flags = FLAG_DROPPED | FLAG_IGNORED;
    }
    if (label >= K_P(others)) label = SOFTMAX_ELSEWHERE;
    bool none = flags != 0u;
    if ((K_P(flags) & EVERY_ROW_COUNTS) != 0u) flags &= ~(FLAG_DROPPED | FLAG_IGNORED);
    store_pair(K_PASS row, none ? SOFTMAX_NO_COLUMN : label, flags);
}

K_FN void pair_column(K_CTX uint col)
{
    uint row = col - K_P(shift);
    if ((K_P(flags) & HAS_LABELS) != 0u) {
        row = 0u;
        while (row < K_P(others) && K_LD(work, other_at(K_PASS PLANE_LABEL, row)) != col) row++;
    }
    bool none = row + K_P(before) >= K_P(total);
    if (row >= K_P(others)) row = SOFTMAX_ELSEWHERE;
    store_pair(K_PASS col, none ? SOFTMAX_NO_COLUMN : row, none ? FLAG_IGNORED : 0u);
}

// Sums by class: NaN and infinite values are words, not arithmetic.
K_FN uint join_values(uint a, uint b)
{
    uint x = a & 0x7fffffffu;
    uint y = b & 0x7fffffffu;
    float sum = (x < K_WORD_INF ? K_FLT(a) : 0.0f) + (y < K_WORD_INF ? K_FLT(b) : 0.0f);
    uint word = sum > 3.4028235e38f ? K_WORD_INF : K_BITS(sum);
    if (x == K_WORD_INF || y == K_WORD_INF) word = K_WORD_INF;
    if (x > K_WORD_INF || y > K_WORD_INF) word = K_WORD_NAN;
    return word;
}
#else
    uint row = K_ITEM;
    if (K_W(mode) == PAIRS_ROWS) pair_row(K_PASS row);
    if (K_W(mode) == PAIRS_COLUMNS) pair_column(K_PASS row);
    if (K_W(mode) == PAIRS_ROWS || K_W(mode) == PAIRS_COLUMNS) store_rest(K_PASS row);
    if (K_W(mode) == PAIRS_CHECK) {
        uint label = K_LD(work, side_at(K_PASS PLANE_LABEL, row));
        bool owner = true;
        if (label != SOFTMAX_NO_COLUMN) owner = K_LD(work, other_at(K_PASS PLANE_LABEL, label)) == row;
        if (!owner) store_pair(K_PASS row, SOFTMAX_NO_COLUMN, FLAG_BAD);
    }
    if (K_W(mode) == PAIRS_HERE && K_LD(work, side_at(K_PASS PLANE_LABEL, row)) == SOFTMAX_ELSEWHERE)
        K_ST(work, side_at(K_PASS PLANE_ROW_LOSS, row), 0u);
    if (K_W(mode) == PAIRS_JOIN) {
        uint col = (K_P(flags) & OF_A_BLOCK) != 0u ? row + K_P(shift) : row;
        uint a = K_LD(work, side_at(K_PASS PLANE_ROW_LOSS, row));
        uint b = 0u;
        if (col < K_P(others)) b = K_LD(work, other_at(K_PASS PLANE_ROW_LOSS, col));
        K_ST(work, side_at(K_PASS PLANE_PAIR_LOSS, row), join_values(a, b));
    }
    if (K_W(mode) == PAIRS_ROWS && row == 0u) {
        uint scale = K_BITS(K_P(scale));
        uint bias = K_BITS(K_P(bias));
        if ((K_P(flags) & HAS_SCALE) != 0u) scale = K_LD(scale, 0);
        if ((K_P(flags) & HAS_BIAS) != 0u) bias = K_LD(bias, 0);
        K_ST(work, CONTRAST_SCALE, scale);
        K_ST(work, CONTRAST_BIAS, bias);
    }
#endif
