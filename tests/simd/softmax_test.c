// softmax_test.c - softmax rows of each instruction set against those of portable C (which cross.conform holds to the
// oracle): row lengths around every multiple of a vector and of a block, memory that ends at a page nobody may touch or
// begins behind one, workspace and outputs poisoned, values that are no numbers. The bits are the same for 1
// thread, on which rows go through all passes before the next ones, and for 4, on which they do not come out even.
#include "support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 21 };                         // a group of 16, and some
enum { V_MOST = 16 };                       // lanes of a vector, at most

typedef enum second_kind { NO_SECOND, TEACHER, SHARES, NUMBER } second_kind;   // of softmax_pair.c

static bool guarded = true;                 // not under qemu 7.2: it reads all of a masked load

// What the library takes for the last level of cache (the linker's --wrap, of a static library): stores of more go past it,
// which no problem of a test is large enough for on a machine with much cache.
static uint64_t cache_bytes = UINT64_MAX;
uint64_t __wrap_wane_cpu_cache_bytes(void);
uint64_t __wrap_wane_cpu_cache_bytes(void) { return cache_bytes; }

typedef struct variant {
    const char *name;
    wane_loss loss;
    wane_dtype type;
    bool every_output, in_place, smooth, special, few_inputs;
    bool past_cache;                        // stores go past the caches
    bool steep;                             // each column far above the one before
    bool rising;                            // each block of columns above the one before: the sweep's reference moves
    second_kind second;
    wane_dtype second_type;                 // 0: that of the logits
    wane_param param;                       // WANE_PARAM_NONE: no other parameter
    double value;
} variant;

static const variant variants[] = {
    {"plain", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F32, .few_inputs = true},
    {"special", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F32, .special = true, .few_inputs = true},
    {"steep", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F32, .steep = true, .few_inputs = true},
    {"steep bf16", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_BF16, .steep = true, .few_inputs = true},
    {"smooth", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F32, .smooth = true, .special = true, .few_inputs = true},
    {"smooth, all", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F32, .every_output = true, .smooth = true, .special = true},
    {"in place", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F32, .in_place = true, .special = true, .few_inputs = true},
    {"focal, all", WANE_LOSS_FOCAL, WANE_DTYPE_F32, .every_output = true, .special = true},
    {"f16", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F16, .special = true, .few_inputs = true},
    {"bf16, all", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_BF16, .every_output = true, .smooth = true, .special = true},
    {"f16 smooth, all", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F16, .every_output = true, .smooth = true},
    {"bf16 in place", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_BF16, .in_place = true, .special = true, .few_inputs = true},
};

// A second source of weights: both tensors' gradients where there are two, every direction, types that differ.
static const variant pairs[] = {
    {"kl", WANE_LOSS_KL_LOGITS, WANE_DTYPE_F32, .few_inputs = true, .special = true, .second = TEACHER},
    {"kl reverse", WANE_LOSS_KL_LOGITS, WANE_DTYPE_F32, .special = true, .second = TEACHER, .param = WANE_PARAM_DIRECTION, .value = 1},
    {"kl symmetric, all", WANE_LOSS_KL_LOGITS, WANE_DTYPE_BF16, .every_output = true, .special = true, .second = TEACHER,
     .second_type = WANE_DTYPE_F32, .param = WANE_PARAM_DIRECTION, .value = 2},
    {"kl f16 warm in place", WANE_LOSS_KL_LOGITS, WANE_DTYPE_F16, .in_place = true, .few_inputs = true, .special = true,
     .second = TEACHER, .second_type = WANE_DTYPE_BF16, .param = WANE_PARAM_TEMPERATURE, .value = 3},
    {"cross-entropy of logits", WANE_LOSS_CROSS_ENTROPY_LOGITS, WANE_DTYPE_F32, .special = true, .second = TEACHER,
     .second_type = WANE_DTYPE_F16},
    {"cross-entropy of logits, both", WANE_LOSS_CROSS_ENTROPY_LOGITS, WANE_DTYPE_BF16, .special = true, .second = TEACHER,
     .param = WANE_PARAM_SYMMETRIC, .value = 1},
    {"probabilities", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F32, .few_inputs = true, .special = true, .second = SHARES},
    {"probabilities smooth, all", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F32, .every_output = true, .smooth = true, .special = true,
     .second = SHARES, .second_type = WANE_DTYPE_BF16},
    {"probabilities smooth", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F16, .smooth = true, .few_inputs = true, .second = SHARES},
    {"bins", WANE_LOSS_HL_GAUSS, WANE_DTYPE_F32, .few_inputs = true, .special = true, .second = NUMBER},
    {"wide bins", WANE_LOSS_HL_GAUSS, WANE_DTYPE_BF16, .special = true, .second = NUMBER, .param = WANE_PARAM_SIGMA, .value = 0.2},
};

// Long rows: exponentials kept from the sweep to the writer, under one reference and many; stores past the caches.
static const struct { variant v; int64_t cols; } long_rows[] = {
    {{"bf16 rising", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_BF16, .few_inputs = true, .rising = true}, 20001},
    {{"bf16 rising far", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_BF16, .few_inputs = true, .rising = true}, 131000},
    {{"bf16 past caches", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_BF16, .few_inputs = true, .past_cache = true}, 50257},
    {{"f16 past caches", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F16, .few_inputs = true, .smooth = true, .past_cache = true}, 50258},
    {{"bf16 in place", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_BF16, .few_inputs = true, .in_place = true}, 50001},
    {{"f32 past caches", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_F32, .few_inputs = true, .past_cache = true}, 50259},
    {{"kl past caches", WANE_LOSS_KL_LOGITS, WANE_DTYPE_F32, .few_inputs = true, .past_cache = true, .second = TEACHER}, 50259},
    {{"probabilities past caches", WANE_LOSS_CROSS_ENTROPY, WANE_DTYPE_BF16, .few_inputs = true, .past_cache = true, .second = SHARES}, 50259},
};

static uint32_t word_of(wane_dtype type, float x)
{
    uint32_t word;
    memcpy(&word, &x, 4);
    if (type == WANE_DTYPE_F32) return word;
    if (type == WANE_DTYPE_BF16) return word >> 16;
    return x != x ? 0x7e00 : x > 0 ? 0x7c00 : 0xfc00;                   // only infinities and NaN are asked for
}

static void put(test_problem *p, wane_role role, int64_t row, int64_t col, float x)
{
    int i = test_problem_find(p, role);
    wane_dtype type = p->operands[i].tensor.dtype;
    uint32_t word = word_of(type, x);
    size_t size = wane_dtype_bytes(type);
    memcpy(p->blocks[i].data + (size_t)(row * p->cols + col) * size, &word, size);
}

// NaN, infinities and masks at the beginning, the end and the middle; in f16 -1e9 and the lowest f32 are -inf.
static void spoil(test_problem *p, wane_role role)
{
    const float values[] = {NAN, INFINITY, -INFINITY, -1e9f, -3.4028235e38f};
    for (int64_t row = 0; row < ROWS; row++) {
        if (row % 3 == 0) continue;
        float value = values[row % 5];
        put(p, role, row, 0, value);
        if (row % 2) put(p, role, row, p->cols - 1, value);
        if (row % 4 == 1) put(p, role, row, p->cols / 2, value);
        if (row % 7 == 2)
            for (int64_t col = 0; col < p->cols; col++) put(p, role, row, col, -INFINITY);
    }
}

// Of the second tensor too: where the logits' holes are, where they are not, and weights that are no numbers.
static void spoil_second(test_problem *p, second_kind second)
{
    wane_role role = second == TEACHER ? WANE_ROLE_TEACHER_LOGITS : WANE_ROLE_TARGET;
    int64_t cols = second == NUMBER ? 1 : p->cols, least = p->cols;
    p->cols = cols;
    for (int64_t row = 0; row < ROWS; row++) {
        if (second == TEACHER && row % 3 == 2) put(p, role, row, cols - 1, -INFINITY);
        if (second == TEACHER && row % 6 == 4) put(p, role, row, cols / 2, -3.4028235e38f);
        if (row == 6) put(p, role, row, cols / 2, NAN);
        if (row == 12) put(p, role, row, 0, INFINITY);
        for (int64_t col = 0; col < cols && row == 18; col++) put(p, role, row, col, second == TEACHER ? -3.4028235e38f : 0);
    }
    p->cols = least;
}

static void rise(test_problem *p)
{
    for (int64_t row = 0; row < p->rows; row++)
        for (int64_t col = 0; col < p->cols; col++)
            put(p, WANE_ROLE_LOGITS, row, col, (float)(col / (row + 100)) * 0.125f);
}

// Up to the middle and down again, by more a vector than an exponential holds: all of the gradient is near the middle, whose
// columns no block before has seen the like of.
static void climb(test_problem *p)
{
    for (int64_t row = 0; row < p->rows; row++) {
        int64_t middle = row % 2 ? p->cols - 1 : p->cols * (row + 1) / (p->rows + 1);
        for (int64_t col = 0; col < p->cols; col++)
            put(p, WANE_ROLE_LOGITS, row, col, 7.0f * (float)(col < middle ? col - middle : middle - col));
    }
}

static void make(test_problem *p, wane_context *context, const variant *v, int64_t cols)
{
    test_problem_begin(p, context, v->loss, ROWS, cols);
    p->logits_type = p->grad_type = v->type;
    if (v->smooth) test_problem_param(p, WANE_PARAM_LABEL_SMOOTHING, 0.1);
    if (v->param != WANE_PARAM_NONE) test_problem_param(p, v->param, v->value);
    if (!v->second) assert_int_equal(wane_statistics_need(context, &p->desc, &p->mask), WANE_OK);
    test_problem_add_inputs(p, !v->few_inputs);
    if (v->second == TEACHER || v->second == SHARES) {
        int i = test_problem_find(p, v->second == TEACHER ? WANE_ROLE_TEACHER_LOGITS : WANE_ROLE_TARGET);
        wane_tensor *t = &p->operands[i].tensor;
        t->dtype = v->second_type ? v->second_type : v->type;
        t->rank = 2;
        t->extents[1] = cols;
        if (v->second == SHARES) assert_int_equal(wane_statistics_need(context, &p->desc, &p->mask), WANE_OK);
    }
    static const wane_role but_accuracy[] = {WANE_ROLE_LOSS, WANE_ROLE_ROW_LOSS, WANE_ROLE_GRAD_LOGITS, WANE_ROLE_STATISTICS,
                                             WANE_ROLE_LSE, WANE_ROLE_ENTROPY, WANE_ROLE_ARGMAX, WANE_ROLE_STATUS};
    if (v->every_output && v->second == SHARES) {
        for (size_t i = 0; i < sizeof but_accuracy / sizeof *but_accuracy; i++) test_problem_add(p, but_accuracy[i]);
    } else if (v->every_output) {
        test_problem_add_outputs(p);
    } else {
        test_problem_add(p, WANE_ROLE_LOSS);
        test_problem_add(p, WANE_ROLE_ROW_LOSS);
        test_problem_add(p, WANE_ROLE_GRAD_LOGITS);
        if (v->second == TEACHER && !v->few_inputs) test_problem_add(p, WANE_ROLE_GRAD_TEACHER_LOGITS);
    }
    int second = test_problem_find(p, WANE_ROLE_GRAD_TEACHER_LOGITS);
    if (second >= 0) p->operands[second].tensor.dtype = v->second_type ? v->second_type : v->type;
    if (v->in_place) p->operands[test_problem_find(p, WANE_ROLE_GRAD_LOGITS)].flags |= WANE_OPERAND_IN_PLACE;
}

static void solve(test_problem *p, wane_device *device, const variant *v, test_guard guard)
{
    wane_plan_info info = {.struct_size = sizeof info};
    wane_executable *executable = test_executable(device, p, &info);
    if (!p->workspace.data) test_problem_memory(p, info.workspace_bytes, guard);
    test_problem_fill(p);
    if (v->special) spoil(p, WANE_ROLE_LOGITS);
    if (v->special && v->second) spoil_second(p, v->second);
    if (v->rising) rise(p);
    if (v->steep) climb(p);
    if (v->in_place) {
        wane_binding *grad = &p->bindings[test_problem_find(p, WANE_ROLE_GRAD_LOGITS)];
        const wane_binding *logits = &p->bindings[test_problem_find(p, WANE_ROLE_LOGITS)];
        grad->host = logits->host;
    }
    assert_true(wane_run_cpu(executable, &p->args) >= 0);
    wane_executable_destroy(executable);
}

static double value_at(const test_problem *p, int i, int64_t index)
{
    wane_dtype type = p->operands[i].tensor.dtype;
    size_t size = wane_dtype_bytes(type);
    const unsigned char *at = (const unsigned char *)p->bindings[i].host + p->bindings[i].byte_offset + (size_t)index * size;
    if (type == WANE_DTYPE_I64) { int64_t n; memcpy(&n, at, 8); return (double)n; }
    if (type == WANE_DTYPE_I32) { int32_t n; memcpy(&n, at, 4); return n; }
    if (type == WANE_DTYPE_U32) { uint32_t n; memcpy(&n, at, 4); return n; }
    uint32_t word = 0;
    memcpy(&word, at, size);
    if (type == WANE_DTYPE_BF16) word <<= 16;
    if (type != WANE_DTYPE_F16) { float x; memcpy(&x, &word, 4); return (double)x; }
    int exponent = word >> 10 & 31;
    double high = exponent == 31 ? (word & 1023 ? NAN : INFINITY)
                : exponent ? ldexp(1024 + (word & 1023), exponent - 25) : ldexp(word & 1023, -24);
    return word & 0x8000 ? -high : high;
}

// Values near each other, and alike in what is no number.
static void compare(const variant *v, const char *set, const test_problem *got, const test_problem *want)
{
    for (uint32_t i = 0; i < want->desc.operand_count; i++) {
        if (!test_problem_writes(want, i)) continue;
        const wane_tensor *t = &want->operands[i].tensor;
        wane_role role = want->operands[i].role;
        int64_t count = 1, line;
        for (uint32_t d = 0; d < t->rank; d++) count *= t->extents[d];
        bool grad = role == WANE_ROLE_GRAD_LOGITS || role == WANE_ROLE_GRAD_TEACHER_LOGITS;
        line = grad ? want->cols : 1;
        double epsilon = t->dtype == WANE_DTYPE_F16 ? 1e-3 : t->dtype == WANE_DTYPE_BF16 ? 8e-3 : 3e-6;
        double step = t->dtype == WANE_DTYPE_F16 ? 0x1p-24 : 0;        // of numbers near 0
        for (int64_t first = 0; first < count; first += line) {
            double largest = 0;
            for (int64_t k = first; k < first + line; k++)
                if (isfinite(value_at(want, (int)i, k))) largest = fmax(largest, fabs(value_at(want, (int)i, k)));
            for (int64_t k = first; k < first + line; k++) {
                double a = value_at(got, (int)i, k), b = value_at(want, (int)i, k);
                // a NaN row's sums are nobody's, nor is a sum of x that is -inf; the flags say so
                uint32_t flags = role == WANE_ROLE_STATISTICS ? (uint32_t)value_at(want, (int)i, 3 * ROWS + k % ROWS) : 0;
                bool free_plane = (k / ROWS != 3 && (flags & (WANE_FLAG_NAN | WANE_FLAG_PLUS_INF)) != 0)
                               || (k / ROWS == 4 && (flags & WANE_FLAG_MINUS_INF) != 0);
                bool near = isnan(b) ? isnan(a) : isinf(b) ? a == b : fabs(a - b) <= epsilon * fmax(largest, grad ? 0 : 1) + step;
                if (!near && !free_plane)
                    fail_msg("%s, %s, %lld columns: role %d [%lld] is %.9g and not %.9g", set, v->name, (long long)want->cols,
                             (int)role, (long long)k, a, b);
            }
        }
    }
}

typedef struct devices {
    wane_context *context, *threads;        // of one thread, of four
    wane_device *plain, *set, *set_threads;
    const char *name;
} devices;

static void try_cols(const devices *d, const variant *v, int64_t cols, test_guard guard)
{
    test_problem want, got, again;
    if (!guarded) guard = TEST_PLAIN;
    make(&want, d->context, v, cols);
    make(&got, d->context, v, cols);
    make(&again, d->threads, v, cols);
    solve(&want, d->plain, v, guard);
    cache_bytes = v->past_cache ? 0 : UINT64_MAX;
    solve(&got, d->set, v, guard);
    cache_bytes = UINT64_MAX;
    solve(&again, d->set_threads, v, TEST_PLAIN);
    compare(v, d->name, &got, &want);
    if (!v->in_place && test_problem_hash(&got) != test_problem_hash(&again))
        fail_msg("%s, %s, %lld columns: other bits with four threads, or past the caches", d->name, v->name, (long long)cols);
    test_problem_end(&want);
    test_problem_end(&got);
    test_problem_end(&again);
}

static void try_set(const char *name)
{
    devices d = {test_context(NULL, NULL, 1), test_context(NULL, NULL, 4), NULL, NULL, NULL, name};
    d.plain = test_device(d.context, "cpu:generic");
    if (wane_device_find(d.context, name, &d.set) == WANE_OK) {
        d.set_threads = test_device(d.threads, name);
        static const int64_t longer[] = {127, 128, 255, 257, 1000, 1023, 1024, 1025, 2049, 4113, 8193, 20000};
        for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
            for (int64_t cols = 1; cols <= 2 * 16 + 3; cols++)
                try_cols(&d, &variants[i], cols, cols % 2 ? TEST_GUARD_AFTER : TEST_GUARD_BEFORE);
            for (int64_t cols = 3 * 16 - 1; cols <= 5 * 16 + 2; cols++) try_cols(&d, &variants[i], cols, TEST_GUARD_AFTER);
            for (size_t k = 0; k < sizeof longer / sizeof *longer; k++)
                try_cols(&d, &variants[i], longer[k], k % 2 ? TEST_GUARD_BEFORE : TEST_GUARD_AFTER);
        }
        static const int64_t some[] = {1, 2, V_MOST - 1, V_MOST, V_MOST + 1, 2 * V_MOST - 1, 2 * V_MOST, 2 * V_MOST + 1, 47, 64, 65,
                                       255, 511, 512, 513, 1000, 1025, 2049};
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
            for (size_t k = 0; k < sizeof some / sizeof *some; k++)
                try_cols(&d, &pairs[i], some[k], k % 2 ? TEST_GUARD_AFTER : TEST_GUARD_BEFORE);
        // NEON has no stores past the caches, and its emulator no time to lose
        bool streams = strcmp(name, "cpu:neon") != 0;
        for (size_t i = 0; i < sizeof variants / sizeof *variants + sizeof pairs / sizeof *pairs && streams; i++) {
            size_t singles = sizeof variants / sizeof *variants;
            variant v = i < singles ? variants[i] : pairs[i - singles];
            v.past_cache = true;
            for (size_t k = 0; k < sizeof longer / sizeof *longer; k++) try_cols(&d, &v, longer[k], k % 2 ? TEST_GUARD_AFTER : TEST_GUARD_BEFORE);
        }
        for (size_t i = 0; i < sizeof long_rows / sizeof *long_rows && guarded; i++) {
            if (long_rows[i].v.past_cache && !streams) continue;
            try_cols(&d, &long_rows[i].v, long_rows[i].cols, TEST_GUARD_AFTER);
        }
    } else {
        printf("no %s here\n", name);
    }
    wane_context_destroy(d.context);
    wane_context_destroy(d.threads);
}

static void test_avx2(void **state) { (void)state; try_set("cpu:avx2"); }
static void test_avx512(void **state) { (void)state; try_set("cpu:avx512"); }
static void test_neon(void **state) { (void)state; try_set("cpu:neon"); }

int main(int argc, char **argv)
{
    guarded = !(argc > 1 && strcmp(argv[1], "--no-guards") == 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_avx2), cmocka_unit_test(test_avx512), cmocka_unit_test(test_neon)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
