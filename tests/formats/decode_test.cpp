#include "formats/decode.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/fp8.h"
#include "formats/mxfp4.h"
#include "tests/figure.h"
#include "tests/formats/golden_file.h"

namespace atelier {
namespace {

constexpr DType kDecoded[] = {DType::kF16,  DType::kBF16, DType::kQ8_0,  DType::kQ4_0,   DType::kQ4_1,
                              DType::kQ5_0, DType::kQ5_1, DType::kQ2_K,  DType::kQ3_K,   DType::kQ4_K,
                              DType::kQ5_K, DType::kQ6_K, DType::kMXFP4, DType::kIQ4_NL, DType::kIQ4_XS};

class DecodeGolden : public ::testing::TestWithParam<DType> {};

TEST_P(DecodeGolden, EveryBitIsWhatGgufDequantises) {
  const DTypeInfo& info = dtype_info(GetParam());
  const GoldenFile golden =
      read_golden(std::string(info.name) + ".decode", info.block_bytes, info.block_elems * sizeof(float));
  ASSERT_GE(golden.n_blocks, 24u);
  const std::vector<float> want = as_floats(golden.second);
  std::vector<float> got(want.size(), 123.0f);
  decode_row(info.dtype, golden.first, got);
  EXPECT_EQ(first_bit_difference(got, want), -1);

  // The vectors are worth something: most values are neither zero nor alike.
  size_t changes = 0;
  for (size_t i = 1; i < want.size(); ++i) changes += want[i] != want[i - 1];
  EXPECT_GT(changes, want.size() / 2);
  testing::print_figure("format {}: {} values of {} blocks bit-equal to gguf's", info.name, want.size(),
                        golden.n_blocks);
}

TEST_P(DecodeGolden, OneFlippedBitIsNoticed) {
  const DTypeInfo& info = dtype_info(GetParam());
  GoldenFile golden =
      read_golden(std::string(info.name) + ".decode", info.block_bytes, info.block_elems * sizeof(float));
  ASSERT_GT(golden.n_blocks, 0u);
  const std::vector<float> want = as_floats(golden.second);
  // Byte 16 of the last block holds codes in every block format; the last byte serves the plain ones.
  const size_t at = golden.first.size() - (info.block_bytes > 16 ? info.block_bytes - 16 : 1);
  golden.first[at] ^= std::byte{1};
  std::vector<float> got(want.size());
  decode_row(info.dtype, golden.first, got);
  EXPECT_NE(first_bit_difference(got, want), -1);
}

TEST_P(DecodeGolden, UnalignedRowsDecodeAlikeAndNothingElseIsTouched) {
  const DTypeInfo& info = dtype_info(GetParam());
  const GoldenFile golden =
      read_golden(std::string(info.name) + ".decode", info.block_bytes, info.block_elems * sizeof(float));
  ASSERT_GT(golden.n_blocks, 0u);
  std::vector<std::byte> shifted(golden.first.size() + 1);
  std::copy(golden.first.begin(), golden.first.end(), shifted.begin() + 1);
  const std::vector<float> want = as_floats(golden.second);
  std::vector<float> got(want.size() + 2, 123.0f);
  decode_row(info.dtype, std::span(shifted).subspan(1), std::span(got).subspan(1, want.size()));
  EXPECT_EQ(first_bit_difference(std::span(got).subspan(1, want.size()), want), -1);
  EXPECT_EQ(got.front(), 123.0f);
  EXPECT_EQ(got.back(), 123.0f);
}

INSTANTIATE_TEST_SUITE_P(All, DecodeGolden, ::testing::ValuesIn(kDecoded),
                         [](const auto& param) { return std::string(dtype_info(param.param).name); });

TEST(Decode, Float32IsCopied) {
  const std::vector<float> in = {0.0f, -0.0f, 1e-45f, 3.5f, INFINITY};
  std::vector<float> out(in.size());
  decode_row(DType::kF32, std::as_bytes(std::span(in)), out);
  EXPECT_EQ(first_bit_difference(in, out), -1);
  decode_row(DType::kF32, {}, {});
}

TEST(Decode, Fp8MatchesItsDefinitionInAllCodes) {
  const GoldenFile golden = read_golden("F8_E4M3.decode", 1, sizeof(float));
  ASSERT_EQ(golden.n_blocks, 256u);
  const std::vector<float> want = as_floats(golden.second);
  for (unsigned code = 0; code < 256; ++code) {
    const float got = f8e4m3_to_float(static_cast<uint8_t>(code));
    if (std::isnan(want[code])) {
      EXPECT_TRUE(std::isnan(got)) << code;
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(want[code])) << code;
    }
  }
  EXPECT_EQ(f8e4m3_to_float(0x7e), 448.0f);
}

// The two MXFP4 layouts hold the same values in another order.
TEST(Decode, SplitMxfp4EqualsTheGgufBlocksReordered) {
  const GoldenFile golden = read_golden("MXFP4.decode", 17, 32 * sizeof(float));
  ASSERT_GT(golden.n_blocks, 0u);
  const std::vector<float> want = as_floats(golden.second);
  std::vector<std::byte> blocks, scales;
  for (size_t b = 0; b < golden.n_blocks; ++b) {
    const std::byte* block = golden.first.data() + 17 * b;
    scales.push_back(block[0]);
    const auto nibble = [&](size_t e) {
      const auto byte = static_cast<unsigned>(block[1 + e % 16]);
      return e < 16 ? byte & 0xf : byte >> 4;
    };
    for (size_t i = 0; i < 16; ++i)
      blocks.push_back(static_cast<std::byte>(nibble(2 * i) | nibble(2 * i + 1) << 4));
  }
  std::vector<float> got(want.size());
  decode_mxfp4_split(blocks, scales, got);
  EXPECT_EQ(first_bit_difference(got, want), -1);
}

TEST(DType, TableAgreesWithPublishedSizes) {
  EXPECT_EQ(row_bytes(DType::kQ4_K, 512), 288u);
  EXPECT_EQ(row_bytes(DType::kMXFP4, 2880), 1530u);
  EXPECT_EQ(row_bytes(DType::kQ6_K, 2880), std::nullopt);  // not whole super-blocks
  EXPECT_EQ(row_bytes(DType::kF32, SIZE_MAX), std::nullopt);
  EXPECT_EQ(row_bytes(DType::kBF16, 0), 0u);
}

TEST(DType, IdsAndNamesGoBothWays) {
  for (int i = 0; i <= static_cast<int>(DType::kBool); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_info(dtype).dtype, dtype);
    if (const auto id = dtype_to_gguf(dtype)) {
      EXPECT_EQ(dtype_from_gguf(*id), dtype);
    }
    if (const auto name = dtype_to_safetensors(dtype)) {
      EXPECT_EQ(dtype_from_safetensors(*name), dtype);
    }
    EXPECT_TRUE(dtype_to_gguf(dtype) || dtype_to_safetensors(dtype)) << dtype_info(dtype).name;
  }
  EXPECT_EQ(dtype_from_gguf(UINT32_MAX), std::nullopt);
  EXPECT_EQ(dtype_from_gguf(4), std::nullopt);  // Q4_2, long gone
  EXPECT_EQ(dtype_from_safetensors(""), std::nullopt);
  EXPECT_EQ(dtype_from_safetensors("Q4_0"), std::nullopt);
}

}  // namespace
}  // namespace atelier
