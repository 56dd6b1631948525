// auc_margin.c - var_pos + var_neg + max(margin + mean_neg - mean_pos, 0)^2, a class that is missing left out.
#include <float.h>
#include <math.h>
#include <stddef.h>

#include "ranking.h"
#include "registry.h"

typedef struct moments {
    double count, mean, variance;
    double size;          // mean distance from the first score: what means are rounded by
} moments;

static moments moments_of(const oracle_problem *problem, bool positive) {
    const double *s = problem->in[ORACLE_ROLE_SCORES].data, *y = problem->in[ORACLE_ROLE_LABELS].data;
    int64_t items = problem->in[ORACLE_ROLE_SCORES].extents[0];
    moments m = {0};
    for (int64_t i = 0; i < items; i++) {
        m.count += (y[i] > 0) == positive;
        m.mean += (y[i] > 0) == positive ? s[i] : 0;
        m.size += (y[i] > 0) == positive ? fabs(s[i] - s[0]) : 0;
    }
    m.mean = m.count > 0 ? m.mean / m.count : 0;
    m.size = m.count > 0 ? m.size / m.count : 0;
    for (int64_t i = 0; i < items; i++) {
        m.variance += (y[i] > 0) == positive ? (s[i] - m.mean) * (s[i] - m.mean) / m.count : 0;
    }
    return m;
}

static void put(oracle_problem *problem, int role, int64_t at, double value, double scale) {
    if (problem->out[role].data != NULL) {
        problem->out[role].data[at] = value;
        problem->scale[role].data[at] = isfinite(value) ? scale : 0;
    }
}

static void put_gradient(oracle_problem *problem, moments p, moments n, double alpha, double off) {
    const double *s = problem->in[ORACLE_ROLE_SCORES].data, *y = problem->in[ORACLE_ROLE_LABELS].data;
    const double *upstream = problem->in[ORACLE_ROLE_UPSTREAM].data;
    for (int64_t i = 0; i < problem->in[ORACLE_ROLE_SCORES].extents[0]; i++) {
        const moments *m = y[i] > 0 ? &p : &n;
        double each = 2 / m->count * (upstream == NULL ? 1 : isfinite(upstream[0]) ? upstream[0] : NAN), apart = s[i] - m->mean;
        double scale = 8 * m->size + 2 * fabs(s[i] - s[0]) + 6 * fabs(apart) + off + 4 * alpha;
        put(problem, ORACLE_ROLE_GRAD_SCORES, i, each * (apart + (y[i] > 0 ? -alpha : alpha)), fabs(each) * scale + RANKING_TINY);
    }
}

const char *oracle_auc_margin(oracle_problem *problem) {
    const double *s = problem->in[ORACLE_ROLE_SCORES].data, *y = problem->in[ORACLE_ROLE_LABELS].data;
    int64_t items = problem->in[ORACLE_ROLE_SCORES].extents[0];
    double bad = 0, odd = 0, margin = problem->param[ORACLE_PARAM_MARGIN];
    for (int64_t i = 0; i < items; i++) {
        bad += !isfinite(y[i]);
        odd += !isfinite(s[i]);
    }
    put(problem, ORACLE_ROLE_STATUS, 0, bad, 0);
    put(problem, ORACLE_ROLE_STATUS, 1, bad > 0 ? 0 : odd, 0);
    put(problem, ORACLE_ROLE_STATUS, 3, items == 0, 0);
    put(problem, ORACLE_ROLE_STATUS, 6, bad == 0 && odd > 0, 0);
    if (bad > 0 || items == 0) {
        return NULL;
    }
    if (odd > 0) {
        put(problem, ORACLE_ROLE_LOSS, 0, NAN, 0);
        for (int64_t i = 0; i < items; i++) {
            put(problem, ORACLE_ROLE_GRAD_SCORES, i, NAN, 0);
        }
        return NULL;
    }
    moments p = moments_of(problem, true), n = moments_of(problem, false);
    bool both = p.count > 0 && n.count > 0;
    double alpha = both ? fmax(margin + n.mean - p.mean, 0) : 0;
    double off = both ? 10 * (p.size + n.size) + 3 * fabs(margin) : 0;
    double loss = p.variance + n.variance + alpha * alpha;
    double shift = 16 * (p.size * sqrt(p.variance) + n.size * sqrt(n.variance));
    put(problem, ORACLE_ROLE_LOSS, 0, loss, 12 * loss + shift + 2 * alpha * off + off * off * 0x1p-24 + RANKING_TINY);
    put_gradient(problem, p, n, alpha, off);
    return NULL;
}
