// support.h - what the unit, fault and fuzz tests share: the library's last message, an allocator that counts and fails
// on demand, memory between guard pages, and problems made from the registry.
#ifndef WANE_TESTS_UNIT_SUPPORT_H
#define WANE_TESTS_UNIT_SUPPORT_H

#include <wane/wane.h>

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

// ---- messages -----------------------------------------------------------------------------------------------------

typedef struct test_log {
    uint32_t count;                         // errors since test_log_clear
    wane_status status;                     // of the last one
    char operand[64], text[1024];
    char faults[256];                       // the last warning of faulty data
} test_log;

void test_log_take(void *user, const wane_log_record *record);   // the context's log
void test_log_clear(test_log *log);
// Fails the test unless `got` is `want` and the log holds one error of that status with a text; its operand must be
// `operand` unless that is NULL.
void test_expect(const test_log *log, wane_status got, wane_status want, const char *operand, const char *what);

// Clears the log, makes the call, checks what came.
#define expect_error(log, want, operand, call) \
    (test_log_clear(log), test_expect((log), (call), (want), (operand), #call))

// ---- memory -------------------------------------------------------------------------------------------------------

// Counts blocks; the calls fail_first <= i < fail_end (counted from test_memory_arm) return NULL.
typedef struct test_memory {
    atomic_long blocks, bytes, peak_bytes, calls, wrong_frees;
    atomic_long fail_first, fail_end;
} test_memory;

void test_memory_begin(test_memory *memory);
// From now on the calls first .. end - 1 fail. first < 0: none.
void test_memory_arm(test_memory *memory, long first, long end);
wane_allocator test_allocator(test_memory *memory);

// Memory of exactly that many bytes with a page that cannot be touched right behind (or before) it.
typedef enum test_guard { TEST_PLAIN, TEST_GUARD_AFTER, TEST_GUARD_BEFORE } test_guard;
typedef struct test_block {
    unsigned char *data;                    // never NULL once made
    size_t bytes;
    void *map;
    size_t map_bytes;
} test_block;
test_block test_block_make(size_t bytes, size_t align, test_guard guard);
void test_block_free(test_block *block);

// ---- contexts and devices -----------------------------------------------------------------------------------------

// A context with this log and allocator (both may be NULL) and thread_count threads (0: all).
wane_context *test_context(test_log *log, test_memory *memory, uint32_t thread_count);
wane_device *test_device(wane_context *context, const char *name);   // fails the test if there is none
// The CPU, then the first Vulkan and the first OpenCL device if they are usable. Returns how many.
enum { TEST_DEVICES = 3 };
uint32_t test_devices(wane_context *context, wane_device *devices[TEST_DEVICES]);

// ---- problems -----------------------------------------------------------------------------------------------------

enum { TEST_OPERANDS = 24, TEST_POISON = 0xa5 };

// A problem in the public structs; operand i, binding i and block i belong together.
typedef struct test_problem {
    wane_loss_desc desc;
    wane_args args;
    wane_param_value params[16];
    wane_operand operands[TEST_OPERANDS];
    wane_binding bindings[TEST_OPERANDS];
    test_block blocks[TEST_OPERANDS], workspace;
    int64_t rows, cols;
    int64_t more_rows[2];                   // with a class axis in the middle: [rows, cols, more..]
    uint32_t more_count;
    wane_dtype logits_type, grad_type;      // f32 until set
    uint32_t mask;                          // planes of `statistics`, the least until set
} test_problem;

void test_problem_begin(test_problem *p, wane_context *context, wane_loss loss, int64_t rows, int64_t cols);
void test_problem_param(test_problem *p, wane_param param, double value);
// Adds an operand: dense, f32 or else of the last type that the role takes, shaped as the registry says for the
// parameters so far. The types and further rows that the problem names are set before.
wane_operand *test_problem_add(test_problem *p, wane_role role);
// The inputs logits and target, and every optional input but statistics if `all`.
void test_problem_add_inputs(test_problem *p, bool all);
// Every output; statistics too.
void test_problem_add_outputs(test_problem *p);
int test_problem_find(const test_problem *p, wane_role role);        // -1 if absent
bool test_problem_writes(const test_problem *p, uint32_t index);     // an output, or accumulated into
// Exact memory for every operand and the workspace, bound as host memory; inputs filled, the rest poisoned.
void test_problem_memory(test_problem *p, uint64_t workspace_bytes, test_guard guard);
void test_problem_fill(test_problem *p);
// Whether every output, and the workspace, still holds the poison.
bool test_problem_untouched(const test_problem *p);
// A hash of all outputs, elements only.
uint64_t test_problem_hash(const test_problem *p);
// Sets the first two strides of an operand in elements, and marks strides as given.
void test_strides(wane_operand *operand, int64_t first, int64_t second);
void test_problem_end(test_problem *p);

// Plan and executable of a problem; fails the test on an error. The plan is destroyed already.
wane_executable *test_executable(wane_device *device, const test_problem *p, wane_plan_info *info);

float *test_f32(test_problem *p, wane_role role);                    // the data of an operand

#endif
