// Everything of a forward pass that is neither a matrix product nor attention. All tensors float32.
#pragma once

#include <cstdint>
#include <span>

#include "base/mat_view.h"
#include "ops/context.h"

namespace atelier::ops {

// out[i] = x[i] / rms(x[i]) · weight, rms over the row: sqrt(mean(x²) + eps). x, out: [M, D]; weight: [D];
// out may be x.
void rms_norm(Context& ctx, MatView<const float> x, std::span<const float> weight, float eps,
              MatView<float> out);

// x += y, then out = rms_norm(x): the residual add and the norm that follows it in one pass; equal bit for
// bit to add() and rms_norm(). x, y, out: [M, D]; out may be y.
void add_rms_norm(Context& ctx, MatView<float> x, MatView<const float> y, std::span<const float> weight,
                  float eps, MatView<float> out);

// out[i] = (x[i] − mean) / sqrt(var + eps) · weight + bias. x, out: [M, D]; weight, bias: [D]; out may be x.
void layer_norm(Context& ctx, MatView<const float> x, std::span<const float> weight,
                std::span<const float> bias, float eps, MatView<float> out);

// x += y. Both [M, D].
void add(Context& ctx, MatView<float> x, MatView<const float> y);
// x[i] += weights[i] · y[i]. Both [M, D]; weights: [M].
void add_scaled(Context& ctx, MatView<float> x, std::span<const float> weights, MatView<const float> y);
// x[m, d] += bias[d].
void add_bias(Context& ctx, MatView<float> x, std::span<const float> bias);

// out = silu(gate) · up, silu(g) = g·σ(g). All [M, D]; out may be gate.
void swiglu(Context& ctx, MatView<const float> gate, MatView<const float> up, MatView<float> out);
// gpt-oss: g = min(gate, limit), u = clamp(up, ±limit); out = g·σ(alpha·g)·(u + 1). out may be gate.
struct ClampedSwiglu {
  float alpha = 1.702f;
  float limit = 7.0f;
};
void swiglu_clamped(Context& ctx, MatView<const float> gate, MatView<const float> up, ClampedSwiglu options,
                    MatView<float> out);
// GELU, tanh approximation (GPT-2, Gemma): 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))). out may be x.
void gelu_tanh(Context& ctx, MatView<const float> x, MatView<float> out);
// out = gelu_tanh(gate) · up (Gemma).
void geglu_tanh(Context& ctx, MatView<const float> gate, MatView<const float> up, MatView<float> out);

// Rotary position embedding. Angles are computed once per forward pass and serve every layer.
struct RopeTable {
  // Per rotated pair i of a head: the angle of position p is p · inv_freq[i]; cos and sin are multiplied by
  // `scale`.
  std::span<const double> inv_freq;  // [rotary_dim / 2]
  double scale = 1.0;                // YaRN's attention factor, 1 otherwise
};
// cos and sin of M positions, computed in double and rounded once. Both [M, rotary_dim / 2], in ctx.arena().
struct RopeAngles {
  MatView<const float> cos;
  MatView<const float> sin;
};
// positions: [M].
RopeAngles rope_angles(Context& ctx, std::span<const int32_t> positions, const RopeTable& table);

enum class RopePairs {
  kHalves,    // element i rotates with i + rotary_dim/2 (HF, gpt-oss)
  kAdjacent,  // element 2i rotates with 2i + 1 (Meta, GGUF "llama", DeepSeek)
};
// Rotates the first rotary_dim elements of each of the heads in x: [M, n_heads · head_dim] in place; row m by
// angles row m.
void rope(Context& ctx, MatView<float> x, size_t head_dim, const RopeAngles& angles, RopePairs pairs);

// The k largest of each row, largest first (ties: the lower index), and softmax over those k only.
// scores: [M, N]; indices, weights: [M, k].
void top_k_softmax(Context& ctx, MatView<const float> scores, size_t k, MatView<uint32_t> indices,
                   MatView<float> weights);

}  // namespace atelier::ops
