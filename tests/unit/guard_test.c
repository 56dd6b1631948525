// guard_test.c - no access outside what is bound: every operand and the workspace stand against pages that cannot be
// touched, before and behind, for odd shapes, strides and every instruction set of this processor.
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEVICES = 3, MODES = 3 };

typedef enum run_mode { FUSED, ACCUMULATE, BACKWARD } run_mode;

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

// Lays out every matrix and vector: 0 dense, 1 with gaps, 2 backwards, 3 columns first.
static void lay_out(test_problem *p, int layout)
{
    for (uint32_t i = 0; i < p->desc.operand_count && layout; i++) {
        wane_operand *o = &p->operands[i];
        int64_t rows = o->tensor.extents[0], cols = o->tensor.rank > 1 ? o->tensor.extents[1] : 1;
        if (o->tensor.rank == 1) test_strides(o, layout == 1 ? 3 : layout == 2 ? -1 : 1, 0);
        else if (layout == 1) test_strides(o, cols * 2 + 1, 2);
        else if (layout == 2) test_strides(o, -cols - 5, -1);
        else test_strides(o, 1, rows + 2);
    }
}

static void begin(test_problem *p, fixture *f, int64_t rows, int64_t cols, run_mode mode, int layout)
{
    test_problem_begin(p, f->context, cols % 2 ? WANE_LOSS_CROSS_ENTROPY : WANE_LOSS_COMP_SUM, rows, cols);
    p->desc.statistics_mask = p->mask = mode == FUSED ? 127 : p->mask;
    if (cols % 3 == 0) test_problem_param(p, WANE_PARAM_REDUCTION, WANE_REDUCTION_NONE);
    if (cols % 4 == 1 && cols % 2) {
        test_problem_param(p, WANE_PARAM_LABEL_SMOOTHING, 0.1);
        p->desc.statistics_mask = p->mask = 127;
    }
    test_problem_add_inputs(p, true);
    test_problem_add_outputs(p);
    if (mode == ACCUMULATE) p->operands[test_problem_find(p, WANE_ROLE_GRAD_LOGITS)].flags = WANE_OPERAND_ACCUMULATE;
    if (mode == BACKWARD) {
        p->operands[test_problem_find(p, WANE_ROLE_STATISTICS)].flags = WANE_OPERAND_GIVEN;
        // argmax and accuracy cannot be told from statistics; entropy needs a plane more
        for (uint32_t i = 0; i < p->desc.operand_count; i++) {
            wane_role role = p->operands[i].role;
            if (role != WANE_ROLE_ARGMAX && role != WANE_ROLE_ACCURACY && role != WANE_ROLE_ENTROPY) continue;
            memmove(&p->operands[i], &p->operands[i + 1], (p->desc.operand_count - i - 1) * sizeof p->operands[0]);
            memmove(&p->bindings[i], &p->bindings[i + 1], (p->desc.operand_count - i - 1) * sizeof p->bindings[0]);
            p->args.binding_count = --p->desc.operand_count;
            i--;
        }
    }
    lay_out(p, layout);
}

// Between the elements of a strided output the poison must stand.
static void check_gaps(test_problem *p, const char *what)
{
    int index = test_problem_find(p, WANE_ROLE_GRAD_LOGITS);
    const wane_tensor *t = &p->operands[index].tensor;
    size_t count = p->blocks[index].bytes / 4;
    if (!t->flags || !count) return;
    bool *element = calloc(count, sizeof *element);
    int64_t zero = (int64_t)p->bindings[index].byte_offset / 4;
    for (int64_t row = 0; row < t->extents[0]; row++)
        for (int64_t col = 0; col < t->extents[1]; col++) element[zero + row * t->strides[0] + col * t->strides[1]] = true;
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, p->blocks[index].data + i * 4, 4);
        if (!element[i] && word != 0xa5a5a5a5u) fail_msg("%s: a gap of the gradient was written", what);
        float value;
        memcpy(&value, &word, 4);
        if (element[i] && !isfinite(value)) fail_msg("%s: gradient element %zu is %g", what, i, value);
    }
    free(element);
}

// The guarded run gives the bits of a plain one, with the bad targets that tempt to read elsewhere.
static void check(fixture *f, int64_t rows, int64_t cols, run_mode mode, int layout, bool wild)
{
    for (uint32_t d = 0; d < f->device_count; d++) {
        uint64_t want = 0;
        for (int guard = TEST_PLAIN; guard <= TEST_GUARD_BEFORE; guard++) {
            test_problem p;
            begin(&p, f, rows, cols, mode, layout);
            char what[96];
            snprintf(what, sizeof what, "%lld x %lld, mode %d, layout %d, device %u, guard %d", (long long)rows,
                     (long long)cols, (int)mode, layout, d, guard);
            wane_plan_info info;
            wane_executable *executable = test_executable(f->devices[d], &p, &info);
            test_problem_memory(&p, info.workspace_bytes, (test_guard)guard);
            static const int64_t wild_targets[] = {-1, INT64_MAX, INT64_MIN, (int64_t)1 << 32, 1 << 30, -100};
            int target = test_problem_find(&p, WANE_ROLE_TARGET);
            for (int i = 0; i < 6 && wild && p.blocks[target].bytes >= 8; i++)
                memcpy(p.blocks[target].data + (size_t)i * 24 % p.blocks[target].bytes, &wild_targets[i], 8);
            wane_status status = wane_run_cpu(executable, &p.args);
            if (status < 0) fail_msg("%s: %s: %s", what, wane_status_text(status), f->log.text);
            if (mode != ACCUMULATE) check_gaps(&p, what);
            uint64_t hash = test_problem_hash(&p);
            if (want && hash != want) fail_msg("%s: other bits than the plain run", what);
            want = hash;
            wane_executable_destroy(executable);
            test_problem_end(&p);
        }
    }
}

static void test_widths(void **state)
{
    fixture *f = *state;
    static const int64_t cols[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 255, 257, 1000, 1023, 1025, 2049};
    for (size_t i = 0; i < sizeof cols / sizeof cols[0]; i++)
        for (int m = 0; m < MODES; m++) check(f, 1 + (int64_t)(i % 5), cols[i], (run_mode)m, 0, false);
}

static void test_layouts(void **state)
{
    fixture *f = *state;
    static const int64_t cols[] = {1, 5, 16, 33, 130, 1030};
    for (size_t i = 0; i < sizeof cols / sizeof cols[0]; i++)
        for (int layout = 1; layout <= 3; layout++)
            for (int m = 0; m < MODES; m++) check(f, 4, cols[i], (run_mode)m, layout, false);
}

// Few and long rows are split over slices.
static void test_long_rows(void **state)
{
    fixture *f = *state;
    static const int64_t cols[] = {65536, 65537, 70001};
    for (int i = 0; i < 3; i++)
        for (int m = 0; m < MODES; m++) check(f, 2, cols[i], (run_mode)m, i == 2 ? 1 : 0, false);
}

static void test_many_rows(void **state)
{
    fixture *f = *state;
    for (int m = 0; m < MODES; m++) {
        check(f, 16384, 3, (run_mode)m, 0, false);
        check(f, 16385, 2, (run_mode)m, 3, false);
    }
}

static void test_wild_targets(void **state)
{
    fixture *f = *state;
    static const int64_t cols[] = {1, 4, 17, 300};
    for (int i = 0; i < 4; i++)
        for (int m = 0; m < MODES; m++)
            for (int layout = 0; layout < 3; layout++) check(f, 19, cols[i], (run_mode)m, layout, true);
}

// A small workspace cuts the rows into batches; its end is guarded too.
static void test_batches(void **state)
{
    fixture *f = *state;
    for (uint64_t limit = 6000; limit < 40000; limit = limit * 3 / 2) {
        test_problem p;
        begin(&p, f, 500, 11, FUSED, 0);
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
        cmocka_unit_test(test_widths),    cmocka_unit_test(test_layouts),      cmocka_unit_test(test_long_rows),
        cmocka_unit_test(test_many_rows), cmocka_unit_test(test_wild_targets), cmocka_unit_test(test_batches),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
