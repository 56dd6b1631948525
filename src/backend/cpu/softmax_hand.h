// softmax_hand.h - the column loops of softmax_row, softmax_sweep and softmax_write, written by hand over vector.h; with
// HAND_PAIRS those of softmax_pair_sweep and softmax_pair_write.
//
// Included by softmax_<kernel>__<set>.c, which defines HAND_KERNEL, HAND_UPPER, HAND_TEXT, HAND_MADE and HAND_NAME. What is
// done once a row (target, link, terms, special rows) stays the kernel's own text, whose sweep_columns and write_columns
// are replaced. Column strides other than 1, a softcap, and options that are not known here go to the made kernel.
//
// One sweep, against a reference that is not yet the maximum: sums of exp(x - ref) and the maximum are made together, and
// a block of columns whose maximum is above ref by more than 1 (after the temperature) is done again with a new ref. At
// most 1, so that what the final step from ref to the maximum rounds off stays under half an ulp of 1.
// Sums: V_LANES x 4 f32 chains of at most 128 columns a block, pairwise, then blocks in double. The order depends on the
// row's bounds, its target and its data alone.
//
// Of long rows exponentials are kept for the writer (softmax_hand_kept.h), which works while the next row is swept.
//
// Gained on 2 cores of Zen 5, f32, wane-bench --shape rows=512,cols=131072, AVX-512 against the made kernels: forward from
// 12 to 91 % of the speed of reading, forward and gradient from 10 to 82 % of that of copying past the caches.
#include "prelude_c.h"
#include "wane/wane.h"

#define WANE_KERNEL(name, NAME, unit)
#include "core/kernels.def"

#define HAND_JOIN_(a, b) a##b
#define HAND_JOIN(a, b) HAND_JOIN_(a, b)
typedef struct k_record_type { HAND_JOIN(HAND_UPPER, _RECORD)(K_U_, K_F_) } k_record_type;
typedef struct k_window_type { HAND_JOIN(HAND_UPPER, _WINDOW)(K_U_) } k_window_type;
typedef struct k_consts_type { HAND_JOIN(HAND_UPPER, _CONSTS)(K_C_) uint none; } k_consts_type;
typedef struct k_shared_type { HAND_JOIN(HAND_UPPER, _SHARED)(K_A_) uint none; } k_shared_type;
typedef struct k_context {
    HAND_JOIN(HAND_UPPER, _SLOTS)(K_S_)
    k_record_type p;
    k_window_type w;
    k_consts_type c;
    uint item;
    k_shared_type sh;
    const struct wane_cpu_call *call;
    struct hand_keep *keep;                // NULL: rows of this call keep nothing
    struct hand_trail *trail;              // NULL: a row is written before the next one is swept
} k_context;

#define K_PHASE 1
#include HAND_TEXT
#undef K_PHASE

#include "backend/cpu/kernel.h"
#include "backend/cpu/vector.h"

#define HAND_ROWS (HAND_SWEEPS && HAND_WRITES)  // rows are swept and written, and may keep what both need
#define HAND_OPTIONS (OPTION_GRAD | OPTION_ACCUMULATE | OPTION_WEIGHT_SUMS | OPTION_CLASS_WEIGHT | OPTION_ENTROPY                \
                      | OPTION_ARGMAX | OPTION_IN_PLACE | OPTION_NO_TARGET | OPTION_SAVE)
#define HAND_BLOCK 8192u                   // columns between two looks at the maximum, at most
#define HAND_PAIR (2 * V_LANES)            // columns that are loaded and stored together
#define HAND_SEGMENTS 16                   // references of one row whose exponentials are kept
#define HAND_STEP (16u * V_LANES)          // columns that a row's writer is ahead of the next row's sweep
#define HAND_PAGE_BYTES 4096
#define HAND_TOUCH (4 * HAND_PAGE_BYTES)

// ---- ahead of the columns ----

// Bytes that are prefetched ahead. With 3 KiB Zen 5 was a tenth slower; with 12 KiB Sapphire Rapids is, by up to a quarter.
VFN size_t hand_ahead(void)
{
#if defined(__x86_64__) || defined(__i386__)
    if (__builtin_cpu_is("intel")) return 4096;
#endif
    return 12288;
}

// Once a page: the one 4 pages on is looked up beforehand. A load or a store that waits for its page holds up all that follow,
// arithmetic too, and a prefetch of it helps less than a read. On Sapphire Rapids, in a virtual machine with small pages,
// reading while making exponentials went from 63 to 80 % of reading alone.
VFN void touch_ahead(const char *p, size_t bytes, const char *limit)
{
    if (((uintptr_t)p & (HAND_PAGE_BYTES - 1)) < bytes && limit - p > HAND_TOUCH) v_touch(p + HAND_TOUCH);
}

// ---- columns of a storage type ----

VFN size_t col_bytes(uint type) { return type == TYPE_F32 ? 4 : 2; }

VFN vec col_load(const char *p, uint type)
{
    return type == TYPE_F32 ? v_load(p) : type == TYPE_F16 ? v_load_f16(p) : v_load_bf16(p);
}

// A pair of vectors; of bf16 the even and the odd columns, unless they have to be in order.
VFN void col_load_pair(const char *p, vec *a, vec *b, uint type, bool in_order)
{
    if (type == TYPE_BF16 && !in_order) {
        v_load_pair(p, a, b);
    } else {
        *a = col_load(p, type);
        *b = col_load(p + V_LANES * col_bytes(type), type);
    }
}

VFN vec col_load_part(const char *p, uint count, uint type)
{
    if (count >= V_LANES) return col_load(p, type);
    if (type == TYPE_F32) return v_load_part(p, count, -3.4028235e38f);
    uint16_t half[V_LANES] = {0};
    memcpy(half, p, count * 2);
    return col_load((const char *)half, type);
}

VFN void col_store(char *p, vec v, uint type, bool stream)
{
    if (type == TYPE_F32) {
        if (stream) v_stream(p, v);
        else v_store(p, v);
    } else {
        vechalf half = type == TYPE_F16 ? v_to_f16(v) : v_to_bf16(v);
        if (stream) v_stream_half(p, half);
        else v_store_half(p, half);
    }
}

// What col_load_pair gave, on its way back. No NaN where the type is bf16 and columns are not in order.
VFN void col_store_pair(char *p, vec a, vec b, uint type, bool in_order, bool stream)
{
    if (type == TYPE_F32) {
        col_store(p, a, type, stream);
        col_store(p + V_LANES * 4, b, type, stream);
        return;
    }
    vecpair y = type == TYPE_F16 ? v_both_halves(v_to_f16(a), v_to_f16(b))
              : in_order ? v_both_halves(v_to_bf16(a), v_to_bf16(b)) : v_to_pair(a, b);
    if (stream) v_stream_pair(p, y);
    else v_store_pair(p, y);
}

VFN void col_store_part(char *p, vec v, uint count, uint type)
{
    if (count >= V_LANES) {
        col_store(p, v, type, false);
    } else if (type == TYPE_F32) {
        v_store_part(p, v, count);
    } else {
        uint16_t half[V_LANES];
        col_store((char *)half, v, type, false);
        memcpy(p, half, count * 2);
    }
}

// in place the logits are bound as the gradient alone
#if HAND_WRITES
#define HAND_LOGITS ((K_C(options) & OPTION_IN_PLACE) != 0u ? (const uint *)k_->s_grad : k_->s_logits)
#else
#define HAND_LOGITS (k_->s_logits)
#endif

#if HAND_WRITES
VFN bool hand_streams(const k_context *k_)
{
    return k_->call->past_cache && V_STREAMS && (K_C(options) & (OPTION_ACCUMULATE | OPTION_IN_PLACE)) == 0u;
}

// Stores past the caches begin with a line: so many columns before the first of them are stored plainly.
VFN uint hand_head(const char *g, uint type, bool stream, uint cols)
{
    uint misfit = (uint)((uintptr_t)g & 63) / (uint)col_bytes(type);
    return misfit == 0 || !stream ? 0 : K_MIN(64 / (uint)col_bytes(type) - misfit, cols);
}

VFN char *hand_grad(const k_context *k_, uint row)
{
    return (char *)k_->s_grad + ROW_AT(row, K_P(grad_outer), K_P(grad_row)) * (ptrdiff_t)col_bytes(K_C(types) >> SHIFT_GRAD & 15u);
}
#endif

#include "backend/cpu/softmax_hand_kept.h"
#if HAND_SWEEPS
#include "backend/cpu/softmax_hand_sweep.h"
#define sweep_columns hand_sweep
#endif
#if HAND_WRITES
#include "backend/cpu/softmax_hand_write.h"
#define write_columns hand_write
#endif
#if HAND_PAIRS
#include "backend/cpu/softmax_hand_pair.h"
#endif
#define K_PHASE 2

static void row_by_text(k_context *restrict k_, uint32_t k_item)
{
    k_->item = k_item;
#include HAND_TEXT
}

#if HAND_ROWS
#include "backend/cpu/softmax_hand_short.h"
#endif

void HAND_MADE(const wane_cpu_call *call, uint32_t begin, uint32_t end);
void HAND_NAME(const wane_cpu_call *call, uint32_t begin, uint32_t end);

void HAND_NAME(const wane_cpu_call *call, uint32_t k_begin, uint32_t k_end)
{
    k_context k;
    HAND_JOIN(HAND_UPPER, _SLOTS)(K_BIND_)
    memcpy(&k.p, call->record, sizeof k.p);
    memcpy(&k.w, call->window, sizeof k.w);
    memcpy(&k.c, call->consts, sizeof k.c < 16 ? sizeof k.c : 16);
    k.call = call;
    k.keep = NULL;
    k.trail = NULL;
    k_context *restrict k_ = &k;
    bool dense = k.p.logits_col == 1 && ((k.c.options & OPTION_CLASS_WEIGHT) == 0 || k.p.weight_col == 1)
              && (!HAND_WRITES || (k.c.options & OPTION_GRAD) == 0 || k.p.grad_col == 1);
#if HAND_PAIRS
    dense = dense && ((k.c.term & PAIR_BINS) != 0 || k.p.second_col == 1);
#endif
    // where the temperature is near 0, d / temperature is not to be had in two parts
    bool usual = k.p.inverse_temperature > 1e-30f && k.p.inverse_temperature < 1e30f;
    if (!dense || !usual || (k.c.options & ~HAND_OPTIONS) != 0) {
        HAND_MADE(call, k_begin, k_end);
        return;
    }
#if HAND_ROWS
    hand_keep keep;
    hand_trail trail;
    if (keeps(k_, &keep)) k.keep = &keep;
    if (k.keep && call->past_cache) {
        trail.next = trail.end = 0;
        k.trail = &trail;
    }
    if (is_short(k_)) {
        short_rows rows;
        rows.k = v_exp_of(k.p.inverse_temperature);
        for (uint32_t k_item = k_begin, next; k_item < k_end; k_item = next) {
            uint32_t done;
            next = k_item + short_group(k_, &rows, k_item, k_end, &done);
            for (; k_item < next; k_item++, done >>= 1)
                if ((done & 1) == 0) row_by_text(k_, k_item);
        }
    } else
#endif
        for (uint32_t k_item = k_begin; k_item < k_end; k_item++) row_by_text(k_, k_item);
#if HAND_ROWS
    if (k.trail) trail_to(k.trail, k.p.cols);
#endif
#if HAND_WRITES
    if (call->past_cache) v_fence();
#endif
}
