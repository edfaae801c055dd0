#include "formats/decode.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/checked.h"
#include "formats/float16.h"
#include "formats/fp8.h"
#include "formats/iq4_nl.h"
#include "formats/iq4_xs.h"
#include "formats/mxfp4.h"
#include "formats/q2_k.h"
#include "formats/q3_k.h"
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

// Blocks lie in files at any address, hence the copy into an aligned one.
template <class Block>
void decode_blocks(std::span<const std::byte> encoded, std::span<float> out) {
  for (size_t b = 0; b < out.size() / Block::kElems; ++b) {
    Block block;
    std::memcpy(&block, encoded.data() + b * sizeof(Block), sizeof(Block));
    block.decode(std::span<float, Block::kElems>(out.data() + b * Block::kElems, Block::kElems));
  }
}

template <class Bits, float (*to_float)(Bits)>
void decode_each(std::span<const std::byte> encoded, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    Bits bits;
    std::memcpy(&bits, encoded.data() + i * sizeof(Bits), sizeof(Bits));
    out[i] = to_float(bits);
  }
}

}  // namespace

void decode_row(DType dtype, std::span<const std::byte> encoded, std::span<float> out) {
  ATELIER_CHECK(row_bytes(dtype, out.size()) == encoded.size());
  switch (dtype) {
    case DType::kF32:
      if (!out.empty()) std::memcpy(out.data(), encoded.data(), encoded.size());
      return;
    case DType::kF16:
      return decode_each<uint16_t, f16_to_f32>(encoded, out);
    case DType::kBF16:
      return decode_each<uint16_t, bf16_to_f32>(encoded, out);
    case DType::kQ8_0:
      return decode_blocks<BlockQ8_0>(encoded, out);
    case DType::kQ4_0:
      return decode_blocks<BlockQ4_0>(encoded, out);
    case DType::kQ4_1:
      return decode_blocks<BlockQ4_1>(encoded, out);
    case DType::kQ5_0:
      return decode_blocks<BlockQ5_0>(encoded, out);
    case DType::kQ5_1:
      return decode_blocks<BlockQ5_1>(encoded, out);
    case DType::kQ2_K:
      return decode_blocks<BlockQ2_K>(encoded, out);
    case DType::kQ3_K:
      return decode_blocks<BlockQ3_K>(encoded, out);
    case DType::kQ4_K:
      return decode_blocks<BlockQ4_K>(encoded, out);
    case DType::kQ5_K:
      return decode_blocks<BlockQ5_K>(encoded, out);
    case DType::kQ6_K:
      return decode_blocks<BlockQ6_K>(encoded, out);
    case DType::kIQ4_NL:
      return decode_blocks<BlockIQ4_NL>(encoded, out);
    case DType::kIQ4_XS:
      return decode_blocks<BlockIQ4_XS>(encoded, out);
    case DType::kMXFP4:
      return decode_blocks<BlockMXFP4>(encoded, out);
    case DType::kF8E4M3:  // needs the scales of a companion tensor
    case DType::kU8:
    case DType::kI8:
    case DType::kI16:
    case DType::kI32:
    case DType::kI64:
    case DType::kF64:
    case DType::kBool:
      break;
  }
  const bool self_contained_weight_format = false;
  ATELIER_CHECK(self_contained_weight_format);
}

void decode_mxfp4_split(std::span<const std::byte> blocks, std::span<const std::byte> scales,
                        std::span<float> out) {
  ATELIER_CHECK(blocks.size() == out.size() / 2 && scales.size() == out.size() / 32 && out.size() % 32 == 0);
  for (size_t i = 0; i < out.size(); i += 2) {
    const float scale = e8m0_to_f32_half(static_cast<uint8_t>(scales[i / 32]));
    const auto codes = static_cast<uint8_t>(blocks[i / 2]);
    out[i] = scale * static_cast<float>(kMxfp4DoubledValues[codes & 0xf]);
    out[i + 1] = scale * static_cast<float>(kMxfp4DoubledValues[codes >> 4]);
  }
}

void decode_f8e4m3_tiled(std::span<const std::byte> codes, std::span<const std::byte> scales,
                         std::span<float> out) {
  ATELIER_CHECK(codes.size() == out.size());
  ATELIER_CHECK(scales.size() == ceil_div(out.size(), kF8TileCols) * sizeof(float));
  for (size_t i = 0; i < out.size(); ++i) {
    float scale;
    std::memcpy(&scale, scales.data() + i / kF8TileCols * sizeof scale, sizeof scale);
    out[i] = f8e4m3_to_float(static_cast<uint8_t>(codes[i])) * scale;
  }
}

}  // namespace atelier
