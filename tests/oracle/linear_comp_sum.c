// linear_comp_sum.c - comp_sum of logits that are a product.
#include "linear.h"

const char *oracle_linear_comp_sum(oracle_problem *problem) {
    return linear_solve(problem, ORACLE_LOSS_COMP_SUM);
}
