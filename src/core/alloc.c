// alloc.c - host memory through the context's allocator, and checked sizes.
#include "core/core.h"

#include <stdlib.h>

enum { ALIGN = 64, HEAD = 64 };            // a head keeps the size, which the host's free wants back

void *wane_alloc(wane_context *context, size_t bytes)
{
    if (bytes > SIZE_MAX - 2 * HEAD) return NULL;
    size_t whole = (bytes + HEAD + ALIGN - 1) / ALIGN * ALIGN;
    const wane_allocator *a = &context->desc.allocator;
    char *memory = a->alloc ? a->alloc(a->user, whole, ALIGN) : aligned_alloc(ALIGN, whole);
    if (!memory) return NULL;
    memset(memory, 0, whole);
    memcpy(memory, &whole, sizeof whole);
    return memory + HEAD;
}

void wane_free(wane_context *context, void *memory)
{
    if (!memory) return;
    char *start = (char *)memory - HEAD;
    size_t whole;
    memcpy(&whole, start, sizeof whole);
    const wane_allocator *a = &context->desc.allocator;
    if (a->alloc) a->free(a->user, start, whole, ALIGN);
    else free(start);
}

wane_status wane_struct_check(wane_context *context, const void *data, size_t least, size_t known, const char *name)
{
    if (!data) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, name, "must not be NULL");
    size_t given;
    memcpy(&given, data, sizeof given);
    if (given < least)
        return wane_fail(context, WANE_ERROR_STRUCT, name, "struct_size is %zu, less than %zu: set it to sizeof the struct",
                         given, least);
    if (given > 65536)
        return wane_fail(context, WANE_ERROR_STRUCT, name, "struct_size is %zu: set it to sizeof the struct", given);
    const unsigned char *bytes = data;
    for (size_t i = known; i < given; i++)
        if (bytes[i])
            return wane_fail(context, WANE_ERROR_STRUCT, name,
                             "a member at byte %zu, unknown to this version (%s), is set: use a newer library", i,
                             wane_version());
    return WANE_OK;
}

bool wane_mul_i64(int64_t a, int64_t b, int64_t *out) { return !__builtin_mul_overflow(a, b, out); }
bool wane_add_i64(int64_t a, int64_t b, int64_t *out) { return !__builtin_add_overflow(a, b, out); }
