// What a model may say in a turn: legal headers, calls whose arguments obey their schema, an answer in the
// form that was asked for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/tools/toolbox.h"
#include "chat/dialect.h"
#include "engine/constraint/constraint.h"
#include "engine/token_filter.h"

namespace atelier::agent {

// Follows one turn. Calls come in the order allowed, push, allowed, push, …
class TurnConstraint {
 public:
  virtual ~TurnConstraint() = default;
  // False: any token may come. True: `mask`, [token_mask_words(vocab_size)], is written.
  virtual Result<bool> allowed(std::span<uint64_t> mask) = 0;
  // `token` was sampled and `parser` has read it; `call`: name of the call begun last, empty before the
  // first.
  virtual void push(TokenId token, const chat::Parser& parser, const std::string& call) = 0;
  // The turn is over although no stop token was sampled.
  virtual bool complete() { return false; }
  // The turn stands inside of something that has to be closed before it can be used.
  virtual bool inside() const = 0;
};

struct TurnRulesOptions {
  std::shared_ptr<const chat::Dialect> dialect{};
  const Toolbox* toolbox = nullptr;
  bool constrain = true;        // false: anything may be said, for comparison
  std::string output_schema{};  // of the final answer; empty: text
};

// Made once per agent; turns share what it compiled. Compiles lazily: the first call of a tool pays for it.
class TurnRules {
 public:
  // Errors: an output schema that cannot be enforced.
  static Result<std::unique_ptr<TurnRules>> create(TurnRulesOptions options);
  ~TurnRules();

  // For the conversation as it stands; null where nothing is constrained.
  Result<std::unique_ptr<TurnConstraint>> begin(const chat::Conversation& conversation);

 private:
  struct Shared;
  explicit TurnRules(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  std::shared_ptr<Shared> shared_;
};

// Of the tokens in `mask` one that brings JSON to its end soonest: closing quotes and brackets first. -1 if
// none of the likely ones is allowed.
TokenId closing_token(std::span<const uint64_t> mask, const Tokenizer& tokenizer);

}  // namespace atelier::agent
