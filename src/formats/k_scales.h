// The 12 bytes in which Q4_K and Q5_K keep eight 6-bit scales and eight 6-bit minima.
//
//   bytes 0–3    scale[0–3] in bits 0–5, the upper two bits of scale[4–7] in bits 6–7
//   bytes 4–7    min[0–3]   in bits 0–5, the upper two bits of min[4–7]   in bits 6–7
//   bytes 8–11   the lower four bits of scale[4–7] (low nibble) and of min[4–7] (high nibble)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace atelier {

struct KScales {
  std::array<uint8_t, 8> scale;  // 0 … 63
  std::array<uint8_t, 8> min;    // 0 … 63
};

constexpr KScales unpack_k_scales(const std::array<uint8_t, 12>& packed) {
  KScales out{};
  for (size_t j = 0; j < 4; ++j) {
    const unsigned s = packed[j], m = packed[j + 4], both = packed[j + 8];
    out.scale[j] = static_cast<uint8_t>(s & 0x3f);
    out.min[j] = static_cast<uint8_t>(m & 0x3f);
    out.scale[j + 4] = static_cast<uint8_t>((both & 0xf) | ((s >> 6) << 4));
    out.min[j + 4] = static_cast<uint8_t>((both >> 4) | ((m >> 6) << 4));
  }
  return out;
}

constexpr std::array<uint8_t, 12> pack_k_scales(const KScales& in) {
  std::array<uint8_t, 12> out{};
  for (size_t j = 0; j < 4; ++j) {
    out[j] = static_cast<uint8_t>(in.scale[j] | (in.scale[j + 4] >> 4) << 6);
    out[j + 4] = static_cast<uint8_t>(in.min[j] | (in.min[j + 4] >> 4) << 6);
    out[j + 8] = static_cast<uint8_t>((in.scale[j + 4] & 0xf) | (in.min[j + 4] & 0xf) << 4);
  }
  return out;
}

}  // namespace atelier
