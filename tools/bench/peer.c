// peer.c - a loss on arrays of another program: what tools/bench/peer.py calls. Operands are dense, roles and
// parameters given by name.
#include "wane/wane.h"

#include <stdlib.h>
#include <string.h>

enum { PEER_OPERANDS = 16 };

typedef struct peer_operand {
    const char *role;
    void *data;
    int64_t extents[4];
    int32_t dtype, rank;                    // dtype: wane_dtype
} peer_operand;

typedef struct peer_param {
    const char *name;
    double value;
} peer_param;

typedef struct peer_problem {
    const char *loss;
    const peer_operand *operands;
    const peer_param *params;
    int32_t operand_count, param_count, threads, reserved;
} peer_problem;

typedef struct peer {
    wane_context *context;
    wane_executable *executable;
    wane_binding bindings[PEER_OPERANDS];
    wane_args args;
    wane_plan_info info;
    void *workspace;
} peer;

static wane_role role_named(const wane_loss_info *loss, const char *name)
{
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)) != NULL; i++)
        if (strcmp(role->name, name) == 0) return role->role;
    return WANE_ROLE_NONE;
}

static wane_param param_named(const wane_loss_info *loss, const char *name)
{
    const wane_param_info *param;
    for (uint32_t i = 0; (param = wane_loss_param_at(loss, i)) != NULL; i++)
        if (strcmp(param->name, name) == 0) return param->param;
    return WANE_PARAM_NONE;
}

static void add(peer *p, wane_operand *operands, wane_role role, const peer_operand *from)
{
    uint32_t i = p->args.binding_count++;
    uint64_t bytes = wane_dtype_bytes((wane_dtype)from->dtype);
    operands[i] = (wane_operand){.struct_size = sizeof *operands, .role = role,
                                 .tensor = {.struct_size = sizeof operands->tensor, .dtype = (wane_dtype)from->dtype,
                                            .rank = (uint32_t)from->rank}};
    for (int d = 0; d < from->rank && d < 4; d++) {
        operands[i].tensor.extents[d] = from->extents[d];
        bytes *= (uint64_t)from->extents[d];
    }
    p->bindings[i] = (wane_binding){.struct_size = sizeof *p->bindings, .role = role, .host = from->data, .bytes = bytes};
}

static wane_status prepare(peer *p, wane_device *device, const peer_problem *q)
{
    wane_operand operands[PEER_OPERANDS];
    wane_param_value params[PEER_OPERANDS];
    const wane_loss_info *loss = wane_loss_by_name(q->loss);
    if (!loss) return WANE_ERROR_UNKNOWN_LOSS;
    if (q->operand_count > PEER_OPERANDS || q->param_count > PEER_OPERANDS) return WANE_ERROR_SIZE;
    for (int i = 0; i < q->operand_count; i++) add(p, operands, role_named(loss, q->operands[i].role), &q->operands[i]);
    for (int i = 0; i < q->param_count; i++)
        params[i] = (wane_param_value){.param = param_named(loss, q->params[i].name), .value = q->params[i].value};
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = loss->loss, .params = params, .operands = operands,
                           .param_count = (uint32_t)q->param_count, .operand_count = p->args.binding_count};
    wane_plan *plan = NULL;
    wane_status status = wane_plan_create(device, &desc, &plan);
    p->info.struct_size = sizeof p->info;
    if (!status) status = wane_plan_get_info(plan, &p->info);
    if (!status) status = wane_executable_create(plan, &p->executable);
    wane_plan_destroy(plan);
    return status;
}

static wane_status make(peer *p, const peer_problem *q)
{
    wane_context_desc context = {.struct_size = sizeof context, .thread_count = (uint32_t)q->threads,
                                 .backends = WANE_BACKEND_CPU};
    wane_device *device = NULL;
    wane_status status = wane_context_create(&context, &p->context);
    if (!status) status = wane_device_find(p->context, "cpu", &device);
    if (!status) status = prepare(p, device, q);
    if (status) return status;
    p->workspace = aligned_alloc(256, (p->info.workspace_bytes + 256) / 256 * 256);
    if (!p->workspace) return WANE_ERROR_HOST_MEMORY;
    p->args.struct_size = sizeof p->args;
    p->args.bindings = p->bindings;
    p->args.workspace = (wane_binding){.struct_size = sizeof(wane_binding), .host = p->workspace, .bytes = p->info.workspace_bytes};
    return WANE_OK;
}

__attribute__((visibility("default"))) void peer_close(peer *p)
{
    if (!p) return;
    wane_executable_destroy(p->executable);
    wane_context_destroy(p->context);
    free(p->workspace);
    free(p);
}

// NULL, with the status in *status.
__attribute__((visibility("default"))) peer *peer_open(const peer_problem *problem, int32_t *status)
{
    peer *p = calloc(1, sizeof *p);
    *status = p ? make(p, problem) : WANE_ERROR_HOST_MEMORY;
    if (*status == WANE_OK) return p;
    peer_close(p);
    return NULL;
}

__attribute__((visibility("default"))) int32_t peer_run(peer *p) { return wane_run_cpu(p->executable, &p->args); }
__attribute__((visibility("default"))) int64_t peer_workspace_bytes(const peer *p) { return (int64_t)p->info.workspace_bytes; }
__attribute__((visibility("default"))) const char *peer_version(void) { return wane_version(); }
