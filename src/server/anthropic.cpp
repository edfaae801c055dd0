#include "server/anthropic.h"

#include "server/app.h"
#include "server/model_answer.h"

namespace atelier::server {
namespace {

using chat::Delta;

// Clients send a thinking block back with its signature and never look inside; we do not either.
constexpr std::string_view kSignature = "bG9jYWw=";

OrderedJson usage_json(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.completion_tokens}};
}

std::string_view stop_reason(Finish finish) {
  switch (finish) {
    case Finish::kStop:
      return "end_turn";
    case Finish::kStopSequence:
      return "stop_sequence";
    case Finish::kLength:
      return "max_tokens";
    case Finish::kToolCalls:
      return "tool_use";
  }
  return "end_turn";
}

void append_event(const OrderedJson& data, std::string& out) {
  out += "event: " + data.at("type").get<std::string>() + "\ndata: " + to_text(data) + "\n\n";
}

// The input of a call as the object the API promises; a call that was cut off has none.
OrderedJson input_json(const chat::ToolCall& call) {
  const auto parsed = chat::parse_json(call.arguments, "arguments");
  return parsed && parsed->is_object() ? *parsed : OrderedJson::object();
}

class MessagesReply final : public Reply {
 public:
  MessagesReply(bool stream, bool thinking) : stream_(stream), thinking_(thinking) {}

  ErrorStyle style() const override { return ErrorStyle::kAnthropic; }
  bool streams() const override { return stream_; }
  std::string heartbeat() const override { return "event: ping\ndata: {\"type\":\"ping\"}\n\n"; }

  void begin(const Beginning& beginning) override { model_ = beginning.model; }

  void prompt_done(size_t, const PromptEvent& event, std::string& out) override {
    OrderedJson message = head();
    message["content"] = OrderedJson::array();
    message["stop_reason"] = nullptr;
    message["stop_sequence"] = nullptr;
    message["usage"] =
        usage_json({.prompt_tokens = event.prompt_tokens, .cached_tokens = event.cached_tokens});
    append_event({{"type", "message_start"}, {"message", std::move(message)}}, out);
  }

  void delta(size_t, const Delta& delta, std::span<const TokenInfo>, std::string& out) override {
    switch (delta.kind) {
      case Delta::Kind::kReasoning:
        if (!thinking_) return;
        open(Block::kThinking, {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}}, out);
        return say({{"type", "thinking_delta"}, {"thinking", delta.text}}, out);
      case Delta::Kind::kPreamble:
      case Delta::Kind::kFinal:
        if (delta.text.empty()) return;
        // A preamble and an answer are blocks of their own.
        if (block_ == Block::kText && delta.kind != text_kind_) close(out);
        text_kind_ = delta.kind;
        open(Block::kText, {{"type", "text"}, {"text", ""}}, out);
        return say({{"type", "text_delta"}, {"text", delta.text}}, out);
      case Delta::Kind::kToolCallBegin:
        close(out);
        return open(
            Block::kToolUse,
            {{"type", "tool_use"}, {"id", delta.id}, {"name", delta.name}, {"input", OrderedJson::object()}},
            out);
      case Delta::Kind::kArguments:
        return say({{"type", "input_json_delta"}, {"partial_json", delta.text}}, out);
      case Delta::Kind::kToolCallEnd:
        return close(out);
      case Delta::Kind::kMessageEnd:
        return;
    }
  }

  void choice_end(size_t, const ChoiceResult&, std::string& out) override { close(out); }

  void end(const Outcome& outcome, std::string& out) override {
    const ChoiceResult& result = outcome.choices.at(0);
    append_event(
        {{"type", "message_delta"}, {"delta", stop_json(result)}, {"usage", usage_json(outcome.usage)}}, out);
    append_event({{"type", "message_stop"}}, out);
  }

  void fail(const Failure& failure, std::string& out) override {
    out += "event: error\ndata: " + failure_json(style(), failure) + "\n\n";
  }

  OrderedJson whole(const Outcome& outcome) override {
    const ChoiceResult& result = outcome.choices.at(0);
    const chat::Message& message = result.message;
    OrderedJson body = head();
    OrderedJson& content = body["content"] = OrderedJson::array();
    if (thinking_ && !message.reasoning.empty())
      content.push_back({{"type", "thinking"}, {"thinking", message.reasoning}, {"signature", kSignature}});
    for (const std::string* text : {&message.preamble, &message.content})
      if (!text->empty()) content.push_back({{"type", "text"}, {"text", *text}});
    for (const chat::ToolCall& call : message.tool_calls)
      content.push_back(
          {{"type", "tool_use"}, {"id", call.id}, {"name", call.name}, {"input", input_json(call)}});
    body.update(stop_json(result));
    body["usage"] = usage_json(outcome.usage);
    return body;
  }

 private:
  enum class Block { kNone, kThinking, kText, kToolUse };

  OrderedJson head() const {
    return {{"id", id_}, {"type", "message"}, {"role", "assistant"}, {"model", model_}};
  }
  static OrderedJson stop_json(const ChoiceResult& result) {
    return {{"stop_reason", stop_reason(result.finish)},
            {"stop_sequence",
             result.finish == Finish::kStopSequence ? OrderedJson(result.stop_sequence) : OrderedJson()}};
  }
  void open(Block block, OrderedJson start, std::string& out) {
    if (block_ == block && block != Block::kToolUse) return;
    close(out);
    block_ = block;
    append_event({{"type", "content_block_start"}, {"index", index_}, {"content_block", std::move(start)}},
                 out);
  }
  void say(OrderedJson delta, std::string& out) {
    append_event({{"type", "content_block_delta"}, {"index", index_}, {"delta", std::move(delta)}}, out);
  }
  void close(std::string& out) {
    if (block_ == Block::kNone) return;
    if (block_ == Block::kThinking) say({{"type", "signature_delta"}, {"signature", kSignature}}, out);
    append_event({{"type", "content_block_stop"}, {"index", index_++}}, out);
    block_ = Block::kNone;
  }

  bool stream_, thinking_;
  std::string id_ = new_id("msg_");
  std::string model_;
  Block block_ = Block::kNone;
  Delta::Kind text_kind_ = Delta::Kind::kFinal;
  size_t index_ = 0;
};

std::unique_ptr<Answer> count_tokens(App& app, const HttpRequest& http) {
  const Result<Json> body = parse_body(http.body);
  if (!body) return ready(failure_response(ErrorStyle::kAnthropic, to_failure(body.error())));
  Result<MessagesRequest> request = parse_messages_request(*body, /*counting=*/true);
  if (!request) return ready(failure_response(ErrorStyle::kAnthropic, to_failure(request.error())));
  const std::string model = request->task.model;
  return std::make_unique<ModelAnswer>(app.catalogue, model, ErrorStyle::kAnthropic,
                                       [&app, conversation = std::move(*request->task.conversation)](
                                           const ModelInUse& in_use) mutable -> Result<HttpResponse> {
                                         ATELIER_TRY(const std::vector<TokenId> ids,
                                                     prompt_ids(in_use, conversation, app.memory));
                                         return HttpResponse{.body = to_text({{"input_tokens", ids.size()}})};
                                       });
}

Result<MessagesRequest> parse(const Json& body) { return parse_messages_request(body, /*counting=*/false); }

}  // namespace

std::unique_ptr<Reply> make_messages_reply(const MessagesRequest& request) {
  return std::make_unique<MessagesReply>(request.stream, request.thinking);
}

void add_anthropic(Router& router, App& app) {
  router.add({.method = "POST",
              .pattern = "/v1/messages",
              .handler =
                  [&app](HttpRequest http, const PathParameters&) {
                    return answer_with(app, ErrorStyle::kAnthropic, http, parse, make_messages_reply);
                  },
              .style = ErrorStyle::kAnthropic});
  router.add({.method = "POST",
              .pattern = "/v1/messages/count_tokens",
              .handler = [&app](HttpRequest http, const PathParameters&) { return count_tokens(app, http); },
              .style = ErrorStyle::kAnthropic});
}

}  // namespace atelier::server
