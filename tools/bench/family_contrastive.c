// family_contrastive.c - losses of all similarities of two sets of rows: bound by products, as linear heads are.
#include "bench.h"

static const char *const shapes[] = {"rows=130,dim=64", "rows=4096,dim=512", "rows=1024,cols=16384,dim=256", NULL};

static const bench_mode modes[] = {
    {"forward", BENCH_BIT(LOSS) | BENCH_BIT(ROW_LOSS), false, false},
    {"fused", BENCH_BIT(LOSS) | BENCH_BIT(ROW_LOSS) | BENCH_BIT(GRAD_A) | BENCH_BIT(GRAD_B), false, false},
    {NULL, 0, false, false}};

// One exponential serves both directions at the best.
static void costs(const bench_work *work, const bench_mode *mode, double amount[BENCH_UNITS])
{
    double pairs = (double)bench_extent(&work->extents, "rows") * (double)bench_extent(&work->extents, "cols");
    bool grad = mode->outputs & BENCH_BIT(GRAD_A);
    amount[BENCH_FLOPS] = (grad ? 6 : 2) * pairs * (double)bench_extent(&work->extents, "dim");
    amount[BENCH_EXP_UNIT] = pairs;
}

static void complete(const bench_options *options, tool_extents *extents)
{
    (void)options;
    if (!bench_extent(extents, "cols")) bench_set_extent(extents, "cols", bench_extent(extents, "rows"));
}

// A row of b is like its row of a, with noise: the positive stands out.
static double value(const bench_work *work, wane_role role, int64_t index)
{
    double x = bench_uniform(role, index, -1, 1);
    if (role == WANE_ROLE_B) return x + 0.5 * bench_uniform(WANE_ROLE_A, index, -1, 1);
    return role == WANE_ROLE_A ? x : bench_value(work, role, index);
}

// The columns of clip need every row.
static void judged(tool_extents *extents)
{
    const char *const names[] = {"rows", "cols"};
    for (int i = 0; i < 2; i++)
        if (bench_extent(extents, names[i]) > 200) bench_set_extent(extents, names[i], 200);
}

extern const bench_family bench_family_contrastive;
const bench_family bench_family_contrastive = {
    .name = "contrastive", .extents = "rows,cols,dim", .shapes = shapes, .modes = modes,
    .references = 1 << BENCH_PRODUCT | 1 << BENCH_PRODUCTS, .columns = {BENCH_FMA, BENCH_PRODUCT, BENCH_PRODUCTS},
    .rate = BENCH_FLOPS, .costs = costs, .complete = complete, .value = value, .judged = judged};
