// Picking rows out of a matrix.
#pragma once

#include <cstdint>
#include <span>

#include "base/mat_view.h"
#include "ops/context.h"

namespace atelier::ops {

// A copy of the listed rows of x, in ctx.arena(): [rows.size(), x.cols].
MatView<float> gather_rows(Context& ctx, MatView<const float> x, std::span<const uint32_t> rows);

}  // namespace atelier::ops
