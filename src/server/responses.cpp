#include "server/responses.h"

#include "server/app.h"
#include "server/custom_input.h"
#include "server/openai_common.h"

namespace atelier::server {
namespace {

using chat::Delta;

OrderedJson usage_json(const Outcome& outcome) {
  const Usage& usage = outcome.usage;
  size_t reasoning = 0;
  for (const ChoiceResult& choice : outcome.choices) reasoning += choice.reasoning_tokens;
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", reasoning}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

// Builds the output items from deltas, streaming or not; the events of each step come out as they happen.
class ResponsesReply final : public Reply {
 public:
  ResponsesReply(ResponsesRequest request, ResponseStore& store)
      : request_(std::move(request)), store_(store) {}

  ErrorStyle style() const override { return ErrorStyle::kOpenAi; }
  bool streams() const override { return request_.stream; }

  void begin(const Beginning& beginning) override {
    model_ = beginning.model;
    tokenizer_ = beginning.tokenizer;
  }

  void prompt_done(size_t, const PromptEvent&, std::string& out) override {
    for (const char* type : {"response.created", "response.in_progress"})
      event(type, {{"response", response("in_progress", nullptr)}}, out);
  }

  void delta(size_t, const Delta& delta, std::span<const TokenInfo> tokens, std::string& out) override {
    switch (delta.kind) {
      case Delta::Kind::kReasoning:
        open(Item::kReasoning, delta, out);
        return add_text("response.reasoning_text.delta", delta.text, {}, out);
      case Delta::Kind::kPreamble:
      case Delta::Kind::kFinal:
        if (delta.text.empty() && tokens.empty()) return;
        if (item_ == Item::kMessage && message_kind_ != delta.kind) close("completed", out);
        message_kind_ = delta.kind;
        open(Item::kMessage, delta, out);
        return add_text("response.output_text.delta", delta.text, tokens, out);
      case Delta::Kind::kToolCallBegin:
        close("completed", out);
        return open(request_.custom_tools.contains(delta.name) ? Item::kCustom : Item::kFunction, delta, out);
      case Delta::Kind::kArguments:
        return add_arguments(delta.text, out);
      case Delta::Kind::kToolCallEnd:
      case Delta::Kind::kMessageEnd:
        return close("completed", out);
    }
  }

  void choice_end(size_t, const ChoiceResult& result, std::string& out) override {
    close(result.finish == Finish::kLength ? "incomplete" : "completed", out);
  }

  void end(const Outcome& outcome, std::string& out) override {
    const OrderedJson whole = finished(outcome);
    event("response." + whole.at("status").get<std::string>(), {{"response", whole}}, out);
  }

  void fail(const Failure& failure, std::string& out) override {
    OrderedJson failed = response("failed", nullptr);
    failed["error"] = {{"code", failure.code.empty() ? "server_error" : failure.code},
                       {"message", failure.message}};
    event("response.failed", {{"response", std::move(failed)}}, out);
  }

  OrderedJson whole(const Outcome& outcome) override {
    // The same deltas a stream would have had; their events are nobody's.
    const ChoiceResult& result = outcome.choices.at(0);
    std::string unheard;
    const auto say = [&](Delta::Kind kind, const std::string& text, std::span<const TokenInfo> tokens = {}) {
      if (text.empty()) return;
      delta(0, {.kind = kind, .text = text}, tokens, unheard);
      delta(0, {.kind = Delta::Kind::kMessageEnd}, {}, unheard);
    };
    const chat::Message& message = result.message;
    say(Delta::Kind::kReasoning, message.reasoning);
    say(Delta::Kind::kPreamble, message.preamble);
    for (const chat::ToolCall& call : message.tool_calls) {
      delta(0, {.kind = Delta::Kind::kToolCallBegin, .id = call.id, .name = call.name}, {}, unheard);
      delta(0, {.kind = Delta::Kind::kArguments, .text = call.arguments}, {}, unheard);
      close(call.complete ? "completed" : "incomplete", unheard);
    }
    say(Delta::Kind::kFinal, message.content, result.tokens);
    if (result.finish == Finish::kLength && !output_.empty() && message.tool_calls.empty())
      output_.back()["status"] = "incomplete";
    return finished(outcome);
  }

 private:
  enum class Item { kNone, kReasoning, kMessage, kFunction, kCustom };

  void event(const std::string& type, OrderedJson members, std::string& out) {
    OrderedJson data = {{"type", type}, {"sequence_number", sequence_++}};
    data.update(members);
    out += "event: " + type + "\n";
    append_event(data, out);
  }

  OrderedJson response(std::string_view status, OrderedJson usage) const {
    OrderedJson body = {
        {"id", id_},           {"object", "response"}, {"created_at", created_},        {"status", status},
        {"background", false}, {"error", nullptr},     {"incomplete_details", nullptr}, {"model", model_},
        {"output", output_}};
    body.update(request_.echo);
    body["usage"] = std::move(usage);
    return body;
  }

  OrderedJson finished(const Outcome& outcome) {
    const bool cut = outcome.choices.at(0).finish == Finish::kLength;
    OrderedJson body = response(cut ? "incomplete" : "completed", usage_json(outcome));
    if (cut) body["incomplete_details"] = {{"reason", "max_output_tokens"}};
    if (!request_.store) return body;
    OrderedJson items = request_.items;
    const size_t n_input = items.size();
    for (const OrderedJson& item : output_) items.push_back(item);
    store_.put(id_, {.response = to_text(body), .items = to_text(items), .n_input = n_input});
    return body;
  }

  OrderedJson at_item() const { return {{"item_id", item_id_}, {"output_index", output_.size()}}; }
  OrderedJson at_part() const {
    OrderedJson at = at_item();
    at["content_index"] = 0;
    return at;
  }
  OrderedJson part() const {
    if (item_ == Item::kReasoning) return {{"type", "reasoning_text"}, {"text", text_}};
    return {{"type", "output_text"},
            {"annotations", OrderedJson::array()},
            {"logprobs", logprobs_},
            {"text", text_}};
  }

  OrderedJson item(std::string_view status, bool with_content) const {
    OrderedJson content = OrderedJson::array();
    if (with_content) content.push_back(part());
    switch (item_) {
      case Item::kReasoning:
        return {{"id", item_id_},
                {"type", "reasoning"},
                {"summary", OrderedJson::array()},
                {"content", std::move(content)},
                {"encrypted_content", nullptr},
                {"status", status}};
      case Item::kMessage:
        return {{"id", item_id_},
                {"type", "message"},
                {"status", status},
                {"role", "assistant"},
                {"content", std::move(content)}};
      case Item::kFunction:
        return named({{"id", item_id_},
                      {"type", "function_call"},
                      {"status", status},
                      {"arguments", text_},
                      {"call_id", call_id_}});
      case Item::kCustom:
        return named({{"id", item_id_},
                      {"type", "custom_tool_call"},
                      {"status", status},
                      {"call_id", call_id_},
                      {"input", text_}});
      case Item::kNone:
        break;
    }
    return nullptr;
  }

  OrderedJson named(OrderedJson call) const {
    const auto known = request_.namespaced_tools.find(name_);
    call["name"] = known == request_.namespaced_tools.end() ? name_ : known->second.name;
    if (known != request_.namespaced_tools.end()) call["namespace"] = known->second.space;
    return call;
  }

  void open(Item wanted, const Delta& delta, std::string& out) {
    const bool is_call = wanted == Item::kFunction || wanted == Item::kCustom;
    if (item_ == wanted && !is_call) return;
    close("completed", out);
    item_ = wanted;
    item_id_ = new_id(wanted == Item::kReasoning  ? "rs_"
                      : wanted == Item::kMessage  ? "msg_"
                      : wanted == Item::kFunction ? "fc_"
                                                  : "ctc_");
    call_id_ = delta.id;
    name_ = delta.name;
    text_.clear();
    logprobs_ = OrderedJson::array();
    custom_ = {};
    event("response.output_item.added",
          {{"output_index", output_.size()}, {"item", item("in_progress", false)}}, out);
    if (is_call) return;
    OrderedJson members = at_part();
    members["part"] = part();
    event("response.content_part.added", std::move(members), out);
  }

  void add_text(const char* type, const std::string& text, std::span<const TokenInfo> tokens,
                std::string& out) {
    text_ += text;
    OrderedJson members = at_part();
    members["delta"] = text;
    if (item_ == Item::kMessage) {
      const OrderedJson fresh = chat_logprobs(tokens, *tokenizer_);
      for (const OrderedJson& token : fresh) logprobs_.push_back(token);
      members["logprobs"] = fresh;
    }
    event(type, std::move(members), out);
  }

  void add_arguments(const std::string& arguments, std::string& out) {
    const std::string text = item_ == Item::kCustom ? custom_.push(arguments) : arguments;
    if (text.empty()) return;
    text_ += text;
    OrderedJson members = at_item();
    members["delta"] = text;
    event(item_ == Item::kCustom ? "response.custom_tool_call_input.delta"
                                 : "response.function_call_arguments.delta",
          std::move(members), out);
  }

  void close(std::string_view status, std::string& out) {
    if (item_ == Item::kNone) return;
    if (item_ == Item::kCustom) text_ += custom_.finish();
    if (item_ == Item::kReasoning || item_ == Item::kMessage) {
      const bool message = item_ == Item::kMessage;
      OrderedJson members = at_part();
      members["text"] = text_;
      if (message) members["logprobs"] = logprobs_;
      event(message ? "response.output_text.done" : "response.reasoning_text.done", std::move(members), out);
      OrderedJson closed = at_part();
      closed["part"] = part();
      event("response.content_part.done", std::move(closed), out);
    } else {
      OrderedJson members = at_item();
      members[item_ == Item::kCustom ? "input" : "arguments"] = text_;
      if (item_ == Item::kFunction) members["name"] = item(status, false).at("name");
      event(item_ == Item::kCustom ? "response.custom_tool_call_input.done"
                                   : "response.function_call_arguments.done",
            std::move(members), out);
    }
    OrderedJson whole = item(status, true);
    event("response.output_item.done", {{"output_index", output_.size()}, {"item", whole}}, out);
    output_.push_back(std::move(whole));
    item_ = Item::kNone;
  }

  ResponsesRequest request_;
  ResponseStore& store_;
  const std::string id_ = new_id("resp_");
  const int64_t created_ = unix_seconds();
  std::string model_;
  const Tokenizer* tokenizer_ = nullptr;
  uint64_t sequence_ = 0;
  OrderedJson output_ = OrderedJson::array();

  // The item being written.
  Item item_ = Item::kNone;
  Delta::Kind message_kind_ = Delta::Kind::kFinal;
  std::string item_id_, call_id_, name_, text_;
  OrderedJson logprobs_ = OrderedJson::array();
  CustomInputReader custom_;
};

std::unique_ptr<Answer> create_response(App& app, const HttpRequest& http) {
  const Result<Json> body = parse_body(http.body);
  Result<ResponsesRequest> request =
      body ? parse_responses_request(*body, app.responses) : tl::unexpected<Error>(body.error());
  if (!request) return ready(failure_response(ErrorStyle::kOpenAi, to_failure(request.error())));
  Task task = std::move(request->task);
  task.client = http.client;
  return std::make_unique<GenerationAnswer>(
      std::move(task), make_responses_reply(std::move(*request), app.responses), app.catalogue, app.memory);
}

std::unique_ptr<Answer> not_found(const std::string& id) {
  return ready(failure_response(
      ErrorStyle::kOpenAi, {.status = 404,
                            .message = "response: expected a stored one, found \"" + id.substr(0, 100) + "\"",
                            .param = "id"}));
}

std::unique_ptr<Answer> input_items(App& app, const std::string& id) {
  const auto stored = app.responses.get(id);
  if (!stored) return not_found(id);
  OrderedJson items = OrderedJson::parse(stored->items, nullptr, /*allow_exceptions=*/false);
  OrderedJson data = OrderedJson::array();
  for (size_t i = 0; i < stored->n_input && i < items.size(); ++i) {
    OrderedJson item = items[i];
    if (!item.contains("id")) item["id"] = fmt::format("item_{}_{}", id, i);
    data.push_back(std::move(item));
  }
  OrderedJson page = {{"object", "list"}, {"data", data}, {"has_more", false}};
  page["first_id"] = data.empty() ? OrderedJson() : data.front().at("id");
  page["last_id"] = data.empty() ? OrderedJson() : data.back().at("id");
  return ready(page);
}

}  // namespace

std::unique_ptr<Reply> make_responses_reply(ResponsesRequest request, ResponseStore& store) {
  return std::make_unique<ResponsesReply>(std::move(request), store);
}

void add_responses(Router& router, App& app) {
  router.add(
      {.method = "POST",
       .pattern = "/v1/responses",
       .handler = [&app](HttpRequest http, const PathParameters&) { return create_response(app, http); }});
  router.add({.method = "GET",
              .pattern = "/v1/responses/{id}",
              .handler = [&app](HttpRequest, const PathParameters& path) {
                const auto stored = app.responses.get(path.at("id"));
                return stored ? ready(HttpResponse{.body = stored->response}) : not_found(path.at("id"));
              }});
  router.add({.method = "DELETE",
              .pattern = "/v1/responses/{id}",
              .handler = [&app](HttpRequest, const PathParameters& path) {
                if (!app.responses.erase(path.at("id"))) return not_found(path.at("id"));
                return ready(OrderedJson{{"id", path.at("id")}, {"object", "response"}, {"deleted", true}});
              }});
  router.add({.method = "GET",
              .pattern = "/v1/responses/{id}/input_items",
              .handler = [&app](HttpRequest, const PathParameters& path) {
                return input_items(app, path.at("id"));
              }});
}

}  // namespace atelier::server
