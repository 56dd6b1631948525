// vulkan_shim.h - stands between wane and libvulkan in vulkan_test.c: changes limits, makes calls fail, counts.
#ifndef WANE_TESTS_UNIT_VULKAN_SHIM_H
#define WANE_TESTS_UNIT_VULKAN_SHIM_H

#define VK_NO_PROTOTYPES
#include "wane/wane_vulkan.h"

#include <string.h>

static struct {
    PFN_vkGetInstanceProcAddr real;
    PFN_vkGetDeviceProcAddr real_device;
    VkInstance instance;
    void (*change)(VkPhysicalDeviceProperties *properties);
    uint32_t calls;                        // fallible calls so far
    uint32_t fail_at;                      // 0: none
    VkResult fail_with;
    const char *failed;                    // the call that was made to fail
    uint32_t made;                         // calls that create or allocate
    uint32_t pipelines;                    // compiled
    size_t initial_bytes;                  // of the last pipeline cache
    int live;                              // objects made and not destroyed
} shim;

static PFN_vkVoidFunction real(const char *name)
{
    PFN_vkVoidFunction f = shim.real(shim.instance, name);
    return f ? f : shim.real(NULL, name);
}

static int fails(const char *name)
{
    if (++shim.calls != shim.fail_at) return 0;
    shim.failed = name;
    return 1;
}

#define FALLIBLE(name, parameters, arguments, after)                                                                  \
    static VKAPI_ATTR VkResult VKAPI_CALL shim_##name parameters                                                      \
    {                                                                                                                 \
        if (fails("vk" #name)) return shim.fail_with;                                                                 \
        VkResult result = ((PFN_vk##name)real("vk" #name))arguments;                                                  \
        if (result == VK_SUCCESS) {                                                                                   \
            after;                                                                                                    \
        }                                                                                                             \
        return result;                                                                                                \
    }
#define DESTROYS(name, handle)                                                                                        \
    static VKAPI_ATTR void VKAPI_CALL shim_##name(VkDevice d, handle h, const VkAllocationCallbacks *a)               \
    {                                                                                                                 \
        shim.live -= h != VK_NULL_HANDLE;                                                                             \
        ((PFN_vk##name)real("vk" #name))(d, h, a);                                                                    \
    }
#define CREATES(name, info, handle)                                                                                   \
    FALLIBLE(name, (VkDevice d, const info *i, const VkAllocationCallbacks *a, handle *out), (d, i, a, out),          \
             (shim.live++, shim.made++))

FALLIBLE(EnumeratePhysicalDevices, (VkInstance i, uint32_t *n, VkPhysicalDevice *out), (i, n, out), (void)0)
FALLIBLE(CreateDevice, (VkPhysicalDevice p, const VkDeviceCreateInfo *i, const VkAllocationCallbacks *a, VkDevice *out),
         (p, i, a, out), (shim.live++, shim.made++))
CREATES(CreateFence, VkFenceCreateInfo, VkFence)
CREATES(AllocateMemory, VkMemoryAllocateInfo, VkDeviceMemory)
CREATES(CreateBuffer, VkBufferCreateInfo, VkBuffer)
CREATES(CreateShaderModule, VkShaderModuleCreateInfo, VkShaderModule)
CREATES(CreatePipelineLayout, VkPipelineLayoutCreateInfo, VkPipelineLayout)
CREATES(CreateDescriptorSetLayout, VkDescriptorSetLayoutCreateInfo, VkDescriptorSetLayout)
CREATES(CreateDescriptorPool, VkDescriptorPoolCreateInfo, VkDescriptorPool)
CREATES(CreateCommandPool, VkCommandPoolCreateInfo, VkCommandPool)
FALLIBLE(CreatePipelineCache,
         (VkDevice d, const VkPipelineCacheCreateInfo *i, const VkAllocationCallbacks *a, VkPipelineCache *out),
         (d, i, a, out), (shim.live++, shim.made++, shim.initial_bytes = i->initialDataSize))
FALLIBLE(CreateComputePipelines,
         (VkDevice d, VkPipelineCache c, uint32_t n, const VkComputePipelineCreateInfo *i,
          const VkAllocationCallbacks *a, VkPipeline *out),
         (d, c, n, i, a, out), (shim.live++, shim.made++, shim.pipelines++))
FALLIBLE(AllocateDescriptorSets, (VkDevice d, const VkDescriptorSetAllocateInfo *i, VkDescriptorSet *out), (d, i, out),
         shim.made++)
FALLIBLE(AllocateCommandBuffers, (VkDevice d, const VkCommandBufferAllocateInfo *i, VkCommandBuffer *out), (d, i, out),
         shim.made++)
FALLIBLE(BindBufferMemory, (VkDevice d, VkBuffer b, VkDeviceMemory m, VkDeviceSize o), (d, b, m, o), (void)0)
FALLIBLE(MapMemory, (VkDevice d, VkDeviceMemory m, VkDeviceSize o, VkDeviceSize n, VkMemoryMapFlags f, void **out),
         (d, m, o, n, f, out), (void)0)
FALLIBLE(ResetFences, (VkDevice d, uint32_t n, const VkFence *f), (d, n, f), (void)0)
FALLIBLE(QueueSubmit, (VkQueue q, uint32_t n, const VkSubmitInfo *s, VkFence f), (q, n, s, f), (void)0)
FALLIBLE(ResetCommandPool, (VkDevice d, VkCommandPool p, VkCommandPoolResetFlags f), (d, p, f), (void)0)
FALLIBLE(BeginCommandBuffer, (VkCommandBuffer c, const VkCommandBufferBeginInfo *i), (c, i), (void)0)
FALLIBLE(EndCommandBuffer, (VkCommandBuffer c), (c), (void)0)
DESTROYS(DestroyFence, VkFence)
DESTROYS(FreeMemory, VkDeviceMemory)
DESTROYS(DestroyBuffer, VkBuffer)
DESTROYS(DestroyShaderModule, VkShaderModule)
DESTROYS(DestroyPipelineLayout, VkPipelineLayout)
DESTROYS(DestroyDescriptorSetLayout, VkDescriptorSetLayout)
DESTROYS(DestroyDescriptorPool, VkDescriptorPool)
DESTROYS(DestroyCommandPool, VkCommandPool)
DESTROYS(DestroyPipelineCache, VkPipelineCache)
DESTROYS(DestroyPipeline, VkPipeline)

// A wait that fails has waited all the same: the driver under the shim is alive and works on.
static VKAPI_ATTR VkResult VKAPI_CALL shim_WaitForFences(VkDevice d, uint32_t n, const VkFence *f, VkBool32 all,
                                                         uint64_t t)
{
    VkResult result = ((PFN_vkWaitForFences)real("vkWaitForFences"))(d, n, f, all, t);
    return fails("vkWaitForFences") ? shim.fail_with : result;
}

static VKAPI_ATTR VkResult VKAPI_CALL shim_CreateInstance(const VkInstanceCreateInfo *i, const VkAllocationCallbacks *a,
                                                          VkInstance *out)
{
    if (fails("vkCreateInstance")) return shim.fail_with;
    VkResult result = ((PFN_vkCreateInstance)shim.real(NULL, "vkCreateInstance"))(i, a, out);
    if (result == VK_SUCCESS) shim.instance = *out;
    shim.live += result == VK_SUCCESS;
    return result;
}

static VKAPI_ATTR void VKAPI_CALL shim_DestroyInstance(VkInstance i, const VkAllocationCallbacks *a)
{
    shim.live--;
    ((PFN_vkDestroyInstance)real("vkDestroyInstance"))(i, a);
    shim.instance = NULL;
}

static VKAPI_ATTR void VKAPI_CALL shim_DestroyDevice(VkDevice d, const VkAllocationCallbacks *a)
{
    shim.live--;
    ((PFN_vkDestroyDevice)real("vkDestroyDevice"))(d, a);
}

static VKAPI_ATTR void VKAPI_CALL shim_GetPhysicalDeviceProperties(VkPhysicalDevice p, VkPhysicalDeviceProperties *out)
{
    ((PFN_vkGetPhysicalDeviceProperties)real("vkGetPhysicalDeviceProperties"))(p, out);
    if (shim.change) shim.change(out);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL shim_get(VkInstance instance, const char *name);

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL shim_GetDeviceProcAddr(VkDevice device, const char *name)
{
    (void)device;
    return shim_get(shim.instance, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL shim_get(VkInstance instance, const char *name)
{
#define SHIM(f)                                                                                                       \
    if (strcmp(name, "vk" #f) == 0) return (PFN_vkVoidFunction)shim_##f;
    SHIM(EnumeratePhysicalDevices) SHIM(CreateDevice) SHIM(CreateFence) SHIM(AllocateMemory) SHIM(CreateBuffer)
    SHIM(CreateShaderModule) SHIM(CreatePipelineLayout) SHIM(CreateDescriptorSetLayout) SHIM(CreateDescriptorPool)
    SHIM(CreateCommandPool) SHIM(CreatePipelineCache) SHIM(CreateComputePipelines) SHIM(AllocateDescriptorSets)
    SHIM(AllocateCommandBuffers) SHIM(BindBufferMemory) SHIM(MapMemory) SHIM(ResetFences) SHIM(WaitForFences)
    SHIM(QueueSubmit) SHIM(ResetCommandPool) SHIM(BeginCommandBuffer) SHIM(EndCommandBuffer) SHIM(DestroyFence)
    SHIM(FreeMemory) SHIM(DestroyBuffer) SHIM(DestroyShaderModule) SHIM(DestroyPipelineLayout)
    SHIM(DestroyDescriptorSetLayout) SHIM(DestroyDescriptorPool) SHIM(DestroyCommandPool) SHIM(DestroyPipelineCache)
    SHIM(DestroyPipeline) SHIM(CreateInstance) SHIM(DestroyInstance) SHIM(DestroyDevice)
    SHIM(GetPhysicalDeviceProperties) SHIM(GetDeviceProcAddr)
    return shim.real(instance, name);
}

static void *resolve(void *user, const char *name)
{
    (void)user;
    PFN_vkVoidFunction f = strcmp(name, "vkGetInstanceProcAddr") == 0 ? (PFN_vkVoidFunction)shim_get : NULL;
    void *address;
    memcpy(&address, &f, sizeof address);
    return address;
}

#endif
