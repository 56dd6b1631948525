// kernels.c - the tables of checked kernels, one for each number of lanes.
#include "checked.h"

#include <string.h>

#define WANE_KERNEL(name, NAME, unit) \
    extern const body_kernel body_##name##_1, body_##name##_4, body_##name##_7, body_##name##_64, body_##name##_128;
#include "core/kernels.def"

static const body_kernel *const kernels_1[] = {
#define WANE_KERNEL(name, NAME, unit) &body_##name##_1,
#include "core/kernels.def"
};
static const body_kernel *const kernels_4[] = {
#define WANE_KERNEL(name, NAME, unit) &body_##name##_4,
#include "core/kernels.def"
};
static const body_kernel *const kernels_7[] = {
#define WANE_KERNEL(name, NAME, unit) &body_##name##_7,
#include "core/kernels.def"
};
static const body_kernel *const kernels_64[] = {
#define WANE_KERNEL(name, NAME, unit) &body_##name##_64,
#include "core/kernels.def"
};
static const body_kernel *const kernels_128[] = {
#define WANE_KERNEL(name, NAME, unit) &body_##name##_128,
#include "core/kernels.def"
};

const body_kernel *const *body_kernels_for(uint32_t lanes, uint32_t *count)
{
    if (count) *count = sizeof kernels_1 / sizeof *kernels_1;
    switch (lanes) {
    case 1: return kernels_1;
    case 4: return kernels_4;
    case 7: return kernels_7;
    case 64: return kernels_64;
    case 128: return kernels_128;
    default: return NULL;
    }
}

static const body_kernel *replacement;

void body_kernel_replace(const body_kernel *kernel) { replacement = kernel; }

const body_kernel *body_kernel_find(const char *name, uint32_t lanes)
{
    if (replacement && replacement->lanes == lanes && strcmp(replacement->name, name) == 0) return replacement;
    uint32_t count;
    const body_kernel *const *table = body_kernels_for(lanes, &count);
    for (uint32_t i = 0; table && i < count; i++)
        if (strcmp(table[i]->name, name) == 0) return table[i];
    return NULL;
}
