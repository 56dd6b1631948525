// softmax_hand_kept.h - exponentials that are kept from a row's sweep to its writer, and the gradient made of them.

typedef struct hand_trail hand_trail;

// Exponentials of a row, kept from the sweep to the writer: of what plain_block has done, in the order in which it loads.
// What is done the careful way is few columns, which the writer makes again. Nothing depends on where the gradient lies.
typedef struct hand_keep {
    float *e;
    uint cols;                             // whole pairs of vectors; the target's is not kept
    uint count;                            // of segments; 0: nothing is kept
    // From column `first` on they are those of x - ref, over `unit`.
    struct { uint first; float ref, unit; bool from_ref; } segments[HAND_SEGMENTS];
} hand_keep;

#if HAND_WRITES
typedef struct hand_out {
    const char *x;                         // of column `begin`
    char *g;
    const char *limit;                     // of the row's gradient
    const float *weight;                   // NULL: 1
    uint begin, label, types;
    row_coefs c;
    float it;
    vec_exp k;
    bool add, stream;
    const hand_keep *keep;                 // NULL: exponentials are made again
    uint keep_begin;                       // column of the first of them
} hand_out;
#endif

#if HAND_ROWS
// Columns whose kept exponentials are against one reference, whole pairs of vectors.
typedef struct kept_run {
    uint end;                              // they end before it; what begins there has to be looked up
    float factor;                          // of the gradient
} kept_run;

// The segment that column `at` belongs to, and what its exponentials are to be multiplied with.
static uint segment_of(const hand_out *o, uint at, float *factor)
{
    const hand_keep *keep = o->keep;
    uint i = keep->count - 1;
    while (i > 0 && keep->segments[i].first > at) i--;
    // the sweep's references are at most the maximum
    *factor = o->c.p * k_exp(k_clamp((keep->segments[i].ref - o->c.top) * o->it)) * keep->segments[i].unit;
    return i;
}

// The pair of vectors that holds the target, which went the careful way.
static uint own_pair(const hand_out *o) { return (o->label - o->keep_begin) / HAND_PAIR * HAND_PAIR; }

// The run that begins at `first`; it ends there where nothing is kept.
static kept_run find_run(const hand_out *o, uint first)
{
    const hand_keep *keep = o->keep;
    uint at = first - o->keep_begin, stop = keep->cols, own = own_pair(o);
    kept_run run = {first, 0.0f};
    if (at < own) stop = own;
    else if (at < own + HAND_PAIR) return run;
    uint i = segment_of(o, at, &run.factor);
    if (i + 1 < keep->count) stop = K_MIN(stop, keep->segments[i + 1].first);
    if (stop > at) run.end = first + (stop - at) / HAND_PAIR * HAND_PAIR;
    return run;
}

// Writes a run, pair of vectors by pair of vectors. Exponentials of bf16 lie in the order of v_load_pair from the row's
// beginning: where the gradient's vectors begin elsewhere, what comes of two pairs is shifted together.
typedef struct kept_pen {
    const float *e, *weight;               // of the next pair
    char *g;
    vec p, w;
    vecpair held;
    pair_shift by;
    bool shifted, stream, add, quick;      // add: f32 alone; quick: what is denormal is nothing beside the row's largest
} kept_pen;

VFN vecpair pen_round(const kept_pen *pen, vec a, vec b)
{
    return pen->quick ? v_to_pair_quick(a, b) : v_to_pair(a, b);
}

// The gradient of a pair, but for the target.
VFN void pen_pair(kept_pen *pen, vec *a, vec *b)
{
    vec wa = pen->w, wb = pen->w;
    *a = v_load(pen->e);
    *b = v_load(pen->e + V_LANES);
    pen->e += HAND_PAIR;
    if (pen->weight) {
        wa = v_mul(wa, v_load(pen->weight));
        wb = v_mul(wb, v_load(pen->weight + V_LANES));
        pen->weight += HAND_PAIR;
    }
    *a = v_fma(*a, pen->p, wa);
    *b = v_fma(*b, pen->p, wb);
}

VFN kept_pen pen_at(const hand_out *o, const kept_run *run, uint first, uint type)
{
    const uint at = first - o->begin, shift = type == TYPE_BF16 ? (first - o->keep_begin) % HAND_PAIR : 0;
    kept_pen pen = {.e = o->keep->e + (first - o->keep_begin - shift), .g = o->g + at * col_bytes(type), .stream = o->stream, .add = o->add};
    pen.p = v_all(run->factor);
    pen.w = v_all(o->c.w);
    pen.weight = o->weight && o->c.w != 0.0f ? o->weight + at : NULL;
    pen.quick = V_QUICK_PAIR && (run->factor > 0x1p-60f || run->factor < -0x1p-60f);
    pen.shifted = shift != 0;
    if (pen.shifted) {
        vec a, b;
        pen.by = v_shift_of(shift);
        pen_pair(&pen, &a, &b);
        pen.held = pen_round(&pen, a, b);
    }
    return pen;
}

VFN void pen_write(kept_pen *pen, uint type)
{
    vec a, b;
    pen_pair(pen, &a, &b);
    if (type == TYPE_F32 && pen->add) {
        a = v_add(a, v_load(pen->g));
        b = v_add(b, v_load(pen->g + V_LANES * sizeof(float)));
    }
    if (type == TYPE_BF16) {
        vecpair y = pen_round(pen, a, b);
        if (pen->shifted) {
            vecpair next = y;
            y = v_shift_pair(pen->held, next, pen->by);
            pen->held = next;
        }
        if (pen->stream) v_stream_pair(pen->g, y);
        else v_store_pair(pen->g, y);
    } else if (pen->stream) {
        col_store_pair(pen->g, a, b, type, false, true);
    } else {
        col_store_pair(pen->g, a, b, type, false, false);
    }
    pen->g += HAND_PAIR * col_bytes(type);
}

// The writer of the row before, while a row is swept: the memory takes stores while the processor makes exponentials. Both
// use one buffer, the writer a few columns ahead.
struct hand_trail {
    hand_out o;
    hand_keep keep;                        // the row's own references; the sweep fills the buffer again
    uint next, end;                        // columns that are still to be written
    kept_run run;
};

static void trail_to(hand_trail *trail, uint end);

// Goes on to `end` where a run ends before it. Returns how many columns of a run come next, and a pen for them.
static __attribute__((noinline, cold)) uint trail_on(hand_trail *trail, uint next, uint end, uint type, kept_pen *pen)
{
    trail->next = next;
    trail_to(trail, end);
    if (trail->next >= trail->end) return 0;
    if (trail->next >= trail->run.end) trail->run = find_run(&trail->o, trail->next);
    if (trail->run.end == trail->next) return 0;
    *pen = type == TYPE_F32 ? pen_at(&trail->o, &trail->run, trail->next, TYPE_F32)
         : type == TYPE_F16 ? pen_at(&trail->o, &trail->run, trail->next, TYPE_F16)
                            : pen_at(&trail->o, &trail->run, trail->next, TYPE_BF16);
    return trail->run.end - trail->next;
}
#endif
