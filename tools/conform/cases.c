// cases.c - the list of cases, made from the registry: every loss over shapes, parameters, roles, values and ways to
// call. Parameters are swept over their ranges, choices over their names, roles over the loss's list.
#include "conform.h"

#include <stdlib.h>
#include <string.h>

typedef struct maker {
    conform_list *list;
    const char *filter;
    uint64_t seed;
    bool full;
    bool thin;                              // only what this loss does not share with the first of its family
    const wane_loss_info *loss;
    uint64_t optional, outputs, gradients;
    conform_case c;                         // the one being described
} maker;

bool conform_glob(const char *pattern, const char *text)
{
    for (; *pattern; pattern++, text++) {
        if (*pattern == '*') {
            while (pattern[1] == '*') pattern++;
            for (;; text++) {
                if (conform_glob(pattern + 1, text)) return true;
                if (!*text) return false;
            }
        }
        if (!*text || (*pattern != '?' && *pattern != *text)) return false;
    }
    return !*text;
}

// ---- names ----

typedef struct text_end { char *at; size_t left; } text_end;

static void append(text_end *end, const char *prefix, const char *text)
{
    int n = snprintf(end->at, end->left, "%s%s", prefix, text);
    size_t used = n < 0 ? 0 : (size_t)n < end->left ? (size_t)n : end->left - 1;
    end->at += used;
    end->left -= used;
}

static void append_choice(text_end *end, const wane_param_info *info, double value)
{
    const char *at = info->choices;
    for (int i = 0; i < (int)value && strchr(at, '|'); i++) at = strchr(at, '|') + 1;
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(at, "|"), at);
    append(end, ".", word);
}

static void append_params(text_end *end, const conform_case *c)
{
    const wane_param_info *info;
    for (uint32_t i = 0; (info = wane_loss_param_at(c->loss, i)); i++) {
        double value = conform_param(c, info->param, 0);
        char number[40];
        snprintf(number, sizeof number, "=%.16g", value);
        if (info->kind == WANE_KIND_CHOICE) append_choice(end, info, value);
        else if (c->param_given[info->param]) {
            append(end, ".", info->name);
            append(end, "", number);
        }
    }
}

static void append_roles(text_end *end, const maker *m)
{
    const conform_case *c = &m->c;
    const wane_role_info *role;
    bool all = c->inputs == m->optional && m->optional;
    if (all) append(end, ".", "inputs");
    for (uint32_t i = 0; !all && (role = wane_loss_role_at(c->loss, i)); i++)
        if (c->inputs & CONFORM_BIT(role->role)) append(end, ".", role->name);
    uint64_t saved = CONFORM_BIT(WANE_ROLE_STATISTICS);
    if (c->outputs == m->outputs) return;
    if (c->outputs == (m->outputs & ~m->gradients)) append(end, ".", "forward");
    else if (c->outputs == (m->outputs | saved)) append(end, ".", "save");
    else
        for (uint32_t i = 0; (role = wane_loss_role_at(c->loss, i)); i++)
            if (c->outputs & CONFORM_BIT(role->role)) append(end, ".only_", role->name);
}

static void make_name(const maker *m, const char *prefix, char *name)
{
    static const char *const layouts[LAYOUT_COUNT] = {"", "reversed", "columns", "broadcast", "windows"};
    static const char *const memories[MEMORY_COUNT] = {"", "exact", "buffer", "recorder"};
    const conform_case *c = &m->c;
    char shape[64], batches[32];
    snprintf(shape, sizeof shape, ".f32%s.r%lldc%lld", prefix, (long long)c->rows, (long long)c->cols);
    snprintf(batches, sizeof batches, "batches%u", c->batches);
    text_end end = {name, CONFORM_NAME};
    append(&end, c->loss->name, shape);
    append_params(&end, c);
    append_roles(&end, m);
    if (c->calls == CALLS_BACKWARD) append(&end, ".", "backward");
    if (c->accumulate) append(&end, ".", "accumulate");
    if (c->layout) append(&end, ".", layouts[c->layout]);
    if (c->memory) append(&end, ".", memories[c->memory]);
    if (c->wide_index) append(&end, ".", "i64");
    if (c->batches) append(&end, ".", batches);
    if (c->values->fill) append(&end, ".", c->values->name);
    if (c->figures) append(&end, ".", "figures");
}

// ---- adding ----

static void start(maker *m, int64_t rows, int64_t cols)
{
    memset(&m->c, 0, sizeof m->c);
    m->c.loss = m->loss;
    m->c.rows = rows;
    m->c.cols = cols;
    m->c.outputs = m->outputs;
    m->c.values = conform_values_table;
}

static void set(maker *m, const wane_param_info *info, double value)
{
    m->c.param_given[info->param] = true;
    m->c.param[info->param] = value;
}

static void set_reduction(maker *m, uint32_t which)
{
    const wane_param_info *info;
    for (uint32_t i = 0; (info = wane_loss_param_at(m->loss, i)); i++)
        if (info->kind == WANE_KIND_CHOICE && info->param == WANE_PARAM_REDUCTION)
            set(m, info, (double)(which % (uint32_t)(info->highest + 1)));
}

static void add_named(maker *m, const char *prefix)
{
    conform_list *list = m->list;
    make_name(m, prefix, m->c.name);
    if (m->filter && !conform_glob(m->filter, m->c.name)) return;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->cases[i].name, m->c.name) == 0) return;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        conform_case *cases = realloc(list->cases, capacity * sizeof *cases);
        if (!cases) {
            list->failed = true;
            return;
        }
        list->cases = cases;
        list->capacity = capacity;
    }
    m->c.seed = conform_hash(0xcbf29ce484222325u ^ m->seed, m->c.name, strlen(m->c.name));
    list->cases[list->count++] = m->c;
}

static void add(maker *m) { add_named(m, ""); }

// ---- parameters ----

// Values of a parameter worth trying, inside its range and other than the default. Returns their number.
static uint32_t ladder(const wane_param_info *info, double values[16])
{
    static const double reals[] = {0.1, 0.3, 0.5, 0.7, 1, 1.5, 2, 8, 30};
    static const double integers[] = {0, 1, -1, 7, -2147483648.0, 2147483647.0, 1099511627776.0};
    bool whole = info->kind == WANE_KIND_INTEGER;
    const double *steps = whole ? integers : reals;
    uint32_t count = 0, most = whole ? 7 : 9;
    if (info->kind == WANE_KIND_CHOICE)
        for (double v = info->lowest; v <= info->highest && count < 16; v++) values[count++] = v;
    else
        for (uint32_t i = 0; i < most; i++)
            if (steps[i] > info->lowest && steps[i] < info->highest && steps[i] != info->standard)
                values[count++] = steps[i];
    if (info->kind == WANE_KIND_REAL && !info->lowest_excluded && info->lowest != info->standard)
        values[count++] = info->lowest;
    if (info->kind == WANE_KIND_REAL && info->highest <= 1000 && info->highest != info->standard)
        values[count++] = info->highest;
    return count;
}

static void any_value(maker *m, const wane_param_info *info, conform_random *random)
{
    double values[16];
    uint32_t count = ladder(info, values);
    if (count) set(m, info, values[conform_below(random, count)]);
}

// Every parameter but the integers at something other than its default.
static void set_all(maker *m, conform_random *random)
{
    const wane_param_info *info;
    for (uint32_t i = 0; (info = wane_loss_param_at(m->loss, i)); i++)
        if (info->kind == WANE_KIND_REAL) any_value(m, info, random);
}

static void make_params(maker *m)
{
    static const int64_t shapes[][2] = {{5, 33}, {3, 1025}, {1, 66000}};
    const wane_param_info *info;
    uint32_t turn = 0;
    for (uint32_t i = 0; (info = wane_loss_param_at(m->loss, i)); i++) {
        double values[16];
        uint32_t count = ladder(info, values);
        for (uint32_t v = 0; v < count; v++)
            for (uint32_t s = 0; s < (m->full ? 3u : 1u); s++) {
                start(m, shapes[s][0], shapes[s][1]);
                set_reduction(m, turn++);
                set(m, info, values[v]);
                m->c.calls = turn % 4 == 3 ? CALLS_BACKWARD : CALLS_FUSED;
                if (info->kind == WANE_KIND_INTEGER) {
                    m->c.wide_index = values[v] > 2147483647.0 || turn % 2;
                    m->c.values = conform_values_named("ignored");
                }
                add(m);
            }
    }
}

// ---- shapes ----

static void make_shapes(maker *m)
{
    static const int64_t rows[] = {1, 2, 5, 64, 130, 300};
    static const int64_t cols[] = {1, 2, 3, 31, 33, 127, 128, 129, 1000, 1025, 5003};
    static const int64_t wide[][2] = {{1, 65536}, {3, 65537}, {64, 65537}, {2, 262144}, {1, 1048576}, {1, 1100000}};
    for (uint32_t j = 0; j < 11; j++)
        for (uint32_t i = 0; i < 6; i++) {
            bool chosen = i == j % 6 || (i == (j + 3) % 6 && !m->thin);
            if (m->full ? rows[i] * cols[j] > 1600000 : !chosen || rows[i] * cols[j] > 400000) continue;
            start(m, rows[i], cols[j]);
            m->c.calls = (i + j) % 3 == 2 ? CALLS_BACKWARD : CALLS_FUSED;
            add(m);
        }
    for (uint32_t i = 0; i < 6; i++) {
        if (!m->full && (i == 2 || i > 3 || (m->thin && i != 1))) continue;
        start(m, wide[i][0], wide[i][1]);
        add(m);
        m->c.calls = CALLS_BACKWARD;
        if (m->full) add(m);
    }
    for (uint32_t reduction = 0; reduction < 3 && !m->thin; reduction++) {   // no rows at all
        start(m, 0, 7);
        set_reduction(m, reduction);
        m->c.inputs = reduction == 1 ? m->optional : 0;
        add(m);
        m->c.calls = CALLS_BACKWARD;
        add(m);
    }
}

// ---- roles ----

static void make_inputs(maker *m)
{
    for (uint32_t a = 0; a < CONFORM_IDS; a++)
        for (uint32_t b = a; b < CONFORM_IDS; b++) {
            uint64_t bits = CONFORM_BIT(a) | CONFORM_BIT(b);
            if ((bits & m->optional) != bits) continue;
            for (uint32_t reduction = 0; reduction < 3; reduction++) {
                if (a != b && !m->full && reduction != (a + b) % 3) continue;
                start(m, 7, 65);
                set_reduction(m, reduction);
                m->c.inputs = bits;
                m->c.calls = (a + b + reduction) % 2 ? CALLS_BACKWARD : CALLS_FUSED;
                add(m);
            }
        }
    for (uint32_t reduction = 0; reduction < 3; reduction++)
        for (uint32_t way = 0; way < 2; way++) {
            start(m, way ? 3 : 7, way ? 66003 : 65);
            set_reduction(m, reduction);
            m->c.inputs = m->optional;
            add(m);
        }
}

// One output alone, of a fused row, of a split row, and from statistics.
static void make_outputs(maker *m)
{
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(m->loss, i)); i++) {
        if (!(m->outputs & CONFORM_BIT(role->role))) continue;
        for (uint32_t way = 0; way < 3; way++) {
            start(m, 13, way == 1 ? 65600 : 37);
            m->c.outputs = CONFORM_BIT(role->role);
            m->c.values = conform_values_named("mixed");
            if (way == 2) m->c.calls = CALLS_BACKWARD;
            if (way == 2 && !conform_from_statistics(role)) continue;
            set_reduction(m, m->full ? way : 2);
            add(m);
        }
    }
}

// ---- values ----

static void make_values(maker *m)
{
    static const int64_t shapes[][2] = {{13, 37}, {25, 130}, {13, 66001}, {130, 1025}, {24, 1}, {30, 2}};
    uint32_t turn = 0;
    for (const conform_values *v = conform_values_table + 1; v->name; v++, turn++)
        for (uint32_t s = 0; s < 6; s++)
            for (uint32_t way = 0; way < 4; way++) {
                // plain, all inputs, all parameters, both
                bool wanted = s == 0 ? way == 0 : s == 1 ? way == 3 : s == 2 ? way == 0 && v->flags & VALUES_QUICK_SPLIT : 0;
                if (!m->full && !wanted && !(s == 5 && way == 0 && turn % 3 == 0)) continue;
                if (m->thin && s != 1 && v->flags != VALUES_QUICK_SPLIT) continue;
                if (s == 2 && way && !(v->flags & VALUES_QUICK_SPLIT)) continue;
                start(m, shapes[s][0], shapes[s][1]);
                set_reduction(m, turn + s + way);
                conform_random random = {.state = (uint64_t)turn * 64 + s * 8 + way};
                if (way & 1 || v->flags & VALUES_WEIGHTS) m->c.inputs = m->optional;
                if (way & 2) set_all(m, &random);
                m->c.values = v;
                m->c.calls = (turn + s) % 3 == 1 ? CALLS_BACKWARD : CALLS_FUSED;
                add(m);
            }
}

// ---- ways to call ----

static void make_calls(maker *m)
{
    for (uint32_t way = 0; way < 5; way++)
        for (uint32_t reduction = 0; reduction < 3; reduction++)
            for (uint32_t s = 0; s < 2; s++) {
                if (s && !m->full && reduction != way % 3) continue;
                start(m, s ? 3 : 9, s ? 65537 : 130);
                set_reduction(m, reduction);
                if (way == 0) m->c.outputs &= ~m->gradients;
                if (way == 1) m->c.outputs |= CONFORM_BIT(WANE_ROLE_STATISTICS);
                m->c.calls = way == 2 || way == 4 ? CALLS_BACKWARD : CALLS_FUSED;
                m->c.accumulate = way >= 3;
                m->c.values = conform_values_named(s || way < 3 ? "plain" : "mixed");
                add(m);
            }
}

static void make_views(maker *m)
{
    for (uint32_t layout = LAYOUT_REVERSED; layout < LAYOUT_COUNT; layout++)
        for (uint32_t way = 0; way < 4; way++)
            for (uint32_t s = 0; s < (m->full ? 3u : 2u); s++) {
                if (layout == LAYOUT_WINDOWS && (!m->full || s)) continue;
                if (s && !m->full && way != layout % 4) continue;
                start(m, s ? 4 : 11, s == 1 ? 66100 : s ? 2100 : 70);
                if (layout == LAYOUT_WINDOWS) m->c.rows = 4, m->c.cols = 5003;
                set_reduction(m, way + s);
                m->c.layout = (conform_layout)layout;
                m->c.inputs = way == 1 ? m->optional : 0;
                m->c.calls = way & 1 ? CALLS_BACKWARD : CALLS_FUSED;
                m->c.accumulate = way >= 2;
                m->c.wide_index = way == 2;
                m->c.memory = way == 3 ? MEMORY_BUFFER : MEMORY_HOST;
                add(m);
            }
}

static void make_memory(maker *m)
{
    for (uint32_t memory = MEMORY_EXACT; memory < MEMORY_COUNT; memory++)
        for (uint32_t way = 0; way < 4; way++) {
            start(m, way == 3 ? 3 : 70, way == 3 ? 65700 : 129);
            set_reduction(m, memory + way);
            m->c.memory = (conform_memory)memory;
            m->c.inputs = way == 1 ? m->optional : 0;
            m->c.calls = way == 2 ? CALLS_BACKWARD : CALLS_FUSED;
            m->c.accumulate = way == 1;
            m->c.wide_index = way == 1;
            m->c.values = conform_values_named(way == 2 ? "mixed" : "plain");
            add(m);
        }
    for (uint32_t way = 0; way < 6; way++) {
        static const uint32_t batches[] = {2, 7};
        for (uint32_t b = 0; b < 2; b++) {
            start(m, way == 5 ? 40 : 300, way == 5 ? 65537 : 33);
            if (way == 5 && !m->full) m->c.rows = 10;
            set_reduction(m, way + b);
            m->c.batches = batches[b];
            m->c.inputs = way == 1 ? m->optional : 0;
            m->c.calls = way == 2 || way == 5 ? CALLS_BACKWARD : CALLS_FUSED;
            m->c.accumulate = way == 3;
            m->c.memory = way == 4 ? MEMORY_EXACT : MEMORY_HOST;
            m->c.values = conform_values_named(way >= 3 ? "mixed" : "plain");
            add(m);
        }
    }
    // more rows than one part of a reduction holds
    for (uint32_t reduction = 0; reduction < 3; reduction++) {
        start(m, 40000, 3);
        set_reduction(m, reduction);
        m->c.values = conform_values_named(reduction ? "mixed" : "plain");
        m->c.batches = reduction == 1 ? 3 : 0;
        add(m);
    }
    static const char *const classes[] = {"plain", "bad", "ignored", "mixed"};
    for (uint32_t i = 0; i < 4; i++) {
        start(m, 13, 37);
        set_reduction(m, i);
        m->c.wide_index = true;
        m->c.values = conform_values_named(classes[i]);
        add(m);
    }
}

// ---- anything with anything ----

static void random_shape(maker *m, conform_random *random)
{
    uint64_t kind = conform_below(random, 16);
    int64_t rows = 1 + (int64_t)conform_below(random, kind < 8 ? 20 : 200);
    int64_t cols = 1 + (int64_t)conform_below(random, kind < 4 ? 12 : kind < 10 ? 200 : 1400);
    if (kind == 15) {
        rows = 1 + (int64_t)conform_below(random, 4);
        cols = 65536 + (int64_t)conform_below(random, 4000);
    }
    start(m, rows, cols);
}

static void make_random(maker *m, uint32_t count)
{
    uint32_t values = 0;
    while (conform_values_table[values].name) values++;
    for (uint32_t i = 0; i < count; i++) {
        conform_random random = {.state = m->seed * 1000003 + (uint64_t)m->loss->loss * 7919 + i};
        const wane_param_info *info;
        char prefix[32];
        random_shape(m, &random);
        for (uint32_t k = 0; (info = wane_loss_param_at(m->loss, k)); k++)
            if (conform_below(&random, 3) == 0) any_value(m, info, &random);
        set_reduction(m, (uint32_t)conform_below(&random, 3));
        m->c.values = &conform_values_table[conform_below(&random, 2) ? conform_below(&random, values) : 0];
        m->c.inputs = conform_next(&random) & m->optional;
        if (m->c.values->flags & VALUES_WEIGHTS) m->c.inputs = m->optional;
        m->c.calls = conform_below(&random, 3) ? CALLS_FUSED : CALLS_BACKWARD;
        m->c.accumulate = conform_below(&random, 4) == 0;
        m->c.wide_index = conform_below(&random, 3) == 0;
        if (conform_below(&random, 3) == 0) m->c.layout = (conform_layout)conform_below(&random, LAYOUT_WINDOWS);
        if (conform_below(&random, 3) == 0) m->c.memory = (conform_memory)conform_below(&random, MEMORY_COUNT);
        if (conform_below(&random, 5) == 0) m->c.batches = 2 + (uint32_t)conform_below(&random, 5);
        snprintf(prefix, sizeof prefix, ".random%u", i);
        add_named(m, prefix);
    }
}

// ---- the project's figures ----
// They are cross-entropy's: a link that bends multiplies n's rounding by its own condition, which its oracle judges.

static void make_figures(maker *m)
{
    static const int64_t cols[] = {10, 1000, 32768, 131072, 262144};
    for (const conform_values *v = conform_values_table; v->name; v++)
        for (uint32_t i = 0; i < 5 && v->flags & VALUES_FIGURES; i++)
            for (uint32_t calls = 0; calls < 2; calls++) {
                if (!m->full && (i == 3 || (calls && i < 4))) continue;
                start(m, cols[i] < 2000 ? 200 : cols[i] < 40000 ? (m->full ? 40 : 8) : m->full ? 8 : 2, cols[i]);
                set_reduction(m, WANE_REDUCTION_NONE);
                m->c.values = v;
                m->c.calls = calls ? CALLS_BACKWARD : CALLS_FUSED;
                m->c.figures = true;
                add(m);
            }
}

// Whether an earlier loss has the same family.
static bool has_sibling(uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (strcmp(wane_loss_at(i)->family, wane_loss_at(index)->family) == 0) return true;
    return false;
}

void conform_make_cases(conform_list *list, bool full, uint64_t seed, const char *filter)
{
    const wane_loss_info *loss;
    for (uint32_t i = 0; (loss = wane_loss_at(i)); i++) {
        maker m;
        memset(&m, 0, sizeof m);
        m.list = list;
        m.filter = filter;
        m.seed = seed;
        m.full = full;
        m.thin = !full && has_sibling(i);
        m.loss = loss;
        m.optional = conform_roles(loss, WANE_DIRECTION_IN, WANE_NEED_OPTIONAL);
        m.outputs = conform_outputs(loss);
        m.gradients = conform_roles(loss, WANE_DIRECTION_GRAD, -1);
        make_shapes(&m);
        make_params(&m);
        make_values(&m);
        if (!m.thin) {
            make_inputs(&m);
            make_outputs(&m);
            make_calls(&m);
            make_views(&m);
            make_memory(&m);
        }
        if (loss->loss == WANE_LOSS_CROSS_ENTROPY) make_figures(&m);
        make_random(&m, full ? 2000 : m.thin ? 30 : 60);
    }
}
