#include "kernels/cpu/activation/activation.h"

#include "tests/kernels/vector_test.h"

namespace atelier::testing {
namespace {

constexpr size_t kRows = 3;
constexpr float kAlpha = 1.702f, kLimit = 7.0f;

using Gated = void (*)(MatView<const float>, MatView<const float>, MatView<float>);

void clamped(MatView<const float> gate, MatView<const float> up, MatView<float> out) {
  kernels::swiglu_clamped(gate, up, kAlpha, kLimit, out);
}
void clamped_ref(MatView<const float> gate, MatView<const float> up, MatView<float> out) {
  kernels::swiglu_clamped_ref(gate, up, kAlpha, kLimit, out);
}
void gelu(MatView<const float> gate, MatView<const float>, MatView<float> out) {
  kernels::gelu_tanh(gate, out);
}
void gelu_ref(MatView<const float> gate, MatView<const float>, MatView<float> out) {
  kernels::gelu_tanh_ref(gate, out);
}

struct Function {
  const char* name;
  Gated fast;
  Gated ref;
  // Largest |d log f / d exponent|: how much an error of the exponential's argument is magnified. GELU's
  // argument is rounded three times and may reach 90.
  double half_units;
};
const Function kFunctions[] = {
    {"swiglu", kernels::swiglu, kernels::swiglu_ref, 12},
    {"swiglu_clamped", clamped, clamped_ref, 200},
    {"gelu_tanh", gelu, gelu_ref, 400},
    {"geglu_tanh", kernels::geglu_tanh, kernels::geglu_tanh_ref, 400},
};

// exp turns an argument below -87.33 into 0: what is then lost is below 100 · 2^-126.
constexpr double kFlushed = 1e-35;

TEST(Activation, EqualsReferenceOnEveryLevel) {
  for (const Isa isa : present_isas()) {
    const ScopedIsa scoped(isa);
    for (const Function& f : kFunctions) {
      for (const size_t n : odd_sizes()) {
        SCOPED_TRACE(::testing::Message() << isa_name(isa) << " " << f.name << " n=" << n);
        const PaddedMat gate = PaddedMat::random(kRows, n, 1, 6.0f),
                        up = PaddedMat::random(kRows, n, 2, 5.0f);
        PaddedMat want = PaddedMat::output(kRows, n), got = PaddedMat::output(kRows, n);
        f.ref(gate.view(), up.view(), want.view());
        f.fast(gate.view(), up.view(), got.view());
        EXPECT_TRUE(close_relative(got.view(), want.view(), f.half_units, kFlushed));
        EXPECT_TRUE(got.padding_is_intact());
        PaddedMat in_place = gate;
        f.fast(in_place.view(), up.view(), in_place.view());
        EXPECT_TRUE(bit_equal(in_place.view(), got.view()));
        EXPECT_TRUE(in_place.padding_is_intact());
      }
    }
  }
}

TEST(Activation, ClampsAndKnowsEdges) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> gate = {100.0f, 7.0f, -200.0f, 0.0f, nan, 1.0f, kInf, -kInf};
  const std::vector<float> up = {0.0f, 100.0f, 1.0f, -100.0f, 1.0f, nan, 1.0f, 1.0f};
  const float at_limit = kLimit / (1.0f + std::exp(-kAlpha * kLimit));
  for (const Isa isa : present_isas()) {
    SCOPED_TRACE(isa_name(isa));
    const ScopedIsa scoped(isa);
    std::vector<float> out(8, kSentinel);
    clamped({gate.data(), 1, 8}, {up.data(), 1, 8}, {out.data(), 1, 8});
    EXPECT_FLOAT_EQ(out[0], at_limit);         // gate clamped from above
    EXPECT_FLOAT_EQ(out[1], at_limit * 8.0f);  // up clamped, plus 1
    EXPECT_FLOAT_EQ(out[2], 0.0f);             // gate is not clamped from below
    EXPECT_FLOAT_EQ(out[3], 0.0f);
    EXPECT_TRUE(std::isnan(out[4]));
    EXPECT_TRUE(std::isnan(out[5]));
    EXPECT_FLOAT_EQ(out[6], at_limit * 2.0f);
    kernels::gelu_tanh({gate.data(), 1, 6}, {out.data(), 1, 6});
    EXPECT_EQ(out[0], 100.0f);
    EXPECT_EQ(out[2], 0.0f);
    EXPECT_TRUE(std::isnan(out[4]));
  }
}

// Values of torch.nn.functional.gelu(approximate="tanh") and silu, float64.
TEST(Activation, ReferenceEqualsPublishedFormulas) {
  const std::vector<float> x = {-3.0f, -1.0f, 0.5f, 2.0f}, ones(4, 1.0f);
  std::vector<float> out(4);
  kernels::gelu_tanh_ref({x.data(), 1, 4}, {out.data(), 1, 4});
  const std::vector<double> gelu_want = {-0.0036373920817729943, -0.15880800939172324, 0.34571400982514394,
                                         1.954597694087775};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(out[i], gelu_want[i], 1e-7);
  kernels::swiglu_ref({x.data(), 1, 4}, {ones.data(), 1, 4}, {out.data(), 1, 4});
  const std::vector<double> silu_want = {-0.1422776195327001, -0.2689414213699951, 0.3112296656009273,
                                         1.7615941559557649};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(out[i], silu_want[i], 2e-7);
}

}  // namespace
}  // namespace atelier::testing
