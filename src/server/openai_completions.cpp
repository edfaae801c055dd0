#include "server/openai_completions.h"

#include "io/utf8.h"
#include "server/app.h"
#include "server/generation_answer.h"
#include "server/limits.h"
#include "server/openai_common.h"
#include "server/raw_prompts.h"
#include "server/sampling_fields.h"

namespace atelier::server {
namespace {

constexpr size_t kDefaultMaxTokens = 16;  // the API's own

// Tokens as the API's parallel lists; `offset` counts characters of the choice's text.
class LogprobLists {
 public:
  explicit LogprobLists(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

  void add(TokenId id, const float* logprob, std::span<const TokenLogprob> top) {
    const std::string text = to_valid_utf8(tokenizer_->token_bytes(id));
    tokens_.push_back(text);
    values_.push_back(logprob ? OrderedJson(*logprob) : OrderedJson());
    OrderedJson others;
    for (const TokenLogprob& other : top)
      others[to_valid_utf8(tokenizer_->token_bytes(other.token))] = other.logprob;
    tops_.push_back(std::move(others));
    offsets_.push_back(offset_);
    for (const char c : text) offset_ += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }
  OrderedJson take() {
    return {{"tokens", std::exchange(tokens_, OrderedJson::array())},
            {"token_logprobs", std::exchange(values_, OrderedJson::array())},
            {"top_logprobs", std::exchange(tops_, OrderedJson::array())},
            {"text_offset", std::exchange(offsets_, OrderedJson::array())}};
  }

 private:
  const Tokenizer* tokenizer_;
  size_t offset_ = 0;
  OrderedJson tokens_ = OrderedJson::array(), values_ = OrderedJson::array(), tops_ = OrderedJson::array(),
              offsets_ = OrderedJson::array();
};

class CompletionReply final : public Reply {
 public:
  CompletionReply(const CompletionRequest& request)
      : echo_(request.echo),
        stream_(request.stream),
        usage_(request.include_usage),
        logprobs_(request.task.top_logprobs.has_value()),
        n_(request.task.n) {}

  ErrorStyle style() const override { return ErrorStyle::kOpenAi; }
  bool streams() const override { return stream_; }

  void begin(const Beginning& beginning) override {
    beginning_ = beginning;
    lists_.assign(beginning.n_choices, LogprobLists(*beginning.tokenizer));
  }

  void prompt_done(size_t first_choice, const PromptEvent& event, std::string& out) override {
    if (!echo_) return;
    for (size_t choice = first_choice; choice < first_choice + n_; ++choice) {
      add_prompt(choice, event);
      append(choice, prompt_text(choice), nullptr, out);
    }
  }
  void delta(size_t choice, const chat::Delta& delta, std::span<const TokenInfo> tokens,
             std::string& out) override {
    add_tokens(choice, tokens);
    append(choice, delta.text, nullptr, out);
  }
  void choice_end(size_t choice, const ChoiceResult& result, std::string& out) override {
    append(choice, "", openai_finish(result.finish), out);
  }
  void end(const Outcome& outcome, std::string& out) override {
    if (usage_) {
      OrderedJson chunk = head();
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
    OrderedJson body = head();
    OrderedJson& choices = body["choices"] = OrderedJson::array();
    for (size_t i = 0; i < outcome.choices.size(); ++i) {
      const ChoiceResult& result = outcome.choices[i];
      if (echo_) add_prompt(i, outcome.prompts[i / n_]);
      add_tokens(i, result.tokens);
      choices.push_back({{"index", i},
                         {"text", (echo_ ? prompt_text(i) : "") + result.message.content},
                         {"logprobs", logprobs_ ? lists_[i].take() : OrderedJson()},
                         {"finish_reason", openai_finish(result.finish)}});
    }
    body["usage"] = completion_usage(outcome);
    return body;
  }

 private:
  OrderedJson head() const {
    return {{"id", id_}, {"object", "text_completion"}, {"created", created_}, {"model", beginning_.model}};
  }
  std::string prompt_text(size_t choice) const {
    return to_valid_utf8(beginning_.tokenizer->decode(beginning_.prompts[choice / n_]));
  }
  void add_prompt(size_t choice, const PromptEvent& event) {
    if (!logprobs_) return;
    const std::vector<TokenId>& prompt = beginning_.prompts[choice / n_];
    for (size_t i = 0; i < prompt.size(); ++i) {
      const auto* entry = i > 0 && i <= event.logprobs.size() ? &event.logprobs[i - 1] : nullptr;
      lists_[choice].add(prompt[i], entry ? &entry->token.logprob : nullptr,
                         entry ? std::span<const TokenLogprob>(entry->top) : std::span<const TokenLogprob>());
    }
  }
  void add_tokens(size_t choice, std::span<const TokenInfo> tokens) {
    for (const TokenInfo& token : tokens) lists_[choice].add(token.id, &token.logprob, token.top);
  }
  void append(size_t choice, std::string text, OrderedJson finish, std::string& out) {
    OrderedJson chunk = head();
    chunk["choices"].push_back({{"index", choice},
                                {"text", std::move(text)},
                                {"logprobs", logprobs_ ? lists_[choice].take() : OrderedJson()},
                                {"finish_reason", std::move(finish)}});
    if (usage_) chunk["usage"] = nullptr;
    append_event(chunk, out);
  }

  bool echo_, stream_, usage_, logprobs_;
  size_t n_;
  std::string id_ = new_id("cmpl-");
  int64_t created_ = unix_seconds();
  Beginning beginning_;
  std::vector<LogprobLists> lists_;  // [choices]
};

}  // namespace

Result<CompletionRequest> parse_completion_request(const Json& json) {
  const Fields body(json);
  CompletionRequest request;
  Task& task = request.task;
  ATELIER_TRY(auto model, body.text("model"));
  task.model = model.value_or("");
  ATELIER_CHECK_OK(read_raw_prompts(body, "prompt", kMaxPrompts, task.prompts));
  ATELIER_TRY(auto suffix, body.text("suffix"));
  task.suffix = suffix.value_or("");
  ATELIER_CHECK_OK(read_sampling(body, task.sampling));
  ATELIER_CHECK_OK(read_stops(body, "stop", task.stop));
  ATELIER_TRY(const auto max_tokens, body.integer("max_tokens", 0, kMaxTokensField));
  task.max_tokens = max_tokens ? static_cast<size_t>(*max_tokens) : kDefaultMaxTokens;
  ATELIER_TRY(const auto n, body.integer("n", 1, kMaxChoices));
  task.n = static_cast<size_t>(n.value_or(1));
  ATELIER_TRY(const auto best_of, body.integer("best_of", 1, kMaxChoices));
  if (best_of && *best_of != static_cast<int64_t>(task.n))
    return body.wrong("best_of", "the same as n", body.find("best_of"));
  ATELIER_TRY(const auto logprobs, body.integer("logprobs", 0, kMaxTopLogprobs));
  if (logprobs) task.top_logprobs = static_cast<size_t>(*logprobs);
  ATELIER_TRY(const auto echo, body.boolean("echo"));
  request.echo = echo.value_or(false);
  task.prompt_logprobs = request.echo && logprobs;
  ATELIER_TRY(const auto stream, body.boolean("stream"));
  request.stream = stream.value_or(false);
  ATELIER_TRY(const Json* options, body.object("stream_options"));
  if (options != nullptr) {
    ATELIER_TRY(const auto usage, Fields(*options, "stream_options.").boolean("include_usage"));
    request.include_usage = usage.value_or(false);
  }
  return request;
}

std::unique_ptr<Reply> make_completion_reply(const CompletionRequest& request) {
  return std::make_unique<CompletionReply>(request);
}

void add_openai_completions(Router& router, App& app) {
  router.add({.method = "POST",
              .pattern = "/v1/completions",
              .handler = [&app](HttpRequest http, const PathParameters&) {
                return answer_with(app, ErrorStyle::kOpenAi, http, parse_completion_request,
                                   make_completion_reply);
              }});
}

}  // namespace atelier::server
