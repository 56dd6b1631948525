// plant_vulkan.c - a seeded fault on a Vulkan device: a resolver between wane and libvulkan takes the module with the fault
// in the place of the kernel's.
#include "mutants.h"

#define VK_NO_PROTOTYPES
#include <wane/wane_vulkan.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const mutant_device = "vulkan";
const bool mutant_hides = true;

static struct {
    PFN_vkGetInstanceProcAddr get;
    VkInstance instance;
    void *kernel, *fault;                   // modules
    size_t kernel_bytes, fault_bytes;
} plant;

static VKAPI_ATTR VkResult VKAPI_CALL plant_CreateShaderModule(VkDevice d, const VkShaderModuleCreateInfo *i,
                                                               const VkAllocationCallbacks *a, VkShaderModule *out)
{
    VkShaderModuleCreateInfo info = *i;
    if (info.codeSize == plant.kernel_bytes && memcmp(info.pCode, plant.kernel, plant.kernel_bytes) == 0) {
        info.codeSize = plant.fault_bytes;
        info.pCode = plant.fault;
        mutant_taken();
    }
    return ((PFN_vkCreateShaderModule)plant.get(plant.instance, "vkCreateShaderModule"))(d, &info, a, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL plant_CreateInstance(const VkInstanceCreateInfo *i, const VkAllocationCallbacks *a, VkInstance *out)
{
    VkResult result = ((PFN_vkCreateInstance)plant.get(NULL, "vkCreateInstance"))(i, a, out);
    if (result == VK_SUCCESS) plant.instance = *out;
    return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL plant_get(VkInstance instance, const char *name);

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL plant_GetDeviceProcAddr(VkDevice device, const char *name)
{
    (void)device;
    return plant_get(plant.instance, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL plant_get(VkInstance instance, const char *name)
{
#define NAME(f) if (strcmp(name, "vk" #f) == 0) return (PFN_vkVoidFunction)plant_##f;
    NAME(CreateShaderModule) NAME(CreateInstance) NAME(GetDeviceProcAddr)
#undef NAME
    return plant.get(instance, name);
}

static void *resolve(void *user, const char *name)
{
    (void)user;
    PFN_vkVoidFunction f = strcmp(name, "vkGetInstanceProcAddr") == 0 ? (PFN_vkVoidFunction)plant_get : NULL;
    void *address;
    memcpy(&address, &f, sizeof address);
    return address;
}

bool mutant_plant(const mutant *m, wane_context_desc *desc)
{
    char path[1024];
    void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL), *symbol = library ? dlsym(library, "vkGetInstanceProcAddr") : NULL;
    if (!symbol) return true;               // no device, which wane-conform says
    memcpy(&plant.get, &symbol, sizeof plant.get);
    snprintf(path, sizeof path, "%s/vulkan/%s.spv", MUTANT_GENERATED, m->kernel);
    plant.kernel = mutant_read(path, &plant.kernel_bytes);
    snprintf(path, sizeof path, "%s/%s.spv", m->folder, m->kernel);
    plant.fault = mutant_read(path, &plant.fault_bytes);
    desc->vulkan.resolve = resolve;
    return plant.kernel && plant.fault;
}
