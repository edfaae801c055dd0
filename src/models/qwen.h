// Qwen2, Qwen2.5 and Qwen3, the dense ones: the LLaMA blocks with biases on q, k and v (Qwen2) or a norm on
// every query and key head (Qwen3). Source: huggingface/transformers, models/qwen2 and models/qwen3.
#pragma once

#include <memory>
#include <vector>

#include "models/blocks/rope_scaling.h"
#include "models/model.h"
#include "models/weight_table.h"

namespace atelier {

struct QwenConfig {
  bool qk_norm = false;  // Qwen3
  size_t n_layers = 0;
  size_t d_model = 0;
  size_t n_heads = 0;
  size_t kv_heads = 0;
  size_t head_dim = 0;
  size_t ffn_dim = 0;
  size_t vocab_size = 0;
  size_t context_length = 0;
  float norm_eps = 1e-6f;
  std::vector<size_t> windows;  // [n_layers] keys a query sees, its own included; 0: all
  RopeConfig rope;

  size_t q_dim() const { return n_heads * head_dim; }
  size_t kv_dim() const { return kv_heads * head_dim; }
};

struct QwenLayer {
  std::vector<float> attn_norm, ffn_norm;     // [d_model]
  Weight q, k, v, o;                          // [q_dim | kv_dim | kv_dim, d_model], [d_model, q_dim]
  std::vector<float> q_bias, k_bias, v_bias;  // Qwen2
  std::vector<float> q_norm, k_norm;          // [head_dim], Qwen3
  Weight gate, up, down;                      // [ffn_dim, d_model] twice, [d_model, ffn_dim]
};

struct QwenWeights {
  Weight embedding;  // [vocab_size, d_model]
  std::vector<QwenLayer> layers;
  std::vector<float> norm;  // [d_model]
  Weight head;              // [vocab_size, d_model]; empty: tied to the embedding
};

// The tensors of the architecture, bound to `weights` (whose layers it sizes).
WeightTable qwen_table(const QwenConfig& config, QwenWeights& weights);

Result<std::unique_ptr<Model>> load_qwen(std::shared_ptr<const Checkpoint> checkpoint,
                                         const LoadOptions& options);

}  // namespace atelier
