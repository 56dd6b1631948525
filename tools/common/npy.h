// npy.h - NumPy's .npy files, versions 1.0, 2.0 and 3.0, little-endian and C order.
#ifndef WANE_TOOLS_COMMON_NPY_H
#define WANE_TOOLS_COMMON_NPY_H

#include "common/array.h"

#include <stdio.h>

enum { NPY_BF16 = 1 };                      // two-byte words ('<u2', '|V2') are bf16

// Reads a whole file. False: `error` says what is wrong with the file and what to do about it; it does not name the
// file. A header is believed only as far as the file's size bears it out: no memory is taken for data that is not
// there.
bool npy_read(const char *path, unsigned flags, tool_array *out, char *error, size_t capacity);

// Writes a new file of version 1.0; bf16 becomes '<u2'. False: `error` says why (an existing file is an error too);
// what was begun is removed.
bool npy_write(const char *path, const tool_array *array, char *error, size_t capacity);
// Writes to an open stream; false on an error of the stream (errno says which).
bool npy_write_stream(FILE *file, const tool_array *array);

#endif
