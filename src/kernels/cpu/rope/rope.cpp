#include "kernels/cpu/rope/rope.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rope/rope.cpp"
#include "kernels/cpu/simd_targets.h"
//
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace atelier::kernels::HWY_NAMESPACE {
namespace {

struct Rotated {
  VecF first;
  VecF second;
};

HWY_INLINE Rotated rotate(VecF a, VecF b, VecF c, VecF s) {
  return {hn::NegMulAdd(b, s, hn::Mul(a, c)), hn::MulAdd(a, s, hn::Mul(b, c))};
}

HWY_INLINE void rotate_halves(Floats d, float* head, const float* cos, const float* sin, size_t pairs) {
  size_t i = 0;
  for (; i + kLanes <= pairs; i += kLanes) {
    const Rotated r = rotate(hn::LoadU(d, head + i), hn::LoadU(d, head + pairs + i), hn::LoadU(d, cos + i),
                             hn::LoadU(d, sin + i));
    hn::StoreU(r.first, d, head + i);
    hn::StoreU(r.second, d, head + pairs + i);
  }
  if (const size_t n = pairs - i; n > 0) {
    const Rotated r = rotate(load_n(d, head + i, n), load_n(d, head + pairs + i, n), load_n(d, cos + i, n),
                             load_n(d, sin + i, n));
    store_n(r.first, d, head + i, n);
    store_n(r.second, d, head + pairs + i, n);
  }
}

HWY_INLINE void rotate_adjacent(Floats d, float* head, const float* cos, const float* sin, size_t pairs) {
  size_t i = 0;
  VecF a, b;
  for (; i + kLanes <= pairs; i += kLanes) {
    hn::LoadInterleaved2(d, head + 2 * i, a, b);
    const Rotated r = rotate(a, b, hn::LoadU(d, cos + i), hn::LoadU(d, sin + i));
    hn::StoreInterleaved2(r.first, r.second, d, head + 2 * i);
  }
  if (const size_t n = pairs - i; n > 0) {
    HWY_ALIGN float rest[2 * kLanes] = {};
    std::memcpy(rest, head + 2 * i, 2 * n * sizeof(float));
    hn::LoadInterleaved2(d, rest, a, b);
    const Rotated r = rotate(a, b, load_n(d, cos + i, n), load_n(d, sin + i, n));
    hn::StoreInterleaved2(r.first, r.second, d, rest);
    std::memcpy(head + 2 * i, rest, 2 * n * sizeof(float));
  }
}

void rope_halves(MatView<float> x, size_t head_dim, MatView<const float> cos, MatView<const float> sin) {
  for (size_t m = 0; m < x.rows; ++m)
    for (size_t head = 0; head < x.cols; head += head_dim)
      rotate_halves(Floats{}, x.data + m * x.stride + head, cos.data + m * cos.stride,
                    sin.data + m * sin.stride, cos.cols);
}

void rope_adjacent(MatView<float> x, size_t head_dim, MatView<const float> cos, MatView<const float> sin) {
  for (size_t m = 0; m < x.rows; ++m)
    for (size_t head = 0; head < x.cols; head += head_dim)
      rotate_adjacent(Floats{}, x.data + m * x.stride + head, cos.data + m * cos.stride,
                      sin.data + m * sin.stride, cos.cols);
}

}  // namespace
}  // namespace atelier::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace atelier::kernels {

void rope_halves(MatView<float> x, size_t head_dim, MatView<const float> cos, MatView<const float> sin) {
  ATELIER_SIMD(rope_halves)(x, head_dim, cos, sin);
}

void rope_adjacent(MatView<float> x, size_t head_dim, MatView<const float> cos, MatView<const float> sin) {
  ATELIER_SIMD(rope_adjacent)(x, head_dim, cos, sin);
}

}  // namespace atelier::kernels
#endif  // HWY_ONCE
