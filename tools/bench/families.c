// families.c - the table of families, made from families.def, and extents by name.
#include "bench.h"

#include <stdio.h>
#include <string.h>

#define BENCH_FAMILY(name) extern const bench_family bench_family_##name;
#include "families.def"
#undef BENCH_FAMILY

#define BENCH_FAMILY(name) &bench_family_##name,
const bench_family *const bench_families[] = {
#include "families.def"
    NULL};

double bench_param(const bench_options *options, wane_param param)
{
    return tool_param_value(options->loss, param, options->params, options->param_count, 0);
}

int64_t bench_extent(const tool_extents *extents, const char *name)
{
    for (uint32_t i = 0; i < extents->count; i++)
        if (strcmp(extents->known[i].name, name) == 0) return extents->known[i].value;
    return 0;
}

void bench_set_extent(tool_extents *extents, const char *name, int64_t value)
{
    uint32_t i = 0;
    while (i < extents->count && strcmp(extents->known[i].name, name) != 0) i++;
    if (i == sizeof extents->known / sizeof extents->known[0]) return;
    snprintf(extents->known[i].name, sizeof extents->known[i].name, "%s", name);
    extents->known[i].value = value;
    if (i == extents->count) extents->count++;
}

bool bench_has_extent(const wane_loss_info *loss, const char *name)
{
    const wane_role_info *role;
    for (uint32_t r = 0; (role = wane_loss_role_at(loss, r)) != NULL; r++)
        if (strstr(role->shape, name)) return true;
    return false;
}

void bench_keep_extents(tool_extents *extents, const wane_loss_info *loss)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < extents->count; i++)
        if (bench_has_extent(loss, extents->known[i].name)) extents->known[kept++] = extents->known[i];
    extents->count = kept;
}

const char *bench_extents_text(const tool_extents *extents, char text[96])
{
    size_t at = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < extents->count && at < 95; i++)
        at += (size_t)snprintf(text + at, 96 - at, "%s%s=%lld", i ? "," : "", extents->known[i].name,
                               (long long)extents->known[i].value);
    return text;
}
