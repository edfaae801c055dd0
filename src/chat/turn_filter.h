// What keeps a generation inside its format: legal headers, constraints, stop strings, and the end of the
// turn.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "chat/dialect.h"
#include "engine/constraint/constraint_cache.h"
#include "engine/token_filter.h"

namespace atelier::chat {

struct TurnFilterOptions {
  std::shared_ptr<const Dialect> dialect{};
  std::shared_ptr<const Conversation> conversation{};  // the one to be answered
  std::vector<std::string> stops{};                    // end the turn before this text of the answer
  std::shared_ptr<constraint::ConstraintCache>
      constraints{};  // of the dialect's tokenizer: Engine::constraints()
};

// For GenerationRequest::filter. Enforces what turn_constraint.h says of the conversation's tools,
// tool_choice and response_format; errors are those of make_turn_constraint: what cannot be guaranteed is
// refused. Ends the generation where a stop string is completed in the text of the answer (not in reasoning
// or arguments), where the parser sees the turn's end, and after the first call where no more are wanted.
Result<std::unique_ptr<TokenFilter>> make_turn_filter(TurnFilterOptions options);

struct TextFilterOptions {
  std::shared_ptr<constraint::ConstraintCache> constraints{};
  ResponseFormat format{};
  std::vector<std::string> stops{};
  std::vector<TokenId> stop_tokens{};  // may come where the text is complete
};
// The same for raw text without a dialect. Null if nothing is asked of it. Errors: a format that cannot be
// guaranteed.
Result<std::unique_ptr<TokenFilter>> make_text_filter(TextFilterOptions options);

}  // namespace atelier::chat
