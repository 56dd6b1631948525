// engine_vulkan.c - wane inside an engine that owns its Vulkan device. A step is one command buffer: a pass of the
// engine makes logits, wane makes loss and gradient, a pass of the engine takes the step. Two steps are in flight, and
// a timeline semaphore says which are done. wane submits nothing and waits for nothing.
#include "engine_vulkan.h"

#include <wane/wane_vulkan.h>

enum { FRAMES = 2 };

static void hear(void *user, const wane_log_record *record)
{
    (void)user;
    fprintf(stderr, "wane: %s: %s\n", record->operand ? record->operand : "-", record->text);
}

#define OPERAND(r, type, ...) {.struct_size = sizeof(wane_operand), .role = r, \
    .tensor = {.struct_size = sizeof(wane_tensor), .dtype = type, __VA_ARGS__}}
#define AT(r, offset) {.struct_size = sizeof(wane_binding), .role = r, .native = handle, .bytes = bytes, \
    .byte_offset = offset}

int main(void)
{
    if (!open_device()) return printf("no Vulkan device: skipped\n"), 77;
    wane_context *context;
    wane_device *wrapped;
    wane_plan *plan;
    wane_executable *executable;
    wane_recorder *recorders[FRAMES];      // one for each command buffer in flight
    MUST(wane_context_create(&(wane_context_desc){.struct_size = sizeof(wane_context_desc), .log = hear}, &context));
    MUST(wane_device_wrap_vulkan(context, &(wane_vulkan_device_desc){.struct_size = sizeof(wane_vulkan_device_desc),
        .instance = instance, .physical_device = physical, .device = device, .queue_family = family,
        .api_version = VK_API_VERSION_1_2, .get_instance_proc_addr = vkGetInstanceProcAddr}, &wrapped));
    const wane_operand operands[] = {
        OPERAND(WANE_ROLE_LOGITS, WANE_DTYPE_F32, .rank = 2, .extents = {ROWS, COLS}),
        OPERAND(WANE_ROLE_TARGET, WANE_DTYPE_I32, .rank = 1, .extents = {ROWS}),
        OPERAND(WANE_ROLE_LOSS, WANE_DTYPE_F32, .rank = 0),
        OPERAND(WANE_ROLE_GRAD_LOGITS, WANE_DTYPE_F32, .rank = 2, .extents = {ROWS, COLS})};
    MUST(wane_plan_create(wrapped, &(wane_loss_desc){.struct_size = sizeof(wane_loss_desc),
        .loss = WANE_LOSS_CROSS_ENTROPY, .operands = operands, .operand_count = 4}, &plan));
    wane_plan_info info = {.struct_size = sizeof info};
    MUST(wane_plan_get_info(plan, &info));
    MUST(wane_executable_create(plan, &executable));
    for (int f = 0; f < FRAMES; f++) MUST(wane_recorder_create(&executable, 1, 0, &recorders[f]));

    const uint64_t bytes = AT_WORKSPACE + info.workspace_bytes;
    make_heap(bytes);
    make_pass();
    engine_start((float *)(mapped + AT_W), (int32_t *)(mapped + AT_TARGET));
    uint64_t handle = (uint64_t)heap;
    wane_binding bindings[] = {AT(WANE_ROLE_LOGITS, AT_Z), AT(WANE_ROLE_TARGET, AT_TARGET), AT(WANE_ROLE_LOSS, AT_LOSS),
                               AT(WANE_ROLE_GRAD_LOGITS, AT_GRAD)};
    const wane_args args = {.struct_size = sizeof args, .bindings = bindings, .binding_count = 4,
                            .workspace = AT(WANE_ROLE_NONE, AT_WORKSPACE)};

    VkSemaphore done;                      // its value: how many steps are done
    MUST(vkCreateSemaphore(device, &(VkSemaphoreCreateInfo){.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
        .pNext = &(VkSemaphoreTypeCreateInfo){.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                              .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE}}, NULL, &done));
    VkCommandPool pools[FRAMES];
    VkCommandBuffer commands[FRAMES];
    for (int f = 0; f < FRAMES; f++) {
        MUST(vkCreateCommandPool(device, &(VkCommandPoolCreateInfo){.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
            .queueFamilyIndex = family}, NULL, &pools[f]));
        MUST(vkAllocateCommandBuffers(device, &(VkCommandBufferAllocateInfo){
            .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = pools[f], .commandBufferCount = 1},
            &commands[f]));
    }
    float losses[STEPS];
    for (uint64_t step = 0; step < STEPS + FRAMES; step++) {
        const uint64_t f = step % FRAMES, finished = step < FRAMES ? 0 : step - FRAMES + 1;
        MUST(vkWaitSemaphores(device, &(VkSemaphoreWaitInfo){.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
            .semaphoreCount = 1, .pSemaphores = &done, .pValues = &finished}, UINT64_MAX));
        if (step >= FRAMES) losses[step - FRAMES] = ((float *)(mapped + AT_LOSS))[f];
        if (step >= STEPS) continue;
        VkCommandBuffer c = commands[f];
        MUST(vkResetCommandPool(device, pools[f], 0));
        MUST(wane_recorder_reset(recorders[f]));           // the work that it recorded is done
        MUST(vkBeginCommandBuffer(c, &(VkCommandBufferBeginInfo){.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
            .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT}));
        record_barrier(c, BETWEEN);                        // the step before this one, in an earlier submission
        record_pass(c, sets[0], 2, 0);                     // z = 2 w
        record_barrier(c, BETWEEN);
        bindings[2].byte_offset = AT_LOSS + 4 * f;
        MUST(wane_record_vulkan(executable, recorders[f], &args, c));
        record_barrier(c, BETWEEN);
        record_pass(c, sets[1], -2 * RATE, 1);             // w = w - RATE * 2 * grad
        record_barrier(c, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
        MUST(vkEndCommandBuffer(c));
        const uint64_t value = step + 1;
        MUST(vkQueueSubmit(queue, 1, &(VkSubmitInfo){.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1,
            .pCommandBuffers = &c, .signalSemaphoreCount = 1, .pSignalSemaphores = &done,
            .pNext = &(VkTimelineSemaphoreSubmitInfo){
                .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                .signalSemaphoreValueCount = 1, .pSignalSemaphoreValues = &value}},
            VK_NULL_HANDLE));
    }
    int code = engine_check("Vulkan engine", (float *)(mapped + AT_W), losses);

    for (int f = 0; f < FRAMES; f++) {
        wane_recorder_destroy(recorders[f]);
        vkDestroyCommandPool(device, pools[f], NULL);
    }
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    wane_context_destroy(context);         // before the device that it was lent
    vkDestroySemaphore(device, done, NULL);
    close_device();
    return code;
}
