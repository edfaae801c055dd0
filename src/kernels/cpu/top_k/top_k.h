// Routing: the k largest scores of each row and their softmax, on one thread.
#pragma once

#include <cstdint>

#include "base/mat_view.h"

namespace atelier::kernels {

// scores: [M, N]; indices, weights: [M, k], 1 ≤ k ≤ N. Largest first, ties by the lower index; weights are
// the softmax over those k. A NaN ranks lowest, so that indices are valid and distinct whatever the scores
// are.
void top_k_softmax(MatView<const float> scores, MatView<uint32_t> indices, MatView<float> weights);

}  // namespace atelier::kernels
