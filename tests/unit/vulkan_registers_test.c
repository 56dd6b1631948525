// vulkan_registers_test.c - what the kernels cost on GPUs that are not here. Mesa's RADV compiles for any AMD chip on a
// null device; here every pipeline of every loss, for a wave of 64 lanes (Polaris) and for one of 32 (RDNA 3): none may
// spill registers or use scratch memory. --verbose prints the figures.
#define _DEFAULT_SOURCE                     // setenv
#include "support.h"

#include "backend/vulkan/vulkan.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

static test_log messages;
static bool verbose;

typedef struct null_device {
    PFN_vkGetInstanceProcAddr get;
    VkInstance instance;
    VkDevice device;
    VkPipelineLayout layout;
    uint32_t kernels[WANE_KERNEL_COUNT];    // pipelines compiled of each
} null_device;

#define CALL(n, name) ((PFN_vk##name)(n)->get((n)->instance, "vk" #name))
#define MUST(call) assert_int_equal((call), VK_SUCCESS)

static bool make_device(null_device *n)
{
    const VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo instance = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app};
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)n->get(NULL, "vkCreateInstance");
    if (create(&instance, NULL, &n->instance) != VK_SUCCESS) return false;
    VkPhysicalDevice physical = VK_NULL_HANDLE;
    uint32_t one = 1;
    if (CALL(n, EnumeratePhysicalDevices)(n->instance, &one, &physical) < 0 || one == 0) return false;
    VkPhysicalDeviceProperties properties;
    CALL(n, GetPhysicalDeviceProperties)(physical, &properties);
    printf("    %s\n", properties.deviceName);
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const char *extension = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR figures = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, .pipelineExecutableInfo = 1};
    const VkDeviceCreateInfo device = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .pNext = &figures,
                                       .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue,
                                       .enabledExtensionCount = 1, .ppEnabledExtensionNames = &extension};
    return CALL(n, CreateDevice)(physical, &device, NULL, &n->device) == VK_SUCCESS;
}

// As the backend makes it.
static void make_layout(null_device *n)
{
    VkDescriptorSetLayoutBinding bindings[WANE_MAX_SLOTS + 1];
    for (uint32_t i = 0; i <= WANE_MAX_SLOTS; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){
            i, i == VULKAN_UNIFORM ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1,
            VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    const VkDescriptorSetLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                  .bindingCount = WANE_MAX_SLOTS + 1, .pBindings = bindings};
    VkDescriptorSetLayout set;
    MUST(CALL(n, CreateDescriptorSetLayout)(n->device, &info, NULL, &set));
    const VkPushConstantRange push = {VK_SHADER_STAGE_COMPUTE_BIT, 0, VULKAN_PUSH_WORDS * 4};
    const VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                               .setLayoutCount = 1, .pSetLayouts = &set,
                                               .pushConstantRangeCount = 1, .pPushConstantRanges = &push};
    MUST(CALL(n, CreatePipelineLayout)(n->device, &layout, NULL, &n->layout));
    CALL(n, DestroyDescriptorSetLayout)(n->device, set, NULL);
}

static VkPipeline compile(const null_device *n, const wane_pass *pass)
{
    const vulkan_module *text = &vulkan_modules[pass->kernel];
    const VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = text->bytes,
                                           .pCode = text->words};
    VkShaderModule module;
    MUST(CALL(n, CreateShaderModule)(n->device, &code, NULL, &module));
    uint32_t values[WANE_MAX_CONSTS + 1] = {VULKAN_LANES};
    VkSpecializationMapEntry entries[WANE_MAX_CONSTS + 1];
    for (uint32_t i = 0; i <= WANE_MAX_CONSTS; i++) {
        if (i > 0) values[i] = pass->consts[i - 1];
        entries[i] = (VkSpecializationMapEntry){i, i * 4, 4};
    }
    const VkSpecializationInfo constants = {wane_kernels[pass->kernel].const_count + 1u, entries, sizeof values, values};
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module, .pName = "main", .pSpecializationInfo = &constants},
        .layout = n->layout, .basePipelineIndex = -1};
    VkPipeline pipeline;
    MUST(CALL(n, CreateComputePipelines)(n->device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline));
    CALL(n, DestroyShaderModule)(n->device, module, NULL);
    return pipeline;
}

// The driver's figures of a pipeline, by name.
static void judge(null_device *n, const wane_pass *pass)
{
    VkPipeline pipeline = compile(n, pass);
    const VkPipelineExecutableInfoKHR which = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline};
    VkPipelineExecutableStatisticKHR figures[64];
    memset(figures, 0, sizeof figures);
    for (uint32_t i = 0; i < 64; i++) figures[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
    uint32_t count = 64, known = 0;
    assert_true(CALL(n, GetPipelineExecutableStatisticsKHR)(n->device, &which, &count, figures) >= 0);
    const char *kernel = wane_kernels[pass->kernel].name;
    if (verbose) printf("    %-20s", kernel);
    for (uint32_t i = 0; i < count; i++) {
        unsigned long long value = figures[i].value.u64;
        const char *name = figures[i].name;
        bool none = strcmp(name, "Spilled VGPRs") == 0 || strcmp(name, "Scratch size") == 0;
        known += none;
        if (none && value) fail_msg("%s: %s is %llu", kernel, name, value);
        if (verbose && (none || strcmp(name, "VGPRs") == 0 || strcmp(name, "Instructions") == 0 || strstr(name, "per SIMD")))
            printf("  %s %llu", name, value);
    }
    if (verbose) printf("\n");
    assert_int_equal(known, 2);
    n->kernels[pass->kernel]++;
    CALL(n, DestroyPipeline)(n->device, pipeline, NULL);
}

// ---- problems ---------------------------------------------------------------------------------------------------------

static int64_t extent_of(const char *name, int64_t cols)
{
    static const struct { const char *name; int64_t value;
    } known[] = {{"rows", 512}, {"dim", 64}, {"items", 5000}, {"groups", 10}, {"groups+1", 11}, {"pairs", 100}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i].name) == 0) return known[i].value;
    return strcmp(name, "cols") == 0 || strcmp(name, "total=cols") == 0 ? cols : strtol(name, NULL, 10);
}

// What a loss's roles look like when all of them, or the required ones, the loss and the gradients, are there.
static void describe(test_problem *p, const wane_loss_info *loss, int64_t cols, bool all)
{
    memset(p, 0, sizeof *p);
    p->desc.struct_size = sizeof p->desc;
    p->desc.loss = loss->loss;
    p->desc.operands = p->operands;
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(loss, i)) != NULL; i++) {
        bool first = role->need == WANE_NEED_REQUIRED || role->role == WANE_ROLE_LOSS;
        bool grad = role->direction == WANE_DIRECTION_GRAD && role->role != WANE_ROLE_GRAD_LINEAR_BIAS;
        // a scale and the temperature exclude each other; groups of mann_whitney need a parameter
        bool of_groups = role->role == WANE_ROLE_OFFSETS || role->role == WANE_ROLE_GROUP_LOSS;
        bool other_way = role->role == WANE_ROLE_SCALE || role->role == WANE_ROLE_GRAD_SCALE || role->role == WANE_ROLE_BIAS
                      || role->role == WANE_ROLE_GRAD_BIAS || role->direction == WANE_DIRECTION_STATE
                      || (loss->loss == WANE_LOSS_MANN_WHITNEY && of_groups);
        if (other_way || !(first || grad || all)) continue;
        wane_operand *o = &p->operands[p->desc.operand_count++];
        o->struct_size = sizeof *o;
        o->role = role->role;
        o->tensor.struct_size = sizeof o->tensor;
        o->tensor.dtype = WANE_DTYPE_F32;
        while (!(role->types & 1u << o->tensor.dtype)) o->tensor.dtype++;
        const char *other = strchr(role->shape, '|');
        if (other) o->tensor.dtype = WANE_DTYPE_I32;
        if (strncmp(role->shape, "reduced", 7) == 0) continue;
        char shape[64];
        snprintf(shape, sizeof shape, "%.*s", (int)strcspn(role->shape, "|"), role->shape);
        for (const char *name = strtok(shape, ","); name; name = strtok(NULL, ","))
            o->tensor.extents[o->tensor.rank++] = extent_of(name, cols);
    }
}

// On this device; three shapes of each loss: a row in one piece, in many, and no option; and gradients of a linear head without
// memory for its logits.
static void judge_losses(null_device *n)
{
    static struct { uint32_t kernel, consts[WANE_MAX_CONSTS];
    } seen[1024];
    uint32_t seen_count = 0;
    wane_context *context = test_context(&messages, NULL, 1);
    wane_limits limits = {.struct_size = sizeof limits, .backend = WANE_BACKEND_VULKAN, .tier = 2, .max_lanes = 1024,
                                .shared_bytes = 65536, .max_window_bytes = (uint64_t)4 << 30,
                                .max_buffer_bytes = (uint64_t)4 << 30, .offset_align_bytes = 4, .max_groups = 65535,
                                .max_dispatch_elems = 1 << 29};
    const wane_loss_info *loss;
    for (uint32_t l = 0; (loss = wane_loss_at(l)) != NULL; l++)
        for (int way = 0; way < (strncmp(loss->name, "linear_", 7) == 0 ? 5 : 3); way++) {
            static test_problem p;
            bool square = loss->loss == WANE_LOSS_CLIP;
            describe(&p, loss, way == 1 && !square ? 3000000 : 512, way < 2 || way == 3);
            limits.linear_chunk_dim = way < 3 ? 1 : 65;
            wane_plan *plan = NULL;
            if (wane_plan_create_for(context, &limits, &p.desc, &plan))
                fail_msg("%s: %s: %s", loss->name, messages.operand, messages.text);
            for (uint32_t k = 0; k < plan->pass_count; k++) {
                const wane_pass *pass = &plan->passes[k];
                uint32_t s = 0;
                while (s < seen_count && (seen[s].kernel != (uint32_t)pass->kernel
                                          || memcmp(seen[s].consts, pass->consts, sizeof seen[s].consts) != 0))
                    s++;
                if (s < seen_count) continue;
                assert_true(seen_count < 1024);
                seen[seen_count].kernel = (uint32_t)pass->kernel;
                memcpy(seen[seen_count++].consts, pass->consts, sizeof seen[s].consts);
                judge(n, pass);
            }
            wane_plan_destroy(plan);
        }
    wane_context_destroy(context);
    uint32_t kernels = 0;
    for (uint32_t k = 0; k < WANE_KERNEL_COUNT; k++) kernels += n->kernels[k] > 0;
    printf("    %u pipelines of %u of %u kernels\n", seen_count, kernels, (uint32_t)WANE_KERNEL_COUNT);
}

static void test_chip(void **state)
{
    glob_t found;
    bool driver = glob("/usr/share/vulkan/icd.d/radeon_icd*.json", 0, NULL, &found) == 0;
    void *library = dlopen("libvulkan.so.1", RTLD_NOW);
    null_device n = {.get = library ? (PFN_vkGetInstanceProcAddr)dlsym(library, "vkGetInstanceProcAddr") : NULL};
    if (!driver || !n.get) {
        printf("    no RADV here\n");
        skip();
    }
    setenv("VK_ICD_FILENAMES", found.gl_pathv[0], 1);
    setenv("VK_DRIVER_FILES", found.gl_pathv[0], 1);
    setenv("RADV_FORCE_FAMILY", *state, 1);
    globfree(&found);
    if (!make_device(&n)) {
        printf("    this RADV has no null device of that chip\n");
        skip();
    }
    make_layout(&n);
    judge_losses(&n);
    CALL(&n, DestroyPipelineLayout)(n.device, n.layout, NULL);
    CALL(&n, DestroyDevice)(n.device, NULL);
    CALL(&n, DestroyInstance)(n.instance, NULL);
}

int main(int argc, char **argv)
{
    verbose = argc > 1 && strcmp(argv[1], "--verbose") == 0;
    const struct CMUnitTest tests[] = {
        {"polaris10", test_chip, NULL, NULL, "polaris10"},
        {"gfx1100", test_chip, NULL, NULL, "gfx1100"},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
