// args_test.c - memory against a plan: everything that run refuses, on every device, with the outputs untouched.
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 4, COLS = 6 };

typedef struct fixture {
    test_log log;
    test_memory memory;
    wane_context *context;
    wane_device *devices[TEST_DEVICES];
    uint32_t device_count;
    wane_executable *executables[TEST_DEVICES];
    wane_plan_info infos[TEST_DEVICES];
    uint64_t most;                          // workspace of the hungriest of them
    test_problem p;
} fixture;

static void begin_problem(fixture *f, uint64_t workspace_bytes)
{
    test_problem_begin(&f->p, f->context, WANE_LOSS_CROSS_ENTROPY, ROWS, COLS);
    test_problem_add_inputs(&f->p, true);
    test_problem_add_outputs(&f->p);
    test_problem_memory(&f->p, workspace_bytes, TEST_PLAIN);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    test_memory_begin(&f->memory);
    f->context = test_context(&f->log, &f->memory, 1);
    f->device_count = test_devices(f->context, f->devices);
    begin_problem(f, 0);
    uint64_t most = 0;
    for (uint32_t i = 0; i < f->device_count; i++) {
        f->executables[i] = test_executable(f->devices[i], &f->p, &f->infos[i]);
        if (f->infos[i].workspace_bytes > most) most = f->infos[i].workspace_bytes;
    }
    test_problem_end(&f->p);
    f->most = most;
    *state = f;
    return 0;
}

// Each test has the good problem afresh.
static int renew(void **state)
{
    fixture *f = *state;
    begin_problem(f, f->most);
    return 0;
}

static int drop(void **state)
{
    fixture *f = *state;
    test_problem_end(&f->p);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < f->device_count; i++) wane_executable_destroy(f->executables[i]);
    wane_context_destroy(f->context);
    assert_int_equal(atomic_load(&f->memory.blocks), 0);
    free(f);
    return 0;
}

static bool is_cpu(const fixture *f, uint32_t device) { return f->devices[device] == f->devices[0]; }

// The call must be refused by every way to run, on every device, and write nothing.
static void refused(fixture *f, wane_status want, const char *operand, const char *what)
{
    for (uint32_t i = 0; i < f->device_count; i++) {
        test_log_clear(&f->log);
        test_expect(&f->log, wane_run(f->executables[i], NULL, &f->p.args), want, operand, what);
        if (is_cpu(f, i)) {
            test_log_clear(&f->log);
            test_expect(&f->log, wane_run_cpu(f->executables[i], &f->p.args), want, operand, what);
        }
        if (!test_problem_untouched(&f->p)) fail_msg("%s: refused, but something was written", what);
    }
}

static void works(fixture *f, const char *what)
{
    for (uint32_t i = 0; i < f->device_count; i++) {
        test_problem_fill(&f->p);
        wane_status status = wane_run(f->executables[i], NULL, &f->p.args);
        if (status) fail_msg("%s: %s (%s: %s)", what, wane_status_text(status), f->log.operand, f->log.text);
    }
    test_problem_fill(&f->p);
}

// ---- one edit of good bindings ----

typedef enum field { OFFSET, HOST_AT, HOST_NULL, BYTES, FLAGS, RESERVED, NATIVE, SIZE, ROLE, DROP } field;

typedef struct binding_case {
    wane_role role;                         // NONE is the workspace
    field field;
    int64_t value;
    wane_status want;
    const char *operand;
} binding_case;

static const binding_case cases[] = {
    // views outside their memory
    {WANE_ROLE_LOGITS, BYTES, ROWS * COLS * 4 - 1, WANE_ERROR_BOUNDS, "logits"},
    {WANE_ROLE_LOGITS, BYTES, ROWS * COLS * 4 - 4, WANE_ERROR_BOUNDS, "logits"},
    {WANE_ROLE_LOGITS, BYTES, 0, WANE_ERROR_BOUNDS, "logits"},
    {WANE_ROLE_LOGITS, OFFSET, 4, WANE_ERROR_BOUNDS, "logits"},
    {WANE_ROLE_LOGITS, OFFSET, ROWS * COLS * 4, WANE_ERROR_BOUNDS, "logits"},
    {WANE_ROLE_LOGITS, OFFSET, (int64_t)1 << 62, WANE_ERROR_BOUNDS, "logits"},
    {WANE_ROLE_LOGITS, OFFSET, -8, WANE_ERROR_BOUNDS, "logits"},
    {WANE_ROLE_TARGET, BYTES, ROWS * 8 - 8, WANE_ERROR_BOUNDS, "target"},
    {WANE_ROLE_TARGET, OFFSET, 8, WANE_ERROR_BOUNDS, "target"},
    {WANE_ROLE_WEIGHT, BYTES, COLS * 4 - 4, WANE_ERROR_BOUNDS, "weight"},
    {WANE_ROLE_UPSTREAM, BYTES, 3, WANE_ERROR_BOUNDS, "upstream"},
    {WANE_ROLE_GRAD_LOGITS, BYTES, ROWS * COLS * 4 - 4, WANE_ERROR_BOUNDS, "grad_logits"},
    {WANE_ROLE_GRAD_LOGITS, OFFSET, 4, WANE_ERROR_BOUNDS, "grad_logits"},
    {WANE_ROLE_STATISTICS, BYTES, 4 * ROWS * 4 - 1, WANE_ERROR_BOUNDS, "statistics"},
    {WANE_ROLE_LOSS, BYTES, 0, WANE_ERROR_BOUNDS, "loss"},
    {WANE_ROLE_STATUS, BYTES, 31, WANE_ERROR_BOUNDS, "status"},
    {WANE_ROLE_VALID_COUNT, BYTES, 4, WANE_ERROR_BOUNDS, "valid_count"},
    // alignment
    {WANE_ROLE_LOGITS, OFFSET, 2, WANE_ERROR_ALIGNMENT, "logits"},
    {WANE_ROLE_LOGITS, OFFSET, 1, WANE_ERROR_ALIGNMENT, "logits"},
    {WANE_ROLE_TARGET, OFFSET, 4, WANE_ERROR_ALIGNMENT, "target"},
    {WANE_ROLE_VALID_COUNT, OFFSET, 4, WANE_ERROR_ALIGNMENT, "valid_count"},
    {WANE_ROLE_LOGITS, HOST_AT, 1, WANE_ERROR_ALIGNMENT, "logits"},
    {WANE_ROLE_LSE, HOST_AT, 2, WANE_ERROR_ALIGNMENT, "lse"},
    {WANE_ROLE_TARGET, HOST_AT, 4, WANE_ERROR_ALIGNMENT, "target"},
    // no memory, or two
    {WANE_ROLE_LOGITS, HOST_NULL, 0, WANE_ERROR_NULL_ARGUMENT, "logits"},
    {WANE_ROLE_LOSS, HOST_NULL, 0, WANE_ERROR_NULL_ARGUMENT, "loss"},
    {WANE_ROLE_LOSS, NATIVE, 0, WANE_ERROR_FLAGS, "loss"},
    {WANE_ROLE_LOSS, NATIVE, 1, WANE_ERROR_MISMATCH, "loss"},
    // flags and structs
    {WANE_ROLE_LSE, FLAGS, 1, WANE_ERROR_FLAGS, "lse"},
    {WANE_ROLE_LSE, RESERVED, 0, WANE_ERROR_FLAGS, "lse"},
    {WANE_ROLE_LSE, RESERVED, 1, WANE_ERROR_FLAGS, "lse"},
    {WANE_ROLE_LSE, SIZE, 0, WANE_ERROR_STRUCT, "wane_binding"},
    {WANE_ROLE_LOGITS, SIZE, 0, WANE_ERROR_STRUCT, "wane_binding"},
    {WANE_ROLE_LSE, SIZE, sizeof(wane_binding) - 1, WANE_ERROR_STRUCT, "wane_binding"},
    {WANE_ROLE_LSE, SIZE, (int64_t)1 << 40, WANE_ERROR_STRUCT, "wane_binding"},
    // which operands are bound
    {WANE_ROLE_LSE, ROLE, WANE_ROLE_ENTROPY, WANE_ERROR_DUPLICATE, "entropy"},
    {WANE_ROLE_LSE, ROLE, WANE_ROLE_LOGITS, WANE_ERROR_DUPLICATE, "logits"},
    {WANE_ROLE_LSE, ROLE, 0, WANE_ERROR_UNKNOWN_ROLE, "bindings"},
    {WANE_ROLE_LSE, ROLE, 1000, WANE_ERROR_UNKNOWN_ROLE, "bindings"},
    {WANE_ROLE_LSE, DROP, 0, WANE_ERROR_MISSING_OPERAND, "lse"},
    {WANE_ROLE_LOGITS, DROP, 0, WANE_ERROR_MISSING_OPERAND, "logits"},
    {WANE_ROLE_STATUS, DROP, 0, WANE_ERROR_MISSING_OPERAND, "status"},
    // the workspace
    {WANE_ROLE_NONE, OFFSET, 1, WANE_ERROR_ALIGNMENT, "workspace"},
    {WANE_ROLE_NONE, OFFSET, (int64_t)1 << 40, WANE_ERROR_WORKSPACE, "workspace"},
    {WANE_ROLE_NONE, BYTES, 0, WANE_ERROR_WORKSPACE, "workspace"},
    {WANE_ROLE_NONE, HOST_NULL, 0, WANE_ERROR_NULL_ARGUMENT, "workspace"},
    {WANE_ROLE_NONE, NATIVE, 0, WANE_ERROR_FLAGS, "workspace"},
    {WANE_ROLE_NONE, NATIVE, 1, WANE_ERROR_MISMATCH, "workspace"},
    {WANE_ROLE_NONE, ROLE, WANE_ROLE_LOSS, WANE_ERROR_UNKNOWN_ROLE, "workspace"},
    {WANE_ROLE_NONE, FLAGS, 1, WANE_ERROR_FLAGS, "workspace"},
    {WANE_ROLE_NONE, RESERVED, 1, WANE_ERROR_FLAGS, "workspace"},
    {WANE_ROLE_NONE, SIZE, 8, WANE_ERROR_STRUCT, "workspace"},
};

static void test_bindings(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const binding_case *c = &cases[i];
        test_problem *p = &f->p;
        const test_problem saved = *p;
        int index = c->role ? test_problem_find(p, c->role) : -1;
        wane_binding *b = c->role ? &p->bindings[index] : &p->args.workspace;
        switch (c->field) {
        case OFFSET: b->byte_offset = (uint64_t)c->value; break;
        case HOST_AT: b->host = (char *)b->host + c->value; break;
        case HOST_NULL: b->host = NULL; break;
        case BYTES: b->bytes = (uint64_t)c->value; break;
        case FLAGS: b->flags = (uint32_t)c->value; break;
        case RESERVED: b->reserved[c->value] = 1; break;
        case NATIVE:
            b->native = 77;
            if (c->value) b->host = NULL;
            break;
        case SIZE: b->struct_size = (size_t)c->value; break;
        case ROLE: b->role = (wane_role)c->value; break;
        case DROP:
            memmove(b, b + 1, (p->args.binding_count - (uint32_t)index - 1) * sizeof *b);
            p->args.binding_count--;
            break;
        }
        char what[80];
        snprintf(what, sizeof what, "binding case %zu: role %d, field %d, value %lld", i, (int)c->role, (int)c->field,
                 (long long)c->value);
        refused(f, c->want, c->operand, what);
        *p = saved;
    }
    works(f, "after all refusals");
}

static void test_args_struct(void **state)
{
    fixture *f = *state;
    wane_args *args = &f->p.args;
    for (uint32_t i = 0; i < f->device_count; i++) {
        expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "wane_args", wane_run(f->executables[i], NULL, NULL));
        if (is_cpu(f, i))
            expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "wane_args", wane_run_cpu(f->executables[i], NULL));
    }
    assert_int_equal(wane_run(NULL, NULL, args), WANE_ERROR_NULL_ARGUMENT);
    assert_int_equal(wane_run_cpu(NULL, args), WANE_ERROR_NULL_ARGUMENT);
    args->struct_size = 0;
    refused(f, WANE_ERROR_STRUCT, "wane_args", "struct_size 0");
    args->struct_size = sizeof *args - 1;
    refused(f, WANE_ERROR_STRUCT, "wane_args", "struct_size too small");
    args->struct_size = sizeof *args;
    args->flags = 1;
    refused(f, WANE_ERROR_FLAGS, "flags", "flags");
    args->flags = 0;
    args->bindings = NULL;
    refused(f, WANE_ERROR_NULL_ARGUMENT, "bindings", "bindings at NULL");
    args->binding_count = 0;
    refused(f, WANE_ERROR_MISSING_OPERAND, NULL, "no bindings");
    args->bindings = f->p.bindings;
    args->binding_count = f->p.desc.operand_count;
    struct { wane_args known; uint64_t unknown; } newer = {.known = *args};
    newer.known.struct_size = sizeof newer;
    for (uint32_t i = 0; i < f->device_count; i++) {
        newer.unknown = 0;
        assert_int_equal(wane_run(f->executables[i], NULL, &newer.known), WANE_OK);
        newer.unknown = 1;
        expect_error(&f->log, WANE_ERROR_STRUCT, "wane_args", wane_run(f->executables[i], NULL, &newer.known));
    }
}

// ---- workspace ----

// One byte less is refused, this many suffice: with a page behind it that nobody may touch.
static void test_workspace_exact(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < f->device_count; i++) {
        uint64_t bytes = f->infos[i].workspace_bytes;
        assert_int_equal(bytes % 4, 0);
        test_block exact = test_block_make(bytes, 4, TEST_GUARD_AFTER);
        test_problem_fill(&f->p);
        f->p.args.workspace.host = exact.data;
        f->p.args.workspace.bytes = bytes - 1;
        expect_error(&f->log, WANE_ERROR_WORKSPACE, "workspace", wane_run(f->executables[i], NULL, &f->p.args));
        if (is_cpu(f, i))
            expect_error(&f->log, WANE_ERROR_WORKSPACE, "workspace", wane_run_cpu(f->executables[i], &f->p.args));
        assert_true(test_problem_untouched(&f->p));
        f->p.args.workspace.bytes = bytes;
        assert_int_equal(wane_run(f->executables[i], NULL, &f->p.args), WANE_OK);
        if (is_cpu(f, i)) assert_int_equal(wane_run_cpu(f->executables[i], &f->p.args), WANE_OK);
        // the same in a buffer of the device: from its offset on
        wane_buffer *buffer = NULL;
        assert_int_equal(wane_buffer_create(f->devices[i], bytes + 256, &buffer), WANE_OK);
        wane_binding *w = &f->p.args.workspace;
        w->host = NULL;
        w->buffer = buffer;
        w->byte_offset = 256;
        assert_int_equal(wane_run(f->executables[i], NULL, &f->p.args), WANE_OK);
        w->byte_offset = 260;
        test_log_clear(&f->log);
        wane_status status = wane_run(f->executables[i], NULL, &f->p.args);
        test_expect(&f->log, status, is_cpu(f, i) ? WANE_ERROR_WORKSPACE : WANE_ERROR_ALIGNMENT, "workspace",
                    "offset 260");
        wane_buffer_destroy(buffer);
        test_block_free(&exact);
        w->buffer = NULL;
        w->byte_offset = 0;
        w->host = f->p.workspace.data;
        w->bytes = f->p.workspace.bytes;
    }
}

static void test_workspace_absent(void **state)
{
    fixture *f = *state;
    memset(&f->p.args.workspace, 0, sizeof f->p.args.workspace);
    works(f, "run brings its own workspace");
    expect_error(&f->log, WANE_ERROR_MISSING_OPERAND, "workspace", wane_run_cpu(f->executables[0], &f->p.args));
    assert_true(test_problem_untouched(&f->p));
    for (uint32_t i = 1; i < f->device_count; i++)
        expect_error(&f->log, WANE_ERROR_MISMATCH, "executable", wane_run_cpu(f->executables[i], &f->p.args));
}

// ---- overlaps ----

static void bind_at(fixture *f, wane_role role, void *at)
{
    f->p.bindings[test_problem_find(&f->p, role)].host = at;
}

static void test_overlaps(void **state)
{
    fixture *f = *state;
    test_problem *p = &f->p;
    static const struct { wane_role written, other; int64_t at; const char *operand; } rows[] = {
        {WANE_ROLE_GRAD_LOGITS, WANE_ROLE_LOGITS, 0, "grad_logits"},              // output on input, the same range
        {WANE_ROLE_GRAD_LOGITS, WANE_ROLE_LOGITS, 4, "grad_logits"},
        {WANE_ROLE_LSE, WANE_ROLE_LOGITS, ROWS * COLS * 4 - 4, "lse"},            // one element
        {WANE_ROLE_LOSS, WANE_ROLE_UPSTREAM, 0, "loss"},
        {WANE_ROLE_VALID_COUNT, WANE_ROLE_TARGET, 8, "valid_count"},
        {WANE_ROLE_LSE, WANE_ROLE_ROW_LOSS, 0, NULL},                             // output on output
        {WANE_ROLE_LOSS, WANE_ROLE_GRAD_LOGITS, 16, NULL},
        {WANE_ROLE_STATUS, WANE_ROLE_STATISTICS, 28, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const test_problem saved = *p;
        int written = test_problem_find(p, rows[i].written), other = test_problem_find(p, rows[i].other);
        test_block big = test_block_make(4096, 8, TEST_PLAIN);
        memset(big.data, TEST_POISON, big.bytes);
        p->bindings[other].host = big.data + 1024;
        p->bindings[written].host = big.data + 1024 + rows[i].at;
        char what[64];
        snprintf(what, sizeof what, "overlap case %zu", i);
        refused(f, WANE_ERROR_OVERLAP, rows[i].operand, what);
        for (size_t k = 0; k < big.bytes; k++) assert_int_equal(big.data[k], TEST_POISON);
        *p = saved;
        test_block_free(&big);
    }
    // neighbours do not overlap, and inputs may share
    test_block big = test_block_make(4096, 8, TEST_PLAIN);
    memset(big.data, 0, big.bytes);
    bind_at(f, WANE_ROLE_LOGITS, big.data + 512);
    bind_at(f, WANE_ROLE_GRAD_LOGITS, big.data + 512 + ROWS * COLS * 4);
    bind_at(f, WANE_ROLE_LSE, big.data + 512 - ROWS * 4);
    bind_at(f, WANE_ROLE_WEIGHT, big.data + 512);
    bind_at(f, WANE_ROLE_ROW_WEIGHT, big.data + 512);
    bind_at(f, WANE_ROLE_UPSTREAM_LSE, big.data + 520);
    for (uint32_t i = 0; i < f->device_count; i++)
        assert_int_equal(wane_run(f->executables[i], NULL, &p->args), WANE_OK);
    test_block_free(&big);
    for (uint32_t i = 0; i < p->desc.operand_count; i++) p->bindings[i].host = p->blocks[i].data;
}

static void test_workspace_overlaps(void **state)
{
    fixture *f = *state;
    test_problem *p = &f->p;
    static const wane_role roles[] = {WANE_ROLE_LOGITS, WANE_ROLE_TARGET, WANE_ROLE_GRAD_LOGITS, WANE_ROLE_LOSS};
    for (int i = 0; i < 4; i++) {
        int index = test_problem_find(p, roles[i]);
        p->bindings[index].host = p->workspace.data + 64;
        refused(f, WANE_ERROR_OVERLAP, NULL, "an operand in the workspace");
        assert_non_null(strstr(f->log.operand[0] == 'w' ? f->log.operand : f->log.text, "workspace"));
        p->bindings[index].host = p->blocks[index].data;
    }
}

// The same through buffers: one buffer twice, two wrappers of one memory.
static void test_buffer_overlaps(void **state)
{
    fixture *f = *state;
    int grad = test_problem_find(&f->p, WANE_ROLE_GRAD_LOGITS), logits = test_problem_find(&f->p, WANE_ROLE_LOGITS);
    for (uint32_t i = 0; i < f->device_count; i++) {
        wane_buffer *one = NULL, *wrapped[2] = {NULL, NULL};
        assert_int_equal(wane_buffer_create(f->devices[i], 1024, &one), WANE_OK);
        for (int k = 0; k < 2; k++)
            assert_int_equal(wane_buffer_wrap_host(f->devices[i], f->p.blocks[grad].data, ROWS * COLS * 4, &wrapped[k]),
                             WANE_OK);
        wane_binding *a = &f->p.bindings[logits], *b = &f->p.bindings[grad];
        const wane_binding saved[2] = {*a, *b};
        a->host = b->host = NULL;
        a->buffer = b->buffer = one;
        a->byte_offset = 256;
        b->byte_offset = 256 + ROWS * COLS * 4 - 4;
        expect_error(&f->log, WANE_ERROR_OVERLAP, "grad_logits", wane_run(f->executables[i], NULL, &f->p.args));
        assert_non_null(strstr(f->log.text, "WANE_OPERAND_IN_PLACE"));
        b->byte_offset += 4;
        assert_int_equal(wane_run(f->executables[i], NULL, &f->p.args) & ~WANE_WARN_DATA, WANE_OK);
        a->byte_offset = b->byte_offset = 0;
        a->buffer = wrapped[0];
        b->buffer = wrapped[1];
        test_problem_fill(&f->p);
        expect_error(&f->log, WANE_ERROR_OVERLAP, "grad_logits", wane_run(f->executables[i], NULL, &f->p.args));
        assert_true(test_problem_untouched(&f->p));
        *a = saved[0];
        *b = saved[1];
        wane_buffer_destroy(one);
        for (int k = 0; k < 2; k++) wane_buffer_destroy(wrapped[k]);
    }
}

// ---- in place ----

// A gradient planned in place is bound to the very bytes of the logits, and replaces them.
static void test_in_place(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < f->device_count; i++) {
        test_problem apart, p;
        for (int k = 0; k < 2; k++) {
            test_problem *q = k ? &p : &apart;
            test_problem_begin(q, f->context, WANE_LOSS_CROSS_ENTROPY, ROWS, COLS);
            test_problem_add_inputs(q, true);
            test_problem_add(q, WANE_ROLE_GRAD_LOGITS)->flags = k ? WANE_OPERAND_IN_PLACE : 0;
            test_problem_add(q, WANE_ROLE_LSE);
            test_problem_memory(q, f->most, TEST_PLAIN);
        }
        wane_executable *two = test_executable(f->devices[i], &apart, NULL),
                        *one = test_executable(f->devices[i], &p, NULL);
        assert_int_equal(wane_run(two, NULL, &apart.args), WANE_OK);
        wane_binding *logits = &p.bindings[0], *grad = &p.bindings[test_problem_find(&p, WANE_ROLE_GRAD_LOGITS)];
        void *own = grad->host;
        // apart, half over it, over another input, and something else over it
        expect_error(&f->log, WANE_ERROR_OVERLAP, "grad_logits", wane_run(one, NULL, &p.args));
        test_block big = test_block_make(2 * ROWS * COLS * 4, 4, TEST_PLAIN);
        logits->host = big.data;
        grad->host = big.data + 8;
        expect_error(&f->log, WANE_ERROR_OVERLAP, "grad_logits", wane_run(one, NULL, &p.args));
        logits->host = p.blocks[0].data;
        grad->host = logits->host;
        wane_binding *lse = &p.bindings[test_problem_find(&p, WANE_ROLE_LSE)];
        void *lse_host = lse->host;
        lse->host = logits->host;
        expect_error(&f->log, WANE_ERROR_OVERLAP, NULL, wane_run(one, NULL, &p.args));
        lse->host = lse_host;
        assert_true(test_f32(&p, WANE_ROLE_LOGITS)[0] == test_f32(&apart, WANE_ROLE_LOGITS)[0]);
        assert_int_equal(wane_run(one, NULL, &p.args), WANE_OK);
        assert_memory_equal(logits->host, apart.bindings[test_problem_find(&apart, WANE_ROLE_GRAD_LOGITS)].host,
                            ROWS * COLS * 4);
        assert_memory_equal(lse->host, apart.bindings[test_problem_find(&apart, WANE_ROLE_LSE)].host, ROWS * 4);
        for (int k = 0; k < ROWS * COLS * 4; k++) assert_int_equal(((unsigned char *)own)[k], TEST_POISON);
        test_block_free(&big);
        wane_executable_destroy(one);
        wane_executable_destroy(two);
        test_problem_end(&apart);
        test_problem_end(&p);
    }
}

// ---- buffers ----

static void test_buffers(void **state)
{
    fixture *f = *state;
    int logits = test_problem_find(&f->p, WANE_ROLE_LOGITS);
    wane_binding *b = &f->p.bindings[logits];
    const wane_binding saved = *b;
    wane_device *generic = test_device(f->context, "cpu:generic");
    wane_buffer *foreign = NULL;
    assert_int_equal(wane_buffer_create(generic, 4096, &foreign), WANE_OK);
    b->host = NULL;
    b->buffer = foreign;
    refused(f, WANE_ERROR_MISMATCH, "logits", "a buffer of another device");
    wane_buffer_destroy(foreign);
    *b = saved;
    for (uint32_t i = 0; i < f->device_count; i++) {
        uint64_t bytes = ROWS * COLS * 4;
        wane_buffer *exact = NULL;
        assert_int_equal(wane_buffer_create(f->devices[i], bytes + 8, &exact), WANE_OK);
        assert_int_equal(wane_buffer_write(exact, 8, f->p.blocks[logits].data, bytes), WANE_OK);
        test_problem_fill(&f->p);
        assert_int_equal(wane_run(f->executables[i], NULL, &f->p.args), WANE_OK);
        uint64_t want = test_problem_hash(&f->p);
        test_problem_fill(&f->p);
        b->buffer = exact;
        expect_error(&f->log, WANE_ERROR_FLAGS, "logits", wane_run(f->executables[i], NULL, &f->p.args));
        b->host = NULL;
        b->byte_offset = 12;                // one element past the end
        expect_error(&f->log, WANE_ERROR_BOUNDS, "logits", wane_run(f->executables[i], NULL, &f->p.args));
        assert_true(test_problem_untouched(&f->p));
        b->byte_offset = 8;
        assert_int_equal(wane_run(f->executables[i], NULL, &f->p.args), WANE_OK);
        assert_true(test_problem_hash(&f->p) == want);
        wane_buffer_destroy(exact);
        *b = saved;
    }
}

// ---- views ----

// Negative strides reach below element 0, and the promised alignment binds offsets.
static void test_views(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < f->device_count; i++) {
        test_problem p;
        test_problem_begin(&p, f->context, WANE_LOSS_CROSS_ENTROPY, ROWS, COLS);
        test_problem_add_inputs(&p, false);
        test_strides(&p.operands[test_problem_find(&p, WANE_ROLE_LOGITS)], -COLS, 1);
        wane_operand *grad = test_problem_add(&p, WANE_ROLE_GRAD_LOGITS);
        test_strides(grad, COLS, 1);
        grad->tensor.offset_align_bytes = 64;
        wane_plan_info info;
        wane_executable *executable = test_executable(f->devices[i], &p, &info);
        test_problem_memory(&p, info.workspace_bytes, TEST_PLAIN);
        wane_binding *logits = &p.bindings[0], *out = &p.bindings[p.desc.operand_count - 1];
        assert_int_equal(logits->byte_offset, (ROWS - 1) * COLS * 4);
        assert_int_equal(wane_run(executable, NULL, &p.args), WANE_OK);
        test_problem_fill(&p);
        for (uint64_t wrong = 0; wrong < 3; wrong++) {
            logits->byte_offset = wrong == 0 ? 0 : wrong == 1 ? (ROWS - 1) * COLS * 4 - 4 : (ROWS - 1) * COLS * 4 + 4;
            expect_error(&f->log, WANE_ERROR_BOUNDS, "logits", wane_run(executable, NULL, &p.args));
        }
        logits->byte_offset = (ROWS - 1) * COLS * 4;
        out->bytes += 256;                  // a lie that is found out before anything is written
        out->byte_offset = 32;
        expect_error(&f->log, WANE_ERROR_ALIGNMENT, "grad_logits", wane_run(executable, NULL, &p.args));
        assert_true(test_problem_untouched(&p));
        wane_executable_destroy(executable);
        test_problem_end(&p);
    }
}

// Operands without elements need no memory.
static void test_no_rows(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < f->device_count; i++)
        for (int reduction = 0; reduction < 3; reduction++) {
            test_problem p;
            test_problem_begin(&p, f->context, WANE_LOSS_CROSS_ENTROPY, 0, COLS);
            test_problem_param(&p, WANE_PARAM_REDUCTION, reduction);
            test_problem_add_inputs(&p, true);
            test_problem_add_outputs(&p);
            wane_plan_info info;
            wane_executable *executable = test_executable(f->devices[i], &p, &info);
            test_problem_memory(&p, info.workspace_bytes, TEST_PLAIN);
            for (uint32_t k = 0; k < p.desc.operand_count; k++)
                if (p.blocks[k].bytes == 0) p.bindings[k].host = NULL;
            assert_int_equal(wane_run(executable, NULL, &p.args), WANE_OK);
            if (reduction) assert_true(*test_f32(&p, WANE_ROLE_LOSS) == 0);
            assert_true(*test_f32(&p, WANE_ROLE_ACCURACY) == 0);
            assert_int_equal(*(int64_t *)(void *)test_f32(&p, WANE_ROLE_VALID_COUNT), 0);
            wane_executable_destroy(executable);
            test_problem_end(&p);
        }
}

// ---- recorders in a run ----

static void test_recorder_capacity(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < f->device_count; i++) {
        wane_executable *again = test_executable(f->devices[i], &f->p, NULL);
        wane_recorder *recorder = NULL;
        uint32_t needed = f->infos[i].dispatch_count;
        test_problem_fill(&f->p);
        assert_int_equal(wane_recorder_create(&f->executables[i], 1, needed - 1, &recorder), WANE_OK);
        expect_error(&f->log, WANE_ERROR_CAPACITY, "recorder", wane_run(f->executables[i], recorder, &f->p.args));
        wane_recorder_destroy(recorder);
        assert_int_equal(wane_recorder_create(&f->executables[i], 1, needed, &recorder), WANE_OK);
        expect_error(&f->log, WANE_ERROR_CAPACITY, "recorder", wane_run(again, recorder, &f->p.args));
        assert_true(test_problem_untouched(&f->p));
        uint64_t want = 0;
        for (int run = 0; run < 5; run++) {         // run resets it
            test_problem_fill(&f->p);
            assert_int_equal(wane_run(f->executables[i], recorder, &f->p.args), WANE_OK);
            if (run) assert_true(test_problem_hash(&f->p) == want);
            want = test_problem_hash(&f->p);
        }
        test_problem_fill(&f->p);
        wane_recorder_destroy(recorder);
        wane_executable_destroy(again);
    }
}

// ---- no heap call; faults in the data ----

static void test_cpu_allocates_nothing(void **state)
{
    fixture *f = *state;
    assert_int_equal(wane_run_cpu(f->executables[0], &f->p.args), WANE_OK);
    test_memory_arm(&f->memory, 0, 1000);           // any call would fail
    for (int i = 0; i < 3; i++) assert_int_equal(wane_run_cpu(f->executables[0], &f->p.args), WANE_OK);
    assert_int_equal(atomic_load(&f->memory.calls), 0);
    test_memory_arm(&f->memory, -1, -1);
}

static void test_bad_targets(void **state)
{
    fixture *f = *state;
    static const int64_t bad[] = {COLS, -1, -101, INT64_MAX, INT64_MIN, (int64_t)1 << 32, -((int64_t)1 << 32) + 1,
                                  (int64_t)1 << 31, ((int64_t)1 << 31) + 2, ((int64_t)5 << 32) + COLS - 1};
    for (uint32_t i = 0; i < f->device_count; i++)
        for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
            test_problem_fill(&f->p);
            int64_t *target = (int64_t *)(void *)test_f32(&f->p, WANE_ROLE_TARGET);
            target[1] = bad[k];
            target[3] = -100;               // ignored, which is no fault
            assert_int_equal(wane_run(f->executables[i], NULL, &f->p.args), WANE_WARN_DATA);
            assert_string_equal(f->log.faults, "1 bad target or label");
            const uint32_t *status = (const uint32_t *)(const void *)test_f32(&f->p, WANE_ROLE_STATUS);
            assert_int_equal(status[0], 1);
            for (int word = 1; word < 8; word++) assert_int_equal(status[word], 0);
            assert_int_equal(*(int64_t *)(void *)test_f32(&f->p, WANE_ROLE_VALID_COUNT), ROWS - 2);
            for (int row = 1; row <= 3; row += 2) {
                assert_true(test_f32(&f->p, WANE_ROLE_ROW_LOSS)[row] == 0 && test_f32(&f->p, WANE_ROLE_LSE)[row] == 0);
                for (int col = 0; col < COLS; col++)
                    assert_true(test_f32(&f->p, WANE_ROLE_GRAD_LOGITS)[row * COLS + col] == 0);
            }
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, renew, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bindings), TEST(test_args_struct), TEST(test_workspace_exact), TEST(test_workspace_absent),
        TEST(test_overlaps), TEST(test_workspace_overlaps), TEST(test_buffer_overlaps), TEST(test_in_place),
        TEST(test_buffers),
        TEST(test_views), TEST(test_no_rows), TEST(test_recorder_capacity), TEST(test_cpu_allocates_nothing),
        TEST(test_bad_targets),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
