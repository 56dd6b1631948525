// opencl_test.c - the OpenCL backend seen from its driver (opencl_shim.h): what devices say, what fails, what is
// compiled and what is kept. Skipped where there is no OpenCL device. Numbers are compared with the CPU backend; what
// is right in them is the concern of tests/cross.
#include "opencl_shim.h"

#include <math.h>
#include <stdlib.h>

// ---- results --------------------------------------------------------------------------------------------------------

static void assert_close(const test_problem *a, const test_problem *b)
{
    static const wane_role roles[] = {WANE_ROLE_LOSS, WANE_ROLE_LSE, WANE_ROLE_GRAD_LOGITS};
    for (int r = 0; r < 3; r++) {
        int i = test_problem_find(a, roles[r]);
        const float *x = (const float *)a->blocks[i].data, *y = (const float *)b->blocks[i].data;
        for (size_t k = 0; k < a->blocks[i].bytes / 4; k++)
            if (!(fabsf(x[k] - y[k]) <= 2e-6f * (1 + fabsf(x[k]))))
                fail_msg("role %d, element %zu: %g and %g", (int)roles[r], k, (double)x[k], (double)y[k]);
    }
}

// Runs a problem on the device and on the CPU, and compares.
static void assert_like_cpu(wane_device *device, wane_context *context, int64_t rows, int64_t cols)
{
    test_problem here, there;
    make_problem(&here, context, rows, cols);
    make_problem(&there, context, rows, cols);
    assert_int_equal(run_problem(test_device(context, "cpu"), &here), WANE_OK);
    assert_int_equal(run_problem(device, &there), WANE_OK);
    assert_close(&here, &there);
    test_problem_end(&here);
    test_problem_end(&there);
}

static void test_run(void **state)
{
    (void)state;
    static const int64_t shapes[][2] = {{1, 1}, {3, 7}, {5, 1024}, {2, 3001}, {300, 10}};
    wane_context *context = open_context(NULL);
    wane_device *device = test_device(context, "opencl");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        assert_like_cpu(device, context, shapes[i][0], shapes[i][1]);
    // more groups than one dimension of a grid may have
    assert_like_cpu(device, context, 70001, 3);
    wane_context_destroy(context);
    assert_int_equal(shim.live, 0);
}

// Bits do not depend on the size of groups, whether the device or a kernel's registers limit it, nor on the width of
// indices.
static void test_groups(void **state)
{
    (void)state;
    static const struct {
        cl_device_info what;
        uint32_t answer, group_limit;
    } cases[] = {{0, 0, 0},
                 {CL_DEVICE_MAX_WORK_GROUP_SIZE, 96, 0},
                 {CL_DEVICE_MAX_WORK_GROUP_SIZE, 1, 0},
                 {0, 0, 40},
                 {CL_DEVICE_ADDRESS_BITS, 32, 0},
                 {CL_DEVICE_MAX_PARAMETER_SIZE, 256, 0}};   // as on small devices: every kernel fits
    uint64_t hashes[6];
    for (int i = 0; i < 6; i++) {
        reset_shim();
        shim.lie = cases[i].what;
        shim.answer = cases[i].answer;
        shim.group_limit = cases[i].group_limit;
        wane_context *context = open_context(NULL);
        test_problem p;
        make_problem(&p, context, 3, 1500);
        assert_int_equal(run_problem(test_device(context, "opencl"), &p), WANE_OK);
        hashes[i] = test_problem_hash(&p);
        assert_true(hashes[i] == hashes[0]);
        test_problem_end(&p);
        wane_context_destroy(context);
    }
}

// ---- what devices say -----------------------------------------------------------------------------------------------

static void test_floor(void **state)
{
    (void)state;
    static const struct {
        cl_device_info what;
        cl_ulong answer;
        const char *words, *reason;
    } cases[] = {
        {CL_DEVICE_VERSION, 0, "OpenCL 1.1 old", "OpenCL 1.1 old"},
        {CL_DEVICE_OPENCL_C_VERSION, 0, "OpenCL C 1.1", "OpenCL C 1.1"},
        {CL_DEVICE_AVAILABLE, 0, NULL, "not available"},
        {CL_DEVICE_COMPILER_AVAILABLE, 0, NULL, "no compiler"},
        {CL_DEVICE_ENDIAN_LITTLE, 0, NULL, "big-endian"},
        {CL_DEVICE_LOCAL_MEM_SIZE, 8192, NULL, "8192"},
        {CL_DEVICE_MAX_PARAMETER_SIZE, 128, NULL, "128"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reset_shim();
        shim.lie = cases[i].what;
        shim.answer = cases[i].answer;
        shim.words = cases[i].words;
        wane_context *context = open_context(NULL);
        wane_device *device = NULL;
        expect_error(&messages, WANE_ERROR_DEVICE_UNUSABLE, NULL, wane_device_find(context, "opencl", &device));
        assert_null(device);
        wane_device_info info = {.struct_size = sizeof info};
        assert_int_equal(wane_device_get_info(wane_device_at(context, 0), &info), WANE_OK);
        assert_false(info.usable);
        if (!strstr(info.reason, cases[i].reason)) fail_msg("\"%s\" lacks \"%s\"", info.reason, cases[i].reason);
        wane_context_destroy(context);
    }
}

static void *resolve_nothing(void *user, const char *name)
{
    (void)user;
    (void)name;
    return NULL;
}

static void test_no_driver(void **state)
{
    (void)state;
    wane_context_desc desc = {.struct_size = sizeof desc, .backends = WANE_BACKEND_OPENCL};
    desc.opencl.resolve = resolve_nothing;
    wane_context *context = NULL;
    assert_int_equal(wane_context_create(&desc, &context), WANE_OK);
    assert_int_equal(wane_device_count(context), 1);
    wane_opencl_device_desc wrap = {sizeof wrap, (cl_context)&wrap, (cl_device_id)&wrap, NULL, {0}};
    wane_device *device = NULL;
    assert_int_equal(wane_device_wrap_opencl(context, &wrap, &device), WANE_ERROR_NO_DEVICE);
    wane_context_destroy(context);
}

// ---- programs -------------------------------------------------------------------------------------------------------

static void test_programs_shared(void **state)
{
    (void)state;
    wane_context *context = open_context(NULL);
    wane_device *device = test_device(context, "opencl");
    assert_like_cpu(device, context, 4, 100);
    uint32_t builds = shim.builds;
    assert_true(builds > 0);
    assert_like_cpu(device, context, 9, 333);
    assert_int_equal(shim.builds, builds);
    wane_context_destroy(context);
}

typedef struct store {
    char keys[64][96];
    void *data[64];
    size_t bytes[64];
    uint32_t count, hits;
} store;

static size_t cache_load(void *user, const char *key, void *data, size_t capacity)
{
    store *s = user;
    for (uint32_t i = 0; i < s->count; i++)
        if (strcmp(s->keys[i], key) == 0) {
            if (data) memcpy(data, s->data[i], capacity < s->bytes[i] ? capacity : s->bytes[i]);
            s->hits++;
            return s->bytes[i];
        }
    return 0;
}

static void cache_store(void *user, const char *key, const void *data, size_t bytes)
{
    store *s = user;
    assert_true(s->count < 64 && strlen(key) < sizeof s->keys[0]);
    snprintf(s->keys[s->count], sizeof s->keys[0], "%s", key);
    s->data[s->count] = malloc(bytes);
    memcpy(s->data[s->count], data, bytes);
    s->bytes[s->count++] = bytes;
}

static void run_with(const wane_cache *cache, wane_cache_info *info)
{
    wane_context *context = open_context(cache);
    assert_like_cpu(test_device(context, "opencl"), context, 4, 100);
    *info = (wane_cache_info){.struct_size = sizeof *info};
    assert_int_equal(wane_context_get_cache_info(context, info), WANE_OK);
    wane_context_destroy(context);
    assert_int_equal(shim.live, 0);
}

static void test_cache(void **state)
{
    (void)state;
    store s = {.count = 0};
    wane_cache cache = {&s, cache_load, cache_store};
    wane_cache_info info;
    run_with(&cache, &info);
    uint32_t stored = s.count, builds = shim.builds;
    assert_int_equal(stored, builds);
    assert_int_equal(shim.binaries, 0);
    assert_true(info.used == 0 && info.absent == stored && info.refused == 0 && info.stored == stored);
    reset_shim();
    run_with(&cache, &info);                      // all from the cache: no source is seen
    assert_int_equal(shim.sources, 0);
    assert_true(info.used == stored && info.absent == 0 && info.refused == 0 && info.stored == 0);
    assert_int_equal(shim.binaries, stored);
    assert_int_equal(s.count, stored);

    reset_shim();                          // a driver that takes no binary
    shim.fail_name = "clCreateProgramWithBinary";
    shim.fail_with = CL_INVALID_BINARY;
    run_with(&cache, &info);
    assert_int_equal(shim.binaries, 0);
    assert_int_equal(shim.builds, builds);

    reset_shim();                          // damage, found before a driver sees it
    s.count = stored;
    for (uint32_t i = 0; i < s.count; i++) ((unsigned char *)s.data[i])[s.bytes[i] / 2] ^= 1;
    run_with(&cache, &info);
    assert_int_equal(shim.binaries, 0);
    assert_true(info.used == 0 && info.absent == 0 && info.refused == stored && info.stored == stored);
    for (uint32_t i = 0; i < s.count; i++) free(s.data[i]);
}

// PoCL 6 cannot compile loops over work items, nor binaries that have them; PoCL 7 can. The results are the same.
static void test_quirks(void **state)
{
    (void)state;
    static const struct { const char *version, *quirks; } cases[] = {{"6.0+debian", "no binaries,groups of 1"}, {"7.0", ""}};
    for (int i = 0; i < 2; i++) {
        reset_shim();
        shim.lie = CL_DRIVER_VERSION;
        shim.words = cases[i].version;
        store s = {.count = 0};
        wane_cache cache = {&s, cache_load, cache_store};
        wane_context *context = open_context(&cache);
        wane_device *device = test_device(context, "opencl");
        wane_device_info info = {.struct_size = sizeof info};
        assert_int_equal(wane_device_get_info(device, &info), WANE_OK);
        if (strstr(info.driver, "Portable Computing Language")) {
            assert_string_equal(info.quirks, cases[i].quirks);
            assert_like_cpu(device, context, 4, 100);
            assert_int_equal(s.count, i == 0 ? 0 : shim.builds);
        }
        wane_context_destroy(context);
        for (uint32_t k = 0; k < s.count; k++) free(s.data[k]);
    }
}

// A driver that computes wrongly is refused, and says so.
static void test_wrong_driver(void **state)
{
    (void)state;
    reset_shim();
    shim.lie = CL_DRIVER_VERSION;
    shim.words = "25.0.7-2+deb13u1";
    shim.platform = "rusticl";
    wane_context *context = open_context(NULL);
    wane_device *device = NULL;
    wane_device_info info = {.struct_size = sizeof info};
    uint32_t count = 0;
    for (uint32_t i = 0; (device = wane_device_at(context, i)) != NULL; i++) {
        assert_int_equal(wane_device_get_info(device, &info), WANE_OK);
        if (!strstr(info.driver, "rusticl") || info.is_hardware_gpu) continue;
        count++;
        assert_false(info.usable);
        assert_non_null(strstr(info.reason, "wrongly"));
        assert_int_equal(wane_device_find(context, info.id, &device), WANE_ERROR_DEVICE_UNUSABLE);
        assert_null(device);
    }
    assert_true(count > 0);
    wane_context_destroy(context);
}

// ---- failures -------------------------------------------------------------------------------------------------------

static test_problem small;

// From a context to numbers. The problem is made before, since its making allocates too.
static wane_status everything(void)
{
    wane_context *context = open_context(NULL);
    if (!context) return WANE_ERROR_HOST_MEMORY;
    wane_device *device = NULL;
    wane_status status = wane_device_find(context, "opencl", &device);
    if (status == WANE_OK) status = run_problem(device, &small);
    wane_context_destroy(context);
    return status;
}

static int make_small(void **state)
{
    reset_shim();
    wane_context *context = test_context(&messages, NULL, 1);
    make_problem(&small, context, 3, 7);
    wane_context_destroy(context);
    return before_each(state);
}

static int end_small(void **state)
{
    (void)state;
    test_problem_end(&small);
    return 0;
}

// Each allocation fails in turn.
static void test_allocations(void **state)
{
    (void)state;
    test_memory memory;
    test_memory_begin(&memory);
    memory_in_use = &memory;
    assert_int_equal(everything(), WANE_OK);
    long calls = atomic_load(&memory.calls);
    for (long i = 0; i < calls; i++) {
        test_memory_begin(&memory);
        test_memory_arm(&memory, i, i + 1);
        wane_status status = everything();
        if (status != WANE_ERROR_HOST_MEMORY) fail_msg("allocation %ld: got %s", i, wane_status_text(status));
        if (shim.live) fail_msg("allocation %ld: %d objects are left", i, shim.live);
        assert_int_equal(atomic_load(&memory.blocks), 0);
        assert_int_equal(atomic_load(&memory.wrong_frees), 0);
    }
    memory_in_use = NULL;
}

static void test_build_failure(void **state)
{
    (void)state;
    wane_context *context = open_context(NULL);
    wane_device *device = test_device(context, "opencl");
    test_problem p;
    make_problem(&p, context, 3, 7);
    test_problem_param(&p, WANE_PARAM_TEMPERATURE, 2);
    test_problem_param(&p, WANE_PARAM_SOFTCAP, 9);          // constants that nothing is compiled for yet
    shim.fail_name = "clBuildProgram";
    shim.fail_with = CL_BUILD_PROGRAM_FAILURE;
    expect_error(&messages, WANE_ERROR_BUILD, NULL, run_problem(device, &p));
    assert_non_null(strstr(messages.text, "softmax"));
    shim.fail_name = NULL;
    assert_int_equal(run_problem(device, &p), WANE_OK);
    test_problem_end(&p);
    wane_context_destroy(context);
    assert_int_equal(shim.live, 0);
}

static void test_loss_of_device(void **state)
{
    (void)state;
    wane_context *context = open_context(NULL);
    wane_device *device = test_device(context, "opencl");
    test_problem p;
    make_problem(&p, context, 3, 7);
    assert_int_equal(run_problem(device, &p), WANE_OK);
    shim.fail_name = "clFinish";
    shim.fail_with = CL_DEVICE_NOT_AVAILABLE;
    expect_error(&messages, WANE_ERROR_DEVICE_LOST, NULL, run_problem(device, &p));
    shim.fail_name = NULL;
    uint32_t calls = shim.calls;
    assert_int_equal(run_problem(device, &p), WANE_ERROR_DEVICE_LOST);
    wane_buffer *buffer = NULL;
    assert_int_equal(wane_buffer_create(device, 64, &buffer), WANE_ERROR_DEVICE_LOST);
    assert_int_equal(shim.calls, calls);
    test_problem_end(&p);
    wane_context_destroy(context);
    assert_int_equal(shim.live, 0);
}

int main(void)
{
    if (!have_device()) {
        printf("no OpenCL device: skipped\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_run, before_each),
        cmocka_unit_test_setup(test_groups, before_each),
        cmocka_unit_test_setup(test_floor, before_each),
        cmocka_unit_test_setup(test_no_driver, before_each),
        cmocka_unit_test_setup(test_programs_shared, before_each),
        cmocka_unit_test_setup(test_cache, before_each),
        cmocka_unit_test_setup(test_quirks, before_each), cmocka_unit_test_setup(test_wrong_driver, before_each),
        cmocka_unit_test_setup_teardown(test_allocations, make_small, end_small),
        cmocka_unit_test_setup(test_build_failure, before_each),
        cmocka_unit_test_setup(test_loss_of_device, before_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
