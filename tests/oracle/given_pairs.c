// given_pairs.c - bpr and margin_ranking: pairs of item numbers, the first of which should have the higher score.
#include <float.h>
#include <math.h>
#include <stddef.h>

#include "ranking.h"
#include "registry.h"

static void put(oracle_problem *problem, int role, int64_t at, double value, double scale) {
    if (problem->out[role].data != NULL) {
        value = value > FLT_MAX ? INFINITY : value;
        problem->out[role].data[at] = value;
        problem->scale[role].data[at] = isfinite(value) ? scale : 0;
    }
}

static bool is_item(double index, int64_t items) {
    return index >= 0 && index < (double)items;
}

// Adds to an item's gradient; NaN stays.
static void add(oracle_problem *problem, int64_t item, double value, double scale) {
    if (problem->out[ORACLE_ROLE_GRAD_SCORES].data != NULL) {
        problem->out[ORACLE_ROLE_GRAD_SCORES].data[item] += value;
        problem->scale[ORACLE_ROLE_GRAD_SCORES].data[item] += isnan(value) ? 0 : scale;
    }
}

// At t = margin torch's slope is that of the active side.
static pair_value link_of(const oracle_problem *problem, double a, double b) {
    bool margin = problem->loss == ORACLE_LOSS_MARGIN_RANKING;
    pair_value p = ranking_link(problem->param, margin ? 1 : 0, a, b);
    if (margin && a - b == problem->param[ORACLE_PARAM_MARGIN]) {
        p.slope = -1;
    }
    return p;
}

static const char *solve(oracle_problem *problem) {
    const oracle_array *pairs = &problem->in[ORACLE_ROLE_PAIRS], *upstream = &problem->in[ORACLE_ROLE_UPSTREAM];
    const double *scores = problem->in[ORACLE_ROLE_SCORES].data;
    int64_t items = problem->in[ORACLE_ROLE_SCORES].extents[0];
    int reduction = (int)problem->param[ORACLE_PARAM_REDUCTION];
    double sum = 0, sum_scale = 0, count = 0, bad = 0, odd_scores = 0;
    for (int64_t p = 0; p < pairs->extents[0]; p++) {
        count += is_item(pairs->data[2 * p], items) && is_item(pairs->data[2 * p + 1], items);
    }
    double each = reduction == ORACLE_REDUCTION_MEAN && count > 0 ? 1 / count : 1;
    for (int64_t p = 0; p < pairs->extents[0]; p++) {
        if (!is_item(pairs->data[2 * p], items) || !is_item(pairs->data[2 * p + 1], items)) {
            bad += 1;
            continue;
        }
        int64_t i = (int64_t)pairs->data[2 * p], j = (int64_t)pairs->data[2 * p + 1];
        bool odd = !isfinite(scores[i]) || !isfinite(scores[j]);
        pair_value v = odd ? (pair_value){.value = NAN, .slope = NAN} : link_of(problem, scores[i], scores[j]);
        odd_scores += odd;
        double up = upstream->data == NULL ? 1 : upstream->data[reduction == ORACLE_REDUCTION_NONE ? p : 0];
        double scale = v.slope_scale + (RANKING_SUM_ERROR + 4) * fabs(v.slope) + RANKING_TINY;
        double slope = isfinite(up) ? each * up * v.slope : NAN;
        add(problem, i, slope, fabs(each * up) * scale);
        add(problem, j, -slope, fabs(each * up) * scale);
        sum += v.value;
        sum_scale += v.value_scale + (RANKING_SUM_ERROR + 4) * v.value;
        if (reduction == ORACLE_REDUCTION_NONE) {
            put(problem, ORACLE_ROLE_LOSS, p, v.value, v.value_scale);
        }
    }
    bool all_nan = reduction != ORACLE_REDUCTION_NONE && count > 0 && upstream->data != NULL && !isfinite(upstream->data[0]);
    for (int64_t i = 0; i < items && all_nan; i++) {
        add(problem, i, NAN, 0);
    }
    if (reduction != ORACLE_REDUCTION_NONE) {
        put(problem, ORACLE_ROLE_LOSS, 0, each * sum, each * sum_scale);
    }
    put(problem, ORACLE_ROLE_PAIR_COUNT, 0, count, 0);
    put(problem, ORACLE_ROLE_STATUS, 1, odd_scores, 0);
    put(problem, ORACLE_ROLE_STATUS, 5, bad, 0);
    return NULL;
}

const char *oracle_bpr(oracle_problem *problem) {
    return solve(problem);
}

const char *oracle_margin_ranking(oracle_problem *problem) {
    return solve(problem);
}
