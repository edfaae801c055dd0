// Attention of new tokens over a paged KV cache, several sequences in one call.
#pragma once

#include <cstdint>
#include <span>

#include "base/mat_view.h"
#include "kernels/kv_page.h"
#include "ops/context.h"

namespace atelier::ops {

// One sequence's share of a batch, for one layer. Position p lives in pages[p / 64 − first_page], slot p
// % 64.
struct AttentionSequence {
  std::span<std::byte* const> pages;  // this layer's part of each page, in order
  size_t first_page = 0;              // index of pages[0]: pages that slid out of the window are gone
  size_t first_row = 0;  // rows [first_row, first_row + n_rows) of q, k, v are this sequence's new tokens
  size_t n_rows = 0;
  size_t first_position = 0;  // position of the first new token; the others follow
};

struct AttentionShape {
  KvGeometry kv;
  size_t n_heads = 0;    // query heads; n_heads / kv.kv_heads of them share a kv head
  float scale = 1.0f;    // multiplies q·k
  size_t window = 0;     // a query sees this many keys including its own; 0: all before it
  float softcap = 0.0f;  // scores become cap·tanh(s/cap); 0: off
};

// Writes keys and values of the new tokens into their pages. k: [M, kv_heads · k_dim] (rotated), v: [M,
// kv_heads · v_dim].
void kv_append(Context& ctx, const AttentionShape& shape, MatView<const float> k, MatView<const float> v,
               std::span<const AttentionSequence> sequences);

// out[m] = softmax(scale · q[m]·K, sinks) · V over the visible keys, which kv_append has written, the token's
// own included. q: [M, n_heads · k_dim]; out: [M, n_heads · v_dim]; sinks: [n_heads], one more logit per head
// in the denominator (unscaled, unmasked, no value), or empty. Sums run in a fixed order: results do not
// depend on threads, chunking or neighbours.
void attention(Context& ctx, const AttentionShape& shape, MatView<const float> q,
               std::span<const float> sinks, std::span<const AttentionSequence> sequences,
               MatView<float> out);

}  // namespace atelier::ops
