// Row norms on one thread; ops/elementwise.h states the formulas. Rows may be strided; out may be x.
#pragma once

#include <span>

#include "base/mat_view.h"

namespace atelier::kernels {

// x, out: [M, D]; weight: [D].
void rms_norm(MatView<const float> x, std::span<const float> weight, float eps, MatView<float> out);
void rms_norm_ref(MatView<const float> x, std::span<const float> weight, float eps, MatView<float> out);

// x += y; out = rms_norm(x). Equal to the two apart, bit for bit. x, y, out: [M, D].
void add_rms_norm(MatView<float> x, MatView<const float> y, std::span<const float> weight, float eps,
                  MatView<float> out);

// x, out: [M, D]; weight, bias: [D].
void layer_norm(MatView<const float> x, std::span<const float> weight, std::span<const float> bias, float eps,
                MatView<float> out);
void layer_norm_ref(MatView<const float> x, std::span<const float> weight, std::span<const float> bias,
                    float eps, MatView<float> out);

}  // namespace atelier::kernels
