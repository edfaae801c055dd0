// Q5_0: 32 elements in 22 bytes, symmetric.
//
//   byte  0  2       6             22
//        | d | qh[4] | qs[16]     |     d: binary16
//
// The low four bits of element i < 16 are the low nibble of qs[i], those of element i + 16 its high nibble.
// qh, read as a little-endian 32-bit number, holds the fifth bit of element i at bit i; value = d · (code −
// 16).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"

namespace atelier {

struct BlockQ5_0 {
  static constexpr DType kDType = DType::kQ5_0;
  static constexpr size_t kElems = 32;

  uint16_t d;
  std::array<uint8_t, 4> qh;
  std::array<uint8_t, 16> qs;

  // Element `i`, 0 … 31, unsigned.
  int code(size_t i) const {
    const int low = i < 16 ? qs[i] & 0xf : qs[i - 16] >> 4;
    return low | ((qh[i / 8] >> (i % 8)) & 1) << 4;
  }
  void decode(std::span<float, kElems> out) const {
    const float scale = f16_to_f32(d);
    for (size_t i = 0; i < kElems; ++i) out[i] = scale * static_cast<float>(code(i) - 16);
  }
  // Nearest codes for d = (the element of largest magnitude) / −16.
  static BlockQ5_0 encode(std::span<const float, kElems> in);
};
static_assert(sizeof(BlockQ5_0) == 22);

}  // namespace atelier
