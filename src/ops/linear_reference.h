// The product every fast path is held to.
#pragma once

#include <span>

#include "ops/context.h"
#include "ops/weight.h"

namespace atelier::ops {

// out[m, n] = Σ_k rows[m][k] · weight[n, k] (+ bias[n]): weights decoded exactly, summed in double in
// ascending k, rounded once. out: [rows.size(), N].
void linear_reference(Context& ctx, std::span<const float* const> rows, const Weight& weight,
                      std::span<const float> bias, MatView<float> out);

}  // namespace atelier::ops
