// info_nce.c - similarities of the rows of two matrices: each row finds its positive among the columns.
#include "contrastive.h"
#include "registry.h"

const char *oracle_info_nce(oracle_problem *problem) {
    return contrastive_solve(problem, CONTRASTIVE_ROWS);
}
