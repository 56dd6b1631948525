// family_ranking.c - cases of the ranking losses: scores and labels in groups of very unequal sizes, over links, pair
// weights, reductions, roles, special values and ways to call. rows are the items of all groups.
#include "family.h"

#include <math.h>
#include <string.h>

// ---- shapes ----

static bool has_groups(const conform_case *c) { return (c->inputs & CONFORM_BIT(WANE_ROLE_OFFSETS)) != 0; }

static int64_t group_count(const conform_case *c) { return has_groups(c) ? c->groups : 1; }

static int64_t extent_of(const conform_case *c, const char *name)
{
    bool none = conform_param(c, WANE_PARAM_REDUCTION, WANE_REDUCTION_MEAN) == WANE_REDUCTION_NONE;
    if (strcmp(name, "items") == 0) return c->rows;
    if (strcmp(name, "groups") == 0) return group_count(c);
    if (strcmp(name, "groups+1") == 0) return group_count(c) + 1;
    if (strcmp(name, "reduced=groups") == 0) return none ? group_count(c) : 1;
    if (strcmp(name, "reduced=pairs") == 0) return none ? c->pairs : 1;
    return 0;
}

static uint32_t shape(const conform_case *c, const wane_role_info *role, int64_t extents[4])
{
    if (strcmp(role->shape, "pairs,2") == 0) {
        extents[0] = c->pairs;
        extents[1] = 2;
        return 2;
    }
    extents[0] = extent_of(c, role->shape);
    bool known = extents[0] || strcmp(role->shape, "items") == 0 || strcmp(role->shape, "groups") == 0
              || strncmp(role->shape, "reduced", 7) == 0;
    return known ? 1 : 0;
}

// Labels are whole numbers in one case of three.
static wane_dtype type(const conform_case *c, const wane_role_info *role)
{
    return role->role == WANE_ROLE_LABELS && c->variant ? WANE_DTYPE_I32 : (wane_dtype)0;
}

static const char *const variants[] = {"", "i32_labels"};

// ---- ordinary numbers ----

// Offsets that cut the items into groups of unequal sizes, some of them empty.
static void fill_offsets(conform_inputs *in, double *offsets, int64_t count)
{
    int64_t groups = count - 1, left = in->rows, at = 0;
    for (int64_t g = 0; g < groups; g++) {
        offsets[g] = (double)at;
        int64_t mean = left / (groups - g), size = mean;
        uint64_t kind = conform_below(&in->random, 8);
        if (kind == 0) size = 0;
        else if (kind < 6) size = (int64_t)conform_below(&in->random, (uint64_t)(2 * mean + 2));
        if (g == groups - 1 || size > left) size = left;
        at += size;
        left -= size;
    }
    if (groups >= 0) offsets[groups] = (double)in->rows;
}

static void fill(conform_inputs *in)
{
    const wane_role_info *role;
    for (uint32_t r = 0; (role = wane_loss_role_at(in->c->loss, r)); r++) {
        double *data = in->of[role->role];
        if (!data) continue;
        if (role->role == WANE_ROLE_OFFSETS) fill_offsets(in, data, in->count[role->role]);
        for (int64_t i = 0; i < in->count[role->role] && role->role != WANE_ROLE_OFFSETS; i++)
            switch (role->role) {
            case WANE_ROLE_LABELS: data[i] = (double)(conform_below(&in->random, 3) * conform_below(&in->random, 3)); break;
            case WANE_ROLE_PAIRS: data[i] = (double)conform_below(&in->random, (uint64_t)(in->rows ? in->rows : 1)); break;
            case WANE_ROLE_WEIGHT: data[i] = 0.25 + 1.75 * conform_uniform(&in->random); break;
            default: data[i] = (role->role == WANE_ROLE_SCORES ? 2 : 1) * conform_normal(&in->random); break;
            }
    }
}

// ---- classes of values ----

static double *scores_of(conform_inputs *in) { return in->of[WANE_ROLE_SCORES]; }
static double *labels_of(conform_inputs *in) { return in->of[WANE_ROLE_LABELS]; }

static void each_score(conform_inputs *in, double (*rule)(conform_inputs *, int64_t, double))
{
    for (int64_t i = 0; i < in->rows; i++) scores_of(in)[i] = rule(in, i, scores_of(in)[i]);
}

static double score_tie(conform_inputs *in, int64_t i, double s) { (void)i, (void)s; return (double)conform_below(&in->random, 4); }
static double score_equal(conform_inputs *in, int64_t i, double s) { (void)in, (void)i, (void)s; return 1.5; }
static double score_sharp(conform_inputs *in, int64_t i, double s) { (void)in, (void)i; return 30 * s; }
static double score_shifted(conform_inputs *in, int64_t i, double s) { (void)in, (void)i; return 1000 + s; }
static double score_denormal(conform_inputs *in, int64_t i, double s) { (void)in, (void)i; return 1e-39 * s; }
static double score_nan(conform_inputs *in, int64_t i, double s)
{
    uint64_t kind = conform_below(&in->random, 40);
    (void)i;
    return kind == 0 ? NAN : kind == 1 ? INFINITY : kind == 2 ? -INFINITY : s;
}

static void fill_ties(conform_inputs *in) { each_score(in, score_tie); }
static void fill_equal(conform_inputs *in) { each_score(in, score_equal); }
static void fill_sharp(conform_inputs *in) { each_score(in, score_sharp); }
static void fill_shifted(conform_inputs *in) { each_score(in, score_shifted); }
static void fill_denormal(conform_inputs *in) { each_score(in, score_denormal); }
static void fill_nan(conform_inputs *in) { each_score(in, score_nan); }

static void fill_all_nan(conform_inputs *in)
{
    for (int64_t i = 0; i < in->rows; i++) scores_of(in)[i] = NAN;
}

// Runs of one label, so that many groups have one level; real ones where they may be.
static void fill_levels(conform_inputs *in)
{
    for (int64_t i = 0; labels_of(in) && i < in->rows; i++) labels_of(in)[i] = i / 24 % 3 ? (double)(i / 24 % 5) : labels_of(in)[i];
}

static void fill_one_level(conform_inputs *in)
{
    for (int64_t i = 0; labels_of(in) && i < in->rows; i++) labels_of(in)[i] = 3;
}

static void fill_real_labels(conform_inputs *in)
{
    for (int64_t i = 0; labels_of(in) && i < in->rows; i++) labels_of(in)[i] = 6 * conform_uniform(&in->random);
}

// Negative and large ones, which are good unless gains are made of them, and NaN, which never is.
static void fill_bad_labels(conform_inputs *in)
{
    static const double odd[] = {-1, 31, -0.0, 30, 1e9, -2147483648.0};
    for (int64_t i = 0; labels_of(in) && i < in->rows; i++)
        if (conform_below(&in->random, 30) == 0)
            labels_of(in)[i] = !in->c->variant && i % 2 ? (double)NAN : odd[conform_below(&in->random, 6)];
}

static void fill_bad_offsets(conform_inputs *in)
{
    double *offsets = in->of[WANE_ROLE_OFFSETS], rows = (double)in->rows;
    const double odd[] = {-1, rows + 1, 0, 2147483647.0, in->c->wide_index ? 0x1p32 : -2147483648.0, rows};
    for (int64_t j = 0; offsets && j < in->count[WANE_ROLE_OFFSETS]; j++)
        if (conform_below(&in->random, 5) == 0) offsets[j] = odd[conform_below(&in->random, 6)];
}

// Items before the first group and behind the last one belong to none.
static void fill_outside(conform_inputs *in)
{
    double *offsets = in->of[WANE_ROLE_OFFSETS];
    int64_t last = in->count[WANE_ROLE_OFFSETS] - 1;
    for (int64_t j = 0; offsets && j <= last; j++)
        offsets[j] = fmin(fmax(offsets[j], (double)(in->rows / 8)), (double)(in->rows - in->rows / 8));
}

static void fill_bad_pairs(conform_inputs *in)
{
    double *pairs = in->of[WANE_ROLE_PAIRS], rows = (double)in->rows;
    const double odd[] = {-1, rows, 2147483647.0, in->c->wide_index ? 0x1p32 : -2147483648.0};
    for (int64_t i = 0; pairs && i < in->count[WANE_ROLE_PAIRS]; i++)
        if (conform_below(&in->random, 9) == 0) pairs[i] = odd[conform_below(&in->random, 4)];
}

// One item in most of the pairs, and pairs of an item with itself.
static void fill_hub(conform_inputs *in)
{
    double *pairs = in->of[WANE_ROLE_PAIRS];
    for (int64_t i = 0; pairs && i < in->count[WANE_ROLE_PAIRS]; i++)
        if (conform_below(&in->random, 3)) pairs[i] = (double)(in->rows / 2);
}

static void fill_mixed(conform_inputs *in)
{
    fill_levels(in);
    fill_nan(in);
    fill_bad_labels(in);
    fill_bad_offsets(in);
    fill_bad_pairs(in);
}

// Weights, and upstream gradients of groups or pairs, that are NaN or infinite.
static void fill_odd_weights(conform_inputs *in)
{
    static const double odd[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    double *weight = in->of[WANE_ROLE_WEIGHT], *upstream = in->of[WANE_ROLE_UPSTREAM];
    for (int64_t i = 0; weight && i < in->count[WANE_ROLE_WEIGHT]; i++)
        if (conform_below(&in->random, 60) == 0) weight[i] = odd[conform_below(&in->random, 3)];
    for (int64_t i = 0; upstream && i < in->count[WANE_ROLE_UPSTREAM]; i++)
        if (conform_below(&in->random, 6) == 0) upstream[i] = odd[conform_below(&in->random, 3)];
}

static const conform_values values[] = {
    {"plain", 0, NULL}, {"ties", 0, fill_ties}, {"equal", VALUES_TRIVIAL, fill_equal}, {"sharp", 0, fill_sharp},
    {"shifted", 0, fill_shifted}, {"denormal", 0, fill_denormal}, {"nan", 0, fill_nan}, {"all_nan", 0, fill_all_nan},
    {"levels", 0, fill_levels}, {"one_level", VALUES_TRIVIAL, fill_one_level}, {"real_labels", 0, fill_real_labels},
    {"bad_labels", VALUES_TRIVIAL, fill_bad_labels}, {"bad_offsets", VALUES_TRIVIAL, fill_bad_offsets},
    {"outside", 0, fill_outside}, {"bad_pairs", 0, fill_bad_pairs}, {"hub", 0, fill_hub},
    {"mixed", VALUES_TRIVIAL, fill_mixed}, {"odd_weights", 0, fill_odd_weights}, {NULL, 0, NULL}};

// ---- cases ----

// The items, and groups by offsets where the loss knows them and groups is not 1.
static void start(conform_maker *m, int64_t items, int64_t groups)
{
    conform_start(m, items, 0);
    if (m->optional & CONFORM_BIT(WANE_ROLE_OFFSETS)) {
        m->c.groups = groups;
        if (groups != 1) m->c.inputs |= CONFORM_BIT(WANE_ROLE_OFFSETS);
    } else if (conform_roles(m->loss, WANE_DIRECTION_IN, -1) & CONFORM_BIT(WANE_ROLE_PAIRS)) {
        m->c.pairs = items * groups / 2 + groups;
        if (m->c.pairs > 60000) m->c.pairs = 60000;
    }
}

// All optional inputs, offsets only where they say something.
static void give_all(conform_maker *m)
{
    m->c.inputs = m->optional & ~CONFORM_BIT(WANE_ROLE_OFFSETS);
    if (m->c.groups > 1) m->c.inputs |= CONFORM_BIT(WANE_ROLE_OFFSETS);
}

static void add(conform_maker *m)
{
    const wane_param_info *info;
    for (uint32_t i = 0; has_groups(&m->c) && (info = wane_loss_param_at(m->loss, i)); i++)
        if (info->param == WANE_PARAM_SCOPE) conform_set(m, info, 1);
    if (m->c.inputs & CONFORM_BIT(WANE_ROLE_OFFSETS) && !m->c.groups) m->c.inputs &= ~CONFORM_BIT(WANE_ROLE_OFFSETS);
    conform_add(m);
}

static const wane_param_info *param_of(const conform_maker *m, wane_param param)
{
    const wane_param_info *info;
    for (uint32_t i = 0; (info = wane_loss_param_at(m->loss, i)); i++)
        if (info->param == param) return info;
    return NULL;
}

static void set_choice(conform_maker *m, wane_param param, uint32_t which)
{
    const wane_param_info *info = param_of(m, param);
    if (info) conform_set(m, info, (double)(which % (uint32_t)(info->highest + 1)));
}

static void set_value(conform_maker *m, wane_param param, double value)
{
    const wane_param_info *info = param_of(m, param);
    if (info) conform_set(m, info, value);
}

static void make_shapes(conform_maker *m)
{
    static const int64_t shapes[][2] = {
        {1, 1}, {2, 1}, {3, 1}, {31, 1}, {127, 1}, {128, 1}, {129, 1}, {255, 1}, {257, 1}, {700, 1}, {1100, 1}, {5, 7},
        {16, 2}, {40, 9}, {130, 5}, {300, 40}, {600, 3}, {1500, 20}, {2000, 900}, {0, 1}, {0, 3}, {7, 0}, {20000, 4000}};
    for (uint32_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (uint32_t way = 0; way < (m->full ? 4u : 1u); way++) {
            // groups that no input tells of, and a single item: nothing but zeros comes of them
            bool grouped = (m->optional & CONFORM_BIT(WANE_ROLE_OFFSETS)) != 0;
            if (!grouped && (!shapes[s][1] || shapes[s][0] == 1)) continue;
            start(m, shapes[s][0], shapes[s][1]);
            conform_set_reduction(m, s + way);
            set_choice(m, WANE_PARAM_LINK, s / 2 + way);
            m->c.wide_index = (s + way) % 3 == 2;
            m->c.variant = s % 4 == 3;
            add(m);
        }
}

// Every link with every weight, with and without the other inputs.
static void make_choices(conform_maker *m)
{
    const wane_param_info *link = param_of(m, WANE_PARAM_LINK), *weight = param_of(m, WANE_PARAM_PAIR_WEIGHT);
    uint32_t links = link ? (uint32_t)link->highest + 1 : 1, weights = weight ? (uint32_t)weight->highest + 1 : 1, turn = 0;
    for (uint32_t a = 0; a < links; a++)
        for (uint32_t b = 0; b < weights; b++)
            for (uint32_t way = 0; way < 3; way++, turn++) {
                if (!m->full && links * weights > 8 && way != (a + b) % 3) continue;
                start(m, way == 2 ? 300 : 230, way == 1 ? 1 : way == 2 ? 30 : 6);
                conform_set_reduction(m, turn);
                set_choice(m, WANE_PARAM_LINK, a);
                set_choice(m, WANE_PARAM_PAIR_WEIGHT, b);
                if (way == 2) give_all(m);
                if (way) set_value(m, WANE_PARAM_K, way == 1 ? 10 : 3);
                if (turn % 4 == 1) set_value(m, WANE_PARAM_SIGMA, 2.5), set_value(m, WANE_PARAM_MARGIN, 0.3);
                if (turn % 4 == 2) set_value(m, WANE_PARAM_MARGIN, 0), set_value(m, WANE_PARAM_MU, 2.5);
                m->c.variant = turn % 3 == 1;
                add(m);
            }
}

static void make_values(conform_maker *m)
{
    uint32_t turn = 0;
    for (const conform_values *v = values + 1; v->name; v++)
        for (uint32_t way = 0; way < (m->full ? 12u : 3u); way++, turn++) {
            start(m, way % 3 == 0 ? 333 : 150, way % 3 == 1 ? 1 : 12);
            conform_set_reduction(m, turn);
            set_choice(m, WANE_PARAM_LINK, turn % 5);
            set_choice(m, WANE_PARAM_PAIR_WEIGHT, way % 2 ? turn / 3 : 0);
            if (way % 3 == 2) give_all(m);
            m->c.wide_index = turn % 2;
            m->c.variant = turn % 3 == 2;
            m->c.values = v;
            // powers of e leave f32 where scores are sharp; that end is not judged here
            if (strcmp(v->name, "sharp") == 0) set_choice(m, WANE_PARAM_LINK, turn % 3);
            add(m);
        }
}

static void make_roles(conform_maker *m)
{
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(m->loss, i)); i++)
        for (uint32_t way = 0; way < 2; way++) {
            start(m, 90, 8);
            conform_set_reduction(m, i + way);
            bool output = (m->outputs & CONFORM_BIT(role->role)) != 0;
            if (output) m->c.outputs = CONFORM_BIT(role->role);
            else if (m->optional & CONFORM_BIT(role->role)) m->c.inputs |= CONFORM_BIT(role->role);
            else continue;
            if (way) set_choice(m, WANE_PARAM_PAIR_WEIGHT, 2), m->c.values = values + 8;
            // a status of zeros alone is right here
            if (role->role == WANE_ROLE_STATUS) m->c.values = conform_values_named(m, "mixed");
            add(m);
        }
}

static void make_calls(conform_maker *m)
{
    uint32_t turn = 0;
    for (uint32_t layout = 0; layout < LAYOUT_WINDOWS; layout++)
        for (uint32_t memory = 0; memory < MEMORY_COUNT; memory++, turn++)
            for (uint32_t way = 0; way < (m->full ? 6u : 1u); way++) {
                if (layout == LAYOUT_COLUMNS) continue;
                start(m, 270, turn % 2 ? 9 : 1);
                conform_set_reduction(m, turn + way);
                give_all(m);
                m->c.layout = (conform_layout)layout;
                // offsets of stride 0 are no groups
                if (layout == LAYOUT_BROADCAST) m->c.inputs &= ~CONFORM_BIT(WANE_ROLE_OFFSETS), m->c.values = conform_values_named(m, "plain");
                m->c.memory = (conform_memory)memory;
                m->c.accumulate = (turn + way) % 2;
                m->c.wide_index = turn % 3 == 0;
                if (layout == LAYOUT_BROADCAST && !(m->optional & CONFORM_BIT(WANE_ROLE_OFFSETS))) continue;
                set_choice(m, WANE_PARAM_PAIR_WEIGHT, way ? way + turn : 0);
                if (layout == LAYOUT_BROADCAST) continue;      // every score and label alike: nothing is ranked
                add(m);
            }
}

static void make_types(conform_maker *m)
{
    uint32_t turn = 0;
    for (uint32_t dtype = WANE_DTYPE_F16; dtype <= WANE_DTYPE_BF16; dtype++)
        for (uint32_t way = 0; way < 4; way++, turn++) {
            start(m, way == 0 ? 1001 : 201, way == 1 ? 1 : 17);
            conform_set_reduction(m, turn + 1);
            m->c.dtype = (wane_dtype)dtype;
            m->c.grad_dtype = way == 1 ? WANE_DTYPE_F32 : m->c.dtype;
            m->c.accumulate = way == 3;
            m->c.memory = way == 2 ? MEMORY_BUFFER : MEMORY_HOST;
            m->c.layout = way == 3 ? LAYOUT_REVERSED : LAYOUT_DENSE;
            m->c.values = way == 2 ? conform_values_named(m, "nan") : values;
            set_choice(m, WANE_PARAM_PAIR_WEIGHT, way == 2 ? 2 : 0);
            add(m);
        }
}

static void make_random(conform_maker *m, uint32_t count)
{
    uint32_t classes = 0;
    while (values[classes].name) classes++;
    for (uint32_t i = 0; i < count; i++) {
        conform_random random = {.state = m->seed * 1000003 + (uint64_t)m->loss->loss * 7919 + i};
        char prefix[32];
        int64_t items = 2 + (int64_t)conform_below(&random, conform_below(&random, 2) ? 40 : 900);
        start(m, items, 1 + (int64_t)conform_below(&random, (uint64_t)items / 2 + 2));
        if (conform_below(&random, 2)) give_all(m);
        conform_set_reduction(m, (uint32_t)conform_next(&random) % 4);
        set_choice(m, WANE_PARAM_LINK, (uint32_t)conform_below(&random, 6));
        set_choice(m, WANE_PARAM_PAIR_WEIGHT, (uint32_t)conform_below(&random, 8));
        if (conform_below(&random, 3) == 0) set_value(m, WANE_PARAM_K, 1 + (double)conform_below(&random, 12));
        if (conform_below(&random, 3) == 0) set_value(m, WANE_PARAM_SIGMA, 0.5 + 2 * conform_uniform(&random));
        if (conform_below(&random, 3) == 0) set_value(m, WANE_PARAM_MARGIN, conform_uniform(&random));
        m->c.values = &values[conform_below(&random, 2) ? conform_below(&random, classes) : 0];
        if (strcmp(m->c.values->name, "sharp") == 0) set_choice(m, WANE_PARAM_LINK, i % 3);
        m->c.accumulate = conform_below(&random, 4) == 0;
        m->c.wide_index = conform_below(&random, 3) == 0;
        m->c.variant = (uint32_t)conform_below(&random, 2);
        if (conform_below(&random, 4) == 0) m->c.layout = LAYOUT_REVERSED;
        if (conform_below(&random, 3) == 0) m->c.memory = (conform_memory)conform_below(&random, MEMORY_COUNT);
        for (uint32_t k = 0; k < 1; k++) {
            const wane_param_info *info = param_of(m, WANE_PARAM_SCOPE);
            if (info && has_groups(&m->c)) conform_set(m, info, 1);
        }
        snprintf(prefix, sizeof prefix, ".random%u", i);
        conform_add_named(m, prefix);
    }
}

static void make(conform_maker *m)
{
    make_shapes(m);
    make_choices(m);
    make_values(m);
    make_roles(m);
    make_calls(m);
    make_types(m);
    make_random(m, m->full ? 1500 : 60);
}

// Weights by rank are constants in the gradient, and jump where ranks change; a hinge has kinks, and many pairs some near.
static bool no_derivative(const conform_case *c)
{
    int weight = (int)conform_param(c, WANE_PARAM_PAIR_WEIGHT, WANE_PAIR_WEIGHT_NONE);
    bool by_rank = weight >= WANE_PAIR_WEIGHT_LAMBDA && weight <= WANE_PAIR_WEIGHT_PRECISION;
    bool hinge = c->loss->loss == WANE_LOSS_MARGIN_RANKING || (int)conform_param(c, WANE_PARAM_LINK, WANE_LINK_LOGISTIC) == WANE_LINK_HINGE;
    return by_rank || hinge;
}

const conform_family conform_family_ranking = {
    .name = "ranking",
    .make = make,
    .values = values,
    .fill = fill,
    .variants = variants,
    .shape = shape,
    .type = type,
    .no_derivative = no_derivative,
};
