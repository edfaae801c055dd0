#include "kernels/cpu/norm/norm.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm/norm.cpp"
#include "kernels/cpu/simd_targets.h"
//
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace atelier::kernels::HWY_NAMESPACE {
namespace {

// Sums run in four vectors, element i in lane i % (4 · kLanes): four chains hide the latency of the adds, and
// the order depends on nothing but the row's length.
struct LaneSums {
  VecF a, b, c, d;
  HWY_INLINE float total(Floats f) const {
    return hn::GetLane(hn::SumOfLanes(f, hn::Add(hn::Add(a, b), hn::Add(c, d))));
  }
};

HWY_INLINE LaneSums zero_sums(Floats f) { return {hn::Zero(f), hn::Zero(f), hn::Zero(f), hn::Zero(f)}; }

HWY_INLINE float sum_of_squares(Floats f, const float* x, size_t n) {
  LaneSums s = zero_sums(f);
  size_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    const auto v0 = hn::LoadU(f, x + i), v1 = hn::LoadU(f, x + i + kLanes);
    const auto v2 = hn::LoadU(f, x + i + 2 * kLanes), v3 = hn::LoadU(f, x + i + 3 * kLanes);
    s.a = hn::MulAdd(v0, v0, s.a);
    s.b = hn::MulAdd(v1, v1, s.b);
    s.c = hn::MulAdd(v2, v2, s.c);
    s.d = hn::MulAdd(v3, v3, s.d);
  }
  for (; i < n; i += kLanes) {
    const auto v = n - i >= kLanes ? hn::LoadU(f, x + i) : load_n(f, x + i, n - i);
    s.a = hn::MulAdd(v, v, s.a);
  }
  return s.total(f);
}

// out[i] = x[i] · scale · weight[i].
HWY_INLINE void scale_row(Floats f, const float* x, float scale, const float* weight, float* out, size_t n) {
  const auto factor = hn::Set(f, scale);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    hn::StoreU(hn::Mul(hn::Mul(hn::LoadU(f, x + i), factor), hn::LoadU(f, weight + i)), f, out + i);
  if (i == n) return;
  const auto v = hn::Mul(hn::Mul(load_n(f, x + i, n - i), factor), load_n(f, weight + i, n - i));
  store_n(v, f, out + i, n - i);
}

HWY_INLINE void add_row(Floats f, float* x, const float* y, size_t n) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    hn::StoreU(hn::Add(hn::LoadU(f, x + i), hn::LoadU(f, y + i)), f, x + i);
  if (i < n) store_n(hn::Add(load_n(f, x + i, n - i), load_n(f, y + i, n - i)), f, x + i, n - i);
}

HWY_INLINE void rms_norm_row(Floats f, const float* x, const float* weight, float eps, float* out, size_t n) {
  const float mean_square = sum_of_squares(f, x, n) / static_cast<float>(n);
  scale_row(f, x, 1.0f / std::sqrt(mean_square + eps), weight, out, n);
}

void rms_norm(MatView<const float> x, const float* weight, float eps, MatView<float> out) {
  const Floats f;
  for (size_t m = 0; m < x.rows; ++m)
    rms_norm_row(f, x.data + m * x.stride, weight, eps, out.data + m * out.stride, x.cols);
}

void add_rms_norm(MatView<float> x, MatView<const float> y, const float* weight, float eps,
                  MatView<float> out) {
  const Floats f;
  for (size_t m = 0; m < x.rows; ++m) {
    float* row = x.data + m * x.stride;
    add_row(f, row, y.data + m * y.stride, x.cols);
    rms_norm_row(f, row, weight, eps, out.data + m * out.stride, x.cols);
  }
}

HWY_INLINE float sum_of_row(Floats f, const float* x, size_t n) {
  LaneSums s = zero_sums(f);
  size_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    s.a = hn::Add(s.a, hn::LoadU(f, x + i));
    s.b = hn::Add(s.b, hn::LoadU(f, x + i + kLanes));
    s.c = hn::Add(s.c, hn::LoadU(f, x + i + 2 * kLanes));
    s.d = hn::Add(s.d, hn::LoadU(f, x + i + 3 * kLanes));
  }
  for (; i < n; i += kLanes)
    s.a = hn::Add(s.a, n - i >= kLanes ? hn::LoadU(f, x + i) : load_n(f, x + i, n - i));
  return s.total(f);
}

// Two passes over a row that lies in L1: E[x²] − E[x]² would cancel where the mean is large.
HWY_INLINE float squared_deviations(Floats f, const float* x, float mean, size_t n) {
  const auto centre = hn::Set(f, mean);
  LaneSums s = zero_sums(f);
  size_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const auto v0 = hn::Sub(hn::LoadU(f, x + i), centre);
    const auto v1 = hn::Sub(hn::LoadU(f, x + i + kLanes), centre);
    s.a = hn::MulAdd(v0, v0, s.a);
    s.b = hn::MulAdd(v1, v1, s.b);
  }
  for (; i + kLanes <= n; i += kLanes) {
    const auto v = hn::Sub(hn::LoadU(f, x + i), centre);
    s.c = hn::MulAdd(v, v, s.c);
  }
  if (i < n) {
    const auto v = hn::IfThenElseZero(hn::FirstN(f, n - i), hn::Sub(load_n(f, x + i, n - i), centre));
    s.d = hn::MulAdd(v, v, s.d);
  }
  return s.total(f);
}

void layer_norm(MatView<const float> x, const float* weight, const float* bias, float eps,
                MatView<float> out) {
  const Floats f;
  const size_t n = x.cols;
  for (size_t m = 0; m < x.rows; ++m) {
    const float* row = x.data + m * x.stride;
    float* out_row = out.data + m * out.stride;
    const float mean = sum_of_row(f, row, n) / static_cast<float>(n);
    const float variance = squared_deviations(f, row, mean, n) / static_cast<float>(n);
    const auto centre = hn::Set(f, mean);
    const auto factor = hn::Set(f, 1.0f / std::sqrt(variance + eps));
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      const auto v = hn::Mul(hn::Sub(hn::LoadU(f, row + i), centre), factor);
      hn::StoreU(hn::MulAdd(v, hn::LoadU(f, weight + i), hn::LoadU(f, bias + i)), f, out_row + i);
    }
    if (i == n) continue;
    const auto v = hn::Mul(hn::Sub(load_n(f, row + i, n - i), centre), factor);
    store_n(hn::MulAdd(v, load_n(f, weight + i, n - i), load_n(f, bias + i, n - i)), f, out_row + i, n - i);
  }
}

}  // namespace
}  // namespace atelier::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace atelier::kernels {

void rms_norm(MatView<const float> x, std::span<const float> weight, float eps, MatView<float> out) {
  ATELIER_SIMD(rms_norm)(x, weight.data(), eps, out);
}

void add_rms_norm(MatView<float> x, MatView<const float> y, std::span<const float> weight, float eps,
                  MatView<float> out) {
  ATELIER_SIMD(add_rms_norm)(x, y, weight.data(), eps, out);
}

void layer_norm(MatView<const float> x, std::span<const float> weight, std::span<const float> bias, float eps,
                MatView<float> out) {
  ATELIER_SIMD(layer_norm)(x, weight.data(), bias.data(), eps, out);
}

}  // namespace atelier::kernels
#endif  // HWY_ONCE
