// test_npy.c - the .npy reader and writer, arrays, and half types.
#include "common/half.h"
#include "common/npy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char error[512];

// Writes a file of the version with this header text and payload.
static void write_file(const char *path, int major, const char *header, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    size_t length = strlen(header);
    fwrite("\x93NUMPY", 1, 6, file);
    fputc(major, file);
    fputc(0, file);
    for (int i = 0; i < (major == 1 ? 2 : 4); i++) fputc((int)(length >> 8 * i & 255), file);
    fputs(header, file);
    fwrite(data, 1, bytes, file);
    assert_int_equal(fclose(file), 0);
}

static void accepts(int major, const char *header, unsigned flags, int dtype, uint32_t rank, int64_t count)
{
    static const char zeros[4096];
    tool_array array;
    write_file("a.npy", major, header, zeros, (size_t)count * tool_dtype_bytes(dtype));
    if (!npy_read("a.npy", flags, &array, error, sizeof error)) fail_msg("%s: %s", header, error);
    assert_int_equal(array.dtype, dtype);
    assert_int_equal(array.rank, rank);
    assert_int_equal(array.count, count);
    assert_int_equal(array.bytes, (size_t)count * tool_dtype_bytes(dtype));
    assert_non_null(array.data);
    tool_array_free(&array);
}

static void refuses(int major, const char *header, size_t bytes, const char *because)
{
    static const char zeros[4096];
    tool_array array;
    write_file("b.npy", major, header, zeros, bytes);
    error[0] = 0;
    if (npy_read("b.npy", 0, &array, error, sizeof error)) fail_msg("was read: %s", header);
    if (!strstr(error, because)) fail_msg("expected \"%s\" for %s, got: %s", because, header, error);
    assert_null(array.data);
}

static void test_headers(void **state)
{
    (void)state;
    accepts(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }            \n", 0, WANE_DTYPE_F32, 2, 12);
    accepts(2, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n", 0, WANE_DTYPE_F32, 2, 12);
    accepts(3, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n", 0, WANE_DTYPE_F32, 2, 12);
    accepts(1, "{\"shape\":(5,),\"fortran_order\":False,\"descr\":\"<i8\"}", 0, WANE_DTYPE_I64, 1, 5);
    accepts(1, "{'descr': '<i4', 'fortran_order': False, 'shape': (), }\n", 0, WANE_DTYPE_I32, 0, 1);
    accepts(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (7L,), }\n", 0, TOOL_DTYPE_U8, 1, 7);
    accepts(1, "{'descr': '<u4', 'fortran_order': False, 'shape': (0, 9), }\n", 0, WANE_DTYPE_U32, 2, 0);
    accepts(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 1, 2, 3), }\n", 0, WANE_DTYPE_F16, 4, 12);
    accepts(1, "{'descr': '<u2', 'fortran_order': False, 'shape': (2,), }\n", NPY_BF16, WANE_DTYPE_BF16, 1, 2);
    accepts(1, "{'descr': '<V2', 'fortran_order': False, 'shape': (2,), }\n", NPY_BF16, WANE_DTYPE_BF16, 1, 2);
    accepts(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (4,), }\n", 0, WANE_DTYPE_F32, 1, 4);
}

static void test_refusals(void **state)
{
    (void)state;
    refuses(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }\n", 24, "f64");
    refuses(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }\n", 24, "astype(numpy.float32)");
    refuses(1, "{'descr': '>f4', 'fortran_order': False, 'shape': (3,), }\n", 12, "big-endian");
    refuses(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }\n", 48, "ascontiguousarray");
    refuses(1, "{'descr': '<u2', 'fortran_order': False, 'shape': (3,), }\n", 6, "--dtype bf16");
    refuses(1, "{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }\n", 6, "astype(numpy.int64)");
    refuses(1, "{'descr': '<U5', 'fortran_order': False, 'shape': (3,), }\n", 60, "'<U5'");
    refuses(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }\n", 12, "structured");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n", 47, "truncated");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n", 0, "truncated");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n", 49, "after its data");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 3), }\n", 12, "5 dimensions");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n", 0, "absurd shape");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807, 4), }\n", 0, "absurd shape");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }\n", 0, "absurd shape");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 4), }\n", 16, "truncated");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }\n", 12, "negative");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3), }\n", 12, "not a tuple");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': 3, }\n", 12, "not a tuple");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3 4), }\n", 48, "malformed");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,,), }\n", 12, "malformed");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3.5,), }\n", 12, "malformed");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)\n", 12, "malformed");
    refuses(1, "{'descr': '<f4', 'fortran_order': False}\n", 12, "shape is missing");
    refuses(1, "{'descr': '<f4', 'shape': (3,)}\n", 12, "fortran_order is missing");
    refuses(1, "{'shape': (3,), 'fortran_order': False}\n", 12, "descr is missing");
    refuses(1, "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3,)}\n", 12, "twice");
    refuses(1, "{'descr': '<f4', 'fortran_order': maybe, 'shape': (3,)}\n", 12, "neither True nor False");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': 1}\n", 12, "a key other than");
    refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} x\n", 12, "after the closing }");
    refuses(1, "", 12, "malformed");
    refuses(1, "{", 12, "malformed");
    refuses(1, "{'descr", 12, "malformed");
    refuses(1, "[1, 2]", 12, "malformed");
    refuses(4, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n", 12, "version 4.0");
    refuses(0, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n", 12, "version 0.0");
}

// The file's first bytes, cut or wrong in every way.
static void test_first_bytes(void **state)
{
    (void)state;
    static const struct { const char *bytes; size_t count; const char *because; } files[] = {
        {"", 0, "not a .npy file"},
        {"\x93NUM", 4, "not a .npy file"},
        {"PK\3\4........", 12, ".npz"},
        {"1.0 2.0 3.0\n", 12, "not a .npy file"},
        {"\x93NUMPY\1\0", 8, "truncated"},
        {"\x93NUMPY\1\0\x76", 9, "truncated"},
        {"\x93NUMPY\1\0\x76\0{'descr'", 18, "truncated"},
        {"\x93NUMPY\2\0\xff\xff\xff\x7f", 12, "oversized header"},
        {"\x93NUMPY\3\0\0\0\2\0", 12, "oversized header"},
        {"\x93NUMPY\1\0\4\0{\0\0}", 14, "byte 0"},
    };
    tool_array array;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        FILE *file = fopen("c.npy", "wb");
        assert_non_null(file);
        fwrite(files[i].bytes, 1, files[i].count, file);
        fclose(file);
        assert_false(npy_read("c.npy", 0, &array, error, sizeof error));
        if (!strstr(error, files[i].because))
            fail_msg("file %zu: expected \"%s\", got: %s", i, files[i].because, error);
        assert_null(array.data);
    }
    assert_false(npy_read("no such file.npy", 0, &array, error, sizeof error));
    assert_non_null(strstr(error, "cannot be opened"));
    assert_false(npy_read(".", 0, &array, error, sizeof error));
    assert_non_null(strstr(error, "cannot be read"));
}

// Every prefix of a good file is refused, and never crashes.
static void test_prefixes(void **state)
{
    (void)state;
    const float data[3] = {1, 2, 3};
    write_file("d.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n", data, sizeof data);
    char bytes[256];
    FILE *file = fopen("d.npy", "rb");
    size_t count = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    tool_array array;
    for (size_t cut = 0; cut < count; cut++) {
        file = fopen("d.npy", "wb");
        fwrite(bytes, 1, cut, file);
        fclose(file);
        assert_false(npy_read("d.npy", 0, &array, error, sizeof error));
        assert_null(array.data);
    }
}

// A good file with a few bytes changed at random: read or refused, but never a crash or a wrong size.
static void test_changed_bytes(void **state)
{
    (void)state;
    static const char good[] = "\x93NUMPY\1\0\x3e\0{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1), }  \n"
                               "123456789abc";
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 800; i++) {
        char bytes[sizeof good];
        memcpy(bytes, good, sizeof good);
        for (int j = 0; j <= i % 3; j++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            char likely = "'(),:{}0123456789<>|fiuFT 8LV"[(random >> 32) % 29];
            bytes[random % (sizeof good - 1)] = random >> 40 & 1 ? likely : (char)(random >> 24);
        }
        FILE *file = fopen("f.npy", "wb");
        assert_non_null(file);
        fwrite(bytes, 1, sizeof good - 1, file);
        fclose(file);
        tool_array array;
        error[0] = 0;
        if (npy_read("f.npy", NPY_BF16, &array, error, sizeof error)) {
            assert_true(array.bytes <= sizeof good && array.data);
            tool_array_free(&array);
        } else {
            assert_true(error[0] != 0 && !array.data);
        }
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    static const int dtypes[] = {WANE_DTYPE_F32, WANE_DTYPE_F16, WANE_DTYPE_BF16, WANE_DTYPE_I32,
                                 WANE_DTYPE_I64, WANE_DTYPE_U32, TOOL_DTYPE_U8};
    static const int64_t extents[4] = {2, 3, 1, 4};
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        for (uint32_t rank = 0; rank <= 4; rank++) {
            tool_array a, b;
            assert_true(tool_array_make(&a, dtypes[i], rank, extents));
            for (size_t j = 0; j < a.bytes; j++) ((unsigned char *)a.data)[j] = (unsigned char)(j * 7 + 1);
            remove("e.npy");
            assert_true(npy_write("e.npy", &a, error, sizeof error));
            struct stat st;
            assert_int_equal(stat("e.npy", &st), 0);
            assert_int_equal(((size_t)st.st_size - a.bytes) % 64, 0);
            assert_true(npy_read("e.npy", NPY_BF16, &b, error, sizeof error));
            assert_int_equal(b.dtype, a.dtype);
            assert_int_equal(b.rank, rank);
            assert_memory_equal(b.extents, a.extents, sizeof a.extents);
            assert_memory_equal(b.data, a.data, a.bytes);
            tool_array_free(&b);
            assert_false(npy_write("e.npy", &a, error, sizeof error));       // an existing file stays
            tool_array_free(&a);
        }
}

static void test_write_failure(void **state)
{
    (void)state;
    tool_array a;
    assert_true(tool_array_make(&a, WANE_DTYPE_F32, 0, NULL));
    assert_false(npy_write("no such folder/a.npy", &a, error, sizeof error));
    assert_non_null(strstr(error, "cannot be created"));
    tool_array_free(&a);
}

static void test_arrays(void **state)
{
    (void)state;
    tool_array a;
    char text[64];
    assert_false(tool_array_shape(&a, WANE_DTYPE_F32, 2, (const int64_t[]){-1, 2}));
    assert_false(tool_array_shape(&a, WANE_DTYPE_F32, 5, (const int64_t[]){1, 1, 1, 1, 1}));
    assert_false(tool_array_shape(&a, 77, 0, NULL));
    assert_true(tool_array_make(&a, TOOL_DTYPE_U8, 1, (const int64_t[]){3}));
    memcpy(a.data, "\0\7\xff", 3);
    assert_true(tool_array_widen(&a));
    assert_int_equal(a.dtype, WANE_DTYPE_I64);
    assert_int_equal(tool_array_integer(&a, 2), 255);
    assert_string_equal(tool_array_shape_text(&a, text, sizeof text), "(3,)");
    tool_array_free(&a);
    const float values[] = {0.1f, 2.3025851f, 1.0f, 16777216.0f, -0.0f, INFINITY, NAN};
    static const char *const texts[] = {"0.1", "2.3025851", "1", "16777216", "-0", "inf", "nan"};
    assert_true(tool_array_make(&a, WANE_DTYPE_F32, 2, (const int64_t[]){1, 7}));
    memcpy(a.data, values, sizeof values);
    for (int i = 0; i < 7; i++) assert_string_equal(tool_array_text(&a, i, text, sizeof text), texts[i]);
    assert_string_equal(tool_array_shape_text(&a, text, sizeof text), "(1, 7)");
    tool_array_free(&a);
}

static void test_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = tool_f32_of_f16((uint16_t)h), b = tool_f32_of_bf16((uint16_t)h);
        if ((h & 0x7fff) > 0x7c00) assert_true(isnan(f) && isnan(tool_f32_of_f16(tool_f16_of_f32(f))));
        else assert_int_equal(tool_f16_of_f32(f), h);
        if ((h & 0x7fff) > 0x7f80) assert_true(isnan(b) && isnan(tool_f32_of_bf16(tool_bf16_of_f32(b))));
        else assert_int_equal(tool_bf16_of_f32(b), h);
        // halfway to the next one goes to the even one, a little beside it to the nearer one
        if ((h & 0x7fff) < 0x7bff) {
            float next = tool_f32_of_f16((uint16_t)(h + 1)), middle = f + (next - f) / 2;
            assert_int_equal(tool_f16_of_f32(middle), h & 1 ? h + 1 : h);
            assert_int_equal(tool_f16_of_f32(nextafterf(middle, f)), h);
            assert_int_equal(tool_f16_of_f32(nextafterf(middle, next)), h + 1);
        }
    }
    assert_int_equal(tool_f16_of_f32(65504.0f), 0x7bff);
    assert_int_equal(tool_f16_of_f32(65519.99f), 0x7bff);
    assert_int_equal(tool_f16_of_f32(65520.0f), 0x7c00);
    assert_int_equal(tool_f16_of_f32(1e30f), 0x7c00);
    assert_int_equal(tool_f16_of_f32(-INFINITY), 0xfc00);
    assert_int_equal(tool_f16_of_f32(1e-30f), 0);
    assert_int_equal(tool_bf16_of_f32(1.00390625f), 0x3f80);                 // a tie, to even
    assert_int_equal(tool_bf16_of_f32(1.01171875f), 0x3f82);
    assert_int_equal(tool_bf16_of_f32(3.4e38f), 0x7f80);
}

int main(void)
{
    mkdir(TEST_FOLDER "/npy.files", 0777);
    if (chdir(TEST_FOLDER "/npy.files") != 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),    cmocka_unit_test(test_refusals),      cmocka_unit_test(test_first_bytes),
        cmocka_unit_test(test_prefixes),   cmocka_unit_test(test_changed_bytes), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_write_failure), cmocka_unit_test(test_arrays), cmocka_unit_test(test_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
