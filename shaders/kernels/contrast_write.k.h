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

K_FN void load_cells(K_CTX K_INOUT_ARRAY(uint, word, CELLS), uint row, uint first)
{
    for (uint u = 0u; u < CELL_STEPS; u++)
        for (uint s = 0u; s < K_OWN; s++) {
            uint x = K_WORD_MINUS_INF;
            if (CELL_LIVE(first, u, s)) x = K_LD(chunk, CELL_AT(row, CELL_COL(first, u, s)));
            word[u * K_OWN + s] = x;
        }
}

// What the columns' losses add: their coefficients lie side by side, and the row's partner is one of them.
K_FN void add_columns(K_CTX K_INOUT_ARRAY(float, g, CELLS), K_INOUT_ARRAY(float, z, CELLS),
                      K_INOUT_ARRAY(uint, broken, CELLS), uint first, uint label)
{
    for (uint u = 0u; u < CELL_STEPS; u++)
        for (uint s = 0u; s < K_OWN; s++) {
            uint q = u * K_OWN + s;
            uint col = CELL_COL(first, u, s);
            float p = 0.0f;
            float top = 0.0f;
            broken[q] = ROW_ZERO;
            if (CELL_LIVE(first, u, s)) {
                p = K_FLT(K_LD(work, other_at(K_PASS PLANE_COEF + COEF_P, col)));
                top = K_FLT(K_LD(work, other_at(K_PASS PLANE_COEF + COEF_TOP, col)));
                broken[q] = K_LD(work, other_at(K_PASS PLANE_COEF + COEF_MODE, col));
            }
            float e = p * k_exp(k_clamp(z[q] - top));
            g[q] += K_SELECT(col == label, 0.0f, e);
        }
}

K_FN void write_cells(K_CTX uint row, uint first, row_slope c)
{
    uint word[CELLS];
    float z[CELLS];
    float g[CELLS];
    uint broken[CELLS];
    load_cells(K_PASS word, row, first);
    for (uint q = 0u; q < CELLS; q++) {
        bool finite = (word[q] & 0x7fffffffu) < K_WORD_INF;
        z[q] = K_SELECT(finite, K_FLT(word[q]), 0.0f);
        g[q] = c.p * k_exp(k_clamp(z[q] - c.top));
        broken[q] = ROW_ZERO;
    }
    if ((K_C(options) & CONTRAST_COLUMNS) != 0u) add_columns(K_PASS g, z, broken, first, c.label);
    if (c.label - first < CELL_BLOCK) {
        float own = c.target;
        if ((K_C(options) & CONTRAST_COLUMNS) != 0u)
            own += K_FLT(K_LD(work, other_at(K_PASS PLANE_COEF + COEF_TARGET, c.label)));
        for (uint q = 0u; q < CELLS; q++)
            g[q] = K_SELECT(CELL_COL(first, q / K_OWN, q % K_OWN) == c.label, own, g[q]);
    }
    for (uint u = 0u; u < CELL_STEPS; u++)
        for (uint s = 0u; s < K_OWN; s++) {
            uint q = u * K_OWN + s;
            uint store = word[q] == K_WORD_MINUS_INF && CELL_COL(first, u, s) != c.label ? 0u : K_BITS(g[q]);
            if (CELL_LIVE(first, u, s))
                K_ST(chunk, CELL_AT(row, CELL_COL(first, u, s)), broken[q] == ROW_NAN ? K_WORD_NAN : store);
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
