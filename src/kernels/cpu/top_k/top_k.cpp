// Scalar for both numerics: 128 experts for 512 tokens are 65,000 comparisons a layer, against 10^11
// operations of its expert products.
#include "kernels/cpu/top_k/top_k.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace atelier::kernels {
namespace {

float rank_of(float score) { return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score; }

// Insertion into a list of at most k, sorted from the largest; an equal score stays behind the earlier one.
void select_row(std::span<const float> scores, std::span<uint32_t> indices) {
  size_t n_kept = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    const float rank = rank_of(scores[i]);
    size_t slot = n_kept;
    while (slot > 0 && rank > rank_of(scores[indices[slot - 1]])) --slot;
    if (slot == indices.size()) continue;
    n_kept = std::min(n_kept + 1, indices.size());
    std::move_backward(indices.begin() + static_cast<ptrdiff_t>(slot),
                       indices.begin() + static_cast<ptrdiff_t>(n_kept - 1),
                       indices.begin() + static_cast<ptrdiff_t>(n_kept));
    indices[slot] = static_cast<uint32_t>(i);
  }
}

}  // namespace

void top_k_softmax(MatView<const float> scores, MatView<uint32_t> indices, MatView<float> weights) {
  for (size_t m = 0; m < scores.rows; ++m) {
    const std::span<const float> row = scores.row(m);
    const std::span<uint32_t> chosen = indices.row(m);
    select_row(row, chosen);
    double sum = 0;
    for (const uint32_t i : chosen) sum += std::exp(double{row[i]} - double{row[chosen[0]]});
    for (size_t j = 0; j < chosen.size(); ++j)
      weights.row(m)[j] = static_cast<float>(std::exp(double{row[chosen[j]]} - double{row[chosen[0]]}) / sum);
  }
}

}  // namespace atelier::kernels
