// tile_block.c - tile_product by packed panels: from a range of items to calls of an instruction set's micro-kernel.
//
// A range of items is at most three rectangles of the output. Each goes in blocks: of columns, of rows, of depth; within
// one, a panel of b is packed into the first cache and multiplied with every panel of a, which lies packed in the second
// cache or is read where it is. The depth is cut at multiples of 256 words from 0, and blocks are added in order: the
// bits of a cell do not depend on the rectangle.
#include "backend/cpu/tile_micro.h"

#include "kernels/softmax.h"
#include "kernels/tile.h"

WANE_CPU_ARGUMENTS(tile_product, TILE_PRODUCT)

enum {
    PACKED_ROWS = 192,                     // of a, packed at a time: 192 KiB of scratch, and more columns for each
    DIRECT_ROWS = 512,                     // of a, where it is read in place: what the second cache holds
    BLOCK_COLS = 1024,
    STAGE_ROWS = 96, STAGE_COLS = 252      // of the output as f32, where it is of another type or has no neighbours
};

typedef struct product {
    const tile_micro *micro;
    tile_view a, b;                        // all rows, all depth
    const char *bias;
    ptrdiff_t bias_bytes;
    uint32_t bias_type;
    char *out;
    ptrdiff_t out_row_bytes, out_col_bytes;
    uint32_t out_type;
    bool add, in_place, by_rows, staged;   // in_place: a is not packed; by_rows: a's neighbours lie along the depth
    uint32_t *a_words, *b_words;           // scratch
    float *stage, *edge, *bias_words;
} product;

typedef struct rectangle { uint32_t row0, row1, col0, col1; } rectangle;

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }
static ptrdiff_t bytes_of(uint32_t type) { return type == TYPE_F32 ? 4 : 2; }

static tile_view part_of(const tile_view *view, uint32_t row0, uint32_t rows, uint32_t depth0, uint32_t depth)
{
    tile_view part = *view;
    part.at += (ptrdiff_t)row0 * view->row_bytes + (ptrdiff_t)depth0 * view->depth_bytes;
    part.rows = rows;
    part.depth = depth;
    return part;
}

// ---- the output where a register tile cannot be stored ----

static void move_cells(const product *p, float *cells, ptrdiff_t cells_row, rectangle r, bool to_output)
{
    for (uint32_t i = r.row0; i < r.row1; i++) {
        float *line = cells + (ptrdiff_t)(i - r.row0) * cells_row;
        char *out = p->out + (ptrdiff_t)i * p->out_row_bytes + (ptrdiff_t)r.col0 * p->out_col_bytes;
        bool neighbours = p->out_col_bytes == bytes_of(p->out_type);
        uint32_t step = neighbours ? r.col1 - r.col0 : 1;
        for (uint32_t j = 0; j < r.col1 - r.col0; j += step, out += p->out_col_bytes) {
            if (to_output) p->micro->store(out, p->out_type, line + j, step);
            else p->micro->load(line + j, out, p->out_type, step);
        }
    }
}

// ---- one block: some rows, some columns, at most 256 words of depth ----

typedef struct block {
    rectangle at;
    uint32_t depth0, depth;
    bool add;                              // to what the output, or the stage, holds
} block;

static void pack_a_block(const product *p, const block *b, uint32_t words)
{
    const tile_micro *m = p->micro;
    for (uint32_t i = b->at.row0; i < b->at.row1; i += m->rows) {
        tile_view view = part_of(&p->a, i, smaller(m->rows, b->at.row1 - i), b->depth0, b->depth);
        uint32_t *out = p->a_words + (size_t)(i - b->at.row0) * words;
        if (p->by_rows) m->pack_rows(out, words, &view);
        else m->pack_a(out, &view);
    }
}

// A register tile that the output has in whole is made there; at an edge it is made beside and moved.
static void multiply_one(const product *p, const block *b, tile_job *job, rectangle cell)
{
    const tile_micro *m = p->micro;
    bool whole = cell.row1 - cell.row0 == m->rows && cell.col1 - cell.col0 == m->cols;
    if (p->staged) {
        job->c = p->stage + (ptrdiff_t)(cell.row0 - b->at.row0) * STAGE_COLS + (cell.col0 - b->at.col0);
        job->c_row = STAGE_COLS;
    } else if (whole) {
        job->c = (float *)(void *)(p->out + (ptrdiff_t)cell.row0 * p->out_row_bytes + (ptrdiff_t)cell.col0 * 4);
        job->c_row = p->out_row_bytes / 4;
    } else {
        job->c = p->edge;
        job->c_row = TILE_PANEL_COLS;
        if (job->add) move_cells(p, p->edge, TILE_PANEL_COLS, cell, false);
    }
    if (p->by_rows) m->multiply_rows(job);
    else m->multiply_panel(job);
    if (!p->staged && !whole) move_cells(p, p->edge, TILE_PANEL_COLS, cell, true);
}

static void load_bias(const product *p, uint32_t col0, uint32_t cols)
{
    memset(p->bias_words, 0, TILE_PANEL_COLS * sizeof *p->bias_words);
    for (uint32_t j = 0; j < cols; j++)
        p->micro->load(p->bias_words + j, p->bias + (ptrdiff_t)(col0 + j) * p->bias_bytes, p->bias_type, 1);
}

static void multiply_block(const product *p, const block *b)
{
    const tile_micro *m = p->micro;
    uint32_t words = (b->depth + m->pair - 1) / m->pair;
    if (!p->in_place) pack_a_block(p, b, words);
    for (uint32_t j = b->at.col0; j < b->at.col1; j += m->cols) {
        uint32_t cols = smaller(m->cols, b->at.col1 - j);
        tile_view view = part_of(&p->b, j, cols, b->depth0, b->depth);
        m->pack_b(p->b_words, &view);
        tile_job job = {.b = p->b_words, .words = words, .add = b->add};
        if (p->bias && b->depth0 == 0) {
            load_bias(p, j, cols);
            job.bias = p->bias_words;
        }
        for (uint32_t i = b->at.row0; i < b->at.row1; i += m->rows) {
            rectangle cell = {i, smaller(i + m->rows, b->at.row1), j, j + cols};
            tile_view rows = part_of(&p->a, i, cell.row1 - i, b->depth0, b->depth);
            job.a = (const char *)(p->a_words + (p->in_place ? 0 : (size_t)(i - b->at.row0) * words));
            job.a_row_bytes = (ptrdiff_t)words * 4;
            if (p->in_place && rows.rows == m->rows) {
                job.a = rows.at;
                job.a_row_bytes = rows.row_bytes;
            } else if (p->in_place) {
                m->pack_rows(p->a_words, words, &rows);
            }
            multiply_one(p, b, &job, cell);
        }
    }
}

// Blocks of equal size, at most `most`, in whole panels.
static uint32_t block_size(uint32_t count, uint32_t most, uint32_t panel)
{
    most = most / panel * panel;
    uint32_t blocks = (count + most - 1) / most, each = (count + blocks - 1) / blocks;
    return (each + panel - 1) / panel * panel;
}

static void multiply_rectangle(const product *p, rectangle r)
{
    const tile_micro *m = p->micro;
    uint32_t rows = p->staged ? STAGE_ROWS : p->in_place ? DIRECT_ROWS : PACKED_ROWS;
    rows = block_size(r.row1 - r.row0, rows, m->rows);
    uint32_t cols = block_size(r.col1 - r.col0, p->staged ? STAGE_COLS : BLOCK_COLS, m->cols);
    uint32_t depth = TILE_BLOCK_WORDS * m->pair;
    for (uint32_t j = r.col0; j < r.col1; j += cols)
        for (uint32_t i = r.row0; i < r.row1; i += rows) {
            block b = {.at = {i, smaller(i + rows, r.row1), j, smaller(j + cols, r.col1)}};
            if (p->staged && p->add) move_cells(p, p->stage, STAGE_COLS, b.at, false);
            for (uint32_t k = 0; k < p->a.depth; k += depth) {
                b.depth0 = k;
                b.depth = smaller(depth, p->a.depth - k);
                b.add = p->add || k > 0;
                multiply_block(p, &b);
            }
            if (p->staged) move_cells(p, p->stage, STAGE_COLS, b.at, true);
        }
}

// ---- a range of items ----

static void multiply_lines(const product *p, const tile_product_args *args, uint32_t line0, uint32_t line1, uint32_t tile0,
                           uint32_t tile1)
{
    if (line0 >= line1 || tile0 >= tile1) return;
    bool across = (args->w.flags & TILE_ACROSS) != 0;
    rectangle tiles = across ? (rectangle){line0, line1, tile0, tile1} : (rectangle){tile0, tile1, line0, line1};
    rectangle r = {tiles.row0 * TILE_ROWS, smaller(tiles.row1 * TILE_ROWS, args->w.rows),
                   tiles.col0 * TILE_COLS, smaller(tiles.col1 * TILE_COLS, args->w.cols)};
    if (r.row0 >= r.row1) return;          // rows that do not count
    multiply_rectangle(p, r);
}

static void multiply_items(const product *p, const tile_product_args *args, uint32_t begin, uint32_t end)
{
    uint32_t tiles = args->w.tiles, line0 = begin / tiles, line1 = (end - 1) / tiles;
    uint32_t first = begin - line0 * tiles, last = end - line1 * tiles;
    if (line0 == line1) {
        multiply_lines(p, args, line0, line0 + 1, first, last);
        return;
    }
    if (first > 0) multiply_lines(p, args, line0, line0 + 1, first, tiles);
    uint32_t from = line0 + (first > 0), to = line1 + (last == tiles);
    multiply_lines(p, args, from, to, 0, tiles);
    if (last < tiles) multiply_lines(p, args, line1, line1 + 1, 0, last);
}

static tile_view view_of(const uint32_t *slot, uint32_t type, uint32_t row, uint32_t depth_step, uint32_t rows, uint32_t depth)
{
    ptrdiff_t bytes = bytes_of(type);
    return (tile_view){(const char *)slot, (int32_t)row * bytes, (int32_t)depth_step * bytes, type, rows, depth};
}

static bool suits_pairs(const tile_view *a, const tile_view *b, bool may_round)
{
    if (a->type == TYPE_F16 || b->type == TYPE_F16) return false;
    uint32_t halves = (a->type == TYPE_BF16) + (b->type == TYPE_BF16);
    return halves == 2 || (halves == 1 && may_round);
}

uint32_t wane_tile_line(const uint32_t *window)
{
    struct { TILE_PRODUCT_WINDOW(OVERRIDE_U_) } w;
    memcpy(&w, window, sizeof w);
    return w.tiles;
}

// Rows that do not count come last: they are left out of the output, or, being zeros, of the depth.
static void keep_live(tile_product_args *args)
{
    if (!(args->c.options & (TILE_LIVE_ROWS | TILE_LIVE_DEPTH))) return;
    uint32_t live = args->s.live[0] > args->w.first ? args->s.live[0] - args->w.first : 0;
    if (args->c.options & TILE_LIVE_ROWS) args->w.rows = smaller(args->w.rows, live);
    // a depth of none would write nothing where the output is to become 0
    else args->w.depth = smaller(args->w.depth, live ? live : 1);
}

bool wane_tile_run(const tile_micro *words, const tile_micro *pairs, const wane_cpu_call *call, uint32_t begin, uint32_t end)
{
    tile_product_args args = tile_product_arguments(call);
    keep_live(&args);
    uint32_t types = args.c.types;
    product p = {.add = (args.w.flags & TILE_ADD) != 0};
    p.a = view_of(args.s.a, types & 15u, args.p.a_row, args.p.a_depth, args.w.rows, args.w.depth);
    p.b = view_of(args.s.b, (types >> TILE_SHIFT_B) & 15u, args.p.b_row, args.p.b_depth, args.w.cols, args.w.depth);
    bool a_along = p.a.depth_bytes == bytes_of(p.a.type), a_across = p.a.row_bytes == bytes_of(p.a.type);
    bool b_along = p.b.depth_bytes == bytes_of(p.b.type), b_across = p.b.row_bytes == bytes_of(p.b.type);
    if (!(a_along || a_across) || !(b_along || b_across)) return false;
    if (begin >= end) return true;
    p.micro = pairs && suits_pairs(&p.a, &p.b, (args.w.flags & TILE_MAY_ROUND) != 0) ? pairs : words;
    p.by_rows = a_along;
    p.in_place = a_along && p.a.type == (p.micro->pair == 2 ? TYPE_BF16 : TYPE_F32) && p.a.depth % p.micro->pair == 0;
    p.bias_type = (types >> TILE_SHIFT_BIAS) & 15u;
    p.bias_bytes = (int32_t)args.p.bias_col * bytes_of(p.bias_type);
    p.bias = args.c.options & TILE_BIAS ? (const char *)args.s.bias : NULL;
    p.out_type = (types >> TILE_SHIFT_OUT) & 15u;
    p.out = (char *)args.s.product;
    p.out_row_bytes = (int32_t)args.p.out_row * bytes_of(p.out_type);
    p.out_col_bytes = (int32_t)args.p.out_col * bytes_of(p.out_type);
    p.staged = p.out_type != TYPE_F32 || p.out_col_bytes != 4;

    _Alignas(64) uint32_t scratch[PACKED_ROWS * TILE_BLOCK_WORDS];       // staged: STAGE_ROWS packed, and the stage
    _Alignas(64) uint32_t panel[TILE_PANEL_COLS * TILE_BLOCK_WORDS];
    _Alignas(64) float edge[TILE_PANEL_ROWS * TILE_PANEL_COLS] = {0}, bias[TILE_PANEL_COLS];
    p.a_words = scratch;
    p.stage = (float *)(void *)(scratch + STAGE_ROWS * TILE_BLOCK_WORDS);
    p.b_words = panel;
    p.edge = edge;
    p.bias_words = bias;
    multiply_items(&p, &args, begin, end);
    return true;
}
