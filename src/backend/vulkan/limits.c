// limits.c - what a physical device is and can do; and why it is refused, if it is below the floor.
#include "backend/vulkan/vulkan.h"

#include <stdio.h>

typedef struct probe {
    VkPhysicalDeviceSubgroupProperties subgroup;
    VkPhysicalDeviceMaintenance3Properties maintenance3;
    VkPhysicalDeviceMaintenance4Properties maintenance4;
    VkPhysicalDeviceDriverProperties driver;
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT external;
    VkPhysicalDeviceProperties2 properties;
    VkPhysicalDevice16BitStorageFeatures storage16;
    VkPhysicalDeviceVulkan12Features vulkan12;
    VkPhysicalDeviceFeatures2 features;
    bool portability_subset, driver_known, host_memory;
} probe;

bool vulkan_has_extension(const VkExtensionProperties *list, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(list[i].extensionName, name) == 0) return true;
    return false;
}

static void probe_extensions(wane_context *context, const vulkan_device *d, probe *p)
{
    uint32_t count = 0;
    if (d->vki.EnumerateDeviceExtensionProperties(d->physical, NULL, &count, NULL) != VK_SUCCESS || count == 0) return;
    VkExtensionProperties *list = wane_alloc(context, count * sizeof *list);
    if (!list) return;                      // an extension unknown is one unused
    VkResult result = d->vki.EnumerateDeviceExtensionProperties(d->physical, NULL, &count, list);
    if (result == VK_SUCCESS || result == VK_INCOMPLETE) {
        p->portability_subset = vulkan_has_extension(list, count, "VK_KHR_portability_subset");
        p->host_memory = vulkan_has_extension(list, count, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
        p->driver_known = vulkan_has_extension(list, count, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME);
    }
    wane_free(context, list);
}

static void probe_device(wane_context *context, const vulkan_device *d, probe *p)
{
    memset(p, 0, sizeof *p);
    probe_extensions(context, d, p);
    p->driver_known = p->driver_known || d->api_version >= VK_API_VERSION_1_2;
    p->subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES;
    p->maintenance3.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES;
    p->maintenance4.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES;
    p->driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
    p->properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    p->properties.pNext = &p->subgroup;
    p->subgroup.pNext = &p->maintenance3;
    if (p->driver_known) p->maintenance3.pNext = &p->driver;
    if (d->api_version >= VK_API_VERSION_1_3) {
        p->maintenance4.pNext = p->maintenance3.pNext;
        p->maintenance3.pNext = &p->maintenance4;
    }
    p->external.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT;
    p->external.pNext = p->properties.pNext;
    if (p->host_memory) p->properties.pNext = &p->external;
    d->vki.GetPhysicalDeviceProperties2(d->physical, &p->properties);
    p->storage16.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES;
    p->vulkan12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
    p->features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    p->features.pNext = &p->storage16;
    if (d->api_version >= VK_API_VERSION_1_2) p->storage16.pNext = &p->vulkan12;
    d->vki.GetPhysicalDeviceFeatures2(d->physical, &p->features);
}

// The first family that computes; every such family can copy.
static bool find_family(vulkan_device *d)
{
    VkQueueFamilyProperties list[32];
    uint32_t count = 32;
    d->vki.GetPhysicalDeviceQueueFamilyProperties(d->physical, &count, list);
    for (uint32_t i = 0; i < count; i++)
        if (list[i].queueCount > 0 && list[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            d->family = i;
            return true;
        }
    return false;
}

static void refuse(wane_device *device, const char *what, uint64_t has, uint64_t needs)
{
    if (device->state < 0) return;          // the first reason is enough
    device->state = -1;
    snprintf(device->reason, sizeof device->reason, "%s is %llu, and %llu is the least that wane works with", what,
             (unsigned long long)has, (unsigned long long)needs);
}

static void check_floor(wane_device *device, const VkPhysicalDeviceLimits *l)
{
    if (l->maxPerStageDescriptorStorageBuffers < WANE_MAX_SLOTS)
        refuse(device, "maxPerStageDescriptorStorageBuffers", l->maxPerStageDescriptorStorageBuffers, WANE_MAX_SLOTS);
    if (l->maxDescriptorSetStorageBuffers < WANE_MAX_SLOTS)
        refuse(device, "maxDescriptorSetStorageBuffers", l->maxDescriptorSetStorageBuffers, WANE_MAX_SLOTS);
    if (l->maxComputeSharedMemorySize < 16384)
        refuse(device, "maxComputeSharedMemorySize", l->maxComputeSharedMemorySize, 16384);
    if (l->maxComputeWorkGroupInvocations < VULKAN_LANES)
        refuse(device, "maxComputeWorkGroupInvocations", l->maxComputeWorkGroupInvocations, VULKAN_LANES);
    if (l->maxComputeWorkGroupSize[0] < VULKAN_LANES)
        refuse(device, "maxComputeWorkGroupSize[0]", l->maxComputeWorkGroupSize[0], VULKAN_LANES);
    if (l->maxPushConstantsSize < 128) refuse(device, "maxPushConstantsSize", l->maxPushConstantsSize, 128);
    if (l->maxStorageBufferRange < 1u << 27)
        refuse(device, "maxStorageBufferRange", l->maxStorageBufferRange, 1u << 27);
    if (l->maxComputeWorkGroupCount[0] < 65535)
        refuse(device, "maxComputeWorkGroupCount[0]", l->maxComputeWorkGroupCount[0], 65535);
}

static uint32_t tier(const vulkan_device *d, const probe *p)
{
    const VkPhysicalDeviceLimits *l = &d->properties.limits;
    const VkSubgroupFeatureFlags wanted = VK_SUBGROUP_FEATURE_ARITHMETIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    bool subgroups = p->subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT
        && (p->subgroup.supportedOperations & wanted) == wanted;
    if (l->maxPerStageDescriptorStorageBuffers < 12 || !p->storage16.storageBuffer16BitAccess || !subgroups
        || l->maxComputeWorkGroupInvocations < 256)
        return 0;
    if (l->maxComputeSharedMemorySize < 32768 || l->maxComputeWorkGroupInvocations < 1024
        || !p->vulkan12.bufferDeviceAddress || !p->vulkan12.timelineSemaphore)
        return 1;
    return 2;
}

static void fill_limits(wane_device *device, const vulkan_device *d, const probe *p)
{
    const VkPhysicalDeviceLimits *l = &d->properties.limits;
    wane_limits *limits = &device->limits;
    limits->struct_size = sizeof *limits;
    limits->backend = WANE_BACKEND_VULKAN;
    limits->tier = tier(d, p);
    limits->max_lanes = l->maxComputeWorkGroupInvocations;
    limits->shared_bytes = l->maxComputeSharedMemorySize;
    limits->offset_align_bytes = (uint32_t)l->minStorageBufferOffsetAlignment;
    if (limits->offset_align_bytes < 4) limits->offset_align_bytes = 4;
    // a range starts at an aligned address below the window and ends at a whole word: room for both
    limits->max_window_bytes = (uint64_t)(l->maxStorageBufferRange & ~3u) - limits->offset_align_bytes;
    // maxMemoryAllocationSize is no hard limit where a buffer's size has one of its own (Vulkan 1.3)
    limits->max_buffer_bytes = p->maintenance3.maxMemoryAllocationSize;
    if (p->maintenance4.maxBufferSize) limits->max_buffer_bytes = p->maintenance4.maxBufferSize;
    uint64_t heap = 0;
    for (uint32_t i = 0; i < d->memory.memoryHeapCount; i++)
        if (d->memory.memoryHeaps[i].size > heap) heap = d->memory.memoryHeaps[i].size;
    limits->max_buffer_bytes = wane_min_u64(limits->max_buffer_bytes, heap);
    limits->max_groups = l->maxComputeWorkGroupCount[0] < 65535 ? l->maxComputeWorkGroupCount[0] : 65535;
    // 50 ms a dispatch at 100 GFLOP/s (small phones), ten times that on a card of its own; a CPU has no watchdog
    bool discrete = d->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    limits->max_dispatch_elems = discrete ? 1u << 29 : 1u << 26;
}

static void name_driver(wane_device *device, const vulkan_device *d, const probe *p)
{
    uint32_t v = d->properties.driverVersion;
    if (p->driver_known && p->driver.driverName[0])
        snprintf(device->driver, sizeof device->driver, "%.120s %.120s", p->driver.driverName, p->driver.driverInfo);
    else
        snprintf(device->driver, sizeof device->driver, "driver 0x%08x", (unsigned)v);
}

// CPUs and integrated GPUs whose memory is all one: what the host may map is as good as any other.
static bool memory_is_shared(const vulkan_device *d)
{
    VkPhysicalDeviceType type = d->properties.deviceType;
    if (type != VK_PHYSICAL_DEVICE_TYPE_CPU && type != VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU) return false;
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT
        | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint64_t visible = 0, largest = 0;
    for (uint32_t i = 0; i < d->memory.memoryTypeCount; i++) {
        const VkMemoryType *t = &d->memory.memoryTypes[i];
        uint64_t size = d->memory.memoryHeaps[t->heapIndex].size;
        if (t->propertyFlags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT && size > largest) largest = size;
        if ((t->propertyFlags & wanted) == wanted && size > visible) visible = size;
    }
    return visible > 0 && visible == largest;
}

void vulkan_describe(wane_device *device, uint32_t loader_version)
{
    vulkan_device *d = vulkan_of(device);
    d->vki.GetPhysicalDeviceProperties(d->physical, &d->properties);
    uint32_t own = d->properties.apiVersion;
    d->api_version = own < loader_version ? own : loader_version;
    snprintf(device->name, sizeof device->name, "%s", d->properties.deviceName);
    VkPhysicalDeviceType type = d->properties.deviceType;
    device->is_hardware_gpu = type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU
        || type == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU || type == VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU;
    d->quirks = vulkan_quirks(&d->properties, device->quirks, sizeof device->quirks);
    d->vki.GetPhysicalDeviceMemoryProperties(d->physical, &d->memory);
    d->shared_memory = memory_is_shared(d);
    probe p;
    memset(&p, 0, sizeof p);
    if (own < VK_API_VERSION_1_1) {
        device->state = -1;
        snprintf(device->reason, sizeof device->reason,
                 "its Vulkan version is %u.%u, and 1.1 is the least that wane works with", VK_API_VERSION_MAJOR(own),
                 VK_API_VERSION_MINOR(own));
    } else {
        probe_device(device->context, d, &p);
    }
    d->portability_subset = p.portability_subset;
    d->host_align_bytes = p.external.minImportedHostPointerAlignment;
    if (!device->wrapped) d->host_memory = p.host_memory;
    name_driver(device, d, &p);
    fill_limits(device, d, &p);
    check_floor(device, &d->properties.limits);
    if (device->wrapped || device->state < 0) return;       // a wrapped device names its queue family
    if (!find_family(d)) {
        device->state = -1;
        snprintf(device->reason, sizeof device->reason, "it has no queue family for compute");
    }
}
