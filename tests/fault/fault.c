// fault.c - lets the i-th allocation of a scenario fail, for every i: once, and from then on. Each time the scenario
// must end in success or WANE_ERROR_HOST_MEMORY, and no block may be left.
//
//     fault [cpu|vulkan|opencl [full]]      exit code 77 if there is no such device
#include "fault.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const char *device_name = "cpu";
static bool full;

static void prepare(fault_run *f, int level)
{
    memset(f, 0, sizeof *f);
    test_memory_begin(&f->memory);
    f->device_name = device_name;
    // the problem needs a context of its own where the scenario makes one
    wane_context *context = test_context(&f->log, level ? &f->memory : NULL, 3);
    test_problem_begin(&f->p, context, WANE_LOSS_CROSS_ENTROPY, 40, 700);
    test_problem_add_inputs(&f->p, true);
    test_problem_add_outputs(&f->p);
    test_problem_memory(&f->p, 1 << 16, TEST_PLAIN);
    if (level == 0) {
        wane_context_destroy(context);
        return;
    }
    f->context = context;
    f->device = test_device(context, device_name);
    if (level >= 2) assert_int_equal(wane_plan_create(f->device, &f->p.desc, &f->plan), WANE_OK);
    if (level >= 3) assert_int_equal(wane_executable_create(f->plan, &f->executable), WANE_OK);
    if (level >= 4) assert_int_equal(wane_recorder_create(&f->executable, 1, 0, &f->recorder), WANE_OK);
}

static void clean_up(fault_run *f)
{
    test_memory_arm(&f->memory, -1, -1);
    wane_recorder_destroy(f->recorder);
    wane_executable_destroy(f->executable);
    wane_plan_destroy(f->plan);
    wane_context_destroy(f->context);
    test_problem_end(&f->p);
}

// Returns whether an allocation failed on the way.
static bool try_once(fault_run *f, const fault_scenario *s, long first, long end)
{
    long before = atomic_load(&f->memory.blocks);
    char what[96];
    snprintf(what, sizeof what, "%s on %s, calls %ld to %ld fail", s->name, device_name, first, end);
    test_log_clear(&f->log);
    test_memory_arm(&f->memory, first, end);
    wane_status status = s->run(f);
    long calls = atomic_load(&f->memory.calls);
    bool hit = calls > first || status != WANE_OK;
    test_memory_arm(&f->memory, -1, -1);
    if (status != WANE_OK && status != WANE_ERROR_HOST_MEMORY)
        fail_msg("%s: %s (%s)", what, wane_status_text(status), f->log.text);
    // a context that failed while it was made has no callback yet; counting devices has no status
    if (status && s->prepared && (f->log.count == 0 || !f->log.text[0])) fail_msg("%s: no message", what);
    long blocks = atomic_load(&f->memory.blocks);
    // what is kept for later calls (pools, pipelines, staging) stays until its owner goes
    if (!s->prepared && blocks != before) fail_msg("%s: %ld blocks left", what, blocks - before);
    if (atomic_load(&f->memory.wrong_frees)) fail_msg("%s: a block was freed with another size", what);
    return hit;
}

enum { ENOUGH = 100000 };

// Objects afresh for every try: also what is made at the first use, and then kept, fails.
static bool try_afresh(const fault_scenario *s, long first, long end)
{
    fault_run *f = malloc(sizeof *f);
    assert_non_null(f);
    prepare(f, s->prepared);
    bool hit = try_once(f, s, first, end);
    // and once more without any failure: the objects are as good as before
    if (s->prepared) assert_int_equal(s->run(f), WANE_OK);
    clean_up(f);
    if (atomic_load(&f->memory.blocks))
        fail_msg("%s on %s, call %ld: %ld blocks left at the end", s->name, device_name, first,
                 atomic_load(&f->memory.blocks));
    free(f);
    return hit;
}

// The same objects for all tries, used once before: then no try may leave a block.
static bool try_again(fault_run *f, const fault_scenario *s, long first, long end)
{
    long before = atomic_load(&f->memory.blocks);
    bool hit = try_once(f, s, first, end);
    test_memory_arm(&f->memory, -1, -1);
    assert_int_equal(s->run(f), WANE_OK);
    if (atomic_load(&f->memory.blocks) != before)
        fail_msg("%s on %s, call %ld: %ld blocks left", s->name, device_name, first,
                 atomic_load(&f->memory.blocks) - before);
    return hit;
}

static void test_scenario(void **state)
{
    const fault_scenario *s = *state;
    // a driver takes long to open: on a GPU the devices serve again, and the longest scenario is sampled
    bool cpu = strcmp(device_name, "cpu") == 0, again = !cpu && s->keeps;
    long step = !cpu && !full && s->is_long ? 13 : 1, tries = 0;
    fault_run *f = calloc(1, sizeof *f);
    assert_non_null(f);
    if (again) {
        prepare(f, s->prepared);
        test_memory_arm(&f->memory, -1, -1);
        assert_int_equal(s->run(f), WANE_OK);
    }
    for (int forever = 0; forever < 2; forever++)
        for (long i = 0;; i += step) {
            long end = forever ? ENOUGH : i + 1;
            tries++;
            if (!(again ? try_again(f, s, i, end) : try_afresh(s, i, end))) break;
        }
    if (again) {
        clean_up(f);
        assert_int_equal(atomic_load(&f->memory.blocks), 0);
    }
    free(f);
    printf("    %s: %ld runs\n", s->name, tries);
}

// ---- threads that do not start ----

#ifdef FAULT_WRAP_THREADS
static atomic_int threads_left = 1 << 30;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *argument)
{
    if (atomic_fetch_sub(&threads_left, 1) <= 0) return 11;     // EAGAIN
    return __real_pthread_create(thread, attr, body, argument);
}

// The work is done by those that started, and by the caller, with the same bits; nothing is left behind.
static void test_threads(void **state)
{
    (void)state;
    uint64_t want = 0;
    for (int most = 4; most >= 0; most--) {
        fault_run *f = calloc(1, sizeof *f);
        prepare(f, 3);
        atomic_store(&threads_left, most);
        assert_int_equal(wane_run(f->executable, NULL, &f->p.args), WANE_OK);
        assert_int_equal(wane_run(f->executable, NULL, &f->p.args), WANE_OK);
        atomic_store(&threads_left, 1 << 30);
        uint64_t hash = test_problem_hash(&f->p);
        assert_true(!want || hash == want);
        want = hash;
        clean_up(f);
        assert_int_equal(atomic_load(&f->memory.blocks), 0);
        free(f);
    }
}
#endif

int main(int argc, char **argv)
{
    if (argc > 1) device_name = argv[1];
    full = argc > 2 && strcmp(argv[2], "full") == 0;
    wane_context *context = NULL;
    wane_device *device = NULL;
    if (wane_context_create(NULL, &context) != WANE_OK) return 1;
    wane_status status = wane_device_find(context, device_name, &device);
    wane_context_destroy(context);
    if (status) {
        printf("no usable device \"%s\": %s\n", device_name, wane_status_text(status));
        return 77;
    }
    struct CMUnitTest tests[32];
    size_t count = 0;
    memset(tests, 0, sizeof tests);
    for (; fault_scenarios[count].name; count++) {
        tests[count].name = fault_scenarios[count].name;
        tests[count].test_func = test_scenario;
        tests[count].initial_state = (void *)&fault_scenarios[count];
    }
#ifdef FAULT_WRAP_THREADS
    if (strcmp(device_name, "cpu") == 0) {
        tests[count].name = "threads that do not start";
        tests[count++].test_func = test_threads;
    }
#endif
    return _cmocka_run_group_tests("fault", tests, count, NULL, NULL);
}
