// One group, one row of a chunk of similarities: their gradient in place, from the coefficients that the link left for the
// row and, with CONTRAST_COLUMNS, for every column. window.first is the planes' row of the first item. Each cell is read
// and written by one lane. The record is that of the side of a.
#if K_PHASE == 1
#include "softmax.h"
#include "contrast.h"
#include "elementary.h"
#include "contrast_planes.h"

#define CELL_LANES 128u
#define CELL_STEPS 8u
#define CELLS (CELL_STEPS * K_OWN)
#define CELL_BLOCK 1024u
#define CELL_COL(first, u, s) ((first) + (u) * CELL_LANES + (s) * K_LANES + K_LANE)
#define CELL_LIVE(first, u, s) (CELL_COL(first, u, s) < K_P(others) && (s) * K_LANES + K_LANE < CELL_LANES)
// Whether a block has all of its columns: the path that C compilers vectorise.
#if K_WORDS_ONLY
#define CELLS_WHOLE(first) false
#else
#define CELLS_WHOLE(first) (K_OWN * K_LANES == CELL_LANES && K_P(others) - (first) >= CELL_BLOCK)
#endif
#define CELL_STEP(u, s) K_WIDE((u) * CELL_LANES + (s) * K_LANES + K_LANE)
#define CELL_AT(row, col) (K_WIDE(row) * K_WIDE(K_P(others)) + K_WIDE(col))

struct row_slope {
    uint mode, label;
    float p, target, top;
};
K_STRUCT(row_slope)

K_FN row_slope load_slope(K_CTX uint row)
{
    row_slope c;
    c.mode = K_LD(work, side_at(K_PASS PLANE_COEF + COEF_MODE, row));
    c.label = K_LD(work, side_at(K_PASS PLANE_LABEL, row));
    c.p = K_FLT(K_LD(work, side_at(K_PASS PLANE_COEF + COEF_P, row)));
    c.target = K_FLT(K_LD(work, side_at(K_PASS PLANE_COEF + COEF_TARGET, row)));
    c.top = K_FLT(K_LD(work, side_at(K_PASS PLANE_COEF + COEF_TOP, row)));
    return c;
}

K_FN void fill_row(K_CTX uint row, uint word)
{
    for (uint col = K_LANE; col < K_P(others); col += K_LANES) K_ST(chunk, CELL_AT(row, col), word);
}

// Words from `at` for the lanes' cells: a row of the chunk, or a plane of columns. `none` where there is no column.
#define LOAD_CELLS(slot, target, at, first, none)                                                                      \
    if (CELLS_WHOLE(first)) {                                                                                          \
        for (uint u = 0u; u < CELL_STEPS; u++)                                                                         \
            for (uint s = 0u; s < K_OWN; s++) target[u * K_OWN + s] = K_LD(slot, at + CELL_STEP(u, s));                \
    } else {                                                                                                           \
        for (uint u = 0u; u < CELL_STEPS; u++)                                                                         \
            for (uint s = 0u; s < K_OWN; s++) {                                                                        \
                target[u * K_OWN + s] = none;                                                                          \
                if (CELL_LIVE(first, u, s)) target[u * K_OWN + s] = K_LD(slot, at + CELL_STEP(u, s));                  \
            }                                                                                                          \
    }

K_FN void load_cells(K_CTX K_INOUT_ARRAY(uint, word, CELLS), uint row, uint first)
{
    K_INDEX at = CELL_AT(row, first);
    LOAD_CELLS(chunk, word, at, first, K_WORD_MINUS_INF)
}

K_FN void load_plane(K_CTX K_INOUT_ARRAY(uint, word, CELLS), uint plane, uint first)
{
    K_INDEX at = K_WIDE(other_at(K_PASS plane, first));
    LOAD_CELLS(work, word, at, first, 0u)
}

// What the columns' losses add: their coefficients lie side by side, and the row's partner is one of them. A column whose
// mode is ROW_NAN leaves its mark.
K_FN void add_columns(K_CTX K_INOUT_ARRAY(float, g, CELLS), K_INOUT_ARRAY(float, z, CELLS),
                      K_INOUT_ARRAY(uint, mode, CELLS), uint first)
{
    uint p[CELLS];
    uint top[CELLS];
    load_plane(K_PASS p, PLANE_COEF + COEF_P, first);
    load_plane(K_PASS top, PLANE_COEF + COEF_TOP, first);
    load_plane(K_PASS mode, PLANE_COEF + COEF_MODE, first);
    for (uint q = 0u; q < CELLS; q++) g[q] += K_FLT(p[q]) * k_exp(k_clamp(z[q] - K_FLT(top[q])));
}

K_FN void write_cells(K_CTX uint row, uint first, row_slope c)
{
    uint word[CELLS];
    float z[CELLS];
    float g[CELLS];
    uint mode[CELLS];
    load_cells(K_PASS word, row, first);
    for (uint q = 0u; q < CELLS; q++) {
        z[q] = K_FLT((word[q] & 0x7fffffffu) < K_WORD_INF ? word[q] : 0u);
        g[q] = c.p * k_exp(k_clamp(z[q] - c.top));
        mode[q] = ROW_ZERO;
    }
    if ((K_C(options) & CONTRAST_COLUMNS) != 0u) add_columns(K_PASS g, z, mode, first);
    for (uint q = 0u; q < CELLS; q++) g[q] = K_SELECT(word[q] == K_WORD_MINUS_INF, 0.0f, g[q]);
    if (c.label - first < CELL_BLOCK) {
        float own = c.target;
        if ((K_C(options) & CONTRAST_COLUMNS) != 0u)
            own += K_FLT(K_LD(work, other_at(K_PASS PLANE_COEF + COEF_TARGET, c.label)));
        for (uint u = 0u; u < CELL_STEPS; u++)
            for (uint s = 0u; s < K_OWN; s++)
                g[u * K_OWN + s] = K_SELECT(CELL_COL(first, u, s) == c.label, own, g[u * K_OWN + s]);
    }
    for (uint q = 0u; q < CELLS; q++) word[q] = mode[q] == ROW_NAN ? K_WORD_NAN : K_BITS(g[q]);
    K_INDEX at = CELL_AT(row, first);
    if (CELLS_WHOLE(first)) {
        for (uint u = 0u; u < CELL_STEPS; u++)
            for (uint s = 0u; s < K_OWN; s++) K_ST(chunk, at + CELL_STEP(u, s), word[u * K_OWN + s]);
    } else {
        for (uint u = 0u; u < CELL_STEPS; u++)
            for (uint s = 0u; s < K_OWN; s++)
                if (CELL_LIVE(first, u, s)) K_ST(chunk, at + CELL_STEP(u, s), word[u * K_OWN + s]);
    }
}
#else
    uint row = K_ITEM;
    uint side = K_W(first) + row;
    row_slope c = load_slope(K_PASS side);
    uint flags = K_LD(work, side_at(K_PASS PLANE_FLAGS, side));
    bool columns = (K_C(options) & CONTRAST_COLUMNS) != 0u;
    bool idle = (flags & FLAG_BAD) != 0u || (c.mode == ROW_ZERO && !columns);
    if (idle) fill_row(K_PASS row, 0u);
    else if (c.mode == ROW_NAN) fill_row(K_PASS row, K_WORD_NAN);
    else for (uint first = 0u; first < K_P(others); first += CELL_BLOCK) write_cells(K_PASS row, first, c);
    // a bias moves all logits of a row or column together: no softmax sees it
    if (K_LANE == 0u) K_ST(work, side_at(K_PASS PLANE_SLOPES, side), !idle && c.mode == ROW_NAN ? K_WORD_NAN : 0u);
#endif
