// stats.c - the public layout of statistics planes, and merging them on the host.
#include "core/core.h"

#include <float.h>
#include <math.h>

enum {
    BASE = WANE_STATISTIC_MAX | WANE_STATISTIC_SUM | WANE_STATISTIC_TARGET | WANE_STATISTIC_FLAGS,
    KNOWN = BASE | WANE_STATISTIC_SUM_EXP_X | WANE_STATISTIC_SUM_WEIGHT_X | WANE_STATISTIC_SUM_WEIGHT
};

uint32_t wane_statistics_plane_count(uint32_t mask)
{
    uint32_t count = 0;
    for (; mask; mask &= mask - 1) count++;
    return count;
}

int32_t wane_statistics_plane(uint32_t mask, uint32_t bit)
{
    if (!bit || bit & (bit - 1) || !(mask & bit)) return -1;
    return (int32_t)wane_statistics_plane_count(mask & (bit - 1));
}

typedef struct shard_row {
    double max, sum, target, sum_ex, sum_wx, sum_w;
    uint32_t flags;
} shard_row;

static double plane_value(const wane_statistics_merge_desc *d, const float *data, uint32_t bit, int64_t row)
{
    int32_t plane = wane_statistics_plane(d->mask, bit);
    return plane < 0 ? 0 : data[plane * d->rows + row];
}

static shard_row load_row(const wane_statistics_merge_desc *d, const float *data, int64_t row)
{
    double flags = plane_value(d, data, WANE_STATISTIC_FLAGS, row);
    shard_row r = {
        plane_value(d, data, WANE_STATISTIC_MAX, row), plane_value(d, data, WANE_STATISTIC_SUM, row),
        plane_value(d, data, WANE_STATISTIC_TARGET, row), plane_value(d, data, WANE_STATISTIC_SUM_EXP_X, row),
        plane_value(d, data, WANE_STATISTIC_SUM_WEIGHT_X, row), plane_value(d, data, WANE_STATISTIC_SUM_WEIGHT, row),
        flags >= 0 && flags <= 255 ? (uint32_t)flags : (uint32_t)WANE_FLAG_NAN};
    return r;
}

// The same rule as the kernels' (shaders/kernels/softmax_link.k.h), in double.
static void move_to(shard_row *r, double max, double temperature)
{
    double shift = r->sum > 0 ? (r->max - max) / temperature : 0;
    double fade = exp(shift);
    r->sum_ex = fade > 0 ? fade * (r->sum_ex + shift * r->sum) : 0;
    r->sum_wx += shift * r->sum_w;
    r->sum *= fade;
    r->max = max;
}

static void merge_into(shard_row *a, shard_row b, double temperature)
{
    double max = a->max > b.max ? a->max : b.max;
    move_to(a, max, temperature);
    move_to(&b, max, temperature);
    a->sum += b.sum;
    a->sum_ex += b.sum_ex;
    a->sum_wx += b.sum_wx;
    a->sum_w += b.sum_w;
    if (b.flags & WANE_FLAG_TARGET_SEEN) a->target = b.target;
    a->flags |= b.flags;
}

static void store_row(const wane_statistics_merge_desc *d, int64_t row, const shard_row *r)
{
    const double values[] = {r->max, r->sum, r->target, r->flags, r->sum_ex, r->sum_wx, r->sum_w};
    for (uint32_t i = 0; i < 7; i++) {
        int32_t plane = wane_statistics_plane(d->mask, 1u << i);
        if (plane >= 0) d->out[plane * d->rows + row] = (float)values[i];
    }
}

wane_status wane_statistics_merge(wane_context *context, const wane_statistics_merge_desc *desc)
{
    if (!context) return WANE_ERROR_NULL_ARGUMENT;
    wane_status status = wane_struct_check(context, desc, sizeof *desc, sizeof *desc, "wane_statistics_merge_desc");
    if (status) return status;
    if (desc->mask & ~(uint32_t)KNOWN || (desc->mask & BASE) != BASE)
        return wane_fail(context, WANE_ERROR_FLAGS, "mask", "0x%x must hold 0x%x and nothing beyond 0x%x",
                         (unsigned)desc->mask, (unsigned)BASE, (unsigned)KNOWN);
    if (desc->rows < 0 || desc->shard_count == 0)
        return wane_fail(context, WANE_ERROR_EXTENT, "shard_count", "at least one shard, and rows of 0 or more, are needed");
    if (!(desc->temperature > 0) || desc->temperature > FLT_MAX)
        return wane_fail(context, WANE_ERROR_PARAM_RANGE, "temperature", "is %g and must be above 0", desc->temperature);
    if (!desc->shards || (!desc->out && desc->rows))
        return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "shards", "shards and out must be given");
    for (uint32_t s = 0; s < desc->shard_count; s++)
        if (!desc->shards[s] && desc->rows)
            return wane_fail(context, WANE_ERROR_NULL_ARGUMENT, "shards", "shard %u is NULL", s);
    for (int64_t row = 0; row < desc->rows; row++) {
        shard_row r = load_row(desc, desc->shards[0], row);
        for (uint32_t s = 1; s < desc->shard_count; s++)
            merge_into(&r, load_row(desc, desc->shards[s], row), desc->temperature);
        store_row(desc, row, &r);
    }
    return WANE_OK;
}
