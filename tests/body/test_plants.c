// test_plants.c - mutation of every kernel of the softmax family: each barrier is left out, by all lanes and by half of
// them, and each index is moved by one. The checker finds every barrier and most indices; the results show the rest.
#include "problem.h"

#include "lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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
enum { PROBLEMS = sizeof problems / sizeof *problems, LANE_COUNTS = 4 };
static const uint32_t lane_counts[LANE_COUNTS] = { 7, 128, 4, 64 };

static problem_run runs[PROBLEMS];
static body_memory right[PROBLEMS][WANE_MAX_OPERANDS];

static bool same_results(const problem_run *run, const body_memory *a, const body_memory *b)
{
    for (uint32_t i = 0; i < run->plan->operand_count; i++)
        if (memcmp(a[i].words, b[i].words, a[i].count * 4) != 0) return false;
    return true;
}

typedef struct notice { bool by_checker, by_results; } notice;

static notice run_planted(int index, uint32_t lanes)
{
    body_memory results[WANE_MAX_OPERANDS];
    notice n;
    body_faults_clear();
    n.by_checker = !problem_run_checked(&runs[index], lanes, results);
    n.by_results = !same_results(&runs[index], results, right[index]);
    for (uint32_t i = 0; i < runs[index].plan->operand_count; i++) body_memory_free(&results[i]);
    body_faults_clear();
    return n;
}

// Rows are dropped by losses of similarities alone, which are not among these problems: their number is 0 wherever it is
// read from.
static bool needs_dropped_rows(const body_visit *v)
{
    char line[256] = "";
    FILE *file = fopen(v->site.file, "r");
    if (!file) return false;
    for (int i = 0; i < v->site.line && fgets(line, sizeof line, file); i++) {}
    fclose(file);
    return strstr(line, "SOFTMAX_STATUS + 3u") != NULL;
}

// Tries problems and lane counts until the fault is noticed; one at a barrier counts only if the checker sees it.
static notice plant(const char *kernel, uint32_t site, body_plant what, bool barrier)
{
    notice all = { false, false };
    body_plant_at(kernel, site, what);
    bool done = false;
    for (int i = 0; i < PROBLEMS && !done; i++)
        for (int l = 0; l < LANE_COUNTS && !done; l++) {
            notice n = run_planted(i, lane_counts[l]);
            all.by_checker |= n.by_checker;
            all.by_results |= n.by_results;
            done = all.by_checker || (all.by_results && !barrier);
        }
    body_plant_clear();
    return all;
}

static void all_plants_are_noticed(void **state)
{
    (void)state;
    uint32_t kernels, missed = 0, planted = 0, by_checker = 0;
    const body_kernel *const *table = body_kernels_for(1, &kernels);
    for (uint32_t k = 0; k < kernels; k++) {
        const char *kernel = table[k]->name;
        body_census_begin(kernel);
        for (int i = 0; i < PROBLEMS; i++) run_planted(i, lane_counts[0]);
        body_census_begin(NULL);
        for (uint32_t site = 0; site < BODY_MAX_SITES; site++) {
            const body_visit *v = body_census(site);
            if (!v || needs_dropped_rows(v)) continue;
            bool barrier = v->kind == BODY_BARRIER;
            const body_plant plants[2] = { barrier ? BODY_PLANT_SKIP : BODY_PLANT_SHIFT,
                                           barrier ? BODY_PLANT_SKIP_ODD : BODY_PLANT_SHIFT_DOWN };
            for (int i = 0; i < 2; i++) {
                notice n = plant(kernel, site, plants[i], barrier);
                planted++;
                by_checker += n.by_checker;
                if (n.by_checker || (n.by_results && !barrier)) continue;
                fprintf(stderr, "  %s: %s:%d, %s: planted fault %d was not noticed\n", kernel, v->site.file,
                        v->site.line, v->name, (int)plants[i]);
                missed++;
            }
        }
    }
    printf("%u faults planted, %u found by the checker, %u by results alone\n", (unsigned)planted,
           (unsigned)by_checker, (unsigned)(planted - by_checker - missed));
    assert_int_equal(missed, 0);
    assert_true(planted > 200);
}

static int open_all(void **state)
{
    (void)state;
    for (int i = 0; i < PROBLEMS; i++) {
        if (problem_open(&problems[i], &runs[i]) != WANE_OK) return 1;
        if (!problem_run_checked(&runs[i], 1, right[i])) return 1;
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < PROBLEMS; i++) {
        for (uint32_t k = 0; k < runs[i].plan->operand_count; k++) body_memory_free(&right[i][k]);
        problem_free(&runs[i]);
    }
    lanes_close();
    problem_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_plants_are_noticed),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
