// ranking.h - what the oracles of ranking losses share: links of a pair, groups, and the sum over the pairs of a group.
#ifndef WANE_TESTS_ORACLE_RANKING_H
#define WANE_TESTS_ORACLE_RANKING_H

#include "oracle.h"

// In units of eps = 2^-24: how far a careful f32 implementation may be off.
typedef struct pair_value {
    double value, slope;                   // phi(t), phi'(t)
    double value_scale, slope_scale;
} pair_value;

// t = a - b, the difference of two scores as stored. param is indexed by the ids of losses.def; `link` is a choice of
// the parameter of that name.
pair_value ranking_link(const double *param, int link, double a, double b);

// A chain of f32 additions in blocks of 256 errs by this many eps of the sum of the sizes of its terms.
#define RANKING_SUM_ERROR 6.0

// Half a unit in the last place of the smallest normal f32, in eps: what may be flushed to 0.
#define RANKING_TINY (2 * ORACLE_FLUSH)

// Which groups the offsets make. An offset is bad where it is no index of 0..items, or below an earlier one that is; the
// groups on both sides of a bad one are.
typedef struct ranking_groups {
    int64_t count, bad_offsets;
    int64_t *begin, *end;                  // begin = end for a bad group
    bool *bad;
} ranking_groups;

bool ranking_groups_make(ranking_groups *groups, const oracle_problem *problem, int64_t items);
void ranking_groups_free(ranking_groups *groups);

// 1-based ranks of count values, the highest first, ties in their order.
bool ranking_ranks(const double *values, int64_t count, int64_t *ranks);

// gain 2^label - 1, discount 1 / log2(1 + rank).
double ranking_gain(double label);
double ranking_discount(int64_t rank);

// What the losses by pairs within groups differ in.
typedef struct ranking_rule {
    bool binary;                           // labels are positive or not
    int pair_weight;                       // a choice of the parameter
    int reduction;                         // ORACLE_REDUCTION_*
} ranking_rule;

const char *ranking_solve(oracle_problem *problem, ranking_rule rule);

#endif
