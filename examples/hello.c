// Value and gradient of softmax cross-entropy, on the device that WANE_DEVICE names, else the best one of this machine.
#include <stdio.h>
#include <wane/wane.h>

#define TENSOR(r, type, ...) \
    {.struct_size = sizeof(wane_operand), .role = r, \
     .tensor = {.struct_size = sizeof(wane_tensor), .dtype = type, __VA_ARGS__}}
#define MEMORY(r, array) {.struct_size = sizeof(wane_binding), .role = r, .host = array, .bytes = sizeof array}

int main(void)
{
    float logits[2][3] = {{2, 1, 0}, {1, 3, -1}}, grad[2][3], loss[1];
    int32_t target[2] = {0, 1};
    // What to compute: shapes alone. Outputs that are not named here are not computed.
    wane_operand operands[] = {TENSOR(WANE_ROLE_LOGITS, WANE_DTYPE_F32, .rank = 2, .extents = {2, 3}),
                               TENSOR(WANE_ROLE_TARGET, WANE_DTYPE_I32, .rank = 1, .extents = {2}),
                               TENSOR(WANE_ROLE_LOSS, WANE_DTYPE_F32, .rank = 0),
                               TENSOR(WANE_ROLE_GRAD_LOGITS, WANE_DTYPE_F32, .rank = 2, .extents = {2, 3})};
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = WANE_LOSS_CROSS_ENTROPY,
                           .operands = operands, .operand_count = 4};
    // Where it is in memory: wane_run takes the program's own arrays.
    wane_binding bindings[] = {MEMORY(WANE_ROLE_LOGITS, logits), MEMORY(WANE_ROLE_TARGET, target),
                               MEMORY(WANE_ROLE_LOSS, loss), MEMORY(WANE_ROLE_GRAD_LOGITS, grad)};
    wane_args args = {.struct_size = sizeof args, .bindings = bindings, .binding_count = 4};
    wane_context *context = NULL;
    wane_device *device = NULL;
    wane_plan *plan = NULL;
    wane_executable *executable = NULL;
    wane_status status = wane_context_create(NULL, &context);
    if (status == WANE_OK) status = wane_device_find(context, NULL, &device);
    if (status == WANE_OK) status = wane_plan_create(device, &desc, &plan);
    if (status == WANE_OK) status = wane_executable_create(plan, &executable);
    if (status == WANE_OK) status = wane_run(executable, NULL, &args);
    if (status == WANE_OK) printf("loss %.6f, gradient %f %f %f, ...\n", loss[0], grad[0][0], grad[0][1], grad[0][2]);
    else fprintf(stderr, "%s\n", wane_status_text(status));
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    wane_context_destroy(context);
    return status == WANE_OK ? 0 : 1;
}
