// execute.c - runs one case: inputs, the oracle, one call or two through the public API, and what each must leave alone.
#include "family.h"

#include <stdlib.h>
#include <string.h>

enum { GUARD_BYTES = 256, POISON = 0xff };

// One call of the library: which operands, and everything made for it.
typedef struct call {
    conform_run *run;
    const char *name;
    conform_tensor *tensors[CONFORM_OPERANDS];
    uint32_t flags[CONFORM_OPERANDS];
    uint32_t count;
    wane_plan *plan;
    wane_executable *executable;
    wane_recorder *recorder;
    uint64_t workspace_bytes;
    unsigned char *workspace_memory, *workspace;
    wane_buffer *workspace_buffer;
} call;

const char *const conform_outcome_names[OUTCOME_COUNT] = {"pass", "fail", "skip", "crash", "timeout", "mistrusted"};

bool conform_bad(conform_outcome outcome) { return outcome != OUTCOME_PASS && outcome != OUTCOME_SKIP; }

static bool no_memory(conform_run *run)
{
    conform_fail(run->result, "this machine has no memory for the case");
    return false;
}

// True for WANE_OK. A refusal for size or lack of support is a skip.
static bool check(call *k, const char *function, wane_status status)
{
    conform_run *run = k->run;
    if (status == WANE_OK) return true;
    if (status == WANE_ERROR_UNSUPPORTED || status == WANE_ERROR_TOO_LARGE) {
        if (run->result->outcome == OUTCOME_PASS) run->result->outcome = OUTCOME_SKIP;
        snprintf(run->result->message, sizeof run->result->message, "%s: %.400s", k->name, run->session->log);
    } else {
        conform_fail(run->result, "%s: %s returned %s (%s)", k->name, function, wane_status_text(status), run->session->log);
    }
    return false;
}

// ---- inputs and the oracle ----

static conform_tensor *add_tensor(conform_run *run, const wane_role_info *role, bool written)
{
    uint32_t planes = wane_statistics_plane_count(run->statistics_mask);
    if (run->tensor_count == CONFORM_OPERANDS) return NULL;
    conform_tensor *t = &run->tensors[run->tensor_count];
    if (!conform_tensor_make(t, run->c, role, planes, written)) return NULL;
    run->tensor_count++;
    return t;
}

static bool is_given(const conform_case *c, const wane_role_info *role)
{
    return conform_is_input(role) && (role->need == WANE_NEED_REQUIRED || c->inputs & CONFORM_BIT(role->role));
}

static bool allocate_inputs(conform_run *run, conform_inputs *in)
{
    const wane_role_info *role;
    for (uint32_t i = 0; (role = wane_loss_role_at(run->c->loss, i)); i++) {
        if (!is_given(run->c, role)) continue;
        oracle_array *array = &run->problem.in[role->role];
        array->rank = (int)conform_shape(run->c, role, 0, array->extents);
        in->count[role->role] = oracle_count(array);
        array->data = calloc((size_t)in->count[role->role] + 1, sizeof *array->data);
        in->of[role->role] = array->data;
        if (!array->data || !add_tensor(run, role, false)) return no_memory(run);
    }
    return true;
}

// Memory is the truth: values are rounded and, where strides are 0, shared; the oracle gets what is there.
static bool make_inputs(conform_run *run)
{
    conform_inputs in;
    memset(&in, 0, sizeof in);
    in.c = run->c;
    in.rows = run->c->rows;
    in.cols = run->c->cols;
    in.random.state = run->c->seed;
    if (!allocate_inputs(run, &in)) return false;
    if (run->c->family->fill) run->c->family->fill(&in);
    else conform_fill_ordinary(&in);
    if (run->c->values->fill) run->c->values->fill(&in);
    for (uint32_t i = 0; i < run->tensor_count; i++) {
        conform_tensor *t = &run->tensors[i];
        conform_tensor_store(t, in.of[t->role->role]);
        conform_tensor_load(t, in.of[t->role->role]);
        if (!conform_tensor_keep(t)) return no_memory(run);
    }
    return true;
}

static bool solve(conform_run *run)
{
    oracle_problem *p = &run->problem;
    const conform_case *c = run->c;
    uint64_t known = conform_outputs(c->loss), status = CONFORM_BIT(WANE_ROLE_STATUS), value = CONFORM_BIT(WANE_ROLE_ROW_LOSS);
    p->loss = (int)c->loss->loss;
    memcpy(p->param_given, c->param_given, sizeof p->param_given);
    memcpy(p->param, c->param, sizeof p->param);
    uint64_t wanted = (c->outputs | status | value) & known;
    for (int role = 0; role < CONFORM_IDS; role++) p->want[role] = wanted >> role & 1;
    const char *fault = oracle_solve(p);
    if (fault) {
        conform_fail(run->result, "the oracle refuses the case: %s", fault);
        return false;
    }
    run->expected = WANE_OK;
    // word 3, dropped rows, is no fault
    for (int i = 0; i < 8 && wanted & status; i++)
        if (i != 3 && p->out[WANE_ROLE_STATUS].data[i] > 0) run->expected = WANE_WARN_DATA;
    return true;
}

static bool make_scratch(conform_run *run)
{
    int64_t most = 1;
    for (int role = 0; role < CONFORM_IDS; role++)
        if (run->problem.out[role].data && oracle_count(&run->problem.out[role]) > most)
            most = oracle_count(&run->problem.out[role]);
    run->scratch = malloc((size_t)most * sizeof *run->scratch);
    return run->scratch || no_memory(run);
}

// ---- operands of a call ----

static bool bind(call *k, conform_tensor *t, uint32_t flags)
{
    if (!t) return no_memory(k->run);
    k->tensors[k->count] = t;
    k->flags[k->count++] = flags;
    return true;
}

static bool start_accumulating(conform_run *run, conform_tensor *t)
{
    conform_random random = {.state = run->c->seed ^ 0xacc};
    t->previous = malloc((size_t)(t->count + 1) * sizeof *t->previous);
    if (!t->previous) return no_memory(run);
    for (int64_t i = 0; i < t->count; i++) t->previous[i] = conform_normal(&random);
    conform_tensor_store(t, t->previous);
    conform_tensor_load(t, t->previous);
    return true;
}

// All inputs; of the outputs those of `roles`.
static bool bind_all(call *k, uint64_t roles)
{
    conform_run *run = k->run;
    const wane_role_info *role;
    for (uint32_t i = 0; i < run->tensor_count; i++)
        if (!run->tensors[i].written && !bind(k, &run->tensors[i], 0)) return false;
    for (uint32_t i = 0; (role = wane_loss_role_at(run->c->loss, i)); i++) {
        if (!(roles & CONFORM_BIT(role->role))) continue;
        conform_tensor *t = add_tensor(run, role, true);
        bool adds = run->c->accumulate && role->direction == WANE_DIRECTION_GRAD;
        if (t && adds && !start_accumulating(run, t)) return false;
        if (!bind(k, t, adds ? WANE_OPERAND_ACCUMULATE : 0)) return false;
    }
    return true;
}

static void describe(const call *k, wane_loss_desc *desc, wane_operand *operands, wane_param_value *params)
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

// With `batches` the limit is a share of what the plan would take, widened until a plan fits.
static wane_status make_plan(call *k)
{
    wane_loss_desc desc;
    wane_operand operands[CONFORM_OPERANDS];
    wane_param_value params[CONFORM_IDS];
    describe(k, &desc, operands, params);
    wane_device *device = k->run->session->device;
    wane_status status = wane_plan_create(device, &desc, &k->plan);
    wane_plan_info info = {.struct_size = sizeof info};
    if (status == WANE_OK) status = wane_plan_get_info(k->plan, &info);
    if (status == WANE_OK && k->run->c->batches > 1) {
        wane_plan_destroy(k->plan);
        desc.workspace_limit_bytes = info.workspace_bytes / k->run->c->batches + 64;
        while ((status = wane_plan_create(device, &desc, &k->plan)) == WANE_ERROR_TOO_LARGE
               && desc.workspace_limit_bytes < info.workspace_bytes)
            desc.workspace_limit_bytes += desc.workspace_limit_bytes / 4;
        if (status == WANE_OK) status = wane_plan_get_info(k->plan, &info);
        if (status == WANE_OK && info.workspace_bytes > desc.workspace_limit_bytes)
            conform_fail(k->run->result, "%s: a plan takes %llu bytes of workspace where %llu are the limit", k->name,
                         (unsigned long long)info.workspace_bytes, (unsigned long long)desc.workspace_limit_bytes);
    }
    k->workspace_bytes = info.workspace_bytes;
    return status;
}

// ---- memory of a call ----

static wane_status to_device(call *k, conform_tensor *t)
{
    wane_status status = WANE_OK;
    if (!t->buffer) status = wane_buffer_create(k->run->session->device, t->bytes, &t->buffer);
    return status ? status : wane_buffer_write(t->buffer, 0, t->memory, t->bytes);
}

static bool make_workspace(call *k)
{
    if (k->run->c->memory != MEMORY_EXACT && k->run->c->memory != MEMORY_BUFFER) return true;
    size_t bytes = (size_t)k->workspace_bytes + 3 * GUARD_BYTES;
    k->workspace_memory = malloc(bytes);
    if (!k->workspace_memory) return no_memory(k->run);
    memset(k->workspace_memory, POISON, bytes);
    uintptr_t at = (uintptr_t)k->workspace_memory + GUARD_BYTES;
    k->workspace = k->workspace_memory + GUARD_BYTES + (GUARD_BYTES - at % GUARD_BYTES) % GUARD_BYTES;
    if (k->run->c->memory == MEMORY_EXACT) return true;
    bytes = (size_t)k->workspace_bytes + 2 * GUARD_BYTES;
    wane_status status = wane_buffer_create(k->run->session->device, bytes, &k->workspace_buffer);
    if (status == WANE_OK) status = wane_buffer_write(k->workspace_buffer, 0, k->workspace - GUARD_BYTES, bytes);
    return check(k, "a buffer for the workspace", status);
}

static void fill_args(call *k, wane_args *args, wane_binding *bindings)
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

static bool read_back(call *k)
{
    wane_status status = WANE_OK;
    for (uint32_t i = 0; i < k->count && status == WANE_OK; i++)
        if (k->tensors[i]->buffer) status = wane_buffer_read(k->tensors[i]->buffer, 0, k->tensors[i]->memory, k->tensors[i]->bytes);
    if (status == WANE_OK && k->workspace_buffer)
        status = wane_buffer_read(k->workspace_buffer, 0, k->workspace - GUARD_BYTES,
                                  k->workspace_bytes + 2 * GUARD_BYTES);
    return check(k, "wane_buffer_read", status);
}

// ---- running ----

static wane_status run_once(call *k, const wane_args *args)
{
    bool cpu = strcmp(k->run->session->info.backend, "cpu") == 0;
    if (cpu && k->run->c->memory == MEMORY_EXACT) return wane_run_cpu(k->executable, args);
    return wane_run(k->executable, k->recorder, args);
}

static bool makes(const call *k, uint32_t i) { return k->tensors[i]->written && k->flags[i] != WANE_OPERAND_GIVEN; }

// One byte less of workspace is refused, before anything is written.
static void try_short_workspace(call *k, wane_args *args)
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

static uint64_t hash_outputs(const call *k, uint64_t hash)
{
    for (uint32_t i = 0; i < k->count; i++)
        if (makes(k, i)) hash = conform_tensor_hash(k->tensors[i], hash);
    return hash;
}

static void check_surroundings(call *k)
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
static void check_statistics(call *k, const conform_tensor *t)
{
    static const unsigned char poison[4] = {POISON, POISON, POISON, POISON};
    const wane_tensor *s = &t->spec;
    for (int64_t plane = 0; plane < s->extents[0]; plane++)
        for (int64_t row = 0; row < s->extents[1]; row++) {
            const unsigned char *first = t->memory + t->origin;
            if (memcmp(first + 4 * (plane * s->strides[0] + row * s->strides[1]), poison, sizeof poison) != 0) continue;
            conform_fail(k->run->result, "%s: statistics[%lld, %lld] was not written", k->name, (long long)plane, (long long)row);
            return;
        }
}

static bool run_call(call *k)
{
    conform_run *run = k->run;
    wane_args args;
    wane_binding bindings[CONFORM_OPERANDS];
    if (!make_workspace(k)) return false;
    for (uint32_t i = 0; i < k->count && run->c->memory == MEMORY_BUFFER; i++)
        if (!check(k, "a buffer for an operand", to_device(k, k->tensors[i]))) return false;
    fill_args(k, &args, bindings);
    try_short_workspace(k, &args);
    uint32_t runs = run->c->memory == MEMORY_RECORDER ? 2 : 1;
    uint64_t first = 0;
    for (uint32_t r = 0; r < runs; r++) {
        run->session->log[0] = '\0';
        wane_status status = run_once(k, &args);
        if (status < 0) return check(k, "wane_run", status);
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
    run->result->digest = hash_outputs(k, run->result->digest);
    for (uint32_t i = 0; i < k->count; i++) {
        if (!makes(k, i)) continue;
        if (k->tensors[i]->role->role == WANE_ROLE_STATISTICS) check_statistics(k, k->tensors[i]);
        else conform_judge(run, k->tensors[i], k->name);
    }
    return true;
}

static bool do_call(call *k)
{
    k->run->session->log[0] = '\0';
    bool good = check(k, "wane_plan_create", make_plan(k))
             && check(k, "wane_executable_create", wane_executable_create(k->plan, &k->executable));
    if (good && k->run->c->memory == MEMORY_RECORDER)
        good = check(k, "wane_recorder_create", wane_recorder_create(&k->executable, 1, 0, &k->recorder));
    if (good) good = run_call(k);
    wane_recorder_destroy(k->recorder);
    wane_executable_destroy(k->executable);
    wane_plan_destroy(k->plan);
    wane_buffer_destroy(k->workspace_buffer);
    free(k->workspace_memory);
    return good;
}

// ---- cases ----

static bool find_mask(conform_run *run)
{
    call k = {.run = run, .name = "statistics"};
    wane_loss_desc desc;
    wane_operand operands[1];
    wane_param_value params[CONFORM_IDS];
    describe(&k, &desc, operands, params);
    if (!conform_roles(run->c->loss, WANE_DIRECTION_STATE, -1)) return true;
    if (!check(&k, "wane_statistics_need", wane_statistics_need(run->session->context, &desc, &run->statistics_mask)))
        return false;
    if (run->c->family->more_planes) run->statistics_mask |= run->c->family->more_planes(run->c);
    return true;
}

// What a call with given statistics can make.
static uint64_t second_outputs(const conform_run *run)
{
    uint64_t roles = run->c->outputs & ~CONFORM_BIT(WANE_ROLE_STATISTICS);
    return run->c->family->not_from_statistics ? roles & ~run->c->family->not_from_statistics(run) : roles;
}

static bool do_backward(conform_run *run)
{
    uint64_t saved = CONFORM_BIT(WANE_ROLE_STATISTICS), gradients = conform_roles(run->c->loss, WANE_DIRECTION_GRAD, -1);
    call forward = {.run = run, .name = "forward"}, backward = {.run = run, .name = "backward"};
    if (!bind_all(&forward, (run->c->outputs & ~gradients) | saved) || !do_call(&forward)) return false;
    conform_tensor *statistics = NULL;
    for (uint32_t i = 0; i < forward.count; i++)
        if (forward.tensors[i]->role->role == WANE_ROLE_STATISTICS) statistics = forward.tensors[i];
    uint64_t roles = second_outputs(run);
    if (!roles || !statistics) return true;
    if (!conform_tensor_keep(statistics)) return no_memory(run);
    if (!bind_all(&backward, roles) || !bind(&backward, statistics, WANE_OPERAND_GIVEN)) return false;
    if (!do_call(&backward)) return false;
    if (memcmp(statistics->memory, statistics->before, statistics->bytes) != 0)
        conform_fail(run->result, "backward: the statistics that were given have changed");
    return true;
}

static bool do_fused(conform_run *run)
{
    call k = {.run = run, .name = "call"};
    return bind_all(&k, run->c->outputs) && do_call(&k);
}

void conform_execute(conform_session *session, const conform_case *c, conform_result *result)
{
    memset(result, 0, sizeof *result);
    for (int i = 0; i < FIGURE_COUNT; i++) result->figures[i] = -1;
    result->digest = 0xcbf29ce484222325u;
    conform_run *run = calloc(1, sizeof *run);
    if (!run) {
        conform_fail(result, "this machine has no memory for the case");
        return;
    }
    run->session = session;
    run->c = c;
    run->result = result;
    bool done = find_mask(run) && make_inputs(run) && solve(run) && make_scratch(run)
             && (c->calls == CALLS_BACKWARD ? do_backward(run) : do_fused(run));
    if (done && c->figures) conform_judge_figures(run);
    bool may_be_trivial = c->values->flags & VALUES_TRIVIAL || c->rows == 0;
    if (done && result->outcome == OUTCOME_PASS && !may_be_trivial && conform_is_trivial(run)) {
        result->outcome = OUTCOME_MISTRUSTED;
        snprintf(result->message, sizeof result->message, "nothing but zeros is expected, so that passing says nothing");
    }
    for (uint32_t i = 0; i < run->tensor_count; i++) conform_tensor_free(&run->tensors[i]);
    for (int role = 0; role < CONFORM_IDS; role++) free(run->problem.in[role].data);
    oracle_free(&run->problem);
    free(run->scratch);
    free(run);
}
