// opencl_host.h - an engine with an OpenCL context of its own, as tests play it, and a problem in its memory. It calls the
// driver beside the shim, which sees wane alone.
#ifndef WANE_TESTS_UNIT_OPENCL_HOST_H
#define WANE_TESTS_UNIT_OPENCL_HOST_H

#include "opencl_shim.h"

#include <stdlib.h>

typedef struct host {
    cl_platform_id platform;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
} host;

static inline host host_make(cl_command_queue_properties properties)
{
    host h;
    cl_int code;
    assert_int_equal(REAL(GetPlatformIDs)(1, &h.platform, NULL), CL_SUCCESS);
    assert_int_equal(REAL(GetDeviceIDs)(h.platform, CL_DEVICE_TYPE_ALL, 1, &h.id, NULL), CL_SUCCESS);
    h.context = REAL(CreateContext)(NULL, 1, &h.id, NULL, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    h.queue = REAL(CreateCommandQueue)(h.context, h.id, properties, &code);
    assert_int_equal(code, CL_SUCCESS);
    return h;
}

static inline void host_free(const host *h)
{
    REAL(ReleaseCommandQueue)(h->queue);
    REAL(ReleaseContext)(h->context);
}

static cl_mem host_buffer(const host *h, const void *data, size_t bytes)
{
    cl_int code;
    cl_mem memory = REAL(CreateBuffer)(h->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    if (data)
        assert_int_equal(REAL(EnqueueWriteBuffer)(h->queue, memory, CL_TRUE, 0, bytes, data, 0, NULL, NULL),
                         CL_SUCCESS);
    return memory;
}

static inline wane_device *wrap(wane_context *context, const host *h, bool with_queue)
{
    wane_opencl_device_desc desc = {sizeof desc, h->context, h->id, with_queue ? h->queue : NULL, {0}};
    wane_device *device = NULL;
    assert_int_equal(wane_device_wrap_opencl(context, &desc, &device), WANE_OK);
    return device;
}

// The host's memory for a problem: each operand twice the word in front, so that offsets matter.
typedef struct bound {
    wane_binding bindings[TEST_OPERANDS];
    cl_mem memory[TEST_OPERANDS + 1];
    wane_args args;
} bound;

static inline void bind(bound *b, const host *h, const test_problem *p, uint64_t workspace_bytes)
{
    memset(b, 0, sizeof *b);
    for (uint32_t i = 0; i < p->desc.operand_count; i++) {
        const test_block *block = &p->blocks[i];
        char *shifted = calloc(1, block->bytes + 8);
        memcpy(shifted + 8, block->data, block->bytes);
        b->memory[i] = host_buffer(h, shifted, block->bytes + 8);
        free(shifted);
        b->bindings[i] = p->bindings[i];
        b->bindings[i].host = NULL;
        b->bindings[i].native = (uint64_t)(uintptr_t)b->memory[i];
        b->bindings[i].byte_offset += 8;
        b->bindings[i].bytes = block->bytes + 8;
    }
    b->memory[TEST_OPERANDS] = host_buffer(h, NULL, workspace_bytes);
    b->args = p->args;
    b->args.bindings = b->bindings;
    b->args.workspace = (wane_binding){.struct_size = sizeof(wane_binding), .bytes = workspace_bytes,
                                       .native = (uint64_t)(uintptr_t)b->memory[TEST_OPERANDS]};
}

static inline void fetch(const bound *b, const host *h, test_problem *p)
{
    for (uint32_t i = 0; i < p->desc.operand_count; i++)
        assert_int_equal(REAL(EnqueueReadBuffer)(h->queue, b->memory[i], CL_TRUE, 8, p->blocks[i].bytes,
                                                 p->blocks[i].data, 0, NULL, NULL),
                         CL_SUCCESS);
}

static inline void unbind(const bound *b)
{
    for (uint32_t i = 0; i <= TEST_OPERANDS; i++)
        if (b->memory[i]) REAL(ReleaseMemObject)(b->memory[i]);
}

#endif
