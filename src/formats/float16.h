// Small floating-point types in software, exact: binary16, bfloat16 and the E8M0 scales of MX formats.
// NaNs become quiet and keep the sign and the upper payload bits, as F16C does.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace atelier {

constexpr float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0x1f) {
    const uint32_t quiet = mantissa != 0 ? 0x400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | quiet | mantissa << 13);
  }
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
  // Zero or subnormal: mantissa · 2^-24, which float holds exactly.
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

// Rounds to nearest, ties to even; past 65519.99… to infinity.
constexpr uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);  // ≥ 2^16
  if (magnitude < 0x33000000u) return static_cast<uint16_t>(sign);             // < 2^-25: rounds to zero
  uint32_t mantissa = 0;  // the result's bits above `shift` dropped ones
  uint32_t shift = 13;
  if (magnitude >= 0x38800000u) {  // ≥ 2^-14: normal
    mantissa = magnitude - ((127u - 15u) << 23);
  } else {
    const uint32_t exponent = magnitude >> 23;  // 102 … 112
    mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    shift = 126 - exponent;  // mantissa · 2^(exponent-150) in units of 2^-24
  }
  const uint32_t half_unit = 1u << (shift - 1);
  const uint32_t odd = (mantissa >> shift) & 1u;
  // A carry out of the mantissa runs into the exponent, which is what rounding up means.
  return static_cast<uint16_t>(sign | ((mantissa + half_unit - 1 + odd) >> shift));
}

constexpr float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// Rounds to nearest, ties to even.
constexpr uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// 2^(scale - 127); 255 is NaN (OCP Microscaling Formats 1.0, 5.4.1). 0 is the subnormal 2^-127.
constexpr float e8m0_to_f32(uint8_t scale) {
  if (scale == 255) return std::numeric_limits<float>::quiet_NaN();
  return std::bit_cast<float>(scale == 0 ? 0x00400000u : static_cast<uint32_t>(scale) << 23);
}

// 2^(scale - 128), half of the above, for codes that are stored doubled so that they are integers.
// Checkpoints carry no NaN scale: 255 gives 2^127 here, as `gguf` and ldexp() give it.
constexpr float e8m0_to_f32_half(uint8_t scale) {
  return std::bit_cast<float>(scale < 2 ? 0x00200000u << scale : static_cast<uint32_t>(scale - 1) << 23);
}

}  // namespace atelier
