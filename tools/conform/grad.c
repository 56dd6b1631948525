// grad.c - gradients without the oracle: the device's own loss, a little to either side of the inputs, must change by
// what its gradient says. Finds a wrong formula that the oracle would share; tells less about digits.
#include "call.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DIRECTIONS = 6 };

bool conform_grad_fits(const conform_case *c)
{
    uint64_t upstream = CONFORM_BIT(WANE_ROLE_UPSTREAM) | CONFORM_BIT(WANE_ROLE_UPSTREAM_LSE);
    uint64_t gradients = conform_roles(c->loss, WANE_DIRECTION_GRAD, -1), loss = CONFORM_BIT(WANE_ROLE_LOSS);
    bool ordinary = !c->values->fill && c->calls == CALLS_FUSED && !c->layout && !c->memory && !c->accumulate && !c->batches;
    return ordinary && c->dtype == WANE_DTYPE_F32 && c->grad_dtype == WANE_DTYPE_F32 && !(c->inputs & upstream)
        && c->outputs & loss && c->outputs & gradients && c->rows > 0 && (double)c->rows * (double)c->cols < 20000
        && !(c->family->no_derivative && c->family->no_derivative(c));
}

static void drop_outputs(conform_run *run)
{
    while (run->tensor_count && run->tensors[run->tensor_count - 1].written)
        conform_tensor_free(&run->tensors[--run->tensor_count]);
}

// The outputs `roles` at the inputs as they are; the dense values of `role`, to be freed. NULL: the result says why.
static double *evaluate(conform_run *run, uint64_t roles, wane_role role, int64_t *count)
{
    conform_call k = {.run = run, .name = "call"};
    double *values = NULL;
    if (conform_bind_all(&k, roles) && conform_do_call(&k)) {
        const conform_tensor *t = conform_made(run, role);
        values = malloc((size_t)(t->count + 1) * sizeof *values);
        *count = t->count;
        if (values) conform_tensor_load(t, values);
        else conform_no_memory(run);
    }
    drop_outputs(run);
    return values;
}

static bool total_loss(conform_run *run, double *sum, double *size)
{
    int64_t count = 0;
    double *values = evaluate(run, CONFORM_BIT(WANE_ROLE_LOSS), WANE_ROLE_LOSS, &count);
    *sum = 0;
    for (int64_t i = 0; values && i < count; i++) {
        *sum += values[i];
        *size += fabs(values[i]);
    }
    free(values);
    return values != NULL;
}

typedef struct move {
    conform_run *run;
    conform_tensor *input;
    double *at, *there, *sign;              // where it was, where it is, the direction
    const double *gradient;
    double change, said, squares, size;     // of the loss; what the gradient says of it; sizes of what went into both
} move;

static bool stand(move *m, double step)
{
    for (int64_t i = 0; i < m->input->count; i++) m->there[i] = m->at[i] + step * m->sign[i];
    conform_tensor_store(m->input, m->there);
    conform_tensor_load(m->input, m->there);
    return conform_tensor_keep(m->input) || conform_no_memory(m->run);
}

static bool step_both_ways(move *m, double step)
{
    double ahead, behind;
    m->said = m->squares = m->size = 0;
    for (int side = 0; side < 2; side++) {
        double way = side ? -1 : 1;
        if (!stand(m, way * step) || !total_loss(m->run, side ? &behind : &ahead, &m->size)) return false;
        for (int64_t i = 0; i < m->input->count; i++) {
            double part = m->gradient[i] * (m->there[i] - m->at[i]);
            m->said += way * part;
            m->squares += part * part;
        }
    }
    m->change = ahead - behind;
    return true;
}

// Two steps, one a quarter of the other: their difference shows how bent the loss is there.
static bool try_direction(move *m, const char *name, conform_random *random)
{
    const double step = 0x1p-5;
    for (int64_t i = 0; i < m->input->count; i++) m->sign[i] = conform_next(random) & 1 ? 1 : -1;
    if (!step_both_ways(m, step)) return false;
    double far = m->change;
    if (!step_both_ways(m, step / 4)) return false;
    double bent = fabs(4 * m->change - far) / 8;
    double allowed = bent + 3e-6 * m->size + 4e-3 * sqrt(m->squares) + 1e-30, error = fabs(m->change - m->said) / allowed;
    conform_result *result = m->run->result;
    if (!(error <= 1))
        conform_fail(result, "%s: the loss changes by %.6g, the gradient says %.6g; %.2g apart at most", name, m->change,
                     m->said, allowed);
    if (error > result->error) result->error = error;
    return true;
}

static bool try_role(conform_run *run, const wane_role_info *role, const wane_role_info *input)
{
    conform_random random = {.state = run->c->seed ^ 0x96ad};
    move m = {.run = run};
    int64_t count = 0;
    uint64_t roles = CONFORM_BIT(role->role) | CONFORM_BIT(WANE_ROLE_LOSS);
    double *gradient = evaluate(run, roles, role->role, &count), *memory = calloc((size_t)count * 3 + 1, sizeof *memory);
    bool good = gradient && (memory || conform_no_memory(run));
    if (good) {
        for (uint32_t i = 0; i < run->tensor_count; i++)
            if (run->tensors[i].role == input) m.input = &run->tensors[i];
        m.gradient = gradient;
        m.at = memory, m.there = memory + count, m.sign = memory + 2 * count;
        conform_tensor_load(m.input, m.at);
        for (int i = 0; i < DIRECTIONS && good; i++) good = try_direction(&m, role->name, &random);
        good = stand(&m, 0) && good;        // as it was, for the next role
    }
    free(gradient);
    free(memory);
    return good;
}

void conform_execute_grad(conform_session *session, const conform_case *c, conform_result *result)
{
    conform_run *run = conform_run_open(session, c, result);
    if (!run) return;
    const wane_role_info *role, *input;
    bool good = true;
    for (uint32_t i = 0; good && (role = wane_loss_role_at(c->loss, i)); i++) {
        if (role->direction != WANE_DIRECTION_GRAD || !(c->outputs & CONFORM_BIT(role->role))) continue;
        for (uint32_t k = 0; good && (input = wane_loss_role_at(c->loss, k)); k++)
            if (conform_is_input(input) && strcmp(role->name + strlen("grad_"), input->name) == 0 && run->problem.in[input->role].data)
                good = try_role(run, role, input);
    }
    conform_run_close(run);
}
