// vulkan.c - every Vulkan call of a plan's life fails in every legal way (driver.h, tests/unit/vulkan_calls.def); and
// systems whose loader or devices fall short.
//
//     fault_vulkan [full]      exit code 77 if there is no Vulkan device
#include "vulkan_host.h"

#define DRIVER_LOSS(code) ((code) == VK_ERROR_DEVICE_LOST)
#include "driver.h"

static test_problem problem;
static host engine;
static host_commands commands;
static bound memory;

static void make_problem(void)
{
    wane_context *context = test_context(&driver_log, NULL, 1);
    test_problem_begin(&problem, context, WANE_LOSS_CROSS_ENTROPY, 3, 70);
    test_problem_add_inputs(&problem, false);
    test_problem_add(&problem, WANE_ROLE_LOSS);
    test_problem_add(&problem, WANE_ROLE_GRAD_LOGITS);
    test_problem_memory(&problem, 4, TEST_PLAIN);
    memset(&problem.args.workspace, 0, sizeof problem.args.workspace);
    wane_context_destroy(context);
}

// A cache that has nothing and takes everything, so that what a driver compiled is asked for.
static size_t load_nothing(void *user, const char *key, void *data, size_t capacity)
{
    (void)user; (void)key; (void)data; (void)capacity;
    return 0;
}
static void store_nothing(void *user, const char *key, const void *data, size_t bytes)
{
    (void)user; (void)key; (void)data; (void)bytes;
}

static wane_context *open_context(void)
{
    wane_context_desc desc = {.struct_size = sizeof desc, .backends = WANE_BACKEND_VULKAN, .thread_count = 1,
                              .log = test_log_take, .log_user = &driver_log, .allocator = test_allocator(&driver_memory),
                              .cache = {NULL, load_nothing, store_nothing}, .vulkan = {NULL, resolve}};
    wane_context *context = NULL;
    assert_int_equal(wane_context_create(&desc, &context), WANE_OK);
    return context;
}

// ---- lives --------------------------------------------------------------------------------------------------------

// A device of wane's own, from its discovery to numbers.
static wane_status own(void)
{
    wane_context *context = open_context();
    wane_device *device = NULL;
    wane_plan *plan = NULL;
    wane_executable *executable = NULL;
    wane_status status = wane_device_find(context, "vulkan", &device);
    if (!status) status = wane_plan_create(device, &problem.desc, &plan);
    if (!status) status = wane_executable_create(plan, &executable);
    if (!status) status = wane_run(executable, NULL, &problem.args);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    wane_context_destroy(context);
    return status;
}

static void be_discrete(VkPhysicalDeviceProperties *p) { p->deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU; }
static void arrange_discrete(void) { shim.change = be_discrete; }

static bool engine_imports;
static _Alignas(1 << 16) char pages[1 << 16];

static void begin_engine(void)
{
    engine_imports = host_make(&engine, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
    commands = host_commands_make(&engine);
    host_bind(&memory, &engine, &problem, 1 << 16, 8);
}

static void end_engine(void)
{
    host_buffer_free(&engine, &memory.memory);
    host_commands_free(&engine, &commands);
    host_free(&engine);
}

// Recorded and done by the engine, which loses nothing: it stands beside the shim.
static wane_status record(wane_executable *executable, wane_recorder *recorder)
{
    host_begin(&engine, &commands);
    wane_status status = wane_recorder_reset(recorder);
    if (!status) status = wane_record_vulkan(executable, recorder, &memory.args, commands.buffer);
    host_submit(&engine, &commands);
    host_wait(&engine, &commands);
    return status ? status : wane_recorder_reset(recorder);
}

// An engine's device: wrapped, prepared, recorded into, unwrapped. With its queue also written, read and run on.
static wane_status wrapped(bool queue)
{
    wane_context *context = open_context();
    const char *name = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    wane_vulkan_device_desc desc = host_desc(&engine, queue);
    desc.enabled_extensions = &name;
    desc.enabled_extension_count = engine_imports;
    wane_device *device = NULL;
    wane_plan *plan = NULL;
    wane_executable *executable = NULL;
    wane_recorder *recorder = NULL;
    wane_buffer *buffer = NULL, *imported = NULL;
    wane_status status = wane_device_wrap_vulkan(context, &desc, &device);
    if (!status && queue) status = wane_device_selftest(device);
    if (!status) status = wane_plan_create(device, &problem.desc, &plan);
    if (!status) status = wane_executable_create(plan, &executable);
    if (!status) status = wane_recorder_create(&executable, 1, 0, &recorder);
    if (!status && queue) status = wane_run(executable, recorder, &problem.args);
    if (!status && queue) status = wane_buffer_create(device, 64, &buffer);
    if (!status && queue) status = wane_buffer_write(buffer, 0, "wane", 4);
    if (!status && engine_imports) status = wane_buffer_import_host_vulkan(device, pages, sizeof pages, &imported);
    for (int i = 0; i < 2 && !status; i++) status = record(executable, recorder);
    wane_buffer_destroy(buffer);
    wane_buffer_destroy(imported);
    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    if (device) assert_int_equal(wane_device_unwrap(device), WANE_OK);
    wane_context_destroy(context);
    return status;
}

static wane_status wrapped_to_record(void) { return wrapped(false); }
static wane_status wrapped_to_run(void) { return wrapped(true); }

static const driver_life lives[] = {
    {"a wrapped device, recording", begin_engine, wrapped_to_record, end_engine, NULL, ""},
    {"a wrapped device with a queue", begin_engine, wrapped_to_run, end_engine, arrange_discrete, ""},
    {"a device of its own", NULL, own, NULL, NULL, ""},
    {"a device with memory of its own", NULL, own, NULL, arrange_discrete, ""},
};

static void test_complete(void **state)
{
    (void)state;
    static const char *const names[] = {
#define VULKAN_CALL(kind, name, parameters, arguments, after, ...) "vk" #name,
#define VULKAN_VOID(kind, name, parameters, arguments, ended)
#include "vulkan_calls.def"
    };
    // reached behind another failure alone; and what debug builds of wane use
    const char *const others[] = {"vkQueueWaitIdle", "vkCreateEvent", "vkGetEventStatus", "vkResetEvent",
                                         engine_imports ? "" : "vkGetMemoryHostPointerPropertiesEXT"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool found = false;
        for (uint32_t k = 0; k < driver_pair_count; k++) found = found || strcmp(driver_pairs[k].name, names[i]) == 0;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++) found = found || strcmp(others[k], names[i]) == 0;
        if (!found) fail_msg("%s is never made to fail", names[i]);
    }
}

// ---- systems ------------------------------------------------------------------------------------------------------

// The CPU works, and asking for Vulkan is answered with a reason.
static void expect_no_vulkan(const char *what)
{
    test_log_clear(&driver_log);
    test_memory_begin(&driver_memory);
    wane_context *context = open_context();
    wane_device *device = NULL;
    wane_status status = wane_device_find(context, "vulkan", &device);
    if (status != WANE_ERROR_NO_DEVICE && status != WANE_ERROR_DEVICE_UNUSABLE)
        fail_msg("%s: %s", what, wane_status_text(status));
    assert_true(driver_log.text[0]);
    wane_executable *executable = test_executable(test_device(context, "cpu"), &problem, NULL);
    assert_int_equal(wane_run(executable, NULL, &problem.args), WANE_OK);
    wane_executable_destroy(executable);
    wane_context_destroy(context);
    assert_int_equal(atomic_load(&shim.live), 0);
    assert_int_equal(atomic_load(&driver_memory.blocks), 0);
}

static void be_old(VkPhysicalDeviceProperties *p) { p->apiVersion = VK_API_VERSION_1_0; }

static void test_systems(void **state)
{
    (void)state;
    reset_shim();
    shim.old_loader = 1;
    expect_no_vulkan("a loader of Vulkan 1.0");
    reset_shim();
    shim.no_devices = 1;
    expect_no_vulkan("a loader without drivers");
    reset_shim();
    shim.change = be_old;
    expect_no_vulkan("a device of Vulkan 1.0");
    reset_shim();
    shim.hidden_queues = VK_QUEUE_COMPUTE_BIT;
    expect_no_vulkan("a device that does not compute");
    reset_shim();
    shim.no_loader = 1;
    expect_no_vulkan("no loader");
    reset_shim();
    shim.no_features = 1;                   // nothing optional is needed
    assert_int_equal(own(), WANE_OK);
}

// A thousand losses, each in a context of its own: the first call says it, the next ones do not ask the driver.
static void test_losses(void **state)
{
    (void)state;
    begin_engine();
    for (int i = 0; i < (driver_full ? 1000 : 50); i++) {
        driver_reset(&lives[1]);
        wane_context *context = open_context();
        wane_device *device = host_wrap(context, &engine, true);
        wane_plan_info info;
        wane_executable *executable = test_executable(device, &problem, &info);
        wane_recorder *recorder = NULL;
        assert_int_equal(wane_recorder_create(&executable, 1, 0, &recorder), WANE_OK);
        wane_buffer *buffer = NULL;
        assert_int_equal(wane_buffer_create(device, 64, &buffer), WANE_OK);
        shim.fail_with = VK_ERROR_DEVICE_LOST;
        shim.fail_at = shim.calls + 1 + (uint32_t)i % 3;
        wane_status status = WANE_OK;
        while (!status) status = wane_run(executable, recorder, &problem.args);
        assert_int_equal(status, WANE_ERROR_DEVICE_LOST);
        unsigned calls = 0;
        for (int k = 0; k < SHIM_KINDS; k++) calls += shim.kinds[k];
        wane_recorder *second = NULL;
        wane_buffer *other = NULL;
        char data[4] = {0};
        assert_int_equal(wane_run(executable, recorder, &problem.args), WANE_ERROR_DEVICE_LOST);
        assert_int_equal(wane_record_vulkan(executable, recorder, &memory.args, commands.buffer), WANE_ERROR_DEVICE_LOST);
        assert_int_equal(wane_recorder_create(&executable, 1, 0, &second), WANE_ERROR_DEVICE_LOST);
        assert_int_equal(wane_buffer_create(device, 64, &other), WANE_ERROR_DEVICE_LOST);
        assert_int_equal(wane_buffer_write(buffer, 0, data, 4), WANE_ERROR_DEVICE_LOST);
        assert_int_equal(wane_buffer_read(buffer, 0, data, 4), WANE_ERROR_DEVICE_LOST);
        assert_int_equal(wane_device_selftest(device), WANE_ERROR_DEVICE_LOST);
        for (int k = 0; k < SHIM_KINDS; k++) calls -= shim.kinds[k];
        assert_int_equal(calls, 0);
        wane_buffer_destroy(buffer);
        wane_recorder_destroy(recorder);
        wane_executable_destroy(executable);
        wane_context_destroy(context);
        assert_int_equal(atomic_load(&shim.live), 0);
        assert_int_equal(atomic_load(&driver_memory.blocks), 0);
    }
    end_engine();
}

int main(int argc, char **argv)
{
    driver_full = argc > 1 && strcmp(argv[1], "full") == 0;
    if (!have_vulkan()) {
        puts("no Vulkan device: nothing ran");
        return 77;
    }
    make_problem();
    struct CMUnitTest tests[16];
    size_t count = 0;
    memset(tests, 0, sizeof tests);
    for (; count < sizeof lives / sizeof *lives; count++)
        tests[count] = (struct CMUnitTest){lives[count].name, driver_test, NULL, NULL, (void *)&lives[count]};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_complete);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_systems);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_losses);
    int failed = _cmocka_run_group_tests("fault vulkan", tests, count, NULL, NULL);
    printf("%u pairs of call and code, %u runs\n", driver_pair_count, driver_runs);
    test_problem_end(&problem);
    return failed;
}
