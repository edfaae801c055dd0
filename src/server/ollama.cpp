#include "server/ollama.h"

#include <fmt/chrono.h>

#include "server/app.h"
#include "server/model_answer.h"

namespace atelier::server {
namespace {

using chat::Delta;

constexpr std::string_view kLines = "application/x-ndjson";

OrderedJson ollama_arguments(const std::string& arguments) {
  const auto parsed = chat::parse_json(arguments, "arguments");
  return parsed && parsed->is_object() ? *parsed : OrderedJson::object();
}

OrderedJson ollama_call_json(const chat::ToolCall& call) {
  return {{"id", call.id},
          {"function", {{"name", call.name}, {"arguments", ollama_arguments(call.arguments)}}}};
}

int64_t nanoseconds(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

class OllamaReply final : public Reply {
 public:
  explicit OllamaReply(const OllamaRequest& request)
      : stream_(request.stream), generate_(request.generate), think_(request.think) {}

  ErrorStyle style() const override { return ErrorStyle::kOllama; }
  bool streams() const override { return stream_; }
  std::string_view stream_type() const override { return kLines; }
  std::string heartbeat() const override { return {}; }  // every line is an event here

  void begin(const Beginning& beginning) override { model_ = beginning.model; }

  void delta(size_t, const Delta& delta, std::span<const TokenInfo>, std::string& out) override {
    switch (delta.kind) {
      case Delta::Kind::kReasoning:
        return think_ ? line("", delta.text, nullptr, out) : void();
      case Delta::Kind::kPreamble:
        preamble_ = true;
        return line(delta.text, "", nullptr, out);
      case Delta::Kind::kFinal:
        if (delta.text.empty()) return;
        return line((std::exchange(preamble_, false) ? "\n\n" : "") + delta.text, "", nullptr, out);
      case Delta::Kind::kToolCallBegin:  // a call is told whole
        call_ = {.id = delta.id, .name = delta.name};
        return;
      case Delta::Kind::kArguments:
        call_.arguments += delta.text;
        return;
      case Delta::Kind::kToolCallEnd:
        return line("", "", OrderedJson::array({ollama_call_json(call_)}), out);
      case Delta::Kind::kMessageEnd:
        return;
    }
  }
  void choice_end(size_t, const ChoiceResult&, std::string&) override {}

  void end(const Outcome& outcome, std::string& out) override {
    OrderedJson body = head();
    say(body, "", "", nullptr);
    finish(body, outcome);
    out += to_text(body) + "\n";
  }
  void fail(const Failure& failure, std::string& out) override {
    out += failure_json(style(), failure) + "\n";
  }

  OrderedJson whole(const Outcome& outcome) override {
    const chat::Message& message = outcome.choices.at(0).message;
    OrderedJson calls;
    for (const chat::ToolCall& call : message.tool_calls)
      if (call.complete) calls.push_back(ollama_call_json(call));  // arguments are an object here, or no call
    const bool both = !message.preamble.empty() && !message.content.empty();
    OrderedJson body = head();
    say(body, message.preamble + (both ? "\n\n" : "") + message.content, think_ ? message.reasoning : "",
        std::move(calls));
    finish(body, outcome);
    return body;
  }

 private:
  OrderedJson head() const {
    return {{"model", model_}, {"created_at", ollama_time(std::chrono::system_clock::now())}};
  }

  void say(OrderedJson& body, const std::string& text, const std::string& thinking, OrderedJson calls) const {
    if (generate_) {
      body["response"] = text;
      if (!thinking.empty()) body["thinking"] = thinking;
    } else {
      OrderedJson message = {{"role", "assistant"}, {"content", text}};
      if (!thinking.empty()) message["thinking"] = thinking;
      if (!calls.is_null()) message["tool_calls"] = std::move(calls);
      body["message"] = std::move(message);
    }
    body["done"] = false;
  }

  void line(const std::string& text, const std::string& thinking, OrderedJson calls, std::string& out) const {
    OrderedJson body = head();
    say(body, text, thinking, std::move(calls));
    out += to_text(body) + "\n";
  }

  void finish(OrderedJson& body, const Outcome& outcome) const {
    const Timings& timings = outcome.timings;
    body["done"] = true;
    body["done_reason"] = outcome.choices.at(0).finish == Finish::kLength ? "length" : "stop";
    body["total_duration"] =
        nanoseconds(timings.queue_seconds + timings.prefill_seconds + timings.decode_seconds);
    body["load_duration"] = nanoseconds(timings.queue_seconds);
    body["prompt_eval_count"] = outcome.usage.prompt_tokens;
    body["prompt_eval_duration"] = nanoseconds(timings.prefill_seconds);
    body["eval_count"] = outcome.usage.completion_tokens;
    body["eval_duration"] = nanoseconds(timings.decode_seconds);
  }

  bool stream_, generate_, think_;
  std::string model_;
  bool preamble_ = false;
  chat::ToolCall call_;
};

// The answer to a request that asks for nothing: the model is there now, or gone.
HttpResponse loaded_response(const OllamaRequest& request, std::string_view model) {
  OrderedJson body = {{"model", model}, {"created_at", ollama_time(std::chrono::system_clock::now())}};
  if (request.generate)
    body["response"] = "";
  else
    body["message"] = {{"role", "assistant"}, {"content", ""}};
  body["done"] = true;
  body["done_reason"] = request.unloads ? "unload" : "load";
  return {.content_type = std::string(request.stream ? kLines : "application/json"),
          .body = to_text(body) + (request.stream ? "\n" : "")};
}

std::unique_ptr<Answer> load_or_unload(App& app, const OllamaRequest& request) {
  if (request.unloads) {
    const Result<CatalogueEntry> entry = app.catalogue.find(request.task.model);
    if (!entry) return ready(failure_response(ErrorStyle::kOllama, to_failure(entry.error())));
    app.catalogue.unload(*entry);  // one that is at work stays
    return ready(loaded_response(request, entry->id));
  }
  return std::make_unique<ModelAnswer>(
      app.catalogue, request.task.model, ErrorStyle::kOllama,
      [request](const ModelInUse& model) { return loaded_response(request, model.id); });
}

void add_posts(Router& router, App& app, const char* pattern, Result<OllamaRequest> (*parse)(const Json&)) {
  router.add({.method = "POST",
              .pattern = pattern,
              .handler = [&app, parse](HttpRequest http, const PathParameters&) -> std::unique_ptr<Answer> {
                const Result<Json> body = parse_body(http.body);
                Result<OllamaRequest> request = body ? parse(*body) : tl::unexpected<Error>(body.error());
                if (!request)
                  return ready(failure_response(ErrorStyle::kOllama, to_failure(request.error())));
                if (request->only_loads) return load_or_unload(app, *request);
                return answer_to(app, http, std::move(*request), make_ollama_reply);
              },
              .style = ErrorStyle::kOllama});
}

}  // namespace

std::string ollama_time(std::chrono::system_clock::time_point time) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(static_cast<std::time_t>(micros / 1'000'000)),
                     micros % 1'000'000);
}

std::unique_ptr<Reply> make_ollama_reply(const OllamaRequest& request) {
  return std::make_unique<OllamaReply>(request);
}

void add_ollama(Router& router, App& app) {
  add_posts(router, app, "/api/chat", parse_ollama_chat);
  add_posts(router, app, "/api/generate", parse_ollama_generate);
}

}  // namespace atelier::server
