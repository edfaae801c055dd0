#include "formats/encode.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "formats/float16.h"
#include "formats/mxfp4.h"
#include "formats/q4_0.h"
#include "formats/q4_1.h"
#include "formats/q4_k.h"
#include "formats/q5_0.h"
#include "formats/q5_1.h"
#include "formats/q5_k.h"
#include "formats/q6_k.h"
#include "formats/q8_0.h"

namespace atelier {
namespace {

// Truncates into 0 … limit; NaN gives 0.
uint8_t to_code(float value, int limit) {
  if (!(value > 0.0f)) return 0;
  return static_cast<uint8_t>(value >= static_cast<float>(limit) ? limit : static_cast<int>(value));
}

float inverse(float value) { return value == 0.0f ? 0.0f : 1.0f / value; }

// The element of largest magnitude, with its sign; the first of several.
float extreme(std::span<const float> in) {
  float best = in[0];
  for (const float v : in)
    if (std::fabs(v) > std::fabs(best)) best = v;
  return best;
}

// 32 codes of `bits` 4 or 5, packed as Q4_0 … Q5_1 all do; `high` receives the fifth bits.
void pack_codes(const std::array<uint8_t, 32>& codes, std::array<uint8_t, 16>& low,
                std::array<uint8_t, 4>* high) {
  for (size_t i = 0; i < 16; ++i)
    low[i] = static_cast<uint8_t>((codes[i] & 0xf) | (codes[i + 16] & 0xf) << 4);
  if (high == nullptr) return;
  *high = {};
  for (size_t i = 0; i < 32; ++i)
    (*high)[i / 8] = static_cast<uint8_t>((*high)[i / 8] | ((codes[i] >> 4) & 1) << (i % 8));
}

// Codes 0 … 2·half − 1 around `half` for d = extreme / −half.
template <int half>
std::array<uint8_t, 32> symmetric_codes(std::span<const float, 32> in, uint16_t& d) {
  const float scale = extreme(in) / static_cast<float>(-half);
  const float inv = inverse(scale);
  d = f32_to_f16(scale);
  std::array<uint8_t, 32> codes;
  for (size_t i = 0; i < 32; ++i)
    codes[i] = to_code(in[i] * inv + (static_cast<float>(half) + 0.5f), 2 * half - 1);
  return codes;
}

// Codes 0 … top for m = min, d = (max − min) / top.
template <int top>
std::array<uint8_t, 32> offset_codes(std::span<const float, 32> in, uint16_t& d, uint16_t& m) {
  const auto [min, max] = std::minmax_element(in.begin(), in.end());
  const float scale = (*max - *min) / static_cast<float>(top);
  const float inv = inverse(scale);
  d = f32_to_f16(scale);
  m = f32_to_f16(*min);
  std::array<uint8_t, 32> codes;
  for (size_t i = 0; i < 32; ++i) codes[i] = to_code((in[i] - *min) * inv + 0.5f, top);
  return codes;
}

// Scales, minima and codes 0 … top of Q4_K (top 15) and Q5_K (top 31).
struct KCodes {
  uint16_t d, dmin;
  KScales scales;
  std::array<uint8_t, 256> codes;
};

KCodes k_codes(std::span<const float, 256> in, int top) {
  std::array<float, 8> scale, min;
  for (size_t j = 0; j < 8; ++j) {
    const auto [lo, hi] = std::minmax_element(in.begin() + 32 * static_cast<ptrdiff_t>(j),
                                              in.begin() + 32 * static_cast<ptrdiff_t>(j + 1));
    min[j] = -std::min(0.0f, *lo);
    scale[j] = (std::max(0.0f, *hi) + min[j]) / static_cast<float>(top);
  }
  KCodes out{};
  out.d = f32_to_f16(*std::max_element(scale.begin(), scale.end()) / 63.0f);
  out.dmin = f32_to_f16(*std::max_element(min.begin(), min.end()) / 63.0f);
  const float d = f16_to_f32(out.d), dmin = f16_to_f32(out.dmin);
  for (size_t j = 0; j < 8; ++j) {
    out.scales.scale[j] = to_code(scale[j] * inverse(d) + 0.5f, 63);
    out.scales.min[j] = to_code(min[j] * inverse(dmin) + 0.5f, 63);
    const float inv = inverse(d * static_cast<float>(out.scales.scale[j]));
    const float offset = dmin * static_cast<float>(out.scales.min[j]);
    for (size_t i = 32 * j; i < 32 * (j + 1); ++i) out.codes[i] = to_code((in[i] + offset) * inv + 0.5f, top);
  }
  return out;
}

void pack_k_codes(const std::array<uint8_t, 256>& codes, std::array<uint8_t, 128>& qs) {
  for (size_t run = 0; run < 4; ++run)
    for (size_t i = 0; i < 32; ++i) {
      const size_t at = 64 * run + i;
      qs[32 * run + i] = static_cast<uint8_t>((codes[at] & 0xf) | (codes[at + 32] & 0xf) << 4);
    }
}

// The nearest of the eight magnitudes, the smaller on a tie, with the sign of `value` in bit 3.
uint8_t mxfp4_code(float value, float scale) {
  const float magnitude = std::fabs(value);
  uint8_t best = 0;
  float best_error = magnitude;
  for (uint8_t code = 1; code < 8; ++code) {
    const float error = std::fabs(scale * static_cast<float>(kMxfp4DoubledValues[code]) - magnitude);
    if (error < best_error) {
      best_error = error;
      best = code;
    }
  }
  return best != 0 && value < 0.0f ? static_cast<uint8_t>(best | 8) : best;
}

uint8_t mxfp4_scale(std::span<const float> in) {
  const float largest = std::fabs(extreme(in));
  if (!(largest > 0.0f)) return 0;
  // The largest code is 6 = 1.5 · 2²: the scale's exponent lies two below the largest element's.
  return static_cast<uint8_t>(std::clamp(std::ilogb(largest) - 2 + 127, 0, 254));
}

template <class Block>
void encode_blocks(std::span<const float> in, std::span<std::byte> out) {
  for (size_t b = 0; b < in.size() / Block::kElems; ++b) {
    const Block block =
        Block::encode(std::span<const float, Block::kElems>(in.data() + b * Block::kElems, Block::kElems));
    std::memcpy(out.data() + b * sizeof(Block), &block, sizeof(Block));
  }
}

template <uint16_t (*to_bits)(float)>
void encode_each(std::span<const float> in, std::span<std::byte> out) {
  for (size_t i = 0; i < in.size(); ++i) {
    const uint16_t bits = to_bits(in[i]);
    std::memcpy(out.data() + i * sizeof(bits), &bits, sizeof(bits));
  }
}

}  // namespace

BlockQ4_0 BlockQ4_0::encode(std::span<const float, kElems> in) {
  BlockQ4_0 block;
  pack_codes(symmetric_codes<8>(in, block.d), block.qs, nullptr);
  return block;
}

BlockQ4_1 BlockQ4_1::encode(std::span<const float, kElems> in) {
  BlockQ4_1 block;
  pack_codes(offset_codes<15>(in, block.d, block.m), block.qs, nullptr);
  return block;
}

BlockQ5_0 BlockQ5_0::encode(std::span<const float, kElems> in) {
  BlockQ5_0 block;
  pack_codes(symmetric_codes<16>(in, block.d), block.qs, &block.qh);
  return block;
}

BlockQ5_1 BlockQ5_1::encode(std::span<const float, kElems> in) {
  BlockQ5_1 block;
  pack_codes(offset_codes<31>(in, block.d, block.m), block.qs, &block.qh);
  return block;
}

BlockQ8_0 BlockQ8_0::encode(std::span<const float, kElems> in) {
  const float scale = std::fabs(extreme(in)) / 127.0f;
  const float inv = inverse(scale);
  BlockQ8_0 block;
  block.d = f32_to_f16(scale);
  for (size_t i = 0; i < kElems; ++i) {
    const float magnitude = std::fabs(in[i] * inv);
    const int code = to_code(std::round(magnitude), 127);
    block.qs[i] = static_cast<int8_t>(in[i] < 0.0f ? -code : code);
  }
  return block;
}

BlockQ4_K BlockQ4_K::encode(std::span<const float, kElems> in) {
  const KCodes k = k_codes(in, 15);
  BlockQ4_K block{k.d, k.dmin, pack_k_scales(k.scales), {}};
  pack_k_codes(k.codes, block.qs);
  return block;
}

BlockQ5_K BlockQ5_K::encode(std::span<const float, kElems> in) {
  const KCodes k = k_codes(in, 31);
  BlockQ5_K block{k.d, k.dmin, pack_k_scales(k.scales), {}, {}};
  pack_k_codes(k.codes, block.qs);
  for (size_t i = 0; i < kElems; ++i)
    block.qh[i % 32] = static_cast<uint8_t>(block.qh[i % 32] | (k.codes[i] >> 4) << (i / 32));
  return block;
}

BlockQ6_K BlockQ6_K::encode(std::span<const float, kElems> in) {
  std::array<float, 16> scale;
  for (size_t j = 0; j < 16; ++j) scale[j] = extreme(in.subspan(16 * j, 16)) / -32.0f;
  BlockQ6_K block{};
  block.d = f32_to_f16(extreme(scale) / -128.0f);
  const float d = f16_to_f32(block.d);
  for (size_t e = 0; e < kElems; ++e) {
    const size_t j = e / 16;
    // extreme(scale) itself becomes −128; the others fit between it and 127.
    if (e % 16 == 0)
      block.scales[j] = static_cast<int8_t>(to_code(scale[j] * inverse(d) + 128.5f, 255) - 128);
    const float inv = inverse(d * static_cast<float>(block.scales[j]));
    const unsigned code = to_code(in[e] * inv + 32.5f, 63);
    const size_t half = e / 128, i = e % 128;
    uint8_t& low = block.ql[64 * half + i % 64];
    uint8_t& high = block.qh[32 * half + i % 32];
    low = static_cast<uint8_t>(low | (code & 0xf) << (i < 64 ? 0 : 4));
    high = static_cast<uint8_t>(high | (code >> 4) << (2 * (i / 32)));
  }
  return block;
}

BlockMXFP4 BlockMXFP4::encode(std::span<const float, kElems> in) {
  BlockMXFP4 block;
  block.e = mxfp4_scale(in);
  const float scale = e8m0_to_f32_half(block.e);
  for (size_t i = 0; i < 16; ++i)
    block.qs[i] = static_cast<uint8_t>(mxfp4_code(in[i], scale) | mxfp4_code(in[i + 16], scale) << 4);
  return block;
}

bool can_encode(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K:
    case DType::kMXFP4:
      return true;
    default:
      return false;
  }
}

void encode_row(DType dtype, std::span<const float> in, std::span<std::byte> out) {
  ATELIER_CHECK(can_encode(dtype) && row_bytes(dtype, in.size()) == out.size());
  if (in.empty()) return;
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out.data(), in.data(), out.size());
      return;
    case DType::kF16:
      return encode_each<f32_to_f16>(in, out);
    case DType::kBF16:
      return encode_each<f32_to_bf16>(in, out);
    case DType::kQ8_0:
      return encode_blocks<BlockQ8_0>(in, out);
    case DType::kQ4_0:
      return encode_blocks<BlockQ4_0>(in, out);
    case DType::kQ4_1:
      return encode_blocks<BlockQ4_1>(in, out);
    case DType::kQ5_0:
      return encode_blocks<BlockQ5_0>(in, out);
    case DType::kQ5_1:
      return encode_blocks<BlockQ5_1>(in, out);
    case DType::kQ4_K:
      return encode_blocks<BlockQ4_K>(in, out);
    case DType::kQ5_K:
      return encode_blocks<BlockQ5_K>(in, out);
    case DType::kQ6_K:
      return encode_blocks<BlockQ6_K>(in, out);
    case DType::kMXFP4:
      return encode_blocks<BlockMXFP4>(in, out);
    default:
      return;
  }
}

void encode_mxfp4_split(std::span<const float> in, std::span<std::byte> blocks, std::span<std::byte> scales) {
  ATELIER_CHECK(in.size() % 32 == 0 && blocks.size() == in.size() / 2 && scales.size() == in.size() / 32);
  for (size_t b = 0; b < scales.size(); ++b) {
    const std::span<const float> block = in.subspan(32 * b, 32);
    const uint8_t e = mxfp4_scale(block);
    const float scale = e8m0_to_f32_half(e);
    scales[b] = static_cast<std::byte>(e);
    for (size_t i = 0; i < 16; ++i)
      blocks[16 * b + i] =
          static_cast<std::byte>(mxfp4_code(block[2 * i], scale) | mxfp4_code(block[2 * i + 1], scale) << 4);
  }
}

}  // namespace atelier
