// A loaded model, its cache and its threads: evaluates tokens of any number of sequences in one pass.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mat_view.h"
#include "base/result.h"
#include "base/threads.h"
#include "engine/kv_cache.h"
#include "engine/sampler.h"
#include "models/model.h"
#include "ops/context.h"
#include "text/tokenizer.h"

namespace atelier {

struct EngineOptions {
  size_t n_threads = 0;  // 0: one per physical core
  Numerics numerics = Numerics::kFast;
  size_t context = 0;          // positions a sequence may reach; 0: what the model was trained for
  size_t prefill_chunk = 512;  // tokens of a prompt evaluated in one pass
  bool ignore_memory = false;  // load even if the estimate says it will not fit
};

// What a model's files say about using it, beside its weights and vocabulary.
struct ModelCard {
  std::filesystem::path path;  // of the files
  std::string chat_template;   // Jinja text; empty if there is none
  SamplerOptions sampling;     // recommended by the publisher
};

// Bytes of memory that running needs.
struct MemoryEstimate {
  uint64_t packed_bytes = 0;      // weights in compute layout
  uint64_t in_place_bytes = 0;    // weights read where the file is mapped
  uint64_t kv_bytes = 0;          // one sequence of the whole context
  uint64_t activation_bytes = 0;  // of one chunk
  uint64_t total() const { return packed_bytes + in_place_bytes + kv_bytes + activation_bytes; }
};

class Engine {
 public:
  // Opens, checks and packs a model. Errors: those of Checkpoint and load_model; kOutOfMemory, said before
  // anything is allocated, with needed and available bytes.
  static Result<std::unique_ptr<Engine>> load(const std::filesystem::path& path,
                                              const EngineOptions& options);

  // For models that are no files: `options.context` 0 is the model's own. No memory is checked.
  static std::unique_ptr<Engine> create(std::unique_ptr<Model> model,
                                        std::shared_ptr<const Tokenizer> tokenizer, ModelCard card,
                                        const EngineOptions& options);

  const ModelInfo& info() const { return model_->info(); }
  const ModelCard& card() const { return card_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const std::shared_ptr<const Tokenizer>& shared_tokenizer() const { return tokenizer_; }
  const EngineOptions& options() const { return options_; }
  size_t context_length() const { return options_.context; }
  ThreadPool& pool() { return pool_; }
  const KvPool& kv_pool() const { return *kv_pool_; }

  KvSequence new_sequence() { return KvSequence(*kv_pool_); }

  // Which of an item's tokens the caller wants logits of.
  enum class Logits { kNone, kLast, kAll };
  struct Item {
    KvSequence* sequence = nullptr;
    std::span<const TokenId> tokens;  // continue the sequence
    Logits logits = Logits::kLast;
  };
  // One pass over all items; a sequence appears at most once. Returns the wanted logits in item order, [R,
  // vocab_size], valid until the next call. On an error no sequence has changed. Errors: kInvalidArgument (an
  // id outside the vocabulary), kLimit (past the context), kOutOfMemory (KV cache), kIo (the model file went
  // away under us).
  Result<MatView<const float>> evaluate(std::span<const Item> items);

 private:
  Engine(std::unique_ptr<Model> model, std::shared_ptr<const Tokenizer> tokenizer, ModelCard card,
         const EngineOptions& options);
  Status check(const Item& item) const;

  std::unique_ptr<Model> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  ModelCard card_;
  EngineOptions options_;
  ThreadPool pool_;
  Context context_;
  std::unique_ptr<KvPool> kv_pool_;
  Buffer<float> logits_;

  // The batch being put together; kept so that steady decoding allocates nothing.
  std::vector<TokenId> tokens_;
  std::vector<int32_t> positions_;
  std::vector<uint32_t> logit_rows_;
  std::vector<ops::AttentionSequence> attention_;                // [n_layers][items]
  std::vector<std::span<const ops::AttentionSequence>> layers_;  // [n_layers]
};

// What running `info` with these options takes.
MemoryEstimate estimate_memory(const ModelInfo& info, const EngineOptions& options);

}  // namespace atelier
