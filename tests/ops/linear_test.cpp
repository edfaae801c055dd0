// Products with weights: every storage format on every instruction set, against sums in double.
#include "ops/linear.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "formats/decode.h"
#include "kernels/cpu/matmul/packed.h"
#include "tests/ops/linear_testing.h"
#include "tests/ops/random_weight.h"

namespace atelier {
namespace {

using namespace testing_linear;

// What a fast product must be: the sum in double over the activations as they are rounded, and how far float
// arithmetic may stray from it.
struct Expected {
  double value;
  double tolerance;
};

// The activations a quantised product really multiplies: the sum of one or two terms of scale · code, 32 at a
// time.
std::vector<double> rounded_activations(std::span<const float> x, ops::Activations activations) {
  std::vector<double> rounded(x.size());
  std::vector<float> left(x.begin(), x.end());
  for (int term = 0; term < (activations == ops::Activations::k16Bit ? 2 : 1); ++term) {
    for (size_t b = 0; b < x.size(); b += 32) {
      float max = 0;
      for (size_t k = b; k < b + 32; ++k) max = std::max(max, std::fabs(left[k]));
      if (max == 0) continue;
      const float scale = max / 127.0f, inverse = 127.0f / max;
      for (size_t k = b; k < b + 32; ++k) {
        const float code = std::nearbyint(left[k] * inverse);
        rounded[k] += static_cast<double>(scale) * static_cast<double>(code);
        left[k] = std::fma(-scale, code, left[k]);
      }
    }
  }
  return rounded;
}

// Float sums of n terms err by at most n half-ulps of the sum of magnitudes. Per block a product rounds
// three times (to scale, to multiply in, to add) and partial terms (code · scale and minimum) are at most 4 ×
// the block's largest weight.
Expected expect(std::span<const float> x, std::span<const float> w, bool is_quant,
                ops::Activations activations) {
  double sum = 0, magnitude = 0;
  if (!is_quant) {
    for (size_t k = 0; k < x.size(); ++k) {
      const double term = static_cast<double>(x[k]) * static_cast<double>(w[k]);
      sum += term;
      magnitude += std::fabs(term);
    }
    return {sum, magnitude * static_cast<double>(x.size()) * 0x1p-24};
  }
  const std::vector<double> rounded = rounded_activations(x, activations);
  for (size_t b = 0; b < x.size(); b += 32) {
    double largest = 0, activations = 0;
    for (size_t k = b; k < b + 32; ++k) {
      sum += rounded[k] * static_cast<double>(w[k]);
      largest = std::max(largest, std::fabs(static_cast<double>(w[k])));
      activations += std::fabs(rounded[k]);
    }
    magnitude += 4 * largest * activations;
  }
  // Two terms: the second one's magnitudes are below 1/100 of the first's; one more sum.
  const double roundings = 3.0 * 2.0 * static_cast<double>(x.size()) / 32.0 + 1;
  return {sum, magnitude * roundings * 0x1p-24};
}

// Number of elements that are not what they must be.
size_t count_wrong(MatView<const float> x, const Weight& weight, std::span<const float> bias,
                   MatView<const float> out, ops::Activations activations = ops::Activations::k8Bit) {
  size_t wrong = 0;
  std::vector<float> w(weight.cols());
  for (size_t n = 0; n < weight.rows(); ++n) {
    weight.decode_row(n, w);
    for (size_t m = 0; m < x.rows; ++m) {
      const bool is_quant = dtype_info(weight.dtype()).block_elems > 1;
      Expected want = expect(x.row(m), w, is_quant, activations);
      if (!bias.empty()) {
        want.value += static_cast<double>(bias[n]);
        want.tolerance += std::fabs(want.value) * 0x1p-23;
      }
      const double error = std::fabs(static_cast<double>(out.row(m)[n]) - want.value);
      if (!(error <= want.tolerance)) ++wrong;
    }
  }
  return wrong;
}

class LinearFormats : public ::testing::TestWithParam<Format> {
 protected:
  static constexpr size_t kRows = 53;  // three panels and five rows

  LinearFormats()
      : encoded_(format().dtype, format().split, kRows, format().cols, 7), weight_(encoded_.source()) {
    std::mt19937 rng(3);
    bias_.resize(kRows);
    for (float& b : bias_) b = static_cast<float>(rng() % 1000) / 500.0f - 1.0f;
    weight_.pack(pool_);
  }
  static Format format() { return GetParam(); }
  Matrix multiply(ThreadPool& pool, MatView<const float> x, Numerics numerics = Numerics::kFast,
                  ops::Activations activations = ops::Activations::k8Bit) {
    Context ctx(pool, numerics);
    Matrix out(x.rows, kRows, kSentinel);
    ops::linear(ctx, x, weight_, bias_, out.view, activations);
    EXPECT_TRUE(padding_untouched(out));
    return out;
  }
  Matrix multiply_16(ThreadPool& pool, MatView<const float> x) {
    return multiply(pool, x, Numerics::kFast, ops::Activations::k16Bit);
  }

  ThreadPool pool_{2};
  RandomWeight encoded_;
  Weight weight_;
  std::vector<float> bias_;
};

TEST_P(LinearFormats, MatchesDoubleOnEveryIsa) {
  for (const Isa isa : isas()) {
    const IsaScope scope(isa);
    for (const size_t m : std::initializer_list<size_t>{1, 2, 3, 5, 8, 9, 16, 17, 31, 33}) {
      const Matrix x = random_activations(m, format().cols, static_cast<uint32_t>(m));
      const Matrix out = multiply(pool_, x.view);
      EXPECT_EQ(count_wrong(x.view, weight_, bias_, out.view), 0u) << isa_name(isa) << ", tokens " << m;
    }
  }
}

TEST_P(LinearFormats, TwoTermsMatchDoubleOnEveryIsa) {
  for (const Isa isa : isas()) {
    const IsaScope scope(isa);
    for (const size_t m : std::initializer_list<size_t>{1, 2, 3, 4, 5, 8, 9, 17, 33}) {
      const Matrix x = random_activations(m, format().cols, static_cast<uint32_t>(m));
      const Matrix out = multiply_16(pool_, x.view);
      EXPECT_EQ(count_wrong(x.view, weight_, bias_, out.view, ops::Activations::k16Bit), 0u)
          << isa_name(isa) << ", tokens " << m;
    }
  }
}

// The root of the mean square of what rounding activations costs, in units of the results' own.
double relative_error(MatView<const float> found, MatView<const float> exact) {
  double errors = 0, squares = 0;
  for (size_t m = 0; m < exact.rows; ++m)
    for (size_t n = 0; n < exact.cols; ++n) {
      errors += std::pow(double{found.row(m)[n]} - double{exact.row(m)[n]}, 2);
      squares += std::pow(double{exact.row(m)[n]}, 2);
    }
  return std::sqrt(errors / squares);
}

TEST_P(LinearFormats, TwoTermsAreAHundredTimesCloser) {
  const Matrix x = random_activations(20, format().cols, 12);
  const Matrix exact = multiply(pool_, x.view, Numerics::kReference);
  const Matrix one = multiply(pool_, x.view), two = multiply_16(pool_, x.view);
  if (dtype_info(format().dtype).block_elems == 1) {
    EXPECT_TRUE(same_bits(one.view, two.view));  // activations of wide weights are float32 anyway
    return;
  }
  EXPECT_GT(relative_error(one.view, exact.view), 1e-3);
  EXPECT_LT(relative_error(two.view, exact.view), relative_error(one.view, exact.view) / 100);
}

TEST_P(LinearFormats, ReferenceIsTheDoubleSum) {
  const Matrix x = random_activations(3, format().cols, 11);
  const Matrix out = multiply(pool_, x.view, Numerics::kReference);
  std::vector<float> w(format().cols);
  for (size_t n = 0; n < kRows; ++n) {
    weight_.decode_row(n, w);
    for (size_t m = 0; m < 3; ++m) {
      double sum = static_cast<double>(bias_[n]);
      for (size_t k = 0; k < w.size(); ++k)
        sum += static_cast<double>(x.view.row(m)[k]) * static_cast<double>(w[k]);
      EXPECT_FLOAT_EQ(out.view.row(m)[n], static_cast<float>(sum));
    }
  }
}

// One answer per row of x, whoever its neighbours are, on any number of threads and every ISA with FMA.
TEST_P(LinearFormats, BitsDoNotDependOnTokensThreadsOrIsa) {
  constexpr size_t kTokens = 33;
  const Matrix x = random_activations(kTokens, format().cols, 5);
  ThreadPool one(1), three(3);
  for (const Isa isa : isas()) {
    const IsaScope scope(isa);
    // The baseline has no FMA: it agrees with itself only.
    const IsaScope truth_scope(isa == Isa::kBaseline ? isa : detected_isa());
    const Matrix want = multiply(one, x.view), want_16 = multiply_16(one, x.view);
    set_active_isa(isa);
    for (const size_t n : std::initializer_list<size_t>{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20, 32, 33}) {
      for (size_t first = 0; first + n <= kTokens; first += 11) {
        const Matrix got = multiply(three, x.view.row_range(first, n));
        EXPECT_TRUE(same_bits(got.view, want.view.row_range(first, n)))
            << isa_name(isa) << ", tokens " << n << " from " << first;
        const Matrix got_16 = multiply_16(three, x.view.row_range(first, n));
        EXPECT_TRUE(same_bits(got_16.view, want_16.view.row_range(first, n)))
            << isa_name(isa) << ", 16 bits, tokens " << n << " from " << first;
      }
    }
  }
}

TEST_P(LinearFormats, ManyTokensCrossTaskBoundaries) {
  const Matrix x = random_activations(259, format().cols, 6);
  const Matrix all = multiply(pool_, x.view), all_16 = multiply_16(pool_, x.view);
  for (size_t m = 0; m < x.view.rows; m += 43) {
    const Matrix one = multiply(pool_, x.view.row_range(m, 1));
    EXPECT_TRUE(same_bits(one.view, all.view.row_range(m, 1))) << "token " << m;
    const Matrix one_16 = multiply_16(pool_, x.view.row_range(m, 1));
    EXPECT_TRUE(same_bits(one_16.view, all_16.view.row_range(m, 1))) << "16 bits, token " << m;
  }
}

TEST_P(LinearFormats, NonFiniteActivationsShow) {
  Matrix x = random_activations(2, format().cols, 8);
  x.view.row(0)[17] = std::numeric_limits<float>::quiet_NaN();
  for (const Isa isa : isas()) {
    const IsaScope scope(isa);
    for (const Matrix& out : {multiply(pool_, x.view), multiply_16(pool_, x.view)}) {
      for (const float v : out.view.row(0)) EXPECT_TRUE(std::isnan(v));
      for (const float v : out.view.row(1)) EXPECT_TRUE(std::isfinite(v));
    }
  }
}

TEST_P(LinearFormats, ZeroActivationsGiveTheBias) {
  Matrix x(2, format().cols, std::numeric_limits<float>::quiet_NaN());
  for (size_t m = 0; m < 2; ++m)
    for (float& v : x.view.row(m)) v = 0;
  for (const Matrix& out : {multiply(pool_, x.view), multiply_16(pool_, x.view)})
    for (size_t n = 0; n < kRows; ++n) EXPECT_EQ(out.view.row(1)[n], bias_[n]);
}

TEST_P(LinearFormats, PackedSizeIsCloseToTheFormats) {
  EXPECT_EQ(weight_.packed_bytes(), packed_bytes(format().dtype, weight_.source().rows, format().cols));
  // Formats of 2 and 3 bits are packed in 4.
  if (format().dtype == DType::kQ2_K || format().dtype == DType::kQ3_K) return;
  const size_t cols = format().cols / 256 * 256;
  const double packed = static_cast<double>(streamed_bytes(format().dtype, 160, cols));
  const double stored = 160.0 * static_cast<double>(*row_bytes(format().dtype, cols));
  // The scales of FP8 lie beside its matrix, and are packed into it.
  EXPECT_LE(packed, stored * (format().dtype == DType::kF8E4M3 ? 1.035 : 1.03));
}

INSTANTIATE_TEST_SUITE_P(All, LinearFormats, ::testing::ValuesIn(formats()),
                         [](const auto& info) { return format_name(info.param); });

// The comparison above is worth something only if it can fail.
TEST(LinearComparison, RejectsWrongResults) {
  ThreadPool pool(1);
  Context ctx(pool, Numerics::kFast);
  const RandomWeight encoded(DType::kQ4_0, false, 16, 64, 1);
  Weight weight(encoded.source());
  weight.pack(pool);
  const Matrix x = random_activations(2, 64, 1);
  Matrix out(2, 16, kSentinel);
  ops::linear(ctx, x.view, weight, {}, out.view);
  ASSERT_EQ(count_wrong(x.view, weight, {}, out.view), 0u);
  for (float& v : out.view.row(1)) EXPECT_GT(std::fabs(v), 1e-3f);  // the products are not trivial
  out.view.row(1)[3] *= 1.0001f;
  EXPECT_EQ(count_wrong(x.view, weight, {}, out.view), 1u);
  out.view.row(0)[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(count_wrong(x.view, weight, {}, out.view), 2u);
}

TEST(LinearGroup, SharesOneInputBetweenFormats) {
  ThreadPool pool(2);
  Context ctx(pool, Numerics::kFast);
  const std::vector<DType> dtypes = {DType::kQ4_K, DType::kQ6_K, DType::kF32, DType::kQ8_0, DType::kQ4_0};
  std::vector<RandomWeight> encoded;
  std::vector<Weight> weights;
  for (size_t i = 0; i < dtypes.size(); ++i) {
    encoded.emplace_back(dtypes[i], false, 17 + 16 * i, 512, static_cast<uint32_t>(i));
    weights.emplace_back(encoded[i].source()).pack(pool);
  }
  for (const size_t m : std::initializer_list<size_t>{1, 6, 40}) {
    const Matrix x = random_activations(m, 512, 4);
    std::vector<Matrix> outs;
    std::vector<ops::LinearJob> jobs;
    for (const Weight& weight : weights) outs.emplace_back(m, weight.rows(), kSentinel);
    const auto activations = [](size_t i) {  // of every second product in two terms
      return i % 2 == 0 ? ops::Activations::k8Bit : ops::Activations::k16Bit;
    };
    for (size_t i = 0; i < weights.size(); ++i)
      jobs.push_back({&weights[i], {}, outs[i].view, activations(i)});
    ops::linear_group(ctx, x.view, jobs);
    for (size_t i = 0; i < weights.size(); ++i) {
      Matrix alone(m, weights[i].rows(), kSentinel);
      ops::linear(ctx, x.view, weights[i], {}, alone.view, activations(i));
      EXPECT_TRUE(same_bits(outs[i].view, alone.view));
      EXPECT_EQ(count_wrong(x.view, weights[i], {}, outs[i].view, activations(i)), 0u);
      EXPECT_TRUE(padding_untouched(outs[i]));
    }
  }
}

TEST(LinearExperts, MultipliesTheListedRows) {
  ThreadPool pool(2);
  constexpr size_t kCols = 96, kRows = 35, kTokens = 30;
  const Matrix x = random_activations(kTokens, kCols, 9);
  const std::vector<std::vector<uint32_t>> lists = {{3}, {}, {0, 7, 29}, {0, 7, 29}, {}, {}};
  std::vector<uint32_t> every(kTokens);
  std::iota(every.rbegin(), every.rend(), 0u);  // all of them, backwards
  for (const Numerics numerics : {Numerics::kFast, Numerics::kReference}) {
    Context ctx(pool, numerics);
    std::vector<std::vector<uint32_t>> rows = lists;
    rows[5] = every;
    std::vector<RandomWeight> encoded;
    std::vector<Weight> weights;
    std::vector<Matrix> outs;
    std::vector<ops::ExpertJob> jobs;
    const std::vector<float> bias(kRows, 0.5f);
    for (size_t e = 0; e < rows.size(); ++e) {
      encoded.emplace_back(DType::kMXFP4, true, kRows, kCols, static_cast<uint32_t>(e));
      weights.emplace_back(encoded[e].source()).pack(pool);
      outs.emplace_back(rows[e].size(), kRows, kSentinel);
    }
    const auto activations = [](size_t e) {
      return e == 3 ? ops::Activations::k16Bit : ops::Activations::k8Bit;
    };
    for (size_t e = 0; e < rows.size(); ++e)
      jobs.push_back({&weights[e], bias, rows[e], outs[e].view, activations(e)});
    ops::linear_experts(ctx, x.view, jobs);
    for (size_t e = 0; e < rows.size(); ++e) {
      EXPECT_TRUE(padding_untouched(outs[e]));
      for (size_t i = 0; i < rows[e].size(); ++i) {
        Matrix alone(1, kRows, kSentinel);
        ops::linear(ctx, x.view.row_range(rows[e][i], 1), weights[e], bias, alone.view, activations(e));
        EXPECT_TRUE(same_bits(outs[e].view.row_range(i, 1), alone.view)) << "expert " << e << ", row " << i;
      }
    }
    ops::linear_experts(ctx, x.view, {});
  }
}

TEST(Linear, NoTokensNoWork) {
  ThreadPool pool(2);
  Context ctx(pool, Numerics::kFast);
  const RandomWeight encoded(DType::kQ8_0, false, 4, 32, 1);
  Weight weight(encoded.source());
  weight.pack(pool);
  ops::linear(ctx, {nullptr, 0, 32}, weight, {}, {nullptr, 0, 4});
}

TEST(Linear, ScratchIsGivenBack) {
  ThreadPool pool(2);
  Context ctx(pool, Numerics::kFast);
  const RandomWeight encoded(DType::kQ4_1, false, 64, 256, 1);
  Weight weight(encoded.source());
  weight.pack(pool);
  const Matrix x = random_activations(50, 256, 1);
  Matrix out(50, 64, kSentinel);
  ops::linear(ctx, x.view, weight, {}, out.view);
  const size_t capacity = ctx.arena().capacity_bytes();
  for (int i = 0; i < 100; ++i) ops::linear(ctx, x.view, weight, {}, out.view);
  EXPECT_EQ(ctx.arena().capacity_bytes(), capacity);
}

TEST(Embed, CopiesDecodedRows) {
  ThreadPool pool(2);
  Context ctx(pool, Numerics::kFast);
  const RandomWeight encoded(DType::kQ6_K, false, 9, 256, 1);
  const Weight table(encoded.source());
  const std::vector<int32_t> ids = {8, 0, 3, 3};
  Matrix out(4, 256, kSentinel);
  ops::embed(ctx, table, ids, out.view);
  std::vector<float> want(256);
  for (size_t i = 0; i < ids.size(); ++i) {
    table.decode_row(static_cast<size_t>(ids[i]), want);
    for (size_t c = 0; c < 256; ++c) ASSERT_EQ(out.view.row(i)[c], want[c]);
  }
  EXPECT_TRUE(padding_untouched(out));
}

}  // namespace
}  // namespace atelier
