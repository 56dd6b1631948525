// statistics_test.c - the public planes: layout, what a problem needs, merging shards of a row, backward from them.
#include "cpu_fixture.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

static int set_up(void **state)
{
    make_fixture(state, 2);
    return 0;
}

enum { BASE = WANE_STATISTIC_MAX | WANE_STATISTIC_SUM | WANE_STATISTIC_TARGET | WANE_STATISTIC_FLAGS, ALL = 127 };

// ---- layout ----

static void test_layout(void **state)
{
    (void)state;
    assert_int_equal(wane_statistics_plane_count(0), 0);
    assert_int_equal(wane_statistics_plane_count(BASE), 4);
    assert_int_equal(wane_statistics_plane_count(ALL), 7);
    assert_int_equal(wane_statistics_plane_count(UINT32_MAX), 32);
    for (uint32_t mask = 0; mask < 256; mask++) {
        int32_t next = 0;
        for (uint32_t bit = 1; bit < 512; bit <<= 1) {
            int32_t want = mask & bit ? next++ : -1;
            assert_int_equal(wane_statistics_plane(mask, bit), want);
        }
        assert_int_equal(wane_statistics_plane_count(mask), next);
    }
    assert_int_equal(wane_statistics_plane(ALL, 0), -1);
    assert_int_equal(wane_statistics_plane(ALL, 3), -1);        // two bits are no plane
    assert_int_equal(wane_statistics_plane(UINT32_MAX, 1u << 31), 31);
}

static void test_need(void **state)
{
    fixture *f = *state;
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = WANE_LOSS_CROSS_ENTROPY};
    uint32_t mask = 0;
    assert_int_equal(wane_statistics_need(f->context, &desc, &mask), WANE_OK);
    assert_int_equal(mask, BASE);
    wane_param_value smoothing = {WANE_PARAM_LABEL_SMOOTHING, 0, 0.1};
    desc.params = &smoothing;
    desc.param_count = 1;
    assert_int_equal(wane_statistics_need(f->context, &desc, &mask), WANE_OK);
    assert_int_equal(mask, BASE | WANE_STATISTIC_SUM_WEIGHT_X | WANE_STATISTIC_SUM_WEIGHT);
    smoothing.value = 0;
    assert_int_equal(wane_statistics_need(f->context, &desc, &mask), WANE_OK);
    assert_int_equal(mask, BASE);
    mask = 7;
    assert_int_equal(wane_statistics_need(NULL, &desc, &mask), WANE_ERROR_NULL_ARGUMENT);
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "mask", wane_statistics_need(f->context, &desc, NULL));
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "wane_loss_desc", wane_statistics_need(f->context, NULL, &mask));
    desc.loss = (wane_loss)99;
    expect_error(&f->log, WANE_ERROR_UNKNOWN_LOSS, "loss", wane_statistics_need(f->context, &desc, &mask));
    desc.loss = WANE_LOSS_COMP_SUM;
    expect_error(&f->log, WANE_ERROR_UNKNOWN_PARAM, "params", wane_statistics_need(f->context, &desc, &mask));
    desc.loss = WANE_LOSS_CROSS_ENTROPY;
    desc.struct_size = 4;
    expect_error(&f->log, WANE_ERROR_STRUCT, "wane_loss_desc", wane_statistics_need(f->context, &desc, &mask));
    assert_int_equal(mask, 7);
}

// ---- merge: what it refuses ----

static void merge_refused(fixture *f, wane_statistics_merge_desc *d, wane_status want, const char *operand,
                          const char *what)
{
    test_log_clear(&f->log);
    test_expect(&f->log, wane_statistics_merge(f->context, d), want, operand, what);
}

static void test_merge_refuses(void **state)
{
    fixture *f = *state;
    float planes[2][8] = {{0}, {0}}, out[8];
    const float *shards[2] = {planes[0], planes[1]};
    const wane_statistics_merge_desc good = {.struct_size = sizeof good, .mask = BASE, .shard_count = 2, .rows = 2,
                                             .temperature = 1, .shards = shards, .out = out};
    wane_statistics_merge_desc d = good;
    memset(out, TEST_POISON, sizeof out);
    assert_int_equal(wane_statistics_merge(NULL, &d), WANE_ERROR_NULL_ARGUMENT);
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "wane_statistics_merge_desc",
                 wane_statistics_merge(f->context, NULL));
    d.struct_size = sizeof d - 1;
    merge_refused(f, &d, WANE_ERROR_STRUCT, "wane_statistics_merge_desc", "struct_size");
    static const uint32_t masks[] = {0, 7, 14, ALL - 1, 128 + BASE, UINT32_MAX};
    for (int i = 0; i < 6; i++) {
        d = good;
        d.mask = masks[i];
        merge_refused(f, &d, WANE_ERROR_FLAGS, "mask", "mask");
    }
    d = good;
    d.rows = -1;
    merge_refused(f, &d, WANE_ERROR_EXTENT, NULL, "rows -1");
    d = good;
    d.shard_count = 0;
    merge_refused(f, &d, WANE_ERROR_EXTENT, NULL, "no shards");
    const double temperatures[] = {0, -1, NAN, INFINITY, -INFINITY, 1e39};
    for (int i = 0; i < 6; i++) {
        d = good;
        d.temperature = temperatures[i];
        merge_refused(f, &d, WANE_ERROR_PARAM_RANGE, "temperature", "temperature");
    }
    d = good;
    d.shards = NULL;
    merge_refused(f, &d, WANE_ERROR_NULL_ARGUMENT, "shards", "shards at NULL");
    d = good;
    d.out = NULL;
    merge_refused(f, &d, WANE_ERROR_NULL_ARGUMENT, NULL, "out at NULL");
    d = good;
    shards[1] = NULL;
    merge_refused(f, &d, WANE_ERROR_NULL_ARGUMENT, "shards", "a shard at NULL");
    for (size_t i = 0; i < sizeof out; i++) assert_int_equal(((unsigned char *)out)[i], TEST_POISON);
    d.rows = 0;
    assert_int_equal(wane_statistics_merge(f->context, &d), WANE_OK);
}

// ---- merge: what it gives ----

enum { ROWS = 9, COLS = 60, PLANES = 7 };

// Statistics of columns first .. first + count - 1 as a shard of a larger row, in double.
static void shard_of(const float *logits, const int *targets, const float *weight, int first, int count,
                     double temperature, float *out)
{
    for (int row = 0; row < ROWS; row++) {
        double max = -FLT_MAX, sum = 0, target = 0, sum_ex = 0, sum_wx = 0, sum_w = 0;
        unsigned flags = 0;
        for (int j = first; j < first + count; j++)
            if (j != targets[row] && logits[row * COLS + j] > max) max = logits[row * COLS + j];
        for (int j = first; j < first + count; j++) {
            double u = logits[row * COLS + j], x = (u - max) / temperature;
            if (j == targets[row]) {
                target = u;
                flags |= WANE_FLAG_TARGET_SEEN;
                continue;
            }
            flags |= WANE_FLAG_OTHER_FINITE;
            sum += exp(x);
            sum_ex += exp(x) * x;
            sum_wx += weight[j] * x;
            sum_w += weight[j];
        }
        const double values[PLANES] = {max, sum, target, flags, sum_ex, sum_wx, sum_w};
        for (int k = 0; k < PLANES; k++) out[k * ROWS + row] = (float)values[k];
    }
}

static void make_data(float *logits, int *targets, float *weight)
{
    uint32_t seed = 7;
    for (int i = 0; i < ROWS * COLS; i++) {
        seed = seed * 1664525u + 1013904223u;
        logits[i] = (float)((seed >> 8) / 16777216.0 * 20 - 10);
    }
    for (int i = 0; i < ROWS; i++) targets[i] = i * COLS / ROWS;
    for (int j = 0; j < COLS; j++) weight[j] = 0.5f + (float)j / COLS;
}

static void test_merge_is_the_whole(void **state)
{
    fixture *f = *state;
    static float logits[ROWS * COLS], weight[COLS], whole[PLANES * ROWS], parts[4][PLANES * ROWS], out[PLANES * ROWS];
    int targets[ROWS];
    make_data(logits, targets, weight);
    static const double temperatures[] = {1, 0.1, 7};
    for (int t = 0; t < 3; t++) {
        shard_of(logits, targets, weight, 0, COLS, temperatures[t], whole);
        static const int cuts[] = {0, 1, 17, 40, COLS};
        const float *shards[4] = {parts[0], parts[1], parts[2], parts[3]};
        for (int s = 0; s < 4; s++)
            shard_of(logits, targets, weight, cuts[s], cuts[s + 1] - cuts[s], temperatures[t], parts[s]);
        wane_statistics_merge_desc d = {.struct_size = sizeof d, .mask = ALL, .shard_count = 4, .rows = ROWS,
                                        .temperature = temperatures[t], .shards = shards, .out = out};
        assert_int_equal(wane_statistics_merge(f->context, &d), WANE_OK);
        for (int i = 0; i < PLANES * ROWS; i++) {
            int plane = i / ROWS;
            double scale = plane == 4 || plane == 5 ? fabs(whole[i]) + 1 : fabs(whole[i]);
            if (fabs(out[i] - whole[i]) > 4e-7 * scale) fail_msg("plane %d: %.9g, not %.9g", plane, out[i], whole[i]);
        }
        // the same bits again, and where the output is one of the shards
        static float again[PLANES * ROWS];
        memcpy(again, out, sizeof again);
        d.out = parts[2];
        assert_int_equal(wane_statistics_merge(f->context, &d), WANE_OK);
        assert_memory_equal(parts[2], again, sizeof again);
        // one shard is copied as it is
        d.shard_count = 1;
        d.shards = shards + 1;
        d.out = out;
        assert_int_equal(wane_statistics_merge(f->context, &d), WANE_OK);
        assert_memory_equal(out, parts[1], sizeof out);
    }
}

static void set_row(float *planes, float max, float sum, float target, float flags)
{
    planes[0] = max;
    planes[1] = sum;
    planes[2] = target;
    planes[3] = flags;
}

// Shards without a finite column, flags, values that are no flags.
static void test_merge_special(void **state)
{
    fixture *f = *state;
    float a[4], b[4], out[4];
    const float *shards[2] = {a, b};
    wane_statistics_merge_desc d = {.struct_size = sizeof d,
                                    .mask = BASE,
                                    .shard_count = 2,
                                    .rows = 1,
                                    .temperature = 1,
                                    .shards = shards,
                                    .out = out};
    for (int order = 0; order < 2; order++) {
        float *empty = order ? b : a, *full = order ? a : b;
        set_row(empty, -FLT_MAX, 0, 0, WANE_FLAG_MINUS_INF);
        set_row(full, 3, 2.5f, 1.5f, WANE_FLAG_OTHER_FINITE | WANE_FLAG_TARGET_SEEN);
        assert_int_equal(wane_statistics_merge(f->context, &d), WANE_OK);
        assert_true(out[0] == 3 && out[1] == 2.5f && out[2] == 1.5f);
        assert_true(out[3] == (WANE_FLAG_MINUS_INF | WANE_FLAG_OTHER_FINITE | WANE_FLAG_TARGET_SEEN));
        // the target stands in one shard; the other's value of it is not looked at
        set_row(empty, 1, 1, 99, WANE_FLAG_OTHER_FINITE);
        assert_int_equal(wane_statistics_merge(f->context, &d), WANE_OK);
        assert_true(out[2] == 1.5f);
        // what is no flags poisons the row, and does not crash
        const float broken[] = {NAN, -1, 256, INFINITY, 1e30f};
        for (int i = 0; i < 5; i++) {
            set_row(empty, 1, 1, 0, broken[i]);
            assert_int_equal(wane_statistics_merge(f->context, &d), WANE_OK);
            assert_true((uint32_t)out[3] & WANE_FLAG_NAN);
        }
        // far apart: the smaller vanishes
        set_row(empty, -1e30f, 5, 0, WANE_FLAG_OTHER_FINITE);
        set_row(full, 1e30f, 2, 0, WANE_FLAG_OTHER_FINITE | WANE_FLAG_TARGET_SEEN);
        assert_int_equal(wane_statistics_merge(f->context, &d), WANE_OK);
        assert_true(out[0] == 1e30f && out[1] == 2);
    }
}

// ---- forward saves, backward reads: the bits of the fused call's gradient within rounding ----

static void check_backward(fixture *f, wane_device *device, double smoothing, int64_t rows, int64_t cols)
{
    test_problem forward, backward;
    for (int given = 0; given < 2; given++) {
        test_problem *p = given ? &backward : &forward;
        test_problem_begin(p, f->context, WANE_LOSS_CROSS_ENTROPY, rows, cols);
        test_problem_param(p, WANE_PARAM_LABEL_SMOOTHING, smoothing);
        assert_int_equal(wane_statistics_need(f->context, &p->desc, &p->mask), WANE_OK);
        test_problem_add_inputs(p, true);
        test_problem_add(p, WANE_ROLE_STATISTICS)->flags = given ? WANE_OPERAND_GIVEN : 0;
        test_problem_add(p, WANE_ROLE_LOSS);
        test_problem_add(p, WANE_ROLE_LSE);
        test_problem_add(p, WANE_ROLE_GRAD_LOGITS);
        wane_plan_info info;
        wane_executable *executable = test_executable(device, p, &info);
        assert_int_equal(info.statistics_mask, p->mask);
        test_problem_memory(p, info.workspace_bytes, TEST_PLAIN);
        int planes = test_problem_find(p, WANE_ROLE_STATISTICS);
        if (given) memcpy(backward.blocks[planes].data, forward.blocks[planes].data, forward.blocks[planes].bytes);
        assert_int_equal(wane_run(executable, NULL, &p->args), WANE_OK);
        wane_executable_destroy(executable);
    }
    const float *a = test_f32(&forward, WANE_ROLE_GRAD_LOGITS), *b = test_f32(&backward, WANE_ROLE_GRAD_LOGITS);
    float largest = 0;
    for (int64_t i = 0; i < rows * cols; i++) largest = fmaxf(largest, fabsf(a[i]));
    for (int64_t i = 0; i < rows * cols; i++) assert_true(fabsf(a[i] - b[i]) <= 5e-6f * largest);
    float loss = *test_f32(&forward, WANE_ROLE_LOSS);
    assert_true(fabsf(loss - *test_f32(&backward, WANE_ROLE_LOSS)) <= 2e-6f * fabsf(loss));
    test_problem_end(&forward);
    test_problem_end(&backward);
}

static void test_backward(void **state)
{
    fixture *f = *state;
    wane_device *devices[TEST_DEVICES];
    uint32_t count = test_devices(f->context, devices);
    for (uint32_t i = 0; i < count; i++)
        for (int smooth = 0; smooth < 2; smooth++) {
            check_backward(f, devices[i], smooth * 0.1, 5, 33);
            // a GPU's driver compiles for each of these: fewer of them there
            if (i == 0) check_backward(f, devices[i], smooth * 0.1, 1, 1);
            if (i == 0 || smooth) check_backward(f, devices[i], smooth * 0.1, 2, 70001);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout), cmocka_unit_test(test_need), cmocka_unit_test(test_merge_refuses),
        cmocka_unit_test(test_merge_is_the_whole), cmocka_unit_test(test_merge_special),
        cmocka_unit_test(test_backward),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
