// prelude_checked.h - the portable kernel language in C for any number of lanes, with every access looked at.
//
// Included by entry_checked.c.in once a kernel and lane count (BODY_LANES). The twin of shaders/prelude_c.h: a macro
// added there is added here.
#include "checked.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint32_t uint;

#define K_HERE ((body_site){ __FILE__, __LINE__, __COUNTER__ })
#define K_FN static inline __attribute__((unused))
#define K_CTX __attribute__((unused)) const k_ctx *k_,
#define K_PASS k_,
#define K_LANES ((uint)BODY_LANES)
#define K_LANE (k_->lane)
#define K_OWN ((128u + BODY_LANES - 1u) / BODY_LANES)
#define K_ITEM (k_->item)
#define K_BARRIER() body_barrier(K_HERE)
#define K_INDEX ptrdiff_t
#define K_STEP(count, stride) ((ptrdiff_t)(uint)(count) * (ptrdiff_t)(int32_t)(stride))
#define K_WIDE(i) ((ptrdiff_t)(uint)(i))
#define K_LD(slot, i) body_load(k_->call, k_slot_##slot, (int64_t)(i), K_HERE)
#define K_ST(slot, i, v) body_store(k_->call, k_slot_##slot, (int64_t)(i), (v), K_HERE)
// As a device without 16-bit storage: halves lie in words.
// K_C is read at run time: a loop that must vectorise stands once for each value.
#define K_CONSTANTS_FOLD 0
#define K_WORDS_ONLY 1
#define K_LDH(slot, i) body_load_half(k_->call, k_slot_##slot, (int64_t)(i), K_HERE)
#define K_STH(slot, i, v) body_store_half(k_->call, k_slot_##slot, (int64_t)(i), (v), K_HERE)
#define K_ST_PAIR(slot, i, v) body_store_pair(k_->call, k_slot_##slot, (int64_t)(i), (v), K_HERE)
#define K_ODD(slot, i) body_odd(k_->call, k_slot_##slot, (int64_t)(i))
#define K_LD_EITHER(aliased, other, slot, i) ((aliased) ? K_LD(other, i) : K_LD(slot, i))
#define K_LDH_EITHER(aliased, other, slot, i) ((aliased) ? K_LDH(other, i) : K_LDH(slot, i))
#define K_ARRAY_(array)                                                                                       \
    ((body_array){ #array, (uint32_t)(offsetof(k_shared, array) / 4), (uint32_t)(sizeof k_shared_now.array / 4) })
#define K_SL(array, i) (k_shared_now.array[body_shared_load(K_ARRAY_(array), (int64_t)(i), K_HERE)])
// the value first: it may read what this store is about to replace
#define K_SS(array, i, v)                                                                                  \
    do {                                                                                                   \
        __typeof__(k_shared_now.array[0]) k_value_ = (v);                                                  \
        k_shared_now.array[body_shared_store(K_ARRAY_(array), (int64_t)(i), K_HERE)] = k_value_;           \
    } while (0)
#define K_P(field) (k_->p.field)
#define K_W(field) (k_->w.field)
#define K_C(constant) (k_->c.constant)
static inline uint K_BITS(float x) { uint u; memcpy(&u, &x, 4); return u; }
static inline float K_FLT(uint u) { float x; memcpy(&x, &u, 4); return x; }
#define K_FLOAT(x) ((float)(x))
static inline __attribute__((unused)) uint k_uint_of_float(float x, body_site s) { return body_uint_of_float(x, s); }
static inline __attribute__((unused)) uint k_uint_of_int(int x, body_site s) { (void)s; return (uint)x; }
static inline __attribute__((unused)) uint k_uint_of_uint(uint x, body_site s) { (void)s; return x; }
static inline __attribute__((unused)) int k_int_of_float(float x, body_site s) { return body_int_of_float(x, s); }
static inline __attribute__((unused)) int k_int_of_int(int x, body_site s) { (void)s; return x; }
static inline __attribute__((unused)) int k_int_of_uint(uint x, body_site s) { (void)s; return (int)x; }
#define K_UINT(x) _Generic((x), float: k_uint_of_float, int: k_uint_of_int, uint: k_uint_of_uint)((x), K_HERE)
#define K_INT(x) _Generic((x), float: k_int_of_float, int: k_int_of_int, uint: k_int_of_uint)((x), K_HERE)
#define K_FLOOR(x) floorf(x)
#define K_MAD(a, b, c) ((a) * (b) + (c))
static inline __attribute__((unused)) uint k_max_uint(uint a, uint b, body_site s) { (void)s; return a > b ? a : b; }
static inline __attribute__((unused)) uint k_min_uint(uint a, uint b, body_site s) { (void)s; return a < b ? a : b; }
static inline __attribute__((unused)) int k_max_int(int a, int b, body_site s) { (void)s; return a > b ? a : b; }
static inline __attribute__((unused)) int k_min_int(int a, int b, body_site s) { (void)s; return a < b ? a : b; }
#define K_MAX(a, b) _Generic((a) + (b), float: body_max_float, int: k_max_int, uint: k_max_uint)((a), (b), K_HERE)
#define K_MIN(a, b) _Generic((a) + (b), float: body_min_float, int: k_min_int, uint: k_min_uint)((a), (b), K_HERE)
// both sides are evaluated, as in prelude_c.h
#define K_SELECT(condition, a, b) k_select(condition, a, b)
static inline __attribute__((unused)) float k_select(bool condition, float a, float b) { return condition ? a : b; }
#define K_UNROLL

// The declarations of a kernel from kernels.def.
#define K_U_(name) uint name;
#define K_F_(name) float name;
#define K_C_(id, name) uint name;
#define K_A_(type, name, count) type name[count];
#define K_S_(binding, access, name) k_slot_##name = binding,
#define K_STRUCT(name) typedef struct name name;
#define K_INOUT_ARRAY(type, name, count) type name[count]
