// array.h - a dense row-major array in host memory, as a tool reads it from a file and gives it to the library.
#ifndef WANE_TOOLS_COMMON_ARRAY_H
#define WANE_TOOLS_COMMON_ARRAY_H

#include <wane/wane.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// An element type: a wane_dtype, or one that files have and the library does not take.
enum { TOOL_DTYPE_U8 = 1000, TOOL_DTYPE_U16 = 1001 };
enum { TOOL_MAX_RANK = 4 };

typedef struct tool_array {
    int dtype;                              // wane_dtype or TOOL_DTYPE_*
    uint32_t rank;                          // 0 is a scalar
    int64_t extents[TOOL_MAX_RANK];
    int64_t count;                          // elements
    size_t bytes;
    void *data;                             // never NULL once made, also where there are no elements
} tool_array;

const char *tool_dtype_name(int dtype);     // "f32", "u8"; "?" for an unknown one
size_t tool_dtype_bytes(int dtype);         // 0 for an unknown one
// The type of that name, 0 if there is none. "f32", "f16", "bf16", "i32", "i64", "u32", "u8".
int tool_dtype_by_name(const char *name);
// The names of a role's types (bits 1 << WANE_DTYPE_*): "f32", "i32 or i64".
const char *tool_types_text(uint32_t types, char *text, size_t capacity);

// Sets type, rank, extents, count and bytes; data stays NULL. False: the size does not fit.
bool tool_array_shape(tool_array *array, int dtype, uint32_t rank, const int64_t *extents);
// The same, and memory of zeros. False: does not fit, or there is no memory.
bool tool_array_make(tool_array *array, int dtype, uint32_t rank, const int64_t *extents);
void tool_array_free(tool_array *array);    // and zero it
// Turns integers of any type into i64. False: there is no memory.
bool tool_array_widen(tool_array *array);

// Element i, converted. Half types are widened.
double tool_array_real(const tool_array *array, int64_t i);
int64_t tool_array_integer(const tool_array *array, int64_t i);
// Element i in the fewest digits that read back as the same value. Returns text.
const char *tool_array_text(const tool_array *array, int64_t i, char *text, size_t capacity);
// The shape as Python writes it: "()", "(3,)", "(3, 4)". Returns text.
const char *tool_array_shape_text(const tool_array *array, char *text, size_t capacity);

#endif
