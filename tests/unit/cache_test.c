// cache_test.c - blobs of the host's cache: what was stored comes back, what is damaged, cut short or foreign does not.
#include "support.h"

#include "core/core.h"

#include <stdlib.h>

enum { PAYLOAD = 37, MOST = 256 };

// A cache of one entry.
typedef struct box {
    char key[64];
    unsigned char data[MOST];
    size_t bytes;
    size_t claim;                           // what load says the size is, if not 0
    size_t claim_later;                     // what the second call says, if not 0
    int loads, stores;
} box;

static size_t load(void *user, const char *key, void *data, size_t capacity)
{
    box *b = user;
    b->loads++;
    if (strcmp(key, b->key) != 0) return 0;
    if (data) memcpy(data, b->data, b->bytes < capacity ? b->bytes : capacity);
    if (data && b->claim_later) return b->claim_later;
    return b->claim ? b->claim : b->bytes;
}

static void store(void *user, const char *key, const void *data, size_t bytes)
{
    box *b = user;
    b->stores++;
    assert_true(bytes <= MOST && strlen(key) < sizeof b->key);
    strcpy(b->key, key);
    memcpy(b->data, data, bytes);
    b->bytes = bytes;
}

typedef struct fixture {
    test_memory memory;
    box box;
    wane_context *context;
    unsigned char payload[PAYLOAD];
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    test_memory_begin(&f->memory);
    wane_context_desc desc = {.struct_size = sizeof desc, .allocator = test_allocator(&f->memory),
                              .cache = {&f->box, load, store}};
    assert_int_equal(wane_context_create(&desc, &f->context), WANE_OK);
    for (int i = 0; i < PAYLOAD; i++) f->payload[i] = (unsigned char)(i * 11 + 3);
    wane_cache_store(f->context, "kernel", f->payload, PAYLOAD);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    wane_context_destroy(f->context);
    assert_int_equal(atomic_load(&f->memory.blocks), 0);
    free(f);
    return 0;
}

static void absent(fixture *f, const char *key)
{
    size_t bytes = 99;
    assert_null(wane_cache_load(f->context, key, &bytes));
    assert_int_equal(bytes, 0);
}

static void present(fixture *f)
{
    size_t bytes = 0;
    void *data = wane_cache_load(f->context, "kernel", &bytes);
    assert_non_null(data);
    assert_int_equal(bytes, PAYLOAD);
    assert_memory_equal(data, f->payload, PAYLOAD);
    wane_free(f->context, data);
}

static void test_round_trip(void **state)
{
    fixture *f = *state;
    assert_int_equal(f->box.stores, 1);
    assert_true(f->box.bytes > PAYLOAD);
    present(f);
    absent(f, "other kernel");
    wane_cache_store(f->context, "kernel", f->payload, 0);      // nothing is not stored
    assert_int_equal(f->box.stores, 1);
}

static wane_cache_info counts(fixture *f)
{
    wane_cache_info info = {.struct_size = sizeof info};
    assert_int_equal(wane_context_get_cache_info(f->context, &info), WANE_OK);
    return info;
}

// Any byte changed, any length cut, another key's blob: refused, and counted.
static void test_damage(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < f->box.bytes; i++)
        for (int bit = 0; bit < 8; bit++) {
            f->box.data[i] ^= (unsigned char)(1 << bit);
            absent(f, "kernel");
            f->box.data[i] ^= (unsigned char)(1 << bit);
        }
    size_t whole = f->box.bytes;
    for (size_t bytes = 0; bytes < whole; bytes++) {
        f->box.bytes = bytes;
        absent(f, "kernel");
    }
    f->box.bytes = whole + 1;
    absent(f, "kernel");
    f->box.bytes = whole;
    strcpy(f->box.key, "kernex");
    absent(f, "kernex");
    strcpy(f->box.key, "kernel");
    present(f);
    wane_cache_info info = counts(f);
    assert_int_equal(info.refused, whole * 8 + (whole - 1) + 2);
    assert_int_equal(info.absent, 1);       // a blob of 0 bytes is none
    assert_int_equal(info.used, 1);
    assert_int_equal(info.stored, 1);
    wane_cache_refuse(f->context);          // what a backend says of a payload that its driver did not take
    info = counts(f);
    assert_int_equal(info.used, 0);
    assert_int_equal(info.refused, whole * 8 + (whole - 1) + 3);
    assert_int_equal(wane_context_get_cache_info(f->context, NULL), WANE_ERROR_NULL_ARGUMENT);
    assert_int_equal(wane_context_get_cache_info(NULL, &info), WANE_ERROR_NULL_ARGUMENT);
    info.struct_size--;
    assert_int_equal(wane_context_get_cache_info(f->context, &info), WANE_ERROR_STRUCT);
}

// A host that changes its mind about the size.
static void test_sizes(void **state)
{
    fixture *f = *state;
    static const size_t claims[] = {1,        31,           32, 33, 4096, (size_t)1 << 30, ((size_t)1 << 30) + 1,
                                    SIZE_MAX, SIZE_MAX - 31};
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        if (claims[i] == (size_t)1 << 30) continue;             // a gigabyte is believed, and not worth the test's time
        f->box.claim = claims[i];
        absent(f, "kernel");
        f->box.claim = 0;
        f->box.claim_later = claims[i];
        absent(f, "kernel");
        f->box.claim_later = 0;
    }
    present(f);
}

// Without memory, or with half a cache, there is no blob, and no error.
static void test_without(void **state)
{
    fixture *f = *state;
    test_memory_arm(&f->memory, 0, 100);
    absent(f, "kernel");
    wane_cache_store(f->context, "kernel", f->payload, PAYLOAD);
    test_memory_arm(&f->memory, -1, -1);
    assert_int_equal(f->box.stores, 1);
    present(f);
    f->context->desc.cache.store = NULL;
    wane_cache_store(f->context, "kernel", f->payload, PAYLOAD);
    present(f);
    f->context->desc.cache.load = NULL;
    absent(f, "kernel");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_round_trip), TEST(test_damage), TEST(test_sizes), TEST(test_without)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
