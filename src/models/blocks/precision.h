// Which products of a forward pass take their activations in 16 bits instead of 8 where weights have at most
// 8, and which rows the last layer is computed for. Both follow from where rounding shows in the logits:
// measured on SmolLM2-135M Q4_1, of the divergence that 8-bit activations everywhere cause, a quarter stems
// from the head, a fifth from the last layer's feed-forward block and a quarter from the keys and values of
// all layers together (docs/kernels/matmul.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/mat_view.h"
#include "ops/context.h"
#include "ops/linear.h"

namespace atelier {

inline constexpr ops::Activations kHeadActivations = ops::Activations::k16Bit;
// Of the key and value projections. Only where heads are grouped: they are the smallest products then.
constexpr ops::Activations key_value_activations(size_t n_heads, size_t kv_heads) {
  return 2 * kv_heads <= n_heads ? ops::Activations::k16Bit : ops::Activations::k8Bit;
}
constexpr ops::Activations ffn_activations(bool is_last_layer) {
  return is_last_layer ? ops::Activations::k16Bit : ops::Activations::k8Bit;
}

// Past the last layer's attention, only rows whose logits are wanted go on: `live` matrices keep these rows
// (in ctx.arena()), `scratch` ones become as short.
void keep_logit_rows(Context& ctx, std::span<const uint32_t> rows,
                     std::initializer_list<MatView<float>*> live,
                     std::initializer_list<MatView<float>*> scratch);

}  // namespace atelier
