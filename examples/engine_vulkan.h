// engine_vulkan.h - the engine that engine_vulkan.c puts wane into: instance, device, memory and a compute pass of its
// own. Yours has all of this already.
#ifndef WANE_EXAMPLES_ENGINE_VULKAN_H
#define WANE_EXAMPLES_ENGINE_VULKAN_H

#include "engine_check.h"

#include <stdlib.h>
#include <vulkan/vulkan.h>

static const uint32_t pass_code[] =
#include "engine_vulkan.spv.h"
    ;

// Where the tensors are in the engine's one buffer.
enum { AT_W = 0, AT_Z = 16384, AT_GRAD = 32768, AT_TARGET = 49152, AT_LOSS = 50176, AT_WORKSPACE = 51200 };

static void must(long code, const char *what)
{
    if (code == 0) return;
    fprintf(stderr, "%s: %ld\n", what, code);
    exit(1);
}
#define MUST(call) must((long)(call), #call)

static VkInstance instance;
static VkPhysicalDevice physical;
static VkDevice device;
static VkQueue queue;
static uint32_t family;
static VkBuffer heap;                      // all tensors: the engine's own memory
static VkDeviceMemory memory;
static char *mapped;
static VkDescriptorSetLayout set_layout;
static VkPipelineLayout layout;
static VkPipeline pipeline;
static VkDescriptorPool pool;
static VkDescriptorSet sets[2];            // x and y: w and z before wane, grad and w behind it

static int open_device(void)
{
    const VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_2};
    MUST(vkCreateInstance(&(VkInstanceCreateInfo){.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pApplicationInfo = &app}, NULL, &instance));
    uint32_t one = 1, families = 16;
    if (vkEnumeratePhysicalDevices(instance, &one, &physical) < 0 || one == 0) return 0;
    VkQueueFamilyProperties list[16];
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &families, list);
    while (family < families && !(list[family].queueFlags & VK_QUEUE_COMPUTE_BIT)) family++;
    if (family == families) return 0;
    const VkDeviceQueueCreateInfo queues = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueFamilyIndex = family, .queueCount = 1, .pQueuePriorities = (float[]){1}};
    const VkPhysicalDeviceTimelineSemaphoreFeatures timeline = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES, .timelineSemaphore = VK_TRUE};
    MUST(vkCreateDevice(physical, &(VkDeviceCreateInfo){.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &timeline, .queueCreateInfoCount = 1, .pQueueCreateInfos = &queues}, NULL, &device));
    vkGetDeviceQueue(device, family, 0, &queue);
    return 1;
}

// One buffer in memory that the host sees; an engine for discrete GPUs would copy into device memory.
static void make_heap(VkDeviceSize bytes)
{
    MUST(vkCreateBuffer(device, &(VkBufferCreateInfo){.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = bytes,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT}, NULL, &heap));
    VkMemoryRequirements needs;
    VkPhysicalDeviceMemoryProperties types;
    vkGetBufferMemoryRequirements(device, heap, &needs);
    vkGetPhysicalDeviceMemoryProperties(physical, &types);
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t type = 0;
    while (!(needs.memoryTypeBits >> type & 1) || (types.memoryTypes[type].propertyFlags & wanted) != wanted) type++;
    MUST(vkAllocateMemory(device, &(VkMemoryAllocateInfo){.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .allocationSize = needs.size, .memoryTypeIndex = type}, NULL, &memory));
    MUST(vkBindBufferMemory(device, heap, memory, 0));
    MUST(vkMapMemory(device, memory, 0, VK_WHOLE_SIZE, 0, (void **)&mapped));
}

static void make_pass(void)
{
    const VkDescriptorSetLayoutBinding slots[2] = {
        {0, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL},
        {1, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL}};
    MUST(vkCreateDescriptorSetLayout(device, &(VkDescriptorSetLayoutCreateInfo){.bindingCount = 2, .pBindings = slots,
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO}, NULL, &set_layout));
    MUST(vkCreatePipelineLayout(device, &(VkPipelineLayoutCreateInfo){
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, .setLayoutCount = 1, .pSetLayouts = &set_layout,
        .pushConstantRangeCount = 1,
        .pPushConstantRanges = &(VkPushConstantRange){VK_SHADER_STAGE_COMPUTE_BIT, 0, 12}}, NULL, &layout));
    VkShaderModule module;
    MUST(vkCreateShaderModule(device, &(VkShaderModuleCreateInfo){.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = sizeof pass_code, .pCode = pass_code}, NULL, &module));
    MUST(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &(VkComputePipelineCreateInfo){
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO, .layout = layout,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module, .pName = "main"}}, NULL, &pipeline));
    vkDestroyShaderModule(device, module, NULL);
    MUST(vkCreateDescriptorPool(device, &(VkDescriptorPoolCreateInfo){
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = 2, .poolSizeCount = 1,
        .pPoolSizes = &(VkDescriptorPoolSize){VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 4}}, NULL, &pool));
    MUST(vkAllocateDescriptorSets(device, &(VkDescriptorSetAllocateInfo){
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, .descriptorPool = pool, .descriptorSetCount = 2,
        .pSetLayouts = (VkDescriptorSetLayout[]){set_layout, set_layout}}, sets));
    const VkDeviceSize at[4] = {AT_W, AT_Z, AT_GRAD, AT_W};
    for (uint32_t i = 0; i < 4; i++)
        vkUpdateDescriptorSets(device, 1, &(VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
            .dstSet = sets[i / 2], .dstBinding = i % 2, .descriptorCount = 1,
            .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .pBufferInfo = &(VkDescriptorBufferInfo){heap, at[i], CELLS * 4}}, 0, NULL);
}

static void record_pass(VkCommandBuffer commands, VkDescriptorSet set, float a, float b)
{
    const struct { uint32_t count; float a, b; } push = {CELLS, a, b};
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0, NULL);
    vkCmdPushConstants(commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, 12, &push);
    vkCmdDispatch(commands, (CELLS + 63) / 64, 1, 1);
}

// What came before is visible to what comes: wane asks for this before its work and after it.
static void record_barrier(VkCommandBuffer commands, VkPipelineStageFlags to, VkAccessFlags access)
{
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, to, 0, 1, &(VkMemoryBarrier){
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
        .dstAccessMask = access}, 0, NULL, 0, NULL);
}
#define BETWEEN VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT

static void close_device(void)
{
    vkDestroyDescriptorPool(device, pool, NULL);
    vkDestroyPipeline(device, pipeline, NULL);
    vkDestroyPipelineLayout(device, layout, NULL);
    vkDestroyDescriptorSetLayout(device, set_layout, NULL);
    vkDestroyBuffer(device, heap, NULL);
    vkFreeMemory(device, memory, NULL);
    vkDestroyDevice(device, NULL);
    vkDestroyInstance(instance, NULL);
}

#endif
