// family_fixture.h - what tests of one family's plans share: a context with one thread, its CPU, and a problem that is put
// together operand by operand.
#ifndef WANE_TESTS_UNIT_FAMILY_FIXTURE_H
#define WANE_TESTS_UNIT_FAMILY_FIXTURE_H

#include "support.h"

static test_log log_;
static wane_context *context;
static wane_device *cpu;
static test_problem p;

static int set_up(void **state)
{
    (void)state;
    context = test_context(&log_, NULL, 1);
    cpu = test_device(context, "cpu");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wane_context_destroy(context);
    return 0;
}

static wane_operand *add(wane_role role, wane_dtype dtype, uint32_t rank, int64_t a, int64_t b)
{
    wane_operand *o = &p.operands[p.desc.operand_count++];
    memset(o, 0, sizeof *o);
    o->struct_size = sizeof *o;
    o->role = role;
    o->tensor = (wane_tensor){.struct_size = sizeof(wane_tensor), .dtype = dtype, .rank = rank, .extents = {a, b}};
    return o;
}

#endif
