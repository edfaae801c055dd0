// The keys and values of one conversation, with places it can be taken back to.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/kv_store.h"
#include "engine/session.h"

namespace atelier::agent {

// As Session, but it remembers checkpoints: models with sliding windows cannot forget their last tokens, they
// can only go on from a place that was kept. A checkpoint costs no copy: it shares pages.
class LiveCache {
 public:
  // `max_checkpoints`: older ones are let go first, the very first (the stable prefix) never.
  explicit LiveCache(Engine& engine, size_t max_checkpoints = 24)
      : engine_(&engine), max_checkpoints_(max_checkpoints), cache_(engine.new_sequence()) {}

  Engine& engine() const { return *engine_; }
  std::span<const TokenId> tokens() const { return tokens_; }

  // Keeps places on disk too, and finds them there; null: no more. The store must outlive the cache.
  void use(KvStore* store) { store_ = store; }

  // Makes the cache hold exactly `prompt`, going on from whatever shares most with it: the present sequence,
  // a checkpoint, or what is on disk. [vocab_size] logits, valid until the next call. Errors: those of
  // Session::prefill; a cancelled one ends within a layer.
  Result<std::span<const float>> prefill(std::span<const TokenId> prompt, const PrefillOptions& options = {});
  // The same without logits, for what will be needed later.
  Status compute(std::span<const TokenId> prompt, const PrefillOptions& options = {});
  // At least one token; more than one is read as one batch.
  Result<std::span<const float>> append(std::span<const TokenId> tokens);
  // Keeps the present place.
  void keep();
  // Puts the present place and the last one kept on disk, beside whatever comes next.
  void save();

  // Of the last prefill.
  size_t reused() const { return reused_; }
  size_t computed() const { return computed_; }
  // In the engine, since the cache was made.
  double engine_seconds() const { return engine_seconds_; }

 private:
  struct Checkpoint {
    std::vector<TokenId> tokens;
    KvSequence cache;
  };
  void go_back_for(std::span<const TokenId> prompt);
  Result<std::span<const float>> run(std::span<const TokenId> prompt, const PrefillOptions& options,
                                     Engine::Logits logits);
  Result<std::span<const float>> evaluate(std::span<const TokenId> tokens, Engine::Logits logits,
                                          const std::atomic<bool>* cancel = nullptr);

  Engine* engine_;
  KvStore* store_ = nullptr;
  size_t max_checkpoints_;
  KvSequence cache_;
  std::vector<TokenId> tokens_;
  std::deque<Checkpoint> checkpoints_;  // by age
  size_t reused_ = 0;
  size_t computed_ = 0;
  double engine_seconds_ = 0;
};

}  // namespace atelier::agent
