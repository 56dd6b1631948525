// plant_opencl.c - a seeded fault on an OpenCL device: a resolver between wane and libOpenCL takes the text with the fault
// in the place of the kernel's.
#include "mutants.h"

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const mutant_device = "opencl";
const bool mutant_hides = true;

static struct {
    void *library;
    cl_program (CL_API_CALL *create)(cl_context, cl_uint, const char **, const size_t *, cl_int *);
    char *kernel, *fault;                   // texts
    size_t kernel_bytes, fault_bytes;
} plant;

static cl_program CL_API_CALL create(cl_context context, cl_uint count, const char **texts, const size_t *bytes, cl_int *code)
{
    const char *text = plant.fault;
    if (count != 1 || !bytes || *bytes != plant.kernel_bytes || memcmp(*texts, plant.kernel, plant.kernel_bytes) != 0)
        return plant.create(context, count, texts, bytes, code);
    mutant_taken();
    return plant.create(context, 1, &text, &plant.fault_bytes, code);
}

static void *resolve(void *user, const char *name)
{
    (void)user;
    void *symbol = dlsym(plant.library, name);
    if (!symbol || strcmp(name, "clCreateProgramWithSource") != 0) return symbol;
    memcpy(&plant.create, &symbol, sizeof plant.create);
    cl_program (CL_API_CALL *mine)(cl_context, cl_uint, const char **, const size_t *, cl_int *) = create;
    memcpy(&symbol, &mine, sizeof symbol);
    return symbol;
}

bool mutant_plant(const mutant *m, wane_context_desc *desc)
{
    char path[1024];
    plant.library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!plant.library) return true;        // no device, which wane-conform says
    snprintf(path, sizeof path, "%s/cl/%s.cl", MUTANT_GENERATED, m->kernel);
    plant.kernel = mutant_read(path, &plant.kernel_bytes);
    snprintf(path, sizeof path, "%s/%s.cl", m->folder, m->kernel);
    plant.fault = mutant_read(path, &plant.fault_bytes);
    desc->opencl.resolve = resolve;
    return plant.kernel && plant.fault;
}
