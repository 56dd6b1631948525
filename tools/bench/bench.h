// bench.h - the parts of wane-bench: what is run (work, and a family's file), what it is compared with (kernels, reference,
// blas), how it is timed (measure), how right it is (accuracy), how it is told (report), what a device likes best (tune).
#ifndef WANE_TOOLS_BENCH_BENCH_H
#define WANE_TOOLS_BENCH_BENCH_H

#include "common/json.h"
#include "common/loss.h"
#include "common/session.h"

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_PARAMS = 16, BENCH_MODES = 4, BENCH_PROVIDERS = 16, BENCH_SAMPLES = 4, BENCH_ROLES = 64, BENCH_COLUMNS = 3 };
#define BENCH_BIT(ROLE) (UINT64_C(1) << WANE_ROLE_##ROLE)

typedef struct bench_family bench_family;

typedef struct bench_options {
    const char *device, *json, *tuning, *tune;      // NULL: not given
    const wane_loss_info *loss;
    const bench_family *family;
    wane_dtype dtype;                       // of the tensors that may have a half type
    wane_param_value params[BENCH_PARAMS];
    uint32_t param_count;
    uint32_t threads;                       // never 0
    double seconds;                         // for each provider, at the least
    uint32_t rounds;                        // at the least
    bool quick, hot, cold;                  // caches as the call before left them; flushed before each call
} bench_options;

double bench_param(const bench_options *options, wane_param param);    // the given value, else the default, else 0

// ---- memory that the library takes --------------------------------------------------------------------------------

typedef struct bench_memory {
    int64_t now_bytes, peak_bytes;          // only with atomic built-ins
} bench_memory;
wane_allocator bench_allocator(bench_memory *memory);

// ---- what the machine can do, on one thread (kernels.c) -------------------------------------------------------------

enum { BENCH_EXPS = 4096 };                 // values that bench_exp and bench_link read over and over
uint64_t bench_read(const unsigned char *from, size_t bytes, size_t ahead_bytes);      // prefetches if ahead_bytes > 0
bool bench_copy_past_cache(unsigned char *to, const unsigned char *from, size_t bytes);     // false: not here
float bench_multiply(uint64_t count);       // so many multiply-adds
float bench_dot(uint64_t count);            // the same of pairs of bf16 into f32; 0 and nothing done: not here
float bench_exp(const float *x, uint64_t count);
float bench_link(const float *x, uint64_t count);      // a logistic pair: log1p(exp(x)) and its slope

// ---- the same on all threads of a team of the tool's own (reference.c, blas.c) ----------------------------------------

// What is counted. A provider has an amount of each; a reference has one alone.
typedef enum bench_unit { BENCH_BYTES, BENCH_FLOPS, BENCH_EXP_UNIT, BENCH_LINKS, BENCH_PAIRS, BENCH_UNITS } bench_unit;
typedef enum bench_reference {
    BENCH_READ, BENCH_COPY, BENCH_NT_COPY, BENCH_FMA, BENCH_DOT, BENCH_EXP, BENCH_LINK, BENCH_PRODUCT, BENCH_PRODUCTS,
    BENCH_REFERENCES
} bench_reference;
typedef struct bench_reference_info {
    const char *name, *key;                 // in the table, in JSON ("of_read")
    bench_unit unit;
} bench_reference_info;
extern const bench_reference_info bench_references[BENCH_REFERENCES];

typedef struct bench_team bench_team;
bench_team *bench_team_make(uint32_t threads);      // NULL: no memory, or no threads
void bench_team_free(bench_team *team);
enum { BENCH_FMA_COUNT = 192 << 18, BENCH_EXP_COUNT = 1 << 22 };       // of one thread: some 0.3 ms
// Reads `from`, copies it to `to`, or computes, on all threads; returns seconds. Reading is tried with and without
// prefetching, and the better one counts. Not for products.
double bench_refer(bench_team *team, bench_reference reference, const void *from, void *to, size_t bytes);
size_t bench_cache_bytes(void);             // of the last level
double bench_now(void);                     // seconds

// OpenBLAS, if it is installed: loaded when asked for, no part of the build. a [rows, dim], b [cols, dim]: the product
// a b', then with it as g also g b and g' a. NULL: it is not there, or there is no memory.
typedef struct bench_blas bench_blas;
bench_blas *bench_blas_make(uint32_t threads, int64_t rows, int64_t cols, int64_t dim);
double bench_blas_run(bench_blas *blas, bench_reference which);        // seconds
void bench_blas_free(bench_blas *blas);
const char *bench_blas_name(void);          // library and kernels, "" if none was loaded

// ---- work: the loss on one shape ----------------------------------------------------------------------------------

typedef struct bench_mode {
    const char *name;
    uint64_t outputs;                       // bits of roles; those that the loss does not have are left out
    bool given;                             // from saved statistics; left out if the loss has none
    bool in_place;                          // its gradients lie over their tensors
} bench_mode;

// A plan with the memory that it is bound to.
typedef struct bench_call {
    const bench_mode *mode;                 // NULL: the loss has no such call
    wane_executable *executable;
    wane_recorder *recorder;                // NULL on the CPU
    wane_plan_info info;
    wane_binding bindings[BENCH_ROLES];
    wane_args args;
    int64_t extra_bytes;                    // host memory that plan, executable and one run took, and the workspace
    bool writes;                            // a gradient
} bench_call;

typedef struct bench_place {
    void *host;
    wane_buffer *buffer;                    // on a device without host memory
    uint64_t bytes;
} bench_place;

// A tensor of the problem; role NULL: it has none of that number.
typedef struct bench_tensor {
    const wane_role_info *role;
    tool_array shape;                       // without data
    bench_place place;
} bench_tensor;

typedef struct bench_work {
    tool_session *session;
    wane_device *device;
    const bench_options *options;
    bool is_cpu;
    tool_extents extents;
    bench_tensor tensors[BENCH_ROLES];      // by role
    bench_place workspace;
    const bench_tensor *bulk;               // the largest input, with a copy on the host: what the references read
    void *bulk_host, *copy;                 // and where they copy it; on the CPU a gradient's place if it has room
    bool owns_copy;
    bench_blas *blas;                       // NULL: no products, or no OpenBLAS
    unsigned char *junk;                    // what flushes the caches before each timing; NULL: they are left as they are
    size_t junk_bytes;
    bench_call calls[BENCH_MODES];
} bench_work;

// Makes memory, data, plans. Returns an exit code; what was made is freed by bench_work_free in any case.
int bench_work_make(bench_work *work, tool_session *session, bench_memory *memory, wane_device *device,
                    const bench_options *options, const tool_extents *extents);
int bench_work_run(bench_work *work, const bench_call *call);
const bench_call *bench_work_fused(const bench_work *work);             // the call that makes values and gradients
// Copies a part of a place to the host. Returns an exit code.
int bench_work_read(const bench_work *work, const bench_place *place, uint64_t byte_offset, void *data, uint64_t bytes);
void bench_work_free(bench_work *work);
int64_t bench_extent(const tool_extents *extents, const char *name);   // 0: not there
void bench_set_extent(tool_extents *extents, const char *name, int64_t value);
bool bench_has_extent(const wane_loss_info *loss, const char *name);     // whether a role of it does
void bench_keep_extents(tool_extents *extents, const wane_loss_info *loss);     // those alone that its roles have
// "rows=64,cols=1000"
const char *bench_extents_text(const tool_extents *extents, char text[96]);

// ---- data: the same on every machine ------------------------------------------------------------------------------

uint64_t bench_mix(wane_role role, int64_t index);
double bench_uniform(wane_role role, int64_t index, double low, double high);
double bench_value(const bench_work *work, wane_role role, int64_t index);     // where a family says nothing else
bool bench_fill(const bench_work *work, const bench_tensor *tensor, void *data);
double bench_widen(int dtype, const void *from, int64_t index);

// ---- families: a file family_<name>.c and a line in families.def -----------------------------------------------------

struct bench_family {
    const char *name;                       // as in losses.def
    const char *extents;                    // what --shape names, "rows,cols"
    const char *const *shapes;              // what is run if none is given; [0] is that of --quick; ends with NULL
    const bench_mode *modes;                // ends with a NULL name
    uint32_t references;                    // 1 << bench_reference, besides read, copies, fma and exp
    bench_reference columns[BENCH_COLUMNS]; // references that the table compares with
    bench_unit rate;                        // that the table gives a second
    // The least work of a call besides its bytes: fills amounts by bench_unit.
    void (*costs)(const bench_work *work, const bench_mode *mode, double amount[BENCH_UNITS]);
    // What follows may be NULL.
    uint64_t (*given)(const bench_options *options);        // bits of optional inputs that are given
    void (*complete)(const bench_options *options, tool_extents *extents);     // what --shape may leave out
    double (*value)(const bench_work *work, wane_role role, int64_t index);
    // Cuts the extents to a problem that the oracle solves in a second, which then is judged whole. NULL: a few rows of
    // the very problem that was timed are judged, because a row needs no other's.
    void (*judged)(tool_extents *extents);
};
extern const bench_family *const bench_families[];      // NULL at the end

// ---- measuring ----------------------------------------------------------------------------------------------------

typedef struct bench_spread {
    double median, p20, p80;
} bench_spread;

typedef struct bench_provider {
    const char *name;
    const bench_call *call;                 // NULL: a reference
    bench_reference reference;
    double amount[BENCH_UNITS];             // bytes: minimal, each input read once, each output written once
    double *seconds;                        // one a round
    bench_spread time;
    bench_spread of[BENCH_REFERENCES];      // the rate over a reference's in the same round; zeros: not comparable
    bench_spread of_roof;                   // the longest of all amounts at the references' rates, over the time
} bench_provider;

typedef struct bench_result {
    bench_provider providers[BENCH_PROVIDERS];
    uint32_t provider_count, rounds;
    bool cold;
    double value_error, grad_error;         // see bench_accuracy; below 0: not known
    char judged[96];                        // extents of the problem that was judged, "" if it is the one that was timed
    bool bits_equal;                        // of values and gradients, first and last round
} bench_result;

int bench_measure(bench_work *work, bench_team *team, bool cold, bench_result *result);
const bench_provider *bench_find_reference(const bench_result *result, bench_reference reference);
void bench_result_free(bench_result *result);
bench_spread bench_spread_of(double *values, uint32_t count);          // sorts the values

// Largest error of the fused call: of values relative to 1 or themselves, of a gradient relative to its row's largest
// entry (where a few rows are judged) or to its own (where a small problem is).
int bench_accuracy(bench_work *work, bench_memory *memory, bench_result *result);

// Measures choices for a device and writes a record of them to options->tune. Returns an exit code.
int bench_tune(tool_session *session, bench_memory *memory, wane_device *device, const bench_options *options);

// ---- telling ------------------------------------------------------------------------------------------------------

void bench_print(const bench_work *work, const bench_result *result);
cJSON *bench_json(const bench_work *work, const bench_result *result);
void bench_progress(const char *format, ...);       // on a terminal alone; NULL clears the line

#endif
