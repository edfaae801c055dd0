// Q3_K: 256 elements in 110 bytes: sixteen sub-blocks of 16, each with a 6-bit scale; symmetric.
//
//   byte  0         32      96          108 110
//        | hmask[32] | qs[64] | scales[12] | d |     d: binary16 (last)
//
// In each half h of 128 elements, element i has its low two bits in qs[32 h + i % 32], bits 2 (i / 32) and
// 2 (i / 32) + 1. The third bit of element e is bit e / 32 of hmask[e % 32]; where it is clear, 4 is
// subtracted. Scale j: low four bits in scales[j % 8] (low nibble for j < 8, high for j ≥ 8), upper two in
// scales[8 + j % 4], bits 2 (j / 4) and 2 (j / 4) + 1; its value is that 6-bit number − 32. value = (d ·
// scale[j]) · (low − (third ? 0 : 4)), j = element / 16.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"

namespace atelier {

struct BlockQ3_K {
  static constexpr DType kDType = DType::kQ3_K;
  static constexpr size_t kElems = 256;

  std::array<uint8_t, 32> hmask;
  std::array<uint8_t, 64> qs;
  std::array<uint8_t, 12> scales;
  uint16_t d;

  // −32 … 31
  int scale(size_t j) const {
    const int low = j < 8 ? scales[j] & 0xf : scales[j - 8] >> 4;
    return (low | ((scales[8 + j % 4] >> (2 * (j / 4))) & 3) << 4) - 32;
  }
  // −4 … 3
  int code(size_t element) const {
    const size_t half = element / 128, i = element % 128;
    const int low = (qs[32 * half + i % 32] >> (2 * (i / 32))) & 3;
    const int third = (hmask[element % 32] >> (element / 32)) & 1;
    return low - (third != 0 ? 0 : 4);
  }
  void decode(std::span<float, kElems> out) const {
    const float super_scale = f16_to_f32(d);
    for (size_t j = 0; j < 16; ++j) {
      const float sub_scale = super_scale * static_cast<float>(scale(j));
      for (size_t i = 16 * j; i < 16 * (j + 1); ++i) out[i] = sub_scale * static_cast<float>(code(i));
    }
  }
};
static_assert(sizeof(BlockQ3_K) == 110);

}  // namespace atelier
