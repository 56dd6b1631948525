// vanish_test.c - a Vulkan device that is lost in the middle of a conformance run, one that is gone afterwards, and a
// driver that dies when it is closed: the case is told, a lost device is opened again, a vanished one ends the run with
// valid reports.
#define VK_NO_PROTOTYPES
#include <wane/wane_vulkan.h>

#include "wane_conform.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUBMITS = 40 };                      // of the first process, some dozen cases
typedef enum accident { LOST, VANISHES, DIES_CLOSING } accident;

static struct {
    PFN_vkGetInstanceProcAddr get;
    VkInstance instance;
    char flag[64];                          // a file that is there once it has happened: runs fork
    accident what;
    int submits;
} shim;

static int has_happened(void) { return access(shim.flag, F_OK) == 0; }

// Once.
static int happens(void)
{
    FILE *flag = has_happened() ? NULL : fopen(shim.flag, "w");
    if (flag) fclose(flag);
    return flag != NULL;
}

static VKAPI_ATTR VkResult VKAPI_CALL shim_QueueSubmit(VkQueue q, uint32_t n, const VkSubmitInfo *s, VkFence f)
{
    if (shim.what != DIES_CLOSING && ++shim.submits == SUBMITS && happens()) return VK_ERROR_DEVICE_LOST;
    return ((PFN_vkQueueSubmit)shim.get(shim.instance, "vkQueueSubmit"))(q, n, s, f);
}

static VKAPI_ATTR void VKAPI_CALL shim_DestroyDevice(VkDevice d, const VkAllocationCallbacks *a)
{
    if (shim.what == DIES_CLOSING && happens()) _exit(7);
    ((PFN_vkDestroyDevice)shim.get(shim.instance, "vkDestroyDevice"))(d, a);
}

static VKAPI_ATTR VkResult VKAPI_CALL shim_EnumeratePhysicalDevices(VkInstance i, uint32_t *n, VkPhysicalDevice *out)
{
    if (shim.what == VANISHES && has_happened()) {
        *n = 0;
        return VK_SUCCESS;
    }
    return ((PFN_vkEnumeratePhysicalDevices)shim.get(i, "vkEnumeratePhysicalDevices"))(i, n, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL shim_CreateInstance(const VkInstanceCreateInfo *i, const VkAllocationCallbacks *a, VkInstance *out)
{
    VkResult result = ((PFN_vkCreateInstance)shim.get(NULL, "vkCreateInstance"))(i, a, out);
    if (result == VK_SUCCESS) shim.instance = *out;
    return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL shim_get(VkInstance instance, const char *name);

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL shim_GetDeviceProcAddr(VkDevice device, const char *name)
{
    (void)device;
    return shim_get(shim.instance, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL shim_get(VkInstance instance, const char *name)
{
#define NAME(f) if (strcmp(name, "vk" #f) == 0) return (PFN_vkVoidFunction)shim_##f;
    NAME(QueueSubmit) NAME(DestroyDevice) NAME(EnumeratePhysicalDevices) NAME(CreateInstance) NAME(GetDeviceProcAddr)
    return shim.get(instance, name);
}

static void *resolve(void *user, const char *name)
{
    (void)user;
    PFN_vkVoidFunction f = strcmp(name, "vkGetInstanceProcAddr") == 0 ? (PFN_vkVoidFunction)shim_get : NULL;
    void *address;
    memcpy(&address, &f, sizeof address);
    return address;
}

static int count_lines(const char *path, const char *text)
{
    char line[2048];
    int count = 0;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) count += strstr(line, text) != NULL;
    if (f) fclose(f);
    return count;
}

static int expect(const char *what, int is, int wanted)
{
    if (is == wanted) return 0;
    fprintf(stderr, "FAILED: %s: %d, not %d\n", what, is, wanted);
    return 1;
}

static int try_it(accident what, const char *jobs)
{
    wane_context_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.vulkan.resolve = resolve;
    char csv[96], json[96];
    snprintf(csv, sizeof csv, "%s.csv", shim.flag);
    snprintf(json, sizeof json, "%s.json", shim.flag);
    remove(shim.flag);
    shim.what = what;
    const char *cases = what == DIES_CLOSING ? "cross_entropy.f32.random1?.*" : "cross_entropy.f32.r?c*";
    char *arguments[] = {"vanish_test", "--device", "vulkan", "--filter", (char *)cases, "--csv", csv, "--json", json,
                         "--jobs", (char *)jobs, NULL};
    int failed = expect("exit code", wane_conform_main_with(11, arguments, &desc), what == VANISHES ? 3 : 1);
    failed += expect("cases that found the device lost", count_lines(csv, ",fail,"), what != DIES_CLOSING);
    failed += expect("cases whose process died", count_lines(csv, ",crash,"), what == DIES_CLOSING);
    if (count_lines(csv, ",pass,") < 5) failed += expect("enough passed", 0, 1);
    failed += expect("the end of the JSON file", count_lines(json, "\"planned\""), 1);
    if (what != VANISHES) failed += expect("cases in the JSON file", count_lines(json, "{\"name\""), count_lines(csv, "cross_entropy"));
    remove(csv);
    remove(json);
    remove(shim.flag);
    return failed;
}

int main(void)
{
    void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL), *symbol;
    symbol = library ? dlsym(library, "vkGetInstanceProcAddr") : NULL;
    wane_context *context = NULL;
    wane_device *device = NULL;
    int has = symbol && !wane_context_create(NULL, &context) && !wane_device_find(context, "vulkan", &device);
    wane_context_destroy(context);
    if (!has) {
        printf("skipped: there is no usable Vulkan device here\n");
        return 77;
    }
    memcpy(&shim.get, &symbol, sizeof shim.get);
    snprintf(shim.flag, sizeof shim.flag, "vanish_test.%ld", (long)getpid());
    int failed = try_it(LOST, "1") + try_it(VANISHES, "1") + try_it(VANISHES, "2");
    failed += try_it(DIES_CLOSING, "1") + try_it(DIES_CLOSING, "2");
    return failed != 0;
}
