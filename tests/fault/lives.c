// lives.c - many lives one after another leave nothing behind; and a process that forks.
//
//     lives [full]
#define _DEFAULT_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static bool full;
static test_log messages;

static void make_problem(test_problem *p, wane_context *context, int64_t rows, int64_t cols)
{
    test_problem_begin(p, context, WANE_LOSS_CROSS_ENTROPY, rows, cols);
    test_problem_add_inputs(p, false);
    test_problem_add(p, WANE_ROLE_LOSS);
    test_problem_add(p, WANE_ROLE_GRAD_LOGITS);
    test_problem_memory(p, 4, TEST_PLAIN);
    memset(&p->args.workspace, 0, sizeof p->args.workspace);
}

// ---- lives --------------------------------------------------------------------------------------------------------

// Pages of this process in memory, 0 where that is not known or means nothing.
static long resident(void)
{
    long pages = 0, all = 0;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%ld %ld", &all, &pages) != 2) pages = 0;
    if (file) fclose(file);
#endif
    (void)all;
    return pages;
}

static void live_once(const char *name, test_problem *p)
{
    test_memory memory;
    test_memory_begin(&memory);
    wane_context *context = test_context(&messages, &memory, 2);
    wane_device *device = test_device(context, name);
    wane_executable *executable = test_executable(device, p, NULL);
    wane_recorder *recorder = NULL;
    wane_buffer *buffer = NULL;
    assert_int_equal(wane_recorder_create(&executable, 1, 0, &recorder), WANE_OK);
    assert_int_equal(wane_buffer_create(device, 4096, &buffer), WANE_OK);
    assert_int_equal(wane_run(executable, recorder, &p->args), WANE_OK);
    wane_buffer_destroy(buffer);
    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    wane_context_destroy(context);
    assert_int_equal(atomic_load(&memory.blocks), 0);
}

// Contexts, devices, plans, executables and recorders: no block of ours is left, and the process does not grow by more
// than a page in a hundred lives. GPUs' drivers keep things of their own: their growth is not ours to judge.
static void test_lives(void **state)
{
    (void)state;
    wane_context *context = test_context(&messages, NULL, 1);
    wane_device *devices[TEST_DEVICES];
    test_problem p;
    make_problem(&p, context, 3, 40);
    char names[TEST_DEVICES][32];
    uint32_t count = test_devices(context, devices);
    for (uint32_t i = 0; i < count; i++) {
        wane_device_info info = {.struct_size = sizeof info};
        assert_int_equal(wane_device_get_info(devices[i], &info), WANE_OK);
        snprintf(names[i], sizeof names[i], "%s", info.id);
    }
    wane_context_destroy(context);
    for (uint32_t i = 0; i < count; i++) {
        long lives = i ? (full ? 300 : 8) : (full ? 10000 : 400), before = 0;
        for (long k = 0; k < lives; k++) {
            if (k == lives / 2) before = resident();
            live_once(names[i], &p);
        }
        long grown = resident() - before;
        printf("    %s: %ld lives, %ld pages more in the second half\n", names[i], lives, grown);
        if (i == 0) assert_true(grown <= 1 + lives / 200);
    }
    test_problem_end(&p);
}

// Runs on the same objects.
static void test_runs(void **state)
{
    (void)state;
    test_memory memory;
    test_memory_begin(&memory);
    wane_context *context = test_context(&messages, &memory, 2);
    test_problem p;
    make_problem(&p, context, 2, 9);
    wane_executable *executable = test_executable(test_device(context, "cpu"), &p, NULL);
    wane_recorder *recorder = NULL;
    assert_int_equal(wane_recorder_create(&executable, 1, 0, &recorder), WANE_OK);
    long blocks = 0, before = 0;
    for (long i = 0; i < (full ? 100000 : 2000); i++) {
        assert_int_equal(wane_run(executable, i % 2 ? recorder : NULL, &p.args), WANE_OK);
        if (i == 100) {
            blocks = atomic_load(&memory.blocks);
            before = resident();
        }
    }
    assert_int_equal(atomic_load(&memory.blocks), blocks);
    // a thread that first gets work after run 100 touches its stack then; 2000 runs that leak come to more
    assert_true(resident() - before <= 32);
    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    test_problem_end(&p);
    wane_context_destroy(context);
    assert_int_equal(atomic_load(&memory.blocks), 0);
}

// ---- fork ---------------------------------------------------------------------------------------------------------

static uint64_t run_in(wane_context *context, wane_status *status)
{
    test_problem p;
    make_problem(&p, context, 64, 700);
    wane_executable *executable = test_executable(test_device(context, "cpu"), &p, NULL);
    *status = wane_run(executable, NULL, &p.args);
    uint64_t hash = test_problem_hash(&p);
    wane_executable_destroy(executable);
    test_problem_end(&p);
    return hash;
}

// A context whose threads are at work is inherited by a child, which leaves it alone and makes one of its own; the parent
// goes on with its own.
static void test_fork(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__)
    skip();                                 // it lets no child of a process with threads start any
#endif
    wane_context *context = test_context(&messages, NULL, 4);
    wane_status status;
    uint64_t want = run_in(context, &status);
    assert_int_equal(status, WANE_OK);
    for (int i = 0; i < (full ? 100 : 10); i++) {
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            alarm(60);                      // a hang is a failure
            wane_context *own = test_context(&messages, NULL, 4);
            uint64_t got = run_in(own, &status);
            wane_context_destroy(own);
            _exit(status == WANE_OK && got == want ? 0 : 1);
        }
        assert_true(run_in(context, &status) == want);
        int answer = 0;
        assert_int_equal(waitpid(child, &answer, 0), child);
        if (!WIFEXITED(answer) || WEXITSTATUS(answer)) fail_msg("child %d ended with 0x%x", i, answer);
    }
    wane_context_destroy(context);
}

int main(int argc, char **argv)
{
    full = argc > 1 && strcmp(argv[1], "full") == 0;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fork), cmocka_unit_test(test_runs), cmocka_unit_test(test_lives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
