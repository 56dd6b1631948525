// oracle.c - finds a loss in the registry, completes and checks its problem, makes its outputs, calls its solver.
//
// The tables are made from losses.def: nothing here names a loss or a family.
#include "oracle.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "registry.h"

// The names that losses.def uses for the default and the range of `reduction`.
#define WANE_REDUCTION_NONE ORACLE_REDUCTION_NONE
#define WANE_REDUCTION_MEAN ORACLE_REDUCTION_MEAN
#define WANE_REDUCTION_SUM ORACLE_REDUCTION_SUM
#define WANE_REDUCTION_GROUP_MEAN ORACLE_REDUCTION_GROUP_MEAN
#define WANE_LINK_LOGISTIC 0
#define WANE_PAIR_WEIGHT_NONE 0
#define WANE_SCOPE_ALL 0

typedef enum { DIRECTION_IN, DIRECTION_OUT, DIRECTION_GRAD, DIRECTION_STATE } role_direction;
typedef enum { NEED_REQUIRED, NEED_OPTIONAL } role_need;
typedef enum { KIND_NONE, KIND_REAL, KIND_INTEGER, KIND_CHOICE } param_kind;
typedef enum { BOUNDS_CLOSED, BOUNDS_ABOVE } param_bounds;

typedef struct role_rule {
    int role;
    role_direction direction;
    role_need need;
    const char *shape;   // extents by name or number, "rows,cols"; "A|B": A for indices, B for numbers
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

// The extents that have a name, as the inputs of a problem bind them.
typedef struct extent {
    const char *name;   // within a shape of losses.def, so ended by a comma or by the text's end
    int64_t value;
} extent;

typedef struct extents {
    int count;
    extent known[8];
} extents;

static const param_kind param_kinds[ORACLE_PARAMS] = {
#define WANE_PARAM(id, NAME, name, kind, choices) [id] = KIND_##kind,
#include "wane/losses.def"
};

#define ROLE_RULE(ROLE, DIRECTION, NEED, SHAPE, TYPES) \
    {ORACLE_ROLE_##ROLE, DIRECTION_##DIRECTION, NEED_##NEED, SHAPE},
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

// ---- shapes ----

static size_t part_length(const char *part) {
    return strcspn(part, ",|");
}

static size_t name_length(const char *name) {   // "groups+1" is named groups
    return strcspn(name, ",|+=");
}

// What a part of a shape adds to the number of its name.
static int64_t part_more(const char *part) {
    return part[name_length(part)] == '+' ? (int64_t)strtol(part + name_length(part) + 1, NULL, 10) : 0;
}

static bool same_name(const char *a, const char *b) {
    return name_length(a) == name_length(b) && strncmp(a, b, name_length(a)) == 0;
}

// The value of a name, or -1 while nothing has bound it.
static int64_t value_of(const extents *bound, const oracle_problem *problem, const char *name) {
    if (name[0] >= '0' && name[0] <= '9') {
        return (int64_t)strtol(name, NULL, 10);
    }
    if (same_name(name, "reduced")) {
        bool none = problem->param[ORACLE_PARAM_REDUCTION] == ORACLE_REDUCTION_NONE;
        const char *rows = name[name_length(name)] == '=' ? name + name_length(name) + 1 : "rows";
        return none ? value_of(bound, problem, rows) : 1;
    }
    if (same_name(name, "total")) {   // the oracle takes whole problems: "total=cols" is cols
        return value_of(bound, problem, name + name_length(name) + 1);
    }
    if (same_name(name, "groups") && problem->in[ORACLE_ROLE_OFFSETS].data == NULL) {
        return 1 + part_more(name);
    }
    for (int i = 0; i < bound->count; i++) {
        if (same_name(bound->known[i].name, name)) {
            return bound->known[i].value + part_more(name);
        }
    }
    return -1;
}

static int split_shape(const char *shape, const char *names[4]) {
    int rank = 0;
    for (const char *at = shape; rank < 4; at += part_length(at) + 1) {
        names[rank++] = at;
        if (at[part_length(at)] != ',') {
            break;
        }
    }
    return rank;
}

static const char *bind_input(extents *bound, const oracle_problem *problem, const role_rule *rule) {
    const oracle_array *array = &problem->in[rule->role];
    const char *names[4];
    int rank = split_shape(rule->shape, names);
    const char *other = strchr(rule->shape, '|');
    if (other != NULL && array->rank != rank) {   // indices have one dimension, numbers two
        rank = split_shape(other + 1, names);
    }
    if (rank == 1 && array->rank == 0 && value_of(bound, problem, names[0]) == 1) {
        return NULL;   // a single element has rank 0 or 1
    }
    if (array->rank != rank) {
        return "an input has the wrong rank";
    }
    for (int i = 0; i < rank; i++) {
        int64_t value = value_of(bound, problem, names[i]);
        if (value < 0 && bound->count < (int)(sizeof bound->known / sizeof bound->known[0])) {
            value = array->extents[i];
            bound->known[bound->count++] = (extent){.name = names[i], .value = value - part_more(names[i])};
        }
        if (value < 0 || array->extents[i] != value) {
            return "an input has the wrong shape";
        }
    }
    return NULL;
}

static const char *bind_inputs(const loss_rule *loss, const oracle_problem *problem, extents *bound) {
    const char *fault = NULL;
    for (size_t i = 0; i < loss->role_count && fault == NULL; i++) {
        const role_rule *rule = &loss->roles[i];
        if (rule->direction == DIRECTION_IN && problem->in[rule->role].data != NULL) {
            fault = bind_input(bound, problem, rule);
        }
    }
    return fault;
}

// At least one element, so that an output of zero rows still counts as present.
static bool allocate(oracle_array *array, const oracle_array *shape) {
    int64_t count = oracle_count(shape);
    *array = *shape;
    array->data = calloc(count > 0 ? (size_t)count : 1, sizeof array->data[0]);
    return array->data != NULL;
}

static const char *allocate_outputs(const loss_rule *loss, oracle_problem *problem, const extents *bound) {
    for (size_t i = 0; i < loss->role_count; i++) {
        const role_rule *rule = &loss->roles[i];
        if (!problem->want[rule->role]) {
            continue;
        }
        const char *names[4];
        oracle_array shape = {.rank = split_shape(rule->shape, names)};
        for (int k = 0; k < shape.rank; k++) {
            shape.extents[k] = value_of(bound, problem, names[k]);
            if (shape.extents[k] < 0) {
                return "the shape of an output does not follow from the inputs";
            }
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
    extents bound = {0};
    const char *fault = complete_params(loss, problem);
    if (fault == NULL) {
        fault = check_roles(loss, problem);
    }
    if (fault == NULL) {
        fault = bind_inputs(loss, problem, &bound);
    }
    if (fault == NULL) {
        fault = allocate_outputs(loss, problem, &bound);
    }
    if (fault == NULL) {
        fault = loss->solver(problem);
    }
    if (fault != NULL) {
        oracle_free(problem);
    }
    return fault;
}
