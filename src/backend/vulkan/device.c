// device.c - opening and closing a device; submitting to its queue; failed calls as statuses.
#include "backend/vulkan/vulkan.h"

wane_status vulkan_fail(wane_device *device, VkResult result, wane_status otherwise, const char *call)
{
    if (result == VK_ERROR_DEVICE_LOST) return wane_device_lose(device, (int32_t)result, call);
    wane_status status = result == VK_ERROR_OUT_OF_HOST_MEMORY ? WANE_ERROR_HOST_MEMORY
        : result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_TOO_MANY_OBJECTS ? WANE_ERROR_DEVICE_MEMORY
                                                                                          : otherwise;
    return wane_fail_native(device->context, status, (int32_t)result, "%s: %s returned %d", device->id, call,
                            (int)result);
}

// ---- queue --------------------------------------------------------------------------------------------------------

static void lock_queue(vulkan_device *d)
{
    wane_mutex_lock(d->queue_lock);
    if (d->host_lock) d->host_lock(d->host_user);
}

static void unlock_queue(vulkan_device *d)
{
    if (d->host_unlock) d->host_unlock(d->host_user);
    wane_mutex_unlock(d->queue_lock);
}

wane_status vulkan_commands_create(wane_device *device, vulkan_commands *commands)
{
    vulkan_device *d = vulkan_of(device);
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = d->family};
    VkResult result = d->vk.CreateCommandPool(d->device, &pool, NULL, &commands->pool);
    if (result != VK_SUCCESS) return vulkan_fail(device, result, WANE_ERROR_DRIVER, "vkCreateCommandPool");
    const VkCommandBufferAllocateInfo buffer = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                .commandPool = commands->pool,
                                                .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                .commandBufferCount = 1};
    result = d->vk.AllocateCommandBuffers(d->device, &buffer, &commands->buffer);
    if (result != VK_SUCCESS) return vulkan_fail(device, result, WANE_ERROR_DRIVER, "vkAllocateCommandBuffers");
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    result = d->vk.CreateFence(d->device, &fence, NULL, &commands->fence);
    if (result != VK_SUCCESS) return vulkan_fail(device, result, WANE_ERROR_DRIVER, "vkCreateFence");
    return WANE_OK;
}

void vulkan_commands_destroy(vulkan_device *d, vulkan_commands *commands)
{
    if (commands->fence) d->vk.DestroyFence(d->device, commands->fence, NULL);
    if (commands->pool) d->vk.DestroyCommandPool(d->device, commands->pool, NULL);
    memset(commands, 0, sizeof *commands);
}

wane_status vulkan_commands_begin(wane_device *device, vulkan_commands *commands)
{
    vulkan_device *d = vulkan_of(device);
    VkResult result = d->vk.ResetCommandPool(d->device, commands->pool, 0);
    if (result != VK_SUCCESS) return vulkan_fail(device, result, WANE_ERROR_DRIVER, "vkResetCommandPool");
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                            .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    result = d->vk.BeginCommandBuffer(commands->buffer, &begin);
    if (result != VK_SUCCESS) return vulkan_fail(device, result, WANE_ERROR_DRIVER, "vkBeginCommandBuffer");
    return WANE_OK;
}

wane_status vulkan_commands_finish(wane_device *device, vulkan_commands *commands)
{
    vulkan_device *d = vulkan_of(device);
    VkResult result = d->vk.EndCommandBuffer(commands->buffer);
    if (result != VK_SUCCESS) return vulkan_fail(device, result, WANE_ERROR_SUBMIT, "vkEndCommandBuffer");
    result = d->vk.ResetFences(d->device, 1, &commands->fence);
    if (result != VK_SUCCESS) return vulkan_fail(device, result, WANE_ERROR_SUBMIT, "vkResetFences");
    const VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                 .commandBufferCount = 1,
                                 .pCommandBuffers = &commands->buffer};
    lock_queue(d);
    result = d->vk.QueueSubmit(d->queue, 1, &submit, commands->fence);
    unlock_queue(d);
    if (result != VK_SUCCESS) return vulkan_fail(device, result, WANE_ERROR_SUBMIT, "vkQueueSubmit");
    result = d->vk.WaitForFences(d->device, 1, &commands->fence, VK_TRUE, UINT64_MAX);
    if (result == VK_SUCCESS) return WANE_OK;
    if (result == VK_ERROR_DEVICE_LOST) return vulkan_fail(device, result, WANE_ERROR_SUBMIT, "vkWaitForFences");
    // the work may still run in memory that the caller is about to free: unless it is known to be over, all is lost
    lock_queue(d);
    VkResult idle = d->vk.QueueWaitIdle(d->queue);
    unlock_queue(d);
    if (idle != VK_SUCCESS) return wane_device_lose(device, (int32_t)idle, "vkQueueWaitIdle");
    return vulkan_fail(device, result, WANE_ERROR_SUBMIT, "vkWaitForFences");
}

void vulkan_barrier(vulkan_device *d, VkCommandBuffer commands, VkPipelineStageFlags from, VkAccessFlags from_access,
                    VkPipelineStageFlags to, VkAccessFlags to_access)
{
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = from_access,
                                     .dstAccessMask = to_access};
    d->vk.CmdPipelineBarrier(commands, from, to, 0, 1, &barrier, 0, NULL, 0, NULL);
}

// ---- opening ------------------------------------------------------------------------------------------------------

static wane_status make_device(wane_device *device)
{
    vulkan_device *d = vulkan_of(device);
    const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = d->family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const char *extensions[2];
    uint32_t count = 0;
    if (d->portability_subset) extensions[count++] = "VK_KHR_portability_subset";      // must be enabled if offered
    if (d->host_memory) extensions[count++] = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = count,
                                     .ppEnabledExtensionNames = count ? extensions : NULL};
    VkResult result = d->vki.CreateDevice(d->physical, &info, NULL, &d->device);
    if (result != VK_SUCCESS) {
        d->device = VK_NULL_HANDLE;
        return vulkan_fail(device, result, WANE_ERROR_DRIVER, "vkCreateDevice");
    }
    return WANE_OK;
}

static wane_status load_device(wane_device *device)
{
    vulkan_device *d = vulkan_of(device);
    const char *missing = NULL;
#define LOAD(name)                                                                                                    \
    d->vk.name = (PFN_vk##name)d->vki.GetDeviceProcAddr(d->device, "vk" #name);                                       \
    if (!d->vk.name) missing = "vk" #name;
    VULKAN_DEVICE_FUNCTIONS(LOAD)
#undef LOAD
    const char *name = "vkGetMemoryHostPointerPropertiesEXT";
    d->host_pointer_properties = d->host_memory
        ? (PFN_vkGetMemoryHostPointerPropertiesEXT)d->vki.GetDeviceProcAddr(d->device, name) : NULL;
    if (!missing) return WANE_OK;
    return wane_fail_native(device->context, WANE_ERROR_DRIVER, 0, "%s: the driver lacks %s", device->id, missing);
}

// One layout for all kernels. Bindings that a kernel does not use stay unwritten, which is allowed for what no shader
// uses statically.
static wane_status make_layouts(wane_device *device)
{
    vulkan_device *d = vulkan_of(device);
    VkDescriptorSetLayoutBinding bindings[WANE_MAX_SLOTS + 1];
    memset(bindings, 0, sizeof bindings);
    for (uint32_t i = 0; i <= WANE_MAX_SLOTS; i++) {
        bindings[i].binding = i;
        bindings[i].descriptorType = i == VULKAN_UNIFORM ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER
                                                         : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        bindings[i].descriptorCount = 1;
        bindings[i].stageFlags = VK_SHADER_STAGE_COMPUTE_BIT;
    }
    const VkDescriptorSetLayoutCreateInfo set = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                 .bindingCount = WANE_MAX_SLOTS + 1,
                                                 .pBindings = bindings};
    VkResult result = d->vk.CreateDescriptorSetLayout(d->device, &set, NULL, &d->set_layout);
    if (result != VK_SUCCESS) return vulkan_fail(device, result, WANE_ERROR_DRIVER, "vkCreateDescriptorSetLayout");
    const VkPushConstantRange push = {VK_SHADER_STAGE_COMPUTE_BIT, 0, VULKAN_PUSH_WORDS * 4};
    const VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                               .setLayoutCount = 1,
                                               .pSetLayouts = &d->set_layout,
                                               .pushConstantRangeCount = 1,
                                               .pPushConstantRanges = &push};
    result = d->vk.CreatePipelineLayout(d->device, &layout, NULL, &d->pipeline_layout);
    if (result != VK_SUCCESS) return vulkan_fail(device, result, WANE_ERROR_DRIVER, "vkCreatePipelineLayout");
    return WANE_OK;
}

static wane_mutex *make_lock(wane_context *context)
{
    wane_mutex *lock = wane_alloc(context, wane_mutex_bytes());
    if (lock && !wane_mutex_init(lock)) {
        wane_free(context, lock);
        lock = NULL;
    }
    return lock;
}

static void drop_lock(wane_context *context, wane_mutex **lock)
{
    if (*lock) wane_mutex_fini(*lock);
    wane_free(context, *lock);
    *lock = NULL;
}

static wane_status open_parts(wane_device *device)
{
    vulkan_device *d = vulkan_of(device);
    d->lock = make_lock(device->context);
    d->queue_lock = make_lock(device->context);
    d->transfer_lock = make_lock(device->context);
    if (!d->lock || !d->queue_lock || !d->transfer_lock) return wane_no_memory(device->context);
    wane_status status = device->wrapped ? WANE_OK : make_device(device);
    if (!status) status = load_device(device);
    if (status) return status;
    if (!device->wrapped) d->vk.GetDeviceQueue(d->device, d->family, 0, &d->queue);
    status = make_layouts(device);
    if (!status) status = vulkan_cache_open(device);
    if (!status) status = vulkan_memory_create(device, 256, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, false, &d->dummy);
    return status;
}

wane_status vulkan_device_open(wane_device *device)
{
    wane_status status = open_parts(device);
    if (status) vulkan_device_close(device);
    return status;
}

static void close_parts(vulkan_device *d, wane_context *context)
{
    vulkan_commands_destroy(d, &d->transfer);
    vulkan_memory_destroy(d, &d->staging);
    vulkan_memory_destroy(d, &d->dummy);
    while (d->pipelines) {
        vulkan_pipeline *next = d->pipelines->next;
        d->vk.DestroyPipeline(d->device, d->pipelines->pipeline, NULL);
        wane_free(context, d->pipelines);
        d->pipelines = next;
    }
    if (d->cache) d->vk.DestroyPipelineCache(d->device, d->cache, NULL);
    if (d->pipeline_layout) d->vk.DestroyPipelineLayout(d->device, d->pipeline_layout, NULL);
    if (d->set_layout) d->vk.DestroyDescriptorSetLayout(d->device, d->set_layout, NULL);
    d->cache = VK_NULL_HANDLE;
    d->pipeline_layout = VK_NULL_HANDLE;
    d->set_layout = VK_NULL_HANDLE;
}

// Leaves what discovery found; a wrapped device was found by nobody else and goes with all it has.
void vulkan_device_close(wane_device *device)
{
    vulkan_device *d = vulkan_of(device);
    wane_context *context = device->context;
    if (!d) return;
    if (d->device) {
        close_parts(d, context);
        // vkDestroyDevice itself is missing only if load_device failed at the first name
        if (!device->wrapped && d->vk.DestroyDevice) d->vk.DestroyDevice(d->device, NULL);
    }
    if (!device->wrapped) d->device = VK_NULL_HANDLE;
    d->queue = device->wrapped ? d->queue : VK_NULL_HANDLE;
    drop_lock(context, &d->lock);
    drop_lock(context, &d->queue_lock);
    drop_lock(context, &d->transfer_lock);
    if (!device->wrapped) return;
    if (d->library) wane_library_close(d->library);
    wane_free(context, d);
    device->native = NULL;
}

const wane_backend wane_backend_vulkan = {
    .bit = WANE_BACKEND_VULKAN,
    .name = "vulkan",
    .discover = vulkan_discover,
    .shutdown = vulkan_shutdown,
    .device_open = vulkan_device_open,
    .device_close = vulkan_device_close,
    .buffer_create = vulkan_buffer_create,
    .buffer_destroy = vulkan_buffer_destroy,
    .buffer_write = vulkan_buffer_write,
    .buffer_read = vulkan_buffer_read,
    .program_create = vulkan_program_create,
    .program_destroy = vulkan_program_destroy,
    .recorder_create = vulkan_recorder_create,
    .recorder_reset = vulkan_recorder_reset,
    .recorder_destroy = vulkan_recorder_destroy,
    .run = vulkan_run,
};
