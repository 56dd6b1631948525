// rank_pairs.h - the pair engine: each item against all of its group, in both of its roles (the full square).
//
// 128 virtual lanes have an item each, whatever the group's size; a lane runs its K_OWN of them PAIR_SUB at a time.
// Nothing is summed between lanes, so there are no barriers and no atomics. The terms of PAIR_BLOCK partners (counted
// from the first item of the problem) make one sum, 1024 of these the next, and those the last, in this order for any
// number of lanes: a chain of additions has at most 1024 links for 2^26 items.

#define PAIR_SUB (K_OWN < 32u ? K_OWN : 32u)
#define PAIR_ITEM(first, own) ((first) + (own) * K_LANES + K_LANE)
#define PAIR_LIVE(first, own) ((own) < K_OWN && (own) * K_LANES + K_LANE < PAIR_ITEMS && PAIR_ITEM(first, own) < K_P(item_count))

#define PAIR_KIND (K_C(pair_weight) & WEIGHT_KIND)
#define PAIR_HAS_VALUE ((K_C(pair_weight) & PAIR_NO_VALUE) == 0u)
// Links whose slopes may pass f32's range: all but logistic, hinge and smooth_zero_one.
#define PAIR_UNBOUNDED(link) ((link) > 1u && (link) != 5u)
#define PAIR_RANKED (PAIR_KIND >= WEIGHT_LAMBDA && PAIR_KIND <= WEIGHT_PRECISION)
#define PAIR_VALUED (PAIR_KIND != WEIGHT_NONE)

// What the items of a sub-block have: scores and labels always, the rest where weights need it.
#define PAIR_ITEMS_OF K_INOUT_ARRAY(float, score, PAIR_SUB), PAIR_TRAITS_OF
#define PAIR_TRAITS_OF                                                                                                 \
    K_INOUT_ARRAY(int, label, PAIR_SUB), K_INOUT_ARRAY(float, value, PAIR_SUB), K_INOUT_ARRAY(float, discount, PAIR_SUB), \
    K_INOUT_ARRAY(uint, rank, PAIR_SUB), K_INOUT_ARRAY(float, weight, PAIR_SUB)
#define PAIR_ITEMS_PASS score, label, value, discount, rank, weight
#define PAIR_SUMS_OF \
    K_INOUT_ARRAY(float, grad, PAIR_SUB), K_INOUT_ARRAY(float, loss, PAIR_SUB), K_INOUT_ARRAY(uint, pairs, PAIR_SUB)

#if !K_CONSTANTS_FOLD
// All items of a sub-block against partner j, every pair of weight 1. (Where constants fold, pair_step_weighted is this.)
K_FN void pair_step(K_CTX uint link, uint j, K_INOUT_ARRAY(float, score, PAIR_SUB), K_INOUT_ARRAY(int, label, PAIR_SUB),
                    PAIR_SUMS_OF)
{
    float other = K_FLT(K_LD(work, K_P(at_score) + j));
    int level = K_INT(K_LD(work, K_P(at_label) + j));
    for (uint s = 0u; s < PAIR_SUB; s++) {
        bool above = label[s] > level;
        bool below = label[s] < level;
        float d = score[s] - other;
        pair_term r = pair_apply(K_PASS link, K_SELECT(below, -d, d));
        float slope = K_SELECT(below, -r.slope, r.slope);
        grad[s] += K_SELECT(above || below, slope, 0.0f);
        // what leaves f32 on both sides must not become infinity less infinity
        if (PAIR_UNBOUNDED(link)) grad[s] = k_clamp(grad[s]);
        loss[s] += K_SELECT(above && PAIR_HAS_VALUE, r.value, 0.0f);
        pairs[s] += above ? 1u : 0u;
    }
}

#endif

K_FN float pair_size(float x) { return K_SELECT(x < 0.0f, -x, x); }

// D(apart) - D(apart + 1) of two items of the top k, from the table; 0 for others.
K_FN float pair_apart(K_CTX uint a, uint b)
{
    // rank 0 is no item's of a group, and wraps
    bool counts = a - 1u < K_P(top_k) && b - 1u < K_P(top_k) && a != b;
    uint at = counts ? (a > b ? a - b : b - a) : 0u;
    float r = 0.0f;
    if (counts) r = K_FLT(K_LD(work, K_P(at_table) + at));
    return r;
}

// The weight of a pair of kind `kind`, whichever of the two is preferred: of values v, u, discounts d, e, ranks r, q.
K_FN float pair_weight_of(K_CTX uint kind, float v, float u, float d, float e, uint r, uint q)
{
    float apart = pair_size(v - u);
    float w = 1.0f;
    if (kind == WEIGHT_LABEL_DIFF) w = apart;
    if (kind == WEIGHT_LAMBDA) w = apart * pair_size(d - e);
    if (kind == WEIGHT_NDCG_LOSS2) w = apart * pair_apart(K_PASS r, q);
    if (kind == WEIGHT_NDCG_LOSS2PP) w = apart * (K_P(mu) * pair_apart(K_PASS r, q) + pair_size(d - e));
    if (kind == WEIGHT_PRECISION)
        w = K_SELECT((r <= K_P(top_k)) != (q <= K_P(top_k)) && (v > 0.0f) != (u > 0.0f), 1.0f, 0.0f);
    if (kind == WEIGHT_PROFIT) {
        float far = k_log(1.0f + K_SELECT(apart < 1.7e38f, apart, 1.7e38f));
        w = K_SELECT(apart < 1.0f, k_log1p(K_SELECT(apart < 1.0f, apart, 1.0f)), far);
    }
    return w;
}

#if K_CONSTANTS_FOLD
#define PAIR_KINDS(X) X(PAIR_KIND)
#else
#define PAIR_KINDS(X) X(0u) X(1u) X(2u) X(4u) X(5u) X(6u) X(7u)
#endif

// The weights of the pairs of partner j; in C one loop a kind, so that each vectorises.
K_FN void pair_weigh(K_CTX uint j, PAIR_TRAITS_OF, K_INOUT_ARRAY(float, w, PAIR_SUB))
{
    float u = 0.0f;
    float e = 0.0f;
    float own = 1.0f;
    uint q = 0u;
    if (PAIR_VALUED) u = K_FLT(K_LD(work, K_P(at_value) + j));
    if (PAIR_RANKED) {
        e = K_FLT(K_LD(work, K_P(at_discount) + j));
        q = K_LD(work, K_P(at_rank) + j);
    }
    if ((K_C(pair_weight) & WEIGHT_OF_ITEMS) != 0u) own = K_FLT(K_LD(work, K_P(at_weight) + j));
#define PAIR_WEIGH(kind)          \
    if (PAIR_KIND == kind)        \
        for (uint s = 0u; s < PAIR_SUB; s++) w[s] = pair_weight_of(K_PASS kind, value[s], u, discount[s], e, rank[s], q);
    PAIR_KINDS(PAIR_WEIGH)
    if ((K_C(pair_weight) & WEIGHT_OF_ITEMS) != 0u) {
        int level = K_INT(K_LD(work, K_P(at_label) + j));
        for (uint s = 0u; s < PAIR_SUB; s++) w[s] = w[s] * K_SELECT(label[s] > level, weight[s], own);
    }
}

// ndcg_loss1: the weights of partner j where the item is preferred (role 0), or the partner (role 1).
K_FN void pair_weigh_ordered(K_CTX uint role, uint j, PAIR_ITEMS_OF, K_INOUT_ARRAY(uint, pairs, PAIR_SUB),
                             K_INOUT_ARRAY(float, w, PAIR_SUB), K_INOUT_ARRAY(float, t, PAIR_SUB))
{
    float other = K_FLT(K_LD(work, K_P(at_score) + j));
    int level = K_INT(K_LD(work, K_P(at_label) + j));
    uint r = K_LD(work, K_P(at_rank) + j);
    float own = 1.0f;
    if ((K_C(pair_weight) & WEIGHT_OF_ITEMS) != 0u) own = K_FLT(K_LD(work, K_P(at_weight) + j));
    float theirs = own * (K_FLT(K_LD(work, K_P(at_value) + j)) * K_FLT(K_LD(work, K_P(at_discount) + j)));
    for (uint s = 0u; s < PAIR_SUB; s++) {
        bool counts = rank[s] <= K_P(top_k) && r <= K_P(top_k) && rank[s] != r;
        float d = score[s] - other;
        t[s] = role == 0u ? d : -d;
        // not a choice within a choice: Mesa 25.0.7 (rusticl on llvmpipe) compiles that wrongly
        w[s] = K_SELECT(role == 0u, weight[s] * (value[s] * discount[s]), theirs);
        if (!counts) w[s] = 0.0f;
        pairs[s] += role == 0u && rank[s] != r ? 1u : 0u;
        pairs[s] |= label[s] != level ? PAIR_MIXED : 0u;
    }
}

// Terms of all items of a sub-block: in C one loop a link, so that each vectorises.
K_FN void pair_terms(K_CTX K_INOUT_ARRAY(float, t, PAIR_SUB), K_INOUT_ARRAY(float, phi, PAIR_SUB),
                     K_INOUT_ARRAY(float, slope, PAIR_SUB))
{
    for (uint s = 0u; s < PAIR_SUB; s++) {
        phi[s] = 0.0f; slope[s] = 0.0f;
    }
#define PAIR_TERMS(number)                                    \
    if (K_C(link) == number)                                  \
        for (uint s = 0u; s < PAIR_SUB; s++) {                \
            pair_term r = pair_apply(K_PASS number, t[s]);    \
            phi[s] = r.value;                                 \
            slope[s] = r.slope;                               \
        }
    PAIR_LINKS(PAIR_TERMS)
}

// As pair_step, with weights. ndcg_loss1 has all ordered pairs, so there each partner is met in both roles, one after
// the other; ranks then tell items apart.
K_FN void pair_step_weighted(K_CTX uint j, PAIR_ITEMS_OF, PAIR_SUMS_OF)
{
    float w[PAIR_SUB];
    float t[PAIR_SUB];
    float phi[PAIR_SUB];
    float slope[PAIR_SUB];
    float other = K_FLT(K_LD(work, K_P(at_score) + j));
    int level = K_INT(K_LD(work, K_P(at_label) + j));
    bool ordered = PAIR_KIND == WEIGHT_NDCG_LOSS1;
    if (!ordered) {
        pair_weigh(K_PASS j, label, value, discount, rank, weight, w);
        for (uint s = 0u; s < PAIR_SUB; s++) {
            float d = score[s] - other;
            t[s] = K_SELECT(label[s] < level, -d, d);
            w[s] = K_SELECT(label[s] != level, w[s], 0.0f);
            pairs[s] += label[s] > level ? 1u : 0u;
        }
    }
    for (uint role = 0u; role < (ordered ? 2u : 1u); role++) {
        if (ordered) pair_weigh_ordered(K_PASS role, j, PAIR_ITEMS_PASS, pairs, w, t);
        pair_terms(K_PASS t, phi, slope);
        for (uint s = 0u; s < PAIR_SUB; s++) {
            bool prefers = ordered ? role == 0u : label[s] > level;
            grad[s] = k_clamp(grad[s] + w[s] * K_SELECT(prefers, slope[s], -slope[s]));
            loss[s] += K_SELECT(prefers && PAIR_HAS_VALUE, w[s] * phi[s], 0.0f);
        }
    }
}

// All items of a sub-block against the partners begin .. end, into sums that start at 0.
K_FN void pair_run(K_CTX uint begin, uint end, PAIR_ITEMS_OF, PAIR_SUMS_OF)
{
#define PAIR_STEPS(number)      \
    if (K_C(link) == number)    \
        for (uint j = first; j < stop; j++) pair_step(K_PASS number, j, score, label, block_grad, block_loss, pairs);
    float middle_grad[PAIR_SUB];
    float middle_loss[PAIR_SUB];
    for (uint s = 0u; s < PAIR_SUB; s++) {
        grad[s] = 0.0f; loss[s] = 0.0f; pairs[s] = 0u;
        middle_grad[s] = 0.0f; middle_loss[s] = 0.0f;
    }
    for (uint first = begin; first < end;) {
        uint stop = K_MIN(end, first - first % PAIR_BLOCK + PAIR_BLOCK);
        float block_grad[PAIR_SUB];
        float block_loss[PAIR_SUB];
        for (uint s = 0u; s < PAIR_SUB; s++) {
            block_grad[s] = 0.0f; block_loss[s] = 0.0f;
        }
#if !K_CONSTANTS_FOLD
        if (K_C(pair_weight) == WEIGHT_NONE) {
            PAIR_LINKS(PAIR_STEPS)
        } else
#endif
        {
            for (uint j = first; j < stop; j++) pair_step_weighted(K_PASS j, PAIR_ITEMS_PASS, block_grad, block_loss, pairs);
        }
        bool last = stop == end || stop % (PAIR_BLOCK * 1024u) == 0u;
        for (uint s = 0u; s < PAIR_SUB; s++) {
            middle_grad[s] = k_clamp(middle_grad[s] + k_clamp(block_grad[s]));
            middle_loss[s] = k_clamp(middle_loss[s] + k_clamp(block_loss[s]));
            if (last) {
                grad[s] = k_clamp(grad[s] + middle_grad[s]);
                loss[s] = k_clamp(loss[s] + middle_loss[s]);
                middle_grad[s] = 0.0f; middle_loss[s] = 0.0f;
            }
        }
        first = stop;
    }
    for (uint s = 0u; s < PAIR_SUB && PAIR_KIND == WEIGHT_NDCG_LOSS1; s++)
        pairs[s] = (pairs[s] & PAIR_MIXED) != 0u ? pairs[s] & ~PAIR_MIXED : 0u;
}

// The items of a sub-block, that of the lane's virtual lane `own` first; zeros past the problem's end.
K_FN void pair_load(K_CTX uint first, uint own, PAIR_ITEMS_OF)
{
    for (uint s = 0u; s < PAIR_SUB; s++) {
        score[s] = 0.0f; label[s] = 0; value[s] = 0.0f; discount[s] = 0.0f; rank[s] = 0u; weight[s] = 1.0f;
        if (PAIR_LIVE(first, own + s)) {
            uint i = PAIR_ITEM(first, own + s);
            score[s] = K_FLT(K_LD(work, K_P(at_score) + i));
            label[s] = K_INT(K_LD(work, K_P(at_label) + i));
            if (PAIR_VALUED) value[s] = K_FLT(K_LD(work, K_P(at_value) + i));
            if (PAIR_RANKED) {
                discount[s] = K_FLT(K_LD(work, K_P(at_discount) + i));
                rank[s] = K_LD(work, K_P(at_rank) + i);
            }
            if ((K_C(pair_weight) & WEIGHT_OF_ITEMS) != 0u) weight[s] = K_FLT(K_LD(work, K_P(at_weight) + i));
        }
    }
}

// The sub-block of a lane that begins at its virtual lane `own`: runs of items of one group, one after the other.
K_FN void pair_lanes(K_CTX uint first, uint own)
{
    float score[PAIR_SUB];
    int label[PAIR_SUB];
    float value[PAIR_SUB];
    float discount[PAIR_SUB];
    uint rank[PAIR_SUB];
    float weight[PAIR_SUB];
    float grad[PAIR_SUB];
    float loss[PAIR_SUB];
    uint pairs[PAIR_SUB];
    pair_load(K_PASS first, own, PAIR_ITEMS_PASS);
    for (uint s = 0u; s < PAIR_SUB && PAIR_LIVE(first, own + s);) {
        uint g = K_LD(work, K_P(at_group) + PAIR_ITEM(first, own + s));
        uint begin = 0u;
        uint end = 0u;
        if (g != RANK_NO_GROUP) {
            begin = K_LD(work, K_P(at_offset) + g);
            end = K_LD(work, K_P(at_offset) + g + 1u);
        }
        pair_run(K_PASS begin, end, PAIR_ITEMS_PASS, grad, loss, pairs);
        bool more = true;
        for (uint k = s; k < PAIR_SUB && more; k++) {
            uint i = PAIR_ITEM(first, own + k);
            more = PAIR_LIVE(first, own + k) && (k == s || i < end);
            if (more) {
                K_ST(work, K_P(at_grad) + i, K_BITS(grad[k]));
                K_ST(work, K_P(at_loss) + i, K_BITS(loss[k]));
                K_ST(work, K_P(at_pairs) + i, pairs[k]);
                s = k;
            }
        }
        s++;
    }
}
