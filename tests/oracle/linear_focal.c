// linear_focal.c - focal of logits that are a product.
#include "linear.h"

const char *oracle_linear_focal(oracle_problem *problem) {
    return linear_solve(problem, ORACLE_LOSS_FOCAL);
}
