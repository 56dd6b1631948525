// prelude_cl.h - the portable kernel language in OpenCL C 1.2.
//
// Included by the generated entry of a kernel (cl/entry.cl.in). The host compiles the text with -D for
//     K_GROUP_SIZE   lanes of a group, a power of two of at most 128; K_LANES is the same with the suffix u
//     K_OWN          128u / K_LANES: virtual lanes that a lane runs
//     K_INDEX        long on devices with 64-bit addresses, int where no buffer reaches 2^31 words
//     K_CONST_<name> the kernel's constants
// Nothing here or in the options lets a compiler take liberties with floats: no fast-math, no contraction.
#pragma OPENCL FP_CONTRACT OFF

// Drivers inline every function anyhow, but clang without optimisation forbids it, and llvmpipe of Mesa 25.0.7 (rusticl)
// crashes on a call of a function that asks for its work item. oclgrind 21.10 can do without (tools/zoo).
#ifndef K_FN
#define K_FN __attribute__((always_inline)) static inline
#endif
#define K_CTX const k_context *k_,
#define K_PASS k_,
#define K_LANE ((uint)get_local_id(0))
#define K_ITEM (k_->item)
// A work item alone waits for nobody, and PoCL compiles a kernel without barriers as it stands.
#if K_GROUP_SIZE == 1
#define K_BARRIER()
#else
// What lies in buffers is never handed from item to item; that a word is read before it is written needs no fence. Only
// oclgrind wants one for that.
#ifndef K_FENCE
#define K_FENCE CLK_LOCAL_MEM_FENCE
#endif
#define K_BARRIER() barrier(K_FENCE)
#endif
#define K_STEP(count, stride) ((K_INDEX)(uint)(count) * (K_INDEX)(int)(stride))
#define K_WIDE(i) ((K_INDEX)(uint)(i))
#define K_LD(slot, i) (k_->s_##slot[i])
#define K_ST(slot, i, v) (k_->s_##slot[i] = (v))
// OpenCL 1.1 and later load and store 16 bits.
// K_C is known when a driver compiles: it folds what depends on it.
#define K_CONSTANTS_FOLD 1
#define K_WORDS_ONLY 0
#define K_LDH(slot, i) ((uint)((__global const ushort *)(k_->s_##slot))[i])
#define K_STH(slot, i, v) (((__global ushort *)(k_->s_##slot))[i] = (ushort)(v))
#define K_ODD(slot, i) 0u
// A load from memory that is bound twice when aliased; this language may read it through either.
#define K_LD_EITHER(aliased, other, slot, i) K_LD(slot, i)
#define K_LDH_EITHER(aliased, other, slot, i) K_LDH(slot, i)
#define K_SL(array, i) (k_->sh->array[i])
#define K_SS(array, i, v) (k_->sh->array[i] = (v))
#define K_P(field) (k_->p->field)
#define K_W(field) (k_->w.field)
#define K_C(constant) K_CONST_##constant
#define K_BITS(x) as_uint(x)
#define K_FLT(u) as_float(u)
#define K_FLOAT(x) ((float)(x))
#define K_UINT(x) ((uint)(x))
#define K_INT(x) ((int)(x))
#define K_FLOOR(x) floor(x)
// The one place where a product and its sum may be rounded once: without it half of a GPU's multiply-adds lie idle.
#ifdef FP_FAST_FMAF
#define K_MAD(a, b, c) fma(a, b, c)
#else
#define K_MAD(a, b, c) ((a) * (b) + (c))
#endif
#define K_MAX(a, b) ((a) > (b) ? (a) : (b))
#define K_MIN(a, b) ((a) < (b) ? (a) : (b))
#define K_SELECT(condition, a, b) ((condition) ? (a) : (b))
// Private arrays stay in registers only if every index is known. Small groups, which run several virtual lanes a lane,
// would unroll to thousands of instructions instead.
#if K_GROUP_SIZE >= 64
#define K_UNROLL _Pragma("unroll")
#else
#define K_UNROLL
#endif

// The group's number in a grid of one or two dimensions, and whether it has work. GROUP: the same for a whole group, so
// barriers may stand behind it. LANE: the group is tested first, because in a grid of two dimensions group * lanes may
// pass 2^32.
#define K_GROUP (get_group_id(0) + get_group_id(1) * window.grid_x)
#define K_ITEM_GROUP(group) (group)
#define K_LIVE_GROUP(group) ((group) < window.items)
#define K_ITEM_LANE(group) ((group) * K_LANES + K_LANE)
#define K_LIVE_LANE(group) ((group) <= (window.items - 1u) / K_LANES && K_ITEM_LANE(group) < window.items)

// The declarations of a kernel from kernels.def.
#define K_U_(name) uint name;
#define K_F_(name) float name;
#define K_A_(type, name, count) type name[count];
#define K_CELLS_(type, name, count) + count
#define K_Q_r const
#define K_Q_w
#define K_Q_rw
#define K_S_(binding, access, name) __global K_Q_##access uint *s_##name;
#define K_ARG_(binding, access, name) __global K_Q_##access uint *a_##name,
#define K_OFFSET_(binding, access, name) ulong o_##name;
// offsets count halves, since a tensor of halves may begin in the middle of a word
#define K_BIND_(binding, access, name) \
    context.s_##name = (__global K_Q_##access uint *)((__global K_Q_##access ushort *)a_##name + offsets.o_##name);
#define K_STRUCT(name) typedef struct name name;
// not restrict: it is plain once the function is inlined, and oclgrind 21.10 cannot run what clang makes of it
#define K_INOUT_ARRAY(type, name, count) type *name
