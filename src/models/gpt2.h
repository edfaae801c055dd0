// GPT-2: learned positions, LayerNorm with bias, one matrix for q, k and v, GELU. Source: openai/gpt-2,
// src/model.py.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/model.h"
#include "models/weight_table.h"

namespace atelier {

struct Gpt2Config {
  size_t n_layers = 0;
  size_t d_model = 0;
  size_t n_heads = 0;
  size_t ffn_dim = 0;
  size_t vocab_size = 0;
  size_t context_length = 0;
  float norm_eps = 1e-5f;
  std::string hf_prefix;  // "transformer." in files written by newer transformers, nothing in OpenAI's

  size_t head_dim() const { return d_model / n_heads; }
};

struct Gpt2Layer {
  std::vector<float> attn_norm, attn_norm_bias, ffn_norm, ffn_norm_bias;  // [d_model]
  Weight q, k, v, o;                                                      // [d_model, d_model]
  std::vector<float> q_bias, k_bias, v_bias, o_bias;                      // [d_model]
  Weight up, down;                        // [ffn_dim, d_model], [d_model, ffn_dim]
  std::vector<float> up_bias, down_bias;  // [ffn_dim], [d_model]
};

struct Gpt2Weights {
  Weight embedding;  // [vocab_size, d_model]
  Weight positions;  // [context_length, d_model]
  std::vector<Gpt2Layer> layers;
  std::vector<float> norm, norm_bias;  // [d_model]
  Weight head;                         // [vocab_size, d_model]; empty: tied to the embedding
};

// The tensors of the architecture, bound to `weights` (whose layers it sizes).
WeightTable gpt2_table(const Gpt2Config& config, Gpt2Weights& weights);

Result<std::unique_ptr<Model>> load_gpt2(std::shared_ptr<const Checkpoint> checkpoint,
                                         const LoadOptions& options);

}  // namespace atelier
