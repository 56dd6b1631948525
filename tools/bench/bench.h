// bench.h - the parts of wane-bench: what is run (work), what it is compared with (kernels, reference), how it is timed
// (measure), how right it is (accuracy), how it is told (report).
#ifndef WANE_TOOLS_BENCH_BENCH_H
#define WANE_TOOLS_BENCH_BENCH_H

#include "common/json.h"
#include "common/session.h"

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_PARAMS = 16, BENCH_PROVIDERS = 12, BENCH_SAMPLES = 4 };

typedef struct bench_options {
    const char *device, *json;              // NULL: not given
    const wane_loss_info *loss;
    wane_dtype dtype;                       // of logits and gradient
    wane_param_value params[BENCH_PARAMS];
    uint32_t param_count;
    uint32_t threads;                       // never 0
    double seconds;                         // for each provider, at the least
    uint32_t rounds;                        // at the least
    bool quick, hot, cold;                  // caches as the call before left them; flushed before each call
} bench_options;

// ---- memory that the library takes --------------------------------------------------------------------------------

typedef struct bench_memory {
    int64_t now_bytes, peak_bytes;          // only with atomic built-ins
} bench_memory;
wane_allocator bench_allocator(bench_memory *memory);

// ---- what the machine can do, on one thread (kernels.c) -------------------------------------------------------------

enum { BENCH_EXPS = 4096 };                 // values that bench_exp reads over and over
uint64_t bench_read(const unsigned char *from, size_t bytes, size_t ahead_bytes);      // prefetches if ahead_bytes > 0
bool bench_copy_past_cache(unsigned char *to, const unsigned char *from, size_t bytes);     // false: not here
float bench_multiply(uint64_t count);       // so many multiply-adds
float bench_exp(const float *x, uint64_t count);

// ---- the same on all threads of a team of the tool's own (reference.c) ----------------------------------------------

typedef struct bench_team bench_team;
bench_team *bench_team_make(uint32_t threads);      // NULL: no memory, or no threads
void bench_team_free(bench_team *team);
typedef enum bench_reference { BENCH_READ, BENCH_COPY, BENCH_NT_COPY, BENCH_FMA, BENCH_EXP } bench_reference;
enum { BENCH_FMA_COUNT = 192 << 18, BENCH_EXP_COUNT = 1 << 22 };       // of one thread: some 0.3 ms
bool bench_reference_exists(bench_reference reference);
// Reads `from`, copies it to `to`, or computes, on all threads; returns seconds. Reading is tried with and without
// prefetching, and the better one counts.
double bench_refer(bench_team *team, bench_reference reference, const void *from, void *to, size_t bytes);
size_t bench_cache_bytes(void);             // of the last level
double bench_now(void);                     // seconds

// ---- data: the same on every machine ------------------------------------------------------------------------------

// Logits uniform in -4..4, targets anywhere.
void bench_fill(wane_dtype dtype, void *logits, int64_t *target, int64_t rows, int64_t cols);
void bench_widen(wane_dtype dtype, const void *from, double *to, int64_t count);

// ---- work: the loss on one shape ----------------------------------------------------------------------------------

typedef enum bench_mode { BENCH_FORWARD, BENCH_BACKWARD, BENCH_FUSED, BENCH_IN_PLACE, BENCH_MODES } bench_mode;

// A plan with the memory that it is bound to.
typedef struct bench_call {
    wane_executable *executable;
    wane_recorder *recorder;                // NULL on the CPU
    wane_plan_info info;
    wane_binding bindings[8];
    wane_args args;
    int64_t extra_bytes;                    // host memory that plan, executable and one run took, and the workspace
} bench_call;

typedef struct bench_place {
    void *host;
    wane_buffer *buffer;                    // on a device without host memory
    uint64_t bytes;
} bench_place;

typedef struct bench_work {
    tool_session *session;
    wane_device *device;
    bool is_cpu;
    int64_t rows, cols;
    wane_dtype dtype;
    uint64_t row_bytes;                     // of the logits, and of the gradient
    bench_place logits, target, statistics, loss, row_loss, grad, workspace;
    unsigned char *junk;                    // what flushes the caches before each timing; NULL: they are left as they are
    size_t junk_bytes;
    void *copy;                             // a place for the copies of the references: on the CPU the gradient's
    bench_call calls[BENCH_MODES];
    int64_t sample_rows[BENCH_SAMPLES];
} bench_work;

// Makes memory, data, plans. Returns an exit code; what was made is freed by bench_work_free in any case.
int bench_work_make(bench_work *work, tool_session *session, bench_memory *memory, wane_device *device,
                    const bench_options *options, int64_t rows, int64_t cols);
int bench_work_run(bench_work *work, bench_mode mode);
// Copies a part of a place to the host. Returns an exit code.
int bench_work_read(const bench_work *work, const bench_place *place, uint64_t byte_offset, void *data, uint64_t bytes);
void bench_work_free(bench_work *work);

// ---- measuring ----------------------------------------------------------------------------------------------------

typedef struct bench_spread {
    double median, p20, p80;
} bench_spread;

typedef struct bench_provider {
    const char *name;
    bool is_reference, reads_only;
    bench_reference reference;
    bench_mode mode;
    double bytes;                           // minimal: each input read once, each output written once
    double flops, exps;                     // minimal: one exponential a logit
    double *seconds;                        // one a round
    bench_spread time;
    bench_spread of[BENCH_NT_COPY + 1];     // GB/s over a reference's in the same round
    bench_spread of_roof;                   // the longest of bytes, flops and exps at the references' rates, over the time
} bench_provider;

typedef struct bench_result {
    bench_provider providers[BENCH_PROVIDERS];
    uint32_t provider_count, rounds;
    bool cold;
    double loss_error, grad_error;          // see bench_accuracy; below 0: not known
    bool bits_equal;                        // samples of the gradient and the loss, first and last round
} bench_result;

int bench_measure(bench_work *work, bench_team *team, const bench_options *options, bool cold, bench_result *result);
void bench_result_free(bench_result *result);

// Largest error over some rows of the fused call: of a row's loss relative to 1 or itself, of a gradient relative to
// the row's largest entry.
int bench_accuracy(bench_work *work, const bench_options *options, bench_result *result);

// ---- telling ------------------------------------------------------------------------------------------------------

void bench_print(const bench_work *work, const bench_options *options, const bench_result *result);
cJSON *bench_json(const bench_work *work, const bench_options *options, const bench_result *result);
void bench_progress(const char *format, ...);       // on a terminal alone; NULL clears the line

#endif
