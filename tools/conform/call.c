// call.c - one call through the public API: operands, plan, memory, and what the call must leave alone.
#include "call.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GUARD_BYTES = 256, POISON = 0xff };

bool conform_no_memory(conform_run *run)
{
    conform_fail(run->result, "this machine has no memory for the case");
    return false;
}

// True for WANE_OK. A refusal for size or lack of support is a skip.
bool conform_check(conform_call *k, const char *function, wane_status status)
{
    conform_run *run = k->run;
    if (status == WANE_OK) return true;
    if (status == WANE_ERROR_UNSUPPORTED || status == WANE_ERROR_TOO_LARGE) {
        if (run->result->outcome == OUTCOME_PASS) run->result->outcome = OUTCOME_SKIP;
        snprintf(run->result->message, sizeof run->result->message, "%s: %.400s", k->name, run->session->log);
    } else {
        if (status == WANE_ERROR_DEVICE_LOST) run->session->lost = true;
        conform_fail(run->result, "%s: %s returned %s (%s)", k->name, function, wane_status_text(status), run->session->log);
    }
    return false;
}

conform_tensor *conform_add_tensor(conform_run *run, const wane_role_info *role, bool written)
{
    uint32_t planes = wane_statistics_plane_count(run->statistics_mask);
    if (run->tensor_count == CONFORM_OPERANDS) return NULL;
    conform_tensor *t = &run->tensors[run->tensor_count];
    if (!conform_tensor_make(t, run->c, role, planes, written)) return NULL;
    run->tensor_count++;
    return t;
}

// ---- operands of a call ----

bool conform_bind(conform_call *k, conform_tensor *t, uint32_t flags)
{
    if (!t) return conform_no_memory(k->run);
    k->tensors[k->count] = t;
    k->flags[k->count++] = flags;
    return true;
}

static bool start_accumulating(conform_run *run, conform_tensor *t)
{
    conform_random random = {.state = run->c->seed ^ 0xacc};
    t->previous = malloc((size_t)(t->count + 1) * sizeof *t->previous);
    if (!t->previous) return conform_no_memory(run);
    for (int64_t i = 0; i < t->count; i++) t->previous[i] = conform_normal(&random);
    conform_tensor_store(t, t->previous);
    conform_tensor_load(t, t->previous);
    return true;
}

// All inputs; of the outputs those of `roles`.
bool conform_bind_all(conform_call *k, uint64_t roles)
{
    conform_run *run = k->run;
    const wane_role_info *role;
    for (uint32_t i = 0; i < run->tensor_count; i++)
        if (!run->tensors[i].written && !conform_bind(k, &run->tensors[i], 0)) return false;
    for (uint32_t i = 0; (role = wane_loss_role_at(run->c->loss, i)); i++) {
        if (!(roles & CONFORM_BIT(role->role))) continue;
        conform_tensor *t = conform_add_tensor(run, role, true);
        bool adds = run->c->accumulate && role->direction == WANE_DIRECTION_GRAD;
        if (t && adds && !start_accumulating(run, t)) return false;
        if (!conform_bind(k, t, adds ? WANE_OPERAND_ACCUMULATE : 0)) return false;
    }
    return true;
}

void conform_describe(const conform_call *k, wane_loss_desc *desc, wane_operand *operands, wane_param_value *params)
{
    const conform_case *c = k->run->c;
    memset(desc, 0, sizeof *desc);
    desc->struct_size = sizeof *desc;
    desc->loss = c->loss->loss;
    desc->params = params;
    desc->operands = operands;
    desc->statistics_mask = k->run->statistics_mask;
    for (uint32_t id = 0; id < CONFORM_IDS; id++)
        if (c->param_given[id]) {
            wane_param_value value = {.param = (wane_param)id, .value = c->param[id]};
            params[desc->param_count++] = value;
        }
    for (uint32_t i = 0; i < k->count; i++) {
        wane_operand operand = {.struct_size = sizeof operand, .role = k->tensors[i]->role->role, .flags = k->flags[i],
                                .tensor = k->tensors[i]->spec};
        operands[desc->operand_count++] = operand;
    }
}

// What a plan for such a device takes, without what each of its threads has besides.
static uint64_t whole_bytes(const conform_call *k, const wane_loss_desc *desc)
{
    wane_plan *plan = NULL;
    wane_plan_info info = {.struct_size = sizeof info};
    wane_device_info device = {.struct_size = sizeof device};
    if (wane_device_get_info(k->run->session->device, &device) == WANE_OK
        && wane_plan_create_for(k->run->session->context, &device.limits, desc, &plan) == WANE_OK)
        wane_plan_get_info(plan, &info);
    wane_plan_destroy(plan);
    return info.workspace_bytes;
}

// With `batches` the limit is a share of what the plan would take, widened until a plan fits.
static wane_status make_plan(conform_call *k)
{
    wane_loss_desc desc;
    wane_operand operands[CONFORM_OPERANDS];
    wane_param_value params[CONFORM_IDS];
    conform_describe(k, &desc, operands, params);
    wane_device *device = k->run->session->device;
    wane_status status = wane_plan_create(device, &desc, &k->plan);
    wane_plan_info info = {.struct_size = sizeof info};
    if (status == WANE_OK) status = wane_plan_get_info(k->plan, &info);
    if (status == WANE_OK && k->run->c->batches > 1) {
        wane_plan_destroy(k->plan);
        desc.workspace_limit_bytes = whole_bytes(k, &desc) / k->run->c->batches + 64;
        while ((status = wane_plan_create(device, &desc, &k->plan)) == WANE_ERROR_TOO_LARGE
               && desc.workspace_limit_bytes < info.workspace_bytes)
            desc.workspace_limit_bytes += desc.workspace_limit_bytes / 4;
        if (status == WANE_OK) status = wane_plan_get_info(k->plan, &info);
        if (status == WANE_OK && info.workspace_bytes > desc.workspace_limit_bytes)
            conform_fail(k->run->result, "%s: a plan takes %llu bytes of workspace where %llu are the limit", k->name,
                         (unsigned long long)info.workspace_bytes, (unsigned long long)desc.workspace_limit_bytes);
    }
    k->workspace_bytes = info.workspace_bytes;
    k->minimal_bytes = info.minimal_bytes;
    return status;
}

// ---- memory of a call ----

static wane_status to_device(conform_call *k, conform_tensor *t)
{
    wane_status status = WANE_OK;
    if (!t->buffer) status = wane_buffer_create(k->run->session->device, t->bytes, &t->buffer);
    return status ? status : wane_buffer_write(t->buffer, 0, t->memory, t->bytes);
}

static bool make_workspace(conform_call *k)
{
    if (k->run->c->memory != MEMORY_EXACT && k->run->c->memory != MEMORY_BUFFER) return true;
    size_t bytes = (size_t)k->workspace_bytes + 3 * GUARD_BYTES;
    k->workspace_memory = malloc(bytes);
    if (!k->workspace_memory) return conform_no_memory(k->run);
    memset(k->workspace_memory, POISON, bytes);
    uintptr_t at = (uintptr_t)k->workspace_memory + GUARD_BYTES;
    k->workspace = k->workspace_memory + GUARD_BYTES + (GUARD_BYTES - at % GUARD_BYTES) % GUARD_BYTES;
    if (k->run->c->memory == MEMORY_EXACT) return true;
    bytes = (size_t)k->workspace_bytes + 2 * GUARD_BYTES;
    wane_status status = wane_buffer_create(k->run->session->device, bytes, &k->workspace_buffer);
    if (status == WANE_OK) status = wane_buffer_write(k->workspace_buffer, 0, k->workspace - GUARD_BYTES, bytes);
    return conform_check(k, "a buffer for the workspace", status);
}

static void fill_args(conform_call *k, wane_args *args, wane_binding *bindings)
{
    bool buffers = k->run->c->memory == MEMORY_BUFFER;
    memset(args, 0, sizeof *args);
    args->struct_size = sizeof *args;
    args->bindings = bindings;
    args->binding_count = k->count;
    for (uint32_t i = 0; i < k->count; i++) {
        conform_tensor *t = k->tensors[i];
        wane_binding binding = {.struct_size = sizeof binding, .role = t->role->role, .byte_offset = t->origin};
        if (buffers) binding.buffer = t->buffer;
        else binding.host = t->memory, binding.bytes = t->bytes;
        bindings[i] = binding;
    }
    if (!k->workspace) return;
    args->workspace.struct_size = sizeof args->workspace;
    args->workspace.bytes = k->workspace_bytes;
    if (buffers) args->workspace.buffer = k->workspace_buffer, args->workspace.byte_offset = GUARD_BYTES;
    else args->workspace.host = k->workspace;
}

static bool read_back(conform_call *k)
{
    wane_status status = WANE_OK;
    for (uint32_t i = 0; i < k->count && status == WANE_OK; i++)
        if (k->tensors[i]->buffer) status = wane_buffer_read(k->tensors[i]->buffer, 0, k->tensors[i]->memory, k->tensors[i]->bytes);
    if (status == WANE_OK && k->workspace_buffer)
        status = wane_buffer_read(k->workspace_buffer, 0, k->workspace - GUARD_BYTES,
                                  k->workspace_bytes + 2 * GUARD_BYTES);
    return conform_check(k, "wane_buffer_read", status);
}

// ---- running ----

static wane_status run_once(conform_call *k, const wane_args *args)
{
    bool cpu = strcmp(k->run->session->info.backend, "cpu") == 0;
    if (cpu && k->run->c->memory == MEMORY_EXACT) return wane_run_cpu(k->executable, args);
    return wane_run(k->executable, k->recorder, args);
}

static bool makes(const conform_call *k, uint32_t i) { return k->tensors[i]->written && k->flags[i] != WANE_OPERAND_GIVEN; }

// One byte less of workspace is refused, before anything is written.
static void try_short_workspace(conform_call *k, wane_args *args)
{
    if (k->run->c->memory != MEMORY_EXACT || !k->workspace_bytes) return;
    args->workspace.bytes--;
    wane_status status = run_once(k, args);
    args->workspace.bytes++;
    if (status != WANE_ERROR_WORKSPACE)
        conform_fail(k->run->result, "%s: a workspace one byte short gives %s", k->name, wane_status_text(status));
    for (uint32_t i = 0; i < k->count; i++)
        for (size_t b = 0; makes(k, i) && !k->tensors[i]->previous && b < k->tensors[i]->bytes; b++)
            if (k->tensors[i]->memory[b] != POISON) {
                conform_fail(k->run->result, "%s: an error was returned but %s was written", k->name, k->tensors[i]->role->name);
                return;
            }
}

static uint64_t hash_outputs(const conform_call *k, uint64_t hash)
{
    for (uint32_t i = 0; i < k->count; i++)
        if (makes(k, i)) hash = conform_tensor_hash(k->tensors[i], hash);
    return hash;
}

static void check_surroundings(conform_call *k)
{
    for (uint32_t i = 0; i < k->count; i++)
        if (!conform_tensor_intact(k->tensors[i]))
            conform_fail(k->run->result, "%s: bytes %s %s were changed", k->name,
                         k->tensors[i]->written ? "around the elements of" : "of the input", k->tensors[i]->role->name);
    for (size_t i = 0; k->workspace && i < GUARD_BYTES; i++)
        if (k->workspace[k->workspace_bytes + i] != POISON || k->workspace[-(ptrdiff_t)i - 1] != POISON) {
            conform_fail(k->run->result, "%s: bytes around the workspace were changed", k->name);
            return;
        }
}

// A plane that was never written still holds the poison.
static void check_statistics(conform_call *k, const conform_tensor *t)
{
    static const unsigned char poison[4] = {POISON, POISON, POISON, POISON};
    const wane_tensor *s = &t->spec;
    for (int64_t plane = 0; plane < s->extents[0]; plane++)
        for (int64_t row = 0; row < s->extents[1]; row++) {
            const unsigned char *first = t->memory + t->origin;
            if (memcmp(first + 4 * (plane * s->strides[0] + row * s->strides[1]), poison, sizeof poison) != 0) continue;
            conform_fail(k->run->result, "%s: %s[%lld, %lld] was not written", k->name, t->role->name, (long long)plane, (long long)row);
            return;
        }
    if (!k->run->c->family->wrong_statistics) return;
    double *loaded = malloc((size_t)(t->count + 1) * sizeof *loaded);
    if (!loaded) return;
    conform_tensor_load(t, loaded);
    const char *wrong = k->run->c->family->wrong_statistics(k->run, loaded);
    if (wrong) conform_fail(k->run->result, "%s: statistics: %s", k->name, wrong);
    free(loaded);
}

double conform_now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool time_runs(conform_call *k, const wane_args *args)
{
    double times[400], end = conform_now() + k->repeat;
    size_t count = 0;
    do {
        double start = conform_now();
        wane_status status = run_once(k, args);
        times[count] = conform_now() - start;
        if (status < 0) return conform_check(k, "wane_run", status);
    } while (++count < 5 || (count < sizeof times / sizeof times[0] && conform_now() < end));
    qsort(times, count, sizeof times[0], by_size);
    k->seconds[0] = times[count / 2];
    k->seconds[1] = times[0];
    return true;
}

static bool run_call(conform_call *k)
{
    conform_run *run = k->run;
    wane_args args;
    wane_binding bindings[CONFORM_OPERANDS];
    if (!make_workspace(k)) return false;
    for (uint32_t i = 0; i < k->count && run->c->memory == MEMORY_BUFFER; i++)
        if (!conform_check(k, "a buffer for an operand", to_device(k, k->tensors[i]))) return false;
    fill_args(k, &args, bindings);
    try_short_workspace(k, &args);
    uint32_t runs = run->c->memory == MEMORY_RECORDER ? 2 : 1;
    uint64_t first = 0;
    for (uint32_t r = 0; r < runs; r++) {
        run->session->log[0] = '\0';
        wane_status status = run_once(k, &args);
        if (status < 0) return conform_check(k, "wane_run", status);
        if (status != run->expected)
            conform_fail(run->result, "%s: the run returns %d where %d is right", k->name, (int)status, (int)run->expected);
        if (!read_back(k)) return false;
        uint64_t hash = hash_outputs(k, 0xcbf29ce484222325u);
        if (r == 0) first = hash;
        if (hash != first) conform_fail(run->result, "%s: run %u gives other bits than the first", k->name, r + 1);
        for (uint32_t i = 0; i < k->count && r + 1 < runs; i++)
            if (makes(k, i)) {
                conform_tensor_poison(k->tensors[i]);
                if (k->tensors[i]->previous) conform_tensor_store(k->tensors[i], k->tensors[i]->previous);
            }
    }
    check_surroundings(k);
    if (k->repeat > 0) return time_runs(k, &args);
    run->result->digest = hash_outputs(k, run->result->digest);
    for (uint32_t i = 0; i < k->count; i++) {
        if (!makes(k, i)) continue;
        if (k->tensors[i]->role->direction == WANE_DIRECTION_STATE) check_statistics(k, k->tensors[i]);
        else conform_judge(run, k->tensors[i], k->name);
    }
    return true;
}

bool conform_do_call(conform_call *k)
{
    k->run->session->log[0] = '\0';
    bool good = conform_check(k, "wane_plan_create", make_plan(k))
             && conform_check(k, "wane_executable_create", wane_executable_create(k->plan, &k->executable));
    if (good && k->run->c->memory == MEMORY_RECORDER)
        good = conform_check(k, "wane_recorder_create", wane_recorder_create(&k->executable, 1, 0, &k->recorder));
    if (good) good = run_call(k);
    wane_recorder_destroy(k->recorder);
    wane_executable_destroy(k->executable);
    wane_plan_destroy(k->plan);
    wane_buffer_destroy(k->workspace_buffer);
    free(k->workspace_memory);
    return good;
}
