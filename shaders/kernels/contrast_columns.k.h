// One group, 128 columns of a chunk of similarities: the statistics of each column over the chunk's rows without the row
// that is its positive, joined to those of the chunks before (window.from is 0 for the first). The record is that of the
// side of b; window.first is the chunk's first row, window.count its rows. A virtual lane has a column, so that lanes read
// neighbours. Rows in blocks of 8 whose terms are added pairwise: with at most 8192 rows a chunk no chain of additions
// passes 1024. Rows with FLAG_BAD take no part.
#if K_PHASE == 1
#include "softmax.h"
#include "contrast.h"
#include "elementary.h"
#include "contrast_planes.h"

#define K_WORD_LOWEST 0xff7fffffu           // the least finite f32: no similarity, or one whose exponential is 0
#define COLUMN_LANES 128u
#define COLUMN_STEPS 8u
#define COLUMN_CELLS (COLUMN_STEPS * K_OWN)
#define COLUMN_OF(s) (K_ITEM * COLUMN_LANES + (s) * K_LANES + K_LANE)
#define COLUMN_LIVE(s) ((s) * K_LANES + K_LANE < COLUMN_LANES && COLUMN_OF(s) < K_P(rows))

K_FN uint slice_at(K_CTX uint what, uint col) { return side_at(K_PASS SOFTMAX_PLANES + what, col); }

// Eight rows of every column: words, -inf where there is none. Whole rows of 128 columns are what C compilers vectorise.
K_FN void load_rows(K_CTX K_INOUT_ARRAY(uint, word, COLUMN_CELLS), uint row)
{
    bool whole = K_OWN * K_LANES == COLUMN_LANES && (K_ITEM + 1u) * COLUMN_LANES <= K_P(rows);
    for (uint u = 0u; u < COLUMN_STEPS; u++) {
        bool here = row + u < K_W(count);
        if (here) here = (K_LD(work, other_at(K_PASS PLANE_FLAGS, K_W(first) + row + u)) & FLAG_BAD) == 0u;
        K_INDEX at = K_WIDE(row + u) * K_WIDE(K_P(rows)) + K_WIDE(K_ITEM * COLUMN_LANES);
        if (here && whole) {
            for (uint s = 0u; s < K_OWN; s++) word[u * K_OWN + s] = K_LD(chunk, at + K_WIDE(s * K_LANES + K_LANE));
        } else {
            for (uint s = 0u; s < K_OWN; s++) {
                uint x = K_WORD_MINUS_INF;
                if (here && COLUMN_LIVE(s)) x = K_LD(chunk, at + K_WIDE(s * K_LANES + K_LANE));
                word[u * K_OWN + s] = x;
            }
        }
    }
}

K_FN uint cell_class(uint word)
{
    uint special = word == K_WORD_MINUS_INF ? 0u : word == K_WORD_INF ? FLAG_PLUS_INF : FLAG_NAN;
    return (word & 0x7fffffffu) < K_WORD_INF ? FLAG_OTHER : special;
}

// One block into a column's top and sum. Absent cells, infinities and NaN add nothing.
K_FN void add_rows(K_CTX K_INOUT_ARRAY(uint, word, COLUMN_CELLS), K_INOUT_ARRAY(uint, label, K_OWN),
                   K_INOUT_ARRAY(float, top, K_OWN), K_INOUT_ARRAY(float, sum, K_OWN), K_INOUT_ARRAY(uint, mark, K_OWN),
                   K_INOUT_ARRAY(uint, flag, K_OWN), uint row)
{
    float x[COLUMN_CELLS];
    float peak[K_OWN];
    for (uint s = 0u; s < K_OWN; s++) peak[s] = top[s];
    K_UNROLL for (uint u = 0u; u < COLUMN_STEPS; u++)
        for (uint s = 0u; s < K_OWN; s++) {
            uint w = word[u * K_OWN + s];
            uint kind = cell_class(w);
            uint mine = kind == FLAG_OTHER ? FLAG_TARGET : kind == 0u ? FLAG_TARGET | FLAG_TARGET_MINUS_INF : kind;
            bool own = label[s] == row + u;
            flag[s] |= own ? mine : kind;
            mark[s] = own ? w : mark[s];
            uint used = kind == FLAG_OTHER ? w : K_WORD_LOWEST;
            x[u * K_OWN + s] = K_FLT(own ? K_WORD_LOWEST : used);
        }
    K_UNROLL for (uint u = 0u; u < COLUMN_STEPS; u++)
        for (uint s = 0u; s < K_OWN; s++) peak[s] = K_MAX(x[u * K_OWN + s], peak[s]);
    float e[COLUMN_CELLS];
    K_UNROLL for (uint u = 0u; u < COLUMN_STEPS; u++)
        for (uint s = 0u; s < K_OWN; s++) {
            float y = k_exp(k_clamp(x[u * K_OWN + s] - peak[s]));
            e[u * K_OWN + s] = K_SELECT(K_BITS(x[u * K_OWN + s]) == K_WORD_LOWEST, 0.0f, y);
        }
    for (uint s = 0u; s < K_OWN; s++) {
        float low = (e[s] + e[K_OWN + s]) + (e[2u * K_OWN + s] + e[3u * K_OWN + s]);
        float high = (e[4u * K_OWN + s] + e[5u * K_OWN + s]) + (e[6u * K_OWN + s] + e[7u * K_OWN + s]);
        sum[s] = sum[s] * k_exp(k_clamp(top[s] - peak[s])) + (low + high);
        top[s] = peak[s];
    }
}

// Joined to what earlier chunks left.
K_FN void store_column(K_CTX uint col, float top, float sum, uint mark, uint flag)
{
    float top_ = top;
    float sum_ = sum;
    uint mark_ = mark;
    uint flag_ = flag;
    if (K_W(from) != 0u) {
        float before = K_FLT(K_LD(work, slice_at(K_PASS SLICE_MAX, col)));
        float kept = K_FLT(K_LD(work, slice_at(K_PASS SLICE_SUM, col)));
        uint had = K_LD(work, slice_at(K_PASS SLICE_FLAGS, col));
        top_ = K_MAX(before, top);
        float old = kept > 0.0f ? kept * k_exp(k_clamp(before - top_)) : 0.0f;
        float new_ = sum > 0.0f ? sum * k_exp(k_clamp(top - top_)) : 0.0f;
        sum_ = old + new_;
        if ((had & FLAG_TARGET) != 0u) mark_ = K_LD(work, slice_at(K_PASS SLICE_TARGET, col));
        flag_ = flag | had;
    }
    K_ST(work, slice_at(K_PASS SLICE_MAX, col), K_BITS(top_));
    K_ST(work, slice_at(K_PASS SLICE_SUM, col), K_BITS(sum_));
    K_ST(work, slice_at(K_PASS SLICE_TARGET, col), (mark_ & 0x7fffffffu) < K_WORD_INF ? mark_ : 0u);
    K_ST(work, slice_at(K_PASS SLICE_FLAGS, col), flag_);
    for (uint k = SLICE_SUM_EX; k < SLICE_PLANES; k++) K_ST(work, slice_at(K_PASS k, col), 0u);
}
#else
    uint label[K_OWN];
    float top[K_OWN];
    float sum[K_OWN];
    uint mark[K_OWN];
    uint flag[K_OWN];
    for (uint s = 0u; s < K_OWN; s++) {
        label[s] = SOFTMAX_NO_COLUMN; top[s] = -3.4028235e38f; sum[s] = 0.0f; mark[s] = 0u; flag[s] = 0u;
        if (COLUMN_LIVE(s)) label[s] = K_LD(work, side_at(K_PASS PLANE_LABEL, COLUMN_OF(s)));
        // as a row of this chunk, or none of them
        label[s] = label[s] - K_W(first) < K_W(count) ? label[s] - K_W(first) : SOFTMAX_NO_COLUMN;
    }
    for (uint row = 0u; row < K_W(count); row += COLUMN_STEPS) {
        uint word[COLUMN_CELLS];
        load_rows(K_PASS word, row);
        add_rows(K_PASS word, label, top, sum, mark, flag, row);
    }
    for (uint s = 0u; s < K_OWN; s++)
        if (COLUMN_LIVE(s)) store_column(K_PASS COLUMN_OF(s), top[s], sum[s], mark[s], flag[s]);
#endif
