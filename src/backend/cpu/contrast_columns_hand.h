// contrast_columns_hand.h - contrast_columns over vector.h: statistics of 128 columns of a chunk over its rows.
//
// Included by contrast_columns__<set>.c, which defines HAND_NAME. Same contract as shaders/kernels/contrast_columns.k.h: the
// rows that count are added 8 at a time pairwise and join the column's sum, whose reference is moved only where a block has a
// new maximum. A row with FLAG_BAD is nobody's positive (contrast_pairs), so it is not looked at.
//
// Gained on Zen 5, 1024 rows of 4096 columns on one core: 8.2 ms as made and 2.8 ms by hand (AVX-512), 7.1 and 2.6 ms (AVX2);
// Of clip's time at 4096 rows and dim 512 on both cores of a busy machine it is 3.1 %, and was 4.3 %.
#include "backend/cpu/override.h"
#include "backend/cpu/vector.h"

#include "kernels/contrast.h"
#include "kernels/softmax.h"

WANE_CPU_ARGUMENTS(contrast_columns, CONTRAST_COLUMNS)

enum { HAND_COLS = 128, HAND_VECS = HAND_COLS / V_LANES, HAND_ROWS = 8 };
#define HAND_LOWEST (-3.4028235e38f)

typedef struct hand_columns {
    vec top[HAND_VECS], sum[HAND_VECS], mark[HAND_VECS];
    vec label[HAND_VECS];                  // words: the row of the chunk that is the column's positive
    uint32_t flags[HAND_COLS];
    vec_exp k;
} hand_columns;

// A block of up to 8 rows that count: where each is in memory, and its number in the chunk.
typedef struct hand_block {
    const uint32_t *cells[HAND_ROWS];
    uint32_t number[HAND_ROWS], count;
} hand_block;

static float hand_float(uint32_t word)
{
    float x;
    memcpy(&x, &word, 4);
    return x;
}

// Classes of the cells of one vector: what is special goes into the flags, and out of the sum.
static vec hand_sort_out(hand_columns *h, int v, vec z, uint32_t number)
{
    uint32_t own = v_bits(v_is_word(h->label[v], number)), finite = v_bits(v_size_below(z, K_WORD_INF));
    uint32_t words[V_LANES], marks[V_LANES];
    float x[V_LANES];
    v_store(words, z);
    v_store(marks, h->mark[v]);
    for (uint32_t i = 0; i < V_LANES; i++) {
        uint32_t bit = 1u << i, word = words[i], kind = FLAG_OTHER;
        if (!(finite & bit)) kind = word == K_WORD_MINUS_INF ? 0 : word == K_WORD_INF ? FLAG_PLUS_INF : FLAG_NAN;
        x[i] = kind == FLAG_OTHER && !(own & bit) ? hand_float(word) : HAND_LOWEST;
        if (own & bit) {
            kind = kind == FLAG_OTHER ? FLAG_TARGET : kind == 0 ? FLAG_TARGET | FLAG_TARGET_MINUS_INF : kind;
            marks[i] = word;
        }
        h->flags[v * V_LANES + (int)i] |= kind;
    }
    h->mark[v] = v_load(marks);
    return v_load(x);
}

VFN void hand_add(hand_columns *h, int v, const hand_block *b, uint32_t col, uint32_t width)
{
    vec x[HAND_ROWS], peak = h->top[v];
    bool plain = true, some = false;
    for (uint32_t u = 0; u < HAND_ROWS; u++) {
        x[u] = v_all(HAND_LOWEST);
        if (u >= b->count) continue;
        vec z = width < V_LANES ? v_load_part(b->cells[u] + col, width, 0) : v_load(b->cells[u] + col);
        bool usual = v_bits(v_size_below(z, K_WORD_INF)) == v_bits(v_first(V_LANES)) && !v_any(v_is_word(h->label[v], b->number[u]));
        plain = plain && usual;
        some = some || usual;
        x[u] = usual ? z : hand_sort_out(h, v, z, b->number[u]);
        peak = v_max(x[u], peak);
    }
    if (v_any(v_less(h->top[v], peak))) h->sum[v] = v_mul(h->sum[v], v_exp(v_sub(h->top[v], peak), h->k));
    h->top[v] = peak;
    vec e[HAND_ROWS];
    for (uint32_t u = 0; u < HAND_ROWS; u++) {
        e[u] = v_exp(v_sub(x[u], peak), h->k);
        // absent cells, also where every cell of the column is absent
        if (!plain || b->count < HAND_ROWS) e[u] = v_select(v_equal(x[u], v_all(HAND_LOWEST)), v_all(0), e[u]);
    }
    vec low = v_add(v_add(e[0], e[1]), v_add(e[2], e[3])), high = v_add(v_add(e[4], e[5]), v_add(e[6], e[7]));
    h->sum[v] = v_add(h->sum[v], v_add(low, high));
    if (some)
        for (uint32_t i = 0; i < V_LANES; i++) h->flags[v * V_LANES + (int)i] |= FLAG_OTHER;
}

// The statistics of column `col`, joined to what earlier chunks left in its planes.
static void hand_join(const contrast_columns_args *args, uint32_t col, float top, float sum, uint32_t mark, uint32_t flags, vec_exp k)
{
    uint32_t *slice = args->s.work + args->p.planes + (size_t)SOFTMAX_PLANES * args->p.plane_rows + col;
    const size_t step = args->p.plane_rows;
    if (args->w.from != 0) {
        float before = hand_float(slice[SLICE_MAX * step]), kept = hand_float(slice[SLICE_SUM * step]);
        uint32_t had = slice[SLICE_FLAGS * step];
        float highest = before > top ? before : top, fade[V_LANES];
        vec d = v_sub(v_select(v_first(1), v_all(before), v_all(top)), v_all(highest));
        v_store(fade, v_exp(d, k));
        sum = (kept > 0 ? kept * fade[0] : 0) + (sum > 0 ? sum * fade[1] : 0);
        top = highest;
        if (had & FLAG_TARGET) mark = slice[SLICE_TARGET * step];
        flags |= had;
    }
    if ((mark & 0x7fffffffu) >= K_WORD_INF) mark = 0;
    memcpy(&slice[SLICE_MAX * step], &top, 4);
    memcpy(&slice[SLICE_SUM * step], &sum, 4);
    slice[SLICE_TARGET * step] = mark;
    slice[SLICE_FLAGS * step] = flags;
    for (uint32_t plane = SLICE_SUM_EX; plane < SLICE_PLANES; plane++) slice[plane * step] = 0;
}

static void hand_group(const contrast_columns_args *args, uint32_t first)
{
    const uint32_t cols = args->p.rows, width = cols - first < HAND_COLS ? cols - first : HAND_COLS;
    const uint32_t *labels = args->s.work + args->p.planes + (size_t)PLANE_LABEL * args->p.plane_rows + first;
    const uint32_t *flags = args->s.work + args->p.other_planes + (size_t)PLANE_FLAGS * args->p.other_rows + args->w.first;
    hand_columns h;
    memset(h.flags, 0, sizeof h.flags);
    h.k = v_exp_of(1);
    uint32_t label[HAND_COLS];
    for (uint32_t i = 0; i < HAND_COLS; i++) label[i] = i < width ? labels[i] - args->w.first : SOFTMAX_NO_COLUMN;
    for (int v = 0; v < HAND_VECS; v++) {
        h.top[v] = v_all(HAND_LOWEST);
        h.sum[v] = h.mark[v] = v_all(0);
        h.label[v] = v_load(label + v * V_LANES);
    }
    for (uint32_t row = 0; row < args->w.count;) {
        hand_block b = {.count = 0};
        for (; row < args->w.count && b.count < HAND_ROWS; row++) {
            if (flags[row] & FLAG_BAD) continue;
            b.cells[b.count] = args->s.chunk + (size_t)row * cols + first;
            b.number[b.count++] = row;
        }
        if (b.count == 0) break;
        for (uint32_t v = 0; v * V_LANES < width; v++) hand_add(&h, (int)v, &b, v * V_LANES, width - v * V_LANES);
    }
    for (uint32_t v = 0; v * V_LANES < width; v++) {
        float top[V_LANES], sum[V_LANES];
        uint32_t mark[V_LANES];
        v_store(top, h.top[v]), v_store(sum, h.sum[v]), v_store(mark, h.mark[v]);
        for (uint32_t i = 0; i < V_LANES && v * V_LANES + i < width; i++)
            hand_join(args, first + v * V_LANES + i, top[i], sum[i], mark[i], h.flags[v * V_LANES + i], h.k);
    }
}

void HAND_NAME(const wane_cpu_call *call, uint32_t begin, uint32_t end);
void HAND_NAME(const wane_cpu_call *call, uint32_t begin, uint32_t end)
{
    contrast_columns_args args = contrast_columns_arguments(call);
    for (uint32_t item = begin; item < end; item++) hand_group(&args, item * HAND_COLS);
}
