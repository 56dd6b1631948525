// softmax_values.c - what the inputs of a loss of logits hold: ordinary numbers, and the classes of special ones that CONVENTIONS speaks of.
//
// A class changes the ordinary numbers of a few roles (logits, target, weights) and leaves a loss without them alone.
#include "softmax_values.h"

#include <float.h>
#include <math.h>
#include <string.h>

// ---- helpers ----

static double *row_of(conform_inputs *in, int64_t row)
{
    return in->of[in->role] + row * in->cols;
}

static bool is_index(const conform_case *c, const wane_role_info *role)
{
    return WANE_TYPES_INDEX & 1u << conform_type(c, role);
}

static bool has_labels(const conform_inputs *in)
{
    const wane_role_info *role;
    for (uint32_t r = 0; (role = wane_loss_role_at(in->c->loss, r)); r++)
        if (role->role == WANE_ROLE_TARGET) return in->of[WANE_ROLE_TARGET] && is_index(in->c, role);
    return false;
}

// The label of a row; a column of no further meaning where a loss has none.
static double *target_of(conform_inputs *in, int64_t row)
{
    in->spare = (double)(row % in->cols);
    return has_labels(in) ? &in->of[WANE_ROLE_TARGET][row] : &in->spare;
}

// A column, or the target in one row of three.
static int64_t column_or_target(conform_inputs *in, int64_t row)
{
    int64_t column = conform_any_column(in);
    double target = *target_of(in, row);
    bool usable = target >= 0 && target < (double)in->cols;
    return usable && conform_below(&in->random, 3) == 0 ? (int64_t)target : column;
}

static double clip(double value, double limit) { return fmax(-limit, fmin(limit, value)); }

// A class that is a rule for rows: `every` 1 means all of them.
static void each_row(conform_inputs *in, void (*rule)(conform_inputs *in, int64_t row), int64_t every)
{
    if (!in->of[WANE_ROLE_LOGITS]) return;
    for (int64_t row = 0; row < in->rows; row++) {
        if (every != 1 && row % every != 1 && in->rows != 1) continue;
        // of two tensors of logits one, the other, or both
        int which = in->of[WANE_ROLE_TEACHER_LOGITS] ? (int)conform_below(&in->random, 3) : 0;
        in->role = WANE_ROLE_LOGITS;
        if (which != 1) rule(in, row);
        in->role = WANE_ROLE_TEACHER_LOGITS;
        if (which != 0) rule(in, row);
        in->role = WANE_ROLE_LOGITS;
    }
}

static void spread_row(conform_inputs *in, int64_t row, double centre, double deviation, double limit)
{
    for (int64_t j = 0; j < in->cols; j++) row_of(in, row)[j] = clip(centre + deviation * conform_normal(&in->random), limit);
}

// ---- ordinary magnitudes ----

static void row_tight(conform_inputs *in, int64_t row) { spread_row(in, row, 1, 0.01, 256); }
static void row_sharp(conform_inputs *in, int64_t row) { spread_row(in, row, 60 * conform_normal(&in->random), 30, 256); }
static void row_shifted(conform_inputs *in, int64_t row) { spread_row(in, row, row % 2 ? 1000 : -1000, 3, 1e4); }

static void row_wide(conform_inputs *in, int64_t row)
{
    for (int64_t j = 0; j < in->cols; j++) row_of(in, row)[j] = 512 * conform_uniform(&in->random) - 256;
}

static void row_far(conform_inputs *in, int64_t row)
{
    for (int64_t j = 0; j < in->cols; j++) row_of(in, row)[j] = 2e4 * conform_uniform(&in->random) - 1e4;
}

// The target holds 0.999999 of the probability.
static void row_dominated(conform_inputs *in, int64_t row)
{
    double *x = row_of(in, row), largest = -INFINITY, sum = 0;
    int64_t y = (int64_t)*target_of(in, row);
    for (int64_t j = 0; j < in->cols; j++) x[j] = (double)(float)x[j];
    for (int64_t j = 0; j < in->cols; j++) largest = j == y ? largest : fmax(largest, x[j]);
    for (int64_t j = 0; j < in->cols; j++) sum += j == y ? 0 : exp(x[j] - largest);
    if (in->cols > 1) x[y] = largest + log(sum) + log(0.999999 / 0.000001);
}

static void row_swamped(conform_inputs *in, int64_t row) { row_of(in, row)[(int64_t)*target_of(in, row)] -= 90; }

// ---- masks and infinities ----

static void row_mask(conform_inputs *in, int64_t row, double value)
{
    for (int64_t j = 0; j < in->cols; j++)
        if (conform_below(&in->random, 3) == 0) row_of(in, row)[j] = value;
}

static void row_mask_max(conform_inputs *in, int64_t row)
{
    row_mask(in, row, -(double)FLT_MAX);
    if (row % 4 == 2) row_of(in, row)[(int64_t)*target_of(in, row)] = -(double)FLT_MAX;
    if (row % 4 == 3) row_of(in, row)[conform_any_column(in)] = (double)FLT_MAX;
    if (row % 8 == 5)
        for (int64_t j = 0; j < in->cols; j++) row_of(in, row)[j] = -(double)FLT_MAX;
}

static void row_mask_inf(conform_inputs *in, int64_t row)
{
    row_mask(in, row, -INFINITY);
    if (row % 2 == 0) row_of(in, row)[(int64_t)*target_of(in, row)] = 0.5;
}

static void row_alone(conform_inputs *in, int64_t row)
{
    int64_t column = row % 2 ? conform_any_column(in) : (int64_t)*target_of(in, row);
    for (int64_t j = 0; j < in->cols; j++)
        if (j != column) row_of(in, row)[j] = -INFINITY;
}

static void row_nan(conform_inputs *in, int64_t row) { row_of(in, row)[column_or_target(in, row)] = NAN; }
static void row_plus_inf(conform_inputs *in, int64_t row) { row_of(in, row)[column_or_target(in, row)] = INFINITY; }
static void row_target_inf(conform_inputs *in, int64_t row) { row_of(in, row)[(int64_t)*target_of(in, row)] = -INFINITY; }

static void row_empty(conform_inputs *in, int64_t row)
{
    for (int64_t j = 0; j < in->cols; j++) row_of(in, row)[j] = -INFINITY;
}

// ---- targets ----

static void row_ignored(conform_inputs *in, int64_t row)
{
    double ignore = conform_param(in->c, WANE_PARAM_IGNORE_INDEX, -100);
    if (!has_labels(in)) return;
    bool holds = in->c->wide_index || (ignore >= INT32_MIN && ignore <= INT32_MAX);
    if (holds) *target_of(in, row) = ignore;
    // its logits are not needed
    if (holds && row % 2) row_of(in, row)[conform_any_column(in)] = NAN;
}

static void row_bad(conform_inputs *in, int64_t row)
{
    if (!has_labels(in)) return;
    double cols = (double)in->cols, y = *target_of(in, row);
    const double narrow[] = {-1, cols, INT32_MIN, INT32_MAX, cols + 1, -101};
    const double wide[] = {-1, cols, INT32_MIN, (double)INT64_MIN, 0x1p32 + y, -0x1p32 + y};
    *target_of(in, row) = (in->c->wide_index ? wide : narrow)[conform_below(&in->random, 6)];
    if (row % 2) row_of(in, row)[conform_any_column(in)] = INFINITY;
}

// ---- ties and small numbers ----

static void row_ties(conform_inputs *in, int64_t row)
{
    for (int64_t j = 0; j < in->cols; j++) row_of(in, row)[j] = (double)conform_below(&in->random, 4);
}

static void row_equal(conform_inputs *in, int64_t row)
{
    double value = row % 2 ? 0 : 3.25 * (double)row;
    for (int64_t j = 0; j < in->cols; j++) row_of(in, row)[j] = row % 3 == 2 && j % 2 ? -value : value;
}

static void row_denormal(conform_inputs *in, int64_t row)
{
    for (int64_t j = 0; j < in->cols; j++) row_of(in, row)[j] = 1e-39 * (2 * conform_uniform(&in->random) - 1);
}

// ---- all of them, a row each ----

static void row_mixed(conform_inputs *in, int64_t row)
{
    static void (*const rules[])(conform_inputs *, int64_t) = {
        NULL, row_nan, row_mask_inf, row_plus_inf, row_ignored, row_dominated, row_bad, row_empty, row_target_inf,
        row_ties, row_mask_max, row_alone};
    void (*rule)(conform_inputs *, int64_t) = rules[row % 12];
    if (rule) rule(in, row);
}

#define CLASS(name, every) \
    static void fill_##name(conform_inputs *in) { each_row(in, row_##name, every); }
CLASS(tight, 1)
CLASS(sharp, 1)
CLASS(shifted, 1)
CLASS(wide, 1)
CLASS(far, 1)
CLASS(dominated, 1)
CLASS(swamped, 1)
CLASS(mask_max, 1)
CLASS(mask_inf, 1)
CLASS(alone, 1)
CLASS(nan, 3)
CLASS(plus_inf, 3)
CLASS(target_inf, 3)
CLASS(empty, 3)
CLASS(ignored, 3)
CLASS(bad, 3)
CLASS(ties, 1)
CLASS(equal, 1)
CLASS(denormal, 1)
CLASS(mixed, 1)

static void fill_all_ignored(conform_inputs *in) { each_row(in, row_ignored, 1); }
static void fill_all_bad(conform_inputs *in) { each_row(in, row_bad, 1); }
static void fill_all_empty(conform_inputs *in) { each_row(in, row_empty, 1); }

// Weights that a row reads: NaN, infinite, negative, and 0 where the logit is -inf. Of a number for each row: far outside.
static void fill_odd_target(conform_inputs *in)
{
    static const double odd[] = {NAN, INFINITY, -0.75, -INFINITY, 30, 0};
    double *target = in->of[WANE_ROLE_TARGET];
    if (!target || has_labels(in)) return;
    bool matrix = in->count[WANE_ROLE_TARGET] == in->rows * in->cols && in->c->variant;
    for (int64_t row = 0; row < in->rows; row++) {
        int64_t column = conform_any_column(in);
        target[matrix ? row * in->cols + column : row] = odd[row % 6];
        if (row % 6 == 5 && in->of[WANE_ROLE_LOGITS]) in->of[WANE_ROLE_LOGITS][row * in->cols + column] = -INFINITY;
    }
}

// Two rows that are nearly or exactly the same.
static void fill_near(conform_inputs *in)
{
    double *u = in->of[WANE_ROLE_TEACHER_LOGITS], *z = in->of[WANE_ROLE_LOGITS];
    static const double steps[] = {0, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6};
    for (int64_t row = 0; u && row < in->rows; row++)
        for (int64_t j = row * in->cols; j < (row + 1) * in->cols; j++)
            u[j] = z[j] + steps[row % 6] * conform_normal(&in->random) + (row % 12 >= 6 ? 64 : 0);
}

static void fill_zero_weight(conform_inputs *in)
{
    for (int64_t i = 0; i < in->count[WANE_ROLE_WEIGHT]; i++) in->of[WANE_ROLE_WEIGHT][i] = 0;
}

// Some weights are 0, and some of the logits that they take out of the sums are -inf.
static void fill_some_weights(conform_inputs *in)
{
    for (int64_t i = 0; i < in->count[WANE_ROLE_WEIGHT]; i++)
        if (i % 3 == 0) in->of[WANE_ROLE_WEIGHT][i] = 0;
    for (int64_t i = 0; i < in->count[WANE_ROLE_ROW_WEIGHT]; i++)
        if (i % 4 == 1) in->of[WANE_ROLE_ROW_WEIGHT][i] = 0;
    for (int64_t row = 0; in->of[WANE_ROLE_LOGITS] && row < in->rows; row++)
        for (int64_t j = 0; j < in->cols && row % 2; j += 3) row_of(in, row)[j] = -INFINITY;
}

// Weights and upstream gradients that are no numbers: of some rows, and of one class.
static void fill_odd_weights(conform_inputs *in)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY};
    static const struct { wane_role role; int64_t every, first; } kinds[] = {
        {WANE_ROLE_ROW_WEIGHT, 5, 1}, {WANE_ROLE_UPSTREAM, 7, 2}, {WANE_ROLE_UPSTREAM_LSE, 11, 3}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int64_t i = kinds[k].first; i < in->count[kinds[k].role]; i += kinds[k].every)
            in->of[kinds[k].role][i] = odd[conform_below(&in->random, 3)];
    if (in->count[WANE_ROLE_WEIGHT]) in->of[WANE_ROLE_WEIGHT][conform_any_column(in)] = odd[conform_below(&in->random, 3)];
    if (in->count[WANE_ROLE_UPSTREAM] == 1 && conform_below(&in->random, 2)) in->of[WANE_ROLE_UPSTREAM][0] = INFINITY;
}

const conform_values softmax_values[] = {
    {"plain", VALUES_FIGURES, NULL},
    {"tight", 0, fill_tight},
    {"sharp", VALUES_FIGURES, fill_sharp},
    {"shifted", 0, fill_shifted},
    {"wide", VALUES_FIGURES, fill_wide},
    {"far", 0, fill_far},
    {"dominated", VALUES_FIGURES | VALUES_DOMINATED | VALUES_QUICK_SPLIT, fill_dominated},
    {"swamped", 0, fill_swamped},
    {"mask_max", VALUES_QUICK_SPLIT, fill_mask_max},
    {"mask_inf", VALUES_QUICK_SPLIT, fill_mask_inf},
    {"alone", VALUES_QUICK_SPLIT, fill_alone},
    {"nan", 0, fill_nan},
    {"plus_inf", 0, fill_plus_inf},
    {"target_inf", 0, fill_target_inf},
    {"empty", 0, fill_empty},
    {"all_empty", VALUES_TRIVIAL, fill_all_empty},
    {"ignored", 0, fill_ignored},
    {"all_ignored", VALUES_TRIVIAL, fill_all_ignored},
    {"bad", 0, fill_bad},
    {"all_bad", VALUES_TRIVIAL, fill_all_bad},
    {"ties", 0, fill_ties},
    {"equal", 0, fill_equal},
    {"denormal", 0, fill_denormal},
    {"zero_weight", VALUES_WEIGHTS | VALUES_TRIVIAL, fill_zero_weight},
    {"some_weights", VALUES_WEIGHTS, fill_some_weights},
    {"odd_target", VALUES_QUICK_SPLIT, fill_odd_target},
    {"near", VALUES_QUICK_SPLIT | VALUES_TRIVIAL, fill_near},
    {"mixed", VALUES_QUICK_SPLIT, fill_mixed},
    {"odd_weights", VALUES_WEIGHTS | VALUES_QUICK_SPLIT, fill_odd_weights},
    {NULL, 0, NULL}};

// Ordinary numbers of a role that the table below does not know: normal ones.
static double ordinary(conform_inputs *in, const wane_role_info *role, double centre)
{
    bool weight = role->role == WANE_ROLE_WEIGHT || role->role == WANE_ROLE_ROW_WEIGHT;
    bool logits = role->role == WANE_ROLE_LOGITS || role->role == WANE_ROLE_TEACHER_LOGITS;
    if (is_index(in->c, role)) return (double)conform_any_column(in);
    if (role->role == WANE_ROLE_TARGET && in->c->variant) return fmax(0, conform_normal(&in->random)) * 2 / (double)in->cols;
    if (weight) return 0.25 + 1.75 * conform_uniform(&in->random);
    return centre + (logits ? 3 : 1) * conform_normal(&in->random);
}

void softmax_fill(conform_inputs *in)
{
    const wane_role_info *role;
    in->role = WANE_ROLE_LOGITS;
    for (uint32_t r = 0; (role = wane_loss_role_at(in->c->loss, r)); r++) {
        double *data = in->of[role->role], centre = 0;
        for (int64_t i = 0; data && i < in->count[role->role]; i++) {
            bool logits = role->role == WANE_ROLE_LOGITS || role->role == WANE_ROLE_TEACHER_LOGITS;
            if (logits && i % in->cols == 0) centre = 10 * conform_normal(&in->random);
            data[i] = ordinary(in, role, centre);
        }
    }
}
