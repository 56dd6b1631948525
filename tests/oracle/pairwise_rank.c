// pairwise_rank.c - pairs of a group in the order of their labels, by a link of the score difference.
#include "ranking.h"
#include "registry.h"

const char *oracle_pairwise_rank(oracle_problem *problem) {
    return ranking_solve(problem, (ranking_rule){.pair_weight = (int)problem->param[ORACLE_PARAM_PAIR_WEIGHT],
                                                 .reduction = (int)problem->param[ORACLE_PARAM_REDUCTION]});
}
