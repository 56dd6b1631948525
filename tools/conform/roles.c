// roles.c - what the registry says about the operands of a case.
#include "family.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double tolerances[CONFORM_IDS] = {
#define ORACLE_TOLERANCE(ROLE, coefficient) [WANE_ROLE_##ROLE] = coefficient,
#include "tolerance.def"
};

double conform_tolerance(wane_role role)
{
    static const double epsilon =
#define ORACLE_EPSILON(TYPE, eps) eps
#include "tolerance.def"
        ;
    return tolerances[role] * epsilon;
}

double conform_rounding(wane_dtype dtype, double value)
{
    static const double roundings[][2] = {
#define ORACLE_ROUNDING(TYPE, eps, least) [WANE_DTYPE_##TYPE] = {eps, least},
#include "tolerance.def"
    };
    if (dtype != WANE_DTYPE_F16 && dtype != WANE_DTYPE_BF16) return 0;
    return roundings[dtype][0] * fabs(value) * (1 + 0x1p-10) + roundings[dtype][1];
}

double conform_last_place(wane_dtype dtype)
{
    return dtype == WANE_DTYPE_F16 ? 0x1p-10 : dtype == WANE_DTYPE_BF16 ? 0x1p-7 : 0x1p-23;
}

bool conform_is_input(const wane_role_info *role) { return role->direction == WANE_DIRECTION_IN; }

uint64_t conform_roles(const wane_loss_info *loss, int direction, int need)
{
    uint64_t bits = 0;
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)); i++)
        if (role->direction == direction && (need < 0 || role->need == need)) bits |= CONFORM_BIT(role->role);
    return bits;
}

uint64_t conform_outputs(const wane_loss_info *loss)
{
    return conform_roles(loss, WANE_DIRECTION_OUT, -1) | conform_roles(loss, WANE_DIRECTION_GRAD, -1);
}

double conform_param(const conform_case *c, wane_param param, double absent)
{
    if (c->param_given[param]) return c->param[param];
    const wane_param_info *info;
    for (uint32_t i = 0; (info = wane_loss_param_at(c->loss, i)); i++)
        if (info->param == param) return info->standard;
    return absent;
}

static int64_t extent(const conform_case *c, const char *name, size_t length, uint32_t planes)
{
    bool whole = conform_param(c, WANE_PARAM_REDUCTION, WANE_REDUCTION_NONE) == WANE_REDUCTION_NONE;
    double total = conform_param(c, WANE_PARAM_TOTAL_COLS, 0);
    const struct { const char *name; int64_t extent; } extents[] = {
        {"rows", c->rows}, {"cols", c->cols}, {"total=cols", total > 0 ? (int64_t)total : c->cols}, {"dim", c->dim}, {"groups", c->groups}, {"pairs", c->pairs},
        {"planes", planes}, {"reduced", whole ? c->rows : 1}};
    for (size_t i = 0; i < sizeof extents / sizeof extents[0]; i++)
        if (strlen(extents[i].name) == length && strncmp(name, extents[i].name, length) == 0) return extents[i].extent;
    return name[0] >= '0' && name[0] <= '9' ? strtol(name, NULL, 10) : 0;   // a family says what its other names mean
}

uint32_t conform_shape(const conform_case *c, const wane_role_info *role, uint32_t planes, int64_t extents[4])
{
    return conform_shape_as(c, role, conform_type(c, role), planes, extents);
}

uint32_t conform_shape_as(const conform_case *c, const wane_role_info *role, wane_dtype dtype, uint32_t planes,
                          int64_t extents[4])
{
    uint32_t rank = c->family && c->family->shape ? c->family->shape(c, role, extents) : 0;
    if (rank) return rank;
    const char *other = strchr(role->shape, '|');
    bool index = WANE_TYPES_INDEX & 1u << dtype;
    for (const char *at = other && !index ? other + 1 : role->shape; rank < 4;) {
        size_t length = strcspn(at, ",|");
        extents[rank++] = extent(c, at, length, planes);
        if (at[length] != ',') break;
        at += length + 1;
    }
    return rank;
}

wane_dtype conform_type(const conform_case *c, const wane_role_info *role)
{
    wane_dtype special = c->family && c->family->type ? c->family->type(c, role) : (wane_dtype)0;
    if (special) return special;
    wane_dtype wanted = role->direction == WANE_DIRECTION_GRAD ? c->grad_dtype : c->dtype;
    if (wanted && role->types & 1u << wanted) return wanted;
    if (role->types & 1u << WANE_DTYPE_F32) return WANE_DTYPE_F32;
    if ((role->types & WANE_TYPES_INDEX) == WANE_TYPES_INDEX) return c->wide_index ? WANE_DTYPE_I64 : WANE_DTYPE_I32;
    return role->types & WANE_TYPES_U32 ? WANE_DTYPE_U32 : WANE_DTYPE_I64;
}
