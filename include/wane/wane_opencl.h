// wane_opencl.h - wane for engines that own an OpenCL context.
//
// wane works on the host's cl_context, cl_device_id and cl_mem objects and enqueues into the host's queues. Enqueuing
// waits for nothing, flushes nothing and makes no object but the event that the host asks for.
//
// This header needs no OpenCL headers: cl_context, cl_device_id, cl_command_queue, cl_mem and cl_event are pointers to
// the structs named below in every version of CL/cl.h, and cl_uint is a uint32_t.
//
//     wane_opencl_device_desc desc = {sizeof desc, my_context, my_device, my_queue, {0}};
//     wane_device_wrap_opencl(context, &desc, &device);
//     wane_plan_create(device, &loss, &plan);  wane_executable_create(plan, &executable);
//     wane_recorder_create(&executable, 1, 0, &recorder);
//     args.bindings[i].native = (uint64_t)(uintptr_t)my_cl_mem;  args.bindings[i].bytes = its_size;
//     wane_enqueue_opencl(executable, recorder, &args, my_queue, 0, NULL, &done);

#ifndef WANE_WANE_OPENCL_H
#define WANE_WANE_OPENCL_H

#include "wane/wane.h"

#ifdef __cplusplus
extern "C" {
#endif

struct _cl_context;
struct _cl_device_id;
struct _cl_command_queue;
struct _cl_mem;
struct _cl_event;

typedef struct wane_opencl_device_desc {
    size_t struct_size;
    struct _cl_context *context;
    struct _cl_device_id *device;          // one of the context's
    struct _cl_command_queue *queue;       // for wane_run, wane_buffer_write and wane_buffer_read; in order or out of
                                           // order. NULL: wane makes one of its own in the context
    uint64_t reserved[4];
} wane_opencl_device_desc;

// Makes a wane device of the host's. It is not listed; wane_device_find knows it by its wane_device_info.id
// ("opencl:host0"). Context, device and queue are retained until wane_device_unwrap, or until `context` is destroyed. No
// self-test runs: call wane_device_selftest for one.
// The OpenCL functions are those of the context description's resolver, else of libOpenCL: they must be the ones that
// made the objects.
// Errors: NULL_ARGUMENT, STRUCT, NO_DEVICE (no OpenCL library, or the context description leaves OpenCL out), MISMATCH
// (device or queue is not of the context), DEVICE_UNUSABLE (below the floor: the log says why), HOST_MEMORY, DRIVER.
// Since 0.1.
WANE_API wane_status wane_device_wrap_opencl(wane_context *context, const wane_opencl_device_desc *desc,
                                             wane_device **out);

// Makes a wane buffer of a cl_mem of the device's context. `bytes` is what wane may use of it, at most its size; a
// multiple of 4 bytes. The cl_mem is not retained and never released: it must outlive the buffer. It must have been
// made without CL_MEM_READ_ONLY if it is bound to an output, and without CL_MEM_WRITE_ONLY if it is bound to an input.
// wane_buffer_destroy ends the buffer and leaves the cl_mem alone.
// Errors: NULL_ARGUMENT, MISMATCH (another backend's device, another context, or no buffer), BOUNDS (bytes), ALIGNMENT
// (bytes), DEVICE_UNUSABLE, HOST_MEMORY, DEVICE_LOST, DRIVER. Since 0.1.
WANE_API wane_status wane_buffer_import_opencl(wane_device *device, struct _cl_mem *memory, uint64_t bytes,
                                               wane_buffer **out);

// Enqueues an executable's work into a queue of its device's context, in order or out of order. The work begins when
// the events of the wait list are complete; `event`, if not NULL, gets an event that is complete when all of it is
// done, which the host releases. In an out-of-order queue the work's later passes also wait for whatever else was
// enqueued before them, so give unrelated work a queue of its own.
// Memory is given as wane buffers or as native cl_mem; the workspace must be given too. Data faults are counted in the
// output `status`; no WANE_WARN_DATA is returned. The host keeps executable, recorder and memory alive until the work
// is done, then may reset the recorder.
// Threading: one thread for each recorder at a time; different recorders on different threads, also into one queue.
// Errors, before anything is enqueued: NULL_ARGUMENT, MISMATCH (executable, recorder or queue of another device or
// context; host memory), CAPACITY, and those of arguments as in wane_run, MISSING_OPERAND for an absent workspace.
// Then: SUBMIT, DEVICE_MEMORY, HOST_MEMORY, DEVICE_LOST; passes enqueued before the error stay enqueued. Since 0.1.
WANE_API wane_status wane_enqueue_opencl(wane_executable *executable, wane_recorder *recorder, const wane_args *args,
                                         struct _cl_command_queue *queue, uint32_t wait_count,
                                         struct _cl_event *const *wait_list, struct _cl_event **event);

#ifdef __cplusplus
}
#endif

#endif
