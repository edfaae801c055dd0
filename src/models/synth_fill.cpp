#include "models/synth_fill.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "formats/float16.h"
#include "formats/mxfp4.h"
#include "formats/q4_0.h"
#include "formats/q4_1.h"
#include "formats/q4_k.h"
#include "formats/q5_0.h"
#include "formats/q6_k.h"
#include "formats/q8_0.h"

namespace atelier {
namespace {

// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): the n-th
// output is a mix of n, so that a stream can be entered anywhere.
constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

constexpr uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

class Stream {
 public:
  explicit Stream(uint64_t state) : state_(state) {}
  uint64_t next() { return mix(state_ += kGolden); }
  // Fills `out` with random bytes.
  void bytes(std::span<uint8_t> out) {
    size_t i = 0;
    for (; i + 8 <= out.size(); i += 8) {
      const uint64_t word = next();
      std::memcpy(out.data() + i, &word, 8);
    }
    if (i < out.size()) {
      const uint64_t word = next();
      std::memcpy(out.data() + i, &word, out.size() - i);
    }
  }

 private:
  uint64_t state_;
};

// What the codes of a format deviate by when all are equally likely.
constexpr double kByteDeviation = 73.9;    // −128 … 127: sqrt((256² − 1) / 12)
constexpr double kNibbleDeviation = 4.61;  // 0 … 15
constexpr double kFiveBitDeviation = 9.23;
constexpr double kSixBitDeviation = 18.47;
constexpr double kMxfp4Deviation = 2.93;  // of ±{0, .5, 1, 1.5, 2, 3, 4, 6}: sqrt(68.5 / 8)

// The power of two that scales byte codes to `stddev`. Byte codes times a power of two are exact in F32, F16
// (as long as the power is at least 2^-24), BF16 and Q8_0 alike.
int byte_exponent(double stddev) {
  return std::clamp(static_cast<int>(std::lround(std::log2(stddev / kByteDeviation))), -24, 0);
}

// Values of plain elements through a table of all 256 codes.
template <class Elem, class Convert>
void fill_plain(Stream stream, double stddev, std::span<std::byte> out, Convert convert) {
  std::array<Elem, 256> values;
  const int exponent = byte_exponent(stddev);
  for (size_t byte = 0; byte < values.size(); ++byte)
    values[byte] = convert(std::ldexp(static_cast<float>(static_cast<int8_t>(byte)), exponent));
  const size_t n = out.size() / sizeof(Elem);
  std::array<uint8_t, 256> codes;
  for (size_t first = 0; first < n; first += codes.size()) {
    const size_t count = std::min(codes.size(), n - first);
    stream.bytes(std::span(codes).first(count));
    std::array<Elem, codes.size()> elems;
    for (size_t i = 0; i < count; ++i) elems[i] = values[codes[i]];
    std::memcpy(out.data() + first * sizeof(Elem), elems.data(), count * sizeof(Elem));
  }
}

// Blocks of `Block` made one by one.
template <class Block, class Make>
void fill_blocks(std::span<std::byte> out, Make make) {
  for (size_t at = 0; at < out.size(); at += sizeof(Block)) {
    const Block block = make();
    std::memcpy(out.data() + at, &block, sizeof(Block));
  }
}

// The scales of a row: chosen by a stream of their own, so that both MXFP4 layouts can go through codes and
// scales at different times.
class ScaleStream {
 public:
  ScaleStream(FillKey key, double stddev) : stream_(~key.value) {
    // Two neighbouring powers of two, whose mean square is 2.5 times the smaller one's.
    const double smaller = stddev / kMxfp4Deviation / std::sqrt(2.5);
    smaller_ = static_cast<uint8_t>(std::clamp(127 + std::lround(std::log2(smaller)), 1L, 200L));
  }
  uint8_t next() {
    if (left_ == 0) {
      bits_ = stream_.next();
      left_ = 64;
    }
    --left_;
    const auto bit = static_cast<uint8_t>(bits_ & 1);
    bits_ >>= 1;
    return static_cast<uint8_t>(smaller_ + bit);
  }

 private:
  Stream stream_;
  uint8_t smaller_ = 0;
  uint64_t bits_ = 0;
  int left_ = 0;
};

// From OpenAI's order of codes (two neighbours a byte) to GGUF's (elements 0–15 low, 16–31 high).
std::array<uint8_t, 16> to_gguf_order(uint64_t first_half, uint64_t second_half) {
  constexpr uint64_t kLow = 0x0f0f0f0f0f0f0f0f;
  const auto even = std::bit_cast<std::array<uint8_t, 8>>((first_half & kLow) | (second_half & kLow) << 4);
  const auto odd = std::bit_cast<std::array<uint8_t, 8>>((first_half >> 4 & kLow) | (second_half & ~kLow));
  std::array<uint8_t, 16> out;
  for (size_t i = 0; i < 8; ++i) {
    out[2 * i] = even[i];
    out[2 * i + 1] = odd[i];
  }
  return out;
}

void fill_mxfp4(FillKey key, double stddev, std::span<std::byte> out) {
  Stream codes(key.value);
  ScaleStream scales(key, stddev);
  fill_blocks<BlockMXFP4>(out, [&] {
    const uint64_t first = codes.next(), second = codes.next();
    return BlockMXFP4{scales.next(), to_gguf_order(first, second)};
  });
}

// Symmetric formats have one code more below zero than above: scales of either sign make up for it.
uint16_t signed_scale(float scale, uint64_t bit) { return f32_to_f16((bit & 1) != 0 ? -scale : scale); }

void fill_q8_0(Stream stream, double stddev, std::span<std::byte> out) {
  BlockQ8_0 block{.d = f32_to_f16(std::ldexp(1.0f, byte_exponent(stddev))), .qs = {}};
  fill_blocks<BlockQ8_0>(out, [&] {
    stream.bytes({reinterpret_cast<uint8_t*>(block.qs.data()), block.qs.size()});
    return block;
  });
}

void fill_q4_0(Stream stream, Stream signs, double stddev, std::span<std::byte> out) {
  const auto scale = static_cast<float>(stddev / kNibbleDeviation);
  fill_blocks<BlockQ4_0>(out, [&] {
    BlockQ4_0 block{.d = signed_scale(scale, signs.next()), .qs = {}};
    stream.bytes(block.qs);
    return block;
  });
}

void fill_q4_1(Stream stream, double stddev, std::span<std::byte> out) {
  const double scale = stddev / kNibbleDeviation;
  // The mean code is 7.5: blocks average to zero.
  BlockQ4_1 block{.d = f32_to_f16(static_cast<float>(scale)),
                  .m = f32_to_f16(static_cast<float>(-7.5 * scale)),
                  .qs = {}};
  fill_blocks<BlockQ4_1>(out, [&] {
    stream.bytes(block.qs);
    return block;
  });
}

void fill_q5_0(Stream stream, Stream signs, double stddev, std::span<std::byte> out) {
  const auto scale = static_cast<float>(stddev / kFiveBitDeviation);
  fill_blocks<BlockQ5_0>(out, [&] {
    BlockQ5_0 block{.d = signed_scale(scale, signs.next()), .qh = {}, .qs = {}};
    stream.bytes(block.qh);
    stream.bytes(block.qs);
    return block;
  });
}

BlockQ4_K random_q4_k(Stream& stream, double stddev) {
  constexpr double kMeanScale = 47.5;  // of 32 … 63
  const double d = stddev / (kNibbleDeviation * kMeanScale);
  BlockQ4_K block;
  block.d = f32_to_f16(static_cast<float>(d));
  block.dmin = f32_to_f16(static_cast<float>(7.5 * d));  // the mean code: blocks average to zero
  KScales scales;
  const uint64_t bits = stream.next();
  for (size_t j = 0; j < scales.scale.size(); ++j)
    scales.scale[j] = scales.min[j] = static_cast<uint8_t>(32 + (bits >> (5 * j) & 31));
  block.scales = pack_k_scales(scales);
  stream.bytes(block.qs);
  return block;
}

BlockQ6_K random_q6_k(Stream& stream, double stddev) {
  constexpr double kMeanScale = 95.5;  // of ±(64 … 127)
  BlockQ6_K block;
  block.d = f32_to_f16(static_cast<float>(stddev / (kSixBitDeviation * kMeanScale)));
  std::array<uint8_t, 16> bits;
  stream.bytes(bits);
  for (size_t j = 0; j < bits.size(); ++j) {
    const int scale = 64 + (bits[j] & 63);
    block.scales[j] = static_cast<int8_t>((bits[j] & 64) != 0 ? -scale : scale);
  }
  stream.bytes(block.ql);
  stream.bytes(block.qh);
  return block;
}

}  // namespace

FillKey fill_key(uint64_t seed, std::string_view tensor, uint64_t expert, uint64_t row) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : tensor) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  uint64_t value = mix(hash + kGolden * mix(seed + kGolden));
  value = mix(value + kGolden * mix(expert + kGolden));
  return {mix(value + kGolden * mix(row + kGolden))};
}

bool can_fill(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ4_K:
    case DType::kQ6_K:
    case DType::kMXFP4:
      return true;
    default:
      return false;
  }
}

void fill_row(DType dtype, FillKey key, double stddev, size_t cols, std::span<std::byte> out) {
  ATELIER_CHECK(row_bytes(dtype, cols) == out.size());
  Stream stream(key.value);
  switch (dtype) {
    case DType::kF32:
      return fill_plain<float>(stream, stddev, out, [](float value) { return value; });
    case DType::kF16:
      return fill_plain<uint16_t>(stream, stddev, out, f32_to_f16);
    case DType::kBF16:
      return fill_plain<uint16_t>(stream, stddev, out, f32_to_bf16);
    case DType::kQ8_0:
      return fill_q8_0(stream, stddev, out);
    case DType::kQ4_0:
      return fill_q4_0(stream, Stream(~key.value), stddev, out);
    case DType::kQ4_1:
      return fill_q4_1(stream, stddev, out);
    case DType::kQ5_0:
      return fill_q5_0(stream, Stream(~key.value), stddev, out);
    case DType::kQ4_K:
      return fill_blocks<BlockQ4_K>(out, [&] { return random_q4_k(stream, stddev); });
    case DType::kQ6_K:
      return fill_blocks<BlockQ6_K>(out, [&] { return random_q6_k(stream, stddev); });
    case DType::kMXFP4:
      return fill_mxfp4(key, stddev, out);
    default:
      ATELIER_CHECK(can_fill(dtype));
  }
}

void fill_mxfp4_blocks(FillKey key, std::span<std::byte> blocks) {
  Stream codes(key.value);
  codes.bytes({reinterpret_cast<uint8_t*>(blocks.data()), blocks.size()});
}

void fill_mxfp4_scales(FillKey key, double stddev, std::span<std::byte> scales) {
  ScaleStream stream(key, stddev);
  for (std::byte& scale : scales) scale = std::byte{stream.next()};
}

void fill_vector(FillKey key, float centre, double stddev, std::span<float> out) {
  // At most six bits, and no finer than BF16 resolves between 1 and 2: centre (0 or 1) plus value is exact.
  constexpr int kFinest = -7;
  int shift = 2, exponent = byte_exponent(stddev) + shift;
  for (; exponent < kFinest && shift < 7; ++exponent) ++shift;
  Stream stream(key.value);
  std::array<uint8_t, 64> codes;
  for (size_t first = 0; first < out.size(); first += codes.size()) {
    const size_t count = std::min(codes.size(), out.size() - first);
    stream.bytes(std::span(codes).first(count));
    for (size_t i = 0; i < count; ++i)
      out[first + i] =
          centre + std::ldexp(static_cast<float>(static_cast<int8_t>(codes[i]) >> shift), exponent);
  }
}

}  // namespace atelier
