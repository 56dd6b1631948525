// registry.c - losses.def as data, and kernels.def as data.
#include "core/core.h"

#define COUNT_ONE_R(...) +1

enum { BOUNDS_CLOSED = 0, BOUNDS_ABOVE = 1 };

// Names and kinds stand in rows of their own; a loss's tables refer to them.
#define WANE_ROLE(id, NAME, name) static const char role_##NAME[] = #name;
#define WANE_PARAM(id, NAME, name, kind, choices) \
    static const char param_##NAME[] = #name;     \
    enum { kind_##NAME = WANE_KIND_##kind };      \
    static const char choices_##NAME[] = choices;
#include "wane/losses.def"

#define R(ROLE, DIRECTION, NEED, SHAPE, TYPES) \
    {WANE_ROLE_##ROLE, role_##ROLE, WANE_DIRECTION_##DIRECTION, WANE_NEED_##NEED, SHAPE, WANE_TYPES_##TYPES},
#define P(PARAM, standard, lowest, highest, BOUNDS, meaning)                                          \
    {WANE_PARAM_##PARAM, param_##PARAM, kind_##PARAM, standard, lowest, highest, BOUNDS_##BOUNDS, choices_##PARAM, meaning},
#define WANE_LOSS(id, NAME, name, FAMILY, ROLES, PARAMS, summary, formula, source) \
    static const wane_role_info roles_##NAME[] = {ROLES(R)};                       \
    static const wane_param_info params_##NAME[] = {PARAMS(P)};
#include "wane/losses.def"

typedef struct registry_row {
    wane_loss_info info;
    const wane_role_info *roles;
    const wane_param_info *params;
} registry_row;

static const registry_row registry[] = {
#define WANE_LOSS(id, NAME, name, FAMILY, ROLES, PARAMS, summary, formula, source)                              \
    {{WANE_LOSS_##NAME, #name, #FAMILY, summary, formula, source, (uint32_t)(0 ROLES(COUNT_ONE_R)),              \
      (uint32_t)(0 PARAMS(COUNT_ONE_R))}, roles_##NAME, params_##NAME},
#include "wane/losses.def"
};
enum { LOSS_COUNT = sizeof registry / sizeof registry[0] };

const char *wane_role_name(wane_role role)
{
    switch ((int)role) {
#define WANE_ROLE(id, NAME, name) case id: return role_##NAME;
#include "wane/losses.def"
    }
    return "(unknown)";
}

const char *wane_param_name(wane_param param)
{
    switch ((int)param) {
#define WANE_PARAM(id, NAME, name, kind, choices) case id: return param_##NAME;
#include "wane/losses.def"
    }
    return "(unknown)";
}

const wane_loss_info *wane_loss_at(uint32_t index) { return index < LOSS_COUNT ? &registry[index].info : NULL; }

const wane_loss_info *wane_loss_by_name(const char *name)
{
    for (uint32_t i = 0; name && i < LOSS_COUNT; i++)
        if (strcmp(registry[i].info.name, name) == 0) return &registry[i].info;
    return NULL;
}

const wane_loss_info *wane_loss_by_id(wane_loss loss)
{
    for (uint32_t i = 0; i < LOSS_COUNT; i++)
        if (registry[i].info.loss == loss) return &registry[i].info;
    return NULL;
}

// info is the first member of a row
const wane_role_info *wane_loss_role_at(const wane_loss_info *loss, uint32_t index)
{
    return loss && index < loss->role_count ? &((const registry_row *)loss)->roles[index] : NULL;
}

const wane_param_info *wane_loss_param_at(const wane_loss_info *loss, uint32_t index)
{
    return loss && index < loss->param_count ? &((const registry_row *)loss)->params[index] : NULL;
}

size_t wane_dtype_bytes(wane_dtype dtype)
{
    switch (dtype) {
    case WANE_DTYPE_F32: case WANE_DTYPE_I32: case WANE_DTYPE_U32: return 4;
    case WANE_DTYPE_F16: case WANE_DTYPE_BF16: return 2;
    case WANE_DTYPE_I64: return 8;
    }
    return 0;
}

const char *wane_dtype_name(wane_dtype dtype)
{
    switch (dtype) {
    case WANE_DTYPE_F32: return "f32";
    case WANE_DTYPE_F16: return "f16";
    case WANE_DTYPE_BF16: return "bf16";
    case WANE_DTYPE_I32: return "i32";
    case WANE_DTYPE_I64: return "i64";
    case WANE_DTYPE_U32: return "u32";
    }
    return NULL;
}

// ---- kernels.def ----

#define ACCESS_r WANE_ACCESS_R
#define ACCESS_w WANE_ACCESS_W
#define ACCESS_rw WANE_ACCESS_RW
#define UNIT_LANE true
#define UNIT_GROUP false
#define SLOT_ACCESS(binding, access, slot) [binding] = ACCESS_##access,
#define SHARED_BYTES(type, array, count) +4 * (count)

const wane_kernel_info wane_kernels[WANE_KERNEL_COUNT] = {
#define WANE_KERNEL(name, NAME, unit)                                                                                 \
    {#name, UNIT_##unit, (uint8_t)(0 NAME##_SLOTS(COUNT_ONE_R)),                                                        \
     (uint8_t)(0 NAME##_RECORD(COUNT_ONE_R, COUNT_ONE_R)), (uint8_t)(0 NAME##_WINDOW(COUNT_ONE_R)),                     \
     (uint8_t)(0 NAME##_CONSTS(COUNT_ONE_R)), {NAME##_SLOTS(SLOT_ACCESS)}, (uint32_t)(0 NAME##_SHARED(SHARED_BYTES))},
#include "core/kernels.def"
};
