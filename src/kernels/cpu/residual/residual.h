// Sums into the residual stream, on one thread; ops/elementwise.h states the formulas.
#pragma once

#include <span>

#include "base/mat_view.h"

namespace atelier::kernels {

// One rounding per element: scalar code and every vector width agree bit for bit.
void add(MatView<float> x, MatView<const float> y);
void add_bias(MatView<float> x, std::span<const float> bias);

// The product is fused into the sum where the level has FMA.
void add_scaled(MatView<float> x, std::span<const float> weights, MatView<const float> y);
void add_scaled_ref(MatView<float> x, std::span<const float> weights, MatView<const float> y);

}  // namespace atelier::kernels
