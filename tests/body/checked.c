// checked.c - traces, faults, census and the loop over groups of the checked build.
#include "checked.h"

#include "lanes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAULTS_KEPT = 16, FAULT_BYTES = 320 };
static const uint32_t never_written = 0x7fc0dead;      // a NaN that shows itself in a dump

static struct {
    const body_kernel *kernel;
    const body_call *call;
    uint32_t item, group, lane;
    uint32_t time, group_start, pass_start;
    bool counted;                           // the census is of this kernel
    bool planted;
    body_site stands[LANES_MAX];            // the barrier where each lane waits
    body_trace shared[BODY_MAX_SHARED_WORDS];
} now = { .time = 2 };

static struct {
    uint32_t count;
    char text[FAULTS_KEPT][FAULT_BYTES];
    void (*hook)(void);
} faults;

static struct {
    const char *kernel;
    body_visit visits[BODY_MAX_SITES];
} census;

static struct {
    const char *kernel;
    uint32_t site;
    body_plant plant;
} planted;

// ---- faults ------------------------------------------------------------------------------------------------------

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

__attribute__((format(printf, 3, 4)))
static void fault(body_site site, const char *what, const char *format, ...)
{
    if (faults.hook) faults.hook();
    if (faults.count++ >= FAULTS_KEPT) return;
    char *text = faults.text[faults.count - 1];
    char detail[160];
    va_list list;
    va_start(list, format);
    vsnprintf(detail, sizeof detail, format, list);
    va_end(list);
    snprintf(text, FAULT_BYTES, "%s: %s:%d: %s: %s; lane %u of %u, group %u", now.kernel->name,
             site.file ? file_name(site.file) : "-", site.line, what, detail, (unsigned)now.lane,
             (unsigned)now.kernel->lanes, (unsigned)now.group);
}

void body_fault_note(const char *format, ...)
{
    va_list list;
    if (faults.hook) faults.hook();
    if (faults.count++ >= FAULTS_KEPT) return;
    va_start(list, format);
    vsnprintf(faults.text[faults.count - 1], FAULT_BYTES, format, list);
    va_end(list);
}

uint32_t body_fault_count(void) { return faults.count; }
const char *body_fault_text(uint32_t index)
{
    return index < faults.count && index < FAULTS_KEPT ? faults.text[index] : NULL;
}
void body_faults_clear(void) { faults.count = 0; }
void body_faults_call(void (*hook)(void)) { faults.hook = hook; }

void body_faults_print(void)
{
    for (uint32_t i = 0; body_fault_text(i); i++) fprintf(stderr, "  %s\n", body_fault_text(i));
    if (faults.count > FAULTS_KEPT) fprintf(stderr, "  and %u more\n", (unsigned)(faults.count - FAULTS_KEPT));
}

// ---- memory ------------------------------------------------------------------------------------------------------

body_memory body_memory_make(const void *data, size_t bytes)
{
    body_memory m = { .count = bytes / 4 };
    m.words = malloc(bytes + 1);            // + 1: of 0 bytes too
    m.traces = calloc(m.count + 1, sizeof *m.traces);
    if (!m.words || !m.traces) {
        fprintf(stderr, "checked: no memory for %zu bytes\n", bytes);
        abort();
    }
    if (data) memcpy(m.words, data, bytes);
    for (size_t i = 0; i < m.count; i++) {
        if (!data) m.words[i] = never_written;
        m.traces[i].written = data ? 1 : 0;
    }
    return m;
}

void body_memory_free(body_memory *memory)
{
    free(memory->words);
    free(memory->traces);
    memset(memory, 0, sizeof *memory);
}

// ---- census and planted faults -------------------------------------------------------------------------------------

void body_plant_at(const char *kernel, uint32_t site_number, body_plant plant)
{
    planted.kernel = kernel;
    planted.site = site_number;
    planted.plant = plant;
}
void body_plant_clear(void) { body_plant_at(NULL, 0, BODY_PLANT_NOTHING); }

void body_census_begin(const char *kernel)
{
    if (kernel) memset(&census, 0, sizeof census);
    census.kernel = kernel;
}

const body_visit *body_census(uint32_t site_number)
{
    return site_number < BODY_MAX_SITES && census.visits[site_number].hits ? &census.visits[site_number] : NULL;
}

static void count_visit(body_site site, body_kind kind, const char *name)
{
    if (!now.counted) return;
    if (site.number >= BODY_MAX_SITES) {
        fprintf(stderr, "checked: %s has more than BODY_MAX_SITES sites\n", now.kernel->name);
        abort();
    }
    body_visit *v = &census.visits[site.number];
    v->site = site;
    v->kind = kind;
    v->name = name;
    v->hits++;
}

static body_plant plant_here(body_site site)
{
    return now.planted && site.number == planted.site ? planted.plant : BODY_PLANT_NOTHING;
}

static int64_t shifted(int64_t index, body_site site)
{
    body_plant plant = plant_here(site);
    return plant == BODY_PLANT_SHIFT ? index + 1 : plant == BODY_PLANT_SHIFT_DOWN ? index - 1 : index;
}

// ---- buffers -----------------------------------------------------------------------------------------------------

static const char *slot_name(uint32_t slot) { return now.kernel->slot_names[slot]; }

// The word's place in its memory, or false after a fault.
static bool find_word(const body_call *call, uint32_t slot, int64_t index, body_access needed, body_site site,
                      size_t *at)
{
    const body_slot *s = &call->slots[slot];
    if ((now.kernel->access[slot] & needed) == 0) {
        fault(site, needed == BODY_ACCESS_r ? "load from a write-only slot" : "store to a read-only slot", "%s[%lld]",
              slot_name(slot), (long long)index);
        return false;
    }
    if (!s->memory) {
        fault(site, "nothing is bound to the slot", "%s[%lld]", slot_name(slot), (long long)index);
        return false;
    }
    int64_t word = index + (int64_t)s->origin;
    if (word < 0 || (uint64_t)word >= s->count) {
        fault(site, "index outside the slot's range", "%s[%lld], range is [%lld, %lld)", slot_name(slot),
              (long long)index, -(long long)s->origin, (long long)s->count - (long long)s->origin);
        return false;
    }
    *at = s->first + (size_t)word;
    return true;
}

uint32_t body_load(const body_call *call, uint32_t slot, int64_t index, body_site site)
{
    size_t at;
    count_visit(site, BODY_LOAD, slot_name(slot));
    index = shifted(index, site);
    if (!find_word(call, slot, index, BODY_ACCESS_r, site, &at)) return never_written;
    body_trace *t = &call->slots[slot].memory->traces[at];
    if (!t->written) fault(site, "read of a word that nobody wrote", "%s[%lld]", slot_name(slot), (long long)index);
    if (t->written >= now.pass_start && (t->written < now.group_start || t->writer != now.lane))
        fault(site, "read of what another lane wrote in this pass", "%s[%lld], lane %u%s", slot_name(slot),
              (long long)index, (unsigned)t->writer, t->written < now.group_start ? " of another group" : "");
    if (t->last_read < now.pass_start) t->first_read = now.time;
    t->reader = t->last_read == now.time && t->reader != now.lane ? BODY_SEVERAL : (uint16_t)now.lane;
    t->last_read = now.time;
    return call->slots[slot].memory->words[at];
}

void body_store(const body_call *call, uint32_t slot, int64_t index, uint32_t word, body_site site)
{
    size_t at;
    count_visit(site, BODY_STORE, slot_name(slot));
    index = shifted(index, site);
    if (!find_word(call, slot, index, BODY_ACCESS_w, site, &at)) return;
    body_trace *t = &call->slots[slot].memory->traces[at];
    if (t->written >= now.pass_start && (t->written < now.group_start || t->writer != now.lane))
        fault(site, "write to what another lane wrote in this pass", "%s[%lld], lane %u%s", slot_name(slot),
              (long long)index, (unsigned)t->writer, t->written < now.group_start ? " of another group" : "");
    else if (t->last_read >= now.pass_start && t->first_read < now.group_start)
        fault(site, "write to what another group read in this pass", "%s[%lld]", slot_name(slot), (long long)index);
    else if (t->last_read == now.time && t->reader != now.lane)
        fault(site, "write to what another lane read, no barrier between", "%s[%lld]", slot_name(slot),
              (long long)index);
    t->written = now.time;
    t->writer = (uint16_t)now.lane;
    call->slots[slot].memory->words[at] = word;
}

// Halves are counted from the word that the slot's range begins in.
static bool find_half(const body_call *call, uint32_t slot, int64_t index, body_access needed, body_site site, size_t *at,
                      uint32_t *shift)
{
    int64_t half = index + (int64_t)call->slots[slot].odd + 2 * (int64_t)call->slots[slot].origin;
    *shift = half & 1 ? 16 : 0;
    int64_t word = (half - (half & 1)) / 2;
    return find_word(call, slot, word - (int64_t)call->slots[slot].origin, needed, site, at);
}

uint32_t body_load_half(const body_call *call, uint32_t slot, int64_t index, body_site site)
{
    size_t at;
    uint32_t shift;
    count_visit(site, BODY_LOAD, slot_name(slot));
    index = shifted(index, site);
    if (!find_half(call, slot, index, BODY_ACCESS_r, site, &at, &shift)) return never_written & 0xffff;
    return call->slots[slot].memory->words[at] >> shift & 0xffff;
}

void body_store_half(const body_call *call, uint32_t slot, int64_t index, uint32_t half, body_site site)
{
    size_t at;
    uint32_t shift;
    count_visit(site, BODY_STORE, slot_name(slot));
    index = shifted(index, site);
    if (half > 0xffff) fault(site, "a half of more than 16 bits", "%s[%lld]", slot_name(slot), (long long)index);
    if (!find_half(call, slot, index, BODY_ACCESS_w, site, &at, &shift)) return;
    uint32_t *word = &call->slots[slot].memory->words[at];
    *word = (*word & ~(0xffffu << shift)) | half << shift;
}

void body_store_pair(const body_call *call, uint32_t slot, int64_t index, uint32_t word, body_site site)
{
    if (body_odd(call, slot, index)) {
        fault(site, "a pair that is no word", "%s[%lld]", slot_name(slot), (long long)index);
        return;
    }
    const body_slot *s = &call->slots[slot];
    body_store(call, slot, (index + (int64_t)s->odd) / 2, word, site);
}

uint32_t body_odd(const body_call *call, uint32_t slot, int64_t index)
{
    return (uint32_t)(index + (int64_t)call->slots[slot].odd) & 1;
}

// ---- shared memory -------------------------------------------------------------------------------------------------

static body_trace *shared_trace(body_array array, int64_t index, body_site site)
{
    if (now.kernel->per_lane) {
        fault(site, "shared memory in a kernel of single lanes", "%s[%lld]", array.name, (long long)index);
        return NULL;
    }
    if (index < 0 || index >= (int64_t)array.count) {
        fault(site, "index outside shared memory", "%s[%lld], %u elements", array.name, (long long)index,
              (unsigned)array.count);
        return NULL;
    }
    return &now.shared[array.first + index];
}

uint32_t body_shared_load(body_array array, int64_t index, body_site site)
{
    count_visit(site, BODY_SHARED_LOAD, array.name);
    index = shifted(index, site);
    body_trace *t = shared_trace(array, index, site);
    if (!t) return 0;
    if (t->written < now.group_start)
        fault(site, "read of a shared word that nobody wrote", "%s[%lld]", array.name, (long long)index);
    else if (t->written == now.time && t->writer != now.lane)
        fault(site, "read of what another lane wrote, no barrier between", "%s[%lld], lane %u", array.name,
              (long long)index, (unsigned)t->writer);
    t->reader = t->last_read == now.time && t->reader != now.lane ? BODY_SEVERAL : (uint16_t)now.lane;
    t->last_read = now.time;
    return (uint32_t)index;
}

uint32_t body_shared_store(body_array array, int64_t index, body_site site)
{
    count_visit(site, BODY_SHARED_STORE, array.name);
    index = shifted(index, site);
    body_trace *t = shared_trace(array, index, site);
    if (!t) return 0;
    if (t->written == now.time && t->writer != now.lane)
        fault(site, "write to what another lane wrote, no barrier between", "%s[%lld], lane %u", array.name,
              (long long)index, (unsigned)t->writer);
    else if (t->last_read == now.time && t->reader != now.lane)
        fault(site, "write to what another lane read, no barrier between", "%s[%lld]", array.name, (long long)index);
    t->written = now.time;
    t->writer = (uint16_t)now.lane;
    return (uint32_t)index;
}

void body_barrier(body_site site)
{
    count_visit(site, BODY_BARRIER, "barrier");
    if (now.kernel->per_lane) {
        fault(site, "barrier in a kernel of single lanes", "K_BARRIER");
        return;
    }
    body_plant plant = plant_here(site);
    if (plant == BODY_PLANT_SKIP || (plant == BODY_PLANT_SKIP_ODD && now.lane % 2)) return;
    if (now.kernel->lanes == 1) {
        now.time++;
        return;
    }
    uint32_t lane = now.lane;
    now.stands[lane] = site;
    lanes_wait(site.number + 1);
    now.lane = lane;
}

// ---- arithmetic that differs between devices -----------------------------------------------------------------------

static void refuse_nan(float a, float b, body_site site)
{
    if (a != a || b != b) fault(site, "NaN in max or min", "%g and %g", (double)a, (double)b);
}

float body_max_float(float a, float b, body_site site)
{
    refuse_nan(a, b, site);
    return a > b ? a : b;
}

float body_min_float(float a, float b, body_site site)
{
    refuse_nan(a, b, site);
    return a < b ? a : b;
}

int32_t body_int_of_float(float x, body_site site)
{
    if (x > -2147483904.0f && x < 2147483648.0f) return (int32_t)x;
    fault(site, "a float that fits no int", "%g", (double)x);
    return 0;
}

uint32_t body_uint_of_float(float x, body_site site)
{
    if (x > -1.0f && x < 4294967296.0f) return (uint32_t)x;
    fault(site, "a float that fits no uint", "%g", (double)x);
    return 0;
}

// ---- passes ------------------------------------------------------------------------------------------------------

static void run_lane(void *user, uint32_t lane)
{
    (void)user;
    now.lane = lane;
    now.kernel->lane(now.call, now.item, lane);
}

static void next_round(void *user)
{
    (void)user;
    now.time++;
}

static void run_group(void)
{
    const body_kernel *k = now.kernel;
    now.group_start = ++now.time;
    if (k->per_lane) {
        uint32_t first = now.group * k->lanes;
        for (uint32_t lane = 0; lane < k->lanes && lane < now.call->items - first; lane++) {
            now.item = first + lane;
            run_lane(NULL, lane);
        }
        return;
    }
    now.item = now.group;
    memset(k->shared, 0xff, k->shared_bytes);
    if (k->lanes == 1) {
        run_lane(NULL, 0);
        return;
    }
    lanes_group group = { k->lanes, run_lane, next_round, NULL };
    lanes_end end = lanes_run(&group);
    now.lane = end.lane;
    if (!end.together)
        fault(now.stands[end.place ? end.lane : 0], "lanes at different barriers",
              "lane %u at line %d, lane 0 at line %d (0: returned)", (unsigned)end.lane,
              end.place ? now.stands[end.lane].line : 0, end.place_of_first ? now.stands[0].line : 0);
    if (end.stack_overrun) fault((body_site){ NULL, 0, 0 }, "stack overrun", "a lane's private arrays");
}

void body_call_kernel(const body_kernel *kernel, const body_call *call)
{
    now.kernel = kernel;
    now.call = call;
    now.counted = census.kernel && strcmp(census.kernel, kernel->name) == 0;
    now.planted = planted.kernel && strcmp(planted.kernel, kernel->name) == 0;
    if (!call->with_previous) now.pass_start = now.time + 1;
    uint32_t groups = kernel->per_lane ? (call->items + kernel->lanes - 1) / kernel->lanes : call->items;
    for (now.group = 0; now.group < groups; now.group++) run_group();
}
