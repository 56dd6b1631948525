// family_contrastive.c - cases of the losses on similarities of the rows of two matrices. A similarity is a product, so
// shapes stay small; what is tried is the tiles' edges, chunks of rows, pairs, offsets, norms, and the ways to call.
#include "family.h"

#include <math.h>
#include <string.h>

// ---- values ----

static bool is_clip(const wane_loss_info *loss) { return loss->loss == WANE_LOSS_CLIP; }

static void fill_plain(conform_inputs *in)
{
    conform_fill_ordinary(in);
    double *labels = in->of[WANE_ROLE_LABELS];
    // clip pairs one to one
    for (int64_t i = 0; labels && is_clip(in->c->loss) && i < in->rows; i++) labels[i] = (double)i;
    for (int64_t i = in->rows - 1; labels && is_clip(in->c->loss) && i > 0; i--) {
        int64_t other = (int64_t)conform_below(&in->random, (uint64_t)i + 1);
        double kept = labels[i];
        labels[i] = labels[other], labels[other] = kept;
    }
    if (in->of[WANE_ROLE_SCALE]) in->of[WANE_ROLE_SCALE][0] = 8 + 8 * conform_uniform(&in->random);
    if (in->of[WANE_ROLE_BIAS]) in->of[WANE_ROLE_BIAS][0] = -4 * conform_uniform(&in->random);
}

// Rows of b near those of a, so that positives stand out as they do in training.
static void fill_aligned(conform_inputs *in)
{
    int64_t dim = in->c->dim;
    double *a = in->of[WANE_ROLE_A], *b = in->of[WANE_ROLE_B];
    for (int64_t i = 0; i < in->rows && i < in->cols; i++)
        for (int64_t k = 0; k < dim; k++) b[i * dim + k] = a[i * dim + k] + 0.3 * b[i * dim + k];
}

static void fill_bad(conform_inputs *in)
{
    static const double odd[] = {-1, -100, 2147483647.0, -2147483648.0};
    double *labels = in->of[WANE_ROLE_LABELS];
    for (int64_t i = 0; labels && i < in->rows; i++)
        if (i % 3 == 1) labels[i] = i % 2 ? odd[i / 3 % 4] : (double)in->cols;
}

static void fill_twice(conform_inputs *in)
{
    double *labels = in->of[WANE_ROLE_LABELS];
    for (int64_t i = 1; labels && i < in->rows; i += 2) labels[i] = labels[i / 2];
}

static void fill_zero_rows(conform_inputs *in)
{
    int64_t dim = in->c->dim;
    for (int64_t i = 0; i < in->rows; i += 3) memset(in->of[WANE_ROLE_A] + i * dim, 0, (size_t)dim * sizeof(double));
    for (int64_t j = 1; j < in->cols; j += 4) memset(in->of[WANE_ROLE_B] + j * dim, 0, (size_t)dim * sizeof(double));
}

// Norms over the range of the type: squares of f32 would leave it.
static void fill_norms(conform_inputs *in)
{
    bool narrow = in->c->dtype == WANE_DTYPE_F16;
    for (int side = 0; side < 2; side++) {
        double *x = in->of[side ? WANE_ROLE_B : WANE_ROLE_A];
        for (int64_t i = 0; i < (side ? in->cols : in->rows); i++)
            for (int64_t k = 0; k < in->c->dim; k++)
                x[i * in->c->dim + k] *= ldexp(1, (int)(i % 3 - 1) * (narrow ? 8 : 70));
    }
}

static void fill_nan(conform_inputs *in)
{
    if (in->rows) in->of[WANE_ROLE_A][(in->rows / 2) * in->c->dim] = NAN;
}

static void fill_nan_column(conform_inputs *in) { in->of[WANE_ROLE_B][(in->cols / 2 + 1) * in->c->dim - 1] = NAN; }

static void fill_sharp(conform_inputs *in)
{
    fill_aligned(in);
    if (in->of[WANE_ROLE_SCALE]) in->of[WANE_ROLE_SCALE][0] = 100;
}

static void fill_bad_scale(conform_inputs *in)
{
    if (in->of[WANE_ROLE_SCALE]) in->of[WANE_ROLE_SCALE][0] = NAN;
}

static void fill_no_scale(conform_inputs *in)
{
    if (in->of[WANE_ROLE_SCALE]) in->of[WANE_ROLE_SCALE][0] = 0;
}

static const conform_values values[] = {
    {"plain", 0, NULL},
    {"aligned", 0, fill_aligned},
    {"sharp", 0, fill_sharp},
    {"bad", VALUES_TRIVIAL, fill_bad},
    {"twice", 0, fill_twice},
    {"zero_rows", 0, fill_zero_rows},
    {"norms", 0, fill_norms},
    {"nan", 0, fill_nan},
    {"nan_column", 0, fill_nan_column},
    {"nan_scale", 0, fill_bad_scale},
    {"zero_scale", 0, fill_no_scale},
    {NULL, 0, NULL},
};

// ---- cases ----

static void start(conform_maker *m, int64_t rows, int64_t cols, int64_t dim)
{
    conform_start(m, is_clip(m->loss) ? cols : rows, cols);
    m->c.dim = dim;
}

static bool has_statistics(const conform_maker *m) { return conform_roles(m->loss, WANE_DIRECTION_STATE, -1) != 0; }

static const wane_param_info *param(const conform_maker *m, wane_param id)
{
    const wane_param_info *info;
    for (uint32_t i = 0; (info = wane_loss_param_at(m->loss, i)); i++)
        if (info->param == id) return info;
    return NULL;
}

static uint64_t without_scale(const conform_maker *m) { return m->optional & ~CONFORM_BIT(WANE_ROLE_SCALE); }

static void make_shapes(conform_maker *m)
{
    static const int64_t shapes[][3] = {{1, 1, 1}, {1, 2, 3}, {3, 1, 5}, {7, 5, 16}, {65, 64, 17}, {64, 130, 33}, {130, 129, 64},
                                        {5, 1030, 3}, {260, 33, 20}, {200, 200, 130}, {3, 70, 300}, {2, 3, 8200}, {2, 2500, 2}};
    for (uint32_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (uint32_t reduction = 0; reduction < 3; reduction++) {
            if (!m->full && reduction != i % 3) continue;
            // one pair is no choice: all is 0
            if (m->loss->loss != WANE_LOSS_SIGLIP && shapes[i][1] == 1 && (i == 0 || is_clip(m->loss))) continue;
            start(m, shapes[i][0], shapes[i][1], shapes[i][2]);
            if (is_clip(m->loss) && m->c.rows > 300) continue;
            conform_set_reduction(m, reduction);
            m->c.inputs = i % 2 ? m->optional : 0;
            m->c.values = conform_values_named(m, i % 3 ? "plain" : "aligned");
            conform_add(m);
        }
    for (uint32_t reduction = 0; reduction < 3; reduction++) {
        start(m, 0, is_clip(m->loss) ? 0 : 7, 5);
        conform_set_reduction(m, reduction);
        conform_add(m);
    }
}

static void make_params(conform_maker *m)
{
    static const double offsets[][2] = {{3, 0}, {0, 4}, {1000, 990}, {9007199254740992.0, 0}, {0, 9007199254740992.0}, {5, 5}};
    static const double temperatures[] = {0.01, 0.5, 1, 30};
    for (uint32_t i = 0; i < 6; i++) {
        start(m, 21, 19, 12);
        conform_set(m, param(m, WANE_PARAM_ROW_OFFSET), offsets[i][0]);
        conform_set(m, param(m, WANE_PARAM_COL_OFFSET), offsets[i][1]);
        conform_set_reduction(m, i);
        m->c.inputs = i % 2 ? CONFORM_BIT(WANE_ROLE_UPSTREAM) : 0;
        conform_add(m);
    }
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t plain = 0; plain < 2; plain++) {
            start(m, 21, 35, 40);
            conform_set(m, param(m, WANE_PARAM_TEMPERATURE), plain ? 4 + temperatures[i] : temperatures[i]);
            if (plain) conform_set(m, param(m, WANE_PARAM_NORMALIZE), 0);
            conform_set_reduction(m, i + plain);
            m->c.inputs = i % 2 ? without_scale(m) : 0;
            conform_add(m);
        }
}

static void make_roles(conform_maker *m)
{
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(m->loss, i)); i++) {
        if (m->optional & CONFORM_BIT(role->role)) {
            start(m, 21, 35, 20);
            conform_set_reduction(m, i);
            m->c.inputs = CONFORM_BIT(role->role);
            m->c.wide_index = true;
            conform_add(m);
        }
        for (uint32_t plain = 0; plain < 2 && m->outputs & CONFORM_BIT(role->role); plain++) {
            start(m, 21, 35, 20);
            m->c.outputs = CONFORM_BIT(role->role);
            m->c.values = conform_values_named(m, "bad");
            m->c.inputs = role->role == WANE_ROLE_STATUS ? CONFORM_BIT(WANE_ROLE_LABELS) : 0;
            if (plain) conform_set(m, param(m, WANE_PARAM_NORMALIZE), 0);
            conform_set_reduction(m, i + plain);
            conform_add(m);
        }
    }
}

static void make_values(conform_maker *m)
{
    for (const conform_values *v = values + 1; v->name; v++)
        for (uint32_t way = 0; way < 4; way++) {
            if (!m->full && way > 1) continue;
            start(m, way & 1 ? 70 : 13, way & 1 ? 66 : 9, way & 1 ? 24 : 7);
            m->c.inputs = m->optional;
            conform_set_reduction(m, way + (uint32_t)(v - values));
            if (way & 2) conform_set(m, param(m, WANE_PARAM_NORMALIZE), 0);
            if (way & 2 && strcmp(v->name, "norms") == 0) continue;
            m->c.values = v;
            conform_add(m);
        }
}

static void make_calls(conform_maker *m)
{
    for (uint32_t way = 0; way < 6; way++) {
        start(m, 300, 140, 24);
        conform_set_reduction(m, way);
        m->c.inputs = way & 1 ? m->optional : 0;
        m->c.accumulate = way == 2 || way == 3;
        m->c.batches = way < 4 ? 0 : way == 4 ? 2 : 3;
        m->c.memory = way == 0 ? MEMORY_EXACT : way == 1 ? MEMORY_BUFFER : way == 2 ? MEMORY_RECORDER : MEMORY_HOST;
        if (way == 1) m->c.outputs &= ~m->gradients;
        conform_add(m);
    }
    for (uint32_t layout = LAYOUT_REVERSED; layout < LAYOUT_WINDOWS; layout++)
        for (uint32_t way = 0; way < 2; way++) {
            start(m, 67, 35, 21);
            conform_set_reduction(m, layout + way);
            m->c.layout = (conform_layout)layout;
            // with stride 0 all labels are one, and clip wants them apart
            m->c.inputs = !way ? 0 : is_clip(m->loss) ? m->optional & ~CONFORM_BIT(WANE_ROLE_LABELS) : m->optional;
            m->c.accumulate = way == 1;
            m->c.memory = way ? MEMORY_BUFFER : MEMORY_HOST;
            conform_add(m);
        }
    for (uint32_t dtype = WANE_DTYPE_F16; dtype <= WANE_DTYPE_BF16; dtype++)
        for (uint32_t way = 0; way < 4; way++) {
            if (!m->full && way == 3) continue;
            start(m, 67, 35, 21);
            conform_set_reduction(m, dtype + way);
            m->c.dtype = (wane_dtype)dtype;
            m->c.grad_dtype = way == 1 ? WANE_DTYPE_F32 : m->c.dtype;
            m->c.inputs = way == 2 ? m->optional : 0;
            m->c.accumulate = way == 2;
            m->c.layout = way == 2 ? LAYOUT_REVERSED : LAYOUT_DENSE;
            m->c.batches = way == 3 ? 2 : 0;
            if (way == 1) conform_set(m, param(m, WANE_PARAM_NORMALIZE), 0);
            if (way == 1) conform_set(m, param(m, WANE_PARAM_TEMPERATURE), 5);
            conform_add(m);
        }
}

// Statistics saved, and values and gradients from them. A batch that is split into blocks is a caller's protocol of several
// calls: tests/cross/contrast_test.c.
static void make_two_calls(conform_maker *m)
{
    static const char *const of[] = {"plain", "bad", "twice", "zero_rows", "nan", "nan_column", "sharp"};
    uint64_t saved = conform_roles(m->loss, WANE_DIRECTION_STATE, -1);
    for (uint32_t way = 0; way < 7 && has_statistics(m); way++) {
        start(m, way & 1 ? 70 : 33, way & 1 ? 66 : 130, 24);
        m->c.values = conform_values_named(m, of[way]);
        m->c.inputs = way ? m->optional : 0;
        m->c.calls = CALLS_BACKWARD;
        m->c.batches = way == 5 || way == 6 ? 3 : 0;
        m->c.layout = way == 4 ? LAYOUT_REVERSED : LAYOUT_DENSE;
        m->c.memory = way == 3 ? MEMORY_BUFFER : MEMORY_HOST;
        conform_set_reduction(m, way);
        conform_add(m);
        if (way > 1) continue;
        m->c.calls = CALLS_FUSED;
        m->c.outputs |= saved;
        conform_add(m);
    }
}

static void make_random(conform_maker *m, uint32_t count)
{
    uint32_t known = 0;
    while (values[known].name) known++;
    for (uint32_t i = 0; i < count; i++) {
        conform_random random = {.state = m->seed * 1000003 + (uint64_t)m->loss->loss * 7919 + i};
        char prefix[32];
        // of one column a softmax is 1, and nothing but zeros is expected
        start(m, 1 + (int64_t)conform_below(&random, 150), 2 + (int64_t)conform_below(&random, 149), 1 + (int64_t)conform_below(&random, 60));
        m->c.inputs = conform_next(&random) & m->optional;
        if (!(m->c.inputs & CONFORM_BIT(WANE_ROLE_SCALE)) && conform_below(&random, 2))
            conform_set(m, param(m, WANE_PARAM_TEMPERATURE), 0.02 + conform_uniform(&random));
        if (conform_below(&random, 4) == 0) {
            conform_set(m, param(m, WANE_PARAM_ROW_OFFSET), (double)conform_below(&random, 20));
            conform_set(m, param(m, WANE_PARAM_COL_OFFSET), (double)conform_below(&random, 20));
        }
        conform_set_reduction(m, (uint32_t)conform_below(&random, 3));
        m->c.values = &values[conform_below(&random, 2) ? conform_below(&random, known) : 0];
        m->c.accumulate = conform_below(&random, 4) == 0;
        m->c.wide_index = conform_below(&random, 3) == 0;
        if (conform_below(&random, 4) == 0) m->c.layout = LAYOUT_REVERSED;
        if (conform_below(&random, 3) == 0) m->c.memory = (conform_memory)conform_below(&random, MEMORY_COUNT);
        if (conform_below(&random, 4) == 0) m->c.batches = 2 + (uint32_t)conform_below(&random, 3);
        if (has_statistics(m) && conform_below(&random, 4) == 0) m->c.calls = CALLS_BACKWARD;
        snprintf(prefix, sizeof prefix, ".random%u", i);
        conform_add_named(m, prefix);
    }
}

static void make(conform_maker *m)
{
    make_shapes(m);
    make_params(m);
    make_roles(m);
    make_values(m);
    make_calls(m);
    make_two_calls(m);
    make_random(m, m->full ? 400 : 12);
}

const conform_family conform_family_contrastive = {.name = "contrastive", .make = make, .values = values, .fill = fill_plain};
