// half.c - see half.h. Integer code, so that no compiler option and no rounding mode changes a result.
#include "common/half.h"

#include <string.h>

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float tool_f32_of_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31u, fraction = half & 0x3ffu;
    if (exponent == 31) return float_of_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent > 0) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    if (fraction == 0) return float_of_bits(sign);
    exponent = 113;                         // a subnormal: shift its leading bit to where a normal one has it
    while (!(fraction & 0x400u)) {
        fraction <<= 1;
        exponent--;
    }
    return float_of_bits(sign | exponent << 23 | (fraction & 0x3ffu) << 13);
}

float tool_f32_of_bf16(uint16_t half) { return float_of_bits((uint32_t)half << 16); }

// value >> shift, rounded to nearest, ties to even; shift in 1..31.
static uint32_t shift_round(uint32_t value, uint32_t shift)
{
    uint32_t kept = value >> shift, rest = value & ((1u << shift) - 1), middle = 1u << (shift - 1);
    return kept + (rest > middle || (rest == middle && (kept & 1)));
}

uint16_t tool_f16_of_f32(float value)
{
    uint32_t bits = bits_of_float(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7c00u);             // 65536 and above
    if (magnitude >= 0x38800000u)           // a normal half; a carry may reach infinity
        return (uint16_t)(sign | shift_round(magnitude - 0x38000000u, 13));
    if (magnitude < 0x33000000u) return (uint16_t)sign;                          // below half of the smallest subnormal
    uint32_t exponent = magnitude >> 23;
    return (uint16_t)(sign | shift_round((magnitude & 0x7fffffu) | 0x800000u, 126 - exponent));
}

uint16_t tool_bf16_of_f32(float value)
{
    uint32_t bits = bits_of_float(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)shift_round(bits, 16);
}
