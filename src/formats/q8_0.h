// Q8_0: 32 elements in 34 bytes, symmetric.
//
//   byte  0  2                    34
//        | d | qs[32]            |      d: binary16, qs: int8
//
// value = d · qs[i].
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"

namespace atelier {

struct BlockQ8_0 {
  static constexpr DType kDType = DType::kQ8_0;
  static constexpr size_t kElems = 32;

  uint16_t d;
  std::array<int8_t, 32> qs;

  void decode(std::span<float, kElems> out) const {
    const float scale = f16_to_f32(d);
    for (size_t i = 0; i < kElems; ++i) out[i] = static_cast<float>(qs[i]) * scale;
  }
  // Nearest codes (halves away from zero) for d = (largest magnitude) / 127.
  static BlockQ8_0 encode(std::span<const float, kElems> in);
};
static_assert(sizeof(BlockQ8_0) == 34);

}  // namespace atelier
