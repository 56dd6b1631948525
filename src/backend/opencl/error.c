// error.c - what a driver's codes mean to wane.
#include "backend/opencl/opencl.h"

// What NVIDIA's driver answers once a kernel has faulted; nothing works from then on.
enum { OPENCL_FAULTED = -9999 };

const char *opencl_error_name(cl_int code)
{
#define NAME(code) case code: return #code;
    switch (code) {
        NAME(CL_SUCCESS)
        NAME(CL_DEVICE_NOT_FOUND)
        NAME(CL_DEVICE_NOT_AVAILABLE)
        NAME(CL_COMPILER_NOT_AVAILABLE)
        NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE)
        NAME(CL_OUT_OF_RESOURCES)
        NAME(CL_OUT_OF_HOST_MEMORY)
        NAME(CL_BUILD_PROGRAM_FAILURE)
        NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
        NAME(CL_INVALID_VALUE)
        NAME(CL_INVALID_DEVICE)
        NAME(CL_INVALID_CONTEXT)
        NAME(CL_INVALID_COMMAND_QUEUE)
        NAME(CL_INVALID_MEM_OBJECT)
        NAME(CL_INVALID_BINARY)
        NAME(CL_INVALID_BUILD_OPTIONS)
        NAME(CL_INVALID_PROGRAM)
        NAME(CL_INVALID_PROGRAM_EXECUTABLE)
        NAME(CL_INVALID_KERNEL_NAME)
        NAME(CL_INVALID_KERNEL)
        NAME(CL_INVALID_ARG_VALUE)
        NAME(CL_INVALID_ARG_SIZE)
        NAME(CL_INVALID_KERNEL_ARGS)
        NAME(CL_INVALID_WORK_GROUP_SIZE)
        NAME(CL_INVALID_EVENT_WAIT_LIST)
        NAME(CL_INVALID_EVENT)
        NAME(CL_INVALID_OPERATION)
        NAME(CL_INVALID_BUFFER_SIZE)
        default: return "an unnamed code";
    }
#undef NAME
}

wane_status opencl_check(wane_device *device, cl_int code, const char *call, wane_status otherwise)
{
    wane_status status = otherwise;
    const char *remedy = "the driver's message, if any, precedes this one";
    switch (code) {
    case CL_SUCCESS:
        return WANE_OK;
    case CL_DEVICE_NOT_AVAILABLE:
    case OPENCL_FAULTED:
        return wane_device_lose(device, code, call);
    case CL_OUT_OF_HOST_MEMORY:
        status = WANE_ERROR_HOST_MEMORY;
        remedy = "free host memory";
        break;
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_RESOURCES:
        status = WANE_ERROR_DEVICE_MEMORY;
        remedy = "free device memory, or take a smaller problem or workspace";
        break;
    case CL_INVALID_BUFFER_SIZE:
        status = WANE_ERROR_TOO_LARGE;
        remedy = "the buffer is larger than the device allows";
        break;
    case CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST:
        status = WANE_ERROR_SUBMIT;
        remedy = "work that this one waited for has failed";
        break;
    default:
        break;
    }
    return wane_fail_native(device->context, status, code, "%s: %s answered %s (%d): %s", device->id, call,
                            opencl_error_name(code), (int)code, remedy);
}
