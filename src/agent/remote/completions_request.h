// A conversation as the body of a request to POST /v1/chat/completions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "chat/conversation.h"

namespace atelier::agent {

struct CompletionsOptions {
  std::string model{};
  std::optional<size_t> max_tokens{};
  // What was asked for; servers know better what suits their model.
  std::optional<float> temperature{}, top_p{};
  std::optional<uint64_t> seed{};
};

// Streamed, with usage at the end, and one call a turn. Text that is not UTF-8 is replaced.
std::string completions_request(const chat::Conversation& conversation, const CompletionsOptions& options);

}  // namespace atelier::agent
