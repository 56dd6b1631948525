// rank_hand.h - rank_pairs, written by hand over vector.h: every pair of a group that counts is evaluated once.
//
// A group goes in chunks of CHUNK consecutive items, whose pairs rank_tile.h makes; those are parted among as many
// blocks of chunks as the planner has rounds and one more. In round 0 a block meets itself; in each later one, as in a
// tournament, one other, so that no two threads write one item. A work item makes the blocks that begin among its
// items, and of the two that meet, the one that begins first. What an item gets, and in which order, depends on its
// group and on the number of rounds alone: the same bits for any number of threads. Sums over chunks are kept in two
// f32, high and low.
//
// Included by rank__<set>.c, which defines HAND_SET and HAND_BASE (rank_places.h). Not done here, but by the made
// kernel in round 0: ndcg_loss1, ndcg_loss2 and ndcg_loss2pp, a sigma near f32's ends; and chunks in which a sum leaves
// f32.
//
// Gained against the made kernels: docs/performance.md, Ranking.
#include "backend/cpu/override.h"
#include "backend/cpu/rank_tile.h"

WANE_CPU_ARGUMENTS(rank_pairs, RANK_PAIRS)
HAND_DECLARE(rank_pairs);

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

// What a call does with one group.
typedef struct pair_group {
    const rank_pairs_args *args;
    const pair_rule *rule;
    uint32_t begin, end, span;             // span: items of a block, whole chunks
    int way;
    float middle;                          // of the scores
    tile_function tile;
    double scale;
    bool valued;
} pair_group;

typedef struct chunk_memory { chunk own, other; } chunk_memory;

// Puts the items of the chunk at `begin` in the order of their labels; the planner's plane keeps it from round 0 on.
static void order_chunk(const pair_group *group, chunk *c)
{
    const rank_pairs_args *args = group->args;
    char *kept = (char *)(args->s.work + args->p.at_place) + 2 * (size_t)c->begin;
    if (args->w.round > 0) {
        memcpy(c->place, kept, 2 * (size_t)c->count);
        return;
    }
    // a key falls where the label rises
    rank_places(args->s.work + args->p.at_label + c->begin, 0x7fffffffu, c->count, c->place);
    if (args->w.rounds > 0) memcpy(kept, c->place, 2 * (size_t)c->count);
}

// e^(+-sigma (s - middle)), with what the difference rounds off.
static void load_factors(const pair_group *group, chunk *c)
{
    const vec one = v_all(1), middle = v_all(group->middle), sigma = group->rule->sigma, zero = v_all(0);
    vec rise_most = zero, fall_most = zero;
    for (uint32_t n = 0; n < c->count; n += V_LANES) {
        vec s = v_load(c->score + n), d = v_sub(s, middle), z = v_sub(d, s);
        vec lost = v_mul(sigma, v_sub(v_sub(s, v_sub(d, z)), v_add(middle, z)));
        vecmask live = v_first(c->count - n < V_LANES ? c->count - n : V_LANES);
        vec rise = v_mul(v_exp(d, group->rule->exp), v_add(one, lost));
        vec fall = v_mul(v_exp(v_sub(zero, d), group->rule->exp), v_sub(one, lost));
        rise = v_select(live, rise, zero), fall = v_select(live, fall, zero);
        v_store(c->rise + n, rise), v_store(c->fall + n, fall);
        rise_most = v_max(rise, rise_most), fall_most = v_max(fall, fall_most);
    }
    v_store(c->rise + c->count, zero), v_store(c->fall + c->count, zero);
    c->rise_most = v_top(rise_most), c->fall_most = v_top(fall_most);
}

static void take_plane(const uint32_t *plane, const chunk *c, float *to)
{
    for (uint32_t n = 0; n < c->count; n++) to[n] = float_of(plane[c->place[n]]);
}

static void load_chunk(const pair_group *group, uint32_t begin, uint32_t end, chunk *c)
{
    const rank_pairs_args *args = group->args;
    const uint32_t *work = args->s.work + begin, weights = args->c.pair_weight, kind = weights & WEIGHT_KIND;
    c->begin = begin;
    c->count = end - begin < CHUNK ? end - begin : CHUNK;
    order_chunk(group, c);
    take_plane(work + args->p.at_score, c, c->score);
    for (uint32_t n = 0; n < c->count; n++) c->label[n] = (int32_t)work[args->p.at_label + c->place[n]];
    if (kind != WEIGHT_NONE) take_plane(work + args->p.at_value, c, c->value);
    if (kind == WEIGHT_LAMBDA) take_plane(work + args->p.at_discount, c, c->factor);
    for (uint32_t n = 0; n < c->count && kind == WEIGHT_PRECISION; n++) {
        c->value[n] = c->value[n] > 0 ? 1 : 0;
        c->factor[n] = work[args->p.at_rank + c->place[n]] <= args->p.top_k ? 1 : 0;
    }
    for (uint32_t n = 0; n < c->count; n++) c->weight[n] = 1;
    if (weights & WEIGHT_OF_ITEMS) take_plane(work + args->p.at_weight, c, c->weight);
    for (uint32_t n = c->count; n < c->count + V_LANES; n++) {
        c->score[n] = -NEVER;
        c->value[n] = c->factor[n] = c->weight[n] = 0;
    }
    if (group->way == FACTORS) load_factors(group, c);
}

// To the planes of the items. The chunk's value stands at its first item.
static void add_chunk(const pair_group *group, const chunk *c, double value)
{
    const rank_pairs_args *args = group->args;
    uint32_t *work = args->s.work + c->begin, *grad = work + args->p.at_grad, *low = work + args->p.at_low;
    bool exact = args->w.rounds > 0;
    for (uint32_t n = 0; n < c->count; n++) {
        uint32_t i = c->place[n];
        double g = (double)c->grad[n] * group->scale + (double)float_of(grad[i]);
        if (exact) g += (double)float_of(low[i]);
        grad[i] = word_of((float)g);
        if (exact) low[i] = word_of((float)(g - (double)(float)g));
        work[args->p.at_pairs + i] += c->pairs[n];
    }
    if (group->valued) work[args->p.at_loss] = word_of((float)((double)float_of(work[args->p.at_loss]) + value));
}

// Where the partners of each item of `a` begin among those of `b`, and how many they are.
static void find_partners(chunk *a, const chunk *b)
{
    for (uint32_t r = 0, below = 0; r < a->count; r++) {
        while (below < b->count && b->label[below] >= a->label[r]) below++;
        a->from[r] = (uint16_t)below;
        a->pairs[r] += b->count - below;
    }
    for (uint32_t r = a->count; r < a->count + ROWS; r++) a->from[r] = CHUNK + V_LANES;
}

static void clear_sums(chunk *c)
{
    memset(c->grad, 0, (c->count + V_LANES) * sizeof *c->grad);
    memset(c->pairs, 0, c->count * sizeof *c->pairs);
}

// The chunks at `a` and `b`, which may be one, each in both of its roles.
static void meet(const pair_group *group, chunk *a, uint32_t at, chunk_memory *m)
{
    chunk *b = at == a->begin ? a : &m->other;
    clear_sums(a);
    if (b != a) load_chunk(group, at, group->end, b), clear_sums(b);
    find_partners(a, b);
    double value = group->tile(group->rule, a, b);
    if (b != a) {
        find_partners(b, a);
        add_chunk(group, b, group->tile(group->rule, b, a));
    }
    add_chunk(group, a, value);
}

// Two blocks, or one with itself: the chunks of one with those of the other.
static void meet_blocks(const pair_group *group, uint32_t one, uint32_t other, chunk_memory *m)
{
    uint32_t one_end = group->end - one < group->span ? group->end : one + group->span;
    uint32_t other_end = group->end - other < group->span ? group->end : other + group->span;
    for (uint32_t at = one; at < one_end; at += CHUNK) {
        load_chunk(group, at, group->end, &m->own);
        for (uint32_t there = one == other ? at : other; there < other_end; there += CHUNK)
            meet(group, &m->own, there, m);
    }
}

// The chunk by the made kernel, as a problem that ends with it.
static void make_chunk(const wane_cpu_call *call, uint32_t begin, uint32_t end)
{
    struct { RANK_PAIRS_RECORD(OVERRIDE_U_, OVERRIDE_F_) } record;
    struct { RANK_PAIRS_WINDOW(OVERRIDE_U_) } window;
    memcpy(&record, call->record, sizeof record);
    memcpy(&window, call->window, sizeof window);
    record.item_count = end;
    window.first = begin;
    window.round = 0;
    wane_cpu_call part = *call;
    part.record = (const uint32_t *)(const void *)&record;
    part.window = (const uint32_t *)(const void *)&window;
    HAND_MADE(rank_pairs)(&part, 0, (end - begin + PAIR_ITEMS - 1) / PAIR_ITEMS);
}

// Whether all words are numbers within f32's range.
static bool within(const uint32_t *word, uint32_t count)
{
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < count; i++) wrong |= (word[i] & 0x7fffffffu) >= 0x7f7fffffu;
    return !wrong;
}

// After the last round.
static void end_block(const wane_cpu_call *call, const pair_group *group, uint32_t begin)
{
    const rank_pairs_args *args = group->args;
    uint32_t end = group->end - begin < group->span ? group->end : begin + group->span;
    for (uint32_t at = begin; at < end; at += CHUNK) {
        uint32_t count = end - at < CHUNK ? end - at : CHUNK;
        if (!within(args->s.work + args->p.at_grad + at, count) || !within(args->s.work + args->p.at_loss + at, 1))
            make_chunk(call, at, at + count);
    }
}

// ---- groups ----

// The block that meets block x in a round from 1 on: all but the last go in a circle, numbers that add up to the
// round's meet.
static uint32_t opponent(uint32_t x, uint32_t round, uint32_t rounds)
{
    if (x == rounds) return (uint32_t)((uint64_t)round * ((rounds + 1) / 2) % rounds);
    uint32_t y = (round + rounds - x) % rounds;
    return y == x ? rounds : y;
}

static void clear_block(const pair_group *group, uint32_t begin)
{
    const rank_pairs_args *args = group->args;
    uint32_t *work = args->s.work + begin, count = group->end - begin < group->span ? group->end - begin : group->span;
    memset(work + args->p.at_grad, 0, count * sizeof *work);
    memset(work + args->p.at_loss, 0, count * sizeof *work);
    memset(work + args->p.at_pairs, 0, count * sizeof *work);
    if (args->w.rounds > 0) memset(work + args->p.at_low, 0, count * sizeof *work);
}

// The part of a round that is the block's which begins at `begin`: with the last one two that meet end together.
static void run_block(const wane_cpu_call *call, const pair_group *group, uint32_t begin, chunk_memory *m)
{
    const uint32_t round = group->args->w.round, rounds = group->args->w.rounds, x = (begin - group->begin) / group->span;
    const uint32_t y = round > 0 ? opponent(x, round, rounds) : x;
    const uint64_t other = group->begin + (uint64_t)y * group->span;
    const bool two = y != x && other < group->end;
    if (two && y < x) return;
    if (round == 0) clear_block(group, begin);
    if (round == 0 || two) meet_blocks(group, begin, two ? (uint32_t)other : begin, m);
    if (round < rounds) return;
    end_block(call, group, begin);
    if (two) end_block(call, group, (uint32_t)other);
}

// The middle of the group's scores, and whether exponentials of them are factors of those of all pairs.
static int way_of(const pair_group *group, float *middle)
{
    const rank_pairs_args *args = group->args;
    const uint32_t *score = args->s.work + args->p.at_score + group->begin, count = group->end - group->begin;
    const uint32_t link = args->c.link;
    if (link != WANE_LINK_LOGISTIC && link != WANE_LINK_EXPONENTIAL && link != WANE_LINK_SMOOTH_ZERO_ONE) return DIRECT;
    vec most = v_all(-NEVER), least = v_all(NEVER);
    uint32_t n = 0;
    for (; n + V_LANES <= count; n += V_LANES) {
        vec s = v_load(score + n);
        most = v_max(s, most), least = v_min(s, least);
    }
    if (n < count) {
        most = v_max(v_load_part(score + n, count - n, -NEVER), most);
        least = v_min(v_load_part(score + n, count - n, NEVER), least);
    }
    float low = v_low(least), high = v_top(most);
    *middle = 0.5f * low + 0.5f * high;
    return args->p.sigma * (high - low) <= FACTORS_RANGE ? FACTORS : DIRECT;
}

static int weights_of(const rank_pairs_args *args)
{
    uint32_t kind = args->c.pair_weight & WEIGHT_KIND;
    if (kind == WEIGHT_PROFIT) return ALL;
    if (args->c.pair_weight & WEIGHT_OF_ITEMS) return MOST;
    return kind == WEIGHT_NONE ? PLAIN : kind == WEIGHT_LABEL_DIFF ? MOST : LAMBDA;
}

static pair_group group_of(const rank_pairs_args *args, const pair_rule *rule, uint32_t g)
{
    const uint32_t *ends = args->s.work + args->p.at_offset + g, blocks = args->w.rounds + 1;
    uint32_t chunks = (ends[1] - ends[0] + CHUNK - 1) / CHUNK;
    pair_group group = {.args = args, .rule = rule, .begin = ends[0], .end = ends[1]};
    group.span = (chunks + blocks - 1) / blocks * CHUNK;
    group.valued = !(args->c.pair_weight & PAIR_NO_VALUE);
    group.scale = (double)link_scale(rule->link, args->p.sigma);
    // a group of one block has nobody to meet
    if (args->w.round == 0 || group.end - group.begin > group.span) group.way = way_of(&group, &group.middle);
    group.tile = choose_tile(rule, weights_of(args), group.valued, group.way);
    return group;
}

static pair_rule rule_of(const rank_pairs_args *args)
{
    float sigma = args->p.sigma;
    pair_rule rule = {.link = args->c.link, .kind = args->c.pair_weight & WEIGHT_KIND, .exp = v_exp_of(sigma),
                      .margin = v_all(args->p.margin), .sigma = v_all(sigma), .most = v_all(88.72f / sigma)};
    volatile float minus_one = -1;
    rule.minus_one = v_all(minus_one);
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
        pair_group group = group_of(&args, &rule, g);
        uint32_t at = group.begin + (i - group.begin + group.span - 1) / group.span * group.span;
        for (; at < stop && at < group.end; at += group.span) run_block(call, &group, at, &memory);
        i = group.end;
    }
}
