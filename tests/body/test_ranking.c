// test_ranking.c - plans of ranking losses on the checked kernels: no fault, and the bits of the plain C kernels, for any
// number of lanes. Then every index of every ranking kernel is moved by one, up and down, and every barrier left out: the
// checker or the results must show it.
#include "body.h"
#include "lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { WEIGHT = 1, UPSTREAM = 2, ADD = 4, WIDE = 8, HALF = 16, STRIDED = 32, FAULTY = 64, I32_LABELS = 128, NO_VALUE = 256,
       OPERANDS = 16 };

typedef struct ranking {
    wane_loss loss;
    int64_t items, groups, pairs;           // groups 0: no offsets; pairs: of losses that are given them
    int reduction, link, pair_weight, k;
    uint32_t options;
} ranking;

#define RANK WANE_LOSS_PAIRWISE_RANK
// The cheap ones first: a planted fault is tried on one after the other until it shows. Sums have blocks of 256 words, pairs
// blocks of 256 partners, and items of 128.
static const ranking problems[] = {
    {RANK, 60, 5, 0, WANE_REDUCTION_NONE, 0, WANE_PAIR_WEIGHT_LAMBDA, 7, UPSTREAM | WIDE | FAULTY},
    {RANK, 40, 4, 0, WANE_REDUCTION_MEAN, 0, 0, 0, WEIGHT | UPSTREAM | FAULTY},
    {WANE_LOSS_BPR, 20, 0, 60, WANE_REDUCTION_NONE, 0, 0, 0, UPSTREAM | WIDE | FAULTY},
    {WANE_LOSS_MANN_WHITNEY, 60, 3, 0, -1, 0, 0, 0, FAULTY | HALF},
    {WANE_LOSS_MANN_WHITNEY, 60, 3, 0, -1, 0, 0, 0, 0},
    {WANE_LOSS_AUC_MARGIN, 300, 0, 0, -1, 0, 0, 0, UPSTREAM | STRIDED},
    {RANK, 45, 3, 0, WANE_REDUCTION_GROUP_MEAN, 0, WANE_PAIR_WEIGHT_NDCG_LOSS2PP, 0, WEIGHT | HALF | ADD | STRIDED},
    {RANK, 40, 3, 0, WANE_REDUCTION_GROUP_MEAN, 1, WANE_PAIR_WEIGHT_NDCG_LOSS1, 4, WEIGHT | UPSTREAM},
    {RANK, 40, 3, 0, WANE_REDUCTION_MEAN, 5, WANE_PAIR_WEIGHT_NDCG_LOSS2, 0, NO_VALUE},
    {RANK, 40, 3, 0, WANE_REDUCTION_SUM, 3, WANE_PAIR_WEIGHT_PRECISION, 3, 0},
    {RANK, 40, 3, 0, WANE_REDUCTION_SUM, 4, WANE_PAIR_WEIGHT_PROFIT, 0, FAULTY},
    {RANK, 20, 300, 0, WANE_REDUCTION_NONE, 0, WANE_PAIR_WEIGHT_LABEL_DIFF, 0, WIDE | FAULTY},
    {WANE_LOSS_MARGIN_RANKING, 30, 0, 90, WANE_REDUCTION_MEAN, 0, 0, 0, UPSTREAM | ADD | STRIDED},
    {WANE_LOSS_BPR, 300, 0, 40, WANE_REDUCTION_SUM, 0, 0, 0, HALF},
    {WANE_LOSS_BPR, 9, 0, 400, WANE_REDUCTION_MEAN, 0, 0, 0, 0},
    {WANE_LOSS_MANN_WHITNEY, 280, 0, 0, -1, 0, 0, 0, WEIGHT},
    {RANK, 600, 200, 0, WANE_REDUCTION_MEAN, 1, 0, 0, 0},
    {RANK, 300, 0, 0, WANE_REDUCTION_SUM, 2, 0, 0, STRIDED | ADD | I32_LABELS},
    {RANK, 560, 3, 0, WANE_REDUCTION_SUM, 0, WANE_PAIR_WEIGHT_LAMBDA, 0, 0},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

typedef struct memory { unsigned char *bytes; uint64_t count, element0; } memory;
typedef struct run { wane_plan *plan; memory start[OPERANDS]; body_memory right[OPERANDS]; } run;

static wane_context *context;
static run runs[PROBLEMS];
static const uint32_t lane_counts[] = {1, 4, 7, 64, 128};
static uint32_t seed;

static uint32_t below(uint32_t count)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % count;
}

// ---- plans ----

static bool knows(const ranking *r, wane_role role)
{
    const wane_role_info *info;
    for (uint32_t i = 0; (info = wane_loss_role_at(wane_loss_by_id(r->loss), i)); i++)
        if (info->role == role) return true;
    return false;
}

static bool is_reduced(const ranking *r) { return r->reduction != WANE_REDUCTION_NONE; }

static void describe(const ranking *r, wane_operand *o, uint32_t *n, wane_role role, wane_dtype dtype, int64_t a, int64_t b)
{
    if (!knows(r, role)) return;
    wane_operand *made = &o[(*n)++];
    memset(made, 0, sizeof *made);
    made->struct_size = sizeof *made;
    made->role = role;
    made->tensor = (wane_tensor){.struct_size = sizeof(wane_tensor), .dtype = dtype, .rank = b ? 2 : 1, .extents = {a, b}};
    if (role == WANE_ROLE_GRAD_SCORES && r->options & ADD) made->flags = WANE_OPERAND_ACCUMULATE;
    if (!(r->options & STRIDED)) return;
    made->tensor.flags = WANE_TENSOR_STRIDED;
    made->tensor.strides[0] = b ? 5 : -3;
    made->tensor.strides[1] = 2;
}

static uint32_t describe_all(const ranking *r, wane_operand *o)
{
    uint32_t n = 0, options = r->options;
    const wane_dtype scores = options & HALF ? WANE_DTYPE_BF16 : WANE_DTYPE_F32, index = options & WIDE ? WANE_DTYPE_I64 : WANE_DTYPE_I32;
    int64_t groups = r->groups ? r->groups : 1, each = is_reduced(r) ? 1 : r->pairs ? r->pairs : groups;
    describe(r, o, &n, WANE_ROLE_SCORES, scores, r->items, 0);
    describe(r, o, &n, WANE_ROLE_LABELS, options & I32_LABELS ? WANE_DTYPE_I32 : WANE_DTYPE_F32, r->items, 0);
    if (options & WEIGHT) describe(r, o, &n, WANE_ROLE_WEIGHT, WANE_DTYPE_F32, r->items, 0);
    if (r->groups) describe(r, o, &n, WANE_ROLE_OFFSETS, index, groups + 1, 0);
    describe(r, o, &n, WANE_ROLE_PAIRS, index, r->pairs, 2);
    if (options & UPSTREAM) describe(r, o, &n, WANE_ROLE_UPSTREAM, WANE_DTYPE_F32, each, 0);
    if (!(options & NO_VALUE)) {
        describe(r, o, &n, WANE_ROLE_LOSS, WANE_DTYPE_F32, each, 0);
        describe(r, o, &n, WANE_ROLE_GROUP_LOSS, WANE_DTYPE_F32, groups, 0);
    }
    describe(r, o, &n, WANE_ROLE_GRAD_SCORES, scores, r->items, 0);
    describe(r, o, &n, WANE_ROLE_PAIR_COUNT, WANE_DTYPE_I64, 1, 0);
    if (r->pair_weight || r->options & FAULTY) describe(r, o, &n, WANE_ROLE_NDCG, WANE_DTYPE_F32, groups, 0);
    describe(r, o, &n, WANE_ROLE_AUC, WANE_DTYPE_F32, 1, 0);
    describe(r, o, &n, WANE_ROLE_STATUS, WANE_DTYPE_U32, 8, 0);
    return n;
}

static wane_plan *make_plan(const ranking *r)
{
    wane_operand operands[OPERANDS];
    wane_param_value params[8];
    uint32_t count = 0;
    const struct { wane_param param; double value; } wanted[] = {
        {WANE_PARAM_REDUCTION, r->reduction}, {WANE_PARAM_LINK, r->link}, {WANE_PARAM_PAIR_WEIGHT, r->pair_weight},
        {WANE_PARAM_K, r->k ? r->k : 1000}, {WANE_PARAM_SCOPE, r->groups ? 1 : 0}, {WANE_PARAM_SIGMA, 1.25}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const wane_param_info *info;
        for (uint32_t p = 0; (info = wane_loss_param_at(wane_loss_by_id(r->loss), p)); p++)
            if (info->param == wanted[i].param && wanted[i].value >= 0)
                params[count++] = (wane_param_value){wanted[i].param, 0, wanted[i].value};
    }
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = r->loss, .params = params, .param_count = count,
                           .operands = operands, .operand_count = describe_all(r, operands)};
    wane_limits limits = {.struct_size = sizeof limits, .backend = WANE_BACKEND_VULKAN, .max_lanes = 128, .shared_bytes = 16384,
                          .max_window_bytes = 128u << 20, .max_buffer_bytes = 1u << 30, .offset_align_bytes = 256,
                          .max_groups = 65535, .max_dispatch_elems = 1u << 28};
    wane_plan *plan;
    assert_int_equal(wane_plan_create_for(context, &limits, &desc, &plan), WANE_OK);
    return plan;
}

// ---- data ----

static void put(const ranking *r, const wane_plan_operand *o, unsigned char *at, int64_t i)
{
    const bool faulty = r->options & FAULTY;
    int64_t number = 0;
    float x = (float)below(4096) / 512.0f - 4.0f;
    uint32_t word;
    switch (o->role->role) {
    case WANE_ROLE_LABELS: number = below(4), x = (float)number; break;
    case WANE_ROLE_PAIRS: number = below((uint32_t)r->items + (faulty ? 1 : 0)); if (faulty && i == 3) number = -1; break;
    case WANE_ROLE_OFFSETS: number = r->items * i * i / (r->groups * r->groups); break;
    case WANE_ROLE_SCORES: x = x + (float)i * 0x1p-10f; break;
    default: break;
    }
    // the faults of one group: an offset below the one before, a NaN score, a label that is none
    if (faulty && o->role->role == WANE_ROLE_OFFSETS && i == 2) number = -1;
    if (faulty && o->role->role == WANE_ROLE_LABELS && i == r->items / 2) x = -1, number = -1;
    memcpy(&word, &x, 4);
    if (faulty && o->role->role == WANE_ROLE_SCORES && i == r->items - 2) word = 0x7fc00000u;
    if (o->dtype == WANE_DTYPE_BF16) memcpy(at, (char *)&word + 2, 2);
    else if (o->dtype == WANE_DTYPE_I64) memcpy(at, &number, 8);
    else if (o->dtype == WANE_DTYPE_I32) memcpy(at, &number, 4);
    else memcpy(at, &word, 4);
}

static void fill(const ranking *r, const wane_plan_operand *o, memory *m)
{
    const uint32_t unwritten = 0x7fc0dead;
    m->element0 = 32 + (uint64_t)-o->first_byte;
    m->count = (m->element0 + (uint64_t)o->end_byte + 3) / 4 * 4;
    m->bytes = malloc(m->count);
    assert_non_null(m->bytes);
    for (uint64_t w = 0; w < m->count; w += 4) memcpy(m->bytes + w, &unwritten, 4);
    if (!o->read) return;
    int64_t inner = o->rank > 1 ? o->extents[1] : 1;
    for (int64_t i = 0; i < o->extents[0]; i++)
        for (int64_t k = 0; k < inner; k++) {
            int64_t at = i * o->strides[0] + (o->rank > 1 ? k * o->strides[1] : 0);
            put(r, o, m->bytes + (int64_t)m->element0 + at * (int64_t)wane_dtype_bytes(o->dtype), i);
        }
}

// ---- runs ----

static void run_plain(run *r, memory *memories)
{
    wane_device *device;
    wane_executable *executable = NULL;
    wane_binding bindings[OPERANDS] = {0};
    wane_args args = {.struct_size = sizeof args, .bindings = bindings, .binding_count = r->plan->operand_count};
    for (uint32_t i = 0; i < r->plan->operand_count; i++)
        bindings[i] = (wane_binding){.struct_size = sizeof *bindings, .role = r->plan->operands[i].role->role, .host = memories[i].bytes,
                                     .bytes = memories[i].count, .byte_offset = memories[i].element0};
    assert_int_equal(wane_device_find(context, "cpu:generic", &device), WANE_OK);
    r->plan->device = device;
    assert_int_equal(wane_executable_create(r->plan, &executable), WANE_OK);
    assert_true(wane_run(executable, NULL, &args) >= 0);
    wane_executable_destroy(executable);
}

static bool run_checked(const run *r, uint32_t lanes, body_memory *results)
{
    body_memory workspace = body_memory_make(NULL, r->plan->workspace_bytes);
    body_operand operands[OPERANDS];
    for (uint32_t i = 0; i < r->plan->operand_count; i++) {
        results[i] = body_memory_make(r->start[i].bytes, r->start[i].count);
        operands[i] = (body_operand){&results[i], r->start[i].element0};
    }
    bool clean = body_run(r->plan, lanes, operands, &workspace);
    body_memory_free(&workspace);
    return clean;
}

static void drop(const run *r, body_memory *results)
{
    for (uint32_t i = 0; i < r->plan->operand_count; i++) body_memory_free(&results[i]);
}

static bool same_results(const run *r, const body_memory *a, const body_memory *b)
{
    for (uint32_t i = 0; i < r->plan->operand_count; i++)
        if (memcmp(a[i].words, b[i].words, a[i].count * 4) != 0) return false;
    return true;
}

static void plans_agree(void **state)
{
    (void)state;
    for (int p = 0; p < PROBLEMS; p++) {
        memory plain[OPERANDS];
        for (uint32_t i = 0; i < runs[p].plan->operand_count; i++) {
            plain[i] = runs[p].start[i];
            plain[i].bytes = malloc(plain[i].count);
            memcpy(plain[i].bytes, runs[p].start[i].bytes, plain[i].count);
        }
        run_plain(&runs[p], plain);
        for (uint32_t l = 0; l < sizeof lane_counts / sizeof *lane_counts; l++) {
            body_memory results[OPERANDS];
            body_faults_clear();
            bool good = run_checked(&runs[p], lane_counts[l], results);
            body_faults_print();
            for (uint32_t i = 0; i < runs[p].plan->operand_count; i++)
                if (memcmp(results[i].words, plain[i].bytes, plain[i].count) != 0) {
                    fprintf(stderr, "  %s differs from the plain kernels'\n", runs[p].plan->operands[i].role->name);
                    good = false;
                }
            drop(&runs[p], results);
            if (!good) fail_msg("problem %d, %u lanes: see above", p, (unsigned)lane_counts[l]);
        }
        for (uint32_t i = 0; i < runs[p].plan->operand_count; i++) free(plain[i].bytes);
    }
}

// ---- planted faults ----

enum { UNNOTICED = 7 };

static void leave(void) { _exit(0); }

// Tries problems until the fault is noticed, in a process of its own: what loops over a group whose bounds are wrong does not
// come to an end.
static bool plant(const char *kernel, uint32_t site, body_plant what)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60);
        body_plant_at(kernel, site, what);
        body_faults_call(leave);
        for (int p = 0; p < 2 * PROBLEMS; p++) {
            body_memory results[OPERANDS];
            run_checked(&runs[p / 2], p % 2 ? 4 : 7, results);
            if (!same_results(&runs[p / 2], results, runs[p / 2].right)) leave();
            drop(&runs[p / 2], results);
        }
        _exit(UNNOTICED);
    }
    assert_true(waitpid(child, &status, 0) == child);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == UNNOTICED);
}

// The upper words of 64-bit counts are 0 in any problem that a test can run, wherever they are read from.
static bool is_upper_word(const char *kernel, const body_visit *v)
{
    char line[256] = "", path[1024];
    const char *name = strstr(v->site.file, "shaders/");       // a compiler cache may have made the path relative
    snprintf(path, sizeof path, "%s/%s", WANE_SOURCE, name ? name : "");
    FILE *file = fopen(path, "r");
    if (!file) return false;
    for (int i = 0; i < v->site.line && fgets(line, sizeof line, file); i++) {}
    fclose(file);
    return strstr(line, "high = K_SL(count, TALLY_PAIRS_HI") != NULL
        || (strcmp(kernel, "rank_map") == 0 && strstr(line, "high = K_LD(work, at + k * stride + 1u)") != NULL);
}

static void plants_are_noticed(void **state)
{
    (void)state;
    uint32_t kernels, missed = 0, planted = 0;
    const body_kernel *const *table = body_kernels_for(1, &kernels);
    for (uint32_t k = 0; k < kernels; k++) {
        const char *kernel = table[k]->name;
        if (strncmp(kernel, "rank_", 5) != 0) continue;
        body_census_begin(kernel);
        for (int p = 0; p < PROBLEMS; p++) {
            body_memory results[OPERANDS];
            run_checked(&runs[p], 4, results);
            drop(&runs[p], results);
        }
        body_census_begin(NULL);
        for (uint32_t site = 0; site < BODY_MAX_SITES; site++) {
            const body_visit *v = body_census(site);
            if (!v || is_upper_word(kernel, v)) continue;
            const bool barrier = v->kind == BODY_BARRIER;
            const body_plant plants[2] = {barrier ? BODY_PLANT_SKIP : BODY_PLANT_SHIFT,
                                          barrier ? BODY_PLANT_SKIP_ODD : BODY_PLANT_SHIFT_DOWN};
            for (int i = 0; i < 2; i++, planted++) {
                if (plant(kernel, site, plants[i])) continue;
                fprintf(stderr, "  %s: %s:%d, %s: planted fault %d was not noticed\n", kernel, v->site.file, v->site.line,
                        v->name, (int)plants[i]);
                missed++;
            }
        }
    }
    printf("%u faults planted\n", (unsigned)planted);
    assert_int_equal(missed, 0);
    assert_true(planted > 100);
}

static void say(void *user, const wane_log_record *record)
{
    (void)user;
    if (record->level <= WANE_LOG_ERROR) fprintf(stderr, "%s: %s\n", record->operand ? record->operand : "", record->text);
}

static int open_all(void **state)
{
    (void)state;
    for (int p = 0; p < PROBLEMS; p++) {
        seed = 77 + (uint32_t)p;
        runs[p].plan = make_plan(&problems[p]);
        for (uint32_t i = 0; i < runs[p].plan->operand_count; i++) fill(&problems[p], &runs[p].plan->operands[i], &runs[p].start[i]);
        if (!run_checked(&runs[p], 1, runs[p].right)) return body_faults_print(), 1;
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (int p = 0; p < PROBLEMS; p++) {
        drop(&runs[p], runs[p].right);
        for (uint32_t i = 0; i < runs[p].plan->operand_count; i++) free(runs[p].start[i].bytes);
        wane_plan_destroy(runs[p].plan);
    }
    lanes_close();
    wane_context_destroy(context);
    return 0;
}

int main(void)
{
    wane_context_desc desc = {.struct_size = sizeof desc, .backends = WANE_BACKEND_CPU, .thread_count = 1, .log = say};
    if (wane_context_create(&desc, &context)) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(plans_agree), cmocka_unit_test(plants_are_noticed)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}
