// loader.c - finds a driver and its functions; keeps and releases the devices' driver objects.
#include "backend/opencl/opencl.h"

// Where systems keep the loader or, on Android, the driver itself. Apps for Android 12 and later must also name
// libOpenCL.so in <uses-native-library>.
static const char *const library_names[] = {
    "libOpenCL.so.1",
    "libOpenCL.so",
    "/vendor/lib64/libOpenCL.so",
    "/system/vendor/lib64/libOpenCL.so",
    "/vendor/lib64/egl/libGLES_mali.so",
    "/vendor/lib64/libPVROCL.so",
    "/vendor/lib/libOpenCL.so",
    "/system/vendor/lib/libOpenCL.so",
    "/vendor/lib/egl/libGLES_mali.so",
    "/vendor/lib/libPVROCL.so",
    "/System/Library/Frameworks/OpenCL.framework/OpenCL",
    "OpenCL.dll"
};

// The library is never closed: drivers leave threads and exit handlers behind that would run in unmapped memory.
static void *open_library(void)
{
    for (size_t i = 0; i < sizeof library_names / sizeof *library_names; i++) {
        void *library = wane_library_open(library_names[i]);
        if (!library) continue;
        if (wane_library_symbol(library, "clGetPlatformIDs")) return library;
        wane_library_close(library);
    }
    return NULL;
}

static void *find(wane_context *context, void *library, const char *name)
{
    const wane_resolver *resolver = &context->desc.opencl;
    return resolver->resolve ? resolver->resolve(resolver->user, name) : wane_library_symbol(library, name);
}

wane_status opencl_load(wane_context *context, opencl_state **out)
{
    void *library = NULL;
    if (!context->desc.opencl.resolve) {
        library = open_library();
        if (!library) {
            wane_log(context, WANE_LOG_INFO, "OpenCL: no libOpenCL.so.1 here");
            return WANE_OK;
        }
    }
    opencl_state *state = wane_alloc(context, sizeof *state);
    if (!state) return wane_no_memory(context);
    const char *missing = NULL;
    void *address;
    // an object pointer becomes a function pointer by its bytes, as POSIX has it
#define OPENCL_FIND(name)                                 \
    address = find(context, library, "cl" #name);         \
    memcpy(&state->api.name, &address, sizeof address);   \
    if (!address && !missing) missing = "cl" #name;
    OPENCL_FUNCTIONS(OPENCL_FIND)
#undef OPENCL_FIND
    if (missing) {
        wane_log(context, WANE_LOG_INFO, "OpenCL: the driver lacks %s, so it is older than 1.2 and not used", missing);
        wane_free(context, state);
        return WANE_OK;
    }
    *out = state;
    return WANE_OK;
}

opencl_device *opencl_device_new(wane_context *context, opencl_state *state)
{
    opencl_device *native = wane_alloc(context, sizeof *native);
    if (!native) return NULL;
    native->lock = wane_alloc(context, wane_mutex_bytes());
    if (!native->lock || !wane_mutex_init(native->lock)) {
        wane_free(context, native->lock);
        wane_free(context, native);
        return NULL;
    }
    native->state = state;
    native->next = state->devices;
    state->devices = native;
    return native;
}

void opencl_device_release(wane_context *context, opencl_device *native)
{
    const opencl_api *cl = &native->state->api;
    while (native->variants) {
        opencl_variant *variant = native->variants;
        native->variants = variant->next;
        cl->ReleaseProgram(variant->program);
        wane_free(context, variant);
    }
    native->variant_count = 0;
    if (native->nothing) cl->ReleaseMemObject(native->nothing);
    if (native->queue) cl->ReleaseCommandQueue(native->queue);
    if (native->context) {
        cl->ReleaseContext(native->context);
        cl->ReleaseDevice(native->id);     // retained with the context
    }
    native->nothing = NULL;
    native->queue = NULL;
    native->context = NULL;
}

void opencl_device_end(wane_context *context, opencl_device *native)
{
    opencl_device **link = &native->state->devices;
    while (*link != native) link = &(*link)->next;
    *link = native->next;
    opencl_device_release(context, native);
    wane_mutex_fini(native->lock);
    wane_free(context, native->lock);
    wane_free(context, native);
}

void opencl_shutdown(wane_context *context, void *data)
{
    opencl_state *state = data;
    while (state->devices) opencl_device_end(context, state->devices);
    wane_free(context, state);
}
