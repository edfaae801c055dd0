// The LLaMA family: Llama 2 and 3.x, SmolLM2, TinyLlama, and others of the same blocks. RMSNorm,
// grouped-query attention with rotary positions, SwiGLU. Source: meta-llama/llama-models,
// models/llama3/model.py.
#pragma once

#include <memory>
#include <vector>

#include "models/blocks/rope_scaling.h"
#include "models/model.h"
#include "models/weight_table.h"

namespace atelier {

struct LlamaConfig {
  size_t n_layers = 0;
  size_t d_model = 0;
  size_t n_heads = 0;
  size_t kv_heads = 0;
  size_t head_dim = 0;
  size_t ffn_dim = 0;
  size_t vocab_size = 0;
  size_t context_length = 0;
  float norm_eps = 1e-5f;
  RopeConfig rope;
  std::vector<TokenId> stop_tokens;

  size_t q_dim() const { return n_heads * head_dim; }
  size_t kv_dim() const { return kv_heads * head_dim; }
};

struct LlamaLayer {
  std::vector<float> attn_norm, ffn_norm;             // [d_model]
  Weight q, k, v, o;                                  // [q_dim | kv_dim | kv_dim, d_model], [d_model, q_dim]
  std::vector<float> q_bias, k_bias, v_bias, o_bias;  // empty unless published
  Weight gate, up, down;                              // [ffn_dim, d_model] twice, [d_model, ffn_dim]
};

struct LlamaWeights {
  Weight embedding;  // [vocab_size, d_model]
  std::vector<LlamaLayer> layers;
  std::vector<float> norm;  // [d_model]
  Weight head;              // [vocab_size, d_model]; empty: tied to the embedding
};

// The tensors of the architecture, bound to `weights` (whose layers it sizes).
WeightTable llama_table(const LlamaConfig& config, LlamaWeights& weights);

Result<std::unique_ptr<Model>> load_llama(std::shared_ptr<const Checkpoint> checkpoint,
                                          const LoadOptions& options);

}  // namespace atelier
