// softmax_stats.h - statistics of a part of a row: what they are, how those of two parts make those of both, and the planes
// in the workspace that keep them.

#include "softmax_coefs.h"

K_FN void plane_store(K_CTX uint plane, uint row, uint word) { K_ST(work, plane_at(K_PASS plane, row), word); }

struct row_stats {
    float top, sum, target, sum_ex, sum_wx, sum_w;
    float lead;                            // the highest logit as stored, of column best
    uint flags, best;
};
K_STRUCT(row_stats)

K_FN row_stats stats_none(void)
{
    row_stats s;
    s.top = -3.4028235e38f; s.sum = 0.0f; s.target = 0.0f; s.sum_ex = 0.0f; s.sum_wx = 0.0f; s.sum_w = 0.0f;
    s.flags = 0u;
    s.lead = -3.4028235e38f;
    s.best = SOFTMAX_NO_COLUMN;
    return s;
}

// Sums of `s` as seen from a higher top.
K_FN row_stats stats_move(K_CTX row_stats s, float top)
{
    float shift = s.sum > 0.0f ? k_clamp((s.top - top) * K_P(inverse_temperature)) : 0.0f;
    float fade = k_exp(shift);
    s.sum_ex = fade > 0.0f ? fade * (s.sum_ex + shift * s.sum) : 0.0f;
    s.sum_wx = s.sum_wx + shift * s.sum_w;
    s.sum = s.sum * fade;
    return s;
}

K_FN row_stats stats_merge(K_CTX row_stats a, row_stats b)
{
    float top = K_MAX(a.top, b.top);
    row_stats x = stats_move(K_PASS a, top);
    row_stats y = stats_move(K_PASS b, top);
    row_stats r;
    r.best = b.lead > a.lead ? b.best : b.lead < a.lead ? a.best : K_MIN(a.best, b.best);
    r.lead = K_MAX(a.lead, b.lead);
    r.top = top;
    r.sum = x.sum + y.sum;
    r.target = (b.flags & FLAG_TARGET) != 0u ? b.target : a.target;
    r.sum_ex = x.sum_ex + y.sum_ex;
    r.sum_wx = x.sum_wx + y.sum_wx;
    r.sum_w = x.sum_w + y.sum_w;
    r.flags = a.flags | b.flags;
    return r;
}

K_FN row_stats stats_load(K_CTX uint slice, uint row)
{
    uint p = SOFTMAX_PLANES + slice * SLICE_PLANES;
    row_stats s;
    s.top = plane_float(K_PASS p + SLICE_MAX, row);
    s.sum = plane_float(K_PASS p + SLICE_SUM, row);
    s.target = plane_float(K_PASS p + SLICE_TARGET, row);
    s.flags = K_LD(work, plane_at(K_PASS p + SLICE_FLAGS, row));
    s.sum_ex = plane_float(K_PASS p + SLICE_SUM_EX, row);
    s.sum_wx = plane_float(K_PASS p + SLICE_SUM_WX, row);
    s.sum_w = plane_float(K_PASS p + SLICE_SUM_W, row);
    s.best = K_LD(work, plane_at(K_PASS p + SLICE_BEST, row));
    s.lead = plane_float(K_PASS p + SLICE_LEAD, row);
    return s;
}

K_FN void stats_store(K_CTX uint slice, uint row, row_stats s)
{
    uint p = SOFTMAX_PLANES + slice * SLICE_PLANES;
    plane_store(K_PASS p + SLICE_MAX, row, K_BITS(s.top));
    plane_store(K_PASS p + SLICE_SUM, row, K_BITS(s.sum));
    plane_store(K_PASS p + SLICE_TARGET, row, K_BITS(s.target));
    plane_store(K_PASS p + SLICE_FLAGS, row, s.flags);
    plane_store(K_PASS p + SLICE_SUM_EX, row, K_BITS(s.sum_ex));
    plane_store(K_PASS p + SLICE_SUM_WX, row, K_BITS(s.sum_wx));
    plane_store(K_PASS p + SLICE_SUM_W, row, K_BITS(s.sum_w));
    plane_store(K_PASS p + SLICE_BEST, row, s.best);
    plane_store(K_PASS p + SLICE_LEAD, row, K_BITS(s.lead));
}
