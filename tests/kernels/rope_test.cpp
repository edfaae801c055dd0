#include "kernels/cpu/rope/rope.h"

#include <cmath>

#include "tests/kernels/vector_test.h"

namespace atelier::testing {
namespace {

constexpr size_t kRopeRows = 3, kHeads = 2;

struct Angles {
  PaddedMat cos, sin;
};
Angles angles_of(size_t pairs) {
  Angles a{PaddedMat::random(kRopeRows, pairs, 1), PaddedMat::random(kRopeRows, pairs, 2)};
  std::vector<double> inv_freq(pairs);
  for (size_t i = 0; i < pairs; ++i)
    inv_freq[i] = std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(pairs));
  const std::vector<int32_t> positions = {0, 7, 131071};
  kernels::rope_angles(positions, inv_freq, 1.25, a.cos.view(), a.sin.view());
  return a;
}

using Rope = void (*)(MatView<float>, size_t, MatView<const float>, MatView<const float>);
struct Layout {
  const char* name;
  Rope fast;
  Rope ref;
};
const Layout kLayouts[] = {{"halves", kernels::rope_halves, kernels::rope_halves_ref},
                           {"adjacent", kernels::rope_adjacent, kernels::rope_adjacent_ref}};

TEST(Rope, EqualsReferenceOnEveryLevel) {
  for (const Isa isa : present_isas()) {
    const ScopedIsa scoped(isa);
    for (const Layout& layout : kLayouts) {
      for (size_t pairs = 1; pairs <= 65; ++pairs) {
        for (const size_t pass : {size_t{0}, size_t{5}}) {  // elements of a head that do not rotate
          const size_t head_dim = 2 * pairs + pass;
          SCOPED_TRACE(::testing::Message() << isa_name(isa) << " " << layout.name << " pairs=" << pairs);
          const Angles angles = angles_of(pairs);
          const PaddedMat x = PaddedMat::random(kRopeRows, kHeads * head_dim, 3);
          PaddedMat want = x, got = x;
          layout.ref(want.view(), head_dim, angles.cos.view(), angles.sin.view());
          layout.fast(got.view(), head_dim, angles.cos.view(), angles.sin.view());
          // Two products and a sum, which may cancel: relative to the pair's length, not to the result.
          // Values of a normal distribution stay below 6, the angles' scale is 1.25.
          EXPECT_TRUE(close(got.view(), want.view(), [](size_t, size_t) { return 4 * kUlp * 1.25 * 6 * 2; }));
          EXPECT_TRUE(got.padding_is_intact());
          for (size_t r = 0; r < kRopeRows; ++r)
            for (size_t h = 0; h < kHeads; ++h)
              for (size_t i = 2 * pairs; i < head_dim; ++i)
                ASSERT_EQ(got.view().row(r)[h * head_dim + i], x.view().row(r)[h * head_dim + i]);
        }
      }
    }
  }
}

// One pair by a quarter turn shows which element goes where.
TEST(Rope, PairsAreWhereTheyShouldBe) {
  const std::vector<float> cos = {0.0f, 1.0f}, sin = {1.0f, 0.0f};  // pair 0 turns, pair 1 rests
  for (const Isa isa : present_isas()) {
    SCOPED_TRACE(isa_name(isa));
    const ScopedIsa scoped(isa);
    std::vector<float> x = {1, 2, 3, 4};
    kernels::rope_halves({x.data(), 1, 4}, 4, {cos.data(), 1, 2}, {sin.data(), 1, 2});
    EXPECT_EQ(x, (std::vector<float>{-3, 2, 1, 4}));
    x = {1, 2, 3, 4};
    kernels::rope_adjacent({x.data(), 1, 4}, 4, {cos.data(), 1, 2}, {sin.data(), 1, 2});
    EXPECT_EQ(x, (std::vector<float>{-2, 1, 3, 4}));
  }
}

// At position 131071 a float32 angle would be off by 4e-3; a double one is exact to the last bit of float.
TEST(Rope, AnglesAreExactFarOut) {
  const std::vector<double> inv_freq = {1.0, 0.1};
  const std::vector<int32_t> positions = {131071};
  PaddedMat cos = PaddedMat::output(1, 2), sin = PaddedMat::output(1, 2);
  kernels::rope_angles(positions, inv_freq, 2.0, cos.view(), sin.view());
  for (size_t i = 0; i < 2; ++i) {
    const double angle = 131071.0 * inv_freq[i];
    EXPECT_EQ(cos.view().row(0)[i], static_cast<float>(2.0 * std::cos(angle)));
    EXPECT_EQ(sin.view().row(0)[i], static_cast<float>(2.0 * std::sin(angle)));
    const double length = std::hypot(double{cos.view().row(0)[i]}, double{sin.view().row(0)[i]});
    EXPECT_NEAR(length, 2.0, 4 * kUlp);
  }
}

}  // namespace
}  // namespace atelier::testing
