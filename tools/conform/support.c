// support.c - what a device can plan: each loss, each role alone, each type; and why not.
#include "family.h"

#include <string.h>

enum { ROWS = 8, COLS = 8, DIM = 8 };      // as many rows as columns: clip takes no other

static void add_operand(wane_loss_desc *desc, wane_operand *operands, const conform_case *c, const wane_role_info *role,
                        wane_dtype dtype, uint32_t flags, uint32_t planes)
{
    wane_operand operand;
    memset(&operand, 0, sizeof operand);
    operand.struct_size = sizeof operand;
    operand.role = role->role;
    operand.flags = flags;
    operand.tensor.struct_size = sizeof operand.tensor;
    operand.tensor.dtype = dtype;
    operand.tensor.rank = conform_shape_as(c, role, dtype, planes, operand.tensor.extents);
    operands[desc->operand_count++] = operand;
}

// Of a role beside one that is tried in `tried`: half types go together.
static wane_dtype type_beside(const wane_role_info *role, wane_dtype tried)
{
    bool half = tried == WANE_DTYPE_F16 || tried == WANE_DTYPE_BF16;
    uint32_t type = WANE_DTYPE_F32, types = role->types;
    if (half && types & 1u << tried && !strchr(role->shape, '|')) return tried;
    // of two shapes the first is that of indices, under which every other role can be asked for
    if (strchr(role->shape, '|')) types &= WANE_TYPES_INDEX;
    while (!(types & 1u << type)) type++;
    return (wane_dtype)type;
}

// A plan with the required inputs, this role in this type, an output if the role is none, and parameters by their defaults
// but for `choice`, where there is one.
static wane_status try_role(conform_session *session, const wane_loss_info *loss, const wane_role_info *tried, wane_dtype dtype,
                            uint32_t flags, const wane_param_value *choice)
{
    conform_case c;
    memset(&c, 0, sizeof c);
    c.loss = loss;
    c.family = conform_family_of(loss);
    c.rows = ROWS;
    c.cols = COLS;
    c.dim = DIM;
    c.groups = 1;
    c.pairs = 1;
    wane_operand operands[CONFORM_IDS];
    wane_loss_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.loss = loss->loss;
    desc.operands = operands;
    desc.params = choice;
    desc.param_count = choice ? 1 : 0;
    uint32_t mask = 0;
    bool has_state = conform_roles(loss, WANE_DIRECTION_STATE, -1) != 0;
    if (has_state && wane_statistics_need(session->context, &desc, &mask) != WANE_OK) return WANE_ERROR_INTERNAL;
    bool output = !conform_is_input(tried) && !(flags & WANE_OPERAND_GIVEN);
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)); i++) {
        bool required = conform_is_input(role) && role->need == WANE_NEED_REQUIRED;
        bool filler = !output && role->direction == WANE_DIRECTION_OUT;
        // states are given together
        bool beside = flags & WANE_OPERAND_GIVEN && role->direction == WANE_DIRECTION_STATE;
        if (role == tried || beside) add_operand(&desc, operands, &c, role, dtype, flags, wane_statistics_plane_count(mask));
        else if (required || filler) add_operand(&desc, operands, &c, role, type_beside(role, dtype), 0, 0);
        output = output || filler;
    }
    wane_plan *plan = NULL;
    session->log[0] = '\0';
    wane_status status = wane_plan_create(session->device, &desc, &plan);
    wane_plan_destroy(plan);
    return status;
}

// A role that the defaults exclude, such as groups where the scope is all: the choice with which it is taken, as text.
static bool find_choice(conform_session *session, const wane_loss_info *loss, const wane_role_info *role, wane_dtype dtype,
                        uint32_t flags, char *text, size_t capacity)
{
    const wane_param_info *info;
    for (uint32_t i = 0; (info = wane_loss_param_at(loss, i)); i++) {
        const char *name = info->choices;
        for (double v = 0; info->kind == WANE_KIND_CHOICE && v <= info->highest; v++) {
            wane_param_value choice = {.param = info->param, .value = v};
            snprintf(text, capacity, "%s=%.*s", info->name, (int)strcspn(name, "|"), name);
            if (v >= info->lowest && v != info->standard && try_role(session, loss, role, dtype, flags, &choice) == WANE_OK) return true;
            name += strcspn(name, "|");
            name += *name == '|';
        }
    }
    return false;
}

static void print_role(conform_session *session, const wane_loss_info *loss, const wane_role_info *role)
{
    static const char *const directions[] = {"", "input", "output", "gradient", "state"};
    bool extra = role->direction == WANE_DIRECTION_GRAD || role->direction == WANE_DIRECTION_STATE;
    for (uint32_t dtype = WANE_DTYPE_F32; dtype <= WANE_DTYPE_U32; dtype++) {
        if (!(role->types & 1u << dtype)) continue;
        for (uint32_t flags = 0; flags < (extra ? 2u : 1u); flags++) {
            uint32_t flag = !flags ? 0u : role->direction == WANE_DIRECTION_GRAD ? WANE_OPERAND_ACCUMULATE : WANE_OPERAND_GIVEN;
            wane_dtype type = (wane_dtype)dtype;
            char why[CONFORM_MESSAGE], choice[80];
            printf("  %-9s %-14s %-4s %-10s ", directions[role->direction], role->name, wane_dtype_name(type),
                   flag == 0 ? "" : flag == WANE_OPERAND_ACCUMULATE ? "accumulate" : "given");
            bool yes = try_role(session, loss, role, type, flag, NULL) == WANE_OK;
            snprintf(why, sizeof why, "%s", session->log);
            if (yes) puts("yes");
            else if (find_choice(session, loss, role, type, flag, choice, sizeof choice)) printf("yes, with %s\n", choice);
            else printf("no: %s\n", why);
        }
    }
}

// Of a filter for cases, such as clip.*, the part up to the first point is that for losses.
static bool loss_matches(const char *filter, const char *name)
{
    char part[CONFORM_NAME];
    snprintf(part, sizeof part, "%.*s", (int)strcspn(filter, "."), filter);
    return conform_glob(part, name);
}

int conform_support(const conform_options *options)
{
    conform_session session;
    char head[1024];
    if (!conform_session_open(&session, options)) {
        bool absent = session.status == WANE_ERROR_NO_DEVICE;
        fprintf(stderr, "wane-conform: %s: %s\n", absent ? "no such device" : wane_status_text(session.status), session.log);
        conform_session_close(&session);
        return 3;
    }
    conform_session_head(&session, head, sizeof head);
    printf("%s\n", head);
    const wane_loss_info *loss;
    const wane_role_info *role;
    uint32_t shown = 0;
    for (uint32_t i = 0; (loss = wane_loss_at(i)); i++) {
        if (options->filter && !loss_matches(options->filter, loss->name)) continue;
        printf("%s\n", loss->name);
        for (uint32_t r = 0; (role = wane_loss_role_at(loss, r)); r++) print_role(&session, loss, role);
        shown++;
    }
    conform_session_close(&session);
    if (!shown) fprintf(stderr, "wane-conform: no loss matches --filter %s: --mode support without it shows them all\n", options->filter);
    return shown ? 0 : 77;
}
