// One conversation's tokens and cache: give it the prompt you want, it computes only what is not there yet.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "engine/engine.h"

namespace atelier {

struct PrefillOptions {
  const std::atomic<bool>* cancel = nullptr;  // looked at between chunks
  std::function<void(size_t done, size_t total)> on_progress =
      {};  // tokens computed so far of those to compute
};

class Session {
 public:
  explicit Session(Engine& engine) : engine_(&engine), cache_(engine.new_sequence()) {}

  Engine& engine() const { return *engine_; }
  // Exactly the tokens whose keys and values are in the cache.
  std::span<const TokenId> tokens() const { return tokens_; }

  // Makes the cache hold exactly `prompt` (not empty), keeping the longest common prefix, and returns the
  // logits that follow it: [vocab_size], valid until the next call. Errors: those of evaluate();
  // kInterrupted, with the chunks done so far kept.
  Result<std::span<const float>> prefill(std::span<const TokenId> prompt, const PrefillOptions& options = {});
  // Appends one token and returns the logits that follow it.
  Result<std::span<const float>> append(TokenId token);

  // Of the last prefill: prompt tokens found in the cache, and tokens computed.
  size_t reused() const { return reused_; }
  size_t computed() const { return computed_; }

 private:
  Engine* engine_;
  KvSequence cache_;
  std::vector<TokenId> tokens_;
  size_t reused_ = 0;
  size_t computed_ = 0;
};

}  // namespace atelier
