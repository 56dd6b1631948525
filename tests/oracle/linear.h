// linear.h - a row loss on a linear head: the loss on the logits, and the chain rule.
#ifndef WANE_TESTS_ORACLE_LINEAR_H
#define WANE_TESTS_ORACLE_LINEAR_H

#include "oracle.h"
#include "registry.h"

// Solves the problem of a linear_<loss> by the oracle of <loss>, whose id is `base`.
const char *linear_solve(oracle_problem *problem, int base);

#endif
