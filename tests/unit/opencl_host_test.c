// opencl_host_test.c - engines with an OpenCL context of their own (wane_opencl.h): their queues, events and buffers,
// their threads. Skipped where there is no OpenCL device.
#include "opencl_host.h"

#include <pthread.h>

// A host's queue: waits for its events, answers with one, makes nothing, and gives what run gives.
static void enqueue_on(cl_command_queue_properties properties)
{
    host h = host_make(properties);
    wane_context *context = open_context(NULL);
    wane_device *device = wrap(context, &h, true);
    test_problem p, want;
    make_problem(&p, context, 5, 1300);
    make_problem(&want, context, 5, 1300);
    assert_int_equal(run_problem(device, &want), WANE_OK);
    wane_plan_info info;
    wane_executable *executable = test_executable(device, &p, &info);
    wane_recorder *recorder = NULL;
    assert_int_equal(wane_recorder_create(&executable, 1, 2 * info.dispatch_count, &recorder), WANE_OK);
    bound b;
    bind(&b, &h, &p, info.workspace_bytes);

    cl_int code;
    cl_event go = REAL(CreateUserEvent)(h.context, &code), done = NULL;
    assert_int_equal(code, CL_SUCCESS);
    uint32_t made = shim.made, enqueued = shim.enqueued;
    assert_int_equal(wane_enqueue_opencl(executable, recorder, &b.args, h.queue, 1, &go, &done), WANE_OK);
    assert_int_equal(shim.made, made);
    assert_int_equal(shim.enqueued - enqueued, info.dispatch_count);
    cl_int progress = CL_COMPLETE;
    REAL(GetEventInfo)(done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof progress, &progress, NULL);
    assert_int_not_equal(progress, CL_COMPLETE);            // it waits
    REAL(SetUserEventStatus)(go, CL_COMPLETE);
    assert_int_equal(REAL(WaitForEvents)(1, &done), CL_SUCCESS);
    fetch(&b, &h, &p);
    assert_true(test_problem_hash(&p) == test_problem_hash(&want));
    REAL(ReleaseEvent)(done);
    REAL(ReleaseEvent)(go);

    // again, without events; then the capacity is used up until a reset
    assert_int_equal(wane_enqueue_opencl(executable, recorder, &b.args, h.queue, 0, NULL, NULL), WANE_OK);
    expect_error(&messages, WANE_ERROR_CAPACITY, "recorder",
                 wane_enqueue_opencl(executable, recorder, &b.args, h.queue, 0, NULL, NULL));
    assert_int_equal(REAL(Finish)(h.queue), CL_SUCCESS);
    assert_int_equal(wane_recorder_reset(recorder), WANE_OK);
    fetch(&b, &h, &p);
    assert_true(test_problem_hash(&p) == test_problem_hash(&want));

    unbind(&b);
    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    test_problem_end(&p);
    test_problem_end(&want);
    wane_context_destroy(context);
    assert_int_equal(shim.live, 0);
    host_free(&h);
}

static void test_enqueue_in_order(void **state)
{
    (void)state;
    enqueue_on(0);
}

static void test_enqueue_out_of_order(void **state)
{
    (void)state;
    enqueue_on(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE);
}

static void test_host_errors(void **state)
{
    (void)state;
    host h = host_make(0), other = host_make(0);
    wane_context *context = open_context(NULL);
    wane_opencl_device_desc desc = {sizeof desc, h.context, h.id, other.queue, {0}};
    wane_device *device = NULL;
    wane_buffer *buffer = NULL;
    expect_error(&messages, WANE_ERROR_MISMATCH, "queue", wane_device_wrap_opencl(context, &desc, &device));
    desc.queue = NULL;
    desc.device = NULL;
    expect_error(&messages, WANE_ERROR_NULL_ARGUMENT, "device", wane_device_wrap_opencl(context, &desc, &device));
    device = wrap(context, &h, false);

    cl_mem memory = host_buffer(&h, NULL, 64), foreign = host_buffer(&other, NULL, 64);
    expect_error(&messages, WANE_ERROR_BOUNDS, "memory", wane_buffer_import_opencl(device, memory, 68, &buffer));
    expect_error(&messages, WANE_ERROR_ALIGNMENT, "bytes", wane_buffer_import_opencl(device, memory, 63, &buffer));
    expect_error(&messages, WANE_ERROR_MISMATCH, "memory", wane_buffer_import_opencl(device, foreign, 64, &buffer));
    expect_error(&messages, WANE_ERROR_NULL_ARGUMENT, "memory", wane_buffer_import_opencl(device, NULL, 64, &buffer));
    expect_error(&messages, WANE_ERROR_MISMATCH, "device",
                 wane_buffer_import_opencl(test_device(context, "cpu"), memory, 64, &buffer));
    assert_null(buffer);
    uint32_t value = 7, got = 0;
    assert_int_equal(wane_buffer_import_opencl(device, memory, 64, &buffer), WANE_OK);
    assert_int_equal(wane_buffer_write(buffer, 60, &value, 4), WANE_OK);
    assert_int_equal(wane_buffer_read(buffer, 60, &got, 4), WANE_OK);
    assert_int_equal(got, 7);
    wane_buffer_destroy(buffer);

    test_problem p;
    make_problem(&p, context, 3, 7);
    wane_plan_info info;
    wane_executable *executable = test_executable(device, &p, &info);
    wane_recorder *recorder = NULL;
    assert_int_equal(wane_recorder_create(&executable, 1, 0, &recorder), WANE_OK);
    bound b;
    bind(&b, &h, &p, info.workspace_bytes);
    expect_error(&messages, WANE_ERROR_MISMATCH, "queue",
                 wane_enqueue_opencl(executable, recorder, &b.args, other.queue, 0, NULL, NULL));
    expect_error(&messages, WANE_ERROR_NULL_ARGUMENT, "queue",
                 wane_enqueue_opencl(executable, recorder, &b.args, NULL, 0, NULL, NULL));
    expect_error(&messages, WANE_ERROR_NULL_ARGUMENT, "wait_list",
                 wane_enqueue_opencl(executable, recorder, &b.args, h.queue, 1, NULL, NULL));
    cl_int code;
    cl_event events[2] = {REAL(CreateUserEvent)(h.context, &code), NULL};
    expect_error(&messages, WANE_ERROR_NULL_ARGUMENT, "wait_list",
                 wane_enqueue_opencl(executable, recorder, &b.args, h.queue, 2, events, NULL));
    REAL(ReleaseEvent)(events[0]);
    expect_error(&messages, WANE_ERROR_IN_USE, "device", wane_device_unwrap(device));
    b.bindings[0].native = (uint64_t)(uintptr_t)foreign;
    b.bindings[0].bytes = 1 << 20;
    expect_error(&messages, WANE_ERROR_MISMATCH, "logits",
                 wane_enqueue_opencl(executable, recorder, &b.args, h.queue, 0, NULL, NULL));
    assert_int_equal(shim.enqueued, 0);
    unbind(&b);
    REAL(ReleaseMemObject)(memory);
    REAL(ReleaseMemObject)(foreign);
    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    test_problem_end(&p);
    wane_context_destroy(context);
    assert_int_equal(shim.live, 0);
    host_free(&h);
    host_free(&other);
}

// The host's objects are given back when a device is unwrapped, however often; nothing else of them is touched.
static void test_unwrap(void **state)
{
    (void)state;
    host h = host_make(0);
    wane_context *context = open_context(NULL);
    wane_device *first = wrap(context, &h, true), *second = wrap(context, &h, false), *found = NULL;
    assert_int_equal(wane_device_find(context, "opencl:host1", &found), WANE_OK);
    assert_ptr_equal(found, second);
    assert_int_equal(wane_device_unwrap(first), WANE_OK);
    assert_int_equal(wane_device_find(context, "opencl:host0", &found), WANE_ERROR_NO_DEVICE);
    assert_int_equal(wane_device_unwrap(second), WANE_OK);
    for (int i = 0; i < 200; i++) assert_int_equal(wane_device_unwrap(wrap(context, &h, i % 2)), WANE_OK);
    assert_int_equal(shim.live, 0);
    cl_uint references = 0;
    assert_int_equal(REAL(GetContextInfo)(h.context, CL_CONTEXT_REFERENCE_COUNT, sizeof references, &references, NULL),
                     CL_SUCCESS);
    assert_int_equal(references, 2);       // the host's, and its queue's
    wane_context_destroy(context);
    host_free(&h);
}

// ---- threads --------------------------------------------------------------------------------------------------------

typedef struct worker {
    pthread_t thread;
    wane_executable *executable;
    test_problem problem;
    wane_status status;
} worker;

static void *work(void *data)
{
    worker *w = data;
    wane_recorder *recorder = NULL;
    w->status = wane_recorder_create(&w->executable, 1, 0, &recorder);
    for (int i = 0; i < 20 && w->status == WANE_OK; i++)
        w->status = wane_run(w->executable, recorder, &w->problem.args);
    wane_recorder_destroy(recorder);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    wane_context *context = test_context(&messages, NULL, 1);
    wane_device *device = test_device(context, "opencl");
    worker workers[4];
    test_problem want;
    make_problem(&want, context, 6, 200);
    wane_executable *executable = test_executable(device, &want, NULL);
    for (int i = 0; i < 4; i++) {
        workers[i].executable = executable;
        make_problem(&workers[i].problem, context, 6, 200);
        ((float *)workers[i].problem.blocks[0].data)[0] = (float)i;       // so that no two are alike
    }
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (int i = 0; i < 4; i++) pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(workers[i].status, WANE_OK);
        ((float *)want.blocks[0].data)[0] = (float)i;
        assert_int_equal(wane_run(executable, NULL, &want.args), WANE_OK);
        assert_true(test_problem_hash(&workers[i].problem) == test_problem_hash(&want));
        test_problem_end(&workers[i].problem);
    }
    wane_executable_destroy(executable);
    test_problem_end(&want);
    wane_context_destroy(context);
}

int main(void)
{
    if (!have_device()) {
        printf("no OpenCL device: skipped\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_enqueue_in_order, before_each),
        cmocka_unit_test_setup(test_enqueue_out_of_order, before_each),
        cmocka_unit_test_setup(test_host_errors, before_each),
        cmocka_unit_test_setup(test_unwrap, before_each),
        cmocka_unit_test_setup(test_threads, before_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
