// consumer.cpp - the README's example as C++11 has it.
#include <wane/wane.h>

#include <cstdio>
#include <cstring>

static wane_operand operand(wane_role role, wane_dtype dtype, uint32_t rank)
{
    wane_operand o;
    std::memset(&o, 0, sizeof o);
    o.struct_size = sizeof o;
    o.role = role;
    o.tensor.struct_size = sizeof o.tensor;
    o.tensor.dtype = dtype;
    o.tensor.rank = rank;
    o.tensor.extents[0] = 2;
    o.tensor.extents[1] = 3;
    return o;
}

static wane_binding memory(wane_role role, void *host, uint64_t bytes)
{
    wane_binding b;
    std::memset(&b, 0, sizeof b);
    b.struct_size = sizeof b;
    b.role = role;
    b.host = host;
    b.bytes = bytes;
    return b;
}

int main()
{
    float logits[6] = {2, 1, 0, 1, 3, -1}, loss = 0;
    int32_t target[2] = {0, 1};
    const wane_operand operands[] = {operand(WANE_ROLE_LOGITS, WANE_DTYPE_F32, 2),
                                     operand(WANE_ROLE_TARGET, WANE_DTYPE_I32, 1),
                                     operand(WANE_ROLE_LOSS, WANE_DTYPE_F32, 0)};
    const wane_binding bindings[] = {memory(WANE_ROLE_LOGITS, logits, sizeof logits),
                                     memory(WANE_ROLE_TARGET, target, sizeof target),
                                     memory(WANE_ROLE_LOSS, &loss, sizeof loss)};
    wane_loss_desc desc = wane_loss_desc();
    desc.struct_size = sizeof desc;
    desc.loss = WANE_LOSS_CROSS_ENTROPY;
    desc.operands = operands;
    desc.operand_count = 3;
    wane_args args = wane_args();
    args.struct_size = sizeof args;
    args.bindings = bindings;
    args.binding_count = 3;
    wane_context *context = nullptr;
    wane_device *device = nullptr;
    wane_plan *plan = nullptr;
    wane_executable *executable = nullptr;
    wane_status status = wane_context_create(nullptr, &context);
    if (!status) status = wane_device_find(context, nullptr, &device);
    if (!status) status = wane_plan_create(device, &desc, &plan);
    if (!status) status = wane_executable_create(plan, &executable);
    if (!status) status = wane_run(executable, nullptr, &args);
    std::printf("%s, loss %.6f\n", wane_status_text(status), loss);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    wane_context_destroy(context);
    return status ? 1 : 0;
}
