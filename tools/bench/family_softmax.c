// family_softmax.c - losses of rows of logits in memory: bound by bytes, and by an exponential a logit.
#include "bench.h"

static const char *const shapes[] = {"rows=64,cols=1000", "rows=4096,cols=32768", "rows=1024,cols=131072",
                                     "rows=512,cols=262144", NULL};

static const bench_mode modes[] = {
    {"forward", BENCH_BIT(LOSS) | BENCH_BIT(STATISTICS), false, false},
    {"backward", BENCH_BIT(GRAD_LOGITS), true, false},
    {"fused", BENCH_BIT(LOSS) | BENCH_BIT(ROW_LOSS) | BENCH_BIT(GRAD_LOGITS), false, false},
    {"in place", BENCH_BIT(LOSS) | BENCH_BIT(ROW_LOSS) | BENCH_BIT(GRAD_LOGITS), false, true},
    {NULL, 0, false, false}};

static void costs(const bench_work *work, const bench_mode *mode, double amount[BENCH_UNITS])
{
    (void)mode;
    double logits = (double)work->tensors[WANE_ROLE_LOGITS].shape.count;
    bool two = work->tensors[WANE_ROLE_TEACHER_LOGITS].role != NULL;
    amount[BENCH_FLOPS] = 6 * logits;
    amount[BENCH_EXP_UNIT] = two ? 2 * logits : logits;
}

extern const bench_family bench_family_softmax;
const bench_family bench_family_softmax = {
    .name = "softmax", .extents = "rows,cols", .shapes = shapes, .modes = modes,
    .columns = {BENCH_READ, BENCH_COPY, BENCH_NT_COPY}, .rate = BENCH_EXP_UNIT, .costs = costs};
