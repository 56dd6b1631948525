// tune.c - tuning records: a device's own choices as text that wane-bench --tune wrote. A record is taken only if it is,
// byte for byte, what this library would write for this device; what is damaged or foreign is refused, and nothing of it used.
#include "core/core.h"

#include <stdio.h>

enum { RECORD_MOST = 2048 };

// The members of wane_limits that a record holds, and what they may be.
#define TUNED(T)                                                \
    T(max_dispatch_elems, 1 << 16, UINT64_C(1) << 40, 1)        \
    T(split_rows_below, 1, 1 << 16, 1)                          \
    T(linear_slice_cols, 64, 1 << 16, 64)                       \
    T(linear_chunk_dim, 1, 1 << 16, 1)

// Names come from drivers: what would end a line does not.
static size_t put_name(char *text, size_t capacity, const char *key, const char *name)
{
    int length = snprintf(text, capacity, "%s %s\n", key, name);
    for (char *c = text; length > 0 && c < text + length - 1; c++)
        if ((unsigned char)*c < ' ') *c = ' ';
    return (size_t)length;
}

static size_t put_head(const wane_device *device, char text[RECORD_MOST])
{
    size_t at = (size_t)snprintf(text, RECORD_MOST, "wane tuning 1\n");
    at += put_name(text + at, RECORD_MOST - at, "version", wane_version());
    at += put_name(text + at, RECORD_MOST - at, "backend", device->backend->name);
    at += put_name(text + at, RECORD_MOST - at, "device", device->name);
    return at + put_name(text + at, RECORD_MOST - at, "driver", device->driver);
}

static size_t put_hash(char *text, size_t at)
{
    uint64_t hash = wane_hash(0, text, at);
    return at + (size_t)snprintf(text + at, RECORD_MOST - at, "hash %016llx\n", (unsigned long long)hash);
}

static size_t put_record(const wane_device *device, const wane_limits *limits, char text[RECORD_MOST])
{
    size_t at = put_head(device, text);
#define PUT(member, least, most, step) \
    at += (size_t)snprintf(text + at, RECORD_MOST - at, #member " %llu\n", (unsigned long long)limits->member);
    TUNED(PUT)
#undef PUT
    return put_hash(text, at);
}

static bool take_number(const char **text, const char *end, const char *key, uint64_t *out)
{
    size_t length = strlen(key);
    const char *c = *text;
    if ((size_t)(end - c) < length + 2 || memcmp(c, key, length) != 0 || c[length] != ' ') return false;
    uint64_t value = 0;
    int digits = 0;
    for (c += length + 1; c < end && *c >= '0' && *c <= '9' && digits < 18; c++, digits++) value = value * 10 + (uint64_t)(*c - '0');
    if (!digits || c == end || *c != '\n') return false;
    *text = c + 1;
    *out = value;
    return true;
}

// The numbers behind the head, into limits. False: out of range, or no numbers.
static bool take_numbers(const char *text, const char *end, wane_limits *limits)
{
    uint64_t value = 0;
#define TAKE(member, least, most, step)                                                                                \
    if (!take_number(&text, end, #member, &value) || (value && (value < (least) || value > (most) || value % (step)))) \
        return false;                                                                                                  \
    limits->member = (__typeof__(limits->member))value;
    TUNED(TAKE)
#undef TAKE
    return limits->max_dispatch_elems != 0;
}

// Bytes of the record at the start of a text, whole and unharmed; 0 if there is none.
static size_t whole_record(const char *text, size_t bytes)
{
    static const char first[] = "wane tuning ", last[] = "\nhash ";
    if (bytes < sizeof first || memcmp(text, first, sizeof first - 1) != 0) return 0;
    const size_t tail = sizeof last - 1 + 17;
    for (size_t i = 0; i + tail <= bytes && i + tail <= RECORD_MOST; i++) {
        if (memcmp(text + i, last, sizeof last - 1) != 0) continue;
        char again[RECORD_MOST];
        memcpy(again, text, i + 1);
        size_t length = put_hash(again, i + 1);
        return length <= bytes && memcmp(again, text, length) == 0 ? length : 0;
    }
    return 0;
}

static wane_status damaged(wane_device *device, size_t at)
{
    return wane_fail(device->context, WANE_ERROR_STRUCT, "record",
                     "is no tuning record, or damaged, at byte %zu: %s keeps the choices that it had; make it anew by "
                     "wane-bench --tune", at, device->id);
}

wane_status wane_device_tune(wane_device *device, const char *record, size_t bytes)
{
    if (!device) return WANE_ERROR_NULL_ARGUMENT;
    if (!record && bytes) return wane_fail(device->context, WANE_ERROR_NULL_ARGUMENT, "record", "is NULL, of %zu bytes", bytes);
    char own[RECORD_MOST];
    wane_limits limits = device->limits;
    limits.max_dispatch_elems = device->untuned_dispatch_elems ? device->untuned_dispatch_elems : limits.max_dispatch_elems;
    limits.split_rows_below = limits.linear_slice_cols = limits.linear_chunk_dim = 0;
    const uint64_t untuned = limits.max_dispatch_elems;
    bool found = !bytes;
    size_t head = put_head(device, own), length = 0;
    for (size_t at = 0; at < bytes; at += length) {
        length = whole_record(record + at, bytes - at);
        if (!length) return damaged(device, at);
        if (found || length <= head || memcmp(record + at, own, head) != 0) continue;
        char again[RECORD_MOST];
        if (!take_numbers(record + at + head, record + at + length, &limits) || put_record(device, &limits, again) != length
            || memcmp(again, record + at, length) != 0)
            return damaged(device, at);
        found = true;
    }
    if (!found)
        return wane_fail(device->context, WANE_ERROR_MISMATCH, "record",
                         "is of another device, driver or version of wane: %s keeps the choices that it had; measure it by "
                         "wane-bench --tune", device->id);
    wane_mutex_lock(device->lock);
    device->untuned_dispatch_elems = untuned;
    device->limits = limits;
    wane_mutex_unlock(device->lock);
    return WANE_OK;
}

size_t wane_tuning_write(wane_device *device, const wane_limits *limits, char *text, size_t capacity)
{
    if (!device || !limits || limits->struct_size < sizeof *limits) return 0;
    char own[RECORD_MOST];
    size_t length = put_record(device, limits, own);
    if (text && capacity > length) memcpy(text, own, length + 1);
    else if (text && capacity) text[0] = 0;
    return length;
}
