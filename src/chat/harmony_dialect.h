// gpt-oss: the neutral conversation in harmony.
#pragma once

#include "chat/dialect.h"
#include "chat/harmony.h"

namespace atelier::chat {

Result<std::unique_ptr<Dialect>> make_harmony(std::shared_ptr<const Tokenizer> tokenizer);

namespace harmony {

// The messages a conversation becomes, reasoning of finished turns included: a system message of the model's
// own, the caller's system texts with tools and response format as the developer message, then the rest.
Result<std::vector<Message>> messages_of(const Conversation& conversation);

}  // namespace harmony
}  // namespace atelier::chat
