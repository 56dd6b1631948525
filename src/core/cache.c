// cache.c - blobs in the host's cache, with a head of ours that is checked before a driver sees what follows.
#include "core/core.h"

typedef struct blob_head {
    char magic[8];
    uint64_t key_hash, payload_bytes, payload_hash;
} blob_head;

static const char MAGIC[8] = {'w', 'a', 'n', 'e', 'b', 'l', 'b', '1'};

// FNV-1a, 64 bit: finds damage, defends against nobody.
uint64_t wane_hash(uint64_t seed, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint64_t hash = seed ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t key_hash(const char *key)
{
    uint64_t hash = wane_hash(0, key, strlen(key));
    return wane_hash(hash, wane_version(), strlen(wane_version()));
}

static void count(uint64_t *number) { __atomic_add_fetch(number, 1, __ATOMIC_RELAXED); }

void wane_cache_refuse(wane_context *context)
{
    __atomic_sub_fetch(&context->cache_used, 1, __ATOMIC_RELAXED);
    count(&context->cache_refused);
}

void *wane_cache_load(wane_context *context, const char *key, size_t *bytes)
{
    const wane_cache *cache = &context->desc.cache;
    *bytes = 0;
    if (!cache->load) return NULL;
    size_t whole = cache->load(cache->user, key, NULL, 0);
    if (whole == 0) {
        count(&context->cache_absent);
        wane_log(context, WANE_LOG_DEBUG, "the cache lacks %s", key);
        return NULL;
    }
    bool fits = whole > sizeof(blob_head) && whole <= (size_t)1 << 30;
    char *blob = fits ? wane_alloc(context, whole) : NULL;
    blob_head head;
    bool good = blob && cache->load(cache->user, key, blob, whole) == whole;
    if (good) {
        memcpy(&head, blob, sizeof head);
        good = memcmp(head.magic, MAGIC, sizeof MAGIC) == 0 && head.key_hash == key_hash(key)
            && head.payload_bytes == whole - sizeof head
            && head.payload_hash == wane_hash(0, blob + sizeof head, whole - sizeof head);
    }
    if (!good) {
        wane_log(context, WANE_LOG_INFO, "cache entry %s is damaged or foreign and is made anew", key);
        count(&context->cache_refused);
        wane_free(context, blob);
        return NULL;
    }
    count(&context->cache_used);
    wane_log(context, WANE_LOG_DEBUG, "the cache has %s, %zu bytes", key, whole);
    *bytes = whole - sizeof head;
    memmove(blob, blob + sizeof head, *bytes);
    return blob;
}

void wane_cache_store(wane_context *context, const char *key, const void *data, size_t bytes)
{
    const wane_cache *cache = &context->desc.cache;
    if (!cache->store || !bytes) return;
    char *blob = wane_alloc(context, sizeof(blob_head) + bytes);
    if (!blob) return;
    blob_head head = {{0}, key_hash(key), bytes, wane_hash(0, data, bytes)};
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    memcpy(blob, &head, sizeof head);
    memcpy(blob + sizeof head, data, bytes);
    cache->store(cache->user, key, blob, sizeof head + bytes);
    count(&context->cache_stored);
    wane_log(context, WANE_LOG_DEBUG, "the cache gets %s, %zu bytes", key, sizeof head + bytes);
    wane_free(context, blob);
}
