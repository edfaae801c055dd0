#include "server/generation_answer.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "chat/turn_filter.h"
#include "server/raw_prompts.h"

namespace atelier::server {
namespace {

constexpr size_t kEventsAtATime = 64;

// After which of the prompt's tokens a message ends.
std::vector<size_t> message_ends(std::span<const TokenId> prompt, const chat::Dialect& dialect) {
  std::vector<TokenId> ends = dialect.stop_tokens();
  if (const auto end = dialect.tokenizer().find_token("<|end|>")) ends.push_back(*end);
  std::vector<size_t> lengths;
  for (size_t i = 0; i + 1 < prompt.size(); ++i)
    if (std::ranges::find(ends, prompt[i]) != ends.end()) lengths.push_back(i + 1);
  return lengths;
}

Result<TokenId> infill_token(const Tokenizer& tokenizer, std::string_view name) {
  for (const std::string& spelling : {fmt::format("<|fim_{}|>", name), fmt::format("<fim_{}>", name)})
    if (const auto id = tokenizer.find_token(spelling); id && tokenizer.is_special(*id)) return *id;
  return fail(ErrorCode::kUnsupported,
              "suffix: expected a model with tokens for filling in, found none in its vocabulary");
}

Result<std::vector<TokenId>> raw_ids(const RawPrompt& prompt, const std::string& suffix,
                                     const Tokenizer& tokenizer) {
  if (suffix.empty()) return raw_prompt_ids(prompt, tokenizer, Specials::kRecognised);
  std::vector<TokenId> ids;  // prefix, suffix, middle: arXiv 2207.14255
  ATELIER_TRY(ids.emplace_back(), infill_token(tokenizer, "prefix"));
  if (const auto* given = std::get_if<std::vector<TokenId>>(&prompt))
    ids.insert(ids.end(), given->begin(), given->end());
  else
    tokenizer.encode(std::get<std::string>(prompt), Specials::kRecognised, ids);
  ATELIER_TRY(ids.emplace_back(), infill_token(tokenizer, "suffix"));
  tokenizer.encode(suffix, Specials::kAsText, ids);
  ATELIER_TRY(ids.emplace_back(), infill_token(tokenizer, "middle"));
  return ids;
}

}  // namespace

// Filled by the thread that has the model, taken over by poll().
struct GenerationAnswer::Launch {
  Task task;
  TurnMemory& memory;

  std::mutex mutex;
  std::function<void()> wake;
  bool abandoned = false;
  bool ready = false;
  std::optional<Failure> failure;
  ModelInUse model;
  std::vector<Run> runs;
  std::vector<std::vector<TokenId>> prompts;  // raw ones

  Launch(Task task_in, TurnMemory& memory_in) : task(std::move(task_in)), memory(memory_in) {}

  void run(Result<ModelInUse> acquired);
  Status submit_all();
  Status submit_conversation();
  Status submit(std::vector<TokenId> prompt, std::vector<size_t> boundaries,
                std::unique_ptr<TokenFilter> filter, std::vector<TokenId> stop_tokens,
                const std::function<std::unique_ptr<chat::Parser>()>& new_parser);
};

void GenerationAnswer::Launch::run(Result<ModelInUse> acquired) {
  {
    const std::lock_guard lock(mutex);
    if (abandoned) return;
  }
  std::optional<Failure> failed;
  if (acquired) {
    model = std::move(*acquired);
    if (const Status submitted = submit_all(); !submitted) {
      failed = to_failure(submitted.error());
      if (submitted.error().code == ErrorCode::kLimit && failed->param == "prompt")
        failed->code = "context_length_exceeded";
      if (failed->status == 429) failed->retry_after = model.lease->scheduler.retry_after();
    }
  } else {
    failed = to_failure(acquired.error());
    if (failed->status == 404) failed->code = "model_not_found";
  }
  if (failed) runs.clear();
  const std::lock_guard lock(mutex);
  failure = std::move(failed);
  ready = true;
  if (wake) wake();
}

Status GenerationAnswer::Launch::submit_all() {
  const size_t context = model.lease->engine().context_length();
  if (task.max_tokens && *task.max_tokens > context)
    return fail(ErrorCode::kInvalidArgument, "max_tokens: expected at most {} (the context), found {}",
                context, *task.max_tokens);
  for (const auto& [id, bias] : task.sampling.logit_bias)
    if (static_cast<size_t>(id) >= model.lease->engine().tokenizer().vocab_size())
      return fail(ErrorCode::kInvalidArgument, "logit_bias: expected token ids below {}, found {}",
                  model.lease->engine().tokenizer().vocab_size(), id);
  // Those of the prompts share a seed, so that a list of prompts gives what each would give alone.
  if (!task.sampling.seed) task.sampling.seed = std::random_device{}();
  if (task.conversation) return submit_conversation();
  const std::shared_ptr<const Tokenizer> tokenizer = model.lease->engine().shared_tokenizer();
  for (const RawPrompt& prompt : task.prompts) {
    ATELIER_TRY(std::vector<TokenId> ids, raw_ids(prompt, task.suffix, *tokenizer));
    prompts.push_back(ids);
    ATELIER_TRY(std::unique_ptr<TokenFilter> filter,
                chat::make_text_filter({.constraints = model.lease->engine().constraints(),
                                        .stops = task.stop,
                                        .stop_tokens = model.lease->engine().info().stop_tokens}));
    ATELIER_CHECK_OK(submit(std::move(ids), {}, std::move(filter), model.lease->engine().info().stop_tokens,
                            [&] { return make_raw_parser(*tokenizer); }));
  }
  return {};
}

Status GenerationAnswer::Launch::submit_conversation() {
  chat::Conversation& conversation = *task.conversation;
  ATELIER_TRY(std::vector<TokenId> ids, prompt_ids(model, conversation, memory));
  std::vector<size_t> boundaries = message_ends(ids, *model.dialect);
  const auto shared = std::make_shared<const chat::Conversation>(conversation);
  ATELIER_TRY(std::unique_ptr<TokenFilter> filter,
              chat::make_turn_filter({.dialect = model.dialect,
                                      .conversation = shared,
                                      .stops = task.stop,
                                      .constraints = model.lease->engine().constraints()}));
  return submit(std::move(ids), std::move(boundaries), std::move(filter), model.dialect->stop_tokens(),
                [&] { return model.dialect->new_parser(chat::parser_options(*shared)); });
}

Status GenerationAnswer::Launch::submit(std::vector<TokenId> prompt, std::vector<size_t> boundaries,
                                        std::unique_ptr<TokenFilter> filter, std::vector<TokenId> stop_tokens,
                                        const std::function<std::unique_ptr<chat::Parser>()>& new_parser) {
  Scheduler& scheduler = model.lease->scheduler;
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.sampler = task.sampling.over(scheduler.engine().card().sampling);
  request.stop_tokens = std::move(stop_tokens);
  request.max_tokens = task.max_tokens.value_or(SIZE_MAX);
  request.n = task.n;
  if (!task.prediction.empty()) request.prediction = scheduler.engine().tokenizer().encode(task.prediction);
  request.top_logprobs = task.top_logprobs;
  request.prompt_logprobs = task.prompt_logprobs;
  request.filter = std::move(filter);
  request.fairness_key = task.client;
  request.boundaries = std::move(boundaries);
  Run run;
  ATELIER_TRY(run.stream, scheduler.submit(std::move(request)));
  run.sampled.resize(task.n);
  for (size_t i = 0; i < task.n; ++i)
    run.readers.emplace_back(TurnReader::Options{.parser = new_parser(),
                                                 .stops = task.stop,
                                                 .logprobs = task.top_logprobs.has_value(),
                                                 .call_prefix = task.call_prefix});
  runs.push_back(std::move(run));
  return {};
}

Result<std::vector<TokenId>> prompt_ids(const ModelInUse& model, chat::Conversation& conversation,
                                        TurnMemory& memory) {
  if (!model.dialect)
    return fail(ErrorCode::kUnsupported, "model {}: expected one that can converse, found: {}", model.id,
                model.dialect_error);
  memory.restore(model.id, conversation);
  if (conversation.date.empty()) conversation.date = chat::today();
  ATELIER_TRY(const chat::Prompt prompt, model.dialect->render(conversation));
  return prompt.encode(model.dialect->tokenizer());
}

GenerationAnswer::GenerationAnswer(Task task, std::unique_ptr<Reply> reply, Catalogue& catalogue,
                                   TurnMemory& memory)
    : reply_(std::move(reply)), memory_(memory), n_(task.n) {
  const Result<CatalogueEntry> entry = catalogue.find(task.model);
  launch_ = std::make_shared<Launch>(std::move(task), memory);
  if (entry)
    catalogue.acquire(*entry,
                      [launch = launch_](Result<ModelInUse> model) { launch->run(std::move(model)); });
  else
    launch_->run(tl::unexpected<Error>(entry.error()));
}

GenerationAnswer::~GenerationAnswer() {
  for (Run& run : runs_)
    if (run.stream) run.stream->when_ready(nullptr);
  const std::lock_guard lock(launch_->mutex);
  launch_->abandoned = true;
  launch_->wake = nullptr;
}

void GenerationAnswer::start(std::function<void()> wake) {
  wake_ = wake;
  const std::lock_guard lock(launch_->mutex);
  launch_->wake = std::move(wake);
}

Answer::State GenerationAnswer::refuse(const Failure& failure, HttpResponse& piece) {
  piece = failure_response(reply_->style(), failure);
  failure_ = failure;
  return State::kDone;
}

// Takes over what the launch has left. False while there is nothing.
bool GenerationAnswer::begin(HttpResponse& piece) {
  const std::lock_guard lock(launch_->mutex);
  if (!launch_->ready) return false;
  if (launch_->failure) {
    refuse(*launch_->failure, piece);
    return true;
  }
  model_ = std::move(launch_->model);
  runs_ = std::move(launch_->runs);
  outcome_.choices.resize(runs_.size() * n_);
  outcome_.prompts.resize(runs_.size());
  reply_->begin(
      {model_.id, &model_.lease->engine().tokenizer(), outcome_.choices.size(), std::move(launch_->prompts)});
  return true;
}

Answer::State GenerationAnswer::poll(HttpResponse& piece) {
  if (runs_.empty()) {
    if (!begin(piece)) return State::kWaiting;
    if (failure_) return State::kDone;
  }
  const bool head = reply_->streams() && !streaming_;
  if (head) {
    streaming_ = true;
    piece.content_type = reply_->stream_type();
    piece.headers.push_back({"cache-control", "no-cache"});
  }
  bool news = false;
  for (size_t i = 0; i < runs_.size() && !failure_; ++i) news |= read_events(i, piece.body);
  if (failure_) {
    if (!streaming_) return refuse(*failure_, piece);
    reply_->fail(*failure_, piece.body);
    return State::kDone;
  }
  if (std::ranges::all_of(runs_, &Run::done)) return finish(piece);
  if (!streaming_) {
    if (news) wake_();  // there may be more than was read
    return State::kWaiting;
  }
  return head || news ? State::kMore : State::kWaiting;
}

bool GenerationAnswer::read_events(size_t index, std::string& out) {
  Run& run = runs_[index];
  if (run.done) return false;
  for (size_t i = 0; i < kEventsAtATime; ++i) {
    std::optional<GenerationEvent> event = run.stream->try_next();
    if (!event) {
      run.stream->when_ready(wake_);
      return i > 0;
    }
    on_event(index, std::move(*event), out);
    if (run.done || failure_) return true;
  }
  return true;
}

void GenerationAnswer::on_event(size_t index, GenerationEvent event, std::string& out) {
  Run& run = runs_[index];
  if (auto* prompt = std::get_if<PromptEvent>(&event)) {
    if (streaming_) reply_->prompt_done(index * n_, *prompt, out);
    outcome_.prompts[index] = std::move(*prompt);
  } else if (const auto* token = std::get_if<TokenEvent>(&event)) {
    on_token(index, *token, out);
  } else if (const auto* over = std::get_if<ChoiceEnd>(&event)) {
    if (over->reason == EndReason::kError) return;  // GenerationEnd says why
    TurnReader& reader = run.readers[over->choice];
    const size_t choice = index * n_ + over->choice;
    tell(choice, reader.finish(over->reason), out);
    // What a stop string cut off was sampled, but is no part of the turn.
    if (reader.result().finish != Finish::kStopSequence)
      reader.result().message.sampled =
          std::make_shared<const std::vector<TokenId>>(std::move(run.sampled[over->choice]));
    memory_.remember(model_.id, reader.result().message);
    if (streaming_) reply_->choice_end(choice, reader.result(), out);
    outcome_.choices[choice] = std::move(reader.result());
  } else if (const auto* end = std::get_if<GenerationEnd>(&event)) {
    run.done = true;
    if (end->error) failure_ = to_failure(*end->error);
    outcome_.usage.prompt_tokens += end->usage.prompt_tokens;
    outcome_.usage.cached_tokens += end->usage.cached_tokens;
    outcome_.usage.completion_tokens += end->usage.completion_tokens;
    outcome_.usage.drafted_tokens += end->usage.drafted_tokens;
    outcome_.usage.accepted_tokens += end->usage.accepted_tokens;
    outcome_.timings.queue_seconds = std::max(outcome_.timings.queue_seconds, end->timings.queue_seconds);
    outcome_.timings.prefill_seconds =
        std::max(outcome_.timings.prefill_seconds, end->timings.prefill_seconds);
    outcome_.timings.decode_seconds = std::max(outcome_.timings.decode_seconds, end->timings.decode_seconds);
  }
}

void GenerationAnswer::on_token(size_t index, const TokenEvent& event, std::string& out) {
  runs_[index].sampled[event.choice].push_back(event.token);
  tell(index * n_ + event.choice, runs_[index].readers[event.choice].push(event), out);
}

void GenerationAnswer::tell(size_t choice, const TurnReader::Step& step, std::string& out) {
  if (!streaming_) return;
  std::span<const TokenInfo> tokens = step.tokens;
  for (const chat::Delta& delta : step.deltas) {
    const bool answer = delta.kind == chat::Delta::Kind::kFinal;
    reply_->delta(choice, delta, answer ? std::exchange(tokens, {}) : std::span<const TokenInfo>{}, out);
  }
  // A token that completed no character: its log-probability goes out all the same.
  if (!tokens.empty()) reply_->delta(choice, chat::Delta{}, tokens, out);
}

Answer::State GenerationAnswer::finish(HttpResponse& piece) {
  if (streaming_)
    reply_->end(outcome_, piece.body);
  else
    piece.body = to_text(reply_->whole(outcome_));
  return State::kDone;
}

OrderedJson GenerationAnswer::log_fields() const {
  OrderedJson fields = OrderedJson::object();
  if (failure_) fields["error"] = failure_->message;
  if (model_.id.empty()) return fields;
  const auto ms = [](double seconds) { return std::round(seconds * 1e4) / 10; };
  fields["model"] = model_.id;
  fields["prompt_tokens"] = outcome_.usage.prompt_tokens;
  fields["cached_tokens"] = outcome_.usage.cached_tokens;
  fields["completion_tokens"] = outcome_.usage.completion_tokens;
  fields["queue_ms"] = ms(outcome_.timings.queue_seconds);
  fields["prefill_ms"] = ms(outcome_.timings.prefill_seconds);
  fields["decode_ms"] = ms(outcome_.timings.decode_seconds);
  return fields;
}

}  // namespace atelier::server
