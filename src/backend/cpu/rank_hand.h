// rank_hand.h - rank_pairs, written by hand over vector.h: every pair of a group that counts is evaluated once.
//
// A group goes in chunks of CHUNK consecutive items. A chunk's items are put in the order of their labels, the highest
// first, so that the partners below an item are those from one place on: no pair is looked at in vain. Within a chunk a
// pair's term goes to both of its items at once; between two chunks the chunk that is being made takes its share alone,
// and the other's turn comes (so that no two threads write one item). A work item makes the chunks that begin among its
// items. What a chunk gets depends on its group alone: the same bits for any number of threads.
// Sums: a chain of additions has 256 links within two chunks; chunks are added in double.
//
// Included by rank__<set>.c, which defines HAND_SET and HAND_BASE (rank_places.h). Not done here, but by the made kernel:
// ndcg_loss1, ndcg_loss2 and ndcg_loss2pp, a sigma near f32's ends, and chunks in which a sum leaves f32.
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

// Weights that a tile knows: none, those of kind WEIGHT_LAMBDA or WEIGHT_PRECISION, or any, of items too.
enum { PLAIN, LAMBDA, ANY };
// Whose gradients a tile makes.
enum { OWN_ROWS = 1, COLUMNS = 2, BOTH = 3 };

typedef struct pair_rule {
    uint32_t link, kind;                   // kind: WEIGHT_*; `factor` of an item is its discount, or whether it is in the top k
    vec_exp exp;
    vec margin, sigma, most, low;          // most: where e^(sigma t) still is in f32's range; low: where it still is normal
} pair_rule;

// ---- links ----

// log(1 + x) for x >= 0 up to 2^126: what the sum rounds off is made good.
VFN vec log_of_one_and(vec x)
{
    vec sum = v_add(v_all(1), x), lost = v_sub(x, v_sub(sum, v_all(1)));
    return v_add(v_log(sum), v_div(lost, sum));
}

// What a pair is worth, on its way into `total`. Logistic pairs without weights meet in a product: log(1 + e) log(1 + f) is
// one logarithm of 1 + (e + f + e f), so up to PRODUCTS factors cost a multiplication and an addition each.
enum { PRODUCTS = 64 };
#define HAS_PRODUCT(link, weights, valued) ((link) == WANE_LINK_LOGISTIC && (weights) == PLAIN && (valued))
typedef struct value_sum {
    vec total, linear, product;
    uint32_t factors;                      // in product, where that is not plain from the loop
} value_sum;
typedef struct pair_term { vec force, value, e; vecmask wrong; } pair_term;    // wrong: t < 0

VFN void add_value(uint32_t link, int weights, value_sum *sum, const pair_term *term, vec t)
{
    if (HAS_PRODUCT(link, weights, true)) {
        sum->product = v_fma(sum->product, term->e, v_add(sum->product, term->e));
        sum->linear = v_select(term->wrong, v_sub(sum->linear, t), sum->linear);
    } else if ((link == WANE_LINK_SQUARE || link == WANE_LINK_SQUARED_HINGE) && weights == PLAIN) {
        sum->total = v_fma(term->force, term->force, sum->total);
    } else {
        sum->total = v_add(sum->total, term->value);
    }
}

VFN void take_product(value_sum *sum, const pair_rule *rule)
{
    sum->total = v_add(sum->total, v_fma(sum->linear, rule->sigma, log_of_one_and(sum->product)));
    sum->linear = sum->product = v_all(0);
    sum->factors = 0;
}

// The force on a pair of score difference t: the slope but for its sign and link_scale; and the value, where it is wanted.
VFN pair_term link_of(uint32_t link, int weights, bool valued, const pair_rule *rule, vec t)
{
    const vec zero = v_all(0), one = v_all(1);
    pair_term r = {zero, zero, zero, v_less(t, zero)};
    if (link == WANE_LINK_LOGISTIC && !valued) {
        r.force = v_inverse(v_add(one, v_exp(v_min(t, rule->low), rule->exp)));
    } else if (link == WANE_LINK_LOGISTIC || link == WANE_LINK_SMOOTH_ZERO_ONE) {
        r.e = v_exp(v_minus_size(t), rule->exp);
        vec inverse = v_inverse(v_add(one, r.e)), right = v_mul(r.e, inverse);
        vec chance = v_select(r.wrong, inverse, right);
        bool logistic = link == WANE_LINK_LOGISTIC;
        r.force = logistic ? chance : v_mul(right, inverse);
        r.value = chance;
        if (logistic && weights != PLAIN) r.value = v_fma(v_max(v_sub(zero, t), zero), rule->sigma, v_log1p(r.e));
    } else if (link == WANE_LINK_EXPONENTIAL) {
        vec d = v_sub(zero, t), e = v_exp(v_min(d, rule->most), rule->exp);
        r.force = r.value = v_select(v_less(rule->most, d), v_all(3.4028235e38f), e);
    } else {
        vec missing = v_sub(rule->margin, t);
        if (link != WANE_LINK_SQUARE) missing = v_max(missing, zero);
        r.value = link == WANE_LINK_HINGE ? missing : v_mul(missing, missing);
        r.force = link == WANE_LINK_HINGE ? v_select(v_less(zero, missing), one, zero) : missing;
    }
    return r;
}

// What the force is multiplied with to be the slope's size.
static float link_scale(uint32_t link, float sigma)
{
    return link == WANE_LINK_HINGE ? 1.0f : link == WANE_LINK_SQUARE || link == WANE_LINK_SQUARED_HINGE ? 2.0f : sigma;
}

// ---- pairs of rows, which are preferred, and columns ----

typedef struct pair_row { vec score, value, factor, weight, grad; } pair_row;

VFN pair_row row_of(const chunk *a, uint32_t r)
{
    pair_row row = {v_all(a->score[r]), v_all(a->value[r]), v_all(a->factor[r]), v_all(a->weight[r]), v_all(0)};
    return row;
}

// The row's label is above the columns', and so are its label's values.
VFN vec weight_of(int weights, const pair_rule *rule, const pair_row *row, const chunk *b, uint32_t c)
{
    vec apart = v_sub(row->value, v_load(b->value + c)), far = v_size(v_sub(row->factor, v_load(b->factor + c)));
    if (weights == LAMBDA) return v_mul(apart, far);
    vec w = row->weight;
    if (rule->kind == WEIGHT_LABEL_DIFF) w = v_mul(w, apart);
    if (rule->kind == WEIGHT_LAMBDA || rule->kind == WEIGHT_PRECISION) w = v_mul(w, v_mul(apart, far));
    if (rule->kind == WEIGHT_PROFIT) w = v_mul(w, log_of_one_and(v_min(v_max(apart, v_all(0)), v_all(1.7e38f))));
    return w;
}

// One row and a vector of columns from c on; of these `live` count.
VFN vec step(uint32_t link, int weights, bool valued, const pair_rule *rule, pair_row *row, const chunk *b, uint32_t c,
             value_sum *sum, bool whole, vecmask live)
{
    const vec zero = v_all(0);
    vec t = v_sub(row->score, v_load(b->score + c));
    pair_term term = link_of(link, weights, valued, rule, t);
    if (weights != PLAIN) {
        vec w = weight_of(weights, rule, row, b, c);
        term.force = v_mul(term.force, w);
        term.value = v_mul(term.value, w);
    }
    if (!whole) {
        term.force = v_select(live, term.force, zero);
        term.value = v_select(live, term.value, zero);
        term.e = v_select(live, term.e, zero);
        t = v_select(live, t, zero);
    }
    if (valued) add_value(link, weights, sum, &term, t);
    return term.force;
}

// Row r and the columns from..to, of which there need be no whole vector.
VFN void edge(uint32_t link, int weights, bool valued, int sides, const pair_rule *rule, chunk *a, uint32_t r, chunk *b,
              uint32_t from, uint32_t to, value_sum *sum)
{
    pair_row row = row_of(a, r);
    for (uint32_t c = from; c < to; c += V_LANES) {
        vecmask live = v_first(to - c < V_LANES ? to - c : V_LANES);
        vec force = step(link, weights, valued, rule, &row, b, c, sum, false, live);
        row.grad = v_add(row.grad, force);
        if (sides & COLUMNS) v_store(b->grad + c, v_add(v_load(b->grad + c), force));
        if (HAS_PRODUCT(link, weights, valued) && ++sum->factors == PRODUCTS) take_product(sum, rule);
    }
    if (sides & OWN_ROWS) a->grad[r] -= v_sum(row.grad);
}

// ROWS rows and whole vectors of columns from..to.
VFN void bulk(uint32_t link, int weights, bool valued, int sides, const pair_rule *rule, chunk *a, uint32_t r, chunk *b,
              uint32_t from, uint32_t to, value_sum *sum)
{
    const vecmask none = v_first(0);
    const value_sum nothing = {v_all(0), v_all(0), v_all(0), 0};
    value_sum sums[2] = {nothing, nothing};    // two chains
    pair_row rows[ROWS];
    for (uint32_t k = 0; k < ROWS; k++) rows[k] = row_of(a, r + k);
    for (uint32_t c = from; c < to;) {
        const uint32_t most = PRODUCTS / (ROWS / 2) * V_LANES, stop = to - c < most ? to : c + most;
        for (; c < stop; c += V_LANES) {
            vec force[ROWS];
            for (uint32_t k = 0; k < ROWS; k++) {
                force[k] = step(link, weights, valued, rule, &rows[k], b, c, &sums[k & 1], true, none);
                if (sides & OWN_ROWS) rows[k].grad = v_add(rows[k].grad, force[k]);
            }
            vec all = v_add(v_add(force[0], force[1]), v_add(force[2], force[3]));
            if (sides & COLUMNS) v_store(b->grad + c, v_add(v_load(b->grad + c), all));
        }
        if (HAS_PRODUCT(link, weights, valued)) take_product(&sums[0], rule), take_product(&sums[1], rule);
    }
    for (uint32_t k = 0; k < ROWS && sides & OWN_ROWS; k++) a->grad[r + k] -= v_sum(rows[k].grad);
    sum->total = v_add(sum->total, v_add(sums[0].total, sums[1].total));
}

// All pairs of a row of `a` and a column of `b` of a lower label: forces to the gradients of `sides`. Returns the values' sum.
VFN double tile(uint32_t link, int weights, bool valued, int sides, const pair_rule *rule, chunk *a, chunk *b)
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
        value_sum sum = {v_all(0), v_all(0), v_all(0), 0};
        for (uint32_t k = 0; k < rows; k++) edge(link, weights, valued, sides, rule, a, r + k, b, from[k], shared, &sum);
        if (shared < b->count) bulk(link, weights, valued, sides, rule, a, r, b, shared, b->count, &sum);
        if (HAS_PRODUCT(link, weights, valued)) take_product(&sum, rule);
        if (valued) total += (double)v_sum(sum.total);
    }
    return total;
}

typedef double (*tile_function)(const pair_rule *rule, chunk *a, chunk *b);

#define TILE(name, link, weights, valued, sides) \
    static double name(const pair_rule *rule, chunk *a, chunk *b) { return tile(link, weights, valued, sides, rule, a, b); }
// Links that cost little are worth a function for each side; they make their values always.
#define TILES_OF_SIDES(name, link)                   \
    TILE(name##_both, link, PLAIN, true, BOTH)       \
    TILE(name##_rows, link, PLAIN, true, OWN_ROWS)   \
    TILE(name##_columns, link, PLAIN, false, COLUMNS) \
    TILE(name##_weighted, link, ANY, true, BOTH)
#define TILES(name, link)                \
    TILE(name##_both, link, PLAIN, true, BOTH) \
    TILE(name##_weighted, link, ANY, true, BOTH)
TILES_OF_SIDES(hinge, WANE_LINK_HINGE)
TILES_OF_SIDES(squared_hinge, WANE_LINK_SQUARED_HINGE)
TILES_OF_SIDES(square, WANE_LINK_SQUARE)
TILES(exponential, WANE_LINK_EXPONENTIAL)
TILES(smooth_zero_one, WANE_LINK_SMOOTH_ZERO_ONE)
TILES(logistic, WANE_LINK_LOGISTIC)
TILE(logistic_lambda, WANE_LINK_LOGISTIC, LAMBDA, true, BOTH)
TILE(logistic_slopes, WANE_LINK_LOGISTIC, PLAIN, false, BOTH)
TILE(logistic_slopes_weighted, WANE_LINK_LOGISTIC, ANY, false, BOTH)
TILE(logistic_slopes_lambda, WANE_LINK_LOGISTIC, LAMBDA, false, BOTH)

static tile_function choose_tile(uint32_t link, int weights, bool valued, int sides)
{
    switch (link) {
#define TILE_OF(link, name) case link: return weights ? name##_weighted : name##_both;
#define TILE_OF_SIDES(link, name) \
    case link: return weights ? name##_weighted : sides == OWN_ROWS ? name##_rows : sides == COLUMNS ? name##_columns : name##_both;
    TILE_OF_SIDES(WANE_LINK_HINGE, hinge)
    TILE_OF_SIDES(WANE_LINK_SQUARED_HINGE, squared_hinge)
    TILE_OF_SIDES(WANE_LINK_SQUARE, square)
    TILE_OF(WANE_LINK_EXPONENTIAL, exponential)
    TILE_OF(WANE_LINK_SMOOTH_ZERO_ONE, smooth_zero_one)
    default:
        if (valued) return weights == PLAIN ? logistic_both : weights == LAMBDA ? logistic_lambda : logistic_weighted;
        return weights == PLAIN ? logistic_slopes : weights == LAMBDA ? logistic_slopes_lambda : logistic_slopes_weighted;
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
    bool valued = !(args->c.pair_weight & PAIR_NO_VALUE), product = rule->kind == WEIGHT_LAMBDA || rule->kind == WEIGHT_PRECISION;
    int weights = args->c.pair_weight & WEIGHT_OF_ITEMS ? ANY : rule->kind == WEIGHT_NONE ? PLAIN : product ? LAMBDA : ANY;
    tile_function both = choose_tile(rule->link, weights, valued, BOTH), rows = choose_tile(rule->link, weights, valued, OWN_ROWS),
                  columns = choose_tile(rule->link, weights, false, COLUMNS);
    chunk *own = &m->own, *other = &m->other;
    load_chunk(args, at, end, own);
    memset(m->pairs, 0, sizeof m->pairs);
    double value = both(rule, own, own);
    count_pairs(own, own, m->pairs);
    for (uint32_t n = 0; n < own->count; n++) m->grad[n] = (double)own->grad[n];
    for (uint32_t there = begin; there < end; there += CHUNK) {
        if (there == at) continue;
        load_chunk(args, there, end, other);
        memset(own->grad, 0, own->count * sizeof *own->grad);
        value += rows(rule, own, other);
        columns(rule, other, own);
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

// A link or a weight that is not known here is the made kernel's.
static bool by_hand(const rank_pairs_args *args)
{
    const uint32_t links = 1u << WANE_LINK_LOGISTIC | 1u << WANE_LINK_HINGE | 1u << WANE_LINK_SQUARED_HINGE
                         | 1u << WANE_LINK_EXPONENTIAL | 1u << WANE_LINK_SQUARE | 1u << WANE_LINK_SMOOTH_ZERO_ONE;
    const uint32_t weights = 1u << WEIGHT_NONE | 1u << WEIGHT_LABEL_DIFF | 1u << WEIGHT_LAMBDA | 1u << WEIGHT_PRECISION
                           | 1u << WEIGHT_PROFIT;
    return args->c.link < 32 && links >> args->c.link & 1 && weights >> (args->c.pair_weight & WEIGHT_KIND) & 1
        && args->p.sigma > 1e-30f && args->p.sigma < 1e30f;
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
