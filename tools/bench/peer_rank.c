// peer_rank.c - pairwise_rank on arrays of another program: what tools/bench-peers-rank calls through ctypes.
#include "wane/wane.h"

#include <stdlib.h>
#include <string.h>

enum { OPERANDS_MOST = 6, PARAMS_MOST = 5 };

typedef struct peer {
    wane_context *context;
    wane_executable *executable;
    wane_operand operands[OPERANDS_MOST];
    wane_binding bindings[OPERANDS_MOST];
    wane_args args;
    void *workspace;
} peer;

typedef struct peer_problem {
    int64_t items, groups;
    int32_t threads, link, pair_weight, reduction;
    double sigma, margin;
    float *scores, *labels, *grad, *loss;   // grad or loss may be NULL
    int32_t *offsets;                       // [groups + 1]; NULL for one group
    int64_t *pair_count;                    // may be NULL
} peer_problem;

static void add(peer *p, wane_role role, wane_dtype dtype, void *data, int64_t count)
{
    if (!data) return;
    uint32_t i = p->args.binding_count++;
    p->operands[i] = (wane_operand){.struct_size = sizeof *p->operands, .role = role,
                                    .tensor = {.struct_size = sizeof p->operands->tensor, .dtype = dtype, .rank = 1,
                                               .extents = {count}}};
    p->bindings[i] = (wane_binding){.struct_size = sizeof *p->bindings, .role = role, .host = data,
                                    .bytes = (uint64_t)count * wane_dtype_bytes(dtype)};
}

static wane_status make(peer *p, const peer_problem *q)
{
    wane_context_desc context = {.struct_size = sizeof context, .thread_count = (uint32_t)q->threads,
                                 .backends = WANE_BACKEND_CPU};
    wane_device *device = NULL;
    wane_status status = wane_context_create(&context, &p->context);
    if (!status) status = wane_device_find(p->context, "cpu", &device);
    if (status) return status;
    add(p, WANE_ROLE_SCORES, WANE_DTYPE_F32, q->scores, q->items);
    add(p, WANE_ROLE_LABELS, WANE_DTYPE_F32, q->labels, q->items);
    add(p, WANE_ROLE_OFFSETS, WANE_DTYPE_I32, q->offsets, q->groups + 1);
    add(p, WANE_ROLE_LOSS, WANE_DTYPE_F32, q->loss, 1);
    add(p, WANE_ROLE_GRAD_SCORES, WANE_DTYPE_F32, q->grad, q->items);
    add(p, WANE_ROLE_PAIR_COUNT, WANE_DTYPE_I64, q->pair_count, 1);
    const wane_param_value params[PARAMS_MOST] = {
        {.param = WANE_PARAM_REDUCTION, .value = q->reduction}, {.param = WANE_PARAM_LINK, .value = q->link},
        {.param = WANE_PARAM_PAIR_WEIGHT, .value = q->pair_weight}, {.param = WANE_PARAM_SIGMA, .value = q->sigma},
        {.param = WANE_PARAM_MARGIN, .value = q->margin}};
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = WANE_LOSS_PAIRWISE_RANK, .params = params,
                           .param_count = PARAMS_MOST, .operands = p->operands, .operand_count = p->args.binding_count};
    wane_plan *plan = NULL;
    status = wane_plan_create(device, &desc, &plan);
    wane_plan_info info = {.struct_size = sizeof info};
    if (!status) status = wane_plan_get_info(plan, &info);
    if (!status) status = wane_executable_create(plan, &p->executable);
    wane_plan_destroy(plan);
    if (status) return status;
    p->workspace = aligned_alloc(256, (info.workspace_bytes + 255) / 256 * 256);
    if (!p->workspace) return WANE_ERROR_HOST_MEMORY;
    p->args.struct_size = sizeof p->args;
    p->args.bindings = p->bindings;
    p->args.workspace = (wane_binding){.struct_size = sizeof(wane_binding), .host = p->workspace, .bytes = info.workspace_bytes};
    return WANE_OK;
}

__attribute__((visibility("default"))) void peer_rank_close(peer *p)
{
    if (!p) return;
    wane_executable_destroy(p->executable);
    wane_context_destroy(p->context);
    free(p->workspace);
    free(p);
}

// NULL, with the status in *status.
__attribute__((visibility("default"))) peer *peer_rank_open(const peer_problem *problem, int32_t *status)
{
    peer *p = calloc(1, sizeof *p);
    *status = p ? make(p, problem) : WANE_ERROR_HOST_MEMORY;
    if (*status == WANE_OK) return p;
    peer_rank_close(p);
    return NULL;
}

__attribute__((visibility("default"))) int32_t peer_rank_run(peer *p) { return wane_run_cpu(p->executable, &p->args); }
__attribute__((visibility("default"))) const char *peer_rank_version(void) { return wane_version(); }
