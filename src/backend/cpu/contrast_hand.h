// contrast_hand.h - contrast_write over vector.h: the gradient of a row of similarities in their place.
//
// Included by contrast_write__<set>.c, which defines HAND_NAME. Same contract as shaders/kernels/contrast_write.k.h; an
// exponential is within 2 ulp (vector.h). Each cell depends on its row and column alone, so threads and ranges change nothing.
//
// Gained on 2 cores of Zen 5, AVX-512, clip of 4096 rows and dim 512: of the time of forward and backward this pass took 7.1 %
// as made and takes 2.2 % (perf, cpu-clock).
#include "backend/cpu/override.h"
#include "backend/cpu/vector.h"

#include "kernels/contrast.h"
#include "kernels/softmax.h"

WANE_CPU_ARGUMENTS(contrast_write, CONTRAST_WRITE)

typedef struct hand_slopes {
    const uint32_t *p, *top, *mode;        // planes of the columns; NULL: they have no losses of their own
    vec_exp k;
    vec row_p, row_top;
} hand_slopes;

static float hand_float(uint32_t word)
{
    float x;
    memcpy(&x, &word, 4);
    return x;
}

// The gradients of the columns of a vector but for the row's positive, whose exponential may leave f32's range, as may one
// whose factor is 0: hence the 80.
VFN vec hand_slope(const hand_slopes *h, vec z, vec p, vec top, vec mode)
{
    vec x = v_select(v_size_below(z, K_WORD_INF), z, v_all(0));
    vec g = v_mul(h->row_p, v_exp(v_min(v_sub(x, h->row_top), v_all(80)), h->k));
    if (h->p) g = v_fma(p, v_exp(v_min(v_sub(x, top), v_all(80)), h->k), g);
    g = v_select(v_is_word(z, K_WORD_MINUS_INF), v_all(0), g);
    return h->p ? v_select(v_is_word(mode, ROW_NAN), v_all(hand_float(K_WORD_NAN)), g) : g;
}

static void hand_row(const hand_slopes *h, uint32_t *cells, uint32_t count)
{
    uint32_t i = 0;
    const vec none = v_all(0);
    if (h->p) {
        for (; i + V_LANES <= count; i += V_LANES)
            v_store(cells + i, hand_slope(h, v_load(cells + i), v_load(h->p + i), v_load(h->top + i), v_load(h->mode + i)));
    } else {
        for (; i + V_LANES <= count; i += V_LANES) v_store(cells + i, hand_slope(h, v_load(cells + i), none, none, none));
    }
    if (i == count) return;
    uint32_t rest = count - i;
    vec p = none, top = none, mode = none;
    if (h->p) p = v_load_part(h->p + i, rest, 0), top = v_load_part(h->top + i, rest, 0), mode = v_load_part(h->mode + i, rest, 0);
    v_store_part(cells + i, hand_slope(h, v_load_part(cells + i, rest, 0), p, top, mode), rest);
}

static void hand_fill(uint32_t *cells, uint32_t count, uint32_t word)
{
    for (uint32_t i = 0; i < count; i++) cells[i] = word;
}

static void hand_write(const wane_cpu_call *call, uint32_t begin, uint32_t end)
{
    contrast_write_args args = contrast_write_arguments(call);
    const uint32_t count = args.p.others;
    uint32_t *work = args.s.work;
    bool both = (args.c.options & CONTRAST_COLUMNS) != 0;
#define HAND_PLANE(plane) (work + args.p.planes + (size_t)(plane) * args.p.plane_rows)
#define HAND_OTHER(plane) (work + args.p.other_planes + (size_t)(plane) * args.p.other_rows)
    hand_slopes h = {NULL, NULL, NULL, v_exp_of(1), v_all(0), v_all(0)};
    if (both) {
        h.p = HAND_OTHER(PLANE_COEF + COEF_P);
        h.top = HAND_OTHER(PLANE_COEF + COEF_TOP);
        h.mode = HAND_OTHER(PLANE_COEF + COEF_MODE);
    }
    for (uint32_t row = begin; row < end; row++) {
        uint32_t side = args.w.first + row, label = HAND_PLANE(PLANE_LABEL)[side];
        uint32_t mode = HAND_PLANE(PLANE_COEF + COEF_MODE)[side];
        uint32_t *cells = args.s.chunk + (size_t)row * count;
        bool idle = (HAND_PLANE(PLANE_FLAGS)[side] & FLAG_BAD) != 0 || (mode == ROW_ZERO && !both);
        HAND_PLANE(PLANE_SLOPES)[side] = !idle && mode == ROW_NAN ? K_WORD_NAN : 0;
        if (idle || mode == ROW_NAN) {
            hand_fill(cells, count, idle ? 0 : K_WORD_NAN);
            continue;
        }
        h.row_p = v_all(hand_float(HAND_PLANE(PLANE_COEF + COEF_P)[side]));
        h.row_top = v_all(hand_float(HAND_PLANE(PLANE_COEF + COEF_TOP)[side]));
        hand_row(&h, cells, count);
        if (label >= count) continue;
        float own = hand_float(HAND_PLANE(PLANE_COEF + COEF_TARGET)[side]);
        if (both) own += hand_float(HAND_OTHER(PLANE_COEF + COEF_TARGET)[label]);
        if (!both || h.mode[label] != ROW_NAN) memcpy(&cells[label], &own, 4);
    }
}

void HAND_NAME(const wane_cpu_call *call, uint32_t begin, uint32_t end);
void HAND_NAME(const wane_cpu_call *call, uint32_t begin, uint32_t end) { hand_write(call, begin, end); }
