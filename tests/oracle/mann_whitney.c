// mann_whitney.c - every positive against every negative, of the whole input or of each group; and the AUC, by counting.
#include <math.h>
#include <stddef.h>

#include "ranking.h"
#include "registry.h"

// Share of the pairs in which the positive is above, ties half; -1 without a pair. odd: with a score or weight that is no number.
static double auc_of(const oracle_problem *problem, int64_t begin, int64_t end, bool *odd) {
    const double *scores = problem->in[ORACLE_ROLE_SCORES].data, *labels = problem->in[ORACLE_ROLE_LABELS].data;
    const double *weight = problem->in[ORACLE_ROLE_WEIGHT].data;
    double above = 0, pairs = 0;
    *odd = false;
    for (int64_t i = begin; i < end; i++) {
        *odd = *odd || !isfinite(scores[i]) || (weight != NULL && !isfinite(weight[i]));
        for (int64_t j = begin; j < end && labels[i] > 0; j++) {
            if (!(labels[j] > 0)) {
                pairs += 1;
                above += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
            }
        }
    }
    return pairs > 0 ? above / pairs : -1;
}

static bool put_auc(oracle_problem *problem) {
    ranking_groups groups;
    if (!ranking_groups_make(&groups, problem, problem->in[ORACLE_ROLE_SCORES].extents[0])) {
        return false;
    }
    const double *labels = problem->in[ORACLE_ROLE_LABELS].data;
    double sum = 0, live = 0;
    for (int64_t g = 0; g < groups.count; g++) {
        bool odd, dropped = groups.bad[g];
        for (int64_t i = groups.begin[g]; i < groups.end[g]; i++) {
            dropped = dropped || !isfinite(labels[i]);
        }
        double auc = dropped ? -1 : auc_of(problem, groups.begin[g], groups.end[g], &odd);
        if (auc >= 0) {
            sum += odd ? (double)NAN : auc;
            live += 1;
        }
    }
    ranking_groups_free(&groups);
    problem->out[ORACLE_ROLE_AUC].data[0] = live > 0 ? sum / live : 0;
    problem->scale[ORACLE_ROLE_AUC].data[0] = live > 0 && !isnan(sum) ? 8 * sum / live + 0x1p-20 : 0;
    return true;
}

const char *oracle_mann_whitney(oracle_problem *problem) {
    bool by_group = problem->param[ORACLE_PARAM_SCOPE] != 0;
    if (!by_group && problem->in[ORACLE_ROLE_OFFSETS].data != NULL) {
        return "offsets need scope = group";
    }
    int reduction = by_group ? ORACLE_REDUCTION_GROUP_MEAN : ORACLE_REDUCTION_MEAN;
    const char *fault = ranking_solve(problem, (ranking_rule){.binary = true, .reduction = reduction});
    if (fault == NULL && problem->want[ORACLE_ROLE_AUC] && !put_auc(problem)) {
        fault = "out of memory";
    }
    return fault;
}
