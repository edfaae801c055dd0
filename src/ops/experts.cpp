#include "ops/experts.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/checked.h"
#include "kernels/cpu/residual/residual.h"

namespace atelier::ops {

ExpertGroups group_by_expert(Context& ctx, MatView<const uint32_t> chosen, size_t n_experts) {
  Arena& arena = ctx.arena();
  const size_t n_slots = chosen.rows * chosen.cols;
  const auto next = arena.take<uint32_t>(n_experts + 1);  // counts, then the next free slot of each expert
  const auto rows = arena.take<uint32_t>(n_slots);
  const auto slots = arena.take<uint32_t>(n_slots);
  const MatView<uint32_t> slot_of(arena.take<uint32_t>(n_slots).data(), chosen.rows, chosen.cols);
  std::ranges::fill(next, 0);
  std::iota(slots.begin(), slots.end(), 0);
  for (size_t m = 0; m < chosen.rows; ++m)
    for (const uint32_t expert : chosen.row(m)) {
      ATELIER_CHECK(expert < n_experts);
      ++next[expert + 1];
    }
  const auto groups = arena.take<ExpertGroups::Group>(std::min(n_experts, n_slots));
  size_t n_groups = 0;
  for (size_t expert = 0; expert < n_experts; ++expert) {
    const uint32_t count = next[expert + 1];
    next[expert + 1] += next[expert];
    if (count > 0) groups[n_groups++] = {static_cast<uint32_t>(expert), next[expert], count};
  }
  for (size_t m = 0; m < chosen.rows; ++m)
    for (size_t j = 0; j < chosen.cols; ++j) {
      const uint32_t slot = next[chosen.row(m)[j]]++;
      rows[slot] = static_cast<uint32_t>(m);
      slot_of.row(m)[j] = slot;
    }
  return {groups.first(n_groups), rows, slot_of, slots};
}

void add_experts(Context& ctx, MatView<float> x, MatView<const float> y, MatView<const uint32_t> slot_of,
                 MatView<const float> weights) {
  ATELIER_CHECK(x.cols == y.cols && slot_of.rows == x.rows && weights.rows == x.rows);
  ATELIER_CHECK(slot_of.cols == weights.cols && y.rows == slot_of.rows * slot_of.cols);
  const auto kernel = ctx.is_reference() ? kernels::add_scaled_ref : kernels::add_scaled;
  const auto add_rows = [&](size_t first, size_t n) {
    for (size_t m = first; m < first + n; ++m)
      for (size_t j = 0; j < slot_of.cols; ++j)
        kernel(x.row_range(m, 1), weights.row(m).subspan(j, 1), y.row_range(slot_of.row(m)[j], 1));
  };
  constexpr size_t kElemsPerTask = 16384;  // as in elementwise.cpp: below that, one thread is faster
  const size_t rows_per_task =
      std::max<size_t>(1, kElemsPerTask / std::max<size_t>(1, x.cols * weights.cols));
  const size_t n_tasks = ceil_div(x.rows, rows_per_task);
  if (n_tasks <= 1) return add_rows(0, x.rows);
  ctx.pool().run(n_tasks, [&](size_t task, size_t) {
    const size_t first = task * rows_per_task;
    add_rows(first, std::min(rows_per_task, x.rows - first));
  });
}

}  // namespace atelier::ops
