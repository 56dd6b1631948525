// contrastive.h - the solver of the contrastive losses: what one differs in from another.
#ifndef WANE_TESTS_ORACLE_CONTRASTIVE_H
#define WANE_TESTS_ORACLE_CONTRASTIVE_H

#include "oracle.h"

typedef enum contrastive_kind { CONTRASTIVE_ROWS, CONTRASTIVE_BOTH, CONTRASTIVE_PAIRS } contrastive_kind;

const char *contrastive_solve(oracle_problem *problem, contrastive_kind kind);

#endif
