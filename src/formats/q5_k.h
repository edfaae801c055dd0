// Q5_K: 256 elements in 176 bytes: eight sub-blocks of 32, each with a 6-bit scale and minimum.
//
//   byte  0  2     4           16       48       176
//        | d | dmin | scales[12] | qh[32] | qs[128] |     d, dmin: binary16; scales: k_scales.h
//
// The low four bits are packed as in Q4_K; the fifth bit of element i is bit i / 32 of qh[i % 32].
// value = (d · scale[j]) · code − (dmin · min[j]), j = i / 32.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"
#include "formats/k_scales.h"

namespace atelier {

struct BlockQ5_K {
  static constexpr DType kDType = DType::kQ5_K;
  static constexpr size_t kElems = 256;

  uint16_t d;
  uint16_t dmin;
  std::array<uint8_t, 12> scales;
  std::array<uint8_t, 32> qh;
  std::array<uint8_t, 128> qs;

  int code(size_t i) const {
    const uint8_t byte = qs[i / 64 * 32 + i % 32];
    const int low = i % 64 < 32 ? byte & 0xf : byte >> 4;
    return low | ((qh[i % 32] >> (i / 32)) & 1) << 4;
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
  // As Q4_K's, with scale = (largest + min) / 31.
  static BlockQ5_K encode(std::span<const float, kElems> in);
};
static_assert(sizeof(BlockQ5_K) == 176);

}  // namespace atelier
