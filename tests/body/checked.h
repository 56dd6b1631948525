// checked.h - what a checked kernel runs on: every load, store, shared access and barrier is looked at.
//
// Found and counted, with kernel, file, line, name, index and lane:
//   an index outside a slot's range or a shared array; a store to a read-only slot, a load from a write-only one;
//   a slot that nothing is bound to; a read of a word that nobody wrote (workspace, outputs, shared memory)
//   in shared memory, between two barriers: a read of what another lane wrote, a write to what another wrote or read
//   in buffers, within a pass: a read of what another lane wrote (barriers order shared memory alone); a write to what
//   another wrote, or read with no barrier since, or what another group touched
//   lanes at different barriers; a barrier or shared memory in a kernel of single lanes; NaN in max or min; a float
//   that does not fit the integer it becomes
// The cost is a trace word beside each word: who wrote it and read it last, and when. One thread only.
#ifndef WANE_TESTS_BODY_CHECKED_H
#define WANE_TESTS_BODY_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BODY_MAX_SLOTS = 8, BODY_MAX_WORDS = 64, BODY_MAX_SHARED_WORDS = 4096, BODY_MAX_SITES = 1024 };

typedef enum body_access { BODY_ACCESS_none, BODY_ACCESS_r, BODY_ACCESS_w, BODY_ACCESS_rw } body_access;
typedef enum body_kind { BODY_LOAD, BODY_STORE, BODY_SHARED_LOAD, BODY_SHARED_STORE, BODY_BARRIER } body_kind;

// Times count rounds between barriers over the life of the program; 0 is never, 1 before any kernel.
typedef struct body_trace {
    uint32_t written, first_read, last_read;   // first_read: the first of the pass in which last_read lies
    uint16_t writer, reader;                // lanes; BODY_SEVERAL readers
} body_trace;
enum { BODY_SEVERAL = 0xffff };

// Memory of an operand or the workspace.
typedef struct body_memory {
    uint32_t *words;
    body_trace *traces;
    size_t count;
} body_memory;

// NULL data: words that nobody has written, filled with a signalling pattern. Ends the program when memory runs out.
body_memory body_memory_make(const void *data, size_t bytes);
void body_memory_free(body_memory *memory);

// What is bound to a slot: `count` words from `first`; index 0 lies `origin` words in.
typedef struct body_slot {
    body_memory *memory;                    // NULL: nothing
    size_t first, count;
    uint64_t origin;
    uint32_t odd;                           // index 0, as a half, is the upper one of its word
} body_slot;

typedef struct body_call {
    uint32_t items;
    bool with_previous;                     // no barrier between the pass before and this one
    const uint32_t *record, *window, *consts;
    body_slot slots[BODY_MAX_SLOTS];
} body_call;

// A kernel for a number of lanes: what entry_checked.c.in makes.
typedef struct body_kernel {
    const char *name;
    uint32_t lanes;
    bool per_lane;
    void (*lane)(const body_call *call, uint32_t item, uint32_t lane);
    void *shared;
    uint32_t shared_bytes, slot_count, record_words, window_words, const_count;
    uint8_t access[BODY_MAX_SLOTS];         // body_access
    const char *slot_names[BODY_MAX_SLOTS];
} body_kernel;

// Every kernel for a group of `lanes` (1, 4, 7, 64 or 128) in the order of kernels.def, or NULL.
const body_kernel *const *body_kernels_for(uint32_t lanes, uint32_t *count);
const body_kernel *body_kernel_find(const char *name, uint32_t lanes);
// From here on this one is found in the place of the kernel of its name and lanes; NULL: none is.
void body_kernel_replace(const body_kernel *kernel);

// Runs one pass.
void body_call_kernel(const body_kernel *kernel, const body_call *call);

// ---- faults ------------------------------------------------------------------------------------------------------

uint32_t body_fault_count(void);
const char *body_fault_text(uint32_t index);   // of the first few; NULL past them
void body_faults_clear(void);
void body_faults_call(void (*hook)(void));     // at every fault from here on; NULL: nothing
__attribute__((format(printf, 1, 2))) void body_fault_note(const char *format, ...);   // a fault of another kind
void body_faults_print(void);                  // to standard error

// ---- planted faults: proof that the checker sees --------------------------------------------------------------------

// A place in a kernel's text where it touches memory or waits. `number` is the same for any number of lanes.
typedef struct body_site {
    const char *file;
    int line;
    uint32_t number;
} body_site;

typedef enum body_plant {
    BODY_PLANT_NOTHING,
    BODY_PLANT_SKIP,                        // no lane waits at the barrier
    BODY_PLANT_SKIP_ODD,                    // lanes of odd number do not wait
    BODY_PLANT_SHIFT,                       // the index is one too high
    BODY_PLANT_SHIFT_DOWN                   // one too low
} body_plant;

void body_plant_at(const char *kernel, uint32_t site_number, body_plant plant);
void body_plant_clear(void);

// Counts how often each site of one kernel is reached, from here on; NULL ends the count and keeps it.
typedef struct body_visit {
    body_site site;
    body_kind kind;
    const char *name;                       // of the slot or array
    uint64_t hits;
} body_visit;
void body_census_begin(const char *kernel);
const body_visit *body_census(uint32_t site_number);   // NULL if never reached

// ---- called by prelude_checked.h ------------------------------------------------------------------------------------

typedef struct body_array {
    const char *name;
    uint32_t first, count;                  // words within the kernel's shared memory
} body_array;

uint32_t body_load(const body_call *call, uint32_t slot, int64_t index, body_site site);
void body_store(const body_call *call, uint32_t slot, int64_t index, uint32_t word, body_site site);
// Halves, as a device that has only words sees them: half `index` of the slot, whose index 0 may lie in a word's middle.
// A store of one half is atomic and no race; a pair is a whole word, which half `index` must begin.
uint32_t body_load_half(const body_call *call, uint32_t slot, int64_t index, body_site site);
void body_store_half(const body_call *call, uint32_t slot, int64_t index, uint32_t half, body_site site);
void body_store_pair(const body_call *call, uint32_t slot, int64_t index, uint32_t word, body_site site);
uint32_t body_odd(const body_call *call, uint32_t slot, int64_t index);
uint32_t body_shared_load(body_array array, int64_t index, body_site site);      // returns an index within the array
uint32_t body_shared_store(body_array array, int64_t index, body_site site);
void body_barrier(body_site site);
float body_max_float(float a, float b, body_site site);
float body_min_float(float a, float b, body_site site);
int32_t body_int_of_float(float x, body_site site);
uint32_t body_uint_of_float(float x, body_site site);

#endif
