// clip.c - similarities of the rows of two matrices: rows and columns find each other.
#include "contrastive.h"
#include "registry.h"

const char *oracle_clip(oracle_problem *problem) {
    return contrastive_solve(problem, CONTRASTIVE_BOTH);
}
