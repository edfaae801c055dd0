#include "formats/encode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "formats/decode.h"
#include "formats/k_scales.h"
#include "tests/formats/golden_file.h"

namespace atelier {
namespace {

class EncodeGolden : public ::testing::TestWithParam<DType> {};

TEST_P(EncodeGolden, BytesAreWhatGgufQuantises) {
  const DTypeInfo& info = dtype_info(GetParam());
  const GoldenFile golden =
      read_golden(std::string(info.name) + ".encode", info.block_elems * sizeof(float), info.block_bytes);
  ASSERT_GE(golden.n_blocks, 64u);
  std::vector<std::byte> got(golden.second.size());
  encode_row(info.dtype, as_floats(golden.first), got);
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(got[i], golden.second[i])
        << "block " << i / info.block_bytes << " byte " << i % info.block_bytes;
}

INSTANTIATE_TEST_SUITE_P(All, EncodeGolden,
                         ::testing::Values(DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0,
                                           DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kMXFP4),
                         [](const auto& param) { return std::string(dtype_info(param.param).name); });

std::vector<float> normal_values(size_t n, uint32_t seed, float scale) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(n);
  for (float& v : values) v = normal(rng);
  return values;
}

double relative_rms(std::span<const float> want, std::span<const float> got) {
  double error = 0, power = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += std::pow(static_cast<double>(want[i]) - static_cast<double>(got[i]), 2);
    power += std::pow(static_cast<double>(want[i]), 2);
  }
  return std::sqrt(error / power);
}

// A uniform quantiser of step s errs by s/√12. 32 normal values span about 4.2 σ between their extremes and
// reach 2.1 σ (16 values: 1.8 σ): steps of 4.2/15 σ, 4.2/31 σ and 1.8/32 σ, plus what the 6- and 8-bit scales
// add.
TEST(Encode, KFormatsErrByNoMoreThanTheirStep) {
  const struct {
    DType dtype;
    double limit;
  } cases[] = {{DType::kQ4_K, 0.095}, {DType::kQ5_K, 0.050}, {DType::kQ6_K, 0.020}};
  for (const auto& c : cases) {
    for (const float scale : {1e-3f, 1.0f, 50.0f}) {
      const std::vector<float> in = normal_values(256 * 40, 7, scale);
      std::vector<std::byte> bytes(*row_bytes(c.dtype, in.size()));
      encode_row(c.dtype, in, bytes);
      std::vector<float> out(in.size());
      decode_row(c.dtype, bytes, out);
      EXPECT_LT(relative_rms(in, out), c.limit) << dtype_info(c.dtype).name << " scale " << scale;
      EXPECT_GT(relative_rms(in, out), c.limit / 4) << dtype_info(c.dtype).name;
    }
  }
}

TEST(Encode, EveryFormatKeepsZerosAndTakesConstantBlocks) {
  for (int i = 0; i <= static_cast<int>(DType::kBool); ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!can_encode(dtype)) continue;
    std::vector<std::byte> bytes(*row_bytes(dtype, 512));
    std::vector<float> out(512, 9.0f);
    encode_row(dtype, std::vector<float>(512, 0.0f), bytes);
    decode_row(dtype, bytes, out);
    EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](float v) { return v == 0.0f; })) << i;
    for (const float constant : {0.75f, -0.75f}) {
      encode_row(dtype, std::vector<float>(512, constant), bytes);
      decode_row(dtype, bytes, out);
      // MXFP4 has no 0.75·2ⁿ step finer than this; the others hit a constant to a few parts in a thousand.
      for (const float v : out) ASSERT_NEAR(v, constant, 0.005) << dtype_info(dtype).name;
    }
  }
}

TEST(Encode, SplitMxfp4DecodesToWhatTheBlockFormatDecodesTo) {
  const std::vector<float> in = normal_values(32 * 20, 3, 0.02f);
  std::vector<std::byte> packed(17 * 20), blocks(16 * 20), scales(20);
  encode_row(DType::kMXFP4, in, packed);
  encode_mxfp4_split(in, blocks, scales);
  std::vector<float> from_packed(in.size()), from_split(in.size());
  decode_row(DType::kMXFP4, packed, from_packed);
  decode_mxfp4_split(blocks, scales, from_split);
  EXPECT_EQ(first_bit_difference(from_packed, from_split), -1);
  EXPECT_LT(relative_rms(in, from_split), 0.15);
  EXPECT_GT(relative_rms(in, from_split), 0.02);
}

TEST(KScales, PackAndUnpackAreInverse) {
  std::mt19937 rng(11);
  for (int round = 0; round < 1000; ++round) {
    KScales k;
    for (size_t j = 0; j < 8; ++j) {
      k.scale[j] = static_cast<uint8_t>(rng() % 64);
      k.min[j] = static_cast<uint8_t>(rng() % 64);
    }
    const KScales back = unpack_k_scales(pack_k_scales(k));
    ASSERT_EQ(back.scale, k.scale);
    ASSERT_EQ(back.min, k.min);
  }
}

}  // namespace
}  // namespace atelier
