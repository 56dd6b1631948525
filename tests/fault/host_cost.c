// host_cost.c - what wane costs a host besides the work itself: a context, a plan, an executable, recording. Figures depend
// on the machine and are printed, not judged; CONTRIBUTING.md says what a claim needs.
//
//     host_cost [rounds]      medians over so many rounds (default 200)
#define _POSIX_C_SOURCE 200809L
#include "vulkan_host.h"

#include <time.h>

static test_memory memory;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *what, double *samples, int count, const char *target)
{
    qsort(samples, (size_t)count, sizeof *samples, by_size);
    printf("%-44s median %9.2f us, 10 %% %9.2f, 90 %% %9.2f%s%s\n", what, samples[count / 2], samples[count / 10],
           samples[count - 1 - count / 10], target[0] ? "; target " : "", target);
}

static void make_problem(test_problem *p, wane_context *context)
{
    test_problem_begin(p, context, WANE_LOSS_CROSS_ENTROPY, 64, 1000);
    test_problem_add_inputs(p, true);
    test_problem_add(p, WANE_ROLE_LOSS);
    test_problem_add(p, WANE_ROLE_ROW_LOSS);
    test_problem_add(p, WANE_ROLE_GRAD_LOGITS);
    test_problem_memory(p, 4, TEST_PLAIN);
    memset(&p->args.workspace, 0, sizeof p->args.workspace);
}

static void cost_of_cpu(int rounds, double *samples)
{
    for (int i = 0; i < rounds; i++) {
        double begin = now_us();
        wane_context *context = NULL;
        wane_device *device = NULL;
        assert_int_equal(wane_context_create(NULL, &context), WANE_OK);
        assert_int_equal(wane_device_find(context, "cpu", &device), WANE_OK);
        samples[i] = now_us() - begin;
        wane_context_destroy(context);
    }
    report("cpu: a context, and its device found", samples, rounds, "5000");
}

static void cost_of_plans(int rounds, double *samples, wane_device *device, const test_problem *p, const char *name)
{
    char what[64];
    wane_plan *plan = NULL;
    for (int i = 0; i < rounds; i++) {
        double begin = now_us();
        assert_int_equal(wane_plan_create(device, &p->desc, &plan), WANE_OK);
        samples[i] = now_us() - begin;
        wane_plan_destroy(plan);
    }
    snprintf(what, sizeof what, "%s: a plan", name);
    report(what, samples, rounds, "50");
    wane_plan_info info = {.struct_size = sizeof info};
    assert_int_equal(wane_plan_create(device, &p->desc, &plan), WANE_OK);
    wane_plan_get_info(plan, &info);
    for (int i = 0; i < rounds; i++) {
        wane_executable *executable = NULL;
        double begin = now_us();
        assert_int_equal(wane_executable_create(plan, &executable), WANE_OK);
        samples[i] = now_us() - begin;
        wane_executable_destroy(executable);
    }
    snprintf(what, sizeof what, "%s: an executable whose kernels are known", name);
    report(what, samples, rounds, "");
    wane_plan_destroy(plan);
}

// Without the shim: the driver's own functions.
static void cost_of_vulkan(int rounds, double *samples)
{
    host h;
    host_make(&h, NULL);
    wane_context_desc context_desc = {.struct_size = sizeof context_desc, .backends = WANE_BACKEND_VULKAN,
                                      .allocator = test_allocator(&memory)};
    wane_context *context = NULL;
    assert_int_equal(wane_context_create(&context_desc, &context), WANE_OK);
    wane_vulkan_device_desc desc = host_desc(&h, false);
    desc.get_instance_proc_addr = shim.real;
    wane_device *device = NULL;
    assert_int_equal(wane_device_wrap_vulkan(context, &desc, &device), WANE_OK);
    test_problem p;
    make_problem(&p, context);
    wane_plan_info info;
    wane_executable *executable = test_executable(device, &p, &info);
    cost_of_plans(rounds, samples, device, &p, "vulkan");
    wane_recorder *recorder = NULL;
    assert_int_equal(wane_recorder_create(&executable, 1, 0, &recorder), WANE_OK);
    host_commands c = host_commands_make(&h);
    bound b;
    host_bind(&b, &h, &p, info.workspace_bytes, 8);
    long calls = atomic_load(&memory.calls);
    for (int i = 0; i < rounds; i++) {
        host_begin(&h, &c);
        double begin = now_us();
        assert_int_equal(wane_record_vulkan(executable, recorder, &b.args, c.buffer), WANE_OK);
        samples[i] = now_us() - begin;
        if (i % 16 == 0) {
            host_submit(&h, &c);
            host_wait(&h, &c);
        } else {
            MUST(CALL(EndCommandBuffer)(c.buffer));
        }
#ifndef NDEBUG
        if (i % 16) {                       // what was never submitted counts as not done in a debug build
            wane_recorder_destroy(recorder);
            assert_int_equal(wane_recorder_create(&executable, 1, 0, &recorder), WANE_OK);
            continue;
        }
#endif
        assert_int_equal(wane_recorder_reset(recorder), WANE_OK);
    }
    char what[64];
    snprintf(what, sizeof what, "vulkan: recording, %u dispatches", info.dispatch_count);
    report(what, samples, rounds, "20");
#ifdef NDEBUG
    printf("heap calls of wane's while recording: %ld\n", atomic_load(&memory.calls) - calls);
#else
    (void)calls;
#endif
    host_commands_free(&h, &c);
    host_buffer_free(&h, &b.memory);
    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    test_problem_end(&p);
    wane_context_destroy(context);
    host_free(&h);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 200;
    if (rounds < 10) rounds = 10;
    double *samples = calloc((size_t)rounds, sizeof *samples);
    test_memory_begin(&memory);
    cost_of_cpu(rounds, samples);
    wane_context *context = test_context(NULL, NULL, 0);
    test_problem p;
    make_problem(&p, context);
    cost_of_plans(rounds, samples, test_device(context, "cpu"), &p, "cpu");
    test_problem_end(&p);
    wane_context_destroy(context);
    if (have_vulkan()) cost_of_vulkan(rounds, samples);
    else puts("no Vulkan device: recording is not measured");
    free(samples);
    return 0;
}
