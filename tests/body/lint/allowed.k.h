// accepted
// A reserved word in a comment (sample, double, return) is nothing.
/* Neither is register,
   or half, here. */
#if K_PHASE == 1
struct pair {
    float a, b;
};
K_STRUCT(pair)
#define CELLS (4u * K_OWN)
K_FN float early(float a)
{
    if (a < 0.0f) return 0.0f;
    return a * 1.0e-3f + .5f;
}
K_FN void fold(K_CTX K_INOUT_ARRAY(float, own, CELLS), uint n)
{
    for (uint w = 64u; w > 0u; w >>= 1u) {
        for (uint v = K_LANE; v < w; v += K_LANES) K_SS(sum, v, K_SL(sum, v) + K_SL(sum, v + w));
        K_BARRIER();
    }
}
#else
    float own[CELLS];
    uint label = K_LD(work, K_ITEM);
    own[K_C(term) & 1u] = early(1.0f);
    if ((K_C(options) & 1u) != 0u) K_BARRIER();
    else K_SS(sum, K_LANE, 0.0f);
    if (label != 0u) {                     // the same for the whole group
        fold(K_PASS own, label);
    }
    if (K_LANE == 0u) K_ST(dest, 0u, K_BITS(K_SL(sum, 0u)));
    K_BARRIER();
#endif
