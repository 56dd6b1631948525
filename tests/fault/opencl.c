// opencl.c - every OpenCL call of a plan's life fails in every legal way (driver.h, tests/unit/opencl_calls.def); and
// work that fails late.
//
//     fault_opencl [full]      exit code 77 if there is no OpenCL device
#include "opencl_host.h"

#define DRIVER_LOSS(code) ((code) == CL_DEVICE_NOT_AVAILABLE || (code) == -9999)
#include "driver.h"

static test_problem problem;
static host engine;
static bound memory;

// ---- a cache, so that binaries are loaded too ------------------------------------------------------------------------

enum { BLOBS = 64 };
static struct { char key[96]; void *data; size_t bytes; } blobs[BLOBS];
static uint32_t blob_count;
static bool cache_full;                    // load answers

static size_t load(void *user, const char *key, void *data, size_t capacity)
{
    (void)user;
    for (uint32_t i = 0; cache_full && i < blob_count; i++)
        if (strcmp(blobs[i].key, key) == 0) {
            if (data) memcpy(data, blobs[i].data, capacity < blobs[i].bytes ? capacity : blobs[i].bytes);
            return blobs[i].bytes;
        }
    return 0;
}

static void store(void *user, const char *key, const void *data, size_t bytes)
{
    (void)user;
    for (uint32_t i = 0; i < blob_count; i++)
        if (strcmp(blobs[i].key, key) == 0) return;
    if (blob_count == BLOBS) return;
    snprintf(blobs[blob_count].key, sizeof blobs[0].key, "%s", key);
    blobs[blob_count].data = malloc(bytes);
    memcpy(blobs[blob_count].data, data, bytes);
    blobs[blob_count++].bytes = bytes;
}

static wane_context *open(void)
{
    wane_context_desc desc = {.struct_size = sizeof desc, .backends = WANE_BACKEND_OPENCL, .thread_count = 1,
                              .log = test_log_take, .log_user = &driver_log, .allocator = test_allocator(&driver_memory),
                              .cache = {NULL, load, store}, .opencl = {NULL, resolve}};
    wane_context *context = NULL;
    assert_int_equal(wane_context_create(&desc, &context), WANE_OK);
    return context;
}

// ---- lives --------------------------------------------------------------------------------------------------------

static wane_status own(void)
{
    wane_context *context = open();
    wane_device *device = NULL;
    wane_status status = wane_device_find(context, "opencl", &device);
    if (status == WANE_OK) status = run_problem(device, &problem);
    wane_context_destroy(context);
    return status;
}

static void begin_cached(void) { cache_full = true; }
static void end_cached(void) { cache_full = false; }

static void begin_engine(void)
{
    engine = host_make(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    bind(&memory, &engine, &problem, 1 << 16);
    cache_full = true;
}

static void end_engine(void)
{
    unbind(&memory);
    host_free(&engine);
    cache_full = false;
}

// An engine's device: wrapped, prepared, enqueued on, unwrapped. With its queue also written, read and run on.
static wane_status wrapped(bool queue)
{
    wane_context *context = open();
    const wane_opencl_device_desc desc = {sizeof desc, engine.context, engine.id, queue ? engine.queue : NULL, {0}};
    wane_device *device = NULL;
    wane_plan *plan = NULL;
    wane_executable *executable = NULL;
    wane_recorder *recorder = NULL;
    wane_buffer *imported = NULL;
    cl_int code;
    cl_event go = REAL(CreateUserEvent)(engine.context, &code), done = NULL;
    REAL(SetUserEventStatus)(go, CL_COMPLETE);
    wane_status status = wane_device_wrap_opencl(context, &desc, &device);
    if (!status && queue) status = wane_device_selftest(device);
    if (!status) status = wane_plan_create(device, &problem.desc, &plan);
    if (!status) status = wane_executable_create(plan, &executable);
    if (!status) status = wane_recorder_create(&executable, 1, 0, &recorder);
    if (!status && queue) status = wane_run(executable, recorder, &problem.args);
    if (!status) status = wane_recorder_reset(recorder);
    if (!status) status = wane_buffer_import_opencl(device, memory.memory[0], 8, &imported);
    if (!status && queue) status = wane_buffer_write(imported, 0, "wanewane", 8);
    if (!status) status = wane_enqueue_opencl(executable, recorder, &memory.args, engine.queue, 1, &go, &done);
    REAL(Finish)(engine.queue);
    if (done) REAL(ReleaseEvent)(done);
    REAL(ReleaseEvent)(go);
    wane_buffer_destroy(imported);
    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    if (device) assert_int_equal(wane_device_unwrap(device), WANE_OK);
    wane_context_destroy(context);
    return status;
}

static wane_status wrapped_to_enqueue(void) { return wrapped(false); }
static wane_status wrapped_to_run(void) { return wrapped(true); }

#define FROM_BINARY "clBuildProgram clCreateKernel clGetKernelWorkGroupInfo"
static const driver_life lives[] = {
    {"a device of its own", NULL, own, NULL, NULL, ""},
    // a binary that does not build, or lacks the kernel, is compiled from its source
    {"a second start, from the cache", begin_cached, own, end_cached, NULL, FROM_BINARY},
    {"a wrapped device, enqueuing", begin_engine, wrapped_to_enqueue, end_engine, NULL, FROM_BINARY},
    {"a wrapped device with a queue", begin_engine, wrapped_to_run, end_engine, NULL, FROM_BINARY},
};

static void test_complete(void **state)
{
    (void)state;
    static const char *const names[] = {
#define OPENCL_CALL(kind, name, parameters, arguments, after, ...) "cl" #name,
#define OPENCL_MAKE(kind, type, name, parameters, arguments, after, ...) "cl" #name,
#define OPENCL_COUNT(kind, name, type, change)
#include "opencl_calls.def"
    };
    // reached behind a refused kernel alone; and where passes of a family run side by side
    static const char *const others[] = {"clGetProgramBuildInfo", "clEnqueueMarkerWithWaitList"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool found = false;
        for (uint32_t k = 0; k < driver_pair_count; k++) found = found || strcmp(driver_pairs[k].name, names[i]) == 0;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++) found = found || strcmp(others[k], names[i]) == 0;
        if (!found) fail_msg("%s is never made to fail", names[i]);
    }
}

// Work that fails after it was taken: the wait list's event ends in an error, and so does the work's, which the host sees.
// A device that is lost answers at once from then on.
static void test_late(void **state)
{
    (void)state;
    begin_engine();
    driver_reset(&lives[2]);
    wane_context *context = open();
    wane_device *device = wrap(context, &engine, true);
    wane_executable *executable = test_executable(device, &problem, NULL);
    wane_recorder *recorder = NULL;
    assert_int_equal(wane_recorder_create(&executable, 1, 0, &recorder), WANE_OK);
    for (int i = 0; i < (driver_full ? 1000 : 20); i++) {
        shim.fail_name = "clGetEventInfo";
        shim.fail_with = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
        expect_error(&driver_log, WANE_ERROR_SUBMIT, NULL, wane_run(executable, recorder, &problem.args));
        shim.fail_name = NULL;
        assert_int_equal(wane_run(executable, recorder, &problem.args), WANE_OK);
    }
    shim.fail_name = "clFinish";
    shim.fail_with = -9999;
    expect_error(&driver_log, WANE_ERROR_DEVICE_LOST, NULL, wane_run(executable, recorder, &problem.args));
    shim.fail_name = NULL;
    unsigned calls = 0;
    for (int k = 0; k < SHIM_KINDS; k++) calls += shim.kinds[k];
    wane_buffer *buffer = NULL;
    assert_int_equal(wane_run(executable, recorder, &problem.args), WANE_ERROR_DEVICE_LOST);
    assert_int_equal(wane_enqueue_opencl(executable, recorder, &memory.args, engine.queue, 0, NULL, NULL),
                     WANE_ERROR_DEVICE_LOST);
    assert_int_equal(wane_buffer_create(device, 64, &buffer), WANE_ERROR_DEVICE_LOST);
    assert_int_equal(wane_buffer_import_opencl(device, memory.memory[0], 8, &buffer), WANE_ERROR_DEVICE_LOST);
    for (int k = 0; k < SHIM_KINDS; k++) calls -= shim.kinds[k];
    assert_int_equal(calls, 0);
    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    wane_context_destroy(context);
    assert_int_equal(atomic_load(&shim.live), 0);
    end_engine();
}

int main(int argc, char **argv)
{
    driver_full = argc > 1 && strcmp(argv[1], "full") == 0;
    if (!have_device()) {
        puts("no OpenCL device: nothing ran");
        return 77;
    }
    wane_context *context = test_context(&driver_log, NULL, 1);
    make_problem(&problem, context, 3, 70);
    wane_context_destroy(context);
    struct CMUnitTest tests[16];
    size_t count = 0;
    memset(tests, 0, sizeof tests);
    for (; count < sizeof lives / sizeof *lives; count++)
        tests[count] = (struct CMUnitTest){lives[count].name, driver_test, NULL, NULL, (void *)&lives[count]};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_complete);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_late);
    int failed = _cmocka_run_group_tests("fault opencl", tests, count, NULL, NULL);
    printf("%u pairs of call and code, %u runs\n", driver_pair_count, driver_runs);
    for (uint32_t i = 0; i < blob_count; i++) free(blobs[i].data);
    test_problem_end(&problem);
    return failed;
}
