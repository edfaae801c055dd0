// MXFP4: 32 elements of E2M1 share one E8M0 scale 2^(e − 127): 4.25 bits an element.
//
// GGUF's block, 17 bytes:
//   byte  0  1                    17
//        | e | qs[16]            |
// Element i < 16 is the low nibble of qs[i], element i + 16 its high nibble.
//
// OpenAI's checkpoints keep codes and scales in two tensors (`*_blocks` […, n / 32, 16], `*_scales` […, n /
// 32]); there the low nibble of byte k is element 2 k and the high nibble element 2 k + 1:
// decode_mxfp4_split().
//
// Codes 0–7 stand for 0, ½, 1, 1½, 2, 3, 4, 6; bit 3 is the sign. We keep twice that, an integer, and halve
// the scale. Source: OCP Microscaling Formats 1.0; openai/gpt-oss, gpt_oss/torch/weights.py.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "formats/dtype.h"
#include "formats/float16.h"

namespace atelier {

inline constexpr std::array<int8_t, 16> kMxfp4DoubledValues = {0, 1,  2,  3,  4,  6,  8,  12,
                                                               0, -1, -2, -3, -4, -6, -8, -12};

struct BlockMXFP4 {
  static constexpr DType kDType = DType::kMXFP4;
  static constexpr size_t kElems = 32;

  uint8_t e;
  std::array<uint8_t, 16> qs;

  void decode(std::span<float, kElems> out) const {
    const float scale = e8m0_to_f32_half(e);
    for (size_t i = 0; i < 16; ++i) {
      out[i] = scale * static_cast<float>(kMxfp4DoubledValues[qs[i] & 0xf]);
      out[i + 16] = scale * static_cast<float>(kMxfp4DoubledValues[qs[i] >> 4]);
    }
  }
  // Nearest values (ties to the smaller) for the scale floor(log2(largest magnitude)) − 2.
  static BlockMXFP4 encode(std::span<const float, kElems> in);
};
static_assert(sizeof(BlockMXFP4) == 17);

}  // namespace atelier
