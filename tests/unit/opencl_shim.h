// opencl_shim.h - a shim between wane and libOpenCL that changes what devices say, makes calls fail, and counts;
// contexts that see it, and a problem for them. Each program has its own: everything is static.
#ifndef WANE_TESTS_UNIT_OPENCL_SHIM_H
#define WANE_TESTS_UNIT_OPENCL_SHIM_H

#include "support.h"

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <wane/wane_opencl.h>

#include <dlfcn.h>
#include <stdio.h>

// ---- the shim -------------------------------------------------------------------------------------------------------

static struct {
    void *library;
    uint32_t calls;                        // fallible calls so far
    uint32_t fail_at, fail_end;            // calls fail_at <= i < fail_end fail, counted from 1
    cl_int fail_with;
    const char *failed;                    // the last call that was made to fail
    const char *fail_name;                 // NULL, or the only call that fails
    uint32_t builds, binaries, enqueued, made, group_limit;
    int live;                              // objects made or retained, and not released
    cl_device_info lie;                    // what GetDeviceInfo answers falsely: `answer` as number, or `words`
    cl_ulong answer;
    const char *words;
} shim;

static void *real(const char *name) { return dlsym(shim.library, name); }

static bool fails(const char *name)
{
    shim.calls++;
    bool hit = shim.fail_name ? strcmp(shim.fail_name, name) == 0
                              : shim.calls >= shim.fail_at && shim.calls < shim.fail_end;
    if (hit) shim.failed = name;
    return hit;
}

#define REAL(name) (*(__typeof__(&cl##name))(uintptr_t)real("cl" #name))
#define FALLIBLE(name, parameters, arguments, after)                 \
    static cl_int CL_API_CALL shim_##name parameters                 \
    {                                                                \
        if (fails("cl" #name)) return shim.fail_with;                \
        cl_int code = REAL(name) arguments;                          \
        if (code == CL_SUCCESS) {                                    \
            after;                                                   \
        }                                                            \
        return code;                                                 \
    }
#define CREATES(type, name, parameters, arguments)                   \
    static type CL_API_CALL shim_##name parameters                   \
    {                                                                \
        if (fails("cl" #name)) {                                     \
            *error = shim.fail_with;                                 \
            return NULL;                                             \
        }                                                            \
        type object = REAL(name) arguments;                          \
        shim.live += object != NULL;                                 \
        shim.made++;                                                 \
        return object;                                               \
    }
#define COUNTS(name, type, change)                                   \
    static cl_int CL_API_CALL shim_##name(type object)               \
    {                                                                \
        shim.live += change;                                         \
        return REAL(name)(object);                                   \
    }

typedef void(CL_CALLBACK *context_notify)(const char *, const void *, size_t, void *);
typedef void(CL_CALLBACK *build_notify)(cl_program, void *);

FALLIBLE(GetPlatformIDs, (cl_uint n, cl_platform_id *out, cl_uint *count), (n, out, count), (void)0)
FALLIBLE(GetDeviceIDs, (cl_platform_id p, cl_device_type t, cl_uint n, cl_device_id *out, cl_uint *count),
         (p, t, n, out, count), (void)0)
CREATES(cl_context, CreateContext,
        (const cl_context_properties *p, cl_uint n, const cl_device_id *d, context_notify f, void *u, cl_int *error),
        (p, n, d, f, u, error))
CREATES(cl_command_queue, CreateCommandQueue,
        (cl_context c, cl_device_id d, cl_command_queue_properties p, cl_int *error), (c, d, p, error))
CREATES(cl_mem, CreateBuffer, (cl_context c, cl_mem_flags f, size_t n, void *h, cl_int *error), (c, f, n, h, error))
CREATES(cl_program, CreateProgramWithSource,
        (cl_context c, cl_uint n, const char **t, const size_t *l, cl_int *error), (c, n, t, l, error))
CREATES(cl_kernel, CreateKernel, (cl_program p, const char *n, cl_int *error), (p, n, error))
FALLIBLE(BuildProgram,
         (cl_program p, cl_uint n, const cl_device_id *d, const char *o, build_notify f, void *u), (p, n, d, o, f, u),
         shim.builds++)
FALLIBLE(SetKernelArg, (cl_kernel k, cl_uint i, size_t n, const void *v), (k, i, n, v), (void)0)
FALLIBLE(EnqueueWriteBuffer,
         (cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t n, const void *p, cl_uint w, const cl_event *l,
          cl_event *e),
         (q, m, b, o, n, p, w, l, e), (void)0)
FALLIBLE(EnqueueReadBuffer,
         (cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t n, void *p, cl_uint w, const cl_event *l,
          cl_event *e),
         (q, m, b, o, n, p, w, l, e), (void)0)
FALLIBLE(EnqueueNDRangeKernel,
         (cl_command_queue q, cl_kernel k, cl_uint d, const size_t *o, const size_t *g, const size_t *l, cl_uint w,
          const cl_event *list, cl_event *e),
         (q, k, d, o, g, l, w, list, e), shim.enqueued++)
FALLIBLE(EnqueueBarrierWithWaitList, (cl_command_queue q, cl_uint w, const cl_event *l, cl_event *e), (q, w, l, e),
         (void)0)
FALLIBLE(EnqueueMarkerWithWaitList, (cl_command_queue q, cl_uint w, const cl_event *l, cl_event *e), (q, w, l, e),
         (void)0)
FALLIBLE(Finish, (cl_command_queue q), (q), (void)0)
FALLIBLE(GetProgramInfo, (cl_program p, cl_program_info w, size_t n, void *v, size_t *s), (p, w, n, v, s), (void)0)
FALLIBLE(GetEventInfo, (cl_event e, cl_event_info w, size_t n, void *v, size_t *s), (e, w, n, v, s), (void)0)
COUNTS(RetainContext, cl_context, 1)
COUNTS(RetainCommandQueue, cl_command_queue, 1)
COUNTS(ReleaseContext, cl_context, -1)
COUNTS(ReleaseCommandQueue, cl_command_queue, -1)
COUNTS(ReleaseMemObject, cl_mem, -1)
COUNTS(ReleaseProgram, cl_program, -1)
COUNTS(ReleaseKernel, cl_kernel, -1)

static cl_program CL_API_CALL shim_CreateProgramWithBinary(cl_context c, cl_uint n, const cl_device_id *d,
                                                           const size_t *s, const unsigned char **b, cl_int *taken,
                                                           cl_int *error)
{
    if (fails("clCreateProgramWithBinary")) {
        *error = shim.fail_with;
        return NULL;
    }
    cl_program program = REAL(CreateProgramWithBinary)(c, n, d, s, b, taken, error);
    shim.live += program != NULL;
    shim.binaries++;
    return program;
}

static cl_int CL_API_CALL shim_GetDeviceInfo(cl_device_id d, cl_device_info what, size_t n, void *out, size_t *size)
{
    cl_int code = REAL(GetDeviceInfo)(d, what, n, out, size);
    if (code || !out || !shim.lie || what != shim.lie) return code;
    if (shim.words) snprintf(out, n, "%s", shim.words);
    else memcpy(out, &shim.answer, n < 8 ? n : 8);
    return CL_SUCCESS;
}

// As a driver does whose compiler needs more registers than a full group has.
static cl_int CL_API_CALL shim_GetKernelWorkGroupInfo(cl_kernel k, cl_device_id d, cl_kernel_work_group_info what,
                                                      size_t n, void *out, size_t *size)
{
    cl_int code = REAL(GetKernelWorkGroupInfo)(k, d, what, n, out, size);
    size_t limit = shim.group_limit;
    if (!code && limit && what == CL_KERNEL_WORK_GROUP_SIZE) memcpy(out, &limit, sizeof limit);
    return code;
}

#define SHIMS(S)                                                                                                      \
    S(GetPlatformIDs) S(GetDeviceIDs) S(CreateContext) S(CreateCommandQueue) S(CreateBuffer)                          \
    S(CreateProgramWithSource) S(CreateProgramWithBinary) S(CreateKernel) S(BuildProgram) S(SetKernelArg)             \
    S(EnqueueWriteBuffer) S(EnqueueReadBuffer) S(EnqueueNDRangeKernel) S(EnqueueBarrierWithWaitList)                  \
    S(EnqueueMarkerWithWaitList) S(Finish) S(GetProgramInfo) S(GetEventInfo) S(RetainContext) S(RetainCommandQueue)   \
    S(ReleaseContext) S(ReleaseCommandQueue) S(ReleaseMemObject) S(ReleaseProgram) S(ReleaseKernel) S(GetDeviceInfo)  \
    S(GetKernelWorkGroupInfo)

static void *resolve(void *user, const char *name)
{
    (void)user;
#define SHIM(f) \
    if (strcmp(name, "cl" #f) == 0) return (void *)(uintptr_t)shim_##f;
    SHIMS(SHIM)
#undef SHIM
    return real(name);
}

static void reset_shim(void)
{
    void *library = shim.library;
    memset(&shim, 0, sizeof shim);
    shim.library = library;
}

static test_log messages;

static int before_each(void **state)
{
    (void)state;
    reset_shim();
    test_log_clear(&messages);
    return 0;
}

// ---- contexts and problems ------------------------------------------------------------------------------------------

static test_memory *memory_in_use;         // NULL: the C library's

static wane_context *open_context(const wane_cache *cache)
{
    wane_context_desc desc = {.struct_size = sizeof desc, .backends = WANE_BACKEND_OPENCL, .thread_count = 1};
    desc.log = test_log_take;
    desc.log_user = &messages;
    desc.opencl.resolve = resolve;
    if (cache) desc.cache = *cache;
    if (memory_in_use) desc.allocator = test_allocator(memory_in_use);
    wane_context *context = NULL;
    wane_status status = wane_context_create(&desc, &context);
    if (!memory_in_use || status != WANE_ERROR_HOST_MEMORY) assert_int_equal(status, WANE_OK);
    return context;
}

// Cross-entropy with everything that is asked for often; wane_run brings its own workspace.
static void make_problem(test_problem *p, wane_context *context, int64_t rows, int64_t cols)
{
    test_problem_begin(p, context, WANE_LOSS_CROSS_ENTROPY, rows, cols);
    test_problem_param(p, WANE_PARAM_REDUCTION, WANE_REDUCTION_MEAN);
    test_problem_add_inputs(p, false);
    test_problem_add(p, WANE_ROLE_LOSS);
    test_problem_add(p, WANE_ROLE_LSE);
    test_problem_add(p, WANE_ROLE_GRAD_LOGITS);
    test_problem_memory(p, 4, TEST_PLAIN);
    memset(&p->args.workspace, 0, sizeof p->args.workspace);
}

static wane_status run_problem(wane_device *device, const test_problem *p)
{
    wane_plan *plan = NULL;
    wane_executable *executable = NULL;
    wane_status status = wane_plan_create(device, &p->desc, &plan);
    if (status == WANE_OK) status = wane_executable_create(plan, &executable);
    if (status == WANE_OK) status = wane_run(executable, NULL, &p->args);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    return status;
}

static bool have_device(void)
{
    shim.library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!shim.library) return false;
    cl_platform_id platform;
    cl_uint count = 0;
    return REAL(GetPlatformIDs)(1, &platform, NULL) == CL_SUCCESS
           && REAL(GetDeviceIDs)(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count) == CL_SUCCESS && count > 0;
}

#endif
