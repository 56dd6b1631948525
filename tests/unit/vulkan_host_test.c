// vulkan_host_test.c - engines with a VkDevice of their own (wane_vulkan.h): their memory, command buffers, queues, locks
// and threads. Skipped where there is no Vulkan device. With the validation layer (VK_INSTANCE_LAYERS) it must be silent,
// but for the one mistake that is made on purpose.
#include "vulkan_host.h"

#include <pthread.h>

static test_log messages;
static test_memory memory;

static int before_each(void **state)
{
    (void)state;
    reset_shim();
    test_log_clear(&messages);
    test_memory_begin(&memory);
    return 0;
}

static wane_context *open_context(void)
{
    wane_context_desc desc = {.struct_size = sizeof desc, .backends = WANE_BACKEND_VULKAN, .thread_count = 1,
                              .log = test_log_take, .log_user = &messages, .allocator = test_allocator(&memory)};
    wane_context *context = NULL;
    assert_int_equal(wane_context_create(&desc, &context), WANE_OK);
    return context;
}

static void close_context(wane_context *context)
{
    wane_context_destroy(context);
    assert_int_equal(atomic_load(&memory.blocks), 0);
    assert_int_equal(atomic_load(&shim.live), 0);
}

// Cross-entropy with what is asked for often; wane_run brings its own workspace.
static void make_problem(test_problem *p, wane_context *context, int64_t rows, int64_t cols)
{
    test_problem_begin(p, context, WANE_LOSS_CROSS_ENTROPY, rows, cols);
    test_problem_add_inputs(p, false);
    test_problem_add(p, WANE_ROLE_LOSS);
    test_problem_add(p, WANE_ROLE_LSE);
    test_problem_add(p, WANE_ROLE_GRAD_LOGITS);
    test_problem_memory(p, 4, TEST_PLAIN);
    memset(&p->args.workspace, 0, sizeof p->args.workspace);
}

// What wane_run gives on a device of wane's own.
static uint64_t expected(int64_t rows, int64_t cols)
{
    wane_context *context = test_context(&messages, NULL, 1);
    test_problem p;
    make_problem(&p, context, rows, cols);
    wane_executable *executable = test_executable(test_device(context, "vulkan"), &p, NULL);
    assert_int_equal(wane_run(executable, NULL, &p.args), WANE_OK);
    uint64_t hash = test_problem_hash(&p);
    wane_executable_destroy(executable);
    test_problem_end(&p);
    wane_context_destroy(context);
    return hash;
}

// ---- recording ----------------------------------------------------------------------------------------------------

// Into the host's command buffer, from and into one buffer of the host's at offsets. Recording makes calls that record
// and no other, and no heap call.
static void test_record(void **state)
{
    (void)state;
    uint64_t want = expected(33, 257);
    host h;
    host_make(&h, NULL);
    reset_shim();
    wane_context *context = open_context();
    wane_device *device = host_wrap(context, &h, false);
    test_problem p;
    make_problem(&p, context, 33, 257);
    wane_plan_info info;
    wane_executable *executable = test_executable(device, &p, &info);
    expect_error(&messages, WANE_ERROR_UNSUPPORTED, NULL, wane_run(executable, NULL, &p.args));   // without a VkQueue
    wane_recorder *recorder = NULL;
    assert_int_equal(wane_recorder_create(&executable, 1, 0, &recorder), WANE_OK);
    host_commands c = host_commands_make(&h);
    for (uint64_t gap = 0; gap < 3; gap++) {
        bound b;
        host_bind(&b, &h, &p, info.workspace_bytes, gap * 8);
        wane_buffer *imported = NULL;
        assert_int_equal(wane_buffer_import_vulkan(device, b.memory.buffer, b.bytes, &imported), WANE_OK);
        b.bindings[0].native = 0;
        b.bindings[0].buffer = imported;
        // the same VkBuffer once as a buffer and once by its handle: an overlap is seen all the same
        uint64_t offset = b.bindings[0].byte_offset;
        b.bindings[0].byte_offset = b.offsets[4];
        expect_error(&messages, WANE_ERROR_OVERLAP, "grad_logits",
                     wane_record_vulkan(executable, recorder, &b.args, c.buffer));
        b.bindings[0].byte_offset = offset;
        host_begin(&h, &c);
        unsigned calls[SHIM_KINDS], heap = atomic_load(&memory.calls);
        for (int i = 0; i < SHIM_KINDS; i++) calls[i] = shim.kinds[i];
        assert_int_equal(wane_record_vulkan(executable, recorder, &b.args, c.buffer), WANE_OK);
        for (int i = 0; i < SHIM_KINDS; i++)
            if (i != SHIM_RECORD) assert_int_equal(shim.kinds[i], calls[i]);
        assert_true(shim.kinds[SHIM_RECORD] >= calls[SHIM_RECORD] + 4 * info.dispatch_count);
        expect_error(&messages, WANE_ERROR_CAPACITY, "recorder",
                     wane_record_vulkan(executable, recorder, &b.args, c.buffer));
        assert_int_equal(atomic_load(&memory.calls), heap);
        host_submit(&h, &c);
        host_wait(&h, &c);
        host_fetch(&b, &p);
        assert_true(test_problem_hash(&p) == want);
        assert_int_equal(wane_recorder_reset(recorder), WANE_OK);
        wane_buffer_destroy(imported);
        host_buffer_free(&h, &b.memory);
    }
    host_commands_free(&h, &c);
    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    test_problem_end(&p);
    close_context(context);
    host_free(&h);
}

// What recording refuses, before a call is recorded; and a reset before the work is done.
static void test_record_refuses(void **state)
{
    (void)state;
    host h;
    host_make(&h, NULL);
    wane_context *context = open_context();
    wane_device *device = host_wrap(context, &h, false);
    test_problem p;
    make_problem(&p, context, 5, 9);
    wane_plan_info info;
    wane_executable *executable = test_executable(device, &p, &info), *other = test_executable(device, &p, NULL);
    wane_recorder *recorder = NULL;
    assert_int_equal(wane_recorder_create(&executable, 1, 0, &recorder), WANE_OK);
    host_commands c = host_commands_make(&h);
    bound b;
    host_bind(&b, &h, &p, info.workspace_bytes, 0);
    host_begin(&h, &c);
    unsigned recorded = shim.kinds[SHIM_RECORD];
#define REFUSES(status, operand, ...) expect_error(&messages, status, operand, wane_record_vulkan(__VA_ARGS__))
    assert_int_equal(wane_record_vulkan(NULL, recorder, &b.args, c.buffer), WANE_ERROR_NULL_ARGUMENT);
    REFUSES(WANE_ERROR_NULL_ARGUMENT, "recorder", executable, NULL, &b.args, c.buffer);
    REFUSES(WANE_ERROR_NULL_ARGUMENT, "command_buffer", executable, recorder, &b.args, VK_NULL_HANDLE);
    REFUSES(WANE_ERROR_NULL_ARGUMENT, NULL, executable, recorder, NULL, c.buffer);
    REFUSES(WANE_ERROR_CAPACITY, "recorder", other, recorder, &b.args, c.buffer);
    // too small for the view; and for the view's last word
    uint64_t bytes = b.bindings[0].bytes;
    b.bindings[0].bytes = b.offsets[0] + p.blocks[0].bytes - 1;
    REFUSES(WANE_ERROR_BOUNDS, "logits", executable, recorder, &b.args, c.buffer);
    b.bindings[0].bytes = bytes;
    bytes = b.args.workspace.bytes;
    b.args.workspace.bytes = b.args.workspace.byte_offset + info.workspace_bytes - 1;
    REFUSES(WANE_ERROR_WORKSPACE, "workspace", executable, recorder, &b.args, c.buffer);
    b.args.workspace.bytes = bytes;
    wane_binding workspace = b.args.workspace;
    memset(&b.args.workspace, 0, sizeof b.args.workspace);
    REFUSES(WANE_ERROR_MISSING_OPERAND, "workspace", executable, recorder, &b.args, c.buffer);
    b.args.workspace = workspace;
    uint64_t native = b.bindings[1].native;
    b.bindings[1].native = 0;
    b.bindings[1].host = p.blocks[1].data;
    REFUSES(WANE_ERROR_MISMATCH, "target", executable, recorder, &b.args, c.buffer);
    b.bindings[1].host = NULL;
    b.bindings[1].native = native;
#undef REFUSES
    assert_int_equal(shim.kinds[SHIM_RECORD], recorded);
    assert_int_equal(wane_record_vulkan(executable, recorder, &b.args, c.buffer), WANE_OK);
#ifndef NDEBUG
    expect_error(&messages, WANE_ERROR_IN_USE, "recorder", wane_recorder_reset(recorder));
#endif
    host_submit(&h, &c);
    host_wait(&h, &c);
    assert_int_equal(wane_recorder_reset(recorder), WANE_OK);
    host_buffer_free(&h, &b.memory);
    host_commands_free(&h, &c);
    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    wane_executable_destroy(other);
    test_problem_end(&p);
    close_context(context);
    host_free(&h);
}

// wane cannot ask a VkBuffer for its usage: the validation layer tells.
static void test_no_storage(void **state)
{
    (void)state;
    if (!host_validated()) skip();
    host h;
    host_make(&h, NULL);
    wane_context *context = open_context();
    wane_device *device = host_wrap(context, &h, false);
    test_problem p;
    make_problem(&p, context, 5, 9);
    wane_plan_info info;
    wane_executable *executable = test_executable(device, &p, &info);
    wane_recorder *recorder = NULL;
    assert_int_equal(wane_recorder_create(&executable, 1, 0, &recorder), WANE_OK);
    host_commands c = host_commands_make(&h);
    bound b;
    host_bind(&b, &h, &p, info.workspace_bytes, 0);
    host_buffer plain = host_buffer_make(&h, b.bytes, VK_BUFFER_USAGE_TRANSFER_DST_BIT);
    memcpy(&b.bindings[0].native, &plain.buffer, sizeof plain.buffer);
    host_begin(&h, &c);
    assert_int_equal(atomic_load(&h.complaints), 0);
    assert_int_equal(wane_record_vulkan(executable, recorder, &b.args, c.buffer), WANE_OK);
    assert_true(atomic_load(&h.complaints) > 0);
    atomic_store(&h.complaints, 0);
    host_commands_free(&h, &c);
    host_buffer_free(&h, &plain);
    host_buffer_free(&h, &b.memory);
    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    test_problem_end(&p);
    close_context(context);
    host_free(&h);
}

// ---- wrapping -----------------------------------------------------------------------------------------------------

static void test_wrap_refuses(void **state)
{
    (void)state;
    host h;
    host_make(&h, NULL);
    wane_context *context = open_context();
    wane_device *device = (wane_device *)&h;
    wane_vulkan_device_desc desc = host_desc(&h, false);
#define REFUSES(status, operand)                                                                                       \
    expect_error(&messages, status, operand, wane_device_wrap_vulkan(context, &desc, &device));                        \
    assert_null(device);                                                                                               \
    desc = host_desc(&h, false)
    assert_int_equal(wane_device_wrap_vulkan(NULL, &desc, &device), WANE_ERROR_NULL_ARGUMENT);
    expect_error(&messages, WANE_ERROR_NULL_ARGUMENT, "out", wane_device_wrap_vulkan(context, &desc, NULL));
    desc.struct_size--;
    REFUSES(WANE_ERROR_STRUCT, NULL);
    desc.instance = VK_NULL_HANDLE;
    REFUSES(WANE_ERROR_NULL_ARGUMENT, "instance");
    desc.physical_device = VK_NULL_HANDLE;
    REFUSES(WANE_ERROR_NULL_ARGUMENT, "physical_device");
    desc.device = VK_NULL_HANDLE;
    REFUSES(WANE_ERROR_NULL_ARGUMENT, "device");
    desc.api_version = VK_API_VERSION_1_0;
    REFUSES(WANE_ERROR_FLAGS, "api_version");
    desc.enabled_extension_count = 1;
    REFUSES(WANE_ERROR_NULL_ARGUMENT, "enabled_extensions");
    desc.queue_family = 99;
    REFUSES(WANE_ERROR_FLAGS, "queue_family");
    desc.reserved = 1;
    REFUSES(WANE_ERROR_FLAGS, "reserved");
    shim.hidden_queues = VK_QUEUE_COMPUTE_BIT;     // a family of graphics alone
    REFUSES(WANE_ERROR_FLAGS, "queue_family");
    shim.hidden_queues = 0;
    shim.fail_again = shim.calls + 1;               // what could not be opened leaves nothing
    shim.fail_with = VK_ERROR_OUT_OF_HOST_MEMORY;
    REFUSES(WANE_ERROR_HOST_MEMORY, NULL);
#undef REFUSES
    assert_int_equal(atomic_load(&shim.live), 0);
    close_context(context);
    host_free(&h);
}

static int locked, locks;
static void lock_host(void *user) { assert_ptr_equal(user, &locks); assert_int_equal(locked++, 0); locks++; }
static void unlock_host(void *user) { assert_ptr_equal(user, &locks); assert_int_equal(--locked, 0); }

// With a queue a wrapped device runs and tests itself, under the host's lock.
static void test_queue(void **state)
{
    (void)state;
    uint64_t want = expected(10, 77);
    host h;
    host_make(&h, NULL);
    reset_shim();
    wane_context *context = open_context();
    wane_vulkan_device_desc desc = host_desc(&h, true);
    desc.user = &locks;
    desc.queue_lock = lock_host;
    wane_device *device = NULL;
    expect_error(&messages, WANE_ERROR_FLAGS, "queue_lock", wane_device_wrap_vulkan(context, &desc, &device));
    desc.queue_unlock = unlock_host;
    assert_int_equal(wane_device_wrap_vulkan(context, &desc, &device), WANE_OK);
    assert_int_equal(wane_device_selftest(device), WANE_OK);
    test_problem p;
    make_problem(&p, context, 10, 77);
    wane_executable *executable = test_executable(device, &p, NULL);
    locks = 0;
    assert_int_equal(wane_run(executable, NULL, &p.args), WANE_OK);
    assert_int_equal(locks, (int)shim.kinds[SHIM_WAIT] - 1);        // one for each submission; the self-test had one
    assert_true(locks > 0 && locked == 0);
    assert_true(test_problem_hash(&p) == want);
    wane_executable_destroy(executable);
    test_problem_end(&p);
    close_context(context);
    host_free(&h);
}

// Wrapping and unwrapping leaves nothing, however often; a device with objects stays.
static void test_unwrap(void **state)
{
    (void)state;
    host h;
    host_make(&h, NULL);
    wane_context *context = open_context();
    wane_device *first = host_wrap(context, &h, false), *second = host_wrap(context, &h, true), *found = NULL;
    assert_ptr_not_equal(first, second);
    wane_buffer *buffer = NULL;
    assert_int_equal(wane_buffer_create(first, 64, &buffer), WANE_OK);
    expect_error(&messages, WANE_ERROR_IN_USE, "device", wane_device_unwrap(first));
    assert_int_equal(wane_device_find(context, "vulkan:host0", &found), WANE_OK);
    assert_ptr_equal(found, first);
    wane_buffer_destroy(buffer);
    assert_int_equal(wane_device_unwrap(first), WANE_OK);
    assert_int_equal(wane_device_find(context, "vulkan:host0", &found), WANE_ERROR_NO_DEVICE);
    assert_int_equal(wane_device_find(context, "vulkan:host1", &found), WANE_OK);
    assert_ptr_equal(found, second);
    assert_int_equal(wane_device_unwrap(second), WANE_OK);
    assert_int_equal(atomic_load(&shim.live), 0);
    long blocks = 0;
    for (int i = 0; i < 300; i++) {
        wane_device *device = host_wrap(context, &h, false);
        assert_int_equal(wane_device_unwrap(device), WANE_OK);
        if (i == 8) blocks = atomic_load(&memory.blocks);
    }
    assert_int_equal(atomic_load(&memory.blocks), blocks);
    close_context(context);
    host_free(&h);
}

// Two contexts on one VkDevice, and two VkDevices in one context, side by side.
static void test_several(void **state)
{
    (void)state;
    uint64_t want = expected(12, 130);
    host h[2];
    host_make(&h[0], NULL);
    host_make(&h[1], NULL);
    reset_shim();
    wane_context *context[2] = {open_context(), open_context()};
    wane_device *device[3] = {host_wrap(context[0], &h[1], true), host_wrap(context[1], &h[1], true), NULL};
    shim.host = h[0].instance;
    device[2] = host_wrap(context[0], &h[0], true);
    test_problem p[3];
    wane_executable *executable[3];
    for (int i = 0; i < 3; i++) {
        make_problem(&p[i], context[i % 2], 12, 130);
        executable[i] = test_executable(device[i], &p[i], NULL);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wane_run(executable[i], NULL, &p[i].args), WANE_OK);
        assert_true(test_problem_hash(&p[i]) == want);
    }
    // objects of one are refused with those of another
    wane_executable *mixed[2] = {executable[0], executable[2]};
    wane_recorder *recorder = NULL;
    expect_error(&messages, WANE_ERROR_MISMATCH, "executables", wane_recorder_create(mixed, 2, 0, &recorder));
    for (int i = 0; i < 3; i++) {
        wane_executable_destroy(executable[i]);
        test_problem_end(&p[i]);
    }
    wane_context_destroy(context[1]);
    assert_int_equal(wane_device_unwrap(device[2]), WANE_OK);
    close_context(context[0]);
    host_free(&h[0]);
    shim.host = h[1].instance;
    host_free(&h[1]);
}

// ---- memory of the host's -----------------------------------------------------------------------------------------

enum { PAGES_BYTES = 1 << 18 };

static wane_device *wrap_importing(wane_context *context, const host *h)
{
    static const char *const name = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    wane_vulkan_device_desc desc = host_desc(h, true);
    desc.enabled_extensions = &name;
    desc.enabled_extension_count = 1;
    wane_device *device = NULL;
    assert_int_equal(wane_device_wrap_vulkan(context, &desc, &device), WANE_OK);
    return device;
}

// An engine that did not enable the extension, and one that says it did and did not, are told so.
static void test_host_memory_not_enabled(void **state)
{
    (void)state;
    host h;
    host_make(&h, NULL);
    wane_context *context = open_context();
    char *pages = aligned_alloc(1 << 16, PAGES_BYTES);
    wane_buffer *buffer = NULL;
    expect_error(&messages, WANE_ERROR_UNSUPPORTED, "memory",
                 wane_buffer_import_host_vulkan(host_wrap(context, &h, true), pages, PAGES_BYTES, &buffer));
    expect_error(&messages, WANE_ERROR_UNSUPPORTED, "enabled_extensions",
                 wane_buffer_import_host_vulkan(wrap_importing(context, &h), pages, PAGES_BYTES, &buffer));
    assert_null(buffer);
    close_context(context);
    host_free(&h);
    free(pages);
}

// Memory that does not fit is refused, and a driver that fails leaves nothing.
static void expect_refusals(wane_context *context, wane_device *device, char *pages)
{
    wane_buffer *buffer = NULL;
#define REFUSES(status, operand, ...)                                                                                  \
    expect_error(&messages, status, operand, wane_buffer_import_host_vulkan(__VA_ARGS__));                             \
    assert_null(buffer)
    REFUSES(WANE_ERROR_ALIGNMENT, "memory", device, pages + 4, PAGES_BYTES - (1 << 16), &buffer);
    REFUSES(WANE_ERROR_ALIGNMENT, "memory", device, pages, PAGES_BYTES - 4, &buffer);
    REFUSES(WANE_ERROR_ALIGNMENT, "memory", device, pages, 0, &buffer);
    REFUSES(WANE_ERROR_NULL_ARGUMENT, "memory", device, NULL, PAGES_BYTES, &buffer);
    REFUSES(WANE_ERROR_MISMATCH, "device", test_device(context, "cpu"), pages, PAGES_BYTES, &buffer);
    int live = atomic_load(&shim.live);
    shim.fail_with = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    for (uint32_t i = 1; i <= 3; i++) {
        shim.fail_at = shim.calls + i;
        REFUSES(WANE_ERROR_DEVICE_MEMORY, NULL, device, pages, PAGES_BYTES, &buffer);
        assert_int_equal(atomic_load(&shim.live), live);
    }
#undef REFUSES
}

// All operands in the engine's own pages: wane_run stages nothing.
static void test_host_memory(void **state)
{
    (void)state;
    uint64_t want = expected(33, 257), at = 8;
    host h;
    bool offered = host_make(&h, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
    if (!offered) {
        host_free(&h);
        skip();
    }
    wane_context *context = open_context();
    wane_device *device = wrap_importing(context, &h);
    char *pages = aligned_alloc(1 << 16, PAGES_BYTES);
    expect_refusals(context, device, pages);
    wane_buffer *buffer = NULL;
    assert_int_equal(wane_buffer_import_host_vulkan(device, pages, PAGES_BYTES, &buffer), WANE_OK);
    test_problem p;
    make_problem(&p, context, 33, 257);
    memset(pages, TEST_POISON, PAGES_BYTES);
    for (uint32_t i = 0; i < p.desc.operand_count; i++) {
        memcpy(pages + at, p.blocks[i].data, p.blocks[i].bytes);
        p.bindings[i].host = NULL;
        p.bindings[i].buffer = buffer;
        p.bindings[i].byte_offset = at;
        at += (p.blocks[i].bytes + 15) / 8 * 8;
    }
    assert_true(at <= PAGES_BYTES);
    wane_executable *executable = test_executable(device, &p, NULL);
    wane_recorder *recorder = NULL;
    assert_int_equal(wane_recorder_create(&executable, 1, 0, &recorder), WANE_OK);
    unsigned made = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wane_run(executable, recorder, &p.args), WANE_OK);
        if (i == 1) assert_int_equal(shim_made(), made);
        made = shim_made();
    }
    for (uint32_t i = 0; i < p.desc.operand_count; i++) {
        memcpy(p.blocks[i].data, pages + p.bindings[i].byte_offset, p.blocks[i].bytes);
        p.bindings[i].byte_offset = 0;
    }
    assert_true(test_problem_hash(&p) == want);
    for (uint64_t i = at; i < PAGES_BYTES; i++) assert_int_equal((unsigned char)pages[i], TEST_POISON);
    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    wane_buffer_destroy(buffer);
    test_problem_end(&p);
    close_context(context);
    host_free(&h);
    free(pages);
}

// ---- threads ------------------------------------------------------------------------------------------------------

enum { WORKERS = 4, ROUNDS = 12 };

typedef struct worker {
    pthread_t thread;
    const host *h;
    pthread_mutex_t *queue;
    wane_executable *executable;
    test_problem p;
    bound b;
    host_commands c;
    uint64_t want;
    int wrong;
} worker;

static void *work(void *argument)
{
    worker *w = argument;
    wane_recorder *recorder = NULL;
    w->wrong += wane_recorder_create(&w->executable, 1, 0, &recorder) != WANE_OK;
    for (int i = 0; i < ROUNDS && !w->wrong; i++) {
        for (uint32_t k = 2; k < w->p.desc.operand_count; k++)
            memset((char *)w->b.memory.mapped + w->b.offsets[k], TEST_POISON, w->p.blocks[k].bytes);
        host_begin(w->h, &w->c);
        w->wrong += wane_record_vulkan(w->executable, recorder, &w->b.args, w->c.buffer) != WANE_OK;
        pthread_mutex_lock(w->queue);
        host_submit(w->h, &w->c);
        pthread_mutex_unlock(w->queue);
        host_wait(w->h, &w->c);
        host_fetch(&w->b, &w->p);
        w->wrong += test_problem_hash(&w->p) != w->want || wane_recorder_reset(recorder) != WANE_OK;
    }
    wane_recorder_destroy(recorder);
    return NULL;
}

// One executable, a recorder, pool and command buffer a thread, one queue under the host's lock.
static void test_threads(void **state)
{
    (void)state;
    uint64_t want = expected(9, 500);
    host h;
    host_make(&h, NULL);
    reset_shim();
    wane_context *context = open_context();
    wane_device *device = host_wrap(context, &h, false);
    worker *workers = calloc(WORKERS, sizeof *workers);
    pthread_mutex_t queue = PTHREAD_MUTEX_INITIALIZER;
    wane_plan_info info;
    make_problem(&workers[0].p, context, 9, 500);
    wane_executable *executable = test_executable(device, &workers[0].p, &info);
    for (int i = 0; i < WORKERS; i++) {
        worker *w = &workers[i];
        if (i) make_problem(&w->p, context, 9, 500);
        w->h = &h;
        w->queue = &queue;
        w->executable = executable;
        w->want = want;
        w->c = host_commands_make(&h);
        host_bind(&w->b, &h, &w->p, info.workspace_bytes, 8);
    }
    for (int i = 0; i < WORKERS; i++) assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (int i = 0; i < WORKERS; i++) assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(workers[i].wrong, 0);
        host_commands_free(&h, &workers[i].c);
        host_buffer_free(&h, &workers[i].b.memory);
        test_problem_end(&workers[i].p);
    }
    free(workers);
    wane_executable_destroy(executable);
    close_context(context);
    host_free(&h);
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    if (!have_vulkan()) {
        puts("no Vulkan device: nothing ran");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_record, before_each),     cmocka_unit_test_setup(test_record_refuses, before_each),
        cmocka_unit_test_setup(test_no_storage, before_each), cmocka_unit_test_setup(test_wrap_refuses, before_each),
        cmocka_unit_test_setup(test_queue, before_each),      cmocka_unit_test_setup(test_unwrap, before_each),
        cmocka_unit_test_setup(test_several, before_each),    cmocka_unit_test_setup(test_host_memory, before_each),
        cmocka_unit_test_setup(test_host_memory_not_enabled, before_each),
        cmocka_unit_test_setup(test_threads, before_each),
    };
    return cmocka_run_group_tests_name("vulkan_host", tests, NULL, NULL);
}
