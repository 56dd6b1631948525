// oracle_test_scale.c - the published tolerances against a plain f32 implementation, and against the project's figures.
//
// The implementation below is the careful one that softmax.c's scale speaks of, with short chains of additions and
// functions made worse than the C library's. It must pass; and the tolerances must mean what tolerance.def says.
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_test.h"

static const double epsilon_f32 =
#define ORACLE_EPSILON(TYPE, eps) (eps)
#include "tolerance.def"
    ;

static const double coefficients[ORACLE_ROLES] = {
#define ORACLE_TOLERANCE(ROLE, coefficient) [ORACLE_ROLE_##ROLE] = (coefficient),
#include "tolerance.def"
};

// ---- functions good to two units in the last place ----

// The error is drawn by the bits of the value, so that equal arguments give equal results; exp(0) is 1.
static float rough(float value) {
    if (value == 1) {
        return value;
    }
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t state = bits;
    return value * (float)(1 + 0x1p-22 * (2 * test_uniform(&state) - 1));
}

static float rough_exp(float x) {
    return rough(expf(x));
}

static float rough_log(float x) {
    return rough(logf(x));
}

static float rough_log1p(float x) {
    return rough(log1pf(x));
}

static float rough_expm1(float x) {
    return rough(expm1f(x));
}

static float rough_tanh(float x) {
    return rough(tanhf(x));
}

// ---- a row in f32 ----

typedef struct f32_options {
    int loss;
    float temperature, softcap, z_loss, own;   // own: tau or label_smoothing
} f32_options;

typedef struct f32_row {
    int64_t cols, y;
    const double *z;
    float class_weight, row_weight, upstream, denominator, upstream_lse;
    float *term, *gradient;
    float row_loss, lse, entropy;
} f32_row;

// Chains of some 8 to 128 additions, merged pairwise.
static float merge(const float *term, int64_t count, int64_t chain) {
    if (count > chain) {
        int64_t half = count / 2;
        return merge(term, half, chain) + merge(term + half, count - half, chain);
    }
    float sum = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += term[i];
    }
    return sum;
}

static float sum_terms(const f32_row *row) {
    return merge(row->term, row->cols, row->cols > 8192 ? row->cols / 1024 : 8);
}

static float capped(const f32_options *options, double z) {
    float x = (float)z;
    return options->softcap > 0 ? options->softcap * rough_tanh(x / options->softcap) : x;
}

static float cap_slope(const f32_options *options, double z) {
    if (!(options->softcap > 0)) {
        return 1;
    }
    float e = rough_exp(-2 * fabsf((float)z / options->softcap));
    return 4 * e / ((1 + e) * (1 + e));
}

// The largest column, or the largest but one.
static float largest(const f32_options *options, const f32_row *row, int64_t except) {
    float found = -INFINITY;
    for (int64_t j = 0; j < row->cols; j++) {
        found = j == except ? found : fmaxf(found, capped(options, row->z[j]));
    }
    return found;
}

static void solve_f32(const f32_options *options, f32_row *row) {
    float inverse = 1 / options->temperature, cols = (float)row->cols, n, sigma, over_sum;
    float m = largest(options, row, row->y), x_y = capped(options, row->z[row->y]);
    float top = fmaxf(m, x_y);
    for (int64_t j = 0; j < row->cols; j++) {
        row->term[j] = j == row->y ? 0 : rough_exp((capped(options, row->z[j]) - m) * inverse);
    }
    float sum = sum_terms(row);
    float t = (m - x_y) * inverse + rough_log(sum);
    if (t > 0) {
        float e = rough_exp(-t);
        n = t + rough_log1p(e);
        sigma = 1 / (1 + e);
    } else {
        float e = rough_exp(t);
        n = rough_log1p(e);
        sigma = e / (1 + e);
    }
    over_sum = sigma / sum;
    float rest = m > x_y ? rough_log(sum) + rough_log1p(rough_exp(-t)) : n;   // lse - top
    row->lse = top * inverse + rest;
    for (int64_t j = 0; j < row->cols; j++) {
        row->term[j] = (top - capped(options, row->z[j])) * inverse;
    }
    float spread = sum_terms(row) + cols * rest;
    float tau = options->loss == ORACLE_LOSS_COMP_SUM ? options->own : 1;
    float share = options->loss == ORACLE_LOSS_COMP_SUM ? 0 : options->own / cols;
    float power = 1 - tau, own = row->class_weight * (1 - share * cols);
    float slope = own * (power == 0 ? 1 : fminf(rough_exp(power * n), FLT_MAX));
    float value = own * (power == 0 ? n : rough_expm1(power * n) / power);
    row->row_loss = row->row_weight * (value + share * spread + options->z_loss * row->lse * row->lse);
    float factor = row->row_weight * row->upstream / row->denominator;
    float through = factor * (2 * options->z_loss * row->lse + share * cols) + row->upstream_lse;
    for (int64_t j = 0; j < row->cols; j++) {
        float x = capped(options, row->z[j]);
        float p = j == row->y ? rough_exp(-n) : rough_exp((x - m) * inverse) * over_sum;
        float ahead = (top - x) * inverse + rest;
        row->term[j] = p * ahead;
        float own_part = factor * slope * (j == row->y ? -sigma : p);
        float entry = own_part + through * p - factor * share;
        row->gradient[j] = entry * (inverse * cap_slope(options, row->z[j]));
    }
    row->entropy = sum_terms(row);
}

// ---- a problem of one row and any number of columns ----

typedef struct wide_case {
    oracle_problem problem;
    f32_row row;
    double target, upstream_lse;
    double *logits;
} wide_case;

static const int roles[] = {ORACLE_ROLE_ROW_LOSS, ORACLE_ROLE_LSE, ORACLE_ROLE_ENTROPY, ORACLE_ROLE_GRAD_LOGITS};

static void set_params(oracle_problem *problem, const f32_options *options) {
    const int own = options->loss == ORACLE_LOSS_COMP_SUM ? ORACLE_PARAM_TAU : ORACLE_PARAM_LABEL_SMOOTHING;
    const int params[] = {ORACLE_PARAM_TEMPERATURE, ORACLE_PARAM_SOFTCAP, ORACLE_PARAM_Z_LOSS, own};
    const float values[] = {options->temperature, options->softcap, options->z_loss, options->own};
    for (int i = 0; i < 4; i++) {
        problem->param_given[params[i]] = true;
        problem->param[params[i]] = (double)values[i];
    }
}

static void row_make(f32_row *row, const double *logits, int64_t cols) {
    *row = (f32_row){.cols = cols, .z = logits, .class_weight = 1, .row_weight = 1, .upstream = 1, .denominator = 1};
    row->term = calloc((size_t)cols, sizeof row->term[0]);
    row->gradient = calloc((size_t)cols, sizeof row->gradient[0]);
    assert_non_null(row->term);
    assert_non_null(row->gradient);
}

static void row_drop(f32_row *row) {
    free(row->term);
    free(row->gradient);
}

static void wide_make(wide_case *wide, const f32_options *options, int64_t cols) {
    *wide = (wide_case){.problem = {.loss = options->loss}};
    wide->logits = calloc((size_t)cols, sizeof wide->logits[0]);
    assert_non_null(wide->logits);
    row_make(&wide->row, wide->logits, cols);
    oracle_array *in = wide->problem.in;
    in[ORACLE_ROLE_LOGITS] = (oracle_array){.rank = 2, .extents = {1, cols}, .data = wide->logits};
    in[ORACLE_ROLE_TARGET] = (oracle_array){.rank = 1, .extents = {1}, .data = &wide->target};
    in[ORACLE_ROLE_UPSTREAM_LSE] = (oracle_array){.rank = 1, .extents = {1}, .data = &wide->upstream_lse};
    set_params(&wide->problem, options);
    for (int i = 0; i < 4; i++) {
        wide->problem.want[roles[i]] = true;
    }
}

static void wide_drop(wide_case *wide) {
    oracle_free(&wide->problem);
    free(wide->logits);
    row_drop(&wide->row);
}

// Logits around a random centre within +-limit, the target moved by `ahead`.
static void wide_fill(wide_case *wide, double deviation, double ahead, double limit, uint64_t *seed) {
    double centre = limit * (test_uniform(seed) - 0.5);
    int64_t cols = wide->row.cols;
    wide->target = (double)(test_random(seed) % (uint64_t)cols);
    for (int64_t j = 0; j < cols; j++) {
        double z = centre + deviation * test_normal(seed) + (j == (int64_t)wide->target ? ahead : 0);
        wide->logits[j] = (double)(float)fmax(-limit, fmin(limit, z));
    }
}

static void solve_both(wide_case *wide, const f32_options *options) {
    const char *fault = oracle_solve(&wide->problem);
    if (fault != NULL) {
        fail_msg("%s", fault);
    }
    wide->row.y = (int64_t)wide->target;
    wide->row.upstream_lse = (float)wide->upstream_lse;
    solve_f32(options, &wide->row);
}

static void check_role(const oracle_problem *problem, int role, int64_t at, const float *got, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        double want = problem->out[role].data[at + i], scale = problem->scale[role].data[at + i];
        double tolerance = coefficients[role] * epsilon_f32 * scale;
        if (isfinite(want) && fabs(want) < 1e36 && !(fabs((double)got[i] - want) <= tolerance)) {
            fail_msg("role %d, element %d: got %.9g, want %.9g, tolerance %g; T %g, softcap %g", role, (int)i,
                     (double)got[i], want, tolerance, problem->param[ORACLE_PARAM_TEMPERATURE],
                     problem->param[ORACLE_PARAM_SOFTCAP]);
        }
    }
}

static void check_row(const oracle_problem *problem, int64_t r, const f32_row *row) {
    check_role(problem, ORACLE_ROLE_ROW_LOSS, r, &row->row_loss, 1);
    check_role(problem, ORACLE_ROLE_LSE, r, &row->lse, 1);
    check_role(problem, ORACLE_ROLE_ENTROPY, r, &row->entropy, 1);
    check_role(problem, ORACLE_ROLE_GRAD_LOGITS, r * row->cols, row->gradient, row->cols);
}

// ---- tests ----

// Bits of `mask`: temperature, softcap, z_loss.
static f32_options make_options(int loss, float own, unsigned mask) {
    return (f32_options){.loss = loss,
                         .own = own,
                         .temperature = mask & 1 ? 0.7f : 1,
                         .softcap = mask & 2 ? 30 : 0,
                         .z_loss = mask & 4 ? 0.01f : 0};
}

static const struct {
    int loss;
    float own;
} losses[] = {
    {ORACLE_LOSS_CROSS_ENTROPY, 0}, {ORACLE_LOSS_CROSS_ENTROPY, 0.1f}, {ORACLE_LOSS_COMP_SUM, 0},
    {ORACLE_LOSS_COMP_SUM, 0.7f},   {ORACLE_LOSS_COMP_SUM, 1.4f},      {ORACLE_LOSS_COMP_SUM, 2},
};

static void test_careful_f32(void **state) {
    (void)state;
    const int64_t cols[] = {2, 3, 17, 300, 5000};
    const int repeats[] = {100, 100, 40, 8, 1};
    const double deviations[] = {0, 0.3, 2, 8, 30, 100};
    uint64_t seed = 1;
    for (unsigned which = 0; which < 6 * 8 * 5; which++) {
        f32_options options = make_options(losses[which / 40].loss, losses[which / 40].own, which / 5 % 8);
        wide_case wide;
        wide_make(&wide, &options, cols[which % 5]);
        for (int d = 0; d < 6; d++) {
            for (int k = 0; k < repeats[which % 5]; k++) {
                wide_fill(&wide, deviations[d], k & 1 ? 40 * test_normal(&seed) : 0, 256, &seed);
                wide.upstream_lse = k & 2 ? (double)(float)test_normal(&seed) : 0;
                solve_both(&wide, &options);
                check_row(&wide.problem, 0, &wide.row);
            }
        }
        wide_drop(&wide);
    }
}

// Several rows with weights and upstream: the reduced loss, and the factor of the gradient.
static void check_mean(test_case *test, const f32_options *options) {
    float denominator = 0, total = 0;
    test_solve(test);
    for (int64_t r = 0; r < test->rows; r++) {
        denominator += (float)test->weight[(int64_t)test->target[r]];
    }
    for (int64_t r = 0; r < test->rows; r++) {
        f32_row row;
        row_make(&row, test->logits + r * test->cols, test->cols);
        row.y = (int64_t)test->target[r];
        row.class_weight = (float)test->weight[row.y];
        row.row_weight = (float)test->row_weight[r];
        row.upstream = (float)test->upstream[0];
        row.denominator = denominator;
        solve_f32(options, &row);
        check_row(&test->problem, r, &row);
        total += row.row_loss;
        row_drop(&row);
    }
    total /= denominator;
    check_role(&test->problem, ORACLE_ROLE_LOSS, 0, &total, 1);
}

static void test_careful_mean(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        test_case test;
        f32_options options = make_options(ORACLE_LOSS_COMP_SUM, seed & 8 ? 1 : 1.7f, (unsigned)seed % 8);
        test_make(&test, ORACLE_LOSS_COMP_SUM, 1 + (int64_t)seed % 16, 2 + (int64_t)seed % 50, 4, seed);
        double *const inputs[] = {test.logits, test.weight, test.row_weight, test.upstream};
        const int64_t counts[] = {test.rows * test.cols, test.cols, test.rows, 1};
        for (int i = 0; i < 4; i++) {
            for (int64_t k = 0; k < counts[i]; k++) {
                inputs[i][k] = (double)(float)inputs[i][k];
            }
        }
        set_params(&test.problem, &options);
        test_bind(&test, ORACLE_ROLE_WEIGHT);
        test_bind(&test, ORACLE_ROLE_ROW_WEIGHT);
        test_bind(&test, ORACLE_ROLE_UPSTREAM);
        test_want_all(&test);
        check_mean(&test, &options);
        test_drop(&test);
    }
}

static double largest_size(const oracle_array *array) {
    double found = 0;
    for (int64_t i = 0; i < oracle_count(array); i++) {
        found = fmax(found, fabs(array->data[i]));
    }
    return found;
}

static void check_figures(const oracle_problem *problem) {
    double n = problem->out[ORACLE_ROLE_ROW_LOSS].data[0];
    double loss = coefficients[ORACLE_ROLE_ROW_LOSS] * epsilon_f32 * problem->scale[ORACLE_ROLE_ROW_LOSS].data[0];
    double gradient = coefficients[ORACLE_ROLE_GRAD_LOGITS] * epsilon_f32 *
                      largest_size(&problem->scale[ORACLE_ROLE_GRAD_LOGITS]);
    double entry = largest_size(&problem->out[ORACLE_ROLE_GRAD_LOGITS]);
    if (n < 1e-6) {
        return;
    }
    if (loss > (n >= 1 ? 2e-6 : 6e-6) * n || gradient > (n >= 0.1 ? 5e-6 : 8e-6) * entry) {
        fail_msg("n %g: tolerance of the loss %g of itself, of the gradient %g of its largest", n, loss / n,
                 gradient / entry);
    }
}

// What tolerance.def promises.
static void test_figures(void **state) {
    (void)state;
    const int64_t cols[] = {2, 3, 17, 300, 5000, 131072};
    const int repeats[] = {1000, 500, 200, 50, 8, 1};
    const double deviations[] = {0, 0.3, 2, 8, 30, 100};
    f32_options options = make_options(ORACLE_LOSS_CROSS_ENTROPY, 0, 0);
    uint64_t seed = 2;
    for (int c = 0; c < 6; c++) {
        wide_case wide;
        wide_make(&wide, &options, cols[c]);
        for (int d = 0; d < 6; d++) {
            for (int k = 0; k < repeats[c]; k++) {
                wide_fill(&wide, deviations[d], 20 * test_normal(&seed), 256, &seed);
                solve_both(&wide, &options);
                check_row(&wide.problem, 0, &wide.row);
                check_figures(&wide.problem);
            }
        }
        wide_drop(&wide);
    }
}

// An entry far in the tail is judged relative to itself.
static void test_tail_scale(void **state) {
    (void)state;
    f32_options options = make_options(ORACLE_LOSS_CROSS_ENTROPY, 0, 0);
    wide_case wide;
    wide_make(&wide, &options, 4);
    const double logits[] = {0, -1, 0.5, -46};
    memcpy(wide.logits, logits, sizeof logits);
    solve_both(&wide, &options);
    double entry = wide.problem.out[ORACLE_ROLE_GRAD_LOGITS].data[3];
    double scale = wide.problem.scale[ORACLE_ROLE_GRAD_LOGITS].data[3];
    assert_true(entry > 1e-21 && entry < 1e-20);
    assert_true(coefficients[ORACLE_ROLE_GRAD_LOGITS] * epsilon_f32 * scale < 1e-5 * entry);
    wide_drop(&wide);
}

const struct CMUnitTest scale_tests[] = {
    cmocka_unit_test(test_careful_f32),
    cmocka_unit_test(test_careful_mean),
    cmocka_unit_test(test_figures),
    cmocka_unit_test(test_tail_scale),
};
const size_t scale_test_count = sizeof scale_tests / sizeof scale_tests[0];
