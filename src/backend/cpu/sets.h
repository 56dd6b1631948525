// sets.h - the instruction sets of the CPU: one table of kernels each.
#ifndef WANE_BACKEND_CPU_SETS_H
#define WANE_BACKEND_CPU_SETS_H

#include "backend/cpu/kernel.h"
#include "core/core.h"

enum { WANE_CPU_SETS_MOST = 5 };

typedef struct wane_cpu_set {
    const char *name;
    wane_cpu_kernel kernels[WANE_KERNEL_COUNT];
} wane_cpu_set;

// The sets that this processor and system can run, the plainest first; returns how many.
uint32_t wane_cpu_sets(const wane_cpu_set *sets[WANE_CPU_SETS_MOST]);

#endif
