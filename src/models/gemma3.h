// Gemma 3, the text model: norms before and after both blocks, norms on query and key heads, GeGLU, a scaled
// embedding that serves as head too, and windows of its own rope base on most layers. Source:
// google/gemma_pytorch, gemma/model.py; huggingface/transformers, models/gemma3.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/blocks/rope_scaling.h"
#include "models/model.h"
#include "models/weight_table.h"

namespace atelier {

struct Gemma3Config {
  size_t n_layers = 0;
  size_t d_model = 0;
  size_t n_heads = 0;
  size_t kv_heads = 0;
  size_t head_dim = 0;
  size_t ffn_dim = 0;
  size_t vocab_size = 0;
  size_t context_length = 0;
  float norm_eps = 1e-6f;
  float attention_scale = 0;         // multiplies q·k
  float softcap = 0;                 // of attention scores; 0: off
  std::vector<size_t> windows;       // [n_layers] keys a query sees, its own included; 0: all
  RopeConfig global_rope;            // of layers that see everything
  RopeConfig local_rope;             // of the others
  std::string hf_prefix = "model.";  // "language_model.model." inside the image-and-text models

  size_t q_dim() const { return n_heads * head_dim; }
  size_t kv_dim() const { return kv_heads * head_dim; }
};

struct Gemma3Layer {
  std::vector<float> attn_norm, post_attn_norm, ffn_norm, post_ffn_norm;  // [d_model]
  Weight q, k, v, o;                  // [q_dim | kv_dim | kv_dim, d_model], [d_model, q_dim]
  std::vector<float> q_norm, k_norm;  // [head_dim]
  Weight gate, up, down;              // [ffn_dim, d_model] twice, [d_model, ffn_dim]
};

struct Gemma3Weights {
  Weight embedding;  // [vocab_size, d_model]
  std::vector<Gemma3Layer> layers;
  std::vector<float> norm;  // [d_model]
  Weight head;              // tied to the embedding in all published models
};

// The tensors of the architecture, bound to `weights` (whose layers it sizes).
WeightTable gemma3_table(const Gemma3Config& config, Gemma3Weights& weights);

Result<std::unique_ptr<Model>> load_gemma3(std::shared_ptr<const Checkpoint> checkpoint,
                                           const LoadOptions& options);

}  // namespace atelier
