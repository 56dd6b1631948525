// array.c - see array.h.
#include "common/array.h"

#include "common/half.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *tool_dtype_name(int dtype)
{
    if (dtype == TOOL_DTYPE_U8) return "u8";
    if (dtype == TOOL_DTYPE_U16) return "u16";
    const char *name = wane_dtype_name((wane_dtype)dtype);
    return name ? name : "?";
}

size_t tool_dtype_bytes(int dtype)
{
    if (dtype == TOOL_DTYPE_U8) return 1;
    if (dtype == TOOL_DTYPE_U16) return 2;
    return wane_dtype_bytes((wane_dtype)dtype);
}

int tool_dtype_by_name(const char *name)
{
    static const int dtypes[] = {WANE_DTYPE_F32, WANE_DTYPE_F16, WANE_DTYPE_BF16, WANE_DTYPE_I32,
                                 WANE_DTYPE_I64, WANE_DTYPE_U32, TOOL_DTYPE_U8};
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (strcmp(name, tool_dtype_name(dtypes[i])) == 0) return dtypes[i];
    return 0;
}

const char *tool_types_text(uint32_t types, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = 0;
    for (int dtype = 1; dtype < 32; dtype++) {
        if (!(types & 1u << dtype) || used >= capacity) continue;
        int wrote = snprintf(text + used, capacity - used, "%s%s", used ? " or " : "", tool_dtype_name(dtype));
        used += (size_t)wrote;
    }
    return text;
}

bool tool_array_shape(tool_array *array, int dtype, uint32_t rank, const int64_t *extents)
{
    memset(array, 0, sizeof *array);
    size_t size = tool_dtype_bytes(dtype);
    if (size == 0 || rank > TOOL_MAX_RANK) return false;
    array->dtype = dtype;
    array->rank = rank;
    array->count = 1;
    // An extent of 0 does not excuse the others: their product must fit all the same, or strides would not.
    uint64_t product = size, limit = (uint64_t)(SIZE_MAX / 2);
    for (uint32_t d = 0; d < rank; d++) {
        if (extents[d] < 0) return false;
        array->extents[d] = extents[d];
        array->count = extents[d] == 0 ? 0 : array->count;
        if (extents[d] > 0 && product > limit / (uint64_t)extents[d]) return false;
        if (extents[d] > 0) product *= (uint64_t)extents[d];
    }
    if (array->count > 0) array->count = (int64_t)(product / size);
    array->bytes = (size_t)array->count * size;
    return true;
}

bool tool_array_make(tool_array *array, int dtype, uint32_t rank, const int64_t *extents)
{
    if (!tool_array_shape(array, dtype, rank, extents)) return false;
    array->data = calloc(array->bytes ? array->bytes : 1, 1);
    return array->data != NULL;
}

void tool_array_free(tool_array *array)
{
    free(array->data);
    memset(array, 0, sizeof *array);
}

bool tool_array_widen(tool_array *array)
{
    if (array->dtype == WANE_DTYPE_I64) return true;
    tool_array wide;
    if (!tool_array_make(&wide, WANE_DTYPE_I64, array->rank, array->extents)) return false;
    int64_t *out = wide.data;
    for (int64_t i = 0; i < array->count; i++) out[i] = tool_array_integer(array, i);
    tool_array_free(array);
    *array = wide;
    return true;
}

int64_t tool_array_integer(const tool_array *array, int64_t i)
{
    switch (array->dtype) {
    case WANE_DTYPE_I32: return ((const int32_t *)array->data)[i];
    case WANE_DTYPE_I64: return ((const int64_t *)array->data)[i];
    case WANE_DTYPE_U32: return ((const uint32_t *)array->data)[i];
    case TOOL_DTYPE_U8: return ((const uint8_t *)array->data)[i];
    case TOOL_DTYPE_U16: return ((const uint16_t *)array->data)[i];
    default: return (int64_t)tool_array_real(array, i);
    }
}

double tool_array_real(const tool_array *array, int64_t i)
{
    switch (array->dtype) {
    case WANE_DTYPE_F32: return ((const float *)array->data)[i];
    case WANE_DTYPE_F16: return tool_f32_of_f16(((const uint16_t *)array->data)[i]);
    case WANE_DTYPE_BF16: return tool_f32_of_bf16(((const uint16_t *)array->data)[i]);
    default: return (double)tool_array_integer(array, i);
    }
}

const char *tool_array_text(const tool_array *array, int64_t i, char *text, size_t capacity)
{
    if (array->dtype != WANE_DTYPE_F32 && array->dtype != WANE_DTYPE_F16 && array->dtype != WANE_DTYPE_BF16) {
        snprintf(text, capacity, "%" PRId64, tool_array_integer(array, i));
        return text;
    }
    double value = tool_array_real(array, i);
    if (isnan(value)) {                     // the sign of a NaN means nothing
        snprintf(text, capacity, "nan");
        return text;
    }
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, capacity, "%.*g", digits, value);
        if ((double)strtof(text, NULL) == value) break;
    }
    return text;
}

const char *tool_array_shape_text(const tool_array *array, char *text, size_t capacity)
{
    size_t used = (size_t)snprintf(text, capacity, "(");
    for (uint32_t d = 0; d < array->rank && used < capacity; d++)
        used += (size_t)snprintf(text + used, capacity - used, "%s%" PRId64, d ? ", " : "", array->extents[d]);
    if (used < capacity) snprintf(text + used, capacity - used, "%s)", array->rank == 1 ? "," : "");
    return text;
}
