// exp, exp2, sigmoid and tanh of every level against libm in double.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/simd_math_test.cpp"
#include "kernels/cpu/simd_targets.h"
//
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace atelier::kernels::HWY_NAMESPACE {
namespace {

// values: a multiple of kLanes.
void exp_all(float* values, size_t n) {
  const Floats d;
  for (size_t i = 0; i < n; i += kLanes) hn::StoreU(exp(d, hn::LoadU(d, values + i)), d, values + i);
}
void exp2_all(float* values, size_t n) {
  const Floats d;
  for (size_t i = 0; i < n; i += kLanes)
    hn::StoreU(exp2_nonpositive(d, hn::LoadU(d, values + i)), d, values + i);
}
void sigmoid_all(float* values, size_t n) {
  const Floats d;
  for (size_t i = 0; i < n; i += kLanes) hn::StoreU(sigmoid(d, hn::LoadU(d, values + i)), d, values + i);
}
void tanh_all(float* values, size_t n) {
  const Floats d;
  for (size_t i = 0; i < n; i += kLanes) hn::StoreU(tanh(d, hn::LoadU(d, values + i)), d, values + i);
}

}  // namespace
}  // namespace atelier::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "tests/kernels/vector_test.h"

namespace atelier::kernels {
namespace {

using testing::present_isas;
using testing::ScopedIsa;
using Map = void (*)(float*, size_t);

std::vector<float> sweep(float lo, float hi) {
  constexpr size_t kPoints = 1 << 18;
  std::vector<float> values(kPoints);
  for (size_t i = 0; i < kPoints; ++i)
    values[i] = lo + (hi - lo) * static_cast<float>(i) / static_cast<float>(kPoints - 1);
  return values;
}

// Largest error in units of the last place of the exact value.
double worst_ulps(Map map, double (*exact)(double), std::vector<float> inputs) {
  std::vector<float> outputs = inputs;
  map(outputs.data(), outputs.size());
  double worst = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const double want = exact(double{inputs[i]});
    const double unit = std::ldexp(1.0, std::max(std::ilogb(want), -126) - 23);
    const double error = std::abs(double{outputs[i]} - want) / unit;
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

float at(Map map, float x) {
  std::vector<float> lanes(16, x);
  map(lanes.data(), lanes.size());
  return lanes[0];
}

double sigmoid_exact(double x) { return 1.0 / (1.0 + std::exp(-x)); }
double exp_exact(double x) { return std::exp(x); }
double exp2_exact(double x) { return std::exp2(x); }
double tanh_exact(double x) { return std::tanh(x); }

TEST(SimdMath, AccurateToTwoUlpOnEveryLevel) {
  for (const Isa isa : present_isas()) {
    SCOPED_TRACE(isa_name(isa));
    const ScopedIsa scoped(isa);
    EXPECT_LE(worst_ulps(ATELIER_SIMD(exp_all), exp_exact, sweep(-87.3f, 88.3f)), 2.0);
    EXPECT_LE(worst_ulps(ATELIER_SIMD(exp_all), exp_exact, sweep(-1.0f, 1.0f)), 2.0);
    EXPECT_LE(worst_ulps(ATELIER_SIMD(exp2_all), exp2_exact, sweep(-126.0f, 0.0f)), 2.0);
    EXPECT_LE(worst_ulps(ATELIER_SIMD(exp2_all), exp2_exact, sweep(-2.0f, 0.0f)), 2.0);
    EXPECT_LE(worst_ulps(ATELIER_SIMD(sigmoid_all), sigmoid_exact, sweep(-87.0f, 40.0f)), 3.0);
    EXPECT_LE(worst_ulps(ATELIER_SIMD(tanh_all), tanh_exact, sweep(-12.0f, 12.0f)), 2.0);
    EXPECT_LE(worst_ulps(ATELIER_SIMD(tanh_all), tanh_exact, sweep(-0.7f, 0.7f)), 2.0);
    EXPECT_LE(worst_ulps(ATELIER_SIMD(tanh_all), tanh_exact, sweep(-1e-3f, 1e-3f)), 2.0);
  }
}

TEST(SimdMath, TheMeasureNoticesAWrongFunction) {
  EXPECT_GT(worst_ulps(ATELIER_SIMD(exp_all), exp2_exact, sweep(-1.0f, 1.0f)), 1000.0);
}

TEST(SimdMath, EdgesOnEveryLevel) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Isa isa : present_isas()) {
    SCOPED_TRACE(isa_name(isa));
    const ScopedIsa scoped(isa);
    const Map exp_map = ATELIER_SIMD(exp_all), exp2_map = ATELIER_SIMD(exp2_all);
    const Map sigmoid_map = ATELIER_SIMD(sigmoid_all), tanh_map = ATELIER_SIMD(tanh_all);
    EXPECT_EQ(at(exp_map, 0.0f), 1.0f);
    EXPECT_EQ(at(exp_map, -kInf), 0.0f);
    EXPECT_EQ(at(exp_map, kInf), kInf);
    EXPECT_EQ(at(exp_map, 200.0f), kInf);
    EXPECT_EQ(at(exp_map, -200.0f), 0.0f);
    EXPECT_EQ(at(exp_map, 3e38f), kInf);
    EXPECT_TRUE(std::isnan(at(exp_map, nan)));
    EXPECT_EQ(at(exp2_map, 0.0f), 1.0f);
    EXPECT_EQ(at(exp2_map, -0.0f), 1.0f);
    EXPECT_EQ(at(exp2_map, -kInf), 0.0f);
    EXPECT_EQ(at(exp2_map, -3e38f), 0.0f);
    EXPECT_EQ(at(sigmoid_map, kInf), 1.0f);
    EXPECT_EQ(at(sigmoid_map, -kInf), 0.0f);
    EXPECT_EQ(at(sigmoid_map, 0.0f), 0.5f);
    EXPECT_TRUE(std::isnan(at(sigmoid_map, nan)));
    EXPECT_EQ(at(tanh_map, kInf), 1.0f);
    EXPECT_EQ(at(tanh_map, -kInf), -1.0f);
    EXPECT_EQ(at(tanh_map, 1e-30f), 1e-30f);
    EXPECT_TRUE(std::isnan(at(tanh_map, nan)));
  }
}

}  // namespace
}  // namespace atelier::kernels
#endif  // HWY_ONCE
