// family_linear.c - cases of row losses on a linear head: shapes around a tile, depths, budgets that force each plan, options,
// types, views. What the losses do with logits is the softmax family's ground (family_softmax.c).
#include "family.h"

#include <math.h>
#include <string.h>

// ---- values ----

// Logits of a few units, whatever the depth.
static void fill(conform_inputs *in)
{
    conform_fill_ordinary(in);
    double *input = in->of[WANE_ROLE_INPUT];
    double size = 2 / sqrt((double)in->c->dim);
    for (int64_t i = 0; input && i < in->count[WANE_ROLE_INPUT]; i++) input[i] *= size;
}

static void set_row(conform_inputs *in, int64_t row, double value)
{
    for (int64_t k = 0; k < in->c->dim; k++) in->of[WANE_ROLE_INPUT][row * in->c->dim + k] = value;
}

// Rows that count nowhere, whatever their input holds.
static void fill_ignored(conform_inputs *in)
{
    double *target = in->of[WANE_ROLE_TARGET];
    for (int64_t row = 0; row < in->rows && target; row += 3) target[row] = conform_param(in->c, WANE_PARAM_IGNORE_INDEX, -100);
    for (int64_t row = 3; row < in->rows && target; row += 6) set_row(in, row, NAN);
}

static void fill_bad(conform_inputs *in)
{
    double *target = in->of[WANE_ROLE_TARGET];
    for (int64_t row = 1; row < in->rows && target; row += 4) target[row] = row % 8 == 1 ? (double)in->cols : -1;
}

// One row NaN: its own values and grad_input's row, and all of the weight's gradient.
static void fill_nan(conform_inputs *in)
{
    if (in->rows > 1) in->of[WANE_ROLE_INPUT][in->c->dim] = NAN;
}

// Logits beyond f32: +inf in one row, and in another all columns but some.
static void fill_infinite(conform_inputs *in)
{
    if (in->rows > 2) set_row(in, 2, 3e38);
}

static void fill_sharp(conform_inputs *in)
{
    for (int64_t i = 0; i < in->count[WANE_ROLE_INPUT]; i++) in->of[WANE_ROLE_INPUT][i] *= 12;
}

static void fill_mixed(conform_inputs *in)
{
    fill_ignored(in);
    fill_bad(in);
    fill_nan(in);
}

static const conform_values values[] = {
    {"plain", 0, NULL},          {"ignored", 0, fill_ignored},   {"bad", 0, fill_bad},   {"nan", 0, fill_nan},
    {"infinite", 0, fill_infinite}, {"sharp", 0, fill_sharp},    {"mixed", 0, fill_mixed}, {NULL, 0, NULL}};

// ---- cases ----

static void start(conform_maker *m, int64_t rows, int64_t cols, int64_t dim)
{
    conform_start(m, rows, cols);
    m->c.dim = dim;
}

static void make_shapes(conform_maker *m)
{
    static const int64_t shapes[][3] = {
        {1, 1, 1},     {2, 3, 1},     {5, 64, 16},   {63, 65, 17},   {64, 64, 64},  {65, 127, 15}, {130, 33, 100},
        {3, 2049, 20}, {2, 9000, 8},  {300, 70, 33}, {7, 129, 1030}, {1, 300, 260}, {256, 256, 128}};
    for (uint32_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (uint32_t way = 0; way < 4; way++) {
            if (!m->full && way != i % 4 && (m->thin || way != (i + 1) % 4)) continue;
            if (m->thin && i % 3) continue;
            start(m, shapes[i][0], shapes[i][1], shapes[i][2]);
            conform_set_reduction(m, i + way);
            m->c.inputs = way & 1 ? m->optional : 0;
            m->c.calls = way == 2 ? CALLS_BACKWARD : CALLS_FUSED;
            m->c.accumulate = way == 3;
            conform_add(m);
        }
    for (uint32_t reduction = 0; reduction < 3 && !m->thin; reduction++) {
        start(m, 0, 7, 4);
        conform_set_reduction(m, reduction);
        conform_add(m);
        m->c.accumulate = true;
        conform_add(m);
    }
}

// A vocabulary that is split is a caller's protocol of several calls: tests/cross/linear_test.c.
static bool of_a_shard(const wane_param_info *info)
{
    return info->param == WANE_PARAM_COL_OFFSET || info->param == WANE_PARAM_TOTAL_COLS;
}

static void make_params(conform_maker *m)
{
    const wane_param_info *info;
    uint32_t turn = 0;
    for (uint32_t i = 0; (info = wane_loss_param_at(m->loss, i)); i++) {
        double ladder[16];
        uint32_t count = of_a_shard(info) ? 0 : conform_ladder(info, ladder);
        for (uint32_t v = 0; v < count; v++, turn++) {
            if (!m->full && v % 3 != (m->thin ? i % 3 : 0) && v % 3 != 1) continue;
            start(m, 9, 70, 12);
            conform_set_reduction(m, turn);
            conform_set(m, info, ladder[v]);
            m->c.calls = turn % 3 == 2 ? CALLS_BACKWARD : CALLS_FUSED;
            m->c.wide_index = info->kind == WANE_KIND_INTEGER;
            if (info->kind == WANE_KIND_INTEGER) m->c.values = conform_values_named(m, "ignored");
            conform_add(m);
        }
    }
}

static void make_values(conform_maker *m)
{
    for (uint32_t v = 1; values[v].name; v++)
        for (uint32_t way = 0; way < 2; way++) {
            start(m, way ? 30 : 9, way ? 40 : 130, 7);
            conform_set_reduction(m, v + way);
            m->c.inputs = way ? m->optional : 0;
            m->c.calls = (v + way) % 3 == 1 ? CALLS_BACKWARD : CALLS_FUSED;
            m->c.values = &values[v];
            conform_add(m);
        }
}

// One output alone: products that nobody needs are not made, and what is left is right.
static void make_outputs(conform_maker *m)
{
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(m->loss, i)); i++) {
        if (!(m->outputs & CONFORM_BIT(role->role))) continue;
        start(m, 13, 37, 9);
        m->c.outputs = CONFORM_BIT(role->role);
        m->c.values = conform_values_named(m, m->gradients & CONFORM_BIT(role->role) ? "bad" : "mixed");
        if (role->role == WANE_ROLE_ACCURACY) m->c.cols = 2;
        conform_set_reduction(m, 2);
        conform_add(m);
    }
}

// Budgets from what the first plan takes down to a seventh: chunks of rows, of columns, several of both.
static void make_budgets(conform_maker *m)
{
    static const int64_t shapes[][3] = {{300, 200, 12}, {600, 90, 5}, {70, 3000, 6}};
    for (uint32_t s = 0; s < 3; s++)
        for (uint32_t batches = 2; batches <= 7; batches += 5)
            for (uint32_t way = 0; way < 3; way++) {
                if (!m->full && m->thin && way != s) continue;
                start(m, shapes[s][0], shapes[s][1], shapes[s][2]);
                conform_set_reduction(m, s + batches + way);
                m->c.batches = batches;
                m->c.inputs = way == 1 ? m->optional : 0;
                m->c.calls = way == 2 ? CALLS_BACKWARD : CALLS_FUSED;
                m->c.accumulate = way == 1 && batches == 2;
                m->c.values = conform_values_named(m, way == 1 ? "ignored" : "plain");
                conform_add(m);
            }
}

static void make_types(conform_maker *m)
{
    uint32_t turn = 0;
    for (uint32_t dtype = WANE_DTYPE_F16; dtype <= WANE_DTYPE_BF16; dtype++)
        for (uint32_t way = 0; way < 6; way++, turn++) {
            if (m->thin && way != dtype % 5) continue;
            // the last: so large a dim that every device makes products, and rows that are left out of them
            start(m, way == 4 ? 300 : 21, way == 1 ? 70 : 131, way == 2 ? 64 : way == 5 ? 130 : 19);
            conform_set_reduction(m, turn);
            m->c.dtype = (wane_dtype)dtype;
            m->c.grad_dtype = way == 1 ? WANE_DTYPE_F32 : m->c.dtype;
            m->c.inputs = way == 3 ? m->optional : 0;
            m->c.calls = way == 2 ? CALLS_BACKWARD : CALLS_FUSED;
            m->c.accumulate = way == 3;
            m->c.layout = way == 3 ? LAYOUT_REVERSED : LAYOUT_DENSE;
            m->c.memory = way == 2 ? MEMORY_BUFFER : MEMORY_HOST;
            m->c.batches = way == 4 ? 5 : 0;
            m->c.values = conform_values_named(m, way == 5 ? "ignored" : "plain");
            conform_add(m);
        }
}

static void make_views(conform_maker *m)
{
    for (uint32_t layout = LAYOUT_REVERSED; layout < LAYOUT_WINDOWS; layout++)
        for (uint32_t way = 0; way < 3; way++) {
            start(m, 20, 90, 11);
            conform_set_reduction(m, layout + way);
            m->c.layout = (conform_layout)layout;
            m->c.inputs = way == 1 ? m->optional : 0;
            m->c.accumulate = way == 2;
            m->c.calls = way == 2 ? CALLS_BACKWARD : CALLS_FUSED;
            m->c.memory = (conform_memory)((layout + way) % MEMORY_COUNT);
            m->c.wide_index = way == 1;
            conform_add(m);
        }
}

static void make_random(conform_maker *m, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        conform_random random = {.state = m->seed * 1000003 + (uint64_t)m->loss->loss * 7919 + i};
        const wane_param_info *info;
        char prefix[32];
        start(m, 1 + (int64_t)conform_below(&random, 150), 1 + (int64_t)conform_below(&random, 400),
              1 + (int64_t)conform_below(&random, 80));
        for (uint32_t k = 0; (info = wane_loss_param_at(m->loss, k)); k++)
            if (!of_a_shard(info) && conform_below(&random, 4) == 0) conform_set_any(m, info, &random);
        conform_set_reduction(m, (uint32_t)conform_below(&random, 3));
        m->c.inputs = conform_next(&random) & m->optional;
        m->c.calls = conform_below(&random, 3) ? CALLS_FUSED : CALLS_BACKWARD;
        m->c.accumulate = conform_below(&random, 4) == 0;
        m->c.wide_index = conform_below(&random, 3) == 0;
        if (conform_below(&random, 3) == 0) m->c.layout = (conform_layout)conform_below(&random, LAYOUT_WINDOWS);
        if (conform_below(&random, 3) == 0) m->c.memory = (conform_memory)conform_below(&random, MEMORY_COUNT);
        // each batch of rows rounds what it is added to once more, which the tolerance of one addition does not know
        if (conform_below(&random, 4) == 0 && !m->c.accumulate) m->c.batches = 2 + (uint32_t)conform_below(&random, 5);
        snprintf(prefix, sizeof prefix, ".random%u", i);
        conform_add_named(m, prefix);
    }
}

static void make(conform_maker *m)
{
    make_shapes(m);
    make_params(m);
    make_values(m);
    make_types(m);
    make_budgets(m);
    if (!m->thin) {
        make_outputs(m);
        make_views(m);
    }
    make_random(m, m->full ? 500 : m->thin ? 10 : 30);
}

// ---- judgement ----

static uint64_t not_from_statistics(const conform_run *run)
{
    uint64_t entropy = run->statistics_mask & WANE_STATISTIC_SUM_EXP_X ? 0 : CONFORM_BIT(WANE_ROLE_ENTROPY);
    return CONFORM_BIT(WANE_ROLE_ARGMAX) | CONFORM_BIT(WANE_ROLE_ACCURACY) | entropy;
}

// An f32 gradient of a logit may be rounded to bf16 where it meets a bf16 operand: 2^-9 of each term, of which the oracle's
// scale counts each at 3 or more errors.
static double lenient_error(const conform_run *run, const conform_tensor *t, int64_t index, double got, double error)
{
    bool rounds = run->c->dtype == WANE_DTYPE_BF16
        && (t->role->role == WANE_ROLE_GRAD_INPUT || t->role->role == WANE_ROLE_GRAD_LINEAR_WEIGHT);
    if (!rounds || !isfinite(got)) return error;
    double want = run->problem.out[t->role->role].data[index] + (t->previous ? t->previous[index] : 0);
    double last = t->spec.dtype == WANE_DTYPE_F32 ? 0 : 0x1p-8 * fabs(want);
    double allowed = run->problem.scale[t->role->role].data[index] * 0x1p-9 / 3 + last;
    return allowed > 0 && fabs(got - want) < allowed ? fabs(got - want) / allowed : error;
}

const conform_family conform_family_linear = {
    .name = "linear",
    .make = make,
    .values = values,
    .fill = fill,
    .not_from_statistics = not_from_statistics,
    .lenient_error = lenient_error,
};
