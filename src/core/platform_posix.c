// platform_posix.c - platform.h on POSIX systems.
#define _GNU_SOURCE
#include "core/platform.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct wane_mutex { pthread_mutex_t native; };
struct wane_condition { pthread_cond_t native; };
struct wane_thread {
    pthread_t native;
    void (*body)(void *argument);
    void *argument;
};

size_t wane_mutex_bytes(void) { return sizeof(wane_mutex); }
bool wane_mutex_init(wane_mutex *mutex) { return pthread_mutex_init(&mutex->native, NULL) == 0; }
void wane_mutex_fini(wane_mutex *mutex) { pthread_mutex_destroy(&mutex->native); }
void wane_mutex_lock(wane_mutex *mutex) { pthread_mutex_lock(&mutex->native); }
bool wane_mutex_try(wane_mutex *mutex) { return pthread_mutex_trylock(&mutex->native) == 0; }
void wane_mutex_unlock(wane_mutex *mutex) { pthread_mutex_unlock(&mutex->native); }

size_t wane_condition_bytes(void) { return sizeof(wane_condition); }
bool wane_condition_init(wane_condition *condition) { return pthread_cond_init(&condition->native, NULL) == 0; }
void wane_condition_fini(wane_condition *condition) { pthread_cond_destroy(&condition->native); }
void wane_condition_wait(wane_condition *condition, wane_mutex *mutex)
{
    pthread_cond_wait(&condition->native, &mutex->native);
}
void wane_condition_wake_all(wane_condition *condition) { pthread_cond_broadcast(&condition->native); }

size_t wane_thread_bytes(void) { return sizeof(wane_thread); }

static void *thread_entry(void *argument)
{
    wane_thread *thread = argument;
    thread->body(thread->argument);
    return NULL;
}

bool wane_thread_start(wane_thread *thread, void (*body)(void *argument), void *argument)
{
    thread->body = body;
    thread->argument = argument;
    // kernels have up to 230 KB of arrays on the stack, and musl's threads 128 KB unless they ask for more
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_attr_setstacksize(&attributes, WANE_STACK_BYTES);
    bool started = pthread_create(&thread->native, &attributes, thread_entry, thread) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

void wane_thread_join(wane_thread *thread) { pthread_join(thread->native, NULL); }

void wane_thread_yield(void) { sched_yield(); }

uint32_t wane_cpu_count(void)
{
#if defined(__linux__) && defined(CPU_COUNT)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return (uint32_t)CPU_COUNT(&set);
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (uint32_t)count : 1;
}

uint64_t wane_cpu_core_cache_bytes(void)
{
    long second = 0;
#ifdef _SC_LEVEL2_CACHE_SIZE
    second = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return second > 0 ? (uint64_t)second : (uint64_t)256 << 10;
}

// What a processor of this process may count as its own: a virtual machine of 2 processors is told of a whole socket's
// 480 MiB, which it shares with its neighbours.
enum { CACHE_BYTES_EACH_MOST = 16 << 20 };

uint64_t wane_cpu_cache_bytes(void)
{
    long last = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
    last = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (last <= 0) last = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    uint64_t most = (uint64_t)wane_cpu_count() * CACHE_BYTES_EACH_MOST;
    if (last <= 0) return (uint64_t)8 << 20;
    return (uint64_t)last < most ? (uint64_t)last : most;
}

uint64_t wane_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void *wane_library_open(const char *name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }
void *wane_library_symbol(void *library, const char *name) { return dlsym(library, name); }
void wane_library_close(void *library) { dlclose(library); }

const char *wane_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}
