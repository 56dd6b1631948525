// platform.h - the system below wane: loading, threads, clocks. platform_posix.c is the only file that knows it.
#ifndef WANE_CORE_PLATFORM_H
#define WANE_CORE_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wane_mutex wane_mutex;

// Sizes of the opaque objects below, so that they can live in memory from the context's allocator.
size_t wane_mutex_bytes(void);
bool wane_mutex_init(wane_mutex *mutex);
void wane_mutex_fini(wane_mutex *mutex);
void wane_mutex_lock(wane_mutex *mutex);
bool wane_mutex_try(wane_mutex *mutex);              // false if another thread has it
void wane_mutex_unlock(wane_mutex *mutex);

typedef struct wane_condition wane_condition;
size_t wane_condition_bytes(void);
bool wane_condition_init(wane_condition *condition);
void wane_condition_fini(wane_condition *condition);
void wane_condition_wait(wane_condition *condition, wane_mutex *mutex);
void wane_condition_wake_all(wane_condition *condition);

typedef struct wane_thread wane_thread;
size_t wane_thread_bytes(void);
enum { WANE_STACK_BYTES = 1 << 20 };                 // of a thread that is started here
bool wane_thread_start(wane_thread *thread, void (*body)(void *argument), void *argument);
void wane_thread_join(wane_thread *thread);

void wane_thread_yield(void);
uint32_t wane_cpu_count(void);                       // CPUs this process may run on
uint64_t wane_cpu_core_cache_bytes(void);            // of a core's second level; likewise
uint64_t wane_cpu_cache_bytes(void);                 // of the last level; a guess where the system does not tell
uint64_t wane_clock_ns(void);                        // monotonic

void *wane_library_open(const char *name);           // NULL if there is no such library
void *wane_library_symbol(void *library, const char *name);
void wane_library_close(void *library);

const char *wane_environment(const char *name);      // NULL if unset or empty

#endif
