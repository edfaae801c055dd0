// Sending the tokens of a batch to their experts and summing what comes back.
#pragma once

#include <cstdint>
#include <span>

#include "base/mat_view.h"
#include "ops/context.h"

namespace atelier::ops {

// A batch of M tokens, each of which chose k experts, sorted by expert: M·k slots, those of one expert side
// by side, in token order.
struct ExpertGroups {
  struct Group {
    uint32_t expert = 0;
    uint32_t first_slot = 0;
    uint32_t n_slots = 0;
  };
  std::span<const Group> groups;    // experts somebody chose, ascending
  std::span<const uint32_t> rows;   // [M·k] the token of each slot
  MatView<const uint32_t> slot_of;  // [M, k] the slot of a token's j-th expert
  // Slots [0, M·k): a group's part of it names its rows in a matrix of slots.
  std::span<const uint32_t> slots;

  std::span<const uint32_t> rows_of(const Group& group) const {
    return rows.subspan(group.first_slot, group.n_slots);
  }
  std::span<const uint32_t> slots_of(const Group& group) const {
    return slots.subspan(group.first_slot, group.n_slots);
  }
};

// chosen: [M, k], each < n_experts. What it returns lies in ctx.arena().
ExpertGroups group_by_expert(Context& ctx, MatView<const uint32_t> chosen, size_t n_experts);

// x[m] += Σ_j weights[m, j] · y[slot_of[m, j]], summed in the order j = 0, 1, … whatever the grouping. x: [M,
// D]; y: [M·k, D]; slot_of, weights: [M, k].
void add_experts(Context& ctx, MatView<float> x, MatView<const float> y, MatView<const uint32_t> slot_of,
                 MatView<const float> weights);

}  // namespace atelier::ops
