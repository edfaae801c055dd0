#include "server/openai_chat.h"

#include "chat/completions_body.h"
#include "server/app.h"
#include "server/generation_answer.h"
#include "server/limits.h"
#include "server/openai_common.h"
#include "server/sampling_fields.h"

namespace atelier::server {
namespace {

using chat::Delta;

Status read_logprobs(const Fields& body, Task& task) {
  ATELIER_TRY(const auto wanted, body.boolean("logprobs"));
  ATELIER_TRY(const auto top, body.integer("top_logprobs", 0, kMaxTopLogprobs));
  if (top && *top > 0 && !wanted.value_or(false))
    return fail(ErrorCode::kInvalidArgument, "top_logprobs: expected logprobs to be true, found it is not");
  if (wanted.value_or(false)) task.top_logprobs = static_cast<size_t>(top.value_or(0));
  return {};
}

// The text for the user: what the model said before its calls, and its answer.
std::string visible_text(const chat::Message& message) {
  const bool both = !message.preamble.empty() && !message.content.empty();
  return message.preamble + (both ? "\n\n" : "") + message.content;
}

OrderedJson call_json(const chat::ToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

OrderedJson message_json(const chat::Message& message) {
  OrderedJson out = {{"role", "assistant"}};
  const std::string text = visible_text(message);
  out["content"] = text.empty() && !message.tool_calls.empty() ? OrderedJson() : OrderedJson(text);
  out["refusal"] = nullptr;
  if (!message.reasoning.empty()) {
    out["reasoning"] = message.reasoning;
    out["reasoning_content"] = message.reasoning;
  }
  for (const chat::ToolCall& call : message.tool_calls) out["tool_calls"].push_back(call_json(call));
  return out;
}

class ChatReply final : public Reply {
 public:
  ChatReply(bool stream, bool usage, bool logprobs) : stream_(stream), usage_(usage), logprobs_(logprobs) {}

  ErrorStyle style() const override { return ErrorStyle::kOpenAi; }
  bool streams() const override { return stream_; }

  void begin(const Beginning& beginning) override {
    beginning_ = beginning;
    choices_.resize(beginning.n_choices);
  }

  void delta(size_t choice, const Delta& delta, std::span<const TokenInfo> tokens,
             std::string& out) override {
    if (delta.kind == Delta::Kind::kToolCallEnd || delta.kind == Delta::Kind::kMessageEnd) return;
    say_role(choice, out);
    OrderedJson said = OrderedJson::object();
    if (delta.kind == Delta::Kind::kReasoning) {
      said["reasoning"] = delta.text;
      said["reasoning_content"] = delta.text;
    } else if (delta.kind == Delta::Kind::kToolCallBegin) {
      said["tool_calls"].push_back({{"index", delta.call},
                                    {"id", delta.id},
                                    {"type", "function"},
                                    {"function", {{"name", delta.name}, {"arguments", ""}}}});
    } else if (delta.kind == Delta::Kind::kArguments) {
      said["tool_calls"].push_back({{"index", delta.call}, {"function", {{"arguments", delta.text}}}});
    } else {
      said["content"] = set_apart(choice, delta);
    }
    OrderedJson logprobs;
    if (logprobs_ && !tokens.empty()) logprobs = {{"content", chat_logprobs(tokens, *beginning_.tokenizer)}};
    append_choice(choice, std::move(said), std::move(logprobs), nullptr, out);
  }

  void choice_end(size_t choice, const ChoiceResult& result, std::string& out) override {
    say_role(choice, out);
    append_choice(choice, OrderedJson::object(), nullptr, openai_finish(result.finish), out);
  }

  void end(const Outcome& outcome, std::string& out) override {
    if (usage_) {
      OrderedJson chunk = chunk_head();
      chunk["choices"] = OrderedJson::array();
      chunk["usage"] = completion_usage(outcome);
      append_event(chunk, out);
    }
    out += kDoneEvent;
  }

  void fail(const Failure& failure, std::string& out) override {
    out += "data: " + failure_json(style(), failure) + "\n\n";
  }

  OrderedJson whole(const Outcome& outcome) override {
    OrderedJson body = head("chat.completion");
    OrderedJson& choices = body["choices"] = OrderedJson::array();
    for (size_t i = 0; i < outcome.choices.size(); ++i) {
      const ChoiceResult& result = outcome.choices[i];
      OrderedJson logprobs;
      if (logprobs_)
        logprobs = {{"content", chat_logprobs(result.tokens, *beginning_.tokenizer)}, {"refusal", nullptr}};
      choices.push_back({{"index", i},
                         {"message", message_json(result.message)},
                         {"logprobs", std::move(logprobs)},
                         {"finish_reason", openai_finish(result.finish)}});
    }
    body["usage"] = completion_usage(outcome);
    return body;
  }

 private:
  struct ChoiceState {
    bool role_said = false;
    bool preamble_said = false;
  };

  OrderedJson head(std::string_view object) const {
    return {{"id", id_}, {"object", object}, {"created", created_}, {"model", beginning_.model}};
  }
  OrderedJson chunk_head() const { return head("chat.completion.chunk"); }

  void append_choice(size_t choice, OrderedJson said, OrderedJson logprobs, OrderedJson finish,
                     std::string& out) {
    OrderedJson chunk = chunk_head();
    chunk["choices"].push_back({{"index", choice},
                                {"delta", std::move(said)},
                                {"logprobs", std::move(logprobs)},
                                {"finish_reason", std::move(finish)}});
    if (usage_) chunk["usage"] = nullptr;
    append_event(chunk, out);
  }

  void say_role(size_t choice, std::string& out) {
    if (std::exchange(choices_[choice].role_said, true)) return;
    append_choice(choice, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr, out);
  }

  // As visible_text() does for the whole.
  std::string set_apart(size_t choice, const Delta& delta) {
    ChoiceState& state = choices_[choice];
    if (delta.kind == Delta::Kind::kPreamble) state.preamble_said = true;
    const bool first_of_answer =
        delta.kind == Delta::Kind::kFinal && !delta.text.empty() && std::exchange(state.preamble_said, false);
    return (first_of_answer ? "\n\n" : "") + delta.text;
  }

  bool stream_, usage_, logprobs_;
  std::string id_ = new_id("chatcmpl-");
  int64_t created_ = unix_seconds();
  Beginning beginning_;
  std::vector<ChoiceState> choices_;
};

// {"type": "content", "content": "…" or [{"type": "text", "text": "…"}, …]}
Status read_prediction(const Fields& body, Task& task) {
  ATELIER_TRY(const Json* prediction, body.object("prediction"));
  if (prediction == nullptr) return {};
  const Fields fields(*prediction, "prediction.");
  ATELIER_TRY(const std::string type, fields.required_text("type"));
  if (type != "content") return fields.wrong("type", "\"content\"", fields.find("type"));
  const Json* content = fields.find("content");
  if (content != nullptr && content->is_string()) {
    task.prediction = content->get<std::string>();
    return {};
  }
  if (content == nullptr || !content->is_array())
    return fields.wrong("content", "a string or a list of texts", content);
  for (const Json& part : *content) {
    const std::string* text = chat::string_member(part, "text");
    if (text == nullptr) return fields.wrong("content", "a string or a list of texts", content);
    task.prediction += *text;
  }
  return {};
}

// What would change the answer, and is not here: better refused than left out unnoticed.
Status refuse_unsupported(const Fields& body) {
  for (const auto& [key, instead] :
       {std::pair("functions", "tools in their place"),
        std::pair("function_call", "tool_choice in its place"), std::pair("audio", "none: answers are text"),
        std::pair("web_search_options", "none: there is nothing here that could search")}) {
    const Json* value = body.find(key);
    if (value == nullptr || value->empty()) continue;
    return fail(ErrorCode::kUnsupported, "{}: expected {}, found {}", key, instead, shown(value));
  }
  ATELIER_TRY(const Json* modalities, body.array("modalities"));
  for (size_t i = 0; modalities != nullptr && i < modalities->size(); ++i)
    if ((*modalities)[i] != Json("text"))
      return body.wrong(fmt::format("modalities[{}]", i), "\"text\"", &(*modalities)[i]);
  return {};
}

}  // namespace

Result<ChatRequest> parse_chat_request(const Json& json) {
  const Fields body(json);
  ATELIER_CHECK_OK(refuse_unsupported(body));
  ChatRequest request;
  Task& task = request.task;
  ATELIER_TRY(auto model, body.text("model"));
  task.model = model.value_or("");
  ATELIER_TRY(task.conversation, chat::parse_completions_body(json));
  ATELIER_CHECK_OK(read_sampling(body, task.sampling));
  ATELIER_CHECK_OK(read_stops(body, "stop", task.stop));
  for (const char* key : {"max_tokens", "max_completion_tokens"}) {
    ATELIER_TRY(const auto limit, body.integer(key, 1, kMaxTokensField));
    if (limit) task.max_tokens = static_cast<size_t>(*limit);
  }
  ATELIER_TRY(const auto n, body.integer("n", 1, kMaxChoices));
  task.n = static_cast<size_t>(n.value_or(1));
  ATELIER_CHECK_OK(read_logprobs(body, task));
  ATELIER_CHECK_OK(read_prediction(body, task));
  ATELIER_TRY(const auto stream, body.boolean("stream"));
  request.stream = stream.value_or(false);
  ATELIER_TRY(const Json* options, body.object("stream_options"));
  if (options != nullptr) {
    const Fields fields(*options, "stream_options.");
    ATELIER_TRY(const auto usage, fields.boolean("include_usage"));
    request.include_usage = usage.value_or(false);
  }
  return request;
}

std::unique_ptr<Reply> make_chat_reply(const ChatRequest& request) {
  return std::make_unique<ChatReply>(request.stream, request.include_usage,
                                     request.task.top_logprobs.has_value());
}

void add_openai_chat(Router& router, App& app) {
  router.add({.method = "POST",
              .pattern = "/v1/chat/completions",
              .handler = [&app](HttpRequest http, const PathParameters&) {
                return answer_with(app, ErrorStyle::kOpenAi, http, parse_chat_request, make_chat_reply);
              }});
}

}  // namespace atelier::server
