// Sampling one sequence token by token, while several tokens are evaluated at a time where they can be
// guessed.
//
// The caller sees the same logits, to the bit, and in the same order as if each token had been evaluated by
// itself: a pass's rows do not depend on each other's company. What was guessed wrong is taken out of the
// cache again.
#pragma once

#include <span>
#include <vector>

#include "engine/draft_plan.h"
#include "engine/drafter.h"
#include "engine/engine.h"

namespace atelier {

struct LookaheadCounts {
  size_t tokens = 0;    // appended
  size_t passes = 0;    // it took
  size_t drafted = 0;   // guessed tokens evaluated
  size_t accepted = 0;  // of them, right

  LookaheadCounts since(const LookaheadCounts& before) const {
    return {tokens - before.tokens, passes - before.passes, drafted - before.drafted,
            accepted - before.accepted};
  }
};

class Lookahead {
 public:
  explicit Lookahead(Engine& engine) : engine_(&engine), cost_(engine.options().drafts.row_cost) {}

  // The cache's first tokens.size() positions hold `tokens`; appends `token` and returns the logits that
  // follow it, [vocab_size], valid until the next evaluation by anybody. The cache may come to hold more than
  // was appended. Errors: those of Engine::evaluate; nothing has changed then.
  Result<std::span<const float>> append(KvSequence& cache, std::span<const TokenId> tokens, TokenId token);
  // Takes what was only guessed out of the cache: it then holds the first `n_tokens`. To be called before
  // anything but append() uses the cache.
  void settle(KvSequence& cache, size_t n_tokens);

  const LookaheadCounts& counts() const { return counts_; }

 private:
  void catch_up(std::span<const TokenId> tokens);
  Result<std::span<const float>> evaluate(KvSequence& cache, size_t n_tokens, TokenId token);

  Engine* engine_;
  Drafter drafter_;
  PassCost cost_;
  LookaheadCounts counts_;
  std::vector<TokenId> pass_;  // the tokens of the last pass: one that was sampled, then guesses
  MatView<const float> rows_;  // the logits after each of them
  size_t used_ = 0;            // of the rows
  uint64_t stamp_ = 0;         // the engine's count of passes when that one was done
};

}  // namespace atelier
