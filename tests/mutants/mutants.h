// mutants.h - kernels with a fault compiled in, one each.
#ifndef WANE_TESTS_MUTANTS_MUTANTS_H
#define WANE_TESTS_MUTANTS_MUTANTS_H

#include "checked.h"

enum { MUTANT_LANES = 7 };                  // 128 is no multiple of it, so that no lane count hides a tail

typedef struct mutant {
    const char *name, *kernel;
    const body_kernel *with_fault;          // NULL: the text that the fault changes is no longer there
} mutant;

extern const mutant mutants[];              // made by the build from mutants.txt; name NULL at the end

#endif
