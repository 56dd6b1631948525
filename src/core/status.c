// status.c - names and meanings of the statuses.
#include "core/core.h"

const char *wane_version(void)
{
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
    return TEXT(WANE_VERSION_MAJOR) "." TEXT(WANE_VERSION_MINOR) "." TEXT(WANE_VERSION_PATCH);
}

const char *wane_fault_name(uint32_t word, bool many)
{
    static const char *const names[WANE_STATUS_WORDS][2] = {
        {"bad target or label", "bad targets or labels"},
        {"row with NaN or infinity", "rows with NaN or infinity"},
        {"row of -inf alone", "rows of -inf alone"},
        {"", ""},                               // rows or groups that count for nothing are no fault
        {"bad offset", "bad offsets"},
        {"bad pair index", "bad pair indices"},
        {"group with NaN", "groups with NaN"},
        {"", ""},
    };
    return word < WANE_STATUS_WORDS ? names[word][many] : "";
}

const char *wane_status_text(wane_status status)
{
#define CASE(name, text) case name: return #name ": " text
    switch (status) {
    CASE(WANE_OK, "success");
    CASE(WANE_WARN_DATA, "done, but some data was faulty");
    CASE(WANE_ERROR_NULL_ARGUMENT, "a pointer or handle that must not be NULL is");
    CASE(WANE_ERROR_STRUCT, "struct_size is 0 or too small, or an unknown tail is not zero");
    CASE(WANE_ERROR_UNKNOWN_LOSS, "no such loss");
    CASE(WANE_ERROR_UNKNOWN_ROLE, "no such role, or the loss has no such role");
    CASE(WANE_ERROR_UNKNOWN_PARAM, "no such parameter, or the loss has no such parameter");
    CASE(WANE_ERROR_DUPLICATE, "a role or parameter is given twice");
    CASE(WANE_ERROR_MISSING_OPERAND, "a required tensor is not given");
    CASE(WANE_ERROR_PARAM_RANGE, "a parameter is out of its range, or NaN");
    CASE(WANE_ERROR_RANK, "a tensor's rank does not fit its role");
    CASE(WANE_ERROR_EXTENT, "an extent is negative, or disagrees with another tensor's");
    CASE(WANE_ERROR_DTYPE, "a tensor's type does not fit its role");
    CASE(WANE_ERROR_STRIDE, "an output's stride is 0, or its elements overlap");
    CASE(WANE_ERROR_SIZE, "a product of extents or strides does not fit 63 bits");
    CASE(WANE_ERROR_ALIGNMENT, "a byte offset breaks the alignment promised to the plan");
    CASE(WANE_ERROR_BOUNDS, "a view reaches outside its buffer");
    CASE(WANE_ERROR_OVERLAP, "an output shares bytes with another operand");
    CASE(WANE_ERROR_WORKSPACE, "the workspace is too small");
    CASE(WANE_ERROR_CAPACITY, "a recorder has too few dispatches left, or does not know the executable");
    CASE(WANE_ERROR_MISMATCH, "objects of different devices or contexts were mixed");
    CASE(WANE_ERROR_NO_OUTPUT, "a plan that would compute nothing");
    CASE(WANE_ERROR_FLAGS, "an unknown flag, or one that does not fit here");
    CASE(WANE_ERROR_STATISTICS, "given statistics lack a plane that the problem needs");
    CASE(WANE_ERROR_IN_USE, "objects made from it are alive, or work recorded from it is not done");
    CASE(WANE_ERROR_UNSUPPORTED, "a combination that this version does not do");
    CASE(WANE_ERROR_NO_DEVICE, "no device of that name");
    CASE(WANE_ERROR_DEVICE_UNUSABLE, "the device exists but was refused");
    CASE(WANE_ERROR_TOO_LARGE, "does not fit the device's limits, or workspace_limit_bytes, in any plan");
    CASE(WANE_ERROR_HOST_MEMORY, "out of host memory");
    CASE(WANE_ERROR_DEVICE_MEMORY, "out of device memory");
    CASE(WANE_ERROR_BUILD, "a driver refused a kernel");
    CASE(WANE_ERROR_SUBMIT, "a driver refused work");
    CASE(WANE_ERROR_INTERNAL, "an internal error");
    CASE(WANE_ERROR_DEVICE_LOST, "the device is lost");
    CASE(WANE_ERROR_DRIVER, "a driver call failed in a way its specification does not allow");
    }
#undef CASE
    return "unknown status";
}
