// core.h - what the parts of wane share: objects, passes, memory, errors. Vendor-free and loss-free.
#ifndef WANE_CORE_CORE_H
#define WANE_CORE_CORE_H

#include "wane/wane.h"

#include "core/platform.h"
#include "core/prefix.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

enum {
    WANE_MAX_SLOTS    = 8,       // storage buffers of a kernel: the floor of ARCHITECTURE's tier 0
    WANE_MAX_CONSTS   = 4,
    WANE_MAX_WINDOW   = 8,       // words that change from dispatch to dispatch; 8 more carry the slots' remainders
    WANE_MAX_RECORD   = 64,      // words
    WANE_MAX_RECORDS  = 16,      // of a plan
    WANE_MAX_OPERANDS = 32,
    WANE_STATUS_WORDS = 8
};

// ---- kernels ----------------------------------------------------------------------------------------------------

enum {
#define WANE_KERNEL(name, NAME, unit) WANE_KERNEL_##NAME,
#include "core/kernels.def"
    WANE_KERNEL_COUNT
};

typedef enum wane_access { WANE_ACCESS_NONE, WANE_ACCESS_R, WANE_ACCESS_W, WANE_ACCESS_RW } wane_access;

typedef struct wane_kernel_info {
    const char *name;
    bool per_lane;                          // unit LANE
    uint8_t slot_count, record_words, window_words, const_count;
    uint8_t access[WANE_MAX_SLOTS];         // wane_access
    uint32_t shared_bytes;
} wane_kernel_info;

extern const wane_kernel_info wane_kernels[WANE_KERNEL_COUNT];

// ---- passes -----------------------------------------------------------------------------------------------------

enum { WANE_SLOT_NONE = -1, WANE_SLOT_WORKSPACE = -2 };   // else an index into the plan's operands

// What a pass binds to a slot. NONE is bound to a few readable bytes of the backend's own, and never touched.
typedef struct wane_slot {
    int32_t operand;
    uint32_t reserved;
    int64_t byte_offset;                    // of the range, from the operand's element 0 or the workspace's start
    uint64_t byte_length;
    uint64_t origin_bytes;                  // from the range's start to where the kernel's index 0 lies (negative strides)
} wane_slot;

enum { WANE_PASS_WITH_PREVIOUS = 1 };       // no barrier before it: touches nothing that the passes since the last one write

// One dispatch of one kernel. Between consecutive passes stands a full memory barrier unless the flag says otherwise.
// A slot's index 0 is at byte_offset + origin_bytes; devices count indices modulo 2^32.
// Where passes by as many rows follow each other, a row's items touch nothing that those of other rows write: a backend may
// take some rows through all of these passes before the next rows.
typedef struct wane_pass {
    uint16_t kernel;
    uint8_t record;                         // index of the plan's record
    uint8_t flags;                          // WANE_PASS_*
    uint32_t items;                         // never 0
    uint32_t row_items;                     // of a pass by rows: so many items, in order, are a row's; 0: it is none
    uint32_t consts[WANE_MAX_CONSTS];       // value of constant id i + 1
    uint32_t window[WANE_MAX_WINDOW];       // window[0] = items; window[1] is the backend's
    wane_slot slots[WANE_MAX_SLOTS];
} wane_pass;

typedef struct wane_record {
    uint32_t words[WANE_MAX_RECORD];
} wane_record;

// An operand of a plan: a public operand checked and completed.
typedef struct wane_plan_operand {
    const wane_role_info *role;
    char shape[24];                         // the role's, with its alternative and "reduced" decided: "rows,cols", "rows", "1"
    uint32_t flags;
    uint32_t align_bytes;
    wane_dtype dtype;
    uint32_t rank;
    int64_t extents[4], strides[4];         // strides always set
    int64_t first_byte, end_byte;           // reach of the view relative to element 0; both 0 if it has no elements
    bool written, read;
} wane_plan_operand;

struct wane_plan {
    wane_context *context;
    wane_device *device;                    // NULL for a plan made from limits alone
    wane_limits limits;
    const wane_loss_info *loss;
    double params[64];                      // by id, defaults filled in
    bool given[64];                         // by id: said by the caller
    uint32_t operand_count;
    wane_plan_operand operands[WANE_MAX_OPERANDS];
    uint64_t workspace_bytes;
    uint64_t status_byte;                   // where in the workspace the 8 status words stand when all is done
    uint64_t workspace_limit_bytes;
    uint64_t scratch_bytes;                 // of the backend's own, at the workspace's end; it is no planner's business
    uint32_t statistics_mask;
    uint32_t references;
    wane_plan_info info;
    uint32_t record_count, pass_count, pass_capacity;
    wane_record *records;                   // WANE_MAX_RECORDS
    wane_pass *passes;
    char *notes;                            // what the planner chose, and why not otherwise
    size_t notes_bytes;
};

// Planner's tools. Each returns false, with the plan's error noted, when memory runs out.
wane_pass *wane_plan_add(wane_plan *plan, uint16_t kernel, uint32_t items);   // NULL when memory runs out
bool wane_plan_note(wane_plan *plan, const char *format, ...);
int wane_plan_find(const wane_plan *plan, wane_role role);                    // index of an operand, or -1
void wane_plan_retain(wane_plan *plan);                                       // an executable outlives its plan's handle
// ---- families ---------------------------------------------------------------------------------------------------

// One planner a family: fills passes, records, workspace and info of a plan whose operands and parameters are checked
// one by one; it checks what depends on several of them.
typedef struct wane_family {
    const char *name;
    uint32_t (*statistics_need)(const wane_plan *plan);    // WANE_STATISTIC_* bits; params are complete, operands may not be
    wane_status (*plan)(wane_plan *plan);
} wane_family;

extern const wane_family *const wane_families[];       // by name, NULL at the end

// ---- backends ---------------------------------------------------------------------------------------------------

typedef struct wane_backend wane_backend;

struct wane_device {
    wane_context *context;
    const wane_backend *backend;
    void *native;                           // the backend's own
    uint32_t index;                         // among the backend's devices
    char id[32], name[256], driver[256], quirks[256], reason[512];
    bool is_hardware_gpu, host_memory;      // host_memory: buffers are plain pointers
    bool hidden;                            // not listed: wrapped devices, variants of the CPU ("cpu:avx2")
    bool wrapped;                           // the host's own device: never submitted to unless the host asks
    bool trusted, tested;                   // the CPU needs no self-test before its first use
    wane_limits limits;
    uint64_t untuned_dispatch_elems;        // what a tuning record replaced; 0: none did
    wane_mutex *lock;                       // opening, the self-test
    bool failed;                            // the self-test failed on an open device of the host's
    int state;                              // 0 closed, 1 usable, -1 refused
    int lost;                               // latched
    uint32_t objects;                       // buffers, plans, executables and recorders of it that are alive
};

struct wane_buffer {
    wane_context *context;
    wane_device *device;
    uint64_t bytes;
    bool owned, is_host;
    void *host;                             // is_host, or a device with host_memory
    uint64_t native[2];                     // the backend's own; native[0] is the VkBuffer or cl_mem
};

// A buffer without memory: wane_buffer_destroy ends it.
wane_status wane_buffer_make(wane_device *device, uint64_t bytes, wane_buffer **out);

// A place in memory that an operand or the workspace is bound to.
typedef struct wane_range {
    wane_buffer *buffer;
    uint64_t byte_offset, bytes;            // of element 0; what follows it in the buffer
} wane_range;

// The contract of a backend: it makes buffers and runs passes. Every function may be called from any thread, for one
// device at a time where the name begins with device_ or buffer_; programs are shared, recorders are not.
struct wane_backend {
    uint32_t bit;                           // WANE_BACKEND_*
    const char *name;
    // Adds this backend's devices with wane_device_add. No driver: no device, and WANE_OK.
    wane_status (*discover)(wane_context *context, void **state);
    void (*shutdown)(wane_context *context, void *state);
    // Makes what a device needs to work. limits, name, driver and refusals (reason) are known since discovery.
    wane_status (*device_open)(wane_device *device);
    void (*device_close)(wane_device *device);
    wane_status (*buffer_create)(wane_buffer *buffer);       // context, device, bytes are set
    void (*buffer_destroy)(wane_buffer *buffer);
    wane_status (*buffer_write)(wane_buffer *buffer, uint64_t byte_offset, const void *data, uint64_t bytes);
    wane_status (*buffer_read)(wane_buffer *buffer, uint64_t byte_offset, void *data, uint64_t bytes);
    wane_status (*program_create)(wane_device *device, const wane_plan *plan, void **program);
    void (*program_destroy)(wane_device *device, void *program);
    wane_status (*recorder_create)(wane_device *device, const wane_plan *const *plans, void *const *programs,
                                   uint32_t count, uint32_t dispatch_capacity, void **recorder);
    wane_status (*recorder_reset)(wane_device *device, void *recorder);
    void (*recorder_destroy)(wane_device *device, void *recorder);
    // Records, submits and waits. operands[i] is the plan's operand i; ranges are checked.
    wane_status (*run)(wane_device *device, const wane_plan *plan, void *program, void *recorder,
                       const wane_range *operands, const wane_range *workspace);
    // Bytes of the workspace that run would like for itself, and can do without; NULL: none.
    uint64_t (*scratch_bytes)(const wane_device *device, const wane_plan *plan);
};

extern const wane_backend *const wane_backends[];      // in order of listing, the CPU last, NULL at the end

// An object of a context, and of a device if not NULL, begins or ends to live. The last end after wane_context_destroy
// frees the context: nothing of it may be touched then.
void wane_hold(wane_context *context, wane_device *device);
void wane_drop(wane_context *context, wane_device *device);

// For discovery: a new device with everything zero but context, backend, index and id; NULL when memory runs out.
wane_device *wane_device_add(wane_context *context, const wane_backend *backend, const char *id);
// Closes a wrapped device and takes it out of the context. Its native may be NULL.
void wane_device_remove(wane_device *device);
// Opens it once, and self-tests it unless it is wrapped. WANE_OK, or why it is not usable.
wane_status wane_device_require(wane_device *device);
// Latches device loss and reports it.
wane_status wane_device_lose(wane_device *device, int32_t native, const char *where);
// DEVICE_LOST if it is latched, else OK. Touches no driver.
wane_status wane_device_check(wane_device *device);
wane_status wane_selftest(wane_device *device);

// ---- executables and recorders ------------------------------------------------------------------------------------

struct wane_executable {
    wane_context *context;
    wane_device *device;
    wane_plan *plan;
    void *program;
};

typedef struct wane_staging {
    wane_buffer *buffer;                    // NULL until needed; grows
} wane_staging;

struct wane_recorder {
    wane_context *context;
    wane_device *device;
    uint32_t executable_count, capacity, used;
    wane_executable **executables;
    void *native;
    wane_staging staging[WANE_MAX_OPERANDS + 1];       // the last one is the workspace
};

// Checks args against the plan and finds each operand's range. Host pointers become host buffers in `hosts`. Used by
// run and by the backends' record functions (allow_host false). Nothing is written.
wane_status wane_args_resolve(const wane_executable *executable, const wane_args *args, bool allow_host,
                              wane_buffer *hosts, wane_range *operands, wane_range *workspace);
// Takes a record of this executable out of the recorder's capacity, or says why not.
wane_status wane_recorder_take(wane_recorder *recorder, const wane_executable *executable);

// ---- context, memory, errors --------------------------------------------------------------------------------------

struct wane_context {
    wane_context_desc desc;
    wane_mutex *lock;                       // discovery
    uint32_t discovered;                    // bit i: wane_backends[i] has been asked
    uint32_t device_count, device_capacity;
    wane_device **devices;
    void *backend_state[8];                 // by index in wane_backends
    uint32_t wrapped_count;                 // devices of the host so far, for their names
    uint32_t references;                    // the host's, until wane_context_destroy, and one for each object
    uint64_t cache_used, cache_absent, cache_refused, cache_stored;
};

void *wane_alloc(wane_context *context, size_t bytes);            // zeroed, 64-byte aligned; NULL when there is none
void wane_free(wane_context *context, void *memory);
wane_status wane_no_memory(wane_context *context);                // logs and returns HOST_MEMORY

// "(unknown)" for a number that has none.
const char *wane_role_name(wane_role role);
const char *wane_param_name(wane_param param);
// The ways in which data can be faulty, as words of the output `status` count them; "" for a word that tells no fault.
const char *wane_fault_name(uint32_t word, bool many);
// Tells the faults of a call's data to the log. Returns WANE_WARN_DATA.
wane_status wane_warn_data(wane_context *context, const char *faults);
void wane_log(wane_context *context, wane_log_level level, const char *format, ...);
bool wane_logs(const wane_context *context, wane_log_level level);     // whether anybody reads what has this level
static inline double wane_ms_since(uint64_t start_ns) { return (double)(wane_clock_ns() - start_ns) * 1e-6; }
// Logs an error and returns it. operand may be NULL.
wane_status wane_fail(wane_context *context, wane_status status, const char *operand, const char *format, ...);
wane_status wane_fail_native(wane_context *context, wane_status status, int32_t native, const char *format, ...);

// Checks a struct from outside: size, and that a tail that this library does not know is zero. `known` is our sizeof,
// `least` the size of its first version.
wane_status wane_struct_check(wane_context *context, const void *data, size_t least, size_t known, const char *name);

// Products and sums that say so when they leave 63 bits.
bool wane_mul_i64(int64_t a, int64_t b, int64_t *out);
bool wane_add_i64(int64_t a, int64_t b, int64_t *out);

static inline uint64_t wane_round_up(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }
static inline uint64_t wane_min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint32_t wane_float_bits(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }

// ---- cache (cache.c): blobs of the host's cache with our own header ------------------------------------------------

// Returns a checked payload (free with wane_free), or NULL: absent, damaged or foreign. `key` names kernel, source
// hash, options, device and driver; it is hashed into the header too.
void *wane_cache_load(wane_context *context, const char *key, size_t *bytes);
void wane_cache_store(wane_context *context, const char *key, const void *data, size_t bytes);
// Counts a payload that was loaded as one that the driver did not take.
void wane_cache_refuse(wane_context *context);
uint64_t wane_hash(uint64_t seed, const void *data, size_t bytes);

#endif
