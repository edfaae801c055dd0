// Random weight matrices in every storage format, for tests.
#pragma once

#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "base/check.h"
#include "formats/encode.h"
#include "formats/float16.h"
#include "formats/iq4_nl.h"
#include "formats/iq4_xs.h"
#include "formats/q2_k.h"
#include "formats/q3_k.h"
#include "ops/weight.h"

namespace atelier {

// A checkpoint's share of one matrix: encoded rows, each at an odd address as in a file.
class RandomWeight {
 public:
  RandomWeight(DType dtype, bool split, size_t rows, size_t cols, uint32_t seed)
      : dtype_(dtype), cols_(cols), bytes_(split ? cols / 2 : row_bytes(dtype, cols).value()) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal(0.01f, 0.1f);
    data_.resize(rows * (bytes_ + 1) + 1);
    const bool tiled = dtype == DType::kF8E4M3;
    const size_t scale_bytes = tiled ? (cols + 127) / 128 * sizeof(float) : split ? cols / 32 : 0;
    scales_.resize(rows * scale_bytes);
    std::vector<float> values(cols);
    for (size_t r = 0; r < rows; ++r) {
      for (float& v : values) v = normal(rng);
      std::byte* row = data_.data() + r * (bytes_ + 1) + 1;
      std::byte* scales = scale_bytes > 0 ? scales_.data() + r * scale_bytes : nullptr;
      if (tiled)
        fill_f8(row, scales, scale_bytes, rng);
      else if (split)
        encode_mxfp4_split(values, {row, bytes_}, {scales, cols / 32});
      else if (can_encode(dtype))
        encode_row(dtype, values, {row, bytes_});
      else
        fill(row, rng);
      places_.push_back({row, scales});
    }
  }

  WeightSource source() const { return {dtype_, cols_, places_}; }

 private:
  // Every code but NaN, of normally distributed magnitudes.
  void fill_f8(std::byte* codes, std::byte* scales, size_t scale_bytes, std::mt19937& rng) {
    for (size_t i = 0; i < bytes_; ++i) {
      const auto code = static_cast<unsigned>(rng() % 0x7f);
      codes[i] = static_cast<std::byte>((rng() & 0x80) | (code > 0x60 ? code - 0x20 : code));
    }
    for (size_t b = 0; b < scale_bytes; b += sizeof(float)) {
      const float scale = 0.001f + 0.001f * static_cast<float>(rng() % 100);
      std::memcpy(scales + b, &scale, sizeof scale);
    }
  }
  // Formats we do not encode: random bytes are valid codes and scales; only the float factors must be sane.
  void fill(std::byte* row, std::mt19937& rng) {
    for (size_t i = 0; i < bytes_; ++i) row[i] = static_cast<std::byte>(rng() & 255);
    const size_t block_bytes = dtype_info(dtype_).block_bytes;
    for (size_t b = 0; b < bytes_; b += block_bytes) {
      const uint16_t d = f32_to_f16(0.0005f + 0.0005f * static_cast<float>(rng() % 100) / 100.0f);
      for (const size_t offset : factor_offsets()) std::memcpy(row + b + offset, &d, 2);
    }
  }
  std::vector<size_t> factor_offsets() const {
    switch (dtype_) {
      case DType::kIQ4_NL:
        return {offsetof(BlockIQ4_NL, d)};
      case DType::kIQ4_XS:
        return {offsetof(BlockIQ4_XS, d)};
      case DType::kQ2_K:
        return {offsetof(BlockQ2_K, d), offsetof(BlockQ2_K, dmin)};
      case DType::kQ3_K:
        return {offsetof(BlockQ3_K, d)};
      default:
        break;
    }
    const bool known_format = false;
    ATELIER_CHECK(known_format);
    return {};
  }

  DType dtype_;
  size_t cols_;
  size_t bytes_;
  std::vector<std::byte> data_;
  std::vector<std::byte> scales_;
  std::vector<EncodedRow> places_;
};

}  // namespace atelier
