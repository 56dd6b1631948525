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

static wane_cache_info open_and_close(const wane_cache *cache)
{
    wane_context *context = open_context(cache);
    wane_device *device;
    wane_cache_info info = {.struct_size = sizeof info};
    assert_int_equal(wane_device_find(context, "vulkan", &device), WANE_OK);
    assert_int_equal(wane_context_get_cache_info(context, &info), WANE_OK);
    wane_context_destroy(context);
    return info;
}

static void test_cache(void **state)
{
    (void)state;
    const wane_cache cache = {NULL, cache_load, cache_store};
    wane_cache_info info = open_and_close(&cache);
    assert_non_null(kept.data);
    assert_int_equal(shim.initial_bytes, 0);
    assert_true(info.used == 0 && info.absent == 1 && info.refused == 0 && info.stored > 0);
    info = open_and_close(&cache);
    assert_true(shim.initial_bytes > 0);
    assert_true(info.used == 1 && info.absent == 0 && info.refused == 0);
    // flipped bits and cuts, here and there (cache_test.c has them all): the driver does not see the blob, and all works
    size_t whole = kept.bytes;
    char *good = malloc(whole);
    memcpy(good, kept.data, whole);
    for (size_t i = 0; i < whole; i += whole / 16 + 1)
        for (int cut = 0; cut < 2; cut++) {
            free(kept.data);
            kept.data = malloc(whole);
            memcpy(kept.data, good, whole);
            kept.bytes = whole;
            if (cut) kept.bytes = i;
            else kept.data[i] ^= (char)(1 << i % 8);
            info = open_and_close(&cache);
            assert_int_equal(shim.initial_bytes, 0);
            assert_true(info.used == 0 && info.refused == !(cut && i == 0) && info.absent == (cut && i == 0));
            assert_true(info.stored > 0);
        }
    free(good);
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

static int before_each(void **state)
{
    (void)state;
    reset_shim();
    return 0;
}

// An argument picks tests: "test_f*".
int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    if (!have_vulkan()) {
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
    };
    return cmocka_run_group_tests_name("vulkan", tests, NULL, NULL);
}
