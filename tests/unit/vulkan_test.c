// vulkan_test.c - the Vulkan backend seen from its driver: a shim between wane and libvulkan changes limits, makes
// calls fail, and counts. Skipped where there is no Vulkan device. Numbers are compared with the CPU backend; what is
// right in them is the concern of tests/cross.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wane/wane.h"

#include "vulkan_shim.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- a problem, run through the public API ------------------------------------------------------------------------

enum { OPERANDS = 5 };

typedef struct problem {
    int64_t rows, cols;
    float *logits, *row_loss, *grad, loss;
    int32_t *target;
} problem;

typedef struct prepared {
    wane_plan *plan;
    wane_executable *executable;
    wane_binding bindings[OPERANDS];
    wane_args args;
} prepared;

static problem problem_make(int64_t rows, int64_t cols)
{
    problem p = {rows, cols, NULL, NULL, NULL, 0.0f, NULL};
    size_t count = (size_t)(rows * cols);
    p.logits = malloc(count * sizeof(float));
    p.grad = malloc(count * sizeof(float));
    p.row_loss = malloc((size_t)rows * sizeof(float));
    p.target = malloc((size_t)rows * sizeof(int32_t));
    uint32_t seed = 12345;
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        p.logits[i] = (float)(seed >> 8) / 16777216.0f * 10.0f - 5.0f;
    }
    for (int64_t i = 0; i < rows; i++) p.target[i] = (int32_t)((i * 7) % cols);
    return p;
}

static void problem_free(problem *p)
{
    free(p->logits);
    free(p->grad);
    free(p->row_loss);
    free(p->target);
}

static wane_status prepare(wane_device *device, problem *p, prepared *out)
{
    memset(out, 0, sizeof *out);
    const wane_role roles[OPERANDS] = {WANE_ROLE_LOGITS, WANE_ROLE_TARGET, WANE_ROLE_LOSS, WANE_ROLE_ROW_LOSS,
                                       WANE_ROLE_GRAD_LOGITS};
    void *const memory[OPERANDS] = {p->logits, p->target, &p->loss, p->row_loss, p->grad};
    const int64_t extents[OPERANDS][2] = {{p->rows, p->cols}, {p->rows, 1}, {1, 1}, {p->rows, 1}, {p->rows, p->cols}};
    wane_operand operands[OPERANDS];
    memset(operands, 0, sizeof operands);
    for (int i = 0; i < OPERANDS; i++) {
        operands[i].struct_size = sizeof operands[i];
        operands[i].role = roles[i];
        operands[i].tensor.struct_size = sizeof operands[i].tensor;
        operands[i].tensor.dtype = i == 1 ? WANE_DTYPE_I32 : WANE_DTYPE_F32;
        operands[i].tensor.rank = i == 0 || i == 4 ? 2 : 1;
        operands[i].tensor.extents[0] = extents[i][0];
        operands[i].tensor.extents[1] = extents[i][1];
        out->bindings[i].struct_size = sizeof out->bindings[i];
        out->bindings[i].role = roles[i];
        out->bindings[i].host = memory[i];
        out->bindings[i].bytes = (uint64_t)(extents[i][0] * extents[i][1]) * 4;
    }
    wane_loss_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.loss = WANE_LOSS_CROSS_ENTROPY;
    desc.operands = operands;
    desc.operand_count = OPERANDS;
    out->args.struct_size = sizeof out->args;
    out->args.bindings = out->bindings;
    out->args.binding_count = OPERANDS;
    wane_status status = wane_plan_create(device, &desc, &out->plan);
    return status ? status : wane_executable_create(out->plan, &out->executable);
}

static void release(prepared *x)
{
    wane_executable_destroy(x->executable);
    wane_plan_destroy(x->plan);
}

static wane_status run_problem(wane_device *device, problem *p)
{
    prepared x;
    wane_status status = prepare(device, p, &x);
    if (!status) status = wane_run(x.executable, NULL, &x.args);
    release(&x);
    return status;
}

static float worst(const float *a, const float *b, int64_t count)
{
    float most = 0.0f;
    for (int64_t i = 0; i < count; i++) {
        float d = fabsf(a[i] - b[i]);
        if (!(d <= most)) most = d;
    }
    return most;
}

// The CPU's results next to those of p.
static void assert_right(wane_context *context, const problem *p)
{
    wane_device *cpu;
    assert_int_equal(wane_device_find(context, "cpu", &cpu), WANE_OK);
    problem q = problem_make(p->rows, p->cols);
    memcpy(q.logits, p->logits, (size_t)(p->rows * p->cols) * sizeof(float));
    assert_int_equal(run_problem(cpu, &q), WANE_OK);
    assert_true(fabsf(q.loss - p->loss) <= 1e-5f * fabsf(q.loss));
    assert_true(worst(q.row_loss, p->row_loss, p->rows) <= 1e-5f);
    assert_true(worst(q.grad, p->grad, p->rows * p->cols) <= 1e-6f / (float)p->rows);
    problem_free(&q);
}

static wane_context *open_context(const wane_cache *cache)
{
    wane_context_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.backends = WANE_BACKEND_VULKAN;
    desc.log_level = WANE_LOG_DEBUG;
    desc.vulkan.resolve = resolve;
    if (cache) desc.cache = *cache;
    wane_context *context = NULL;
    assert_int_equal(wane_context_create(&desc, &context), WANE_OK);
    return context;
}

static void reset_shim(void)
{
    PFN_vkGetInstanceProcAddr keep = shim.real;
    memset(&shim, 0, sizeof shim);
    shim.real = keep;
}

// ---- tests --------------------------------------------------------------------------------------------------------

// `count` of the shapes; the last has more rows than a grid is wide.
enum { SHAPES_SMALL = 4, SHAPES_ALL = 5 };

static void run_shapes(const char *what, size_t count)
{
    static const int64_t shapes[SHAPES_ALL][2] = {{1, 1}, {3, 5}, {9, 129}, {65, 1003}, {66000, 2}};
    wane_context *context = open_context(NULL);
    wane_device *device;
    assert_int_equal(wane_device_find(context, "vulkan", &device), WANE_OK);
    for (size_t i = 0; i < count; i++) {
        problem p = problem_make(shapes[i][0], shapes[i][1]);
        memset(p.grad, 0xff, (size_t)(p.rows * p.cols) * sizeof(float));
        assert_int_equal(run_problem(device, &p), WANE_OK);
        assert_right(context, &p);
        problem_free(&p);
    }
    wane_context_destroy(context);
    if (shim.live) fail_msg("%s: %d objects are left", what, shim.live);
}

static void test_run(void **state)
{
    (void)state;
    run_shapes("as it is", SHAPES_ALL);
}

static void be_discrete(VkPhysicalDeviceProperties *p) { p->deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU; }

// Buffers that the host cannot see go through staging memory.
static void test_staging(void **state)
{
    (void)state;
    shim.change = be_discrete;
    run_shapes("discrete", SHAPES_SMALL);
    wane_context *context = open_context(NULL);
    wane_device *device;
    assert_int_equal(wane_device_find(context, "vulkan", &device), WANE_OK);
    size_t bytes = ((size_t)16 << 20) + 4097;      // more than one piece of staging, and no multiple of 4
    unsigned char *there = malloc(bytes), *back = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) there[i] = (unsigned char)(i * 31 + (i >> 13));
    wane_buffer *buffer;
    assert_int_equal(wane_buffer_create(device, bytes, &buffer), WANE_OK);
    assert_int_equal(wane_buffer_write(buffer, 0, there, bytes), WANE_OK);
    assert_int_equal(wane_buffer_read(buffer, 0, back, bytes), WANE_OK);
    assert_memory_equal(there, back, bytes);
    assert_int_equal(wane_buffer_write(buffer, 7, "wane", 4), WANE_OK);
    assert_int_equal(wane_buffer_read(buffer, 5, back, 8), WANE_OK);
    memcpy(there + 7, "wane", 4);
    assert_memory_equal(there + 5, back, 8);
    wane_buffer_destroy(buffer);
    free(there);
    free(back);
    wane_context_destroy(context);
    assert_int_equal(shim.live, 0);
}

static void align_256(VkPhysicalDeviceProperties *p) { p->limits.minStorageBufferOffsetAlignment = 256; }

// Operands at odd words of one buffer: ranges start at aligned addresses, kernels count from the remainder.
static void test_offsets(void **state)
{
    (void)state;
    shim.change = align_256;
    wane_context *context = open_context(NULL);
    wane_device *device;
    assert_int_equal(wane_device_find(context, "vulkan", &device), WANE_OK);
    problem p = problem_make(37, 333);
    prepared x;
    assert_int_equal(prepare(device, &p, &x), WANE_OK);
    uint64_t at = 4, offsets[OPERANDS];
    for (int i = 0; i < OPERANDS; i++) {
        offsets[i] = at;
        at += x.bindings[i].bytes + 4;
    }
    wane_buffer *buffer;
    assert_int_equal(wane_buffer_create(device, at, &buffer), WANE_OK);
    unsigned char *image = malloc(at), *after = malloc(at);
    memset(image, 0xa5, at);
    for (int i = 0; i < 2; i++) memcpy(image + offsets[i], x.bindings[i].host, x.bindings[i].bytes);
    assert_int_equal(wane_buffer_write(buffer, 0, image, at), WANE_OK);
    void *hosts[OPERANDS];
    for (int i = 0; i < OPERANDS; i++) {
        hosts[i] = x.bindings[i].host;
        x.bindings[i].host = NULL;
        x.bindings[i].buffer = buffer;
        x.bindings[i].byte_offset = offsets[i];
    }
    assert_int_equal(wane_run(x.executable, NULL, &x.args), WANE_OK);
    assert_int_equal(wane_buffer_read(buffer, 0, after, at), WANE_OK);
    for (int i = 2; i < OPERANDS; i++) {
        memcpy(hosts[i], after + offsets[i], x.bindings[i].bytes);
        memset(after + offsets[i], 0xa5, x.bindings[i].bytes);
    }
    assert_memory_equal(image, after, at);         // nothing else was written
    assert_right(context, &p);
    free(image);
    free(after);
    wane_buffer_destroy(buffer);
    release(&x);
    problem_free(&p);
    wane_context_destroy(context);
    assert_int_equal(shim.live, 0);
}

static int clamp_which;

static void clamp(VkPhysicalDeviceProperties *p)
{
    switch (clamp_which) {
    case 0: p->limits.maxPerStageDescriptorStorageBuffers = 7; break;
    case 1: p->limits.maxComputeSharedMemorySize = 16383; break;
    case 2: p->limits.maxComputeWorkGroupInvocations = 127; break;
    case 3: p->limits.maxPushConstantsSize = 124; break;
    case 4: p->limits.maxStorageBufferRange = 134217727; break;
    default: p->apiVersion = VK_API_VERSION_1_0; break;
    }
}

static void test_floor(void **state)
{
    (void)state;
    static const char *const number[] = {" 7,", " 16383,", " 127,", " 124,", " 134217727,", " 1.0,"};
    for (clamp_which = 0; clamp_which < 6; clamp_which++) {
        shim.change = clamp;
        wane_context *context = open_context(NULL);
        wane_device *device = NULL;
        assert_int_equal(wane_device_find(context, "vulkan:0", &device), WANE_ERROR_DEVICE_UNUSABLE);
        assert_null(device);
        wane_device_info info;
        memset(&info, 0, sizeof info);
        info.struct_size = sizeof info;
        assert_int_equal(wane_device_get_info(wane_device_at(context, 0), &info), WANE_OK);
        assert_false(info.usable);
        if (!strstr(info.reason, number[clamp_which])) fail_msg("the reason says \"%s\"", info.reason);
        wane_context_destroy(context);
        assert_int_equal(shim.live, 0);
    }
}

// Plans that differ in extents alone share their pipelines.
static void test_pipelines_shared(void **state)
{
    (void)state;
    wane_context *context = open_context(NULL);
    wane_device *device;
    assert_int_equal(wane_device_find(context, "vulkan", &device), WANE_OK);
    problem p = problem_make(5, 40), q = problem_make(6, 50);
    assert_int_equal(run_problem(device, &p), WANE_OK);
    uint32_t before = shim.pipelines;
    assert_int_equal(run_problem(device, &q), WANE_OK);
    assert_int_equal(shim.pipelines, before);
    problem_free(&p);
    problem_free(&q);
    wane_context_destroy(context);
}

static struct {
    char key[512];
    char *data;
    size_t bytes;
} kept;

static size_t cache_load(void *user, const char *key, void *data, size_t capacity)
{
    (void)user;
    if (!kept.data || strcmp(key, kept.key) != 0) return 0;
    if (capacity) memcpy(data, kept.data, capacity < kept.bytes ? capacity : kept.bytes);
    return kept.bytes;
}

static void cache_store(void *user, const char *key, const void *data, size_t bytes)
{
    (void)user;
    snprintf(kept.key, sizeof kept.key, "%s", key);
    free(kept.data);
    kept.data = malloc(bytes);
    memcpy(kept.data, data, bytes);
    kept.bytes = bytes;
}

static void open_and_close(const wane_cache *cache)
{
    wane_context *context = open_context(cache);
    wane_device *device;
    assert_int_equal(wane_device_find(context, "vulkan", &device), WANE_OK);
    wane_context_destroy(context);
}

static void test_cache(void **state)
{
    (void)state;
    const wane_cache cache = {NULL, cache_load, cache_store};
    open_and_close(&cache);
    assert_non_null(kept.data);
    assert_int_equal(shim.initial_bytes, 0);
    open_and_close(&cache);
    assert_true(shim.initial_bytes > 0);
    kept.data[kept.bytes / 2] ^= 1;                // damaged: the driver must not see it
    open_and_close(&cache);
    assert_int_equal(shim.initial_bytes, 0);
    free(kept.data);
    memset(&kept, 0, sizeof kept);
}

static void test_loss_of_device(void **state)
{
    (void)state;
    wane_context *context = open_context(NULL);
    wane_device *device;
    assert_int_equal(wane_device_find(context, "vulkan", &device), WANE_OK);
    problem p = problem_make(4, 9);
    prepared x;
    assert_int_equal(prepare(device, &p, &x), WANE_OK);
    wane_recorder *recorder;
    assert_int_equal(wane_recorder_create(&x.executable, 1, 0, &recorder), WANE_OK);
    shim.fail_with = VK_ERROR_DEVICE_LOST;
    do {                                           // whichever call reports it: the first that does is enough
        shim.fail_at = shim.calls + 5;
    } while (wane_run(x.executable, recorder, &x.args) == WANE_OK);
    uint32_t calls = shim.calls;
    assert_int_equal(wane_run(x.executable, recorder, &x.args), WANE_ERROR_DEVICE_LOST);
    wane_buffer *buffer;
    assert_int_equal(wane_buffer_create(device, 16, &buffer), WANE_ERROR_DEVICE_LOST);
    assert_int_equal(shim.calls, calls);           // the driver was left alone
    wane_recorder_destroy(recorder);
    release(&x);
    problem_free(&p);
    wane_context_destroy(context);
    assert_int_equal(shim.live, 0);
    reset_shim();
    run_shapes("after a loss", SHAPES_SMALL);
}

static wane_status everything(void)
{
    wane_context *context = open_context(NULL);
    wane_device *device;
    wane_status status = wane_device_find(context, "vulkan", &device);
    if (!status) {
        problem p = problem_make(3, 70);
        status = run_problem(device, &p);
        if (status == WANE_OK) assert_right(context, &p);
        problem_free(&p);
    }
    wane_context_destroy(context);
    return status;
}

static int full;                           // try every result at every call, not one in turn

// The i-th call fails, for every i: an error, nothing left, no crash.
static void test_failures(void **state)
{
    (void)state;
    static const VkResult results[] = {VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_DEVICE_LOST,
                                       VK_ERROR_INITIALIZATION_FAILED, VK_ERROR_UNKNOWN};
    const uint32_t count = sizeof results / sizeof *results;
    for (uint32_t turn = 0; turn < (full ? 2 * count : 2); turn++)
        for (uint32_t i = 1;; i++) {
            VkResult result = results[(turn / 2 + (full ? 0 : i)) % count];
            reset_shim();
            shim.change = turn % 2 ? be_discrete : NULL;
            shim.fail_at = i;
            shim.fail_with = result;
            wane_status status = everything();
            if (shim.live) fail_msg("%s returned %d: %d objects are left", shim.failed, result, shim.live);
            if (!shim.failed) {
                assert_int_equal(status, WANE_OK);
                break;
            }
            if (status >= 0) fail_msg("%s returned %d, and nobody noticed", shim.failed, result);
        }
}

// ---- the host's own device ----------------------------------------------------------------------------------------

typedef struct host {
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    VkCommandPool pool;
    VkCommandBuffer commands;
} host;

#define CALL(name) ((PFN_vk##name)real("vk" #name))

static host host_make(void)
{
    host h;
    memset(&h, 0, sizeof h);
    const VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo instance = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app};
    assert_int_equal(shim_CreateInstance(&instance, NULL, &h.instance), VK_SUCCESS);
    uint32_t one = 1;
    VkResult result = shim_EnumeratePhysicalDevices(h.instance, &one, &h.physical);
    assert_true(result == VK_SUCCESS || result == VK_INCOMPLETE);
    const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueCount = 1, .pQueuePriorities = &priority};
    const VkDeviceCreateInfo device = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                       .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue};
    assert_int_equal(shim_CreateDevice(h.physical, &device, NULL, &h.device), VK_SUCCESS);
    CALL(GetDeviceQueue)(h.device, 0, 0, &h.queue);
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    assert_int_equal(shim_CreateCommandPool(h.device, &pool, NULL, &h.pool), VK_SUCCESS);
    const VkCommandBufferAllocateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                  .commandPool = h.pool, .commandBufferCount = 1};
    assert_int_equal(CALL(AllocateCommandBuffers)(h.device, &commands, &h.commands), VK_SUCCESS);
    return h;
}

static void host_free(host *h)
{
    shim_DestroyCommandPool(h->device, h->pool, NULL);
    shim_DestroyDevice(h->device, NULL);
    shim_DestroyInstance(h->instance, NULL);
}

typedef struct host_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    void *mapped;
} host_buffer;

static host_buffer host_buffer_make(const host *h, uint64_t bytes)
{
    host_buffer b;
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = bytes,
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT};
    assert_int_equal(shim_CreateBuffer(h->device, &info, NULL, &b.buffer), VK_SUCCESS);
    VkMemoryRequirements needs;
    CALL(GetBufferMemoryRequirements)(h->device, b.buffer, &needs);
    VkPhysicalDeviceMemoryProperties types;
    CALL(GetPhysicalDeviceMemoryProperties)(h->physical, &types);
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t type = 0;
    while (!(needs.memoryTypeBits >> type & 1u) || (types.memoryTypes[type].propertyFlags & wanted) != wanted) type++;
    const VkMemoryAllocateInfo memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = needs.size,
                                         .memoryTypeIndex = type};
    assert_int_equal(shim_AllocateMemory(h->device, &memory, NULL, &b.memory), VK_SUCCESS);
    assert_int_equal(CALL(BindBufferMemory)(h->device, b.buffer, b.memory, 0), VK_SUCCESS);
    assert_int_equal(CALL(MapMemory)(h->device, b.memory, 0, VK_WHOLE_SIZE, 0, &b.mapped), VK_SUCCESS);
    return b;
}

static void host_buffer_free(const host *h, host_buffer *b)
{
    shim_DestroyBuffer(h->device, b->buffer, NULL);
    shim_FreeMemory(h->device, b->memory, NULL);
}

// Records once into the host's command buffer, submits, waits.
static void host_execute(const host *h, prepared *x, wane_recorder *recorder)
{
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    assert_int_equal(CALL(ResetCommandPool)(h->device, h->pool, 0), VK_SUCCESS);
    assert_int_equal(CALL(BeginCommandBuffer)(h->commands, &begin), VK_SUCCESS);
    uint32_t made = shim.made;
    assert_int_equal(wane_record_vulkan(x->executable, recorder, &x->args, h->commands), WANE_OK);
    assert_int_equal(shim.made, made);             // recording creates nothing
    assert_int_equal(wane_record_vulkan(x->executable, recorder, &x->args, h->commands), WANE_ERROR_CAPACITY);
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    CALL(CmdPipelineBarrier)(h->commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                             &barrier, 0, NULL, 0, NULL);
    assert_int_equal(CALL(EndCommandBuffer)(h->commands), VK_SUCCESS);
    const VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1,
                                 .pCommandBuffers = &h->commands};
    assert_int_equal(CALL(QueueSubmit)(h->queue, 1, &submit, VK_NULL_HANDLE), VK_SUCCESS);
    assert_int_equal(CALL(QueueWaitIdle)(h->queue), VK_SUCCESS);
}

static void test_wrapped(void **state)
{
    (void)state;
    host h = host_make();
    wane_context *context = open_context(NULL);
    wane_vulkan_device_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.instance = h.instance;
    desc.physical_device = h.physical;
    desc.device = h.device;
    desc.api_version = VK_API_VERSION_1_0;
    wane_device *device;
    assert_int_equal(wane_device_wrap_vulkan(context, &desc, &device), WANE_ERROR_FLAGS);
    desc.api_version = VK_API_VERSION_1_1;
    assert_int_equal(wane_device_wrap_vulkan(context, &desc, &device), WANE_OK);
    problem p = problem_make(33, 257);
    prepared x;
    assert_int_equal(prepare(device, &p, &x), WANE_OK);
    assert_int_equal(wane_run(x.executable, NULL, &x.args), WANE_ERROR_UNSUPPORTED);       // no queue was given
    host_buffer buffers[OPERANDS + 1];
    wane_plan_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    assert_int_equal(wane_plan_get_info(x.plan, &info), WANE_OK);
    wane_buffer *imported = NULL;
    for (int i = 0; i < OPERANDS; i++) {
        buffers[i] = host_buffer_make(&h, x.bindings[i].bytes);
        if (i < 2) memcpy(buffers[i].mapped, x.bindings[i].host, x.bindings[i].bytes);
        x.bindings[i].host = NULL;
        memcpy(&x.bindings[i].native, &buffers[i].buffer, sizeof buffers[i].buffer);
    }
    assert_int_equal(wane_buffer_import_vulkan(device, buffers[4].buffer, x.bindings[4].bytes, &imported), WANE_OK);
    x.bindings[4].native = 0;
    x.bindings[4].buffer = imported;
    buffers[OPERANDS] = host_buffer_make(&h, info.workspace_bytes);
    x.args.workspace.struct_size = sizeof x.args.workspace;
    x.args.workspace.bytes = info.workspace_bytes;
    memcpy(&x.args.workspace.native, &buffers[OPERANDS].buffer, sizeof(VkBuffer));
    wane_recorder *recorder;
    assert_int_equal(wane_recorder_create(&x.executable, 1, 0, &recorder), WANE_OK);
    for (int round = 0; round < 2; round++) {
        memset(buffers[4].mapped, 0xff, x.bindings[4].bytes);
        host_execute(&h, &x, recorder);
        p.loss = *(float *)buffers[2].mapped;
        memcpy(p.row_loss, buffers[3].mapped, x.bindings[3].bytes);
        memcpy(p.grad, buffers[4].mapped, x.bindings[4].bytes);
        assert_right(context, &p);
        assert_int_equal(wane_recorder_reset(recorder), WANE_OK);
    }
    wane_recorder_destroy(recorder);
    wane_buffer_destroy(imported);
    release(&x);
    problem_free(&p);
    for (int i = 0; i <= OPERANDS; i++) host_buffer_free(&h, &buffers[i]);
    wane_context_destroy(context);
    host_free(&h);
    assert_int_equal(shim.live, 0);
}

static int locked, locks;
static void lock_host(void *user) { assert_ptr_equal(user, &locks); assert_int_equal(locked++, 0); locks++; }
static void unlock_host(void *user) { assert_ptr_equal(user, &locks); assert_int_equal(--locked, 0); }

// With a queue a wrapped device runs and tests itself, under the host's lock.
static void test_wrapped_queue(void **state)
{
    (void)state;
    host h = host_make();
    wane_context *context = open_context(NULL);
    wane_vulkan_device_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.instance = h.instance;
    desc.physical_device = h.physical;
    desc.device = h.device;
    desc.queue = h.queue;
    desc.api_version = VK_API_VERSION_1_1;
    desc.get_instance_proc_addr = shim_get;
    desc.user = &locks;
    desc.queue_lock = lock_host;
    wane_device *device;
    assert_int_equal(wane_device_wrap_vulkan(context, &desc, &device), WANE_ERROR_FLAGS);
    desc.queue_unlock = unlock_host;
    assert_int_equal(wane_device_wrap_vulkan(context, &desc, &device), WANE_OK);
    assert_int_equal(wane_device_selftest(device), WANE_OK);
    problem p = problem_make(10, 77);
    assert_int_equal(run_problem(device, &p), WANE_OK);
    assert_true(locks > 1);
    assert_right(context, &p);
    problem_free(&p);
    wane_context_destroy(context);
    host_free(&h);
    assert_int_equal(shim.live, 0);
}

static int before_each(void **state)
{
    (void)state;
    reset_shim();
    return 0;
}

static int have_device(void)
{
    void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return 0;
    void *symbol = dlsym(library, "vkGetInstanceProcAddr");
    memcpy(&shim.real, &symbol, sizeof shim.real);
    if (!symbol) return 0;
    wane_context *context = open_context(NULL);
    wane_device *device = wane_device_at(context, 0);
    wane_device_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    int have = wane_device_get_info(device, &info) == WANE_OK && strcmp(info.backend, "vulkan") == 0 && info.usable;
    wane_context_destroy(context);
    return have;
}

// "full" makes every call fail in every way; another argument picks tests: "test_w*".
int main(int argc, char **argv)
{
    full = argc > 1 && strcmp(argv[1], "full") == 0;
    if (argc > 1 && !full) cmocka_set_test_filter(argv[1]);
    if (!have_device()) {
        puts("no Vulkan device: nothing ran");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_run, before_each),
        cmocka_unit_test_setup(test_staging, before_each),
        cmocka_unit_test_setup(test_offsets, before_each),
        cmocka_unit_test_setup(test_floor, before_each),
        cmocka_unit_test_setup(test_pipelines_shared, before_each),
        cmocka_unit_test_setup(test_cache, before_each),
        cmocka_unit_test_setup(test_loss_of_device, before_each),
        cmocka_unit_test_setup(test_failures, before_each),
        cmocka_unit_test_setup(test_wrapped, before_each),
        cmocka_unit_test_setup(test_wrapped_queue, before_each),
    };
    return cmocka_run_group_tests_name("vulkan", tests, NULL, NULL);
}
