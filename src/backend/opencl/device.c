// device.c - finds devices, says what they can do and why they are refused, opens them.
#include "backend/opencl/opencl.h"

#include <stdio.h>

static uint64_t number(opencl_device *native, cl_device_info what)
{
    uint64_t large = 0;
    cl_uint small = 0;
    size_t size = 0;
    if (native->state->api.GetDeviceInfo(native->id, what, sizeof large, &large, &size) != CL_SUCCESS) return 0;
    if (size != sizeof small) return large;
    memcpy(&small, &large, sizeof small);
    return small;
}

static void text(opencl_device *native, cl_device_info what, char *out, size_t capacity)
{
    char answer[512] = "";
    if (native->state->api.GetDeviceInfo(native->id, what, sizeof answer, answer, NULL) != CL_SUCCESS) answer[0] = 0;
    answer[sizeof answer - 1] = 0;
    snprintf(out, capacity, "%s", answer);
}

// "OpenCL 1.2 ..." and "OpenCL C 1.2 ..." as 102; 0 if it is neither.
static unsigned version(const char *answer)
{
    unsigned major = 0, minor = 0;
    if (sscanf(answer, "OpenCL C %u.%u", &major, &minor) != 2 && sscanf(answer, "OpenCL %u.%u", &major, &minor) != 2)
        return 0;
    return major * 100 + minor;
}

static void refuse(wane_device *device, const char *reason)
{
    device->state = -1;
    snprintf(device->reason, sizeof device->reason, "%s", reason);
}

// The first thing that keeps the device from the floor, with its number.
static void check_floor(wane_device *device, opencl_device *native)
{
    char offers[128], language[128], reason[400];
    text(native, CL_DEVICE_VERSION, offers, sizeof offers);
    text(native, CL_DEVICE_OPENCL_C_VERSION, language, sizeof language);
    uint64_t local = number(native, CL_DEVICE_LOCAL_MEM_SIZE);
    if (version(offers) < 102 || version(language) < 102) {
        snprintf(reason, sizeof reason, "it offers \"%s\" with \"%s\", below OpenCL 1.2", offers, language);
        refuse(device, reason);
    } else if (!number(native, CL_DEVICE_AVAILABLE)) {
        refuse(device, "its driver says that it is not available (CL_DEVICE_AVAILABLE is 0)");
    } else if (!number(native, CL_DEVICE_COMPILER_AVAILABLE)) {
        refuse(device, "its driver has no compiler (CL_DEVICE_COMPILER_AVAILABLE is 0)");
    } else if (!number(native, CL_DEVICE_ENDIAN_LITTLE)) {
        refuse(device, "it is big-endian (CL_DEVICE_ENDIAN_LITTLE is 0)");
    } else if (local < 16384) {
        snprintf(reason, sizeof reason, "it has %llu bytes of local memory, and 16384 are needed",
                 (unsigned long long)local);
        refuse(device, reason);
    } else if (native->parameter_bytes < 256) {
        snprintf(reason, sizeof reason, "its kernels take %zu bytes of arguments, and 256 are needed",
                 native->parameter_bytes);
        refuse(device, reason);
    }
}

static void describe_limits(wane_device *device, opencl_device *native, cl_device_type type)
{
    const uint64_t largest_window = 1ull << 33;             // 2^31 words: indices are signed
    uint64_t alloc = number(native, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    uint64_t group = number(native, CL_DEVICE_MAX_WORK_GROUP_SIZE);
    uint64_t units = number(native, CL_DEVICE_MAX_COMPUTE_UNITS);
    size_t sizes[16] = {0};
    if (native->state->api.GetDeviceInfo(native->id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof sizes, sizes, NULL)
            == CL_SUCCESS
        && sizes[0])
        group = wane_min_u64(group, sizes[0]);
    wane_limits *limits = &device->limits;
    limits->backend = WANE_BACKEND_OPENCL;
    limits->max_lanes = (uint32_t)wane_min_u64(group, 1u << 16);
    limits->shared_bytes = (uint32_t)wane_min_u64(number(native, CL_DEVICE_LOCAL_MEM_SIZE), 1u << 30);
    limits->max_window_bytes = wane_min_u64(alloc, largest_window);
    limits->max_buffer_bytes = alloc;
    limits->offset_align_bytes = 4;                         // kernels add the offset themselves
    limits->max_groups = OPENCL_GRID_WIDTH;
    // 2^22 elements take a compute unit under 50 ms even where all of them share 5 GB/s; a CPU has no watchdog
    bool cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
    limits->max_dispatch_elems = cpu ? 1ull << 40 : wane_min_u64(units ? units : 1, 256) << 22;
    bool large = group >= 256 && limits->shared_bytes >= 32768;
    limits->tier = large && alloc >= 1ull << 30 ? 2 : large && alloc >= 1ull << 29 ? 1 : 0;
    native->lanes = OPENCL_VIRTUAL_LANES;
    while (native->lanes > group && native->lanes > 1) native->lanes /= 2;
}

static void add_quirk(wane_device *device, const char *quirk)
{
    size_t used = strlen(device->quirks);
    snprintf(device->quirks + used, sizeof device->quirks - used, "%s%s", used ? "," : "", quirk);
}

void opencl_device_describe(wane_device *device, opencl_device *native, cl_platform_id platform)
{
    const opencl_api *cl = &native->state->api;
    char platform_name[64] = "", offers[96], driver[64];
    if (cl->GetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof platform_name, platform_name, NULL) != CL_SUCCESS)
        snprintf(platform_name, sizeof platform_name, "a platform without a name");
    platform_name[sizeof platform_name - 1] = 0;
    text(native, CL_DEVICE_VERSION, offers, sizeof offers);
    text(native, CL_DRIVER_VERSION, driver, sizeof driver);
    text(native, CL_DEVICE_NAME, device->name, sizeof device->name);
    snprintf(device->driver, sizeof device->driver, "%s, %s, driver %s", platform_name, offers, driver);

    cl_device_type type = number(native, CL_DEVICE_TYPE);
    device->is_hardware_gpu = (type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR)) != 0;
    describe_limits(device, native, type);
    native->wide = number(native, CL_DEVICE_ADDRESS_BITS) == 64;
    native->exact_division = (number(native, CL_DEVICE_SINGLE_FP_CONFIG) & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT) != 0;
    native->parameter_bytes = (size_t)number(native, CL_DEVICE_MAX_PARAMETER_SIZE);
    native->quirks = opencl_quirks(platform_name, driver, type);
    if (native->quirks & OPENCL_QUIRK_LONE_ITEMS) native->lanes = 1;
    if (native->quirks & OPENCL_QUIRK_NO_BINARIES) add_quirk(device, "no binaries");
    if (native->lanes < OPENCL_VIRTUAL_LANES) {
        char quirk[64];
        snprintf(quirk, sizeof quirk, "groups of %u", native->lanes);
        add_quirk(device, quirk);
    }
    if (!native->wide) add_quirk(device, "32-bit addresses");
    if (!native->exact_division) add_quirk(device, "division to 2.5 ulp");
    check_floor(device, native);
    if (native->quirks & OPENCL_QUIRK_WRONG)
        refuse(device, "this driver computes some kernels wrongly, now and then: use lavapipe or PoCL in its place");
}

// Adds the devices of one platform that are not listed yet. `seen` counts them over all platforms, since a discovery
// that ran out of memory is begun again.
static wane_status discover_platform(wane_context *context, opencl_state *state, cl_platform_id platform,
                                     uint32_t *seen)
{
    const opencl_api *cl = &state->api;
    cl_uint count = 0;
    if (cl->GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count) != CL_SUCCESS || !count) return WANE_OK;
    cl_device_id *ids = wane_alloc(context, count * sizeof *ids);
    if (!ids) return wane_no_memory(context);
    wane_status status = WANE_OK;
    if (cl->GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, ids, NULL) != CL_SUCCESS) count = 0;
    for (cl_uint i = 0; i < count && status == WANE_OK; i++) {
        uint32_t index = (*seen)++;
        if (index < state->listed) continue;
        char id[32];
        snprintf(id, sizeof id, "opencl:%u", index);
        // what is left when the second one fails belongs to the state, and goes with it
        opencl_device *native = opencl_device_new(context, state);
        wane_device *device = native ? wane_device_add(context, &wane_backend_opencl, id) : NULL;
        if (!device) {
            status = wane_no_memory(context);
            break;
        }
        state->listed++;
        device->native = native;
        device->index = index;
        native->id = ids[i];
        opencl_device_describe(device, native, platform);
    }
    wane_free(context, ids);
    return status;
}

static wane_status discover(wane_context *context, void **data)
{
    opencl_state *state = *data;
    if (!state) {
        wane_status status = opencl_load(context, &state);
        if (status || !state) return status;
        *data = state;
    }
    cl_uint count = 0;
    if (state->api.GetPlatformIDs(0, NULL, &count) != CL_SUCCESS || !count) {
        wane_log(context, WANE_LOG_INFO, "OpenCL: the loader knows no platform");
        return WANE_OK;
    }
    cl_platform_id *platforms = wane_alloc(context, count * sizeof *platforms);
    if (!platforms) return wane_no_memory(context);
    wane_status status = WANE_OK;
    uint32_t seen = 0;
    if (state->api.GetPlatformIDs(count, platforms, NULL) != CL_SUCCESS) count = 0;
    for (cl_uint i = 0; i < count && status == WANE_OK; i++)
        status = discover_platform(context, state, platforms[i], &seen);
    wane_free(context, platforms);
    return status;
}

wane_status opencl_device_open(wane_device *device)
{
    opencl_device *native = opencl_of(device);
    const opencl_api *cl = &native->state->api;
    cl_int code = CL_SUCCESS;
    if (!native->context) {
        native->context = cl->CreateContext(NULL, 1, &native->id, NULL, NULL, &code);
        wane_status status = opencl_check(device, code, "clCreateContext", WANE_ERROR_DRIVER);
        if (status) {
            native->context = NULL;
            return status;
        }
        cl->RetainDevice(native->id);
    }
    if (!native->queue) {
        native->queue = cl->CreateCommandQueue(native->context, native->id, 0, &code);
        if (code) native->queue = NULL;
    }
    const char *call = "clCreateCommandQueue";
    if (!code && !native->nothing) {
        call = "clCreateBuffer";
        native->nothing = cl->CreateBuffer(native->context, CL_MEM_READ_WRITE, OPENCL_SLOT_BYTES, NULL, &code);
        if (code) native->nothing = NULL;
    }
    wane_status status = opencl_check(device, code, call, WANE_ERROR_DRIVER);
    if (status && !device->wrapped) opencl_device_release(device->context, native);
    return status;
}

// Leaves what discovery found; a wrapped device was found by nobody else and goes with all it has.
static void device_close(wane_device *device)
{
    if (!device->wrapped) {
        opencl_device_release(device->context, opencl_of(device));
        return;
    }
    opencl_device_end(device->context, opencl_of(device));
    device->native = NULL;
}

const wane_backend wane_backend_opencl = {
    .bit = WANE_BACKEND_OPENCL,
    .name = "opencl",
    .discover = discover,
    .shutdown = opencl_shutdown,
    .device_open = opencl_device_open,
    .device_close = device_close,
    .buffer_create = opencl_buffer_create,
    .buffer_destroy = opencl_buffer_destroy,
    .buffer_write = opencl_buffer_write,
    .buffer_read = opencl_buffer_read,
    .program_create = opencl_program_create,
    .program_destroy = opencl_program_destroy,
    .recorder_create = opencl_recorder_create,
    .recorder_reset = opencl_recorder_reset,
    .recorder_destroy = opencl_recorder_destroy,
    .run = opencl_run,
};
