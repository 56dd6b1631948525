// plan_test.c - wane_plan_create: parameters, the description itself, modes, limits; and what a plan says of itself.
#include "plan_fixture.h"

#include <math.h>

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
        if (rows[i].param == WANE_PARAM_TAU) assert_non_null(strstr(f->log.text, "no parameter tau"));
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
    static const int losses[] = {0, 1000000, INT32_MAX, -1};
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
    static const struct {
        uint32_t mask;
        double smoothing;
        bool given;
        wane_role want;
        wane_status status;
        const char *operand;
    } rows[] = {
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
    // the bytes that the text asks for are enough, and four less are not
    unsigned long long allows = 0, needs = 0;
    assert_int_equal(sscanf(f->log.text, "allows %llu, and the smallest plan needs %llu bytes of workspace", &allows, &needs), 2);
    assert_int_equal(allows, 4);
    p->desc.workspace_limit_bytes = needs;
    accepted(f, "the bytes that were asked for");
    p->desc.workspace_limit_bytes = needs - 4;
    refused(f, WANE_ERROR_TOO_LARGE, "workspace_limit_bytes", "a word less");
    assert_non_null(strstr(wane_status_text(WANE_ERROR_TOO_LARGE), "workspace_limit_bytes"));
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
    wane_limits limits = {.struct_size = sizeof limits,
                          .backend = WANE_BACKEND_VULKAN,
                          .max_lanes = 128,
                          .shared_bytes = 16384,
                          .max_window_bytes = (uint64_t)1 << 27,
                          .max_buffer_bytes = (uint64_t)1 << 30,
                          .offset_align_bytes = 256,
                          .max_groups = 65535,
                          .max_dispatch_elems = (uint64_t)1 << 24};
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
    expect_error(&f->log, WANE_ERROR_NULL_ARGUMENT, "wane_limits",
                 wane_plan_create_for(f->context, NULL, &p->desc, &plan));
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
        expect_error(&f->log, WANE_ERROR_TOO_LARGE, "limits",
                     wane_plan_create_for(f->context, &limits, &p->desc, &plan));
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
    assert_true(info.workspace_bytes > 0 && info.workspace_align_bytes == 4 && info.dispatch_count > 0);
    assert_int_equal(info.statistics_mask, 15);
    uint64_t matrix = ROWS * COLS * 4;
    // logits, gradient; target i64, argmax i64; weight; five row vectors in f32 and two more; planes; scalars
    uint64_t rest = ROWS * 8 * 2 + COLS * 4 + ROWS * 4 * 5 + ROWS * 4 * 4 + 4 + 4 + 8 + 4 + 32;
    assert_int_equal(info.minimal_bytes, 2 * matrix + rest);
    assert_int_equal(info.moved_bytes, info.minimal_bytes);
    assert_int_equal(info.exps, 2 * ROWS * COLS);
    assert_true(info.flops >= ROWS * COLS);
    wane_plan_destroy(plan);
    // accumulating reads the gradient too; in place reads the logits alone, and half types halve the matrices
    static const struct { uint32_t flags; wane_dtype dtype; uint64_t matrices; } rows[] = {
        {WANE_OPERAND_ACCUMULATE, WANE_DTYPE_F32, 6},
        {WANE_OPERAND_IN_PLACE, WANE_DTYPE_F32, 4},
        {0, WANE_DTYPE_F16, 2},
    };
    for (int i = 0; i < 3; i++) {
        p = whole(f);
        wane_operand *grad = &p->operands[test_problem_find(p, WANE_ROLE_GRAD_LOGITS)];
        grad->flags = rows[i].flags;
        grad->tensor.dtype = p->operands[test_problem_find(p, WANE_ROLE_LOGITS)].tensor.dtype = rows[i].dtype;
        assert_int_equal(wane_plan_create(f->cpu, &p->desc, &plan), WANE_OK);
        assert_int_equal(wane_plan_get_info(plan, &info), WANE_OK);
        assert_int_equal(info.minimal_bytes, rows[i].matrices * matrix / 2 + rest);
        wane_plan_destroy(plan);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_params),        TEST(test_param_lists),      TEST(test_desc),      TEST(test_struct_sizes),
        TEST(test_newer_operands), TEST(test_statistics_modes), TEST(test_reduced),   TEST(test_workspace_limit),
        TEST(test_from_limits),   TEST(test_windows),          TEST(test_info),      TEST(test_describe),
        TEST(test_repeatable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
