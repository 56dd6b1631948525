// data.c - numbers by role and index, the same on every machine.
#include "bench.h"

#include "common/half.h"

#include <string.h>

uint64_t bench_mix(wane_role role, int64_t index)
{
    // splitmix64, https://prng.di.unimi.it/splitmix64.c
    uint64_t z = ((uint64_t)role << 40) + (uint64_t)(index + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double bench_uniform(wane_role role, int64_t index, double low, double high)
{
    return low + (double)(bench_mix(role, index) >> 40) * (high - low) / 16777216.0;
}

double bench_value(const bench_work *work, wane_role role, int64_t index)
{
    const bench_tensor *t = &work->tensors[role];
    if (t->shape.dtype == WANE_DTYPE_I32 || t->shape.dtype == WANE_DTYPE_I64)
        return (double)(bench_mix(role, index) % (uint64_t)bench_extent(&work->extents, "cols"));
    bool logits = role == WANE_ROLE_LOGITS || role == WANE_ROLE_TEACHER_LOGITS;
    return logits ? bench_uniform(role, index, -4, 4) : bench_uniform(role, index, 0, 1);
}

static bool put(int dtype, void *data, int64_t at, double value)
{
    switch (dtype) {
    case WANE_DTYPE_F32: ((float *)data)[at] = (float)value; return true;
    case WANE_DTYPE_F16: ((uint16_t *)data)[at] = tool_f16_of_f32((float)value); return true;
    case WANE_DTYPE_BF16: ((uint16_t *)data)[at] = tool_bf16_of_f32((float)value); return true;
    case WANE_DTYPE_I32: ((int32_t *)data)[at] = (int32_t)value; return true;
    case WANE_DTYPE_I64: ((int64_t *)data)[at] = (int64_t)value; return true;
    default: return false;
    }
}

bool bench_fill(const bench_work *work, const bench_tensor *tensor, void *data)
{
    double (*value)(const bench_work *, wane_role, int64_t) = work->options->family->value;
    if (!value) value = bench_value;
    for (int64_t i = 0; i < tensor->shape.count; i++)
        if (!put(tensor->shape.dtype, data, i, value(work, tensor->role->role, i))) return false;
    return true;
}

double bench_widen(int dtype, const void *from, int64_t index)
{
    switch (dtype) {
    case WANE_DTYPE_F32: return (double)((const float *)from)[index];
    case WANE_DTYPE_F16: return (double)tool_f32_of_f16(((const uint16_t *)from)[index]);
    case WANE_DTYPE_BF16: return (double)tool_f32_of_bf16(((const uint16_t *)from)[index]);
    case WANE_DTYPE_I32: return (double)((const int32_t *)from)[index];
    default: return (double)((const int64_t *)from)[index];
    }
}
