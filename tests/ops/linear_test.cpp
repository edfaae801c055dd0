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
#include "tests/ops/random_weight.h"

namespace atelier {
namespace {

constexpr float kSentinel = -777.25f;

struct Format {
  DType dtype;
  bool split = false;
  size_t cols = 0;  // two whole groups and a bit, where the format allows it
};
const std::vector<Format>& formats() {
  static const std::vector<Format> all = {
      {DType::kF32, false, 523},   {DType::kF16, false, 259},    {DType::kBF16, false, 521},
      {DType::kQ8_0, false, 608},  {DType::kQ4_0, false, 608},   {DType::kQ4_1, false, 608},
      {DType::kQ5_0, false, 608},  {DType::kQ5_1, false, 608},   {DType::kQ2_K, false, 768},
      {DType::kQ3_K, false, 768},  {DType::kQ4_K, false, 768},   {DType::kQ5_K, false, 768},
      {DType::kQ6_K, false, 768},  {DType::kIQ4_NL, false, 608}, {DType::kIQ4_XS, false, 768},
      {DType::kMXFP4, false, 608}, {DType::kMXFP4, true, 608},
  };
  return all;
}
std::string format_name(const Format& format) {
  std::string name(dtype_info(format.dtype).name);
  return format.split ? name + "_split" : name;
}

std::vector<Isa> isas() {
  std::vector<Isa> present;
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx})
    if (isa <= detected_isa()) present.push_back(isa);
  return present;
}
class IsaScope {
 public:
  explicit IsaScope(Isa isa) : before_(active_isa()) { EXPECT_TRUE(set_active_isa(isa)); }
  ~IsaScope() { set_active_isa(before_); }

 private:
  Isa before_;
};

// A matrix whose rows are followed by values that must be neither read (NaN) nor written (sentinel).
struct Matrix {
  Matrix(size_t rows, size_t cols, float padding) : stride(cols + 5), values(rows * stride, padding) {
    view = {values.data(), rows, cols, stride};
  }
  size_t stride;
  std::vector<float> values;
  MatView<float> view;
};

Matrix random_activations(size_t rows, size_t cols, uint32_t seed) {
  Matrix x(rows, cols, std::numeric_limits<float>::quiet_NaN());
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.1f, 1.0f);
  for (size_t r = 0; r < rows; ++r)
    for (float& v : x.view.row(r)) v = normal(rng) * (rng() % 50 == 0 ? 8.0f : 1.0f);
  return x;
}

// What a fast product must be: the sum in double over the activations as they are rounded, and how far float
// arithmetic may stray from it.
struct Expected {
  double value;
  double tolerance;
};

// The activations a quantised product really multiplies: scale · code, 32 at a time.
std::vector<double> rounded_activations(std::span<const float> x) {
  std::vector<double> rounded(x.size());
  for (size_t b = 0; b < x.size(); b += 32) {
    float max = 0;
    for (size_t k = b; k < b + 32; ++k) max = std::max(max, std::fabs(x[k]));
    const float scale = max / 127.0f, inverse = 127.0f / max;
    for (size_t k = b; k < b + 32; ++k)
      rounded[k] = max == 0 ? 0.0 : static_cast<double>(scale) * std::nearbyint(x[k] * inverse);
  }
  return rounded;
}

// Float sums of n terms err by at most n half-ulps of the sum of magnitudes. Per block a product rounds
// three times (to scale, to multiply in, to add) and partial terms (code · scale and minimum) are at most 4 ×
// the block's largest weight.
Expected expect(std::span<const float> x, std::span<const float> w, bool is_quant) {
  double sum = 0, magnitude = 0;
  if (!is_quant) {
    for (size_t k = 0; k < x.size(); ++k) {
      const double term = static_cast<double>(x[k]) * static_cast<double>(w[k]);
      sum += term;
      magnitude += std::fabs(term);
    }
    return {sum, magnitude * static_cast<double>(x.size()) * 0x1p-24};
  }
  const std::vector<double> rounded = rounded_activations(x);
  for (size_t b = 0; b < x.size(); b += 32) {
    double largest = 0, activations = 0;
    for (size_t k = b; k < b + 32; ++k) {
      sum += rounded[k] * static_cast<double>(w[k]);
      largest = std::max(largest, std::fabs(static_cast<double>(w[k])));
      activations += std::fabs(rounded[k]);
    }
    magnitude += 4 * largest * activations;
  }
  const double roundings = 3.0 * 2.0 * static_cast<double>(x.size()) / 32.0;
  return {sum, magnitude * roundings * 0x1p-24};
}

// Number of elements that are not what they must be.
size_t count_wrong(MatView<const float> x, const Weight& weight, std::span<const float> bias,
                   MatView<const float> out) {
  size_t wrong = 0;
  std::vector<float> w(weight.cols());
  for (size_t n = 0; n < weight.rows(); ++n) {
    weight.decode_row(n, w);
    for (size_t m = 0; m < x.rows; ++m) {
      const bool is_quant = dtype_info(weight.dtype()).block_elems > 1;
      Expected want = expect(x.row(m), w, is_quant);
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

bool padding_untouched(const Matrix& m) {
  for (size_t r = 0; r < m.view.rows; ++r)
    for (size_t c = m.view.cols; c < m.stride; ++c)
      if (m.values[r * m.stride + c] != kSentinel) return false;
  return true;
}

bool same_bits(MatView<const float> a, MatView<const float> b) {
  if (a.rows != b.rows || a.cols != b.cols) return false;
  for (size_t r = 0; r < a.rows; ++r)
    for (size_t c = 0; c < a.cols; ++c)
      if (std::bit_cast<uint32_t>(a.row(r)[c]) != std::bit_cast<uint32_t>(b.row(r)[c])) return false;
  return true;
}

class LinearFormats : public testing::TestWithParam<Format> {
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
  Matrix multiply(ThreadPool& pool, MatView<const float> x, Numerics numerics = Numerics::kFast) {
    Context ctx(pool, numerics);
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
    const Matrix want = multiply(one, x.view);
    set_active_isa(isa);
    for (const size_t n : std::initializer_list<size_t>{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20, 32, 33}) {
      for (size_t first = 0; first + n <= kTokens; first += 11) {
        const Matrix got = multiply(three, x.view.row_range(first, n));
        EXPECT_TRUE(same_bits(got.view, want.view.row_range(first, n)))
            << isa_name(isa) << ", tokens " << n << " from " << first;
      }
    }
  }
}

TEST_P(LinearFormats, ManyTokensCrossTaskBoundaries) {
  const Matrix x = random_activations(259, format().cols, 6);
  const Matrix all = multiply(pool_, x.view);
  for (size_t m = 0; m < x.view.rows; m += 43) {
    const Matrix one = multiply(pool_, x.view.row_range(m, 1));
    EXPECT_TRUE(same_bits(one.view, all.view.row_range(m, 1))) << "token " << m;
  }
}

TEST_P(LinearFormats, NonFiniteActivationsShow) {
  Matrix x = random_activations(2, format().cols, 8);
  x.view.row(0)[17] = std::numeric_limits<float>::quiet_NaN();
  for (const Isa isa : isas()) {
    const IsaScope scope(isa);
    const Matrix out = multiply(pool_, x.view);
    for (const float v : out.view.row(0)) EXPECT_TRUE(std::isnan(v));
    for (const float v : out.view.row(1)) EXPECT_TRUE(std::isfinite(v));
  }
}

TEST_P(LinearFormats, ZeroActivationsGiveTheBias) {
  Matrix x(2, format().cols, std::numeric_limits<float>::quiet_NaN());
  for (size_t m = 0; m < 2; ++m)
    for (float& v : x.view.row(m)) v = 0;
  const Matrix out = multiply(pool_, x.view);
  for (size_t n = 0; n < kRows; ++n) EXPECT_EQ(out.view.row(1)[n], bias_[n]);
}

TEST_P(LinearFormats, PackedSizeIsCloseToTheFormats) {
  EXPECT_EQ(weight_.packed_bytes(), packed_bytes(format().dtype, weight_.source().rows, format().cols));
  // Formats of 2 and 3 bits are packed in 4.
  if (format().dtype == DType::kQ2_K || format().dtype == DType::kQ3_K) return;
  const size_t cols = format().cols / 256 * 256;
  const double packed = static_cast<double>(streamed_bytes(format().dtype, 160, cols));
  const double stored = 160.0 * static_cast<double>(*row_bytes(format().dtype, cols));
  EXPECT_LE(packed, stored * 1.03);
}

INSTANTIATE_TEST_SUITE_P(All, LinearFormats, testing::ValuesIn(formats()),
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
    for (size_t i = 0; i < weights.size(); ++i) jobs.push_back({&weights[i], {}, outs[i].view});
    ops::linear_group(ctx, x.view, jobs);
    for (size_t i = 0; i < weights.size(); ++i) {
      Matrix alone(m, weights[i].rows(), kSentinel);
      ops::linear(ctx, x.view, weights[i], {}, alone.view);
      EXPECT_TRUE(same_bits(outs[i].view, alone.view));
      EXPECT_EQ(count_wrong(x.view, weights[i], {}, outs[i].view), 0u);
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
    for (size_t e = 0; e < rows.size(); ++e) jobs.push_back({&weights[e], bias, rows[e], outs[e].view});
    ops::linear_experts(ctx, x.view, jobs);
    for (size_t e = 0; e < rows.size(); ++e) {
      EXPECT_TRUE(padding_untouched(outs[e]));
      for (size_t i = 0; i < rows[e].size(); ++i) {
        Matrix alone(1, kRows, kSentinel);
        ops::linear(ctx, x.view.row_range(rows[e][i], 1), weights[e], bias, alone.view);
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
