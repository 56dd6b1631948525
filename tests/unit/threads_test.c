// threads_test.c - many threads at once, the host's threads instead of ours, and equal bits whatever runs where.
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 6, RUNS = 8, ROWS = 37, COLS = 1500 };

static void begin_problem(test_problem *p, wane_context *context, int64_t rows, int64_t cols)
{
    test_problem_begin(p, context, WANE_LOSS_CROSS_ENTROPY, rows, cols);
    test_problem_param(p, WANE_PARAM_LABEL_SMOOTHING, 0.05);
    p->desc.statistics_mask = p->mask = 127;
    test_problem_add_inputs(p, true);
    test_problem_add_outputs(p);
}

static void start_all(pthread_t *threads, int count, void *(*body)(void *), void *argument)
{
    for (int i = 0; i < count; i++) assert_int_equal(pthread_create(&threads[i], NULL, body, argument), 0);
}

// Threads have no cmocka: they count what went wrong.
static void join_all(pthread_t *threads, int count, atomic_int *wrong)
{
    for (int i = 0; i < count; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(wrong), 0);
}

// ---- one executable, many threads ----

typedef struct sharing {
    wane_context *context;
    wane_executable *executable;
    wane_plan_info info;
    bool cpu;
    uint64_t want;
    atomic_int wrong;
} sharing;

static void *run_shared(void *argument)
{
    sharing *s = argument;
    test_problem p;
    begin_problem(&p, s->context, ROWS, COLS);
    test_problem_memory(&p, s->info.workspace_bytes, TEST_PLAIN);
    wane_recorder *recorder = NULL;
    if (wane_recorder_create(&s->executable, 1, 0, &recorder) != WANE_OK) atomic_fetch_add(&s->wrong, 1);
    for (int i = 0; i < RUNS && recorder; i++) {
        test_problem_fill(&p);
        wane_status status =
            s->cpu && i % 2 ? wane_run_cpu(s->executable, &p.args) : wane_run(s->executable, recorder, &p.args);
        if (status != WANE_OK || test_problem_hash(&p) != s->want) atomic_fetch_add(&s->wrong, 1);
    }
    wane_recorder_destroy(recorder);
    test_problem_end(&p);
    return NULL;
}

static void test_shared_executable(void **state)
{
    (void)state;
    test_log log;
    test_memory memory;
    test_memory_begin(&memory);
    wane_context *context = test_context(&log, &memory, 3);
    wane_device *devices[TEST_DEVICES];
    uint32_t count = test_devices(context, devices);
    for (uint32_t d = 0; d < count; d++) {
        sharing s = {.context = context, .cpu = d == 0};
        test_problem p;
        begin_problem(&p, context, ROWS, COLS);
        s.executable = test_executable(devices[d], &p, &s.info);
        test_problem_memory(&p, s.info.workspace_bytes, TEST_PLAIN);
        // the pool's first use, by all at once
        if (d > 0) assert_int_equal(wane_run(s.executable, NULL, &p.args), WANE_OK);
        else {
            wane_context *other = test_context(NULL, NULL, 1);
            wane_executable *alone = test_executable(test_device(other, "cpu"), &p, NULL);
            assert_int_equal(wane_run_cpu(alone, &p.args), WANE_OK);
            wane_executable_destroy(alone);
            wane_context_destroy(other);
        }
        s.want = test_problem_hash(&p);
        pthread_t threads[THREADS];
        start_all(threads, THREADS, run_shared, &s);
        join_all(threads, THREADS, &s.wrong);
        wane_executable_destroy(s.executable);
        test_problem_end(&p);
    }
    wane_context_destroy(context);
    assert_int_equal(atomic_load(&memory.blocks), 0);
}

// ---- one context, many threads: discovery, plans, executables, buffers ----

static void *use_context(void *argument)
{
    sharing *s = argument;
    for (int i = 0; i < RUNS; i++) {
        wane_device *device = NULL;
        if (wane_device_find(s->context, i % 2 ? "cpu" : "cpu:generic", &device) != WANE_OK) {
            atomic_fetch_add(&s->wrong, 1);
            break;
        }
        wane_device_info info = {.struct_size = sizeof info};
        if (wane_device_get_info(device, &info) != WANE_OK) atomic_fetch_add(&s->wrong, 1);
        if (wane_device_at(s->context, wane_device_count(s->context) - 1) == NULL) atomic_fetch_add(&s->wrong, 1);
        test_problem p;
        begin_problem(&p, s->context, 3 + i, 50);
        wane_plan *plan = NULL;
        wane_executable *executable = NULL;
        wane_buffer *buffer = NULL;
        wane_status status = wane_plan_create(device, &p.desc, &plan);
        if (status == WANE_OK) status = wane_executable_create(plan, &executable);
        wane_plan_destroy(plan);
        if (status == WANE_OK) status = wane_buffer_create(device, 1000, &buffer);
        test_problem_memory(&p, 0, TEST_PLAIN);
        memset(&p.args.workspace, 0, sizeof p.args.workspace);
        if (status == WANE_OK) status = wane_run(executable, NULL, &p.args);
        if (status) atomic_fetch_add(&s->wrong, 1);
        wane_buffer_destroy(buffer);
        wane_executable_destroy(executable);
        test_problem_end(&p);
    }
    return NULL;
}

static void test_shared_context(void **state)
{
    (void)state;
    test_memory memory;
    test_memory_begin(&memory);
    for (int round = 0; round < 5; round++) {
        sharing s = {.context = test_context(NULL, &memory, 2)};
        pthread_t threads[THREADS];
        start_all(threads, THREADS, use_context, &s);
        join_all(threads, THREADS, &s.wrong);
        wane_context_destroy(s.context);
        assert_int_equal(atomic_load(&memory.blocks), 0);
    }
}

// ---- a context for each thread ----

static void *own_context(void *argument)
{
    atomic_int *wrong = argument;
    for (int i = 0; i < RUNS; i++) {
        wane_context *context = NULL;
        wane_context_desc desc = {.struct_size = sizeof desc, .thread_count = 2, .backends = WANE_BACKEND_CPU};
        if (wane_context_create(&desc, &context) != WANE_OK || wane_device_count(context) != 1)
            atomic_fetch_add(wrong, 1);
        sharing s = {.context = context};
        use_context(&s);
        atomic_fetch_add(wrong, atomic_load(&s.wrong));
        wane_context_destroy(context);
    }
    return NULL;
}

static void test_own_contexts(void **state)
{
    (void)state;
    atomic_int wrong = 0;
    pthread_t threads[THREADS];
    start_all(threads, THREADS, own_context, &wrong);
    join_all(threads, THREADS, &wrong);
}

// ---- the same bits on any number of threads, ours or the host's ----

typedef struct host_threads {
    int order;                              // 0 forwards, 1 backwards, 2 on real threads
    atomic_int calls, running, nested;
} host_threads;

typedef struct host_job {
    void (*task)(void *argument, uint32_t index);
    void *argument;
    uint32_t count, step, first;
} host_job;

static void *host_body(void *argument)
{
    host_job *job = argument;
    for (uint32_t i = job->first; i < job->count; i += job->step) job->task(job->argument, i);
    return NULL;
}

static void host_run(void *user, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument)
{
    host_threads *host = user;
    atomic_fetch_add(&host->calls, 1);
    if (atomic_fetch_add(&host->running, 1)) atomic_fetch_add(&host->nested, 1);
    if (host->order == 2) {
        pthread_t threads[3];
        host_job jobs[3];
        for (uint32_t i = 0; i < 3; i++) {
            jobs[i] = (host_job){task, argument, count, 3, i};
            pthread_create(&threads[i], NULL, host_body, &jobs[i]);
        }
        for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    } else {
        for (uint32_t i = 0; i < count; i++) task(argument, host->order ? count - 1 - i : i);
    }
    atomic_fetch_sub(&host->running, 1);
}

static uint64_t bits_of(const wane_context_desc *desc, int64_t rows, int64_t cols)
{
    wane_context *context = NULL;
    assert_int_equal(wane_context_create(desc, &context), WANE_OK);
    test_problem p;
    begin_problem(&p, context, rows, cols);
    wane_plan_info info;
    wane_executable *executable = test_executable(test_device(context, "cpu"), &p, &info);
    test_problem_memory(&p, info.workspace_bytes, TEST_PLAIN);
    uint64_t hash = 0;
    for (int i = 0; i < 2; i++) {
        test_problem_fill(&p);
        assert_int_equal(wane_run_cpu(executable, &p.args), WANE_OK);
        if (i) assert_true(test_problem_hash(&p) == hash);
        hash = test_problem_hash(&p);
    }
    wane_executable_destroy(executable);
    test_problem_end(&p);
    wane_context_destroy(context);
    return hash;
}

static void test_equal_bits(void **state)
{
    (void)state;
    static const int64_t shapes[][2] = {{1, 1}, {7, 300}, {300, 40}, {3, 70001}, {20000, 3}};
    for (int s = 0; s < 5; s++) {
        wane_context_desc desc = {.struct_size = sizeof desc, .thread_count = 1, .backends = WANE_BACKEND_CPU};
        uint64_t want = bits_of(&desc, shapes[s][0], shapes[s][1]);
        for (uint32_t threads = 2; threads <= 5; threads++) {
            desc.thread_count = threads;
            assert_true(bits_of(&desc, shapes[s][0], shapes[s][1]) == want);
        }
        for (int order = 0; order < 3; order++)
            for (uint32_t width = 1; width <= 7; width += 3) {
                host_threads host = {.order = order};
                desc.parallel = (wane_parallel){&host, host_run, width};
                assert_true(bits_of(&desc, shapes[s][0], shapes[s][1]) == want);
                assert_int_equal(atomic_load(&host.nested), 0);
                if (width > 1 && s == 4) assert_true(atomic_load(&host.calls) > 0);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_executable), cmocka_unit_test(test_shared_context),
        cmocka_unit_test(test_own_contexts), cmocka_unit_test(test_equal_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
