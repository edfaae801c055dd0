// Messages as JSON, as the session store keeps them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/conversation.h"
#include "chat/json_text.h"

namespace atelier::agent {

// One line; invalid UTF-8 becomes U+FFFD.
std::string message_text(const chat::Message& message);
// Errors: kCorrupt for what message_text() does not write.
Result<chat::Message> message_from(const chat::Json& json);

}  // namespace atelier::agent
