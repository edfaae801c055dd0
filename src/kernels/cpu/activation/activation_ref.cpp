#include <algorithm>
#include <cmath>

#include "kernels/cpu/activation/activation.h"

namespace atelier::kernels {
namespace {

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// 0.5·(1 + tanh(u)) = σ(2u), which does not cancel where u is large and negative.
double gelu(double x) {
  constexpr double kSqrt2OverPi = 0.79788456080286535588;
  return x * sigmoid(2.0 * kSqrt2OverPi * (x + 0.044715 * x * x * x));
}

template <class Fn>
void map(MatView<const float> a, MatView<const float> b, MatView<float> out, Fn fn) {
  for (size_t m = 0; m < out.rows; ++m) {
    const std::span<const float> a_row = a.row(m), b_row = b.row(m);
    const std::span<float> out_row = out.row(m);
    for (size_t i = 0; i < out.cols; ++i)
      out_row[i] = static_cast<float>(fn(double{a_row[i]}, double{b_row[i]}));
  }
}

}  // namespace

void swiglu_ref(MatView<const float> gate, MatView<const float> up, MatView<float> out) {
  map(gate, up, out, [](double g, double u) { return g * sigmoid(g) * u; });
}

void swiglu_clamped_ref(MatView<const float> gate, MatView<const float> up, float alpha, float limit,
                        MatView<float> out) {
  const double bound = double{limit};
  map(gate, up, out, [&](double g, double u) {
    const double clamped = std::min(g, bound);
    return clamped * sigmoid(double{alpha} * clamped) * (std::clamp(u, -bound, bound) + 1.0);
  });
}

void gelu_tanh_ref(MatView<const float> x, MatView<float> out) {
  map(x, x, out, [](double v, double) { return gelu(v); });
}

void geglu_tanh_ref(MatView<const float> gate, MatView<const float> up, MatView<float> out) {
  map(gate, up, out, [](double g, double u) { return gelu(g) * u; });
}

}  // namespace atelier::kernels
