// text.h - the kernels' OpenCL C texts, one array of bytes a kernel, made at build time.
#ifndef WANE_BACKEND_OPENCL_TEXT_H
#define WANE_BACKEND_OPENCL_TEXT_H

#include <stddef.h>

#define WANE_KERNEL(name, NAME, unit)                    \
    extern const unsigned char wane_opencl_text_##name[]; \
    extern const size_t wane_opencl_bytes_##name;
#include "core/kernels.def"

#endif
