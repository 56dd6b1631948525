// memory.c - buffers: their memory, and the way of the host's bytes to and from it.
#include "backend/vulkan/vulkan.h"

// The first type among `allowed` with all of `wanted` and none of `unwanted`, or -1.
static int find_type(const vulkan_device *d, uint32_t allowed, VkMemoryPropertyFlags wanted,
                     VkMemoryPropertyFlags unwanted)
{
    for (uint32_t i = 0; i < d->memory.memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = d->memory.memoryTypes[i].propertyFlags;
        if (allowed >> i & 1u && (flags & wanted) == wanted && !(flags & unwanted)) return (int)i;
    }
    return -1;
}

static int choose_type(const vulkan_device *d, uint32_t allowed, bool mapped)
{
    const VkMemoryPropertyFlags host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    const VkMemoryPropertyFlags exotic = VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT
        | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD;
    int type = -1;
    if (!mapped) {
        type = find_type(d, allowed, local, exotic | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT);
        if (type < 0) type = find_type(d, allowed, local, exotic);
        return type < 0 ? find_type(d, allowed, 0, exotic) : type;
    }
    // reading from memory that is not cached is slow, hence the order
    if (d->shared_memory) type = find_type(d, allowed, host | local | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, exotic);
    if (type < 0 && d->shared_memory) type = find_type(d, allowed, host | local, exotic);
    if (type < 0) type = find_type(d, allowed, host | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, exotic);
    return type < 0 ? find_type(d, allowed, host, exotic) : type;
}

static wane_status allocate(wane_device *device, bool mapped, vulkan_memory *out)
{
    vulkan_device *d = vulkan_of(device);
    VkMemoryRequirements needs;
    d->vk.GetBufferMemoryRequirements(d->device, out->buffer, &needs);
    int type = choose_type(d, needs.memoryTypeBits, mapped);
    if (type < 0)
        return wane_fail_native(device->context, WANE_ERROR_DRIVER, 0, "%s: no memory type fits a buffer", device->id);
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .allocationSize = needs.size,
                                       .memoryTypeIndex = (uint32_t)type};
    VkResult result = d->vk.AllocateMemory(d->device, &info, NULL, &out->memory);
    if (result != VK_SUCCESS) {
        out->memory = VK_NULL_HANDLE;
        return vulkan_fail(device, result, WANE_ERROR_DEVICE_MEMORY, "vkAllocateMemory");
    }
    result = d->vk.BindBufferMemory(d->device, out->buffer, out->memory, 0);
    if (result != VK_SUCCESS) return vulkan_fail(device, result, WANE_ERROR_DEVICE_MEMORY, "vkBindBufferMemory");
    if (!mapped) return WANE_OK;
    result = d->vk.MapMemory(d->device, out->memory, 0, VK_WHOLE_SIZE, 0, &out->mapped);
    if (result != VK_SUCCESS) {
        out->mapped = NULL;
        return vulkan_fail(device, result, WANE_ERROR_DEVICE_MEMORY, "vkMapMemory");
    }
    return WANE_OK;
}

wane_status vulkan_memory_create(wane_device *device, uint64_t bytes, VkBufferUsageFlags usage, bool mapped,
                                 vulkan_memory *out)
{
    vulkan_device *d = vulkan_of(device);
    memset(out, 0, sizeof *out);
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = wane_round_up(bytes ? bytes : 1, 16),
                                     .usage = usage,
                                     .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    VkResult result = d->vk.CreateBuffer(d->device, &info, NULL, &out->buffer);
    if (result != VK_SUCCESS) {
        out->buffer = VK_NULL_HANDLE;
        return vulkan_fail(device, result, WANE_ERROR_DEVICE_MEMORY, "vkCreateBuffer");
    }
    wane_status status = allocate(device, mapped, out);
    if (status) vulkan_memory_destroy(d, out);
    return status;
}

void vulkan_memory_destroy(vulkan_device *d, vulkan_memory *memory)
{
    if (memory->mapped) d->vk.UnmapMemory(d->device, memory->memory);
    if (memory->buffer) d->vk.DestroyBuffer(d->device, memory->buffer, NULL);
    if (memory->memory) d->vk.FreeMemory(d->device, memory->memory, NULL);
    memset(memory, 0, sizeof *memory);
}

// ---- buffers ------------------------------------------------------------------------------------------------------

// native[0] is the VkBuffer; native[1] the vulkan_memory of a buffer of ours, 0 of an imported one.
static vulkan_memory *memory_of(const wane_buffer *buffer)
{
    return (vulkan_memory *)(uintptr_t)buffer->native[1];
}

wane_status vulkan_buffer_create(wane_buffer *buffer)
{
    wane_device *device = buffer->device;
    wane_status status = wane_device_check(device);
    if (status) return status;
    vulkan_memory *memory = wane_alloc(buffer->context, sizeof *memory);
    if (!memory) return wane_no_memory(buffer->context);
    const VkBufferUsageFlags usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT
        | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    status = vulkan_memory_create(device, buffer->bytes, usage, vulkan_of(device)->shared_memory, memory);
    if (status) {
        wane_free(buffer->context, memory);
        return status;
    }
    buffer->native[0] = vulkan_buffer_native(memory->buffer);
    buffer->native[1] = (uint64_t)(uintptr_t)memory;
    return WANE_OK;
}

void vulkan_buffer_destroy(wane_buffer *buffer)
{
    vulkan_memory *memory = memory_of(buffer);
    if (!memory) return;
    vulkan_memory_destroy(vulkan_of(buffer->device), memory);
    wane_free(buffer->context, memory);
    buffer->native[0] = buffer->native[1] = 0;
}

static wane_status bind_host(wane_device *device, void *pointer, uint64_t bytes, vulkan_memory *out)
{
    vulkan_device *d = vulkan_of(device);
    const VkExternalMemoryHandleTypeFlagBits kind = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
    VkMemoryHostPointerPropertiesEXT may = {.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
    VkResult result = d->host_pointer_properties(d->device, kind, pointer, &may);
    if (result != VK_SUCCESS)
        return vulkan_fail(device, result, WANE_ERROR_UNSUPPORTED, "vkGetMemoryHostPointerPropertiesEXT");
    VkMemoryRequirements needs;
    d->vk.GetBufferMemoryRequirements(d->device, out->buffer, &needs);
    int type = choose_type(d, needs.memoryTypeBits & may.memoryTypeBits, true);
    if (type < 0 || needs.size > bytes)
        return wane_fail(device->context, WANE_ERROR_UNSUPPORTED, "memory", "%s cannot work in this memory: use "
                         "wane_buffer_wrap_host, which wane_run stages", device->id);
    const VkImportMemoryHostPointerInfoEXT import = {.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
                                                     .handleType = kind,
                                                     .pHostPointer = pointer};
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = &import,
                                       .allocationSize = bytes,
                                       .memoryTypeIndex = (uint32_t)type};
    result = d->vk.AllocateMemory(d->device, &info, NULL, &out->memory);
    if (result != VK_SUCCESS) {
        out->memory = VK_NULL_HANDLE;
        return vulkan_fail(device, result, WANE_ERROR_DEVICE_MEMORY, "vkAllocateMemory");
    }
    result = d->vk.BindBufferMemory(d->device, out->buffer, out->memory, 0);
    return result == VK_SUCCESS ? WANE_OK : vulkan_fail(device, result, WANE_ERROR_DEVICE_MEMORY, "vkBindBufferMemory");
}

wane_status vulkan_buffer_import_host(wane_buffer *buffer, void *pointer)
{
    wane_device *device = buffer->device;
    vulkan_device *d = vulkan_of(device);
    vulkan_memory *memory = wane_alloc(buffer->context, sizeof *memory);
    if (!memory) return wane_no_memory(buffer->context);
    const VkExternalMemoryBufferCreateInfo external = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
        .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT};
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .pNext = &external,
                                     .size = buffer->bytes,
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
                                     .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    VkResult result = d->vk.CreateBuffer(d->device, &info, NULL, &memory->buffer);
    if (result != VK_SUCCESS) memory->buffer = VK_NULL_HANDLE;
    wane_status status = result == VK_SUCCESS ? bind_host(device, pointer, buffer->bytes, memory)
                                              : vulkan_fail(device, result, WANE_ERROR_DEVICE_MEMORY, "vkCreateBuffer");
    if (status) {
        vulkan_memory_destroy(d, memory);
        wane_free(buffer->context, memory);
        return status;
    }
    buffer->native[0] = vulkan_buffer_native(memory->buffer);
    buffer->native[1] = (uint64_t)(uintptr_t)memory;
    buffer->host = pointer;
    buffer->owned = true;
    return WANE_OK;
}

// ---- transfers ----------------------------------------------------------------------------------------------------

static wane_status make_staging(wane_device *device)
{
    vulkan_device *d = vulkan_of(device);
    if (!d->queue)
        return wane_fail(device->context, WANE_ERROR_UNSUPPORTED, device->id,
                         "was wrapped without a VkQueue: copy the data in your own command buffer, or give a queue");
    wane_status status = WANE_OK;
    if (!d->transfer.fence) {
        status = vulkan_commands_create(device, &d->transfer);
        if (status) {
            vulkan_commands_destroy(d, &d->transfer);
            return status;
        }
    }
    const VkBufferUsageFlags usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    if (!d->staging.buffer) status = vulkan_memory_create(device, VULKAN_STAGING_BYTES, usage, true, &d->staging);
    return status;
}

// One copy between staging and a buffer, done when it returns.
static wane_status copy(wane_device *device, VkBuffer from, VkBuffer to, const VkBufferCopy *region)
{
    vulkan_device *d = vulkan_of(device);
    wane_status status = vulkan_commands_begin(device, &d->transfer);
    if (status) return status;
    // a fence orders the device's work for the host alone: what earlier submissions wrote is made visible here
    vulkan_barrier(d, d->transfer.buffer, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                   VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
                   VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
    d->vk.CmdCopyBuffer(d->transfer.buffer, from, to, 1, region);
    vulkan_barrier(d, d->transfer.buffer, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT,
                   VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    return vulkan_commands_finish(device, &d->transfer);
}

wane_status vulkan_buffer_write(wane_buffer *buffer, uint64_t byte_offset, const void *data, uint64_t bytes)
{
    wane_device *device = buffer->device;
    vulkan_device *d = vulkan_of(device);
    wane_status status = wane_device_check(device);
    if (status || bytes == 0) return status;
    vulkan_memory *memory = memory_of(buffer);
    if (memory && memory->mapped) {
        memcpy((char *)memory->mapped + byte_offset, data, bytes);
        return WANE_OK;
    }
    wane_mutex_lock(d->transfer_lock);
    status = make_staging(device);
    for (uint64_t done = 0; !status && done < bytes;) {
        uint64_t step = wane_min_u64(bytes - done, VULKAN_STAGING_BYTES);
        memcpy(d->staging.mapped, (const char *)data + done, step);
        const VkBufferCopy region = {0, byte_offset + done, step};
        status = copy(device, d->staging.buffer, vulkan_buffer_handle(buffer->native[0]), &region);
        done += step;
    }
    wane_mutex_unlock(d->transfer_lock);
    return status;
}

wane_status vulkan_buffer_read(wane_buffer *buffer, uint64_t byte_offset, void *data, uint64_t bytes)
{
    wane_device *device = buffer->device;
    vulkan_device *d = vulkan_of(device);
    wane_status status = wane_device_check(device);
    if (status || bytes == 0) return status;
    vulkan_memory *memory = memory_of(buffer);
    if (memory && memory->mapped) {
        memcpy(data, (const char *)memory->mapped + byte_offset, bytes);
        return WANE_OK;
    }
    wane_mutex_lock(d->transfer_lock);
    status = make_staging(device);
    for (uint64_t done = 0; !status && done < bytes;) {
        uint64_t step = wane_min_u64(bytes - done, VULKAN_STAGING_BYTES);
        const VkBufferCopy region = {byte_offset + done, 0, step};
        status = copy(device, vulkan_buffer_handle(buffer->native[0]), d->staging.buffer, &region);
        if (!status) memcpy((char *)data + done, d->staging.mapped, step);
        done += step;
    }
    wane_mutex_unlock(d->transfer_lock);
    return status;
}
