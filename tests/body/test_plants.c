// test_plants.c - mutation of every kernel of the softmax family: see plants.h.
#include "plants.h"

#include "lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

// Together these reach every access (fused and split rows, full blocks, all options, saved and given statistics) with
// data on which each index matters. A fault in a new kernel that none of them notices asks for one more problem here,
// or shows an access that nothing needs.
static const problem problems[] = {
    { 9, 129, PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ARGMAX | PROBLEM_ENTROPY | PROBLEM_SMOOTHING | PROBLEM_WEIGHT
      | PROBLEM_ROW_WEIGHT | PROBLEM_UPSTREAM | PROBLEM_UPSTREAM_LSE | PROBLEM_NONE | PROBLEM_SAVE | PROBLEM_ALL_PLANES,
      PROBLEM_PLAIN, PROBLEM_FLOOR },
    { 5, 2500, PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ARGMAX | PROBLEM_ENTROPY | PROBLEM_SMOOTHING | PROBLEM_SAVE
      | PROBLEM_ALL_PLANES | PROBLEM_TEMPERATURE, PROBLEM_PLAIN, PROBLEM_WINDOW_6K },
    { 17, 2301, PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ARGMAX | PROBLEM_SUM, PROBLEM_SPECIAL, PROBLEM_WINDOW_6K },
    { 3, 1100, PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_SMOOTHING | PROBLEM_Z_LOSS | PROBLEM_I64, PROBLEM_PLAIN,
      PROBLEM_FLOOR },
    { 19, 40, PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ARGMAX | PROBLEM_I64, PROBLEM_SPECIAL, PROBLEM_FLOOR },
    { 60, 5, PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ARGMAX, PROBLEM_PLAIN, PROBLEM_FLOOR },
    { 7, 300, PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_GIVEN | PROBLEM_ENTROPY | PROBLEM_ALL_PLANES | PROBLEM_SMOOTHING
      | PROBLEM_ACCUMULATE, PROBLEM_PLAIN, PROBLEM_FLOOR },
    { 9, 300, PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ARGMAX | PROBLEM_NO_TARGET, PROBLEM_SPECIAL, PROBLEM_FLOOR },
    { 3, 2500, PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ARGMAX | PROBLEM_NO_TARGET, PROBLEM_PLAIN, PROBLEM_WINDOW_6K },
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

// Rows with a second source of weights, for the kernels that only they reach. The cheap ones first.
static const problem pairs[] = {
    { 9, 129, PROBLEM_TEACHER | PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ROW_WEIGHT | PROBLEM_UPSTREAM | PROBLEM_UPSTREAM_LSE
      | PROBLEM_NONE | PROBLEM_Z_LOSS | PROBLEM_ARGMAX | PROBLEM_ENTROPY, PROBLEM_PLAIN, PROBLEM_FLOOR },
    { 7, 300, PROBLEM_SHARES | PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ACCUMULATE | PROBLEM_SUM | PROBLEM_UPSTREAM,
      PROBLEM_PLAIN, PROBLEM_FLOOR },
    { 7, 130, PROBLEM_BINS | PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_SOFTCAP, PROBLEM_PLAIN, PROBLEM_FLOOR },
    { 5, 33, PROBLEM_SHARES | PROBLEM_SAVE | PROBLEM_ALL_PLANES | PROBLEM_VALUES | PROBLEM_GRAD, PROBLEM_PLAIN, PROBLEM_FLOOR },
    { 17, 3, PROBLEM_SHARES | PROBLEM_VALUES, PROBLEM_SPECIAL, PROBLEM_FLOOR },
    { 19, 40, PROBLEM_TEACHER | PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ARGMAX, PROBLEM_SPECIAL, PROBLEM_FLOOR },
    { 3, 2500, PROBLEM_TEACHER | PROBLEM_VALUES | PROBLEM_GRAD | PROBLEM_ACCUMULATE, PROBLEM_PLAIN, PROBLEM_WINDOW_6K },
    { 3, 2500, PROBLEM_SHARES | PROBLEM_VALUES | PROBLEM_GRAD, PROBLEM_PLAIN, PROBLEM_WINDOW_6K },
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

static problem_run runs[PROBLEMS], pair_runs[PAIRS];

static bool is_pair(const char *kernel) { return strncmp(kernel, "softmax_pair_", 13) == 0; }

// Rows are dropped by losses of similarities alone (test_contrast.c): here their number is 0 wherever it is read from.
static bool needs_dropped_rows(const body_visit *v) { return plants_line_has(v, "SOFTMAX_STATUS + 3u"); }

static void all_plants_are_noticed(void **state)
{
    (void)state;
    plants p = { runs, PROBLEMS, NULL, needs_dropped_rows };
    assert_true(plants_noticed(&p, 200));
}

static void plants_in_pairs_are_noticed(void **state)
{
    (void)state;
    plants p = { pair_runs, PAIRS, is_pair, NULL };
    assert_true(plants_noticed(&p, 100));
}

static int open_all(void **state)
{
    (void)state;
    for (int i = 0; i < PROBLEMS; i++)
        if (problem_open(&problems[i], &runs[i]) != WANE_OK) return 1;
    for (int i = 0; i < PAIRS; i++)
        if (problem_open(&pairs[i], &pair_runs[i]) != WANE_OK) return 1;
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < PROBLEMS; i++) problem_free(&runs[i]);
    for (int i = 0; i < PAIRS; i++) problem_free(&pair_runs[i]);
    lanes_close();
    problem_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_plants_are_noticed),
        cmocka_unit_test(plants_in_pairs_are_noticed),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
