// engine_opencl.c - wane inside an engine that owns its OpenCL context. A step is three pieces of work on the engine's
// out-of-order queue, tied together by events: a kernel of the engine makes logits, wane makes loss and gradient, a
// kernel of the engine takes the step. The host waits once, at the end. wane flushes nothing and waits for nothing.
#include "engine_check.h"

#include <stdlib.h>

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <wane/wane_opencl.h>

static void must(long code, const char *what)
{
    if (code == 0) return;
    fprintf(stderr, "%s: %ld\n", what, code);
    exit(1);
}
#define MUST(call) must((long)(call), #call)

static void hear(void *user, const wane_log_record *record)
{
    (void)user;
    fprintf(stderr, "wane: %s: %s\n", record->operand ? record->operand : "-", record->text);
}

// ---- the engine: yours has all of this already ----------------------------------------------------------------------

static const char *const pass_text =
    "__kernel void axpby(float a, __global const float *x, float b, __global float *y)\n"
    "{ size_t i = get_global_id(0); y[i] = a * x[i] + (b == 0 ? 0 : b * y[i]); }\n";
static cl_device_id id;
static cl_context engine;
static cl_command_queue queue;
static cl_program program;
static cl_kernel kernel;

static int open_device(void)
{
    cl_platform_id platform;
    cl_int code;
    if (clGetPlatformIDs(1, &platform, NULL) || clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &id, NULL)) return 0;
    engine = clCreateContext(NULL, 1, &id, NULL, NULL, &code);
    MUST(code);
    queue = clCreateCommandQueue(engine, id, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    MUST(code);
    program = clCreateProgramWithSource(engine, 1, (const char **)&pass_text, NULL, &code);
    MUST(code);
    MUST(clBuildProgram(program, 1, &id, "", NULL, NULL));
    kernel = clCreateKernel(program, "axpby", &code);
    MUST(code);
    return 1;
}

static cl_mem make_buffer(size_t bytes, void *data)
{
    cl_int code;
    cl_mem made = clCreateBuffer(engine, CL_MEM_READ_WRITE | (data ? CL_MEM_COPY_HOST_PTR : 0), bytes, data, &code);
    MUST(code);
    return made;
}

// y = a * x + b * y, behind *behind, which becomes the event of its end.
static void enqueue_pass(float a, cl_mem x, float b, cl_mem y, cl_event *behind)
{
    const size_t cells = CELLS;
    cl_event done;
    MUST(clSetKernelArg(kernel, 0, sizeof a, &a));
    MUST(clSetKernelArg(kernel, 1, sizeof x, &x));
    MUST(clSetKernelArg(kernel, 2, sizeof b, &b));
    MUST(clSetKernelArg(kernel, 3, sizeof y, &y));
    MUST(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &cells, NULL, *behind != NULL, *behind ? behind : NULL, &done));
    if (*behind) MUST(clReleaseEvent(*behind));
    *behind = done;
}

// ---- wane in it ---------------------------------------------------------------------------------------------

#define OPERAND(r, type, ...) {.struct_size = sizeof(wane_operand), .role = r, \
    .tensor = {.struct_size = sizeof(wane_tensor), .dtype = type, __VA_ARGS__}}
#define MEMORY(r, memory, size) {.struct_size = sizeof(wane_binding), .role = r, \
    .native = (uint64_t)(uintptr_t)(memory), .bytes = size}

int main(void)
{
    if (!open_device()) {
        printf("no OpenCL device: skipped\n");
        return 77;
    }
    wane_context *context;
    wane_device *wrapped;
    wane_plan *plan;
    wane_executable *executable;
    wane_recorder *recorder;               // of one thread; OpenCL copies what it holds when work is enqueued
    MUST(wane_context_create(&(wane_context_desc){.struct_size = sizeof(wane_context_desc), .log = hear}, &context));
    MUST(wane_device_wrap_opencl(context, &(wane_opencl_device_desc){.struct_size = sizeof(wane_opencl_device_desc),
        .context = engine, .device = id}, &wrapped));
    const wane_operand operands[] = {
        OPERAND(WANE_ROLE_LOGITS, WANE_DTYPE_F32, .rank = 2, .extents = {ROWS, COLS}),
        OPERAND(WANE_ROLE_TARGET, WANE_DTYPE_I32, .rank = 1, .extents = {ROWS}),
        OPERAND(WANE_ROLE_LOSS, WANE_DTYPE_F32, .rank = 0),
        OPERAND(WANE_ROLE_GRAD_LOGITS, WANE_DTYPE_F32, .rank = 2, .extents = {ROWS, COLS})};
    MUST(wane_plan_create(wrapped, &(wane_loss_desc){.struct_size = sizeof(wane_loss_desc),
        .loss = WANE_LOSS_CROSS_ENTROPY, .operands = operands, .operand_count = 4}, &plan));
    wane_plan_info info = {.struct_size = sizeof info};
    MUST(wane_plan_get_info(plan, &info));
    MUST(wane_executable_create(plan, &executable));
    MUST(wane_recorder_create(&executable, 1, 0, &recorder));

    static float w[CELLS], losses[STEPS];
    static int32_t target[ROWS];
    engine_start(w, target);
    cl_mem at_w = make_buffer(sizeof w, w), at_z = make_buffer(sizeof w, NULL), at_grad = make_buffer(sizeof w, NULL);
    cl_mem at_target = make_buffer(sizeof target, target), at_losses = make_buffer(sizeof losses, NULL);
    cl_mem workspace = make_buffer(info.workspace_bytes, NULL);
    wane_binding bindings[] = {MEMORY(WANE_ROLE_LOGITS, at_z, sizeof w),
                               MEMORY(WANE_ROLE_TARGET, at_target, sizeof target),
                               MEMORY(WANE_ROLE_LOSS, at_losses, sizeof losses),
                               MEMORY(WANE_ROLE_GRAD_LOGITS, at_grad, sizeof w)};
    const wane_args args = {.struct_size = sizeof args, .bindings = bindings, .binding_count = 4,
                            .workspace = MEMORY(WANE_ROLE_NONE, workspace, info.workspace_bytes)};
    cl_event behind = NULL;                // the end of what was enqueued so far
    for (int step = 0; step < STEPS; step++) {
        enqueue_pass(2, at_w, 0, at_z, &behind);                           // z = 2 w
        cl_event done;
        bindings[2].byte_offset = 4 * (uint64_t)step;                      // each step's loss has a place of its own
        MUST(wane_recorder_reset(recorder));
        MUST(wane_enqueue_opencl(executable, recorder, &args, queue, 1, &behind, &done));
        MUST(clReleaseEvent(behind));
        behind = done;
        enqueue_pass(-2 * RATE, at_grad, 1, at_w, &behind);                // w = w - RATE * 2 * grad
        if (step % 16 == 15) MUST(clFlush(queue));
    }
    MUST(clEnqueueReadBuffer(queue, at_w, CL_TRUE, 0, sizeof w, w, 1, &behind, NULL));
    MUST(clEnqueueReadBuffer(queue, at_losses, CL_TRUE, 0, sizeof losses, losses, 1, &behind, NULL));
    MUST(clReleaseEvent(behind));
    int code = engine_check("OpenCL engine", w, losses);

    wane_recorder_destroy(recorder);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    wane_context_destroy(context);
    cl_mem all[] = {at_w, at_z, at_grad, at_target, at_losses, workspace};
    for (int i = 0; i < 6; i++) clReleaseMemObject(all[i]);
    clReleaseKernel(kernel);
    clReleaseProgram(program);
    clReleaseCommandQueue(queue);
    clReleaseContext(engine);
    return code;
}
