// linear_cross_entropy.c - cross_entropy of logits that are a product.
#include "linear.h"

const char *oracle_linear_cross_entropy(oracle_problem *problem) {
    return linear_solve(problem, ORACLE_LOSS_CROSS_ENTROPY);
}
