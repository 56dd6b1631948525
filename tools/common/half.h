// half.h - 16-bit floating point as words. Rounding is to nearest, ties to even; NaN stays NaN.
#ifndef WANE_TOOLS_COMMON_HALF_H
#define WANE_TOOLS_COMMON_HALF_H

#include <stdint.h>

float tool_f32_of_f16(uint16_t half);
float tool_f32_of_bf16(uint16_t half);
uint16_t tool_f16_of_f32(float value);      // too large becomes infinity
uint16_t tool_bf16_of_f32(float value);

#endif
