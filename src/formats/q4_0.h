// Q4_0: 32 elements in 18 bytes, symmetric.
//
//   byte  0  2                    18
//        | d | qs[16]            |      d: binary16
//
// Element i < 16 is the low nibble of qs[i], element i + 16 its high nibble; value = d · (code − 8).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"

namespace atelier {

struct BlockQ4_0 {
  static constexpr DType kDType = DType::kQ4_0;
  static constexpr size_t kElems = 32;

  uint16_t d;
  std::array<uint8_t, 16> qs;

  void decode(std::span<float, kElems> out) const {
    const float scale = f16_to_f32(d);
    for (size_t i = 0; i < 16; ++i) {
      out[i] = scale * static_cast<float>((qs[i] & 0xf) - 8);
      out[i + 16] = scale * static_cast<float>((qs[i] >> 4) - 8);
    }
  }
  // Nearest codes for d = (the element of largest magnitude) / −8.
  static BlockQ4_0 encode(std::span<const float, kElems> in);
};
static_assert(sizeof(BlockQ4_0) == 18);

}  // namespace atelier
