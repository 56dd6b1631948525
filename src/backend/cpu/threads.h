// threads.h - static ranges over a small pool of our own, or over the host's parallel-for.
#ifndef WANE_BACKEND_CPU_THREADS_H
#define WANE_BACKEND_CPU_THREADS_H

#include "core/core.h"

typedef struct wane_pool wane_pool;

// Threads start at the first use. Errors: HOST_MEMORY.
wane_status wane_pool_create(wane_context *context, wane_pool **out);
void wane_pool_destroy(wane_pool *pool);
// How many tasks can run at once.
uint32_t wane_pool_width(wane_pool *pool);
// Calls task(argument, i) for each i < count and returns when all are done. Safe from many threads: calls that find the
// pool at work run their tasks themselves, one after the other.
void wane_pool_run(wane_pool *pool, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument);

#endif
