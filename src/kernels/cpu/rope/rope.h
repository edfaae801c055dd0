// Rotary position embedding on one thread.
#pragma once

#include <cstdint>
#include <span>

#include "base/mat_view.h"

namespace atelier::kernels {

// cos[m, i] and sin[m, i] of positions[m] · inv_freq[i], times scale: in double, rounded once. The same at
// every level and in both numerics. cos, sin: [M, inv_freq.size()].
void rope_angles(std::span<const int32_t> positions, std::span<const double> inv_freq, double scale,
                 MatView<float> cos, MatView<float> sin);

// Rotates the first 2P elements of each head of x: [M, n_heads · head_dim] in place by the angles of its row.
// cos, sin: [M, P], 2P ≤ head_dim. `halves` pairs element i with i + P, `adjacent` 2i with 2i + 1.
void rope_halves(MatView<float> x, size_t head_dim, MatView<const float> cos, MatView<const float> sin);
void rope_halves_ref(MatView<float> x, size_t head_dim, MatView<const float> cos, MatView<const float> sin);
void rope_adjacent(MatView<float> x, size_t head_dim, MatView<const float> cos, MatView<const float> sin);
void rope_adjacent_ref(MatView<float> x, size_t head_dim, MatView<const float> cos, MatView<const float> sin);

}  // namespace atelier::kernels
