// registry.h - the numbers of losses.def under the oracle's own names, and the solver of each loss.
//
// A registered loss <name> is solved by oracle_<name>, in a file of its own; oracle.c finds it through the registry,
// so that a new loss is a row of losses.def and one file here.
#ifndef WANE_TESTS_ORACLE_REGISTRY_H
#define WANE_TESTS_ORACLE_REGISTRY_H

#include "oracle.h"

enum {
#define WANE_ROLE(id, NAME, name) ORACLE_ROLE_##NAME = (id),
#include "wane/losses.def"
};

enum {
#define WANE_PARAM(id, NAME, name, kind, choices) ORACLE_PARAM_##NAME = (id),
#include "wane/losses.def"
};

enum {
#define WANE_LOSS(id, NAME, name, FAMILY, ROLES, PARAMS, summary, formula, source) ORACLE_LOSS_##NAME = (id),
#include "wane/losses.def"
};

// The choices of `reduction`, in their order in losses.def.
enum { ORACLE_REDUCTION_NONE = 0, ORACLE_REDUCTION_MEAN = 1, ORACLE_REDUCTION_SUM = 2, ORACLE_REDUCTION_GROUP_MEAN = 3 };

// A solver gets a checked problem: parameters complete, inputs of the right shapes, wanted outputs and their scales
// allocated and zero. It fills them in. Returns NULL, or what is wrong.
typedef const char *oracle_solver(oracle_problem *problem);

#define WANE_LOSS(id, NAME, name, FAMILY, ROLES, PARAMS, summary, formula, source) oracle_solver oracle_##name;
#include "wane/losses.def"

#endif
