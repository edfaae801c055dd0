// One conversation's tokens and cache: give it the prompt you want, it computes only what is not there yet.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/lookahead.h"

namespace atelier {

struct PrefillOptions {
  const std::atomic<bool>* cancel = nullptr;  // looked at between chunks
  std::function<void(size_t done, size_t total)> on_progress =
      {};  // tokens computed so far of those to compute
};

class Session {
 public:
  explicit Session(Engine& engine) : engine_(&engine), cache_(engine.new_sequence()), lookahead_(engine) {}

  Engine& engine() const { return *engine_; }
  // The tokens the session holds.
  std::span<const TokenId> tokens() const { return tokens_; }

  // Makes the cache hold exactly `prompt` (not empty), keeping the longest common prefix, and returns the
  // logits that follow it: [vocab_size], valid until the next call. Errors: those of evaluate();
  // kInterrupted, with the chunks done so far kept.
  Result<std::span<const float>> prefill(std::span<const TokenId> prompt, const PrefillOptions& options = {});
  // Appends one token and returns the logits that follow it, as prefill() does. Tokens that are likely to
  // come next may be evaluated in the same pass.
  Result<std::span<const float>> append(TokenId token);

  // Of the last prefill: prompt tokens found in the cache, and tokens computed.
  size_t reused() const { return reused_; }
  size_t computed() const { return computed_; }
  // Of all append().
  const LookaheadCounts& lookahead() const { return lookahead_.counts(); }

 private:
  Engine* engine_;
  KvSequence cache_;  // of tokens_, and of what was evaluated ahead
  Lookahead lookahead_;
  std::vector<TokenId> tokens_;
  size_t reused_ = 0;
  size_t computed_ = 0;
};

}  // namespace atelier
