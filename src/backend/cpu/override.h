// override.h - what a kernel written by hand includes: its name, and its arguments by name instead of by index.
#ifndef WANE_BACKEND_CPU_OVERRIDE_H
#define WANE_BACKEND_CPU_OVERRIDE_H

#include "backend/cpu/kernel.h"

#include <string.h>

#define WANE_KERNEL(name, NAME, unit)
#include "core/kernels.def"

// Heads the definition of an override. The kernel that it replaces stays within reach as wane_<kernel>__<set>: declare it
// with WANE_CPU_MADE, and call it for what the override does not do. That choice may depend on the call, never on the range.
#define WANE_CPU_OVERRIDE(kernel, set)                                                                                 \
    void wane_##kernel##__##set##_hand(const wane_cpu_call *call, uint32_t begin, uint32_t end);                       \
    void wane_##kernel##__##set##_hand(const wane_cpu_call *call, uint32_t begin, uint32_t end)
#define WANE_CPU_MADE(kernel, set) void wane_##kernel##__##set(const wane_cpu_call *call, uint32_t begin, uint32_t end)

#define OVERRIDE_U_(name) uint32_t name;
#define OVERRIDE_F_(name) float name;
#define OVERRIDE_C_(id, name) uint32_t name;
#define OVERRIDE_SLOT_r(name) const uint32_t *name;
#define OVERRIDE_SLOT_w(name) uint32_t *name;
#define OVERRIDE_SLOT_rw(name) uint32_t *name;
#define OVERRIDE_SLOT_(binding, access, name) OVERRIDE_SLOT_##access(name)
#define OVERRIDE_BIND_(binding, access, name) args.s.name = call->slots[binding];

// Defines <kernel>_args with the members s (slots), p (record), w (window), c (constants), and <kernel>_arguments(call),
// which fills it. The names are those of core/kernels.def.
#define WANE_CPU_ARGUMENTS(kernel, KERNEL)                                                                             \
    typedef struct kernel##_args {                                                                                     \
        struct { KERNEL##_SLOTS(OVERRIDE_SLOT_) } s;                                                                   \
        struct { KERNEL##_RECORD(OVERRIDE_U_, OVERRIDE_F_) } p;                                                        \
        struct { KERNEL##_WINDOW(OVERRIDE_U_) } w;                                                                     \
        struct { KERNEL##_CONSTS(OVERRIDE_C_) uint32_t none; } c;                                                      \
    } kernel##_args;                                                                                                   \
    static inline kernel##_args kernel##_arguments(const wane_cpu_call *call)                                          \
    {                                                                                                                  \
        kernel##_args args;                                                                                            \
        KERNEL##_SLOTS(OVERRIDE_BIND_)                                                                                 \
        memcpy(&args.p, call->record, sizeof args.p);                                                                  \
        memcpy(&args.w, call->window, sizeof args.w);                                                                  \
        memset(&args.c, 0, sizeof args.c);                                                                             \
        memcpy(&args.c, call->consts, sizeof args.c < 16 ? sizeof args.c : 16);                                        \
        return args;                                                                                                   \
    }

#endif
