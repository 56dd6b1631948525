// cases.c - the list of cases and their names: what the files of the families (family_*.c) make theirs with.
#include "family.h"

#include <stdlib.h>
#include <string.h>

// ---- families ----

#define CONFORM_FAMILY(name) extern const conform_family conform_family_##name;
#include "families.def"
#undef CONFORM_FAMILY

static const conform_family *const families[] = {
#define CONFORM_FAMILY(name) &conform_family_##name,
#include "families.def"
#undef CONFORM_FAMILY
};

const conform_family *conform_family_of(const wane_loss_info *loss)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(families[i]->name, loss->family) == 0) return families[i];
    return NULL;
}

const conform_values *conform_values_named(const conform_maker *m, const char *name)
{
    const conform_values *v = m->family->values;
    while (v->name && strcmp(v->name, name) != 0) v++;
    return v->name ? v : NULL;
}

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

static void append_roles(text_end *end, const conform_maker *m)
{
    const conform_case *c = &m->c;
    const wane_role_info *role;
    bool all = c->inputs == m->optional && m->optional;
    if (all) append(end, ".", "inputs");
    for (uint32_t i = 0; !all && (role = wane_loss_role_at(c->loss, i)); i++)
        if (c->inputs & CONFORM_BIT(role->role)) append(end, ".", role->name);
    uint64_t saved = conform_roles(c->loss, WANE_DIRECTION_STATE, -1);
    if (c->outputs == m->outputs) return;
    if (c->outputs == (m->outputs & ~m->gradients)) append(end, ".", "forward");
    else if (c->outputs == (m->outputs | saved)) append(end, ".", "save");
    else
        for (uint32_t i = 0; (role = wane_loss_role_at(c->loss, i)); i++)
            if (c->outputs & CONFORM_BIT(role->role)) append(end, ".only_", role->name);
}

static void append_shape(text_end *end, const conform_case *c)
{
    const struct { char letter; int64_t extent; } parts[] = {
        {'r', c->rows}, {'c', c->cols}, {'d', c->dim}, {'g', c->groups}, {'p', c->pairs}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char number[32];
        snprintf(number, sizeof number, "%c%lld", parts[i].letter, (long long)parts[i].extent);
        if (i == 0 || parts[i].extent) append(end, number, "");
    }
}

static void make_name(const conform_maker *m, const char *prefix, char *name)
{
    static const char *const layouts[LAYOUT_COUNT] = {"", "reversed", "columns", "broadcast", "windows"};
    static const char *const memories[MEMORY_COUNT] = {"", "exact", "buffer", "recorder"};
    const conform_case *c = &m->c;
    char batches[32];
    snprintf(batches, sizeof batches, "batches%u", c->batches);
    text_end end = {name, CONFORM_NAME};
    append(&end, c->loss->name, ".");
    append(&end, wane_dtype_name(c->dtype), "");
    if (c->grad_dtype != c->dtype) append(&end, "_", wane_dtype_name(c->grad_dtype));
    append(&end, prefix, ".");
    append_shape(&end, c);
    if (c->variant) append(&end, ".", c->family->variants[c->variant]);
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

void conform_start(conform_maker *m, int64_t rows, int64_t cols)
{
    memset(&m->c, 0, sizeof m->c);
    m->c.loss = m->loss;
    m->c.rows = rows;
    m->c.cols = cols;
    m->c.outputs = m->outputs;
    m->c.values = m->family->values;
    m->c.family = m->family;
    m->c.variant = m->variant;
    m->c.dtype = m->c.grad_dtype = WANE_DTYPE_F32;
}

void conform_set(conform_maker *m, const wane_param_info *info, double value)
{
    m->c.param_given[info->param] = true;
    m->c.param[info->param] = value;
}

void conform_set_reduction(conform_maker *m, uint32_t which)
{
    const wane_param_info *info;
    for (uint32_t i = 0; (info = wane_loss_param_at(m->loss, i)); i++)
        if (info->kind == WANE_KIND_CHOICE && info->param == WANE_PARAM_REDUCTION)
            conform_set(m, info, (double)(which % (uint32_t)(info->highest + 1)));
}

void conform_add_named(conform_maker *m, const char *prefix)
{
    conform_list *list = m->list;
    if (!conform_roles(m->loss, WANE_DIRECTION_STATE, -1)) {
        m->c.calls = CALLS_FUSED;
        m->c.outputs &= ~CONFORM_BIT(WANE_ROLE_STATISTICS);
    }
    if (m->family->mend) m->family->mend(m);
    make_name(m, prefix, m->c.name);
    if (m->filter && !conform_glob(m->filter, m->c.name)) return;
    for (size_t i = list->count; i > 0 && list->cases[i - 1].loss == m->loss; i--)     // a name begins with its loss
        if (strcmp(list->cases[i - 1].name, m->c.name) == 0) return;
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

void conform_add(conform_maker *m) { conform_add_named(m, ""); }

// ---- parameters ----

// Values of a parameter worth trying, inside its range and other than the default. Returns their number.
uint32_t conform_ladder(const wane_param_info *info, double values[16])
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

void conform_set_any(conform_maker *m, const wane_param_info *info, conform_random *random)
{
    double values[16];
    uint32_t count = conform_ladder(info, values);
    if (count) conform_set(m, info, values[conform_below(random, count)]);
}

// Every parameter but the integers at something other than its default.
void conform_set_all(conform_maker *m, conform_random *random)
{
    const wane_param_info *info;
    for (uint32_t i = 0; (info = wane_loss_param_at(m->loss, i)); i++)
        if (info->kind == WANE_KIND_REAL) conform_set_any(m, info, random);
}

// ---- ordinary numbers ----

int64_t conform_any_column(conform_inputs *in) { return (int64_t)conform_below(&in->random, (uint64_t)in->cols); }

void conform_fill_ordinary(conform_inputs *in)
{
    const wane_role_info *role;
    for (uint32_t r = 0; (role = wane_loss_role_at(in->c->loss, r)); r++) {
        bool weight = role->role == WANE_ROLE_WEIGHT || role->role == WANE_ROLE_ROW_WEIGHT;
        bool index = (role->types & WANE_TYPES_INDEX) && !(role->types & WANE_TYPES_FLOAT);
        double *data = in->of[role->role];
        for (int64_t i = 0; data && i < in->count[role->role]; i++)
            data[i] = index    ? (double)conform_any_column(in)
                      : weight ? 0.25 + 1.75 * conform_uniform(&in->random)
                               : conform_normal(&in->random);
    }
}

// ---- all of them ----

// Whether an earlier loss has the same family and the same roles.
static bool has_sibling(uint32_t index)
{
    const wane_loss_info *loss = wane_loss_at(index), *other;
    for (uint32_t i = 0; i < index; i++) {
        other = wane_loss_at(i);
        uint64_t roles = conform_roles(loss, WANE_DIRECTION_IN, -1) | conform_outputs(loss);
        uint64_t others = conform_roles(other, WANE_DIRECTION_IN, -1) | conform_outputs(other);
        if (strcmp(other->family, loss->family) == 0 && roles == others) return true;
    }
    return false;
}

void conform_make_cases(conform_list *list, bool full, uint64_t seed, const char *filter)
{
    const wane_loss_info *loss;
    for (uint32_t i = 0; (loss = wane_loss_at(i)); i++) {
        conform_maker m;
        if (!conform_family_of(loss)) continue;
        memset(&m, 0, sizeof m);
        m.list = list;
        m.filter = filter;
        m.seed = seed;
        m.full = full;
        m.thin = !full && has_sibling(i);
        m.loss = loss;
        m.family = conform_family_of(loss);
        m.optional = conform_roles(loss, WANE_DIRECTION_IN, WANE_NEED_OPTIONAL);
        m.outputs = conform_outputs(loss);
        m.gradients = conform_roles(loss, WANE_DIRECTION_GRAD, -1);
        m.family->make(&m);
    }
}
