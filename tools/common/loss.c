// loss.c - see loss.h.
#include "common/loss.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const wane_loss_info *tool_loss(const char *name)
{
    const wane_loss_info *loss = wane_loss_by_name(name);
    if (loss) return loss;
    tool_error("there is no loss called \"%s\". The known ones:", name);
    for (uint32_t i = 0; (loss = wane_loss_at(i)) != NULL; i++)
        fprintf(stderr, "  %-16s %s\n", loss->name, loss->summary);
    return NULL;
}

const wane_role_info *tool_role(const wane_loss_info *loss, const char *name, size_t length)
{
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)) != NULL; i++)
        if (strlen(role->name) == length && strncmp(role->name, name, length) == 0) return role;
    tool_error("%s has no role called \"%.*s\". Its roles:", loss->name, (int)length, name);
    for (int out = 0; out < 2; out++) {
        fprintf(stderr, "  %s ", out ? "outputs" : "inputs ");
        for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)) != NULL; i++)
            if (role->direction == WANE_DIRECTION_STATE || (role->direction != WANE_DIRECTION_IN) == out)
                fprintf(stderr, " %s", role->name);
        fputc('\n', stderr);
    }
    return NULL;
}

const wane_role_info *tool_role_by_id(const wane_loss_info *loss, wane_role id)
{
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)) != NULL; i++)
        if (role->role == id) return role;
    return NULL;
}

const char *tool_choice(const char *choices, uint32_t index, size_t *length)
{
    const char *at = choices;
    for (; index > 0 && at; index--) {
        at = strchr(at, '|');
        if (at) at++;
    }
    if (!at || !*at) return NULL;
    *length = strcspn(at, "|");
    return at;
}

const char *tool_choices(const wane_param_info *param, char *text, size_t size)
{
    size_t used = 0, length;
    const char *name;
    for (uint32_t i = (uint32_t)param->lowest; i <= param->highest && (name = tool_choice(param->choices, i, &length)); i++)
        if (used < size) used += (size_t)snprintf(text + used, size - used, "%s%.*s", used ? "|" : "", (int)length, name);
    return text;
}

static const wane_param_info *find_param(const wane_loss_info *loss, const char *name, size_t length)
{
    const wane_param_info *param;
    for (uint32_t i = 0; (param = wane_loss_param_at(loss, i)) != NULL; i++)
        if (strlen(param->name) == length && strncmp(param->name, name, length) == 0) return param;
    tool_error("%s has no parameter called \"%.*s\". Its parameters:", loss->name, (int)length, name);
    for (uint32_t i = 0; (param = wane_loss_param_at(loss, i)) != NULL; i++)
        fprintf(stderr, "  %-16s %s\n", param->name, param->meaning);
    return NULL;
}

static bool read_choice(const wane_param_info *param, const char *value, double *out)
{
    const char *name;
    size_t length;
    for (uint32_t i = (uint32_t)param->lowest; i <= param->highest && (name = tool_choice(param->choices, i, &length)); i++)
        if (strlen(value) == length && strncmp(value, name, length) == 0) {
            *out = i;
            return true;
        }
    char choices[128];
    tool_error("%s: \"%s\" is none of its values %s", param->name, value, tool_choices(param, choices, sizeof choices));
    return false;
}

bool tool_param(const wane_loss_info *loss, const char *text, wane_param_value *out)
{
    size_t length = strcspn(text, "=");
    if (text[length] != '=' || length == 0) {
        tool_error("--param takes NAME=VALUE, not \"%s\"", text);
        return false;
    }
    const wane_param_info *param = find_param(loss, text, length);
    if (!param) return false;
    memset(out, 0, sizeof *out);
    out->param = param->param;
    const char *value = text + length + 1;
    if (param->kind == WANE_KIND_CHOICE) return read_choice(param, value, &out->value);
    char *end;
    out->value = strtod(value, &end);
    if (end != value && *end == 0) return true;
    tool_error("%s: \"%s\" is not a number", param->name, value);
    return false;
}

double tool_param_value(const wane_loss_info *loss, wane_param id, const wane_param_value *given, uint32_t count,
                        double absent)
{
    for (uint32_t i = 0; i < count; i++)
        if (given[i].param == id) return given[i].value;
    const wane_param_info *param;
    for (uint32_t i = 0; (param = wane_loss_param_at(loss, i)) != NULL; i++)
        if (param->param == id) return param->standard;
    return absent;
}

const char *tool_direction_name(int direction)
{
    switch (direction) {
    case WANE_DIRECTION_IN: return "in";
    case WANE_DIRECTION_OUT: return "out";
    case WANE_DIRECTION_GRAD: return "grad";
    case WANE_DIRECTION_STATE: return "state";
    default: return "?";
    }
}

const char *tool_kind_name(int kind)
{
    switch (kind) {
    case WANE_KIND_REAL: return "real";
    case WANE_KIND_INTEGER: return "integer";
    case WANE_KIND_CHOICE: return "choice";
    default: return "?";
    }
}

// ---- shapes -------------------------------------------------------------------------------------------------------

// Takes the next name off a shape text. False at its end.
static bool next_name(const char **shape, char name[32])
{
    if (!**shape) return false;
    size_t length = strcspn(*shape, ",|");
    snprintf(name, 32, "%.*s", (int)length, *shape);
    *shape = (*shape)[length] == ',' ? *shape + length + 1 : "";
    return true;
}

static bool is_number(const char *name) { return name[0] >= '0' && name[0] <= '9'; }

static const char *unreduced(const tool_extents *extents, const char *shape)
{
    if (strncmp(shape, "reduced", 7) != 0) return shape;
    if (!extents->reduced_is_rows) return "1";
    return shape[7] ? shape + 8 : "rows";      // "reduced=groups"
}

// What stands behind the name in "groups+1", which it cuts off.
static int64_t take_more(char *name)
{
    size_t length = strcspn(name, "+");
    int64_t more = name[length] ? strtoll(name + length + 1, NULL, 10) : 0;
    name[length] = 0;
    return more;
}

static bool find_extent(const tool_extents *extents, const char *name, int64_t *value)
{
    for (uint32_t i = 0; i < extents->count; i++)
        if (strcmp(extents->known[i].name, name) == 0) {
            *value = extents->known[i].value;
            return true;
        }
    return false;
}

void tool_extents_start(tool_extents *extents, const wane_loss_info *loss, const wane_param_value *params, uint32_t count)
{
    double reduction = tool_param_value(loss, WANE_PARAM_REDUCTION, params, count, WANE_REDUCTION_MEAN);
    double total = tool_param_value(loss, WANE_PARAM_TOTAL_COLS, params, count, 0);
    extents->reduced_is_rows = reduction == WANE_REDUCTION_NONE;
    extents->total_cols = total > 0 && total < 0x1p62 ? (int64_t)total : 0;
}

void tool_extents_learn(tool_extents *extents, const char *shape, const tool_array *array)
{
    char name[32];
    int64_t value;
    uint32_t d = 0;
    shape = unreduced(extents, shape);
    // "A|B" is B for numbers that are no indices
    bool index = array->dtype == WANE_DTYPE_I32 || array->dtype == WANE_DTYPE_I64;
    if (strchr(shape, '|') && !index) shape = strchr(shape, '|') + 1;
    bool matrix = strcmp(shape, "rows,cols") == 0;
    for (; d < array->rank && next_name(&shape, name); d++) {
        int64_t more = take_more(name);
        if (is_number(name) || strchr(name, '=') || strcmp(name, "planes") == 0 || find_extent(extents, name, &value)) continue;
        if (extents->count == sizeof extents->known / sizeof extents->known[0]) return;
        memcpy(extents->known[extents->count].name, name, sizeof name);
        extents->known[extents->count++].value = array->extents[d] > more ? array->extents[d] - more : 0;
    }
    if (!matrix || extents->extra_count) return;
    for (; d < array->rank; d++) extents->extra[extents->extra_count++] = array->extents[d];
}

bool tool_extents_shape(const tool_extents *extents, const char *shape, int dtype, tool_array *out)
{
    int64_t values[TOOL_MAX_RANK] = {0};
    uint32_t rank = 0;
    bool of_rows = false;
    char name[32];
    shape = unreduced(extents, shape);
    if (strcmp(shape, "1") == 0) return tool_array_shape(out, dtype, 0, values);
    for (; rank < TOOL_MAX_RANK && next_name(&shape, name); rank++) {
        values[rank] = 1;
        int64_t more = take_more(name);
        if (is_number(name)) values[rank] = strtoll(name, NULL, 10);
        else if (strcmp(name, "planes") == 0) values[rank] = extents->planes;
        else if (strncmp(name, "total=", 6) == 0 && extents->total_cols) values[rank] = extents->total_cols;
        else if (strncmp(name, "total=", 6) == 0) find_extent(extents, name + 6, &values[rank]);
        else find_extent(extents, name, &values[rank]);
        values[rank] += more;
        of_rows = of_rows || strcmp(name, "rows") == 0;
    }
    for (uint32_t i = 0; of_rows && i < extents->extra_count && rank < TOOL_MAX_RANK; i++)
        values[rank++] = extents->extra[i];
    return tool_array_shape(out, dtype, rank, values);
}
