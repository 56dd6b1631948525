// types.h - storage types of a tensor: f32 words, f16 and bf16 halves. Conversion is our own integer code, the same on
// every device; a special value stays one. Codes are those of the constant `types`, 4 bits a tensor.
// (TYPE_F32, TYPE_F16, TYPE_BF16: softmax.h)

// The f32 word of a half. Exact.
K_FN uint half_to_word(uint type, uint h)
{
    uint sign = (h & 0x8000u) << 16u;
    uint size = h & 0x7fffu;
    uint small = K_BITS(K_FLOAT(size) * 5.9604644775390625e-8f);     // 2^-24 units: subnormals and zero
    uint normal = (size << 13u) + 0x38000000u;
    uint special = (size << 13u) | 0x7f800000u;
    uint word = sign | (size < 0x400u ? small : size < 0x7c00u ? normal : special);
    return type == TYPE_BF16 ? h << 16u : word;
}

// Rounds to nearest, ties to even. NaN stays NaN, beyond the range is infinite.
K_FN uint word_to_bf16(uint u)
{
    uint rounded = (u + 0x7fffu + ((u >> 16u) & 1u)) >> 16u;
    return (u & 0x7fffffffu) > 0x7f800000u ? (u >> 16u) | 64u : rounded;
}

K_FN uint word_to_f16(uint u)
{
    uint sign = (u >> 16u) & 0x8000u;
    uint size = u & 0x7fffffffu;
    uint normal = size - 0x38000000u;
    normal = (normal + 0xfffu + ((normal >> 13u) & 1u)) >> 13u;
    // below 2^-14: shift the mantissa with its hidden bit down, and round what falls off
    uint down = K_MIN(126u - K_MIN(size >> 23u, 125u), 31u);
    uint mantissa = (size & 0x7fffffu) | 0x800000u;
    uint kept = mantissa >> down;
    uint lost = mantissa & ((1u << down) - 1u);
    uint middle = 1u << (down - 1u);
    uint small = kept + ((lost > middle || (lost == middle && (kept & 1u) == 1u)) ? 1u : 0u);
    small = size < 0x33000000u ? 0u : small;
    uint large = size > 0x7f800000u ? 0x7e00u : 0x7c00u;
    return sign | (size >= 0x477ff000u ? large : size < 0x38800000u ? small : normal);
}

K_FN uint word_to_half(uint type, uint word) { return type == TYPE_BF16 ? word_to_bf16(word) : word_to_f16(word); }
