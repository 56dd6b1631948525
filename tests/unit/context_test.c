// context_test.c - contexts, devices, buffers, executables and recorders: what each call refuses; nothing leaks.
#define _POSIX_C_SOURCE 200809L
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct fixture {
    test_log log;
    test_memory memory;
    wane_context *context;
    wane_device *cpu;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    unsetenv("WANE_DEVICE");
    test_memory_begin(&f->memory);
    f->context = test_context(&f->log, &f->memory, 1);
    f->cpu = test_device(f->context, "cpu");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    wane_context_destroy(f->context);
    assert_int_equal(atomic_load(&f->memory.blocks), 0);
    assert_int_equal(atomic_load(&f->memory.wrong_frees), 0);
    free(f);
    return 0;
}

static wane_context *const SOME_CONTEXT = (wane_context *)1;

// ---- contexts ----

static void nothing_to_run(void *user, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument)
{
    (void)user;
    for (uint32_t i = 0; i < count; i++) task(argument, i);
}

static void test_create_defaults(void **state)
{
    (void)state;
    wane_context *context = NULL;
    assert_int_equal(wane_context_create(NULL, &context), WANE_OK);
    wane_context_destroy(context);
    wane_context_desc desc = {.struct_size = sizeof desc};
    assert_int_equal(wane_context_create(&desc, &context), WANE_OK);
    wane_context_destroy(context);
    wane_context_destroy(NULL);
    assert_int_equal(wane_context_create(&desc, NULL), WANE_ERROR_NULL_ARGUMENT);
}

static void test_create_refuses(void **state)
{
    (void)state;
    test_log log;
    test_memory memory;
    test_memory_begin(&memory);
    for (int i = 0; i < 9; i++) {
        wane_context_desc desc = {.struct_size = sizeof desc, .log = test_log_take, .log_user = &log};
        const char *operand = "backends";
        wane_status want = WANE_ERROR_FLAGS;
        if (i == 0) desc.backends = 8;
        if (i == 1) desc.backends = 1u << 31 | WANE_BACKEND_CPU;
        if (i >= 2) operand = "log_level";
        if (i == 2) desc.log_level = (wane_log_level)5;
        if (i == 3) desc.log_level = (wane_log_level)-1;
        if (i >= 4) operand = "allocator";
        if (i == 4) desc.allocator.alloc = test_allocator(&memory).alloc;
        if (i == 5) desc.allocator.free = test_allocator(&memory).free;
        if (i == 6) operand = "parallel", desc.parallel.run = nothing_to_run;
        if (i == 7) operand = "reserved", desc.reserved = 1, want = WANE_ERROR_STRUCT;
        if (i == 8) {
            operand = NULL;
            want = WANE_ERROR_HOST_MEMORY;
            desc.allocator = test_allocator(&memory);
            test_memory_arm(&memory, 0, 1);
        }
        wane_context *context = SOME_CONTEXT;
        expect_error(&log, want, operand, wane_context_create(&desc, &context));
        assert_null(context);
    }
    assert_int_equal(atomic_load(&memory.blocks), 0);
}

static void test_create_struct_size(void **state)
{
    (void)state;
    static const size_t bad[] = {0, 8, sizeof(wane_context_desc) - 1, (size_t)1 << 50};
    for (int i = 0; i < 4; i++) {
        wane_context_desc desc = {.struct_size = bad[i]};
        wane_context *context = SOME_CONTEXT;
        assert_int_equal(wane_context_create(&desc, &context), WANE_ERROR_STRUCT);
        assert_null(context);
    }
    struct { wane_context_desc known; uint64_t unknown; } newer = {.known = {.struct_size = sizeof newer}};
    wane_context *context = NULL;
    assert_int_equal(wane_context_create(&newer.known, &context), WANE_OK);
    wane_context_destroy(context);
    newer.unknown = 1;
    context = SOME_CONTEXT;
    assert_int_equal(wane_context_create(&newer.known, &context), WANE_ERROR_STRUCT);
    assert_null(context);
}

// A thousand contexts, some of which look for devices or start threads.
static void test_create_many(void **state)
{
    (void)state;
    test_log log;
    test_memory memory;
    test_memory_begin(&memory);
    for (int i = 0; i < 1000; i++) {
        wane_context *context = test_context(&log, &memory, 1 + (uint32_t)i % 3);
        if (i % 2) test_device(context, i % 4 == 1 ? "cpu" : "cpu:generic");
        if (i % 50 == 0) {
            test_problem p;
            test_problem_begin(&p, context, WANE_LOSS_CROSS_ENTROPY, 64, 300);
            test_problem_add_inputs(&p, true);
            test_problem_add_outputs(&p);
            wane_plan_info info;
            wane_executable *executable = test_executable(test_device(context, "cpu"), &p, &info);
            test_problem_memory(&p, info.workspace_bytes, TEST_PLAIN);
            assert_int_equal(wane_run_cpu(executable, &p.args), WANE_OK);
            wane_executable_destroy(executable);
            test_problem_end(&p);
        }
        wane_context_destroy(context);
        assert_int_equal(atomic_load(&memory.blocks), 0);
    }
    assert_int_equal(atomic_load(&memory.wrong_frees), 0);
}

static void count_records(void *user, const wane_log_record *record)
{
    uint32_t *counts = user;
    assert_in_range(record->level, WANE_LOG_ERROR, WANE_LOG_DEBUG);
    assert_non_null(record->text);
    counts[record->level]++;
}

// Errors reach the callback at every level; NULL handles, which belong to no context, reach nobody.
static void test_log_levels(void **state)
{
    (void)state;
    for (int level = 0; level <= WANE_LOG_DEBUG; level++) {
        uint32_t counts[5] = {0};
        wane_context_desc desc = {.struct_size = sizeof desc, .log = count_records, .log_user = counts,
                                  .log_level = (wane_log_level)level, .backends = WANE_BACKEND_CPU};
        wane_context *context = NULL;
        wane_device *device = NULL;
        assert_int_equal(wane_context_create(&desc, &context), WANE_OK);
        assert_int_equal(wane_device_find(context, "nonsense", &device), WANE_ERROR_NO_DEVICE);
        assert_int_equal(wane_device_find(NULL, "cpu", &device), WANE_ERROR_NULL_ARGUMENT);
        assert_int_equal(counts[WANE_LOG_ERROR], 1);
        for (int above = (level ? level : WANE_LOG_WARNING) + 1; above <= WANE_LOG_DEBUG; above++)
            assert_int_equal(counts[above], 0);
        wane_context_destroy(context);
    }
}

typedef struct said { char text[4096]; } said;

static void keep_debug(void *user, const wane_log_record *record)
{
    said *s = user;
    size_t used = strlen(s->text);
    if (record->level == WANE_LOG_DEBUG) snprintf(s->text + used, sizeof s->text - used, "%s\n", record->text);
}

// What was taken, planned and prepared is told at the level debug.
static void test_log_debug(void **state)
{
    (void)state;
    said s = {{0}};
    wane_context_desc desc = {.struct_size = sizeof desc, .log = keep_debug, .log_user = &s, .log_level = WANE_LOG_DEBUG,
                              .backends = WANE_BACKEND_CPU};
    wane_context *context = NULL;
    wane_device *device = NULL;
    assert_int_equal(wane_context_create(&desc, &context), WANE_OK);
    assert_int_equal(wane_device_find(context, NULL, &device), WANE_OK);
    assert_non_null(strstr(s.text, ") is taken: there is no usable hardware GPU\n"));
    assert_int_equal(wane_device_find(context, "cpu:generic", &device), WANE_OK);
    assert_non_null(strstr(s.text, "cpu:generic ("));
    assert_non_null(strstr(s.text, ") is taken: named by the caller\n"));
    test_problem p;
    test_problem_begin(&p, context, WANE_LOSS_CROSS_ENTROPY, 3, 5);
    test_problem_add_inputs(&p, false);
    test_problem_add(&p, WANE_ROLE_LOSS);
    wane_executable_destroy(test_executable(device, &p, NULL));
    assert_non_null(strstr(s.text, "plan of cross_entropy on cpu:generic: "));
    assert_non_null(strstr(s.text, "cross_entropy is ready on cpu:generic after "));
    wane_context_destroy(context);
}

// ---- devices ----

static void test_device_list(void **state)
{
    fixture *f = *state;
    uint32_t count = wane_device_count(f->context);
    assert_true(count >= 1);
    assert_int_equal(wane_device_count(f->context), count);
    for (uint32_t i = 0; i < count; i++) {
        wane_device *device = wane_device_at(f->context, i);
        assert_non_null(device);
        assert_ptr_equal(wane_device_at(f->context, i), device);
        wane_device_info info = {.struct_size = sizeof info};
        assert_int_equal(wane_device_get_info(device, &info), WANE_OK);
        assert_true(info.id[0] && info.backend[0] && info.name[0] && info.driver[0]);
        assert_true(info.quirks && info.reason);
        assert_true(info.usable ? !info.reason[0] : info.reason[0] != 0);
        assert_int_equal(strncmp(info.id, info.backend, strlen(info.backend)), 0);
        assert_true(info.limits.struct_size == sizeof info.limits && info.limits.max_window_bytes >= 4096);
        assert_true(i + 1 < count ? strcmp(info.backend, "cpu") != 0 : strcmp(info.id, "cpu") == 0 && info.usable);
    }
    assert_null(wane_device_at(f->context, count));
    assert_null(wane_device_at(f->context, UINT32_MAX));
    assert_ptr_equal(wane_device_at(f->context, count - 1), f->cpu);
    assert_int_equal(wane_device_count(NULL), 0);
    assert_null(wane_device_at(NULL, 0));
}

static void test_device_names(void **state)
{
    fixture *f = *state;
    static const char *const unknown[] = {"gpu",           "CPU",          "cpu ",      "cpu:",      "cpu:avx1024",
                                          "cpu:generic:0", "cpu:generic ", "vulkan:99", "opencl:99", "vulkan:-1",
                                          "vulkan:",       "autox",        ":",         "vulkanx",   "%s%n"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        wane_device *device = f->cpu;
        expect_error(&f->log, WANE_ERROR_NO_DEVICE, "device", wane_device_find(f->context, unknown[i], &device));
        assert_null(device);
        assert_non_null(strstr(f->log.text, unknown[i]));
    }
    char endless[4096];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = 0;
    wane_device *device = f->cpu;
    expect_error(&f->log, WANE_ERROR_NO_DEVICE, "device", wane_device_find(f->context, endless, &device));
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "out", wane_device_find(f->context, "cpu", NULL));
    assert_int_equal(wane_device_find(NULL, "cpu", &device), WANE_ERROR_NULL_ARGUMENT);
    assert_ptr_equal(test_device(f->context, "cpu"), f->cpu);
    wane_device *generic = test_device(f->context, "cpu:generic");
    assert_ptr_not_equal(generic, f->cpu);
    wane_device_info info = {.struct_size = sizeof info};
    assert_int_equal(wane_device_get_info(generic, &info), WANE_OK);
    assert_string_equal(info.id, "cpu:generic");
    assert_non_null(strstr(info.driver, "generic"));
}

static void test_device_environment(void **state)
{
    fixture *f = *state;
    wane_device *device = NULL, *generic = test_device(f->context, "cpu:generic");
    setenv("WANE_DEVICE", "cpu:generic", 1);
    assert_int_equal(wane_device_find(f->context, NULL, &device), WANE_OK);
    assert_ptr_equal(device, generic);
    assert_int_equal(wane_device_find(f->context, "", &device), WANE_OK);
    assert_ptr_equal(device, generic);
    assert_ptr_equal(test_device(f->context, "cpu"), f->cpu);   // the caller's word goes before the environment's
    setenv("WANE_DEVICE", "toaster", 1);
    expect_error(&f->log, WANE_ERROR_NO_DEVICE, "device", wane_device_find(f->context, NULL, &device));
    assert_null(device);
    assert_non_null(strstr(f->log.text, "toaster"));
    setenv("WANE_DEVICE", "", 1);
    assert_int_equal(wane_device_find(f->context, NULL, &device), WANE_OK);
    wane_device *chosen = device;
    setenv("WANE_DEVICE", "auto", 1);
    assert_int_equal(wane_device_find(f->context, NULL, &device), WANE_OK);
    assert_ptr_equal(device, chosen);
    unsetenv("WANE_DEVICE");
    assert_int_equal(wane_device_find(f->context, NULL, &device), WANE_OK);
    assert_ptr_equal(device, chosen);
    assert_ptr_equal(test_device(f->context, "auto"), chosen);
    wane_device_info info = {.struct_size = sizeof info};
    assert_int_equal(wane_device_get_info(chosen, &info), WANE_OK);
    assert_true(info.is_hardware_gpu || chosen == f->cpu);      // never a software device
}

// The CPU is there whatever the mask says; what is masked out is not found.
static void test_backend_mask(void **state)
{
    (void)state;
    test_log log;
    static const uint32_t masks[] = {WANE_BACKEND_CPU, WANE_BACKEND_VULKAN, WANE_BACKEND_OPENCL};
    for (int i = 0; i < 3; i++) {
        wane_context_desc desc = {
            .struct_size = sizeof desc, .backends = masks[i], .log = test_log_take, .log_user = &log};
        wane_context *context = NULL;
        assert_int_equal(wane_context_create(&desc, &context), WANE_OK);
        test_device(context, "cpu");
        wane_device *device = NULL;
        if (masks[i] != WANE_BACKEND_VULKAN)
            expect_error(&log, WANE_ERROR_NO_DEVICE, "device", wane_device_find(context, "vulkan", &device));
        if (masks[i] != WANE_BACKEND_OPENCL)
            expect_error(&log, WANE_ERROR_NO_DEVICE, "device", wane_device_find(context, "opencl:0", &device));
        if (masks[i] == WANE_BACKEND_CPU) assert_int_equal(wane_device_count(context), 1);
        wane_context_destroy(context);
    }
}

static void test_device_info(void **state)
{
    fixture *f = *state;
    wane_device_info info = {.struct_size = sizeof info};
    assert_int_equal(wane_device_get_info(NULL, &info), WANE_ERROR_NULL_ARGUMENT);
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "wane_device_info", wane_device_get_info(f->cpu, NULL));
    info.struct_size = 0;
    expect_error(&f->log, WANE_ERROR_STRUCT, "wane_device_info", wane_device_get_info(f->cpu, &info));
    info.struct_size = sizeof info - sizeof info.limits;
    expect_error(&f->log, WANE_ERROR_STRUCT, "wane_device_info", wane_device_get_info(f->cpu, &info));
    assert_int_equal(wane_device_selftest(NULL), WANE_ERROR_NULL_ARGUMENT);
    assert_int_equal(wane_device_selftest(f->cpu), WANE_OK);
    assert_int_equal(wane_device_selftest(f->cpu), WANE_OK);
}

// ---- buffers ----

static void test_buffer_create(void **state)
{
    fixture *f = *state;
    wane_buffer *const some = (wane_buffer *)1;
    wane_buffer *buffer = some;
    char memory[16];
    assert_int_equal(wane_buffer_create(NULL, 16, &buffer), WANE_ERROR_NULL_ARGUMENT);
    assert_null(buffer);
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "out", wane_buffer_create(f->cpu, 16, NULL));
    buffer = some;
    expect_error(&f->log, WANE_ERROR_TOO_LARGE, "bytes", wane_buffer_create(f->cpu, UINT64_MAX, &buffer));
    assert_null(buffer);
    buffer = some;
    assert_int_equal(wane_buffer_wrap_host(NULL, memory, 16, &buffer), WANE_ERROR_NULL_ARGUMENT);
    assert_null(buffer);
    buffer = some;
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "memory", wane_buffer_wrap_host(f->cpu, NULL, 16, &buffer));
    assert_null(buffer);
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "out", wane_buffer_wrap_host(f->cpu, memory, 16, NULL));
    assert_int_equal(wane_buffer_wrap_host(f->cpu, NULL, 0, &buffer), WANE_OK);
    assert_int_equal(wane_buffer_bytes(buffer), 0);
    wane_buffer_destroy(buffer);
    wane_buffer_destroy(NULL);
    assert_int_equal(wane_buffer_bytes(NULL), 0);
}

static void check_transfers(fixture *f, wane_buffer *buffer, uint64_t bytes)
{
    unsigned char data[100], back[100];
    for (int i = 0; i < 100; i++) data[i] = (unsigned char)(i * 7 + 1);
    assert_int_equal(wane_buffer_bytes(buffer), bytes);
    assert_int_equal(wane_buffer_write(buffer, 0, data, bytes), WANE_OK);
    memset(back, 0, sizeof back);
    assert_int_equal(wane_buffer_read(buffer, 0, back, bytes), WANE_OK);
    assert_memory_equal(back, data, bytes);
    // any offset and size
    assert_int_equal(wane_buffer_write(buffer, 5, data + 50, 7), WANE_OK);
    assert_int_equal(wane_buffer_read(buffer, 3, back, 11), WANE_OK);
    assert_memory_equal(back, data + 3, 2);
    assert_memory_equal(back + 2, data + 50, 7);
    assert_memory_equal(back + 9, data + 12, 2);
    // the end, and past it
    assert_int_equal(wane_buffer_write(buffer, bytes, NULL, 0), WANE_OK);
    assert_int_equal(wane_buffer_read(buffer, bytes - 1, back, 1), WANE_OK);
    assert_int_equal(wane_buffer_write(NULL, 0, data, 1), WANE_ERROR_NULL_ARGUMENT);
    assert_int_equal(wane_buffer_read(NULL, 0, back, 1), WANE_ERROR_NULL_ARGUMENT);
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "data", wane_buffer_write(buffer, 0, NULL, 1));
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "data", wane_buffer_read(buffer, 0, NULL, 1));
    expect_error(&f->log, WANE_ERROR_BOUNDS, "byte_offset", wane_buffer_write(buffer, bytes, data, 1));
    expect_error(&f->log, WANE_ERROR_BOUNDS, "byte_offset", wane_buffer_read(buffer, 1, back, bytes));
    expect_error(&f->log, WANE_ERROR_BOUNDS, "byte_offset", wane_buffer_read(buffer, bytes + 1, back, 0));
    expect_error(&f->log, WANE_ERROR_BOUNDS, "byte_offset", wane_buffer_write(buffer, UINT64_MAX, data, 2));
    expect_error(&f->log, WANE_ERROR_BOUNDS, "byte_offset", wane_buffer_write(buffer, 2, data, UINT64_MAX));
}

static void test_buffer_transfers(void **state)
{
    fixture *f = *state;
    wane_device *devices[TEST_DEVICES];
    uint32_t count = test_devices(f->context, devices);
    for (uint32_t i = 0; i < count; i++) {
        wane_buffer *buffer = NULL;
        assert_int_equal(wane_buffer_create(devices[i], 61, &buffer), WANE_OK);
        check_transfers(f, buffer, 61);
        wane_buffer_destroy(buffer);
        char memory[80];
        memset(memory, 'm', sizeof memory);
        assert_int_equal(wane_buffer_wrap_host(devices[i], memory + 1, 61, &buffer), WANE_OK);
        check_transfers(f, buffer, 61);
        wane_buffer_destroy(buffer);
        assert_true(memory[0] == 'm' && memory[62] == 'm');
        assert_int_equal(wane_buffer_create(devices[i], 0, &buffer), WANE_OK);
        assert_int_equal(wane_buffer_bytes(buffer), 0);
        wane_buffer_destroy(buffer);
    }
}

// ---- executables and recorders ----

static wane_executable *small_executable(fixture *f, wane_device *device)
{
    test_problem p;
    test_problem_begin(&p, f->context, WANE_LOSS_CROSS_ENTROPY, 3, 5);
    test_problem_add_inputs(&p, false);
    test_problem_add(&p, WANE_ROLE_LOSS);
    return test_executable(device, &p, NULL);
}

static void test_executables(void **state)
{
    fixture *f = *state;
    wane_executable *executable = (wane_executable *)1;
    assert_int_equal(wane_executable_create(NULL, &executable), WANE_ERROR_NULL_ARGUMENT);
    assert_null(executable);
    test_problem p;
    test_problem_begin(&p, f->context, WANE_LOSS_COMP_SUM, 3, 5);
    test_problem_add_inputs(&p, false);
    test_problem_add(&p, WANE_ROLE_GRAD_LOGITS);
    wane_plan *plan = NULL;
    assert_int_equal(wane_plan_create(f->cpu, &p.desc, &plan), WANE_OK);
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "out", wane_executable_create(plan, NULL));
    // one plan makes many, and may go before them
    wane_executable *many[3];
    for (int i = 0; i < 3; i++) assert_int_equal(wane_executable_create(plan, &many[i]), WANE_OK);
    wane_plan_destroy(plan);
    test_problem_memory(&p, 1 << 16, TEST_PLAIN);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wane_run_cpu(many[i], &p.args), WANE_OK);
        wane_executable_destroy(many[i]);
    }
    test_problem_end(&p);
    wane_executable_destroy(NULL);
}

static void test_recorders(void **state)
{
    fixture *f = *state;
    wane_executable *list[3] = {small_executable(f, f->cpu), small_executable(f, f->cpu), NULL};
    wane_executable *other = small_executable(f, test_device(f->context, "cpu:generic"));
    wane_recorder *recorder = (wane_recorder *)1;
    assert_int_equal(wane_recorder_create(NULL, 1, 0, &recorder), WANE_ERROR_NULL_ARGUMENT);
    assert_null(recorder);
    assert_int_equal(wane_recorder_create(list, 0, 0, &recorder), WANE_ERROR_NULL_ARGUMENT);
    assert_int_equal(wane_recorder_create(list + 2, 1, 0, &recorder), WANE_ERROR_NULL_ARGUMENT);
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "executables", wane_recorder_create(list, 3, 0, &recorder));
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "out", wane_recorder_create(list, 1, 0, NULL));
    list[2] = other;
    recorder = (wane_recorder *)1;
    expect_error(&f->log, WANE_ERROR_MISMATCH, "executables", wane_recorder_create(list, 3, 0, &recorder));
    assert_null(recorder);
    assert_int_equal(wane_recorder_create(list, 2, 0, &recorder), WANE_OK);
    assert_int_equal(wane_recorder_reset(recorder), WANE_OK);
    wane_recorder_destroy(recorder);
    assert_int_equal(wane_recorder_reset(NULL), WANE_ERROR_NULL_ARGUMENT);
    wane_recorder_destroy(NULL);
    for (int i = 0; i < 3; i++) wane_executable_destroy(list[i]);
}

// Objects in the wrong order: each order of the objects works, and a context that is destroyed too early says so and
// stays until the last of them goes.
static void test_wrong_order(void **state)
{
    (void)state;
    for (int order = 0; order < 24; order++) {
        test_log log;
        test_memory memory;
        test_memory_begin(&memory);
        test_log_clear(&log);
        wane_context *context = test_context(&log, &memory, 2);
        wane_device *cpu = test_device(context, "cpu");
        test_problem p;
        test_problem_begin(&p, context, WANE_LOSS_CROSS_ENTROPY, 3, 5);
        test_problem_add_inputs(&p, false);
        test_problem_add(&p, WANE_ROLE_LOSS);
        wane_plan *plan = NULL;
        wane_executable *executable = NULL;
        wane_recorder *recorder = NULL;
        wane_buffer *buffer = NULL;
        assert_int_equal(wane_plan_create(cpu, &p.desc, &plan), WANE_OK);
        assert_int_equal(wane_executable_create(plan, &executable), WANE_OK);
        assert_int_equal(wane_recorder_create(&executable, 1, 0, &recorder), WANE_OK);
        assert_int_equal(wane_buffer_create(cpu, 64, &buffer), WANE_OK);
        test_problem_end(&p);
        assert_int_equal(wane_device_unwrap(cpu), WANE_ERROR_MISMATCH);
        wane_context_destroy(context);
        assert_int_equal(log.status, WANE_ERROR_IN_USE);
        assert_non_null(strstr(log.text, "4 objects"));
        assert_true(atomic_load(&memory.blocks) > 4);
        int left[4] = {0, 1, 2, 3}, choice = order;
        for (int i = 4; i > 0; i--) {
            int at = choice % i, what = left[at];
            choice /= i;
            left[at] = left[i - 1];
            if (what == 0) wane_plan_destroy(plan);
            else if (what == 1) wane_executable_destroy(executable);
            else if (what == 2) wane_recorder_destroy(recorder);
            else wane_buffer_destroy(buffer);
        }
        assert_int_equal(atomic_load(&memory.blocks), 0);
        assert_int_equal(atomic_load(&memory.wrong_frees), 0);
    }
    assert_int_equal(wane_device_unwrap(NULL), WANE_ERROR_NULL_ARGUMENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_defaults), cmocka_unit_test(test_create_refuses),
        cmocka_unit_test(test_create_struct_size), cmocka_unit_test(test_create_many),
        cmocka_unit_test(test_log_levels), cmocka_unit_test(test_log_debug), cmocka_unit_test(test_wrong_order),
        TEST(test_device_list), TEST(test_device_names), TEST(test_device_environment),
        cmocka_unit_test(test_backend_mask), TEST(test_device_info), TEST(test_buffer_create),
        TEST(test_buffer_transfers),
        TEST(test_executables), TEST(test_recorders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
