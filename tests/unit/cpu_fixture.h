// cpu_fixture.h - a context, its CPU and its last message, as the state of a test.
#ifndef WANE_TESTS_UNIT_CPU_FIXTURE_H
#define WANE_TESTS_UNIT_CPU_FIXTURE_H

#include "support.h"

#include <stdlib.h>

typedef struct fixture {
    test_log log;
    wane_context *context;
    wane_device *cpu;
    test_problem p;
} fixture;

static fixture *make_fixture(void **state, uint32_t threads)
{
    fixture *f = calloc(1, sizeof *f);
    f->context = test_context(&f->log, NULL, threads);
    f->cpu = test_device(f->context, "cpu");
    *state = f;
    return f;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    wane_context_destroy(f->context);
    free(f);
    return 0;
}

#endif
