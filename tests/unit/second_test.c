// second_test.c - memory of the second tensor of a row (teacher logits, probabilities, a number for each row): what run
// refuses, with the outputs untouched; gradients in place; views that end inside a word. On every device.
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 3, COLS = 5, CANARY = 16 };   // 15 halves end in the middle of a word

typedef enum second_kind { TEACHER, SHARES, NUMBER } second_kind;

typedef struct fixture {
    test_log log;
    wane_context *context;
    wane_device *devices[TEST_DEVICES];
    uint32_t device_count;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->context = test_context(&f->log, NULL, 1);
    f->device_count = test_devices(f->context, f->devices);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    wane_context_destroy(f->context);
    free(f);
    return 0;
}

// Logits and gradients of this type, as the second tensor if it can be; `in_place` is the gradient to lie over its own.
static wane_executable *make(fixture *f, uint32_t device, test_problem *p, second_kind kind, wane_dtype type, wane_role in_place)
{
    static const wane_loss losses[] = {WANE_LOSS_KL_LOGITS, WANE_LOSS_CROSS_ENTROPY, WANE_LOSS_HL_GAUSS};
    test_problem_begin(p, f->context, losses[kind], ROWS, COLS);
    p->logits_type = p->grad_type = type;
    test_problem_add_inputs(p, false);
    wane_tensor *second = &p->operands[1].tensor;
    if (kind != NUMBER) {
        second->dtype = type;
        second->rank = 2;
        second->extents[1] = COLS;
    }
    test_problem_add(p, WANE_ROLE_LOSS);
    test_problem_add(p, WANE_ROLE_GRAD_LOGITS);
    if (kind == TEACHER) test_problem_add(p, WANE_ROLE_GRAD_TEACHER_LOGITS)->tensor.dtype = type;
    if (in_place) p->operands[test_problem_find(p, in_place)].flags = WANE_OPERAND_IN_PLACE;
    wane_plan_info info;
    wane_executable *executable = test_executable(f->devices[device], p, &info);
    test_problem_memory(p, info.workspace_bytes, TEST_PLAIN);
    return executable;
}

static void refused(fixture *f, wane_executable *executable, test_problem *p, wane_status want, const char *operand,
                    const char *what)
{
    test_log_clear(&f->log);
    test_expect(&f->log, wane_run(executable, NULL, &p->args), want, operand, what);
    if (!test_problem_untouched(p)) fail_msg("%s: refused, but something was written", what);
}

// ---- offsets and sizes ----

typedef struct edge {
    second_kind kind;
    wane_role role;
    uint64_t offset;
    int64_t shorter, host_at;               // bytes
    wane_status want;
    const char *operand;
} edge;

static const edge edges[] = {
    {TEACHER, WANE_ROLE_TEACHER_LOGITS, 1, 0, 0, WANE_ERROR_ALIGNMENT, "teacher_logits"},
    {TEACHER, WANE_ROLE_TEACHER_LOGITS, 0, 0, 1, WANE_ERROR_ALIGNMENT, "teacher_logits"},
    {TEACHER, WANE_ROLE_TEACHER_LOGITS, 2, 0, 0, WANE_ERROR_BOUNDS, "teacher_logits"},
    {TEACHER, WANE_ROLE_TEACHER_LOGITS, 0, 1, 0, WANE_ERROR_BOUNDS, "teacher_logits"},
    {TEACHER, WANE_ROLE_TEACHER_LOGITS, UINT64_MAX - 1, 0, 0, WANE_ERROR_BOUNDS, "teacher_logits"},
    {TEACHER, WANE_ROLE_GRAD_TEACHER_LOGITS, 1, 0, 0, WANE_ERROR_ALIGNMENT, "grad_teacher_logits"},
    {TEACHER, WANE_ROLE_GRAD_TEACHER_LOGITS, 3, 0, 0, WANE_ERROR_ALIGNMENT, "grad_teacher_logits"},
    {TEACHER, WANE_ROLE_GRAD_TEACHER_LOGITS, 0, 0, 1, WANE_ERROR_ALIGNMENT, "grad_teacher_logits"},
    {TEACHER, WANE_ROLE_GRAD_TEACHER_LOGITS, 2, 0, 0, WANE_ERROR_BOUNDS, "grad_teacher_logits"},
    {TEACHER, WANE_ROLE_GRAD_TEACHER_LOGITS, 0, 2, 0, WANE_ERROR_BOUNDS, "grad_teacher_logits"},
    {TEACHER, WANE_ROLE_GRAD_LOGITS, 0, 1, 0, WANE_ERROR_BOUNDS, "grad_logits"},
    {SHARES, WANE_ROLE_TARGET, 1, 0, 0, WANE_ERROR_ALIGNMENT, "target"},
    {SHARES, WANE_ROLE_TARGET, 0, 0, 1, WANE_ERROR_ALIGNMENT, "target"},
    {SHARES, WANE_ROLE_TARGET, 0, 1, 0, WANE_ERROR_BOUNDS, "target"},
    {SHARES, WANE_ROLE_TARGET, 2, 0, 0, WANE_ERROR_BOUNDS, "target"},
    {SHARES, WANE_ROLE_GRAD_LOGITS, 1, 0, 0, WANE_ERROR_ALIGNMENT, "grad_logits"},
    {NUMBER, WANE_ROLE_TARGET, 2, 0, 0, WANE_ERROR_ALIGNMENT, "target"},
    {NUMBER, WANE_ROLE_TARGET, 4, 0, 0, WANE_ERROR_BOUNDS, "target"},
    {NUMBER, WANE_ROLE_TARGET, 0, 1, 0, WANE_ERROR_BOUNDS, "target"},
};

static void test_edges(void **state)
{
    fixture *f = *state;
    for (uint32_t d = 0; d < f->device_count; d++)
        for (int kind = TEACHER; kind <= NUMBER; kind++) {
            test_problem p;
            wane_executable *executable = make(f, d, &p, kind, WANE_DTYPE_F16, 0);
            for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
                const edge *e = &edges[i];
                if ((int)e->kind != kind) continue;
                wane_binding *b = &p.bindings[test_problem_find(&p, e->role)];
                const wane_binding saved = *b;
                b->byte_offset = e->offset;
                b->bytes -= (uint64_t)e->shorter;
                b->host = (unsigned char *)b->host + e->host_at;
                char what[64];
                snprintf(what, sizeof what, "edge case %zu on device %u", i, (unsigned)d);
                refused(f, executable, &p, e->want, e->operand, what);
                *b = saved;
            }
            assert_int_equal(wane_run(executable, NULL, &p.args), WANE_OK);
            wane_executable_destroy(executable);
            test_problem_end(&p);
        }
}

// ---- what shares bytes ----

static void test_overlaps(void **state)
{
    fixture *f = *state;
    static const struct { wane_role written, other; const char *operand; } rows[] = {
        {WANE_ROLE_GRAD_TEACHER_LOGITS, WANE_ROLE_TEACHER_LOGITS, "grad_teacher_logits"},     // not planned in place
        {WANE_ROLE_GRAD_TEACHER_LOGITS, WANE_ROLE_LOGITS, "grad_teacher_logits"},
        {WANE_ROLE_GRAD_LOGITS, WANE_ROLE_TEACHER_LOGITS, "grad_logits"},
        {WANE_ROLE_GRAD_TEACHER_LOGITS, WANE_ROLE_GRAD_LOGITS, NULL},
    };
    for (uint32_t d = 0; d < f->device_count; d++) {
        test_problem p;
        wane_executable *executable = make(f, d, &p, TEACHER, WANE_DTYPE_F16, 0);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            wane_binding *written = &p.bindings[test_problem_find(&p, rows[i].written)];
            void *own = written->host;
            written->host = p.bindings[test_problem_find(&p, rows[i].other)].host;
            refused(f, executable, &p, WANE_ERROR_OVERLAP, rows[i].operand, "a gradient over another tensor");
            written->host = own;
        }
        // a tensor may be compared with itself: the divergence is nothing, and so are its gradients
        p.bindings[1].host = p.bindings[0].host;
        assert_int_equal(wane_run(executable, NULL, &p.args), WANE_OK);
        assert_true(*test_f32(&p, WANE_ROLE_LOSS) == 0);
        wane_executable_destroy(executable);
        test_problem_end(&p);
    }
}

// Either gradient over its own tensor, and over nothing else: the same bits as apart from it.
static void test_in_place(void **state)
{
    fixture *f = *state;
    static const struct { wane_role over, grad, other; const char *operand; } ways[2] = {
        {WANE_ROLE_LOGITS, WANE_ROLE_GRAD_LOGITS, WANE_ROLE_TEACHER_LOGITS, "grad_logits"},
        {WANE_ROLE_TEACHER_LOGITS, WANE_ROLE_GRAD_TEACHER_LOGITS, WANE_ROLE_LOGITS, "grad_teacher_logits"},
    };
    static const wane_dtype types[2] = {WANE_DTYPE_F32, WANE_DTYPE_F16};
    for (uint32_t d = 0; d < f->device_count; d++)
        for (int i = 0; i < 4; i++) {
            test_problem apart, p;
            wane_executable *two = make(f, d, &apart, TEACHER, types[i / 2], 0),
                            *one = make(f, d, &p, TEACHER, types[i / 2], ways[i % 2].grad);
            wane_binding *grad = &p.bindings[test_problem_find(&p, ways[i % 2].grad)],
                         *over = &p.bindings[test_problem_find(&p, ways[i % 2].over)],
                         *other = &p.bindings[test_problem_find(&p, ways[i % 2].other)];
            refused(f, one, &p, WANE_ERROR_OVERLAP, ways[i % 2].operand, "planned in place, bound apart");
            grad->host = other->host;
            refused(f, one, &p, WANE_ERROR_OVERLAP, ways[i % 2].operand, "in place over the other tensor");
            // the other tensor is the same memory: it would be overwritten while it is read
            grad->host = over->host;
            void *own = other->host;
            other->host = over->host;
            refused(f, one, &p, WANE_ERROR_OVERLAP, ways[i % 2].operand, "in place over both tensors");
            other->host = own;
            assert_int_equal(wane_run(two, NULL, &apart.args), WANE_OK);
            assert_int_equal(wane_run(one, NULL, &p.args), WANE_OK);
            assert_true(test_problem_hash(&p) == test_problem_hash(&apart));
            wane_executable_destroy(one);
            wane_executable_destroy(two);
            test_problem_end(&apart);
            test_problem_end(&p);
        }
}

// ---- views that end inside a word ----

// Everything in memory of its exact size: before a page that cannot be touched, behind one, then amid bytes that must stay.
static void test_exact_host(fixture *f, wane_executable *executable, test_problem *p, uint64_t want)
{
    for (int at = 0; at < 4; at++) {
        test_block blocks[TEST_OPERANDS];
        for (uint32_t i = 0; i < p->desc.operand_count; i++) {
            wane_binding *b = &p->bindings[i];
            size_t size = wane_dtype_bytes(p->operands[i].tensor.dtype), canary = at > 1 ? CANARY : 0;
            blocks[i] = test_block_make((size_t)b->bytes + 2 * canary, size, at == 0 ? TEST_GUARD_AFTER
                                        : at == 1 ? TEST_GUARD_BEFORE : TEST_PLAIN);
            memset(blocks[i].data, TEST_POISON, blocks[i].bytes);
            // a half begins at a word's beginning, then in its middle
            b->host = blocks[i].data + (canary ? canary + (at == 3 && size == 2 ? 2 : 0) : 0);
            if (!test_problem_writes(p, i)) memcpy(b->host, p->blocks[i].data, (size_t)b->bytes);
        }
        wane_status status = wane_run(executable, NULL, &p->args);
        if (status) fail_msg("exact memory: %s (%s: %s)", wane_status_text(status), f->log.operand, f->log.text);
        assert_true(test_problem_hash(p) == want);
        for (uint32_t i = 0; i < p->desc.operand_count; i++) {
            const unsigned char *begin = p->bindings[i].host, *end = begin + p->bindings[i].bytes;
            for (size_t k = 0; k < blocks[i].bytes; k++)
                if (&blocks[i].data[k] < begin || &blocks[i].data[k] >= end)
                    assert_int_equal(blocks[i].data[k], TEST_POISON);
            test_block_free(&blocks[i]);
            p->bindings[i].host = p->blocks[i].data;
        }
    }
}

// The same in buffers of a device, of exactly so many bytes.
static void test_exact_buffers(fixture *f, uint32_t d, wane_executable *executable, test_problem *p, uint64_t want)
{
    wane_buffer *buffers[TEST_OPERANDS] = {NULL};
    for (uint32_t i = 0; i < p->desc.operand_count; i++) {
        wane_binding *b = &p->bindings[i];
        assert_int_equal(wane_buffer_create(f->devices[d], b->bytes, &buffers[i]), WANE_OK);
        assert_int_equal(wane_buffer_write(buffers[i], 0, p->blocks[i].data, b->bytes), WANE_OK);
        b->buffer = buffers[i];
        b->host = NULL;
        b->bytes = 0;
    }
    wane_status status = wane_run(executable, NULL, &p->args);
    if (status) fail_msg("exact buffers: %s (%s: %s)", wane_status_text(status), f->log.operand, f->log.text);
    for (uint32_t i = 0; i < p->desc.operand_count; i++) {
        wane_binding *b = &p->bindings[i];
        b->buffer = NULL;
        b->host = p->blocks[i].data;
        b->bytes = p->blocks[i].bytes;
        assert_int_equal(wane_buffer_read(buffers[i], 0, p->blocks[i].data, b->bytes), WANE_OK);
        wane_buffer_destroy(buffers[i]);
    }
    assert_true(test_problem_hash(p) == want);
}

static void test_last_half(void **state)
{
    fixture *f = *state;
    for (uint32_t d = 0; d < f->device_count; d++)
        for (int kind = TEACHER; kind <= SHARES; kind++) {
            test_problem p;
            wane_executable *executable = make(f, d, &p, kind, WANE_DTYPE_F16, 0);
            assert_int_equal(wane_run(executable, NULL, &p.args), WANE_OK);
            uint64_t want = test_problem_hash(&p);
            test_problem_fill(&p);
            test_exact_host(f, executable, &p, want);
            test_exact_buffers(f, d, executable, &p, want);
            wane_executable_destroy(executable);
            test_problem_end(&p);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges), cmocka_unit_test(test_overlaps), cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_last_half),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
