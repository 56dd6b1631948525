// roles.c - what the registry says about the operands of a case.
#include "conform.h"

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

bool conform_from_statistics(const wane_role_info *role)
{
    return role->role != WANE_ROLE_ARGMAX && role->role != WANE_ROLE_ACCURACY;
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
    if (strncmp(name, "rows", length) == 0) return c->rows;
    if (strncmp(name, "cols", length) == 0) return c->cols;
    if (strncmp(name, "planes", length) == 0) return planes;
    if (strncmp(name, "reduced", length) == 0)
        return conform_param(c, WANE_PARAM_REDUCTION, WANE_REDUCTION_NONE) == WANE_REDUCTION_NONE ? c->rows : 1;
    // an extent that no case sets yet
    return name[0] >= '0' && name[0] <= '9' ? strtol(name, NULL, 10) : 16;
}

uint32_t conform_shape(const conform_case *c, const wane_role_info *role, uint32_t planes, int64_t extents[4])
{
    uint32_t rank = 0;
    for (const char *at = role->shape; rank < 4;) {
        size_t length = strcspn(at, ",");
        extents[rank++] = extent(c, at, length, planes);
        if (!at[length]) break;
        at += length + 1;
    }
    return rank;
}
