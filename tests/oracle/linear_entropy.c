// linear_entropy.c - entropy of logits that are a product.
#include "linear.h"

const char *oracle_linear_entropy(oracle_problem *problem) {
    return linear_solve(problem, ORACLE_LOSS_ENTROPY);
}
