// laws_test.c - what must hold whatever the oracle says: shift invariance, rows on their own, gradients that sum to zero,
// linearity in the upstream gradient, accumulation, backward from saved and from merged statistics, and the same bits
// from run to run, from thread count to thread count, with the host's threads. For every loss of the registry that has
// the roles that a law speaks of. The device is the first argument.
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

enum { STATISTICS_MOST = 7, OPERANDS_MOST = 12, PARAMS_MOST = 4 };

static const char *device_name = "cpu";
static wane_context *context;
static wane_device *device;
static bool is_cpu;

// ---- a problem and its results ----

typedef struct problem {
    wane_loss loss;
    int64_t rows, cols;
    float *logits, *upstream, *weight;      // upstream [rows], weight [cols]: NULL for none
    int32_t *target;
    wane_param_value params[PARAMS_MOST];
    uint32_t param_count, mask;
    bool accumulate, no_grad;
    float *given;                           // statistics to start from
    float *row_loss, *lse, *grad, *saved;   // saved: NULL unless statistics are asked for
} problem;

static uint64_t random_state;

static double uniform(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(random_state >> 11) * 0x1p-53;
}

static void *memory(int64_t count, size_t size)
{
    void *made = calloc((size_t)count + 1, size);
    assert_non_null(made);
    return made;
}

// Logits are multiples of 2^-12 within +-8, so that adding a power of two is exact.
static problem make(wane_loss loss, int64_t rows, int64_t cols, uint64_t seed)
{
    problem p;
    memset(&p, 0, sizeof p);
    random_state = seed;
    p.loss = loss;
    p.rows = rows;
    p.cols = cols;
    p.logits = memory(rows * cols, sizeof *p.logits);
    p.target = memory(rows, sizeof *p.target);
    p.row_loss = memory(rows, sizeof *p.row_loss);
    p.lse = memory(rows, sizeof *p.lse);
    p.grad = memory(rows * cols, sizeof *p.grad);
    for (int64_t i = 0; i < rows * cols; i++) p.logits[i] = (float)floor(65536 * uniform() - 32768) / 4096;
    for (int64_t r = 0; r < rows; r++) p.target[r] = (int32_t)((double)cols * uniform());
    return p;
}

static void drop(problem *p)
{
    free(p->logits);
    free(p->upstream);
    free(p->weight);
    free(p->target);
    free(p->given);
    free(p->row_loss);
    free(p->lse);
    free(p->grad);
    free(p->saved);
    memset(p, 0, sizeof *p);
}

static void set(problem *p, wane_param param, double value)
{
    wane_param_value v = {.param = param, .value = value};
    assert_true(p->param_count < PARAMS_MOST);
    p->params[p->param_count++] = v;
}

static bool has_param(wane_loss loss, wane_param param)
{
    const wane_param_info *info;
    for (uint32_t i = 0; (info = wane_loss_param_at(wane_loss_by_id(loss), i)); i++)
        if (info->param == param) return true;
    return false;
}

typedef struct call {
    wane_operand operands[OPERANDS_MOST];
    wane_binding bindings[OPERANDS_MOST];
    uint32_t count;
} call;

static void bind(call *k, wane_role role, wane_dtype dtype, int64_t first, int64_t second, void *host, uint32_t flags)
{
    if (!host) return;
    wane_operand o;
    wane_binding b;
    memset(&o, 0, sizeof o);
    memset(&b, 0, sizeof b);
    o.struct_size = sizeof o;
    o.role = role;
    o.flags = flags;
    o.tensor.struct_size = sizeof o.tensor;
    o.tensor.dtype = dtype;
    o.tensor.rank = second ? 2 : 1;
    o.tensor.extents[0] = first;
    o.tensor.extents[1] = second;
    b.struct_size = sizeof b;
    b.role = role;
    b.host = host;
    b.bytes = (uint64_t)(first * (second ? second : 1)) * wane_dtype_bytes(dtype);
    assert_true(k->count < OPERANDS_MOST);
    k->operands[k->count] = o;
    k->bindings[k->count++] = b;
}

static wane_loss_desc describe(const problem *p)
{
    wane_loss_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.loss = p->loss;
    desc.params = p->params;
    desc.param_count = p->param_count;
    desc.statistics_mask = p->mask;
    return desc;
}

static void solve_on(wane_device *on, problem *p)
{
    call k;
    memset(&k, 0, sizeof k);
    int64_t planes = wane_statistics_plane_count(p->mask);
    bind(&k, WANE_ROLE_LOGITS, WANE_DTYPE_F32, p->rows, p->cols, p->logits, 0);
    bind(&k, WANE_ROLE_TARGET, WANE_DTYPE_I32, p->rows, 0, p->target, 0);
    bind(&k, WANE_ROLE_WEIGHT, WANE_DTYPE_F32, p->cols, 0, p->weight, 0);
    bind(&k, WANE_ROLE_UPSTREAM, WANE_DTYPE_F32, p->rows, 0, p->upstream, 0);
    bind(&k, WANE_ROLE_STATISTICS, WANE_DTYPE_F32, planes, p->rows, p->given ? p->given : p->saved,
         p->given ? WANE_OPERAND_GIVEN : 0);
    bind(&k, WANE_ROLE_ROW_LOSS, WANE_DTYPE_F32, p->rows, 0, p->row_loss, 0);
    bind(&k, WANE_ROLE_LSE, WANE_DTYPE_F32, p->rows, 0, p->lse, 0);
    bind(&k, WANE_ROLE_GRAD_LOGITS, WANE_DTYPE_F32, p->rows, p->cols, p->no_grad ? NULL : p->grad,
         p->accumulate ? WANE_OPERAND_ACCUMULATE : 0);
    wane_loss_desc desc = describe(p);
    desc.operands = k.operands;
    desc.operand_count = k.count;
    wane_args args;
    memset(&args, 0, sizeof args);
    args.struct_size = sizeof args;
    args.bindings = k.bindings;
    args.binding_count = k.count;
    wane_plan *plan;
    wane_executable *executable;
    assert_int_equal(wane_plan_create(on, &desc, &plan), WANE_OK);
    assert_int_equal(wane_executable_create(plan, &executable), WANE_OK);
    assert_int_equal(wane_run(executable, NULL, &args), WANE_OK);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
}

static void solve(problem *p) { solve_on(device, p); }

// The problem once more, with results of its own.
static problem again(const problem *p)
{
    problem q = *p;
    q.logits = memory(p->rows * p->cols, sizeof *q.logits);
    q.target = memory(p->rows, sizeof *q.target);
    q.row_loss = memory(p->rows, sizeof *q.row_loss);
    q.lse = memory(p->rows, sizeof *q.lse);
    q.grad = memory(p->rows * p->cols, sizeof *q.grad);
    memcpy(q.logits, p->logits, (size_t)(p->rows * p->cols) * sizeof *q.logits);
    memcpy(q.target, p->target, (size_t)p->rows * sizeof *q.target);
    q.upstream = p->upstream ? memory(p->rows, sizeof *q.upstream) : NULL;
    q.weight = p->weight ? memory(p->cols, sizeof *q.weight) : NULL;
    if (q.upstream) memcpy(q.upstream, p->upstream, (size_t)p->rows * sizeof *q.upstream);
    if (q.weight) memcpy(q.weight, p->weight, (size_t)p->cols * sizeof *q.weight);
    q.given = q.saved = NULL;
    return q;
}

static void expect_bits(const char *law, const float *got, const float *want, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0)
            fail_msg("%s: element %lld is %.9g and not %.9g", law, (long long)i, (double)got[i], (double)want[i]);
}

static void expect_near(const char *law, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) fail_msg("%s: %.9g and not %.9g, off by more than %.3g", law, got, want, tolerance);
}

// Calls the law for every loss that works on rows of logits, for a fused row and a split row.
static void each(void (*law)(wane_loss loss, int64_t rows, int64_t cols))
{
    const wane_loss_info *loss;
    const wane_role_info *role;
    for (uint32_t i = 0; (loss = wane_loss_at(i)); i++) {
        uint32_t known = 0;
        for (uint32_t r = 0; (role = wane_loss_role_at(loss, r)); r++)
            known |= (uint32_t)(role->role == WANE_ROLE_LOGITS) | (uint32_t)(role->role == WANE_ROLE_TARGET) << 1
                   | (uint32_t)(role->role == WANE_ROLE_STATISTICS) << 2;
        if (known != 7) continue;
        law(loss->loss, 11, 130);
        law(loss->loss, 3, 66000);
    }
}

// ---- laws ----

// A constant added to a row changes lse by itself, and the bits of nothing else.
static void shift(wane_loss loss, int64_t rows, int64_t cols)
{
    problem p = make(loss, rows, cols, 1), q = again(&p);
    for (int64_t i = 0; i < rows * cols; i++) q.logits[i] += i / cols % 2 ? 64 : -16;
    solve(&p);
    solve(&q);
    expect_bits("shift, row_loss", q.row_loss, p.row_loss, rows);
    expect_bits("shift, gradient", q.grad, p.grad, rows * cols);
    for (int64_t r = 0; r < rows; r++)
        expect_near("shift, lse", (double)q.lse[r] - (double)p.lse[r], r % 2 ? 64 : -16, 2e-5);
    drop(&p);
    drop(&q);
}

// Rows turned round; reduction sum, since a mean rounds its denominator for all.
static void permute(wane_loss loss, int64_t rows, int64_t cols)
{
    problem p = make(loss, rows, cols, 2), q = again(&p);
    set(&p, WANE_PARAM_REDUCTION, WANE_REDUCTION_SUM);
    set(&q, WANE_PARAM_REDUCTION, WANE_REDUCTION_SUM);
    for (int64_t r = 0; r < rows; r++) {
        memcpy(q.logits + r * cols, p.logits + (rows - 1 - r) * cols, (size_t)cols * sizeof *q.logits);
        q.target[r] = p.target[rows - 1 - r];
    }
    solve(&p);
    solve(&q);
    for (int64_t r = 0; r < rows; r++) {
        expect_bits("permutation, row_loss", q.row_loss + r, p.row_loss + (rows - 1 - r), 1);
        expect_bits("permutation, gradient", q.grad + r * cols, p.grad + (rows - 1 - r) * cols, cols);
    }
    drop(&p);
    drop(&q);
}

static void sum_to_zero(wane_loss loss, int64_t rows, int64_t cols)
{
    problem p = make(loss, rows, cols, 3);
    if (has_param(loss, WANE_PARAM_LABEL_SMOOTHING)) set(&p, WANE_PARAM_LABEL_SMOOTHING, 0.1);
    p.weight = memory(cols, sizeof *p.weight);
    for (int64_t j = 0; j < cols; j++) p.weight[j] = (float)(0.5 + uniform());
    solve(&p);
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0, size = 0;
        for (int64_t j = 0; j < cols; j++) {
            sum += (double)p.grad[r * cols + j];
            size += fabs((double)p.grad[r * cols + j]);
        }
        assert_true(size > 0);
        expect_near("sum of a gradient's row", sum, 0, 1e-6 * size);
    }
    drop(&p);
}

// Twice the upstream gradient gives twice the gradient, to the bit.
static void linear(wane_loss loss, int64_t rows, int64_t cols)
{
    problem p = make(loss, rows, cols, 4);
    set(&p, WANE_PARAM_REDUCTION, WANE_REDUCTION_NONE);
    p.upstream = memory(rows, sizeof *p.upstream);
    for (int64_t r = 0; r < rows; r++) p.upstream[r] = (float)(uniform() - 0.5);
    problem q = again(&p);
    for (int64_t r = 0; r < rows; r++) q.upstream[r] *= -2;
    solve(&p);
    solve(&q);
    for (int64_t i = 0; i < rows * cols; i++) p.grad[i] *= -2;
    expect_bits("linearity", q.grad, p.grad, rows * cols);
    drop(&p);
    drop(&q);
}

// grad += is one f32 addition to what the plain call gives.
static void accumulate(wane_loss loss, int64_t rows, int64_t cols)
{
    problem p = make(loss, rows, cols, 5), q = again(&p);
    q.accumulate = true;
    for (int64_t i = 0; i < rows * cols; i++) q.grad[i] = (float)(uniform() - 0.5);
    solve(&p);
    for (int64_t i = 0; i < rows * cols; i++) p.grad[i] += q.grad[i];
    solve(&q);
    expect_bits("accumulation", q.grad, p.grad, rows * cols);
    drop(&p);
    drop(&q);
}

static uint32_t needed_planes(const problem *p)
{
    uint32_t mask = 0;
    wane_loss_desc desc = describe(p);
    assert_int_equal(wane_statistics_need(context, &desc, &mask), WANE_OK);
    return mask;
}

static void save_statistics(problem *p)
{
    p->mask = needed_planes(p);
    p->saved = memory(STATISTICS_MOST * p->rows, sizeof *p->saved);
    p->no_grad = true;
    solve(p);
    p->no_grad = false;
}

// Forward that saves, then backward, against one call. A fused and a split row add in other orders, hence the tolerance.
static void two_calls(wane_loss loss, int64_t rows, int64_t cols)
{
    problem p = make(loss, rows, cols, 6);
    if (has_param(loss, WANE_PARAM_LABEL_SMOOTHING)) set(&p, WANE_PARAM_LABEL_SMOOTHING, 0.2);
    problem q = again(&p);
    solve(&p);
    save_statistics(&q);
    expect_bits("forward, row_loss", q.row_loss, p.row_loss, rows);
    q.given = q.saved;
    q.saved = NULL;
    memset(q.row_loss, 0, (size_t)rows * sizeof *q.row_loss);
    solve(&q);
    for (int64_t r = 0; r < rows; r++)
        expect_near("backward, row_loss", (double)q.row_loss[r], (double)p.row_loss[r], 1e-6 * fabs((double)p.row_loss[r]));
    // an entry may be a probability and smoothing's share that nearly cancel
    for (int64_t i = 0; i < rows * cols; i++) {
        double largest = fabs((double)p.grad[i / cols * cols + p.target[i / cols]]);
        expect_near("backward, gradient", (double)q.grad[i], (double)p.grad[i], 1e-6 * fabs((double)p.grad[i]) + 1e-7 * largest);
    }
    drop(&p);
    drop(&q);
}

// The planes of columns begin..end as the header defines them, of logits without softcap or temperature.
static void shard_planes(const problem *p, int64_t begin, int64_t end, float *planes)
{
    for (int64_t r = 0; r < p->rows; r++) {
        const float *x = p->logits + r * p->cols;
        double sum = 0;
        float max = -3.4028235e38f, target = 0;
        unsigned flags = 0;
        for (int64_t j = begin; j < end; j++)
            if (j != p->target[r]) max = fmaxf(max, x[j]), flags |= WANE_FLAG_OTHER_FINITE;
        for (int64_t j = begin; j < end; j++)
            if (j != p->target[r]) sum += exp((double)x[j] - (double)max);
        if (p->target[r] >= begin && p->target[r] < end) target = x[p->target[r]], flags |= WANE_FLAG_TARGET_SEEN;
        planes[r] = max;
        planes[p->rows + r] = (float)sum;
        planes[2 * p->rows + r] = target;
        planes[3 * p->rows + r] = (float)flags;
    }
}

// Shards of a vocabulary: their planes merged are those of whole rows, and lead to the same gradient.
static void shards(wane_loss loss, int64_t rows, int64_t cols)
{
    enum { SHARDS = 4 };
    problem p = make(loss, rows, cols, 7), q = again(&p);
    solve(&p);
    save_statistics(&q);
    float *parts[SHARDS];
    const float *given[SHARDS];
    assert_int_equal(q.mask, WANE_STATISTIC_MAX | WANE_STATISTIC_SUM | WANE_STATISTIC_TARGET | WANE_STATISTIC_FLAGS);
    for (int64_t s = 0; s < SHARDS; s++) {
        given[s] = parts[s] = memory(4 * rows, sizeof *parts[s]);
        shard_planes(&p, cols * s / SHARDS, cols * (s + 1) / SHARDS, parts[s]);
    }
    q.given = memory(4 * rows, sizeof *q.given);
    wane_statistics_merge_desc merge;
    memset(&merge, 0, sizeof merge);
    merge.struct_size = sizeof merge;
    merge.mask = q.mask;
    merge.shard_count = SHARDS;
    merge.rows = rows;
    merge.temperature = 1;
    merge.shards = given;
    merge.out = q.given;
    assert_int_equal(wane_statistics_merge(context, &merge), WANE_OK);
    expect_bits("merged max", q.given, q.saved, rows);
    expect_bits("merged target and flags", q.given + 2 * rows, q.saved + 2 * rows, 2 * rows);
    for (int64_t r = rows; r < 2 * rows; r++)
        expect_near("merged sum", (double)q.given[r], (double)q.saved[r], 1e-6 * (double)q.saved[r]);
    solve(&q);
    for (int64_t i = 0; i < rows * cols; i++)
        expect_near("shards, gradient", (double)q.grad[i], (double)p.grad[i], 2e-6 * fabs((double)p.grad[i]) + 1e-12);
    for (int s = 0; s < SHARDS; s++) free(parts[s]);
    drop(&p);
    drop(&q);
}

// ---- the same bits ----

static void repeat(wane_loss loss, int64_t rows, int64_t cols)
{
    problem p = make(loss, rows, cols, 8);
    solve(&p);
    for (int i = 0; i < 20; i++) {
        problem q = again(&p);
        solve(&q);
        expect_bits("run again, row_loss", q.row_loss, p.row_loss, rows);
        expect_bits("run again, gradient", q.grad, p.grad, rows * cols);
        drop(&q);
    }
    drop(&p);
}

// The host's parallel-for: any order will do, here from the last to the first.
static void run_backwards(void *user, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument)
{
    (void)user;
    while (count > 0) task(argument, --count);
}

// On the CPU: threads 1 to 4 and the host's own give the bits of every instruction set.
static void threads(wane_loss loss, int64_t rows, int64_t cols)
{
    static const char *const names[] = {"cpu:generic", "cpu:avx2", "cpu:avx512", "cpu:neon"};
    problem p = make(loss, rows, cols, 9);
    for (uint32_t i = 0; i < 20; i++) {
        wane_context_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.struct_size = sizeof desc;
        desc.backends = WANE_BACKEND_CPU;
        desc.thread_count = i % 5;
        if (i % 5 == 0) {
            desc.parallel.run = run_backwards;
            desc.parallel.width = 3;
        }
        wane_context *other;
        wane_device *on;
        assert_int_equal(wane_context_create(&desc, &other), WANE_OK);
        problem q = again(&p);
        if (wane_device_find(other, names[i / 5], &on) == WANE_OK) {
            solve_on(on, &q);
            if (i % 5 == 0) solve_on(on, &p);
            expect_bits("threads, row_loss", q.row_loss, p.row_loss, rows);
            expect_bits("threads, gradient", q.grad, p.grad, rows * cols);
        }
        drop(&q);
        wane_context_destroy(other);
    }
    drop(&p);
}

static void test_shift(void **state) { (void)state; each(shift); }
static void test_permutation(void **state) { (void)state; each(permute); }
static void test_sum_to_zero(void **state) { (void)state; each(sum_to_zero); }
static void test_linearity(void **state) { (void)state; each(linear); }
static void test_accumulation(void **state) { (void)state; each(accumulate); }
static void test_two_calls(void **state) { (void)state; each(two_calls); }
static void test_shards(void **state) { (void)state; each(shards); }
static void test_repeat(void **state) { (void)state; each(repeat); }

static void test_threads(void **state)
{
    (void)state;
    if (!is_cpu) skip();
    each(threads);
}

int main(int argc, char **argv)
{
    if (argc > 1) device_name = argv[1];
    is_cpu = strncmp(device_name, "cpu", 3) == 0;
    if (wane_context_create(NULL, &context) != WANE_OK) return 1;
    wane_status status = wane_device_find(context, device_name, &device);
    if (status == WANE_ERROR_NO_DEVICE) return 77;
    if (status != WANE_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shift), cmocka_unit_test(test_permutation), cmocka_unit_test(test_sum_to_zero),
        cmocka_unit_test(test_linearity), cmocka_unit_test(test_accumulation), cmocka_unit_test(test_two_calls),
        cmocka_unit_test(test_shards), cmocka_unit_test(test_repeat), cmocka_unit_test(test_threads)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    wane_context_destroy(context);
    return failed;
}
