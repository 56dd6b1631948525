// views_test.c - storage types and views: every type of logits and gradient, strides of any sign, offsets that begin in
// the middle of a word, class axes in the middle, gradients over their logits, a second tensor of other strides; against
// the oracle on the stored values, and with every byte between the elements looked at. The device is the first argument.
#include "oracle.h"
#include "wane/wane.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct spec {
    const char *name;
    uint32_t rank;
    int64_t extents[4];
    int64_t order[4];          // dimensions from the slowest to the fastest in memory
    int64_t pad;               // elements between the lines of the fastest dimension
    bool negative;             // every stride reversed
    int64_t offset;            // elements before the tensor
    bool in_place, smooth, accumulate;
} spec;

static const spec specs[] = {
    {"dense", 2, {5, 33}, {0, 1}, 0, false, 0, false, false, false},
    {"odd offset", 2, {5, 33}, {0, 1}, 0, false, 1, false, true, false},
    {"padded rows", 2, {4, 130}, {0, 1}, 3, false, 5, false, false, true},
    {"column major", 2, {7, 19}, {1, 0}, 0, false, 0, false, true, false},
    {"negative", 2, {6, 65}, {0, 1}, 1, true, 3, false, false, false},
    {"one column", 2, {9, 1}, {0, 1}, 0, false, 1, false, false, false},
    {"two columns", 2, {9, 2}, {0, 1}, 1, false, 0, false, false, true},
    {"long row", 2, {3, 2050}, {0, 1}, 0, false, 1, false, true, false},
    {"split row", 2, {2, 70001}, {0, 1}, 0, false, 1, false, false, false},
    {"in place", 2, {5, 1031}, {0, 1}, 0, false, 1, true, false, false},
    {"in place, split", 2, {2, 66001}, {0, 1}, 1, false, 0, true, false, false},
    {"NCL", 3, {3, 10, 7}, {0, 1, 2}, 0, false, 1, false, true, false},
    {"NLC", 3, {3, 10, 7}, {0, 2, 1}, 0, false, 0, false, false, false},
    {"NCHW", 4, {2, 5, 3, 4}, {0, 1, 2, 3}, 0, false, 0, false, false, true},
    {"NCHW, padded H", 4, {2, 5, 1, 4}, {0, 1, 2, 3}, 1, false, 0, false, false, false},
    {"NCHW in place", 4, {2, 5, 3, 4}, {0, 1, 2, 3}, 0, false, 1, true, false, false},
    {"NHWC", 4, {2, 5, 3, 4}, {0, 2, 3, 1}, 0, false, 0, false, true, false},
};

static wane_context *context;
static wane_device *device;
static const char *device_name = "cpu";
static uint32_t seed;

static double random_unit(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) / 16777216.0;
}

// ---- halves, by the compiler's own conversions or by cutting ----

static double load(wane_dtype dtype, const unsigned char *at)
{
    if (dtype == WANE_DTYPE_F32) { float x; memcpy(&x, at, 4); return x; }
    uint16_t h;
    memcpy(&h, at, 2);
    if (dtype == WANE_DTYPE_BF16) { uint32_t u = (uint32_t)h << 16; float x; memcpy(&x, &u, 4); return x; }
    int exponent = h >> 10 & 31;
    double size = exponent == 31 ? (h & 1023 ? NAN : INFINITY)
                : exponent ? ldexp(1024 + (h & 1023), exponent - 25) : ldexp(h & 1023, -24);
    return h & 0x8000 ? -size : size;
}

// Any bits that spell a number of moderate size.
static void store_random(wane_dtype dtype, unsigned char *at)
{
    float x = (float)((random_unit() - 0.5) * 12);
    uint32_t u;
    memcpy(&u, &x, 4);
    if (dtype == WANE_DTYPE_F32) memcpy(at, &u, 4);
    uint16_t h = (uint16_t)(u >> 16);
    if (dtype == WANE_DTYPE_F16) h = (uint16_t)((u >> 16 & 0x8000) | ((fabs(x) < 1 ? 0x2c00u : 0x3c00u) + (uint16_t)(random_unit() * 4095)));
    if (dtype != WANE_DTYPE_F32) memcpy(at, &h, 2);
}

static double rounding(wane_dtype dtype) { return dtype == WANE_DTYPE_F32 ? 0 : dtype == WANE_DTYPE_F16 ? 0x1p-11 : 0x1p-8; }

// ---- a tensor in a sea of other bytes ----

typedef struct sea {
    wane_dtype dtype;
    int64_t strides[4], first, elements;       // element 0 and size of the sea, in elements
    unsigned char *bytes, *before;
    size_t size;
} sea;

static void make_sea(sea *s, const spec *p, wane_dtype dtype)
{
    s->dtype = dtype;
    int64_t step = 1, low = 0, high = 0;
    for (int k = (int)p->rank - 1; k >= 0; k--) {
        int64_t d = p->order[k];
        s->strides[d] = p->negative ? -step : step;
        step *= p->extents[d];
        if (k == (int)p->rank - 1) step += p->pad;
    }
    for (uint32_t d = 0; d < p->rank; d++) {
        int64_t reach = (p->extents[d] - 1) * s->strides[d];
        if (reach < 0) low += reach;
        else high += reach;
    }
    s->first = p->offset - low;
    s->elements = s->first + high + 1 + 8;
    s->size = (size_t)s->elements * wane_dtype_bytes(dtype);
    s->bytes = malloc(s->size);
    s->before = malloc(s->size);
    for (int64_t i = 0; i < s->elements; i++) store_random(dtype, s->bytes + (size_t)i * wane_dtype_bytes(dtype));
    memcpy(s->before, s->bytes, s->size);
}

static void drop_sea(sea *s) { free(s->bytes); free(s->before); }

// Element i of the tensor in row-major order with the class axis last: what the oracle sees as [rows, cols].
static unsigned char *at(const sea *s, const spec *p, unsigned char *base, int64_t row, int64_t col)
{
    int64_t e = s->first + col * s->strides[1];
    for (int d = (int)p->rank - 1; d >= 0; d--)
        if (d != 1) { e += row % p->extents[d] * s->strides[d]; row /= p->extents[d]; }
    return base + (size_t)e * wane_dtype_bytes(s->dtype);
}

static void operand(wane_operand *o, wane_binding *b, wane_role role, wane_dtype dtype, uint32_t rank, void *host, uint64_t bytes)
{
    memset(o, 0, sizeof *o);
    memset(b, 0, sizeof *b);
    o->struct_size = sizeof *o;
    o->role = role;
    o->tensor.struct_size = sizeof o->tensor;
    o->tensor.dtype = dtype;
    o->tensor.rank = rank;
    b->struct_size = sizeof *b;
    b->role = role;
    b->host = host;
    b->bytes = bytes;
}

static void sea_operand(wane_operand *o, wane_binding *b, wane_role role, const sea *s, const spec *p)
{
    operand(o, b, role, s->dtype, p->rank, s->bytes, s->size);
    o->tensor.flags = WANE_TENSOR_STRIDED;
    memcpy(o->tensor.extents, p->extents, sizeof p->extents);
    memcpy(o->tensor.strides, s->strides, sizeof s->strides);
    b->byte_offset = (uint64_t)s->first * wane_dtype_bytes(s->dtype);
}

static void run(const wane_loss_desc *desc, const wane_binding *bindings)
{
    wane_plan *plan;
    wane_executable *executable;
    assert_int_equal(wane_plan_create(device, desc, &plan), WANE_OK);
    assert_int_equal(wane_executable_create(plan, &executable), WANE_OK);
    wane_args args;
    memset(&args, 0, sizeof args);
    args.struct_size = sizeof args;
    args.bindings = bindings;
    args.binding_count = desc->operand_count;
    assert_int_equal(wane_run(executable, NULL, &args), WANE_OK);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
}

static double *doubles(oracle_array *a, int rank, int64_t x, int64_t y)
{
    a->rank = rank;
    a->extents[0] = x;
    a->extents[1] = y;
    a->data = calloc((size_t)(x * y), sizeof(double));
    return a->data;
}

static void check_grad(const spec *p, const sea *z, const sea *g, const oracle_problem *o, wane_role role, int64_t rows, int64_t cols)
{
    unsigned char *untouched = malloc(g->size);
    memcpy(untouched, g->before, g->size);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            double old = p->accumulate ? load(g->dtype, at(g, p, g->before, r, c)) : 0;
            double want = o->out[role].data[r * cols + c] + old;
            double scale = o->scale[role].data[r * cols + c] + fabs(old);
            double got = load(g->dtype, at(g, p, g->bytes, r, c));
            double allowed = 2.5 * 0x1p-24 * scale + rounding(g->dtype) * (fabs(want) * 1.001) + (g->dtype == WANE_DTYPE_F16 ? 0x1p-25 : 1e-38);
            if (!(fabs(got - want) <= allowed))
                fail_msg("%s %s -> %s: %s[%lld][%lld] is %.9g, not %.9g (allowed %.3g)", p->name, wane_dtype_name(z->dtype),
                         wane_dtype_name(g->dtype), role == WANE_ROLE_GRAD_LOGITS ? "grad" : "grad_teacher", (long long)r, (long long)c, got, want, allowed);
            memcpy(at(g, p, untouched, r, c), at(g, p, g->bytes, r, c), wane_dtype_bytes(g->dtype));
        }
    // what is not an element is as it was
    assert_memory_equal(untouched, g->bytes, g->size);
    free(untouched);
}

static void one(const spec *p, wane_dtype type, wane_dtype grad_type)
{
    int64_t rows = 1, cols = p->extents[1], row_extents[3], k = 0;
    for (uint32_t d = 0; d < p->rank; d++)
        if (d != 1) rows *= row_extents[k++] = p->extents[d];
    sea z, grad;
    make_sea(&z, p, type);
    if (p->in_place) grad = z;
    else make_sea(&grad, p, grad_type);
    unsigned char *logits_before = malloc(z.size);
    memcpy(logits_before, z.bytes, z.size);
    int32_t *target = calloc((size_t)rows, 4);
    float *row_loss = calloc((size_t)rows, 4), loss = -1;
    oracle_problem o;
    memset(&o, 0, sizeof o);
    o.loss = WANE_LOSS_CROSS_ENTROPY;
    double *zd = doubles(&o.in[WANE_ROLE_LOGITS], 2, rows, cols), *td = doubles(&o.in[WANE_ROLE_TARGET], 1, rows, 1);
    for (int64_t r = 0; r < rows; r++) {
        td[r] = target[r] = (int32_t)(random_unit() * (double)cols);
        for (int64_t c = 0; c < cols; c++) zd[r * cols + c] = load(type, at(&z, p, z.bytes, r, c));
    }
    if (rows > 2) td[1] = target[1] = -100;
    wane_param_value smooth = {WANE_PARAM_LABEL_SMOOTHING, 0, 0.125};
    o.param_given[WANE_PARAM_LABEL_SMOOTHING] = p->smooth;
    o.param[WANE_PARAM_LABEL_SMOOTHING] = 0.125;
    o.want[WANE_ROLE_LOSS] = o.want[WANE_ROLE_ROW_LOSS] = o.want[WANE_ROLE_GRAD_LOGITS] = true;
    assert_null(oracle_solve(&o));
    wane_operand operands[5];
    wane_binding bindings[5];
    sea_operand(&operands[0], &bindings[0], WANE_ROLE_LOGITS, &z, p);
    operand(&operands[1], &bindings[1], WANE_ROLE_TARGET, WANE_DTYPE_I32, p->rank - 1, target, (uint64_t)rows * 4);
    memcpy(operands[1].tensor.extents, row_extents, sizeof row_extents);
    sea_operand(&operands[2], &bindings[2], WANE_ROLE_GRAD_LOGITS, &grad, p);
    operands[2].flags = (p->accumulate ? WANE_OPERAND_ACCUMULATE : 0) | (p->in_place ? WANE_OPERAND_IN_PLACE : 0);
    operand(&operands[3], &bindings[3], WANE_ROLE_LOSS, WANE_DTYPE_F32, 0, &loss, 4);
    operand(&operands[4], &bindings[4], WANE_ROLE_ROW_LOSS, WANE_DTYPE_F32, p->rank - 1, row_loss, (uint64_t)rows * 4);
    memcpy(operands[4].tensor.extents, row_extents, sizeof row_extents);
    wane_loss_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.loss = WANE_LOSS_CROSS_ENTROPY;
    desc.operands = operands;
    desc.operand_count = 5;
    desc.params = &smooth;
    desc.param_count = p->smooth;
    run(&desc, bindings);
    for (int64_t r = 0; r < rows; r++)
        if (!(fabs(row_loss[r] - o.out[WANE_ROLE_ROW_LOSS].data[r]) <= 2 * 0x1p-24 * o.scale[WANE_ROLE_ROW_LOSS].data[r]))
            fail_msg("%s: row_loss[%lld] is %.9g, not %.9g", p->name, (long long)r, row_loss[r], o.out[WANE_ROLE_ROW_LOSS].data[r]);
    check_grad(p, &z, &grad, &o, WANE_ROLE_GRAD_LOGITS, rows, cols);
    if (!p->in_place) assert_memory_equal(logits_before, z.bytes, z.size);
    if (!p->in_place) drop_sea(&grad);
    drop_sea(&z);
    free(logits_before);
    free(target);
    free(row_loss);
    // oracle_free frees outputs alone
    free(zd);
    free(td);
    oracle_free(&o);
}

static void test_types_and_views(void **state)
{
    (void)state;
    const wane_dtype types[3] = {WANE_DTYPE_F32, WANE_DTYPE_F16, WANE_DTYPE_BF16};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        for (int t = 0; t < 3; t++) {
            seed = (uint32_t)(i * 3 + (size_t)t + 1);
            one(&specs[i], types[t], types[t]);
            // each pair of types is a kernel that a device's driver compiles: a few views show them all
            bool pairs = strncmp(device_name, "cpu", 3) == 0 || i < 4;
            if (t && pairs && !specs[i].in_place) one(&specs[i], types[t], WANE_DTYPE_F32);
        }
}

// ---- a second tensor of the row: teacher logits with a gradient of their own, or probabilities ----

typedef struct pair_spec {
    spec logits, second;                    // the same extents, each in a sea of its own
    uint64_t workspace_limit_bytes;         // 0, or so little that rows come in batches
} pair_spec;

static const pair_spec pair_specs[] = {
    {{"row, column major", 2, {5, 33}, {0, 1}, 0, false, 1, false, false, false},
     {"row, column major: second", 2, {5, 33}, {1, 0}, 3, true, 2, false, false, false}, 0},
    {{"NCL, NLC", 3, {3, 10, 7}, {0, 1, 2}, 0, false, 1, false, false, false},
     {"NCL, NLC: second", 3, {3, 10, 7}, {0, 2, 1}, 1, true, 3, false, false, true}, 0},
    {{"NHWC, NCHW", 4, {2, 5, 3, 4}, {0, 2, 3, 1}, 2, true, 1, false, false, true},
     {"NHWC, NCHW: second", 4, {2, 5, 3, 4}, {0, 1, 2, 3}, 0, false, 5, false, false, false}, 0},
    {{"in place, NCL", 3, {3, 10, 7}, {0, 1, 2}, 0, true, 1, true, false, false},
     {"in place, NCL: second", 3, {3, 10, 7}, {1, 0, 2}, 1, false, 0, false, false, true}, 0},
    {{"NCHW, in place", 4, {2, 5, 3, 4}, {0, 1, 2, 3}, 0, false, 0, false, false, false},
     {"NCHW, in place: second", 4, {2, 5, 3, 4}, {0, 2, 3, 1}, 0, true, 1, true, false, false}, 0},
    {{"batches of NCL", 3, {40, 9, 70}, {0, 1, 2}, 0, false, 1, false, false, false},
     {"batches of NCL: second", 3, {40, 9, 70}, {2, 0, 1}, 0, true, 3, false, false, false}, 1 << 17},
    {{"split row", 2, {2, 30001}, {0, 1}, 0, false, 1, false, false, false},
     {"split row: second", 2, {2, 30001}, {0, 1}, 1, true, 0, false, false, false}, 0},
};

typedef struct side {
    const spec *p;
    sea z, grad;
    unsigned char *before;
    double *stored;
} side;

static void make_side(side *s, const spec *p, wane_dtype type, oracle_array *in, int64_t rows, int64_t cols)
{
    s->p = p;
    make_sea(&s->z, p, type);
    if (p->in_place) s->grad = s->z;
    else make_sea(&s->grad, p, type);
    s->before = malloc(s->z.size);
    memcpy(s->before, s->z.bytes, s->z.size);
    s->stored = doubles(in, 2, rows, cols);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) s->stored[r * cols + c] = load(type, at(&s->z, p, s->z.bytes, r, c));
}

static void drop_side(side *s)
{
    if (!s->p->in_place) drop_sea(&s->grad);
    drop_sea(&s->z);
    free(s->before);
    free(s->stored);
}

static uint32_t grad_flags(const spec *p)
{
    return (p->accumulate ? WANE_OPERAND_ACCUMULATE : 0) | (p->in_place ? WANE_OPERAND_IN_PLACE : 0);
}

static void two(const pair_spec *ps, bool shares, wane_dtype type, wane_dtype second_type)
{
    int64_t rows = 1, cols = ps->logits.extents[1], row_extents[3], k = 0;
    for (uint32_t d = 0; d < ps->logits.rank; d++)
        if (d != 1) rows *= row_extents[k++] = ps->logits.extents[d];
    wane_role second_role = shares ? WANE_ROLE_TARGET : WANE_ROLE_TEACHER_LOGITS;
    spec second = ps->second;
    if (shares) second.in_place = false;
    oracle_problem o;
    memset(&o, 0, sizeof o);
    side x, u;
    make_side(&x, &ps->logits, type, &o.in[WANE_ROLE_LOGITS], rows, cols);
    make_side(&u, &second, second_type, &o.in[second_role], rows, cols);
    float *row_loss = calloc((size_t)rows, 4);
    // symmetric: every term of either gradient
    wane_param_value param = {WANE_PARAM_DIRECTION, 0, 2};
    o.loss = shares ? WANE_LOSS_CROSS_ENTROPY : WANE_LOSS_KL_LOGITS;
    o.param_given[WANE_PARAM_DIRECTION] = !shares;
    o.param[WANE_PARAM_DIRECTION] = 2;
    o.want[WANE_ROLE_ROW_LOSS] = o.want[WANE_ROLE_GRAD_LOGITS] = true;
    o.want[WANE_ROLE_GRAD_TEACHER_LOGITS] = !shares;
    assert_null(oracle_solve(&o));
    wane_operand operands[5];
    wane_binding bindings[5];
    sea_operand(&operands[0], &bindings[0], WANE_ROLE_LOGITS, &x.z, x.p);
    sea_operand(&operands[1], &bindings[1], second_role, &u.z, u.p);
    operand(&operands[2], &bindings[2], WANE_ROLE_ROW_LOSS, WANE_DTYPE_F32, x.p->rank - 1, row_loss, (uint64_t)rows * 4);
    memcpy(operands[2].tensor.extents, row_extents, sizeof row_extents);
    sea_operand(&operands[3], &bindings[3], WANE_ROLE_GRAD_LOGITS, &x.grad, x.p);
    operands[3].flags = grad_flags(x.p);
    sea_operand(&operands[4], &bindings[4], WANE_ROLE_GRAD_TEACHER_LOGITS, &u.grad, u.p);
    operands[4].flags = grad_flags(u.p);
    wane_loss_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.loss = (wane_loss)o.loss;
    desc.operands = operands;
    desc.operand_count = shares ? 4 : 5;
    desc.params = &param;
    desc.param_count = !shares;
    desc.workspace_limit_bytes = ps->workspace_limit_bytes;
    run(&desc, bindings);
    for (int64_t r = 0; r < rows; r++)
        if (!(fabs(row_loss[r] - o.out[WANE_ROLE_ROW_LOSS].data[r]) <= 2 * 0x1p-24 * o.scale[WANE_ROLE_ROW_LOSS].data[r]))
            fail_msg("%s: row_loss[%lld] is %.9g, not %.9g", x.p->name, (long long)r, row_loss[r], o.out[WANE_ROLE_ROW_LOSS].data[r]);
    check_grad(x.p, &x.z, &x.grad, &o, WANE_ROLE_GRAD_LOGITS, rows, cols);
    if (!shares) check_grad(u.p, &u.z, &u.grad, &o, WANE_ROLE_GRAD_TEACHER_LOGITS, rows, cols);
    if (!x.p->in_place) assert_memory_equal(x.before, x.z.bytes, x.z.size);
    if (!u.p->in_place) assert_memory_equal(u.before, u.z.bytes, u.z.size);
    drop_side(&x);
    drop_side(&u);
    free(row_loss);
    oracle_free(&o);
}

static void test_two_tensors(void **state)
{
    (void)state;
    const wane_dtype types[3] = {WANE_DTYPE_F16, WANE_DTYPE_F32, WANE_DTYPE_BF16};
    bool all = strncmp(device_name, "cpu", 3) == 0;
    for (size_t i = 0; i < sizeof pair_specs / sizeof pair_specs[0]; i++)
        for (size_t t = 0; t < 9; t++) {
            // a driver compiles a kernel for each pair of types: three of them, in turn
            if (!all && t != i % 3 * 4) continue;
            for (int shares = 0; shares < 2; shares++) {
                seed = (uint32_t)(i * 9 + t + 1);
                two(&pair_specs[i], shares, types[t / 3], types[(t + i) % 3]);
            }
        }
}

// 1 / temperature beyond f32 must not meet a difference of 0 as infinity times 0.
static void test_tiny_temperature(void **state)
{
    (void)state;
    float logits[5] = {1, 2, 3, 4, 5}, grad[5], loss = -1;
    int32_t target = 4;
    wane_operand operands[4];
    wane_binding bindings[4];
    operand(&operands[0], &bindings[0], WANE_ROLE_LOGITS, WANE_DTYPE_F32, 2, logits, sizeof logits);
    operand(&operands[1], &bindings[1], WANE_ROLE_TARGET, WANE_DTYPE_I32, 1, &target, sizeof target);
    operand(&operands[2], &bindings[2], WANE_ROLE_GRAD_LOGITS, WANE_DTYPE_F32, 2, grad, sizeof grad);
    operand(&operands[3], &bindings[3], WANE_ROLE_LOSS, WANE_DTYPE_F32, 0, &loss, sizeof loss);
    operands[0].tensor.extents[0] = operands[1].tensor.extents[0] = operands[2].tensor.extents[0] = 1;
    operands[0].tensor.extents[1] = operands[2].tensor.extents[1] = 5;
    wane_param_value tiny = {WANE_PARAM_TEMPERATURE, 0, 1e-40};
    wane_loss_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.loss = WANE_LOSS_CROSS_ENTROPY;
    desc.operands = operands;
    desc.operand_count = 4;
    desc.params = &tiny;
    desc.param_count = 1;
    run(&desc, bindings);
    assert_true(loss == 0);
    for (int i = 0; i < 5; i++) assert_true(grad[i] == 0);
    target = 0;
    run(&desc, bindings);
    for (int i = 0; i < 5; i++) assert_true(isfinite(grad[i]));
    assert_true(grad[0] < -1e38f && grad[4] > 1e38f);
}

static void print_log(void *user, const wane_log_record *record)
{
    (void)user;
    fprintf(stderr, "%s: %s\n", record->operand ? record->operand : "", record->text);
}

int main(int argc, char **argv)
{
    if (argc > 1) device_name = argv[1];
    wane_context_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.log = print_log;
    if (wane_context_create(&desc, &context)) return 1;
    if (wane_device_find(context, device_name, &device)) return 77;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_types_and_views), cmocka_unit_test(test_two_tensors),
                                       cmocka_unit_test(test_tiny_temperature)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    wane_context_destroy(context);
    return failed;
}
