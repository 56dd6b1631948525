// plan_fixture.h - a good problem on the CPU, and whether a plan of what became of it is refused or made.
#ifndef WANE_TESTS_UNIT_PLAN_FIXTURE_H
#define WANE_TESTS_UNIT_PLAN_FIXTURE_H

#include "cpu_fixture.h"

#include <stdio.h>

enum { ROWS = 4, COLS = 6 };

static int set_up(void **state)
{
    fixture *f = make_fixture(state, 1);
    test_problem_begin(&f->p, f->context, WANE_LOSS_CROSS_ENTROPY, ROWS, COLS);
    return 0;
}

// A fresh problem of every operand.
static test_problem *whole(fixture *f)
{
    test_problem_begin(&f->p, f->context, WANE_LOSS_CROSS_ENTROPY, ROWS, COLS);
    test_problem_add_inputs(&f->p, true);
    test_problem_add_outputs(&f->p);
    return &f->p;
}

static wane_plan *const NOT_YET = (wane_plan *)1;

static void refused(fixture *f, wane_status want, const char *operand, const char *what)
{
    wane_plan *plan = NOT_YET;
    test_log_clear(&f->log);
    wane_status got = wane_plan_create(f->cpu, &f->p.desc, &plan);
    test_expect(&f->log, got, want, operand, what);
    assert_null(plan);
}

static void accepted(fixture *f, const char *what)
{
    wane_plan *plan = NULL;
    test_log_clear(&f->log);
    wane_status got = wane_plan_create(f->cpu, &f->p.desc, &plan);
    if (got) fail_msg("%s: %s (%s: %s)", what, wane_status_text(got), f->log.operand, f->log.text);
    assert_non_null(plan);
    wane_plan_destroy(plan);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
