// tile_matrix.c - matrices of operands and of the workspace, their parts, and the records that hold their strides.
#include "loss/tile.h"

tile_matrix tile_none(void)
{
    tile_matrix m = {WANE_SLOT_NONE, WANE_DTYPE_F32, 0, 0, 0, 0, 0};
    return m;
}

tile_matrix tile_of(const wane_plan *plan, int operand)
{
    tile_matrix m = tile_none();
    if (operand < 0) return m;
    const wane_plan_operand *o = &plan->operands[operand];
    m.operand = operand;
    m.dtype = o->dtype;
    m.rows = o->rank == 2 ? o->extents[0] : 1;
    m.cols = o->rank ? o->extents[o->rank - 1] : 1;
    m.row = o->rank == 2 ? o->strides[0] : 0;
    m.col = o->rank ? o->strides[o->rank - 1] : 0;
    return m;
}

tile_matrix tile_dense(uint64_t byte, int64_t rows, int64_t cols)
{
    tile_matrix m = {WANE_SLOT_WORKSPACE, WANE_DTYPE_F32, (int64_t)byte, rows, cols, cols, 1};
    return m;
}

tile_matrix tile_typed(uint64_t byte, wane_dtype dtype, int64_t rows, int64_t cols)
{
    tile_matrix m = tile_dense(byte, rows, cols);
    m.dtype = dtype;
    if (dtype != WANE_DTYPE_F32) m.row = (cols + 1) / 2 * 2;
    return m;
}

tile_matrix tile_part(tile_matrix m, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    m.first_byte += (row * m.row + col * m.col) * (int64_t)wane_dtype_bytes(m.dtype);
    m.rows = rows;
    m.cols = cols;
    return m;
}

tile_matrix tile_turned(tile_matrix m)
{
    tile_matrix t = m;
    t.rows = m.cols, t.cols = m.rows, t.row = m.col, t.col = m.row;
    return t;
}

// Elements from the lowest to the highest, less one.
static uint64_t reach(const tile_matrix *m)
{
    if (m->rows < 1 || m->cols < 1) return 0;
    return (uint64_t)(m->rows - 1) * softmax_stride_size(m->row) + (uint64_t)(m->cols - 1) * softmax_stride_size(m->col);
}

wane_slot tile_slot(const tile_matrix *m)
{
    wane_slot slot = {WANE_SLOT_NONE, 0, 0, 0, 0};
    if (m->operand == WANE_SLOT_NONE) return slot;
    int64_t size = (int64_t)wane_dtype_bytes(m->dtype), low = 0;
    if (m->row < 0) low += (m->rows - 1) * m->row;
    if (m->col < 0) low += (m->cols - 1) * m->col;
    slot.operand = m->operand;
    slot.byte_offset = m->first_byte + low * size;
    slot.byte_length = (reach(m) + 1) * (uint64_t)size;
    slot.origin_bytes = (uint64_t)(-low * size);
    return slot;
}

bool tile_fits(const wane_plan *plan, const tile_matrix *m)
{
    if (m->operand == WANE_SLOT_NONE) return true;
    if ((m->rows > 1 && softmax_stride_size(m->row) > INT32_MAX) || (m->cols > 1 && softmax_stride_size(m->col) > INT32_MAX))
        return false;
    return reach(m) + 1 <= (plan->limits.max_window_bytes - 512) / wane_dtype_bytes(m->dtype);
}

uint32_t tile_type(const tile_matrix *m)
{
    return m->dtype == WANE_DTYPE_F16 ? TYPE_F16 : m->dtype == WANE_DTYPE_BF16 ? TYPE_BF16 : TYPE_F32;
}

uint32_t tile_by_depth(const tile_matrix *a, const tile_matrix *b)
{
    return (softmax_stride_size(a->col) <= softmax_stride_size(a->row) ? TILE_A_BY_DEPTH : 0)
         | (softmax_stride_size(b->col) <= softmax_stride_size(b->row) ? TILE_B_BY_DEPTH : 0);
}

uint8_t tile_record(wane_plan *plan, const uint32_t *words, uint32_t count)
{
    wane_record record;
    memset(&record, 0, sizeof record);
    memcpy(record.words, words, count * sizeof *words);
    for (uint32_t i = 0; i < plan->record_count; i++)
        if (memcmp(&plan->records[i], &record, sizeof record) == 0) return (uint8_t)i;
    if (plan->record_count == WANE_MAX_RECORDS) return WANE_MAX_RECORDS;
    plan->records[plan->record_count] = record;
    return (uint8_t)plan->record_count++;
}
