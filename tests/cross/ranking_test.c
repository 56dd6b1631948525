// ranking_test.c - what must hold of ranking losses whatever the oracle says: gradients of a group that sum to zero, shifts,
// orders of items and groups, scales, counts of pairs, NDCG and AUC by hand, the same bits from run to run and for any
// number of threads; and every fault in the data by its name. Outputs lie between canaries. The device is the first
// argument; a second makes it short.
#include "wane/wane.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ITEMS_MOST = 6000, GROUPS_MOST = 40, CANARIES = 8, OPERANDS_MOST = 14, PARAMS_MOST = 6 };
enum { LINKS = 6, WEIGHTS = 8 };
static const uint32_t canary = 0xcafe1234u;

static const char *device_name = "cpu";
static wane_context *context;
static wane_device *device;
static bool is_cpu, thorough;            // thorough: no emulator or software driver, where these take minutes

// ---- a problem and its results ----

typedef struct output { wane_role role; uint32_t words[ITEMS_MOST + 2 * CANARIES]; } output;

typedef struct problem {
    wane_loss loss;
    int32_t items, groups, pairs;          // groups: by offsets, 0 for none; pairs: given ones
    float scores[ITEMS_MOST], labels[ITEMS_MOST], weight[ITEMS_MOST];
    int32_t offsets[GROUPS_MOST + 1], given[2 * GROUPS_MOST];
    bool weighted, no_value, no_ndcg;
    wane_param_value params[PARAMS_MOST];
    uint32_t param_count;
    wane_status status;
    output loss_, group_loss, grad, count, ndcg, auc, faults;
} problem;

static float *floats(output *o) { return (float *)(void *)(o->words + CANARIES); }
static uint32_t *words(output *o) { return o->words + CANARIES; }
static int64_t pair_count(problem *p) { int64_t n; memcpy(&n, words(&p->count), sizeof n); return n; }

static uint64_t random_state;

static double uniform(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(random_state >> 11) * 0x1p-53;
}

static void set(problem *p, wane_param param, double value)
{
    for (uint32_t i = 0; i < p->param_count; i++)
        if (p->params[i].param == param) {
            p->params[i].value = value;
            return;
        }
    assert_true(p->param_count < PARAMS_MOST);
    p->params[p->param_count++] = (wane_param_value){.param = param, .value = value};
}

// Scores are multiples of 2^-12 within +-4, labels 0 .. levels - 1; groups of unequal sizes. Sums.
static void make(problem *p, int32_t items, int32_t groups, int levels, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    random_state = seed;
    p->loss = WANE_LOSS_PAIRWISE_RANK;
    p->items = items;
    p->groups = groups;
    for (int32_t i = 0; i < items; i++) {
        p->scores[i] = (float)floor(32768 * uniform() - 16384) / 4096;
        p->labels[i] = (float)(int)(levels * uniform());
        p->weight[i] = (float)(0.5 + uniform());
    }
    for (int32_t g = 0; g <= groups; g++) {
        double share = groups ? (double)g / groups : 0;
        p->offsets[g] = (int32_t)(items * share * share);
    }
    set(p, WANE_PARAM_REDUCTION, WANE_REDUCTION_SUM);
}

typedef struct call {
    wane_operand operands[OPERANDS_MOST];
    wane_binding bindings[OPERANDS_MOST];
    uint32_t count;
} call;

static void bind(call *k, wane_role role, wane_dtype dtype, int64_t first, int64_t second, void *host)
{
    assert_true(k->count < OPERANDS_MOST);
    k->operands[k->count] = (wane_operand){.struct_size = sizeof(wane_operand), .role = role,
        .tensor = {.struct_size = sizeof(wane_tensor), .dtype = dtype, .rank = second ? 2 : 1, .extents = {first, second}}};
    k->bindings[k->count++] = (wane_binding){.struct_size = sizeof(wane_binding), .role = role, .host = host,
        .bytes = (uint64_t)(first * (second ? second : 1)) * wane_dtype_bytes(dtype)};
}

static void bind_output(call *k, output *o, wane_role role, wane_dtype dtype, int64_t count)
{
    o->role = role;
    for (size_t i = 0; i < sizeof o->words / 4; i++) o->words[i] = canary;
    bind(k, role, dtype, count, 0, words(o));
}

static bool has_role(wane_loss loss, wane_role role)
{
    const wane_role_info *info;
    for (uint32_t i = 0; (info = wane_loss_role_at(wane_loss_by_id(loss), i)); i++)
        if (info->role == role) return true;
    return false;
}

static void expect_canaries(const call *k)
{
    for (uint32_t i = 0; i < k->count; i++) {
        const wane_binding *b = &k->bindings[i];
        if (b->role == WANE_ROLE_SCORES || b->role == WANE_ROLE_LABELS || b->role == WANE_ROLE_OFFSETS
            || b->role == WANE_ROLE_WEIGHT || b->role == WANE_ROLE_PAIRS)
            continue;
        const uint32_t *data = b->host;
        for (uint32_t c = 1; c <= CANARIES; c++)
            if (data[-(ptrdiff_t)c] != canary || data[b->bytes / 4 + c - 1] != canary)
                fail_msg("role %d: written past its ends", (int)b->role);
    }
}

static void solve_on(wane_device *on, problem *p)
{
    call k;
    memset(&k, 0, sizeof k);
    int32_t groups = p->groups ? p->groups : 1;
    double reduction = 0;
    for (uint32_t i = 0; i < p->param_count; i++)
        if (p->params[i].param == WANE_PARAM_REDUCTION) reduction = p->params[i].value;
    bool given = has_role(p->loss, WANE_ROLE_PAIRS), none = p->param_count && reduction == WANE_REDUCTION_NONE;
    bind(&k, WANE_ROLE_SCORES, WANE_DTYPE_F32, p->items, 0, p->scores);
    if (given) bind(&k, WANE_ROLE_PAIRS, WANE_DTYPE_I32, p->pairs, 2, p->given);
    else bind(&k, WANE_ROLE_LABELS, WANE_DTYPE_F32, p->items, 0, p->labels);
    if (p->groups) bind(&k, WANE_ROLE_OFFSETS, WANE_DTYPE_I32, groups + 1, 0, p->offsets);
    if (p->weighted) bind(&k, WANE_ROLE_WEIGHT, WANE_DTYPE_F32, p->items, 0, p->weight);
    if (!p->no_value) bind_output(&k, &p->loss_, WANE_ROLE_LOSS, WANE_DTYPE_F32, none ? given ? p->pairs : groups : 1);
    if (!p->no_value && has_role(p->loss, WANE_ROLE_GROUP_LOSS))
        bind_output(&k, &p->group_loss, WANE_ROLE_GROUP_LOSS, WANE_DTYPE_F32, groups);
    bind_output(&k, &p->grad, WANE_ROLE_GRAD_SCORES, WANE_DTYPE_F32, p->items);
    bind_output(&k, &p->count, WANE_ROLE_PAIR_COUNT, WANE_DTYPE_I64, 1);
    if (has_role(p->loss, WANE_ROLE_NDCG) && !p->no_ndcg) bind_output(&k, &p->ndcg, WANE_ROLE_NDCG, WANE_DTYPE_F32, groups);
    if (has_role(p->loss, WANE_ROLE_AUC)) bind_output(&k, &p->auc, WANE_ROLE_AUC, WANE_DTYPE_F32, 1);
    bind_output(&k, &p->faults, WANE_ROLE_STATUS, WANE_DTYPE_U32, 8);
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = p->loss, .params = p->params, .param_count = p->param_count,
                           .operands = k.operands, .operand_count = k.count};
    wane_args args = {.struct_size = sizeof args, .bindings = k.bindings, .binding_count = k.count};
    wane_plan *plan;
    wane_executable *executable;
    assert_int_equal(wane_plan_create(on, &desc, &plan), WANE_OK);
    assert_int_equal(wane_executable_create(plan, &executable), WANE_OK);
    p->status = wane_run(executable, NULL, &args);
    assert_true(p->status >= 0);
    expect_canaries(&k);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
}

static void solve(problem *p) { solve_on(device, p); }

static problem *new_problem(void)
{
    problem *p = malloc(sizeof *p);
    assert_non_null(p);
    return p;
}

static void near(const char *law, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) fail_msg("%s: %.9g and not %.9g, off by more than %.3g", law, got, want, tolerance);
}

static void same_bits(const char *law, output *got, output *want, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        if (words(got)[i] != words(want)[i])
            fail_msg("%s: role %d, element %d is %.9g and not %.9g", law, (int)got->role, (int)i, (double)floats(got)[i],
                     (double)floats(want)[i]);
}

static int32_t group_begin(const problem *p, int32_t g) { return p->groups ? p->offsets[g] : 0; }
static int32_t group_end(const problem *p, int32_t g) { return p->groups ? p->offsets[g + 1] : p->items; }

// Shapes that meet one group past a chunk of any kernel, many of all sizes, and single pairs.
typedef struct shape { int32_t items, groups; int levels; } shape;
static const shape shapes[] = {{2, 1, 2}, {37, 3, 3}, {600, 12, 5}, {700, 20, 2}, {1400, 0, 4}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

// Calls a law for every link without weights, and for every weight with two links.
static void each(void (*law)(problem *p, problem *q, const shape *s))
{
    problem *p = new_problem(), *q = new_problem();
    for (int n = 0; n < SHAPES; n++)
        for (int way = 0; way < LINKS + 2 * (WEIGHTS - 1); way++) {
            // a plan that is made ready takes software drivers a tenth of a second
            if (!thorough && ((n + way) % 7 || shapes[n].items > 1000)) continue;
            int link = way < LINKS ? way : (way - LINKS) % 2 ? WANE_LINK_SQUARED_HINGE : WANE_LINK_LOGISTIC;
            make(p, shapes[n].items, shapes[n].groups, shapes[n].levels, (uint64_t)(100 * n + way));
            set(p, WANE_PARAM_LINK, link);
            set(p, WANE_PARAM_PAIR_WEIGHT, way < LINKS ? 0 : (way - LINKS) / 2 + 1);
            p->weighted = way % 3 == 1;
            memcpy(q, p, sizeof *q);
            law(p, q, &shapes[n]);
        }
    free(p);
    free(q);
}

// ---- laws ----

static void sums_of_gradients(problem *p, problem *q, const shape *s)
{
    (void)q, (void)s;
    solve(p);
    for (int32_t g = 0; g < (p->groups ? p->groups : 1); g++) {
        double sum = 0, size = 0;
        for (int32_t i = group_begin(p, g); i < group_end(p, g); i++) {
            sum += (double)floats(&p->grad)[i];
            size += fabs((double)floats(&p->grad)[i]);
        }
        near("sum of a group's gradients", sum, 0, 1e-5 * size);
    }
}

static void shifts(problem *p, problem *q, const shape *s)
{
    (void)s;
    for (int32_t i = 0; i < p->items; i++) q->scores[i] += 64;
    solve(p);
    solve(q);
    same_bits("shift, gradient", &q->grad, &p->grad, p->items);
    same_bits("shift, loss", &q->loss_, &p->loss_, 1);
    same_bits("shift, ndcg", &q->ndcg, &p->ndcg, p->groups ? p->groups : 1);
}

// Groups turned round, and items within them by a step that meets them all. Scores that are equal change ranks with their
// order, so these have none.
static void orders(problem *p, problem *q, const shape *s)
{
    int32_t at = 0, from[ITEMS_MOST], groups = p->groups ? p->groups : 1;
    (void)s;
    for (int32_t i = 0; i < p->items; i++) p->scores[i] = (float)((i * 2654435761u >> 8) % 65536) / 8192 + (float)i * 0x1p-14f;
    for (int32_t g = groups - 1; g >= 0; g--) {
        int32_t begin = group_begin(p, g), size = group_end(p, g) - begin;
        q->offsets[groups - 1 - g] = at;
        for (int32_t k = 0; k < size; k++, at++) {
            from[at] = begin + (size - 1 - k);
            q->scores[at] = p->scores[from[at]], q->labels[at] = p->labels[from[at]], q->weight[at] = p->weight[from[at]];
        }
    }
    q->offsets[groups] = at;
    solve(p);
    solve(q);
    double largest = 0;
    for (int32_t i = 0; i < p->items; i++) largest = fmax(largest, fabs((double)floats(&p->grad)[i]));
    for (int32_t i = 0; i < p->items; i++)
        near("order, gradient", (double)floats(&q->grad)[i], (double)floats(&p->grad)[from[i]], 3e-6 * largest);
    for (int32_t g = 0; g < groups; g++) {
        double want = (double)floats(&p->group_loss)[g];
        near("order, group_loss", (double)floats(&q->group_loss)[groups - 1 - g], want, 3e-6 * fabs(want));
        near("order, ndcg", (double)floats(&q->ndcg)[groups - 1 - g], (double)floats(&p->ndcg)[g], 1e-6);
    }
    assert_int_equal(pair_count(q), pair_count(p));
}

// Four times sigma is four times the scores, and four times the gradient; the links without sigma have a margin.
static void scales(problem *p, problem *q, const shape *s)
{
    (void)s;
    set(p, WANE_PARAM_SIGMA, 0.25), set(q, WANE_PARAM_SIGMA, 1);
    set(p, WANE_PARAM_MARGIN, 2), set(q, WANE_PARAM_MARGIN, 0.5);
    for (int32_t i = 0; i < p->items; i++) q->scores[i] *= 0.25f;
    double link = 0, largest = 0;
    for (uint32_t i = 0; i < p->param_count; i++)
        if (p->params[i].param == WANE_PARAM_LINK) link = p->params[i].value;
    double power = link == WANE_LINK_HINGE ? 4 : link == WANE_LINK_SQUARE || link == WANE_LINK_SQUARED_HINGE ? 16 : 1;
    solve(p);
    solve(q);
    near("scale, loss", (double)floats(&p->loss_)[0], power * (double)floats(&q->loss_)[0], 3e-6 * (double)floats(&p->loss_)[0]);
    for (int32_t i = 0; i < p->items; i++) largest = fmax(largest, fabs((double)floats(&p->grad)[i]));
    for (int32_t i = 0; i < p->items; i++)
        near("scale, gradient", (double)floats(&p->grad)[i], power * 0.25 * (double)floats(&q->grad)[i], 3e-6 * largest);
}

static void counts(problem *p, problem *q, const shape *s)
{
    (void)q, (void)s;
    int64_t pairs = 0, ordered = 0;
    double kind = 0;
    for (int32_t g = 0; g < (p->groups ? p->groups : 1); g++) {
        int64_t here = 0, size = group_end(p, g) - group_begin(p, g);
        for (int32_t i = group_begin(p, g); i < group_end(p, g); i++)
            for (int32_t j = group_begin(p, g); j < group_end(p, g); j++) here += p->labels[i] > p->labels[j];
        pairs += here;
        ordered += here ? size * (size - 1) : 0;
    }
    for (uint32_t i = 0; i < p->param_count; i++)
        if (p->params[i].param == WANE_PARAM_PAIR_WEIGHT) kind = p->params[i].value;
    solve(p);
    assert_int_equal(pair_count(p), kind == WANE_PAIR_WEIGHT_NDCG_LOSS1 ? ordered : pairs);
}

// A gradient alone is that beside a value.
static void gradient_alone(problem *p, problem *q, const shape *s)
{
    (void)s;
    q->no_value = true;
    solve(p);
    solve(q);
    double largest = 0;
    for (int32_t i = 0; i < p->items; i++) largest = fmax(largest, fabs((double)floats(&p->grad)[i]));
    for (int32_t i = 0; i < p->items; i++)
        near("gradient alone", (double)floats(&q->grad)[i], (double)floats(&p->grad)[i], 2e-6 * largest);
    assert_int_equal(pair_count(q), pair_count(p));
}

static void test_sums(void **state) { (void)state; each(sums_of_gradients); }
static void test_shifts(void **state) { (void)state; each(shifts); }
static void test_orders(void **state) { (void)state; each(orders); }
static void test_scales(void **state) { (void)state; each(scales); }
static void test_counts(void **state) { (void)state; each(counts); }
static void test_gradient_alone(void **state) { (void)state; each(gradient_alone); }

// NDCG from its definition: how many score above (earlier ones where equal) is a rank, and so for labels.
static void test_ndcg(void **state)
{
    (void)state;
    problem *p = new_problem();
    for (int n = 0; n < SHAPES; n++) {
        make(p, shapes[n].items, shapes[n].groups, shapes[n].levels, 7);
        const int k = n % 2 ? 5 : 1000000;
        for (int32_t i = 0; n % 2 && i < p->items; i++) p->scores[i] = floorf(2 * p->scores[i]);   // ties
        set(p, WANE_PARAM_K, k);
        solve(p);
        for (int32_t g = 0; g < (p->groups ? p->groups : 1); g++) {
            double dcg = 0, ideal = 0;
            for (int32_t i = group_begin(p, g); i < group_end(p, g); i++) {
                int rank = 1, best = 1;
                for (int32_t j = group_begin(p, g); j < group_end(p, g); j++) {
                    rank += p->scores[j] > p->scores[i] || (p->scores[j] == p->scores[i] && j < i);
                    best += p->labels[j] > p->labels[i] || (p->labels[j] == p->labels[i] && j < i);
                }
                double gain = exp2((double)p->labels[i]) - 1;
                dcg += rank <= k ? gain / log2(1.0 + rank) : 0;
                ideal += best <= k ? gain / log2(1.0 + best) : 0;
            }
            near("ndcg", (double)floats(&p->ndcg)[g], ideal > 0 ? dcg / ideal : 0, 2e-6);
        }
    }
    free(p);
}

static void test_auc(void **state)
{
    (void)state;
    problem *p = new_problem();
    for (int n = 0; n < SHAPES; n++) {
        make(p, shapes[n].items, 0, 2, (uint64_t)n + 3);
        p->loss = WANE_LOSS_MANN_WHITNEY;
        p->param_count = 0;
        for (int32_t i = 0; i < p->items; i++) p->scores[i] = floorf(p->scores[i] * 8);    // ties
        double above = 0, all = 0;
        for (int32_t i = 0; i < p->items; i++)
            for (int32_t j = 0; j < p->items; j++)
                if (p->labels[i] > p->labels[j]) all++, above += p->scores[i] > p->scores[j] ? 1 : p->scores[i] == p->scores[j] ? 0.5 : 0;
        solve(p);
        near("auc", (double)floats(&p->auc)[0], all > 0 ? above / all : 0, 1e-6);
    }
    free(p);
}

// Terms and sums past f32's range: the value is +inf, gradients stay numbers, and push the best up
// and the worst down.
static void test_saturation(void **state)
{
    static const struct { int link; float size, sigma; int weight; } cases[] = {
        {WANE_LINK_EXPONENTIAL, 60, 1, WANE_PAIR_WEIGHT_NONE}, {WANE_LINK_SQUARE, 2.5e36f, 1, WANE_PAIR_WEIGHT_NONE},
        {WANE_LINK_SQUARED_HINGE, 9e36f, 1, WANE_PAIR_WEIGHT_NONE}, {WANE_LINK_EXPONENTIAL, 60, 2, WANE_PAIR_WEIGHT_PROFIT},
        {WANE_LINK_SQUARED_HINGE, 9e36f, 1, WANE_PAIR_WEIGHT_LAMBDA}};
    enum { CASES = sizeof cases / sizeof *cases };
    (void)state;
    problem *p = new_problem();
    for (int i = 0; i < 2 * CASES; i++) {
        make(p, i < CASES ? 200 : 1300, 0, 5, 31);
        set(p, WANE_PARAM_LINK, cases[i % CASES].link);
        set(p, WANE_PARAM_SIGMA, (double)cases[i % CASES].sigma);
        set(p, WANE_PARAM_PAIR_WEIGHT, cases[i % CASES].weight);
        p->weighted = i % 2;
        for (int32_t k = 0; k < p->items; k++) p->scores[k] *= cases[i % CASES].size;
        solve(p);
        if (!thorough && i >= CASES) break;
        assert_true(isinf(floats(&p->loss_)[0]) && floats(&p->loss_)[0] > 0);
        for (int32_t k = 0; k < p->items; k++) {
            float g = floats(&p->grad)[k];
            if (!isfinite(g)) fail_msg("link %d: gradient %d is %g", cases[i % CASES].link, (int)k, (double)g);
            if (cases[i % CASES].link == WANE_LINK_SQUARE) continue;            // it pulls from both sides
            if ((p->labels[k] == 4 && g > 0) || (p->labels[k] == 0 && g < 0))
                fail_msg("link %d: gradient %d is %g at label %g", cases[i % CASES].link, (int)k, (double)g, (double)p->labels[k]);
        }
    }
    free(p);
}

// ---- the same bits ----

static void expect_same(const char *law, problem *got, problem *want)
{
    same_bits(law, &got->grad, &want->grad, want->items);
    same_bits(law, &got->loss_, &want->loss_, 1);
    same_bits(law, &got->group_loss, &want->group_loss, want->groups ? want->groups : 1);
}

static void make_large(problem *p, int way)
{
    make(p, thorough ? ITEMS_MOST : 1100, way % 2 ? GROUPS_MOST : 0, way % 3 ? 5 : 2, 11);
    set(p, WANE_PARAM_PAIR_WEIGHT, way < 2 || way == 4 ? WANE_PAIR_WEIGHT_NONE : WANE_PAIR_WEIGHT_LAMBDA);
    if (way < 4) return;
    set(p, WANE_PARAM_LINK, WANE_LINK_EXPONENTIAL);             // whose sums leave f32
    for (int32_t i = 0; i < p->items; i++) p->scores[i] *= 60;
}

static void test_repeat(void **state)
{
    (void)state;
    problem *p = new_problem(), *q = new_problem();
    for (int way = 0; way < (thorough ? 4 : 2); way++) {
        make_large(p, way);
        memcpy(q, p, sizeof *q);
        solve(p);
        for (int i = 0; i < (thorough || way ? 20 : 2); i++) solve(q), expect_same("run again", q, p);
    }
    free(p);
    free(q);
}

// Groups of several chunks of the kernels by hand, against sums in double: blocks of one chunk and of more that meet in rounds, a
// group larger than the plan could think of; scores near enough for exponentials to be products, and too far.
static void test_large_groups(void **state)
{
    static const struct { int32_t items, groups, large; int levels; float size; } cases[] = {
        {3300, 0, 3300, 5, 1}, {3300, 0, 3300, 3000, 16}, {6000, 40, 5800, 5, 5.3f}, {6000, 40, 5800, 3000, 1}, {2500, 40, 2400, 3, 1},
        {1100, 0, 1100, 5, 1e-6f}, {2100, 0, 2100, 2, -200}};
    (void)state;
    problem *p = new_problem();
    for (size_t n = 0; n < (thorough ? sizeof cases / sizeof *cases : 0); n++) {
        make(p, cases[n].items, cases[n].groups, cases[n].levels, 91 + n);
        for (int32_t g = 1; g < p->groups; g++) p->offsets[g] = p->items - cases[n].large - p->groups + 1 + g;
        if (p->groups) p->offsets[p->groups - 1] = p->items - cases[n].large;
        int32_t first = p->items - cases[n].large;
        // below 0 all pairs are in order, by far, and their values small
        for (int32_t i = 0; i < p->items; i++)
            p->scores[i] = cases[n].size < 0 ? 16 * p->labels[i] + p->scores[i] / 4 : p->scores[i] * cases[n].size + 300;
        double *want = calloc(2 * (size_t)p->items, sizeof *want), *size = want + p->items, total = 0, pairs = 0;
        assert_non_null(want);
        for (int32_t i = first; i < p->items; i++)
            for (int32_t j = first; j < p->items; j++) {
                if (p->labels[i] <= p->labels[j]) continue;
                double t = (double)p->scores[i] - (double)p->scores[j], e = exp(-fabs(t)), slope = (t < 0 ? 1 : e) / (1 + e);
                total += fmax(-t, 0) + log1p(e);
                want[i] -= slope, want[j] += slope;
                size[i] += slope, size[j] += slope;
                pairs++;
            }
        solve(p);
        near("value of a large group", (double)floats(&p->group_loss)[p->groups ? p->groups - 1 : 0], total, 1e-6 * total);
        for (int32_t i = first; i < p->items; i++)
            near("gradient in a large group", (double)floats(&p->grad)[i], want[i], 1e-6 * size[i]);
        if (!p->groups) assert_int_equal(pair_count(p), (int64_t)pairs);
        free(want);
    }
    free(p);
}

static void run_backwards(void *user, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument)
{
    (void)user;
    while (count > 0) task(argument, --count);
}

// On the CPU: threads 1 to 4 and the host's own give the bits of every instruction set.
static void test_threads(void **state)
{
    static const char *const sets[] = {"cpu:generic", "cpu:avx2", "cpu:avx512", "cpu:neon"};
    (void)state;
    if (!thorough) return;
    problem *p = new_problem(), *q = new_problem();
    for (uint32_t i = 0; i < 20; i++) {
        wane_context_desc desc = {.struct_size = sizeof desc, .backends = WANE_BACKEND_CPU, .thread_count = i % 5};
        if (i % 5 == 0) desc.parallel.run = run_backwards, desc.parallel.width = 3;
        wane_context *other;
        wane_device *on;
        assert_int_equal(wane_context_create(&desc, &other), WANE_OK);
        if (wane_device_find(other, sets[i / 5], &on) == WANE_OK)
            for (int way = 0; way < 5; way++) {
                make_large(p, way);
                solve_on(on, p);
                wane_context_desc one = {.struct_size = sizeof one, .backends = WANE_BACKEND_CPU, .thread_count = 1};
                wane_context *single;
                assert_int_equal(wane_context_create(&one, &single), WANE_OK);
                assert_int_equal(wane_device_find(single, sets[i / 5], &on), WANE_OK);
                make_large(q, way);
                solve_on(on, q);
                expect_same("threads", q, p);
                wane_context_destroy(single);
                assert_int_equal(wane_device_find(other, sets[i / 5], &on), WANE_OK);
            }
        wane_context_destroy(other);
    }
    free(p);
    free(q);
}

// ---- faults in the data ----

enum { BAD_LABELS, ODD_SCORES, NOTHING_2, NO_PAIR, BAD_OFFSETS, BAD_PAIRS, NAN_GROUPS };
enum { SMALL = 40, SMALL_GROUPS = 4, TOUCHED = 1 };

// 40 items in groups of 10, of which a fault is put into the second; the others must not notice.
static void small(problem *p)
{
    make(p, SMALL, SMALL_GROUPS, 3, 21);
    for (int32_t g = 0; g <= SMALL_GROUPS; g++) p->offsets[g] = 10 * g;
    for (int32_t i = 0; i < SMALL; i += 10) p->labels[i] = 2, p->labels[i + 1] = 0;
    set(p, WANE_PARAM_REDUCTION, WANE_REDUCTION_NONE);
    set(p, WANE_PARAM_PAIR_WEIGHT, WANE_PAIR_WEIGHT_LAMBDA);
}

// Solves a problem with a fault in the groups of bit `touched`, beside the same without. want: 0, or NaN.
static void expect_fault(const char *what, problem *bad, uint32_t touched, bool want_nan, int count, uint32_t number)
{
    problem *good = new_problem();
    small(good);
    solve(good);
    solve(bad);
    if (bad->status != (number ? WANE_WARN_DATA : WANE_OK)) fail_msg("%s: status %d", what, (int)bad->status);
    if (words(&bad->faults)[count] != number)
        fail_msg("%s: status[%d] is %u and not %u", what, count, (unsigned)words(&bad->faults)[count], (unsigned)number);
    for (int32_t g = 0; g < SMALL_GROUPS; g++) {
        bool hit = touched >> g & 1;
        for (int32_t i = -1; i < 10; i++) {
            output *of = i < 0 ? &bad->loss_ : &bad->grad, *right = i < 0 ? &good->loss_ : &good->grad;
            int32_t at = i < 0 ? g : 10 * g + i;
            float got = floats(of)[at];
            bool fine = !hit ? words(of)[at] == words(right)[at] : want_nan ? isnan(got) : got == 0;
            if (!fine) fail_msg("%s: role %d [%d] is %.9g", what, (int)of->role, (int)at, (double)got);
        }
    }
    free(good);
}

static void test_bad_labels(void **state)
{
    (void)state;
    problem *p = new_problem();
    const float labels[] = {-1, 31, NAN, INFINITY, -INFINITY, 30.5f};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        small(p);
        p->labels[13] = labels[i];
        expect_fault("label", p, 1 << TOUCHED, false, BAD_LABELS, 1);
    }
    free(p);
}

// Solves p with and without the output ndcg: loss and gradients have the same bits, and alone the group `touched`, with
// `count` labels that have no gain, has no ndcg.
static void expect_metric_only(problem *p, int32_t touched, uint32_t count)
{
    problem *q = new_problem();
    memcpy(q, p, sizeof *q);
    q->no_ndcg = true;
    solve(p);
    solve(q);
    assert_int_equal(q->status, WANE_OK);
    assert_int_equal(words(&q->faults)[BAD_LABELS], 0);
    assert_true(floats(&q->group_loss)[touched] > 0);
    assert_int_equal(p->status, WANE_WARN_DATA);
    assert_int_equal(words(&p->faults)[BAD_LABELS], count);
    same_bits("beside ndcg, gradient", &p->grad, &q->grad, p->items);
    same_bits("beside ndcg, loss", &p->loss_, &q->loss_, 1);
    same_bits("beside ndcg, group_loss", &p->group_loss, &q->group_loss, p->groups ? p->groups : 1);
    assert_int_equal(pair_count(p), pair_count(q));
    for (int32_t g = 0; g < (p->groups ? p->groups : 1); g++) assert_true((floats(&p->ndcg)[g] > 0) == (g != touched));
    free(q);
}

// A metric must not change training: a label without a gain counts where pairs do not weigh by gains.
static void test_ndcg_without_gains(void **state)
{
    static const int weights[] = {WANE_PAIR_WEIGHT_NONE, WANE_PAIR_WEIGHT_LABEL_DIFF, WANE_PAIR_WEIGHT_PRECISION,
                                  WANE_PAIR_WEIGHT_PROFIT};
    const float labels[] = {-1, 31, 30.5f, -3e38f};
    (void)state;
    problem *p = new_problem();
    for (int i = 0; i < 4; i++) {
        small(p);
        set(p, WANE_PARAM_REDUCTION, WANE_REDUCTION_MEAN);
        set(p, WANE_PARAM_PAIR_WEIGHT, weights[i]);
        set(p, WANE_PARAM_K, 5);
        p->labels[13] = labels[i];
        expect_metric_only(p, TOUCHED, 1);
    }
    // a label that is bad for all drops its group, and a score that is NaN leaves one without an ndcg at 0
    p->labels[14] = NAN;
    solve(p);
    assert_true(floats(&p->group_loss)[1] == 0 && floats(&p->ndcg)[1] == 0 && words(&p->faults)[BAD_LABELS] == 2);
    p->labels[14] = 1, p->scores[17] = NAN;
    solve(p);
    assert_true(isnan(floats(&p->group_loss)[1]) && floats(&p->ndcg)[1] == 0 && words(&p->faults)[NAN_GROUPS] == 1);
    make(p, 1400, 0, 4, 5);                // sums over many blocks
    p->labels[0] = p->labels[700] = p->labels[1399] = -2;
    expect_metric_only(p, 0, 3);
    make(p, 3, 0, 2, 5);
    set(p, WANE_PARAM_REDUCTION, WANE_REDUCTION_MEAN);
    for (int i = 0; i < 3; i++) p->scores[i] = (float)(i + 1), p->labels[i] = (float)(i - 1);
    expect_metric_only(p, 0, 1);
    near("loss of three", (double)floats(&p->loss_)[0], (2 * log1p(exp(-1)) + log1p(exp(-2))) / 3, 1e-7);
    free(p);
}

static void test_odd_scores(void **state)
{
    (void)state;
    problem *p = new_problem();
    const float scores[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) {
        small(p);
        p->scores[17] = scores[i];
        expect_fault("score", p, 1 << TOUCHED, true, ODD_SCORES, 1);
        assert_int_equal(words(&p->faults)[NAN_GROUPS], 1);
        assert_true(isnan(floats(&p->ndcg)[1]));
        set(p, WANE_PARAM_REDUCTION, WANE_REDUCTION_MEAN);
        solve(p);
        assert_true(isnan(floats(&p->loss_)[0]));
    }
    free(p);
}

static void test_bad_offsets(void **state)
{
    static const struct { int32_t at, value; uint32_t touched, count; } cases[] = {
        {1, -1, 3, 1}, {1, SMALL + 1, 3, 1}, {2, 5, 6, 1}, {4, SMALL + 1, 8, 1}, {0, -7, 1, 1}, {4, INT32_MAX, 8, 1},
        {2, INT32_MIN, 6, 1}};
    (void)state;
    problem *p = new_problem();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        small(p);
        p->offsets[cases[i].at] = cases[i].value;
        expect_fault("offset", p, cases[i].touched, false, BAD_OFFSETS, cases[i].count);
    }
    free(p);
}

// Empty groups and groups of one level: 0, not counted, in no mean.
static void test_groups_without_pairs(void **state)
{
    (void)state;
    problem *p = new_problem(), *q = new_problem();
    small(p);
    p->offsets[2] = 10;                    // the second group is empty, the third has its items
    for (int32_t i = 30; i < SMALL; i++) p->labels[i] = 1;
    solve(p);
    assert_true(floats(&p->loss_)[1] == 0 && floats(&p->loss_)[3] == 0 && floats(&p->loss_)[2] > 0);
    for (int32_t i = 30; i < SMALL; i++) assert_true(floats(&p->grad)[i] == 0);
    assert_int_equal(words(&p->faults)[NO_PAIR], 2);
    set(p, WANE_PARAM_REDUCTION, WANE_REDUCTION_GROUP_MEAN);
    set(p, WANE_PARAM_PAIR_WEIGHT, WANE_PAIR_WEIGHT_NONE);
    memcpy(q, p, sizeof *q);
    q->offsets[1] = 10, q->offsets[2] = 30, q->groups = 2;      // without those groups
    solve(p);
    solve(q);
    near("mean over groups that have pairs", (double)floats(&p->loss_)[0], (double)floats(&q->loss_)[0], 1e-6);
    for (int32_t i = 0; i < SMALL; i++) p->labels[i] = 2;
    for (int reduction = WANE_REDUCTION_MEAN; reduction <= WANE_REDUCTION_GROUP_MEAN; reduction++) {
        set(p, WANE_PARAM_REDUCTION, reduction);
        solve(p);
        assert_true(floats(&p->loss_)[0] == 0 && pair_count(p) == 0);
        for (int32_t i = 0; i < SMALL; i++) assert_true(floats(&p->grad)[i] == 0);
    }
    free(p);
    free(q);
}

// A pair with an index that is none counts nowhere; the others are what they are without it.
static void test_bad_pairs(void **state)
{
    static const int32_t odd[] = {-1, SMALL, INT32_MAX, INT32_MIN};
    (void)state;
    problem *p = new_problem(), *q = new_problem();
    for (int loss = WANE_LOSS_BPR; loss <= WANE_LOSS_MARGIN_RANKING; loss++)
        for (int i = 0; i < 8; i++) {
            small(p);
            p->loss = (wane_loss)loss;
            p->groups = 0;
            p->param_count = 0;
            set(p, WANE_PARAM_REDUCTION, WANE_REDUCTION_MEAN);
            p->pairs = 20;
            for (int32_t k = 0; k < 40; k++) p->given[k] = (int32_t)(SMALL * uniform());
            memcpy(q, p, sizeof *q);
            p->given[38 + i % 2] = odd[i / 2];
            q->pairs = 19;
            solve(p);
            solve(q);
            assert_int_equal(p->status, WANE_WARN_DATA);
            assert_int_equal(words(&p->faults)[BAD_PAIRS], 1);
            assert_int_equal(pair_count(p), 19);
            same_bits("bad pair, loss", &p->loss_, &q->loss_, 1);
            same_bits("bad pair, gradient", &p->grad, &q->grad, SMALL);
        }
    free(p);
    free(q);
}

int main(int argc, char **argv)
{
    if (argc > 1) device_name = argv[1];
    is_cpu = strncmp(device_name, "cpu", 3) == 0;
    thorough = is_cpu && argc < 3;
    if (wane_context_create(NULL, &context) != WANE_OK) return 1;
    wane_status status = wane_device_find(context, device_name, &device);
    if (status == WANE_ERROR_NO_DEVICE) return 77;
    if (status != WANE_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums), cmocka_unit_test(test_shifts), cmocka_unit_test(test_orders),
        cmocka_unit_test(test_scales), cmocka_unit_test(test_counts), cmocka_unit_test(test_gradient_alone),
        cmocka_unit_test(test_ndcg), cmocka_unit_test(test_auc), cmocka_unit_test(test_saturation), cmocka_unit_test(test_repeat),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_large_groups), cmocka_unit_test(test_bad_labels), cmocka_unit_test(test_ndcg_without_gains),
        cmocka_unit_test(test_odd_scores),
        cmocka_unit_test(test_bad_offsets), cmocka_unit_test(test_groups_without_pairs), cmocka_unit_test(test_bad_pairs)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    wane_context_destroy(context);
    return failed;
}
