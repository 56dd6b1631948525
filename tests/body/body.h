// body.h - a plan on the checked kernels.
#ifndef WANE_TESTS_BODY_BODY_H
#define WANE_TESTS_BODY_BODY_H

#include "checked.h"

#include "core/core.h"

// Where an operand lies: `byte_offset` is that of element 0.
typedef struct body_operand {
    body_memory *memory;
    uint64_t byte_offset;
} body_operand;

// Runs every pass of a plan with groups of `lanes`. Also holds the plan to what it promises a backend: ranges within
// memory and within the limits, no range written on one slot and bound to another, groups and shared memory within the
// limits. Returns false, with faults noted, if anything was found.
bool body_run(const wane_plan *plan, uint32_t lanes, const body_operand *operands, body_memory *workspace);

#endif
