// peer.c - cross_entropy, forward and gradient, on arrays of another program: what tools/bench-peers calls through ctypes.
#include "wane/wane.h"

#include <stdlib.h>
#include <string.h>

typedef struct peer {
    wane_context *context;
    wane_executable *executable;
    wane_binding bindings[8];
    wane_args args;
    void *workspace;
} peer;

typedef struct peer_problem {
    int64_t rows, cols;
    int32_t dtype, threads;                 // dtype: wane_dtype
    void *logits, *grad;
    int64_t *target;
    float *loss, *weight;                   // weight may be NULL
    double label_smoothing, z_loss, ignore_index;
} peer_problem;

static void add(peer *p, wane_operand *operands, wane_role role, wane_dtype dtype, void *data, int64_t rows, int64_t cols)
{
    uint32_t i = p->args.binding_count++;
    uint64_t count = (uint64_t)rows * (uint64_t)(cols ? cols : 1);
    operands[i] = (wane_operand){.struct_size = sizeof *operands, .role = role,
                                 .tensor = {.struct_size = sizeof operands->tensor, .dtype = dtype, .rank = cols ? 2 : 1,
                                            .extents = {rows, cols}}};
    p->bindings[i] = (wane_binding){.struct_size = sizeof *p->bindings, .role = role, .host = data,
                                    .bytes = count * wane_dtype_bytes(dtype)};
}

static wane_status make(peer *p, const peer_problem *q)
{
    wane_context_desc context = {.struct_size = sizeof context, .thread_count = (uint32_t)q->threads,
                                 .backends = WANE_BACKEND_CPU};
    wane_device *device = NULL;
    wane_status status = wane_context_create(&context, &p->context);
    if (!status) status = wane_device_find(p->context, "cpu", &device);
    if (status) return status;
    wane_operand operands[8];
    add(p, operands, WANE_ROLE_LOGITS, (wane_dtype)q->dtype, q->logits, q->rows, q->cols);
    add(p, operands, WANE_ROLE_TARGET, WANE_DTYPE_I64, q->target, q->rows, 0);
    add(p, operands, WANE_ROLE_LOSS, WANE_DTYPE_F32, q->loss, 1, 0);
    add(p, operands, WANE_ROLE_GRAD_LOGITS, (wane_dtype)q->dtype, q->grad, q->rows, q->cols);
    if (q->weight) add(p, operands, WANE_ROLE_WEIGHT, WANE_DTYPE_F32, q->weight, q->cols, 0);
    wane_param_value params[] = {{.param = WANE_PARAM_LABEL_SMOOTHING, .value = q->label_smoothing},
                                 {.param = WANE_PARAM_Z_LOSS, .value = q->z_loss},
                                 {.param = WANE_PARAM_IGNORE_INDEX, .value = q->ignore_index}};
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = WANE_LOSS_CROSS_ENTROPY, .params = params,
                           .param_count = 3, .operands = operands, .operand_count = p->args.binding_count};
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
__attribute__((visibility("default"))) const char *peer_version(void) { return wane_version(); }
