// scenarios.c - see fault.h.
#include "fault.h"

#include <stdio.h>
#include <stdlib.h>

// ---- from nothing ----

static wane_status make_context(fault_run *f)
{
    wane_context_desc desc = {.struct_size = sizeof desc, .log = test_log_take, .log_user = &f->log, .thread_count = 3,
                              .allocator = test_allocator(&f->memory)};
    wane_context *context = (wane_context *)1;
    wane_status status = wane_context_create(&desc, &context);
    if (status) assert_null(context);
    f->context = context;
    return status;
}

static wane_status run_context(fault_run *f)
{
    wane_status status = make_context(f);
    wane_context_destroy(f->context);
    f->context = NULL;
    return status;
}

// A find that failed leaves the context usable: tried again without failures it works, and lists nothing twice.
static wane_status run_find(fault_run *f)
{
    wane_status status = make_context(f);
    if (status) return status;
    wane_device *device = (wane_device *)1;
    status = wane_device_find(f->context, f->device_name, &device);
    if (status) {
        assert_null(device);
        test_memory_arm(&f->memory, -1, -1);
        wane_status again = wane_device_find(f->context, f->device_name, &device);
        if (again) fail_msg("find works after a failure for want of memory: %s", wane_status_text(again));
    }
    wane_device_info info = {.struct_size = sizeof info};
    assert_int_equal(wane_device_get_info(device, &info), WANE_OK);
    assert_true(info.usable);
    wane_context_destroy(f->context);
    f->context = NULL;
    return status;
}

static wane_status run_list(fault_run *f)
{
    wane_status status = make_context(f);
    if (status) return status;
    uint32_t count = wane_device_count(f->context);
    test_memory_arm(&f->memory, -1, -1);
    if (count == 0) status = WANE_ERROR_HOST_MEMORY;        // the one thing that count can say
    count = wane_device_count(f->context);
    assert_true(count > 0);
    for (uint32_t i = 0; i < count; i++) {
        wane_device_info a = {.struct_size = sizeof a}, b = {.struct_size = sizeof b};
        assert_int_equal(wane_device_get_info(wane_device_at(f->context, i), &a), WANE_OK);
        for (uint32_t k = 0; k < i; k++) {
            assert_int_equal(wane_device_get_info(wane_device_at(f->context, k), &b), WANE_OK);
            if (strcmp(a.id, b.id) == 0) fail_msg("%s is listed twice", a.id);
        }
    }
    wane_context_destroy(f->context);
    f->context = NULL;
    return status;
}

// ---- on a device ----

static wane_status run_plan(fault_run *f)
{
    wane_plan *plan = (wane_plan *)1;
    wane_status status = wane_plan_create(f->device, &f->p.desc, &plan);
    if (status) {
        assert_null(plan);
        return status;
    }
    // telling of a plan allocates nothing
    long calls = atomic_load(&f->memory.calls);
    char text[256];
    assert_true(wane_plan_describe(plan, text, sizeof text) > 0);
    wane_plan_info info = {.struct_size = sizeof info};
    assert_int_equal(wane_plan_get_info(plan, &info), WANE_OK);
    assert_int_equal(atomic_load(&f->memory.calls), calls);
    wane_plan_destroy(plan);
    return WANE_OK;
}

static wane_status run_statistics(fault_run *f)
{
    uint32_t mask = 99;
    wane_status status = wane_statistics_need(f->context, &f->p.desc, &mask);
    assert_true(status ? mask == 99 : mask >= 15);
    float planes[4] = {0, 1, 0, 4}, out[4];
    const float *shards[1] = {planes};
    wane_statistics_merge_desc d = {.struct_size = sizeof d, .mask = 15, .shard_count = 1, .rows = 1, .temperature = 1,
                                    .shards = shards, .out = out};
    wane_status merged = wane_statistics_merge(f->context, &d);
    return status ? status : merged;
}

static wane_status run_buffers(fault_run *f)
{
    wane_buffer *created = (wane_buffer *)1, *wrapped = (wane_buffer *)1;
    char memory[64] = {0}, back[64];
    wane_status status = wane_buffer_create(f->device, 64, &created);
    if (status) assert_null(created);
    wane_status second = wane_buffer_wrap_host(f->device, memory, sizeof memory, &wrapped);
    if (second) assert_null(wrapped);
    if (created) {
        wane_status write = wane_buffer_write(created, 0, memory, sizeof memory);
        wane_status read = write ? write : wane_buffer_read(created, 0, back, sizeof back);
        status = status ? status : read;
    }
    wane_buffer_destroy(created);
    wane_buffer_destroy(wrapped);
    return status ? status : second;
}

static wane_status run_executable(fault_run *f)
{
    wane_executable *executable = (wane_executable *)1;
    wane_status status = wane_executable_create(f->plan, &executable);
    if (status) assert_null(executable);
    wane_executable_destroy(executable);
    return status;
}

static wane_status run_recorder(fault_run *f)
{
    wane_recorder *recorder = (wane_recorder *)1;
    wane_executable *twice[2] = {f->executable, f->executable};
    wane_status status = wane_recorder_create(twice, 2, 0, &recorder);
    if (status) assert_null(recorder);
    else assert_int_equal(wane_recorder_reset(recorder), WANE_OK);
    wane_recorder_destroy(recorder);
    return status;
}

// ---- running ----

static wane_status run_with(fault_run *f, wane_recorder *recorder, bool workspace)
{
    const wane_binding saved = f->p.args.workspace;
    if (!workspace) memset(&f->p.args.workspace, 0, sizeof f->p.args.workspace);
    wane_status status = wane_run(f->executable, recorder, &f->p.args);
    f->p.args.workspace = saved;
    return status;
}

static wane_status run_alone(fault_run *f) { return run_with(f, NULL, false); }

// The recorder brings the staging memory; after a failed run it serves again.
static wane_status run_recorded(fault_run *f)
{
    wane_recorder *recorder = NULL;
    wane_status status = wane_recorder_create(&f->executable, 1, 0, &recorder);
    if (status) return status;
    status = run_with(f, recorder, false);
    if (status) {
        test_memory_arm(&f->memory, -1, -1);
        wane_status again = run_with(f, recorder, false);
        if (again) fail_msg("the recorder serves again after a failure: %s", wane_status_text(again));
    }
    wane_recorder_destroy(recorder);
    return status;
}

// An argument error is found before memory is asked for, and nothing is written.
static wane_status run_refused(fault_run *f)
{
    test_problem_fill(&f->p);
    int index = test_problem_find(&f->p, WANE_ROLE_LOGITS);
    f->p.bindings[index].bytes--;
    assert_int_equal(wane_run(f->executable, NULL, &f->p.args), WANE_ERROR_BOUNDS);
    assert_int_equal(wane_run(f->executable, f->recorder, &f->p.args), WANE_ERROR_BOUNDS);
    f->p.bindings[index].bytes++;
    assert_int_equal(atomic_load(&f->memory.calls), 0);
    assert_true(test_problem_untouched(&f->p));
    return WANE_OK;
}

// All in one, as a newcomer writes it.
static wane_status run_whole(fault_run *f)
{
    wane_status status = make_context(f);
    if (status) return status;
    wane_device *device = NULL;
    wane_plan *plan = NULL;
    wane_executable *executable = NULL;
    status = wane_device_find(f->context, f->device_name, &device);
    if (status == WANE_OK) status = wane_plan_create(device, &f->p.desc, &plan);
    if (status == WANE_OK) status = wane_executable_create(plan, &executable);
    wane_plan_destroy(plan);
    const wane_binding saved = f->p.args.workspace;
    memset(&f->p.args.workspace, 0, sizeof f->p.args.workspace);
    for (int i = 0; i < 2 && status == WANE_OK; i++) status = wane_run(executable, NULL, &f->p.args);
    f->p.args.workspace = saved;
    wane_executable_destroy(executable);
    wane_context_destroy(f->context);
    f->context = NULL;
    return status;
}

// A loss on products of matrices: its plan, program and memory are its own. The passes are those of its family.
static wane_status run_products(fault_run *f, wane_loss loss, const wane_role *roles, uint32_t count)
{
    enum { ROWS = 6, COLS = 9, DIM = 5, MOST = 8 };
    static float memory[MOST][COLS * DIM];
    wane_operand operands[MOST];
    wane_binding bindings[MOST];
    for (uint32_t i = 0; i < count; i++) {
        bool scalar = roles[i] == WANE_ROLE_LOSS, wide = roles[i] == WANE_ROLE_LINEAR_WEIGHT || roles[i] == WANE_ROLE_GRAD_LINEAR_WEIGHT;
        bool labels = roles[i] == WANE_ROLE_TARGET;
        for (int k = 0; k < COLS * DIM; k++) memory[i][k] = labels ? 0.0f : (float)((k * 7 + (int)i) % 11) * 0.1f;
        operands[i] = (wane_operand){.struct_size = sizeof *operands, .role = roles[i],
                                     .tensor = {.struct_size = sizeof(wane_tensor), .dtype = labels ? WANE_DTYPE_I32 : WANE_DTYPE_F32,
                                                .rank = scalar ? 0 : labels ? 1 : 2, .extents = {wide ? COLS : ROWS, DIM}}};
        bindings[i] = (wane_binding){.struct_size = sizeof *bindings, .role = roles[i], .host = memory[i], .bytes = sizeof memory[i]};
    }
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = loss, .operands = operands, .operand_count = count};
    wane_args args = {.struct_size = sizeof args, .bindings = bindings, .binding_count = count};
    wane_plan *plan = NULL;
    wane_executable *executable = NULL;
    wane_status status = wane_plan_create(f->device, &desc, &plan);
    if (status == WANE_OK) status = wane_executable_create(plan, &executable);
    if (status == WANE_OK) status = wane_run(executable, NULL, &args);
    if (status == WANE_OK) assert_true(memory[2][0] > 0.0f && memory[2][0] < 10.0f);
    wane_executable_destroy(executable);
    wane_plan_destroy(plan);
    return status;
}

static wane_status run_linear(fault_run *f)
{
    static const wane_role roles[] = {WANE_ROLE_INPUT, WANE_ROLE_LINEAR_WEIGHT, WANE_ROLE_LOSS, WANE_ROLE_TARGET,
                                      WANE_ROLE_GRAD_INPUT, WANE_ROLE_GRAD_LINEAR_WEIGHT};
    wane_status status = run_products(f, WANE_LOSS_LINEAR_CROSS_ENTROPY, roles, 4);
    return status ? status : run_products(f, WANE_LOSS_LINEAR_CROSS_ENTROPY, roles, 6);
}

static wane_status run_contrastive(fault_run *f)
{
    static const wane_role roles[] = {WANE_ROLE_A, WANE_ROLE_B, WANE_ROLE_LOSS, WANE_ROLE_GRAD_A, WANE_ROLE_GRAD_B};
    return run_products(f, WANE_LOSS_INFO_NCE, roles, 5);
}

const fault_scenario fault_scenarios[] = {
    {"context", 0, run_context, false, false},
    {"find", 0, run_find, false, false},
    {"list", 0, run_list, false, false},
    {"plan", 1, run_plan, true, false},
    {"statistics", 1, run_statistics, true, false},
    {"buffers", 1, run_buffers, true, false},
    {"executable", 2, run_executable, false, false},
    {"recorder", 3, run_recorder, true, false},
    {"run", 3, run_alone, true, false},
    {"run recorded", 3, run_recorded, true, false},
    {"run refused", 4, run_refused, true, false},
    {"linear head", 1, run_linear, true, false},
    {"contrastive", 1, run_contrastive, true, false},
    {"whole", 0, run_whole, false, true},
    {NULL, 0, NULL, false, false},
};
