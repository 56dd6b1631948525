// profile_test.c - the conformance test on a device that is as weak as a profile; or, below the floor, its refusal.
//
//     profile_test NAME[+floor] [ARGUMENT OF wane-conform...]     NAME list: all that there are
//     profile_test exceed      calls past a profile, each of which must end the process
#include "profile.h"

#include "wane_conform.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "FAILED: %s%s%s\n", what, why ? ": " : "", why ? why : "");
    return 1;
}

static int find_profile(const char *name, profile *out)
{
    size_t length = strcspn(name, "+");
    for (const profile *p = profiles; p->name; p++)
        if (strlen(p->name) == length && strncmp(p->name, name, length) == 0) {
            *out = *p;
            if (strcmp(name + length, "+floor") != 0) return name[length] == '\0';
            out->api = FLOOR_API;
            out->storage_buffers = FLOOR_BUFFERS;
            if (!out->allocation_bytes) out->allocation_bytes = 1u << 30;
            out->reason = NULL;
            return 1;
        }
    return 0;
}

// Listed with the reason, not to be had by name, and the CPU in its place.
static int check_refusal(const profile *p, const wane_context_desc *desc)
{
    wane_context *context = NULL;
    wane_device *device = NULL;
    wane_device_info info = {.struct_size = sizeof info};
    if (wane_context_create(desc, &context)) return fail("no context", NULL);
    int failed = 0, seen = 0;
    for (uint32_t i = 0; (device = wane_device_at(context, i)); i++) {
        if (wane_device_get_info(device, &info) || strcmp(info.backend, "vulkan") != 0) continue;
        seen++;
        printf("%s: %s\n", info.id, info.reason);
        if (info.usable || !strstr(info.reason, p->reason)) failed = fail("not refused for what it lacks", p->reason);
    }
    if (!seen) failed = fail("no Vulkan device is listed", NULL);
    if (wane_device_find(context, "vulkan", &device) != WANE_ERROR_DEVICE_UNUSABLE) failed = fail("it can be had by name", NULL);
    if (wane_device_find(context, "auto", &device) || wane_device_get_info(device, &info) || strcmp(info.backend, "cpu") != 0)
        failed = fail("the CPU does not serve in its place", NULL);
    wane_context_destroy(context);
    return failed;
}

static int has_vulkan(void)
{
    wane_context *context = NULL;
    wane_device *device = NULL;
    int has = !wane_context_create(NULL, &context) && !wane_device_find(context, "vulkan", &device);
    wane_context_destroy(context);
    return has;
}

// ---- proof that the shim sees ----

static PFN_vkVoidFunction shimmed(const char *name)
{
    void *symbol = profile_resolve(NULL, "vkGetInstanceProcAddr");
    PFN_vkGetInstanceProcAddr get;
    memcpy(&get, &symbol, sizeof get);
    return get(VK_NULL_HANDLE, name);
}

static void many_buffers(void)
{
    VkDescriptorSetLayoutBinding b = {0, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 9, VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    VkDescriptorSetLayoutCreateInfo i = {.bindingCount = 1, .pBindings = &b};
    ((PFN_vkCreateDescriptorSetLayout)shimmed("vkCreateDescriptorSetLayout"))(VK_NULL_HANDLE, &i, NULL, NULL);
}

static void long_push(void) { ((PFN_vkCmdPushConstants)shimmed("vkCmdPushConstants"))(VK_NULL_HANDLE, VK_NULL_HANDLE, 0, 64, 68, NULL); }
static void wide_grid(void) { ((PFN_vkCmdDispatch)shimmed("vkCmdDispatch"))(VK_NULL_HANDLE, 65536, 1, 1); }

static void extension(void)
{
    const char *name = "VK_KHR_cooperative_matrix";
    VkDeviceCreateInfo i = {.enabledExtensionCount = 1, .ppEnabledExtensionNames = &name};
    ((PFN_vkCreateDevice)shimmed("vkCreateDevice"))(VK_NULL_HANDLE, &i, NULL, NULL);
}

static void bind(VkDeviceSize offset, VkDeviceSize range)
{
    VkDescriptorBufferInfo b = {VK_NULL_HANDLE, offset, range};
    VkWriteDescriptorSet w = {.descriptorCount = 1, .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .pBufferInfo = &b};
    ((PFN_vkUpdateDescriptorSets)shimmed("vkUpdateDescriptorSets"))(VK_NULL_HANDLE, 1, &w, 0, NULL);
}

static void odd_offset(void) { bind(64, 1024); }
static void wide_range(void) { bind(0, ((VkDeviceSize)1 << 27) + 4); }

static void allocation(void)
{
    VkMemoryAllocateInfo i = {.allocationSize = ((VkDeviceSize)1 << 30) + 1};
    ((PFN_vkAllocateMemory)shimmed("vkAllocateMemory"))(VK_NULL_HANDLE, &i, NULL, NULL);
}

static void compile(const uint32_t *words, size_t bytes)
{
    VkShaderModuleCreateInfo i = {.codeSize = bytes, .pCode = words};
    ((PFN_vkCreateShaderModule)shimmed("vkCreateShaderModule"))(VK_NULL_HANDLE, &i, NULL, NULL);
}

static void new_module(void)
{
    const uint32_t words[] = {0x07230203, 0x10400, 0, 1, 0};
    compile(words, sizeof words);
}

static void half_module(void)
{
    const uint32_t words[] = {0x07230203, 0x10300, 0, 1, 0, 2u << 16 | 17, 9};
    compile(words, sizeof words);
}

static void large_group(void)
{
    const uint32_t words[] = {0x07230203, 0x10300, 0, 2, 0, 6u << 16 | 16, 1, 17, 129, 1, 1};
    compile(words, sizeof words);
}

// float[4097] in shared memory
static void much_shared(void)
{
    const uint32_t words[] = {0x07230203, 0x10300, 0, 8, 0, 3u << 16 | 22, 1, 32, 4u << 16 | 21, 2, 32, 0, 4u << 16 | 43, 2, 3, 4097,
                              4u << 16 | 28, 4, 1, 3, 4u << 16 | 32, 5, 4, 4, 4u << 16 | 59, 5, 6, 4};
    compile(words, sizeof words);
}

static int exceed(void)
{
    void (*const calls[])(void) = {many_buffers, long_push, wide_grid, extension, odd_offset, wide_range, allocation,
                                   new_module, half_module, large_group, much_shared};
    profile p;
    int failed = 0;
    find_profile("vulkan_1_1+floor", &p);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        fflush(NULL);
        pid_t pid = fork();
        int status = 0;
        if (pid == 0) {
            profile_enter(&p);
            calls[i]();
            _exit(0);
        }
        waitpid(pid, &status, 0);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) continue;
        fprintf(stderr, "FAILED: call %zu past the profile was let through\n", i);
        failed = 1;
    }
    profile_enter(&p);
    if (shimmed("vkGetBufferDeviceAddress")) failed = fail("a function of Vulkan 1.2 is there", NULL);
    return failed;
}

int main(int argc, char **argv)
{
    profile p;
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (const profile *i = profiles; i->name; i++) printf("%s\n%s+floor\n", i->name, i->name);
        return 0;
    }
    if (argc < 2) return fail("usage: profile_test NAME[+floor] | list | exceed [ARGUMENT OF wane-conform...]", NULL);
    if (!has_vulkan()) {
        printf("skipped: there is no usable Vulkan device here\n");
        return 77;
    }
    if (strcmp(argv[1], "exceed") == 0) return exceed();
    if (!find_profile(argv[1], &p)) return fail("there is no such profile", argv[1]);
    profile_enter(&p);
    wane_context_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.vulkan.resolve = profile_resolve;
    if (p.reason) return check_refusal(&p, &desc);
    char *arguments[64] = {argv[0], "--device", "vulkan"};
    int count = 3;
    for (int i = 2; i < argc && count < 63; i++) arguments[count++] = argv[i];
    return wane_conform_main_with(count, arguments, &desc);
}
