// Anthropic: the body of /v1/messages as a task, and its answers. Source: the API reference of
// docs.anthropic.com.
#pragma once

#include <memory>

#include "server/fields.h"
#include "server/reply.h"
#include "server/task.h"

namespace atelier::server {

struct MessagesRequest {
  Task task{};
  bool stream = false;
  bool thinking = false;  // the client wants to see it
};
// With `counting`, what count_tokens takes: no max_tokens is needed.
Result<MessagesRequest> parse_messages_request(const Json& body, bool counting);

std::unique_ptr<Reply> make_messages_reply(const MessagesRequest& request);

}  // namespace atelier::server
