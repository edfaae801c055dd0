#include "ops/linear_reference.h"

namespace atelier::ops {

void linear_reference(Context& ctx, std::span<const float* const> rows, const Weight& weight,
                      std::span<const float> bias, MatView<float> out) {
  const ArenaScope scope(ctx.arena());
  const size_t cols = weight.cols();
  const MatView<float> decoded = ctx.arena().take_mat(ctx.pool().size(), cols);
  ctx.pool().run(weight.rows(), [&](size_t n, size_t thread) {
    const std::span<float> w = decoded.row(thread);
    weight.decode_row(n, w);
    for (size_t m = 0; m < rows.size(); ++m) {
      double sum = bias.empty() ? 0.0 : static_cast<double>(bias[n]);
      for (size_t k = 0; k < cols; ++k) sum += static_cast<double>(rows[m][k]) * static_cast<double>(w[k]);
      out.row(m)[n] = static_cast<float>(sum);
    }
  });
}

}  // namespace atelier::ops
