// Q4_K: 256 elements in 144 bytes: eight sub-blocks of 32, each with a 6-bit scale and minimum.
//
//   byte  0  2     4           16                144
//        | d | dmin | scales[12] | qs[128]      |     d, dmin: binary16; scales: k_scales.h
//
// Codes come in four runs of 64 elements, 32 bytes each: in run r, element i < 32 is the low nibble of
// qs[32 r + i] and belongs to sub-block 2 r, element i + 32 its high nibble, in sub-block 2 r + 1.
// value = (d · scale[j]) · code − (dmin · min[j]).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"
#include "formats/k_scales.h"

namespace atelier {

struct BlockQ4_K {
  static constexpr DType kDType = DType::kQ4_K;
  static constexpr size_t kElems = 256;

  uint16_t d;
  uint16_t dmin;
  std::array<uint8_t, 12> scales;
  std::array<uint8_t, 128> qs;

  int code(size_t i) const {
    const uint8_t byte = qs[i / 64 * 32 + i % 32];
    return i % 64 < 32 ? byte & 0xf : byte >> 4;
  }
  void decode(std::span<float, kElems> out) const {
    const KScales k = unpack_k_scales(scales);
    const float super_scale = f16_to_f32(d);
    const float super_min = f16_to_f32(dmin);
    for (size_t j = 0; j < 8; ++j) {
      const float scale = super_scale * static_cast<float>(k.scale[j]);
      const float min = super_min * static_cast<float>(k.min[j]);
      for (size_t i = 32 * j; i < 32 * (j + 1); ++i) out[i] = scale * static_cast<float>(code(i)) - min;
    }
  }
  // Per sub-block min = −min(0, smallest), scale = (largest + min) / 15, both rounded to 6 bits of d and
  // dmin; then nearest codes. No search for better scales.
  static BlockQ4_K encode(std::span<const float, kElems> in);
};
static_assert(sizeof(BlockQ4_K) == 144);

}  // namespace atelier
