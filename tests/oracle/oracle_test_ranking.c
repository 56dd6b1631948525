// oracle_test_ranking.c - the ranking oracles: gradients against differences of the value, values against closed forms
// and plain sums, and what CONVENTIONS says of levels, ties, bad offsets and bad labels.
#include <math.h>
#include <string.h>

#include "oracle_test.h"

enum { ITEMS = 14, GROUPS = 3, PAIRS = 9 };

typedef struct ranking_case {
    oracle_problem problem;
    double scores[ITEMS], labels[ITEMS], weight[ITEMS], offsets[GROUPS + 1], pairs[2 * PAIRS], upstream[PAIRS + ITEMS];
} ranking_case;

static void bind(ranking_case *c, int role, double *data, int64_t count) {
    c->problem.in[role] = (oracle_array){.rank = 1, .extents = {count}, .data = data};
}

static void make(ranking_case *c, int loss, uint64_t seed) {
    *c = (ranking_case){.problem = {.loss = loss}};
    for (int i = 0; i < ITEMS; i++) {
        c->scores[i] = test_normal(&seed);
        c->labels[i] = (double)(test_random(&seed) % 4);
        c->weight[i] = 0.5 + test_uniform(&seed);
    }
    for (int i = 0; i < PAIRS + ITEMS; i++) {
        c->upstream[i] = 0.5 - 2 * test_uniform(&seed);
    }
    for (int i = 0; i < 2 * PAIRS; i++) {
        c->pairs[i] = (double)(test_random(&seed) % ITEMS);
    }
    memcpy(c->offsets, (double[]){0, 6, 6, ITEMS}, sizeof c->offsets);
    bind(c, ORACLE_ROLE_SCORES, c->scores, ITEMS);
    bool given = loss == ORACLE_LOSS_BPR || loss == ORACLE_LOSS_MARGIN_RANKING;
    if (given) {
        c->problem.in[ORACLE_ROLE_PAIRS] = (oracle_array){.rank = 2, .extents = {PAIRS, 2}, .data = c->pairs};
    } else {
        bind(c, ORACLE_ROLE_LABELS, c->labels, ITEMS);
    }
    c->problem.want[ORACLE_ROLE_LOSS] = c->problem.want[ORACLE_ROLE_GRAD_SCORES] = true;
}

static void set(ranking_case *c, int param, double value) {
    c->problem.param_given[param] = true;
    c->problem.param[param] = value;
}

static void solve(ranking_case *c) {
    const char *fault = oracle_solve(&c->problem);
    if (fault != NULL) {
        fail_msg("oracle_solve: %s", fault);
    }
}

// upstream . loss, of which grad_scores is the gradient.
static double objective(ranking_case *c) {
    solve(c);
    const oracle_array *loss = &c->problem.out[ORACLE_ROLE_LOSS];
    const double *upstream = c->problem.in[ORACLE_ROLE_UPSTREAM].data;
    double sum = 0;
    for (int64_t i = 0; i < oracle_count(loss); i++) {
        sum += loss->data[i] * (upstream != NULL ? upstream[i] : 1);
    }
    return sum;
}

// Steps are small enough that no rank changes; hinges have no margin within reach of a step but by bad luck of the seed.
static void compare(ranking_case *c, const char *what) {
    double grad[ITEMS];
    solve(c);
    memcpy(grad, c->problem.out[ORACLE_ROLE_GRAD_SCORES].data, sizeof grad);
    for (int i = 0; i < ITEMS; i++) {
        const double h = 0x1p-18, centre = c->scores[i];
        c->scores[i] = centre + h;
        double up = objective(c);
        c->scores[i] = centre - h;
        double down = objective(c);
        c->scores[i] = centre;
        test_near((up - down) / (2 * h), grad[i], 1e-6 * (1 + fabs(grad[i])), what);
    }
    oracle_free(&c->problem);
}

static void gradients_pairwise(void **state) {
    (void)state;
    ranking_case c;
    for (int link = 0; link < 6; link++) {
        for (int weight = 0; weight < 8; weight++) {
            for (int reduction = 0; reduction < 4; reduction++) {
                make(&c, ORACLE_LOSS_PAIRWISE_RANK, (uint64_t)(link * 32 + weight * 4 + reduction));
                set(&c, ORACLE_PARAM_LINK, link);
                set(&c, ORACLE_PARAM_PAIR_WEIGHT, weight);
                set(&c, ORACLE_PARAM_REDUCTION, reduction);
                set(&c, ORACLE_PARAM_SIGMA, 1.3);
                set(&c, ORACLE_PARAM_MARGIN, 0.7);
                if (weight % 2) {
                    set(&c, ORACLE_PARAM_K, 4);
                    bind(&c, ORACLE_ROLE_WEIGHT, c.weight, ITEMS);
                }
                bind(&c, ORACLE_ROLE_OFFSETS, c.offsets, GROUPS + 1);
                bind(&c, ORACLE_ROLE_UPSTREAM, c.upstream, reduction == ORACLE_REDUCTION_NONE ? GROUPS : 1);
                compare(&c, "pairwise_rank");
            }
        }
    }
}

static void gradients_others(void **state) {
    (void)state;
    const int losses[] = {ORACLE_LOSS_BPR, ORACLE_LOSS_MARGIN_RANKING, ORACLE_LOSS_MANN_WHITNEY, ORACLE_LOSS_AUC_MARGIN};
    ranking_case c;
    for (int l = 0; l < 4; l++) {
        for (int reduction = 0; reduction < 3; reduction++) {
            make(&c, losses[l], (uint64_t)(90 + l * 3 + reduction));
            bool given = l < 2;
            if (given) {
                set(&c, ORACLE_PARAM_REDUCTION, reduction);
            }
            bind(&c, ORACLE_ROLE_UPSTREAM, c.upstream, given && reduction == ORACLE_REDUCTION_NONE ? PAIRS : 1);
            compare(&c, "another ranking loss");
        }
    }
}

static void want(ranking_case *c, int role) {
    c->problem.want[role] = true;
}

static double out(const ranking_case *c, int role, int64_t at) {
    return c->problem.out[role].data[at];
}

// Two items, one pair; and the ideal order, a reversed one, and one item moved.
static void closed_forms(void **state) {
    (void)state;
    ranking_case c;
    make(&c, ORACLE_LOSS_PAIRWISE_RANK, 1);
    memcpy(c.scores, (double[]){0.25, 1}, 2 * sizeof(double));
    memcpy(c.labels, (double[]){2, 1}, 2 * sizeof(double));
    bind(&c, ORACLE_ROLE_SCORES, c.scores, 2);
    bind(&c, ORACLE_ROLE_LABELS, c.labels, 2);
    want(&c, ORACLE_ROLE_NDCG);
    want(&c, ORACLE_ROLE_PAIR_COUNT);
    solve(&c);
    test_near(out(&c, ORACLE_ROLE_LOSS, 0), log1p(exp(0.75)), 1e-15, "logistic");
    test_near(out(&c, ORACLE_ROLE_GRAD_SCORES, 0), -1 / (1 + exp(-0.75)), 1e-15, "slope");
    test_near(out(&c, ORACLE_ROLE_GRAD_SCORES, 1), 1 / (1 + exp(-0.75)), 1e-15, "slope of the other");
    test_near(out(&c, ORACLE_ROLE_PAIR_COUNT, 0), 1, 0, "pairs");
    double second = 1 / log2(3);
    test_near(out(&c, ORACLE_ROLE_NDCG, 0), (1 + 3 * second) / (3 + second), 1e-15, "ndcg");
    set(&c, ORACLE_PARAM_PAIR_WEIGHT, 2);
    solve(&c);
    double lambda = 2 * (1 - second) / (3 + second);
    test_near(out(&c, ORACLE_ROLE_LOSS, 0), lambda * log1p(exp(0.75)), 1e-15, "lambda");
    set(&c, ORACLE_PARAM_K, 1);
    solve(&c);
    test_near(out(&c, ORACLE_ROLE_LOSS, 0), 2.0 / 3 * log1p(exp(0.75)), 1e-15, "lambda at 1");
    test_near(out(&c, ORACLE_ROLE_NDCG, 0), 1.0 / 3, 1e-15, "ndcg at 1");
    oracle_free(&c.problem);
}

static void auc_of_a_known_order(void **state) {
    (void)state;
    ranking_case c;
    make(&c, ORACLE_LOSS_MANN_WHITNEY, 1);
    // positives 4, 2, 2; negatives 3, 2, 1: of 9 pairs 5 and two ties are right
    memcpy(c.scores, (double[]){4, 2, 2, 3, 2, 1}, 6 * sizeof(double));
    memcpy(c.labels, (double[]){1, 2, 1, 0, -3, 0}, 6 * sizeof(double));
    bind(&c, ORACLE_ROLE_SCORES, c.scores, 6);
    bind(&c, ORACLE_ROLE_LABELS, c.labels, 6);
    want(&c, ORACLE_ROLE_AUC);
    want(&c, ORACLE_ROLE_PAIR_COUNT);
    solve(&c);
    test_near(out(&c, ORACLE_ROLE_AUC, 0), 6.0 / 9, 1e-15, "auc");
    test_near(out(&c, ORACLE_ROLE_PAIR_COUNT, 0), 9, 0, "pairs");
    oracle_free(&c.problem);
}

static void faults(void **state) {
    (void)state;
    ranking_case c;
    make(&c, ORACLE_LOSS_PAIRWISE_RANK, 5);
    memcpy(c.labels, (double[]){3, 3, 3, 1, 0, 2, 31, 0, 1, 1, 2, 0, 1, 0}, sizeof c.labels);
    memcpy(c.offsets, (double[]){0, 3, 6, 10}, sizeof c.offsets);
    bind(&c, ORACLE_ROLE_OFFSETS, c.offsets, GROUPS + 1);
    set(&c, ORACLE_PARAM_REDUCTION, ORACLE_REDUCTION_NONE);
    set(&c, ORACLE_PARAM_PAIR_WEIGHT, 2);
    want(&c, ORACLE_ROLE_STATUS);
    want(&c, ORACLE_ROLE_PAIR_COUNT);
    solve(&c);                             // one level, two good levels, a bad label; the last items in no group
    assert_true(out(&c, ORACLE_ROLE_LOSS, 0) == 0 && out(&c, ORACLE_ROLE_LOSS, 1) > 0 && out(&c, ORACLE_ROLE_LOSS, 2) == 0);
    assert_true(out(&c, ORACLE_ROLE_PAIR_COUNT, 0) == 3 && out(&c, ORACLE_ROLE_STATUS, 0) == 1);
    assert_true(out(&c, ORACLE_ROLE_STATUS, 3) == 1 && out(&c, ORACLE_ROLE_GRAD_SCORES, 12) == 0);
    c.scores[4] = NAN;
    solve(&c);
    assert_true(isnan(out(&c, ORACLE_ROLE_LOSS, 1)) && out(&c, ORACLE_ROLE_LOSS, 0) == 0);
    assert_true(isnan(out(&c, ORACLE_ROLE_GRAD_SCORES, 3)) && out(&c, ORACLE_ROLE_GRAD_SCORES, 6) == 0);
    c.offsets[1] = 7;                      // then 6 is below it: two groups go
    solve(&c);
    assert_true(out(&c, ORACLE_ROLE_STATUS, 4) == 1 && out(&c, ORACLE_ROLE_LOSS, 1) == 0 && out(&c, ORACLE_ROLE_LOSS, 2) == 0);
    oracle_free(&c.problem);
}

// Asking for ndcg changes neither loss nor gradient, whatever the labels.
static void ndcg_is_a_metric(void **state) {
    (void)state;
    ranking_case c;
    make(&c, ORACLE_LOSS_PAIRWISE_RANK, 1);
    memcpy(c.scores, (double[]){1, 2, 3}, 3 * sizeof(double));
    memcpy(c.labels, (double[]){-1, 0, 1}, 3 * sizeof(double));
    bind(&c, ORACLE_ROLE_SCORES, c.scores, 3);
    bind(&c, ORACLE_ROLE_LABELS, c.labels, 3);
    want(&c, ORACLE_ROLE_STATUS);
    for (int asked = 0; asked < 2; asked++) {
        c.problem.want[ORACLE_ROLE_NDCG] = asked;
        solve(&c);
        test_near(out(&c, ORACLE_ROLE_LOSS, 0), (2 * log1p(exp(-1)) + log1p(exp(-2))) / 3, 1e-15, "loss");
        test_near(out(&c, ORACLE_ROLE_GRAD_SCORES, 0), (1 / (1 + exp(1)) + 1 / (1 + exp(2))) / 3, 1e-15, "slope");
        assert_true(out(&c, ORACLE_ROLE_STATUS, 0) == asked);
    }
    assert_true(out(&c, ORACLE_ROLE_NDCG, 0) == 0);
    set(&c, ORACLE_PARAM_PAIR_WEIGHT, 2);
    solve(&c);
    assert_true(out(&c, ORACLE_ROLE_LOSS, 0) == 0 && out(&c, ORACLE_ROLE_STATUS, 0) == 1);
    oracle_free(&c.problem);
}

const struct CMUnitTest ranking_tests[] = {
    cmocka_unit_test(gradients_pairwise), cmocka_unit_test(gradients_others), cmocka_unit_test(closed_forms),
    cmocka_unit_test(auc_of_a_known_order), cmocka_unit_test(faults),
    cmocka_unit_test(ndcg_is_a_metric)};
const size_t ranking_test_count = sizeof ranking_tests / sizeof ranking_tests[0];
