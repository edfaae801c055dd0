// OpenAI: the body of /v1/chat/completions as a task, and its answers. Source: the API reference of
// platform.openai.com, and for `reasoning` and `reasoning_content` what vLLM and the gpt-oss guides do.
#pragma once

#include <memory>

#include "server/fields.h"
#include "server/reply.h"
#include "server/task.h"

namespace atelier::server {

struct ChatRequest {
  Task task{};
  bool stream = false;
  bool include_usage = false;
};
Result<ChatRequest> parse_chat_request(const Json& body);

std::unique_ptr<Reply> make_chat_reply(const ChatRequest& request);

}  // namespace atelier::server
