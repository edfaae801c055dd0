#include <cmath>

#include "kernels/cpu/rope/rope.h"

namespace atelier::kernels {
namespace {

// Element i of a pair list stands at i · step and i · step + distance.
void rotate(MatView<float> x, size_t head_dim, MatView<const float> cos, MatView<const float> sin,
            size_t step, size_t distance) {
  for (size_t m = 0; m < x.rows; ++m) {
    const std::span<float> row = x.row(m);
    const std::span<const float> cos_row = cos.row(m), sin_row = sin.row(m);
    for (size_t head = 0; head < x.cols; head += head_dim) {
      for (size_t i = 0; i < cos.cols; ++i) {
        float& first = row[head + i * step];
        float& second = row[head + i * step + distance];
        const double a = double{first}, b = double{second}, c = double{cos_row[i]}, s = double{sin_row[i]};
        first = static_cast<float>(a * c - b * s);
        second = static_cast<float>(b * c + a * s);
      }
    }
  }
}

}  // namespace

void rope_angles(std::span<const int32_t> positions, std::span<const double> inv_freq, double scale,
                 MatView<float> cos, MatView<float> sin) {
  for (size_t m = 0; m < positions.size(); ++m) {
    const std::span<float> cos_row = cos.row(m), sin_row = sin.row(m);
    for (size_t i = 0; i < inv_freq.size(); ++i) {
      const double angle = static_cast<double>(positions[m]) * inv_freq[i];
      cos_row[i] = static_cast<float>(std::cos(angle) * scale);
      sin_row[i] = static_cast<float>(std::sin(angle) * scale);
    }
  }
}

void rope_halves_ref(MatView<float> x, size_t head_dim, MatView<const float> cos, MatView<const float> sin) {
  rotate(x, head_dim, cos, sin, 1, cos.cols);
}

void rope_adjacent_ref(MatView<float> x, size_t head_dim, MatView<const float> cos,
                       MatView<const float> sin) {
  rotate(x, head_dim, cos, sin, 2, 1);
}

}  // namespace atelier::kernels
