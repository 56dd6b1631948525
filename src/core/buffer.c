// buffer.c - memory of a device, and host memory that stands for it.
#include "core/core.h"

wane_status wane_buffer_make(wane_device *device, uint64_t bytes, wane_buffer **out)
{
    wane_buffer *buffer = wane_alloc(device->context, sizeof *buffer);
    *out = buffer;
    if (!buffer) return wane_no_memory(device->context);
    buffer->context = device->context;
    buffer->device = device;
    buffer->bytes = bytes;
    wane_hold(device->context, device);
    return WANE_OK;
}

static wane_status make(wane_device *device, uint64_t bytes, wane_buffer **out)
{
    if (out) *out = NULL;
    if (!device) return WANE_ERROR_NULL_ARGUMENT;
    if (!out) return wane_fail(device->context, WANE_ERROR_NULL_ARGUMENT, "out", "must not be NULL");
    wane_status status = wane_device_require(device);
    return status ? status : wane_buffer_make(device, bytes, out);
}

wane_status wane_buffer_create(wane_device *device, uint64_t bytes, wane_buffer **out)
{
    wane_status status = make(device, bytes, out);
    if (status) return status;
    wane_buffer *buffer = *out;
    if (bytes > device->limits.max_buffer_bytes)
        status = wane_fail(device->context, WANE_ERROR_TOO_LARGE, "bytes", "%llu, and %s makes buffers of at most %llu",
                           (unsigned long long)bytes, device->id, (unsigned long long)device->limits.max_buffer_bytes);
    else
        status = device->backend->buffer_create(buffer);
    if (status) {
        wane_buffer_destroy(buffer);
        *out = NULL;
        return status;
    }
    buffer->owned = true;
    return WANE_OK;
}

wane_status wane_buffer_wrap_host(wane_device *device, void *memory, uint64_t bytes, wane_buffer **out)
{
    if (device && !memory && bytes) {
        if (out) *out = NULL;
        return wane_fail(device->context, WANE_ERROR_NULL_ARGUMENT, "memory", "must not be NULL");
    }
    wane_status status = make(device, bytes, out);
    if (status) return status;
    (*out)->host = memory;
    (*out)->is_host = true;
    return WANE_OK;
}

static wane_status check_access(wane_buffer *buffer, uint64_t byte_offset, const void *data, uint64_t bytes)
{
    if (!buffer) return WANE_ERROR_NULL_ARGUMENT;
    if (!data && bytes) return wane_fail(buffer->context, WANE_ERROR_NULL_ARGUMENT, "data", "must not be NULL");
    if (byte_offset > buffer->bytes || bytes > buffer->bytes - byte_offset)
        return wane_fail(buffer->context, WANE_ERROR_BOUNDS, "byte_offset", "%llu + %llu bytes reach outside a buffer of %llu",
                         (unsigned long long)byte_offset, (unsigned long long)bytes, (unsigned long long)buffer->bytes);
    return wane_device_check(buffer->device);
}

wane_status wane_buffer_write(wane_buffer *buffer, uint64_t byte_offset, const void *data, uint64_t bytes)
{
    wane_status status = check_access(buffer, byte_offset, data, bytes);
    if (status || !bytes) return status;
    if (!buffer->host) return buffer->device->backend->buffer_write(buffer, byte_offset, data, bytes);
    memcpy((char *)buffer->host + byte_offset, data, (size_t)bytes);
    return WANE_OK;
}

wane_status wane_buffer_read(wane_buffer *buffer, uint64_t byte_offset, void *data, uint64_t bytes)
{
    wane_status status = check_access(buffer, byte_offset, data, bytes);
    if (status || !bytes) return status;
    if (!buffer->host) return buffer->device->backend->buffer_read(buffer, byte_offset, data, bytes);
    memcpy(data, (char *)buffer->host + byte_offset, (size_t)bytes);
    return WANE_OK;
}

uint64_t wane_buffer_bytes(const wane_buffer *buffer) { return buffer ? buffer->bytes : 0; }

void wane_buffer_destroy(wane_buffer *buffer)
{
    if (!buffer) return;
    wane_context *context = buffer->context;
    wane_device *device = buffer->device;
    if (buffer->owned) device->backend->buffer_destroy(buffer);
    wane_free(context, buffer);
    wane_drop(context, device);
}
