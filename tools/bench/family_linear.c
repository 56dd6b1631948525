// family_linear.c - row losses on a linear head: bound by the three products of rows, columns and dim.
#include "bench.h"

#include <math.h>

static const char *const shapes[] = {"rows=65,cols=300,dim=64", "rows=1024,cols=32768,dim=768", "rows=512,cols=65536,dim=1152",
                                     NULL};

static const bench_mode modes[] = {
    {"forward", BENCH_BIT(LOSS) | BENCH_BIT(STATISTICS), false, false},
    {"backward", BENCH_BIT(GRAD_INPUT) | BENCH_BIT(GRAD_LINEAR_WEIGHT), true, false},
    {"fused", BENCH_BIT(LOSS) | BENCH_BIT(ROW_LOSS) | BENCH_BIT(GRAD_INPUT) | BENCH_BIT(GRAD_LINEAR_WEIGHT), false, false},
    {NULL, 0, false, false}};

// The logits, then a product for each gradient, however a plan makes them.
static void costs(const bench_work *work, const bench_mode *mode, double amount[BENCH_UNITS])
{
    double logits = (double)bench_extent(&work->extents, "rows") * (double)bench_extent(&work->extents, "cols");
    bool grad = mode->outputs & BENCH_BIT(GRAD_INPUT);
    amount[BENCH_FLOPS] = (grad ? 6 : 2) * logits * (double)bench_extent(&work->extents, "dim");
    amount[BENCH_EXP_UNIT] = logits;
}

// Logits of a standard deviation of 2, whatever the depth.
static double value(const bench_work *work, wane_role role, int64_t index)
{
    double size = 6 / sqrt((double)bench_extent(&work->extents, "dim"));
    if (role == WANE_ROLE_INPUT) return bench_uniform(role, index, -1, 1);
    if (role == WANE_ROLE_LINEAR_WEIGHT) return bench_uniform(role, index, -size, size);
    return bench_value(work, role, index);
}

extern const bench_family bench_family_linear;
const bench_family bench_family_linear = {
    .name = "linear", .extents = "rows,cols,dim", .shapes = shapes, .modes = modes,
    .references = 1 << BENCH_PRODUCT | 1 << BENCH_PRODUCTS, .columns = {BENCH_FMA, BENCH_PRODUCT, BENCH_PRODUCTS},
    .rate = BENCH_FLOPS, .costs = costs, .value = value};
