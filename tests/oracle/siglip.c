// siglip.c - similarities of the rows of two matrices: each pair by itself.
#include "contrastive.h"
#include "registry.h"

const char *oracle_siglip(oracle_problem *problem) {
    return contrastive_solve(problem, CONTRASTIVE_PAIRS);
}
