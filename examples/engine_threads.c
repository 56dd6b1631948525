// engine_threads.c - wane on the CPU inside an engine with threads and memory of its own. The engine's job system runs
// wane's tasks, its allocator gives wane's memory; a step makes logits, calls wane, and takes the step, all in the
// engine's arrays. In a step wane starts no thread, allocates nothing and copies no tensor.
#include "engine_check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <wane/wane.h>

static void must(long code, const char *what)
{
    if (code == 0) return;
    fprintf(stderr, "%s: %ld\n", what, code);
    exit(1);
}
#define MUST(call) must((long)(call), #call)

static void hear(void *user, const wane_log_record *record)
{
    (void)user;
    fprintf(stderr, "wane: %s: %s\n", record->operand ? record->operand : "-", record->text);
}

// ---- the engine: yours has all of this already ----------------------------------------------------------------------

enum { WORKERS = 3 };

// A job is a count of tasks; whoever is free takes the next one, the caller too.
typedef struct job_system {
    pthread_t threads[WORKERS];
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    void (*task)(void *argument, uint32_t index);
    void *argument;
    uint32_t count, next, left;            // left: not finished yet
    int stop;
    unsigned jobs;                         // so far
} job_system;

// With the lock held.
static void take_tasks(job_system *s)
{
    while (s->next < s->count) {
        uint32_t index = s->next++;
        void (*task)(void *, uint32_t) = s->task;
        void *argument = s->argument;
        pthread_mutex_unlock(&s->lock);
        task(argument, index);
        pthread_mutex_lock(&s->lock);
        if (--s->left == 0) pthread_cond_signal(&s->idle);
    }
}

static void *worker(void *data)
{
    job_system *s = data;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        take_tasks(s);
        if (!s->stop) pthread_cond_wait(&s->wake, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

// What wane calls: runs all tasks and returns when the last one is done.
static void run_job(void *user, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument)
{
    job_system *s = user;
    pthread_mutex_lock(&s->lock);
    s->task = task;
    s->argument = argument;
    s->next = 0;
    s->count = s->left = count;
    s->jobs++;
    pthread_cond_broadcast(&s->wake);
    take_tasks(s);
    while (s->left) pthread_cond_wait(&s->idle, &s->lock);
    s->count = 0;
    pthread_mutex_unlock(&s->lock);
}

static atomic_long allocations, blocks;

static void *allocate(void *user, size_t bytes, size_t align)
{
    (void)user;
    atomic_fetch_add(&allocations, 1);
    atomic_fetch_add(&blocks, 1);
    return aligned_alloc(align, bytes);    // bytes is a multiple of align
}

static void release(void *user, void *memory, size_t bytes, size_t align)
{
    (void)user, (void)bytes, (void)align;
    atomic_fetch_sub(&blocks, 1);
    free(memory);
}

// ---- wane in it ---------------------------------------------------------------------------------------------

#define OPERAND(r, type, ...) {.struct_size = sizeof(wane_operand), .role = r, \
    .tensor = {.struct_size = sizeof(wane_tensor), .dtype = type, __VA_ARGS__}}
#define MEMORY(r, memory, size) {.struct_size = sizeof(wane_binding), .role = r, .host = memory, .bytes = size}

int main(void)
{
    static job_system jobs = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER,
                              .idle = PTHREAD_COND_INITIALIZER};
    for (int i = 0; i < WORKERS; i++) MUST(pthread_create(&jobs.threads[i], NULL, worker, &jobs));
    wane_context *context;
    wane_device *cpu;
    wane_plan *plan;
    wane_executable *executable;
    MUST(wane_context_create(&(wane_context_desc){.struct_size = sizeof(wane_context_desc), .log = hear,
        .backends = WANE_BACKEND_CPU, .parallel = {&jobs, run_job, WORKERS + 1},
        .allocator = {NULL, allocate, release}}, &context));
    MUST(wane_device_find(context, "cpu", &cpu));
    const wane_operand operands[] = {
        OPERAND(WANE_ROLE_LOGITS, WANE_DTYPE_F32, .rank = 2, .extents = {ROWS, COLS}),
        OPERAND(WANE_ROLE_TARGET, WANE_DTYPE_I32, .rank = 1, .extents = {ROWS}),
        OPERAND(WANE_ROLE_LOSS, WANE_DTYPE_F32, .rank = 0),
        OPERAND(WANE_ROLE_GRAD_LOGITS, WANE_DTYPE_F32, .rank = 2, .extents = {ROWS, COLS})};
    MUST(wane_plan_create(cpu, &(wane_loss_desc){.struct_size = sizeof(wane_loss_desc),
        .loss = WANE_LOSS_CROSS_ENTROPY, .operands = operands, .operand_count = 4}, &plan));
    wane_plan_info info = {.struct_size = sizeof info};
    MUST(wane_plan_get_info(plan, &info));
    MUST(wane_executable_create(plan, &executable));

    static float w[CELLS], z[CELLS], grad[CELLS], losses[STEPS];
    static int32_t target[ROWS];
    engine_start(w, target);
    void *workspace = aligned_alloc(64, (info.workspace_bytes + 63) / 64 * 64);
    wane_binding bindings[] = {MEMORY(WANE_ROLE_LOGITS, z, sizeof z), MEMORY(WANE_ROLE_TARGET, target, sizeof target),
                               MEMORY(WANE_ROLE_LOSS, losses, sizeof losses),
                               MEMORY(WANE_ROLE_GRAD_LOGITS, grad, sizeof grad)};
    const wane_args args = {.struct_size = sizeof args, .bindings = bindings, .binding_count = 4,
                            .workspace = MEMORY(WANE_ROLE_NONE, workspace, info.workspace_bytes)};
    long before = atomic_load(&allocations);
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < CELLS; i++) z[i] = 2 * w[i];
        bindings[2].byte_offset = 4 * (uint64_t)step;      // each step's loss has a place of its own
        MUST(wane_run_cpu(executable, &args));
        for (int i = 0; i < CELLS; i++) w[i] -= RATE * 2 * grad[i];
    }
    int code = engine_check("CPU engine", w, losses);
    if (atomic_load(&allocations) != before || jobs.jobs == 0) {
        printf("%ld allocations in %d steps, %u jobs\n", atomic_load(&allocations) - before, STEPS, jobs.jobs);
        code = 1;
    }

    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    wane_context_destroy(context);
    free(workspace);
    pthread_mutex_lock(&jobs.lock);
    jobs.stop = 1;
    pthread_cond_broadcast(&jobs.wake);
    pthread_mutex_unlock(&jobs.lock);
    for (int i = 0; i < WORKERS; i++) pthread_join(jobs.threads[i], NULL);
    return code ? code : atomic_load(&blocks) != 0;
}
