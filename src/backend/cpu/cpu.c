// cpu.c - the CPU as a backend: plain memory, kernels in C for each instruction set, ranges of items over threads.
#include "backend/cpu/sets.h"
#include "backend/cpu/threads.h"
#include "backend/cpu/tile_micro.h"

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

typedef struct range_job {
    wane_cpu_kernel kernel;
    const wane_cpu_call *call;
    uint32_t items, unit, parts;           // a part is so many whole units, of `unit` items each
    _Atomic uint32_t taken;                // where threads take parts as they come: parts that are
} range_job;

static void run_part(void *argument, uint32_t index)
{
    const range_job *job = argument;
    uint64_t units = (job->items + job->unit - 1) / job->unit;
    uint64_t begin = units * index / job->parts * job->unit, end = units * (index + 1) / job->parts * job->unit;
    job->kernel(job->call, (uint32_t)begin, (uint32_t)wane_min_u64(end, job->items));
}

// A thread takes parts until there are none: for parts of very unequal work.
static void run_parts(void *argument, uint32_t thread)
{
    (void)thread;
    range_job *job = argument;
    for (uint32_t index; (index = atomic_fetch_add(&job->taken, 1)) < job->parts;) run_part(job, index);
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

// A thread is worth waking for some 16 thousand bytes of the operands; four parts a thread even out unequal rows.
static void split_pass(wane_pool *pool, const wane_pass *pass, range_job *job)
{
    uint64_t bytes = operand_bytes(pass);
    if (!wane_kernels[pass->kernel].per_lane && bytes == 0) bytes = (uint64_t)pass->items * 65536;
    if (wane_kernels[pass->kernel].per_lane) bytes += (uint64_t)pass->items * 64;
    uint32_t width = wane_pool_width(pool);
    job->unit = 1;
    job->parts = (uint32_t)wane_min_u64(wane_min_u64(bytes / 16384 + 1, pass->items), width == 1 ? 1 : width * 4);
    if (pass->kernel == WANE_KERNEL_TILE_PRODUCT) split_tiles(pool, pass, job);
    if (pass->kernel == WANE_KERNEL_RANK_PAIRS) job->parts = (uint32_t)wane_min_u64(pass->items, (uint64_t)width * 32);
}

static wane_status cpu_run(wane_device *device, const wane_plan *plan, void *program, void *recorder,
                           const wane_range *operands, const wane_range *workspace)
{
    (void)program;
    (void)recorder;
    const wane_cpu_set *set = device->native;
    wane_pool *pool = pool_of(device->context);
    const uint64_t cache_bytes = wane_cpu_cache_bytes();
    for (uint32_t i = 0; i < plan->pass_count; i++) {
        const wane_pass *pass = &plan->passes[i];
        wane_cpu_call call;
        call.record = plan->records[pass->record].words;
        call.window = pass->window;
        call.consts = pass->consts;
        call.past_cache = operand_bytes(pass) > cache_bytes;
        for (int s = 0; s < WANE_MAX_SLOTS; s++) {
            const wane_slot *slot = &pass->slots[s];
            const wane_range *range = slot->operand == WANE_SLOT_WORKSPACE ? workspace
                                    : slot->operand >= 0 ? &operands[slot->operand] : NULL;
            call.slots[s] = range ? (uint32_t *)((char *)range->buffer->host + (int64_t)range->byte_offset
                                                 + slot->byte_offset + (int64_t)slot->origin_bytes) : NULL;
        }
        range_job job = {.kernel = set->kernels[pass->kernel], .call = &call, .items = pass->items};
        split_pass(pool, pass, &job);
        bool uneven = pass->kernel == WANE_KERNEL_RANK_PAIRS;
        wane_pool_run(pool, uneven ? wane_pool_width(pool) : job.parts, uneven ? run_parts : run_part, &job);
    }
    return WANE_OK;
}

const wane_backend wane_backend_cpu = {
    WANE_BACKEND_CPU, "cpu", cpu_discover, cpu_shutdown, cpu_open, cpu_close,
    cpu_buffer_create, cpu_buffer_destroy, cpu_buffer_write, cpu_buffer_read,
    cpu_program_create, cpu_program_destroy, cpu_recorder_create, cpu_recorder_reset, cpu_recorder_destroy, cpu_run,
};
