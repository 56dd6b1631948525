// rank_tile.h - all pairs of the items of two chunks, over vector.h: their values, and what they pull either item by.
//
// A chunk's items stand in the order of their labels, the highest first, so that the partners below an item are those from
// one place on, and no pair is looked at in vain. ROWS items meet a vector of partners while it is at hand.
//
// No exponential is made a pair. e^(-sigma (s - q)) is a product of two numbers, e^(-sigma (s - c)) of the one item and
// e^(sigma (q - c)) of the other, with the middle c of the group's scores, as long as these lie within 43 / sigma of
// each other (FACTORS); else it is an exponential (DIRECT). Nor is a logarithm, where all pairs weigh the same: log(1 +
// e) + log(1 + f) is one of 1 + P with P = e + f + e f = e (1 + f) + f, which keeps the digits of small ones. What
// leaves f32 are powers of two, which are taken out of 1 + P in time, and counted.
//
// Sums: a chain of additions has at most 512 links within a tile; the values of blocks of rows are added in double.
#ifndef WANE_BACKEND_CPU_RANK_TILE_H
#define WANE_BACKEND_CPU_RANK_TILE_H

#include "backend/cpu/rank_places.h"
#include "backend/cpu/vector.h"

#include "kernels/rank.h"
#include "wane/wane.h"

#include <stdbool.h>

enum { CHUNK = RANK_PLACES_MOST, ROWS = 4 };

#define NEVER 8.5070592e37f                // 2^126: a score difference that no link feels
#define FACTORS_RANGE 43.0f                // of sigma times the scores: 1 + e^43 is below 2^63, two of them leave f32 alone

// Items of a group in the order of their labels. Vectors may read past `count`, where what counts for nothing stands.
typedef struct chunk {
    uint32_t begin, count;
    uint16_t place[CHUNK];                 // of the n-th in this order, from begin
    int32_t label[CHUNK];
    float score[CHUNK + V_LANES], value[CHUNK + V_LANES], factor[CHUNK + V_LANES], weight[CHUNK + V_LANES];
    float rise[CHUNK + V_LANES], fall[CHUNK + V_LANES];    // e^(sigma (score - c)), e^(-sigma (score - c)), where there is a c
    float rise_most, fall_most;
    float grad[CHUNK + V_LANES];           // pulls of the pairs of the last tiles
    uint32_t pairs[CHUNK + V_LANES];
    uint16_t from[CHUNK + V_LANES];        // the first partner in the chunk that it meets as the preferred one
} chunk;

// Weights that a tile knows: none, those of kind WEIGHT_LAMBDA or WEIGHT_PRECISION, these and others and of items, or all.
enum { PLAIN, LAMBDA, MOST, ALL };
// How it comes to exponentials.
enum { DIRECT, FACTORS };

typedef struct pair_rule {
    uint32_t link, kind;                   // kind: WEIGHT_*; `factor` of an item is its discount, or whether it is in the top k
    vec_exp exp;
    vec margin, sigma, most;               // most: where e^(sigma t) still is in f32's range
    vec minus_one;                         // which the compiler does not know: see less
} pair_rule;

// ---- links ----

// log(1 + x) for x >= 0 up to 2^126: what the sum rounds off is made good.
VFN vec log_of_one_and(vec x)
{
    vec sum = v_add(v_all(1), x), lost = v_sub(x, v_sub(sum, v_all(1)));
    return v_add(v_log(sum), v_div(lost, sum));
}

// The values of pairs on their way into one number: total + sigma linear + log(2^powers (1 + product)).
typedef struct value_sum { vec total, linear, powers, product; } value_sum;
typedef struct pair_term { vec pull, value, e, one_e, over; } pair_term;       // e^(-sigma t), or of -|t|, and then max(-t, 0)

#define HAS_PRODUCT(link, weights, valued) ((link) == WANE_LINK_LOGISTIC && (weights) == PLAIN && (valued))

VFN value_sum no_value(void)
{
    value_sum sum = {v_all(0), v_all(0), v_all(0), v_all(0)};
    return sum;
}

VFN void add_value(uint32_t link, int weights, int way, value_sum *sum, const pair_term *term)
{
    if (HAS_PRODUCT(link, weights, true)) {
        sum->product = v_fma(sum->product, term->one_e, term->e);
        if (way == DIRECT) sum->linear = v_add(sum->linear, term->over);
    } else if ((link == WANE_LINK_SQUARE || link == WANE_LINK_SQUARED_HINGE) && weights == PLAIN) {
        sum->total = v_fma(term->pull, term->pull, sum->total);
    } else {
        sum->total = v_add(sum->total, term->value);
    }
}

// Takes the power of two out of 1 + product, which is below 2 then.
VFN void take_powers(value_sum *sum)
{
    vec all = v_add(v_all(1), sum->product), power = v_exponent(all);
    sum->product = v_select(v_less(power, v_all(1)), sum->product, v_sub(v_mantissa(all), v_all(1)));
    sum->powers = v_add(sum->powers, power);
}

VFN vec whole_value(value_sum *sum, const pair_rule *rule)
{
    take_powers(sum);
    vec product = v_fma(sum->powers, v_all(0.69314718f), v_log1p(sum->product));
    return v_add(sum->total, v_fma(sum->linear, rule->sigma, product));
}

// a - b by a multiply-add: Zen has units of its own for these, and here most others are additions.
VFN vec less(const pair_rule *rule, vec a, vec b) { return v_fma(b, rule->minus_one, a); }

// A pair of score difference t: its pull, the slope but for its sign and link_scale; and the value, where it is wanted.
VFN pair_term link_of(uint32_t link, int weights, bool valued, int way, const pair_rule *rule, vec e, vec back, vec t)
{
    const vec zero = v_all(0), one = v_all(1);
    pair_term r = {zero, zero, e, one, zero};
    if (link == WANE_LINK_LOGISTIC || link == WANE_LINK_SMOOTH_ZERO_ONE) {
        bool smooth = link == WANE_LINK_SMOOTH_ZERO_ONE, logarithm = !smooth && valued && weights != PLAIN;
        if (way == DIRECT) r.e = v_exp(v_minus_size(t), rule->exp);
        if (way == DIRECT || logarithm) r.over = v_max(v_sub(zero, t), zero);
        r.one_e = v_add(one, r.e);
        vec inverse = v_inverse(r.one_e), right = v_mul(r.e, inverse);
        vec chance = way == DIRECT ? v_select(v_less(t, zero), inverse, right) : right;
        r.pull = smooth ? v_mul(right, inverse) : chance;
        r.value = chance;
        if (logarithm) r.value = v_fma(r.over, rule->sigma, v_log1p(way == DIRECT ? r.e : v_min(e, back)));
    } else if (link == WANE_LINK_EXPONENTIAL) {
        vec d = v_sub(zero, t);
        if (way == DIRECT) r.e = v_select(v_less(rule->most, d), v_all(3.4028235e38f), v_exp(v_min(d, rule->most), rule->exp));
        r.pull = r.value = r.e;
    } else {
        vec missing = less(rule, rule->margin, t);
        if (link != WANE_LINK_SQUARE) missing = v_max(missing, zero);
        r.value = link == WANE_LINK_HINGE ? missing : v_mul(missing, missing);
        r.pull = link == WANE_LINK_HINGE ? v_select(v_less(zero, missing), one, zero) : missing;
    }
    return r;
}

// What the pull is multiplied with to be the slope's size.
static float link_scale(uint32_t link, float sigma)
{
    return link == WANE_LINK_HINGE ? 1.0f : link == WANE_LINK_SQUARE || link == WANE_LINK_SQUARED_HINGE ? 2.0f : sigma;
}

// ---- pairs of rows, which are preferred, and columns ----

typedef struct pair_row { vec score, value, factor, weight, rise, fall, grad; } pair_row;

VFN pair_row row_of(const chunk *a, uint32_t r)
{
    pair_row row = {v_all(a->score[r]), v_all(a->value[r]), v_all(a->factor[r]), v_all(a->weight[r]), v_all(a->rise[r]),
                    v_all(a->fall[r]), v_all(0)};
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
    if (weights == ALL && rule->kind == WEIGHT_PROFIT) w = v_mul(w, log_of_one_and(v_min(v_max(apart, v_all(0)), v_all(1.7e38f))));
    return w;
}

// Of the columns c .. c + V_LANES those that count: from `from` on; none is past the end but for a link that feels it.
VFN vec counting(uint32_t link, const chunk *b, uint32_t c, uint32_t from, vec x, vec other)
{
    uint32_t dead = from <= c ? 0 : from - c < V_LANES ? from - c : V_LANES;
    x = v_select(v_first(dead), other, x);
    if (link == WANE_LINK_SQUARE) x = v_select(v_first(b->count - c < V_LANES ? b->count - c : V_LANES), x, other);
    return x;
}

// One row and a vector of columns from c on; whole: all of them count. Returns their pulls.
VFN vec step(uint32_t link, int weights, bool valued, int way, const pair_rule *rule, pair_row *row, const chunk *b, uint32_t c,
             value_sum *sum, bool whole, uint32_t from)
{
    const vec zero = v_all(0);
    vec t = v_sub(row->score, v_load(b->score + c));
    vec e = v_mul(row->fall, v_load(b->rise + c)), back = v_mul(row->rise, v_load(b->fall + c));
    pair_term term = link_of(link, weights, valued, way, rule, e, back, t);
    if (weights != PLAIN) {
        vec w = weight_of(weights, rule, row, b, c);
        term.pull = v_mul(term.pull, w);
        term.value = v_mul(term.value, w);
    }
    if (!whole || link == WANE_LINK_SQUARE) {
        term.pull = counting(link, b, c, from, term.pull, zero);
        term.value = counting(link, b, c, from, term.value, zero);
        term.e = counting(link, b, c, from, term.e, zero);
        term.one_e = counting(link, b, c, from, term.one_e, v_all(1));
        term.over = counting(link, b, c, from, term.over, zero);
    }
    if (valued) add_value(link, weights, way, sum, &term);
    row->grad = v_add(row->grad, term.pull);
    return term.pull;
}

// ROWS rows, of rising from, and the columns from the first of these on. Returns the values' sums.
VFN vec block(uint32_t link, int weights, bool valued, int way, const pair_rule *rule, chunk *a, uint32_t r, chunk *b,
              uint32_t together)
{
    const uint32_t first = a->from[r], last = a->from[r + ROWS - 1];
    value_sum sums[2] = {no_value(), no_value()};      // two chains
    pair_row rows[ROWS];
    for (uint32_t k = 0; k < ROWS; k++) rows[k] = row_of(a, r + k);
    for (uint32_t c = first / V_LANES * V_LANES; c < b->count;) {
        bool whole = c >= last;
        uint32_t stop = whole && b->count - c > together ? c + together : whole ? b->count : c + V_LANES;
#define STEPS(whole)                                                                                                         \
        for (; c < stop; c += V_LANES) {                                                                                     \
            vec pull[ROWS];                                                                                                  \
            for (uint32_t k = 0; k < ROWS; k++)                                                                              \
                pull[k] = step(link, weights, valued, way, rule, &rows[k], b, c, &sums[k & 1], whole, a->from[r + k]);       \
            vec all = v_add(v_add(pull[0], pull[1]), v_add(pull[2], pull[3]));                                               \
            v_store(b->grad + c, v_add(v_load(b->grad + c), all));                                                           \
        }
        if (whole) { STEPS(true) } else { STEPS(false) }
#undef STEPS
        if (HAS_PRODUCT(link, weights, valued)) take_powers(&sums[0]), take_powers(&sums[1]);
    }
    for (uint32_t k = 0; k < ROWS; k++) a->grad[r + k] -= v_sum(rows[k].grad);
    value_sum *one = &sums[0], *other = &sums[1];
    if (!HAS_PRODUCT(link, weights, valued)) return v_add(one->total, other->total);
    one->product = v_fma(one->product, v_add(v_all(1), other->product), other->product);
    one->powers = v_add(one->powers, other->powers);
    one->linear = v_add(one->linear, other->linear);
    return whole_value(one, rule);
}

// How many powers of two 1 + e takes at most, for e of a row of `a` and a column of `b`.
static uint32_t bits_of_pairs(int way, const chunk *a, const chunk *b)
{
    float most = 1.0f + a->fall_most * b->rise_most;
    uint32_t word;
    memcpy(&word, &most, 4);
    return way == FACTORS ? (word >> 23) - 126 : 1;
}

// All pairs of a row of `a` and a column of `b` of a lower label, which find_partners has found. Returns the values' sum.
VFN double tile(uint32_t link, int weights, bool valued, int way, const pair_rule *rule, chunk *a, chunk *b)
{
    double total = 0;
    // columns after which powers are taken out: a vector of them brings two factors to each chain
    uint32_t together = HAS_PRODUCT(link, weights, valued) ? 126 / bits_of_pairs(way, a, b) / 2 * V_LANES : CHUNK;
    for (uint32_t r = 0; r < a->count && a->from[r] < b->count; r += ROWS) {
        vec value = block(link, weights, valued, way, rule, a, r, b, together);
        if (valued) total += (double)v_sum(value);
    }
    return total;
}

typedef double (*tile_function)(const pair_rule *rule, chunk *a, chunk *b);

#define TILE(name, link, weights, valued, way) \
    static double name(const pair_rule *rule, chunk *a, chunk *b) { return tile(link, weights, valued, way, rule, a, b); }
#define TILES(name, link, way)                 \
    TILE(name##_plain, link, PLAIN, true, way) \
    TILE(name##_weighted, link, MOST, true, way)
TILES(hinge, WANE_LINK_HINGE, DIRECT)
TILES(squared_hinge, WANE_LINK_SQUARED_HINGE, DIRECT)
TILES(square, WANE_LINK_SQUARE, DIRECT)
TILES(exponential, WANE_LINK_EXPONENTIAL, FACTORS)
TILES(smooth, WANE_LINK_SMOOTH_ZERO_ONE, FACTORS)
TILES(logistic, WANE_LINK_LOGISTIC, FACTORS)
TILE(logistic_slopes, WANE_LINK_LOGISTIC, PLAIN, false, FACTORS)
TILE(logistic_lambda, WANE_LINK_LOGISTIC, LAMBDA, true, FACTORS)
TILE(logistic_lambda_slopes, WANE_LINK_LOGISTIC, LAMBDA, false, FACTORS)
TILE(logistic_direct, WANE_LINK_LOGISTIC, PLAIN, true, DIRECT)
TILE(any, rule->link, ALL, true, DIRECT)               // what is rare, slower and in one function

// The function, if exponentials are factors where there are any. Some make values that nobody wants.
static tile_function choose_tile(const pair_rule *rule, int weights, bool valued, int way)
{
    bool plain = weights == PLAIN;
    if (weights == ALL) return any;
    switch (rule->link) {
    case WANE_LINK_HINGE: return plain ? hinge_plain : hinge_weighted;
    case WANE_LINK_SQUARED_HINGE: return plain ? squared_hinge_plain : squared_hinge_weighted;
    case WANE_LINK_SQUARE: return plain ? square_plain : square_weighted;
    default: break;
    }
    if (way == DIRECT) return plain && rule->link == WANE_LINK_LOGISTIC ? logistic_direct : any;
    if (rule->link == WANE_LINK_EXPONENTIAL) return plain ? exponential_plain : exponential_weighted;
    if (rule->link == WANE_LINK_SMOOTH_ZERO_ONE) return plain ? smooth_plain : smooth_weighted;
    if (plain) return valued ? logistic_plain : logistic_slopes;
    if (weights == LAMBDA) return valued ? logistic_lambda : logistic_lambda_slopes;
    return logistic_weighted;
}

#endif
