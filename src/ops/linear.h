// Matrix products with weights: the bulk of every forward pass.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/mat_view.h"
#include "ops/context.h"
#include "ops/weight.h"

namespace atelier::ops {

// How activations meet weights of at most 8 bits; wider weights always meet them in float32.
enum class Activations {
  k8Bit,   // rounded to 8 bits in blocks of 32
  k16Bit,  // in two such terms, the second for what the first leaves: twice the arithmetic, the same reads
};

// One product of a group: out[m, n] = Σ_k x[m, k] · weight[n, k] (+ bias[n]).
struct LinearJob {
  const Weight* weight = nullptr;  // [N, K]
  std::span<const float> bias;     // [N] or empty
  MatView<float> out;              // [M, N]
  Activations activations = Activations::k8Bit;
};

// out = x · weightᵀ + bias. x: [M, K] float32.
void linear(Context& ctx, MatView<const float> x, const Weight& weight, std::span<const float> bias,
            MatView<float> out, Activations activations = Activations::k8Bit);

// Several products of the same x (q, k and v; gate and up): x is quantised once, one fork-join for all.
void linear_group(Context& ctx, MatView<const float> x, std::span<const LinearJob> jobs);
inline void linear_group(Context& ctx, MatView<const float> x, std::initializer_list<LinearJob> jobs) {
  linear_group(ctx, x, std::span<const LinearJob>(jobs.begin(), jobs.size()));
}

// Products of a mixture of experts: expert e multiplies the rows of x that are listed for it. One fork-join
// for all experts.
struct ExpertJob {
  const Weight* weight = nullptr;    // [N, K]
  std::span<const float> bias;       // [N] or empty
  std::span<const uint32_t> x_rows;  // rows of x to multiply: M_e of them, possibly none
  MatView<float> out;                // [M_e, N]
  Activations activations = Activations::k8Bit;
};
void linear_experts(Context& ctx, MatView<const float> x, std::span<const ExpertJob> jobs);

// out[i] = row ids[i] of `table`, decoded exactly. out: [n, cols].
void embed(Context& ctx, const Weight& table, std::span<const int32_t> ids, MatView<float> out);

}  // namespace atelier::ops
