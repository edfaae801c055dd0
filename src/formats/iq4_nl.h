// IQ4_NL: 32 elements in 18 bytes, codes through a table of unevenly spaced values.
//
//   byte  0  2                    18
//        | d | qs[16]            |      d: binary16
//
// Nibbles as in Q4_0; value = d · kIq4Values[code].
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"

namespace atelier {

// Part of the format: ggml's `kvalues_iq4nl`.
inline constexpr std::array<int8_t, 16> kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                      1,    13,   25,  38,  53,  69,  89,  113};

struct BlockIQ4_NL {
  static constexpr DType kDType = DType::kIQ4_NL;
  static constexpr size_t kElems = 32;

  uint16_t d;
  std::array<uint8_t, 16> qs;

  void decode(std::span<float, kElems> out) const {
    const float scale = f16_to_f32(d);
    for (size_t i = 0; i < 16; ++i) {
      out[i] = scale * static_cast<float>(kIq4Values[qs[i] & 0xf]);
      out[i + 16] = scale * static_cast<float>(kIq4Values[qs[i] >> 4]);
    }
  }
};
static_assert(sizeof(BlockIQ4_NL) == 18);

}  // namespace atelier
