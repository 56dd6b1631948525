// loader.c - libvulkan, the instance of a context, and the devices in it.
#include "backend/vulkan/vulkan.h"

#include <stdio.h>

static bool own_library(void **library, PFN_vkGetInstanceProcAddr *get)
{
    static const char *const names[] = {"libvulkan.so.1", "libvulkan.so", "vulkan-1.dll", "libvulkan.1.dylib"};
    for (size_t i = 0; i < sizeof names / sizeof *names && !*library; i++) *library = wane_library_open(names[i]);
    if (!*library) return false;
    void *symbol = wane_library_symbol(*library, "vkGetInstanceProcAddr");
    memcpy(get, &symbol, sizeof *get);      // a cast from data to function is not C11
    if (symbol) return true;
    wane_library_close(*library);
    *library = NULL;
    return false;
}

// The host's resolver if there is one, and nothing else then; or libvulkan.
bool vulkan_load_library(wane_context *context, void **library, PFN_vkGetInstanceProcAddr *get)
{
    const wane_resolver *resolver = &context->desc.vulkan;
    *library = NULL;
    *get = NULL;
    if (!resolver->resolve) return own_library(library, get);
    void *symbol = resolver->resolve(resolver->user, "vkGetInstanceProcAddr");
    memcpy(get, &symbol, sizeof *get);
    return symbol != NULL;
}

bool vulkan_load_instance(PFN_vkGetInstanceProcAddr get, VkInstance instance, vulkan_instance_table *table)
{
    bool all = true;
#define LOAD(name) all = (table->name = (PFN_vk##name)get(instance, "vk" #name)) != NULL && all;
    VULKAN_INSTANCE_FUNCTIONS(LOAD)
#undef LOAD
    return all;
}

static bool has_portability(PFN_vkEnumerateInstanceExtensionProperties enumerate, wane_context *context)
{
    uint32_t count = 0;
    if (enumerate(NULL, &count, NULL) != VK_SUCCESS || count == 0) return false;
    VkExtensionProperties *list = wane_alloc(context, count * sizeof *list);
    if (!list) return false;
    VkResult result = enumerate(NULL, &count, list);
    bool found = (result == VK_SUCCESS || result == VK_INCOMPLETE)
        && vulkan_has_extension(list, count, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);
    wane_free(context, list);
    return found;
}

// Says in the log why there will be no Vulkan device.
static bool no_vulkan(wane_context *context, const char *why)
{
    wane_log(context, WANE_LOG_INFO, "vulkan: no devices: %s", why);
    return false;
}

static bool make_instance(wane_context *context, vulkan_state *state)
{
    PFN_vkEnumerateInstanceVersion version =
        (PFN_vkEnumerateInstanceVersion)state->get(NULL, "vkEnumerateInstanceVersion");
    uint32_t loader = 0;
    if (!version || version(&loader) != VK_SUCCESS || loader < VK_API_VERSION_1_1)
        return no_vulkan(context, "the Vulkan loader is of version 1.0, and 1.1 is needed: update it");
    // 1.3 is the newest whose structures are used; a device's own version decides which
    state->loader_version = loader < VK_API_VERSION_1_3 ? loader : VK_API_VERSION_1_3;
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)state->get(NULL, "vkCreateInstance");
    PFN_vkEnumerateInstanceExtensionProperties enumerate =
        (PFN_vkEnumerateInstanceExtensionProperties)state->get(NULL, "vkEnumerateInstanceExtensionProperties");
    if (!create || !enumerate) return no_vulkan(context, "the Vulkan loader lacks vkCreateInstance");
    const char *extension = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
    bool portability = has_portability(enumerate, context);
    const VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .pEngineName = "wane", .apiVersion = state->loader_version};
    const VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .flags = portability ? VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR : 0,
        .pApplicationInfo = &application,
        .enabledExtensionCount = portability ? 1 : 0,
        .ppEnabledExtensionNames = portability ? &extension : NULL};
    VkInstance instance = VK_NULL_HANDLE;
    VkResult result = create(&info, NULL, &instance);
    if (result != VK_SUCCESS) {
        wane_log(context, WANE_LOG_INFO, "vulkan: no devices: vkCreateInstance returned %d", (int)result);
        return false;
    }
    state->instance = instance;
    if (vulkan_load_instance(state->get, instance, &state->vki)) return true;
    return no_vulkan(context, "the Vulkan loader lacks functions of Vulkan 1.1");
}

// The list of physical devices, empty if there are none or the driver fails.
static wane_status enumerate(wane_context *context, vulkan_state *state)
{
    for (int attempt = 0; attempt < 4; attempt++) {        // devices may come and go between the two calls
        uint32_t count = 0;
        VkResult result = state->vki.EnumeratePhysicalDevices(state->instance, &count, NULL);
        if (result == VK_SUCCESS && count > 0) {
            wane_free(context, state->physicals);
            state->physicals = wane_alloc(context, count * sizeof *state->physicals);
            if (!state->physicals) return wane_no_memory(context);
            result = state->vki.EnumeratePhysicalDevices(state->instance, &count, state->physicals);
            if (result == VK_INCOMPLETE) continue;
        }
        if (result == VK_SUCCESS) state->physical_count = count;
        else
            wane_log(context, WANE_LOG_INFO, "vulkan: no devices: vkEnumeratePhysicalDevices returned %d", (int)result);
        return WANE_OK;
    }
    return WANE_OK;
}

static wane_status add_device(wane_context *context, vulkan_state *state, uint32_t index)
{
    char id[32];
    snprintf(id, sizeof id, "vulkan:%u", (unsigned)index);
    vulkan_device *d = wane_alloc(context, sizeof *d);
    if (!d) return wane_no_memory(context);
    wane_device *device = wane_device_add(context, &wane_backend_vulkan, id);
    if (!device) {
        wane_free(context, d);
        return wane_no_memory(context);
    }
    d->vki = state->vki;
    d->get = state->get;
    d->instance = state->instance;
    d->physical = state->physicals[index];
    d->next = state->devices;
    state->devices = d;
    device->native = d;
    device->index = index;
    vulkan_describe(device, state->loader_version);
    return WANE_OK;
}

wane_status vulkan_discover(wane_context *context, void **out)
{
    vulkan_state *state = *out;             // not NULL: an earlier attempt ran out of memory on the way
    if (!state) {
        state = wane_alloc(context, sizeof *state);
        if (!state) return wane_no_memory(context);
        *out = state;
    }
    if (!state->get && !vulkan_load_library(context, &state->library, &state->get)) {
        no_vulkan(context, context->desc.vulkan.resolve ? "the host's resolver knows no vkGetInstanceProcAddr"
                                                        : "there is no libvulkan here");
        return WANE_OK;
    }
    if (!state->instance && !make_instance(context, state)) return WANE_OK;
    if (!state->physical_count) {
        wane_status status = enumerate(context, state);
        if (status) return status;
        if (!state->physical_count) no_vulkan(context, "no driver offers one");
    }
    while (state->added < state->physical_count) {
        wane_status status = add_device(context, state, state->added);
        if (status) return status;
        state->added++;
    }
    return WANE_OK;
}

void vulkan_shutdown(wane_context *context, void *argument)
{
    vulkan_state *state = argument;
    while (state->devices) {
        vulkan_device *next = state->devices->next;
        wane_free(context, state->devices);
        state->devices = next;
    }
    if (state->instance && state->vki.DestroyInstance) state->vki.DestroyInstance(state->instance, NULL);
    wane_free(context, state->physicals);
    if (state->library) wane_library_close(state->library);
    wane_free(context, state);
}
