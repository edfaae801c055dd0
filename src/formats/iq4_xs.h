// IQ4_XS: 256 elements in 136 bytes: eight sub-blocks of 32, each with a 6-bit scale, codes through IQ4_NL's
// table.
//
//   byte  0  2         4           8                136
//        | d | scales_h | scales_l[4] | qs[128]    |     d: binary16, scales_h: little-endian 16 bits
//
// Sub-block j holds its codes in qs[16 j … 16 j + 15], nibbles as in Q4_0. Its scale has the low four bits in
// scales_l[j / 2] (low nibble for even j) and the upper two in bits 2 j and 2 j + 1 of scales_h, less 32.
// value = (d · scale[j]) · kIq4Values[code].
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"
#include "formats/iq4_nl.h"

namespace atelier {

struct BlockIQ4_XS {
  static constexpr DType kDType = DType::kIQ4_XS;
  static constexpr size_t kElems = 256;

  uint16_t d;
  uint16_t scales_h;
  std::array<uint8_t, 4> scales_l;
  std::array<uint8_t, 128> qs;

  // −32 … 31
  int scale(size_t j) const {
    const int low = (scales_l[j / 2] >> (4 * (j % 2))) & 0xf;
    return (low | ((scales_h >> (2 * j)) & 3) << 4) - 32;
  }
  void decode(std::span<float, kElems> out) const {
    const float super_scale = f16_to_f32(d);
    for (size_t j = 0; j < 8; ++j) {
      const float sub_scale = super_scale * static_cast<float>(scale(j));
      for (size_t i = 0; i < 16; ++i) {
        const uint8_t byte = qs[16 * j + i];
        out[32 * j + i] = sub_scale * static_cast<float>(kIq4Values[byte & 0xf]);
        out[32 * j + i + 16] = sub_scale * static_cast<float>(kIq4Values[byte >> 4]);
      }
    }
  }
};
static_assert(sizeof(BlockIQ4_XS) == 136);

}  // namespace atelier
