#include "agent/remote/completions_stream.h"

#include <algorithm>

#include "agent/tools/output_text.h"
#include "chat/json_text.h"

namespace atelier::agent {
namespace {

using chat::Delta;
using chat::Json;

constexpr size_t kMaxLineBytes = size_t{4} << 20;
constexpr size_t kMaxMessageBytes = size_t{32} << 20;
constexpr size_t kMaxErrorText = 400;

size_t count_of(const Json* value, const char* key) {
  const Json* number = value == nullptr ? nullptr : chat::member(*value, key);
  return number != nullptr && number->is_number_unsigned() ? number->get<size_t>() : 0;
}

}  // namespace

std::string error_text(std::string_view body) {
  std::string text(body);
  if (const auto json = chat::parse_json(body, "error")) {
    const Json* error = chat::member(*json, "error");
    const std::string* message = error == nullptr     ? chat::string_member(*json, "message")
                                 : error->is_string() ? error->get_ptr<const std::string*>()
                                                      : chat::string_member(*error, "message");
    if (message != nullptr) text = *message;
  }
  text = plain_text(text.substr(0, kMaxErrorText));
  std::ranges::replace(text, '\n', ' ');
  while (text.ends_with(' ')) text.pop_back();
  return text.empty() ? "no reason given" : text;
}

Status CompletionsStream::push(std::string_view bytes) {
  bytes_ += bytes.size();
  if (bytes_ > kMaxMessageBytes)
    return fail(ErrorCode::kLimit, "expected an answer of at most {} bytes, found more", kMaxMessageBytes);
  rest_ += bytes;
  size_t begin = 0;
  for (size_t end; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    std::string_view one = std::string_view(rest_).substr(begin, end - begin);
    if (one.ends_with('\r')) one.remove_suffix(1);
    ATELIER_CHECK_OK(line(one));
  }
  rest_.erase(0, begin);
  if (rest_.size() > kMaxLineBytes)
    return fail(ErrorCode::kLimit, "expected events of at most {} bytes, found more", kMaxLineBytes);
  return {};
}

// Comments keep connections open; other fields than data are not used by these servers.
Status CompletionsStream::line(std::string_view line) {
  constexpr std::string_view kData = "data:";
  if (!line.starts_with(kData)) return {};
  line.remove_prefix(kData.size());
  if (line.starts_with(' ')) line.remove_prefix(1);
  return line.empty() || line == "[DONE]" ? Status() : event(line);
}

void CompletionsStream::text(Delta::Kind kind, std::string& to, std::string_view more) {
  if (more.empty()) return;
  begun_ = true;
  to += more;
  if (on_delta_) on_delta_({.kind = kind, .text = std::string(more), .call = message_.tool_calls.size() - 1});
}

void CompletionsStream::end_call() {
  if (!std::exchange(in_call_, false)) return;
  message_.tool_calls.back().complete = true;
  if (on_delta_) on_delta_({.kind = Delta::Kind::kToolCallEnd, .call = message_.tool_calls.size() - 1});
}

Status CompletionsStream::event(std::string_view data) {
  ATELIER_TRY(const Json json, chat::parse_json(data, "event"));
  if (chat::member(json, "error") != nullptr) return fail(ErrorCode::kIo, "{}", error_text(data));
  if (const Json* usage = chat::member(json, "usage"); usage != nullptr && usage->is_object()) {
    usage_.prompt_tokens = count_of(usage, "prompt_tokens");
    usage_.output_tokens = count_of(usage, "completion_tokens");
    usage_.cached_tokens = count_of(chat::member(*usage, "prompt_tokens_details"), "cached_tokens");
  }
  const Json* choices = chat::member(json, "choices");
  if (choices == nullptr || !choices->is_array() || choices->empty()) return {};
  const Json& choice = choices->front();
  if (const Json* delta = chat::member(choice, "delta")) {
    for (const char* name : {"reasoning_content", "reasoning"})
      if (const std::string* more = chat::string_member(*delta, name)) {
        text(Delta::Kind::kReasoning, message_.reasoning, *more);
        break;
      }
    if (const std::string* more = chat::string_member(*delta, "content"))
      text(Delta::Kind::kFinal, message_.content, *more);
    const Json* calls = chat::member(*delta, "tool_calls");
    for (const Json& call : calls != nullptr && calls->is_array() ? *calls : Json::array()) {
      const Json* function = chat::member(call, "function");
      const Json* index = chat::member(call, "index");
      const long number = index != nullptr && index->is_number_integer() ? index->get<long>() : last_index_;
      const std::string* name = function == nullptr ? nullptr : chat::string_member(*function, "name");
      // A call begins with its name; servers that number none send each as a whole.
      if (name != nullptr && !name->empty() && (!in_call_ || number != last_index_ || index == nullptr)) {
        end_call();
        const std::string* id = chat::string_member(call, "id");
        const size_t n = n_previous_calls_ + message_.tool_calls.size() + 1;
        message_.tool_calls.push_back({.id = id != nullptr && !id->empty() ? *id : fmt::format("call_{}", n),
                                       .name = *name,
                                       .complete = false});
        begun_ = in_call_ = true;
        last_index_ = number;
        if (on_delta_)
          on_delta_({.kind = Delta::Kind::kToolCallBegin,
                     .call = message_.tool_calls.size() - 1,
                     .id = message_.tool_calls.back().id,
                     .name = *name});
      }
      const std::string* more = function == nullptr ? nullptr : chat::string_member(*function, "arguments");
      if (in_call_ && more != nullptr)
        text(Delta::Kind::kArguments, message_.tool_calls.back().arguments, *more);
    }
  }
  if (const std::string* finish = chat::string_member(choice, "finish_reason")) {
    finish_ = *finish;
    if (finish_ != "length") end_call();
  }
  return {};
}

chat::Message CompletionsStream::take() {
  chat::Message message = std::move(message_);
  for (chat::ToolCall& call : message.tool_calls)
    if (call.arguments.empty() && call.complete) call.arguments = "{}";
  // What was said before a call is no answer.
  if (!message.tool_calls.empty()) message.preamble = std::exchange(message.content, {});
  return message;
}

chat::FinishReason CompletionsStream::finish_reason() const {
  if (finish_ == "length") return chat::FinishReason::kLength;
  return finish_ == "tool_calls" ? chat::FinishReason::kToolCalls : chat::FinishReason::kStop;
}

}  // namespace atelier::agent
