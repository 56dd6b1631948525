// prelude_c.h - the portable kernel language in C, one lane a group: the CPU's production build.
//
// Included by the generated entry of a kernel (src/backend/cpu/entry.c.in), once for each instruction set. The checked
// build has a prelude of its own, tests/body/prelude_checked.h.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint32_t uint;

#define K_FN static inline __attribute__((always_inline, unused))
#define K_CTX k_context *restrict k_,
#define K_PASS k_,
#define K_LANES 1u
#define K_LANE 0u
#define K_OWN 128u                         // virtual lanes that a lane runs
#define K_ITEM (k_->item)
#define K_BARRIER() ((void)0)
#define K_INDEX ptrdiff_t
#define K_STEP(count, stride) ((ptrdiff_t)(uint)(count) * (ptrdiff_t)(int32_t)(stride))
#define K_WIDE(i) ((ptrdiff_t)(uint)(i))
#define K_LD(slot, i) (k_->s_##slot[i])
#define K_ST(slot, i, v) (k_->s_##slot[i] = (v))
// Halves: 16-bit loads and stores; a device that has only words builds them from those (K_WORDS_ONLY).
typedef uint16_t __attribute__((may_alias)) k_half;
// K_C is read at run time: a loop that must vectorise stands once for each value.
#define K_CONSTANTS_FOLD 0
#define K_WORDS_ONLY 0
#define K_LDH(slot, i) ((uint)((const k_half *)(k_->s_##slot))[i])
#define K_STH(slot, i, v) (((k_half *)(k_->s_##slot))[i] = (k_half)(v))
#define K_ODD(slot, i) 0u
// A load from memory that is bound twice when aliased; this language may read it through either.
#define K_LD_EITHER(aliased, other, slot, i) K_LD(slot, i)
#define K_LDH_EITHER(aliased, other, slot, i) K_LDH(slot, i)
#define K_SL(array, i) (k_->sh.array[i])
#define K_SS(array, i, v) (k_->sh.array[i] = (v))
#define K_P(field) (k_->p.field)
#define K_W(field) (k_->w.field)
#define K_C(constant) (k_->c.constant)
static inline __attribute__((always_inline)) uint K_BITS(float x) { uint u; memcpy(&u, &x, 4); return u; }
static inline __attribute__((always_inline)) float K_FLT(uint u) { float x; memcpy(&x, &u, 4); return x; }
#define K_FLOAT(x) ((float)(x))
#define K_UINT(x) ((uint)(x))
#define K_INT(x) ((int)(x))
// Of |x| < 2^31 alone: a conversion and a comparison, which every instruction set vectorises.
#define K_FLOOR(x) k_floor(x)
#define K_MAD(a, b, c) ((a) * (b) + (c))
static inline __attribute__((always_inline)) float k_floor(float x) { float t = (float)(int)x; return t - (float)(t > x); }
#define K_MAX(a, b) ((a) > (b) ? (a) : (b))
#define K_MIN(a, b) ((a) < (b) ? (a) : (b))
// A selection by bits: branches in an inner loop would keep compilers from vectorising it.
#define K_SELECT(condition, a, b) k_select(condition, a, b)
static inline __attribute__((always_inline)) float k_select(bool condition, float a, float b)
{
    uint mask = 0u - (uint)condition;
    return K_FLT((K_BITS(a) & mask) | (K_BITS(b) & ~mask));
}
#define K_UNROLL

// The declarations of a kernel from kernels.def.
#define K_U_(name) uint name;
#define K_F_(name) float name;
#define K_C_(id, name) uint name;
#define K_A_(type, name, count) type name[count];
// not restrict: a gradient may lie over its logits
#define K_S_r(name) const uint *s_##name;
#define K_S_w(name) uint *s_##name;
#define K_S_rw(name) uint *s_##name;
#define K_S_(binding, access, name) K_S_##access(name)
#define K_BIND_(binding, access, name) k.s_##name = call->slots[binding];
#define K_STRUCT(name) typedef struct name name;
#define K_INOUT_ARRAY(type, name, count) type name[restrict count]
