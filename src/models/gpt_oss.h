// gpt-oss (20b, 120b): attention with sinks, alternately over a window of 128 tokens and over everything;
// YaRN positions; a mixture of experts in every layer. Source: openai/gpt-oss, gpt_oss/torch/model.py, which
// the reference numerics equal; docs/models/gpt-oss.md says where others part from it.
#pragma once

#include <memory>
#include <vector>

#include "models/blocks/rope_scaling.h"
#include "models/model.h"
#include "models/weight_table.h"

namespace atelier {

struct GptOssConfig {
  size_t n_layers = 0;
  size_t d_model = 0;
  size_t n_heads = 0;
  size_t kv_heads = 0;
  size_t head_dim = 0;
  size_t n_experts = 0;
  size_t n_active = 0;  // experts a token is sent to
  size_t ffn_dim = 0;   // of one expert
  size_t vocab_size = 0;
  size_t context_length = 0;
  float norm_eps = 1e-5f;
  float swiglu_limit = 7.0f;
  std::vector<size_t> windows;  // [n_layers] keys a query sees, its own included; 0: all
  RopeConfig rope;
  std::vector<TokenId> stop_tokens;

  size_t q_dim() const { return n_heads * head_dim; }
  size_t kv_dim() const { return kv_heads * head_dim; }
};

struct GptOssLayer {
  std::vector<float> attn_norm, ffn_norm;             // [d_model]
  Weight q, k, v, o;                                  // [q_dim | kv_dim | kv_dim, d_model], [d_model, q_dim]
  std::vector<float> q_bias, k_bias, v_bias, o_bias;  // [q_dim], [kv_dim], [kv_dim], [d_model]
  std::vector<float> sinks;                           // [n_heads]
  Weight router;                                      // [n_experts, d_model]
  std::vector<float> router_bias;                     // [n_experts]
  std::vector<Weight> gate, up, down;  // [n_experts] of [ffn_dim, d_model] twice, [d_model, ffn_dim]
  std::vector<float> gate_bias, up_bias, down_bias;  // [n_experts · ffn_dim] twice, [n_experts · d_model]
};

struct GptOssWeights {
  Weight embedding;  // [vocab_size, d_model]
  std::vector<GptOssLayer> layers;
  std::vector<float> norm;  // [d_model]
  Weight head;              // [vocab_size, d_model], never tied
};

// The tensors of the architecture, bound to `weights` (whose layers it sizes).
WeightTable gpt_oss_table(const GptOssConfig& config, GptOssWeights& weights);

Result<std::unique_ptr<Model>> load_gpt_oss(std::shared_ptr<const Checkpoint> checkpoint,
                                            const LoadOptions& options);

}  // namespace atelier
