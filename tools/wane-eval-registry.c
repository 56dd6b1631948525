// wane-eval-registry.c - --list and --describe: the registry as text and as JSON.
#include "wane-eval.h"

#include "common/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *need_name(const wane_role_info *role)
{
    return role->need == WANE_NEED_REQUIRED ? "required" : "optional";
}

// ---- JSON ---------------------------------------------------------------------------------------------------------

static cJSON *role_json(const wane_role_info *role)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", role->name);
    cJSON_AddNumberToObject(json, "id", role->role);
    cJSON_AddStringToObject(json, "direction", tool_direction_name(role->direction));
    cJSON_AddStringToObject(json, "need", need_name(role));
    // "A|B": A for indices, B for other numbers
    char first[32];
    const char *other = strchr(role->shape, '|');
    snprintf(first, sizeof first, "%.*s", (int)strcspn(role->shape, "|"), role->shape);
    cJSON_AddItemToObject(json, "shape", tool_json_split(first, ','));
    if (other) cJSON_AddItemToObject(json, "shape_of_floats", tool_json_split(other + 1, ','));
    cJSON *types = cJSON_AddArrayToObject(json, "types");
    for (int dtype = 1; dtype < 32; dtype++)
        if (role->types & 1u << dtype) cJSON_AddItemToArray(types, cJSON_CreateString(tool_dtype_name(dtype)));
    return json;
}

static cJSON *param_json(const wane_param_info *param)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", param->name);
    cJSON_AddNumberToObject(json, "id", param->param);
    cJSON_AddStringToObject(json, "kind", tool_kind_name(param->kind));
    size_t length;
    const char *choice = tool_choice(param->choices, (uint32_t)param->standard, &length);
    if (param->kind == WANE_KIND_CHOICE && choice) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)length, choice);
        cJSON_AddStringToObject(json, "default", name);
        char choices[128];
        cJSON_AddItemToObject(json, "choices", tool_json_split(tool_choices(param, choices, sizeof choices), '|'));
    } else {
        cJSON_AddNumberToObject(json, "default", param->standard);
        cJSON_AddNumberToObject(json, "lowest", param->lowest);
        cJSON_AddBoolToObject(json, "lowest_excluded", param->lowest_excluded != 0);
        cJSON_AddNumberToObject(json, "highest", param->highest);
    }
    cJSON_AddStringToObject(json, "meaning", param->meaning);
    return json;
}

static cJSON *loss_json(const wane_loss_info *loss)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", loss->name);
    cJSON_AddNumberToObject(json, "id", loss->loss);
    cJSON_AddStringToObject(json, "family", loss->family);
    cJSON_AddStringToObject(json, "summary", loss->summary);
    cJSON_AddStringToObject(json, "formula", loss->formula);
    cJSON_AddStringToObject(json, "source", loss->source);
    const wane_role_info *role;
    cJSON *roles = cJSON_AddArrayToObject(json, "roles");
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)) != NULL; i++) cJSON_AddItemToArray(roles, role_json(role));
    const wane_param_info *param;
    cJSON *params = cJSON_AddArrayToObject(json, "params");
    for (uint32_t i = 0; (param = wane_loss_param_at(loss, i)) != NULL; i++)
        cJSON_AddItemToArray(params, param_json(param));
    return json;
}

int eval_list(bool json)
{
    const wane_loss_info *loss;
    if (!json) {
        for (uint32_t i = 0; (loss = wane_loss_at(i)) != NULL; i++)
            printf("%-20s %-12s %s\n", loss->name, loss->family, loss->summary);
        return TOOL_OK;
    }
    cJSON *all = cJSON_CreateObject();
    cJSON_AddStringToObject(all, "version", wane_version());
    cJSON *losses = cJSON_AddArrayToObject(all, "losses");
    for (uint32_t i = 0; (loss = wane_loss_at(i)) != NULL; i++) cJSON_AddItemToArray(losses, loss_json(loss));
    return tool_json_print(all, stdout);
}

// ---- text ---------------------------------------------------------------------------------------------------------

static void print_roles(const wane_loss_info *loss, bool outputs)
{
    const wane_role_info *role;
    printf("\n%s\n", outputs ? "Outputs (--out)" : "Inputs (--in)");
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)) != NULL; i++) {
        bool state = role->direction == WANE_DIRECTION_STATE;
        if (!state && (role->direction != WANE_DIRECTION_IN) != outputs) continue;
        char types[64], shape[64];
        snprintf(shape, sizeof shape, "[%s]", role->shape);
        bool index = role->types & 1u << WANE_DTYPE_I32 && role->types & 1u << WANE_DTYPE_I64;
        const char *note = outputs ? (index ? "written as i64" : "") : need_name(role);
        if (state) note = outputs ? "saved for --in statistics" : "optional; then logits are read for gradients alone";
        if (role->direction == WANE_DIRECTION_GRAD) note = "in its input's type, or in that of --accumulate";
        int end = *note ? 18 : 0;           // no blanks at the end of a line
        printf("  %-16s %-14s %-*s%s%s\n", role->name, shape, end, tool_types_text(role->types, types, sizeof types),
               *note ? " " : "", note);
    }
}

static void print_param(const wane_param_info *param)
{
    char range[128], standard[48];
    size_t length = 0;
    const char *choice = tool_choice(param->choices, (uint32_t)param->standard, &length);
    if (param->kind == WANE_KIND_CHOICE && choice) {
        snprintf(standard, sizeof standard, "%.*s", (int)length, choice);
        tool_choices(param, range, sizeof range);
    } else {
        // 10 digits: every 32-bit integer in full
        snprintf(standard, sizeof standard, "%.10g", param->standard);
        bool whole = fabs(param->lowest) > 1e15 && param->highest > 1e15;
        if (whole) snprintf(range, sizeof range, "any");
        else if (param->highest > 1e38)
            snprintf(range, sizeof range, "%s %.9g", param->lowest_excluded ? "above" : "from", param->lowest);
        else
            snprintf(range, sizeof range, "%c%.10g, %.10g]", param->lowest_excluded ? '(' : '[', param->lowest,
                     param->highest);
    }
    bool wide = strlen(range) > 17;         // a long list of choices has a line of its own
    printf("  %-16s %-8s default %-10s %-17s %s\n", param->name, tool_kind_name(param->kind), standard, wide ? "" : range,
           param->meaning);
    if (wide) printf("  %-16s %s\n", "", range);
}

// Whether a role has the extents, as they stand between commas and bars: "reduced" is not "reduced=groups".
static bool has_shape(const wane_loss_info *loss, const char *part)
{
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)) != NULL; i++)
        for (const char *at = role->shape; at; at = strpbrk(at, ",|") ? strpbrk(at, ",|") + 1 : NULL)
            if (strncmp(at, part, strlen(part)) == 0 && strchr(",|", at[strlen(part)])) return true;
    return false;
}

// Of the gradients, those of tensors that must be there.
static bool of_required(const wane_loss_info *loss, const wane_role_info *grad)
{
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)) != NULL; i++)
        if (strcmp(grad->name + strlen("grad_"), role->name) == 0) return role->need == WANE_NEED_REQUIRED;
    return false;
}

static void print_example(const wane_loss_info *loss)
{
    const wane_role_info *role;
    printf("\nExample\n  wane-eval %s", loss->name);
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)) != NULL; i++)
        if (role->direction == WANE_DIRECTION_IN && role->need == WANE_NEED_REQUIRED)
            printf(" --in %s=%s.npy", role->name, role->name);
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)) != NULL; i++)
        if (role->role == WANE_ROLE_LOSS || (role->direction == WANE_DIRECTION_GRAD && of_required(loss, role)))
            printf(" --out %s=%s.npy", role->name, role->name);
    printf("\n");
}

int eval_describe(const wane_loss_info *loss, bool json)
{
    if (json) return tool_json_print(loss_json(loss), stdout);
    printf("%s: %s\n\n", loss->name, loss->summary);
    printf("  family    %s\n  formula   %s\n  source    %s\n", loss->family, loss->formula, loss->source);
    print_roles(loss, false);
    print_roles(loss, true);
    if (has_shape(loss, "rows,cols"))
        printf("  [rows,cols] may be [N,C,L] or [N,C,H,W], classes second: [rows] is then [N,L] or [N,H,W].\n");
    if (has_shape(loss, "reduced"))
        printf("  [reduced] is a scalar for the reductions mean and sum, [rows] for none.\n");
    if (has_shape(loss, "reduced=groups"))
        printf("  [reduced=groups] is [groups] for the reduction none, else a scalar; groups is 1 without offsets.\n");
    if (has_shape(loss, "reduced=pairs")) printf("  [reduced=pairs] is [pairs] for the reduction none, else a scalar.\n");
    if (has_shape(loss, "total=cols"))
        printf("  [total=cols] is [total_cols] where that parameter is given, else [cols].\n");
    if (has_shape(loss, "planes"))
        printf("  [planes] follows from the loss and its parameters; what was saved with the same ones fits.\n");
    printf("\nParameters (--param NAME=VALUE)\n");
    const wane_param_info *param;
    for (uint32_t i = 0; (param = wane_loss_param_at(loss, i)) != NULL; i++) print_param(param);
    print_example(loss);
    return TOOL_OK;
}
