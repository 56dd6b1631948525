// prelude_glsl.h - the portable kernel language in GLSL 4.50, to SPIR-V 1.3 at build time.
//
// Included by the generated entry of a kernel (shaders/entry.comp.in). All storage is 32-bit words. A group has 128
// lanes, one for each virtual lane, which is what every device of the floor can run: K_OWN is then the literal 1, and
// private arrays keep literal sizes (glslang 11.13 drops what is passed through arrays sized by a constant_id).
// No optimiser runs over the result (it raised register counts by half), and nothing may rely on NaN or infinity.
#extension GL_EXT_control_flow_attributes : require

#define K_FN
#define K_CTX
#define K_PASS
#define K_LANES k_lanes()
#define K_LANE gl_LocalInvocationID.x
#define K_OWN 1u
#define K_GROUP (gl_WorkGroupID.x + gl_WorkGroupID.y * k_w.grid_x)
// GROUP kernels: the guard is the same for a whole group, so barriers may stand behind it. LANE kernels: the number of
// groups is tested first, because a grid of two dimensions may be so much larger than `items` that the product wraps.
#define K_ITEM_GROUP K_GROUP
#define K_LIVE_GROUP (K_GROUP < k_w.items)
#define K_ITEM_LANE (K_GROUP * K_LANES + K_LANE)
#define K_LIVE_LANE (K_GROUP <= (k_w.items - 1u) / K_LANES && K_ITEM_LANE < k_w.items)
#define K_BARRIER() { memoryBarrierShared(); barrier(); }
#define K_INDEX uint
#define K_STEP(count, stride) (uint(count) * uint(stride))
#define K_WIDE(i) uint(i)
// base: halves from the start of the bound range, which the device wants aligned, to the kernel's index 0
#define K_BASE(slot) k_w.base[k_b_##slot]
#define K_LD(slot, i) s_##slot[(K_BASE(slot) >> 1u) + (i)]
#define K_ST(slot, i, v) s_##slot[(K_BASE(slot) >> 1u) + (i)] = (v)
// Halves lie in words. A store touches its own 16 bits alone, atomically: a plain read-modify-write would lose the other
// half when its owner stores at the same time. The bits of two owners are apart, so the order does not matter.
// K_C is known when a driver compiles: it folds what depends on it.
#define K_CONSTANTS_FOLD 1
#define K_WORDS_ONLY 1
#define K_LDH(slot, i) ((s_##slot[(K_BASE(slot) + (i)) >> 1u] >> (((K_BASE(slot) + (i)) & 1u) << 4u)) & 0xffffu)
#define K_STH(slot, i, v)                                                                                             \
    {                                                                                                                 \
        uint k_at = K_BASE(slot) + (i);                                                                               \
        uint k_by = (k_at & 1u) << 4u;                                                                                \
        atomicAnd(s_##slot[k_at >> 1u], ~(0xffffu << k_by));                                                          \
        atomicOr(s_##slot[k_at >> 1u], (v) << k_by);                                                                  \
    }
// Whether half i is the upper one of its word; and the whole word that half i begins.
#define K_ODD(slot, i) ((K_BASE(slot) + (i)) & 1u)
// A load from memory that is bound twice when aliased: only the binding that is written may then be read.
#define K_LD_EITHER(aliased, other, slot, i) ((aliased) ? K_LD(other, i) : K_LD(slot, i))
#define K_LDH_EITHER(aliased, other, slot, i) ((aliased) ? K_LDH(other, i) : K_LDH(slot, i))
#define K_ST_PAIR(slot, i, v) s_##slot[(K_BASE(slot) + (i)) >> 1u] = (v)
#define K_SL(array, i) k_sh_##array[i]
#define K_SS(array, i, v) k_sh_##array[i] = (v)
#define K_P(field) k_p.field
#define K_W(field) k_w.field
#define K_C(constant) k_c_##constant()
#define K_BITS(x) floatBitsToUint(x)
#define K_FLT(u) uintBitsToFloat(u)
#define K_FLOAT(x) float(x)
#define K_UINT(x) uint(x)
#define K_INT(x) int(x)
#define K_FLOOR(x) floor(x)
#define K_MAD(a, b, c) ((a) * (b) + (c))
#define K_MAX(a, b) max(a, b)
#define K_MIN(a, b) min(a, b)
#define K_SELECT(condition, a, b) ((condition) ? (a) : (b))
#define K_UNROLL [[unroll]]

// The declarations of a kernel from kernels.def.
#define K_U_(name) uint name;
#define K_F_(name) float name;
// Constants are read through functions: glslang 11.13 folds expressions of constant_ids into OpSpecConstantOp, and
// leaves an operand of && undefined there. Drivers inline the call and fold as well.
#define K_C_(id, name) layout(constant_id = id) const uint k_v_##name = 0u; uint k_c_##name() { return k_v_##name; }
#define K_A_(type, name, count) shared type k_sh_##name[count];
#define K_Q_r readonly
#define K_Q_w writeonly
#define K_Q_rw
#define K_S_(slot, access, name)                                                                                      \
    layout(std430, set = 0, binding = slot) K_Q_##access buffer k_slot_##name { uint s_##name[]; };                   \
    const uint k_b_##name = slot;
#define K_STRUCT(name)
#define K_INOUT_ARRAY(type, name, count) inout type name[count]
