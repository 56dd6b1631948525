// tile_passes.c - products, column sums and stores as passes, cut so that windows and a dispatch's time budget hold.
#include "loss/tile.h"

#define FIELDS(name, RECORD)                                                                                           \
    typedef struct name {                                                                                              \
        RECORD(U, F)                                                                                                   \
    } name;
#define U(name) uint32_t name;
#define F(name) float name;
FIELDS(tile_fields, TILE_RECORD)
#undef U
#undef F
#undef FIELDS

typedef struct tile_window {
#define U(name) uint32_t name;
    TILE_WINDOW(U)
#undef U
} tile_window;

enum {
    MULTIPLIES_PER_ELEM = 64               // limits count what a row loss does to an element: some 64 multiply-adds
};

static wane_status too_many_strides(const wane_plan *plan)
{
    return wane_fail(plan->context, WANE_ERROR_INTERNAL, NULL, "a plan with more than %d records", WANE_MAX_RECORDS);
}

static wane_status does_not_fit(const wane_plan *plan, const tile_matrix *m)
{
    const char *name = m->operand >= 0 ? plan->operands[m->operand].role->name : "workspace";
    return wane_fail(plan->context, WANE_ERROR_TOO_LARGE, name,
                     "not even a tile of it fits the device's window of %llu bytes, or its strides 31 bits: make it contiguous",
                     (unsigned long long)plan->limits.max_window_bytes);
}

static uint32_t tiles(int64_t extent, uint32_t tile) { return (uint32_t)((extent + tile - 1) / tile); }

static wane_status emit_product(wane_plan *plan, const tile_product *p)
{
    tile_fields fields = {(uint32_t)p->a.row, (uint32_t)p->a.col, (uint32_t)p->b.row, (uint32_t)p->b.col,
                          (uint32_t)p->out.row, (uint32_t)p->out.col, (uint32_t)p->bias.col, 0};
    uint32_t words[sizeof fields / 4];
    memcpy(words, &fields, sizeof fields);
    uint8_t record = tile_record(plan, words, sizeof fields / 4);
    if (record == WANE_MAX_RECORDS) return too_many_strides(plan);
    uint32_t down = tiles(p->out.rows, TILE_ROWS), over = tiles(p->out.cols, TILE_COLS);
    wane_pass *pass = wane_plan_add(plan, WANE_KERNEL_TILE_PRODUCT, down * over);
    if (!pass) return wane_no_memory(plan->context);
    tile_window window = {down * over, 0, (uint32_t)p->out.rows, (uint32_t)p->out.cols, (uint32_t)p->a.cols,
                          p->across ? over : down, (p->add ? TILE_ADD : 0) | (p->across ? TILE_ACROSS : 0) | TILE_MAY_ROUND, (uint32_t)p->first};
    memcpy(pass->window, &window, sizeof window);
    bool bias = p->bias.operand != WANE_SLOT_NONE;
    pass->record = record;
    pass->consts[0] = tile_type(&p->a) | tile_type(&p->b) << TILE_SHIFT_B | tile_type(&p->bias) << TILE_SHIFT_BIAS
                    | tile_type(&p->out) << TILE_SHIFT_OUT;
    pass->consts[1] = tile_by_depth(&p->a, &p->b) | (bias ? TILE_BIAS : 0) | p->live;
    pass->slots[0] = tile_slot(&p->a);
    pass->slots[1] = tile_slot(&p->b);
    pass->slots[2] = tile_slot(&p->bias);
    pass->slots[3] = tile_slot(&p->out);
    if (p->live) pass->slots[4] = (wane_slot){WANE_SLOT_WORKSPACE, 0, 4 * SOFTMAX_LIVE, 4, 0};
    return WANE_OK;
}

int64_t tile_half(int64_t extent, int64_t tile) { return (extent / tile + 1) / 2 * tile; }

bool tile_long(const wane_plan *plan, int64_t rows, int64_t cols, int64_t depth)
{
    uint64_t work = (uint64_t)(rows * cols) / MULTIPLIES_PER_ELEM + 1;
    return work > plan->limits.max_dispatch_elems / (uint64_t)depth;
}

static tile_product rows_of(tile_product p, int64_t first, int64_t count)
{
    p.a = tile_part(p.a, first, count, 0, p.a.cols);
    p.out = tile_part(p.out, first, count, 0, p.out.cols);
    if (p.live & TILE_LIVE_ROWS) p.first += first;
    return p;
}

static tile_product cols_of(tile_product p, int64_t first, int64_t count)
{
    p.b = tile_part(p.b, first, count, 0, p.b.cols);
    if (p.bias.operand != WANE_SLOT_NONE) p.bias = tile_part(p.bias, 0, 1, first, count);
    p.out = tile_part(p.out, 0, p.out.rows, first, count);
    return p;
}

static tile_product depth_of(tile_product p, int64_t first, int64_t count)
{
    p.a = tile_part(p.a, 0, p.a.rows, first, count);
    p.b = tile_part(p.b, 0, p.b.rows, first, count);
    if (first) p.bias = tile_none(), p.add = true;
    if (p.live & TILE_LIVE_DEPTH) p.first += first;
    return p;
}

// Which dimension to halve next: 0 none. Of what does not fit the larger one goes first.
static int to_halve(const wane_plan *plan, const tile_product *p)
{
    int64_t rows = p->out.rows, cols = p->out.cols, depth = p->a.cols;
    if (depth == 0) return 0;              // a sum of nothing: zeros, or the bias
    if (depth > (int64_t)TILE_DEPTH_MOST) return 'd';
    bool a = tile_fits(plan, &p->a), b = tile_fits(plan, &p->b), out = tile_fits(plan, &p->out) && tile_fits(plan, &p->bias);
    bool long_ = tile_long(plan, rows, cols, depth);
    if (a && b && out && !long_) return 0;
    bool by_rows = rows > (int64_t)TILE_ROWS && (!a || !out || long_), by_cols = cols > (int64_t)TILE_COLS && (!b || !out || long_);
    if (by_rows && (!by_cols || rows >= cols)) return 'r';
    if (by_cols) return 'c';
    if (long_ && a && b && out) return 0;  // one tile
    // halves of a depth are sums of their own: an f32 output takes them without a further rounding
    return depth > 1 && p->out.dtype == WANE_DTYPE_F32 ? 'd' : -1;
}

wane_status tile_add_product(wane_plan *plan, const tile_product *p)
{
    if (p->out.rows < 1 || p->out.cols < 1) return WANE_OK;
    int64_t half;
    tile_product first, second;
    switch (to_halve(plan, p)) {
    case 0: return emit_product(plan, p);
    case 'r':
        half = tile_half(p->out.rows, TILE_ROWS);
        first = rows_of(*p, 0, half), second = rows_of(*p, half, p->out.rows - half);
        break;
    case 'c':
        half = tile_half(p->out.cols, TILE_COLS);
        first = cols_of(*p, 0, half), second = cols_of(*p, half, p->out.cols - half);
        break;
    case 'd':
        half = p->a.cols > 2 * (int64_t)TILE_DEPTH ? tile_half(p->a.cols, TILE_DEPTH) : p->a.cols / 2;
        first = depth_of(*p, 0, half), second = depth_of(*p, half, p->a.cols - half);
        break;
    default: return does_not_fit(plan, !tile_fits(plan, &p->a) ? &p->a : !tile_fits(plan, &p->b) ? &p->b : &p->out);
    }
    wane_status status = tile_add_product(plan, &first);
    return status ? status : tile_add_product(plan, &second);
}

// ---- sums and stores ----

static wane_status add_simple(wane_plan *plan, uint16_t kernel, const tile_matrix *from, const tile_matrix *out, uint32_t items,
                              bool add)
{
    tile_fields fields = {(uint32_t)from->row, (uint32_t)from->col, 0, 0, (uint32_t)out->row, (uint32_t)out->col, 0, 0};
    uint32_t words[sizeof fields / 4];
    memcpy(words, &fields, sizeof fields);
    uint8_t record = tile_record(plan, words, sizeof fields / 4);
    if (record == WANE_MAX_RECORDS) return too_many_strides(plan);
    wane_pass *pass = wane_plan_add(plan, kernel, items);
    if (!pass) return wane_no_memory(plan->context);
    tile_window window = {items, 0, (uint32_t)from->rows, (uint32_t)from->cols, 0, 0, add ? TILE_ADD : 0, 0};
    memcpy(pass->window, &window, sizeof window);
    pass->record = record;
    pass->consts[0] = tile_type(from) | tile_type(out) << TILE_SHIFT_OUT;
    pass->slots[0] = tile_slot(from);
    pass->slots[1] = tile_slot(out);
    return WANE_OK;
}

wane_status tile_add_sums(wane_plan *plan, tile_matrix from, tile_matrix out, bool add)
{
    if (!tile_fits(plan, &from) || !tile_fits(plan, &out)) return does_not_fit(plan, tile_fits(plan, &from) ? &out : &from);
    return add_simple(plan, WANE_KERNEL_TILE_SUMS, &from, &out, tiles(from.cols, TILE_SUM_COLS), add);
}

wane_status tile_add_store(wane_plan *plan, tile_matrix from, int64_t planes, int64_t plane, tile_matrix out, bool add)
{
    if (from.rows < 1 || from.cols < 1) return WANE_OK;
    int64_t most = (int64_t)1 << 26, rows = from.rows;           // elements of a dispatch
    tile_matrix all = from;
    all.rows += (planes - 1) * plane;
    if (!tile_fits(plan, &all) || !tile_fits(plan, &out) || (rows > 1 && rows * from.cols > most)) {
        int64_t half = rows / 2;
        if (half == 0) return does_not_fit(plan, tile_fits(plan, &all) ? &out : &all);
        wane_status status = tile_add_store(plan, tile_part(from, 0, half, 0, from.cols), planes, plane,
                                            tile_part(out, 0, half, 0, from.cols), add);
        return status ? status
                      : tile_add_store(plan, tile_part(from, half, rows - half, 0, from.cols), planes, plane,
                                       tile_part(out, half, rows - half, 0, from.cols), add);
    }
    uint32_t count = plan->pass_count;
    wane_status status = add_simple(plan, WANE_KERNEL_TILE_STORE, &all, &out, (uint32_t)(rows * from.cols), add);
    if (status) return status;
    wane_pass *pass = &plan->passes[count];
    pass->window[2] = (uint32_t)rows;
    pass->window[4] = (uint32_t)planes;
    pass->window[5] = (uint32_t)(plane * from.row);
    return status;
}

// ---- rows that count ----

enum { MOVE_WORDS_MOST = 1 << 26 };        // of a dispatch

wane_status tile_add_gather(wane_plan *plan, tile_matrix from, tile_matrix dense, int64_t first, tile_order order)
{
    if (!tile_fits(plan, &from) || !tile_fits(plan, &dense)) return does_not_fit(plan, tile_fits(plan, &from) ? &dense : &from);
    bool half = from.dtype != WANE_DTYPE_F32;
    int64_t words = half ? dense.row / 2 : dense.row, most = softmax_clamp(MOVE_WORDS_MOST / words, 1, INT32_MAX);
    wane_status status = WANE_OK;
    for (int64_t row = 0, rows; row < dense.rows && status == WANE_OK; row += rows) {
        rows = softmax_clamp(dense.rows - row, 1, most);
        tile_matrix part = tile_part(dense, row, rows, 0, half ? dense.row : dense.cols);
        tile_matrix words_of = part;       // its rows, in words
        words_of.row = words;
        words_of.col = 1;
        tile_matrix source = from;
        uint32_t count = plan->pass_count;
        status = add_simple(plan, WANE_KERNEL_TILE_GATHER, &source, &words_of, (uint32_t)(rows * words), false);
        if (status) return status;
        wane_pass *pass = &plan->passes[count];
        pass->window[2] = (uint32_t)rows;
        pass->window[3] = (uint32_t)from.cols;
        pass->window[4] = (uint32_t)(first + row);
        pass->window[5] = order.word;
        pass->consts[0] = tile_type(&from);
        pass->slots[1] = order.work;
        pass->slots[2] = tile_slot(&part);
    }
    return status;
}

wane_status tile_add_scatter(wane_plan *plan, tile_matrix from, tile_matrix out, bool add, tile_order order)
{
    if (!tile_fits(plan, &from) || !tile_fits(plan, &out)) return does_not_fit(plan, tile_fits(plan, &from) ? &out : &from);
    int64_t most = softmax_clamp(MOVE_WORDS_MOST / from.rows, 1, INT32_MAX);
    wane_status status = WANE_OK;
    // in columns, so that each dispatch sees all rows
    for (int64_t col = 0, cols; col < from.cols && status == WANE_OK; col += cols) {
        cols = softmax_clamp(from.cols - col, 1, most);
        tile_matrix source = tile_part(from, 0, from.rows, col, cols), dest = tile_part(out, 0, out.rows, col, cols);
        uint32_t count = plan->pass_count;
        status = add_simple(plan, WANE_KERNEL_TILE_SCATTER, &source, &dest, (uint32_t)(from.rows * cols), add);
        if (status) return status;
        wane_pass *pass = &plan->passes[count];
        pass->window[5] = order.word;
        pass->slots[2] = pass->slots[1];
        pass->slots[1] = order.work;
    }
    return status;
}
