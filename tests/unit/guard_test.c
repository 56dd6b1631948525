// guard_test.c - no access outside what is bound: every operand and the workspace stand against pages that cannot be
// touched, before and behind, for odd shapes, strides and every instruction set of this processor.
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEVICES = 3, MODES = 4 };

typedef enum run_mode { FUSED, ACCUMULATE, BACKWARD, IN_PLACE } run_mode;

// One way to put a problem.
typedef struct variant {
    run_mode mode;
    int layout;                             // 0 dense, 1 with gaps, 2 backwards, 3 the first dimension innermost
    wane_dtype logits_type, grad_type;      // 0 is f32
    int64_t more_rows;                      // 0, or a class axis in the middle
    bool wild;                              // targets that tempt to read elsewhere
} variant;

typedef struct fixture {
    test_log log;
    wane_context *context;
    wane_device *devices[DEVICES];
    uint32_t device_count;
} fixture;

static int set_up(void **state)
{
    static const char *const names[DEVICES] = {"cpu:generic", "cpu:avx2", "cpu:avx512"};
    fixture *f = calloc(1, sizeof *f);
    f->context = test_context(&f->log, NULL, 2);
    for (int i = 0; i < DEVICES; i++)
        if (wane_device_find(f->context, names[i], &f->devices[f->device_count]) == WANE_OK) f->device_count++;
    assert_true(f->device_count > 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    wane_context_destroy(f->context);
    free(f);
    return 0;
}

static void lay_out(wane_tensor *t, int layout)
{
    if (!layout) return;
    t->flags = WANE_TENSOR_STRIDED;
    int64_t step = layout == 1 ? 2 : 1;
    for (uint32_t k = 0; k < t->rank; k++) {
        uint32_t d = layout == 3 ? k : t->rank - 1 - k;
        t->strides[d] = layout == 2 ? -step : step;
        step = step * t->extents[d] + (layout == 1 ? 1 : layout == 2 ? 5 * k : 2);
    }
}

static void drop(test_problem *p, wane_role role)
{
    int i = test_problem_find(p, role);
    size_t after = p->desc.operand_count - (size_t)i - 1;
    memmove(&p->operands[i], &p->operands[i + 1], after * sizeof p->operands[0]);
    memmove(&p->bindings[i], &p->bindings[i + 1], after * sizeof p->bindings[0]);
    p->args.binding_count = --p->desc.operand_count;
}

static void begin(test_problem *p, fixture *f, int64_t rows, int64_t cols, const variant *v)
{
    test_problem_begin(p, f->context, cols % 2 ? WANE_LOSS_CROSS_ENTROPY : WANE_LOSS_COMP_SUM, rows, cols);
    p->logits_type = v->logits_type;
    p->grad_type = v->grad_type;
    p->more_rows[0] = v->more_rows;
    p->more_count = v->more_rows > 0;
    p->desc.statistics_mask = p->mask = v->mode == FUSED ? 127 : p->mask;
    if (cols % 3 == 0) test_problem_param(p, WANE_PARAM_REDUCTION, WANE_REDUCTION_NONE);
    if (cols % 4 == 1) {
        test_problem_param(p, WANE_PARAM_LABEL_SMOOTHING, 0.1);
        p->desc.statistics_mask = p->mask = 127;
    }
    test_problem_add_inputs(p, true);
    test_problem_add_outputs(p);
    uint32_t *flags = &p->operands[test_problem_find(p, WANE_ROLE_GRAD_LOGITS)].flags;
    if (v->mode == ACCUMULATE) *flags = WANE_OPERAND_ACCUMULATE;
    if (v->mode == IN_PLACE) *flags = WANE_OPERAND_IN_PLACE;
    if (v->mode == BACKWARD) {
        p->operands[test_problem_find(p, WANE_ROLE_STATISTICS)].flags = WANE_OPERAND_GIVEN;
        // argmax and accuracy cannot be told from statistics; entropy needs a plane more
        drop(p, WANE_ROLE_ARGMAX);
        drop(p, WANE_ROLE_ACCURACY);
        drop(p, WANE_ROLE_ENTROPY);
    }
    for (uint32_t i = 0; i < p->desc.operand_count; i++) lay_out(&p->operands[i].tensor, v->layout);
}

// Between the elements of a strided output the poison must stand; an f32 element must be a number.
static void check_gradient(test_problem *p, const variant *v, const char *what)
{
    int index = test_problem_find(p, WANE_ROLE_GRAD_LOGITS);
    const test_block *block = &p->blocks[v->mode == IN_PLACE ? test_problem_find(p, WANE_ROLE_LOGITS) : index];
    const wane_tensor *t = &p->operands[index].tensor;
    if (!t->flags || !block->bytes) return;
    int64_t size = (int64_t)wane_dtype_bytes(t->dtype), count = 1;
    bool *element = calloc(block->bytes, sizeof *element);
    for (uint32_t d = 0; d < t->rank; d++) count *= t->extents[d];
    for (int64_t i = 0; i < count; i++) {
        int64_t at = 0, rest = i;
        for (uint32_t d = t->rank; d-- > 0; rest /= t->extents[d]) at += rest % t->extents[d] * t->strides[d];
        at = (int64_t)p->bindings[index].byte_offset + at * size;
        memset(element + at, 1, (size_t)size);
        float value = 0;
        if (size == 4) memcpy(&value, block->data + at, 4);
        if (!isfinite(value)) fail_msg("%s: gradient element %lld is %g", what, (long long)i, (double)value);
    }
    for (size_t i = 0; i < block->bytes; i++)
        if (!element[i] && block->data[i] != TEST_POISON) fail_msg("%s: a gap of the gradient was written", what);
    free(element);
}

static void put_wild_targets(test_problem *p)
{
    static const int64_t targets[] = {-1, INT64_MAX, INT64_MIN, (int64_t)1 << 32, 1 << 30, -100};
    const test_block *block = &p->blocks[test_problem_find(p, WANE_ROLE_TARGET)];
    for (size_t i = 0; i < 6 && block->bytes >= 8; i++) memcpy(block->data + i * 24 % block->bytes, &targets[i], 8);
}

// Runs between guards; returns a hash of the outputs.
static uint64_t run_guarded(fixture *f, wane_device *device, int64_t rows, int64_t cols, const variant *v,
                            test_guard guard, const char *what)
{
    test_problem p;
    begin(&p, f, rows, cols, v);
    wane_plan_info info;
    wane_executable *executable = test_executable(device, &p, &info);
    test_problem_memory(&p, info.workspace_bytes, guard);
    if (v->wild) put_wild_targets(&p);
    if (v->mode == IN_PLACE)
        p.bindings[test_problem_find(&p, WANE_ROLE_GRAD_LOGITS)].host =
            p.blocks[test_problem_find(&p, WANE_ROLE_LOGITS)].data;
    wane_status status = wane_run_cpu(executable, &p.args);
    if (status < 0) fail_msg("%s: %s: %s", what, wane_status_text(status), f->log.text);
    if (v->mode != ACCUMULATE) check_gradient(&p, v, what);
    uint64_t hash = test_problem_hash(&p);
    wane_executable_destroy(executable);
    test_problem_end(&p);
    return hash;
}

// The guarded runs give the bits of a plain one.
static void check(fixture *f, int64_t rows, int64_t cols, variant v)
{
    if (v.mode == IN_PLACE) v.grad_type = v.logits_type;
    for (uint32_t d = 0; d < f->device_count; d++) {
        uint64_t want = 0;
        for (int guard = TEST_PLAIN; guard <= TEST_GUARD_BEFORE; guard++) {
            char what[128];
            snprintf(what, sizeof what,
                     "%lld x %lld, mode %d, layout %d, types %d %d, more rows %lld, device %u, guard %d",
                     (long long)rows, (long long)cols, (int)v.mode, v.layout, (int)v.logits_type, (int)v.grad_type,
                     (long long)v.more_rows, d, guard);
            uint64_t hash = run_guarded(f, f->devices[d], rows, cols, &v, (test_guard)guard, what);
            if (want && hash != want) fail_msg("%s: other bits than the plain run", what);
            want = hash;
        }
    }
}

static void test_widths(void **state)
{
    fixture *f = *state;
    static const int64_t cols[] = {1,  2,  3,   7,   8,   9,   15,  16,   17,   31,   33,  63,
                                   64, 65, 127, 128, 129, 255, 257, 1000, 1023, 1025, 2049};
    for (size_t i = 0; i < sizeof cols / sizeof cols[0]; i++)
        for (int m = 0; m < MODES; m++) check(f, 1 + (int64_t)(i % 5), cols[i], (variant){.mode = (run_mode)m});
}

static void test_layouts(void **state)
{
    fixture *f = *state;
    static const int64_t cols[] = {1, 5, 16, 33, 130, 1030};
    for (size_t i = 0; i < sizeof cols / sizeof cols[0]; i++)
        for (int layout = 1; layout <= 3; layout++)
            for (int m = 0; m < MODES; m++) check(f, 4, cols[i], (variant){.mode = (run_mode)m, .layout = layout});
}

// Odd numbers of halves end within a word.
static void test_halves(void **state)
{
    fixture *f = *state;
    static const int64_t cols[] = {1, 2, 3, 16, 17, 31, 129, 1001};
    for (size_t i = 0; i < sizeof cols / sizeof cols[0]; i++)
        for (int layout = 0; layout <= 3; layout++)
            for (int m = 0; m < MODES; m++) {
                variant v = {
                    .mode = (run_mode)m, .layout = layout, .logits_type = i % 2 ? WANE_DTYPE_BF16 : WANE_DTYPE_F16};
                check(f, 1 + 2 * (int64_t)(i % 2), cols[i], v);
                v.grad_type = v.logits_type;
                check(f, 3, cols[i], v);
            }
}

static void test_class_axis_in_the_middle(void **state)
{
    fixture *f = *state;
    static const int64_t cols[] = {1, 5, 16, 33};
    for (int i = 0; i < 4; i++)
        for (int layout = 0; layout <= 3; layout++)
            for (int m = 0; m < MODES; m++) {
                variant v = {.mode = (run_mode)m, .layout = layout, .more_rows = 1 + 2 * i};
                check(f, 3, cols[i], v);
                v.logits_type = v.grad_type = WANE_DTYPE_F16;
                check(f, 2, cols[i], v);
            }
}

// Few and long rows are split over slices.
static void test_long_rows(void **state)
{
    fixture *f = *state;
    static const int64_t cols[] = {65536, 65537, 70001};
    for (int i = 0; i < 3; i++)
        for (int m = 0; m < MODES; m++) {
            variant v = {.mode = (run_mode)m, .layout = i == 2};
            check(f, 2, cols[i], v);
            v.logits_type = WANE_DTYPE_BF16;
            if (i == 1) check(f, 1, cols[i], v);
        }
}

static void test_many_rows(void **state)
{
    fixture *f = *state;
    for (int m = 0; m < MODES; m++) {
        check(f, 16384, 3, (variant){.mode = (run_mode)m});
        check(f, 16385, 2, (variant){.mode = (run_mode)m, .layout = 3});
    }
}

static void test_wild_targets(void **state)
{
    fixture *f = *state;
    static const int64_t cols[] = {1, 4, 17, 300};
    for (int i = 0; i < 4; i++)
        for (int m = 0; m < MODES; m++)
            for (int layout = 0; layout < 3; layout++)
                check(f, 19, cols[i], (variant){.mode = (run_mode)m, .layout = layout, .wild = true});
}

// A small workspace cuts the rows into batches; its end is guarded too.
static void test_batches(void **state)
{
    fixture *f = *state;
    for (uint64_t limit = 6000; limit < 40000; limit = limit * 3 / 2) {
        test_problem p;
        begin(&p, f, 500, 11, &(variant){.mode = FUSED});
        p.desc.workspace_limit_bytes = limit;
        wane_plan_info info;
        wane_executable *executable = test_executable(f->devices[f->device_count - 1], &p, &info);
        test_problem_memory(&p, info.workspace_bytes, TEST_GUARD_AFTER);
        assert_int_equal(wane_run_cpu(executable, &p.args), WANE_OK);
        wane_executable_destroy(executable);
        test_problem_end(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widths),       cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_halves),       cmocka_unit_test(test_class_axis_in_the_middle),
        cmocka_unit_test(test_long_rows),    cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_wild_targets), cmocka_unit_test(test_batches),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
