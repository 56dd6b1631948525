// execute.c - runs one case: inputs, the oracle, one call or two, and the verdict.
#include "call.h"

#include <stdlib.h>
#include <string.h>

const char *const conform_outcome_names[OUTCOME_COUNT] = {"pass", "fail", "skip", "crash", "timeout",
                                                             "mistrusted", "waived", "known"};

bool conform_bad(conform_outcome outcome)
{
    return outcome == OUTCOME_FAIL || outcome == OUTCOME_CRASH || outcome == OUTCOME_TIMEOUT || outcome == OUTCOME_MISTRUSTED;
}

// ---- inputs and the oracle ----

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
        if (!array->data || !conform_add_tensor(run, role, false)) return conform_no_memory(run);
    }
    return true;
}

// Memory is the truth: values are rounded and, where strides are 0, shared; the oracle gets what is there.
bool conform_make_inputs(conform_run *run)
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
        if (!conform_tensor_keep(t)) return conform_no_memory(run);
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
    return run->scratch || conform_no_memory(run);
}

// ---- cases ----

static bool find_mask(conform_run *run)
{
    conform_call k = {.run = run, .name = "statistics"};
    wane_loss_desc desc;
    wane_operand operands[CONFORM_IDS];
    wane_param_value params[CONFORM_IDS];
    const wane_role_info *role;
    conform_describe(&k, &desc, operands, params);
    if (!conform_roles(run->c->loss, WANE_DIRECTION_STATE, -1)) return true;
    for (uint32_t i = 0; (role = wane_loss_role_at(run->c->loss, i)); i++) {   // types decide, not shapes
        if (!is_given(run->c, role)) continue;
        wane_operand operand = {.struct_size = sizeof operand, .role = role->role,
                                .tensor = {.struct_size = sizeof operand.tensor, .dtype = conform_type(run->c, role)}};
        operands[desc.operand_count++] = operand;
    }
    if (!conform_check(&k, "wane_statistics_need", wane_statistics_need(run->session->context, &desc, &run->statistics_mask)))
        return false;
    if (run->c->family->more_planes) run->statistics_mask |= run->c->family->more_planes(run->c);
    return true;
}

// What a call with given statistics can make.
static uint64_t second_outputs(const conform_run *run)
{
    uint64_t roles = run->c->outputs & ~conform_roles(run->c->loss, WANE_DIRECTION_STATE, -1);
    return run->c->family->not_from_statistics ? roles & ~run->c->family->not_from_statistics(run) : roles;
}

static bool do_backward(conform_run *run)
{
    uint64_t saved = conform_roles(run->c->loss, WANE_DIRECTION_STATE, -1), gradients = conform_roles(run->c->loss, WANE_DIRECTION_GRAD, -1);
    conform_call forward = {.run = run, .name = "forward"}, backward = {.run = run, .name = "backward"};
    if (!conform_bind_all(&forward, (run->c->outputs & ~gradients) | saved) || !conform_do_call(&forward)) return false;
    uint64_t roles = second_outputs(run);
    if (!roles || !saved) return true;
    if (!conform_bind_all(&backward, roles)) return false;
    for (uint32_t i = 0; i < forward.count; i++) {
        conform_tensor *t = forward.tensors[i];
        if (!(saved & CONFORM_BIT(t->role->role))) continue;
        if (!conform_tensor_keep(t)) return conform_no_memory(run);
        if (!conform_bind(&backward, t, WANE_OPERAND_GIVEN)) return false;
    }
    if (!conform_do_call(&backward)) return false;
    for (uint32_t i = 0; i < backward.count; i++) {
        const conform_tensor *t = backward.tensors[i];
        if (backward.flags[i] & WANE_OPERAND_GIVEN && memcmp(t->memory, t->before, t->bytes) != 0)
            conform_fail(run->result, "backward: %s that were given have changed", t->role->name);
    }
    return true;
}

static bool do_fused(conform_run *run)
{
    conform_call k = {.run = run, .name = "call"};
    return conform_bind_all(&k, run->c->outputs) && conform_do_call(&k);
}

conform_run *conform_run_open(conform_session *session, const conform_case *c, conform_result *result)
{
    memset(result, 0, sizeof *result);
    for (int i = 0; i < FIGURE_COUNT; i++) result->figures[i] = -1;
    result->digest = 0xcbf29ce484222325u;
    conform_run *run = calloc(1, sizeof *run);
    if (!run) {
        conform_fail(result, "this machine has no memory for the case");
        return NULL;
    }
    run->session = session;
    run->c = c;
    run->result = result;
    if (find_mask(run) && conform_make_inputs(run)) return run;
    conform_run_close(run);
    return NULL;
}

void conform_run_close(conform_run *run)
{
    for (uint32_t i = 0; i < run->tensor_count; i++) conform_tensor_free(&run->tensors[i]);
    for (int role = 0; role < CONFORM_IDS; role++) free(run->problem.in[role].data);
    oracle_free(&run->problem);
    free(run->scratch);
    free(run);
}

void conform_execute(conform_session *session, const conform_case *c, conform_result *result)
{
    conform_run *run = conform_run_open(session, c, result);
    if (!run) return;
    bool done = solve(run) && make_scratch(run) && (c->calls == CALLS_BACKWARD ? do_backward(run) : do_fused(run));
    if (done && c->figures) conform_judge_figures(run);
    bool may_be_trivial = c->values->flags & VALUES_TRIVIAL || c->rows == 0;
    if (done && result->outcome == OUTCOME_PASS && !may_be_trivial && conform_is_trivial(run)) {
        result->outcome = OUTCOME_MISTRUSTED;
        snprintf(result->message, sizeof result->message, "nothing but zeros is expected, so that passing says nothing");
    }
    conform_run_close(run);
}
