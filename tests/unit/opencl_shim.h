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

// ---- the shim: which calls there are says opencl_calls.def --------------------------------------------------------

enum { SHIM_ASK, SHIM_MAKE, SHIM_DO, SHIM_WAIT, SHIM_HINT, SHIM_END, SHIM_KINDS };

// A call that can fail, in the order of a life.
typedef struct shim_site {
    const char *name;
    int kind;
    const int32_t *codes;
    uint32_t code_count;
} shim_site;

enum { SHIM_SITES = 4096 };

static struct {
    void *library;
    atomic_uint calls;                     // fallible calls so far
    uint32_t fail_at;                      // 0: none; counted from 1
    uint32_t fail_again;                   // 0, or from this call on all fail
    cl_int fail_with;
    const char *failed;                    // the last call that was made to fail
    const char *fail_name;                 // NULL, or the only call that fails
    int lost;                              // a call has said that the device is gone
    const char *late;                      // a call that came after it, and releases nothing
    shim_site *sites;                      // NULL, or gets the first SHIM_SITES fallible calls
    atomic_uint kinds[SHIM_KINDS];         // calls of each kind
    atomic_uint builds, sources, binaries, enqueued, events, made;
    uint32_t group_limit;
    atomic_int live;                       // objects made or retained, and not released
    cl_device_info lie;                    // what GetDeviceInfo answers falsely: `answer` as number, or `words`
    cl_ulong answer;
    const char *words;
    const char *platform;                  // the name that platforms give, unless NULL
} shim;

typedef void(CL_CALLBACK *shim_notify)(const char *, const void *, size_t, void *);
typedef void(CL_CALLBACK *shim_built)(cl_program, void *);

static void *real(const char *name) { return dlsym(shim.library, name); }
#define REAL(name) (*(__typeof__(&cl##name))(uintptr_t)real("cl" #name))

static void shim_see(int kind, const char *name)
{
    shim.kinds[kind]++;
    if (shim.lost && kind != SHIM_END && !shim.late) shim.late = name;
}

static bool fails(int kind, const char *name, const int32_t *codes, uint32_t code_count)
{
    shim_see(kind, name);
    uint32_t call = ++shim.calls;
    if (shim.sites && call <= SHIM_SITES) shim.sites[call - 1] = (shim_site){name, kind, codes, code_count};
    bool hit = shim.fail_name ? strcmp(shim.fail_name, name) == 0
                              : call == shim.fail_at || (shim.fail_again && call >= shim.fail_again);
    if (!hit) return false;
    shim.failed = name;
    shim.lost = shim.lost || shim.fail_with == CL_DEVICE_NOT_AVAILABLE || shim.fail_with == -9999;
    return true;
}

static void shim_lie(cl_device_info what, size_t bytes, void *out)
{
    if (!out || !shim.lie || what != shim.lie) return;
    if (shim.words) snprintf(out, bytes, "%s", shim.words);
    else memcpy(out, &shim.answer, bytes < 8 ? bytes : 8);
}

static void shim_rename(cl_platform_info what, size_t bytes, void *out)
{
    if (out && shim.platform && what == CL_PLATFORM_NAME) snprintf(out, bytes, "%s", shim.platform);
}

static void shim_count_kernel(bool event)
{
    shim.enqueued++;
    shim.events += event;
}

// As a driver does whose compiler needs more registers than a full group has.
static void shim_limit_group(cl_kernel_work_group_info what, void *out)
{
    size_t limit = shim.group_limit;
    if (limit && what == CL_KERNEL_WORK_GROUP_SIZE) memcpy(out, &limit, sizeof limit);
}

#define OPENCL_CALL(kind, name, parameters, arguments, after, ...)                                                     \
    static cl_int CL_API_CALL shim_##name parameters                                                                   \
    {                                                                                                                  \
        static const int32_t codes[] = {__VA_ARGS__};                                                                  \
        cl_int code = CL_SUCCESS;                                                                                      \
        /* a wait that fails has waited all the same: the driver under the shim is alive and works on */               \
        if (SHIM_##kind == SHIM_WAIT) code = REAL(name) arguments;                                                     \
        if (fails(SHIM_##kind, "cl" #name, codes, sizeof codes / sizeof *codes)) return shim.fail_with;                \
        if (SHIM_##kind != SHIM_WAIT) code = REAL(name) arguments;                                                     \
        if (code == CL_SUCCESS) {                                                                                      \
            after;                                                                                                     \
        }                                                                                                              \
        return code;                                                                                                   \
    }
#define OPENCL_MAKE(kind, type, name, parameters, arguments, after, ...)                                                     \
    static type CL_API_CALL shim_##name parameters                                                                     \
    {                                                                                                                  \
        static const int32_t codes[] = {__VA_ARGS__};                                                                  \
        if (fails(SHIM_##kind, "cl" #name, codes, sizeof codes / sizeof *codes)) {                                       \
            *error = shim.fail_with;                                                                                   \
            return NULL;                                                                                               \
        }                                                                                                              \
        type object = REAL(name) arguments;                                                                            \
        shim.live += object != NULL;                                                                                   \
        shim.made++;                                                                                                   \
        after;                                                                                                         \
        return object;                                                                                                 \
    }
#define OPENCL_COUNT(kind, name, type, change)                                                                         \
    static cl_int CL_API_CALL shim_##name(type object)                                                                 \
    {                                                                                                                  \
        shim_see(SHIM_##kind, "cl" #name);                                                                             \
        shim.live += change;                                                                                           \
        return REAL(name)(object);                                                                                     \
    }
#include "opencl_calls.def"

static void *resolve(void *user, const char *name)
{
    (void)user;
#define SHIM(f) \
    if (strcmp(name, "cl" #f) == 0) return (void *)(uintptr_t)shim_##f;
#define OPENCL_CALL(kind, f, parameters, arguments, after, ...) SHIM(f)
#define OPENCL_MAKE(kind, type, f, parameters, arguments, after, ...) SHIM(f)
#define OPENCL_COUNT(kind, f, type, change) SHIM(f)
#include "opencl_calls.def"
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

static inline int before_each(void **state)
{
    (void)state;
    reset_shim();
    test_log_clear(&messages);
    return 0;
}

// ---- contexts and problems ------------------------------------------------------------------------------------------

static test_memory *memory_in_use;         // NULL: the C library's

static inline wane_context *open_context(const wane_cache *cache)
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
static inline void make_problem(test_problem *p, wane_context *context, int64_t rows, int64_t cols)
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

static inline wane_status run_problem(wane_device *device, const test_problem *p)
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

static inline bool have_device(void)
{
    shim.library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!shim.library) return false;
    cl_platform_id platform;
    cl_uint count = 0;
    return REAL(GetPlatformIDs)(1, &platform, NULL) == CL_SUCCESS
           && REAL(GetDeviceIDs)(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count) == CL_SUCCESS && count > 0;
}

#endif
