// wane_vulkan.h - wane inside an engine that owns its VkDevice: record into its command buffers, in its buffers.
//
// The order of work: wane_device_wrap_vulkan, wane_plan_create, wane_executable_create, wane_recorder_create (wane.h);
// then, for each frame or step, wane_record_vulkan into a command buffer of yours, submit it yourself, wait for it in
// your own way, and wane_recorder_reset before the recorder is used again.
//
// wane never submits to a wrapped device, never waits on it and touches no queue of it, unless a VkQueue was given:
// then wane_run, wane_buffer_write, wane_buffer_read and wane_device_selftest work too, and submit to that queue.

#ifndef WANE_WANE_VULKAN_H
#define WANE_WANE_VULKAN_H

#include "wane.h"

#include <vulkan/vulkan_core.h>

#ifdef __cplusplus
extern "C" {
#endif

// The host's device. Handles are borrowed: they must live until wane_device_unwrap, or until the context is destroyed,
// and wane destroys none.
typedef struct wane_vulkan_device_desc {
    size_t struct_size;
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    VkQueue queue;                         // optional; of queue_family, which must have VK_QUEUE_COMPUTE_BIT
    uint32_t queue_family;                 // of the command buffers to record into
    uint32_t api_version;                  // VkApplicationInfo::apiVersion of the instance: VK_API_VERSION_1_1 or later
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;      // NULL: the context's resolver, or wane loads libvulkan
    // What was enabled when the device was made, which Vulkan cannot be asked. May be NULL. wane uses what is declared
    // here and nothing else; this version knows VK_EXT_external_memory_host (wane_buffer_import_host_vulkan).
    const VkPhysicalDeviceFeatures2 *enabled_features;     // read during the call alone
    const char *const *enabled_extensions;
    uint32_t enabled_extension_count;
    uint32_t reserved;
    // Called around every vkQueueSubmit and vkQueueWaitIdle on `queue`. Both or neither.
    void *user;
    void (*queue_lock)(void *user);
    void (*queue_unlock)(void *user);
} wane_vulkan_device_desc;

// Makes a device of the context from the host's VkDevice: a descriptor set layout, a pipeline layout, a pipeline cache
// and 256 bytes of device memory are made on it. It is not listed by wane_device_at; wane_device_find knows it by its
// wane_device_info.id ("vulkan:host0"). It is not self-tested: wane_device_selftest does that if a queue was given.
// Ownership: the context's, until wane_device_unwrap or wane_context_destroy, before which the VkDevice must not be
// destroyed. Where wrapping fails nothing is left.
// Threading: any thread; nothing is submitted.
// Errors: NULL_ARGUMENT (context, out, instance, physical_device, device), STRUCT, FLAGS (api_version below 1.1, one of
// the two lock callbacks, a queue family that does not compute or does not exist), NO_DEVICE (no vkGetInstanceProcAddr
// found, or this library was built without Vulkan), DEVICE_UNUSABLE (below the floor; the log names the limit),
// HOST_MEMORY, DEVICE_MEMORY, DRIVER. Since 0.1.
WANE_API wane_status wane_device_wrap_vulkan(wane_context *context, const wane_vulkan_device_desc *desc,
                                             wane_device **out);

// A VkBuffer as a buffer of a Vulkan device, wrapped or not: never copied, never destroyed by wane. Its usage must have
// VK_BUFFER_USAGE_STORAGE_BUFFER_BIT (for wane_buffer_write and wane_buffer_read also the two TRANSFER bits), its
// memory must be bound, and it must belong to the same VkDevice. bytes: what wane may touch from the buffer's start;
// what a view uses must end within it when rounded up to the next multiple of 4.
// Ownership: the VkBuffer stays the host's and must outlive the wane_buffer. Threading: any thread.
// Errors: NULL_ARGUMENT (device, buffer, out), MISMATCH (no Vulkan device), DEVICE_LOST, HOST_MEMORY. Since 0.1.
WANE_API wane_status wane_buffer_import_vulkan(wane_device *device, VkBuffer buffer, uint64_t bytes, wane_buffer **out);

// Host memory that the device works in without a copy: a VkBuffer and an imported VkDeviceMemory are made for it. Needs
// VK_EXT_external_memory_host: a device of wane's own has it where the driver does, a wrapped one where the host enabled
// and declared it. memory and bytes: multiples of the device's minImportedHostPointerAlignment, a page mostly. Without it
// wane_buffer_wrap_host takes any memory, and wane_run copies it.
// What the host wrote before work is submitted is visible to it; what the device wrote is visible behind a fence and a
// barrier to VK_ACCESS_HOST_READ_BIT (wane_run makes both).
// Ownership: the memory stays the host's and must outlive the wane_buffer. Threading: any thread.
// Errors: NULL_ARGUMENT (device, memory, out), MISMATCH (no Vulkan device), UNSUPPORTED (no such extension, or the driver
// does not take this memory), ALIGNMENT, DEVICE_LOST, DEVICE_MEMORY, HOST_MEMORY. Since 0.1.
WANE_API wane_status wane_buffer_import_host_vulkan(wane_device *device, void *memory, uint64_t bytes,
                                                    wane_buffer **out);

// Records an executable into a command buffer in the recording state, outside a render pass, of the device's queue
// family. Makes no vkAllocate* and no vkCreate* call and no heap call of wane's, does not submit, does not wait.
// args: every operand of the plan exactly once, as a buffer or a native VkBuffer (binding.native, with binding.bytes
// its size), and the workspace, of at least wane_plan_info.workspace_bytes; no host pointers.
// Barriers: wane puts its own between its dispatches, and none before the first or after the last. The host makes
// inputs visible to VK_ACCESS_SHADER_READ_BIT in VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT before (READ and WRITE for the
// workspace, whose old contents do not matter, and for gradients that accumulate), and orders
// VK_ACCESS_SHADER_WRITE_BIT of that stage before what uses the outputs, or the workspace, next: a second record that
// shares a workspace or reads these outputs is such a use.
// State of the command buffer that is clobbered: the compute pipeline, descriptor set 0 and push constants 0..63 of the
// compute bind point. Queue family ownership is the host's affair.
// Data faults are not reported here: bind the role `status` where the loss has it.
// Threading: one thread at a time a recorder, and a command buffer as Vulkan says; executables are shared.
// Lifetime: recorder, executable, buffers and workspace must live until the command buffer has been executed.
// Errors, all found before anything is recorded: NULL_ARGUMENT, MISMATCH (executable or recorder of another device, a
// host pointer, a buffer of another device), CAPACITY (the recorder has too few dispatches left or does not know the
// executable), those of arguments, DEVICE_LOST. Since 0.1.
WANE_API wane_status wane_record_vulkan(wane_executable *executable, wane_recorder *recorder, const wane_args *args,
                                        VkCommandBuffer command_buffer);

#ifdef __cplusplus
}
#endif

#endif
