// device.c - opening a device, deciding whether it is usable, losing it.
#include "core/core.h"

#include <stdio.h>

wane_status wane_device_lose(wane_device *device, int32_t native, const char *where)
{
    __atomic_store_n(&device->lost, 1, __ATOMIC_SEQ_CST);
    return wane_fail_native(device->context, WANE_ERROR_DEVICE_LOST, native,
                            "%s: %s reports that the device is lost: destroy this context and make a new one", device->id,
                            where);
}

wane_status wane_device_check(wane_device *device)
{
    return __atomic_load_n(&device->lost, __ATOMIC_SEQ_CST) ? WANE_ERROR_DEVICE_LOST : WANE_OK;
}

static wane_status refused(wane_device *device)
{
    return wane_fail(device->context, WANE_ERROR_DEVICE_UNUSABLE, device->id,
                     "is refused: %s. Name another device, or cpu, which always works", device->reason);
}

static wane_status open_once(wane_device *device, bool test)
{
    if (device->state < 0) return refused(device);
    uint64_t start = wane_clock_ns();
    if (device->state == 0) {
        wane_status status = device->backend->device_open(device);
        if (status == WANE_ERROR_HOST_MEMORY) return status;
        if (status) {
            device->state = -1;
            if (!device->reason[0])
                snprintf(device->reason, sizeof device->reason, "it could not be opened (%s)", wane_status_text(status));
            return refused(device);
        }
        device->state = 1;
    }
    if (!test || device->tested) return WANE_OK;
    wane_status status = wane_selftest(device);
    // a host's device without a queue cannot be tested, which says nothing against it
    if (status == WANE_ERROR_HOST_MEMORY || (device->wrapped && status == WANE_ERROR_UNSUPPORTED)) return status;
    if (status) {
        // what was made from a host's device may still be in use: it stays open until the context goes
        if (!device->wrapped) device->backend->device_close(device);
        device->failed = true;
        device->state = -1;
        if (!device->reason[0])
            snprintf(device->reason, sizeof device->reason, "its self-test failed (%s)", wane_status_text(status));
        return refused(device);
    }
    device->tested = true;
    wane_log(device->context, WANE_LOG_DEBUG, "%s passes its self-test, %.1f ms after it was asked for", device->id,
             wane_ms_since(start));
    return WANE_OK;
}

wane_status wane_device_require(wane_device *device)
{
    wane_mutex_lock(device->lock);
    wane_status status = open_once(device, !device->wrapped && !device->trusted);
    wane_mutex_unlock(device->lock);
    return status ? status : wane_device_check(device);
}

wane_status wane_device_selftest(wane_device *device)
{
    if (!device) return WANE_ERROR_NULL_ARGUMENT;
    wane_status status = wane_device_check(device);
    if (status) return status;
    wane_mutex_lock(device->lock);
    status = open_once(device, true);
    wane_mutex_unlock(device->lock);
    return status;
}

wane_status wane_device_get_info(wane_device *device, wane_device_info *info)
{
    if (!device) return WANE_ERROR_NULL_ARGUMENT;
    wane_status status = wane_struct_check(device->context, info, sizeof *info, sizeof *info, "wane_device_info");
    if (status) return status;
    wane_mutex_lock(device->lock);
    memset((char *)info + sizeof info->struct_size, 0, sizeof *info - sizeof info->struct_size);
    info->id = device->id;
    info->backend = device->backend->name;
    info->name = device->name;
    info->driver = device->driver;
    info->quirks = device->quirks;
    info->is_hardware_gpu = device->is_hardware_gpu;
    info->usable = device->state >= 0;
    info->reason = device->reason;
    info->limits = device->limits;
    info->limits.struct_size = sizeof info->limits;
    wane_mutex_unlock(device->lock);
    return WANE_OK;
}
