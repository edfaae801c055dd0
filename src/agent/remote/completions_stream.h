// The answer to a streamed POST /v1/chat/completions, read as it comes: server-sent events, each a piece of
// one assistant's message.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/conversation.h"
#include "chat/dialect.h"

namespace atelier::agent {

struct CompletionsUsage {
  size_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;
};

// Whatever comes is read without trust: lines and the message are bounded.
class CompletionsStream {
 public:
  // `on_delta` may be null. Calls without an id get one from the conversation's count, "call_<n>".
  CompletionsStream(size_t n_previous_calls, std::function<void(const chat::Delta&)> on_delta)
      : on_delta_(std::move(on_delta)), n_previous_calls_(n_previous_calls) {}

  // More bytes, cut anywhere. Errors: kIo, what the server reports within the stream; kCorrupt, an event that
  // is no JSON; kLimit.
  Status push(std::string_view bytes);
  bool begun() const { return begun_; }  // something of the message has come
  // Whether the server has said how the message ends; without it the stream broke off.
  bool ended() const { return !finish_.empty(); }

  // The message so far; calls that may not be whole are marked. Call once.
  chat::Message take();
  chat::FinishReason finish_reason() const;
  const CompletionsUsage& usage() const { return usage_; }

 private:
  Status line(std::string_view line);
  Status event(std::string_view data);
  void text(chat::Delta::Kind kind, std::string& to, std::string_view more);
  void end_call();

  std::function<void(const chat::Delta&)> on_delta_;
  size_t n_previous_calls_;
  std::string rest_;  // of a line that has not ended
  std::string finish_;
  bool begun_ = false, in_call_ = false;
  size_t bytes_ = 0;
  long last_index_ = -1;  // of the calls, the server's
  chat::Message message_{.role = chat::Role::kAssistant};
  CompletionsUsage usage_;
};

// What a body that is no stream says went wrong: {"error": {"message": …}}, in one line and not too long.
std::string error_text(std::string_view body);

}  // namespace atelier::agent
