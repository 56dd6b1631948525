// threads.c - the CPU backend's pool: workers that sleep between jobs; the caller takes part.
//
// A plan is many passes of a few hundred microseconds, and waking a thread takes some 20 to 50: so both sides look for the
// other for about as long before they sleep. In between they give way, for the other may wait for this very processor.
// On 2 cores a fused call of 64 x 1000 takes 11 us (25 where it sleeps at once), of 512 x 1000 66 us (150); with both
// threads on one processor 21 and 137 us (25 and 150; where it looks without giving way 120 and 430).
#include "backend/cpu/threads.h"

#include <stdatomic.h>

enum { LOOKS = 2000, LOOKS_BEFORE_YIELD = 32 };

typedef struct worker {
    wane_pool *pool;
    wane_thread *thread;
    uint32_t index;
} worker;

struct wane_pool {
    wane_context *context;
    wane_mutex *lock, *user;               // state of the job; one job at a time
    wane_condition *wake, *idle;
    uint32_t worker_count, started;        // worker_count never changes: other threads read it without the lock
    _Atomic uint32_t pending;              // written under the lock, as are the next two; looked at without it
    _Atomic uint64_t generation;
    _Atomic bool stop;
    bool tried;
    worker *workers;
    void (*task)(void *argument, uint32_t index);
    void *argument;
    uint32_t count;
};

// Worker w of n takes tasks w + 1, w + 1 + n + 1, ...; the caller 0, n + 1, ... Which thread runs a task changes no bits.
static void take_tasks(wane_pool *pool, uint32_t first)
{
    for (uint32_t i = first; i < pool->count; i += pool->started + 1) pool->task(pool->argument, i);
}

static inline void pause_thread(int look)
{
    if (look % LOOKS_BEFORE_YIELD == LOOKS_BEFORE_YIELD - 1) {
        wane_thread_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void worker_body(void *argument)
{
    worker *self = argument;
    wane_pool *pool = self->pool;
    uint64_t seen = 0;
    for (;;) {
        for (int i = 0; i < LOOKS && !pool->stop && pool->generation == seen; i++) pause_thread(i);
        wane_mutex_lock(pool->lock);
        while (!pool->stop && pool->generation == seen) wane_condition_wait(pool->wake, pool->lock);
        bool stop = pool->stop;
        seen = pool->generation;
        wane_mutex_unlock(pool->lock);
        if (stop) return;
        take_tasks(pool, self->index + 1);
        wane_mutex_lock(pool->lock);
        if (--pool->pending == 0) wane_condition_wake_all(pool->idle);
        wane_mutex_unlock(pool->lock);
    }
}

static wane_mutex *new_mutex(wane_context *context)
{
    wane_mutex *mutex = wane_alloc(context, wane_mutex_bytes());
    if (mutex && wane_mutex_init(mutex)) return mutex;
    wane_free(context, mutex);
    return NULL;
}

static wane_condition *new_condition(wane_context *context)
{
    wane_condition *condition = wane_alloc(context, wane_condition_bytes());
    if (condition && wane_condition_init(condition)) return condition;
    wane_free(context, condition);
    return NULL;
}

wane_status wane_pool_create(wane_context *context, wane_pool **out)
{
    *out = NULL;
    wane_pool *pool = wane_alloc(context, sizeof *pool);
    if (!pool) return wane_no_memory(context);
    pool->context = context;
    uint32_t threads = context->desc.thread_count ? context->desc.thread_count : wane_cpu_count();
    threads = threads < 1 ? 1 : threads > 1024 ? 1024 : threads;
    pool->worker_count = context->desc.parallel.run ? 0 : threads - 1;
    pool->lock = new_mutex(context);
    pool->user = new_mutex(context);
    pool->wake = new_condition(context);
    pool->idle = new_condition(context);
    pool->workers = pool->worker_count ? wane_alloc(context, pool->worker_count * sizeof *pool->workers) : NULL;
    bool good = pool->lock && pool->user && pool->wake && pool->idle && (pool->workers || !pool->worker_count);
    for (uint32_t i = 0; good && i < pool->worker_count; i++) {
        pool->workers[i].pool = pool;
        pool->workers[i].index = i;
        pool->workers[i].thread = wane_alloc(context, wane_thread_bytes());
        good = pool->workers[i].thread != NULL;
    }
    if (!good) {
        wane_pool_destroy(pool);
        return wane_no_memory(context);
    }
    *out = pool;
    return WANE_OK;
}

void wane_pool_destroy(wane_pool *pool)
{
    if (!pool) return;
    wane_context *context = pool->context;
    if (pool->started) {
        wane_mutex_lock(pool->lock);
        pool->stop = true;
        wane_condition_wake_all(pool->wake);
        wane_mutex_unlock(pool->lock);
        for (uint32_t i = 0; i < pool->started; i++) wane_thread_join(pool->workers[i].thread);
    }
    for (uint32_t i = 0; pool->workers && i < pool->worker_count; i++) wane_free(context, pool->workers[i].thread);
    wane_free(context, pool->workers);
    if (pool->wake) wane_condition_fini(pool->wake);
    if (pool->idle) wane_condition_fini(pool->idle);
    if (pool->lock) wane_mutex_fini(pool->lock);
    if (pool->user) wane_mutex_fini(pool->user);
    wane_free(context, pool->wake);
    wane_free(context, pool->idle);
    wane_free(context, pool->lock);
    wane_free(context, pool->user);
    wane_free(context, pool);
}

uint32_t wane_pool_width(wane_pool *pool)
{
    const wane_parallel *parallel = &pool->context->desc.parallel;
    return parallel->run ? parallel->width : pool->worker_count + 1;
}

// Fewer threads than wanted is no error: the caller and those that started do the work.
static void start_workers(wane_pool *pool)
{
    pool->tried = true;
    while (pool->started < pool->worker_count
           && wane_thread_start(pool->workers[pool->started].thread, worker_body, &pool->workers[pool->started]))
        pool->started++;
    if (pool->started < pool->worker_count)
        wane_log(pool->context, WANE_LOG_WARNING, "only %u of %u worker threads could be started", pool->started,
                 pool->worker_count);
}

void wane_pool_run(wane_pool *pool, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument)
{
    const wane_parallel *parallel = &pool->context->desc.parallel;
    if (parallel->run && count > 1) {
        parallel->run(parallel->user, count, task, argument);
        return;
    }
    if (count <= 1 || !wane_mutex_try(pool->user)) {
        for (uint32_t i = 0; i < count; i++) task(argument, i);
        return;
    }
    wane_mutex_lock(pool->lock);
    if (!pool->tried) start_workers(pool);
    pool->task = task;
    pool->argument = argument;
    pool->count = count;
    pool->pending = pool->started;
    pool->generation++;
    wane_condition_wake_all(pool->wake);
    wane_mutex_unlock(pool->lock);
    take_tasks(pool, 0);
    for (int i = 0; i < LOOKS && pool->pending; i++) pause_thread(i);
    wane_mutex_lock(pool->lock);
    while (pool->pending) wane_condition_wait(pool->idle, pool->lock);
    wane_mutex_unlock(pool->lock);
    wane_mutex_unlock(pool->user);
}
