#include "kernels/cpu/norm/norm.h"

#include "kernels/cpu/residual/residual.h"
#include "tests/kernels/vector_test.h"

namespace atelier::testing {
namespace {

constexpr size_t kNormRows = 3;
constexpr float kEps = 1e-5f;

// A sum of n squares in at least 16 lanes is off by n/16 half-units at most, its root by half of that; a
// handful of roundings follow.
double norm_ulps(size_t n) { return static_cast<double>(n) / 32 + 8; }

std::span<const float> row0(const PaddedMat& mat) { return mat.view().row(0); }

TEST(Norm, RmsNormEqualsReferenceOnEveryLevel) {
  for (const Isa isa : present_isas()) {
    const ScopedIsa scoped(isa);
    for (const size_t n : odd_sizes()) {
      SCOPED_TRACE(::testing::Message() << isa_name(isa) << " n=" << n);
      const PaddedMat x = PaddedMat::random(kNormRows, n, 1, 3.0f);
      const PaddedMat weight = PaddedMat::random(1, n, 2);
      PaddedMat want = PaddedMat::output(kNormRows, n), got = PaddedMat::output(kNormRows, n);
      kernels::rms_norm_ref(x.view(), row0(weight), kEps, want.view());
      kernels::rms_norm(x.view(), row0(weight), kEps, got.view());
      EXPECT_TRUE(close_relative(got.view(), want.view(), norm_ulps(n)));
      EXPECT_TRUE(got.padding_is_intact());
      PaddedMat in_place = x;
      kernels::rms_norm(in_place.view(), row0(weight), kEps, in_place.view());
      EXPECT_TRUE(bit_equal(in_place.view(), got.view()));
      EXPECT_TRUE(in_place.padding_is_intact());
    }
  }
}

TEST(Norm, RmsNormOfZerosIsZero) {
  for (const Isa isa : present_isas()) {
    const ScopedIsa scoped(isa);
    const std::vector<float> zeros(37, 0.0f), weight(37, 2.0f);
    std::vector<float> out(37, kSentinel);
    kernels::rms_norm({zeros.data(), 1, 37}, weight, kEps, {out.data(), 1, 37});
    EXPECT_EQ(out, zeros);
  }
}

TEST(Norm, AddRmsNormEqualsItsParts) {
  for (const Isa isa : present_isas()) {
    const ScopedIsa scoped(isa);
    for (const size_t n : odd_sizes()) {
      SCOPED_TRACE(::testing::Message() << isa_name(isa) << " n=" << n);
      const PaddedMat y = PaddedMat::random(kNormRows, n, 4), weight = PaddedMat::random(1, n, 5);
      PaddedMat apart = PaddedMat::random(kNormRows, n, 3), fused = apart;
      PaddedMat want = PaddedMat::output(kNormRows, n), got = PaddedMat::output(kNormRows, n);
      kernels::add(apart.view(), y.view());
      kernels::rms_norm(apart.view(), row0(weight), kEps, want.view());
      kernels::add_rms_norm(fused.view(), y.view(), row0(weight), kEps, got.view());
      EXPECT_TRUE(bit_equal(fused.view(), apart.view()));
      EXPECT_TRUE(bit_equal(got.view(), want.view()));
      EXPECT_TRUE(got.padding_is_intact() && fused.padding_is_intact());
    }
  }
}

TEST(Norm, LayerNormEqualsReferenceOnEveryLevel) {
  // A mean twenty times the spread would lose five bits if the variance were a difference of squares.
  constexpr float kMean = 20.0f;
  for (const Isa isa : present_isas()) {
    const ScopedIsa scoped(isa);
    for (const size_t n : odd_sizes()) {
      SCOPED_TRACE(::testing::Message() << isa_name(isa) << " n=" << n);
      const PaddedMat x = PaddedMat::random(kNormRows, n, 6, 1.0f, kMean);
      const PaddedMat weight = PaddedMat::random(1, n, 7), bias = PaddedMat::random(1, n, 8);
      PaddedMat want = PaddedMat::output(kNormRows, n), got = PaddedMat::output(kNormRows, n);
      kernels::layer_norm_ref(x.view(), row0(weight), row0(bias), kEps, want.view());
      kernels::layer_norm(x.view(), row0(weight), row0(bias), kEps, got.view());
      EXPECT_TRUE(got.padding_is_intact());
      for (size_t r = 0; r < kNormRows; ++r) {
        double sum = 0, squares = 0;
        for (const float v : x.view().row(r)) sum += double{v};
        const double mean = sum / static_cast<double>(n);
        for (const float v : x.view().row(r)) squares += (double{v} - mean) * (double{v} - mean);
        const double deviation = std::sqrt(squares / static_cast<double>(n) + double{kEps});
        // The mean's own error, n/64 + 4 roundings of values near kMean, shifts every element; what remains
        // is relative to |x − mean| / deviation.
        const double shift = (static_cast<double>(n) / 64 + 4) * kUlp * (kMean + 5) / deviation;
        for (size_t i = 0; i < n; ++i) {
          const double normalised = std::abs((double{x.view().row(r)[i]} - mean) / deviation);
          const double allowed = std::abs(double{row0(weight)[i]}) *
                                     (shift * (2 + normalised) + norm_ulps(n) * kUlp * normalised) +
                                 2 * kUlp * std::abs(double{want.view().row(r)[i]});
          ASSERT_NEAR(got.view().row(r)[i], want.view().row(r)[i], allowed + 1e-12) << r << ", " << i;
        }
      }
    }
  }
}

TEST(Norm, ReferenceKnowsSmallCases) {
  const std::vector<float> x = {3.0f, 4.0f}, weight = {1.0f, 2.0f}, bias = {0.5f, -0.5f};
  std::vector<float> out(2);
  kernels::rms_norm_ref({x.data(), 1, 2}, weight, 0.0f, {out.data(), 1, 2});
  EXPECT_FLOAT_EQ(out[0], 3.0f / std::sqrt(12.5f));
  EXPECT_FLOAT_EQ(out[1], 8.0f / std::sqrt(12.5f));
  kernels::layer_norm_ref({x.data(), 1, 2}, weight, bias, 0.0f, {out.data(), 1, 2});
  EXPECT_FLOAT_EQ(out[0], -0.5f);
  EXPECT_FLOAT_EQ(out[1], 1.5f);
}

}  // namespace
}  // namespace atelier::testing
