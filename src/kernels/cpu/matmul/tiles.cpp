#include "kernels/cpu/matmul/tiles.h"

#include <algorithm>

#include "base/check.h"

namespace atelier {
namespace {

// out[token, first_row …] = sums[token][0 … n) (+ bias).
void store_rows(const TilesTask& task, size_t first_row, size_t n, const float* sums,
                std::span<const float> bias, size_t n_tokens, MatView<float> out) {
  const size_t first_token = task.first_tile * kTileTokens;
  for (size_t t = 0; t < n_tokens; ++t, sums += 2 * kPanelRows) {
    float* to = out.data + (first_token + t) * out.stride + first_row;
    if (bias.empty()) {
      for (size_t r = 0; r < n; ++r) to[r] = sums[r];
    } else {
      for (size_t r = 0; r < n; ++r) to[r] = sums[r] + bias[first_row + r];
    }
  }
}

}  // namespace

void multiply_tiles(const TileKernels& kernels, const TilesTask& task, const TileActivations& x,
                    std::span<const float> bias, MatView<float> out, float* scratch) {
  ATELIER_CHECK(task.n_panels <= kTilesTaskPanels && task.n_tiles * kTileTokens <= kTilesTaskTokens);
  const PackedWeight& weight = *task.weight;
  float* acc = scratch;
  kernels.multiply[static_cast<size_t>(weight.format().layout)](
      task, x, acc, reinterpret_cast<uint8_t*>(scratch + kTilesAccFloats));
  const size_t n_tokens = std::min(task.n_tiles * kTileTokens, x.n_tokens - task.first_tile * kTileTokens);
  for (size_t p = 0; p < task.n_panels; p += 2) {
    const size_t first_row = (task.first_panel + p) * kPanelRows;
    const size_t n = std::min({weight.rows() - first_row, (task.n_panels - p) * kPanelRows, 2 * kPanelRows});
    store_rows(task, first_row, n, acc + p / 2 * task.n_tiles * kTileTokens * 2 * kPanelRows, bias, n_tokens,
               out);
  }
}

}  // namespace atelier
