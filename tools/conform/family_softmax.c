// family_softmax.c - cases of the losses of a row of logits: every loss over shapes, parameters, roles, values and ways to
// call. Parameters are swept over their ranges, choices over their names, roles over the loss's list.
#include "softmax_values.h"

#include <float.h>
#include <math.h>
#include <string.h>

// ---- parameters ----

static void make_params(conform_maker *m)
{
    static const int64_t shapes[][2] = {{5, 33}, {3, 1025}, {1, 66000}};
    const wane_param_info *info;
    uint32_t turn = 0;
    for (uint32_t i = 0; (info = wane_loss_param_at(m->loss, i)); i++) {
        double values[16];
        uint32_t count = conform_ladder(info, values);
        for (uint32_t v = 0; v < count; v++)
            for (uint32_t s = 0; s < (m->full ? 3u : 1u); s++) {
                conform_start(m, shapes[s][0], shapes[s][1]);
                conform_set_reduction(m, turn++);
                conform_set(m, info, values[v]);
                m->c.calls = turn % 4 == 3 ? CALLS_BACKWARD : CALLS_FUSED;
                if (info->kind == WANE_KIND_INTEGER) {
                    m->c.wide_index = values[v] > 2147483647.0 || turn % 2;
                    m->c.values = conform_values_named(m, "ignored");
                }
                conform_add(m);
            }
    }
}

// ---- shapes ----

static void make_shapes(conform_maker *m)
{
    static const int64_t rows[] = {1, 2, 5, 64, 130, 300};
    static const int64_t cols[] = {1, 2, 3, 31, 33, 127, 128, 129, 1000, 1025, 5003};
    static const int64_t wide[][2] = {{1, 65536}, {3, 65537}, {64, 65537}, {2, 262144}, {1, 1048576}, {1, 1100000}};
    for (uint32_t j = 0; j < 11; j++)
        for (uint32_t i = 0; i < 6; i++) {
            bool chosen = i == j % 6 || (i == (j + 3) % 6 && !m->thin);
            if (m->full ? rows[i] * cols[j] > 1600000 : !chosen || rows[i] * cols[j] > 400000) continue;
            conform_start(m, rows[i], cols[j]);
            m->c.calls = (i + j) % 3 == 2 ? CALLS_BACKWARD : CALLS_FUSED;
            conform_add(m);
        }
    for (uint32_t i = 0; i < 6; i++) {
        if (!m->full && (i == 2 || i > 3 || (m->thin && i != 1))) continue;
        conform_start(m, wide[i][0], wide[i][1]);
        conform_add(m);
        m->c.calls = CALLS_BACKWARD;
        if (m->full) conform_add(m);
    }
    for (uint32_t reduction = 0; reduction < 3 && !m->thin; reduction++) {   // no rows at all
        conform_start(m, 0, 7);
        conform_set_reduction(m, reduction);
        m->c.inputs = reduction == 1 ? m->optional : 0;
        conform_add(m);
        m->c.calls = CALLS_BACKWARD;
        conform_add(m);
    }
}

// ---- roles ----

static void make_inputs(conform_maker *m)
{
    for (uint32_t a = 0; a < CONFORM_IDS; a++)
        for (uint32_t b = a; b < CONFORM_IDS; b++) {
            uint64_t bits = CONFORM_BIT(a) | CONFORM_BIT(b);
            if ((bits & m->optional) != bits) continue;
            for (uint32_t reduction = 0; reduction < 3; reduction++) {
                if (a != b && !m->full && reduction != (a + b) % 3) continue;
                conform_start(m, 7, 65);
                conform_set_reduction(m, reduction);
                m->c.inputs = bits;
                m->c.calls = (a + b + reduction) % 2 ? CALLS_BACKWARD : CALLS_FUSED;
                conform_add(m);
            }
        }
    for (uint32_t reduction = 0; reduction < 3; reduction++)
        for (uint32_t way = 0; way < 2; way++) {
            conform_start(m, way ? 3 : 7, way ? 66003 : 65);
            conform_set_reduction(m, reduction);
            m->c.inputs = m->optional;
            conform_add(m);
        }
}

// One output alone, of a fused row, of a split row, and from statistics.
static void make_outputs(conform_maker *m)
{
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(m->loss, i)); i++) {
        if (!(m->outputs & CONFORM_BIT(role->role))) continue;
        for (uint32_t way = 0; way < 3; way++) {
            conform_start(m, 13, way == 1 ? 65600 : 37);
            m->c.outputs = CONFORM_BIT(role->role);
            m->c.values = conform_values_named(m, "mixed");
            if (way == 2) m->c.calls = CALLS_BACKWARD;
            if (way == 2 && (role->role == WANE_ROLE_ARGMAX || role->role == WANE_ROLE_ACCURACY)) continue;
            conform_set_reduction(m, m->full ? way : 2);
            conform_add(m);
        }
    }
}

// ---- values ----

static void make_values(conform_maker *m)
{
    static const int64_t shapes[][2] = {{13, 37}, {25, 130}, {13, 66001}, {130, 1025}, {24, 1}, {30, 2}};
    uint32_t turn = 0;
    for (const conform_values *v = softmax_values + 1; v->name; v++, turn++)
        for (uint32_t s = 0; s < 6; s++)
            for (uint32_t way = 0; way < 4; way++) {
                // plain, all inputs, all parameters, both
                bool wanted = s == 0 ? way == 0 : s == 1 ? way == 3 : s == 2 ? way == 0 && v->flags & VALUES_QUICK_SPLIT : 0;
                if (!m->full && !wanted && !(s == 5 && way == 0 && turn % 3 == 0)) continue;
                if (m->thin && s != 1 && v->flags != VALUES_QUICK_SPLIT) continue;
                if (s == 2 && way && !(v->flags & VALUES_QUICK_SPLIT)) continue;
                conform_start(m, shapes[s][0], shapes[s][1]);
                conform_set_reduction(m, turn + s + way);
                conform_random random = {.state = (uint64_t)turn * 64 + s * 8 + way};
                if (way & 1 || v->flags & VALUES_WEIGHTS) m->c.inputs = m->optional;
                if (way & 2) conform_set_all(m, &random);
                m->c.values = v;
                m->c.calls = (turn + s) % 3 == 1 ? CALLS_BACKWARD : CALLS_FUSED;
                conform_add(m);
            }
}

// ---- ways to call ----

static void make_calls(conform_maker *m)
{
    for (uint32_t way = 0; way < 5; way++)
        for (uint32_t reduction = 0; reduction < 3; reduction++)
            for (uint32_t s = 0; s < 2; s++) {
                if (s && !m->full && reduction != way % 3) continue;
                conform_start(m, s ? 3 : 9, s ? 65537 : 130);
                conform_set_reduction(m, reduction);
                if (way == 0) m->c.outputs &= ~m->gradients;
                if (way == 1) m->c.outputs |= CONFORM_BIT(WANE_ROLE_STATISTICS);
                m->c.calls = way == 2 || way == 4 ? CALLS_BACKWARD : CALLS_FUSED;
                m->c.accumulate = way >= 3;
                m->c.values = conform_values_named(m, s || way < 3 ? "plain" : "mixed");
                conform_add(m);
            }
}

static void make_views(conform_maker *m)
{
    for (uint32_t layout = LAYOUT_REVERSED; layout < LAYOUT_COUNT; layout++)
        for (uint32_t way = 0; way < 4; way++)
            for (uint32_t s = 0; s < (m->full ? 3u : 2u); s++) {
                if (layout == LAYOUT_WINDOWS && (!m->full || s)) continue;
                if (s && !m->full && way != layout % 4) continue;
                conform_start(m, s ? 4 : 11, s == 1 ? 66100 : s ? 2100 : 70);
                if (layout == LAYOUT_WINDOWS) m->c.rows = 4, m->c.cols = 5003;
                conform_set_reduction(m, way + s);
                m->c.layout = (conform_layout)layout;
                m->c.inputs = way == 1 ? m->optional : 0;
                m->c.calls = way & 1 ? CALLS_BACKWARD : CALLS_FUSED;
                m->c.accumulate = way >= 2;
                m->c.wide_index = way == 2;
                m->c.memory = way == 3 ? MEMORY_BUFFER : MEMORY_HOST;
                conform_add(m);
            }
}

static void make_memory(conform_maker *m)
{
    for (uint32_t memory = MEMORY_EXACT; memory < MEMORY_COUNT; memory++)
        for (uint32_t way = 0; way < 4; way++) {
            conform_start(m, way == 3 ? 3 : 70, way == 3 ? 65700 : 129);
            conform_set_reduction(m, memory + way);
            m->c.memory = (conform_memory)memory;
            m->c.inputs = way == 1 ? m->optional : 0;
            m->c.calls = way == 2 ? CALLS_BACKWARD : CALLS_FUSED;
            m->c.accumulate = way == 1;
            m->c.wide_index = way == 1;
            m->c.values = conform_values_named(m, way == 2 ? "mixed" : "plain");
            conform_add(m);
        }
    for (uint32_t way = 0; way < 6; way++) {
        static const uint32_t batches[] = {2, 7};
        for (uint32_t b = 0; b < 2; b++) {
            conform_start(m, way == 5 ? 40 : 300, way == 5 ? 65537 : 33);
            if (way == 5 && !m->full) m->c.rows = 10;
            conform_set_reduction(m, way + b);
            m->c.batches = batches[b];
            m->c.inputs = way == 1 ? m->optional : 0;
            m->c.calls = way == 2 || way == 5 ? CALLS_BACKWARD : CALLS_FUSED;
            m->c.accumulate = way == 3;
            m->c.memory = way == 4 ? MEMORY_EXACT : MEMORY_HOST;
            m->c.values = conform_values_named(m, way >= 3 ? "mixed" : "plain");
            conform_add(m);
        }
    }
    // more rows than one part of a reduction holds: seconds each on software devices, and the same kernels for all losses
    for (uint32_t reduction = 0; reduction < 3; reduction++) {
        if (!m->full && (reduction != 1 || m->variant || m->loss->loss != WANE_LOSS_CROSS_ENTROPY)) continue;
        conform_start(m, 40000, 3);
        conform_set_reduction(m, reduction);
        m->c.values = conform_values_named(m, reduction ? "mixed" : "plain");
        m->c.batches = reduction == 1 ? 3 : 0;
        conform_add(m);
    }
    static const char *const classes[] = {"plain", "bad", "ignored", "mixed"};
    for (uint32_t i = 0; i < 4; i++) {
        conform_start(m, 13, 37);
        conform_set_reduction(m, i);
        m->c.wide_index = true;
        m->c.values = conform_values_named(m, classes[i]);
        conform_add(m);
    }
}

// ---- half types ----

static void make_types(conform_maker *m)
{
    static const struct { int64_t rows, cols; const char *values; } shapes[] = {
        {13, 37, "mixed"}, {7, 1025, "plain"}, {2, 66001, "plain"}, {40, 3, "mixed"}, {13, 130, "sharp"}};
    uint32_t turn = 0;
    for (uint32_t dtype = WANE_DTYPE_F16; dtype <= WANE_DTYPE_BF16; dtype++)
        for (uint32_t s = 0; s < 5; s++)
            for (uint32_t way = 0; way < 4; way++, turn++) {
                if (!m->full && (m->thin ? s != 0 || way != 0 : way != s % 4)) continue;
                conform_start(m, shapes[s].rows, shapes[s].cols);
                conform_set_reduction(m, turn + s);
                m->c.dtype = (wane_dtype)dtype;
                m->c.grad_dtype = way == 1 ? WANE_DTYPE_F32 : m->c.dtype;
                m->c.calls = way == 2 ? CALLS_BACKWARD : CALLS_FUSED;
                m->c.accumulate = way == 3;
                m->c.memory = way == 2 ? MEMORY_BUFFER : MEMORY_HOST;
                m->c.layout = way == 3 ? LAYOUT_REVERSED : LAYOUT_DENSE;
                m->c.values = conform_values_named(m, shapes[s].values);
                conform_add(m);
            }
}

// ---- anything with anything ----

static void random_shape(conform_maker *m, conform_random *random)
{
    uint64_t kind = conform_below(random, 16);
    int64_t rows = 1 + (int64_t)conform_below(random, kind < 8 ? 20 : 200);
    int64_t cols = 1 + (int64_t)conform_below(random, kind < 4 ? 12 : kind < 10 ? 200 : 1400);
    if (kind == 15) {
        rows = 1 + (int64_t)conform_below(random, 4);
        cols = 65536 + (int64_t)conform_below(random, 4000);
    }
    conform_start(m, rows, cols);
}

static void make_random(conform_maker *m, uint32_t count)
{
    uint32_t values = 0;
    while (softmax_values[values].name) values++;
    for (uint32_t i = 0; i < count; i++) {
        conform_random random = {.state = m->seed * 1000003 + (uint64_t)m->loss->loss * 7919 + i};
        const wane_param_info *info;
        char prefix[32];
        random_shape(m, &random);
        for (uint32_t k = 0; (info = wane_loss_param_at(m->loss, k)); k++)
            if (conform_below(&random, 3) == 0) conform_set_any(m, info, &random);
        conform_set_reduction(m, (uint32_t)conform_below(&random, 3));
        m->c.values = &softmax_values[conform_below(&random, 2) ? conform_below(&random, values) : 0];
        m->c.inputs = conform_next(&random) & m->optional;
        if (m->c.values->flags & VALUES_WEIGHTS) m->c.inputs = m->optional;
        m->c.calls = conform_below(&random, 3) ? CALLS_FUSED : CALLS_BACKWARD;
        m->c.accumulate = conform_below(&random, 4) == 0;
        m->c.wide_index = conform_below(&random, 3) == 0;
        if (conform_below(&random, 3) == 0) m->c.layout = (conform_layout)conform_below(&random, LAYOUT_WINDOWS);
        if (conform_below(&random, 3) == 0) m->c.memory = (conform_memory)conform_below(&random, MEMORY_COUNT);
        if (conform_below(&random, 5) == 0) m->c.batches = 2 + (uint32_t)conform_below(&random, 5);
        snprintf(prefix, sizeof prefix, ".random%u", i);
        conform_add_named(m, prefix);
    }
}

// ---- the project's figures ----
// They are cross-entropy's: a link that bends multiplies n's rounding by its own condition, which its oracle judges.

static void make_figures(conform_maker *m)
{
    static const int64_t cols[] = {10, 1000, 32768, 131072, 262144};
    for (const conform_values *v = softmax_values; v->name; v++)
        for (uint32_t i = 0; i < 5 && v->flags & VALUES_FIGURES; i++)
            for (uint32_t calls = 0; calls < 2; calls++) {
                if (!m->full && (i == 3 || (calls && i < 4))) continue;
                conform_start(m, cols[i] < 2000 ? 200 : cols[i] < 40000 ? (m->full ? 40 : 8) : m->full ? 8 : 2, cols[i]);
                conform_set_reduction(m, WANE_REDUCTION_NONE);
                m->c.values = v;
                m->c.calls = calls ? CALLS_BACKWARD : CALLS_FUSED;
                m->c.figures = true;
                conform_add(m);
            }
}

// ---- statistics ----

// entropy from statistics needs a plane of its own: in half of the shapes
static uint32_t more_planes(const conform_case *c)
{
    bool entropy = c->outputs & CONFORM_BIT(WANE_ROLE_ENTROPY);
    return c->cols % 2 && entropy ? (uint32_t)WANE_STATISTIC_SUM_EXP_X : 0;
}

// Flags are the plane of bit 3 of the mask: as many rows are bad (64), ignored (128), NaN (1) or +inf (2) as the oracle counts.
static const char *wrong_statistics(const conform_run *run, const double *loaded)
{
    const oracle_array *status = &run->problem.out[WANE_ROLE_STATUS], *valid = &run->problem.out[WANE_ROLE_VALID_COUNT];
    if (!(run->statistics_mask & WANE_STATISTIC_FLAGS) || !status->data) return NULL;
    const double *flags = loaded + run->c->rows * (int64_t)wane_statistics_plane_count(run->statistics_mask & (WANE_STATISTIC_FLAGS - 1));
    double bad = 0, ignored = 0, poisoned = 0;
    for (int64_t row = 0; row < run->c->rows; row++) {
        if (!(flags[row] >= 0 && flags[row] <= 255) || flags[row] != floor(flags[row])) return "flags are no integer of 0..255";
        int f = (int)flags[row];
        bad += (f & 64) != 0;
        ignored += (f & 128) != 0;
        poisoned += (f & 3) != 0 && !(f & 192);
    }
    if (bad != status->data[0]) return "the flags count other bad labels than there are";
    if (poisoned != status->data[1]) return "the flags count other rows with NaN or +inf than there are";
    if (valid->data && ignored + bad + valid->data[0] != (double)run->c->rows) return "the flags count other ignored rows than there are";
    return NULL;
}

static uint64_t not_from_statistics(const conform_run *run)
{
    uint64_t entropy = run->statistics_mask & WANE_STATISTIC_SUM_EXP_X ? 0 : CONFORM_BIT(WANE_ROLE_ENTROPY);
    return CONFORM_BIT(WANE_ROLE_ARGMAX) | CONFORM_BIT(WANE_ROLE_ACCURACY) | entropy;
}

// ---- the end of f32's range ----
// There an infinity and the largest number lie within one rounding. Five rules, for inputs like logits of -FLT_MAX:
//   a value within its tolerance of the end may be infinite;
//   an infinite value that a sum of many terms only just reaches may stay below the end;
//   so may a value beyond HUGE_VALUE of a row with a logit that, divided by the temperature, passes the end;
//   so may a reduced loss where a row's value or the rows' sum, before the division, is such a value;
//   a row with an entry of the gradient beyond SATURATED (in such a row HUGE_VALUE) before the softcap's slope has a
//   coefficient that saturates on the way: its entries must be finite, and nothing is said about their size.

#define SATURATED 1e34
#define HUGE_VALUE 1e30

static bool row_passes_the_end(const conform_run *run, int64_t row)
{
    const double *z = run->problem.in[WANE_ROLE_LOGITS].data;
    const double *u = run->problem.in[WANE_ROLE_TEACHER_LOGITS].data;
    double temperature = conform_param(run->c, WANE_PARAM_TEMPERATURE, 1), most = (double)FLT_MAX * temperature;
    // the difference of two tensors passes it sooner
    double reach = u ? most * 0x1p-4 : most;
    for (int64_t j = row * run->c->cols; z && j < (row + 1) * run->c->cols; j++) {
        if (isfinite(z[j]) && fabs(z[j]) > reach) return true;
        if (u && isfinite(u[j]) && fabs(u[j]) > reach) return true;
    }
    return false;
}

static bool sum_passes_the_end(const conform_run *run)
{
    const oracle_array *rows = &run->problem.out[WANE_ROLE_ROW_LOSS];
    double sum = 0;
    for (int64_t i = 0; rows->data && i < oracle_count(rows); i++) {
        double value = isfinite(rows->data[i]) ? fabs(rows->data[i]) : 0;
        if (value > HUGE_VALUE && row_passes_the_end(run, i)) return true;
        sum += value;
    }
    return sum >= (double)FLT_MAX * (1 - 0x1p-20);
}

static double cap_slope(double z, double softcap)
{
    double e = exp(-2 * fabs(z / softcap));
    return softcap > 0 && isfinite(z) ? 4 * e / ((1 + e) * (1 + e)) : 1;
}

static bool saturates(const conform_run *run, const conform_tensor *t, int64_t index)
{
    bool teacher = t->role->role == WANE_ROLE_GRAD_TEACHER_LOGITS;
    const double *z = run->problem.in[teacher ? WANE_ROLE_TEACHER_LOGITS : WANE_ROLE_LOGITS].data;
    if ((t->role->role != WANE_ROLE_GRAD_LOGITS && !teacher) || !z) return false;
    int64_t row = index / run->c->cols, first = row * run->c->cols;
    double most = row_passes_the_end(run, row) ? HUGE_VALUE : SATURATED;
    const double *want = run->problem.out[t->role->role].data;
    double softcap = conform_param(run->c, WANE_PARAM_SOFTCAP, 0);
    for (int64_t i = first; i < first + run->c->cols; i++)
        if (fabs(want[i]) > most * cap_slope(z[i], softcap)) return true;
    return false;
}

static double lenient_error(const conform_run *run, const conform_tensor *t, int64_t index, double got, double error)
{
    const double *want = run->problem.out[t->role->role].data;
    if (isfinite(got) && saturates(run, t, index)) return 0;
    bool of_row = t->role->role == WANE_ROLE_ROW_LOSS || (t->role->role == WANE_ROLE_LOSS && t->count == run->c->rows);
    if (of_row && isinf(got) && isfinite(want[index]) && got * want[index] > HUGE_VALUE)
        return row_passes_the_end(run, index) ? 0 : error;
    if (of_row && isinf(want[index]) && got * want[index] > 0 && fabs(got) > (double)FLT_MAX * (1 - 1e-3)) return 0;
    bool reduced = t->role->role == WANE_ROLE_LOSS && t->count == 1;
    if (reduced && isinf(got) && isfinite(*want) && sum_passes_the_end(run)) return 0;
    return error;
}

// ---- figures ----

static void measure_losses(conform_run *run, const conform_tensor *loss)
{
    conform_tensor_load(loss, run->scratch);
    for (int64_t row = 0; row < loss->count; row++) {
        double n = run->problem.out[WANE_ROLE_ROW_LOSS].data[row];
        if (n >= 1e-6) conform_note_figure(run->result, n >= 0.1 ? FIGURE_LOSS : FIGURE_LOSS_SURE, fabs(run->scratch[row] - n) / n);
    }
}

static void measure_gradients(conform_run *run, const conform_tensor *grad)
{
    int64_t cols = run->c->cols;
    conform_tensor_load(grad, run->scratch);
    for (int64_t row = 0; row < run->c->rows; row++) {
        const double *want = run->problem.out[WANE_ROLE_GRAD_LOGITS].data + row * cols, *got = run->scratch + row * cols;
        double n = run->problem.out[WANE_ROLE_ROW_LOSS].data[row], largest = 0, error = 0;
        for (int64_t j = 0; j < cols; j++) {
            largest = fmax(largest, fabs(want[j]));
            error = fmax(error, fabs(got[j] - want[j]));
            if (run->c->values->flags & VALUES_DOMINATED && fabs(want[j]) > 1e-30)
                conform_note_figure(run->result, FIGURE_ENTRY, fabs(got[j] - want[j]) / fabs(want[j]));
        }
        // a row whose entries are all under 1e-30 (a link with a vanishing slope) ends among f32's subnormals
        if (n >= 1e-6 && largest > 1e-30)
            conform_note_figure(run->result, n >= 0.1 ? FIGURE_GRADIENT : FIGURE_GRADIENT_SURE, error / largest);
    }
}

static void measure(conform_run *run)
{
    const conform_tensor *loss = conform_made(run, WANE_ROLE_ROW_LOSS), *grad = conform_made(run, WANE_ROLE_GRAD_LOGITS);
    if (!loss || !grad) return;
    measure_losses(run, loss);
    measure_gradients(run, grad);
}

// ---- all of it ----

// A number where there is a choice of an index or probabilities: the second variant.
static wane_dtype type(const conform_case *c, const wane_role_info *role)
{
    if (!strchr(role->shape, '|')) return (wane_dtype)0;
    return c->variant ? c->dtype : c->wide_index ? WANE_DTYPE_I64 : WANE_DTYPE_I32;
}

static bool has_variant(const wane_loss_info *loss)
{
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)); i++)
        if (strchr(role->shape, '|')) return true;
    return false;
}

// Probabilities know no ignored rows; a range of numbers has its ends in order.
static void mend(conform_maker *m)
{
    if (m->c.variant) {
        m->c.param_given[WANE_PARAM_IGNORE_INDEX] = false;
        m->c.wide_index = false;
    }
    double low = conform_param(&m->c, WANE_PARAM_VMIN, 0), high = conform_param(&m->c, WANE_PARAM_VMAX, 1);
    if (!(low < high)) {
        m->c.param_given[WANE_PARAM_VMIN] = m->c.param_given[WANE_PARAM_VMAX] = true;
        m->c.param[WANE_PARAM_VMIN] = high - 2;
        m->c.param[WANE_PARAM_VMAX] = low + 1;
        // of one number so large that these are it too
        if (high - 2 == low + 1) m->c.param[low > 0 ? WANE_PARAM_VMIN : WANE_PARAM_VMAX] = low / 2;
    }
}

static const char *const variants[] = {"", "probabilities"};

static void make_all(conform_maker *m)
{
    make_shapes(m);
    make_params(m);
    make_values(m);
    make_types(m);
    if (!m->thin) {
        make_inputs(m);
        make_outputs(m);
        make_calls(m);
        make_views(m);
        make_memory(m);
    }
    if (m->loss->loss == WANE_LOSS_CROSS_ENTROPY && !m->variant) make_figures(m);
    make_random(m, m->full ? 2000 : m->thin ? 30 : 60);
}

static void make(conform_maker *m)
{
    make_all(m);
    m->variant = 1;
    m->outputs &= ~CONFORM_BIT(WANE_ROLE_ACCURACY);
    if (has_variant(m->loss)) make_all(m);
}

const conform_family conform_family_softmax = {
    .name = "softmax",
    .make = make,
    .values = softmax_values,
    .fill = softmax_fill,
    .variants = variants,
    .mend = mend,
    .type = type,
    .more_planes = more_planes,
    .not_from_statistics = not_from_statistics,
    .wrong_statistics = wrong_statistics,
    .lenient_error = lenient_error,
    .figures = measure,
};
