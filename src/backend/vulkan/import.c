// import.c - wane_vulkan.h: devices and buffers of the host, and recording into its command buffers.
#include "backend/vulkan/vulkan.h"

#include <stdio.h>

static wane_status check_desc(wane_context *context, const wane_vulkan_device_desc *desc)
{
    wane_status status = wane_struct_check(context, desc, sizeof *desc, sizeof *desc, "wane_vulkan_device_desc");
    if (status) return status;
    const char *missing = !desc->instance ? "instance" : !desc->physical_device ? "physical_device"
        : !desc->device ? "device" : NULL;
    if (missing) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, missing, "must not be VK_NULL_HANDLE");
    if (desc->api_version < VK_API_VERSION_1_1)
        return wane_fail(context, WANE_ERROR_FLAGS, "api_version",
                         "is %u.%u: give what the instance was made with, VK_API_VERSION_1_1 at least",
                         VK_API_VERSION_MAJOR(desc->api_version), VK_API_VERSION_MINOR(desc->api_version));
    if (!desc->queue_lock != !desc->queue_unlock)
        return wane_fail(context, WANE_ERROR_FLAGS, "queue_lock", "give both queue_lock and queue_unlock, or neither");
    if (desc->enabled_extension_count && !desc->enabled_extensions)
        return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "enabled_extensions",
                         "must not be NULL when enabled_extension_count is not 0");
    if (desc->reserved) return wane_fail(context, WANE_ERROR_FLAGS, "reserved", "must be 0");
    return WANE_OK;
}

static wane_status load(wane_context *context, vulkan_device *d, const wane_vulkan_device_desc *desc)
{
    d->get = desc->get_instance_proc_addr;
    if (!d->get && !vulkan_load_library(context, &d->library, &d->get))
        return wane_fail(context, WANE_ERROR_NO_DEVICE, "get_instance_proc_addr",
                         "is NULL, and no libvulkan was found: give the engine's vkGetInstanceProcAddr");
    if (!vulkan_load_instance(d->get, desc->instance, &d->vki))
        return wane_fail(context, WANE_ERROR_NO_DEVICE, "get_instance_proc_addr",
                         "does not know all functions of Vulkan 1.1 for this instance");
    VkQueueFamilyProperties families[32];
    uint32_t count = 32;
    d->vki.GetPhysicalDeviceQueueFamilyProperties(desc->physical_device, &count, families);
    if (desc->queue_family >= count || !(families[desc->queue_family].queueFlags & VK_QUEUE_COMPUTE_BIT))
        return wane_fail(context, WANE_ERROR_FLAGS, "queue_family", "%u is no family of this device that computes",
                         (unsigned)desc->queue_family);
    return WANE_OK;
}

static void drop(wane_context *context, vulkan_device *d)
{
    if (d->library) wane_library_close(d->library);
    wane_free(context, d);
}

// A hidden device of the context.
static wane_status add(wane_context *context, vulkan_device *d, const wane_vulkan_device_desc *desc, wane_device **out)
{
    wane_mutex_lock(context->lock);
    uint32_t number = context->wrapped_count;
    char id[32];
    snprintf(id, sizeof id, "vulkan:host%u", (unsigned)number);
    wane_device *device = wane_device_add(context, &wane_backend_vulkan, id);
    if (device) {
        context->wrapped_count++;
        device->native = d;
        device->index = number;
        device->wrapped = true;
        device->hidden = true;
        vulkan_describe(device, desc->api_version);
    }
    wane_mutex_unlock(context->lock);
    *out = device;
    return device ? WANE_OK : wane_no_memory(context);
}

WANE_API wane_status wane_device_wrap_vulkan(wane_context *context, const wane_vulkan_device_desc *desc,
                                             wane_device **out)
{
    if (out) *out = NULL;
    if (!context) return WANE_ERROR_NULL_ARGUMENT;
    if (!out) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "out", "must not be NULL");
    wane_status status = check_desc(context, desc);
    if (status) return status;
    vulkan_device *d = wane_alloc(context, sizeof *d);
    if (!d) return wane_no_memory(context);
    status = load(context, d, desc);
    if (status) {
        drop(context, d);
        return status;
    }
    d->instance = desc->instance;
    d->physical = desc->physical_device;
    d->device = desc->device;
    d->queue = desc->queue;
    d->family = desc->queue_family;
    d->host_user = desc->user;
    d->host_lock = desc->queue_lock;
    d->host_unlock = desc->queue_unlock;
    for (uint32_t i = 0; i < desc->enabled_extension_count; i++)
        d->host_memory = d->host_memory || strcmp(desc->enabled_extensions[i], VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME) == 0;
    wane_device *device = NULL;
    status = add(context, d, desc, &device);
    if (status) {
        drop(context, d);
        return status;
    }
    status = wane_device_require(device);
    if (status == WANE_OK) *out = device;
    else wane_device_remove(device);
    return status;
}

WANE_API wane_status wane_buffer_import_vulkan(wane_device *device, VkBuffer buffer, uint64_t bytes, wane_buffer **out)
{
    if (out) *out = NULL;
    if (!device) return WANE_ERROR_NULL_ARGUMENT;
    wane_context *context = device->context;
    if (!out) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "out", "must not be NULL");
    if (!buffer) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "buffer", "must not be VK_NULL_HANDLE");
    if (device->backend != &wane_backend_vulkan)
        return wane_fail(context, WANE_ERROR_MISMATCH, "device", "%s is no Vulkan device", device->id);
    wane_status status = wane_device_require(device);
    if (status == WANE_OK) status = wane_buffer_make(device, bytes, out);
    if (status == WANE_OK) (*out)->native[0] = vulkan_buffer_native(buffer);
    return status;
}

static wane_status check_host(wane_device *device, const void *memory, uint64_t bytes)
{
    const vulkan_device *d = vulkan_of(device);
    if (!d->host_memory)
        return wane_fail(device->context, WANE_ERROR_UNSUPPORTED, "memory",
                         "%s %s VK_EXT_external_memory_host: use wane_buffer_wrap_host, which wane_run stages", device->id,
                         device->wrapped ? "was wrapped without a word of" : "lacks");
    if (!d->host_pointer_properties)
        return wane_fail(device->context, WANE_ERROR_UNSUPPORTED, "enabled_extensions",
                         "say VK_EXT_external_memory_host, and the VkDevice was made without it");
    uint64_t align = d->host_align_bytes ? d->host_align_bytes : 1;
    if ((uintptr_t)memory % align || bytes % align || !bytes)
        return wane_fail(device->context, WANE_ERROR_ALIGNMENT, "memory",
                         "its address and its %llu bytes must be multiples of %llu on this device",
                         (unsigned long long)bytes, (unsigned long long)align);
    return WANE_OK;
}

WANE_API wane_status wane_buffer_import_host_vulkan(wane_device *device, void *memory, uint64_t bytes,
                                                    wane_buffer **out)
{
    if (out) *out = NULL;
    if (!device) return WANE_ERROR_NULL_ARGUMENT;
    wane_context *context = device->context;
    if (!out) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "out", "must not be NULL");
    if (!memory) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "memory", "must not be NULL");
    if (device->backend != &wane_backend_vulkan)
        return wane_fail(context, WANE_ERROR_MISMATCH, "device", "%s is no Vulkan device", device->id);
    wane_status status = wane_device_require(device);
    if (status == WANE_OK) status = check_host(device, memory, bytes);
    if (status == WANE_OK) status = wane_buffer_make(device, bytes, out);
    if (status) return status;
    status = vulkan_buffer_import_host(*out, memory);
    if (status) {
        wane_buffer_destroy(*out);
        *out = NULL;
    }
    return status;
}

WANE_API wane_status wane_record_vulkan(wane_executable *executable, wane_recorder *recorder, const wane_args *args,
                                        VkCommandBuffer command_buffer)
{
    if (!executable) return WANE_ERROR_NULL_ARGUMENT;
    wane_context *context = executable->context;
    wane_device *device = executable->device;
    if (!recorder) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "recorder", "must not be NULL");
    if (!command_buffer) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "command_buffer", "must not be NULL");
    if (device->backend != &wane_backend_vulkan)
        return wane_fail(context, WANE_ERROR_MISMATCH, "executable", "is of %s, not of a Vulkan device", device->id);
    if (recorder->device != device)
        return wane_fail(context, WANE_ERROR_MISMATCH, "recorder", "is of %s, and the executable of %s",
                         recorder->device->id, device->id);
    wane_status status = wane_device_check(device);
    if (status) return status;
    wane_buffer hosts[WANE_MAX_OPERANDS + 1];
    wane_range operands[WANE_MAX_OPERANDS], workspace;
    memset(operands, 0, sizeof operands);
    status = wane_args_resolve(executable, args, false, hosts, operands, &workspace);
    if (status) return status;
    if (!workspace.buffer)
        return wane_fail(context, WANE_ERROR_MISSING_OPERAND, "workspace", "must be given: %llu bytes",
                         (unsigned long long)executable->plan->workspace_bytes);
    status = vulkan_check(device, executable->plan, operands, &workspace);
    if (!status) status = wane_recorder_take(recorder, executable);
    if (status) return status;
    vulkan_record(device, executable->plan, executable->program, recorder->native, operands, &workspace,
                  command_buffer);
    return WANE_OK;
}
