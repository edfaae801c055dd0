// Llama 3: <|start_header_id|>role<|end_header_id|> … <|eot_id|>.
#pragma once

#include "chat/dialect.h"

namespace atelier::chat {

// Two forms, told apart by the template: Llama 3 (bare messages), and 3.1 and later (a system message with
// dates; tools as JSON in the first user message; results from "ipython").
Result<std::unique_ptr<Dialect>> make_llama3(std::shared_ptr<const Tokenizer> tokenizer,
                                             std::string_view chat_template);

}  // namespace atelier::chat
