// test_plans.c - plans of the softmax family on the checked kernels: no fault, and the bits of the CPU backend, for any
// number of lanes.
#include "problem.h"

#include "lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const int64_t all_rows[] = { 1, 2, 3, 130 };
static const int64_t all_cols[] = { 1, 2, 31, 33, 127, 128, 129, 1000, 1024, 1025, 5000 };
enum { ALL_ROWS = 4, ALL_COLS = 11 };

static void shapes(void **state)
{
    (void)state;
    int failed = 0;
    for (int r = 0; r < ALL_ROWS; r++)
        for (int c = 0; c < ALL_COLS; c++) {
            problem p = { all_rows[r], all_cols[c], PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ARGMAX, PROBLEM_SPECIAL,
                          PROBLEM_FLOOR };
            failed += !problem_agrees(&p, NULL);
        }
    assert_int_equal(failed, 0);
}

static void no_rows(void **state)
{
    (void)state;
    int failed = 0;
    problem p = { 0, 7, PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ARGMAX | PROBLEM_ENTROPY, PROBLEM_PLAIN,
                  PROBLEM_FLOOR };
    failed += !problem_agrees(&p, NULL);
    p.options |= PROBLEM_SUM;
    failed += !problem_agrees(&p, NULL);
    p.options ^= PROBLEM_SUM | PROBLEM_NONE;
    failed += !problem_agrees(&p, NULL);
    assert_int_equal(failed, 0);
}

// Each option by itself, with values and gradient, under every kind of limits.
static void single_options(void **state)
{
    (void)state;
    int failed = 0;
    const int64_t cols[] = { 1, 33, 1000, 2500 };
    uint32_t refused = 0;
    for (int option = 0; option < PROBLEM_OPTIONS; option++)
        for (int limits = 0; limits < PROBLEM_LIMITS; limits++)
            for (int c = 0; c < 4; c++) {
                uint32_t options = 1u << option;
                if (!(options & PROBLEM_GIVEN) || cols[c] != 33) options |= PROBLEM_VALUES;
                problem p = { 9, cols[c], options | PROBLEM_GRAD, PROBLEM_SPECIAL, (problem_limits)limits };
                failed += !problem_agrees(&p, &refused);
            }
    // a tall matrix does not fit the small windows, nor 3 words an element
    assert_true(refused < PROBLEM_OPTIONS);
    assert_int_equal(failed, 0);
}

static uint32_t turn(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

// Options at random; those that no forward or backward call has together are dropped.
static uint32_t random_options(uint32_t *seed)
{
    uint32_t options = (turn(seed) | turn(seed) << 16) & ((1u << PROBLEM_OPTIONS) - 1);
    options &= turn(seed) | turn(seed) << 16 | PROBLEM_GRAD | PROBLEM_VALUES;
    if (options & PROBLEM_NONE) options &= ~(uint32_t)PROBLEM_SUM;
    if (options & PROBLEM_SAVE) options &= ~(uint32_t)PROBLEM_GIVEN;
    if (options & PROBLEM_GIVEN) options &= ~(uint32_t)PROBLEM_ARGMAX;
    if (options & PROBLEM_GIVEN && options & PROBLEM_ENTROPY) options |= PROBLEM_ALL_PLANES;
    const uint32_t outputs = PROBLEM_GRAD | PROBLEM_VALUES | PROBLEM_ENTROPY | PROBLEM_ARGMAX | PROBLEM_SAVE;
    return options & outputs ? options : options | PROBLEM_GRAD;
}

static void random_problems(void **state)
{
    (void)state;
    int failed = 0;
    uint32_t seed = 2024, refused = 0, count = 240;
    const int64_t rows[] = { 1, 2, 3, 19 };
    for (uint32_t i = 0; i < count; i++) {
        problem p = { rows[turn(&seed) % 4], all_cols[turn(&seed) % ALL_COLS], random_options(&seed),
                      turn(&seed) % 3 ? PROBLEM_SPECIAL : PROBLEM_PLAIN,
                      (problem_limits)(turn(&seed) % PROBLEM_LIMITS) };
        failed += !problem_agrees(&p, &refused);
    }
    assert_true(refused < count / 5);
    assert_int_equal(failed, 0);
}

// A second source of target weights, under every kind of limits, with half the options at a time.
static void second_sources(void **state)
{
    (void)state;
    int failed = 0;
    const uint32_t sources[] = { PROBLEM_TEACHER, PROBLEM_SHARES, PROBLEM_BINS };
    const uint32_t more[] = { PROBLEM_ARGMAX | PROBLEM_ENTROPY | PROBLEM_TEMPERATURE | PROBLEM_NONE | PROBLEM_UPSTREAM,
                              PROBLEM_SOFTCAP | PROBLEM_Z_LOSS | PROBLEM_ACCUMULATE | PROBLEM_ROW_WEIGHT | PROBLEM_NEGATIVE };
    const int64_t cols[] = { 1, 33, 1030, 2500 };
    for (int s = 0; s < 3; s++)
        for (int m = 0; m < 2; m++)
            for (int c = 0; c < 4; c++) {
                problem p = { 9, cols[c], PROBLEM_VALUES | PROBLEM_GRAD | sources[s] | more[m], PROBLEM_SPECIAL,
                              (problem_limits)((s + m + c) % PROBLEM_LIMITS) };
                failed += !problem_agrees(&p, NULL);
            }
    for (int s = 0; s < 3; s++) {          // rows in three windows of columns
        problem p = { 3, 2500, PROBLEM_VALUES | PROBLEM_GRAD | sources[s], PROBLEM_PLAIN, PROBLEM_WINDOW_6K };
        failed += !problem_agrees(&p, NULL);
    }
    problem saved = { 5, 130, PROBLEM_SHARES | PROBLEM_GIVEN | PROBLEM_VALUES | PROBLEM_GRAD, PROBLEM_PLAIN, PROBLEM_FLOOR };
    failed += !problem_agrees(&saved, NULL);
    assert_int_equal(failed, 0);
}

// Rows that are long and few are cut into slices without a limit's help; so are backward calls of them.
static void long_rows(void **state)
{
    (void)state;
    int failed = 0;
    problem p = { 2, 70001, PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ARGMAX | PROBLEM_ENTROPY | PROBLEM_SMOOTHING,
                  PROBLEM_PLAIN, PROBLEM_FLOOR };
    failed += !problem_agrees(&p, NULL);
    p.options = PROBLEM_GIVEN | PROBLEM_GRAD;
    failed += !problem_agrees(&p, NULL);
    assert_int_equal(failed, 0);
}

static int close_all(void **state)
{
    (void)state;
    lanes_close();
    problem_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(no_rows),
        cmocka_unit_test(single_options),
        cmocka_unit_test(random_problems),
        cmocka_unit_test(second_sources),
        cmocka_unit_test(long_rows),
    };
    return cmocka_run_group_tests(tests, NULL, close_all);
}
