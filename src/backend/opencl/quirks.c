// quirks.c - drivers that need a workaround. A row is a fact with its source; it goes when the fact does.
#include "backend/opencl/opencl.h"

typedef struct quirk {
    const char *platform;                   // CL_PLATFORM_NAME
    const char *driver;                     // how CL_DRIVER_VERSION begins
    cl_device_type type;                    // one of these
    uint32_t bits;
} quirk;

static const quirk quirks[] = {
    // PoCL 6 on LLVM 18 ends the process ("Instruction Combining did not reach a fixpoint", pocl issue 1608): its loops
    // over the work items of a group turn values into memory, and LLVM checks the pass behind that. Items alone in their
    // group get no such loop, except in the binary that fits groups of any size, made when it is asked for.
    {"Portable Computing Language", "6.", CL_DEVICE_TYPE_CPU, OPENCL_QUIRK_LONE_ITEMS | OPENCL_QUIRK_NO_BINARIES},
    // rusticl on llvmpipe of Mesa 25.0.7: the same kernel, tile_sweep, gives other words in other runs, and with groups of 1, 8
    // or 64 lanes pairs of ranking losses too. lavapipe of the same Mesa, PoCL and oclgrind's search for races find nothing in
    // these kernels. rusticl's GPUs are other drivers underneath.
    {"rusticl", "25.", CL_DEVICE_TYPE_CPU, OPENCL_QUIRK_WRONG},
};

uint32_t opencl_quirks(const char *platform, const char *driver, cl_device_type type)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < sizeof quirks / sizeof *quirks; i++)
        if (strcmp(quirks[i].platform, platform) == 0 && (quirks[i].type & type)
            && strncmp(quirks[i].driver, driver, strlen(quirks[i].driver)) == 0)
            bits |= quirks[i].bits;
    return bits;
}
