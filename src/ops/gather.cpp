#include "ops/gather.h"

#include <algorithm>

namespace atelier::ops {

MatView<float> gather_rows(Context& ctx, MatView<const float> x, std::span<const uint32_t> rows) {
  const MatView<float> out = ctx.arena().take_mat(rows.size(), x.cols);
  for (size_t i = 0; i < rows.size(); ++i) std::ranges::copy(x.row(rows[i]), out.row(i).begin());
  return out;
}

}  // namespace atelier::ops
