// ChatML: <|im_start|>role … <|im_end|>, as SmolLM2, Qwen and many others use it.
#pragma once

#include "chat/dialect.h"

namespace atelier::chat {

// The system message the template supplies when the caller gives none is read out of `chat_template`. Tools
// are declared and called as Qwen2.5 does (<tools>, <tool_call>, <tool_response>), also for models whose own
// template knows none.
Result<std::unique_ptr<Dialect>> make_chatml(std::shared_ptr<const Tokenizer> tokenizer,
                                             std::string_view chat_template);

// The literal text between "<|im_start|>system" and "<|im_end|>" in a Jinja template; empty if there is none.
std::string default_system_of(std::string_view chat_template);

}  // namespace atelier::chat
