// program.c - compiles kernels: once for each kernel, constants and group size on a device, whatever the extents.
//
// The source is compiled unless the host's cache has a binary. A binary that the driver does not take is dropped
// without a word, and the source compiled.
#include "backend/opencl/opencl.h"

#include "backend/opencl/text.h"

#include <stdio.h>

typedef struct opencl_text {
    const unsigned char *text;
    const size_t *bytes;
    const char *consts[WANE_MAX_CONSTS + 1]; // names by id; 0 is the group size
} opencl_text;

#define CONST_NAME(id, name) [id] = #name,
#define WANE_KERNEL(name, NAME, unit)                            \
    [WANE_KERNEL_##NAME] = {wane_opencl_text_##name,             \
                            &wane_opencl_bytes_##name,           \
                            {[0] = "lanes", NAME##_CONSTS(CONST_NAME)}},
static const opencl_text texts[WANE_KERNEL_COUNT] = {
#include "core/kernels.def"
};
#undef CONST_NAME

enum { OPTIONS_BYTES = 512, KEY_BYTES = 96 };

static void make_options(const opencl_device *native, const opencl_variant *variant, char *out)
{
    const opencl_text *text = &texts[variant->kernel];
    size_t used = (size_t)snprintf(
        out, OPTIONS_BYTES, "-cl-std=CL1.2 -w%s -DK_INDEX=%s -DK_GROUP_SIZE=%u -DK_LANES=%uu -DK_OWN=%uu",
        native->exact_division ? " -cl-fp32-correctly-rounded-divide-sqrt" : "", native->wide ? "long" : "int",
        variant->lanes, variant->lanes, OPENCL_VIRTUAL_LANES / variant->lanes);
    for (uint32_t i = 0; i < WANE_MAX_CONSTS; i++)
        if (text->consts[i + 1] && used < OPTIONS_BYTES)
            used += (size_t)snprintf(out + used, OPTIONS_BYTES - used, " -DK_CONST_%s=%uu", text->consts[i + 1],
                                     variant->consts[i]);
}

// A short name, since hosts make file names of it; all that decides about the binary is in the hash.
static void make_key(const wane_device *device, const opencl_variant *variant, const char *options, char *out)
{
    const opencl_text *text = &texts[variant->kernel];
    uint64_t hash = wane_hash(0, text->text, *text->bytes);
    hash = wane_hash(hash, options, strlen(options) + 1);
    hash = wane_hash(hash, device->name, strlen(device->name) + 1);
    hash = wane_hash(hash, device->driver, strlen(device->driver) + 1);
    snprintf(out, KEY_BYTES, "opencl-%s-%016llx", wane_kernels[variant->kernel].name, (unsigned long long)hash);
}

static void kernel_name(const opencl_variant *variant, char out[64])
{
    snprintf(out, 64, "wane_%s", wane_kernels[variant->kernel].name);
}

static void drop(const opencl_api *cl, opencl_variant *variant)
{
    if (variant->program) cl->ReleaseProgram(variant->program);
    variant->program = NULL;
}

// Whether the program holds the kernel, and how many lanes its registers allow; 0 if it does not.
static size_t probe(wane_device *device, const opencl_variant *variant, cl_int *code)
{
    const opencl_api *cl = opencl_calls(device);
    char name[64];
    kernel_name(variant, name);
    cl_kernel kernel = cl->CreateKernel(variant->program, name, code);
    if (*code) return 0;
    size_t lanes = 0;
    *code = cl->GetKernelWorkGroupInfo(kernel, opencl_of(device)->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof lanes, &lanes,
                                       NULL);
    cl->ReleaseKernel(kernel);
    return *code ? 0 : lanes;
}

static bool from_cache(wane_device *device, opencl_variant *variant, const char *options, const char *key)
{
    const opencl_api *cl = opencl_calls(device);
    opencl_device *native = opencl_of(device);
    size_t bytes = 0;
    void *binary = wane_cache_load(device->context, key, &bytes);
    if (!binary) return false;
    cl_int code = CL_SUCCESS, taken = CL_SUCCESS;
    const unsigned char *data = binary;
    variant->program = cl->CreateProgramWithBinary(native->context, 1, &native->id, &bytes, &data, &taken, &code);
    if (code) variant->program = NULL;
    if (!code && !taken) code = cl->BuildProgram(variant->program, 1, &native->id, options, NULL, NULL);
    bool works = !code && !taken && probe(device, variant, &code) >= variant->lanes;
    if (!works) {
        drop(cl, variant);
        wane_cache_refuse(device->context);
    }
    wane_free(device->context, binary);
    return works;
}

// Gives the host the binary of our device; a host's context may have others. Failing costs a compilation later.
static void to_cache(wane_device *device, const opencl_variant *variant, const char *key)
{
    const opencl_api *cl = opencl_calls(device);
    if (!device->context->desc.cache.store || opencl_of(device)->quirks & OPENCL_QUIRK_NO_BINARIES) return;
    cl_uint count = 0;
    if (cl->GetProgramInfo(variant->program, CL_PROGRAM_NUM_DEVICES, sizeof count, &count, NULL) || !count) return;
    cl_device_id *ids = wane_alloc(device->context, count * sizeof *ids);
    size_t *sizes = wane_alloc(device->context, count * sizeof *sizes);
    unsigned char **binaries = wane_alloc(device->context, count * sizeof *binaries);
    bool known = ids && sizes && binaries
                 && !cl->GetProgramInfo(variant->program, CL_PROGRAM_DEVICES, count * sizeof *ids, ids, NULL)
                 && !cl->GetProgramInfo(variant->program, CL_PROGRAM_BINARY_SIZES, count * sizeof *sizes, sizes, NULL);
    cl_uint own = 0;
    while (known && own < count && ids[own] != opencl_of(device)->id) own++;
    unsigned char *binary = known && own < count && sizes[own] ? wane_alloc(device->context, sizes[own]) : NULL;
    if (binary) {
        binaries[own] = binary;
        if (!cl->GetProgramInfo(variant->program, CL_PROGRAM_BINARIES, count * sizeof *binaries, binaries, NULL))
            wane_cache_store(device->context, key, binary, sizes[own]);
    }
    wane_free(device->context, binary);
    wane_free(device->context, binaries);
    wane_free(device->context, sizes);
    wane_free(device->context, ids);
}

// Reports a refused kernel with the head of the compiler's log.
static wane_status report(wane_device *device, const opencl_variant *variant, cl_int code, const char *options)
{
    const opencl_api *cl = opencl_calls(device);
    size_t bytes = 0;
    char *log = NULL;
    if (!cl->GetProgramBuildInfo(variant->program, opencl_of(device)->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes)
        && bytes)
        log = wane_alloc(device->context, bytes + 1);
    if (log && cl->GetProgramBuildInfo(variant->program, opencl_of(device)->id, CL_PROGRAM_BUILD_LOG, bytes, log, NULL))
        log[0] = 0;
    wane_status status = wane_fail_native(device->context, WANE_ERROR_BUILD, code,
                                          "%s (%s, %s): clBuildProgram answered %s (%d) for %s with %s: %.600s",
                                          device->id, device->name, device->driver, opencl_error_name(code), (int)code,
                                          wane_kernels[variant->kernel].name, options, log ? log : "no log");
    wane_free(device->context, log);
    return status;
}

static wane_status from_source(wane_device *device, opencl_variant *variant, const char *options, size_t *lanes)
{
    const opencl_api *cl = opencl_calls(device);
    opencl_device *native = opencl_of(device);
    const char *text = (const char *)texts[variant->kernel].text;
    cl_int code = CL_SUCCESS;
    *lanes = 0;
    variant->program = cl->CreateProgramWithSource(native->context, 1, &text, texts[variant->kernel].bytes, &code);
    if (code) {
        variant->program = NULL;
        return opencl_check(device, code, "clCreateProgramWithSource", WANE_ERROR_DRIVER);
    }
    uint64_t start = wane_clock_ns();
    code = cl->BuildProgram(variant->program, 1, &native->id, options, NULL, NULL);
    wane_status status = WANE_OK;
    if (code == CL_OUT_OF_HOST_MEMORY || code == CL_DEVICE_NOT_AVAILABLE)
        status = opencl_check(device, code, "clBuildProgram", WANE_ERROR_BUILD);
    else if (code)
        status = report(device, variant, code, options);
    if (status == WANE_OK) {
        *lanes = probe(device, variant, &code);
        status = opencl_check(device, code, "clCreateKernel", WANE_ERROR_BUILD);
        wane_log(device->context, WANE_LOG_DEBUG, "%s: %s compiled in %.1f ms", device->id, wane_kernels[variant->kernel].name,
                 wane_ms_since(start));
    }
    if (status) drop(cl, variant);
    return status;
}

// Compiles for the device's group size, and for half of it as often as the kernel takes more registers than such a
// group has: results do not depend on the size of groups.
static wane_status build(wane_device *device, opencl_variant *variant)
{
    for (;;) {
        char options[OPTIONS_BYTES], key[KEY_BYTES];
        make_options(opencl_of(device), variant, options);
        make_key(device, variant, options, key);
        if (from_cache(device, variant, options, key)) return WANE_OK;
        size_t lanes = 0;
        wane_status status = from_source(device, variant, options, &lanes);
        if (status) return status;
        if (lanes >= variant->lanes) {
            to_cache(device, variant, key);
            return WANE_OK;
        }
        drop(opencl_calls(device), variant);
        if (variant->lanes == 1)
            return wane_fail_native(device->context, WANE_ERROR_BUILD, 0,
                                    "%s: its compiler allows no group at all for %s", device->id,
                                    wane_kernels[variant->kernel].name);
        wane_log(device->context, WANE_LOG_INFO, "%s: %s allows groups of %zu work items, %u were wanted", device->id,
                 wane_kernels[variant->kernel].name, lanes, variant->lanes);
        variant->lanes /= 2;
    }
}

// The variant of a pass, made if there is none yet. Under the device's lock.
static wane_status find_variant(wane_device *device, const wane_pass *pass, const opencl_variant **out)
{
    opencl_device *native = opencl_of(device);
    for (opencl_variant *v = native->variants; v; v = v->next)
        if (v->kernel == pass->kernel && memcmp(v->consts, pass->consts, sizeof v->consts) == 0) {
            *out = v;
            return WANE_OK;
        }
    opencl_variant *variant = wane_alloc(device->context, sizeof *variant);
    if (!variant) return wane_no_memory(device->context);
    variant->kernel = pass->kernel;
    memcpy(variant->consts, pass->consts, sizeof variant->consts);
    variant->lanes = native->lanes;
    wane_status status = build(device, variant);
    if (status) {
        wane_free(device->context, variant);
        return status;
    }
    variant->next = native->variants;
    native->variants = variant;
    native->variant_count++;
    *out = variant;
    return WANE_OK;
}

// Pointers, the record's among them, offsets and window of a kernel's arguments: at most 168 bytes of the floor's 256.
static wane_status check_arguments(wane_device *device, uint16_t kernel)
{
    const wane_kernel_info *info = &wane_kernels[kernel];
    size_t bytes = info->slot_count * (sizeof(void *) + sizeof(uint64_t)) + sizeof(void *) + info->window_words * 4u;
    if (bytes <= opencl_of(device)->parameter_bytes) return WANE_OK;
    return wane_fail(device->context, WANE_ERROR_UNSUPPORTED, device->id,
                     "%s takes %zu bytes of arguments, the device %zu", info->name, bytes,
                     opencl_of(device)->parameter_bytes);
}

static wane_status make_records(wane_device *device, const wane_plan *plan, opencl_program *program)
{
    program->records = wane_alloc(device->context, (plan->record_count ? plan->record_count : 1) * sizeof(cl_mem));
    if (!program->records) return wane_no_memory(device->context);
    for (uint32_t i = 0; i < plan->record_count; i++) {
        cl_int code = CL_SUCCESS;
        // the driver copies; its signature lacks a const
        cl_mem made = opencl_calls(device)->CreateBuffer(opencl_of(device)->context,
                                                         CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof(wane_record),
                                                         (void *)(uintptr_t)plan->records[i].words, &code);
        wane_status status = opencl_check(device, made || code ? code : CL_OUT_OF_RESOURCES, "clCreateBuffer",
                                          WANE_ERROR_DEVICE_MEMORY);
        if (status) return status;
        program->records[program->record_count++] = made;
    }
    return WANE_OK;
}

wane_status opencl_program_create(wane_device *device, const wane_plan *plan, void **out)
{
    wane_status status = wane_device_check(device);
    if (status) return status;
    opencl_program *program =
        wane_alloc(device->context, sizeof *program + plan->pass_count * sizeof *program->variants);
    if (!program) return wane_no_memory(device->context);
    program->count = plan->pass_count;
    status = make_records(device, plan, program);
    wane_mutex_lock(opencl_of(device)->lock);
    for (uint32_t i = 0; i < plan->pass_count && status == WANE_OK; i++) {
        status = check_arguments(device, plan->passes[i].kernel);
        if (status == WANE_OK) status = find_variant(device, &plan->passes[i], &program->variants[i]);
    }
    wane_mutex_unlock(opencl_of(device)->lock);
    if (status) {
        opencl_program_destroy(device, program);
        return status;
    }
    *out = program;
    return WANE_OK;
}

// The variants stay with the device, for the next plan.
void opencl_program_destroy(wane_device *device, void *data)
{
    opencl_program *program = data;
    if (!program) return;
    for (uint32_t i = 0; i < program->record_count; i++) opencl_calls(device)->ReleaseMemObject(program->records[i]);
    wane_free(device->context, program->records);
    wane_free(device->context, program);
}
