// float_mode.h - how kernels on the CPU round: to the nearest, small numbers kept and no exception raised, whatever mode a
// thread of the caller's is in, which gets it back. Threads of a pool are in another, and bits must not depend on which
// thread does what.
#ifndef WANE_BACKEND_CPU_FLOAT_MODE_H
#define WANE_BACKEND_CPU_FLOAT_MODE_H

#include <stdint.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
static inline uint64_t wane_float_mode_enter(void)
{
    uint64_t old = _mm_getcsr();
    _mm_setcsr(0x1f80);
    return old;
}
static inline void wane_float_mode_leave(uint64_t old) { _mm_setcsr((unsigned)old); }
#elif defined(__aarch64__)
static inline void wane_float_mode_leave(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory"); }
static inline uint64_t wane_float_mode_enter(void)
{
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    wane_float_mode_leave(0);
    return old;
}
#else
static inline uint64_t wane_float_mode_enter(void) { return 0; }
static inline void wane_float_mode_leave(uint64_t old) { (void)old; }
#endif

#endif
