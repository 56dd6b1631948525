// family.h - what a family of losses brings to the conformance test: a file family_<name>.c that defines one
// conform_family, and a line in families.def. The rest is made from the registry: operands and shapes from the roles of
// losses.def, expected results from the oracle, names, calls, guards, judgement, reports.
#ifndef WANE_TOOLS_CONFORM_FAMILY_H
#define WANE_TOOLS_CONFORM_FAMILY_H

#include "conform.h"

typedef struct conform_maker conform_maker;
typedef struct conform_family {
    const char *name;                       // as in losses.def
    // The problem generator: adds the cases of a loss with the functions below.
    void (*make)(conform_maker *m);
    const conform_values *values;           // classes of values; [0] is plain, with no fill; ends with a NULL name
    // What follows may be NULL.
    void (*fill)(conform_inputs *in);       // ordinary numbers of all inputs; NULL: conform_fill_ordinary
    const char *const *variants;            // [0] is unused; names of conform_case.variant
    void (*mend)(conform_maker *m);         // before a case is added: takes back what its loss does not have together
    // Shape and type of a role where the general rules (roles.c) do not hold; rank 0 and type 0 where they do.
    uint32_t (*shape)(const conform_case *c, const wane_role_info *role, int64_t extents[4]);
    wane_dtype (*type)(const conform_case *c, const wane_role_info *role);
    // Planes of statistics beyond those that the library asks for; outputs (1 << role) that a call with given
    // statistics cannot make.
    uint32_t (*more_planes)(const conform_case *c);
    uint64_t (*not_from_statistics)(const conform_run *run);
    // What the planes must say that no output shows; loaded is their contents. NULL, or what is wrong (a static text).
    const char *(*wrong_statistics)(const conform_run *run, const double *loaded);
    // The error of an element that is outside of its tolerance, in tolerances, if the family knows a reason; else `error`.
    double (*lenient_error)(const conform_run *run, const conform_tensor *t, int64_t index, double got, double error);
    void (*figures)(conform_run *run);      // of a case with `figures`
    bool (*no_derivative)(const conform_case *c);   // its gradient is by definition not the loss's derivative
} conform_family;

// NULL: a family without a file here.
const conform_family *conform_family_of(const wane_loss_info *loss);

// ---- for make: describe a case in m->c, then add it ----

struct conform_maker {
    conform_list *list;
    const char *filter;
    uint64_t seed;
    bool full;
    bool thin;                              // only what this loss does not share with the first of its family
    const wane_loss_info *loss;
    const conform_family *family;
    uint64_t optional, outputs, gradients;  // 1 << role: optional inputs; outputs and gradients; gradients
    uint32_t variant;                       // of the cases that conform_start begins
    conform_case c;                         // the one being described
};

// A dense f32 case with all outputs and no optional input. Further extents are set in m->c by the family.
void conform_start(conform_maker *m, int64_t rows, int64_t cols);
void conform_set(conform_maker *m, const wane_param_info *info, double value);
void conform_set_reduction(conform_maker *m, uint32_t which);   // modulo the number of choices
void conform_set_any(conform_maker *m, const wane_param_info *info, conform_random *random);
// Every real parameter at something other than its default.
void conform_set_all(conform_maker *m, conform_random *random);
// Values of a parameter worth trying, inside its range and other than the default; all of a choice. Returns their number.
uint32_t conform_ladder(const wane_param_info *info, double values[16]);
// Names the case after what it is, and adds it unless the filter leaves it out or the name is there already. The prefix
// (".random7") stands behind the type.
void conform_add(conform_maker *m);
void conform_add_named(conform_maker *m, const char *prefix);
const conform_values *conform_values_named(const conform_maker *m, const char *name);

// ---- for fill ----

// Ordinary numbers: indices below cols, weights from 0.25 to 2, normal ones otherwise.
void conform_fill_ordinary(conform_inputs *in);
int64_t conform_any_column(conform_inputs *in);

#endif
