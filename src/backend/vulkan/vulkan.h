// vulkan.h - what the parts of the Vulkan backend share. Nothing outside this folder includes it.
//
// No global state: the loader's functions live in the backend's state of a context, a device's in the device.
#ifndef WANE_BACKEND_VULKAN_VULKAN_H
#define WANE_BACKEND_VULKAN_VULKAN_H

#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES 1
#endif
#include "wane/wane_vulkan.h"

#include "core/core.h"

enum {
    VULKAN_LANES         = 128,             // of a group: what the floor guarantees, and what prelude_glsl.h assumes
    VULKAN_RECORD_BYTES  = WANE_MAX_RECORD * 4,
    VULKAN_PUSH_WORDS    = WANE_MAX_WINDOW + WANE_MAX_SLOTS,
    VULKAN_UNIFORM       = WANE_MAX_SLOTS,  // binding of the record
    VULKAN_STAGING_BYTES = 16 << 20
};

// ---- functions ----------------------------------------------------------------------------------------------------

#define VULKAN_GLOBAL_FUNCTIONS(F)                                                                                    \
    F(CreateInstance) F(EnumerateInstanceExtensionProperties)

#define VULKAN_INSTANCE_FUNCTIONS(F)                                                                                  \
    F(DestroyInstance) F(EnumeratePhysicalDevices) F(GetPhysicalDeviceProperties) F(GetPhysicalDeviceProperties2)     \
    F(GetPhysicalDeviceFeatures2) F(GetPhysicalDeviceQueueFamilyProperties) F(GetPhysicalDeviceMemoryProperties)      \
    F(EnumerateDeviceExtensionProperties) F(CreateDevice) F(GetDeviceProcAddr)

#define VULKAN_DEVICE_FUNCTIONS(F)                                                                                    \
    F(DestroyDevice) F(GetDeviceQueue) F(QueueSubmit) F(QueueWaitIdle)                                                \
    F(CreateFence) F(DestroyFence) F(ResetFences) F(WaitForFences)                                                    \
    F(CreateEvent) F(DestroyEvent) F(GetEventStatus) F(ResetEvent) F(CmdSetEvent)                                     \
    F(AllocateMemory) F(FreeMemory) F(MapMemory) F(UnmapMemory)                                                       \
    F(CreateBuffer) F(DestroyBuffer) F(GetBufferMemoryRequirements) F(BindBufferMemory)                               \
    F(CreateShaderModule) F(DestroyShaderModule)                                                                      \
    F(CreatePipelineCache) F(DestroyPipelineCache) F(GetPipelineCacheData)                                            \
    F(CreateComputePipelines) F(DestroyPipeline) F(CreatePipelineLayout) F(DestroyPipelineLayout)                     \
    F(CreateDescriptorSetLayout) F(DestroyDescriptorSetLayout)                                                        \
    F(CreateDescriptorPool) F(DestroyDescriptorPool) F(AllocateDescriptorSets) F(UpdateDescriptorSets)                \
    F(CreateCommandPool) F(DestroyCommandPool) F(ResetCommandPool) F(AllocateCommandBuffers)                          \
    F(BeginCommandBuffer) F(EndCommandBuffer) F(CmdBindPipeline) F(CmdBindDescriptorSets) F(CmdPushConstants)         \
    F(CmdDispatch) F(CmdPipelineBarrier) F(CmdCopyBuffer)

#define VULKAN_MEMBER(name) PFN_vk##name name;
typedef struct vulkan_instance_table { VULKAN_INSTANCE_FUNCTIONS(VULKAN_MEMBER) } vulkan_instance_table;
typedef struct vulkan_device_table { VULKAN_DEVICE_FUNCTIONS(VULKAN_MEMBER) } vulkan_device_table;
#undef VULKAN_MEMBER

// ---- objects ------------------------------------------------------------------------------------------------------

typedef struct vulkan_device vulkan_device;

// The backend's state of a context.
typedef struct vulkan_state {
    void *library;                          // NULL if the host gave a resolver
    PFN_vkGetInstanceProcAddr get;
    uint32_t loader_version;
    VkInstance instance;
    vulkan_instance_table vki;
    VkPhysicalDevice *physicals;
    uint32_t physical_count, added;         // added: how many have become devices of the context
    vulkan_device *devices;                 // those made by discovery, freed at shutdown
} vulkan_state;

enum {                                      // workarounds: quirks.c
    VULKAN_QUIRK_FULL_BARRIER = 1           // between passes wait for everything, not for compute alone
};

// A pipeline of a device: a kernel with its constants. Never changed once it is in the list.
typedef struct vulkan_pipeline {
    struct vulkan_pipeline *next;
    uint32_t kernel, consts[WANE_MAX_CONSTS];
    VkPipeline pipeline;
} vulkan_pipeline;

typedef struct vulkan_memory {
    VkBuffer buffer;
    VkDeviceMemory memory;
    void *mapped;                           // NULL where the host cannot see it
} vulkan_memory;

// Command pool, buffer and fence of one thread of submissions.
typedef struct vulkan_commands {
    VkCommandPool pool;
    VkCommandBuffer buffer;
    VkFence fence;
} vulkan_commands;

struct vulkan_device {
    vulkan_device *next;
    // known since discovery
    vulkan_instance_table vki;
    PFN_vkGetInstanceProcAddr get;
    VkInstance instance;
    VkPhysicalDevice physical;
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t api_version;                   // what may be used: the least of loader, instance and device
    uint32_t family, quirks;
    bool shared_memory;                     // host and device work in the same memory: buffers are mapped
    bool portability_subset;
    bool host_memory;                       // VK_EXT_external_memory_host is enabled, or said to be
    uint64_t host_align_bytes;              // of what it imports
    void *library;                          // loaded for a wrapped device alone
    // the host's, if wrapped
    void *host_user;
    void (*host_lock)(void *user);
    void (*host_unlock)(void *user);
    // since device_open
    VkDevice device;
    VkQueue queue;                          // VK_NULL_HANDLE: wrapped, and never submitted to
    vulkan_device_table vk;
    PFN_vkGetMemoryHostPointerPropertiesEXT host_pointer_properties;   // NULL: not enabled
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout pipeline_layout;
    VkPipelineCache cache;
    uint64_t cache_hash;                    // of what the host's cache is known to hold
    vulkan_pipeline *pipelines;
    wane_mutex *lock;                       // pipelines and cache
    wane_mutex *queue_lock;
    wane_mutex *transfer_lock;              // staging and transfer
    vulkan_memory dummy;                    // bound to slots that hold nothing
    vulkan_memory staging;                  // made at the first use
    vulkan_commands transfer;
};

typedef struct vulkan_program {
    vulkan_memory records;
    uint32_t record_stride;
    VkPipeline *pipelines;                  // one a pass, owned by the device
} vulkan_program;

typedef struct vulkan_recorder {
    VkDescriptorPool pool;
    uint32_t capacity, used;
    VkDescriptorSet *sets;
    vulkan_commands commands;               // null without a queue
    VkEvent done;                           // of debug builds: set by the device behind each record for the host
    bool recorded;                          // for the host since the last reset
} vulkan_recorder;

typedef struct vulkan_module {
    const uint32_t *words;
    size_t bytes;
} vulkan_module;

extern const wane_backend wane_backend_vulkan;

extern const vulkan_module vulkan_modules[WANE_KERNEL_COUNT];       // generated/vulkan/modules.c
extern const char *const vulkan_modules_hash;

static inline vulkan_device *vulkan_of(const wane_device *device) { return device->native; }

static inline VkBuffer vulkan_buffer_handle(uint64_t native)
{
    VkBuffer buffer;                        // a pointer or a 64-bit number, by platform
    memcpy(&buffer, &native, sizeof buffer);
    return buffer;
}

static inline uint64_t vulkan_buffer_native(VkBuffer buffer)
{
    uint64_t native = 0;
    memcpy(&native, &buffer, sizeof buffer);
    return native;
}

// ---- functions by file --------------------------------------------------------------------------------------------

// loader.c
bool vulkan_load_library(wane_context *context, void **library, PFN_vkGetInstanceProcAddr *get);
bool vulkan_load_instance(PFN_vkGetInstanceProcAddr get, VkInstance instance, vulkan_instance_table *table);
wane_status vulkan_discover(wane_context *context, void **state);
void vulkan_shutdown(wane_context *context, void *state);

// quirks.c
uint32_t vulkan_quirks(const VkPhysicalDeviceProperties *properties, char *text, size_t bytes);

// limits.c: fills name, driver, limits, quirks and reason of a device whose physical device is known
void vulkan_describe(wane_device *device, uint32_t loader_version);
bool vulkan_has_extension(const VkExtensionProperties *list, uint32_t count, const char *name);

// device.c
wane_status vulkan_device_open(wane_device *device);
void vulkan_device_close(wane_device *device);
// Turns a failed call into a status: the device is lost, memory is short, or `otherwise`.
wane_status vulkan_fail(wane_device *device, VkResult result, wane_status otherwise, const char *call);
wane_status vulkan_commands_create(wane_device *device, vulkan_commands *commands);
void vulkan_commands_destroy(vulkan_device *d, vulkan_commands *commands);
wane_status vulkan_commands_begin(wane_device *device, vulkan_commands *commands);
// Ends, submits and waits.
wane_status vulkan_commands_finish(wane_device *device, vulkan_commands *commands);
void vulkan_barrier(vulkan_device *d, VkCommandBuffer commands, VkPipelineStageFlags from, VkAccessFlags from_access,
                    VkPipelineStageFlags to, VkAccessFlags to_access);

// memory.c
wane_status vulkan_memory_create(wane_device *device, uint64_t bytes, VkBufferUsageFlags usage, bool mapped,
                                 vulkan_memory *out);
void vulkan_memory_destroy(vulkan_device *d, vulkan_memory *memory);
wane_status vulkan_buffer_create(wane_buffer *buffer);
void vulkan_buffer_destroy(wane_buffer *buffer);
wane_status vulkan_buffer_write(wane_buffer *buffer, uint64_t byte_offset, const void *data, uint64_t bytes);
wane_status vulkan_buffer_read(wane_buffer *buffer, uint64_t byte_offset, void *data, uint64_t bytes);

wane_status vulkan_buffer_import_host(wane_buffer *buffer, void *memory);

// pipeline.c
wane_status vulkan_cache_open(wane_device *device);
wane_status vulkan_program_create(wane_device *device, const wane_plan *plan, void **program);
void vulkan_program_destroy(wane_device *device, void *program);

// record.c
wane_status vulkan_recorder_create(wane_device *device, const wane_plan *const *plans, void *const *programs,
                                   uint32_t count, uint32_t dispatch_capacity, void **recorder);
wane_status vulkan_recorder_reset(wane_device *device, void *recorder);
void vulkan_recorder_destroy(wane_device *device, void *recorder);
wane_status vulkan_run(wane_device *device, const wane_plan *plan, void *program, void *recorder,
                       const wane_range *operands, const wane_range *workspace);
// Whether the plan's passes fit these ranges: everything that could be wrong with a record.
wane_status vulkan_check(wane_device *device, const wane_plan *plan, const wane_range *operands,
                         const wane_range *workspace);
// Cannot fail: vulkan_check has passed, and the recorder's capacity has been taken.
void vulkan_record(wane_device *device, const wane_plan *plan, const vulkan_program *program, vulkan_recorder *recorder,
                   const wane_range *operands, const wane_range *workspace, VkCommandBuffer commands);

#endif
