// opencl.h - what the parts of the OpenCL backend share. Nothing outside this folder includes it.
//
// No global state: the driver's functions live in the backend's state of a context, compiled programs in the device.
#ifndef WANE_BACKEND_OPENCL_OPENCL_H
#define WANE_BACKEND_OPENCL_OPENCL_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "core/core.h"

enum {
    OPENCL_VIRTUAL_LANES = 128,             // lanes that a kernel is written for; a smaller group runs several each
    OPENCL_GRID_WIDTH    = 65535,           // groups of one dimension; more make a second one
    OPENCL_SLOT_BYTES    = 256              // of the buffer that stands where a pass binds nothing
};

enum {                                      // workarounds: quirks.c
    OPENCL_QUIRK_LONE_ITEMS  = 1,           // groups of one work item
    OPENCL_QUIRK_NO_BINARIES = 2,           // never ask for a program's binary
    OPENCL_QUIRK_WRONG       = 4            // its results cannot be trusted: refused
};

// ---- functions ----------------------------------------------------------------------------------------------------

#define OPENCL_FUNCTIONS(F)                                                                                           \
    F(GetPlatformIDs) F(GetPlatformInfo) F(GetDeviceIDs) F(GetDeviceInfo) F(RetainDevice) F(ReleaseDevice)            \
    F(CreateContext) F(RetainContext) F(ReleaseContext) F(GetContextInfo)                                             \
    F(CreateCommandQueue) F(RetainCommandQueue) F(ReleaseCommandQueue) F(GetCommandQueueInfo)                         \
    F(CreateBuffer) F(ReleaseMemObject) F(GetMemObjectInfo) F(EnqueueReadBuffer) F(EnqueueWriteBuffer)                \
    F(CreateProgramWithSource) F(CreateProgramWithBinary) F(ReleaseProgram) F(BuildProgram)                           \
    F(GetProgramInfo) F(GetProgramBuildInfo)                                                                          \
    F(CreateKernel) F(ReleaseKernel) F(SetKernelArg) F(GetKernelWorkGroupInfo)                                        \
    F(EnqueueNDRangeKernel) F(EnqueueMarkerWithWaitList) F(EnqueueBarrierWithWaitList)                                \
    F(GetEventInfo) F(ReleaseEvent) F(Finish)

#define OPENCL_MEMBER(name) __typeof__(&cl##name) name;
typedef struct opencl_api { OPENCL_FUNCTIONS(OPENCL_MEMBER) } opencl_api;
#undef OPENCL_MEMBER

// ---- objects ------------------------------------------------------------------------------------------------------

typedef struct opencl_device opencl_device;

// The backend's state of a context.
typedef struct opencl_state {
    opencl_api api;
    uint32_t listed;                        // devices that discovery has added
    opencl_device *devices;                 // all of them, listed and wrapped
} opencl_state;

// A kernel compiled with its constants for one group size. Made once a device, immutable from then on.
typedef struct opencl_variant {
    struct opencl_variant *next;
    uint16_t kernel;
    uint32_t consts[WANE_MAX_CONSTS];
    uint32_t lanes;
    cl_program program;
} opencl_variant;

struct opencl_device {
    opencl_device *next;
    opencl_state *state;
    cl_device_id id;
    cl_context context;                     // own, or the host's, retained
    cl_command_queue queue;                 // the same; for run, read and write
    bool out_of_order;                      // that queue's
    cl_mem nothing;                         // bound where a pass binds nothing
    uint32_t lanes;                         // of a group, unless a kernel needs a smaller one
    uint32_t quirks;
    bool wide;                              // 64-bit addresses
    bool exact_division;                    // can round divisions correctly
    size_t parameter_bytes;                 // what the arguments of a kernel may take
    wane_mutex *lock;                       // of variants
    opencl_variant *variants;
    uint32_t variant_count;
};

// An executable's programs: the variant of each pass; and the plan's records in constant memory, since the arguments of a
// kernel may have no more than 256 bytes on small devices.
typedef struct opencl_program {
    uint32_t count, record_count;
    cl_mem *records;
    const opencl_variant *variants[];
} opencl_program;

// A recorder's own kernel objects: two threads that set the arguments of one would mix them up.
typedef struct opencl_kernel {
    const opencl_variant *variant;
    cl_kernel kernel;
} opencl_kernel;

typedef struct opencl_recorder {
    uint32_t count;
    opencl_kernel kernels[];
} opencl_recorder;

// Where and how work is enqueued.
typedef struct opencl_target {
    cl_command_queue queue;
    bool out_of_order;
    cl_uint wait_count;
    const cl_event *wait_list;
    cl_event *event;                        // NULL, or gets the event of the end of the work
} opencl_target;

extern const wane_backend wane_backend_opencl;

// loader.c
wane_status opencl_load(wane_context *context, opencl_state **out);      // *out stays NULL where there is no driver
opencl_device *opencl_device_new(wane_context *context, opencl_state *state);
void opencl_device_release(wane_context *context, opencl_device *native);    // driver objects; may be called again
void opencl_device_end(wane_context *context, opencl_device *native);        // that, and the struct
void opencl_shutdown(wane_context *context, void *state);

// error.c
const char *opencl_error_name(cl_int code);
// WANE_OK for CL_SUCCESS; else logs the call and returns what the code means, `otherwise` if that is nothing special.
wane_status opencl_check(wane_device *device, cl_int code, const char *call, wane_status otherwise);

// device.c
void opencl_device_describe(wane_device *device, opencl_device *native, cl_platform_id platform);
wane_status opencl_device_open(wane_device *device);

// quirks.c
uint32_t opencl_quirks(const char *platform, const char *driver, cl_device_type type);

// memory.c
wane_status opencl_buffer_create(wane_buffer *buffer);
void opencl_buffer_destroy(wane_buffer *buffer);
wane_status opencl_buffer_write(wane_buffer *buffer, uint64_t byte_offset, const void *data, uint64_t bytes);
wane_status opencl_buffer_read(wane_buffer *buffer, uint64_t byte_offset, void *data, uint64_t bytes);

// program.c
wane_status opencl_program_create(wane_device *device, const wane_plan *plan, void **program);
void opencl_program_destroy(wane_device *device, void *program);

// enqueue.c
wane_status opencl_recorder_create(wane_device *device, const wane_plan *const *plans, void *const *programs,
                                   uint32_t count, uint32_t dispatch_capacity, void **recorder);
wane_status opencl_recorder_reset(wane_device *device, void *recorder);
void opencl_recorder_destroy(wane_device *device, void *recorder);
wane_status opencl_enqueue(wane_device *device, const wane_plan *plan, const opencl_program *program,
                           const opencl_recorder *recorder, const wane_range *operands, const wane_range *workspace,
                           const opencl_target *target);
wane_status opencl_run(wane_device *device, const wane_plan *plan, void *program, void *recorder,
                       const wane_range *operands, const wane_range *workspace);

static inline opencl_device *opencl_of(const wane_device *device) { return device->native; }
static inline const opencl_api *opencl_calls(const wane_device *device) { return &opencl_of(device)->state->api; }

#endif
