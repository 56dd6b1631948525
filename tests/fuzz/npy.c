// npy.c - random .npy files. What must hold: a file is refused with a message, or gives an array that fits its type and
// shape, and that written and read again is the same.
#include "fuzz.h"

#include "common/npy.h"

#include <string.h>
#include <unistd.h>

enum { MOST = 4096 };

// Names of this process, so that tests can run side by side; in memory where there is such a place.
static const char *path_of(const char *name)
{
    static char text[2][64];
    char *path = text[name[0] == 'o'];
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ".";
    snprintf(path, sizeof text[0], "%s/wane_fuzz_npy_%ld_%s.tmp", folder, (long)getpid(), name);
    return path;
}

static void remove_files(void)
{
    remove(path_of("in"));
    remove(path_of("out"));
}

// A header as NumPy writes it, now and then with something else.
static size_t make_file(fuzz_input *in, unsigned char file[MOST])
{
    static const char *const types[] = {"<f4", "<f2", "<i4", "<i8", "<u4", "|u1", "<u2",  ">f4", "<f8",
                                        "|b1", "|V2", "|O",  "<U3", "",    "f4",  "<i16", "='"};
    static const char *const shapes[] = {
        "()", "(3,)", "(2, 3)", "(0,)", "(1, 2, 1, 3)", "(3)", "(-1,)", "(2,3,)", "(1,1,1,1,1)",
        "(9223372036854775807,)", "(4294967296, 4294967296)", "(18446744073709551616,)", "(1,,2)",
        "[2, 3]", "(2L,)", "(0x3,)", "( 2 ,3 )", "("};
    static const char *const orders[] = {"False", "True", "false", "0", "None", ""};
    char header[512];
    int length = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }",
                          types[fuzz_below(in, 17)], orders[fuzz_below(in, 4) ? 0 : fuzz_below(in, 6)],
                          shapes[fuzz_below(in, 18)]);
    while ((length + 11) % 16) header[length++] = ' ';
    header[length++] = '\n';
    int version = fuzz_below(in, 4) ? 1 : 1 + (int)fuzz_below(in, 4);
    size_t at = 0;
    memcpy(file, "\x93NUMPY", 6);
    at = 6;
    file[at++] = (unsigned char)version;
    file[at++] = fuzz_rarely(in, 20) ? 1 : 0;
    uint32_t said = fuzz_rarely(in, 15) ? (uint32_t)fuzz_bytes(in, 4) : (uint32_t)length;
    for (int i = 0; i < (version == 1 ? 2 : 4); i++) file[at++] = (unsigned char)(said >> 8 * i);
    memcpy(file + at, header, (size_t)length);
    at += (size_t)length;
    uint32_t data = fuzz_rarely(in, 3) ? fuzz_below(in, 80) : 48;
    for (uint32_t i = 0; i < data; i++) file[at++] = (unsigned char)fuzz_bytes(in, 1);
    uint32_t flips = fuzz_below(in, 2) ? 0 : fuzz_below(in, 6);
    for (uint32_t i = 0; i < flips; i++) file[fuzz_bytes(in, 4) % at] = (unsigned char)fuzz_bytes(in, 1);
    if (fuzz_rarely(in, 6)) at = fuzz_bytes(in, 4) % (at + 1);
    return at;
}

static void write_file(const char *path, const unsigned char *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(data, 1, bytes, file) == bytes && fclose(file) == 0, "%s cannot be written", path);
}

static void check_array(const tool_array *a)
{
    FUZZ_CHECK(a->data && a->rank <= TOOL_MAX_RANK && a->count >= 0, "rank %u", a->rank);
    int64_t count = 1;
    for (uint32_t d = 0; d < a->rank; d++) {
        FUZZ_CHECK(a->extents[d] >= 0, "extent %u", d);
        count *= a->extents[d];
    }
    FUZZ_CHECK(count == a->count && a->bytes == (size_t)count * tool_dtype_bytes(a->dtype), "%lld elements",
               (long long)count);
    FUZZ_CHECK(a->bytes <= MOST, "%zu bytes out of a small file", a->bytes);
    char text[64];
    for (int64_t i = 0; i < count; i++) tool_array_text(a, i, text, sizeof text);
    tool_array_shape_text(a, text, sizeof text);
}

void fuzz_body(const uint8_t *data, size_t size)
{
    static int registered;
    if (!registered++) atexit(remove_files);
    fuzz_input in = {data, size, 0};
    unsigned char file[MOST];
    unsigned flags = fuzz_below(&in, 3) ? 0 : NPY_BF16;
    size_t bytes = make_file(&in, file);
    write_file(path_of("in"), file, bytes);
    tool_array array, again;
    char error[512] = "";
    memset(&array, 0, sizeof array);
    if (!npy_read(path_of("in"), flags, &array, error, sizeof error)) {
        FUZZ_CHECK(error[0] && strlen(error) < sizeof error, "refused without a message");
        return;
    }
    check_array(&array);
    remove(path_of("out"));
    FUZZ_CHECK(npy_write(path_of("out"), &array, error, sizeof error), "%s", error);
    memset(&again, 0, sizeof again);
    FUZZ_CHECK(npy_read(path_of("out"), flags, &again, error, sizeof error), "%s", error);
    FUZZ_CHECK(again.dtype == array.dtype && again.rank == array.rank && again.bytes == array.bytes
                   && memcmp(again.extents, array.extents, array.rank * sizeof array.extents[0]) == 0
                   && memcmp(again.data, array.data, array.bytes) == 0, "not the same after writing and reading");
    tool_array_free(&array);
    tool_array_free(&again);
}
