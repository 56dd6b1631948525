// call.h - one call of the library in a case: its operands, plan, memory and judgement.
#ifndef WANE_TOOLS_CONFORM_CALL_H
#define WANE_TOOLS_CONFORM_CALL_H

#include "family.h"

typedef struct conform_call {
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
    double seconds[2];                      // if `repeat`: the median and the least time of a run
    double repeat;                          // seconds to spend on repeated runs
    uint64_t minimal_bytes;
} conform_call;

bool conform_no_memory(conform_run *run);
// True for WANE_OK. A refusal for size or lack of support is a skip.
bool conform_check(conform_call *k, const char *function, wane_status status);
conform_tensor *conform_add_tensor(conform_run *run, const wane_role_info *role, bool written);
bool conform_bind(conform_call *k, conform_tensor *t, uint32_t flags);
// All inputs; of the outputs those of `roles`.
bool conform_bind_all(conform_call *k, uint64_t roles);
void conform_describe(const conform_call *k, wane_loss_desc *desc, wane_operand *operands, wane_param_value *params);
// Plans, runs and judges; frees all but the tensors, which are the run's.
bool conform_do_call(conform_call *k);

// Of a case (execute.c): inputs in memory and in the oracle's problem.
bool conform_make_inputs(conform_run *run);
// NULL: the result says why.
conform_run *conform_run_open(conform_session *session, const conform_case *c, conform_result *result);
void conform_run_close(conform_run *run);
double conform_now(void);                   // seconds

#endif
