// profile_shim.c - stands between wane and libvulkan: properties and features are clamped to a profile, and a call that
// uses more than the profile promises ends the process. Nothing of this knows what wane does.
#include "profile.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const profile profiles[] = {
#define PROFILE(name, ...) {#name, __VA_ARGS__},
#include "profiles.def"
    {.name = NULL},
};

enum { MAX_SETS = 4, UNIFORM_BUFFERS = 12, UNIFORM_BYTES = 16384, GROUPS = 65535, ALLOCATIONS = 4096 };
#define STORAGE_BYTES ((VkDeviceSize)1 << 27)

static struct {
    profile p;
    PFN_vkGetInstanceProcAddr get;
    VkInstance instance;
    uint32_t allocations;
} shim;

void profile_exceeded(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "profile %s: ", shim.p.name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    fflush(NULL);
    abort();
}

static PFN_vkVoidFunction real(const char *name)
{
    PFN_vkVoidFunction f = shim.get(shim.instance, name);
    return f ? f : shim.get(NULL, name);
}

#define REAL(name) ((PFN_vk##name)real("vk" #name))
#define SHIM(type) static VKAPI_ATTR type VKAPI_CALL

static void lower(uint32_t *value, uint32_t most) { if (*value > most) *value = most; }
static void raise_to(VkDeviceSize *value, VkDeviceSize least) { if (*value < least) *value = least; }

// ---- what the device says -----------------------------------------------------------------------------------------

static void clamp_properties(VkPhysicalDeviceProperties *out)
{
    const profile *p = &shim.p;
    VkPhysicalDeviceLimits *l = &out->limits;
    lower(&out->apiVersion, p->api);
    lower(&l->maxPerStageDescriptorStorageBuffers, p->storage_buffers);
    lower(&l->maxDescriptorSetStorageBuffers, p->storage_buffers > 24 ? p->storage_buffers : 24);
    lower(&l->maxPerStageDescriptorUniformBuffers, UNIFORM_BUFFERS);
    lower(&l->maxBoundDescriptorSets, MAX_SETS);
    lower(&l->maxStorageBufferRange, (uint32_t)STORAGE_BYTES);
    lower(&l->maxUniformBufferRange, UNIFORM_BYTES);
    lower(&l->maxPushConstantsSize, p->push_bytes);
    lower(&l->maxMemoryAllocationCount, ALLOCATIONS);
    lower(&l->maxComputeSharedMemorySize, p->shared_bytes);
    lower(&l->maxComputeWorkGroupInvocations, p->lanes);
    for (int i = 0; i < 3; i++) {
        lower(&l->maxComputeWorkGroupCount[i], GROUPS);
        lower(&l->maxComputeWorkGroupSize[i], i == 2 ? 64 : p->lanes);
    }
    raise_to(&l->minStorageBufferOffsetAlignment, p->offset_align);
    raise_to(&l->minUniformBufferOffsetAlignment, 256);
    raise_to(&l->nonCoherentAtomSize, 256);
}

SHIM(void) shim_GetPhysicalDeviceProperties(VkPhysicalDevice d, VkPhysicalDeviceProperties *out)
{
    REAL(GetPhysicalDeviceProperties)(d, out);
    clamp_properties(out);
}

SHIM(void) shim_GetPhysicalDeviceProperties2(VkPhysicalDevice d, VkPhysicalDeviceProperties2 *out)
{
    const profile *p = &shim.p;
    REAL(GetPhysicalDeviceProperties2)(d, out);
    clamp_properties(&out->properties);
    for (VkBaseOutStructure *s = out->pNext; s; s = s->pNext) {
        VkPhysicalDeviceSubgroupProperties *subgroup = (void *)s;
        VkPhysicalDeviceMaintenance3Properties *maintenance3 = (void *)s;
        VkPhysicalDeviceMaintenance4Properties *maintenance4 = (void *)s;
        switch ((int)s->sType) {
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES:
            subgroup->subgroupSize = p->subgroup_lanes;
            subgroup->supportedOperations &= p->subgroup_ops;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES:
            if (p->allocation_bytes) maintenance3->maxMemoryAllocationSize = p->allocation_bytes;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES:
            if (p->api < VK_API_VERSION_1_3) profile_exceeded("VkPhysicalDeviceMaintenance4Properties is asked for");
            maintenance4->maxBufferSize = (VkDeviceSize)1 << 30;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES:
            if (p->api < VK_API_VERSION_1_2) profile_exceeded("VkPhysicalDeviceDriverProperties is asked for");
            break;
        default: profile_exceeded("a structure of properties that the shim does not know: %d", (int)s->sType);
        }
    }
}

SHIM(void) shim_GetPhysicalDeviceFeatures2(VkPhysicalDevice d, VkPhysicalDeviceFeatures2 *out)
{
    const profile *p = &shim.p;
    REAL(GetPhysicalDeviceFeatures2)(d, out);
    memset(&out->features, 0, sizeof out->features);
    out->features.robustBufferAccess = VK_TRUE;
    out->features.shaderInt16 = (p->features & HAS_INT16) != 0;
    for (VkBaseOutStructure *s = out->pNext; s; s = s->pNext) {
        VkPhysicalDevice16BitStorageFeatures *storage = (void *)s;
        VkPhysicalDeviceVulkan12Features *vulkan12 = (void *)s;
        VkBool32 *first, *end;
        switch ((int)s->sType) {
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES:
            first = &storage->storageBuffer16BitAccess, end = &storage->storageInputOutput16 + 1;
            while (first < end) *first++ = VK_FALSE;
            storage->storageBuffer16BitAccess = (p->features & HAS_HALF) != 0;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES:
            if (p->api < VK_API_VERSION_1_2) profile_exceeded("VkPhysicalDeviceVulkan12Features is asked for");
            first = &vulkan12->samplerMirrorClampToEdge, end = &vulkan12->subgroupBroadcastDynamicId + 1;
            while (first < end) *first++ = VK_FALSE;
            vulkan12->shaderFloat16 = (p->features & HAS_HALF) != 0;
            vulkan12->timelineSemaphore = (p->features & HAS_TIMELINE) != 0;
            vulkan12->bufferDeviceAddress = (p->features & HAS_ADDRESS) != 0;
            break;
        default: profile_exceeded("a structure of features that the shim does not know: %d", (int)s->sType);
        }
    }
}

SHIM(VkResult) shim_EnumerateDeviceExtensionProperties(VkPhysicalDevice d, const char *layer, uint32_t *count,
                                                       VkExtensionProperties *out)
{
    (void)d, (void)layer, (void)out;
    *count = 0;
    return VK_SUCCESS;
}

// ---- what is asked of it ------------------------------------------------------------------------------------------

SHIM(VkResult) shim_CreateInstance(const VkInstanceCreateInfo *i, const VkAllocationCallbacks *a, VkInstance *out)
{
    VkResult result = ((PFN_vkCreateInstance)shim.get(NULL, "vkCreateInstance"))(i, a, out);
    if (result == VK_SUCCESS) shim.instance = *out;
    return result;
}

SHIM(void) shim_DestroyInstance(VkInstance i, const VkAllocationCallbacks *a)
{
    REAL(DestroyInstance)(i, a);
    shim.instance = VK_NULL_HANDLE;
}

SHIM(VkResult) shim_CreateDevice(VkPhysicalDevice d, const VkDeviceCreateInfo *i, const VkAllocationCallbacks *a, VkDevice *out)
{
    if (i->enabledExtensionCount) profile_exceeded("the extension %s is enabled", i->ppEnabledExtensionNames[0]);
    if (i->pNext || i->pEnabledFeatures) profile_exceeded("features are enabled: teach the shim to look at them");
    return REAL(CreateDevice)(d, i, a, out);
}

SHIM(VkResult) shim_CreateDescriptorSetLayout(VkDevice d, const VkDescriptorSetLayoutCreateInfo *i,
                                              const VkAllocationCallbacks *a, VkDescriptorSetLayout *out)
{
    uint32_t storage = 0, uniform = 0;
    for (uint32_t b = 0; b < i->bindingCount; b++) {
        const VkDescriptorSetLayoutBinding *binding = &i->pBindings[b];
        if (binding->descriptorType == VK_DESCRIPTOR_TYPE_STORAGE_BUFFER) storage += binding->descriptorCount;
        else if (binding->descriptorType == VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER) uniform += binding->descriptorCount;
        else profile_exceeded("a descriptor of type %d", (int)binding->descriptorType);
    }
    if (storage > shim.p.storage_buffers || uniform > UNIFORM_BUFFERS)
        profile_exceeded("a set of %u storage and %u uniform buffers", storage, uniform);
    return REAL(CreateDescriptorSetLayout)(d, i, a, out);
}

SHIM(VkResult) shim_CreatePipelineLayout(VkDevice d, const VkPipelineLayoutCreateInfo *i, const VkAllocationCallbacks *a,
                                         VkPipelineLayout *out)
{
    if (i->setLayoutCount > 1) profile_exceeded("%u sets: teach the shim to add up their buffers", i->setLayoutCount);
    for (uint32_t r = 0; r < i->pushConstantRangeCount; r++)
        if (i->pPushConstantRanges[r].offset + i->pPushConstantRanges[r].size > shim.p.push_bytes)
            profile_exceeded("push constants up to byte %u", i->pPushConstantRanges[r].offset + i->pPushConstantRanges[r].size);
    return REAL(CreatePipelineLayout)(d, i, a, out);
}

SHIM(VkResult) shim_AllocateMemory(VkDevice d, const VkMemoryAllocateInfo *i, const VkAllocationCallbacks *a, VkDeviceMemory *out)
{
    if (shim.p.allocation_bytes && i->allocationSize > shim.p.allocation_bytes)
        profile_exceeded("an allocation of %llu bytes", (unsigned long long)i->allocationSize);
    if (i->pNext) profile_exceeded("an allocation with a structure behind it");
    VkResult result = REAL(AllocateMemory)(d, i, a, out);
    if (result == VK_SUCCESS && ++shim.allocations > ALLOCATIONS) profile_exceeded("%u allocations", shim.allocations);
    return result;
}

SHIM(void) shim_FreeMemory(VkDevice d, VkDeviceMemory m, const VkAllocationCallbacks *a)
{
    shim.allocations -= m != VK_NULL_HANDLE;
    REAL(FreeMemory)(d, m, a);
}

SHIM(VkResult) shim_CreateBuffer(VkDevice d, const VkBufferCreateInfo *i, const VkAllocationCallbacks *a, VkBuffer *out)
{
    if (i->size > (VkDeviceSize)1 << 30) profile_exceeded("a buffer of %llu bytes", (unsigned long long)i->size);
    return REAL(CreateBuffer)(d, i, a, out);
}

SHIM(VkResult) shim_CreateShaderModule(VkDevice d, const VkShaderModuleCreateInfo *i, const VkAllocationCallbacks *a,
                                       VkShaderModule *out)
{
    profile_check_module(&shim.p, i->pCode, i->codeSize / 4);
    return REAL(CreateShaderModule)(d, i, a, out);
}

SHIM(VkResult) shim_CreateComputePipelines(VkDevice d, VkPipelineCache c, uint32_t n, const VkComputePipelineCreateInfo *i,
                                           const VkAllocationCallbacks *a, VkPipeline *out)
{
    for (uint32_t k = 0; k < n; k++)
        if (i[k].pNext || i[k].stage.pNext) profile_exceeded("a pipeline with a structure behind it");
    return REAL(CreateComputePipelines)(d, c, n, i, a, out);
}

SHIM(void) shim_UpdateDescriptorSets(VkDevice d, uint32_t n, const VkWriteDescriptorSet *w, uint32_t copies,
                                     const VkCopyDescriptorSet *c)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < w[i].descriptorCount; k++) {
            const VkDescriptorBufferInfo *b = &w[i].pBufferInfo[k];
            bool storage = w[i].descriptorType == VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
            VkDeviceSize align = storage ? shim.p.offset_align : 256, most = storage ? STORAGE_BYTES : UNIFORM_BYTES;
            if (b->offset % align) profile_exceeded("a binding at byte %llu", (unsigned long long)b->offset);
            if (b->range > most) profile_exceeded("a binding of %llu bytes", (unsigned long long)b->range);
        }
    REAL(UpdateDescriptorSets)(d, n, w, copies, c);
}

SHIM(void) shim_CmdPushConstants(VkCommandBuffer b, VkPipelineLayout l, VkShaderStageFlags s, uint32_t offset, uint32_t size,
                                 const void *data)
{
    if (offset + size > shim.p.push_bytes) profile_exceeded("push constants up to byte %u", offset + size);
    REAL(CmdPushConstants)(b, l, s, offset, size, data);
}

SHIM(void) shim_CmdDispatch(VkCommandBuffer b, uint32_t x, uint32_t y, uint32_t z)
{
    if (x > GROUPS || y > GROUPS || z > GROUPS) profile_exceeded("a grid of %u x %u x %u groups", x, y, z);
    REAL(CmdDispatch)(b, x, y, z);
}

// ---- names --------------------------------------------------------------------------------------------------------

// What Vulkan 1.1 has and is not looked at here asks for nothing that a limit or a feature decides.
static const char *const plain[] = {
    "vkDestroyDevice", "vkGetDeviceQueue", "vkQueueSubmit", "vkQueueWaitIdle", "vkDeviceWaitIdle", "vkCreateFence",
    "vkDestroyFence", "vkResetFences", "vkWaitForFences", "vkGetFenceStatus", "vkCreateEvent", "vkDestroyEvent",
    "vkGetEventStatus", "vkResetEvent", "vkCmdSetEvent", "vkMapMemory", "vkUnmapMemory", "vkDestroyBuffer",
    "vkGetBufferMemoryRequirements", "vkBindBufferMemory", "vkDestroyShaderModule", "vkCreatePipelineCache",
    "vkDestroyPipelineCache", "vkGetPipelineCacheData", "vkDestroyPipeline", "vkDestroyPipelineLayout",
    "vkDestroyDescriptorSetLayout", "vkCreateDescriptorPool", "vkDestroyDescriptorPool", "vkAllocateDescriptorSets",
    "vkResetDescriptorPool", "vkCreateCommandPool", "vkDestroyCommandPool", "vkResetCommandPool",
    "vkAllocateCommandBuffers", "vkFreeCommandBuffers", "vkBeginCommandBuffer", "vkEndCommandBuffer", "vkCmdBindPipeline",
    "vkCmdBindDescriptorSets", "vkCmdPipelineBarrier", "vkCmdCopyBuffer", "vkCreateQueryPool", "vkDestroyQueryPool",
    "vkCmdResetQueryPool", "vkCmdWriteTimestamp", "vkGetQueryPoolResults", "vkFlushMappedMemoryRanges",
    "vkInvalidateMappedMemoryRanges", "vkEnumerateInstanceVersion", "vkEnumerateInstanceExtensionProperties",
    "vkEnumeratePhysicalDevices", "vkGetPhysicalDeviceQueueFamilyProperties", "vkGetPhysicalDeviceMemoryProperties",
    "vkGetPhysicalDeviceMemoryProperties2"};

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL shim_get(VkInstance instance, const char *name);

SHIM(PFN_vkVoidFunction) shim_GetDeviceProcAddr(VkDevice device, const char *name)
{
    (void)device;
    return shim_get(shim.instance, name);
}

// A function that is in neither list does not exist on such a device.
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL shim_get(VkInstance instance, const char *name)
{
#define NAME(f)                                                                                                       \
    if (strcmp(name, "vk" #f) == 0) return (PFN_vkVoidFunction)shim_##f;
    NAME(GetPhysicalDeviceProperties) NAME(GetPhysicalDeviceProperties2) NAME(GetPhysicalDeviceFeatures2)
    NAME(EnumerateDeviceExtensionProperties) NAME(CreateInstance) NAME(DestroyInstance) NAME(CreateDevice)
    NAME(CreateDescriptorSetLayout) NAME(CreatePipelineLayout) NAME(AllocateMemory) NAME(FreeMemory) NAME(CreateBuffer)
    NAME(CreateShaderModule) NAME(CreateComputePipelines) NAME(UpdateDescriptorSets) NAME(CmdPushConstants)
    NAME(CmdDispatch) NAME(GetDeviceProcAddr)
#undef NAME
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (strcmp(name, plain[i]) == 0) return shim.get(instance ? instance : shim.instance, name);
    return NULL;
}

void profile_enter(const profile *p)
{
    memset(&shim, 0, sizeof shim);
    shim.p = *p;
    void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL), *symbol;
    symbol = library ? dlsym(library, "vkGetInstanceProcAddr") : NULL;
    memcpy(&shim.get, &symbol, sizeof shim.get);
}

void *profile_resolve(void *user, const char *name)
{
    (void)user;
    PFN_vkVoidFunction f = shim.get && strcmp(name, "vkGetInstanceProcAddr") == 0 ? (PFN_vkVoidFunction)shim_get : NULL;
    void *address;
    memcpy(&address, &f, sizeof address);
    return address;
}
