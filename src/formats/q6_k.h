// Q6_K: 256 elements in 210 bytes: sixteen sub-blocks of 16, each with an 8-bit signed scale; symmetric.
//
//   byte  0        128     192         208 210
//        | ql[128] | qh[64] | scales[16] | d |     scales: int8, d: binary16 (last)
//
// In each half h of 128 elements, element i has its low four bits in ql[64 h + i % 64] (low nibble for i <
// 64, high for i ≥ 64) and its upper two in qh[32 h + i % 32], bits 2 (i / 32) and 2 (i / 32) + 1. value = (d
// · scales[j]) · (code − 32), j = element / 16.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"

namespace atelier {

struct BlockQ6_K {
  static constexpr DType kDType = DType::kQ6_K;
  static constexpr size_t kElems = 256;

  std::array<uint8_t, 128> ql;
  std::array<uint8_t, 64> qh;
  std::array<int8_t, 16> scales;
  uint16_t d;

  int code(size_t element) const {
    const size_t half = element / 128, i = element % 128;
    const uint8_t byte = ql[64 * half + i % 64];
    const int low = i < 64 ? byte & 0xf : byte >> 4;
    return low | ((qh[32 * half + i % 32] >> (2 * (i / 32))) & 3) << 4;
  }
  void decode(std::span<float, kElems> out) const {
    const float super_scale = f16_to_f32(d);
    for (size_t j = 0; j < 16; ++j) {
      const float scale = super_scale * static_cast<float>(scales[j]);
      for (size_t i = 16 * j; i < 16 * (j + 1); ++i) out[i] = scale * static_cast<float>(code(i) - 32);
    }
  }
  // Per sub-block scale = (element of largest magnitude) / −32, rounded to 8 bits of d; then nearest codes.
  static BlockQ6_K encode(std::span<const float, kElems> in);
};
static_assert(sizeof(BlockQ6_K) == 210);

}  // namespace atelier
