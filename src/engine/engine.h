// A loaded model, its cache and its threads: evaluates tokens of any number of sequences in one pass.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mat_view.h"
#include "base/result.h"
#include "base/threads.h"
#include "engine/draft_plan.h"
#include "engine/kv_cache.h"
#include "engine/sampler.h"
#include "engine/weight_cache.h"
#include "models/model.h"
#include "ops/context.h"
#include "text/tokenizer.h"

namespace atelier {

namespace constraint {
class ConstraintCache;
}

struct EngineOptions {
  size_t n_threads = 0;  // 0: one per physical core
  Pinning pin = Pinning::kAuto;
  Numerics numerics = Numerics::kFast;
  size_t context = 0;          // positions a sequence may reach; 0: what the model was trained for
  size_t prefill_chunk = 512;  // tokens of a prompt evaluated in one pass
  bool ignore_memory = false;  // load even if the estimate says it will not fit
  DenseWeights dense = DenseWeights::kAsPublished;
  size_t kv_bits = 16;        // of cached keys and values: 16, or 8 (kv_page.h); kReference takes 32
  DraftOptions drafts{};      // of tokens that are evaluated before they are sampled
  uint64_t max_kv_bytes = 0;  // of the KV cache; 0: what memory is left after the weights
  // Where packed weights are kept from run to run (weight_cache.h); empty: nowhere.
  std::filesystem::path weight_cache{};
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

// Thrown by an interlude, and by nothing else: forward passes are straight lines that cannot ask at every
// step whether anybody still wants them.
struct PassAbandoned {};

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
  // engine/constraint/constraint_cache.h, of the model's vocabulary; shared by all who use the engine.
  const std::shared_ptr<constraint::ConstraintCache>& constraints() const { return constraints_; }
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
  // id outside the vocabulary), kLimit (past the context), kOutOfMemory (KV cache), kIo (the model file was
  // changed or went away under us).
  //
  // `interlude`, if any, is called before each product and attention of a layer. It may evaluate other
  // sequences (without an interlude), which is how running streams get their tokens in the middle of a long
  // prompt's pass. It may throw PassAbandoned: the pass ends at once, with kInterrupted and no sequence
  // changed.
  Result<MatView<const float>> evaluate(std::span<const Item> items, const Interlude& interlude = {});

  // Continues `sequence` and returns the final states of all its new tokens, [tokens, d_model] float32, valid
  // until the next call: what the output head would read. Errors: those of evaluate(); kUnsupported for
  // scripted models, which have none.
  Result<MatView<const float>> states(KvSequence& sequence, std::span<const TokenId> tokens,
                                      const Interlude& interlude = {});

  // Passes so far: rows that an earlier one returned are valid as long as this does not change.
  uint64_t n_passes() const { return n_passes_; }

  // kIo once the model's files were changed or went away: evaluate() will not succeed again. Thread-safe.
  Status check_files() const;

  // The file of an earlier run that the packed weights stand in; empty if they do not.
  std::filesystem::path kept_weights() const { return packed_file_ ? packed_file_->path() : ""; }

  // Gives memory of the KV cache that no sequence holds back to the system.
  void trim_kv() { kv_pool_->trim(); }

 private:
  Engine(std::unique_ptr<Model> model, std::shared_ptr<const Tokenizer> tokenizer, ModelCard card,
         const EngineOptions& options);
  // One pass being put together; kept so that steady decoding allocates nothing.
  struct Pass {
    Pass(ThreadPool& pool, Numerics numerics) : context(pool, numerics) {}
    Context context;
    Buffer<float> logits;  // or states
    std::vector<TokenId> tokens;
    std::vector<int32_t> positions;
    std::vector<uint32_t> logit_rows;
    std::vector<ops::AttentionSequence> attention;                // [n_layers][items]
    std::vector<std::span<const ops::AttentionSequence>> layers;  // [n_layers]
  };

  Status check(const Item& item) const;
  Pass& next_pass(bool may_be_interrupted);
  Status prepare(std::span<const Item> items, Pass& pass) const;
  Status run(std::span<const Item> items, Pass& pass, const Interlude& interlude, MatView<float> logits,
             MatView<float> states);
  void put_together(std::span<const Item> items, Pass& pass) const;

  std::shared_ptr<const Checkpoint> checkpoint_;  // whose files are asked after each pass; may be null
  std::optional<PackedFile> packed_file_;         // that the model's weights stand in, if they do
  std::unique_ptr<Model> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<constraint::ConstraintCache> constraints_;
  ModelCard card_;
  EngineOptions options_;
  ThreadPool pool_;
  std::unique_ptr<KvPool> kv_pool_;
  std::array<Pass, 2> passes_;                // the outer one, and that of its interludes
  size_t depth_ = 0;                          // passes under way
  uint64_t n_passes_ = 0;                     // begun
  std::unique_ptr<BackgroundKeeper> keeper_;  // of a file for the next run; last, as it reads the model
};

// What running `info` with these options takes.
MemoryEstimate estimate_memory(const ModelInfo& info, const EngineOptions& options);

}  // namespace atelier
