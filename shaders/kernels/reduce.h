// reduce.h - merges a sum and a few counts of 128 virtual lanes pairwise, in an order that no group size changes.
#define REDUCE_LANES 128u
#define REDUCE_COUNTS 7u                   // the first is or-ed, the others added

// Leaves the results in element 0 of `sum` and element i * REDUCE_LANES of `count`.
K_FN void reduce_lanes(K_CTX K_INOUT_ARRAY(float, sum, K_OWN), K_INOUT_ARRAY(uint, count, K_OWN * REDUCE_COUNTS))
{
    for (uint s = 0u; s < K_OWN; s++) {
        uint v = s * K_LANES + K_LANE;
        if (v < REDUCE_LANES) {
            K_SS(sum, v, sum[s]);
            for (uint i = 0u; i < REDUCE_COUNTS; i++) K_SS(count, i * REDUCE_LANES + v, count[s * REDUCE_COUNTS + i]);
        }
    }
    K_BARRIER();
    for (uint w = REDUCE_LANES / 2u; w > 0u; w >>= 1u) {
        for (uint v = K_LANE; v < w; v += K_LANES) {
            K_SS(sum, v, K_SL(sum, v) + K_SL(sum, v + w));
            K_SS(count, v, K_SL(count, v) | K_SL(count, v + w));
            for (uint i = 1u; i < REDUCE_COUNTS; i++)
                K_SS(count, i * REDUCE_LANES + v, K_SL(count, i * REDUCE_LANES + v) + K_SL(count, i * REDUCE_LANES + v + w));
        }
        K_BARRIER();
    }
}
