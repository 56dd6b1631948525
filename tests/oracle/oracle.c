// oracle.c - finds a loss in the registry, completes and checks its problem, makes its outputs, calls its solver.
//
// The tables are made from losses.def: nothing here names a loss, and only the shape letters name a family.
#include "oracle.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "registry.h"

// The names that losses.def uses for the default and the range of `reduction`.
#define WANE_REDUCTION_NONE ORACLE_REDUCTION_NONE
#define WANE_REDUCTION_MEAN ORACLE_REDUCTION_MEAN
#define WANE_REDUCTION_SUM ORACLE_REDUCTION_SUM

typedef enum { DIRECTION_IN, DIRECTION_OUT, DIRECTION_GRAD, DIRECTION_STATE } role_direction;
typedef enum { NEED_REQUIRED, NEED_OPTIONAL } role_need;
typedef enum {
    SHAPE_ROWS_COLS,
    SHAPE_ROWS,
    SHAPE_COLS,
    SHAPE_ONE,
    SHAPE_REDUCED,
    SHAPE_PLANES_ROWS,
    SHAPE_EIGHT
} role_shape;
typedef enum { KIND_NONE, KIND_REAL, KIND_INTEGER, KIND_REDUCTION } param_kind;
typedef enum { BOUNDS_CLOSED, BOUNDS_ABOVE } param_bounds;

typedef struct role_rule {
    int role;
    role_direction direction;
    role_need need;
    role_shape shape;
} role_rule;

typedef struct param_rule {
    int param;
    double value, lowest, highest;
    param_bounds bounds;
} param_rule;

typedef struct loss_rule {
    int id;
    oracle_solver *solver;
    const role_rule *roles;
    size_t role_count;
    const param_rule *params;
    size_t param_count;
} loss_rule;

typedef struct dims {
    int64_t rows, cols, reduced;
} dims;

static const param_kind param_kinds[ORACLE_PARAMS] = {
#define WANE_PARAM(id, NAME, name, kind) [id] = KIND_##kind,
#include "wane/losses.def"
};

#define ROLE_RULE(ROLE, DIRECTION, NEED, SHAPE, TYPES) \
    {ORACLE_ROLE_##ROLE, DIRECTION_##DIRECTION, NEED_##NEED, SHAPE_##SHAPE},
#define PARAM_RULE(PARAM, standard, low, high, BOUNDS, meaning) \
    {ORACLE_PARAM_##PARAM, (standard), (low), (high), BOUNDS_##BOUNDS},

#define WANE_LOSS(id, NAME, name, FAMILY, ROLES, PARAMS, summary, formula, source) \
    static const role_rule roles_of_##name[] = {ROLES(ROLE_RULE)};                 \
    static const param_rule params_of_##name[] = {PARAMS(PARAM_RULE)};
#include "wane/losses.def"

static const loss_rule losses[] = {
#define WANE_LOSS(id, NAME, name, FAMILY, ROLES, PARAMS, summary, formula, source)                                     \
    {(id),           oracle_##name, roles_of_##name, sizeof roles_of_##name / sizeof roles_of_##name[0],              \
     params_of_##name, sizeof params_of_##name / sizeof params_of_##name[0]},
#include "wane/losses.def"
};

int64_t oracle_count(const oracle_array *array) {
    int64_t count = 1;
    for (int i = 0; i < array->rank; i++) {
        count *= array->extents[i];
    }
    return count;
}

void oracle_free(oracle_problem *problem) {
    for (int role = 0; role < ORACLE_ROLES; role++) {
        free(problem->out[role].data);
        free(problem->scale[role].data);
        problem->out[role] = (oracle_array){0};
        problem->scale[role] = (oracle_array){0};
    }
}

static const loss_rule *find_loss(int id) {
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        if (losses[i].id == id) {
            return &losses[i];
        }
    }
    return NULL;
}

static const char *check_value(const param_rule *rule, double value) {
    bool low = rule->bounds == BOUNDS_ABOVE ? value > rule->lowest : value >= rule->lowest;
    if (!low || !(value <= rule->highest)) {   // so written, a NaN is out of range
        return "a parameter is out of its range";
    }
    if (param_kinds[rule->param] != KIND_REAL && value != floor(value)) {
        return "an integer parameter is not an integer";
    }
    return NULL;
}

static const char *complete_params(const loss_rule *loss, oracle_problem *problem) {
    bool known[ORACLE_PARAMS] = {false};
    for (size_t i = 0; i < loss->param_count; i++) {
        const param_rule *rule = &loss->params[i];
        known[rule->param] = true;
        if (!problem->param_given[rule->param]) {
            problem->param[rule->param] = rule->value;
            continue;
        }
        const char *fault = check_value(rule, problem->param[rule->param]);
        if (fault != NULL) {
            return fault;
        }
    }
    for (int id = 0; id < ORACLE_PARAMS; id++) {
        if (problem->param_given[id] && !known[id]) {
            return "a parameter is given that the loss does not have";
        }
    }
    return NULL;
}

static bool is_input(const role_rule *rule) {
    return rule->direction == DIRECTION_IN || rule->direction == DIRECTION_STATE;
}

static const char *check_roles(const loss_rule *loss, const oracle_problem *problem) {
    bool input[ORACLE_ROLES] = {false};
    bool output[ORACLE_ROLES] = {false};
    for (size_t i = 0; i < loss->role_count; i++) {
        const role_rule *rule = &loss->roles[i];
        input[rule->role] = is_input(rule);
        output[rule->role] = !is_input(rule);
        if (rule->direction == DIRECTION_IN && rule->need == NEED_REQUIRED && problem->in[rule->role].data == NULL) {
            return "a required input is absent";
        }
    }
    for (int role = 0; role < ORACLE_ROLES; role++) {
        if (problem->in[role].data != NULL && !input[role]) {
            return "an input is given that the loss does not have";
        }
        if (problem->want[role] && !output[role]) {
            return "an output is wanted that the oracle does not make for this loss";
        }
    }
    return NULL;
}

// Rows and columns are those of the input that has both.
static const char *find_dims(const loss_rule *loss, const oracle_problem *problem, dims *found) {
    for (size_t i = 0; i < loss->role_count; i++) {
        const role_rule *rule = &loss->roles[i];
        if (rule->direction != DIRECTION_IN || rule->shape != SHAPE_ROWS_COLS) {
            continue;
        }
        const oracle_array *array = &problem->in[rule->role];
        if (array->rank != 2 || array->extents[0] < 0 || array->extents[1] < 1) {
            return "a matrix must have rank 2, no negative number of rows and at least one column";
        }
        found->rows = array->extents[0];
        found->cols = array->extents[1];
        found->reduced = problem->param[ORACLE_PARAM_REDUCTION] == ORACLE_REDUCTION_NONE ? found->rows : 1;
        return NULL;
    }
    return "the loss has no matrix of rows and columns";
}

static oracle_array shape_of(role_shape shape, const dims *size) {
    switch (shape) {
    case SHAPE_ROWS_COLS:
        return (oracle_array){.rank = 2, .extents = {size->rows, size->cols}};
    case SHAPE_ROWS:
        return (oracle_array){.rank = 1, .extents = {size->rows}};
    case SHAPE_COLS:
        return (oracle_array){.rank = 1, .extents = {size->cols}};
    case SHAPE_REDUCED:
        return (oracle_array){.rank = 1, .extents = {size->reduced}};
    case SHAPE_EIGHT:
        return (oracle_array){.rank = 1, .extents = {8}};
    case SHAPE_ONE:
    case SHAPE_PLANES_ROWS:   // the saved statistics: neither read nor made here
        break;
    }
    return (oracle_array){.rank = 1, .extents = {1}};
}

static bool same_shape(const oracle_array *a, const oracle_array *b) {
    if (oracle_count(b) == 1 && a->rank <= 1) {
        return oracle_count(a) == 1;   // a single element has rank 0 or 1
    }
    if (a->rank != b->rank) {
        return false;
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->extents[i] != b->extents[i]) {
            return false;
        }
    }
    return true;
}

static const char *check_shapes(const loss_rule *loss, const oracle_problem *problem, const dims *size) {
    for (size_t i = 0; i < loss->role_count; i++) {
        const role_rule *rule = &loss->roles[i];
        const oracle_array *array = &problem->in[rule->role];
        if (array->data == NULL || rule->direction != DIRECTION_IN) {
            continue;
        }
        oracle_array expected = shape_of(rule->shape, size);
        if (!same_shape(array, &expected)) {
            return "an input has the wrong shape";
        }
    }
    return NULL;
}

// At least one element, so that an output of zero rows still counts as present.
static bool allocate(oracle_array *array, const oracle_array *shape) {
    int64_t count = oracle_count(shape);
    *array = *shape;
    array->data = calloc(count > 0 ? (size_t)count : 1, sizeof array->data[0]);
    return array->data != NULL;
}

static const char *allocate_outputs(const loss_rule *loss, oracle_problem *problem, const dims *size) {
    for (size_t i = 0; i < loss->role_count; i++) {
        const role_rule *rule = &loss->roles[i];
        oracle_array shape = shape_of(rule->shape, size);
        if (!problem->want[rule->role]) {
            continue;
        }
        if (!allocate(&problem->out[rule->role], &shape) || !allocate(&problem->scale[rule->role], &shape)) {
            return "out of memory";
        }
    }
    return NULL;
}

const char *oracle_solve(oracle_problem *problem) {
    oracle_free(problem);
    const loss_rule *loss = find_loss(problem->loss);
    if (loss == NULL) {
        return "no such loss";
    }
    dims size = {0};
    const char *fault = complete_params(loss, problem);
    if (fault == NULL) {
        fault = check_roles(loss, problem);
    }
    if (fault == NULL) {
        fault = find_dims(loss, problem, &size);
    }
    if (fault == NULL) {
        fault = check_shapes(loss, problem, &size);
    }
    if (fault == NULL) {
        fault = allocate_outputs(loss, problem, &size);
    }
    if (fault == NULL) {
        fault = loss->solver(problem);
    }
    if (fault != NULL) {
        oracle_free(problem);
    }
    return fault;
}
