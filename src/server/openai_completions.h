// OpenAI: the body of /v1/completions as a task, and its answers.
#pragma once

#include <memory>

#include "server/fields.h"
#include "server/reply.h"
#include "server/task.h"

namespace atelier::server {

struct CompletionRequest {
  Task task{};
  bool echo = false;
  bool stream = false;
  bool include_usage = false;
};
Result<CompletionRequest> parse_completion_request(const Json& body);

std::unique_ptr<Reply> make_completion_reply(const CompletionRequest& request);

}  // namespace atelier::server
