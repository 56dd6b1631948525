// linear_test.c - row losses on a linear head against the oracle: every plan (forced by the workspace's budget), types,
// views, options, accumulation, statistics given, gradients one by one. The device is the first argument.
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

enum {
    BIAS = 1, WEIGHT = 2, ROW_WEIGHT = 4, UPSTREAM = 8, SMOOTH = 16, SOFTCAP = 32, Z_LOSS = 64, SUM = 128, NONE = 256,
    ACCUMULATE = 512, STRIDED = 1024, GIVEN = 2048, FORWARD = 4096, I64 = 8192, WIDE_GRAD = 1 << 14, FAULTS = 1 << 15,
    TEMPERATURE = 1 << 16, ALL_PLANES = 1 << 17
};
enum { GRAD_INPUT = 1, GRAD_WEIGHT = 2, GRAD_BIAS = 4, GRADS = 7 };

typedef struct spec {
    wane_loss loss;
    int64_t rows, cols, dim;
    uint32_t options, no_grads;            // gradients that are not asked for
    uint64_t budget;
    const char *plan;                      // words that the plan's description holds
} spec;

static wane_context *context;
static wane_device *device;
static const char *values_alone = "chunks of columns";    // the plan for them: on the CPU this, elsewhere another
static const char *small_dim = "0 of 4 kept";           // likewise: kept elsewhere
static bool alone;                         // gradients are made without memory for logits: another run of the tests
static uint32_t seed;

static double random_unit(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) / 16777216.0;
}

// ---- tensors: values as stored, in double, beside the bytes ----

typedef struct tensor {
    wane_role role;
    wane_dtype dtype;
    uint32_t rank;
    int64_t extents[2], strides[2], first, elements;
    double *values;                        // [rows, cols] as stored
    unsigned char *bytes, *before;
    uint32_t flags;
} tensor;

static void store(wane_dtype dtype, unsigned char *at, double value)
{
    float x = (float)value;
    uint32_t u;
    memcpy(&u, &x, 4);
    if (dtype == WANE_DTYPE_F32 || dtype == WANE_DTYPE_I32) {
        int32_t i = (int32_t)value;
        memcpy(at, dtype == WANE_DTYPE_F32 ? (void *)&u : (void *)&i, 4);
    } else if (dtype == WANE_DTYPE_I64) {
        int64_t i = (int64_t)value;
        memcpy(at, &i, 8);
    } else {
        // both halves by cutting: what is stored is read back, so any rounding will do
        uint16_t h = (uint16_t)(u >> 16);
        if (dtype == WANE_DTYPE_F16) {
            int e;
            double m = frexp(fabs(value), &e);
            h = (uint16_t)(value == 0 || e < -13 ? 0 : (uint32_t)(e + 14) << 10 | ((uint32_t)(m * 2048) & 1023));
            if (value < 0) h |= 0x8000;
            if (isnan(value)) h = 0x7e00;
        }
        memcpy(at, &h, 2);
    }
}

static double load(wane_dtype dtype, const unsigned char *at)
{
    if (dtype == WANE_DTYPE_F32) { float x; memcpy(&x, at, 4); return x; }
    if (dtype == WANE_DTYPE_I32) { int32_t x; memcpy(&x, at, 4); return x; }
    if (dtype == WANE_DTYPE_I64) { int64_t x; memcpy(&x, at, 8); return (double)x; }
    uint16_t h;
    memcpy(&h, at, 2);
    if (dtype == WANE_DTYPE_BF16) { uint32_t u = (uint32_t)h << 16; float x; memcpy(&x, &u, 4); return x; }
    int exponent = h >> 10 & 31;
    double size = exponent == 31 ? (h & 1023 ? NAN : INFINITY)
                : exponent ? ldexp(1024 + (h & 1023), exponent - 25) : ldexp(h & 1023, -24);
    return h & 0x8000 ? -size : size;
}

static unsigned char *at(const tensor *t, unsigned char *base, int64_t row, int64_t col)
{
    int64_t e = t->first + (t->rank == 2 ? row * t->strides[0] + col * t->strides[1] : col * t->strides[0]);
    return base + (size_t)e * wane_dtype_bytes(t->dtype);
}

static int64_t rows_of(const tensor *t) { return t->rank == 2 ? t->extents[0] : 1; }
static int64_t cols_of(const tensor *t) { return t->rank ? t->extents[t->rank - 1] : 1; }

static void make(tensor *t, wane_role role, wane_dtype dtype, uint32_t rank, int64_t a, int64_t b, bool strided)
{
    memset(t, 0, sizeof *t);
    t->role = role;
    t->dtype = dtype;
    t->rank = rank;
    t->extents[0] = a;
    t->extents[1] = b;
    int64_t last = rank == 2 ? b : a;
    t->strides[0] = rank == 2 ? last + (strided ? 3 : 0) : strided ? 2 : 1;
    t->strides[1] = 1;
    t->first = strided ? 1 : 0;
    t->elements = t->first + (rank == 2 ? a * t->strides[0] : a * t->strides[0]) + 2;
    size_t size = (size_t)t->elements * wane_dtype_bytes(dtype);
    t->bytes = malloc(size + 1);
    t->before = malloc(size + 1);
    t->values = calloc((size_t)(rows_of(t) * cols_of(t)) + 1, sizeof(double));
    for (int64_t i = 0; i < t->elements; i++) store(dtype, t->bytes + (size_t)i * wane_dtype_bytes(dtype), random_unit() - 0.5);
    memcpy(t->before, t->bytes, size);
}

static void put(tensor *t, int64_t row, int64_t col, double value)
{
    store(t->dtype, at(t, t->bytes, row, col), value);
    memcpy(at(t, t->before, row, col), at(t, t->bytes, row, col), wane_dtype_bytes(t->dtype));
    t->values[row * cols_of(t) + col] = load(t->dtype, at(t, t->bytes, row, col));
}

static void drop(tensor *t) { free(t->bytes), free(t->before), free(t->values); }

// ---- a problem ----

enum { INPUTS = 7, OUTPUTS = 9, TENSORS = INPUTS + OUTPUTS + 1 };

typedef struct problem {
    const spec *spec;
    wane_dtype type;
    tensor tensors[TENSORS];
    uint32_t count;
    wane_param_value params[8];
    uint32_t param_count;
    oracle_problem oracle;
} problem;

static tensor *add(problem *p, wane_role role, wane_dtype dtype, uint32_t rank, int64_t a, int64_t b)
{
    bool matrix = rank == 2 && role != WANE_ROLE_STATISTICS;
    tensor *t = &p->tensors[p->count++];
    make(t, role, dtype, rank, a, b, p->spec->options & STRIDED && (matrix || role == WANE_ROLE_LINEAR_BIAS));
    return t;
}

static void add_param(problem *p, wane_param id, double value)
{
    p->params[p->param_count++] = (wane_param_value){id, 0, value};
    p->oracle.param_given[id] = true;
    p->oracle.param[id] = value;
}

static void fill(tensor *t, double low, double high)
{
    for (int64_t i = 0; i < rows_of(t); i++)
        for (int64_t k = 0; k < cols_of(t); k++) put(t, i, k, low + (high - low) * random_unit());
}

static void make_inputs(problem *p)
{
    const spec *s = p->spec;
    double spread = 4 / sqrt((double)s->dim);
    fill(add(p, WANE_ROLE_INPUT, p->type, 2, s->rows, s->dim), -spread, spread);
    fill(add(p, WANE_ROLE_LINEAR_WEIGHT, p->type, 2, s->cols, s->dim), -1, 1);
    bool targeted = s->loss != WANE_LOSS_LINEAR_ENTROPY;
    tensor *target = targeted ? add(p, WANE_ROLE_TARGET, s->options & I64 ? WANE_DTYPE_I64 : WANE_DTYPE_I32, 1, s->rows, 0) : NULL;
    for (int64_t i = 0; i < s->rows && target; i++) put(target, 0, i, floor(random_unit() * (double)s->cols));
    if (s->options & FAULTS && s->rows > 6) {
        put(target, 0, 1, -100);
        put(target, 0, 4, (double)s->cols);
        put(target, 0, 6, -100);
        for (int64_t k = 0; k < s->dim; k++) put(&p->tensors[0], 6, k, 1e30);
    }
    if (s->options & BIAS) fill(add(p, WANE_ROLE_LINEAR_BIAS, p->type, 1, s->cols, 0), -1, 1);
    if (s->options & WEIGHT) fill(add(p, WANE_ROLE_WEIGHT, WANE_DTYPE_F32, 1, s->cols, 0), 0, 2);
    if (s->options & ROW_WEIGHT) fill(add(p, WANE_ROLE_ROW_WEIGHT, WANE_DTYPE_F32, 1, s->rows, 0), 0, 2);
    if (s->options & UPSTREAM) fill(add(p, WANE_ROLE_UPSTREAM, WANE_DTYPE_F32, 1, s->options & NONE ? s->rows : 1, 0), -2, 2);
    if (s->options & SMOOTH) add_param(p, WANE_PARAM_LABEL_SMOOTHING, 0.125);
    if (s->options & SOFTCAP) add_param(p, WANE_PARAM_SOFTCAP, 3);
    if (s->options & Z_LOSS) add_param(p, WANE_PARAM_Z_LOSS, 0.25);
    if (s->options & TEMPERATURE) add_param(p, WANE_PARAM_TEMPERATURE, 0.5);
    if (s->options & SUM) add_param(p, WANE_PARAM_REDUCTION, WANE_REDUCTION_SUM);
    if (s->options & NONE) add_param(p, WANE_PARAM_REDUCTION, WANE_REDUCTION_NONE);
    if (s->loss == WANE_LOSS_LINEAR_COMP_SUM) add_param(p, WANE_PARAM_TAU, 1.5);
}

static void make_outputs(problem *p)
{
    const spec *s = p->spec;
    wane_dtype grad = s->options & WIDE_GRAD ? WANE_DTYPE_F32 : p->type;
    add(p, WANE_ROLE_LOSS, WANE_DTYPE_F32, 1, s->options & NONE ? s->rows : 1, 0);
    add(p, WANE_ROLE_ROW_LOSS, WANE_DTYPE_F32, 1, s->rows, 0);
    add(p, WANE_ROLE_LSE, WANE_DTYPE_F32, 1, s->rows, 0);
    add(p, WANE_ROLE_VALID_COUNT, WANE_DTYPE_I64, 1, 1, 0);
    if (!(s->options & GIVEN)) add(p, WANE_ROLE_ENTROPY, WANE_DTYPE_F32, 1, s->rows, 0);
    if (s->options & FORWARD) return;
    tensor *grads[3] = {NULL, NULL, NULL};
    if (!(s->no_grads & GRAD_INPUT)) grads[0] = add(p, WANE_ROLE_GRAD_INPUT, grad, 2, s->rows, s->dim);
    if (!(s->no_grads & GRAD_WEIGHT)) grads[1] = add(p, WANE_ROLE_GRAD_LINEAR_WEIGHT, grad, 2, s->cols, s->dim);
    if (s->options & BIAS && !(s->no_grads & GRAD_BIAS)) grads[2] = add(p, WANE_ROLE_GRAD_LINEAR_BIAS, grad, 1, s->cols, 0);
    for (int i = 0; i < 3; i++)
        if (grads[i] && s->options & ACCUMULATE) grads[i]->flags = WANE_OPERAND_ACCUMULATE;
}

static bool is_output(wane_role role)
{
    for (uint32_t i = 0;; i++) {
        const wane_role_info *info = wane_loss_role_at(wane_loss_by_id(WANE_LOSS_LINEAR_CROSS_ENTROPY), i);
        if (!info) return false;
        if (info->role == role) return info->direction != WANE_DIRECTION_IN;
    }
}

// The oracle starts from the inputs alone: statistics are none of its own.
static void solve(problem *p)
{
    p->oracle.loss = (int)p->spec->loss;
    for (uint32_t i = 0; i < p->count; i++) {
        tensor *t = &p->tensors[i];
        if (t->role == WANE_ROLE_STATISTICS) continue;
        if (is_output(t->role)) p->oracle.want[t->role] = true;
        else p->oracle.in[t->role] = (oracle_array){.rank = (int)t->rank, .extents = {t->extents[0], t->extents[1]}, .data = t->values};
    }
    const char *fault = oracle_solve(&p->oracle);
    if (fault) fail_msg("oracle: %s", fault);
}

// Plans and runs with these tensors; the plan's description goes to `text`.
static wane_status run(problem *p, const tensor *tensors, uint32_t count, uint32_t mask, uint64_t budget, char *text, size_t capacity)
{
    wane_operand operands[TENSORS];
    wane_binding bindings[TENSORS];
    memset(operands, 0, sizeof operands);
    memset(bindings, 0, sizeof bindings);
    for (uint32_t i = 0; i < count; i++) {
        const tensor *t = &tensors[i];
        operands[i].struct_size = sizeof operands[i];
        operands[i].role = t->role;
        operands[i].flags = t->flags;
        operands[i].tensor = (wane_tensor){.struct_size = sizeof(wane_tensor), .dtype = t->dtype, .rank = t->rank, .flags = WANE_TENSOR_STRIDED,
                                           .extents = {t->extents[0], t->extents[1]}, .strides = {t->strides[0], t->strides[1]}};
        bindings[i].struct_size = sizeof bindings[i];
        bindings[i].role = t->role;
        bindings[i].host = t->bytes;
        bindings[i].bytes = (uint64_t)t->elements * wane_dtype_bytes(t->dtype);
        bindings[i].byte_offset = (uint64_t)t->first * wane_dtype_bytes(t->dtype);
    }
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = p->spec->loss, .params = p->params, .param_count = p->param_count,
                           .operands = operands, .operand_count = count, .workspace_limit_bytes = budget, .statistics_mask = mask};
    wane_plan *plan = NULL;
    wane_executable *executable = NULL;
    wane_args args = {.struct_size = sizeof args, .bindings = bindings, .binding_count = count};
    wane_status status = wane_plan_create(device, &desc, &plan);
    wane_plan_info info = {.struct_size = sizeof info};
    if (status == WANE_OK && text) wane_plan_describe(plan, text, capacity);
    if (status == WANE_OK) status = wane_plan_get_info(plan, &info);
    if (status == WANE_OK && budget) assert_true(info.workspace_bytes <= budget);
    if (status == WANE_OK) status = wane_executable_create(plan, &executable);
    if (status == WANE_OK) status = wane_run(executable, NULL, &args);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    return status;
}

static double rounding(wane_dtype dtype)
{
    return dtype == WANE_DTYPE_F16 ? 0x1p-11 : dtype == WANE_DTYPE_BF16 ? 0x1p-8 : 0;
}

static void check(const problem *p, tensor *t)
{
    const oracle_array *want = &p->oracle.out[t->role], *scale = &p->oracle.scale[t->role];
    bool grad = t->role == WANE_ROLE_GRAD_INPUT || t->role == WANE_ROLE_GRAD_LINEAR_WEIGHT || t->role == WANE_ROLE_GRAD_LINEAR_BIAS;
    for (int64_t i = 0; i < rows_of(t); i++)
        for (int64_t k = 0; k < cols_of(t); k++) {
            double old = t->flags & WANE_OPERAND_ACCUMULATE ? load(t->dtype, at(t, t->before, i, k)) : 0;
            double expected = want->data[i * cols_of(t) + k] + old, got = load(t->dtype, at(t, t->bytes, i, k));
            double size = scale->data[i * cols_of(t) + k];
            double allowed = (grad ? 2.5 : 2.0) * 0x1p-24 * (size + fabs(old)) + rounding(t->dtype) * fabs(expected) * 1.001;
            if (t->dtype == WANE_DTYPE_F16) allowed += 0x1p-25;
            // an f32 gradient of a logit may be rounded to bf16 before it is multiplied
            if (grad && p->type == WANE_DTYPE_BF16) allowed += 0x1p-9 * size / 3;
            if (!(fabs(got - expected) <= allowed))
                fail_msg("%s, %lld x %lld x %lld, options 0x%x, %s, budget %llu: role %d[%lld][%lld] is %.9g, not %.9g (allowed %.3g)",
                         wane_loss_by_id(p->spec->loss)->name, (long long)p->spec->rows, (long long)p->spec->cols,
                         (long long)p->spec->dim, p->spec->options, wane_dtype_name(p->type), (unsigned long long)p->spec->budget,
                         (int)t->role, (long long)i, (long long)k, got, expected, allowed);
            memcpy(at(t, t->before, i, k), at(t, t->bytes, i, k), wane_dtype_bytes(t->dtype));
        }
    // what lies between the elements is as it was
    assert_memory_equal(t->before, t->bytes, (size_t)t->elements * wane_dtype_bytes(t->dtype));
}

static uint32_t planes_of(problem *p, uint32_t *mask)
{
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = p->spec->loss, .params = p->params, .param_count = p->param_count};
    assert_int_equal(wane_statistics_need(context, &desc, mask), WANE_OK);
    if (p->spec->options & ALL_PLANES) *mask = 127;
    return wane_statistics_plane_count(*mask);
}

// Makes the device choose: gradients of a dim below `chunk_dim` are made without memory for logits.
static void choose(uint32_t chunk_dim)
{
    wane_device_info info = {.struct_size = sizeof info};
    char record[2048];
    assert_int_equal(wane_device_get_info(device, &info), WANE_OK);
    info.limits.linear_chunk_dim = chunk_dim;
    assert_int_equal(wane_device_tune(device, record, wane_tuning_write(device, &info.limits, record, sizeof record)), WANE_OK);
}

// What the plan's description must hold.
static const char *plan_of(const spec *s)
{
    bool gradients = !(s->options & FORWARD) && s->no_grads != GRADS;
    return !alone || !gradients ? s->plan : s->dim <= 64 ? "no scratch: gradients make logits again" : "chunks of";
}

static void one(const spec *s, wane_dtype type)
{
    static char text[1 << 20];
    problem *p = calloc(1, sizeof *p);
    p->spec = s;
    p->type = type;
    make_inputs(p);
    uint32_t inputs = p->count, mask = 0;
    if (s->options & GIVEN) {
        tensor *t = add(p, WANE_ROLE_STATISTICS, WANE_DTYPE_F32, 2, planes_of(p, &mask), s->rows);
        // the forward call: inputs and statistics alone
        assert_true(run(p, p->tensors, p->count, mask, 0, NULL, 0) >= 0);
        t->flags = WANE_OPERAND_GIVEN;
        memcpy(t->before, t->bytes, (size_t)t->elements * 4);
        inputs = p->count;
    }
    make_outputs(p);
    solve(p);
    wane_status status = run(p, p->tensors, p->count, mask, s->budget, text, sizeof text);
    if (status < 0) fail_msg("options 0x%x: %s", s->options, wane_status_text(status));
    assert_int_equal(status, s->options & FAULTS ? WANE_WARN_DATA : WANE_OK);
    const char *plan = plan_of(s);
    if (plan && !strstr(text, plan)) fail_msg("not a plan of %s: %s", plan, text);
    for (uint32_t i = inputs; i < p->count; i++) check(p, &p->tensors[i]);
    for (uint32_t i = 0; i < p->count; i++) drop(&p->tensors[i]);
    oracle_free(&p->oracle);
    free(p);
}

static const wane_dtype types[3] = {WANE_DTYPE_F32, WANE_DTYPE_F16, WANE_DTYPE_BF16};
#define CE WANE_LOSS_LINEAR_CROSS_ENTROPY

static void test_shapes(void **state)
{
    (void)state;
    static const int64_t shapes[][3] = {{1, 1, 1}, {3, 2, 1}, {2, 7, 17}, {65, 63, 16}, {64, 64, 64}, {63, 130, 33}, {5, 300, 100}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        seed = (uint32_t)i + 1;
        spec s = {CE, shapes[i][0], shapes[i][1], shapes[i][2], BIAS, 0, 0, NULL};
        one(&s, WANE_DTYPE_F32);
    }
}

static void test_types(void **state)
{
    (void)state;
    const spec specs[] = {
        {CE, 33, 150, 48, BIAS, 0, 0, "chunks of rows"},
        {CE, 33, 150, 48, BIAS | WIDE_GRAD | STRIDED, 0, 0, "chunks of rows"},
        {CE, 33, 150, 40, BIAS | STRIDED | ACCUMULATE, 0, 24 << 10, "chunks of columns"},
        {CE, 33, 150, 40, BIAS | FORWARD, 0, 12 << 10, values_alone},
        {CE, 70, 150, 40, BIAS | FORWARD | STRIDED | FAULTS, 0, 0, values_alone},
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        for (int t = 0; t < 3; t++) {
            if (alone && specs[i].options & FORWARD) continue;
            seed = (uint32_t)(i * 3 + (size_t)t + 1);
            one(&specs[i], types[t]);
        }
}

static void test_options(void **state)
{
    (void)state;
    static const uint32_t options[] = {
        0, BIAS | WEIGHT, ROW_WEIGHT | UPSTREAM, SMOOTH | WEIGHT | BIAS, SOFTCAP | BIAS, Z_LOSS | SUM, NONE | UPSTREAM, ACCUMULATE | BIAS,
        STRIDED | BIAS, GIVEN | BIAS, GIVEN | SMOOTH | WEIGHT | ALL_PLANES, FAULTS | I64 | BIAS, FAULTS | GIVEN, TEMPERATURE | SOFTCAP,
        TEMPERATURE | UPSTREAM | FAULTS | WEIGHT, STRIDED | ACCUMULATE | BIAS | GIVEN | NONE | UPSTREAM,
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        seed = (uint32_t)i + 77;
        spec s = {CE, 20, 70, 9, options[i], 0, 0, NULL};
        one(&s, WANE_DTYPE_F32);
        s.budget = 11 << 10;               // one chunk of a few rows
        one(&s, WANE_DTYPE_F32);
    }
    for (uint32_t without = 1; without < GRADS; without++) {
        spec s = {CE, 20, 70, 9, BIAS, without, 0, NULL};
        one(&s, WANE_DTYPE_F32);
    }
}

static void test_losses(void **state)
{
    (void)state;
    static const wane_loss losses[] = {WANE_LOSS_LINEAR_COMP_SUM, WANE_LOSS_LINEAR_FOCAL, WANE_LOSS_LINEAR_ENTROPY};
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        seed = (uint32_t)i + 5;
        spec s = {losses[i], 30, 90, 12, losses[i] == WANE_LOSS_LINEAR_ENTROPY ? BIAS : BIAS | WEIGHT, 0, 0, NULL};
        one(&s, WANE_DTYPE_F32);
        s.budget = 20 << 10;
        one(&s, WANE_DTYPE_F32);
        s.options |= GIVEN | NONE | UPSTREAM;
        one(&s, WANE_DTYPE_F32);
    }
}

// Values alone: every option, several tiles of rows and slices of columns, and budgets that cut the rows into batches.
static void test_forward(void **state)
{
    (void)state;
    static const uint32_t options[] = {0, BIAS | WEIGHT, SMOOTH | WEIGHT | BIAS, SOFTCAP | BIAS | TEMPERATURE, FAULTS | I64, NONE | STRIDED | SMOOTH};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        for (int e = 0; e < 2; e++) {
            seed = (uint32_t)i + 900;
            spec s = {e ? WANE_LOSS_LINEAR_ENTROPY : CE, 150, 1100, 20, options[i] | FORWARD, 0, 0, values_alone};
            if (e && options[i] & (SMOOTH | WEIGHT | FAULTS)) continue;
            one(&s, WANE_DTYPE_F32);
            s.budget = 24 << 10;
            one(&s, WANE_DTYPE_F32);
        }
}

// Several batches of rows, several slices of columns, several chunks of rows within a batch.
static void test_plans(void **state)
{
    (void)state;
    const spec specs[] = {
        {CE, 600, 200, 48, BIAS, 0, 640 << 10, "chunks of rows"},
        {CE, 600, 200, 8, BIAS | ACCUMULATE, 0, 320 << 10, small_dim},
        {CE, 200, 2500, 48, BIAS | STRIDED, 0, 4 << 20, "2 of 2 kept"},
        {CE, 200, 5000, 48, BIAS | ACCUMULATE, 0, 3 << 20, "1 of 3 kept"},
        {CE, 200, 2500, 48, BIAS | STRIDED | ACCUMULATE, 0, 700 << 10, "chunks of columns"},
        {CE, 200, 2500, 8, SMOOTH, 0, 160 << 10, "chunks of columns"},
        {CE, 10, 5000, 8, WEIGHT | SMOOTH, 0, 30 << 10, "chunks of columns"},
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        for (int t = 0; t < 2; t++) {
            seed = (uint32_t)i + 1000;
            // a half type rounds once, whatever the plan: all rows pass a slice before the next
            spec s = specs[i];
            if (t) s.plan = NULL;
            if (t && i == 0) s.plan = "chunks of columns";
            one(&s, t ? WANE_DTYPE_BF16 : WANE_DTYPE_F32);
        }
}

// Without memory for logits: several tiles of both sides, slices of them summed apart, batches of rows, gradients one by one.
static void test_alone(void **state)
{
    (void)state;
    const spec specs[] = {
        {CE, 200, 330, 48, BIAS | FAULTS, 0, 0, NULL},
        {CE, 200, 330, 64, BIAS | ACCUMULATE | STRIDED, 0, 160 << 10, NULL},
        {CE, 330, 200, 7, BIAS | SMOOTH | WEIGHT, 0, 40 << 10, NULL},
        {CE, 100, 150, 33, BIAS, GRAD_WEIGHT, 0, NULL},
        {CE, 100, 150, 33, BIAS, GRAD_INPUT | GRAD_BIAS, 0, NULL},
        {WANE_LOSS_LINEAR_ENTROPY, 150, 200, 20, BIAS | TEMPERATURE | SOFTCAP, 0, 0, NULL},
        {CE, 40, 70, 65, BIAS, 0, 0, NULL},
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        for (int t = 0; t < 2; t++) {
            seed = (uint32_t)i + 3000;
            spec s = specs[i];
            if (t) s.budget = 0;
            one(&s, t ? WANE_DTYPE_BF16 : WANE_DTYPE_F32);
        }
}

// Twenty runs, the same bits: nothing but the plan decides the order of a sum.
static void test_same_bits(void **state)
{
    (void)state;
    for (int t = 0; t < 4; t++) {
        spec s = {CE, 100, 300, 20, BIAS | SMOOTH | (t & 2 ? FORWARD : 0), 0, 0, NULL};
        problem *p = calloc(1, sizeof *p);
        p->spec = &s;
        p->type = t & 1 ? WANE_DTYPE_BF16 : WANE_DTYPE_F32;
        seed = (uint32_t)t + 60;
        make_inputs(p);
        make_outputs(p);
        for (int i = 0; i < 20; i++) {
            assert_int_equal(run(p, p->tensors, p->count, 0, 0, NULL, 0), WANE_OK);
            for (uint32_t k = 0; k < p->count; k++) {
                tensor *out = &p->tensors[k];
                size_t bytes = (size_t)out->elements * wane_dtype_bytes(out->dtype);
                if (i) assert_memory_equal(out->before, out->bytes, bytes);
                memcpy(out->before, out->bytes, bytes);
            }
        }
        for (uint32_t k = 0; k < p->count; k++) drop(&p->tensors[k]);
        free(p);
    }
}

// ---- a vocabulary split over several calls ----

// Columns `first` on of [cols, dim] or [cols], as a tensor that begins there.
static tensor columns_of(const tensor *t, int64_t first, int64_t count)
{
    tensor part = *t;
    part.extents[0] = count;
    part.first += first * t->strides[0];
    return part;
}

static tensor *find(problem *p, wane_role role)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (p->tensors[i].role == role) return &p->tensors[i];
    return NULL;
}

static bool has_columns(wane_role role)
{
    return role == WANE_ROLE_LINEAR_WEIGHT || role == WANE_ROLE_LINEAR_BIAS || role == WANE_ROLE_GRAD_LINEAR_WEIGHT
        || role == WANE_ROLE_GRAD_LINEAR_BIAS;
}

// One shard's call with these tensors; `roles` picks: 0 inputs and the planes as an output, 1 all and the planes given.
static void run_shard(problem *p, tensor planes, bool backward, int64_t first, int64_t count, int64_t total)
{
    tensor tensors[TENSORS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        const tensor *t = &p->tensors[i];
        if (!backward && is_output(t->role)) continue;
        tensors[n++] = has_columns(t->role) ? columns_of(t, first, count) : *t;
        // every shard adds its part
        if (t->role == WANE_ROLE_GRAD_INPUT) tensors[n - 1].flags = first ? WANE_OPERAND_ACCUMULATE : 0;
    }
    planes.flags = backward ? WANE_OPERAND_GIVEN : 0;
    tensors[n++] = planes;
    uint32_t params = p->param_count, mask = 0;
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = p->spec->loss, .params = p->params, .param_count = params};
    assert_int_equal(wane_statistics_need(context, &desc, &mask), WANE_OK);
    p->params[p->param_count++] = (wane_param_value){WANE_PARAM_COL_OFFSET, 0, (double)first};
    p->params[p->param_count++] = (wane_param_value){WANE_PARAM_TOTAL_COLS, 0, (double)total};
    assert_int_equal(run(p, tensors, n, mask, 0, NULL, 0), WANE_OK);
    p->param_count = params;
}

static void split(const spec *s, int64_t shards)
{
    problem *p = calloc(1, sizeof *p);
    p->spec = s;
    p->type = WANE_DTYPE_F32;
    make_inputs(p);
    uint32_t inputs = p->count, mask = 0, planes = planes_of(p, &mask);
    make_outputs(p);
    solve(p);
    tensor saved[8];
    const float *bytes[8];
    for (int64_t k = 0; k < shards; k++) {
        int64_t first = s->cols * k / shards, next = s->cols * (k + 1) / shards;
        make(&saved[k], WANE_ROLE_STATISTICS, WANE_DTYPE_F32, 2, planes, s->rows, false);
        run_shard(p, saved[k], false, first, next - first, s->cols);
        bytes[k] = (const float *)(const void *)saved[k].bytes;
    }
    wane_statistics_merge_desc merge = {.struct_size = sizeof merge, .mask = mask, .shard_count = (uint32_t)shards, .rows = s->rows,
                                        .temperature = s->options & TEMPERATURE ? 0.5 : 1, .shards = bytes,
                                        .out = (float *)(void *)saved[0].bytes};
    assert_int_equal(wane_statistics_merge(context, &merge), WANE_OK);
    for (int64_t k = 0; k < shards; k++) {
        int64_t first = s->cols * k / shards, next = s->cols * (k + 1) / shards;
        // each call has loss and row_loss of the whole
        run_shard(p, saved[0], true, first, next - first, s->cols);
        check(p, find(p, WANE_ROLE_LOSS));
        check(p, find(p, WANE_ROLE_ROW_LOSS));
    }
    for (uint32_t i = inputs; i < p->count; i++) check(p, &p->tensors[i]);
    for (uint32_t i = 0; i < p->count; i++) drop(&p->tensors[i]);
    for (int64_t k = 0; k < shards; k++) drop(&saved[k]);
    oracle_free(&p->oracle);
    free(p);
}

static void test_shards(void **state)
{
    (void)state;
    static const int64_t counts[] = {1, 2, 3, 7};
    static const uint32_t options[] = {BIAS | WEIGHT, SMOOTH | SUM, NONE | UPSTREAM | ROW_WEIGHT, TEMPERATURE | SOFTCAP | Z_LOSS,
                                       WEIGHT | SMOOTH};
    for (int c = 0; c < 4; c++)
        for (int o = 0; o < 5; o++) {
            seed = (uint32_t)(c * 5 + o) + 500;
            spec s = {CE, 19, 100, 9, options[o] | GIVEN, 0, 0, NULL};
            split(&s, counts[c]);
            s.loss = WANE_LOSS_LINEAR_ENTROPY;
            if (!(options[o] & (SMOOTH | WEIGHT))) split(&s, counts[c]);
        }
}

// The planes of one shard are not those of all: rows whose target is elsewhere are NaN, never a plausible number.
static void test_unmerged(void **state)
{
    (void)state;
    spec s = {CE, 8, 10, 4, GIVEN, GRADS, 0, NULL};
    problem *p = calloc(1, sizeof *p);
    p->spec = &s;
    p->type = WANE_DTYPE_F32;
    make_inputs(p);
    add(p, WANE_ROLE_ROW_LOSS, WANE_DTYPE_F32, 1, s.rows, 0);
    uint32_t mask = 0;
    tensor planes;
    make(&planes, WANE_ROLE_STATISTICS, WANE_DTYPE_F32, 2, planes_of(p, &mask), s.rows, false);
    run_shard(p, planes, false, 0, 5, 10);
    planes.flags = WANE_OPERAND_GIVEN;
    tensor tensors[TENSORS];
    for (uint32_t i = 0; i < p->count; i++)
        tensors[i] = has_columns(p->tensors[i].role) ? columns_of(&p->tensors[i], 0, 5) : p->tensors[i];
    tensors[p->count] = planes;
    add_param(p, WANE_PARAM_TOTAL_COLS, 10);
    assert_int_equal(run(p, tensors, p->count + 1, mask, 0, NULL, 0), WANE_WARN_DATA);
    const tensor *target = &p->tensors[2], *row_loss = find(p, WANE_ROLE_ROW_LOSS);
    uint32_t elsewhere = 0;
    for (int64_t i = 0; i < s.rows; i++) {
        elsewhere += target->values[i] >= 5;
        assert_int_equal(isnan(load(WANE_DTYPE_F32, at(row_loss, row_loss->bytes, 0, i))), target->values[i] >= 5);
    }
    assert_true(elsewhere > 0);
    for (uint32_t i = 0; i < p->count; i++) drop(&p->tensors[i]);
    drop(&planes);
    free(p);
}

static void print_log(void *user, const wane_log_record *record)
{
    (void)user;
    fprintf(stderr, "%s: %s\n", record->operand ? record->operand : "", record->text);
}

int main(int argc, char **argv)
{
    wane_context_desc desc = {.struct_size = sizeof desc, .log = print_log};
    if (wane_context_create(&desc, &context)) return 1;
    if (wane_device_find(context, argc > 1 ? argv[1] : "cpu", &device)) return 77;
    wane_device_info info = {.struct_size = sizeof info};
    if (wane_device_get_info(device, &info) == WANE_OK && strcmp(info.backend, "cpu") != 0)
        values_alone = "no scratch", small_dim = "1 of 1 kept";
    const struct CMUnitTest chunks[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_types), cmocka_unit_test(test_options),
                                        cmocka_unit_test(test_losses), cmocka_unit_test(test_forward), cmocka_unit_test(test_plans),
                                        cmocka_unit_test(test_same_bits), cmocka_unit_test(test_shards), cmocka_unit_test(test_unmerged)};
    choose(1);
    int failed = cmocka_run_group_tests(chunks, NULL, NULL);
    const struct CMUnitTest no_chunks[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_types), cmocka_unit_test(test_options),
                                           cmocka_unit_test(test_losses), cmocka_unit_test(test_alone),
                                           cmocka_unit_test(test_same_bits), cmocka_unit_test(test_shards)};
    choose(65);
    alone = true;
    failed += cmocka_run_group_tests(no_chunks, NULL, NULL);
    wane_context_destroy(context);
    return failed;
}
