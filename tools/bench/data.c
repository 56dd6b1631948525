// data.c - see bench.h.
#include "bench.h"

#include "common/half.h"

#include <string.h>

static uint64_t mix(uint64_t z)
{
    // splitmix64, https://prng.di.unimi.it/splitmix64.c
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void put(wane_dtype dtype, void *data, int64_t at, float value)
{
    uint16_t half = dtype == WANE_DTYPE_F16 ? tool_f16_of_f32(value) : tool_bf16_of_f32(value);
    if (dtype == WANE_DTYPE_F32) ((float *)data)[at] = value;
    else ((uint16_t *)data)[at] = half;
}

void bench_fill(wane_dtype dtype, void *logits, int64_t *target, int64_t rows, int64_t cols)
{
    for (int64_t row = 0; row < rows; row++) {
        uint64_t state = mix((uint64_t)row + 1);
        target[row] = (int64_t)(mix(state) % (uint64_t)cols);
        for (int64_t col = 0; col < cols; col++) {
            state += 0x9e3779b97f4a7c15u;
            put(dtype, logits, row * cols + col, (float)(mix(state) >> 40) * (8.0f / 16777216.0f) - 4.0f);
        }
    }
}

void bench_widen(wane_dtype dtype, const void *from, double *to, int64_t count)
{
    const float *words = from;
    const uint16_t *halves = from;
    for (int64_t i = 0; i < count; i++) {
        if (dtype == WANE_DTYPE_F32) to[i] = (double)words[i];
        else if (dtype == WANE_DTYPE_F16) to[i] = (double)tool_f32_of_f16(halves[i]);
        else to[i] = (double)tool_f32_of_bf16(halves[i]);
    }
}
