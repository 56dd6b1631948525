// oracle.h - the judge of correctness: every registered loss in double precision, written from the papers' formulas.
//
// It includes nothing of the library but losses.def, so that it cannot share a fault with it. Inputs are the values
// as stored (an f32 or half value widened to double); outputs come with a scale for each element, the size of the terms
// that made it, so that a tolerance is c * eps(type) * scale with one published c (tolerance.def).
//
// The oracle is every source of this folder but oracle_test*.c. A loss of a known family is one more file that defines
// oracle_<name> (registry.h).
#ifndef WANE_TESTS_ORACLE_H
#define WANE_TESTS_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A subnormal f32 may be flushed: what is multiplied afterwards is off by so much times the factor, in units of 2^-24.
#define ORACLE_FLUSH 0x1p-102

enum { ORACLE_ROLES = 64, ORACLE_PARAMS = 64 };   // indexed by the ids of losses.def

// A dense row-major array of doubles. Integers (targets, counts) are exact up to 2^53. data == NULL: absent, so an
// array of zero rows needs some address too. A single element may have rank 0 or 1; the oracle makes it with rank 1.
typedef struct oracle_array {
    int rank;
    int64_t extents[4];
    double *data;
} oracle_array;

// Zero it before use.
typedef struct oracle_problem {
    int loss;                              // id of losses.def
    bool param_given[ORACLE_PARAMS];       // false: the registry's default
    double param[ORACLE_PARAMS];           // those not given are filled in by oracle_solve
    oracle_array in[ORACLE_ROLES];         // by role id; absent where data is NULL
    bool want[ORACLE_ROLES];               // which outputs to make, by role id
    oracle_array out[ORACLE_ROLES];        // made by oracle_solve; freed by oracle_free
    oracle_array scale[ORACLE_ROLES];      // same shapes; 0 where the output must match exactly (counts, argmax, zeros,
                                           // NaN and infinities)
} oracle_problem;

// Solves the problem. Returns NULL, or what is wrong with it (a static text). A `statistics` input is not read: the
// oracle always starts from the logits; nor can it be wanted. What an earlier call made is freed first.
const char *oracle_solve(oracle_problem *problem);
void oracle_free(oracle_problem *problem);

// Number of elements, product of the extents (1 for rank 0).
int64_t oracle_count(const oracle_array *array);

#ifdef __cplusplus
}
#endif
#endif
