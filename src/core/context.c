// context.c - the context: what it was given, and the devices that it found.
#include "core/core.h"

#include <stdio.h>

static wane_status check_desc(wane_context *context, const wane_context_desc *desc)
{
    const uint32_t all = WANE_BACKEND_CPU | WANE_BACKEND_VULKAN | WANE_BACKEND_OPENCL;
    if (desc->backends & ~all)
        return wane_fail(context, WANE_ERROR_FLAGS, "backends", "unknown bits 0x%x", (unsigned)(desc->backends & ~all));
    if ((unsigned)desc->log_level > WANE_LOG_DEBUG)
        return wane_fail(context, WANE_ERROR_FLAGS, "log_level", "%d is none of WANE_LOG_*", (int)desc->log_level);
    if (desc->reserved) return wane_fail(context, WANE_ERROR_STRUCT, "reserved", "must be 0");
    if (!desc->allocator.alloc != !desc->allocator.free)
        return wane_fail(context, WANE_ERROR_FLAGS, "allocator", "give both alloc and free, or neither");
    if (desc->parallel.run && desc->parallel.width == 0)
        return wane_fail(context, WANE_ERROR_FLAGS, "parallel", "width must say how many tasks can run at once");
    return WANE_OK;
}

static wane_mutex *make_lock(wane_context *context)
{
    wane_mutex *lock = wane_alloc(context, wane_mutex_bytes());
    if (lock && !wane_mutex_init(lock)) {
        wane_free(context, lock);
        lock = NULL;
    }
    return lock;
}

static void drop_lock(wane_context *context, wane_mutex *lock)
{
    if (lock) wane_mutex_fini(lock);
    wane_free(context, lock);
}

wane_status wane_context_create(const wane_context_desc *desc, wane_context **out)
{
    if (!out) return WANE_ERROR_NULL_ARGUMENT;
    *out = NULL;
    wane_context draft;
    memset(&draft, 0, sizeof draft);
    draft.desc.struct_size = sizeof draft.desc;
    if (desc) {
        wane_status status = wane_struct_check(&draft, desc, sizeof *desc, sizeof *desc, "wane_context_desc");
        if (status) return status;
        memcpy(&draft.desc, desc, sizeof *desc);
    }
    if (!draft.desc.log_level) draft.desc.log_level = WANE_LOG_WARNING;
    wane_status status = check_desc(&draft, &draft.desc);
    if (status) return status;
    if (!draft.desc.backends) draft.desc.backends = WANE_BACKEND_CPU | WANE_BACKEND_VULKAN | WANE_BACKEND_OPENCL;
    draft.desc.backends |= WANE_BACKEND_CPU;
    wane_context *context = wane_alloc(&draft, sizeof *context);
    if (!context) return wane_no_memory(&draft);
    context->desc = draft.desc;
    context->references = 1;
    context->lock = make_lock(context);
    if (!context->lock) {
        wane_free(context, context);
        return wane_no_memory(&draft);
    }
    *out = context;
    return WANE_OK;
}

static void end_device(wane_device *device)
{
    // a wrapped one holds things of the host's even if it was refused
    if (device->state > 0 || device->wrapped) device->backend->device_close(device);
    drop_lock(device->context, device->lock);
    wane_free(device->context, device);
}

static void end_context(wane_context *context)
{
    for (uint32_t i = 0; i < context->device_count; i++) end_device(context->devices[i]);
    for (uint32_t i = 0; wane_backends[i]; i++)
        if (context->backend_state[i]) wane_backends[i]->shutdown(context, context->backend_state[i]);
    wane_free(context, context->devices);
    drop_lock(context, context->lock);
    wane_context copy = *context;          // the allocator outlives what it frees
    wane_free(&copy, context);
}

void wane_hold(wane_context *context, wane_device *device)
{
    __atomic_add_fetch(&context->references, 1, __ATOMIC_RELAXED);
    if (device) __atomic_add_fetch(&device->objects, 1, __ATOMIC_RELAXED);
}

void wane_drop(wane_context *context, wane_device *device)
{
    if (device) __atomic_sub_fetch(&device->objects, 1, __ATOMIC_RELEASE);
    if (__atomic_sub_fetch(&context->references, 1, __ATOMIC_ACQ_REL) == 0) end_context(context);
}

void wane_context_destroy(wane_context *context)
{
    if (!context) return;
    uint32_t left = __atomic_load_n(&context->references, __ATOMIC_ACQUIRE) - 1;
    if (left)
        wane_fail(context, WANE_ERROR_IN_USE, "context",
                  "is destroyed before %u objects made from it, and goes after them: destroy it last", (unsigned)left);
    wane_drop(context, NULL);
}

wane_status wane_context_get_cache_info(wane_context *context, wane_cache_info *info)
{
    if (!context) return WANE_ERROR_NULL_ARGUMENT;
    wane_status status = wane_struct_check(context, info, sizeof *info, sizeof *info, "wane_cache_info");
    if (status) return status;
    info->used = __atomic_load_n(&context->cache_used, __ATOMIC_RELAXED);
    info->absent = __atomic_load_n(&context->cache_absent, __ATOMIC_RELAXED);
    info->refused = __atomic_load_n(&context->cache_refused, __ATOMIC_RELAXED);
    info->stored = __atomic_load_n(&context->cache_stored, __ATOMIC_RELAXED);
    return WANE_OK;
}

wane_device *wane_device_add(wane_context *context, const wane_backend *backend, const char *id)
{
    if (context->device_count == context->device_capacity) {
        uint32_t capacity = context->device_capacity ? context->device_capacity * 2 : 8;
        wane_device **devices = wane_alloc(context, capacity * sizeof *devices);
        if (!devices) return NULL;
        if (context->device_count) memcpy(devices, context->devices, context->device_count * sizeof *devices);
        wane_free(context, context->devices);
        context->devices = devices;
        context->device_capacity = capacity;
    }
    wane_device *device = wane_alloc(context, sizeof *device);
    if (!device) return NULL;
    device->lock = make_lock(context);
    if (!device->lock) {
        wane_free(context, device);
        return NULL;
    }
    device->context = context;
    device->backend = backend;
    snprintf(device->id, sizeof device->id, "%s", id);
    context->devices[context->device_count++] = device;
    return device;
}

void wane_device_remove(wane_device *device)
{
    wane_context *context = device->context;
    wane_mutex_lock(context->lock);
    uint32_t i = 0;
    while (context->devices[i] != device) i++;
    context->device_count--;
    for (; i < context->device_count; i++) context->devices[i] = context->devices[i + 1];
    end_device(device);
    wane_mutex_unlock(context->lock);
}

wane_status wane_device_unwrap(wane_device *device)
{
    if (!device) return WANE_ERROR_NULL_ARGUMENT;
    if (!device->wrapped)
        return wane_fail(device->context, WANE_ERROR_MISMATCH, "device", "%s was not wrapped: it goes with the context",
                         device->id);
    uint32_t objects = __atomic_load_n(&device->objects, __ATOMIC_ACQUIRE);
    if (objects)
        return wane_fail(device->context, WANE_ERROR_IN_USE, "device", "%s has %u objects made from it: destroy them first",
                         device->id, (unsigned)objects);
    wane_device_remove(device);
    return WANE_OK;
}

// Looks for the devices of one backend, once. Under the context's lock.
static wane_status discover(wane_context *context, uint32_t backend)
{
    const wane_backend *b = wane_backends[backend];
    if (context->discovered & 1u << backend || !(context->desc.backends & b->bit)) return WANE_OK;
    wane_status status = b->discover(context, &context->backend_state[backend]);
    if (status == WANE_OK) context->discovered |= 1u << backend;
    return status;
}

static wane_status discover_all(wane_context *context)
{
    for (uint32_t i = 0; wane_backends[i]; i++) {
        wane_status status = discover(context, i);
        if (status) return status;
    }
    return WANE_OK;
}

// The i-th listed device, in the order of the backends; wrapped devices and instruction-set variants are not listed.
static wane_device *listed(wane_context *context, uint32_t index)
{
    for (uint32_t b = 0; wane_backends[b]; b++)
        for (uint32_t i = 0; i < context->device_count; i++) {
            wane_device *device = context->devices[i];
            if (device->backend == wane_backends[b] && !device->hidden && index-- == 0) return device;
        }
    return NULL;
}

uint32_t wane_device_count(wane_context *context)
{
    if (!context) return 0;
    wane_mutex_lock(context->lock);
    uint32_t count = 0;
    if (discover_all(context) == WANE_OK)
        while (listed(context, count)) count++;
    wane_mutex_unlock(context->lock);
    return count;
}

wane_device *wane_device_at(wane_context *context, uint32_t index)
{
    if (!context) return NULL;
    wane_mutex_lock(context->lock);
    wane_device *device = discover_all(context) == WANE_OK ? listed(context, index) : NULL;
    wane_mutex_unlock(context->lock);
    return device;
}

static bool begins(const char *name, size_t length, const wane_backend *backend)
{
    return strlen(backend->name) == length && strncmp(name, backend->name, length) == 0;
}

// The devices of the backend that the name begins with are those that a user may have meant.
static wane_status unknown(wane_context *context, const char *name, size_t length)
{
    char near[256] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < context->device_count; i++) {
        const wane_device *device = context->devices[i];
        if (!begins(name, length, device->backend)) continue;
        if (used < sizeof near) used += (size_t)snprintf(near + used, sizeof near - used, "%s%s", used ? ", " : "one of ", device->id);
    }
    return wane_fail(context, WANE_ERROR_NO_DEVICE, "device", "no device is called \"%s\": use auto, cpu, vulkan, opencl, or %s",
                     name, used ? near : "what wane-info lists");
}

// Any device of that id, listed or not; looks at no backend but the one that the name begins with.
static wane_status by_name(wane_context *context, const char *name, wane_device **out)
{
    size_t length = strcspn(name, ":");
    for (uint32_t b = 0; wane_backends[b]; b++) {
        const wane_backend *backend = wane_backends[b];
        if (!begins(name, length, backend)) continue;
        if (!(context->desc.backends & backend->bit)) break;
        wane_status status = discover(context, b);
        if (status) return status;
        char first[64];
        snprintf(first, sizeof first, "%s:0", backend->name);
        for (uint32_t i = 0; i < context->device_count; i++) {
            wane_device *device = context->devices[i];
            bool bare = name[length] == 0 && strcmp(device->id, first) == 0;
            if (device->backend == backend && (bare || strcmp(device->id, name) == 0)) {
                *out = device;
                return WANE_OK;
            }
        }
    }
    return unknown(context, name, length);
}

static wane_status choose(wane_context *context, wane_device **out, const char **why)
{
    wane_status status = discover_all(context);
    if (status) return status;
    for (uint32_t i = 0; listed(context, i); i++) {
        wane_device *device = listed(context, i);
        if (!device->is_hardware_gpu) continue;
        if (wane_device_require(device) == WANE_OK) {
            *out = device;
            *why = "the first usable hardware GPU";
            return WANE_OK;
        }
        wane_log(context, WANE_LOG_INFO, "%s (%s) is not used: %s", device->id, device->name, device->reason);
    }
    *why = "there is no usable hardware GPU";
    return by_name(context, "cpu", out);
}

wane_status wane_device_find(wane_context *context, const char *name, wane_device **out)
{
    if (!context) return WANE_ERROR_NULL_ARGUMENT;
    if (!out) return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "out", "must not be NULL");
    *out = NULL;
    const char *why = "named by the caller";
    if (!name || !*name) {
        name = wane_environment("WANE_DEVICE");
        why = "named by WANE_DEVICE";
    }
    if (!name) name = "auto";
    wane_device *device = NULL;
    wane_mutex_lock(context->lock);
    wane_status status = strcmp(name, "auto") == 0 ? choose(context, &device, &why) : by_name(context, name, &device);
    wane_mutex_unlock(context->lock);
    if (status) return status;
    status = wane_device_require(device);
    if (status) return status;
    wane_log(context, WANE_LOG_DEBUG, "%s (%s, %s) is taken: %s", device->id, device->name, device->driver, why);
    *out = device;
    return WANE_OK;
}
