// vulkan_shim.h - stands between wane and libvulkan: changes what devices say, makes calls fail, counts. What calls there
// are says vulkan_calls.def. Each program has its own: everything is static.
#ifndef WANE_TESTS_UNIT_VULKAN_SHIM_H
#define WANE_TESTS_UNIT_VULKAN_SHIM_H

#define VK_NO_PROTOTYPES
#include "wane/wane_vulkan.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>

enum { SHIM_ASK, SHIM_MAKE, SHIM_ALLOC, SHIM_DO, SHIM_WAIT, SHIM_HINT, SHIM_END, SHIM_TELL, SHIM_RECORD, SHIM_KINDS };

// A call that can fail, in the order of a life.
typedef struct shim_site {
    const char *name;
    int kind;
    const int32_t *codes;
    uint32_t code_count;
} shim_site;

enum { SHIM_SITES = 4096 };

static struct {
    PFN_vkGetInstanceProcAddr real;
    VkInstance instance;                   // wane's own, or
    VkInstance host;                       // the test's
    void (*change)(VkPhysicalDeviceProperties *properties);
    VkQueueFlags hidden_queues;            // flags that no queue family has
    int no_devices, no_features, old_loader, no_loader;
    atomic_uint calls;                     // fallible calls so far
    uint32_t fail_at;                      // 0: none
    uint32_t fail_again;                   // a second call that fails: 0, or from this one on
    int32_t fail_with;
    const char *failed;                    // the call that was made to fail
    int lost;                              // a call has answered DEVICE_LOST
    const char *late;                      // a call that came after it, and destroys nothing
    shim_site *sites;                      // NULL, or gets the first SHIM_SITES fallible calls
    atomic_uint kinds[SHIM_KINDS];         // calls of each kind
    atomic_uint pipelines;                 // compiled
    size_t initial_bytes;                  // of the last pipeline cache
    atomic_int live;                       // objects made and not destroyed
} shim;

// Calls that create or allocate.
static inline uint32_t shim_made(void) { return shim.kinds[SHIM_MAKE] + shim.kinds[SHIM_ALLOC]; }

static PFN_vkVoidFunction real(const char *name)
{
    PFN_vkVoidFunction f = shim.real(shim.instance ? shim.instance : shim.host, name);
    return f ? f : shim.real(NULL, name);
}

static void shim_see(int kind, const char *name)
{
    shim.kinds[kind]++;
    if (shim.lost && kind != SHIM_END && !shim.late) shim.late = name;
}

static int fails(int kind, const char *name, const int32_t *codes, uint32_t code_count)
{
    shim_see(kind, name);
    uint32_t call = ++shim.calls;
    if (shim.sites && call <= SHIM_SITES) shim.sites[call - 1] = (shim_site){name, kind, codes, code_count};
    if (call != shim.fail_at && (!shim.fail_again || call < shim.fail_again)) return 0;
    shim.failed = name;
    shim.lost = shim.lost || shim.fail_with == VK_ERROR_DEVICE_LOST;
    return 1;
}

#define VULKAN_CALL(kind, name, parameters, arguments, after, ...)                                                     \
    static VKAPI_ATTR VkResult VKAPI_CALL shim_##name parameters                                                       \
    {                                                                                                                  \
        static const int32_t codes[] = {__VA_ARGS__};                                                                  \
        VkResult result = VK_SUCCESS;                                                                                  \
        /* a wait that fails has waited all the same: the driver under the shim is alive and works on */               \
        if (SHIM_##kind == SHIM_WAIT) result = ((PFN_vk##name)real("vk" #name))arguments;                              \
        if (fails(SHIM_##kind, "vk" #name, codes, sizeof codes / sizeof *codes)) return (VkResult)shim.fail_with;      \
        if (SHIM_##kind != SHIM_WAIT) result = ((PFN_vk##name)real("vk" #name))arguments;                              \
        if (result != VK_SUCCESS) return result;                                                                       \
        shim.live += SHIM_##kind == SHIM_MAKE;                                                                         \
        after;                                                                                                         \
        return result;                                                                                                 \
    }
#define VULKAN_VOID(kind, name, parameters, arguments, ended)                                                          \
    static VKAPI_ATTR void VKAPI_CALL shim_##name parameters                                                           \
    {                                                                                                                  \
        shim_see(SHIM_##kind, "vk" #name);                                                                             \
        shim.live -= ended;                                                                                            \
        ((PFN_vk##name)real("vk" #name))arguments;                                                                     \
    }
#include "vulkan_calls.def"

// ---- calls with an effect of their own ----------------------------------------------------------------------------

static VKAPI_ATTR VkResult VKAPI_CALL shim_CreateInstance(const VkInstanceCreateInfo *i, const VkAllocationCallbacks *a,
                                                          VkInstance *out)
{
    static const int32_t codes[] = {VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_UNKNOWN,
                                    VK_ERROR_INITIALIZATION_FAILED, VK_ERROR_LAYER_NOT_PRESENT,
                                    VK_ERROR_EXTENSION_NOT_PRESENT, VK_ERROR_INCOMPATIBLE_DRIVER};
    if (fails(SHIM_MAKE, "vkCreateInstance", codes, sizeof codes / sizeof *codes)) return (VkResult)shim.fail_with;
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

static VKAPI_ATTR VkResult VKAPI_CALL shim_EnumerateInstanceVersion(uint32_t *out)
{
    static const int32_t codes[] = {VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_UNKNOWN};
    if (fails(SHIM_ASK, "vkEnumerateInstanceVersion", codes, 2)) return (VkResult)shim.fail_with;
    return ((PFN_vkEnumerateInstanceVersion)shim.real(NULL, "vkEnumerateInstanceVersion"))(out);
}

static VKAPI_ATTR VkResult VKAPI_CALL shim_EnumerateInstanceExtensionProperties(const char *layer, uint32_t *n,
                                                                                VkExtensionProperties *out)
{
    static const int32_t codes[] = {VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY,
                                    VK_ERROR_LAYER_NOT_PRESENT, VK_ERROR_UNKNOWN};
    if (fails(SHIM_HINT, "vkEnumerateInstanceExtensionProperties", codes, 4)) return (VkResult)shim.fail_with;
    const char *name = "vkEnumerateInstanceExtensionProperties";
    return ((PFN_vkEnumerateInstanceExtensionProperties)shim.real(NULL, name))(layer, n, out);
}

static VKAPI_ATTR void VKAPI_CALL shim_GetPhysicalDeviceProperties(VkPhysicalDevice p, VkPhysicalDeviceProperties *out)
{
    ((PFN_vkGetPhysicalDeviceProperties)real("vkGetPhysicalDeviceProperties"))(p, out);
    if (shim.change) shim.change(out);
}

static VKAPI_ATTR void VKAPI_CALL shim_GetPhysicalDeviceFeatures2(VkPhysicalDevice p, VkPhysicalDeviceFeatures2 *out)
{
    if (!shim.no_features) ((PFN_vkGetPhysicalDeviceFeatures2)real("vkGetPhysicalDeviceFeatures2"))(p, out);
}

static VKAPI_ATTR void VKAPI_CALL shim_GetPhysicalDeviceQueueFamilyProperties(VkPhysicalDevice p, uint32_t *n,
                                                                              VkQueueFamilyProperties *out)
{
    const char *name = "vkGetPhysicalDeviceQueueFamilyProperties";
    ((PFN_vkGetPhysicalDeviceQueueFamilyProperties)real(name))(p, n, out);
    for (uint32_t i = 0; out && i < *n; i++) out[i].queueFlags &= ~shim.hidden_queues;
}

static VKAPI_ATTR VkResult VKAPI_CALL shim_count_devices(VkInstance i, uint32_t *n, VkPhysicalDevice *out)
{
    if (!shim.no_devices) return shim_EnumeratePhysicalDevices(i, n, out);
    *n = 0;
    return VK_SUCCESS;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL shim_get(VkInstance instance, const char *name);

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL shim_GetDeviceProcAddr(VkDevice device, const char *name)
{
    // what the driver does not have, or the host did not enable, the shim has not either
    if (!((PFN_vkGetDeviceProcAddr)real("vkGetDeviceProcAddr"))(device, name)) return NULL;
    return shim_get(shim.instance ? shim.instance : shim.host, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL shim_get(VkInstance instance, const char *name)
{
#define SHIM(f)                                                                                                        \
    if (strcmp(name, "vk" #f) == 0) return (PFN_vkVoidFunction)shim_##f;
#define VULKAN_CALL(kind, f, parameters, arguments, after, ...) SHIM(f)
#define VULKAN_VOID(kind, f, parameters, arguments, ended) SHIM(f)
    if (strcmp(name, "vkEnumeratePhysicalDevices") == 0) return (PFN_vkVoidFunction)shim_count_devices;
    if (strcmp(name, "vkEnumerateInstanceVersion") == 0 && shim.old_loader) return NULL;
#include "vulkan_calls.def"
    SHIM(CreateInstance) SHIM(DestroyInstance) SHIM(EnumerateInstanceVersion) SHIM(EnumerateInstanceExtensionProperties)
    SHIM(GetPhysicalDeviceProperties) SHIM(GetPhysicalDeviceFeatures2) SHIM(GetPhysicalDeviceQueueFamilyProperties)
    SHIM(GetDeviceProcAddr)
#undef SHIM
    return shim.real(instance, name);
}

static inline void *resolve(void *user, const char *name)
{
    (void)user;
    PFN_vkVoidFunction f = strcmp(name, "vkGetInstanceProcAddr") == 0 && !shim.no_loader ? (PFN_vkVoidFunction)shim_get : NULL;
    void *address;
    memcpy(&address, &f, sizeof address);
    return address;
}

static inline void reset_shim(void)
{
    PFN_vkGetInstanceProcAddr keep = shim.real;
    VkInstance host = shim.host;
    memset(&shim, 0, sizeof shim);
    shim.real = keep;
    shim.host = host;
}

// Finds libvulkan, and whether there is a device that wane works with.
static inline int have_vulkan(void)
{
    void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "vkGetInstanceProcAddr") : NULL;
    memcpy(&shim.real, &symbol, sizeof shim.real);
    if (!symbol) return 0;
    wane_context_desc desc = {.struct_size = sizeof desc, .backends = WANE_BACKEND_VULKAN, .vulkan = {NULL, resolve}};
    wane_context *context = NULL;
    if (wane_context_create(&desc, &context) != WANE_OK) return 0;
    wane_device_info info = {.struct_size = sizeof info};
    int have = wane_device_get_info(wane_device_at(context, 0), &info) == WANE_OK && strcmp(info.backend, "vulkan") == 0
        && info.usable;
    wane_context_destroy(context);
    return have;
}

#endif
