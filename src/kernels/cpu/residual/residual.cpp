#include "kernels/cpu/residual/residual.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/residual/residual.cpp"
#include "kernels/cpu/simd_targets.h"
//
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace atelier::kernels::HWY_NAMESPACE {
namespace {

HWY_INLINE void add_row(Floats d, float* x, const float* y, size_t n) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    hn::StoreU(hn::Add(hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, x + i);
  if (i < n) store_n(hn::Add(load_n(d, x + i, n - i), load_n(d, y + i, n - i)), d, x + i, n - i);
}

void add(MatView<float> x, MatView<const float> y) {
  for (size_t m = 0; m < x.rows; ++m) add_row(Floats{}, x.data + m * x.stride, y.data + m * y.stride, x.cols);
}

void add_bias(MatView<float> x, const float* bias) {
  for (size_t m = 0; m < x.rows; ++m) add_row(Floats{}, x.data + m * x.stride, bias, x.cols);
}

void add_scaled(MatView<float> x, const float* weights, MatView<const float> y) {
  const Floats d;
  for (size_t m = 0; m < x.rows; ++m) {
    float* row = x.data + m * x.stride;
    const float* y_row = y.data + m * y.stride;
    const auto weight = hn::Set(d, weights[m]);
    size_t i = 0;
    for (; i + kLanes <= x.cols; i += kLanes)
      hn::StoreU(hn::MulAdd(weight, hn::LoadU(d, y_row + i), hn::LoadU(d, row + i)), d, row + i);
    if (const size_t rest = x.cols - i; rest > 0)
      store_n(hn::MulAdd(weight, load_n(d, y_row + i, rest), load_n(d, row + i, rest)), d, row + i, rest);
  }
}

}  // namespace
}  // namespace atelier::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace atelier::kernels {

void add(MatView<float> x, MatView<const float> y) { ATELIER_SIMD(add)(x, y); }

void add_bias(MatView<float> x, std::span<const float> bias) { ATELIER_SIMD(add_bias)(x, bias.data()); }

void add_scaled(MatView<float> x, std::span<const float> weights, MatView<const float> y) {
  ATELIER_SIMD(add_scaled)(x, weights.data(), y);
}

void add_scaled_ref(MatView<float> x, std::span<const float> weights, MatView<const float> y) {
  for (size_t m = 0; m < x.rows; ++m) {
    const std::span<float> row = x.row(m);
    const std::span<const float> y_row = y.row(m);
    for (size_t i = 0; i < x.cols; ++i)
      row[i] = static_cast<float>(double{row[i]} + double{weights[m]} * double{y_row[i]});
  }
}

}  // namespace atelier::kernels
#endif  // HWY_ONCE
