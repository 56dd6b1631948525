// family_ranking.c - losses of pairs of items within groups: bound by what a pair costs.
#include "bench.h"

enum { LEVELS = 5 };

static const char *const shapes[] = {"items=2000,groups=20", "items=500000,groups=1000", "items=16384,groups=1", NULL};

static const bench_mode modes[] = {
    {"forward", BENCH_BIT(LOSS) | BENCH_BIT(GROUP_LOSS), false, false},
    {"fused", BENCH_BIT(LOSS) | BENCH_BIT(GROUP_LOSS) | BENCH_BIT(GRAD_SCORES), false, false},
    {NULL, 0, false, false}};

// Groups from 0.1 to 1.9 times their mean: of 500 each, some 50 to 950.
static double offset_of(const bench_work *work, int64_t group)
{
    int64_t groups = bench_extent(&work->extents, "groups"), items = bench_extent(&work->extents, "items");
    if (group <= 0) return 0;
    if (group >= groups) return (double)items;
    double at = (double)group + bench_uniform(WANE_ROLE_OFFSETS, group, -0.45, 0.45);
    return (double)(int64_t)(at * (double)items / (double)groups);
}

static double label_of(int64_t item) { return "\0\0\0\1\1\2\3\4"[bench_mix(WANE_ROLE_LABELS, item) & 7]; }

static double value(const bench_work *work, wane_role role, int64_t index)
{
    if (role == WANE_ROLE_OFFSETS) return offset_of(work, index);
    if (role == WANE_ROLE_LABELS) return label_of(index);
    if (role == WANE_ROLE_SCORES) return bench_uniform(role, index, -2, 2);
    if (role == WANE_ROLE_PAIRS)
        return (double)(bench_mix(role, index) % (uint64_t)bench_extent(&work->extents, "items"));
    return bench_value(work, role, index);
}

// Pairs of a better and a worse item of a group; of two classes, if that is what the loss knows.
static double count_pairs(const bench_work *work)
{
    if (work->tensors[WANE_ROLE_PAIRS].role) return (double)bench_extent(&work->extents, "pairs");
    bool two = work->options->loss->loss == WANE_LOSS_MANN_WHITNEY;
    bool all = two && bench_param(work->options, WANE_PARAM_SCOPE) == WANE_SCOPE_ALL;
    int64_t groups = all ? 1 : bench_extent(&work->extents, "groups"), item = 0;
    double pairs = 0;
    for (int64_t g = 0; g < groups; g++) {
        double count[LEVELS] = {0}, worse = 0;
        int64_t end = all ? bench_extent(&work->extents, "items") : (int64_t)offset_of(work, g + 1);
        for (; item < end; item++) count[two ? label_of(item) > 0 : (int)label_of(item)]++;
        for (int level = 0; level < LEVELS; level++) pairs += count[level] * worse, worse += count[level];
    }
    return pairs;
}

// At the least one link a pair, which serves both of its items. Without exponentials: a difference, a comparison, value
// and slope.
static void costs(const bench_work *work, const bench_mode *mode, double amount[BENCH_UNITS])
{
    (void)mode;
    if (work->options->loss->loss == WANE_LOSS_AUC_MARGIN) return;      // sums over items
    double link = bench_param(work->options, WANE_PARAM_LINK), pairs = count_pairs(work);
    bool hinge = link == WANE_LINK_HINGE || link == WANE_LINK_SQUARED_HINGE || link == WANE_LINK_SQUARE
              || work->options->loss->loss == WANE_LOSS_MARGIN_RANKING;
    amount[BENCH_PAIRS] = pairs;
    if (hinge) amount[BENCH_FLOPS] = 6 * pairs;
    else if (link == WANE_LINK_EXPONENTIAL) amount[BENCH_EXP_UNIT] = pairs;
    else amount[BENCH_LINKS] = pairs;
}

// Of all pairs of the input there are no groups.
static uint64_t given(const bench_options *options)
{
    bool all = options->loss->loss == WANE_LOSS_MANN_WHITNEY && bench_param(options, WANE_PARAM_SCOPE) == WANE_SCOPE_ALL;
    return all ? 0 : BENCH_BIT(OFFSETS);
}

static void complete(const bench_options *options, tool_extents *extents)
{
    if (!bench_extent(extents, "groups") || !given(options)) bench_set_extent(extents, "groups", 1);
    if (!bench_extent(extents, "pairs")) bench_set_extent(extents, "pairs", bench_extent(extents, "items"));
}

// As many groups as make a few thousand items, or a part of the one.
static void judged(tool_extents *extents)
{
    enum { ITEMS = 3000 };
    int64_t items = bench_extent(extents, "items"), groups = bench_extent(extents, "groups");
    if (items <= ITEMS) return;
    int64_t fewer = groups * ITEMS / items;
    if (groups) bench_set_extent(extents, "groups", fewer > 0 ? fewer : 1);
    bench_set_extent(extents, "items", ITEMS);
    if (bench_extent(extents, "pairs") > ITEMS) bench_set_extent(extents, "pairs", ITEMS);
}

extern const bench_family bench_family_ranking;
const bench_family bench_family_ranking = {
    .name = "ranking", .extents = "items,groups,pairs", .shapes = shapes, .modes = modes, .given = given,
    .references = 1 << BENCH_LINK, .columns = {BENCH_FMA, BENCH_EXP, BENCH_LINK}, .rate = BENCH_PAIRS, .costs = costs,
    .complete = complete, .value = value, .judged = judged};
