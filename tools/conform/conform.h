// conform.h - the parts of the conformance test: cases made from the registry, inputs, calls, judgement, isolation,
// reports. Nothing here names a loss: a new one gets its cases from its row in losses.def, and a new family of losses
// brings a file of its own (family.h).
#ifndef WANE_TOOLS_CONFORM_H
#define WANE_TOOLS_CONFORM_H

#include <wane/wane.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "oracle.h"

enum {
    CONFORM_IDS = 64,                       // roles and parameters are bits of a word, by their ids
    CONFORM_OPERANDS = 3 * 64,              // inputs, and the outputs of two calls
    CONFORM_NAME = 192,
    CONFORM_MESSAGE = 512
};

// ---- cases (cases.c) ----

typedef enum conform_calls {
    CALLS_FUSED,                            // one call
    CALLS_BACKWARD                          // forward that saves statistics, then a second call from them
} conform_calls;

typedef enum conform_layout {
    LAYOUT_DENSE,
    LAYOUT_REVERSED,                        // negative row stride, column stride 2
    LAYOUT_COLUMNS,                         // rows are the contiguous dimension
    LAYOUT_BROADCAST,                       // stride 0 in the first dimension of inputs
    LAYOUT_WINDOWS,                         // columns so far apart that a row reaches over 128 MiB
    LAYOUT_COUNT
} conform_layout;

typedef enum conform_memory {
    MEMORY_HOST,                            // host pointers, the library's workspace
    MEMORY_EXACT,                           // host pointers and a workspace of exactly the bytes that the plan asks for
    MEMORY_BUFFER,                          // device buffers at odd offsets
    MEMORY_RECORDER,                        // host pointers, a recorder, two runs that must give the same bits
    MEMORY_COUNT
} conform_memory;

struct conform_values;
struct conform_family;

typedef struct conform_case {
    char name[CONFORM_NAME];
    const wane_loss_info *loss;
    const struct conform_family *family;
    // The named extents of losses.def; those that the loss does not have stay 0. 0 rows is allowed.
    int64_t rows, cols, dim, groups, pairs;
    wane_dtype dtype, grad_dtype;           // of operands that may be half types, and of their gradients
    uint32_t variant;                       // the family's own: 0, or an index into its variant names
    uint64_t inputs;                        // 1 << role: the optional inputs that are given
    uint64_t outputs;                       // 1 << role; those that the calls cannot make are left out
    bool param_given[CONFORM_IDS];
    double param[CONFORM_IDS];
    const struct conform_values *values;
    conform_calls calls;
    conform_layout layout;
    conform_memory memory;
    bool accumulate, wide_index, figures;
    uint32_t batches;                       // at least so many batches of rows, by a limit on the workspace; 0: no limit
    uint64_t seed;
} conform_case;

typedef struct conform_list {
    conform_case *cases;
    size_t count, capacity;
    bool failed;                            // out of memory
} conform_list;

// Appends the cases whose name matches the glob (NULL: all). Order and names depend on the arguments alone.
void conform_make_cases(conform_list *list, bool full, uint64_t seed, const char *filter);
bool conform_glob(const char *pattern, const char *text);   // * and ?

// ---- roles and shapes (roles.c) ----

#define CONFORM_BIT(role) ((uint64_t)1 << (role))

bool conform_is_input(const wane_role_info *role);
uint64_t conform_roles(const wane_loss_info *loss, int direction, int need);      // need < 0: any
uint64_t conform_outputs(const wane_loss_info *loss);                             // statistics not among them
double conform_param(const conform_case *c, wane_param param, double absent);
// The extents of a role in a case, as many as the result says.
uint32_t conform_shape(const conform_case *c, const wane_role_info *role, uint32_t planes, int64_t extents[4]);
// The same were the tensor of this type, which chooses between the shapes of a role that has two.
uint32_t conform_shape_as(const conform_case *c, const wane_role_info *role, wane_dtype dtype, uint32_t planes,
                          int64_t extents[4]);
wane_dtype conform_type(const conform_case *c, const wane_role_info *role);
// How far a role's output may be off, in units of the oracle's scale; 0: not at all.
double conform_tolerance(wane_role role);
// What storing a value in a type may add to that: half a unit in its last place.
double conform_rounding(wane_dtype dtype, double value);
double conform_last_place(wane_dtype dtype);                // of numbers from 1 to 2

// ---- numbers by seed (random.c) ----

typedef struct conform_random { uint64_t state; } conform_random;

uint64_t conform_hash(uint64_t hash, const void *data, size_t bytes);
uint64_t conform_next(conform_random *random);
double conform_uniform(conform_random *random);             // [0, 1)
double conform_normal(conform_random *random);              // the same on every machine: no library function in it
uint64_t conform_below(conform_random *random, uint64_t bound);

// ---- values of inputs ----

// What the dense inputs of a case hold, by role id; indices and integers as doubles too.
typedef struct conform_inputs {
    const conform_case *c;
    int64_t rows, cols;                     // the case's, for short
    double *of[CONFORM_IDS];                // NULL where not given
    int64_t count[CONFORM_IDS];
    conform_random random;
    int role;                               // whose rows a class of values changes
    double spare;
} conform_inputs;

enum {
    VALUES_TRIVIAL = 1,                     // results may well be all zero
    VALUES_QUICK_SPLIT = 2,                 // tried on split rows in the quick run too
    VALUES_FIGURES = 4,                     // the project's figures are asserted on it
    VALUES_DOMINATED = 8,                   // with the figure for dominated rows
    VALUES_WEIGHTS = 16                     // is about an optional input: only with all of them
};

typedef struct conform_values {
    const char *name;
    uint32_t flags;
    void (*fill)(conform_inputs *in);       // changes ordinary values
} conform_values;

// ---- a device (session.c) ----

typedef struct conform_session {
    wane_context *context;
    wane_device *device;
    wane_device_info info;
    wane_status status;                     // of finding the device
    bool lost;                              // a call found the device lost
    char log[CONFORM_MESSAGE];              // the last error or warning of the library
    struct cached *cache;                   // compiled kernels
} conform_session;

struct conform_options;
bool conform_session_open(conform_session *session, const struct conform_options *options);
void conform_session_close(conform_session *session);
void conform_session_head(const conform_session *session, char *text, size_t capacity);

// ---- results ----

typedef enum conform_outcome {
    OUTCOME_PASS, OUTCOME_FAIL, OUTCOME_SKIP, OUTCOME_CRASH, OUTCOME_TIMEOUT, OUTCOME_MISTRUSTED,
    OUTCOME_WAIVED, OUTCOME_KNOWN,          // failures that --waivers or --baseline excuse
    OUTCOME_COUNT
} conform_outcome;

enum { FIGURE_LOSS, FIGURE_GRADIENT, FIGURE_LOSS_SURE, FIGURE_GRADIENT_SURE, FIGURE_ENTRY, FIGURE_COUNT };

typedef struct conform_result {
    conform_outcome outcome;
    double seconds;
    double error;                           // the largest, in units of the tolerance
    double ulps, allowed_ulps;              // that element's error and its tolerance, in the last place of its scale
    double figures[FIGURE_COUNT];           // negative: not measured
    uint64_t digest;                        // of the bits of all outputs
    char message[CONFORM_MESSAGE];          // why, or where the largest error is
} conform_result;

extern const char *const conform_outcome_names[OUTCOME_COUNT];
bool conform_bad(conform_outcome outcome);  // counts as failed
void conform_fail(conform_result *result, const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 2, 3)))
#endif
    ;

// ---- tensors in memory (tensor.c) ----

typedef struct conform_tensor {
    const wane_role_info *role;
    wane_tensor spec;
    bool written;
    int64_t count;
    unsigned char *memory;                  // guards on both sides and between the elements of a view
    size_t bytes, origin;                   // of the allocation; where element 0 is
    unsigned char *before;                  // an input's memory before the call
    double *previous;                       // what a gradient held before an accumulating call, dense; else NULL
    wane_buffer *buffer;
} conform_tensor;

// Strides, memory full of ones. False: out of memory.
bool conform_tensor_make(conform_tensor *t, const conform_case *c, const wane_role_info *role, uint32_t planes, bool written);
void conform_tensor_free(conform_tensor *t);
void conform_tensor_store(conform_tensor *t, const double *dense);
void conform_tensor_load(const conform_tensor *t, double *dense);
void conform_tensor_poison(conform_tensor *t);              // all bytes
bool conform_tensor_keep(conform_tensor *t);                // remembers the bytes, to be compared later
// Whether what must not be written is as it was: all of an input, the surroundings of an output.
bool conform_tensor_intact(const conform_tensor *t);
uint64_t conform_tensor_hash(const conform_tensor *t, uint64_t hash);

// ---- calls (execute.c) and judgement (judge.c) ----

typedef struct conform_run {
    conform_session *session;
    const conform_case *c;
    conform_result *result;
    conform_tensor tensors[CONFORM_OPERANDS];
    uint32_t tensor_count;
    uint32_t statistics_mask;
    oracle_problem problem;
    wane_status expected;                   // of a run
    double *scratch;                        // what a tensor holds, as doubles; as large as the largest
} conform_run;

void conform_execute(conform_session *session, const conform_case *c, conform_result *result);
void conform_execute_grad(conform_session *session, const conform_case *c, conform_result *result);
void conform_execute_perf(conform_session *session, const conform_case *c, conform_result *result);
bool conform_grad_fits(const conform_case *c);              // whether the mode can do the case
bool conform_perf_fits(const conform_case *c);
// Compares what a call made with the oracle. Notes the largest error, fails the result.
void conform_judge(conform_run *run, const conform_tensor *t, const char *call);
void conform_judge_figures(conform_run *run);
bool conform_is_trivial(const conform_run *run);
void conform_note_figure(conform_result *result, int figure, double value);
// The tensor of the last call that made this output; NULL if none did.
const conform_tensor *conform_made(const conform_run *run, wane_role role);
extern const char *const conform_figure_names[FIGURE_COUNT];
extern const double conform_figure_limits[FIGURE_COUNT];

// ---- running all (isolate.c) ----

typedef enum conform_mode { MODE_TEST, MODE_GRAD, MODE_PERF, MODE_SUPPORT } conform_mode;

typedef struct conform_options {
    const char *device, *filter, *caselist, *baseline, *waivers, *junit, *json, *csv;
    const wane_context_desc *context;       // an app's own, or NULL
    conform_mode mode;
    bool full, list, tap, digest, no_fork, verbose;
    uint64_t seed;
    uint32_t threads, jobs, share;          // one case in `share`
    size_t stop_after;                      // failures; 0: never
    double timeout;
} conform_options;

typedef struct conform_sink {
    void *user;
    void (*head)(void *user, const char *text);
    void (*starts)(void *user, size_t index);
    bool (*ends)(void *user, size_t index, const conform_result *result);     // whether to go on
} conform_sink;

enum { RUN_DONE, RUN_NO_DEVICE, RUN_INTERRUPTED, RUN_STOPPED };    // STOPPED: --stop-after

// Each case ends in one call of `ends`, whatever it does to the process it runs in; with --jobs in any order. `error` says
// why there is no device, or none any more.
int conform_run_all(const conform_options *options, const conform_list *list, const conform_sink *sink, char *error,
                    size_t error_bytes);

// ---- files that choose and excuse cases (lists.c) ----

typedef struct conform_lists {
    char **caselist, **baseline, **waivers; // lines, NULL at the end; NULL without such a file
    bool *seen;                             // which lines of the case list match a case, of the waivers a failure
} conform_lists;

// False, with a message on standard error: a file that cannot be read or understood.
bool conform_lists_open(conform_lists *lists, const conform_options *options);
void conform_lists_close(conform_lists *lists);
bool conform_listed(const conform_lists *lists, const char *name);
bool conform_known_failure(const conform_lists *lists, const char *name);
const char *conform_waiver(const conform_lists *lists, const char *name, const char *head);    // the reason, or NULL

// ---- reports (report.c) ----

typedef struct conform_report {
    const conform_options *options;
    const conform_list *list;
    const conform_lists *lists;
    conform_result **waiting;               // of cases that ended before one that stands in front of them
    size_t next, ended, failed;             // failed: of those that ended
    size_t done, fixed, counts[OUTCOME_COUNT];
    uint64_t digest;
    double worst;
    size_t worst_index;
    double figures[FIGURE_COUNT];
    char head[1024];
    FILE *text, *junit, *json, *csv;
    long junit_tail, junit_end, json_tail;
    bool terminal, line_open, write_failed;
} conform_report;

bool conform_report_open(conform_report *report, const conform_options *options, const conform_list *list,
                         const conform_lists *lists);
conform_sink conform_report_sink(conform_report *report);
// Closes the files, prints the totals, the last line among them. Returns the exit code.
int conform_report_close(conform_report *report, int ended, const char *error);

int conform_support(const conform_options *options);        // support.c

#endif
