// memory.c - buffers: device memory that the host reaches by blocking reads and writes.
#include "backend/opencl/opencl.h"

wane_status opencl_buffer_create(wane_buffer *buffer)
{
    wane_status status = wane_device_check(buffer->device);
    if (status) return status;
    cl_int code = CL_SUCCESS;
    // kernels address whole words, and a driver refuses an empty buffer
    size_t bytes = (size_t)wane_round_up(buffer->bytes ? buffer->bytes : 1, 4);
    cl_mem memory = opencl_calls(buffer->device)
                        ->CreateBuffer(opencl_of(buffer->device)->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    status = opencl_check(buffer->device, memory || code ? code : CL_OUT_OF_RESOURCES, "clCreateBuffer",
                          WANE_ERROR_DEVICE_MEMORY);
    if (status) return status;
    buffer->native[0] = (uint64_t)(uintptr_t)memory;
    return WANE_OK;
}

void opencl_buffer_destroy(wane_buffer *buffer)
{
    cl_mem memory = (cl_mem)(uintptr_t)buffer->native[0];
    if (memory) opencl_calls(buffer->device)->ReleaseMemObject(memory);
    buffer->native[0] = 0;
}

wane_status opencl_buffer_write(wane_buffer *buffer, uint64_t byte_offset, const void *data, uint64_t bytes)
{
    cl_int code = opencl_calls(buffer->device)
                      ->EnqueueWriteBuffer(opencl_of(buffer->device)->queue, (cl_mem)(uintptr_t)buffer->native[0],
                                           CL_TRUE, (size_t)byte_offset, (size_t)bytes, data, 0, NULL, NULL);
    return opencl_check(buffer->device, code, "clEnqueueWriteBuffer", WANE_ERROR_SUBMIT);
}

wane_status opencl_buffer_read(wane_buffer *buffer, uint64_t byte_offset, void *data, uint64_t bytes)
{
    cl_int code = opencl_calls(buffer->device)
                      ->EnqueueReadBuffer(opencl_of(buffer->device)->queue, (cl_mem)(uintptr_t)buffer->native[0],
                                          CL_TRUE, (size_t)byte_offset, (size_t)bytes, data, 0, NULL, NULL);
    return opencl_check(buffer->device, code, "clEnqueueReadBuffer", WANE_ERROR_SUBMIT);
}
