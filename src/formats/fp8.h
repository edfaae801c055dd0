// FP8 E4M3 ("fn": finite only): 1 sign, 4 exponent (bias 7), 3 mantissa bits; largest 448; 0x7f and 0xff are
// NaN; no infinities. DeepSeek stores weights so, with one float32 `weight_scale_inv` per 128 × 128 tile that
// multiplies. Source: OCP 8-bit Floating Point Specification 1.0; deepseek-ai/DeepSeek-V3, README_WEIGHTS.md.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace atelier {

inline constexpr size_t kF8TileCols = 128;  // columns, and rows, that share a scale

constexpr float f8e4m3_to_float(uint8_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x80u) << 24;
  const uint32_t exponent = (code >> 3) & 0xfu;
  const uint32_t mantissa = code & 0x7u;
  if ((code & 0x7f) == 0x7f)
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(std::numeric_limits<float>::quiet_NaN()));
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 127 - 7) << 23 | mantissa << 20);
  const float magnitude = static_cast<float>(mantissa) * 0x1p-9f;  // subnormal: mantissa/8 · 2^-6
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

}  // namespace atelier
