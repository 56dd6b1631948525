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

#define COLUMN_LANES 128u
#define COLUMN_STEPS 8u
#define COLUMN_CELLS (COLUMN_STEPS * K_OWN)
#define COLUMN_OF(s) (K_ITEM * COLUMN_LANES + (s) * K_LANES + K_LANE)
#define COLUMN_LIVE(s) ((s) * K_LANES + K_LANE < COLUMN_LANES && COLUMN_OF(s) < K_P(rows))

K_FN uint slice_at(K_CTX uint what, uint col) { return side_at(K_PASS SOFTMAX_PLANES + what, col); }

// Eight rows of every column: words, -inf where there is none.
K_FN void load_rows(K_CTX K_INOUT_ARRAY(uint, word, COLUMN_CELLS), uint row)
{
    for (uint u = 0u; u < COLUMN_STEPS; u++) {
        bool here = row + u < K_W(count);
        if (here) here = (K_LD(work, other_at(K_PASS PLANE_FLAGS, K_W(first) + row + u)) & FLAG_BAD) == 0u;
        for (uint s = 0u; s < K_OWN; s++) {
            uint x = K_WORD_MINUS_INF;
            if (here && COLUMN_LIVE(s)) x = K_LD(chunk, K_WIDE(row + u) * K_WIDE(K_P(rows)) + K_WIDE(COLUMN_OF(s)));
            word[u * K_OWN + s] = x;
        }
    }
}

K_FN uint cell_class(uint word)
{
    uint size = word & 0x7fffffffu;
    uint special = word == K_WORD_MINUS_INF ? 0u : word == K_WORD_INF ? FLAG_PLUS_INF : FLAG_NAN;
    return size < K_WORD_INF ? FLAG_OTHER : special;
}

// One block into a column's top and sum. Absent cells, infinities and NaN add nothing.
K_FN void add_rows(K_CTX K_INOUT_ARRAY(uint, word, COLUMN_CELLS), K_INOUT_ARRAY(uint, label, K_OWN),
                   K_INOUT_ARRAY(float, top, K_OWN), K_INOUT_ARRAY(float, sum, K_OWN), K_INOUT_ARRAY(float, mark, K_OWN),
                   K_INOUT_ARRAY(uint, flag, K_OWN), uint row)
{
    float x[COLUMN_CELLS];
    float peak[K_OWN];
    for (uint s = 0u; s < K_OWN; s++) peak[s] = top[s];
    K_UNROLL for (uint u = 0u; u < COLUMN_STEPS; u++)
        for (uint s = 0u; s < K_OWN; s++) {
            uint w = word[u * K_OWN + s];
            bool own = label[s] == row + u && row + u < K_W(count);
            uint class_ = cell_class(w);
            bool finite = class_ == FLAG_OTHER;
            mark[s] = K_SELECT(own && finite, K_FLT(w), mark[s]);
            flag[s] |= own && finite ? FLAG_TARGET : own && w == K_WORD_MINUS_INF ? FLAG_TARGET | FLAG_TARGET_MINUS_INF : class_;
            bool used = finite && !own;
            x[u * K_OWN + s] = K_SELECT(used, K_FLT(w), -3.4028235e38f);
            peak[s] = K_MAX(x[u * K_OWN + s], peak[s]);
        }
    float e[COLUMN_CELLS];
    K_UNROLL for (uint u = 0u; u < COLUMN_STEPS; u++)
        for (uint s = 0u; s < K_OWN; s++) {
            float y = k_exp(k_clamp(x[u * K_OWN + s] - peak[s]));
            e[u * K_OWN + s] = K_SELECT(x[u * K_OWN + s] == -3.4028235e38f, 0.0f, y);
        }
    for (uint s = 0u; s < K_OWN; s++) {
        float low = (e[s] + e[K_OWN + s]) + (e[2u * K_OWN + s] + e[3u * K_OWN + s]);
        float high = (e[4u * K_OWN + s] + e[5u * K_OWN + s]) + (e[6u * K_OWN + s] + e[7u * K_OWN + s]);
        sum[s] = sum[s] * k_exp(k_clamp(top[s] - peak[s])) + (low + high);
        top[s] = peak[s];
    }
}

// Joined to what earlier chunks left.
K_FN void store_column(K_CTX uint col, float top, float sum, float mark, uint flag)
{
    float top_ = top;
    float sum_ = sum;
    float mark_ = mark;
    uint flag_ = flag;
    if (K_W(from) != 0u) {
        float before = K_FLT(K_LD(work, slice_at(K_PASS SLICE_MAX, col)));
        float kept = K_FLT(K_LD(work, slice_at(K_PASS SLICE_SUM, col)));
        uint had = K_LD(work, slice_at(K_PASS SLICE_FLAGS, col));
        top_ = K_MAX(before, top);
        float old = kept > 0.0f ? kept * k_exp(k_clamp(before - top_)) : 0.0f;
        float new_ = sum > 0.0f ? sum * k_exp(k_clamp(top - top_)) : 0.0f;
        sum_ = old + new_;
        if ((had & FLAG_TARGET) != 0u) mark_ = K_FLT(K_LD(work, slice_at(K_PASS SLICE_TARGET, col)));
        flag_ = flag | had;
    }
    K_ST(work, slice_at(K_PASS SLICE_MAX, col), K_BITS(top_));
    K_ST(work, slice_at(K_PASS SLICE_SUM, col), K_BITS(sum_));
    K_ST(work, slice_at(K_PASS SLICE_TARGET, col), K_BITS(mark_));
    K_ST(work, slice_at(K_PASS SLICE_FLAGS, col), flag_);
    for (uint k = SLICE_SUM_EX; k < SLICE_PLANES; k++) K_ST(work, slice_at(K_PASS k, col), 0u);
}
#else
    uint label[K_OWN];
    float top[K_OWN];
    float sum[K_OWN];
    float mark[K_OWN];
    uint flag[K_OWN];
    for (uint s = 0u; s < K_OWN; s++) {
        label[s] = SOFTMAX_NO_COLUMN; top[s] = -3.4028235e38f; sum[s] = 0.0f; mark[s] = 0.0f; flag[s] = 0u;
        if (COLUMN_LIVE(s)) label[s] = K_LD(work, side_at(K_PASS PLANE_LABEL, COLUMN_OF(s)));
        // as a row of this chunk; of other chunks it is none of those that count
        label[s] = label[s] == SOFTMAX_NO_COLUMN ? SOFTMAX_NO_COLUMN : label[s] - K_W(first);
    }
    for (uint row = 0u; row < K_W(count); row += COLUMN_STEPS) {
        uint word[COLUMN_CELLS];
        load_rows(K_PASS word, row);
        add_rows(K_PASS word, label, top, sum, mark, flag, row);
    }
    for (uint s = 0u; s < K_OWN; s++)
        if (COLUMN_LIVE(s)) store_column(K_PASS COLUMN_OF(s), top[s], sum[s], mark[s], flag[s]);
#endif
