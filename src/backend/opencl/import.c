// import.c - devices, buffers and queues of hosts: the public functions of wane_opencl.h.
#include "wane/wane_opencl.h"

#include "backend/opencl/opencl.h"

#include <stdio.h>

// ---- devices ------------------------------------------------------------------------------------------------------

// The backend's state of a context, made if no device has been looked for yet. Under the context's lock.
static wane_status state_of(wane_context *context, opencl_state **out)
{
    *out = NULL;
    wane_status status = WANE_OK;
    for (uint32_t i = 0; wane_backends[i]; i++)
        if (wane_backends[i] == &wane_backend_opencl && context->desc.backends & WANE_BACKEND_OPENCL) {
            *out = context->backend_state[i];
            if (!*out) status = opencl_load(context, out);
            context->backend_state[i] = *out;
        }
    if (status || *out) return status;
    return wane_fail(context, WANE_ERROR_NO_DEVICE, "context",
                     "OpenCL is left out of it, or there is no libOpenCL.so.1 and no resolver");
}

static wane_status check_device(wane_context *context, const opencl_api *cl, const wane_opencl_device_desc *desc)
{
    cl_device_id ids[64];
    size_t bytes = 0;
    cl_int code = cl->GetContextInfo(desc->context, CL_CONTEXT_DEVICES, sizeof ids, ids, &bytes);
    if (code)
        return wane_fail_native(context, WANE_ERROR_MISMATCH, code,
                                "clGetContextInfo answered %s: is `context` a cl_context?", opencl_error_name(code));
    for (size_t i = 0; i < bytes / sizeof *ids; i++)
        if (ids[i] == desc->device) return WANE_OK;
    return wane_fail(context, WANE_ERROR_MISMATCH, "device", "is not one of the cl_context's devices");
}

// Whether the queue works on this device in this context, and in what order.
static wane_status check_queue(wane_context *context, const opencl_api *cl, cl_command_queue queue, cl_context owner,
                               cl_device_id id, bool *out_of_order)
{
    cl_context queue_context = NULL;
    cl_device_id queue_device = NULL;
    cl_command_queue_properties properties = 0;
    cl_int code = cl->GetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof queue_context, &queue_context, NULL);
    if (!code) code = cl->GetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof queue_device, &queue_device, NULL);
    if (!code) code = cl->GetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    if (code)
        return wane_fail_native(context, WANE_ERROR_MISMATCH, code,
                                "clGetCommandQueueInfo answered %s: is `queue` a cl_command_queue?",
                                opencl_error_name(code));
    if (queue_context != owner || queue_device != id)
        return wane_fail(context, WANE_ERROR_MISMATCH, "queue", "belongs to another cl_context or cl_device_id");
    *out_of_order = (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
    return WANE_OK;
}

static void retain(opencl_device *native, const wane_opencl_device_desc *desc)
{
    const opencl_api *cl = &native->state->api;
    native->id = desc->device;
    native->context = desc->context;
    native->queue = desc->queue;
    cl->RetainDevice(native->id);
    cl->RetainContext(native->context);
    if (native->queue) cl->RetainCommandQueue(native->queue);
}

// Under the context's lock.
static wane_status wrap(wane_context *context, const wane_opencl_device_desc *desc, wane_device **out)
{
    opencl_state *state = NULL;
    wane_status status = state_of(context, &state);
    if (status) return status;
    const opencl_api *cl = &state->api;
    bool out_of_order = false;
    status = check_device(context, cl, desc);
    if (status == WANE_OK && desc->queue)
        status = check_queue(context, cl, desc->queue, desc->context, desc->device, &out_of_order);
    if (status) return status;
    cl_platform_id platform = NULL;
    cl_int code = cl->GetDeviceInfo(desc->device, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL);
    if (code)
        return wane_fail_native(context, WANE_ERROR_DRIVER, code, "clGetDeviceInfo answered %s",
                                opencl_error_name(code));

    char id[32];
    snprintf(id, sizeof id, "opencl:host%u", (unsigned)context->wrapped_count);
    opencl_device *native = opencl_device_new(context, state);
    wane_device *device = native ? wane_device_add(context, &wane_backend_opencl, id) : NULL;
    if (!device) return wane_no_memory(context); // native, still empty, goes with the state
    context->wrapped_count++;
    device->native = native;
    device->hidden = true;
    device->wrapped = true;
    native->out_of_order = out_of_order;
    retain(native, desc);
    opencl_device_describe(device, native, platform);
    *out = device;
    return WANE_OK;
}

wane_status wane_device_wrap_opencl(wane_context *context, const wane_opencl_device_desc *desc, wane_device **out)
{
    if (out) *out = NULL;
    if (!context) return WANE_ERROR_NULL_ARGUMENT;
    if (!desc) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "desc", "must not be NULL");
    if (!out) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "out", "must not be NULL");
    wane_opencl_device_desc known = {0};
    wane_status status = wane_struct_check(context, desc, sizeof known, sizeof known, "wane_opencl_device_desc");
    if (status) return status;
    memcpy(&known, desc, sizeof known);
    if (!known.context || !known.device)
        return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, known.context ? "device" : "context", "must not be NULL");
    for (int i = 0; i < 4; i++)
        if (known.reserved[i]) return wane_fail(context, WANE_ERROR_FLAGS, "reserved", "must be zero");
    wane_device *device = NULL;
    wane_mutex_lock(context->lock);
    status = wrap(context, &known, &device);
    wane_mutex_unlock(context->lock);
    if (status) return status;
    status = wane_device_require(device);
    if (status == WANE_OK) *out = device;
    else wane_device_remove(device);
    return status;
}

// ---- buffers ------------------------------------------------------------------------------------------------------

// That a handle is a buffer of the device's context, of at least `bytes`.
static wane_status check_memory(wane_device *device, cl_mem memory, uint64_t bytes, const char *name)
{
    const opencl_api *cl = opencl_calls(device);
    cl_context owner = NULL;
    cl_mem_object_type type = 0;
    size_t size = 0;
    cl_int code = cl->GetMemObjectInfo(memory, CL_MEM_CONTEXT, sizeof owner, &owner, NULL);
    if (!code) code = cl->GetMemObjectInfo(memory, CL_MEM_TYPE, sizeof type, &type, NULL);
    if (!code) code = cl->GetMemObjectInfo(memory, CL_MEM_SIZE, sizeof size, &size, NULL);
    if (code)
        return wane_fail_native(device->context, WANE_ERROR_MISMATCH, code,
                                "%s: clGetMemObjectInfo answered %s: is it a cl_mem?", name, opencl_error_name(code));
    if (owner != opencl_of(device)->context || type != CL_MEM_OBJECT_BUFFER)
        return wane_fail(device->context, WANE_ERROR_MISMATCH, name, "is no buffer of the device's cl_context");
    if (bytes > size)
        return wane_fail(device->context, WANE_ERROR_BOUNDS, name,
                         "is said to have %llu bytes, and its cl_mem has %llu", (unsigned long long)bytes,
                         (unsigned long long)size);
    return WANE_OK;
}

wane_status wane_buffer_import_opencl(wane_device *device, struct _cl_mem *memory, uint64_t bytes, wane_buffer **out)
{
    if (out) *out = NULL;
    if (!device) return WANE_ERROR_NULL_ARGUMENT;
    wane_context *context = device->context;
    if (!out) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "out", "must not be NULL");
    if (!memory) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "memory", "must not be NULL");
    if (device->backend != &wane_backend_opencl)
        return wane_fail(context, WANE_ERROR_MISMATCH, "device", "%s is no OpenCL device", device->id);
    wane_status status = wane_device_require(device);
    if (status == WANE_OK) status = check_memory(device, memory, bytes, "memory");
    if (status) return status;
    if (bytes % 4)
        return wane_fail(context, WANE_ERROR_ALIGNMENT, "bytes", "%llu is no multiple of 4", (unsigned long long)bytes);
    status = wane_buffer_make(device, bytes, out);
    if (status == WANE_OK) (*out)->native[0] = (uint64_t)(uintptr_t)memory;
    return status;
}

// ---- enqueue ------------------------------------------------------------------------------------------------------

static wane_status check_objects(const wane_executable *executable, const wane_recorder *recorder)
{
    if (executable->device->backend != &wane_backend_opencl)
        return wane_fail(executable->context, WANE_ERROR_MISMATCH, "executable", "is of %s, not of OpenCL",
                         executable->device->id);
    if (!recorder) return wane_fail(executable->context, WANE_ERROR_NULL_ARGUMENT, "recorder", "must not be NULL");
    if (recorder->device != executable->device)
        return wane_fail(executable->context, WANE_ERROR_MISMATCH, "recorder", "is of another device");
    return wane_device_check(executable->device);
}

// Native handles are checked here, since core knows only their sizes as they were told.
static wane_status check_natives(const wane_executable *executable, const wane_buffer *temporary,
                                 const wane_range *operands, const wane_range *workspace)
{
    const wane_plan *plan = executable->plan;
    wane_status status = WANE_OK;
    for (uint32_t i = 0; i <= plan->operand_count && status == WANE_OK; i++) {
        const wane_range *range = i < plan->operand_count ? &operands[i] : workspace;
        const char *name = i < plan->operand_count ? plan->operands[i].role->name : "workspace";
        if (range->buffer >= temporary && range->buffer <= temporary + WANE_MAX_OPERANDS)
            status = check_memory(executable->device, (cl_mem)(uintptr_t)range->buffer->native[0], range->buffer->bytes,
                                  name);
    }
    return status;
}

wane_status wane_enqueue_opencl(wane_executable *executable, wane_recorder *recorder, const wane_args *args,
                                struct _cl_command_queue *queue, uint32_t wait_count,
                                struct _cl_event *const *wait_list, struct _cl_event **event)
{
    if (!executable) return WANE_ERROR_NULL_ARGUMENT;
    wane_device *device = executable->device;
    wane_status status = check_objects(executable, recorder);
    if (status) return status;
    if (!queue) return wane_fail(executable->context, WANE_ERROR_NULL_ARGUMENT, "queue", "must not be NULL");
    if (wait_count && !wait_list)
        return wane_fail(executable->context, WANE_ERROR_NULL_ARGUMENT, "wait_list", "is NULL, and wait_count is %u",
                         wait_count);
    for (uint32_t i = 0; i < wait_count; i++)
        if (!wait_list[i])
            return wane_fail(executable->context, WANE_ERROR_NULL_ARGUMENT, "wait_list", "its event %u is NULL", i);
    opencl_target target = {queue, false, wait_count, wait_count ? wait_list : NULL, event};
    status = check_queue(executable->context, opencl_calls(device), queue, opencl_of(device)->context,
                         opencl_of(device)->id, &target.out_of_order);
    if (status) return status;
    wane_buffer temporary[WANE_MAX_OPERANDS + 1];
    wane_range operands[WANE_MAX_OPERANDS], workspace;
    memset(operands, 0, sizeof operands);
    status = wane_args_resolve(executable, args, false, temporary, operands, &workspace);
    if (status == WANE_OK && !workspace.buffer)
        status = wane_fail(executable->context, WANE_ERROR_MISSING_OPERAND, "workspace", "must be given: %llu bytes",
                           (unsigned long long)executable->plan->workspace_bytes);
    if (status == WANE_OK) status = check_natives(executable, temporary, operands, &workspace);
    if (status == WANE_OK) status = wane_recorder_take(recorder, executable);
    if (status) return status;
    return opencl_enqueue(device, executable->plan, executable->program, recorder->native, operands, &workspace,
                          &target);
}
