// mutants.h - kernels with a fault compiled in, one each.
#ifndef WANE_TESTS_MUTANTS_MUTANTS_H
#define WANE_TESTS_MUTANTS_MUTANTS_H

#include <wane/wane.h>

#include <stdbool.h>
#include <stddef.h>

typedef struct mutant {
    const char *name, *kernel;
    const char *folder;                     // of its texts; NULL: the text that the fault changes is no longer there
    const char *hidden;                     // why a device need not show it; empty where each must
} mutant;

// What the conformance list runs on, one file for each kind (checked_backend.c, plant_vulkan.c, plant_opencl.c).
extern const char *const mutant_device;     // as wane-conform names it
extern const bool mutant_hides;             // whether it is a device, on which some faults do not show
// From here on the kernel of this process has the fault. False: the texts cannot be read.
bool mutant_plant(const mutant *m, wane_context_desc *desc);
// Told whenever the kernel with the fault is taken in the place of the other (mutants_test.c).
void mutant_taken(void);

// All of a file, to be freed; NULL if it cannot be read.
void *mutant_read(const char *path, size_t *bytes);

#endif
