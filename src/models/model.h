// What the engine sees of an architecture: its size, what its cache must hold, and one forward pass over a
// batch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mat_view.h"
#include "base/result.h"
#include "io/checkpoint.h"
#include "kernels/kv_page.h"
#include "models/load_options.h"
#include "ops/attention.h"
#include "ops/context.h"
#include "ops/weight.h"
#include "text/tokenizer.h"

namespace atelier {

// What one layer keeps per position.
struct LayerCache {
  KvGeometry geometry;  // `type` is the engine's choice; models leave it at the default
  size_t window = 0;    // keys a query sees, its own included; 0: all
};

struct ModelInfo {
  std::string architecture;  // the registry's name: "llama", "gpt-oss"
  size_t n_layers = 0;
  size_t d_model = 0;
  size_t vocab_size = 0;
  size_t context_length = 0;        // positions the publisher trained for
  bool hard_context_limit = false;  // learned positions: past context_length there is nothing to compute with
  std::vector<LayerCache> cache;    // [n_layers]
  std::vector<TokenId> stop_tokens;
  uint64_t n_params = 0;         // every weight once; a tied head is not counted again
  uint64_t n_active_params = 0;  // of these, what one token is multiplied with
  uint64_t weight_bytes = 0;     // as published
  uint64_t packed_bytes = 0;     // of the compute layouts the fast path builds
  uint64_t in_place_bytes = 0;   // of weights the fast path reads where the file is mapped
  // Bytes of weights that decoding one token reads, in compute layout.
  uint64_t bytes_per_token = 0;
  uint64_t expert_bytes = 0;  // of all experts, in compute layout
  double expert_share = 1;    // of which one token meets this part

  // Bytes of weights that a pass of `n_tokens` reads on average where every expert is as likely as another.
  double bytes_per_pass(size_t n_tokens) const;
};

// New tokens of several sequences, evaluated in one pass.
struct Batch {
  std::span<const TokenId> tokens;       // [M]
  std::span<const int32_t> positions;    // [M]
  std::span<const uint32_t> logit_rows;  // ascending rows of [0, M) whose logits are wanted: R of them
  // kv[layer]: one entry per sequence, pages of that layer; rows of all entries partition [0, M).
  std::span<const std::span<const ops::AttentionSequence>> kv;
  KvType kv_type = KvType::kF16;  // how the pages hold keys and values
  // Where somebody wants them: the final states that the output head reads, one row for each of logit_rows,
  // [R, d_model]. No logits are computed then.
  MatView<float> states{};
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelInfo& info() const = 0;

  // Every matrix that products read, in a fixed order: what packing is about. None where nothing is computed.
  virtual std::vector<Weight*> multiplied_weights() = 0;
  // Builds the compute layouts the fast path needs, where they are not there yet. Called once, unless
  // numerics are kReference.
  void pack(ThreadPool& pool);

  // Computes the batch, writes its keys and values through batch.kv and R rows of logits: [R, vocab_size]
  // float32. The caller has checked ids against vocab_size and positions against the cache. Resets
  // ctx.arena().
  virtual void forward(Context& ctx, const Batch& batch, MatView<float> logits) const = 0;
};

// Reads the configuration, checks every tensor against the architecture's weight table and binds them; copies
// nothing large. Errors: kUnsupported (architecture, format), kNotFound (tensor), kCorrupt (shape,
// configuration).
Result<std::unique_ptr<Model>> load_model(std::shared_ptr<const Checkpoint> checkpoint,
                                          const LoadOptions& options = {});

// Names of all architectures in the registry.
std::vector<std::string_view> model_architectures();

}  // namespace atelier
