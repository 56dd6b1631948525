// oracle_test_contrastive.c - losses on similarities: every gradient against differences, values against the plain
// formulas, rows without a positive, and the laws that tie the losses together.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "oracle_test.h"

enum { ROWS = 4, COLS = 5, DIM = 3 };

typedef struct pairs {
    oracle_problem problem;
    int64_t cols;
    double a[ROWS * DIM], b[COLS * DIM], labels[ROWS], scale[1], bias[1], upstream[ROWS];
} pairs;

static void bind(pairs *p, int role, int rank, int64_t rows, int64_t cols, double *data) {
    p->problem.in[role] = (oracle_array){.rank = rank, .extents = {rows, cols}, .data = data};
}

static void set(pairs *p, int param, double value) {
    p->problem.param_given[param] = true;
    p->problem.param[param] = value;
}

// Bits of `mask`: labels, scale, bias, upstream, no normalisation, an offset.
static void make(pairs *p, int loss, int reduction, unsigned mask) {
    uint64_t seed = 13 * mask + (unsigned)reduction;
    memset(p, 0, sizeof *p);
    p->problem.loss = loss;
    p->cols = loss == ORACLE_LOSS_CLIP ? ROWS : COLS;
    for (int i = 0; i < ROWS * DIM; i++) p->a[i] = test_normal(&seed);
    for (int i = 0; i < COLS * DIM; i++) p->b[i] = test_normal(&seed);
    for (int i = 0; i < ROWS; i++) {
        p->labels[i] = (i + 1) % ROWS;
        p->upstream[i] = 0.5 - 2 * test_uniform(&seed);
    }
    p->labels[2] = -3;
    p->scale[0] = 2.5;
    p->bias[0] = -0.75;
    bind(p, ORACLE_ROLE_A, 2, ROWS, DIM, p->a);
    bind(p, ORACLE_ROLE_B, 2, p->cols, DIM, p->b);
    set(p, ORACLE_PARAM_REDUCTION, reduction);
    if (mask & 1) bind(p, ORACLE_ROLE_LABELS, 1, ROWS, 0, p->labels);
    if (mask & 2) bind(p, ORACLE_ROLE_SCALE, 1, 1, 0, p->scale);
    else set(p, ORACLE_PARAM_TEMPERATURE, 0.4);
    if (mask & 4) bind(p, ORACLE_ROLE_BIAS, 1, 1, 0, p->bias);
    if (mask & 8) bind(p, ORACLE_ROLE_UPSTREAM, 1, reduction == ORACLE_REDUCTION_NONE ? ROWS : 1, 0, p->upstream);
    if (mask & 16) set(p, ORACLE_PARAM_NORMALIZE, 0);
    if (mask & 32) set(p, ORACLE_PARAM_ROW_OFFSET, 2);
    static const int outputs[] = {ORACLE_ROLE_LOSS, ORACLE_ROLE_ROW_LOSS, ORACLE_ROLE_GRAD_A, ORACLE_ROLE_GRAD_B,
                                  ORACLE_ROLE_GRAD_SCALE, ORACLE_ROLE_GRAD_BIAS, ORACLE_ROLE_STATUS};
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) p->problem.want[outputs[i]] = true;
}

static void solve(pairs *p) {
    const char *fault = oracle_solve(&p->problem);
    if (fault != NULL) fail_msg("oracle_solve: %s", fault);
}

static double objective(pairs *p) {
    solve(p);
    double sum = 0;
    const double *upstream = p->problem.in[ORACLE_ROLE_UPSTREAM].data;
    for (int64_t i = 0; i < oracle_count(&p->problem.out[ORACLE_ROLE_LOSS]); i++)
        sum += p->problem.out[ORACLE_ROLE_LOSS].data[i] * (upstream != NULL ? upstream[i] : 1);
    return sum;
}

static double difference(pairs *p, double *at) {
    const double h = 0x1p-11, centre = *at;   // a row may be short, and its norm bends the more
    const double steps[] = {-2, -1, 1, 2}, factors[] = {1, -8, 8, -1};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *at = centre + steps[i] * h;
        sum += factors[i] * objective(p);
    }
    *at = centre;
    return sum / (12 * h);
}

static void check(pairs *p, int role, double *x, int count, const char *name, unsigned mask) {
    double gradient[COLS * DIM], size = 0;
    solve(p);
    for (int i = 0; i < count; i++) {
        gradient[i] = p->problem.out[role].data[i];
        size += fabs(gradient[i]);
    }
    for (int i = 0; i < count; i++) {
        char what[120];
        snprintf(what, sizeof what, "loss %d, reduction %g, mask %u, %s[%d]", p->problem.loss,
                 p->problem.param[ORACLE_PARAM_REDUCTION], mask, name, i);
        test_near(gradient[i], difference(p, &x[i]), 1e-8 * (1 + size), what);
    }
}

static void test_gradients(void **state) {
    (void)state;
    for (int loss = ORACLE_LOSS_INFO_NCE; loss <= ORACLE_LOSS_SIGLIP; loss++)
        for (int reduction = 0; reduction < 3; reduction++)
            for (unsigned mask = 0; mask < 64; mask++) {
                pairs p;
                make(&p, loss, reduction, mask);
                check(&p, ORACLE_ROLE_GRAD_A, p.a, ROWS * DIM, "grad_a", mask);
                check(&p, ORACLE_ROLE_GRAD_B, p.b, (int)p.cols * DIM, "grad_b", mask);
                if (mask & 2) check(&p, ORACLE_ROLE_GRAD_SCALE, p.scale, 1, "grad_scale", mask);
                if (mask & 4) check(&p, ORACLE_ROLE_GRAD_BIAS, p.bias, 1, "grad_bias", mask);
                oracle_free(&p.problem);
            }
}

static double similarity(const pairs *p, int i, int j) {
    double dot = 0, left = 0, right = 0;
    for (int k = 0; k < DIM; k++) {
        dot += p->a[i * DIM + k] * p->b[j * DIM + k];
        left += p->a[i * DIM + k] * p->a[i * DIM + k];
        right += p->b[j * DIM + k] * p->b[j * DIM + k];
    }
    return 2.5 * dot / sqrt(left * right) - 0.75;
}

// The definitions, without a thought for digits.
static void test_plain_formulas(void **state) {
    (void)state;
    pairs p;
    double rows = 0, cols = 0, pairwise = 0;
    make(&p, ORACLE_LOSS_CLIP, ORACLE_REDUCTION_MEAN, 2 | 4);
    for (int i = 0; i < ROWS; i++) {
        double across = 0, down = 0;
        for (int j = 0; j < ROWS; j++) {
            across += exp(similarity(&p, i, j));
            down += exp(similarity(&p, j, i));
            pairwise += log(1 + exp(i == j ? -similarity(&p, i, j) : similarity(&p, i, j)));
        }
        rows += log(across) - similarity(&p, i, i);
        cols += log(down) - similarity(&p, i, i);
    }
    solve(&p);
    test_near(p.problem.out[ORACLE_ROLE_LOSS].data[0], (rows + cols) / (2 * ROWS), 1e-13, "clip");
    p.problem.loss = ORACLE_LOSS_INFO_NCE;
    solve(&p);
    test_near(p.problem.out[ORACLE_ROLE_LOSS].data[0], rows / ROWS, 1e-13, "info_nce");
    p.problem.loss = ORACLE_LOSS_SIGLIP;
    solve(&p);
    test_near(p.problem.out[ORACLE_ROLE_LOSS].data[0], pairwise / ROWS, 1e-13, "siglip");
    oracle_free(&p.problem);
}

// Row 2 has a bad label; with an offset of 2 the last rows have no positive, which siglip does not mind.
static void test_rows_without_a_positive(void **state) {
    (void)state;
    for (int loss = ORACLE_LOSS_INFO_NCE; loss <= ORACLE_LOSS_SIGLIP; loss++) {
        pairs p;
        make(&p, loss, ORACLE_REDUCTION_MEAN, 1);
        solve(&p);
        assert_true(p.problem.out[ORACLE_ROLE_STATUS].data[0] == 1);
        for (int k = 0; k < DIM; k++) assert_true(p.problem.out[ORACLE_ROLE_GRAD_A].data[2 * DIM + k] == 0);
        oracle_free(&p.problem);
        make(&p, loss, ORACLE_REDUCTION_SUM, 32);
        solve(&p);
        double dropped = loss == ORACLE_LOSS_SIGLIP ? 0 : loss == ORACLE_LOSS_CLIP ? 2 : 1;
        assert_true(p.problem.out[ORACLE_ROLE_STATUS].data[3] == dropped);
        oracle_free(&p.problem);
    }
}

const struct CMUnitTest contrastive_tests[] = {
    cmocka_unit_test(test_gradients),
    cmocka_unit_test(test_plain_formulas),
    cmocka_unit_test(test_rows_without_a_positive),
};
const size_t contrastive_test_count = sizeof contrastive_tests / sizeof contrastive_tests[0];
