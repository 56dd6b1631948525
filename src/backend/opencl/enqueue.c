// enqueue.c - a recorder's kernel objects, and the passes of a plan enqueued with them.
//
// An in-order queue needs nothing between passes. On an out-of-order one a barrier stands before each pass that does
// not go with the previous one. Enqueuing makes no object but the event that the caller asks for; it allocates nothing.
#include "backend/opencl/opencl.h"

#include <stdio.h>

// ---- recorders ----------------------------------------------------------------------------------------------------

static cl_kernel kernel_of(const opencl_recorder *recorder, const opencl_variant *variant)
{
    for (uint32_t i = 0; i < recorder->count; i++)
        if (recorder->kernels[i].variant == variant) return recorder->kernels[i].kernel;
    return NULL;
}

wane_status opencl_recorder_create(wane_device *device, const wane_plan *const *plans, void *const *programs,
                                   uint32_t count, uint32_t dispatch_capacity, void **out)
{
    (void)plans;
    (void)dispatch_capacity; // arguments are copied when a pass is enqueued
    opencl_device *native = opencl_of(device);
    wane_mutex_lock(native->lock);
    uint32_t most = native->variant_count;
    wane_mutex_unlock(native->lock);
    opencl_recorder *recorder = wane_alloc(device->context, sizeof *recorder + most * sizeof *recorder->kernels);
    if (!recorder) return wane_no_memory(device->context);
    for (uint32_t p = 0; p < count; p++) {
        const opencl_program *program = programs[p];
        for (uint32_t i = 0; i < program->count; i++) {
            const opencl_variant *variant = program->variants[i];
            if (kernel_of(recorder, variant)) continue;
            char name[64];
            cl_int code = CL_SUCCESS;
            snprintf(name, sizeof name, "wane_%s", wane_kernels[variant->kernel].name);
            cl_kernel kernel = opencl_calls(device)->CreateKernel(variant->program, name, &code);
            wane_status status = opencl_check(device, code, "clCreateKernel", WANE_ERROR_DRIVER);
            if (status) {
                opencl_recorder_destroy(device, recorder);
                return status;
            }
            recorder->kernels[recorder->count++] = (opencl_kernel){variant, kernel};
        }
    }
    *out = recorder;
    return WANE_OK;
}

// Kernels take their arguments when they are enqueued: there is nothing to rewind, and nothing to wait for.
wane_status opencl_recorder_reset(wane_device *device, void *recorder)
{
    (void)device;
    (void)recorder;
    return WANE_OK;
}

void opencl_recorder_destroy(wane_device *device, void *data)
{
    opencl_recorder *recorder = data;
    if (!recorder) return;
    for (uint32_t i = 0; i < recorder->count; i++) opencl_calls(device)->ReleaseKernel(recorder->kernels[i].kernel);
    wane_free(device->context, recorder);
}

// ---- passes -------------------------------------------------------------------------------------------------------

typedef struct grid {
    uint32_t x, y;
} grid;

// Groups of a pass in one dimension, or in two of about equal waste.
static grid make_grid(const wane_pass *pass, uint32_t lanes)
{
    uint64_t groups = wane_kernels[pass->kernel].per_lane ? ((uint64_t)pass->items + lanes - 1) / lanes : pass->items;
    uint64_t y = (groups + OPENCL_GRID_WIDTH - 1) / OPENCL_GRID_WIDTH;
    uint64_t x = (groups + y - 1) / y;
    return (grid){(uint32_t)x, (uint32_t)y};
}

// Buffer and offset in halves of each slot; the first error of a call, CL_SUCCESS if there is none.
static cl_int set_slots(wane_device *device, cl_kernel kernel, const wane_pass *pass, const wane_range *operands,
                        const wane_range *workspace)
{
    const opencl_api *cl = opencl_calls(device);
    const uint32_t count = wane_kernels[pass->kernel].slot_count;
    cl_ulong offsets[WANE_MAX_SLOTS] = {0};
    for (uint32_t i = 0; i < count; i++) {
        const wane_slot *slot = &pass->slots[i];
        const wane_range *range =
            slot->operand == WANE_SLOT_WORKSPACE ? workspace : &operands[slot->operand < 0 ? 0 : slot->operand];
        cl_mem memory = opencl_of(device)->nothing;
        if (slot->operand != WANE_SLOT_NONE && range->buffer) {
            memory = (cl_mem)(uintptr_t)range->buffer->native[0];
            offsets[i] = (range->byte_offset + (uint64_t)slot->byte_offset + slot->origin_bytes) / 2;
        }
        cl_int code = cl->SetKernelArg(kernel, i, sizeof memory, &memory);
        if (code) return code;
    }
    return cl->SetKernelArg(kernel, count, count * sizeof *offsets, offsets);
}

static cl_int set_values(wane_device *device, cl_kernel kernel, const opencl_program *program, const wane_pass *pass,
                         uint32_t grid_x)
{
    const opencl_api *cl = opencl_calls(device);
    const wane_kernel_info *info = &wane_kernels[pass->kernel];
    uint32_t window[WANE_MAX_WINDOW];
    memcpy(window, pass->window, sizeof window);
    window[1] = grid_x;
    cl_int code = cl->SetKernelArg(kernel, info->slot_count + 1u, sizeof(cl_mem), &program->records[pass->record]);
    return code ? code : cl->SetKernelArg(kernel, info->slot_count + 2u, info->window_words * 4u, window);
}

static wane_status enqueue_pass(wane_device *device, const opencl_program *program, const wane_pass *pass,
                                const opencl_kernel *object, const wane_range *operands, const wane_range *workspace,
                                const opencl_target *target)
{
    const opencl_api *cl = opencl_calls(device);
    grid g = make_grid(pass, object->variant->lanes);
    const char *call = "clSetKernelArg";
    cl_int code = set_slots(device, object->kernel, pass, operands, workspace);
    if (!code) code = set_values(device, object->kernel, program, pass, g.x);
    if (!code) {
        size_t local[2] = {object->variant->lanes, 1};
        size_t global[2] = {(size_t)g.x * local[0], g.y};
        call = "clEnqueueNDRangeKernel";
        code = cl->EnqueueNDRangeKernel(target->queue, object->kernel, g.y > 1 ? 2 : 1, NULL, global, local,
                                        target->wait_count, target->wait_list, target->event);
    }
    return opencl_check(device, code, call, WANE_ERROR_SUBMIT);
}

// What begins the work: on an out-of-order queue a barrier for the caller's events; in order the first pass waits.
static wane_status begin(wane_device *device, const opencl_target *target)
{
    if (!target->out_of_order || !target->wait_count) return WANE_OK;
    cl_int code =
        opencl_calls(device)->EnqueueBarrierWithWaitList(target->queue, target->wait_count, target->wait_list, NULL);
    return opencl_check(device, code, "clEnqueueBarrierWithWaitList", WANE_ERROR_SUBMIT);
}

wane_status opencl_enqueue(wane_device *device, const wane_plan *plan, const opencl_program *program,
                           const opencl_recorder *recorder, const wane_range *operands, const wane_range *workspace,
                           const opencl_target *target)
{
    const opencl_api *cl = opencl_calls(device);
    wane_status status = begin(device, target);
    // the end of the last pass is the end of all, unless others run beside it
    bool marker = plan->pass_count == 0
                  || (target->out_of_order && plan->passes[plan->pass_count - 1].flags & WANE_PASS_WITH_PREVIOUS);
    for (uint32_t i = 0; i < plan->pass_count && status == WANE_OK; i++) {
        const wane_pass *pass = &plan->passes[i];
        opencl_kernel object = {program->variants[i], kernel_of(recorder, program->variants[i])};
        opencl_target each = {target->queue, target->out_of_order, 0, NULL, NULL};
        if (!object.kernel)
            return wane_fail(device->context, WANE_ERROR_CAPACITY, "recorder", "was not made for this executable");
        if (i == 0 && !target->out_of_order) {
            each.wait_count = target->wait_count;
            each.wait_list = target->wait_list;
        }
        if (i == plan->pass_count - 1 && !marker) each.event = target->event;
        if (i && target->out_of_order && !(pass->flags & WANE_PASS_WITH_PREVIOUS))
            status = opencl_check(device, cl->EnqueueBarrierWithWaitList(target->queue, 0, NULL, NULL),
                                  "clEnqueueBarrierWithWaitList", WANE_ERROR_SUBMIT);
        if (status == WANE_OK) status = enqueue_pass(device, program, pass, &object, operands, workspace, &each);
    }
    if (status || !marker || !target->event) return status;
    bool waits = plan->pass_count == 0;
    return opencl_check(device,
                        cl->EnqueueMarkerWithWaitList(target->queue, waits ? target->wait_count : 0,
                                                      waits ? target->wait_list : NULL, target->event),
                        "clEnqueueMarkerWithWaitList", WANE_ERROR_SUBMIT);
}

// ---- run ----------------------------------------------------------------------------------------------------------

wane_status opencl_run(wane_device *device, const wane_plan *plan, void *program, void *recorder,
                       const wane_range *operands, const wane_range *workspace)
{
    wane_status status = wane_device_check(device);
    if (status || plan->pass_count == 0) return status;
    const opencl_api *cl = opencl_calls(device);
    opencl_device *native = opencl_of(device);
    cl_event done = NULL;
    opencl_target target = {native->queue, native->out_of_order, 0, NULL, &done};
    if (native->out_of_order) // a host's queue: what the host enqueued before comes first
        status = opencl_check(device, cl->EnqueueBarrierWithWaitList(native->queue, 0, NULL, NULL),
                              "clEnqueueBarrierWithWaitList", WANE_ERROR_SUBMIT);
    if (status == WANE_OK) status = opencl_enqueue(device, plan, program, recorder, operands, workspace, &target);
    // also after a failure, so that nothing works on the caller's memory any more; a lost device works on nothing
    cl_int code = wane_device_check(device) ? CL_SUCCESS : cl->Finish(native->queue), state = CL_COMPLETE;
    if (status == WANE_OK) status = opencl_check(device, code, "clFinish", WANE_ERROR_SUBMIT);
    if (status == WANE_OK && done)
        code = cl->GetEventInfo(done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    if (status == WANE_OK && (code || state < 0))
        status = opencl_check(device, code ? code : state, "the execution of kernels", WANE_ERROR_SUBMIT);
    if (done) cl->ReleaseEvent(done);
    return status;
}
