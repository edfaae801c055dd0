#include <cmath>

#include "kernels/cpu/norm/norm.h"

namespace atelier::kernels {

void rms_norm_ref(MatView<const float> x, std::span<const float> weight, float eps, MatView<float> out) {
  for (size_t m = 0; m < x.rows; ++m) {
    const std::span<const float> row = x.row(m);
    const std::span<float> out_row = out.row(m);
    double squares = 0;
    for (const float value : row) squares += double{value} * double{value};
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(x.cols) + double{eps});
    for (size_t i = 0; i < x.cols; ++i)
      out_row[i] = static_cast<float>(double{row[i]} * inverse * double{weight[i]});
  }
}

void layer_norm_ref(MatView<const float> x, std::span<const float> weight, std::span<const float> bias,
                    float eps, MatView<float> out) {
  const double n = static_cast<double>(x.cols);
  for (size_t m = 0; m < x.rows; ++m) {
    const std::span<const float> row = x.row(m);
    const std::span<float> out_row = out.row(m);
    double sum = 0;
    for (const float value : row) sum += double{value};
    const double mean = sum / n;
    double squares = 0;
    for (const float value : row) squares += (double{value} - mean) * (double{value} - mean);
    const double inverse = 1.0 / std::sqrt(squares / n + double{eps});
    for (size_t i = 0; i < x.cols; ++i)
      out_row[i] =
          static_cast<float>((double{row[i]} - mean) * inverse * double{weight[i]} + double{bias[i]});
  }
}

}  // namespace atelier::kernels
