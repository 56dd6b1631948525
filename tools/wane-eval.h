// wane-eval.h - what the parts of wane-eval share.
#ifndef WANE_TOOLS_WANE_EVAL_H
#define WANE_TOOLS_WANE_EVAL_H

#include "common/array.h"
#include "common/loss.h"
#include "common/session.h"

#include <stdbool.h>
#include <stdint.h>

// A tensor of the problem: an input with its file, an output with the file it goes to, or one of our own.
typedef struct eval_operand {
    const wane_role_info *role;
    const char *file;                       // NULL: not from or to a file
    const char *start_file;                 // of a gradient that accumulates: where it starts from
    char *temporary;                        // an output's file until all of them are written
    bool output;
    tool_array array;
} eval_operand;

typedef struct eval_problem {
    const wane_loss_info *loss;
    const char *device;                     // NULL: none was named
    bool bf16, plan_only, strict;
    uint32_t statistics_mask;               // 0: the least
    wane_param_value *params;
    uint32_t param_count, operand_count;
    eval_operand *operands;                 // inputs first
} eval_problem;

// wane-eval-files.c. Functions return an exit code, after a message if it is not 0.

// Reads the files of all inputs and starting gradients, and converts what the library takes in another type.
int eval_read_inputs(eval_problem *problem);
// Writes every output to a temporary file beside its own, then renames them all: a failure leaves nothing behind.
int eval_write_outputs(eval_problem *problem);
// Prints the scalar outputs, and the loss if nothing else was asked for.
void eval_print_outputs(const eval_problem *problem);

// wane-eval-registry.c
int eval_list(bool json);
int eval_describe(const wane_loss_info *loss, bool json);

#endif
