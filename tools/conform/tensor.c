// tensor.c - operands in memory: views of every kind, with guards around and between their elements.
#include "conform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD_BYTES = 256, POISON = 0xff };
#define WINDOW_ELEMS ((int64_t)36 << 20)    // 144 MiB of f32: more than the least window a device must have

// ---- views ----

static void set_strides(conform_tensor *t, conform_layout layout)
{
    wane_tensor *s = &t->spec;
    int64_t rows = s->extents[0] > 0 ? s->extents[0] : 1, cols = s->rank > 1 && s->extents[1] > 0 ? s->extents[1] : 1;
    if (layout == LAYOUT_BROADCAST && t->written) layout = LAYOUT_DENSE;
    if (layout == LAYOUT_WINDOWS && s->rank < 2) layout = LAYOUT_DENSE;
    s->flags = layout == LAYOUT_DENSE ? 0 : WANE_TENSOR_STRIDED;
    bool one = s->rank < 2;
    switch (layout) {
    case LAYOUT_REVERSED:
        s->strides[0] = one ? -2 : -(2 * cols + 3);
        s->strides[1] = 2;
        break;
    case LAYOUT_COLUMNS:
        s->strides[0] = one ? 3 : 1;
        s->strides[1] = rows + 1;
        break;
    case LAYOUT_BROADCAST:
        s->strides[0] = 0;
        s->strides[1] = 1;
        break;
    case LAYOUT_WINDOWS:
        // an input cuts columns, an output rows
        s->strides[0] = t->written ? WINDOW_ELEMS / rows + cols : 1;
        s->strides[1] = t->written ? 1 : WINDOW_ELEMS / cols + rows;
        break;
    default:
        s->strides[0] = one ? 1 : cols;
        s->strides[1] = 1;
        break;
    }
}

static int64_t element_at(const conform_tensor *t, int64_t index)
{
    int64_t at = 0;
    for (int d = (int)t->spec.rank - 1; d >= 0; d--) {
        at += index % t->spec.extents[d] * t->spec.strides[d];
        index /= t->spec.extents[d];
    }
    return at;
}

static unsigned char *element(const conform_tensor *t, int64_t index)
{
    int64_t size = (int64_t)wane_dtype_bytes(t->spec.dtype);
    return t->memory + ((int64_t)t->origin + element_at(t, index) * size);
}

bool conform_tensor_make(conform_tensor *t, const conform_case *c, const wane_role_info *role, uint32_t planes, bool written)
{
    memset(t, 0, sizeof *t);
    t->role = role;
    t->written = written;
    t->spec.struct_size = sizeof t->spec;
    t->spec.dtype = conform_type(c, role);
    t->spec.rank = conform_shape(c, role, planes, t->spec.extents);
    set_strides(t, c->layout);
    int64_t first = 0, last = 0, size = (int64_t)wane_dtype_bytes(t->spec.dtype);
    t->count = 1;
    for (uint32_t d = 0; d < t->spec.rank; d++) t->count *= t->spec.extents[d];
    for (uint32_t d = 0; d < t->spec.rank && t->count > 0; d++) {
        int64_t reach = (t->spec.extents[d] - 1) * t->spec.strides[d];
        if (reach < 0) first += reach;
        else last += reach;
    }
    // offsets of all classes modulo a device's alignment
    int64_t guard = GUARD_BYTES + (c->memory == MEMORY_BUFFER ? size * (1 + (int64_t)role->role % 7) : 0);
    t->origin = (size_t)(guard - first * size);
    t->bytes = (size_t)(2 * guard + (last - first + 1) * size + 7) & ~(size_t)7;
    t->memory = malloc(t->bytes);
    if (t->memory) conform_tensor_poison(t);
    return t->memory != NULL;
}

void conform_tensor_free(conform_tensor *t)
{
    wane_buffer_destroy(t->buffer);
    free(t->memory);
    free(t->before);
    free(t->previous);
    memset(t, 0, sizeof *t);
}

// ---- half types ----
// sign, exponent, and `bits` of mantissa; round to nearest even, as nearbyint does by default

static uint16_t pack_half(double value, int bits, int bias)
{
    uint32_t sign = signbit(value) ? 0x8000u : 0, infinite = 0x8000u - (1u << bits);
    if (isnan(value)) return (uint16_t)(sign | 0x7fffu);
    double size = fabs(value);
    if (isinf(size)) return (uint16_t)(sign | infinite);
    int exponent = 0;
    if (size > 0) frexp(size, &exponent);
    exponent = exponent - 1 < 1 - bias ? 1 - bias : exponent - 1;
    if (exponent > bias) return (uint16_t)(sign | infinite);
    // the leading bit, if there is one, adds 1 to the exponent's field
    uint32_t mantissa = (uint32_t)nearbyint(ldexp(size, bits - exponent));
    return (uint16_t)(sign | (((uint32_t)(exponent + bias - 1) << bits) + mantissa));
}

static double unpack_half(uint16_t word, int bits, int bias)
{
    int field = word >> bits & ((1 << (15 - bits)) - 1), mantissa = word & ((1 << bits) - 1);
    double size = field == (1 << (15 - bits)) - 1 ? (mantissa ? (double)NAN : (double)INFINITY)
                : ldexp(field ? mantissa + (1 << bits) : mantissa, (field ? field : 1) - bias - bits);
    return word & 0x8000 ? -size : size;
}

// ---- contents ----

void conform_tensor_poison(conform_tensor *t) { memset(t->memory, POISON, t->bytes); }

void conform_tensor_store(conform_tensor *t, const double *dense)
{
    for (int64_t i = 0; i < t->count; i++) {
        void *to = element(t, i);
        switch (t->spec.dtype) {
        case WANE_DTYPE_F32: *(float *)to = (float)dense[i]; break;
        case WANE_DTYPE_F16: *(uint16_t *)to = pack_half(dense[i], 10, 15); break;
        case WANE_DTYPE_BF16: *(uint16_t *)to = pack_half(dense[i], 7, 127); break;
        case WANE_DTYPE_I32: *(int32_t *)to = (int32_t)dense[i]; break;
        case WANE_DTYPE_I64: *(int64_t *)to = (int64_t)dense[i]; break;
        default: *(uint32_t *)to = (uint32_t)dense[i]; break;
        }
    }
}

void conform_tensor_load(const conform_tensor *t, double *dense)
{
    for (int64_t i = 0; i < t->count; i++) {
        const void *from = element(t, i);
        switch (t->spec.dtype) {
        case WANE_DTYPE_F32: dense[i] = (double)*(const float *)from; break;
        case WANE_DTYPE_F16: dense[i] = unpack_half(*(const uint16_t *)from, 10, 15); break;
        case WANE_DTYPE_BF16: dense[i] = unpack_half(*(const uint16_t *)from, 7, 127); break;
        case WANE_DTYPE_I32: dense[i] = *(const int32_t *)from; break;
        case WANE_DTYPE_I64: dense[i] = (double)*(const int64_t *)from; break;
        default: dense[i] = *(const uint32_t *)from; break;
        }
    }
}

bool conform_tensor_keep(conform_tensor *t)
{
    if (!t->before) t->before = malloc(t->bytes);
    if (t->before) memcpy(t->before, t->memory, t->bytes);
    return t->before != NULL;
}

bool conform_tensor_intact(const conform_tensor *t)
{
    if (!t->written) return memcmp(t->memory, t->before, t->bytes) == 0;
    unsigned char *rest = malloc(t->bytes);
    if (!rest) return false;
    memcpy(rest, t->memory, t->bytes);
    for (int64_t i = 0; i < t->count; i++)
        memset(rest + (element(t, i) - t->memory), POISON, wane_dtype_bytes(t->spec.dtype));
    bool intact = true;
    for (size_t i = 0; i < t->bytes && intact; i++) intact = rest[i] == POISON;
    free(rest);
    return intact;
}

uint64_t conform_tensor_hash(const conform_tensor *t, uint64_t hash)
{
    for (int64_t i = 0; i < t->count; i++) hash = conform_hash(hash, element(t, i), wane_dtype_bytes(t->spec.dtype));
    return hash;
}
