// checked_backend.c - the checked kernels of tests/body as a backend in the place of the CPU's, so that the conformance
// test runs on them: groups of several lanes, every access looked at. A fault that the checker finds fails the run.
#include "mutants.h"

#include "body.h"

#include <stdio.h>
#include <stdlib.h>

enum { LANES = 7 };                         // 128 is no multiple of it, so that no lane count hides a tail

const char *const mutant_device = "cpu";
const bool mutant_hides = false;

#define MUTANT(name, kernel, folder, hidden) extern const body_kernel mutant_##name;
#define MUTANT_LOST(name, kernel)
#include "mutants.def"
#undef MUTANT

static const struct { const char *name; const body_kernel *kernel; } kernels[] = {
#define MUTANT(name, kernel, folder, hidden) {#name, &mutant_##name},
#include "mutants.def"
#undef MUTANT
#undef MUTANT_LOST
};

bool mutant_plant(const mutant *m, wane_context_desc *desc)
{
    (void)desc;
    size_t i = 0, count = sizeof kernels / sizeof kernels[0];
    while (i < count && strcmp(kernels[i].name, m->name) != 0) i++;
    if (i == count) return false;
    body_kernel_replace(kernels[i].kernel);
    mutant_taken();
    return true;
}

extern const wane_backend wane_backend_cpu;

static wane_status discover(wane_context *context, void **state)
{
    (void)state;
    wane_device *device = wane_device_add(context, &wane_backend_cpu, "cpu");
    if (!device) return WANE_ERROR_HOST_MEMORY;
    snprintf(device->name, sizeof device->name, "checked kernels");
    snprintf(device->driver, sizeof device->driver, "groups of %d lanes", LANES);
    device->host_memory = true;
    device->trusted = true;
    // the floor of GPUs, so that plans are theirs
    const wane_limits floor = {.struct_size = sizeof floor, .backend = WANE_BACKEND_CPU, .max_lanes = 128, .shared_bytes = 16384,
                               .max_window_bytes = 1u << 27, .max_buffer_bytes = 1u << 30, .offset_align_bytes = 256,
                               .max_groups = 65535, .max_dispatch_elems = 1u << 26,
                               // heads of both kinds: without memory for logits below that dim
                               .linear_chunk_dim = 12};
    device->limits = floor;
    return WANE_OK;
}

static void shutdown_none(wane_context *context, void *state) { (void)context, (void)state; }
static wane_status open_device(wane_device *device) { (void)device; return WANE_OK; }
static void close_device(wane_device *device) { (void)device; }

static wane_status create_buffer(wane_buffer *buffer)
{
    buffer->host = malloc((size_t)(buffer->bytes + 7) & ~(size_t)3);
    return buffer->host ? WANE_OK : WANE_ERROR_HOST_MEMORY;
}

static void destroy_buffer(wane_buffer *buffer) { free(buffer->host); }

static wane_status write_buffer(wane_buffer *buffer, uint64_t byte_offset, const void *data, uint64_t bytes)
{
    memcpy((char *)buffer->host + byte_offset, data, (size_t)bytes);
    return WANE_OK;
}

static wane_status read_buffer(wane_buffer *buffer, uint64_t byte_offset, void *data, uint64_t bytes)
{
    memcpy(data, (char *)buffer->host + byte_offset, (size_t)bytes);
    return WANE_OK;
}

static wane_status create_program(wane_device *device, const wane_plan *plan, void **program)
{
    (void)device, (void)plan;
    *program = NULL;
    return WANE_OK;
}

static void destroy_program(wane_device *device, void *program) { (void)device, (void)program; }

static wane_status create_recorder(wane_device *device, const wane_plan *const *plans, void *const *programs, uint32_t count,
                                   uint32_t dispatch_capacity, void **recorder)
{
    (void)device, (void)plans, (void)programs, (void)count, (void)dispatch_capacity;
    *recorder = NULL;
    return WANE_OK;
}

static wane_status reset_recorder(wane_device *device, void *recorder) { (void)device, (void)recorder; return WANE_OK; }
static void destroy_recorder(wane_device *device, void *recorder) { (void)device, (void)recorder; }

// The words that hold a view, from the one in which its first byte lies.
static char *first_word(const wane_plan_operand *o, const wane_range *range, uint64_t *element0, uint64_t *bytes)
{
    char *origin = (char *)range->buffer->host + range->byte_offset, *first = origin + o->first_byte;
    uintptr_t odd = (uintptr_t)first % 4;
    *element0 = (uint64_t)(origin - (first - odd));
    *bytes = ((uint64_t)(o->end_byte - o->first_byte) + odd + 3) / 4 * 4;
    return first - odd;
}

static wane_status run(wane_device *device, const wane_plan *plan, void *program, void *recorder, const wane_range *operands,
                       const wane_range *workspace)
{
    (void)program, (void)recorder;
    body_memory memory[WANE_MAX_OPERANDS], work = body_memory_make(NULL, plan->workspace_bytes);
    body_operand bound[WANE_MAX_OPERANDS];
    uint64_t bytes[WANE_MAX_OPERANDS];
    char *home[WANE_MAX_OPERANDS];
    for (uint32_t i = 0; i < plan->operand_count; i++) {
        home[i] = first_word(&plan->operands[i], &operands[i], &bound[i].byte_offset, &bytes[i]);
        memory[i] = body_memory_make(home[i], (size_t)bytes[i]);
        bound[i].memory = &memory[i];
    }
    body_faults_clear();
    bool clean = body_run(plan, LANES, bound, &work);
    for (uint32_t i = 0; i < plan->operand_count; i++) {
        if (plan->operands[i].written) memcpy(home[i], memory[i].words, (size_t)bytes[i]);
        body_memory_free(&memory[i]);
    }
    if (plan->workspace_bytes)
        memcpy((char *)workspace->buffer->host + workspace->byte_offset, work.words, (size_t)plan->workspace_bytes);
    body_memory_free(&work);
    if (clean) return WANE_OK;
    const char *text = body_fault_text(0);
    return wane_fail(device->context, WANE_ERROR_INTERNAL, "", "the checker found: %s", text ? text : "a fault");
}

const wane_backend wane_backend_cpu = {
    .bit = WANE_BACKEND_CPU,
    .name = "cpu",
    .discover = discover,
    .shutdown = shutdown_none,
    .device_open = open_device,
    .device_close = close_device,
    .buffer_create = create_buffer,
    .buffer_destroy = destroy_buffer,
    .buffer_write = write_buffer,
    .buffer_read = read_buffer,
    .program_create = create_program,
    .program_destroy = destroy_program,
    .recorder_create = create_recorder,
    .recorder_reset = reset_recorder,
    .recorder_destroy = destroy_recorder,
    .run = run,
};
