// sizes_test.c - problems past a device's window of 128 MiB and past 2^31 and 2^32 elements, against the closed form of
// equal logits: loss log cols, gradient (1/cols - [j = y]) / rows. The device is the first argument; shapes that need
// addresses beyond 2^32 elements run on the CPU, in memory that is mapped and hardly touched.
#define _DEFAULT_SOURCE
#include "wane/wane.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

typedef struct shape {
    int64_t rows, cols, row_stride;        // stride in elements; 0: dense
    wane_dtype dtype;
    bool cpu_only;
} shape;

static const shape shapes[] = {
    {70000, 3, 0, WANE_DTYPE_F32, false},
    {300000, 2, 0, WANE_DTYPE_BF16, false},
    {700, 50257, 0, WANE_DTYPE_F32, false},            // 141 MB: more than one window, rows are cut
    {1, (1 << 25) + 7, 0, WANE_DTYPE_F32, false},      // one row past a window, columns are cut
    {2, (1 << 26) + 3, 0, WANE_DTYPE_F16, false},
    {3, 5, (int64_t)1 << 32, WANE_DTYPE_F32, true},    // rows 2^32 elements apart
    {3, 1001, ((int64_t)1 << 31) + 5, WANE_DTYPE_BF16, true},
    {5, 70000, ((int64_t)1 << 31) - 3, WANE_DTYPE_F32, true},
};

static wane_device *device;
static bool is_cpu;

static void operand(wane_operand *o, wane_binding *b, wane_role role, wane_dtype dtype, uint32_t rank, int64_t x, int64_t y,
                    void *host, uint64_t bytes)
{
    memset(o, 0, sizeof *o);
    memset(b, 0, sizeof *b);
    o->struct_size = sizeof *o;
    o->role = b->role = role;
    o->tensor.struct_size = sizeof o->tensor;
    o->tensor.dtype = dtype;
    o->tensor.rank = rank;
    o->tensor.extents[0] = x;
    o->tensor.extents[1] = y;
    b->struct_size = sizeof *b;
    b->host = host;
    b->bytes = bytes;
}

static double value_at(const unsigned char *at, wane_dtype dtype)
{
    uint32_t word = 0;
    memcpy(&word, at, wane_dtype_bytes(dtype));
    if (dtype == WANE_DTYPE_F16) return ldexp((word & 0x7c00 ? 1024 : 0) + (word & 1023), (int)(word & 0x7c00 ? word >> 10 & 31 : 1) - 25)
                                      * (word & 0x8000 ? -1 : 1);
    if (dtype == WANE_DTYPE_BF16) word <<= 16;
    float x;
    memcpy(&x, &word, 4);
    return x;
}

static void check(const shape *s, const unsigned char *grad, const int32_t *target, int64_t stride)
{
    size_t size = wane_dtype_bytes(s->dtype);
    double share = 1.0 / (double)s->cols / (double)s->rows;
    double relative = s->dtype == WANE_DTYPE_F32 ? 5e-6 : s->dtype == WANE_DTYPE_F16 ? 1e-3 : 8e-3;
    double least = s->dtype == WANE_DTYPE_F16 ? 0x1p-24 : 0;           // f16's subnormals
    for (int64_t r = 0; r < s->rows; r++)
        for (int64_t c = 0; c < s->cols; c++) {
            double want = c == target[r] ? share - 1.0 / (double)s->rows : share;
            double got = value_at(grad + (size_t)(r * stride + c) * size, s->dtype);
            if (!(fabs(got - want) <= relative * fabs(want) + least))
                fail_msg("%lld x %lld: grad[%lld][%lld] is %.9g, not %.9g", (long long)s->rows, (long long)s->cols,
                         (long long)r, (long long)c, got, want);
        }
}

static void one(const shape *s)
{
    int64_t stride = s->row_stride ? s->row_stride : s->cols;
    size_t bytes = (size_t)((s->rows - 1) * stride + s->cols) * wane_dtype_bytes(s->dtype);
    void *logits = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void *grad = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(logits != MAP_FAILED && grad != MAP_FAILED);
    int32_t *target = calloc((size_t)s->rows, 4);
    for (int64_t r = 0; r < s->rows; r++) target[r] = (int32_t)((r * 7919 + s->cols - 1) % s->cols);
    float loss = -1;
    wane_operand operands[4];
    wane_binding bindings[4];
    operand(&operands[0], &bindings[0], WANE_ROLE_LOGITS, s->dtype, 2, s->rows, s->cols, logits, bytes);
    operand(&operands[1], &bindings[1], WANE_ROLE_TARGET, WANE_DTYPE_I32, 1, s->rows, 0, target, (uint64_t)s->rows * 4);
    operand(&operands[2], &bindings[2], WANE_ROLE_GRAD_LOGITS, s->dtype, 2, s->rows, s->cols, grad, bytes);
    operand(&operands[3], &bindings[3], WANE_ROLE_LOSS, WANE_DTYPE_F32, 0, 0, 0, &loss, 4);
    for (int i = 0; i < 3; i += 2) {
        operands[i].tensor.flags = WANE_TENSOR_STRIDED;
        operands[i].tensor.strides[0] = stride;
        operands[i].tensor.strides[1] = 1;
    }
    wane_loss_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.loss = WANE_LOSS_CROSS_ENTROPY;
    desc.operands = operands;
    desc.operand_count = 4;
    wane_plan *plan;
    wane_executable *executable;
    assert_int_equal(wane_plan_create(device, &desc, &plan), WANE_OK);
    assert_int_equal(wane_executable_create(plan, &executable), WANE_OK);
    wane_args args;
    memset(&args, 0, sizeof args);
    args.struct_size = sizeof args;
    args.bindings = bindings;
    args.binding_count = 4;
    assert_int_equal(wane_run(executable, NULL, &args), WANE_OK);
    if (!(fabs(loss - log((double)s->cols)) <= 2e-6 * log((double)s->cols)))
        fail_msg("%lld x %lld: loss %.9g, not %.9g", (long long)s->rows, (long long)s->cols, loss, log((double)s->cols));
    check(s, grad, target, stride);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    munmap(logits, bytes);
    munmap(grad, bytes);
    free(target);
}

static void test_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        if (is_cpu || !shapes[i].cpu_only) one(&shapes[i]);
}

static void print_log(void *user, const wane_log_record *record)
{
    (void)user;
    fprintf(stderr, "%s: %s\n", record->operand ? record->operand : "", record->text);
}

int main(int argc, char **argv)
{
    wane_context *context;
    wane_context_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.log = print_log;
    const char *name = argc > 1 ? argv[1] : "cpu";
    is_cpu = strncmp(name, "cpu", 3) == 0;
    if (wane_context_create(&desc, &context)) return 1;
    if (wane_device_find(context, name, &device)) return 77;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    wane_context_destroy(context);
    return failed;
}
