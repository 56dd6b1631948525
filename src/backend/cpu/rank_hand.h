// rank_hand.h - rank_pairs, written by hand over vector.h: every pair of a group that counts is evaluated once.
//
// A group goes in chunks of CHUNK consecutive items. A chunk's items are put in the order of their labels, the highest
// first, so that the partners below an item are those from one place on: no pair is looked at in vain. Within a chunk a
// pair's term goes to both of its items at once; between two chunks the chunk that is being made takes its share alone,
// and the other's turn comes (so that no two threads write one item). A work item makes the chunks that begin among its
// items. What a chunk gets depends on its group alone: the same bits for any number of threads.
// Sums: a chain of additions has 256 links within two chunks; chunks are added in double.
//
// Included by rank__<set>.c, which defines HAND_SET. Not done here, but by the made kernel: ndcg_loss1, ndcg_loss2 and
// ndcg_loss2pp, a sigma near f32's ends, and chunks in which a sum leaves f32.
//
// Gained on 2 cores of Zen 5 (AVX-512) against the made kernels: docs/performance.md, Ranking.
#include "backend/cpu/override.h"
#include "backend/cpu/rank_places.h"
#include "backend/cpu/vector.h"

#include "kernels/rank.h"
#include "wane/wane.h"

#include <stdbool.h>

WANE_CPU_ARGUMENTS(rank_pairs, RANK_PAIRS)
HAND_DECLARE(rank_pairs);

enum { CHUNK = RANK_PLACES_MOST, ROWS = 4 };   // ROWS: items that meet a vector of partners while it is at hand

// Items of a group in the order of their labels. Vectors may read past `count`.
typedef struct chunk {
    uint32_t begin, count;
    uint16_t place[CHUNK];                 // of the n-th in this order, from begin
    int32_t label[CHUNK];
    float score[CHUNK + V_LANES], value[CHUNK + V_LANES], factor[CHUNK + V_LANES], weight[CHUNK];
    float grad[CHUNK + V_LANES];
} chunk;

typedef struct pair_rule {
    uint32_t link, kind;                   // kind: WEIGHT_*; `factor` of an item is its discount, or whether it is in the top k
    vec_exp exp;
    vec margin, sigma, most, low;          // most: where e^(sigma t) still is in f32's range; low: where it still is normal
} pair_rule;

// ---- links: the force on a pair of score difference t (the slope but for its sign and link_scale), and its value ----

VFN vec link_of(uint32_t link, bool valued, const pair_rule *rule, vec t, vec *value)
{
    const vec zero = v_all(0), one = v_all(1);
    if (link == WANE_LINK_LOGISTIC && !valued)
        return v_inverse(v_add(one, v_exp(v_min(t, rule->low), rule->exp)));
    if (link == WANE_LINK_LOGISTIC || link == WANE_LINK_SMOOTH_ZERO_ONE) {
        vec e = v_exp(v_minus_size(t), rule->exp), inverse = v_inverse(v_add(one, e));
        vec below = v_mul(v_select(v_less(t, zero), one, e), inverse);
        if (link == WANE_LINK_SMOOTH_ZERO_ONE) {
            *value = below;
            return v_mul(v_mul(e, inverse), inverse);
        }
        *value = v_fma(v_max(v_sub(zero, t), zero), rule->sigma, v_log1p(e));
        return below;
    }
    if (link == WANE_LINK_EXPONENTIAL) {
        vec d = v_sub(zero, t), e = v_exp(v_min(d, rule->most), rule->exp);
        return *value = v_select(v_less(rule->most, d), v_all(3.4028235e38f), e);
    }
    vec missing = v_sub(rule->margin, t);
    if (link != WANE_LINK_SQUARE) missing = v_max(missing, zero);
    *value = link == WANE_LINK_HINGE ? missing : v_mul(missing, missing);
    return link == WANE_LINK_HINGE ? v_select(v_less(zero, missing), one, zero) : missing;
}

// What the force is multiplied with to be the slope's size.
static float link_scale(uint32_t link, float sigma)
{
    return link == WANE_LINK_HINGE ? 1.0f : link == WANE_LINK_SQUARE || link == WANE_LINK_SQUARED_HINGE ? 2.0f : sigma;
}

VFN vec weight_of(const pair_rule *rule, vec value, vec other_value, vec factor, vec other_factor)
{
    const vec one = v_all(1);
    vec apart = v_size(v_sub(value, other_value));
    switch (rule->kind) {
    case WEIGHT_LABEL_DIFF: return apart;
    case WEIGHT_LAMBDA: case WEIGHT_PRECISION: return v_mul(apart, v_size(v_sub(factor, other_factor)));
    case WEIGHT_PROFIT: {
        vec sum = v_add(one, v_min(apart, v_all(1.7e38f)));
        // what the sum has rounded off is made good where it matters
        vec lost = v_select(v_less(apart, one), v_sub(apart, v_sub(sum, one)), v_all(0));
        return v_add(v_log(sum), v_div(lost, sum));
    }
    default: return one;
    }
}

// ---- pairs of rows, which are preferred, and columns ----

typedef struct pair_row { vec score, value, factor, weight, grad; } pair_row;

VFN pair_row row_of(const chunk *a, uint32_t r)
{
    pair_row row = {v_all(a->score[r]), v_all(a->value[r]), v_all(a->factor[r]), v_all(a->weight[r]), v_all(0)};
    return row;
}

// One row and a vector of columns from c on: the force, and the value in *value.
VFN vec step(uint32_t link, bool weighted, bool valued, const pair_rule *rule, const pair_row *row, const chunk *b, uint32_t c,
             vec *value)
{
    vec force = link_of(link, valued, rule, v_sub(row->score, v_load(b->score + c)), value);
    if (weighted) {
        vec w = weight_of(rule, row->value, v_load(b->value + c), row->factor, v_load(b->factor + c));
        w = v_mul(w, row->weight);
        force = v_mul(force, w);
        if (valued) *value = v_mul(*value, w);
    }
    return force;
}

// Row r and the columns from..to, of which there need be no whole vector. Returns the values' sum.
VFN vec edge(uint32_t link, bool weighted, bool valued, const pair_rule *rule, chunk *a, uint32_t r, chunk *b, uint32_t from,
             uint32_t to)
{
    const vec zero = v_all(0);
    pair_row row = row_of(a, r);
    vec sum = zero;
    for (uint32_t c = from; c < to; c += V_LANES) {
        vecmask live = v_first(to - c < V_LANES ? to - c : V_LANES);
        vec value = zero, force = step(link, weighted, valued, rule, &row, b, c, &value);
        force = v_select(live, force, zero);
        row.grad = v_add(row.grad, force);
        v_store(b->grad + c, v_add(v_load(b->grad + c), force));
        if (valued) sum = v_add(sum, v_select(live, value, zero));
    }
    a->grad[r] -= v_sum(row.grad);
    return sum;
}

// ROWS rows and whole vectors of columns from..to.
VFN vec bulk(uint32_t link, bool weighted, bool valued, const pair_rule *rule, chunk *a, uint32_t r, chunk *b, uint32_t from,
             uint32_t to)
{
    pair_row rows[ROWS];
    vec sum = v_all(0);
    for (uint32_t k = 0; k < ROWS; k++) rows[k] = row_of(a, r + k);
    for (uint32_t c = from; c < to; c += V_LANES) {
        vec value[ROWS] = {sum, sum, sum, sum}, force[ROWS];
        for (uint32_t k = 0; k < ROWS; k++) {
            force[k] = step(link, weighted, valued, rule, &rows[k], b, c, &value[k]);
            rows[k].grad = v_add(rows[k].grad, force[k]);
        }
        vec all = v_add(v_add(force[0], force[1]), v_add(force[2], force[3]));
        v_store(b->grad + c, v_add(v_load(b->grad + c), all));
        if (valued) sum = v_add(sum, v_add(v_add(value[0], value[1]), v_add(value[2], value[3])));
    }
    for (uint32_t k = 0; k < ROWS; k++) a->grad[r + k] -= v_sum(rows[k].grad);
    return sum;
}

// All pairs of a row of `a` and a column of `b` of a lower label: forces to the gradients of both. Returns the values' sum.
VFN double tile(uint32_t link, bool weighted, bool valued, const pair_rule *rule, chunk *a, chunk *b)
{
    double total = 0;
    uint32_t from[ROWS], below = 0;
    for (uint32_t r = 0; r < a->count; r += ROWS) {
        uint32_t rows = a->count - r < ROWS ? a->count - r : ROWS;
        for (uint32_t k = 0; k < rows; k++) {
            while (below < b->count && b->label[below] >= a->label[r + k]) below++;
            from[k] = below;
        }
        if (from[0] == b->count) break;
        // what all rows share, in whole vectors that end where the columns do
        uint32_t shared = rows == ROWS ? b->count - (b->count - from[ROWS - 1]) / V_LANES * V_LANES : b->count;
        vec sum = v_all(0);
        for (uint32_t k = 0; k < rows; k++) sum = v_add(sum, edge(link, weighted, valued, rule, a, r + k, b, from[k], shared));
        if (shared < b->count) sum = v_add(sum, bulk(link, weighted, valued, rule, a, r, b, shared, b->count));
        if (valued) total += (double)v_sum(sum);
    }
    return total;
}

typedef double (*tile_function)(const pair_rule *rule, chunk *a, chunk *b);

// Cheap links make their value always.
#define TILE(name, link, weighted, valued) \
    static double name(const pair_rule *rule, chunk *a, chunk *b) { return tile(link, weighted, valued, rule, a, b); }
#define TILES(link)                              \
    TILE(tile_##link, link, false, true)         \
    TILE(tile_weighted_##link, link, true, true)
TILES(WANE_LINK_LOGISTIC)
TILES(WANE_LINK_HINGE)
TILES(WANE_LINK_SQUARED_HINGE)
TILES(WANE_LINK_EXPONENTIAL)
TILES(WANE_LINK_SQUARE)
TILES(WANE_LINK_SMOOTH_ZERO_ONE)
TILE(tile_slopes, WANE_LINK_LOGISTIC, false, false)
TILE(tile_weighted_slopes, WANE_LINK_LOGISTIC, true, false)

static tile_function choose_tile(uint32_t link, bool weighted, bool valued)
{
#define TILE_OF(link) case link: return weighted ? tile_weighted_##link : tile_##link;
    if (link == WANE_LINK_LOGISTIC && !valued) return weighted ? tile_weighted_slopes : tile_slopes;
    switch (link) {
    TILE_OF(WANE_LINK_LOGISTIC)
    TILE_OF(WANE_LINK_HINGE)
    TILE_OF(WANE_LINK_SQUARED_HINGE)
    TILE_OF(WANE_LINK_EXPONENTIAL)
    TILE_OF(WANE_LINK_SQUARE)
    default: return weighted ? tile_weighted_WANE_LINK_SMOOTH_ZERO_ONE : tile_WANE_LINK_SMOOTH_ZERO_ONE;
    }
}

// ---- chunks ----

static float float_of(uint32_t word)
{
    float x;
    memcpy(&x, &word, 4);
    return x;
}

static uint32_t word_of(float x)
{
    uint32_t word;
    memcpy(&word, &x, 4);
    return word;
}

static void load_chunk(const rank_pairs_args *args, uint32_t begin, uint32_t end, chunk *c)
{
    const uint32_t *work = args->s.work, weights = args->c.pair_weight, kind = weights & WEIGHT_KIND;
    c->begin = begin;
    c->count = end - begin < CHUNK ? end - begin : CHUNK;
    // a key falls where the label rises
    rank_places(work + args->p.at_label + begin, 0x7fffffffu, c->count, c->place);
    for (uint32_t n = 0; n < c->count; n++) {
        uint32_t i = begin + c->place[n];
        c->score[n] = float_of(work[args->p.at_score + i]);
        c->label[n] = (int32_t)work[args->p.at_label + i];
        c->value[n] = kind == WEIGHT_NONE ? 0 : float_of(work[args->p.at_value + i]);
        c->factor[n] = kind == WEIGHT_LAMBDA ? float_of(work[args->p.at_discount + i]) : 0;
        if (kind == WEIGHT_PRECISION) {
            c->value[n] = c->value[n] > 0 ? 1 : 0;
            c->factor[n] = work[args->p.at_rank + i] <= args->p.top_k ? 1 : 0;
        }
        c->weight[n] = weights & WEIGHT_OF_ITEMS ? float_of(work[args->p.at_weight + i]) : 1;
    }
    float *planes[] = {c->score, c->value, c->factor};
    for (uint32_t p = 0; p < 3; p++) memset(planes[p] + c->count, 0, V_LANES * sizeof(float));
    memset(c->grad, 0, (c->count + V_LANES) * sizeof(float));
}

// To the workspace; false where a sum has left f32. The chunk's value stands at its first item.
static bool store_chunk(const rank_pairs_args *args, const chunk *c, const double *grad, double value, const uint32_t *pairs)
{
    const double most = 3.4e38;
    float scale = link_scale(args->c.link, args->p.sigma);
    bool good = value < most && value > -most;
    for (uint32_t n = 0; n < c->count; n++) {
        uint32_t i = c->begin + c->place[n];
        double g = grad[n] * (double)scale;
        good = good && g < most && g > -most;
        args->s.work[args->p.at_grad + i] = word_of((float)g);
        args->s.work[args->p.at_loss + i] = 0;
        args->s.work[args->p.at_pairs + i] = pairs[n];
    }
    args->s.work[args->p.at_loss + c->begin] = word_of((float)value);
    return good;
}

// How many of b each item of a is preferred to.
static void count_pairs(const chunk *a, const chunk *b, uint32_t *pairs)
{
    for (uint32_t r = 0, below = 0; r < a->count; r++) {
        while (below < b->count && b->label[below] >= a->label[r]) below++;
        pairs[r] += b->count - below;
    }
}

// The chunk of begin..end by the made kernel, as a problem that ends with it.
static void make_chunk(const wane_cpu_call *call, const chunk *c)
{
    struct { RANK_PAIRS_RECORD(OVERRIDE_U_, OVERRIDE_F_) } record;
    struct { RANK_PAIRS_WINDOW(OVERRIDE_U_) } window;
    memcpy(&record, call->record, sizeof record);
    memcpy(&window, call->window, sizeof window);
    record.item_count = c->begin + c->count;
    window.first = c->begin;
    wane_cpu_call part = *call;
    part.record = (const uint32_t *)(const void *)&record;
    part.window = (const uint32_t *)(const void *)&window;
    HAND_MADE(rank_pairs)(&part, 0, (c->count + PAIR_ITEMS - 1) / PAIR_ITEMS);
}

typedef struct chunk_memory {
    chunk own, other;
    double grad[CHUNK];
    uint32_t pairs[CHUNK];
} chunk_memory;

// The chunk of group begin..end that begins at `at`.
static void run_chunk(const wane_cpu_call *call, const rank_pairs_args *args, const pair_rule *rule, uint32_t begin, uint32_t at,
                      uint32_t end, chunk_memory *m)
{
    bool weighted = args->c.pair_weight & (WEIGHT_KIND | WEIGHT_OF_ITEMS), valued = !(args->c.pair_weight & PAIR_NO_VALUE);
    tile_function pairs_valued = choose_tile(rule->link, weighted, valued), pairs = choose_tile(rule->link, weighted, false);
    chunk *own = &m->own, *other = &m->other;
    load_chunk(args, at, end, own);
    memset(m->pairs, 0, sizeof m->pairs);
    double value = pairs_valued(rule, own, own);
    count_pairs(own, own, m->pairs);
    for (uint32_t n = 0; n < own->count; n++) m->grad[n] = (double)own->grad[n];
    for (uint32_t there = begin; there < end; there += CHUNK) {
        if (there == at) continue;
        load_chunk(args, there, end, other);
        memset(own->grad, 0, own->count * sizeof *own->grad);
        value += pairs_valued(rule, own, other);
        pairs(rule, other, own);
        count_pairs(own, other, m->pairs);
        for (uint32_t n = 0; n < own->count; n++) m->grad[n] += (double)own->grad[n];
    }
    if (!store_chunk(args, own, m->grad, valued ? value : 0, m->pairs)) make_chunk(call, own);
}

static pair_rule rule_of(const rank_pairs_args *args)
{
    float sigma = args->p.sigma;
    pair_rule rule = {.link = args->c.link, .kind = args->c.pair_weight & WEIGHT_KIND, .exp = v_exp_of(sigma),
                      .margin = v_all(args->p.margin), .sigma = v_all(sigma), .most = v_all(88.72f / sigma),
                      .low = v_all(87.3f / sigma)};
    return rule;
}

static bool by_hand(const rank_pairs_args *args)
{
    uint32_t kind = args->c.pair_weight & WEIGHT_KIND;
    return kind != WEIGHT_NDCG_LOSS1 && kind != WEIGHT_NDCG_LOSS2 && kind != WEIGHT_NDCG_LOSS2PP && args->p.sigma > 1e-30f
        && args->p.sigma < 1e30f;
}

void HAND_NAME(rank_pairs)(const wane_cpu_call *call, uint32_t begin, uint32_t end)
{
    rank_pairs_args args = rank_pairs_arguments(call);
    if (!by_hand(&args)) {
        HAND_MADE(rank_pairs)(call, begin, end);
        return;
    }
    chunk_memory memory;
    pair_rule rule = rule_of(&args);
    uint32_t *work = args.s.work, i = args.w.first + begin * PAIR_ITEMS, stop = args.w.first + end * PAIR_ITEMS;
    if (stop > args.p.item_count) stop = args.p.item_count;
    while (i < stop) {
        uint32_t g = work[args.p.at_group + i];
        if (g == RANK_NO_GROUP) {
            work[args.p.at_grad + i] = work[args.p.at_loss + i] = work[args.p.at_pairs + i] = 0;
            i++;
            continue;
        }
        uint32_t first = work[args.p.at_offset + g], last = work[args.p.at_offset + g + 1];
        uint32_t at = first + (i - first) / CHUNK * CHUNK;
        if (at == i) run_chunk(call, &args, &rule, first, at, last, &memory);
        i = last - at > CHUNK ? at + CHUNK : last;
    }
}
