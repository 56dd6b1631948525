// record.c - passes into a command buffer; and run, which submits them.
#include "backend/vulkan/vulkan.h"

enum { SUBMIT_PASSES = 16 };                // of one submission of run: a watchdog counts submissions, not dispatches

// ---- recorders ----------------------------------------------------------------------------------------------------

static wane_status make_sets(wane_device *device, vulkan_recorder *recorder)
{
    vulkan_device *d = vulkan_of(device);
    uint32_t count = recorder->capacity;
    const VkDescriptorPoolSize sizes[2] = {{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, count * WANE_MAX_SLOTS},
                                           {VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, count}};
    const VkDescriptorPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                             .maxSets = count,
                                             .poolSizeCount = 2,
                                             .pPoolSizes = sizes};
    VkResult result = d->vk.CreateDescriptorPool(d->device, &pool, NULL, &recorder->pool);
    if (result != VK_SUCCESS) {
        recorder->pool = VK_NULL_HANDLE;
        return vulkan_fail(device, result, WANE_ERROR_DEVICE_MEMORY, "vkCreateDescriptorPool");
    }
    VkDescriptorSetLayout layouts[64];
    for (uint32_t i = 0; i < 64; i++) layouts[i] = d->set_layout;
    for (uint32_t done = 0; done < count; done += 64) {
        const VkDescriptorSetAllocateInfo sets = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                                  .descriptorPool = recorder->pool,
                                                  .descriptorSetCount = count - done < 64 ? count - done : 64,
                                                  .pSetLayouts = layouts};
        result = d->vk.AllocateDescriptorSets(d->device, &sets, recorder->sets + done);
        if (result != VK_SUCCESS)
            return vulkan_fail(device, result, WANE_ERROR_DEVICE_MEMORY, "vkAllocateDescriptorSets");
    }
    return WANE_OK;
}

static wane_status make_event(wane_device *device, vulkan_recorder *recorder)
{
#ifdef NDEBUG
    (void)device;
    (void)recorder;
#else
    vulkan_device *d = vulkan_of(device);
    const VkEventCreateInfo info = {.sType = VK_STRUCTURE_TYPE_EVENT_CREATE_INFO};
    if (d->portability_subset) return WANE_OK;             // events are optional there
    VkResult result = d->vk.CreateEvent(d->device, &info, NULL, &recorder->done);
    if (result != VK_SUCCESS) {
        recorder->done = VK_NULL_HANDLE;
        return vulkan_fail(device, result, WANE_ERROR_DRIVER, "vkCreateEvent");
    }
#endif
    return WANE_OK;
}

wane_status vulkan_recorder_create(wane_device *device, const wane_plan *const *plans, void *const *programs,
                                   uint32_t count, uint32_t dispatch_capacity, void **out)
{
    (void)plans;
    (void)programs;
    (void)count;
    *out = NULL;
    wane_status status = wane_device_check(device);
    if (status) return status;
    vulkan_recorder *recorder = wane_alloc(device->context, sizeof *recorder);
    if (!recorder) return wane_no_memory(device->context);
    recorder->capacity = dispatch_capacity ? dispatch_capacity : 1;
    recorder->sets = wane_alloc(device->context, (size_t)recorder->capacity * sizeof *recorder->sets);
    status = recorder->sets ? make_sets(device, recorder) : wane_no_memory(device->context);
    if (!status) status = make_event(device, recorder);
    if (!status && vulkan_of(device)->queue) status = vulkan_commands_create(device, &recorder->commands);
    if (status) {
        vulkan_recorder_destroy(device, recorder);
        return status;
    }
    *out = recorder;
    return WANE_OK;
}

// Whether the device has come past what was recorded for the host. A release build has no event, and trusts the host.
wane_status vulkan_recorder_reset(wane_device *device, void *argument)
{
    vulkan_device *d = vulkan_of(device);
    vulkan_recorder *recorder = argument;
    if (recorder->done && recorder->recorded && !wane_device_check(device)) {
        VkResult result = d->vk.GetEventStatus(d->device, recorder->done);
        if (result == VK_ERROR_DEVICE_LOST) return vulkan_fail(device, result, WANE_ERROR_DRIVER, "vkGetEventStatus");
        if (result == VK_EVENT_RESET)
            return wane_fail(device->context, WANE_ERROR_IN_USE, "recorder",
                             "is reset before the device has done what was recorded: wait for it first");
        d->vk.ResetEvent(d->device, recorder->done);
    }
    recorder->recorded = false;
    recorder->used = 0;
    return WANE_OK;
}

void vulkan_recorder_destroy(wane_device *device, void *argument)
{
    vulkan_device *d = vulkan_of(device);
    vulkan_recorder *recorder = argument;
    if (!recorder) return;
    vulkan_commands_destroy(d, &recorder->commands);
    if (recorder->done) d->vk.DestroyEvent(d->device, recorder->done, NULL);
    if (recorder->pool) d->vk.DestroyDescriptorPool(d->device, recorder->pool, NULL);
    wane_free(device->context, recorder->sets);
    wane_free(device->context, recorder);
}

// ---- one pass -----------------------------------------------------------------------------------------------------

typedef struct work {
    wane_device *device;
    const wane_plan *plan;
    const vulkan_program *program;
    const wane_range *operands, *workspace;
} work;

// A slot as a descriptor, whose start the device wants aligned, and the halves from there to the kernel's index 0.
static wane_status bind_slot(const work *w, const wane_pass *pass, uint32_t index, VkDescriptorBufferInfo *info,
                             uint32_t *base)
{
    const vulkan_device *d = vulkan_of(w->device);
    const wane_slot *slot = &pass->slots[index];
    *info = (VkDescriptorBufferInfo){d->dummy.buffer, 0, 256};
    *base = 0;
    if (slot->operand == WANE_SLOT_NONE || slot->byte_length == 0) return WANE_OK;
    const wane_range *range = slot->operand == WANE_SLOT_WORKSPACE ? w->workspace : &w->operands[slot->operand];
    if (!range->buffer) return WANE_OK;     // a view without elements needs no memory
    const char *name = slot->operand == WANE_SLOT_WORKSPACE ? "workspace" : w->plan->operands[slot->operand].role->name;
    const VkPhysicalDeviceLimits *limits = &d->properties.limits;
    uint64_t align = limits->minStorageBufferOffsetAlignment < 4 ? 4 : limits->minStorageBufferOffsetAlignment;
    uint64_t start = range->byte_offset + (uint64_t)slot->byte_offset;      // modulo 2^64: the sum is not negative
    uint64_t aligned = start / align * align;
    uint64_t length = wane_round_up(start - aligned + slot->byte_length, 4);
    // our own buffers are made in steps of 16 bytes
    uint64_t end = range->buffer->owned ? wane_round_up(range->buffer->bytes, 16) : range->buffer->bytes;
    if (aligned > end || length > end - aligned)
        return wane_fail(w->device->context, WANE_ERROR_BOUNDS, name,
                         "reaches byte %llu of a buffer of %llu: make it reach the next multiple of 4",
                         (unsigned long long)(aligned + length), (unsigned long long)end);
    if (length > limits->maxStorageBufferRange)
        return wane_fail(w->device->context, WANE_ERROR_TOO_LARGE, name,
                         "a pass binds %llu bytes, more than the device's %u", (unsigned long long)length,
                         (unsigned)limits->maxStorageBufferRange);
    info->buffer = vulkan_buffer_handle(range->buffer->native[0]);
    info->offset = aligned;
    info->range = length;
    *base = (uint32_t)((start - aligned + slot->origin_bytes) / 2);
    return WANE_OK;
}

// Groups of a pass as a grid: one row of them, or as many rows of equal length as it takes.
static bool make_grid(const wane_device *device, const wane_pass *pass, uint32_t *x, uint32_t *y)
{
    uint32_t lanes = wane_kernels[pass->kernel].per_lane ? VULKAN_LANES : 1;
    uint64_t groups = ((uint64_t)pass->items + lanes - 1) / lanes;
    uint64_t most = device->limits.max_groups;
    uint64_t rows = (groups + most - 1) / most;
    uint64_t each = rows ? (groups + rows - 1) / rows : 0;
    *x = (uint32_t)each;
    *y = (uint32_t)rows;
    return rows >= 1 && rows <= most;
}

// Everything that could be wrong with a record, before anything is recorded.
static wane_status check_passes(const work *w)
{
    for (uint32_t i = 0; i < w->plan->pass_count; i++) {
        const wane_pass *pass = &w->plan->passes[i];
        VkDescriptorBufferInfo info;
        uint32_t base, x, y;
        for (uint32_t s = 0; s < wane_kernels[pass->kernel].slot_count; s++) {
            wane_status status = bind_slot(w, pass, s, &info, &base);
            if (status) return status;
        }
        if (!make_grid(w->device, pass, &x, &y))
            return wane_fail(w->device->context, WANE_ERROR_TOO_LARGE, NULL, "a pass of %u items does not fit a grid",
                             (unsigned)pass->items);
    }
    return WANE_OK;
}

static void record_pass(const work *w, uint32_t index, VkDescriptorSet set, VkCommandBuffer commands)
{
    vulkan_device *d = vulkan_of(w->device);
    const wane_pass *pass = &w->plan->passes[index];
    VkDescriptorBufferInfo infos[WANE_MAX_SLOTS + 1];
    VkWriteDescriptorSet writes[WANE_MAX_SLOTS + 1];
    uint32_t push[VULKAN_PUSH_WORDS] = {0};
    uint32_t slots = wane_kernels[pass->kernel].slot_count, x = 0, y = 0;
    for (uint32_t s = 0; s < slots; s++) (void)bind_slot(w, pass, s, &infos[s], &push[WANE_MAX_WINDOW + s]);
    infos[slots].buffer = w->program->records.buffer;
    infos[slots].offset = (VkDeviceSize)pass->record * w->program->record_stride;
    infos[slots].range = VULKAN_RECORD_BYTES;
    for (uint32_t s = 0; s <= slots; s++)
        writes[s] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = set,
                                           .dstBinding = s < slots ? s : VULKAN_UNIFORM,
                                           .descriptorCount = 1,
                                           .descriptorType = s < slots ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
                                                                       : VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER,
                                           .pBufferInfo = &infos[s]};
    d->vk.UpdateDescriptorSets(d->device, slots + 1, writes, 0, NULL);
    (void)make_grid(w->device, pass, &x, &y);
    memcpy(push, pass->window, sizeof pass->window);
    push[0] = pass->items;
    push[1] = x;
    d->vk.CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, w->program->pipelines[index]);
    d->vk.CmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, d->pipeline_layout, 0, 1, &set, 0, NULL);
    d->vk.CmdPushConstants(commands, d->pipeline_layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push, push);
    d->vk.CmdDispatch(commands, x, y, 1);
}

// What stands between two passes.
static void pass_barrier(vulkan_device *d, VkCommandBuffer commands)
{
    const VkAccessFlags both = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
    const VkAccessFlags all = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;
    if (d->quirks & VULKAN_QUIRK_FULL_BARRIER)
        vulkan_barrier(d, commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_ACCESS_MEMORY_WRITE_BIT,
                       VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, all);
    else
        vulkan_barrier(d, commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
                       VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, both);
}

static void record_passes(const work *w, vulkan_recorder *recorder, uint32_t begin, uint32_t end,
                          VkCommandBuffer commands)
{
    for (uint32_t i = begin; i < end; i++) {
        if (i > begin && !(w->plan->passes[i].flags & WANE_PASS_WITH_PREVIOUS))
            pass_barrier(vulkan_of(w->device), commands);
        record_pass(w, i, recorder->sets[recorder->used++], commands);
    }
}

wane_status vulkan_check(wane_device *device, const wane_plan *plan, const wane_range *operands,
                         const wane_range *workspace)
{
    const work w = {device, plan, NULL, operands, workspace};
    return check_passes(&w);
}

void vulkan_record(wane_device *device, const wane_plan *plan, const vulkan_program *program, vulkan_recorder *recorder,
                   const wane_range *operands, const wane_range *workspace, VkCommandBuffer commands)
{
    const work w = {device, plan, program, operands, workspace};
    record_passes(&w, recorder, 0, plan->pass_count, commands);
    if (recorder->done)
        vulkan_of(device)->vk.CmdSetEvent(commands, recorder->done, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT);
    recorder->recorded = true;
}

// ---- run ----------------------------------------------------------------------------------------------------------

static wane_status submit_passes(const work *w, vulkan_recorder *recorder, uint32_t begin, uint32_t end)
{
    vulkan_device *d = vulkan_of(w->device);
    vulkan_commands *commands = &recorder->commands;
    wane_status status = vulkan_commands_begin(w->device, commands);
    if (status) return status;
    vulkan_barrier(d, commands->buffer, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                   VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                   VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT);
    record_passes(w, recorder, begin, end, commands->buffer);
    vulkan_barrier(d, commands->buffer, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
                   VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    return vulkan_commands_finish(w->device, commands);
}

wane_status vulkan_run(wane_device *device, const wane_plan *plan, void *program, void *argument,
                       const wane_range *operands, const wane_range *workspace)
{
    vulkan_recorder *recorder = argument;
    const work w = {device, plan, program, operands, workspace};
    wane_status status = wane_device_check(device);
    if (status) return status;
    if (!vulkan_of(device)->queue)
        return wane_fail(device->context, WANE_ERROR_UNSUPPORTED, device->id,
                         "was wrapped without a VkQueue: use wane_record_vulkan, or give a queue");
    recorder->used = 0;
    status = check_passes(&w);
    for (uint32_t begin = 0; begin < plan->pass_count && !status; begin += SUBMIT_PASSES)
        status = submit_passes(&w, recorder, begin, begin + SUBMIT_PASSES < plan->pass_count ? begin + SUBMIT_PASSES
                                                                                             : plan->pass_count);
    return status;
}
