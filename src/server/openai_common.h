// What the OpenAI families share: events, usage, log-probabilities.
#pragma once

#include <span>
#include <string>

#include "server/json_out.h"
#include "server/task.h"

namespace atelier::server {

// "data: {…}\n\n"
void append_event(const OrderedJson& data, std::string& out);
inline constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";

// Chat Completions and Completions.
OrderedJson completion_usage(const Outcome& outcome);

std::string_view openai_finish(Finish finish);  // "stop", "length", "tool_calls"

// {"token", "logprob", "bytes", "top_logprobs": […]} for each.
OrderedJson chat_logprobs(std::span<const TokenInfo> tokens, const Tokenizer& tokenizer);

}  // namespace atelier::server
