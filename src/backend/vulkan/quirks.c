// quirks.c - drivers that need a workaround. A row is a fact with its source; it goes when the fact does.
#include "backend/vulkan/vulkan.h"

typedef struct quirk {
    uint32_t vendor;                        // VkPhysicalDeviceProperties::vendorID
    uint32_t device_first, device_last;     // deviceID, both included
    uint32_t driver_below;                  // driverVersion as the driver packs it; UINT32_MAX: all
    uint32_t bits;
    const char *name;                       // as wane_device_info.quirks shows it
} quirk;

static const quirk quirks[] = {
    // Imagination: recycled memory was corrupted although barriers were right (ncnn issue 6935).
    {0x1010, 0, UINT32_MAX, UINT32_MAX, VULKAN_QUIRK_FULL_BARRIER, "full-barriers"},
};

uint32_t vulkan_quirks(const VkPhysicalDeviceProperties *properties, char *text, size_t bytes)
{
    uint32_t bits = 0;
    size_t length = 0;
    text[0] = 0;
    for (size_t i = 0; i < sizeof quirks / sizeof *quirks; i++) {
        const quirk *q = &quirks[i];
        if (q->vendor != properties->vendorID) continue;
        if (properties->deviceID < q->device_first || properties->deviceID > q->device_last) continue;
        if (q->driver_below != UINT32_MAX && properties->driverVersion >= q->driver_below) continue;
        bits |= q->bits;
        size_t need = strlen(q->name) + (length ? 1 : 0);
        if (length + need >= bytes) continue;
        if (length) text[length++] = ',';
        memcpy(text + length, q->name, strlen(q->name) + 1);
        length += strlen(q->name);
    }
    return bits;
}
