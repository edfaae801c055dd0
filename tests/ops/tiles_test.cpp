// Products of many tokens in bf16 tiles, against sums in double over the same roundings.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu/matmul/matmul.h"
#include "kernels/cpu/matmul/tiles.h"
#include "ops/linear.h"
#include "tests/ops/linear_testing.h"
#include "tests/ops/random_weight.h"

namespace atelier {
namespace {

using namespace testing_linear;

// 8 bits of mantissa, to nearest even as x is rounded, or halves away from zero as weights are.
float to_bf16(float v) {
  uint32_t bits = std::bit_cast<uint32_t>(v);
  bits += 0x7fff + ((bits >> 16) & 1);
  return std::bit_cast<float>(bits & 0xffff0000u);
}

bool has_tiles() { return matmul_kernels(active_isa()).tiles.round != nullptr; }

// Elements that are not the double sum over x and w as they are rounded. What float32 may lose: n roundings
// of half an ulp; a weight whose float was computed otherwise may round to the neighbouring bf16, two in a
// row at most.
size_t count_wrong_of_tiles(MatView<const float> x, const Weight& weight, std::span<const float> bias,
                            MatView<const float> out) {
  const bool is_float = dtype_info(weight.dtype()).block_elems == 1;
  size_t wrong = 0;
  std::vector<float> w(weight.cols());
  for (size_t n = 0; n < weight.rows(); ++n) {
    weight.decode_row(n, w);
    for (float& v : w) v = std::bit_cast<float>((std::bit_cast<uint32_t>(v) + 0x8000) & 0xffff0000u);
    for (size_t m = 0; m < x.rows; ++m) {
      double sum = bias.empty() ? 0.0 : double{bias[n]}, magnitude = std::fabs(sum), largest = 0;
      for (size_t k = 0; k < w.size(); ++k) {
        const float high = to_bf16(x.row(m)[k]);
        const float low = is_float ? to_bf16(x.row(m)[k] - high) : 0.0f;
        const double term = (double{high} + double{low}) * double{w[k]};
        sum += term;
        magnitude += std::fabs(term);
        largest = std::max(largest, std::fabs(term));
      }
      const double tolerance =
          magnitude * static_cast<double>(w.size()) * 0x1p-24 + (is_float ? 0.0 : 2 * largest * 0x1p-8);
      if (!(std::fabs(double{out.row(m)[n]} - sum) <= tolerance)) ++wrong;
    }
  }
  return wrong;
}

// Formats whose columns come in whole blocks; the others have no tiles.
std::vector<Format> tile_formats() {
  std::vector<Format> all;
  for (Format format : formats()) {
    if (format.dtype == DType::kF32 || format.dtype == DType::kF16 || format.dtype == DType::kF8E4M3)
      continue;
    if (format.dtype == DType::kBF16) format.cols = 544;
    all.push_back(format);
  }
  return all;
}

class TileFormats : public ::testing::TestWithParam<Format> {
 protected:
  static constexpr size_t kRows = 149;  // nine panels and five rows: two tasks

  TileFormats()
      : encoded_(GetParam().dtype, GetParam().split, kRows, GetParam().cols, 7), weight_(encoded_.source()) {
    for (size_t i = 0; i < kRows; ++i) bias_.push_back(static_cast<float>(i % 7) / 3.0f - 1.0f);
    weight_.pack(pool_);
  }
  void SetUp() override {
    if (!has_tiles()) GTEST_SKIP() << "this processor has no tiles";
  }
  // As part of a pass of `pass` tokens.
  Matrix multiply(ThreadPool& pool, MatView<const float> x, size_t pass,
                  Numerics numerics = Numerics::kFastest) {
    Context ctx(pool, numerics);
    ctx.begin_pass(pass);
    Matrix out(x.rows, kRows, kSentinel);
    ops::linear(ctx, x, weight_, bias_, out.view);
    EXPECT_TRUE(padding_untouched(out));
    return out;
  }

  ThreadPool pool_{2};
  RandomWeight encoded_;
  Weight weight_;
  std::vector<float> bias_;
};

TEST_P(TileFormats, MatchDouble) {
  for (const size_t m : std::initializer_list<size_t>{9, 15, 16, 17, 32, 33, 47, 70}) {
    const Matrix x = random_activations(m, GetParam().cols, static_cast<uint32_t>(m));
    const Matrix out = multiply(pool_, x.view, 100);
    EXPECT_EQ(count_wrong_of_tiles(x.view, weight_, bias_, out.view), 0u) << "tokens " << m;
  }
}

TEST_P(TileFormats, BitsDoNotDependOnOtherTokensOrThreads) {
  const Matrix x = random_activations(530, GetParam().cols, 5);  // two tasks of tokens
  ThreadPool one(1), three(3);
  const Matrix want = multiply(one, x.view, 530);
  for (const size_t n : std::initializer_list<size_t>{9, 16, 31, 33, 64, 100, 300, 530}) {
    for (size_t first = 0; first + n <= 530; first += 211) {
      const Matrix got = multiply(three, x.view.row_range(first, n), 530);
      EXPECT_TRUE(same_bits(got.view, want.view.row_range(first, n))) << "tokens " << n << " from " << first;
    }
  }
}

// Few tokens give the same bits whether or not the numerics allow tiles.
TEST_P(TileFormats, SmallPassesAreMultipliedAsEver) {
  const Matrix x = random_activations(Context::kFewTokens, GetParam().cols, 6);
  const Matrix want = multiply(pool_, x.view, Context::kFewTokens, Numerics::kFast);
  EXPECT_TRUE(same_bits(multiply(pool_, x.view, Context::kFewTokens).view, want.view));
  EXPECT_FALSE(same_bits(multiply(pool_, x.view, Context::kFewTokens + 1).view, want.view));
}

TEST_P(TileFormats, NonFiniteActivationsShow) {
  Matrix x = random_activations(20, GetParam().cols, 8);
  x.view.row(3)[17] = std::numeric_limits<float>::quiet_NaN();
  x.view.row(19)[40] = std::numeric_limits<float>::infinity();
  const Matrix out = multiply(pool_, x.view, 100);
  for (size_t m = 0; m < 20; ++m)
    for (const float v : out.view.row(m)) EXPECT_EQ(std::isfinite(v), m != 3 && m != 19);
}

INSTANTIATE_TEST_SUITE_P(All, TileFormats, ::testing::ValuesIn(tile_formats()),
                         [](const auto& info) { return format_name(info.param); });

// Exponents at the ends of E8M0, where those of bf16 end too.
TEST(Tiles, ExtremeScalesOfMxfp4) {
  if (!has_tiles()) GTEST_SKIP() << "this processor has no tiles";
  constexpr size_t kRows = 48, kCols = 64, kTokens = 40;
  ThreadPool pool(1);
  const std::vector<uint8_t> exponents = {127, 3, 4, 250, 251, 130, 120, 90};
  std::vector<std::byte> file(kRows * kCols / 32 * 17);
  std::vector<EncodedRow> rows;
  for (size_t b = 0; b < file.size() / 17; ++b) {
    file[17 * b] = static_cast<std::byte>(exponents[b / 2 % exponents.size()]);
    for (size_t i = 1; i < 17; ++i) file[17 * b + i] = static_cast<std::byte>(37 * (b + i));
  }
  for (size_t r = 0; r < kRows; ++r) rows.push_back({file.data() + r * kCols / 32 * 17, nullptr});
  Weight weight(WeightSource{DType::kMXFP4, kCols, rows});
  weight.pack(pool);
  Matrix x = random_activations(kTokens, kCols, 1);
  for (size_t m = 0; m < kTokens; ++m)
    for (float& v : x.view.row(m)) v *= 0x1p-20f;
  Context ctx(pool, Numerics::kFastest);
  ctx.begin_pass(kTokens);
  Matrix out(kTokens, kRows, kSentinel);
  ops::linear(ctx, x.view, weight, {}, out.view);
  // Products of the smallest scale are subnormal, which tiles take for zero: less than 1e-37.
  std::vector<float> w(kCols);
  for (size_t n = 0; n < kRows; ++n) {
    weight.decode_row(n, w);
    for (size_t m = 0; m < kTokens; ++m) {
      double sum = 0, magnitude = 0;
      for (size_t k = 0; k < kCols; ++k) {
        const double term = double{to_bf16(x.view.row(m)[k])} * double{w[k]};
        sum += term;
        magnitude += std::fabs(term);
      }
      EXPECT_LE(std::fabs(double{out.view.row(m)[n]} - sum), magnitude * 0x1p-17 + 1e-37) << n << ' ' << m;
    }
  }
}

TEST(Tiles, ComparisonRejectsWrongResults) {
  if (!has_tiles()) GTEST_SKIP() << "this processor has no tiles";
  ThreadPool pool(1);
  Context ctx(pool, Numerics::kFastest);
  ctx.begin_pass(40);
  const RandomWeight encoded(DType::kQ8_0, false, 16, 128, 1);
  Weight weight(encoded.source());
  weight.pack(pool);
  const Matrix x = random_activations(40, 128, 1);
  Matrix out(40, 16, kSentinel);
  ops::linear(ctx, x.view, weight, {}, out.view);
  ASSERT_EQ(count_wrong_of_tiles(x.view, weight, {}, out.view), 0u);
  out.view.row(1)[3] += 0.1f * std::fabs(out.view.row(1)[3]) + 0.1f;
  EXPECT_EQ(count_wrong_of_tiles(x.view, weight, {}, out.view), 1u);
}

}  // namespace
}  // namespace atelier
