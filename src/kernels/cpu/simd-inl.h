// Vector helpers shared by the vector bodies: remainders, and exp, sigmoid, tanh to 2 ulp.
// No include guard: hwy/foreach_target.h brings this in once per target.
#include <cstddef>
#include <cstring>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace atelier::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using VecF = hn::Vec<Floats>;
constexpr size_t kLanes = HWY_LANES(float);
// 32 vector registers, or 16: how many accumulators a kernel may hold.
constexpr bool kManyRegisters = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON;

// min(bound, v) and max(bound, v); a NaN in v passes on, which ARM's instructions do not do by themselves.
HWY_INLINE VecF at_most(VecF bound, VecF v) {
#if HWY_ARCH_X86
  return hn::Min(bound, v);  // x86 returns the second operand for NaN
#else
  return hn::IfThenElse(hn::Gt(v, bound), bound, v);
#endif
}
HWY_INLINE VecF at_least(VecF bound, VecF v) {
#if HWY_ARCH_X86
  return hn::Max(bound, v);
#else
  return hn::IfThenElse(hn::Lt(v, bound), bound, v);
#endif
}

// The first n < kLanes floats of p, zeros after them; reads nothing past p + n.
HWY_INLINE VecF load_n(Floats d, const float* p, size_t n) {
#if HWY_TARGET == HWY_AVX3
  return hn::MaskedLoad(hn::FirstN(d, n), d, p);
#else
  HWY_ALIGN float lanes[kLanes] = {};
  std::memcpy(lanes, p, n * sizeof(float));
  return hn::Load(d, lanes);
#endif
}

// Stores the first n < kLanes lanes; writes nothing past p + n.
HWY_INLINE void store_n(VecF v, Floats d, float* p, size_t n) {
#if HWY_TARGET == HWY_AVX3
  hn::BlendedStore(v, hn::FirstN(d, n), d, p);
#else
  HWY_ALIGN float lanes[kLanes];
  hn::Store(v, d, lanes);
  std::memcpy(p, lanes, n * sizeof(float));
#endif
}

// p · 2^n for integral n in [-126, 127].
HWY_INLINE VecF scale_by_power(Floats d, VecF p, VecF n) {
#if HWY_TARGET == HWY_AVX3
  (void)d;
  return VecF{_mm512_scalef_ps(p.raw, n.raw)};
#else
  const hn::RebindToSigned<Floats> di;
  const auto exponent = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  return hn::Mul(p, hn::BitCast(d, exponent));
#endif
}

// 2^x for x ≤ 0; 0 below -126 and for -∞, exactly 1 at 0. What a softmax needs.
// Polynomial: minimax of degree 6 on [-1/2, 1/2], relative error 2^-28.9 before rounding.
HWY_INLINE VecF exp2_nonpositive(Floats d, VecF x) {
  const auto n = hn::Round(x);
  const auto r = hn::Sub(x, n);
  auto p = hn::Set(d, 0x1.41fbbcp-13f);
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.5f3e52p-10f));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.3b2d4cp-7f));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.c6aee8p-5f));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.ebfbdcp-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.62e430p-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  return hn::IfThenElseZero(hn::Ge(x, hn::Set(d, -126.0f)), scale_by_power(d, p, n));
}

// e^x; +∞ above 88.37 and 0 below -87.33, where 2^n leaves the normal floats; NaN for NaN.
// x = n·ln 2 + r, |r| ≤ ln 2 / 2; minimax of degree 6, relative error 2^-28.3 before rounding.
HWY_INLINE VecF exp(Floats d, VecF x) {
  constexpr float kLog2E = 0x1.715476p+0f;
  constexpr float kLn2Hi = 0x1.62e400p-1f;  // 12 trailing zero bits: n · kLn2Hi is exact
  constexpr float kLn2Lo = 0x1.7f7d1cp-20f;
  const auto n = hn::Round(hn::Mul(x, hn::Set(d, kLog2E)));
  auto r = hn::NegMulAdd(n, hn::Set(d, kLn2Hi), x);
  r = hn::NegMulAdd(n, hn::Set(d, kLn2Lo), r);
  auto p = hn::Set(d, 0x1.6a2352p-10f);
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.123a6cp-7f));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.5558f4p-5f));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.555490p-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.fffffcp-2f));
  p = hn::MulAdd(hn::Mul(p, r), r, r);
  p = hn::Add(p, hn::Set(d, 1.0f));
  const auto scaled = scale_by_power(d, p, n);
  const auto bounded = hn::IfThenElse(hn::Gt(x, hn::Set(d, 88.37f)), hn::Inf(d), scaled);
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.33f)), bounded);
}

// 1 / (1 + e^-x).
HWY_INLINE VecF sigmoid(Floats d, VecF x) {
  const auto one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, exp(d, hn::Neg(x))));
}

// Below 0.625 an odd minimax polynomial of degree 11 (relative error 2^-27.8), above 1 - 2/(e^2|x| + 1).
HWY_INLINE VecF tanh(Floats d, VecF x) {
  const auto magnitude = hn::Abs(x);
  const auto z = hn::Mul(x, x);
  auto p = hn::Set(d, -0x1.75e1ccp-8f);
  p = hn::MulAdd(p, z, hn::Set(d, 0x1.52269cp-6f));
  p = hn::MulAdd(p, z, hn::Set(d, -0x1.b83c5ap-5f));
  p = hn::MulAdd(p, z, hn::Set(d, 0x1.110726p-3f));
  p = hn::MulAdd(p, z, hn::Set(d, -0x1.555532p-2f));
  const auto near = hn::MulAdd(hn::Mul(p, z), x, x);
  const auto one = hn::Set(d, 1.0f);
  const auto e = exp(d, hn::Add(magnitude, magnitude));
  const auto far = hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(e, one)));
  return hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 0.625f)), near, hn::CopySign(far, x));
}

}  // namespace atelier::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
