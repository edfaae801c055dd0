// What may be said in a turn: legal headers, calls whose arguments obey their tools' schemas, an answer in
// the form that was asked for, and no token that the format has no place for.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "chat/dialect.h"
#include "engine/constraint/constraint_cache.h"

namespace atelier::chat {

// Follows one turn. Calls come in the order allowed, push, allowed, push, …
class TurnConstraint {
 public:
  virtual ~TurnConstraint() = default;
  // As TokenFilter::allowed().
  virtual Result<bool> allowed(std::span<uint64_t> mask) = 0;
  // `token` was sampled and `parser` has read it; `call`: the name of the call begun last, empty before the
  // first.
  virtual void push(TokenId token, const Parser& parser, const std::string& call) = 0;
  // The turn is over although no stop token was sampled.
  virtual bool complete() { return false; }
  // The turn stands inside of something that has to be closed before it can be used: a call, an answer in a
  // form.
  virtual bool inside() = 0;
  // The bytes that must come next, as far as there is no choice; at most `max_bytes`.
  // constraint::forced_tokens() cuts them into tokens.
  virtual std::string forced(size_t max_bytes = 4096) = 0;
  // The shortest text that begins with `first` and brings what the turn is inside of to its end, `first` not
  // left out. Empty where there is none.
  virtual std::string completion(std::string_view first = {}) = 0;
};

// The arguments of a tool by a grammar of the caller's instead of by its schema.
struct ArgumentsLanguage {
  std::string key;  // equal keys, equal grammars
  std::function<Result<constraint::ExprId>(constraint::JsonLanguage&)> build;
};
struct TurnConstraintOptions {
  // Asked for each tool; nothing: its schema stands.
  std::function<std::optional<ArgumentsLanguage>(const FunctionTool& tool)> arguments{};
};

// The turn that answers `conversation`: its tools, tool_choice, parallel_tool_calls and response_format. Null
// where nothing is to be enforced. `constraints` are those of the dialect's tokenizer. Errors say which tool
// or format cannot be guaranteed, and why: kUnsupported, kInvalidArgument, kLimit.
Result<std::unique_ptr<TurnConstraint>> make_turn_constraint(
    const Dialect& dialect, const Conversation& conversation,
    std::shared_ptr<constraint::ConstraintCache> constraints, const TurnConstraintOptions& options = {});

// What the answer has to be; null for text.
Result<std::shared_ptr<constraint::Constraint>> answer_constraint(const ResponseFormat& format,
                                                                  constraint::ConstraintCache& constraints);

}  // namespace atelier::chat
