// pipeline.c - kernels as pipelines, kept by the device; what an executable holds; the pipeline cache.
#include "backend/vulkan/vulkan.h"

#include <stdio.h>

// ---- cache --------------------------------------------------------------------------------------------------------

static void cache_key(const vulkan_device *d, char *key, size_t bytes)
{
    char uuid[2 * VK_UUID_SIZE + 1];
    for (uint32_t i = 0; i < VK_UUID_SIZE; i++)
        snprintf(uuid + 2 * i, 3, "%02x", (unsigned)d->properties.pipelineCacheUUID[i]);
    const VkPhysicalDeviceProperties *p = &d->properties;
    snprintf(key, bytes, "vulkan-%08x-%08x-%08x-%s-%s", (unsigned)p->vendorID, (unsigned)p->deviceID,
             (unsigned)p->driverVersion, uuid, vulkan_modules_hash);
}

// Drivers are not trusted to check the header of what they are given.
static bool cache_fits(const vulkan_device *d, const void *data, size_t bytes)
{
    uint32_t head[4];                       // length, version, vendor, device; then the UUID
    if (bytes < sizeof head + VK_UUID_SIZE) return false;
    memcpy(head, data, sizeof head);
    return head[0] >= sizeof head + VK_UUID_SIZE && head[0] <= bytes && head[1] == VK_PIPELINE_CACHE_HEADER_VERSION_ONE
        && head[2] == d->properties.vendorID && head[3] == d->properties.deviceID
        && memcmp((const char *)data + sizeof head, d->properties.pipelineCacheUUID, VK_UUID_SIZE) == 0;
}

wane_status vulkan_cache_open(wane_device *device)
{
    vulkan_device *d = vulkan_of(device);
    char key[256];
    cache_key(d, key, sizeof key);
    size_t bytes = 0;
    void *data = wane_cache_load(device->context, key, &bytes);
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    VkResult result = VK_INCOMPLETE;
    if (data && cache_fits(d, data, bytes)) {
        info.initialDataSize = bytes;
        info.pInitialData = data;
        result = d->vk.CreatePipelineCache(d->device, &info, NULL, &d->cache);
    }
    if (result == VK_SUCCESS) d->cache_hash = wane_hash(0, data, bytes);
    else if (data) wane_cache_refuse(device->context);
    wane_free(device->context, data);
    if (result == VK_SUCCESS) return WANE_OK;
    info.initialDataSize = 0;
    info.pInitialData = NULL;
    result = d->vk.CreatePipelineCache(d->device, &info, NULL, &d->cache);
    if (result == VK_SUCCESS) return WANE_OK;
    d->cache = VK_NULL_HANDLE;
    return vulkan_fail(device, result, WANE_ERROR_DRIVER, "vkCreatePipelineCache");
}

// Hands what was compiled to the host. A failure costs time at the next start, nothing else. Under the device's lock.
static void cache_store(wane_device *device)
{
    vulkan_device *d = vulkan_of(device);
    size_t bytes = 0;
    if (!device->context->desc.cache.store) return;
    if (d->vk.GetPipelineCacheData(d->device, d->cache, &bytes, NULL) != VK_SUCCESS || bytes == 0) return;
    void *data = wane_alloc(device->context, bytes);
    if (!data) return;
    if (d->vk.GetPipelineCacheData(d->device, d->cache, &bytes, data) == VK_SUCCESS && cache_fits(d, data, bytes)
        && wane_hash(0, data, bytes) != d->cache_hash) {
        char key[256];
        cache_key(d, key, sizeof key);
        wane_cache_store(device->context, key, data, bytes);
        d->cache_hash = wane_hash(0, data, bytes);
    }
    wane_free(device->context, data);
}

// ---- pipelines ----------------------------------------------------------------------------------------------------

static wane_status compile(wane_device *device, const wane_pass *pass, VkPipeline *out)
{
    vulkan_device *d = vulkan_of(device);
    const wane_kernel_info *kernel = &wane_kernels[pass->kernel];
    const vulkan_module *text = &vulkan_modules[pass->kernel];
    const VkShaderModuleCreateInfo module_info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                                  .codeSize = text->bytes,
                                                  .pCode = text->words};
    VkShaderModule module = VK_NULL_HANDLE;
    VkResult result = d->vk.CreateShaderModule(d->device, &module_info, NULL, &module);
    if (result != VK_SUCCESS) return vulkan_fail(device, result, WANE_ERROR_BUILD, "vkCreateShaderModule");
    uint32_t values[WANE_MAX_CONSTS + 1] = {VULKAN_LANES};
    VkSpecializationMapEntry entries[WANE_MAX_CONSTS + 1];
    for (uint32_t i = 0; i <= WANE_MAX_CONSTS; i++) {
        if (i > 0) values[i] = pass->consts[i - 1];
        entries[i] = (VkSpecializationMapEntry){i, i * 4, 4};
    }
    const VkSpecializationInfo constants = {kernel->const_count + 1u, entries, sizeof values, values};
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &constants},
        .layout = d->pipeline_layout,
        .basePipelineIndex = -1};
    *out = VK_NULL_HANDLE;
    uint64_t start = wane_clock_ns();
    result = d->vk.CreateComputePipelines(d->device, d->cache, 1, &info, NULL, out);
    d->vk.DestroyShaderModule(d->device, module, NULL);
    if (result == VK_SUCCESS && *out) {
        wane_log(device->context, WANE_LOG_DEBUG, "%s: a pipeline of %s took %.1f ms", device->id, kernel->name,
                 wane_ms_since(start));
        return WANE_OK;
    }
    // some drivers report success and leave a null pipeline, and crash when it is bound
    if (*out) d->vk.DestroyPipeline(d->device, *out, NULL);
    *out = VK_NULL_HANDLE;
    if (result == VK_SUCCESS)
        return wane_fail_native(device->context, WANE_ERROR_BUILD, 0,
                                "%s: the driver made no pipeline of %s and says nothing", device->id, kernel->name);
    wane_log(device->context, WANE_LOG_INFO, "%s: %s was refused", device->id, kernel->name);
    return vulkan_fail(device, result, WANE_ERROR_BUILD, "vkCreateComputePipelines");
}

// The device's pipeline for a pass, compiled if it is the first of its kind. Under the device's lock.
static wane_status find_pipeline(wane_device *device, const wane_pass *pass, VkPipeline *out, bool *fresh)
{
    vulkan_device *d = vulkan_of(device);
    uint32_t consts[WANE_MAX_CONSTS] = {0};
    memcpy(consts, pass->consts, wane_kernels[pass->kernel].const_count * sizeof *consts);
    for (vulkan_pipeline *p = d->pipelines; p; p = p->next)
        if (p->kernel == pass->kernel && memcmp(p->consts, consts, sizeof consts) == 0) {
            *out = p->pipeline;
            return WANE_OK;
        }
    vulkan_pipeline *p = wane_alloc(device->context, sizeof *p);
    if (!p) return wane_no_memory(device->context);
    wane_status status = compile(device, pass, &p->pipeline);
    if (status) {
        wane_free(device->context, p);
        return status;
    }
    p->kernel = pass->kernel;
    memcpy(p->consts, consts, sizeof consts);
    p->next = d->pipelines;
    d->pipelines = p;
    *out = p->pipeline;
    *fresh = true;
    return WANE_OK;
}

// ---- programs -----------------------------------------------------------------------------------------------------

static wane_status write_records(wane_device *device, const wane_plan *plan, vulkan_program *program)
{
    vulkan_device *d = vulkan_of(device);
    uint64_t align = d->properties.limits.minUniformBufferOffsetAlignment;
    program->record_stride = (uint32_t)wane_round_up(VULKAN_RECORD_BYTES, align ? align : 1);
    uint64_t bytes = (uint64_t)program->record_stride * (plan->record_count ? plan->record_count : 1);
    wane_status status = vulkan_memory_create(device, bytes, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT, true,
                                              &program->records);
    if (status) return status;
    for (uint32_t i = 0; i < plan->record_count; i++)
        memcpy((char *)program->records.mapped + (size_t)i * program->record_stride, plan->records[i].words,
               VULKAN_RECORD_BYTES);
    return WANE_OK;
}

static wane_status find_pipelines(wane_device *device, const wane_plan *plan, vulkan_program *program)
{
    vulkan_device *d = vulkan_of(device);
    wane_status status = WANE_OK;
    bool fresh = false;
    wane_mutex_lock(d->lock);
    for (uint32_t i = 0; i < plan->pass_count && !status; i++)
        status = find_pipeline(device, &plan->passes[i], &program->pipelines[i], &fresh);
    if (fresh) cache_store(device);
    wane_mutex_unlock(d->lock);
    return status;
}

wane_status vulkan_program_create(wane_device *device, const wane_plan *plan, void **out)
{
    *out = NULL;
    wane_status status = wane_device_check(device);
    if (status) return status;
    vulkan_program *program = wane_alloc(device->context, sizeof *program);
    if (!program) return wane_no_memory(device->context);
    program->pipelines = wane_alloc(device->context, (plan->pass_count ? plan->pass_count : 1) * sizeof(VkPipeline));
    status = program->pipelines ? write_records(device, plan, program) : wane_no_memory(device->context);
    if (!status) status = find_pipelines(device, plan, program);
    if (status) {
        vulkan_program_destroy(device, program);
        return status;
    }
    *out = program;
    return WANE_OK;
}

void vulkan_program_destroy(wane_device *device, void *argument)
{
    vulkan_program *program = argument;
    if (!program) return;
    vulkan_memory_destroy(vulkan_of(device), &program->records);
    wane_free(device->context, program->pipelines);
    wane_free(device->context, program);
}
