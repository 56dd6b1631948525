// tables.c - the one place that sees both families and backends: what core reaches through tables.
#include "core/core.h"

extern const wane_family wane_family_softmax;
extern const wane_family wane_family_linear;
extern const wane_family wane_family_contrastive;
extern const wane_family wane_family_ranking;

const wane_family *const wane_families[] = {
    &wane_family_softmax,
    &wane_family_linear,
    &wane_family_contrastive,
    &wane_family_ranking,
    NULL,
};

#define WANE_BACKEND(name) extern const wane_backend wane_backend_##name;
#include "backend/backends.def"

const wane_backend *const wane_backends[] = {
#define WANE_BACKEND(name) &wane_backend_##name,
#include "backend/backends.def"
    NULL,
};
