// contrast_row.h - one row of a or b as a group of lanes sees it: its elements and its norm. Virtual lane v has the
// elements v + 128 k, so that sums do not depend on the group; they are added in blocks of 64, which keeps chains of
// additions short, and then pairwise. After softmax.h, contrast.h and types.h; shared arrays `sum` and `top`.
#define ROW_LANES 128u
#define ROW_BLOCK 8192u                    // 64 elements of each virtual lane
#define SOURCE_TYPE (K_C(types) & 15u)
#define LANE_HAS(s) ((s) * K_LANES + K_LANE < ROW_LANES)
#define LANE_LIVE(first, s) (LANE_HAS(s) && (first) + (s) * K_LANES + K_LANE < K_P(dim))

// Whether a step of 128 elements is whole and lies side by side: the path that C compilers vectorise. A lane that has one
// element (GLSL) gains nothing by it but code.
#if K_WORDS_ONLY
#define STEP_WHOLE(first, stride) false
#else
#define STEP_WHOLE(first, stride) (K_OWN * K_LANES == ROW_LANES && K_P(dim) - (first) >= ROW_LANES && (stride) == 1u)
#endif

// Elements first + v of a row for every virtual lane; 0 past the end.
K_FN void load_source(K_CTX K_INOUT_ARRAY(float, x, K_OWN), uint row, uint first)
{
    K_INDEX at = K_STEP(row, K_P(source_row)) + K_STEP(first, K_P(source_col));
    if (SOURCE_TYPE == TYPE_F32 && STEP_WHOLE(first, K_P(source_col))) {
        for (uint s = 0u; s < K_OWN; s++) x[s] = K_FLT(K_LD(source, at + K_WIDE(s * K_LANES + K_LANE)));
    } else {
        for (uint s = 0u; s < K_OWN; s++) {
            K_INDEX i = at + K_STEP(s * K_LANES + K_LANE, K_P(source_col));
            uint word = 0u;
            if (LANE_LIVE(first, s)) word = SOURCE_TYPE == TYPE_F32 ? K_LD(source, i) : half_to_word(SOURCE_TYPE, K_LDH(source, i));
            x[s] = K_FLT(word);
        }
    }
}

// Pairwise over the virtual lanes: sums in element 0 of `sum`, the largest word in that of `top`.
K_FN void merge_row(K_CTX K_INOUT_ARRAY(float, sum, K_OWN), K_INOUT_ARRAY(uint, top, K_OWN))
{
    K_BARRIER();                           // the arrays may hold an earlier result that a lane still reads
    for (uint s = 0u; s < K_OWN; s++)
        if (LANE_HAS(s)) {
            K_SS(sum, s * K_LANES + K_LANE, sum[s]);
            K_SS(top, s * K_LANES + K_LANE, top[s]);
        }
    K_BARRIER();
    for (uint w = ROW_LANES / 2u; w > 0u; w >>= 1u) {
        for (uint v = K_LANE; v < w; v += K_LANES) {
            K_SS(sum, v, K_SL(sum, v) + K_SL(sum, v + w));
            K_SS(top, v, K_MAX(K_SL(top, v), K_SL(top, v + w)));
        }
        K_BARRIER();
    }
}

// 1 / sqrt(x) for normal positive x, 2 ulp: a guess from the exponent, and Newton's steps.
K_FN float inverse_root(float x)
{
    float y = K_FLT(0x5f375a86u - (K_BITS(x) >> 1u));
    for (uint i = 0u; i < 4u; i++) y = y * (1.5f - (0.5f * x * y) * y);
    return y;
}

struct row_norm {
    float up;                              // a power of two that brings the largest element near 1
    float inverse;                         // 1 / norm of the row times `up`; 0 for a row of norm 0
    uint top;                              // the largest size of an element, as bits: NaN above all
};
K_STRUCT(row_norm)

// Nothing over- or underflows on the way: elements are brought near 1 before they are squared.
K_FN row_norm norm_of_row(K_CTX uint row)
{
    float sum[K_OWN];
    uint top[K_OWN];
    for (uint s = 0u; s < K_OWN; s++) { sum[s] = 0.0f; top[s] = 0u; }
    for (uint first = 0u; first < K_P(dim); first += ROW_LANES) {
        float x[K_OWN];
        load_source(K_PASS x, row, first);
        for (uint s = 0u; s < K_OWN; s++) top[s] = K_MAX(top[s], K_BITS(x[s]) & 0x7fffffffu);
    }
    merge_row(K_PASS sum, top);
    row_norm r;
    r.top = K_SL(top, 0u);
    uint exponent = K_MIN(K_MAX(r.top >> 23u, 1u), 253u);
    r.up = K_FLT((254u - exponent) << 23u);
    for (uint block = 0u; block < K_P(dim); block += ROW_BLOCK) {
        float part[K_OWN];
        for (uint s = 0u; s < K_OWN; s++) part[s] = 0.0f;
        for (uint first = block; first < K_P(dim) && first - block < ROW_BLOCK; first += ROW_LANES) {
            float x[K_OWN];
            load_source(K_PASS x, row, first);
            for (uint s = 0u; s < K_OWN; s++) part[s] += (x[s] * r.up) * (x[s] * r.up);
        }
        for (uint s = 0u; s < K_OWN; s++) sum[s] += part[s];
    }
    merge_row(K_PASS sum, top);
    float total = K_SL(sum, 0u);
    r.inverse = r.top < K_WORD_INF && total > 0.0f ? inverse_root(total) : 0.0f;
    return r;
}
