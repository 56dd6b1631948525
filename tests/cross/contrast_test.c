// contrast_test.c - contrastive losses in several calls and by their laws: backward from saved statistics, batches split into
// blocks whose statistics are merged, against the oracle of the whole; symmetry, permutation, the norm, cross-entropy of the
// explicit matrix; and the same bits in 20 runs and with 1 to 4 threads. The device is the first argument.
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

enum { TENSORS = 16, PARAMS = 8, ROLES = 64, PLANES = 4, BLOCKS = 7 };

static const char *device_name = "cpu";
static wane_context *context;
static wane_device *device;
static char said[512];
static uint32_t seed;

static float uniform(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / 8388608.0f - 1.0f;
}

static float *floats(int64_t count)
{
    float *x = malloc(((size_t)count + 1) * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < count; i++) x[i] = uniform();
    return x;
}

// ---- calls ----

typedef struct tensor {
    wane_role role;
    wane_dtype dtype;
    uint32_t rank, flags;
    int64_t extents[2];
    void *data;
} tensor;

typedef struct call {
    wane_loss loss;
    tensor tensors[TENSORS];
    uint32_t count;
    wane_param_value params[PARAMS];
    uint32_t param_count;
    uint64_t budget;
    char plan[4096];
} call;

static tensor *add(call *c, wane_role role, uint32_t rank, int64_t rows, int64_t cols, void *data)
{
    tensor *t = &c->tensors[c->count++];
    *t = (tensor){role, role == WANE_ROLE_LABELS ? WANE_DTYPE_I32 : WANE_DTYPE_F32, rank, 0, {rows, cols}, data};
    return t;
}

static void set(call *c, wane_param param, double value) { c->params[c->param_count++] = (wane_param_value){param, 0, value}; }

static wane_status run(call *c)
{
    wane_operand operands[TENSORS];
    wane_binding bindings[TENSORS];
    memset(operands, 0, sizeof operands);
    memset(bindings, 0, sizeof bindings);
    for (uint32_t i = 0; i < c->count; i++) {
        const tensor *t = &c->tensors[i];
        operands[i] = (wane_operand){.struct_size = sizeof operands[i], .role = t->role, .flags = t->flags};
        operands[i].tensor = (wane_tensor){.struct_size = sizeof(wane_tensor), .dtype = t->dtype, .rank = t->rank,
                                           .extents = {t->extents[0], t->extents[1]}};
        uint64_t bytes = 4;
        for (uint32_t d = 0; d < t->rank; d++) bytes *= (uint64_t)t->extents[d];
        bindings[i] = (wane_binding){.struct_size = sizeof bindings[i], .role = t->role, .host = t->data, .bytes = bytes};
    }
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = c->loss, .params = c->params, .param_count = c->param_count,
                           .operands = operands, .operand_count = c->count, .workspace_limit_bytes = c->budget};
    wane_args args = {.struct_size = sizeof args, .bindings = bindings, .binding_count = c->count};
    wane_plan *plan = NULL;
    wane_executable *executable = NULL;
    wane_status status = wane_plan_create(device, &desc, &plan);
    if (status == WANE_OK) wane_plan_describe(plan, c->plan, sizeof c->plan);
    if (status == WANE_OK) status = wane_executable_create(plan, &executable);
    if (status == WANE_OK) status = wane_run(executable, NULL, &args);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    return status;
}

static void do_call(call *c)
{
    wane_status status = run(c);
    if (status != WANE_OK) fail_msg("%s: %s", wane_status_text(status), said);
}

// ---- a whole problem, its results, and the oracle's ----

typedef struct results {
    float loss, grad_scale;
    float *row_loss, *grad_a, *grad_b;
} results;

typedef struct problem {
    wane_loss loss;
    int64_t rows, cols, dim;
    float *a, *b;
    int32_t *labels;                       // NULL: row i belongs to column i
    float scale, upstream;
    double normalize, reduction;
    oracle_problem oracle;
    double *inputs[4];
} problem;

static problem make(wane_loss loss, int64_t rows, int64_t cols, int64_t dim)
{
    problem p = {.loss = loss, .rows = rows, .cols = cols, .dim = dim, .scale = 12, .upstream = 1.0f / 64, .normalize = 1,
                 .reduction = WANE_REDUCTION_SUM};
    p.a = floats(rows * dim);
    p.b = floats(cols * dim);
    // positives stand out, as they do in training
    for (int64_t i = 0; i < rows && i < cols; i++)
        for (int64_t k = 0; k < dim; k++) p.b[i * dim + k] = p.a[i * dim + k] + 0.7f * p.b[i * dim + k];
    return p;
}

static void drop(problem *p)
{
    for (int i = 0; i < 4; i++) free(p->inputs[i]);
    free(p->a), free(p->b), free(p->labels);
    oracle_free(&p->oracle);
}

static results take(const problem *p)
{
    results r = {0, 0, floats(p->rows), floats(p->rows * p->dim), floats(p->cols * p->dim)};
    return r;
}

static void give(results *r) { free(r->row_loss), free(r->grad_a), free(r->grad_b); }

static void add_inputs(call *c, problem *p)
{
    c->loss = p->loss;
    add(c, WANE_ROLE_A, 2, p->rows, p->dim, p->a);
    add(c, WANE_ROLE_B, 2, p->cols, p->dim, p->b);
    add(c, WANE_ROLE_SCALE, 1, 1, 0, &p->scale);
    if (p->labels) add(c, WANE_ROLE_LABELS, 1, p->rows, 0, p->labels);
    set(c, WANE_PARAM_NORMALIZE, p->normalize);
    set(c, WANE_PARAM_REDUCTION, p->reduction);
}

static void add_outputs(call *c, problem *p, results *r)
{
    add(c, WANE_ROLE_UPSTREAM, 1, 1, 0, &p->upstream);
    add(c, WANE_ROLE_LOSS, 1, 1, 0, &r->loss);
    add(c, WANE_ROLE_ROW_LOSS, 1, p->rows, 0, r->row_loss);
    add(c, WANE_ROLE_GRAD_A, 2, p->rows, p->dim, r->grad_a);
    add(c, WANE_ROLE_GRAD_B, 2, p->cols, p->dim, r->grad_b);
    add(c, WANE_ROLE_GRAD_SCALE, 1, 1, 0, &r->grad_scale);
}

static void whole(problem *p, results *r, uint64_t budget)
{
    call c = {.budget = budget};
    add_inputs(&c, p);
    add_outputs(&c, p, r);
    do_call(&c);
}

static double *wide(const float *x, const int32_t *labels, int64_t count)
{
    double *to = malloc(((size_t)count + 1) * sizeof *to);
    assert_non_null(to);
    for (int64_t i = 0; i < count; i++) to[i] = x ? (double)x[i] : (double)labels[i];
    return to;
}

static void solve(problem *p)
{
    oracle_problem *o = &p->oracle;
    static double scale, upstream;
    scale = (double)p->scale, upstream = (double)p->upstream;
    o->loss = (int)p->loss;
    o->param_given[WANE_PARAM_NORMALIZE] = o->param_given[WANE_PARAM_REDUCTION] = true;
    o->param[WANE_PARAM_NORMALIZE] = p->normalize;
    o->param[WANE_PARAM_REDUCTION] = p->reduction;
    p->inputs[0] = wide(p->a, NULL, p->rows * p->dim);
    p->inputs[1] = wide(p->b, NULL, p->cols * p->dim);
    if (p->labels) p->inputs[2] = wide(NULL, p->labels, p->rows);
    o->in[WANE_ROLE_A] = (oracle_array){.rank = 2, .extents = {p->rows, p->dim}, .data = p->inputs[0]};
    o->in[WANE_ROLE_B] = (oracle_array){.rank = 2, .extents = {p->cols, p->dim}, .data = p->inputs[1]};
    if (p->labels) o->in[WANE_ROLE_LABELS] = (oracle_array){.rank = 1, .extents = {p->rows}, .data = p->inputs[2]};
    o->in[WANE_ROLE_SCALE] = (oracle_array){.rank = 1, .extents = {1}, .data = &scale};
    o->in[WANE_ROLE_UPSTREAM] = (oracle_array){.rank = 1, .extents = {1}, .data = &upstream};
    const wane_role wanted[] = {WANE_ROLE_LOSS, WANE_ROLE_ROW_LOSS, WANE_ROLE_GRAD_A, WANE_ROLE_GRAD_B, WANE_ROLE_GRAD_SCALE};
    for (int i = 0; i < 5; i++) o->want[wanted[i]] = true;
    const char *fault = oracle_solve(o);
    if (fault) fail_msg("oracle: %s", fault);
}

// Sums over blocks are added up once more than the oracle knows of: twice its tolerance.
static void check(const problem *p, const char *what, wane_role role, const float *got, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double want = p->oracle.out[role].data[i], allowed = 5 * 0x1p-24 * p->oracle.scale[role].data[i];
        if (!(fabs((double)got[i] - want) <= allowed))
            fail_msg("%s, %s: role %d[%lld] is %.9g, not %.9g (allowed %.3g)", wane_loss_by_id(p->loss)->name, what, (int)role,
                     (long long)i, (double)got[i], want, allowed);
    }
}

static void check_all(const problem *p, const char *what, const results *r)
{
    check(p, what, WANE_ROLE_LOSS, &r->loss, 1);
    check(p, what, WANE_ROLE_ROW_LOSS, r->row_loss, p->rows);
    check(p, what, WANE_ROLE_GRAD_A, r->grad_a, p->rows * p->dim);
    check(p, what, WANE_ROLE_GRAD_B, r->grad_b, p->cols * p->dim);
    check(p, what, WANE_ROLE_GRAD_SCALE, &r->grad_scale, 1);
}

static bool same(const problem *p, const results *x, const results *y)
{
    size_t a = (size_t)(p->rows * p->dim) * 4, b = (size_t)(p->cols * p->dim) * 4;
    return memcmp(&x->loss, &y->loss, 8) == 0 && memcmp(x->row_loss, y->row_loss, (size_t)p->rows * 4) == 0
        && memcmp(x->grad_a, y->grad_a, a) == 0 && memcmp(x->grad_b, y->grad_b, b) == 0;
}

// ---- backward from saved statistics ----

static void two_calls(wane_loss loss, uint64_t budget, bool labelled)
{
    bool both = loss == WANE_LOSS_CLIP;
    problem p = make(loss, 70, both ? 70 : 90, 20);
    p.labels = labelled ? malloc((size_t)p.rows * 4) : NULL;
    for (int64_t i = 0; p.labels && i < p.rows; i++) p.labels[i] = (int32_t)((i * 11 + 3) % p.rows);
    results once = take(&p), twice = take(&p);
    float *planes = floats(PLANES * p.rows), *more = floats(PLANES * p.cols);
    whole(&p, &once, budget);
    call save = {.budget = budget}, use = {.budget = budget};
    add_inputs(&save, &p);
    add(&save, WANE_ROLE_STATISTICS, 2, PLANES, p.rows, planes);
    if (both) add(&save, WANE_ROLE_COL_STATISTICS, 2, PLANES, p.cols, more);
    do_call(&save);
    add_inputs(&use, &p);
    add(&use, WANE_ROLE_STATISTICS, 2, PLANES, p.rows, planes)->flags = WANE_OPERAND_GIVEN;
    if (both) add(&use, WANE_ROLE_COL_STATISTICS, 2, PLANES, p.cols, more)->flags = WANE_OPERAND_GIVEN;
    add_outputs(&use, &p, &twice);
    do_call(&use);
    assert_non_null(strstr(use.plan, "statistics are given"));
    assert_true(same(&p, &once, &twice));
    // values alone need no similarities
    call values = use;
    values.count -= 3;
    memset(&twice.loss, 0xff, sizeof twice.loss);
    do_call(&values);
    assert_non_null(strstr(values.plan, "0 products"));
    assert_memory_equal(&once.loss, &twice.loss, sizeof once.loss);
    give(&once), give(&twice), free(planes), free(more), drop(&p);
}

static void test_two_calls(void **state)
{
    (void)state;
    for (int labelled = 0; labelled < 2; labelled++)
        for (uint64_t budget = 0; budget <= 40000; budget += 40000) {
            two_calls(WANE_LOSS_INFO_NCE, budget, labelled);
            two_calls(WANE_LOSS_CLIP, budget, labelled);
        }
}

// ---- blocks ----

static int64_t cut(int64_t count, int64_t part, int64_t parts) { return count * part / parts; }

typedef struct block {
    int64_t row, rows, col, cols;
    float *planes[2];                      // of its rows and of its columns
} block;

static problem part_of(const problem *p, const block *k)
{
    problem part = *p;
    part.rows = k->rows, part.cols = k->cols;
    part.a = p->a + k->row * p->dim;
    part.b = p->b + k->col * p->dim;
    if (p->labels) part.labels = p->labels + k->row;
    return part;
}

static void add_block(call *c, const problem *p, const block *k)
{
    set(c, WANE_PARAM_ROW_OFFSET, (double)k->row);
    set(c, WANE_PARAM_COL_OFFSET, (double)k->col);
    if (p->loss != WANE_LOSS_SIGLIP || p->labels) set(c, WANE_PARAM_TOTAL_COLS, (double)p->cols);
}

static void save_block(problem *p, block *k)
{
    problem part = part_of(p, k);
    k->planes[0] = floats(PLANES * k->rows);
    k->planes[1] = floats(PLANES * k->cols);
    call c = {0};
    add_inputs(&c, &part);
    add_block(&c, p, k);
    add(&c, WANE_ROLE_STATISTICS, 2, PLANES, k->rows, k->planes[0]);
    if (p->loss == WANE_LOSS_CLIP) add(&c, WANE_ROLE_COL_STATISTICS, 2, PLANES, k->cols, k->planes[1]);
    do_call(&c);
}

// Adds the block's part to r; its rows' losses are those of the pairs that it holds.
static void use_block(problem *p, const block *k, float *const planes[2], results *r)
{
    problem part = part_of(p, k);
    results own = {0, r->grad_scale, floats(k->rows), r->grad_a + k->row * p->dim, r->grad_b + k->col * p->dim};
    call c = {0};
    add_inputs(&c, &part);
    add_block(&c, p, k);
    if (planes[0]) add(&c, WANE_ROLE_STATISTICS, 2, PLANES, k->rows, planes[0])->flags = WANE_OPERAND_GIVEN;
    if (planes[1]) add(&c, WANE_ROLE_COL_STATISTICS, 2, PLANES, k->cols, planes[1])->flags = WANE_OPERAND_GIVEN;
    uint32_t first = c.count;
    add_outputs(&c, &part, &own);
    for (; first < c.count; first++) {
        wane_role role = c.tensors[first].role;
        if (role == WANE_ROLE_GRAD_A || role == WANE_ROLE_GRAD_B || role == WANE_ROLE_GRAD_SCALE)
            c.tensors[first].flags = WANE_OPERAND_ACCUMULATE;
    }
    do_call(&c);
    r->loss += own.loss;
    r->grad_scale = own.grad_scale;
    for (int64_t i = 0; i < k->rows; i++) r->row_loss[k->row + i] += own.row_loss[i];
    free(own.row_loss);
}

// The planes of blocks whose rows (side 0) or columns (side 1) are the same, joined.
static float *join(const block *blocks, int64_t count, int64_t step, int side)
{
    const float *shards[BLOCKS];
    for (int64_t i = 0; i < count; i++) shards[i] = blocks[i * step].planes[side];
    int64_t rows = side ? blocks->cols : blocks->rows;
    float *out = floats(PLANES * rows);
    uint32_t mask = 0;
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = WANE_LOSS_CLIP};
    assert_int_equal(wane_statistics_need(context, &desc, &mask), WANE_OK);
    wane_statistics_merge_desc merge = {.struct_size = sizeof merge, .mask = mask, .shard_count = (uint32_t)count, .rows = rows,
                                        .temperature = 1, .shards = shards, .out = out};
    assert_int_equal(wane_statistics_merge(context, &merge), WANE_OK);
    return out;
}

static void zero(const problem *p, results *r)
{
    r->loss = r->grad_scale = 0;
    memset(r->row_loss, 0, (size_t)p->rows * 4);
    memset(r->grad_a, 0, (size_t)(p->rows * p->dim) * 4);
    memset(r->grad_b, 0, (size_t)(p->cols * p->dim) * 4);
}

// A grid of blocks, down x across.
static void split(problem *p, int64_t down, int64_t across)
{
    block blocks[BLOCKS * BLOCKS];
    float *row_planes[BLOCKS] = {NULL}, *col_planes[BLOCKS] = {NULL};
    char what[64];
    snprintf(what, sizeof what, "%lld x %lld blocks", (long long)down, (long long)across);
    results r = take(p);
    zero(p, &r);
    for (int64_t i = 0; i < down * across; i++) {
        int64_t y = i / across, x = i % across, row = cut(p->rows, y, down), col = cut(p->cols, x, across);
        blocks[i] = (block){row, cut(p->rows, y + 1, down) - row, col, cut(p->cols, x + 1, across) - col, {NULL, NULL}};
        if (p->loss != WANE_LOSS_SIGLIP) save_block(p, &blocks[i]);
    }
    for (int64_t y = 0; y < down && p->loss != WANE_LOSS_SIGLIP; y++) row_planes[y] = join(blocks + y * across, across, 1, 0);
    for (int64_t x = 0; x < across && p->loss == WANE_LOSS_CLIP; x++) col_planes[x] = join(blocks + x, down, across, 1);
    for (int64_t i = 0; i < down * across; i++) {
        float *planes[2] = {row_planes[i / across], col_planes[i % across]};
        use_block(p, &blocks[i], planes, &r);
        free(blocks[i].planes[0]), free(blocks[i].planes[1]);
    }
    check_all(p, what, &r);
    for (int i = 0; i < BLOCKS; i++) free(row_planes[i]), free(col_planes[i]);
    give(&r);
}

static void test_blocks(void **state)
{
    (void)state;
    static const int64_t grids[][2] = {{1, 1}, {1, 2}, {1, 3}, {1, 7}, {2, 1}, {3, 1}, {7, 1}, {2, 3}, {3, 3}};
    const wane_loss losses[] = {WANE_LOSS_INFO_NCE, WANE_LOSS_CLIP, WANE_LOSS_SIGLIP};
    for (int l = 0; l < 3; l++)
        for (int plain = 0; plain < 2; plain++) {
            problem p = make(losses[l], 71, losses[l] == WANE_LOSS_CLIP ? 71 : 83, 17);
            p.normalize = !plain;
            if (plain) p.scale = 2;
            solve(&p);
            for (size_t i = 0; i < sizeof grids / sizeof grids[0]; i++) split(&p, grids[i][0], grids[i][1]);
            drop(&p);
        }
}

// Labels are numbers of the whole.
static void test_labelled_blocks(void **state)
{
    (void)state;
    for (int l = 0; l < 2; l++) {
        problem p = make(l ? WANE_LOSS_SIGLIP : WANE_LOSS_INFO_NCE, 40, 83, 9);
        p.labels = malloc((size_t)p.rows * 4);
        for (int64_t i = 0; i < p.rows; i++) p.labels[i] = (int32_t)(i * 37 % p.cols);
        solve(&p);
        for (int64_t across = 1; across <= 7; across += 3) split(&p, 1, across);
        split(&p, 3, 2);
        drop(&p);
    }
}

// Planes of one block where those of all belong: NaN in the rows whose pair is elsewhere, no wrong number.
static void test_planes_that_were_not_merged(void **state)
{
    (void)state;
    problem p = make(WANE_LOSS_INFO_NCE, 12, 12, 5);
    block halves[2] = {{0, 12, 0, 6, {NULL, NULL}}, {0, 12, 6, 6, {NULL, NULL}}};
    save_block(&p, &halves[0]), save_block(&p, &halves[1]);
    results r = take(&p);
    problem part = part_of(&p, &halves[1]);
    call c = {0};
    add_inputs(&c, &part);
    add_block(&c, &p, &halves[1]);
    add(&c, WANE_ROLE_STATISTICS, 2, PLANES, 12, halves[0].planes[0])->flags = WANE_OPERAND_GIVEN;
    add(&c, WANE_ROLE_ROW_LOSS, 1, 12, 0, r.row_loss);
    assert_true(run(&c) >= 0);
    for (int i = 0; i < 12; i++) assert_true(i < 6 ? r.row_loss[i] == 0 : isnan(r.row_loss[i]));
    for (int i = 0; i < 4; i++) free(halves[i / 2].planes[i % 2]);
    give(&r), drop(&p);
}

// ---- laws ----

static double largest(const float *x, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++) most = fmax(most, fabs((double)x[i]));
    return most;
}

static void near(const char *what, const float *x, const float *y, int64_t count, double allowed)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)x[i] - (double)y[i]) <= allowed))
            fail_msg("%s: [%lld] is %.9g and %.9g (allowed %.3g)", what, (long long)i, (double)x[i], (double)y[i], allowed);
}

static void test_mirror(void **state)
{
    (void)state;
    problem p = make(WANE_LOSS_CLIP, 75, 75, 24), q = p;
    q.a = p.b, q.b = p.a;
    results x = take(&p), y = take(&q);
    whole(&p, &x, 0), whole(&q, &y, 0);
    near("mirrored loss", &x.loss, &y.loss, 1, 2e-6 * fabs((double)x.loss));
    near("mirrored rows", x.row_loss, y.row_loss, p.rows, 2e-6 * (1 + largest(x.row_loss, p.rows)));
    near("mirrored grad_a", x.grad_a, y.grad_b, p.rows * p.dim, 4e-6 * largest(x.grad_a, p.rows * p.dim));
    near("mirrored grad_b", x.grad_b, y.grad_a, p.rows * p.dim, 4e-6 * largest(x.grad_b, p.rows * p.dim));
    near("mirrored grad_scale", &x.grad_scale, &y.grad_scale, 1, 1e-6);
    give(&x), give(&y), drop(&p);
}

static void test_permutation(void **state)
{
    (void)state;
    for (wane_loss loss = WANE_LOSS_INFO_NCE; loss <= WANE_LOSS_SIGLIP; loss++) {
        problem p = make(loss, 64, 64, 24), q = make(loss, 64, 64, 24);
        size_t row = (size_t)p.dim * 4;
        for (int64_t i = 0; i < p.rows; i++) {
            int64_t to = (i * 27 + 5) % p.rows;
            memcpy(q.a + to * p.dim, p.a + i * p.dim, row);
            memcpy(q.b + to * p.dim, p.b + i * p.dim, row);
        }
        results x = take(&p), y = take(&q);
        whole(&p, &x, 0), whole(&q, &y, 0);
        near("loss of permuted pairs", &x.loss, &y.loss, 1, 2e-6 * fabs((double)x.loss));
        double most = 4e-6 * largest(x.grad_a, p.rows * p.dim);
        for (int64_t i = 0; i < p.rows; i++) {
            int64_t to = (i * 27 + 5) % p.rows;
            near("grad_a of permuted pairs", x.grad_a + i * p.dim, y.grad_a + to * p.dim, p.dim, most);
            near("grad_b of permuted pairs", x.grad_b + i * p.dim, y.grad_b + to * p.dim, p.dim, most);
        }
        give(&x), give(&y), drop(&p), drop(&q);
    }
}

// Under a norm the length of a row is nothing: a power of two changes no bit but the gradient's, and no gradient points
// along its row.
static void test_norm(void **state)
{
    (void)state;
    for (wane_loss loss = WANE_LOSS_INFO_NCE; loss <= WANE_LOSS_SIGLIP; loss++) {
        problem p = make(loss, 50, 50, 33);
        results x = take(&p), y = take(&p);
        whole(&p, &x, 0);
        for (int64_t i = 0; i < p.rows; i++) {
            double dot = 0, size = 0;
            for (int64_t k = 0; k < p.dim; k++) {
                double term = (double)p.a[i * p.dim + k] * (double)x.grad_a[i * p.dim + k];
                dot += term, size += fabs(term);
            }
            assert_true(fabs(dot) <= 2e-6 * size);
        }
        for (int64_t i = 0; i < p.rows * p.dim; i++) p.a[i] *= 8, p.b[i] *= 0.5f;
        whole(&p, &y, 0);
        for (int64_t i = 0; i < p.rows * p.dim; i++) y.grad_a[i] *= 8, y.grad_b[i] *= 0.5f;
        assert_true(same(&p, &x, &y));
        give(&x), give(&y), drop(&p);
    }
}

// InfoNCE is cross_entropy of the matrix that it never stores; its gradients are products with that matrix's.
static void test_explicit_matrix(void **state)
{
    (void)state;
    problem p = make(WANE_LOSS_INFO_NCE, 40, 60, 16);
    p.normalize = 0, p.scale = 2, p.upstream = 1;
    results r = take(&p);
    whole(&p, &r, 0);
    float *z = floats(p.rows * p.cols), *g = floats(p.rows * p.cols), *rows = floats(p.rows), loss = 0;
    int32_t target[40];
    for (int64_t i = 0; i < p.rows; i++) target[i] = (int32_t)i;
    for (int64_t i = 0; i < p.rows * p.cols; i++) {
        double sum = 0;
        for (int64_t k = 0; k < p.dim; k++) sum += (double)p.a[i / p.cols * p.dim + k] * (double)p.b[i % p.cols * p.dim + k];
        z[i] = (float)(sum * 2);
    }
    call c = {.loss = WANE_LOSS_CROSS_ENTROPY};
    add(&c, WANE_ROLE_LOGITS, 2, p.rows, p.cols, z);
    add(&c, WANE_ROLE_TARGET, 1, p.rows, 0, target)->dtype = WANE_DTYPE_I32;
    add(&c, WANE_ROLE_LOSS, 1, 1, 0, &loss);
    add(&c, WANE_ROLE_ROW_LOSS, 1, p.rows, 0, rows);
    add(&c, WANE_ROLE_GRAD_LOGITS, 2, p.rows, p.cols, g);
    set(&c, WANE_PARAM_REDUCTION, WANE_REDUCTION_SUM);
    do_call(&c);
    near("loss of the matrix", &r.loss, &loss, 1, 2e-6 * (double)loss);
    near("rows of the matrix", r.row_loss, rows, p.rows, 2e-6 * (1 + largest(rows, p.rows)));
    double most = 4e-6 * largest(r.grad_a, p.rows * p.dim);
    for (int64_t i = 0; i < p.rows * p.dim; i++) {
        double sum = 0;
        for (int64_t j = 0; j < p.cols; j++) sum += 2 * (double)g[i / p.dim * p.cols + j] * (double)p.b[j * p.dim + i % p.dim];
        assert_true(fabs(sum - (double)r.grad_a[i]) <= most);
    }
    free(z), free(g), free(rows), give(&r), drop(&p);
}

// ---- bits ----

static void open_threads(uint32_t threads)
{
    wane_context_desc desc = {.struct_size = sizeof desc, .thread_count = threads};
    wane_context_destroy(context);
    context = NULL;
    assert_int_equal(wane_context_create(&desc, &context), WANE_OK);
    assert_int_equal(wane_device_find(context, device_name, &device), WANE_OK);
}

static void test_bits(void **state)
{
    (void)state;
    bool cpu = strncmp(device_name, "cpu", 3) == 0;
    for (wane_loss loss = WANE_LOSS_INFO_NCE; loss <= WANE_LOSS_SIGLIP; loss++) {
        problem p = make(loss, 150, 150, 70);
        results first = take(&p), next = take(&p);
        for (int budget = 0; budget < 2; budget++)
            for (int i = 0; i < 20; i++) {
                if (cpu && i % 5 == 0) open_threads(1 + (uint32_t)i / 5);
                // the budget makes chunks of some rows
                whole(&p, i ? &next : &first, budget ? 200000 : 0);
                if (i) assert_true(same(&p, &first, &next));
            }
        give(&first), give(&next), drop(&p);
    }
}

static void say(void *user, const wane_log_record *record)
{
    (void)user;
    snprintf(said, sizeof said, "%s: %s", record->operand ? record->operand : "", record->text);
}

int main(int argc, char **argv)
{
    wane_context_desc desc = {.struct_size = sizeof desc, .log = say};
    if (argc > 1) device_name = argv[1];
    if (wane_context_create(&desc, &context) != WANE_OK) return 1;
    if (wane_device_find(context, device_name, &device) != WANE_OK) {
        fprintf(stderr, "skipped: there is no %s here: %s\n", device_name, said);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_calls), cmocka_unit_test(test_blocks), cmocka_unit_test(test_labelled_blocks),
        cmocka_unit_test(test_planes_that_were_not_merged), cmocka_unit_test(test_mirror), cmocka_unit_test(test_permutation),
        cmocka_unit_test(test_norm), cmocka_unit_test(test_explicit_matrix), cmocka_unit_test(test_bits),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    wane_context_destroy(context);
    return failed;
}
