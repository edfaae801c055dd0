#include "kernels/cpu/activation/activation.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/activation/activation.cpp"
#include "kernels/cpu/simd_targets.h"
//
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace atelier::kernels::HWY_NAMESPACE {
namespace {

// A functor maps a vector of each input to a vector of the output; x alone is passed twice.
struct Swiglu {
  HWY_INLINE VecF operator()(Floats d, VecF g, VecF u) const {
    const auto divisor = hn::Add(hn::Set(d, 1.0f), exp(d, hn::Neg(g)));
    return hn::Mul(hn::Div(g, divisor), u);
  }
};

struct SwigluClamped {
  float alpha;
  float limit;
  HWY_INLINE VecF operator()(Floats d, VecF g, VecF u) const {
    const auto one = hn::Set(d, 1.0f);
    const auto bound = hn::Set(d, limit);
    const auto gate = at_most(bound, g);
    const auto up = at_least(hn::Neg(bound), at_most(bound, u));
    const auto divisor = hn::Add(one, exp(d, hn::Mul(gate, hn::Set(d, -alpha))));
    return hn::Mul(hn::Div(gate, divisor), hn::Add(up, one));
  }
};

// 0.5·(1 + tanh(u)) = σ(2u): no cancellation where x is large and negative.
HWY_INLINE VecF gelu(Floats d, VecF x) {
  constexpr float kTwoSqrt2OverPi = 1.5957691216057308f;
  const auto cubic = hn::MulAdd(hn::Mul(x, x), hn::Set(d, 0.044715f), hn::Set(d, 1.0f));
  const auto minus_2u = hn::Mul(hn::Mul(x, hn::Set(d, -kTwoSqrt2OverPi)), cubic);
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), exp(d, minus_2u)));
}

struct Gelu {
  HWY_INLINE VecF operator()(Floats d, VecF x, VecF) const { return gelu(d, x); }
};

struct Geglu {
  HWY_INLINE VecF operator()(Floats d, VecF g, VecF u) const { return hn::Mul(gelu(d, g), u); }
};

template <class Fn>
HWY_INLINE void map(MatView<const float> a, MatView<const float> b, MatView<float> out, Fn fn) {
  const Floats d;
  for (size_t m = 0; m < out.rows; ++m) {
    const float* a_row = a.data + m * a.stride;
    const float* b_row = b.data + m * b.stride;
    float* out_row = out.data + m * out.stride;
    size_t i = 0;
    for (; i + kLanes <= out.cols; i += kLanes)
      hn::StoreU(fn(d, hn::LoadU(d, a_row + i), hn::LoadU(d, b_row + i)), d, out_row + i);
    if (const size_t rest = out.cols - i; rest > 0)
      store_n(fn(d, load_n(d, a_row + i, rest), load_n(d, b_row + i, rest)), d, out_row + i, rest);
  }
}

void swiglu(MatView<const float> gate, MatView<const float> up, MatView<float> out) {
  map(gate, up, out, Swiglu{});
}

void swiglu_clamped(MatView<const float> gate, MatView<const float> up, float alpha, float limit,
                    MatView<float> out) {
  map(gate, up, out, SwigluClamped{alpha, limit});
}

void gelu_tanh(MatView<const float> x, MatView<float> out) { map(x, x, out, Gelu{}); }

void geglu_tanh(MatView<const float> gate, MatView<const float> up, MatView<float> out) {
  map(gate, up, out, Geglu{});
}

}  // namespace
}  // namespace atelier::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace atelier::kernels {

void swiglu(MatView<const float> gate, MatView<const float> up, MatView<float> out) {
  ATELIER_SIMD(swiglu)(gate, up, out);
}

void swiglu_clamped(MatView<const float> gate, MatView<const float> up, float alpha, float limit,
                    MatView<float> out) {
  ATELIER_SIMD(swiglu_clamped)(gate, up, alpha, limit, out);
}

void gelu_tanh(MatView<const float> x, MatView<float> out) { ATELIER_SIMD(gelu_tanh)(x, out); }

void geglu_tanh(MatView<const float> gate, MatView<const float> up, MatView<float> out) {
  ATELIER_SIMD(geglu_tanh)(gate, up, out);
}

}  // namespace atelier::kernels
#endif  // HWY_ONCE
