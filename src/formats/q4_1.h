// Q4_1: 32 elements in 20 bytes, with an offset.
//
//   byte  0  2  4                 20
//        | d | m | qs[16]        |      d, m: binary16
//
// Element i < 16 is the low nibble of qs[i], element i + 16 its high nibble; value = d · code + m.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"

namespace atelier {

struct BlockQ4_1 {
  static constexpr DType kDType = DType::kQ4_1;
  static constexpr size_t kElems = 32;

  uint16_t d;
  uint16_t m;
  std::array<uint8_t, 16> qs;

  void decode(std::span<float, kElems> out) const {
    const float scale = f16_to_f32(d);
    const float offset = f16_to_f32(m);
    for (size_t i = 0; i < 16; ++i) {
      out[i] = scale * static_cast<float>(qs[i] & 0xf) + offset;
      out[i + 16] = scale * static_cast<float>(qs[i] >> 4) + offset;
    }
  }
  // Nearest codes for m = min, d = (max − min) / 15.
  static BlockQ4_1 encode(std::span<const float, kElems> in);
};
static_assert(sizeof(BlockQ4_1) == 20);

}  // namespace atelier
