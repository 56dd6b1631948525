// session.c - a context and a device, with what the library says about its errors, and kernels kept in memory.
#include "conform.h"

#include <stdlib.h>
#include <string.h>

typedef struct cached {
    struct cached *next;
    char *key;
    void *data;
    size_t bytes;
} cached;

static size_t cache_load(void *user, const char *key, void *data, size_t capacity)
{
    const conform_session *session = user;
    for (const cached *c = session->cache; c; c = c->next)
        if (strcmp(c->key, key) == 0) {
            memcpy(data, c->data, c->bytes < capacity ? c->bytes : capacity);
            return c->bytes;
        }
    return 0;
}

static void cache_free(cached *c)
{
    free(c->key);
    free(c->data);
    free(c);
}

static void cache_store(void *user, const char *key, const void *data, size_t bytes)
{
    conform_session *session = user;
    for (cached **at = &session->cache; *at; at = &(*at)->next)
        if (strcmp((*at)->key, key) == 0) {
            cached *old = *at;
            *at = old->next;
            cache_free(old);
            break;
        }
    cached *c = calloc(1, sizeof *c);
    if (!c) return;
    c->key = malloc(strlen(key) + 1);
    c->data = malloc(bytes ? bytes : 1);
    c->bytes = bytes;
    if (!c->key || !c->data) {
        cache_free(c);
        return;
    }
    strcpy(c->key, key);
    memcpy(c->data, data, bytes);
    c->next = session->cache;
    session->cache = c;
}

static void take_log(void *user, const wane_log_record *record)
{
    conform_session *session = user;
    if (record->level <= WANE_LOG_WARNING)
        snprintf(session->log, sizeof session->log, "%s%s%s", record->operand ? record->operand : "",
                 record->operand ? ": " : "", record->text);
}

bool conform_session_open(conform_session *session, const conform_options *options)
{
    memset(session, 0, sizeof *session);
    wane_context_desc desc;
    memset(&desc, 0, sizeof desc);
    if (options->context) desc = *options->context;
    desc.struct_size = sizeof desc;
    if (options->threads) desc.thread_count = options->threads;
    desc.log = take_log;
    desc.log_user = session;
    desc.cache.user = session;
    desc.cache.load = cache_load;
    desc.cache.store = cache_store;
    session->status = wane_context_create(&desc, &session->context);
    if (session->status == WANE_OK) session->status = wane_device_find(session->context, options->device, &session->device);
    if (session->status != WANE_OK) return false;
    session->info.struct_size = sizeof session->info;
    session->status = wane_device_get_info(session->device, &session->info);
    return session->status == WANE_OK;
}

void conform_session_close(conform_session *session)
{
    wane_context_destroy(session->context);
    while (session->cache) {
        cached *next = session->cache->next;
        cache_free(session->cache);
        session->cache = next;
    }
    memset(session, 0, sizeof *session);
}

void conform_session_head(const conform_session *session, char *text, size_t capacity)
{
    const wane_device_info *i = &session->info;
    const wane_limits *l = &i->limits;
    snprintf(text, capacity,
             "wane %s\ndevice %s: %s\ndriver %s\ntier %u; %u lanes, %u bytes shared, windows of %llu bytes, offsets of "
             "%u bytes, %u groups, %llu elements a dispatch\nquirks: %s",
             wane_version(), i->id, i->name, i->driver, l->tier, l->max_lanes, l->shared_bytes,
             (unsigned long long)l->max_window_bytes, l->offset_align_bytes, l->max_groups,
             (unsigned long long)l->max_dispatch_elems, i->quirks[0] ? i->quirks : "none");
}
