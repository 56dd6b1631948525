// cpu.c - the CPU as a backend: plain memory, kernels in C for each instruction set, ranges of items over threads.
#include "backend/cpu/float_mode.h"
#include "backend/cpu/sets.h"
#include "backend/cpu/threads.h"
#include "backend/cpu/override.h"
#include "backend/cpu/tile_micro.h"

#include "kernels/softmax.h"

#include <stdatomic.h>
#include <stdio.h>

extern const wane_backend wane_backend_cpu;

// ---- discovery ----

static void describe_processor(char *text, size_t bytes)
{
    snprintf(text, bytes, "CPU");
#if defined(__x86_64__)
    unsigned int words[12] = {0};
    for (unsigned int i = 0; i < 3; i++) {
        unsigned int a = 0x80000002u + i, b, c = 0, d;
        __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        words[i * 4] = a, words[i * 4 + 1] = b, words[i * 4 + 2] = c, words[i * 4 + 3] = d;
    }
    char name[49];
    memcpy(name, words, 48);
    name[48] = 0;
    const char *start = name + strspn(name, " ");
    if (*start) snprintf(text, bytes, "%s", start);
#elif defined(__aarch64__)
    snprintf(text, bytes, "Arm 64-bit CPU");
#endif
}

// True if it is there already: a discovery that ran out of memory is begun again.
static bool add_device(wane_context *context, const char *id, const wane_cpu_set *set, bool hidden)
{
    for (uint32_t i = 0; i < context->device_count; i++)
        if (strcmp(context->devices[i]->id, id) == 0) return true;
    wane_device *device = wane_device_add(context, &wane_backend_cpu, id);
    if (!device) return false;
    describe_processor(device->name, sizeof device->name);
    snprintf(device->driver, sizeof device->driver, "wane %s, %s kernels", wane_version(), set->name);
    device->native = (void *)set;
    device->host_memory = true;
    device->hidden = hidden;
    device->trusted = true;
    wane_limits *l = &device->limits;
    l->struct_size = sizeof *l;
    l->backend = WANE_BACKEND_CPU;
    l->tier = 2;
    l->max_lanes = 1;
    l->shared_bytes = 1 << 16;
    l->max_window_bytes = (uint64_t)1 << 46;
    l->max_buffer_bytes = (uint64_t)1 << 46;
    l->offset_align_bytes = 1;
    l->max_groups = UINT32_MAX;
    l->max_dispatch_elems = (uint64_t)1 << 40;
    return true;
}

static wane_status cpu_discover(wane_context *context, void **state)
{
    const wane_cpu_set *sets[WANE_CPU_SETS_MOST];
    uint32_t count = wane_cpu_sets(sets);
    wane_pool *pool = *state;
    wane_status status = pool ? WANE_OK : wane_pool_create(context, &pool);
    if (status) return status;
    *state = pool;
    bool good = add_device(context, "cpu", sets[count - 1], false);
    for (uint32_t i = 0; i < count && good; i++) {
        char id[32];
        snprintf(id, sizeof id, "cpu:%s", sets[i]->name);
        good = add_device(context, id, sets[i], true);
    }
    return good ? WANE_OK : wane_no_memory(context);
}

static void cpu_shutdown(wane_context *context, void *state)
{
    (void)context;
    wane_pool_destroy(state);
}

static wane_pool *pool_of(wane_context *context)
{
    for (uint32_t i = 0; wane_backends[i]; i++)
        if (wane_backends[i] == &wane_backend_cpu) return context->backend_state[i];
    return NULL;
}

static wane_status cpu_open(wane_device *device) { (void)device; return WANE_OK; }
static void cpu_close(wane_device *device) { (void)device; }

// ---- buffers ----

static wane_status cpu_buffer_create(wane_buffer *buffer)
{
    buffer->host = wane_alloc(buffer->context, (size_t)wane_round_up(buffer->bytes ? buffer->bytes : 1, 4));
    return buffer->host ? WANE_OK : wane_no_memory(buffer->context);
}

static void cpu_buffer_destroy(wane_buffer *buffer) { wane_free(buffer->context, buffer->host); }

// core copies by itself where a buffer has a host pointer
static wane_status cpu_buffer_write(wane_buffer *buffer, uint64_t byte_offset, const void *data, uint64_t bytes)
{
    memcpy((char *)buffer->host + byte_offset, data, (size_t)bytes);
    return WANE_OK;
}

static wane_status cpu_buffer_read(wane_buffer *buffer, uint64_t byte_offset, void *data, uint64_t bytes)
{
    memcpy(data, (char *)buffer->host + byte_offset, (size_t)bytes);
    return WANE_OK;
}

// ---- programs and recorders: nothing to prepare ----

static wane_status cpu_program_create(wane_device *device, const wane_plan *plan, void **program)
{
    (void)device;
    (void)plan;
    *program = NULL;
    return WANE_OK;
}

static void cpu_program_destroy(wane_device *device, void *program) { (void)device; (void)program; }

static wane_status cpu_recorder_create(wane_device *device, const wane_plan *const *plans, void *const *programs,
                                       uint32_t count, uint32_t dispatch_capacity, void **recorder)
{
    (void)device, (void)plans, (void)programs, (void)count, (void)dispatch_capacity;
    *recorder = NULL;
    return WANE_OK;
}

static wane_status cpu_recorder_reset(wane_device *device, void *recorder)
{
    (void)device;
    (void)recorder;
    return WANE_OK;
}
static void cpu_recorder_destroy(wane_device *device, void *recorder) { (void)device; (void)recorder; }

// ---- run ----

enum { CHAIN_MOST = 12 };                   // passes

typedef struct chain_link {
    wane_cpu_kernel kernel;
    wane_cpu_call call;
    uint32_t row_items;                    // of the kernel's items, to an item of the job
} chain_link;

// A pass; or a chain of passes by rows, which are the job's items then: some rows at a time go through all of its passes, and
// find themselves in a core's caches from the second on.
typedef struct range_job {
    chain_link links[CHAIN_MOST];
    uint32_t link_count, step;             // items that go through the links together
    uint32_t items, unit, parts;           // a part is so many whole units, of `unit` items each
    uint32_t tasks;                        // each has a scratch of its own; fewer than parts take parts until there are none
    _Atomic uint32_t taken;
} range_job;

static void run_part(const range_job *job, uint32_t task, uint32_t part)
{
    uint64_t units = (job->items + job->unit - 1) / job->unit;
    uint64_t begin = units * part / job->parts * job->unit, end = units * (part + 1) / job->parts * job->unit;
    end = wane_min_u64(end, job->items);
    for (uint64_t item = begin, next; item < end; item = next) {
        next = wane_min_u64(item + job->step, end);
        for (uint32_t i = 0; i < job->link_count; i++) {
            const chain_link *link = &job->links[i];
            wane_cpu_call call = link->call;
            if (call.scratch) call.scratch = (char *)call.scratch + call.scratch_bytes * task;
            link->kernel(&call, (uint32_t)item * link->row_items, (uint32_t)next * link->row_items);
        }
    }
}

static void run_task(void *argument, uint32_t index)
{
    range_job *job = argument;
    uint64_t mode = wane_float_mode_enter();
    if (job->tasks == job->parts) run_part(job, index, index);
    else
        for (uint32_t part; (part = atomic_fetch_add(&job->taken, 1)) < job->parts;) run_part(job, index, part);
    wane_float_mode_leave(mode);
}

// ---- scratch: what a kernel keeps in a core's second cache from one look at a row to the next ----

enum { SCRATCH_ALIGN_BYTES = 64, SCRATCH_APART_BYTES = 64 * 5 };       // so that threads' do not share lines of a cache's set

// Of one thread. Exponentials of a row, if half of the second cache holds them.
static uint64_t row_scratch(const wane_pass *pass)
{
    struct { SOFTMAX_ROW_WINDOW(OVERRIDE_U_) } w;
    struct { SOFTMAX_ROW_CONSTS(OVERRIDE_C_) } c;
    memcpy(&w, pass->window, sizeof w);
    memcpy(&c, pass->consts, sizeof c);
    uint64_t bytes = wane_round_up((uint64_t)w.cols_here * sizeof(float), SCRATCH_ALIGN_BYTES);
    return (c.options & OPTION_GRAD) && bytes <= wane_cpu_core_cache_bytes() / 2 ? bytes + SCRATCH_APART_BYTES : 0;
}

static bool by_hand(const wane_cpu_set *set, uint32_t kernel)
{
    const wane_cpu_set *sets[WANE_CPU_SETS_MOST];
    wane_cpu_sets(sets);
    return set->kernels[kernel] != sets[0]->kernels[kernel];
}

static uint64_t cpu_scratch_bytes(const wane_device *device, const wane_plan *plan)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < plan->pass_count; i++) {
        const wane_pass *pass = &plan->passes[i];
        if (pass->kernel != WANE_KERNEL_SOFTMAX_ROW || !by_hand(device->native, pass->kernel)) continue;
        uint64_t bytes = row_scratch(pass);
        if (bytes > most) most = bytes;
    }
    return most ? most * wane_pool_width(pool_of(device->context)) + SCRATCH_ALIGN_BYTES : 0;
}

// Matrix tiles: one part a thread, so that what it packs serves many tiles; of whole lines where they come out even.
static void split_tiles(wane_pool *pool, const wane_pass *pass, range_job *job)
{
    uint32_t width = wane_pool_width(pool), line = wane_tile_line(pass->window), lines = pass->items / line;
    job->unit = lines % width == 0 || lines >= width * 8 ? line : 1;
    job->parts = (uint32_t)wane_min_u64(width, pass->items / job->unit);
}

static uint64_t operand_bytes(const wane_pass *pass)
{
    uint64_t bytes = 0;
    for (int i = 0; i < WANE_MAX_SLOTS; i++)
        if (pass->slots[i].operand >= 0) bytes += pass->slots[i].byte_length;
    return bytes;
}

// Whether stores of a kernel, which are all batches', are more than the caches hold.
static bool goes_past_cache(const wane_plan *plan, uint16_t kernel)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < plan->pass_count; i++)
        if (plan->passes[i].kernel == kernel) bytes += operand_bytes(&plan->passes[i]);
    return bytes > wane_cpu_cache_bytes();
}

// A thread is worth waking for some 16 thousand bytes of the operands; four parts a thread even out unequal rows.
static void split_passes(wane_pool *pool, const wane_pass *pass, range_job *job)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < job->link_count; i++) {
        uint64_t touched = operand_bytes(&pass[i]);
        if (!wane_kernels[pass[i].kernel].per_lane && touched == 0) touched = (uint64_t)pass[i].items * 65536;
        bytes += touched + (wane_kernels[pass[i].kernel].per_lane ? (uint64_t)pass[i].items * 64 : 0);
    }
    uint32_t width = wane_pool_width(pool);
    job->unit = 1;
    job->parts = (uint32_t)wane_min_u64(wane_min_u64(bytes / 16384 + 1, job->items), width == 1 ? 1 : width * 4);
    if (pass->kernel == WANE_KERNEL_TILE_PRODUCT) split_tiles(pool, pass, job);
    if (pass->kernel == WANE_KERNEL_RANK_PAIRS) job->parts = (uint32_t)wane_min_u64(job->items, (uint64_t)width * 32);
    job->tasks = job->parts;
    if (pass->kernel == WANE_KERNEL_RANK_PAIRS) job->tasks = (uint32_t)wane_min_u64(job->parts, width);
}

static uint32_t rows_of(const wane_pass *pass) { return pass->row_items ? pass->items / pass->row_items : 0; }

// Sets the job's items: those of the pass, or the rows of as many passes as make a chain with it. Rows that do not come out
// even over the threads are better split within each pass, unless they are many.
static void find_chain(wane_pool *pool, const wane_plan *plan, uint32_t first, range_job *job)
{
    const wane_pass *pass = &plan->passes[first];
    uint32_t rows = rows_of(pass), width = wane_pool_width(pool), count = 1;
    bool even = rows > 0 && (rows % width == 0 || rows >= width * 8);
    while (even && count < CHAIN_MOST && first + count < plan->pass_count && rows_of(&pass[count]) == rows) count++;
    job->link_count = count;
    job->items = job->step = count > 1 ? rows : pass->items;
    for (uint32_t i = 0; i < count; i++) job->links[i].row_items = count > 1 ? pass[i].row_items : 1;
    uint64_t most = 1;
    for (uint32_t i = 0; i < count; i++) most = operand_bytes(&pass[i]) > most ? operand_bytes(&pass[i]) : most;
    if (count == 1) return;
    uint64_t step = wane_cpu_core_cache_bytes() / 2 / (most / rows + 1);
    job->step = (uint32_t)wane_min_u64(step > 0 ? step : 1, rows);
}

static void give_scratch(wane_pool *pool, const wane_plan *plan, const wane_range *workspace, range_job *job)
{
    wane_cpu_call *call = &job->links[0].call;
    char *end = (char *)workspace->buffer->host + workspace->byte_offset + plan->workspace_bytes;
    char *first = end - plan->scratch_bytes;
    first += (SCRATCH_ALIGN_BYTES - (uintptr_t)first % SCRATCH_ALIGN_BYTES) % SCRATCH_ALIGN_BYTES;
    uint32_t threads = wane_pool_width(pool);
    job->tasks = (uint32_t)wane_min_u64(job->parts, threads);
    call->scratch = first;
    call->scratch_bytes = (size_t)((plan->scratch_bytes - SCRATCH_ALIGN_BYTES) / threads);
}

static wane_cpu_call call_of(const wane_plan *plan, const wane_pass *pass, const wane_range *operands, const wane_range *workspace)
{
    wane_cpu_call call = {.record = plan->records[pass->record].words, .window = pass->window, .consts = pass->consts};
    for (int s = 0; s < WANE_MAX_SLOTS; s++) {
        const wane_slot *slot = &pass->slots[s];
        const wane_range *range = slot->operand == WANE_SLOT_WORKSPACE ? workspace
                                : slot->operand >= 0 ? &operands[slot->operand] : NULL;
        call.slots[s] = range ? (uint32_t *)((char *)range->buffer->host + (int64_t)range->byte_offset
                                             + slot->byte_offset + (int64_t)slot->origin_bytes) : NULL;
    }
    return call;
}

static wane_status cpu_run(wane_device *device, const wane_plan *plan, void *program, void *recorder,
                           const wane_range *operands, const wane_range *workspace)
{
    (void)program;
    (void)recorder;
    static const uint16_t writers[] = {WANE_KERNEL_SOFTMAX_ROW, WANE_KERNEL_SOFTMAX_WRITE, WANE_KERNEL_SOFTMAX_PAIR_WRITE};
    enum { WRITERS = sizeof writers / sizeof *writers };
    const wane_cpu_set *set = device->native;
    wane_pool *pool = pool_of(device->context);
    bool past[WRITERS];
    for (int k = 0; k < WRITERS; k++) past[k] = goes_past_cache(plan, writers[k]);
    for (uint32_t i = 0; i < plan->pass_count;) {
        range_job job = {0};
        find_chain(pool, plan, i, &job);
        const wane_pass *passes = &plan->passes[i];
        for (uint32_t k = 0; k < job.link_count; k++) {
            chain_link *link = &job.links[k];
            link->kernel = set->kernels[passes[k].kernel];
            link->call = call_of(plan, &passes[k], operands, workspace);
            for (int w = 0; w < WRITERS; w++)
                if (passes[k].kernel == writers[w] && operand_bytes(&passes[k]) > 0) link->call.past_cache = past[w];
        }
        split_passes(pool, passes, &job);
        if (plan->scratch_bytes && passes->kernel == WANE_KERNEL_SOFTMAX_ROW) give_scratch(pool, plan, workspace, &job);
        wane_pool_run(pool, job.tasks, run_task, &job);
        i += job.link_count;
    }
    return WANE_OK;
}

const wane_backend wane_backend_cpu = {
    WANE_BACKEND_CPU, "cpu", cpu_discover, cpu_shutdown, cpu_open, cpu_close,
    cpu_buffer_create, cpu_buffer_destroy, cpu_buffer_write, cpu_buffer_read,
    cpu_program_create, cpu_program_destroy, cpu_recorder_create, cpu_recorder_reset, cpu_recorder_destroy, cpu_run,
    cpu_scratch_bytes,
};
