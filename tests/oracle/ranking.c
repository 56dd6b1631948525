// ranking.c - losses by pairs within groups: every pair by itself, in double precision.
//
// sum over pairs (i, j) of a group with label_i > label_j of weight_i w_ij phi(s_i - s_j); w_ij depends on labels and
// ranks and is a constant in the gradient.
#include "ranking.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "registry.h"

enum { NONE, LABEL_DIFF, LAMBDA, NDCG_LOSS1, NDCG_LOSS2, NDCG_LOSS2PP, PRECISION, PROFIT };
enum { BAD_LABELS = 0, ODD_SCORES = 1, DROPPED = 3, BAD_OFFSETS = 4, NAN_GROUPS = 6 };

typedef struct state {
    oracle_problem *problem;
    const double *param;
    ranking_rule rule;
    const double *scores, *labels, *weight, *upstream;
    double *gain;                          // by item
    int64_t *rank, *ideal;                 // by item: within its group by score, by label
    double *grad, *grad_scale;             // by item, of the plain sums of the groups
    double *value, *value_scale, *pairs;   // by group
    double *dcg, *dcg_scale, *best, *best_scale;
    bool *dropped, *poisoned, *unranked;   // unranked: without an ndcg
    int64_t top;                           // k
} state;

typedef struct weighted {
    double value, scale;
} weighted;

static bool weighs_gains(const state *s) {
    int w = s->rule.pair_weight;
    return w == LAMBDA || w == NDCG_LOSS1 || w == NDCG_LOSS2 || w == NDCG_LOSS2PP;
}

static bool has_gains(const state *s) {
    return s->problem->want[ORACLE_ROLE_NDCG] || weighs_gains(s);
}

// Drops its group; a label that lacks a gain does so only where the pairs need gains, not where ndcg alone does.
static bool is_bad_label(const state *s, double label) {
    return !isfinite(label) || (weighs_gains(s) && (label < 0 || label > 30));
}

// Counted in the status; leaves its group without an ndcg.
static bool lacks_gain(const state *s, double label) {
    return has_gains(s) && !(label >= 0 && label <= 30);
}

static double discount(const state *s, int64_t rank) {
    return rank <= s->top ? ranking_discount(rank) : 0;
}

// How far a gain may be off: powers of whole labels are exact until f32 ends.
static double gain_scale(double gain, double label) {
    return label == floor(label) ? (label > 24 ? gain : 0) : 4 * (gain + 1);
}

static weighted lambda_weight(const state *s, int64_t i, int64_t j) {
    double gains = s->gain[i] - s->gain[j], di = discount(s, s->rank[i]), dj = discount(s, s->rank[j]);
    weighted w = {.value = fabs(gains * (di - dj))};
    w.scale = fabs(gains) * 2 * (di + dj) + 3 * w.value
            + fabs(di - dj) * (gain_scale(s->gain[i], s->labels[i]) + gain_scale(s->gain[j], s->labels[j]));
    return w;
}

static weighted loss2_weight(const state *s, int64_t i, int64_t j) {
    if (s->rank[i] > s->top || s->rank[j] > s->top) {
        return (weighted){0};
    }
    int64_t apart = llabs(s->rank[i] - s->rank[j]);
    double gains = fabs(s->gain[i] - s->gain[j]), step = ranking_discount(apart) - ranking_discount(apart + 1);
    weighted w = {.value = gains * step};
    w.scale = 10 * w.value + step * (gain_scale(s->gain[i], s->labels[i]) + gain_scale(s->gain[j], s->labels[j]));
    return w;
}

// The weight of the pair that prefers i, without the ideal DCG.
static weighted pair_weight(const state *s, int64_t i, int64_t j) {
    double apart = fabs(s->labels[i] - s->labels[j]);
    double stored = fabs((double)(float)s->labels[i] - s->labels[i]) + fabs((double)(float)s->labels[j] - s->labels[j]);
    weighted w = {.value = 1};
    switch (s->rule.pair_weight) {
    case LABEL_DIFF:
        w = (weighted){apart, 2 * apart + stored * 0x1p24};
        break;
    case LAMBDA:
        w = lambda_weight(s, i, j);
        break;
    case NDCG_LOSS1:
        w.value = s->rank[i] > s->top || s->rank[j] > s->top ? 0 : s->gain[i] * discount(s, s->rank[i]);
        w.scale = w.value == 0 ? 0 : 4 * w.value + gain_scale(s->gain[i], s->labels[i]) * discount(s, s->rank[i]);
        break;
    case NDCG_LOSS2:
        w = loss2_weight(s, i, j);
        break;
    case NDCG_LOSS2PP: {
        weighted far = loss2_weight(s, i, j), near = lambda_weight(s, i, j);
        double mu = s->param[ORACLE_PARAM_MU];
        w = (weighted){mu * far.value + near.value, mu * (far.scale + 2 * far.value) + near.scale + near.value};
        break;
    }
    case PRECISION: {
        bool split = (s->rank[i] <= s->top) != (s->rank[j] <= s->top);
        w.value = split && (s->labels[i] > 0) != (s->labels[j] > 0) ? 1 : 0;
        break;
    }
    case PROFIT:
        w = (weighted){log1p(apart), 4 * log1p(apart) + (2 * apart + stored * 0x1p24) / (1 + apart)};
        break;
    default:
        break;
    }
    double item = s->weight == NULL ? 1 : s->weight[i];
    return (weighted){item * w.value, fabs(item) * (w.scale + 2 * fabs(w.value))};
}

static bool accepts(const state *s, int64_t i, int64_t j) {
    if (s->rule.pair_weight == NDCG_LOSS1) {
        return i != j;
    }
    double a = s->labels[i], b = s->labels[j];
    return s->rule.binary ? a > 0 && !(b > 0) : a > b;
}

static void add_pair(state *s, int64_t g, int64_t i, int64_t j) {
    weighted w = pair_weight(s, i, j);
    pair_value p = ranking_link(s->param, (int)s->param[ORACLE_PARAM_LINK], s->scores[i], s->scores[j]);
    s->pairs[g] += 1;
    if (w.value == 0 && w.scale == 0) {
        return;
    }
    double size = fabs(w.value);
    s->value[g] += w.value * p.value;
    s->value_scale[g] += size * p.value_scale + w.scale * p.value + RANKING_SUM_ERROR * size * p.value;
    double off = size * p.slope_scale + w.scale * fabs(p.slope) + RANKING_SUM_ERROR * size * fabs(p.slope);
    s->grad[i] += w.value * p.slope;
    s->grad[j] -= w.value * p.slope;
    s->grad_scale[i] += off;
    s->grad_scale[j] += off;
}

static bool prepare_group(state *s, int64_t g, int64_t begin, int64_t end) {
    if (!ranking_ranks(s->scores + begin, end - begin, s->rank + begin) ||
        !ranking_ranks(s->labels + begin, end - begin, s->ideal + begin)) {
        return false;
    }
    for (int64_t i = begin; i < end && has_gains(s); i++) {
        s->gain[i] = ranking_gain(s->labels[i]);
        double now = s->gain[i] * discount(s, s->rank[i]), best = s->gain[i] * discount(s, s->ideal[i]);
        s->dcg[g] += now;
        s->best[g] += best;
        double off = 4 + RANKING_SUM_ERROR, own = gain_scale(s->gain[i], s->labels[i]);
        s->dcg_scale[g] += off * now + own * discount(s, s->rank[i]);
        s->best_scale[g] += off * best + own * discount(s, s->ideal[i]);
    }
    return true;
}

// Divides by the ideal DCG where the weight has it; an ideal of 0 takes all weight away.
static void normalise(state *s, int64_t g, int64_t begin, int64_t end) {
    if (!weighs_gains(s)) {
        return;
    }
    double best = s->best[g], factor = best > 0 ? 1 / best : 0, own = best > 0 ? s->best_scale[g] / best + 2 : 0;
    s->value_scale[g] = factor * (s->value_scale[g] + own * fabs(s->value[g]));
    s->value[g] *= factor;
    for (int64_t i = begin; i < end; i++) {
        s->grad_scale[i] = factor * (s->grad_scale[i] + own * fabs(s->grad[i]));
        s->grad[i] *= factor;
    }
}

static bool solve_group(state *s, int64_t g, int64_t begin, int64_t end, double *status) {
    bool levels = false, odd = false;
    for (int64_t i = begin; i < end; i++) {
        status[BAD_LABELS] += is_bad_label(s, s->labels[i]) || lacks_gain(s, s->labels[i]);
        s->unranked[g] = s->unranked[g] || lacks_gain(s, s->labels[i]);
        s->dropped[g] = s->dropped[g] || is_bad_label(s, s->labels[i]);
    }
    for (int64_t i = begin; i < end && !s->dropped[g]; i++) {
        bool here = !isfinite(s->scores[i]) || (s->weight != NULL && !isfinite(s->weight[i]));
        status[ODD_SCORES] += here;
        odd = odd || here;
        bool same = s->rule.binary ? (s->labels[i] > 0) == (s->labels[begin] > 0) : s->labels[i] == s->labels[begin];
        levels = levels || !same;
    }
    status[DROPPED] += !s->dropped[g] && !levels;
    s->poisoned[g] = odd;
    if (s->dropped[g]) {
        return true;
    }
    if (odd) {
        for (int64_t i = begin; i < end && levels; i++) {
            for (int64_t j = begin; j < end; j++) {
                s->pairs[g] += accepts(s, i, j);
            }
        }
        status[NAN_GROUPS] += levels;
        return true;
    }
    if (!prepare_group(s, g, begin, end)) {
        return false;
    }
    for (int64_t i = begin; i < end && levels; i++) {
        for (int64_t j = begin; j < end; j++) {
            if (accepts(s, i, j)) {
                add_pair(s, g, i, j);
            }
        }
    }
    normalise(s, g, begin, end);
    return true;
}

// ---- outputs ----

static void put(oracle_problem *problem, int role, int64_t at, double value, double scale) {
    if (problem->out[role].data == NULL) {
        return;
    }
    if (value > FLT_MAX) {
        value = INFINITY;
    }
    problem->out[role].data[at] = value;
    problem->scale[role].data[at] = isfinite(value) ? scale : 0;
}

static void put_groups(state *s, const ranking_groups *groups) {
    for (int64_t g = 0; g < groups->count; g++) {
        bool nan = s->poisoned[g] && s->pairs[g] > 0;
        double value = nan ? NAN : s->value[g];
        put(s->problem, ORACLE_ROLE_GROUP_LOSS, g, value, s->value_scale[g]);
        if (s->rule.reduction == ORACLE_REDUCTION_NONE) {
            put(s->problem, ORACLE_ROLE_LOSS, g, value, s->value_scale[g]);
        }
        double best = s->unranked[g] ? 0 : s->best[g], ratio = best > 0 ? s->dcg[g] / best : 0;
        double off = best > 0 ? s->dcg_scale[g] / best + ratio * (s->best_scale[g] / best + 2) : 0;
        put(s->problem, ORACLE_ROLE_NDCG, g, s->poisoned[g] && !s->dropped[g] && !s->unranked[g] ? NAN : ratio, off);
    }
}

static void put_loss(state *s, const ranking_groups *groups, double pairs, double live) {
    double sum = 0, scale = 0;
    bool nan = false, inf = false;
    for (int64_t g = 0; g < groups->count; g++) {
        double share = s->rule.reduction == ORACLE_REDUCTION_GROUP_MEAN && s->pairs[g] > 0 ? 1 / s->pairs[g] : 1;
        nan = nan || (s->poisoned[g] && s->pairs[g] > 0);
        inf = inf || s->value[g] > FLT_MAX;
        sum += share * s->value[g];
        scale += share * (s->value_scale[g] + 3 * fabs(s->value[g]));
    }
    double d = s->rule.reduction == ORACLE_REDUCTION_MEAN ? pairs
             : s->rule.reduction == ORACLE_REDUCTION_GROUP_MEAN ? live : 1;
    double loss = d > 0 ? sum / d : 0;
    put(s->problem, ORACLE_ROLE_LOSS, 0, nan ? NAN : inf ? INFINITY : loss, d > 0 ? scale / d + 2 * fabs(loss) : 0);
}

static void put_gradient(state *s, const ranking_groups *groups, double pairs, double live) {
    int reduction = s->rule.reduction;
    for (int64_t g = 0; g < groups->count; g++) {
        double d = reduction == ORACLE_REDUCTION_MEAN ? pairs
                 : reduction == ORACLE_REDUCTION_GROUP_MEAN ? s->pairs[g] * live : 1;
        double factor = s->pairs[g] > 0 && d > 0 ? 1 / d : 0;
        bool nan = s->poisoned[g] && s->pairs[g] > 0;
        if (s->upstream != NULL) {
            double upstream = s->upstream[reduction == ORACLE_REDUCTION_NONE ? g : 0];
            bool weightless = weighs_gains(s) && !(s->best[g] > 0);
            nan = nan || (s->pairs[g] > 0 && !weightless && !isfinite(upstream));
            factor *= isfinite(upstream) ? upstream : 0;
        }
        for (int64_t i = groups->begin[g]; i < groups->end[g]; i++) {
            double value = fmax(-(double)FLT_MAX, fmin((double)FLT_MAX, factor * s->grad[i]));
            put(s->problem, ORACLE_ROLE_GRAD_SCORES, i, nan ? NAN : value,
                fabs(factor) * (s->grad_scale[i] + 4 * fabs(s->grad[i])) + (s->grad_scale[i] > 0 ? RANKING_TINY : 0));
        }
    }
}

static void put_all(state *s, const ranking_groups *groups, const double *status) {
    double pairs = 0, live = 0;
    for (int64_t g = 0; g < groups->count; g++) {
        pairs += s->pairs[g];
        live += s->pairs[g] > 0;
    }
    put_groups(s, groups);
    if (s->rule.reduction != ORACLE_REDUCTION_NONE) {
        put_loss(s, groups, pairs, live);
    }
    put_gradient(s, groups, pairs, live);
    put(s->problem, ORACLE_ROLE_PAIR_COUNT, 0, pairs, 0);
    for (int64_t k = 0; k < 8; k++) {
        put(s->problem, ORACLE_ROLE_STATUS, k, status[k], 0);
    }
}

static void release(state *s) {
    void *parts[] = {s->gain,  s->rank,        s->ideal, s->grad, s->grad_scale, s->value,   s->value_scale,
                     s->pairs, s->dcg,         s->best,  s->dcg_scale, s->best_scale, s->dropped, s->poisoned, s->unranked};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        free(parts[i]);
    }
}

static bool reserve(state *s, int64_t items, int64_t groups) {
    double **by_item[] = {&s->gain, &s->grad, &s->grad_scale};
    double **by_group[] = {&s->value, &s->value_scale, &s->pairs, &s->dcg, &s->best, &s->dcg_scale, &s->best_scale};
    bool good = true;
    for (int i = 0; i < 3; i++) {
        good = (*by_item[i] = calloc((size_t)items + 1, sizeof(double))) != NULL && good;
    }
    for (int i = 0; i < 7; i++) {
        good = (*by_group[i] = calloc((size_t)groups + 1, sizeof(double))) != NULL && good;
    }
    s->rank = calloc((size_t)items + 1, sizeof *s->rank);
    s->ideal = calloc((size_t)items + 1, sizeof *s->ideal);
    s->dropped = calloc((size_t)groups + 1, sizeof *s->dropped);
    s->poisoned = calloc((size_t)groups + 1, sizeof *s->poisoned);
    s->unranked = calloc((size_t)groups + 1, sizeof *s->unranked);
    return good && s->rank != NULL && s->ideal != NULL && s->dropped != NULL && s->poisoned != NULL && s->unranked != NULL;
}

const char *ranking_solve(oracle_problem *problem, ranking_rule rule) {
    const oracle_array *in = problem->in;
    int64_t items = in[ORACLE_ROLE_SCORES].extents[0];
    state s = {.problem = problem, .param = problem->param, .rule = rule,
               .scores = in[ORACLE_ROLE_SCORES].data, .labels = in[ORACLE_ROLE_LABELS].data,
               .weight = in[ORACLE_ROLE_WEIGHT].data, .upstream = in[ORACLE_ROLE_UPSTREAM].data};
    double top = problem->param[ORACLE_PARAM_K];
    s.top = top >= 1 && top < (double)items ? (int64_t)top : items;
    ranking_groups groups;
    if (!ranking_groups_make(&groups, problem, items)) {
        return "out of memory";
    }
    double status[8] = {0};
    status[BAD_OFFSETS] = (double)groups.bad_offsets;
    bool good = reserve(&s, items, groups.count);
    for (int64_t g = 0; g < groups.count && good; g++) {
        s.dropped[g] = groups.bad[g];
        if (!groups.bad[g]) {
            good = solve_group(&s, g, groups.begin[g], groups.end[g], status);
        }
    }
    if (good) {
        put_all(&s, &groups, status);
    }
    release(&s);
    ranking_groups_free(&groups);
    return good ? NULL : "out of memory";
}
