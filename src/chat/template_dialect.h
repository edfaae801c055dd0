// Models of no family we know converse through the chat template in their files.
#pragma once

#include "chat/dialect.h"

namespace atelier::chat {

// Everything that the other dialects know by heart is found out by asking the template: how a turn ends (the
// first control token behind an assistant's text), and whether the prompt opens the reasoning itself. Tool
// calls are read in the JSON forms that the template mentions (<tool_call>, [TOOL_CALLS], <|python_tag|>,
// bare JSON, …), reasoning between <think> and </think>. Control tokens come from the template's own text
// only.
//
// Errors: those of ChatTemplate::parse. Rendering fails where the template refuses (kInvalidArgument, with
// its words), for tools it does not mention and for built-in tools (kUnsupported).
Result<std::unique_ptr<Dialect>> make_template(std::shared_ptr<const Tokenizer> tokenizer,
                                               std::string_view chat_template);

}  // namespace atelier::chat
