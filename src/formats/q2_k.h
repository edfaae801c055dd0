// Q2_K: 256 elements in 84 bytes: sixteen sub-blocks of 16, each with a 4-bit scale and minimum.
//
//   byte  0           16      80  82    84
//        | scales[16] | qs[64] | d | dmin |     scales: low nibble scale, high nibble min; d, dmin: binary16
//
// In each half h of 128 elements, element i is bits 2 (i / 32) and 2 (i / 32) + 1 of qs[32 h + i % 32].
// value = (d · scale[j]) · code − (dmin · min[j]), j = element / 16.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"

namespace atelier {

struct BlockQ2_K {
  static constexpr DType kDType = DType::kQ2_K;
  static constexpr size_t kElems = 256;

  std::array<uint8_t, 16> scales;
  std::array<uint8_t, 64> qs;
  uint16_t d;
  uint16_t dmin;

  int code(size_t element) const {
    const size_t half = element / 128, i = element % 128;
    return (qs[32 * half + i % 32] >> (2 * (i / 32))) & 3;
  }
  void decode(std::span<float, kElems> out) const {
    const float super_scale = f16_to_f32(d);
    const float super_min = f16_to_f32(dmin);
    for (size_t j = 0; j < 16; ++j) {
      const float scale = super_scale * static_cast<float>(scales[j] & 0xf);
      const float min = super_min * static_cast<float>(scales[j] >> 4);
      for (size_t i = 16 * j; i < 16 * (j + 1); ++i) out[i] = scale * static_cast<float>(code(i)) - min;
    }
  }
};
static_assert(sizeof(BlockQ2_K) == 84);

}  // namespace atelier
