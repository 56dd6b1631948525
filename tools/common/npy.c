// npy.c - see npy.h. Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
//
// A file is "\x93NUMPY", two version bytes, the header's length (u16 in version 1, u32 in 2 and 3), the header and the
// data. The header is a Python dictionary with exactly the keys descr, fortran_order and shape.
#include "common/npy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Words are copied as they stand, so the machine must be little-endian as the files are.
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "npy.c copies little-endian data without swapping; swap it here for a big-endian machine"
#endif

enum {
    NPY_MAX_HEADER = 65536,                 // a plain array needs 128 bytes; the u32 of version 2 could say 4 GB
    NPY_MAX_DIMS = 32                       // read for the message; more than TOOL_MAX_RANK is refused afterwards
};

typedef struct npy_reader {
    FILE *file;
    char *error;
    size_t capacity;
    char *header;                           // NUL-terminated
    const char *at;                         // where the parser stands in it
    char descr[32];
    bool fortran, has_descr, has_order, has_shape;
    uint32_t rank;
    int64_t extents[NPY_MAX_DIMS];
} npy_reader;

__attribute__((format(printf, 2, 3))) static bool fail(npy_reader *r, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(r->error, r->capacity, format, list);
    va_end(list);
    return false;
}

static bool short_read(npy_reader *r, const char *what)
{
    if (ferror(r->file)) return fail(r, "cannot be read: %s", strerror(errno));
    return fail(r, "is truncated: the file ends within its %s", what);
}

// ---- the header's text --------------------------------------------------------------------------------------------

static bool malformed(npy_reader *r, const char *what)
{
    return fail(r, "has a malformed .npy header: %s. Write the file again with numpy.save", what);
}

static char next(npy_reader *r)
{
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r') r->at++;
    return *r->at;
}

static bool take(npy_reader *r, char c)
{
    if (next(r) != c) return false;
    r->at++;
    return true;
}

static bool take_string(npy_reader *r, char *text, size_t capacity)
{
    char quote = next(r);
    if (quote != '\'' && quote != '"') return false;
    const char *end = strchr(++r->at, quote);
    if (!end || (size_t)(end - r->at) >= capacity) return false;
    memcpy(text, r->at, (size_t)(end - r->at));
    text[end - r->at] = 0;
    r->at = end + 1;
    return true;
}

static bool take_word(npy_reader *r, const char *word)
{
    next(r);
    size_t length = strlen(word);
    if (strncmp(r->at, word, length) != 0) return false;
    r->at += length;
    return true;
}

static bool take_extent(npy_reader *r)
{
    if (next(r) == '-') return malformed(r, "an extent of the shape is negative");
    if (*r->at < '0' || *r->at > '9') return malformed(r, "the shape is not a tuple of integers");
    if (r->rank >= NPY_MAX_DIMS)
        return fail(r, "has more than %d dimensions; wane takes %d at most", NPY_MAX_DIMS, TOOL_MAX_RANK);
    int64_t value = 0;
    for (; *r->at >= '0' && *r->at <= '9'; r->at++) {
        if (value > (INT64_MAX - 9) / 10) return fail(r, "has an absurd shape: an extent does not fit 63 bits");
        value = value * 10 + (*r->at - '0');
    }
    if (*r->at == 'L') r->at++;             // Python 2 wrote 3L
    r->extents[r->rank++] = value;
    return true;
}

static bool take_shape(npy_reader *r)
{
    if (!take(r, '(')) return malformed(r, "the shape is not a tuple");
    bool comma = true;
    while (!take(r, ')')) {
        if (!comma) return malformed(r, "the shape lacks a comma or its closing bracket");
        if (!take_extent(r)) return false;
        comma = take(r, ',');
    }
    // (3) is a number in Python, and no tuple
    if (r->rank == 1 && !comma) return malformed(r, "the shape is not a tuple");
    return true;
}

static bool take_entry(npy_reader *r)
{
    char key[32];
    if (!take_string(r, key, sizeof key) || !take(r, ':'))
        return malformed(r, "it is not a dictionary with string keys");
    if (strcmp(key, "descr") == 0) {
        if (r->has_descr) return malformed(r, "descr stands twice");
        if (next(r) == '[')
            return fail(r, "has a structured type (named fields); save one plain array of numbers per file");
        if (!take_string(r, r->descr, sizeof r->descr)) return malformed(r, "descr is not a string");
        r->has_descr = true;
    } else if (strcmp(key, "fortran_order") == 0) {
        if (r->has_order) return malformed(r, "fortran_order stands twice");
        r->fortran = take_word(r, "True");
        if (!r->fortran && !take_word(r, "False")) return malformed(r, "fortran_order is neither True nor False");
        r->has_order = true;
    } else if (strcmp(key, "shape") == 0) {
        if (r->has_shape) return malformed(r, "shape stands twice");
        if (!take_shape(r)) return false;
        r->has_shape = true;
    } else {
        return malformed(r, "it has a key other than descr, fortran_order and shape");
    }
    return true;
}

static bool parse_header(npy_reader *r)
{
    r->at = r->header;
    if (!take(r, '{')) return malformed(r, "it does not begin with {");
    bool comma = true;
    while (!take(r, '}')) {
        if (!comma) return malformed(r, "it lacks a comma or its closing }");
        if (!take_entry(r)) return false;
        comma = take(r, ',');
    }
    if (next(r) != 0) return malformed(r, "there is text after the closing }");
    if (!r->has_descr) return malformed(r, "descr is missing");
    if (!r->has_order) return malformed(r, "fortran_order is missing");
    if (!r->has_shape) return malformed(r, "shape is missing");
    return true;
}

// ---- the file -----------------------------------------------------------------------------------------------------

static bool read_header(npy_reader *r)
{
    unsigned char head[12];
    if (fread(head, 1, 8, r->file) != 8) {
        if (ferror(r->file)) return short_read(r, "first bytes");
        return fail(r, "is not a .npy file: it has fewer than 8 bytes. Write it with numpy.save");
    }
    if (memcmp(head, "\x93NUMPY", 6) != 0)
        return fail(r, "is not a .npy file: it lacks the mark \\x93NUMPY%s. Write it with numpy.save",
                    memcmp(head, "PK\3\4", 4) == 0 ? " (it looks like .npz, an archive of several arrays)" : "");
    if (head[6] < 1 || head[6] > 3 || head[7] != 0)
        return fail(r, "is a .npy file of version %d.%d; 1.0, 2.0 and 3.0 are known", head[6], head[7]);
    size_t width = head[6] == 1 ? 2 : 4;
    if (fread(head + 8, 1, width, r->file) != width) return short_read(r, "header");
    uint32_t length = (uint32_t)head[8] | (uint32_t)head[9] << 8;
    if (width == 4) length |= (uint32_t)head[10] << 16 | (uint32_t)head[11] << 24;
    if (length > NPY_MAX_HEADER)
        return fail(r, "has an oversized header: %" PRIu32 " bytes, and %d are the most that is read", length,
                    NPY_MAX_HEADER);
    r->header = malloc((size_t)length + 1);
    if (!r->header) return fail(r, "cannot be read: out of memory");
    if (fread(r->header, 1, length, r->file) != length) return short_read(r, "header");
    r->header[length] = 0;
    if (strlen(r->header) != length) return malformed(r, "it holds a byte 0");
    return parse_header(r);
}

// The remedy for a type that wane does not take.
static bool refuse_type(npy_reader *r)
{
    const char *code = r->descr + (strchr("<>=|", r->descr[0]) != NULL);
    if (strcmp(code, "f8") == 0 || strcmp(code, "f16") == 0 || strcmp(code, "f12") == 0)
        return fail(r, "holds %s ('%s'); wane computes in f32: convert it with x.astype(numpy.float32)",
                    strcmp(code, "f8") == 0 ? "f64" : "long double", r->descr);
    if (strcmp(code, "u2") == 0)
        return fail(r, "holds u16 ('%s'): if these are the words of bf16 give --dtype bf16, else convert it with "
                       "x.astype(numpy.float32) or x.astype(numpy.int64)", r->descr);
    if (strcmp(code, "b1") == 0)
        return fail(r, "holds truth values ('%s'): convert it with x.astype(numpy.int64), or numpy.float32", r->descr);
    if (code[0] == 'i' || code[0] == 'u')
        return fail(r, "holds integers of the type '%s': convert it with x.astype(numpy.int64), or numpy.float32",
                    r->descr);
    return fail(r, "holds the type '%s'; known are f32 '<f4', f16 '<f2', i32 '<i4', i64 '<i8', u32 '<u4', u8 '|u1', "
                   "and bf16 as '<u2' with --dtype bf16", r->descr);
}

static bool find_type(npy_reader *r, unsigned flags, int *dtype)
{
    static const struct { const char *code; int dtype; } types[] = {
        {"f4", WANE_DTYPE_F32}, {"f2", WANE_DTYPE_F16}, {"i4", WANE_DTYPE_I32},
        {"i8", WANE_DTYPE_I64}, {"u4", WANE_DTYPE_U32}, {"u1", TOOL_DTYPE_U8},
    };
    const char *code = r->descr;
    if (*code == '>')
        return fail(r, "is big-endian ('%s'): convert it with x.astype(x.dtype.newbyteorder('<'))", r->descr);
    if (*code == '<' || *code == '=' || *code == '|') code++;
    if (flags & NPY_BF16 && (strcmp(code, "u2") == 0 || strcmp(code, "V2") == 0)) {
        *dtype = WANE_DTYPE_BF16;
        return true;
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(code, types[i].code) == 0) {
            *dtype = types[i].dtype;
            return true;
        }
    return refuse_type(r);
}

// Takes memory as the data comes where the file's size is not known (a pipe), else at once.
static bool read_data(npy_reader *r, tool_array *out, bool sized)
{
    size_t chunk = (size_t)1 << 20, capacity = sized || out->bytes < chunk ? out->bytes : chunk, got = 0;
    out->data = malloc(capacity ? capacity : 1);
    if (!out->data) return fail(r, "needs %zu bytes of memory, which there are not", out->bytes);
    while (got < out->bytes) {
        if (got == capacity) {
            capacity = capacity > out->bytes / 2 ? out->bytes : capacity * 2;
            void *more = realloc(out->data, capacity);
            if (!more) return fail(r, "needs %zu bytes of memory, which there are not", out->bytes);
            out->data = more;
        }
        size_t step = fread((char *)out->data + got, 1, capacity - got, r->file);
        if (step == 0) break;
        got += step;
    }
    if (ferror(r->file)) return fail(r, "cannot be read: %s", strerror(errno));
    if (got < out->bytes)
        return fail(r, "is truncated: its header promises %zu bytes of data and there are %zu", out->bytes, got);
    if (fgetc(r->file) != EOF) return fail(r, "has bytes after its data: header and data disagree; one array per file");
    return true;
}

static bool read_array(npy_reader *r, unsigned flags, tool_array *out)
{
    struct stat st;
    bool sized = fstat(fileno(r->file), &st) == 0 && S_ISREG(st.st_mode);
    int dtype = 0;
    char shape[128];
    if (!read_header(r) || !find_type(r, flags, &dtype)) return false;
    if (r->rank > TOOL_MAX_RANK)
        return fail(r, "has %" PRIu32 " dimensions; wane takes %d at most: reshape it", r->rank, TOOL_MAX_RANK);
    if (!tool_array_shape(out, dtype, r->rank, r->extents)) {
        memcpy(out->extents, r->extents, sizeof out->extents);
        out->rank = r->rank;
        return fail(r, "has an absurd shape %s: the product of its extents does not fit the memory's address range",
                    tool_array_shape_text(out, shape, sizeof shape));
    }
    if (r->fortran && r->rank > 1)           // with one dimension there is no order to differ in
        return fail(r, "is in Fortran order (columns first): save numpy.ascontiguousarray(x) instead");
    if (sized) {
        long at = ftell(r->file);
        uint64_t left = at < 0 || st.st_size < at ? 0 : (uint64_t)st.st_size - (uint64_t)at;
        if (left < out->bytes)
            return fail(r, "is truncated: shape %s of %s needs %zu bytes of data and the file has %" PRIu64,
                        tool_array_shape_text(out, shape, sizeof shape), tool_dtype_name(dtype), out->bytes, left);
    }
    return read_data(r, out, sized);
}

bool npy_read(const char *path, unsigned flags, tool_array *out, char *error, size_t capacity)
{
    npy_reader reader;
    memset(&reader, 0, sizeof reader);
    memset(out, 0, sizeof *out);
    reader.error = error;
    reader.capacity = capacity;
    reader.file = fopen(path, "rb");
    if (!reader.file) return fail(&reader, "cannot be opened: %s", strerror(errno));
    bool done = read_array(&reader, flags, out);
    if (!done) tool_array_free(out);
    free(reader.header);
    fclose(reader.file);
    return done;
}

// ---- writing ------------------------------------------------------------------------------------------------------

static const char *descr_of(int dtype)
{
    switch (dtype) {
    case WANE_DTYPE_F32: return "<f4";
    case WANE_DTYPE_F16: return "<f2";
    case WANE_DTYPE_I32: return "<i4";
    case WANE_DTYPE_I64: return "<i8";
    case WANE_DTYPE_U32: return "<u4";
    case TOOL_DTYPE_U8: return "|u1";
    default: return "<u2";                  // bf16, for which NumPy has no name
    }
}

bool npy_write_stream(FILE *file, const tool_array *array)
{
    char shape[128], text[256];
    int length = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
                          descr_of(array->dtype), tool_array_shape_text(array, shape, sizeof shape));
    // 10 bytes, the text, blanks and a newline fill a multiple of 64, so that data may be mapped
    int total = (10 + length + 1 + 63) / 64 * 64, header = total - 10;
    unsigned char head[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(header & 255), (unsigned char)(header >> 8)};
    if (fwrite(head, 1, sizeof head, file) != sizeof head) return false;
    if (fprintf(file, "%-*s\n", header - 1, text) < 0) return false;
    return array->bytes == 0 || fwrite(array->data, 1, array->bytes, file) == array->bytes;
}

bool npy_write(const char *path, const tool_array *array, char *error, size_t capacity)
{
    FILE *file = fopen(path, "wbx");
    if (!file) {
        snprintf(error, capacity, "cannot be created: %s", strerror(errno));
        return false;
    }
    bool done = npy_write_stream(file, array);
    int code = errno;
    if (fclose(file) != 0 && done) {        // a full disk may show only here
        done = false;
        code = errno;
    }
    if (done) return true;
    snprintf(error, capacity, "cannot be written: %s", strerror(code));
    remove(path);
    return false;
}
