// sets.c - the instruction sets of the CPU: which kernels each runs, and which of them this processor can.
#include "backend/cpu/sets.h"

#include "backend/cpu/tables.h"

uint32_t wane_cpu_sets(const wane_cpu_set *sets[WANE_CPU_SETS_MOST])
{
    uint32_t count = 0;
    sets[count++] = &set_generic;
    sets[count++] = &set_portable;
#ifdef WANE_CPU_AVX2
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")
        || !__builtin_cpu_supports("f16c"))
        return count;
    sets[count++] = &set_avx2;
#endif
#ifdef WANE_CPU_AVX512
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq")
        || !__builtin_cpu_supports("avx512vl"))
        return count;
    sets[count++] = &set_avx512;
#endif
#ifdef WANE_CPU_AVX512BF16
    if (__builtin_cpu_supports("avx512bf16")) sets[count++] = &set_avx512bf16;
#endif
#ifdef WANE_CPU_NEON
    sets[count++] = &set_neon;             // every 64-bit Arm has it
#endif
    return count;
}
