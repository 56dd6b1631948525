// softmax_view.c - where the rows of an operand lie: rows as (outer, inner), each with a stride, and the slots that bind
// a part of them.
#include "loss/softmax.h"

// Dimensions of an operand's rows: of [rows.., cols], [rows..], [planes, rows..], and [planes, cols], where a problem's rows
// are columns.
static void row_dims_of(const wane_plan_operand *o, uint32_t dims[3], uint32_t count)
{
    bool matrix = strcmp(o->shape, "rows,cols") == 0, planes = strncmp(o->shape, "planes,", 7) == 0;
    for (uint32_t i = 0; i < count; i++) dims[i] = matrix ? (i ? i + 1 : 0) : planes ? i + 1 : i;
}

bool softmax_has_rows(const softmax_problem *p, const wane_plan_operand *o)
{
    (void)p;
    return strstr(o->shape, "rows") != NULL || strncmp(o->shape, "planes,", 7) == 0;
}

softmax_view softmax_view_of(const softmax_problem *p, int operand)
{
    const wane_plan_operand *o = &p->plan->operands[operand];
    softmax_view v = {0, 0, 0};
    bool planes = strncmp(o->shape, "planes,", 7) == 0;
    if (!softmax_has_rows(p, o)) {
        v.col = o->rank ? o->strides[0] : 0;
        return v;
    }
    uint32_t dims[3];
    row_dims_of(o, dims, p->row_dims);
    if (strcmp(o->shape, "rows,cols") == 0) v.col = o->strides[1];
    if (planes) v.col = o->strides[0];
    v.inner = o->strides[dims[p->row_dims - 1]];
    if (p->row_dims == 2) v.outer = o->strides[dims[0]];
    if (p->row_dims == 3) v.outer = o->strides[dims[p->fold_outer ? 1 : 0]];
    return v;
}

// Whether dimensions a and a + 1 of an operand's three row dimensions step like one.
static bool folds(const wane_plan_operand *o, uint32_t a)
{
    uint32_t dims[3];
    row_dims_of(o, dims, 3);
    int64_t extent = o->extents[dims[a + 1]];
    return o->extents[dims[a]] <= 1 || o->strides[dims[a]] == extent * o->strides[dims[a + 1]];
}

wane_status softmax_read_rows(softmax_problem *p, int operand)
{
    const wane_plan_operand *logits = &p->plan->operands[operand];
    uint32_t dims[3];
    p->row_dims = logits->rank - 1;
    row_dims_of(logits, dims, p->row_dims);
    int64_t extent[3] = {1, 1, 1};
    p->rows = 1;
    for (uint32_t i = 0; i < p->row_dims; i++) {
        extent[3 - p->row_dims + i] = logits->extents[dims[i]];
        if (!wane_mul_i64(p->rows, logits->extents[dims[i]], &p->rows)) p->rows = INT64_MAX;
    }
    p->outer = extent[0] * extent[1];
    p->inner = extent[2];
    if (p->row_dims < 3 || p->rows == 0) return WANE_OK;
    bool by_inner = true, by_outer = true;
    const char *bent = "logits";
    for (uint32_t i = 0; i < p->plan->operand_count; i++) {
        const wane_plan_operand *o = &p->plan->operands[i];
        if (!softmax_has_rows(p, o)) continue;
        if (!folds(o, 1)) by_inner = false, bent = o->role->name;   // what is contiguous folds this way
        if (!folds(o, 0)) by_outer = false;
    }
    if (!by_inner && !by_outer)
        return wane_fail(p->plan->context, WANE_ERROR_UNSUPPORTED, bent,
                         "has strides under which neither the last two nor the first two row dimensions step like one: "
                         "make it contiguous");
    p->fold_outer = !by_inner;
    p->outer = by_inner ? extent[0] : extent[0] * extent[1];
    p->inner = by_inner ? extent[1] * extent[2] : extent[2];
    return WANE_OK;
}

// Elements from the lowest to the highest of `rows` rows and `cols` columns of a view, less one.
uint64_t softmax_reach(const softmax_problem *p, softmax_view v, int64_t rows, int64_t cols)
{
    int64_t inner = rows < p->inner ? rows : p->inner, outer = (rows + p->inner - 1) / p->inner;
    return (uint64_t)(outer - 1) * softmax_stride_size(v.outer) + (uint64_t)(inner - 1) * softmax_stride_size(v.inner)
         + (uint64_t)(cols - 1) * softmax_stride_size(v.col);
}

// Rows row .. row + rows and columns col .. col + cols of an operand as a slot whose index 0 is the first of them.
wane_slot softmax_slot_of(const softmax_problem *p, int operand, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    wane_slot slot = {WANE_SLOT_NONE, 0, 0, 0, 0};
    if (operand < 0) return slot;
    softmax_view v = softmax_view_of(p, operand);
    int64_t size = (int64_t)wane_dtype_bytes(p->plan->operands[operand].dtype), low = 0;
    int64_t inner = rows < p->inner ? rows : p->inner, outer = (rows + p->inner - 1) / p->inner;
    if (v.outer < 0) low += (outer - 1) * v.outer;
    if (v.inner < 0) low += (inner - 1) * v.inner;
    if (v.col < 0) low += (cols - 1) * v.col;
    int64_t first = row / p->inner * v.outer + row % p->inner * v.inner + col * v.col;
    slot.operand = operand;
    slot.byte_offset = (first + low) * size;
    slot.byte_length = (softmax_reach(p, v, rows, cols) + 1) * (uint64_t)size;
    slot.origin_bytes = (uint64_t)(-low * size);
    return slot;
}

wane_slot softmax_rows_of(const softmax_problem *p, int operand, int64_t row, int64_t rows)
{
    return softmax_slot_of(p, operand, row, rows, 0, 1);
}

wane_slot softmax_cols_of(const softmax_problem *p, int operand, int64_t col, int64_t cols)
{
    return softmax_slot_of(p, operand, 0, 1, col, cols);
}

// Outer and inner stride of an operand's rows, and the stride of its columns or planes.
void softmax_put_strides(const softmax_problem *p, int operand, uint32_t *outer, uint32_t *inner, uint32_t *col)
{
    if (operand < 0) return;
    softmax_view v = softmax_view_of(p, operand);
    *outer = (uint32_t)v.outer;
    *inner = (uint32_t)v.inner;
    if (col) *col = (uint32_t)v.col;
}
