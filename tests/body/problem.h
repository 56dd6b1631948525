// problem.h - softmax problems made from a few numbers, run on the CPU backend and on the checked kernels and compared.
#ifndef WANE_TESTS_BODY_PROBLEM_H
#define WANE_TESTS_BODY_PROBLEM_H

#include "body.h"

enum {
    PROBLEM_SUM = 1 << 0, PROBLEM_NONE = 1 << 1,               // reduction; neither: mean
    PROBLEM_WEIGHT = 1 << 2, PROBLEM_ROW_WEIGHT = 1 << 3, PROBLEM_UPSTREAM = 1 << 4, PROBLEM_UPSTREAM_LSE = 1 << 5,
    PROBLEM_SMOOTHING = 1 << 6, PROBLEM_SOFTCAP = 1 << 7, PROBLEM_TEMPERATURE = 1 << 8, PROBLEM_Z_LOSS = 1 << 9,
    PROBLEM_COMP_SUM = 1 << 10,                                 // else cross-entropy
    PROBLEM_VALUES = 1 << 11,                                   // loss, row_loss, lse, valid_count, status
    PROBLEM_GRAD = 1 << 12, PROBLEM_ACCUMULATE = 1 << 13,
    PROBLEM_ENTROPY = 1 << 14, PROBLEM_ARGMAX = 1 << 15,        // ARGMAX: and accuracy
    PROBLEM_SAVE = 1 << 16, PROBLEM_GIVEN = 1 << 17,            // statistics written, or read
    PROBLEM_ALL_PLANES = 1 << 18,                               // of statistics; else those that backward needs
    PROBLEM_I64 = 1 << 19,                                      // target and argmax
    PROBLEM_COLUMN_MAJOR = 1 << 20, PROBLEM_NEGATIVE = 1 << 21, // strides of logits and gradient
    PROBLEM_SPREAD = 1 << 22,                                   // small operands of stride 3, inputs among them of 0
    PROBLEM_NO_TARGET = 1 << 23,                                // the loss is entropy
    PROBLEM_OPTIONS = 24,
    // a second source of target weights, beyond the options that are tried with one another: kl_logits in both
    // directions with both gradients, cross_entropy with probabilities (all planes), hl_gauss
    PROBLEM_TEACHER = 1 << 24, PROBLEM_SHARES = 1 << 25, PROBLEM_BINS = 1 << 26,
    PROBLEM_SECOND = PROBLEM_TEACHER | PROBLEM_SHARES | PROBLEM_BINS
};

typedef enum problem_data { PROBLEM_PLAIN, PROBLEM_SPECIAL } problem_data;   // SPECIAL: NaN, infinities, bad targets

// What a device allows. FLOOR is Vulkan's tier 0; the others force windows of columns, batches of rows and dispatches.
typedef enum problem_limits {
    PROBLEM_FLOOR, PROBLEM_WINDOW_5K, PROBLEM_WINDOW_6K, PROBLEM_WINDOW_12K, PROBLEM_DISPATCH_9000,
    PROBLEM_WORKSPACE_8K, PROBLEM_LIMITS
} problem_limits;

typedef struct problem {
    int64_t rows, cols;
    uint32_t options;                       // PROBLEM_* bits
    problem_data data;
    problem_limits limits;
} problem;

// A plan with memory for its operands. `data` of outputs is what stands in them before the run.
typedef struct problem_run {
    wane_plan *plan;
    void *data[WANE_MAX_OPERANDS];
    uint64_t bytes[WANE_MAX_OPERANDS], element0[WANE_MAX_OPERANDS];
} problem_run;

// The context that all of these use: the CPU backend alone, one thread.
wane_context *problem_context(void);
void problem_close(void);

// Makes plan and data, or tells why there is none. Ends the program when memory runs out.
wane_status problem_open(const problem *p, problem_run *run);
void problem_free(problem_run *run);
// Works in place on the CPU backend: the plan's passes, the plain C kernels.
void problem_run_cpu(problem_run *run);
// Works on the checked kernels with groups of `lanes`, on copies: results[i] are the words of operand i, for
// body_memory_free. Returns whether there was no fault.
bool problem_run_checked(const problem_run *run, uint32_t lanes, body_memory *results);

// Memory for an operand, exactly as long as its view reaches, after a few words before it, of words that nobody wrote.
void problem_make_memory(problem_run *run, uint32_t operand);
void *problem_element(const problem_run *run, uint32_t operand, int64_t i, int64_t k);

// Runs `cpu` there and `run`, its twin, on the checked kernels, and compares all bits for every number of lanes.
bool problem_runs_agree(const problem_run *run, problem_run *cpu);

// Both made from a problem. Prints what differs, and faults. A plan that is refused is
// counted in *refused if that is given, else it is a failure.
bool problem_agrees(const problem *p, uint32_t *refused);

// The problem as text, for messages.
const char *problem_text(const problem *p);

#endif
