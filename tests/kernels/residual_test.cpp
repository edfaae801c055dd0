#include "kernels/cpu/residual/residual.h"

#include "tests/kernels/vector_test.h"

namespace atelier::testing {
namespace {

constexpr size_t kResidualRows = 3;

TEST(Residual, SumsAreExactOnEveryLevel) {
  for (const Isa isa : present_isas()) {
    const ScopedIsa scoped(isa);
    for (const size_t n : odd_sizes()) {
      SCOPED_TRACE(::testing::Message() << isa_name(isa) << " n=" << n);
      const PaddedMat x = PaddedMat::random(kResidualRows, n, 1), y = PaddedMat::random(kResidualRows, n, 2);
      PaddedMat want = x, got = x, want_bias = x, got_bias = x;
      for (size_t r = 0; r < kResidualRows; ++r)
        for (size_t i = 0; i < n; ++i) {
          want.view().row(r)[i] += y.view().row(r)[i];
          want_bias.view().row(r)[i] += y.view().row(1)[i];
        }
      kernels::add(got.view(), y.view());
      EXPECT_TRUE(bit_equal(got.view(), want.view()));
      kernels::add_bias(got_bias.view(), y.view().row(1));
      EXPECT_TRUE(bit_equal(got_bias.view(), want_bias.view()));
      EXPECT_TRUE(got.padding_is_intact() && got_bias.padding_is_intact());
    }
  }
}

TEST(Residual, AddScaledEqualsReferenceOnEveryLevel) {
  const std::vector<float> weights = {0.25f, -1.7f, 0.0f};
  for (const Isa isa : present_isas()) {
    const ScopedIsa scoped(isa);
    for (const size_t n : odd_sizes()) {
      SCOPED_TRACE(::testing::Message() << isa_name(isa) << " n=" << n);
      const PaddedMat x = PaddedMat::random(kResidualRows, n, 1), y = PaddedMat::random(kResidualRows, n, 2);
      PaddedMat want = x, got = x;
      kernels::add_scaled_ref(want.view(), weights, y.view());
      kernels::add_scaled(got.view(), weights, y.view());
      // Product and sum rounded apart on levels without FMA.
      EXPECT_TRUE(close(got.view(), want.view(), [&](size_t r, size_t i) {
        return 2 * kUlp *
               (std::abs(double{x.view().row(r)[i]}) +
                2 * std::abs(double{weights[r]} * double{y.view().row(r)[i]}));
      }));
      EXPECT_TRUE(got.padding_is_intact());
    }
  }
}

}  // namespace
}  // namespace atelier::testing
