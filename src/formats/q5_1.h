// Q5_1: 32 elements in 24 bytes, with an offset.
//
//   byte  0  2  4       8          24
//        | d | m | qh[4] | qs[16] |     d, m: binary16
//
// Codes are packed as in Q5_0; value = d · code + m.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"

namespace atelier {

struct BlockQ5_1 {
  static constexpr DType kDType = DType::kQ5_1;
  static constexpr size_t kElems = 32;

  uint16_t d;
  uint16_t m;
  std::array<uint8_t, 4> qh;
  std::array<uint8_t, 16> qs;

  int code(size_t i) const {
    const int low = i < 16 ? qs[i] & 0xf : qs[i - 16] >> 4;
    return low | ((qh[i / 8] >> (i % 8)) & 1) << 4;
  }
  void decode(std::span<float, kElems> out) const {
    const float scale = f16_to_f32(d);
    const float offset = f16_to_f32(m);
    for (size_t i = 0; i < kElems; ++i) out[i] = scale * static_cast<float>(code(i)) + offset;
  }
  // Nearest codes for m = min, d = (max − min) / 31.
  static BlockQ5_1 encode(std::span<const float, kElems> in);
};
static_assert(sizeof(BlockQ5_1) == 24);

}  // namespace atelier
