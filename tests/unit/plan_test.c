// plan_test.c - wane_plan_create: every status that it documents, and what a plan says of itself.
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 4, COLS = 6 };

typedef struct fixture {
    test_log log;
    wane_context *context;
    wane_device *cpu;
    test_problem p;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->context = test_context(&f->log, NULL, 1);
    f->cpu = test_device(f->context, "cpu");
    test_problem_begin(&f->p, f->context, WANE_LOSS_CROSS_ENTROPY, ROWS, COLS);
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

// A fresh problem of every operand.
static test_problem *whole(fixture *f)
{
    test_problem_begin(&f->p, f->context, WANE_LOSS_CROSS_ENTROPY, ROWS, COLS);
    test_problem_add_inputs(&f->p, true);
    test_problem_add_outputs(&f->p);
    return &f->p;
}

static wane_plan *const NOT_YET = (wane_plan *)1;

static void refused(fixture *f, wane_status want, const char *operand, const char *what)
{
    wane_plan *plan = NOT_YET;
    test_log_clear(&f->log);
    wane_status got = wane_plan_create(f->cpu, &f->p.desc, &plan);
    test_expect(&f->log, got, want, operand, what);
    assert_null(plan);
}

static void accepted(fixture *f, const char *what)
{
    wane_plan *plan = NULL;
    test_log_clear(&f->log);
    wane_status got = wane_plan_create(f->cpu, &f->p.desc, &plan);
    if (got) fail_msg("%s: %s (%s: %s)", what, wane_status_text(got), f->log.operand, f->log.text);
    assert_non_null(plan);
    wane_plan_destroy(plan);
}

// ---- tensors: one or two edits of a good problem ----

typedef enum field {
    F_NONE, DTYPE, RANK, EXTENT0, EXTENT1, STRIDE0, STRIDE1, TENSOR_FLAGS, ALIGN, TENSOR_SIZE, FLAGS, SIZE, RESERVED,
    ROLE, DROP
} field;

typedef struct edit {
    wane_role role;
    field field;
    int64_t value;
} edit;

typedef struct tensor_case {
    edit edits[3];
    wane_status want;                       // WANE_OK: must be accepted
    const char *operand;
} tensor_case;

static void apply(test_problem *p, const edit *e)
{
    int index = test_problem_find(p, e->role);
    assert_true(index >= 0);
    wane_operand *o = &p->operands[index];
    switch (e->field) {
    case F_NONE: break;
    case DTYPE: o->tensor.dtype = (wane_dtype)e->value; break;
    case RANK: o->tensor.rank = (uint32_t)e->value; break;
    case EXTENT0: o->tensor.extents[0] = e->value; break;
    case EXTENT1: o->tensor.extents[1] = e->value; break;
    case STRIDE0:
    case STRIDE1:
        // the stride that is not said stays dense
        if (!o->tensor.flags) test_strides(o, o->tensor.rank > 1 ? o->tensor.extents[1] : 1, 1);
        o->tensor.strides[e->field == STRIDE1] = e->value;
        break;
    case TENSOR_FLAGS: o->tensor.flags = (uint32_t)e->value; break;
    case ALIGN: o->tensor.offset_align_bytes = (uint32_t)e->value; break;
    case TENSOR_SIZE: o->tensor.struct_size = (size_t)e->value; break;
    case FLAGS: o->flags = (uint32_t)e->value; break;
    case SIZE: o->struct_size = (size_t)e->value; break;
    case RESERVED: o->reserved[e->value & 1] = 1; break;
    case ROLE: o->role = (wane_role)e->value; break;
    case DROP:
        memmove(o, o + 1, (p->desc.operand_count - (uint32_t)index - 1) * sizeof *o);
        p->desc.operand_count--;
        break;
    }
}

#define E(role, field, value) {WANE_ROLE_##role, field, value}
#define BIG(n) ((int64_t)1 << (n))

static const tensor_case tensor_cases[] = {
    // type
    {{E(LOGITS, DTYPE, WANE_DTYPE_I32)}, WANE_ERROR_DTYPE, "logits"},
    {{E(LOGITS, DTYPE, WANE_DTYPE_I32)}, WANE_ERROR_DTYPE, "logits"},
    {{E(LOGITS, DTYPE, 0)}, WANE_ERROR_DTYPE, "logits"},
    {{E(LOGITS, DTYPE, 77)}, WANE_ERROR_DTYPE, "logits"},
    {{E(LOGITS, DTYPE, -1)}, WANE_ERROR_DTYPE, "logits"},
    {{E(TARGET, DTYPE, WANE_DTYPE_F32)}, WANE_ERROR_DTYPE, "target"},
    {{E(TARGET, DTYPE, WANE_DTYPE_U32)}, WANE_ERROR_DTYPE, "target"},
    {{E(TARGET, DTYPE, WANE_DTYPE_I32)}, WANE_OK, NULL},
    {{E(WEIGHT, DTYPE, WANE_DTYPE_BF16)}, WANE_ERROR_DTYPE, "weight"},
    {{E(VALID_COUNT, DTYPE, WANE_DTYPE_I32)}, WANE_ERROR_DTYPE, "valid_count"},
    {{E(ARGMAX, DTYPE, WANE_DTYPE_I32)}, WANE_OK, NULL},
    {{E(STATUS, DTYPE, WANE_DTYPE_I32)}, WANE_ERROR_DTYPE, "status"},
    // rank
    {{E(LOGITS, RANK, 1)}, WANE_ERROR_RANK, "logits"},
    {{E(LOGITS, RANK, 0)}, WANE_ERROR_RANK, "logits"},
    {{E(LOGITS, RANK, 3)}, WANE_ERROR_RANK, "target"},      // a class axis in the middle: rows have two dimensions
    {{E(LOGITS, RANK, 5)}, WANE_ERROR_RANK, "logits"},
    {{E(LOGITS, RANK, UINT32_MAX)}, WANE_ERROR_RANK, "logits"},
    {{E(TARGET, RANK, 2)}, WANE_ERROR_RANK, "target"},
    {{E(TARGET, RANK, 0)}, WANE_ERROR_RANK, "target"},
    {{E(GRAD_LOGITS, RANK, 1)}, WANE_ERROR_RANK, "grad_logits"},
    {{E(STATISTICS, RANK, 1)}, WANE_ERROR_RANK, "statistics"},
    {{E(LOSS, RANK, 2)}, WANE_ERROR_RANK, "loss"},
    {{E(STATUS, RANK, 0)}, WANE_ERROR_RANK, "status"},
    {{E(LOSS, RANK, 0), E(UPSTREAM, RANK, 0)}, WANE_OK, NULL},
    {{E(ACCURACY, RANK, 0), E(VALID_COUNT, RANK, 0)}, WANE_OK, NULL},
    // extents
    {{E(LOGITS, EXTENT0, -1)}, WANE_ERROR_EXTENT, "logits"},
    {{E(LOGITS, EXTENT1, INT64_MIN)}, WANE_ERROR_EXTENT, "logits"},
    {{E(TARGET, EXTENT0, ROWS + 1)}, WANE_ERROR_EXTENT, "target"},
    {{E(TARGET, EXTENT0, 0)}, WANE_ERROR_EXTENT, "target"},
    {{E(TARGET, EXTENT0, -ROWS)}, WANE_ERROR_EXTENT, "target"},
    {{E(WEIGHT, EXTENT0, COLS - 1)}, WANE_ERROR_EXTENT, "weight"},
    {{E(ROW_WEIGHT, EXTENT0, COLS)}, WANE_ERROR_EXTENT, "row_weight"},
    {{E(UPSTREAM, EXTENT0, ROWS)}, WANE_ERROR_EXTENT, "upstream"},
    {{E(UPSTREAM_LSE, EXTENT0, 1)}, WANE_ERROR_EXTENT, "upstream_lse"},
    {{E(LOSS, EXTENT0, 0)}, WANE_ERROR_EXTENT, "loss"},
    {{E(LOSS, EXTENT0, 2)}, WANE_ERROR_EXTENT, "loss"},
    {{E(ROW_LOSS, EXTENT0, 1)}, WANE_ERROR_EXTENT, "row_loss"},
    {{E(LSE, EXTENT0, ROWS - 1)}, WANE_ERROR_EXTENT, "lse"},
    {{E(GRAD_LOGITS, EXTENT0, ROWS + 1)}, WANE_ERROR_EXTENT, "grad_logits"},
    {{E(GRAD_LOGITS, EXTENT1, COLS + 1)}, WANE_ERROR_EXTENT, "grad_logits"},
    {{E(VALID_COUNT, EXTENT0, 2)}, WANE_ERROR_EXTENT, "valid_count"},
    {{E(ARGMAX, EXTENT0, 1)}, WANE_ERROR_EXTENT, "argmax"},
    {{E(ENTROPY, EXTENT0, ROWS + 2)}, WANE_ERROR_EXTENT, "entropy"},
    {{E(STATUS, EXTENT0, 7)}, WANE_ERROR_EXTENT, "status"},
    {{E(STATISTICS, EXTENT0, 3)}, WANE_ERROR_EXTENT, "statistics"},
    {{E(STATISTICS, EXTENT1, ROWS + 1)}, WANE_ERROR_EXTENT, "statistics"},
    {{E(LOGITS, EXTENT0, ROWS + 1)}, WANE_ERROR_EXTENT, "target"},       // the later operand is named, with the earlier in the text
    // strides
    {{E(GRAD_LOGITS, STRIDE1, 0)}, WANE_ERROR_STRIDE, "grad_logits"},
    {{E(GRAD_LOGITS, STRIDE0, 0)}, WANE_ERROR_STRIDE, "grad_logits"},
    {{E(GRAD_LOGITS, STRIDE0, COLS - 1)}, WANE_ERROR_STRIDE, "grad_logits"},
    {{E(GRAD_LOGITS, STRIDE0, 1), E(GRAD_LOGITS, STRIDE1, 1)}, WANE_ERROR_STRIDE, "grad_logits"},
    {{E(GRAD_LOGITS, STRIDE0, 1), E(GRAD_LOGITS, STRIDE1, ROWS)}, WANE_OK, NULL},
    {{E(GRAD_LOGITS, STRIDE0, -COLS)}, WANE_OK, NULL},
    {{E(GRAD_LOGITS, STRIDE0, 2 * COLS), E(GRAD_LOGITS, STRIDE1, -2)}, WANE_OK, NULL},
    {{E(GRAD_LOGITS, STRIDE0, 2 * COLS - 2), E(GRAD_LOGITS, STRIDE1, 2)}, WANE_ERROR_STRIDE, "grad_logits"},
    {{E(STATISTICS, STRIDE0, ROWS - 1)}, WANE_ERROR_STRIDE, "statistics"},
    {{E(LSE, STRIDE0, 0)}, WANE_ERROR_STRIDE, "lse"},
    {{E(STATUS, STRIDE0, 0)}, WANE_ERROR_STRIDE, "status"},
    {{E(LOSS, STRIDE0, 0)}, WANE_OK, NULL},                              // one element overlaps with none
    {{E(LOGITS, STRIDE0, 0)}, WANE_OK, NULL},
    {{E(LOGITS, STRIDE0, 0), E(LOGITS, STRIDE1, 0)}, WANE_OK, NULL},
    {{E(TARGET, STRIDE0, 0)}, WANE_OK, NULL},
    {{E(WEIGHT, STRIDE0, -1)}, WANE_OK, NULL},
    // products past 63 and 64 bits
    {{E(LOGITS, EXTENT0, BIG(32)), E(LOGITS, EXTENT1, BIG(32))}, WANE_ERROR_SIZE, "logits"},
    {{E(LOGITS, EXTENT0, BIG(31)), E(LOGITS, EXTENT1, BIG(31))}, WANE_ERROR_SIZE, "logits"},
    {{E(LOGITS, EXTENT0, INT64_MAX), E(LOGITS, EXTENT1, INT64_MAX)}, WANE_ERROR_SIZE, "logits"},
    {{E(LOGITS, EXTENT0, 3), E(LOGITS, EXTENT1, INT64_MAX)}, WANE_ERROR_SIZE, "logits"},
    {{E(TARGET, EXTENT0, BIG(61))}, WANE_ERROR_SIZE, "target"},
    {{E(LOGITS, STRIDE0, BIG(61))}, WANE_ERROR_SIZE, "logits"},
    {{E(LOGITS, STRIDE0, BIG(60))}, WANE_ERROR_SIZE, "logits"},
    {{E(LOGITS, STRIDE0, INT64_MAX)}, WANE_ERROR_SIZE, "logits"},
    {{E(LOGITS, STRIDE0, INT64_MIN)}, WANE_ERROR_SIZE, "logits"},
    {{E(LOGITS, STRIDE0, -BIG(61))}, WANE_ERROR_SIZE, "logits"},
    {{E(LOGITS, STRIDE0, BIG(58)), E(LOGITS, STRIDE1, BIG(58))}, WANE_ERROR_SIZE, "logits"},
    {{E(GRAD_LOGITS, STRIDE0, BIG(62)), E(GRAD_LOGITS, STRIDE1, -BIG(62))}, WANE_ERROR_SIZE, "grad_logits"},
    {{E(GRAD_LOGITS, STRIDE1, INT64_MIN)}, WANE_ERROR_SIZE, "grad_logits"},
    {{E(STATUS, STRIDE0, BIG(61))}, WANE_ERROR_SIZE, "status"},
    // flags and structs
    {{E(LOGITS, FLAGS, WANE_OPERAND_ACCUMULATE)}, WANE_ERROR_FLAGS, "logits"},
    {{E(LOGITS, FLAGS, WANE_OPERAND_GIVEN)}, WANE_ERROR_FLAGS, "logits"},
    {{E(LOSS, FLAGS, WANE_OPERAND_ACCUMULATE)}, WANE_ERROR_FLAGS, "loss"},
    {{E(LSE, FLAGS, WANE_OPERAND_GIVEN)}, WANE_ERROR_FLAGS, "lse"},
    {{E(GRAD_LOGITS, FLAGS, WANE_OPERAND_GIVEN)}, WANE_ERROR_FLAGS, "grad_logits"},
    {{E(GRAD_LOGITS, FLAGS, 8)}, WANE_ERROR_FLAGS, "grad_logits"},
    {{E(GRAD_LOGITS, FLAGS, WANE_OPERAND_ACCUMULATE)}, WANE_OK, NULL},
    {{E(STATISTICS, FLAGS, WANE_OPERAND_ACCUMULATE)}, WANE_ERROR_FLAGS, "statistics"},
    {{E(TARGET, TENSOR_FLAGS, 2)}, WANE_ERROR_FLAGS, "target"},
    {{E(TARGET, TENSOR_FLAGS, INT32_MIN)}, WANE_ERROR_FLAGS, "target"},
    {{E(LSE, ALIGN, 3)}, WANE_ERROR_ALIGNMENT, "lse"},
    {{E(LSE, ALIGN, 2)}, WANE_ERROR_ALIGNMENT, "lse"},
    {{E(TARGET, ALIGN, 4)}, WANE_ERROR_ALIGNMENT, "target"},
    {{E(TARGET, ALIGN, 256)}, WANE_OK, NULL},
    {{E(LSE, RESERVED, 0)}, WANE_ERROR_STRUCT, "lse"},
    {{E(LSE, RESERVED, 1)}, WANE_ERROR_STRUCT, "lse"},
    {{E(LSE, SIZE, 0)}, WANE_ERROR_STRUCT, "operands"},
    {{E(LOGITS, SIZE, 0)}, WANE_ERROR_STRUCT, "operands"},
    {{E(LOGITS, SIZE, sizeof(wane_operand) - 1)}, WANE_ERROR_STRUCT, "operands"},
    {{E(LSE, SIZE, (int64_t)1 << 40)}, WANE_ERROR_STRUCT, "operands"},
    {{E(LSE, TENSOR_SIZE, 0)}, WANE_ERROR_STRUCT, "lse"},
    {{E(LSE, TENSOR_SIZE, sizeof(wane_tensor) - 8)}, WANE_ERROR_STRUCT, "lse"},
    // roles
    {{E(LSE, ROLE, 0)}, WANE_ERROR_UNKNOWN_ROLE, "operands"},
    {{E(LSE, ROLE, 63)}, WANE_ERROR_UNKNOWN_ROLE, "operands"},
    {{E(LSE, ROLE, -1)}, WANE_ERROR_UNKNOWN_ROLE, "operands"},
    {{E(LSE, ROLE, WANE_ROLE_ENTROPY)}, WANE_ERROR_DUPLICATE, "entropy"},
    {{E(LSE, ROLE, WANE_ROLE_LOGITS)}, WANE_ERROR_DUPLICATE, "logits"},
    {{E(LOGITS, DROP, 0)}, WANE_ERROR_MISSING_OPERAND, "logits"},
    {{E(TARGET, DROP, 0)}, WANE_ERROR_MISSING_OPERAND, "target"},
    {{E(WEIGHT, DROP, 0), E(LSE, DROP, 0), E(STATISTICS, DROP, 0)}, WANE_OK, NULL},
};

static void test_tensors(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < sizeof tensor_cases / sizeof tensor_cases[0]; i++) {
        const tensor_case *c = &tensor_cases[i];
        test_problem *p = whole(f);
        for (int k = 0; k < 3 && c->edits[k].field; k++) apply(p, &c->edits[k]);
        char what[96];
        snprintf(what, sizeof what, "tensor case %zu: role %d, field %d, value %lld", i, (int)c->edits[0].role,
                 (int)c->edits[0].field, (long long)c->edits[0].value);
        if (c->want) refused(f, c->want, c->operand, what);
        else accepted(f, what);
    }
}

// ---- shapes as a whole ----

static void test_extreme_shapes(void **state)
{
    fixture *f = *state;
    test_problem *p = &f->p;
    static const struct { int64_t rows, cols; wane_status want; const char *operand; } rows[] = {
        {0, 5, WANE_OK, NULL},
        {1, 1, WANE_OK, NULL},
        {3, 0, WANE_ERROR_EXTENT, "logits"},
        {0, 0, WANE_ERROR_EXTENT, "logits"},
        {(int64_t)1 << 31, 1, WANE_ERROR_TOO_LARGE, "logits"},
        {1, (int64_t)1 << 31, WANE_ERROR_TOO_LARGE, "logits"},
        {INT32_MAX, 1, WANE_OK, NULL},
        {1, INT32_MAX, WANE_OK, NULL},
        {40000, 262144, WANE_OK, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_problem_begin(p, f->context, WANE_LOSS_CROSS_ENTROPY, rows[i].rows, rows[i].cols);
        test_problem_add_inputs(p, true);
        test_problem_add_outputs(p);
        char what[64];
        snprintf(what, sizeof what, "%lld rows, %lld columns", (long long)rows[i].rows, (long long)rows[i].cols);
        if (rows[i].want) refused(f, rows[i].want, rows[i].operand, what);
        else accepted(f, what);
    }
}

// Strides of a tensor without elements say nothing, whatever they are.
static void test_empty_with_strides(void **state)
{
    fixture *f = *state;
    test_problem *p = &f->p;
    static const int64_t strides[] = {0, 1, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 62};
    for (int i = 0; i < 36; i++) {
        test_problem_begin(p, f->context, WANE_LOSS_CROSS_ENTROPY, 0, COLS);
        test_problem_add_inputs(p, true);
        test_problem_add_outputs(p);
        test_strides(&p->operands[test_problem_find(p, WANE_ROLE_GRAD_LOGITS)], strides[i / 6], strides[i % 6]);
        test_strides(&p->operands[test_problem_find(p, WANE_ROLE_LOGITS)], strides[i % 6], strides[i / 6]);
        accepted(f, "no rows");
    }
}

// Rows so far apart that each is a dispatch of its own: refused, rather than a plan of gigabytes.
static void test_too_many_passes(void **state)
{
    fixture *f = *state;
    test_problem *p = &f->p;
    test_problem_begin(p, f->context, WANE_LOSS_CROSS_ENTROPY, (int64_t)1 << 18, 2);
    test_problem_add_inputs(p, false);
    test_problem_add_outputs(p);
    test_strides(&p->operands[test_problem_find(p, WANE_ROLE_LOGITS)], (int64_t)1 << 32, 1);
    refused(f, WANE_ERROR_TOO_LARGE, "logits", "rows 2^32 elements apart");
}

// Kernels count words in 32 bits: however much workspace is allowed, no plan asks for more than they reach.
static void test_workspace_is_reachable(void **state)
{
    fixture *f = *state;
    test_problem *p = &f->p;
    test_problem_begin(p, f->context, WANE_LOSS_CROSS_ENTROPY, INT32_MAX, 1);
    test_problem_add_inputs(p, false);
    test_problem_add(p, WANE_ROLE_LOSS);
    p->desc.workspace_limit_bytes = UINT64_MAX;
    wane_plan *plan = NULL;
    assert_int_equal(wane_plan_create(f->cpu, &p->desc, &plan), WANE_OK);
    wane_plan_info info = {.struct_size = sizeof info};
    assert_int_equal(wane_plan_get_info(plan, &info), WANE_OK);
    assert_true(info.workspace_bytes / 4 <= UINT32_MAX);
    wane_plan_destroy(plan);
}

// ---- parameters ----

static void test_params(void **state)
{
    fixture *f = *state;
    test_problem *p = &f->p;
    static const struct { int param; double value; wane_status want; const char *operand; } rows[] = {
        {WANE_PARAM_LABEL_SMOOTHING, -0.001, WANE_ERROR_PARAM_RANGE, "label_smoothing"},
        {WANE_PARAM_LABEL_SMOOTHING, 1.001, WANE_ERROR_PARAM_RANGE, "label_smoothing"},
        {WANE_PARAM_LABEL_SMOOTHING, 0, WANE_OK, NULL},
        {WANE_PARAM_LABEL_SMOOTHING, 1, WANE_OK, NULL},
        {WANE_PARAM_LABEL_SMOOTHING, NAN, WANE_ERROR_PARAM_RANGE, "label_smoothing"},
        {WANE_PARAM_TEMPERATURE, 0, WANE_ERROR_PARAM_RANGE, "temperature"},
        {WANE_PARAM_TEMPERATURE, -0.0, WANE_ERROR_PARAM_RANGE, "temperature"},
        {WANE_PARAM_TEMPERATURE, -1, WANE_ERROR_PARAM_RANGE, "temperature"},
        {WANE_PARAM_TEMPERATURE, NAN, WANE_ERROR_PARAM_RANGE, "temperature"},
        {WANE_PARAM_TEMPERATURE, INFINITY, WANE_ERROR_PARAM_RANGE, "temperature"},
        {WANE_PARAM_TEMPERATURE, 1e39, WANE_ERROR_PARAM_RANGE, "temperature"},
        {WANE_PARAM_TEMPERATURE, 0.01, WANE_OK, NULL},
        {WANE_PARAM_SOFTCAP, -1, WANE_ERROR_PARAM_RANGE, "softcap"},
        {WANE_PARAM_SOFTCAP, NAN, WANE_ERROR_PARAM_RANGE, "softcap"},
        {WANE_PARAM_SOFTCAP, INFINITY, WANE_ERROR_PARAM_RANGE, "softcap"},
        {WANE_PARAM_SOFTCAP, 0, WANE_OK, NULL},
        {WANE_PARAM_Z_LOSS, -1e-9, WANE_ERROR_PARAM_RANGE, "z_loss"},
        {WANE_PARAM_Z_LOSS, -INFINITY, WANE_ERROR_PARAM_RANGE, "z_loss"},
        {WANE_PARAM_Z_LOSS, NAN, WANE_ERROR_PARAM_RANGE, "z_loss"},
        {WANE_PARAM_REDUCTION, -1, WANE_ERROR_PARAM_RANGE, "reduction"},
        {WANE_PARAM_REDUCTION, 3, WANE_ERROR_PARAM_RANGE, "reduction"},
        {WANE_PARAM_REDUCTION, 0.5, WANE_ERROR_PARAM_RANGE, "reduction"},
        {WANE_PARAM_REDUCTION, NAN, WANE_ERROR_PARAM_RANGE, "reduction"},
        {WANE_PARAM_IGNORE_INDEX, 0.5, WANE_ERROR_PARAM_RANGE, "ignore_index"},
        {WANE_PARAM_IGNORE_INDEX, 1e19, WANE_ERROR_PARAM_RANGE, "ignore_index"},
        {WANE_PARAM_IGNORE_INDEX, NAN, WANE_ERROR_PARAM_RANGE, "ignore_index"},
        {WANE_PARAM_IGNORE_INDEX, 0, WANE_OK, NULL},
        {WANE_PARAM_IGNORE_INDEX, -9007199254740992.0, WANE_OK, NULL},
        {WANE_PARAM_TAU, 1, WANE_ERROR_UNKNOWN_PARAM, "params"},         // of comp_sum, not of cross_entropy
        {0, 1, WANE_ERROR_UNKNOWN_PARAM, "params"},
        {64, 1, WANE_ERROR_UNKNOWN_PARAM, "params"},
        {-5, 1, WANE_ERROR_UNKNOWN_PARAM, "params"},
        {2000000000, 1, WANE_ERROR_UNKNOWN_PARAM, "params"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_problem_begin(p, f->context, WANE_LOSS_CROSS_ENTROPY, ROWS, COLS);
        test_problem_add_inputs(p, false);
        test_problem_add(p, WANE_ROLE_LSE);
        test_problem_param(p, (wane_param)rows[i].param, rows[i].value);
        char what[64];
        snprintf(what, sizeof what, "parameter %d = %g", rows[i].param, rows[i].value);
        if (rows[i].want) refused(f, rows[i].want, rows[i].operand, what);
        else accepted(f, what);
        uint32_t mask = 99;
        wane_status status = wane_statistics_need(f->context, &p->desc, &mask);
        assert_int_equal(status, rows[i].want);
        assert_true(status ? mask == 99 : mask >= 15);
    }
}

static void test_param_lists(void **state)
{
    fixture *f = *state;
    test_problem *p = whole(f);
    test_problem_param(p, WANE_PARAM_TEMPERATURE, 2);
    test_problem_param(p, WANE_PARAM_TEMPERATURE, 2);
    refused(f, WANE_ERROR_DUPLICATE, "temperature", "a parameter twice");
    p = whole(f);
    p->desc.params = NULL;
    accepted(f, "no parameters at NULL");
    p->desc.param_count = 1;
    refused(f, WANE_ERROR_NULL_ARGUMENT, "params", "one parameter at NULL");
    p = whole(f);
    test_problem_param(p, WANE_PARAM_TEMPERATURE, 2);
    p->params[0].reserved = 1;
    refused(f, WANE_ERROR_STRUCT, "temperature", "a reserved member");
}

// ---- the description itself ----

static void test_desc(void **state)
{
    fixture *f = *state;
    test_problem *p = whole(f);
    wane_plan *plan = NOT_YET;
    assert_int_equal(wane_plan_create(NULL, &p->desc, &plan), WANE_ERROR_NULL_ARGUMENT);
    assert_null(plan);
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "out", wane_plan_create(f->cpu, &p->desc, NULL));
    plan = NOT_YET;
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "wane_loss_desc", wane_plan_create(f->cpu, NULL, &plan));
    assert_null(plan);
    static const int losses[] = {0, 999, 1000, -1};
    for (int i = 0; i < 4; i++) {
        p = whole(f);
        p->desc.loss = (wane_loss)losses[i];
        refused(f, WANE_ERROR_UNKNOWN_LOSS, "loss", "unknown loss");
    }
    p = whole(f);
    p->desc.flags = 1;
    refused(f, WANE_ERROR_FLAGS, "flags", "flags");
    p = whole(f);
    p->desc.reserved = 1;
    refused(f, WANE_ERROR_FLAGS, "flags", "reserved");
    p = whole(f);
    p->desc.operands = NULL;
    refused(f, WANE_ERROR_NULL_ARGUMENT, "operands", "operands at NULL");
    p->desc.operand_count = 0;
    refused(f, WANE_ERROR_MISSING_OPERAND, "logits", "no operands");
    test_problem_begin(p, f->context, WANE_LOSS_CROSS_ENTROPY, ROWS, COLS);
    test_problem_add_inputs(p, true);
    refused(f, WANE_ERROR_NO_OUTPUT, "operands", "no output");
    test_problem_add(p, WANE_ROLE_STATISTICS)->flags = WANE_OPERAND_GIVEN;
    refused(f, WANE_ERROR_NO_OUTPUT, "operands", "given statistics are no output");
}

static void test_struct_sizes(void **state)
{
    fixture *f = *state;
    static const size_t bad[] = {0, 1, sizeof(wane_loss_desc) - 1, (size_t)1 << 40, SIZE_MAX};
    for (int i = 0; i < 5; i++) {
        whole(f)->desc.struct_size = bad[i];
        refused(f, WANE_ERROR_STRUCT, "wane_loss_desc", "struct_size");
    }
    // a newer header: what this version does not know must be 0
    struct { wane_loss_desc known; uint64_t unknown[2]; } newer;
    memset(&newer, 0, sizeof newer);
    newer.known = whole(f)->desc;
    newer.known.struct_size = sizeof newer;
    wane_plan *plan = NULL;
    assert_int_equal(wane_plan_create(f->cpu, &newer.known, &plan), WANE_OK);
    wane_plan_destroy(plan);
    newer.unknown[1] = (uint64_t)1 << 63;
    expect_error(&f->log, WANE_ERROR_STRUCT, "wane_loss_desc", wane_plan_create(f->cpu, &newer.known, &plan));
    assert_null(plan);
}

// Operands of a newer header stand further apart.
static void test_newer_operands(void **state)
{
    fixture *f = *state;
    struct { wane_operand known; uint64_t unknown; } newer[TEST_OPERANDS];
    test_problem *p = whole(f);
    memset(newer, 0, sizeof newer);
    for (uint32_t i = 0; i < p->desc.operand_count; i++) {
        newer[i].known = p->operands[i];
        newer[i].known.struct_size = sizeof newer[0];
    }
    p->desc.operands = &newer[0].known;
    accepted(f, "operands of a newer header");
    newer[5].unknown = 1;
    refused(f, WANE_ERROR_STRUCT, "operands", "an unknown member of operand 5");
}

// ---- modes that do not go together ----

static void test_statistics_modes(void **state)
{
    fixture *f = *state;
    test_problem *p = &f->p;
    static const struct { uint32_t mask; double smoothing; bool given; wane_role want; wane_status status; const char *operand; } rows[] = {
        {15, 0, false, WANE_ROLE_LOSS, WANE_OK, NULL},
        {127, 0, false, WANE_ROLE_LOSS, WANE_OK, NULL},
        {127, 0.1, true, WANE_ROLE_GRAD_LOGITS, WANE_OK, NULL},
        {7, 0, false, WANE_ROLE_LOSS, WANE_ERROR_STATISTICS, "statistics"},
        {14, 0, true, WANE_ROLE_LOSS, WANE_ERROR_STATISTICS, "statistics"},
        {15, 0.1, false, WANE_ROLE_LOSS, WANE_ERROR_STATISTICS, "statistics"},
        {15, 0.1, true, WANE_ROLE_GRAD_LOGITS, WANE_ERROR_STATISTICS, "statistics"},
        {15 + 32, 0.1, true, WANE_ROLE_GRAD_LOGITS, WANE_ERROR_STATISTICS, "statistics"},
        {128, 0, false, WANE_ROLE_LOSS, WANE_ERROR_FLAGS, "statistics_mask"},
        {15 + (1u << 31), 0, false, WANE_ROLE_LOSS, WANE_ERROR_FLAGS, "statistics_mask"},
        {15, 0, true, WANE_ROLE_ENTROPY, WANE_ERROR_STATISTICS, "entropy"},
        {31, 0, true, WANE_ROLE_ENTROPY, WANE_OK, NULL},
        {127, 0, true, WANE_ROLE_ARGMAX, WANE_ERROR_UNSUPPORTED, "argmax"},
        {127, 0, true, WANE_ROLE_ACCURACY, WANE_ERROR_UNSUPPORTED, "accuracy"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_problem_begin(p, f->context, WANE_LOSS_CROSS_ENTROPY, ROWS, COLS);
        test_problem_param(p, WANE_PARAM_LABEL_SMOOTHING, rows[i].smoothing);
        p->desc.statistics_mask = p->mask = rows[i].mask;
        test_problem_add_inputs(p, false);
        wane_operand *statistics = test_problem_add(p, WANE_ROLE_STATISTICS);
        if (rows[i].given) statistics->flags = WANE_OPERAND_GIVEN;
        test_problem_add(p, rows[i].want);
        char what[32];
        snprintf(what, sizeof what, "statistics case %zu", i);
        if (rows[i].status) refused(f, rows[i].status, rows[i].operand, what);
        else accepted(f, what);
    }
}

// [rows] for the reduction none, one element for the others.
static void test_reduced(void **state)
{
    fixture *f = *state;
    test_problem *p = &f->p;
    for (int reduction = 0; reduction < 3; reduction++) {
        for (int wrong = 0; wrong < 3; wrong++) {
            test_problem_begin(p, f->context, WANE_LOSS_COMP_SUM, ROWS, COLS);
            test_problem_param(p, WANE_PARAM_REDUCTION, reduction);
            test_problem_add_inputs(p, true);
            test_problem_add_outputs(p);
            int index = test_problem_find(p, wrong == 1 ? WANE_ROLE_LOSS : WANE_ROLE_UPSTREAM);
            if (wrong) p->operands[index].tensor.extents[0] = reduction == WANE_REDUCTION_NONE ? 1 : ROWS;
            if (wrong) refused(f, WANE_ERROR_EXTENT, wrong == 1 ? "loss" : "upstream", "the other reduction's shape");
            else accepted(f, "the reduction's shape");
        }
    }
}

static void test_workspace_limit(void **state)
{
    fixture *f = *state;
    test_problem *p = whole(f);
    p->desc.workspace_limit_bytes = 4;
    refused(f, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes", "four bytes of workspace");
    // every limit that is enough is kept to
    int good = 0;
    for (uint64_t limit = 64; limit < 100000; limit += limit / 3) {
        test_problem_begin(p, f->context, WANE_LOSS_CROSS_ENTROPY, 1000, COLS);
        test_problem_add_inputs(p, true);
        test_problem_add_outputs(p);
        p->desc.workspace_limit_bytes = limit;
        wane_plan *plan = NULL;
        wane_status status = wane_plan_create(f->cpu, &p->desc, &plan);
        if (status) {
            assert_int_equal(status, WANE_ERROR_TOO_LARGE);
            assert_int_equal(good, 0);      // once it fits, more fits too
            continue;
        }
        good++;
        wane_plan_info info = {.struct_size = sizeof info};
        assert_int_equal(wane_plan_get_info(plan, &info), WANE_OK);
        // the planner may round up to a multiple of 64 words
        assert_true(info.workspace_bytes <= limit + 256);
        wane_plan_destroy(plan);
    }
    assert_true(good > 5);
}

// ---- plans from limits, info, text ----

static wane_limits floor_limits(void)
{
    wane_limits limits = {.struct_size = sizeof limits, .backend = WANE_BACKEND_VULKAN, .max_lanes = 128,
                          .shared_bytes = 16384, .max_window_bytes = (uint64_t)1 << 27, .max_buffer_bytes = (uint64_t)1 << 30,
                          .offset_align_bytes = 256, .max_groups = 65535, .max_dispatch_elems = (uint64_t)1 << 24};
    return limits;
}

static void test_from_limits(void **state)
{
    fixture *f = *state;
    test_problem *p = whole(f);
    wane_limits limits = floor_limits();
    wane_plan *plan = NULL;
    assert_int_equal(wane_plan_create_for(f->context, &limits, &p->desc, &plan), WANE_OK);
    wane_executable *executable = (wane_executable *)1;
    expect_error(&f->log, WANE_ERROR_MISMATCH, "plan", wane_executable_create(plan, &executable));
    assert_null(executable);
    wane_plan_destroy(plan);
    plan = NOT_YET;
    assert_int_equal(wane_plan_create_for(NULL, &limits, &p->desc, &plan), WANE_ERROR_NULL_ARGUMENT);
    assert_null(plan);
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "wane_limits", wane_plan_create_for(f->context, NULL, &p->desc, &plan));
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "out", wane_plan_create_for(f->context, &limits, &p->desc, NULL));
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, NULL, wane_plan_create_for(f->context, &limits, NULL, &plan));
    limits.struct_size--;
    expect_error(&f->log, WANE_ERROR_STRUCT, "wane_limits", wane_plan_create_for(f->context, &limits, &p->desc, &plan));
    for (int i = 0; i < 5; i++) {
        limits = floor_limits();
        if (i == 0) limits.max_window_bytes = 4095;
        if (i == 1) limits.max_groups = 0;
        if (i == 2) limits.max_dispatch_elems = 0;
        if (i == 3) limits.offset_align_bytes = 0;
        if (i == 4) limits.offset_align_bytes = 512;
        expect_error(&f->log, WANE_ERROR_TOO_LARGE, "limits", wane_plan_create_for(f->context, &limits, &p->desc, &plan));
    }
}

// Small windows cut rows and columns; a column stride that no window holds is refused.
static void test_windows(void **state)
{
    fixture *f = *state;
    test_problem *p = &f->p;
    wane_limits limits = floor_limits();
    limits.max_window_bytes = 65536;
    test_problem_begin(p, f->context, WANE_LOSS_CROSS_ENTROPY, 5, 100000);
    test_problem_add_inputs(p, true);
    test_problem_add_outputs(p);
    wane_plan *plan = NULL;
    assert_int_equal(wane_plan_create_for(f->context, &limits, &p->desc, &plan), WANE_OK);
    wane_plan_info info = {.struct_size = sizeof info};
    assert_int_equal(wane_plan_get_info(plan, &info), WANE_OK);
    assert_true(info.dispatch_count > 2 * (100000 * 4 / 65536));
    assert_true(info.workspace_bytes <= limits.max_window_bytes);
    wane_plan_destroy(plan);
    test_strides(&p->operands[test_problem_find(p, WANE_ROLE_LOGITS)], 1, 5);
    assert_int_equal(wane_plan_create_for(f->context, &limits, &p->desc, &plan), WANE_OK);
    wane_plan_destroy(plan);
    test_strides(&p->operands[test_problem_find(p, WANE_ROLE_LOGITS)], 1, 5000);
    expect_error(&f->log, WANE_ERROR_TOO_LARGE, "logits", wane_plan_create_for(f->context, &limits, &p->desc, &plan));
}

static void test_info(void **state)
{
    fixture *f = *state;
    test_problem *p = whole(f);
    wane_plan *plan = NULL;
    assert_int_equal(wane_plan_create(f->cpu, &p->desc, &plan), WANE_OK);
    wane_plan_info info = {.struct_size = sizeof info};
    assert_int_equal(wane_plan_get_info(NULL, &info), WANE_ERROR_NULL_ARGUMENT);
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "wane_plan_info", wane_plan_get_info(plan, NULL));
    info.struct_size = 0;
    expect_error(&f->log, WANE_ERROR_STRUCT, "wane_plan_info", wane_plan_get_info(plan, &info));
    info.struct_size = sizeof info;
    assert_int_equal(wane_plan_get_info(plan, &info), WANE_OK);
    assert_true(info.workspace_bytes > 0 && info.workspace_align_bytes >= 4 && info.dispatch_count > 0);
    assert_int_equal(info.statistics_mask, 15);
    uint64_t matrix = ROWS * COLS * 4;
    // logits, gradient; target i64, argmax i64; weight; five row vectors in f32 and two more; planes; scalars
    uint64_t rest = ROWS * 8 * 2 + COLS * 4 + ROWS * 4 * 5 + ROWS * 4 * 4 + 4 + 4 + 8 + 4 + 32;
    assert_int_equal(info.minimal_bytes, 2 * matrix + rest);
    assert_int_equal(info.moved_bytes, info.minimal_bytes);
    assert_int_equal(info.exps, 2 * ROWS * COLS);
    assert_true(info.flops >= ROWS * COLS);
    wane_plan_destroy(plan);
    wane_plan_destroy(NULL);
}

static void test_describe(void **state)
{
    fixture *f = *state;
    wane_plan *plan = NULL;
    assert_int_equal(wane_plan_create(f->cpu, &whole(f)->desc, &plan), WANE_OK);
    size_t bytes = wane_plan_describe(plan, NULL, 0);
    assert_true(bytes > 50);
    char *text = malloc(bytes + 2);
    memset(text, 'x', bytes + 2);
    assert_int_equal(wane_plan_describe(plan, text, bytes + 1), bytes);
    assert_int_equal(strlen(text), bytes);
    assert_int_equal(text[bytes + 1], 'x');
    assert_non_null(strstr(text, "cross_entropy"));
    for (size_t capacity = 1; capacity <= bytes; capacity += 7) {
        char *part = malloc(capacity);
        assert_int_equal(wane_plan_describe(plan, part, capacity), bytes);
        assert_int_equal(strlen(part), capacity - 1);
        assert_int_equal(strncmp(part, text, capacity - 1), 0);
        free(part);
    }
    assert_int_equal(wane_plan_describe(NULL, text, bytes), 0);
    assert_string_equal(text, "");
    free(text);
    wane_plan_destroy(plan);
}

// Equal limits and descriptions give equal plans.
static void test_repeatable(void **state)
{
    fixture *f = *state;
    wane_limits limits = floor_limits();
    char text[2][8192];
    for (int i = 0; i < 2; i++) {
        wane_plan *plan = NULL;
        assert_int_equal(wane_plan_create_for(f->context, &limits, &whole(f)->desc, &plan), WANE_OK);
        wane_plan_describe(plan, text[i], sizeof text[i]);
        wane_plan_destroy(plan);
    }
    assert_string_equal(text[0], text[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tensors), TEST(test_extreme_shapes), TEST(test_empty_with_strides), TEST(test_too_many_passes),
        TEST(test_workspace_is_reachable), TEST(test_params), TEST(test_param_lists), TEST(test_desc),
        TEST(test_struct_sizes), TEST(test_newer_operands), TEST(test_statistics_modes), TEST(test_reduced),
        TEST(test_workspace_limit), TEST(test_from_limits), TEST(test_windows), TEST(test_info), TEST(test_describe),
        TEST(test_repeatable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
