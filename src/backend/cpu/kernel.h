// kernel.h - how the CPU backend calls a kernel: the same for every kernel and instruction set.
#ifndef WANE_BACKEND_CPU_KERNEL_H
#define WANE_BACKEND_CPU_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wane_cpu_call {
    uint32_t *slots[8];                    // index 0 of each slot; NULL where nothing is bound and nothing touched
    const uint32_t *record, *window, *consts;
    bool past_cache;                       // the operands are more than the caches hold: stores may go past them
    void *scratch;                         // this thread's own, in the workspace, at a multiple of 64; NULL: none
    size_t scratch_bytes;
} wane_cpu_call;

// Runs the items begin..end in order, on one thread. Any split of a pass into ranges gives the same bits.
typedef void (*wane_cpu_kernel)(const wane_cpu_call *call, uint32_t begin, uint32_t end);

#endif
