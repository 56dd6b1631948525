// plan_tensors_test.c - wane_plan_create: types, ranks, extents, strides and flags of the operands.
#include "plan_fixture.h"

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
    {{E(LOGITS, DTYPE, WANE_DTYPE_F16)}, WANE_OK, NULL},                 // with a gradient in f32
    {{E(LOGITS, DTYPE, WANE_DTYPE_BF16), E(GRAD_LOGITS, DTYPE, WANE_DTYPE_BF16)}, WANE_OK, NULL},
    {{E(LOGITS, DTYPE, WANE_DTYPE_BF16), E(GRAD_LOGITS, DTYPE, WANE_DTYPE_F16)}, WANE_ERROR_DTYPE, "grad_logits"},
    {{E(GRAD_LOGITS, DTYPE, WANE_DTYPE_F16)}, WANE_ERROR_DTYPE, "grad_logits"},
    {{E(GRAD_LOGITS, DTYPE, WANE_DTYPE_I32)}, WANE_ERROR_DTYPE, "grad_logits"},
    {{E(LSE, DTYPE, WANE_DTYPE_F16)}, WANE_ERROR_DTYPE, "lse"},
    {{E(LOGITS, DTYPE, 0)}, WANE_ERROR_DTYPE, "logits"},
    {{E(LOGITS, DTYPE, 77)}, WANE_ERROR_DTYPE, "logits"},
    {{E(LOGITS, DTYPE, -1)}, WANE_ERROR_DTYPE, "logits"},
    {{E(TARGET, DTYPE, WANE_DTYPE_F32)}, WANE_ERROR_RANK, "target"},     // probabilities have columns
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
    {{E(LOGITS, EXTENT0, ROWS + 1)}, WANE_ERROR_EXTENT, "target"},       // the later operand is named
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
    // in place: the same type and strides, and nothing to add to
    {{E(GRAD_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE)}, WANE_OK, NULL},
    {{E(LSE, FLAGS, WANE_OPERAND_IN_PLACE)}, WANE_ERROR_FLAGS, "lse"},
    {{E(LOGITS, FLAGS, WANE_OPERAND_IN_PLACE)}, WANE_ERROR_FLAGS, "logits"},
    {{E(STATISTICS, FLAGS, WANE_OPERAND_IN_PLACE)}, WANE_ERROR_FLAGS, "statistics"},
    {{E(GRAD_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE | WANE_OPERAND_ACCUMULATE)}, WANE_ERROR_FLAGS, "grad_logits"},
    {{E(GRAD_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE), E(GRAD_LOGITS, STRIDE0, 9)}, WANE_ERROR_STRIDE, "grad_logits"},
    {{E(GRAD_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE), E(LOGITS, STRIDE0, -COLS)}, WANE_ERROR_STRIDE, "grad_logits"},
    {{E(GRAD_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE), E(LOGITS, DTYPE, WANE_DTYPE_F16)}, WANE_ERROR_STRIDE,
     "grad_logits"},
    {{E(GRAD_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE), E(LOGITS, STRIDE0, 0)}, WANE_ERROR_STRIDE, "grad_logits"},
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

// ---- the same for the second tensor of a row: teacher logits, probabilities, a number for each row ----

// Logits and what they are compared with; values, and every gradient that there is.
static test_problem *with_second(fixture *f, wane_loss loss)
{
    test_problem *p = &f->p;
    test_problem_begin(p, f->context, loss, ROWS, COLS);
    test_problem_add_inputs(p, false);
    test_problem_add(p, WANE_ROLE_LOSS);
    test_problem_add(p, WANE_ROLE_GRAD_LOGITS);
    if (test_problem_find(p, WANE_ROLE_TEACHER_LOGITS) >= 0) test_problem_add(p, WANE_ROLE_GRAD_TEACHER_LOGITS);
    return p;
}

static test_problem *with_teacher(fixture *f) { return with_second(f, WANE_LOSS_KL_LOGITS); }
static test_problem *with_number(fixture *f) { return with_second(f, WANE_LOSS_HL_GAUSS); }

static test_problem *with_shares(fixture *f)
{
    test_problem *p = with_second(f, WANE_LOSS_CROSS_ENTROPY);
    wane_tensor *target = &p->operands[test_problem_find(p, WANE_ROLE_TARGET)].tensor;
    target->dtype = WANE_DTYPE_F32;
    target->rank = 2;
    target->extents[1] = COLS;
    return p;
}

static const tensor_case teacher_cases[] = {
    // each gradient has the type of its own tensor, or f32
    {{E(TEACHER_LOGITS, F_NONE, 0)}, WANE_OK, NULL},
    {{E(TEACHER_LOGITS, DTYPE, WANE_DTYPE_F16)}, WANE_OK, NULL},
    {{E(TEACHER_LOGITS, DTYPE, WANE_DTYPE_F16), E(LOGITS, DTYPE, WANE_DTYPE_BF16)}, WANE_OK, NULL},
    {{E(TEACHER_LOGITS, DTYPE, WANE_DTYPE_F16), E(GRAD_TEACHER_LOGITS, DTYPE, WANE_DTYPE_F16)}, WANE_OK, NULL},
    {{E(TEACHER_LOGITS, DTYPE, WANE_DTYPE_I32)}, WANE_ERROR_DTYPE, "teacher_logits"},
    {{E(TEACHER_LOGITS, DTYPE, 77)}, WANE_ERROR_DTYPE, "teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, DTYPE, WANE_DTYPE_F16)}, WANE_ERROR_DTYPE, "grad_teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, DTYPE, WANE_DTYPE_I64)}, WANE_ERROR_DTYPE, "grad_teacher_logits"},
    {{E(TEACHER_LOGITS, DTYPE, WANE_DTYPE_F16), E(GRAD_TEACHER_LOGITS, DTYPE, WANE_DTYPE_BF16)}, WANE_ERROR_DTYPE,
     "grad_teacher_logits"},
    {{E(LOGITS, DTYPE, WANE_DTYPE_F16), E(GRAD_TEACHER_LOGITS, DTYPE, WANE_DTYPE_F16)}, WANE_ERROR_DTYPE,
     "grad_teacher_logits"},
    {{E(TEACHER_LOGITS, DTYPE, WANE_DTYPE_F16), E(GRAD_LOGITS, DTYPE, WANE_DTYPE_F16)}, WANE_ERROR_DTYPE, "grad_logits"},
    // two rows of one shape
    {{E(TEACHER_LOGITS, RANK, 1)}, WANE_ERROR_RANK, "teacher_logits"},
    {{E(TEACHER_LOGITS, RANK, 3)}, WANE_ERROR_RANK, "teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, RANK, 1)}, WANE_ERROR_RANK, "grad_teacher_logits"},
    {{E(TEACHER_LOGITS, EXTENT0, ROWS + 1)}, WANE_ERROR_EXTENT, "teacher_logits"},
    {{E(TEACHER_LOGITS, EXTENT1, COLS - 1)}, WANE_ERROR_EXTENT, "teacher_logits"},
    {{E(TEACHER_LOGITS, EXTENT1, 0)}, WANE_ERROR_EXTENT, "teacher_logits"},
    {{E(TEACHER_LOGITS, EXTENT0, -ROWS)}, WANE_ERROR_EXTENT, "teacher_logits"},
    {{E(TEACHER_LOGITS, EXTENT0, COLS), E(TEACHER_LOGITS, EXTENT1, ROWS)}, WANE_ERROR_EXTENT, "teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, EXTENT0, ROWS - 1)}, WANE_ERROR_EXTENT, "grad_teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, EXTENT1, COLS + 1)}, WANE_ERROR_EXTENT, "grad_teacher_logits"},
    // an input's elements may lie on one another, an output's may not
    {{E(TEACHER_LOGITS, STRIDE0, 0), E(TEACHER_LOGITS, STRIDE1, 0)}, WANE_OK, NULL},
    {{E(TEACHER_LOGITS, STRIDE0, 1), E(TEACHER_LOGITS, STRIDE1, -1)}, WANE_OK, NULL},
    {{E(GRAD_TEACHER_LOGITS, STRIDE0, 1), E(GRAD_TEACHER_LOGITS, STRIDE1, ROWS)}, WANE_OK, NULL},
    {{E(GRAD_TEACHER_LOGITS, STRIDE0, -COLS), E(GRAD_TEACHER_LOGITS, STRIDE1, -1)}, WANE_OK, NULL},
    {{E(GRAD_TEACHER_LOGITS, STRIDE0, 0)}, WANE_ERROR_STRIDE, "grad_teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, STRIDE1, 0)}, WANE_ERROR_STRIDE, "grad_teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, STRIDE0, COLS - 1)}, WANE_ERROR_STRIDE, "grad_teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, STRIDE0, 1 - COLS)}, WANE_ERROR_STRIDE, "grad_teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, STRIDE0, 2 * COLS - 2), E(GRAD_TEACHER_LOGITS, STRIDE1, 2)}, WANE_ERROR_STRIDE,
     "grad_teacher_logits"},
    {{E(GRAD_LOGITS, STRIDE0, COLS - 1)}, WANE_ERROR_STRIDE, "grad_logits"},
    {{E(TEACHER_LOGITS, STRIDE0, BIG(61))}, WANE_ERROR_SIZE, "teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, STRIDE1, INT64_MIN)}, WANE_ERROR_SIZE, "grad_teacher_logits"},
    // flags; each gradient is made from both tensors, so only one of them may lie over its own
    {{E(TEACHER_LOGITS, FLAGS, WANE_OPERAND_ACCUMULATE)}, WANE_ERROR_FLAGS, "teacher_logits"},
    {{E(TEACHER_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE)}, WANE_ERROR_FLAGS, "teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, FLAGS, WANE_OPERAND_GIVEN)}, WANE_ERROR_FLAGS, "grad_teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, FLAGS, WANE_OPERAND_ACCUMULATE)}, WANE_OK, NULL},
    {{E(GRAD_TEACHER_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE)}, WANE_OK, NULL},
    {{E(GRAD_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE)}, WANE_OK, NULL},
    {{E(GRAD_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE), E(GRAD_TEACHER_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE)},
     WANE_ERROR_FLAGS, "grad_teacher_logits"},
    {{E(GRAD_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE), E(GRAD_TEACHER_LOGITS, FLAGS, WANE_OPERAND_ACCUMULATE)}, WANE_OK,
     NULL},
    {{E(GRAD_TEACHER_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE | WANE_OPERAND_ACCUMULATE)}, WANE_ERROR_FLAGS,
     "grad_teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE), E(TEACHER_LOGITS, STRIDE0, -COLS)}, WANE_ERROR_STRIDE,
     "grad_teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE), E(TEACHER_LOGITS, DTYPE, WANE_DTYPE_F16)},
     WANE_ERROR_STRIDE, "grad_teacher_logits"},
    // halves are aligned to 2 bytes, and no less may be promised
    {{E(TEACHER_LOGITS, DTYPE, WANE_DTYPE_F16), E(TEACHER_LOGITS, ALIGN, 2)}, WANE_OK, NULL},
    {{E(TEACHER_LOGITS, DTYPE, WANE_DTYPE_F16), E(TEACHER_LOGITS, ALIGN, 1)}, WANE_ERROR_ALIGNMENT, "teacher_logits"},
    {{E(TEACHER_LOGITS, DTYPE, WANE_DTYPE_F16), E(TEACHER_LOGITS, ALIGN, 6)}, WANE_ERROR_ALIGNMENT, "teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, ALIGN, 2)}, WANE_ERROR_ALIGNMENT, "grad_teacher_logits"},
    {{E(TEACHER_LOGITS, DROP, 0)}, WANE_ERROR_MISSING_OPERAND, "teacher_logits"},
    {{E(GRAD_TEACHER_LOGITS, ROLE, WANE_ROLE_STATISTICS)}, WANE_ERROR_UNKNOWN_ROLE, "operands"},
    {{E(GRAD_TEACHER_LOGITS, ROLE, WANE_ROLE_TEACHER_LOGITS)}, WANE_ERROR_DUPLICATE, "teacher_logits"},
};

static const tensor_case share_cases[] = {
    {{E(TARGET, F_NONE, 0)}, WANE_OK, NULL},
    {{E(TARGET, DTYPE, WANE_DTYPE_BF16)}, WANE_OK, NULL},
    {{E(TARGET, DTYPE, WANE_DTYPE_F16), E(LOGITS, DTYPE, WANE_DTYPE_BF16)}, WANE_OK, NULL},
    {{E(TARGET, DTYPE, WANE_DTYPE_I32)}, WANE_ERROR_RANK, "target"},     // indices have no columns
    {{E(TARGET, DTYPE, WANE_DTYPE_U32)}, WANE_ERROR_DTYPE, "target"},
    {{E(TARGET, RANK, 1)}, WANE_ERROR_RANK, "target"},
    {{E(TARGET, RANK, 3)}, WANE_ERROR_RANK, "target"},
    {{E(TARGET, EXTENT0, ROWS - 1)}, WANE_ERROR_EXTENT, "target"},
    {{E(TARGET, EXTENT1, COLS + 1)}, WANE_ERROR_EXTENT, "target"},
    {{E(TARGET, EXTENT1, 1)}, WANE_ERROR_EXTENT, "target"},              // nothing is broadcast but by strides
    {{E(TARGET, STRIDE0, 0)}, WANE_OK, NULL},
    {{E(TARGET, STRIDE0, -COLS), E(TARGET, STRIDE1, -1)}, WANE_OK, NULL},
    {{E(TARGET, STRIDE0, BIG(61))}, WANE_ERROR_SIZE, "target"},
    {{E(TARGET, DTYPE, WANE_DTYPE_F16), E(TARGET, ALIGN, 1)}, WANE_ERROR_ALIGNMENT, "target"},
    {{E(GRAD_LOGITS, STRIDE0, COLS - 1)}, WANE_ERROR_STRIDE, "grad_logits"},
    {{E(GRAD_LOGITS, FLAGS, WANE_OPERAND_IN_PLACE)}, WANE_OK, NULL},
    {{E(LOSS, ROLE, WANE_ROLE_ACCURACY)}, WANE_ERROR_UNSUPPORTED, "accuracy"},
    {{E(LOSS, ROLE, WANE_ROLE_GRAD_TEACHER_LOGITS)}, WANE_ERROR_UNKNOWN_ROLE, "operands"},
};

static const tensor_case number_cases[] = {
    {{E(TARGET, F_NONE, 0)}, WANE_OK, NULL},
    {{E(TARGET, STRIDE0, 0)}, WANE_OK, NULL},
    {{E(TARGET, DTYPE, WANE_DTYPE_F16)}, WANE_ERROR_DTYPE, "target"},
    {{E(TARGET, DTYPE, WANE_DTYPE_I32)}, WANE_ERROR_DTYPE, "target"},
    {{E(TARGET, RANK, 0)}, WANE_ERROR_RANK, "target"},
    {{E(TARGET, RANK, 2)}, WANE_ERROR_RANK, "target"},
    {{E(TARGET, EXTENT0, ROWS + 1)}, WANE_ERROR_EXTENT, "target"},
    {{E(TARGET, EXTENT0, 0)}, WANE_ERROR_EXTENT, "target"},
    {{E(TARGET, ALIGN, 2)}, WANE_ERROR_ALIGNMENT, "target"},
    {{E(TARGET, STRIDE0, INT64_MIN)}, WANE_ERROR_SIZE, "target"},
    {{E(TARGET, FLAGS, WANE_OPERAND_GIVEN)}, WANE_ERROR_FLAGS, "target"},
    {{E(TARGET, DROP, 0)}, WANE_ERROR_MISSING_OPERAND, "target"},
};

static void try_cases(fixture *f, test_problem *(*make)(fixture *f), const tensor_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const tensor_case *c = &cases[i];
        test_problem *p = make(f);
        for (int k = 0; k < 3 && c->edits[k].field; k++) apply(p, &c->edits[k]);
        char what[96];
        snprintf(what, sizeof what, "tensor case %zu: role %d, field %d, value %lld", i, (int)c->edits[0].role,
                 (int)c->edits[0].field, (long long)c->edits[0].value);
        if (c->want) refused(f, c->want, c->operand, what);
        else accepted(f, what);
    }
}

#define TRY(f, make, cases) try_cases(f, make, cases, sizeof cases / sizeof cases[0])

static void test_tensors(void **state) { TRY(*state, whole, tensor_cases); }
static void test_teachers(void **state) { TRY(*state, with_teacher, teacher_cases); }
static void test_shares(void **state) { TRY(*state, with_shares, share_cases); }
static void test_numbers(void **state) { TRY(*state, with_number, number_cases); }

// Probabilities leave nothing to ignore: the parameter is refused, even by its default value.
static void test_nothing_to_ignore(void **state)
{
    fixture *f = *state;
    static const double values[] = {-100, 0, 3};
    for (int i = 0; i < 3; i++) {
        test_problem_param(with_shares(f), WANE_PARAM_IGNORE_INDEX, values[i]);
        refused(f, WANE_ERROR_UNKNOWN_PARAM, "ignore_index", "ignore_index with probabilities");
    }
    test_problem_param(with_shares(f), WANE_PARAM_LABEL_SMOOTHING, 0.5);
    accepted(f, "smoothing with probabilities");
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

// ---- a class axis in the middle: [rows, cols, rows1, rows2] ----

static test_problem *middle(fixture *f, uint32_t more)
{
    test_problem_begin(&f->p, f->context, WANE_LOSS_CROSS_ENTROPY, ROWS, COLS);
    f->p.more_count = more;
    f->p.more_rows[0] = 5;
    f->p.more_rows[1] = 3;
    test_problem_add_inputs(&f->p, true);
    test_problem_add_outputs(&f->p);
    return &f->p;
}

static void set_strides(test_problem *p, wane_role role, int64_t a, int64_t b, int64_t c, int64_t d)
{
    wane_tensor *t = &p->operands[test_problem_find(p, role)].tensor;
    const int64_t strides[4] = {a, b, c, d};
    t->flags = WANE_TENSOR_STRIDED;
    memcpy(t->strides, strides, sizeof strides);
}

// The second tensor of a row with a class axis in the middle has every dimension of the first.
static void test_middle_of_two(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        test_problem *p = &f->p;
        test_problem_begin(p, f->context, WANE_LOSS_KL_LOGITS, ROWS, COLS);
        p->more_count = 2;
        p->more_rows[0] = 5;
        p->more_rows[1] = 3;
        test_problem_add_inputs(p, false);
        test_problem_add(p, WANE_ROLE_GRAD_LOGITS);
        wane_tensor *grad = &test_problem_add(p, WANE_ROLE_GRAD_TEACHER_LOGITS)->tensor;
        wane_tensor *teacher = &p->operands[test_problem_find(p, WANE_ROLE_TEACHER_LOGITS)].tensor;
        if (i == 0) accepted(f, "a class axis in the middle of both");
        if (i == 1) teacher->rank = 3, refused(f, WANE_ERROR_RANK, "teacher_logits", "a dimension less");
        if (i == 2) teacher->extents[3] = 5, refused(f, WANE_ERROR_EXTENT, "teacher_logits", "other rows");
        if (i == 3) grad->extents[2] = 3, refused(f, WANE_ERROR_EXTENT, "grad_teacher_logits", "other rows");
        if (i != 4) continue;
        set_strides(p, WANE_ROLE_GRAD_TEACHER_LOGITS, 15 * COLS, 15, 3, 0);
        refused(f, WANE_ERROR_STRIDE, "grad_teacher_logits", "an output that overlaps in its last dimension");
        set_strides(p, WANE_ROLE_GRAD_TEACHER_LOGITS, 15 * 7 * COLS, 1, 4 * COLS, COLS);
        refused(f, WANE_ERROR_UNSUPPORTED, "grad_teacher_logits", "three strides of rows");
    }
}

static void test_middle(void **state)
{
    fixture *f = *state;
    for (uint32_t more = 1; more <= 2; more++) {
        middle(f, more);
        accepted(f, "a class axis in the middle");
        test_problem *p = middle(f, more);
        p->operands[test_problem_find(p, WANE_ROLE_TARGET)].tensor.extents[1] = 4;
        refused(f, WANE_ERROR_EXTENT, "target", "other rows of the target");
        p = middle(f, more);
        p->operands[test_problem_find(p, WANE_ROLE_LSE)].tensor.rank--;
        refused(f, WANE_ERROR_RANK, "lse", "rows of lower rank");
        p = middle(f, more);
        p->operands[test_problem_find(p, WANE_ROLE_WEIGHT)].tensor.rank++;
        refused(f, WANE_ERROR_RANK, "weight", "weights with rows");
        p = middle(f, more);
        p->operands[test_problem_find(p, WANE_ROLE_GRAD_LOGITS)].tensor.extents[2] = 6;
        refused(f, WANE_ERROR_EXTENT, NULL, "other rows of the gradient");
    }
    test_problem *p = middle(f, 2);
    p->operands[test_problem_find(p, WANE_ROLE_LOGITS)].tensor.extents[3] = INT64_MAX / 2;
    refused(f, WANE_ERROR_SIZE, "logits", "a product of four extents");
    // channels last: the classes innermost, the rows one after the other
    p = middle(f, 2);
    set_strides(p, WANE_ROLE_LOGITS, 15 * COLS, 1, 3 * COLS, COLS);
    accepted(f, "channels last");
    // rows that step like one neither way
    p = middle(f, 2);
    set_strides(p, WANE_ROLE_LOGITS, 15 * 7 * COLS, 1, 4 * COLS, COLS);
    refused(f, WANE_ERROR_UNSUPPORTED, "logits", "three strides of rows");
    p = middle(f, 2);
    set_strides(p, WANE_ROLE_GRAD_LOGITS, 15 * COLS, 15, 3, 0);
    refused(f, WANE_ERROR_STRIDE, "grad_logits", "an output that overlaps in its last dimension");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tensors),          TEST(test_extreme_shapes),         TEST(test_empty_with_strides),
        TEST(test_too_many_passes),  TEST(test_workspace_is_reachable), TEST(test_middle),
        TEST(test_teachers),         TEST(test_shares),                 TEST(test_numbers),
        TEST(test_nothing_to_ignore), TEST(test_middle_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
