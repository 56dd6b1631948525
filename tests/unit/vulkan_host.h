// vulkan_host.h - an engine with a VkDevice of its own, as tests play it, and a problem in its memory. It calls the driver
// beside the shim, which sees wane alone.
#ifndef WANE_TESTS_UNIT_VULKAN_HOST_H
#define WANE_TESTS_UNIT_VULKAN_HOST_H

#include "support.h"
#include "vulkan_shim.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct host {
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    VkDebugUtilsMessengerEXT messenger;     // null where the validation layer is not asked for
    atomic_int complaints;                  // of the validation layer
} host;

#define CALL(name) ((PFN_vk##name)real("vk" #name))
#define MUST(call) assert_int_equal((call), VK_SUCCESS)

// Whether the validation layer is there and asked for.
static inline bool host_validated(void)
{
    const char *wanted = getenv("VK_INSTANCE_LAYERS"), *name = "VK_LAYER_KHRONOS_validation";
    VkLayerProperties layers[64];
    uint32_t count = 64;
    PFN_vkEnumerateInstanceLayerProperties list =
        (PFN_vkEnumerateInstanceLayerProperties)shim.real(NULL, "vkEnumerateInstanceLayerProperties");
    if (!wanted || !strstr(wanted, name) || !list || list(&count, layers) < 0) return false;
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(layers[i].layerName, name) == 0) return true;
    return false;
}

static inline VKAPI_ATTR VkBool32 VKAPI_CALL host_hear(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                       VkDebugUtilsMessageTypeFlagsEXT types,
                                                       const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    (void)types;
    host *h = user;
    if (severity & VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT) {
        h->complaints++;
        printf("    validation: %s\n", data->pMessage);
    }
    return VK_FALSE;
}

static inline VkDebugUtilsMessengerCreateInfoEXT host_messenger(host *h)
{
    return (VkDebugUtilsMessengerCreateInfoEXT){
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = host_hear,
        .pUserData = h};
}

static inline bool host_offers(const host *h, const char *extension)
{
    static VkExtensionProperties list[512];
    uint32_t count = 512;
    bool found = false;
    assert_true(CALL(EnumerateDeviceExtensionProperties)(h->physical, NULL, &count, list) >= 0);
    for (uint32_t i = 0; i < count; i++) found = found || strcmp(list[i].extensionName, extension) == 0;
    return found;
}

// Instance, device and a queue of family 0, with one device extension if it is offered; returns whether it is.
static inline bool host_make(host *h, const char *extension)
{
    memset(h, 0, sizeof *h);
    const char *debug = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    const VkDebugUtilsMessengerCreateInfoEXT messenger = host_messenger(h);
    const VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo instance = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app,
                                           .enabledExtensionCount = host_validated(),
                                           .ppEnabledExtensionNames = &debug};
    shim.instance = NULL;
    MUST(CALL(CreateInstance)(&instance, NULL, &h->instance));
    shim.host = h->instance;
    if (host_validated())
        MUST(CALL(CreateDebugUtilsMessengerEXT)(h->instance, &messenger, NULL, &h->messenger));
    uint32_t one = 1;
    VkResult result = CALL(EnumeratePhysicalDevices)(h->instance, &one, &h->physical);
    assert_true(result == VK_SUCCESS || result == VK_INCOMPLETE);
    const bool enabled = extension && host_offers(h, extension);
    const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueCount = 1, .pQueuePriorities = &priority};
    const VkDeviceCreateInfo device = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                       .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue,
                                       .enabledExtensionCount = enabled,
                                       .ppEnabledExtensionNames = &extension};
    MUST(CALL(CreateDevice)(h->physical, &device, NULL, &h->device));
    CALL(GetDeviceQueue)(h->device, 0, 0, &h->queue);
    return enabled;
}

// What the validation layer said so far must be nothing.
static inline void host_free(host *h)
{
    CALL(DestroyDevice)(h->device, NULL);
    if (h->messenger) CALL(DestroyDebugUtilsMessengerEXT)(h->instance, h->messenger, NULL);
    CALL(DestroyInstance)(h->instance, NULL);
    shim.host = NULL;
    assert_int_equal(atomic_load(&h->complaints), 0);
}

static inline wane_vulkan_device_desc host_desc(const host *h, bool with_queue)
{
    return (wane_vulkan_device_desc){.struct_size = sizeof(wane_vulkan_device_desc), .instance = h->instance,
                                     .physical_device = h->physical, .device = h->device,
                                     .queue = with_queue ? h->queue : VK_NULL_HANDLE,
                                     .api_version = VK_API_VERSION_1_1, .get_instance_proc_addr = shim_get};
}

static inline wane_device *host_wrap(wane_context *context, const host *h, bool with_queue)
{
    wane_vulkan_device_desc desc = host_desc(h, with_queue);
    wane_device *device = NULL;
    assert_int_equal(wane_device_wrap_vulkan(context, &desc, &device), WANE_OK);
    return device;
}

// ---- memory -------------------------------------------------------------------------------------------------------

typedef struct host_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    void *mapped;
} host_buffer;

static inline host_buffer host_buffer_make(const host *h, uint64_t bytes, VkBufferUsageFlags usage)
{
    host_buffer b;
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = bytes, .usage = usage};
    MUST(CALL(CreateBuffer)(h->device, &info, NULL, &b.buffer));
    VkMemoryRequirements needs;
    CALL(GetBufferMemoryRequirements)(h->device, b.buffer, &needs);
    VkPhysicalDeviceMemoryProperties types;
    CALL(GetPhysicalDeviceMemoryProperties)(h->physical, &types);
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t type = 0;
    while (!(needs.memoryTypeBits >> type & 1u) || (types.memoryTypes[type].propertyFlags & wanted) != wanted) type++;
    const VkMemoryAllocateInfo memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = needs.size,
                                         .memoryTypeIndex = type};
    MUST(CALL(AllocateMemory)(h->device, &memory, NULL, &b.memory));
    MUST(CALL(BindBufferMemory)(h->device, b.buffer, b.memory, 0));
    MUST(CALL(MapMemory)(h->device, b.memory, 0, VK_WHOLE_SIZE, 0, &b.mapped));
    return b;
}

static inline void host_buffer_free(const host *h, const host_buffer *b)
{
    CALL(DestroyBuffer)(h->device, b->buffer, NULL);
    CALL(FreeMemory)(h->device, b->memory, NULL);
}

// The operands of a problem and its workspace one after another in one buffer of the host's, `gap` bytes apart, so that
// every one has an offset; the args to record with.
typedef struct bound {
    host_buffer memory;
    uint64_t bytes, offsets[TEST_OPERANDS + 1];
    wane_binding bindings[TEST_OPERANDS];
    wane_args args;
} bound;

static inline void host_bind(bound *b, const host *h, const test_problem *p, uint64_t workspace_bytes, uint64_t gap)
{
    memset(b, 0, sizeof *b);
    uint32_t count = p->desc.operand_count;
    uint64_t at = gap;
    for (uint32_t i = 0; i < count; i++) {
        at = (at + 7) / 8 * 8 + gap;
        b->offsets[i] = at;
        at += p->blocks[i].bytes;
    }
    at = (at + 255) / 256 * 256;
    b->offsets[count] = at;
    b->bytes = at + (workspace_bytes + 3) / 4 * 4;
    b->memory = host_buffer_make(h, b->bytes, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    memset(b->memory.mapped, TEST_POISON, b->bytes);
    uint64_t native = 0;
    memcpy(&native, &b->memory.buffer, sizeof b->memory.buffer);
    for (uint32_t i = 0; i < count; i++) {
        memcpy((char *)b->memory.mapped + b->offsets[i], p->blocks[i].data, p->blocks[i].bytes);
        b->bindings[i] = p->bindings[i];
        b->bindings[i].host = NULL;
        b->bindings[i].native = native;
        b->bindings[i].byte_offset = b->offsets[i];
        b->bindings[i].bytes = b->bytes;
    }
    b->args = p->args;
    b->args.bindings = b->bindings;
    b->args.workspace = (wane_binding){.struct_size = sizeof(wane_binding), .native = native, .bytes = b->bytes,
                                       .byte_offset = b->offsets[count]};
}

static inline void host_fetch(const bound *b, test_problem *p)
{
    for (uint32_t i = 0; i < p->desc.operand_count; i++)
        memcpy(p->blocks[i].data, (char *)b->memory.mapped + b->offsets[i], p->blocks[i].bytes);
}

// ---- command buffers ----------------------------------------------------------------------------------------------

typedef struct host_commands {
    VkCommandPool pool;
    VkCommandBuffer buffer;
    VkFence fence;
} host_commands;

static inline host_commands host_commands_make(const host *h)
{
    host_commands c;
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    MUST(CALL(CreateCommandPool)(h->device, &pool, NULL, &c.pool));
    const VkCommandBufferAllocateInfo buffer = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                .commandPool = c.pool, .commandBufferCount = 1};
    MUST(CALL(AllocateCommandBuffers)(h->device, &buffer, &c.buffer));
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    MUST(CALL(CreateFence)(h->device, &fence, NULL, &c.fence));
    return c;
}

static inline void host_commands_free(const host *h, const host_commands *c)
{
    CALL(DestroyFence)(h->device, c->fence, NULL);
    CALL(DestroyCommandPool)(h->device, c->pool, NULL);
}

static inline void host_begin(const host *h, const host_commands *c)
{
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    MUST(CALL(ResetCommandPool)(h->device, c->pool, 0));
    MUST(CALL(BeginCommandBuffer)(c->buffer, &begin));
}

static inline void host_submit(const host *h, const host_commands *c)
{
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    CALL(CmdPipelineBarrier)(c->buffer, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                             &barrier, 0, NULL, 0, NULL);
    MUST(CALL(EndCommandBuffer)(c->buffer));
    const VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1,
                                 .pCommandBuffers = &c->buffer};
    MUST(CALL(QueueSubmit)(h->queue, 1, &submit, c->fence));
}

static inline void host_wait(const host *h, const host_commands *c)
{
    MUST(CALL(WaitForFences)(h->device, 1, &c->fence, VK_TRUE, UINT64_MAX));
    MUST(CALL(ResetFences)(h->device, 1, &c->fence));
}

#endif
