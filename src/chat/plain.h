// Models without a chat format: the conversation is written down as a dialogue that they continue.
#pragma once

#include "chat/dialect.h"

namespace atelier::chat {

// "SYSTEM\n\nUser: …\nAssistant: …\nUser: …\nAssistant:". The answer ends where the model begins to write the
// user's next line, or at its end of text. Refuses tools: nothing tells the model how to call them.
Result<std::unique_ptr<Dialect>> make_plain(std::shared_ptr<const Tokenizer> tokenizer);

}  // namespace atelier::chat
