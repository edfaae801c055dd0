// What becomes of logits: tokens, events, ends.
#include <algorithm>

#include "engine/scheduler_logprobs.h"
#include "engine/scheduler_worker.h"

namespace atelier {

// The pass is done: its sequences have their keys and values, and `logits` the rows that were asked for.
void Scheduler::Worker::absorb(std::span<const Planned> plan, MatView<const float> logits) {
  for (const Planned& planned : plan) planned.sequence->in_pass = false;
  std::vector<Draw> draws;
  size_t row = 0;
  for (const Planned& planned : plan) {
    Sequence& sequence = *planned.sequence;
    const size_t n_rows = planned.logits == Engine::Logits::kAll    ? planned.n_tokens
                          : planned.logits == Engine::Logits::kLast ? 1
                                                                    : 0;
    const MatView<const float> rows = logits.row_range(row, n_rows);
    row += n_rows;
    if (!sequence.draft.empty()) {
      draws.emplace_back(&sequence, rows);
      continue;
    }
    if (planned.logits == Engine::Logits::kAll) note_prompt_logprobs(sequence, rows);
    if (sequence.request->error) continue;  // reap() ends it
    if (sequence.pending() > 0) {
      if (std::ranges::binary_search(sequence.checkpoints, sequence.kv.length()))
        remember(sequence, sequence.kv.fork());
      continue;
    }
    std::vector<Sequence*> choices = {&sequence};
    if (!sequence.request->prompt_done) choices = finish_prompt(sequence);
    for (Sequence* choice : choices) draws.emplace_back(choice, rows.row_range(n_rows - 1, 1));
  }
  // Choosing among 200,000 tokens takes milliseconds: streams share the threads.
  if (draws.size() == 1) {
    draw(draws.front());
  } else {
    engine_->pool().run(draws.size(), [&](size_t i, size_t) { draw(draws[i]); });
  }
  for (const Draw& drawn : draws) settle(drawn);
  for (Draw& drawn : draws)
    if (is_running(drawn.sequence)) emit(drawn);
}

// rows: [n, vocab_size], of the last n positions evaluated; each says what it thinks of the token after it.
void Scheduler::Worker::note_prompt_logprobs(Sequence& sequence, MatView<const float> rows) {
  Request& request = *sequence.request;
  const size_t first = sequence.kv.length() - rows.rows;
  for (size_t i = 0; i < rows.rows; ++i) {
    const size_t position = first + i + 1;  // of the token
    if (position >= sequence.n_prompt || position <= request.prompt_logprobs.size()) continue;
    TokenLogprobs found =
        token_logprobs(rows.row(i), sequence.tokens[position], request.asked.top_logprobs.value_or(0));
    request.prompt_logprobs.push_back({found.own, std::move(found.top)});
  }
}

void Scheduler::Worker::remember(const Sequence& sequence, KvSequence kv) {
  const size_t length = kv.length();
  if (length > 0) cache_.insert(std::span(sequence.tokens).first(length), std::move(kv));
}

// The prompt is evaluated: tells the consumer, and makes a sequence of each choice. Returns those that go on.
std::vector<ScheduledSequence*> Scheduler::Worker::finish_prompt(Sequence& sequence) {
  const std::shared_ptr<Request> request = sequence.request;
  request->prompt_done = true;
  remember(sequence, sequence.kv.fork());
  count([&](SchedulerMetrics& metrics) {
    metrics.prompt_tokens += request->usage.prompt_tokens;
    metrics.cached_tokens += request->usage.cached_tokens;
  });
  request->stream->push(PromptEvent{.prompt_tokens = request->usage.prompt_tokens,
                                    .cached_tokens = request->usage.cached_tokens,
                                    .logprobs = std::move(request->prompt_logprobs)});
  std::vector<Sequence*> choices = {&sequence};
  for (size_t choice = 1; choice < request->asked.n; ++choice) {
    auto copy =
        std::make_unique<Sequence>(request, choice, sequence.kv.fork(), engine_->shared_tokenizer().get());
    copy->tokens = sequence.tokens;
    copy->n_prompt = sequence.n_prompt;
    if (sequence.filter) copy->filter = sequence.filter->clone();
    copy->started = true;
    choices.push_back(copy.get());
    running_.push_back(std::move(copy));
  }
  if (request->asked.max_tokens > 0) return choices;
  for (Sequence* choice : choices) end_choice(*choice, EndReason::kLength);
  return {};
}

// On any thread of the pool, one sequence on one thread.
void Scheduler::Worker::draw(Draw& draw) const {
  Sequence& sequence = *draw.sequence;
  for (size_t i = 0; i < draw.rows.rows; ++i) {
    if (!draw_one(draw, draw.rows.row(i))) break;
    const TokenId token = draw.events.back().token;
    sequence.tokens.push_back(token);
    if (sequence.drafter) sequence.drafter->append(token);
    // What was evaluated behind a wrong guess is worth nothing.
    if (draw.stop || (i + 1 < draw.rows.rows && token != sequence.draft[i + 1])) break;
  }
}

// Appends an event. False, with an error, if there is none.
bool Scheduler::Worker::draw_one(Draw& draw, std::span<const float> row) const {
  Sequence& sequence = *draw.sequence;
  const GenerationRequest& asked = sequence.request->asked;
  bool masked = false;
  if (sequence.filter) {
    sequence.mask.resize(token_mask_words(row.size()));
    Result<bool> asked_filter = sequence.filter->allowed(sequence.mask);
    if (!asked_filter) {
      draw.error = std::move(asked_filter).error();
      return false;
    }
    masked = *asked_filter;
    if (masked && std::ranges::all_of(sequence.mask, [](uint64_t word) { return word == 0; })) {
      draw.error =
          Error{ErrorCode::kInvalidArgument,
                fmt::format("constraint: expected some token to be allowed after {} tokens, found none",
                            sequence.n_sampled())};
      return false;
    }
  }
  const size_t step = sequence.n_sampled();
  TokenEvent& event = draw.events.emplace_back();
  event.choice = sequence.choice;
  event.token = masked ? sequence.sampler.sample_masked(row, sequence.tokens, step, sequence.mask)
                       : sequence.sampler.sample(row, sequence.tokens, step);
  event.is_stop = std::ranges::find(asked.stop_tokens, event.token) != asked.stop_tokens.end();
  draw.stop = event.is_stop || (sequence.filter && !sequence.filter->accept(event.token));
  if (!asked.top_logprobs) return true;
  TokenLogprobs found = token_logprobs(row, event.token, *asked.top_logprobs);
  event.logprob = found.own.logprob;
  event.top = std::move(found.top);
  return true;
}

// Takes guesses that were wrong out of the cache.
void Scheduler::Worker::settle(const Draw& draw) {
  Sequence& sequence = *draw.sequence;
  if (sequence.draft.empty()) return;
  const size_t drafted = sequence.draft.size() - 1, accepted = std::max<size_t>(draw.events.size(), 1) - 1;
  sequence.request->usage.drafted_tokens += drafted;
  sequence.request->usage.accepted_tokens += accepted;
  count([&](SchedulerMetrics& metrics) {
    metrics.drafted_tokens += drafted;
    metrics.accepted_tokens += accepted;
  });
  sequence.draft.clear();
  // Nobody has evaluated the token sampled last.
  const size_t evaluated = sequence.tokens.size() - (draw.events.empty() ? 0 : 1);
  if (sequence.kv.length() > evaluated) sequence.kv.truncate(evaluated);
}

void Scheduler::Worker::emit(Draw& draw) {
  Sequence& sequence = *draw.sequence;
  Request& request = *sequence.request;
  for (TokenEvent& event : draw.events) emit(sequence, std::move(event));
  if (draw.error) {
    fail_request(request, std::move(*draw.error));
    return;
  }
  // The token at the end of the context has a place, but nothing can follow it.
  const bool full = sequence.tokens.size() > engine_->context_length();
  if (draw.stop) {
    end_choice(sequence, EndReason::kStop);
  } else if (full || sequence.n_sampled() >= request.asked.max_tokens) {
    end_choice(sequence, EndReason::kLength);
  }
}

void Scheduler::Worker::emit(Sequence& sequence, TokenEvent event) {
  Request& request = *sequence.request;
  ++request.usage.completion_tokens;
  const Clock::time_point now = Clock::now();
  const bool first = !request.first_token;
  if (first) request.first_token = now;
  request.last_token = now;
  const std::optional<Clock::time_point> before = std::exchange(sequence.last_token, now);
  count([&](SchedulerMetrics& metrics) {
    ++metrics.completion_tokens;
    if (first) metrics.first_token_seconds.add(seconds(request.submitted, now));
    if (before) metrics.between_token_seconds.add(seconds(*before, now));
  });
  request.stream->push(std::move(event));
}

// Removes the sequence; its pages stay with the prefix cache. One that stands for all choices ends them all.
void Scheduler::Worker::end_choice(Sequence& sequence, EndReason reason) {
  const std::unique_ptr<Sequence> owned = remove(sequence);
  const std::shared_ptr<Request> request = owned->request;
  if (reason != EndReason::kError && owned->started) remember(*owned, std::move(owned->kv));
  const size_t n_ended = request->prompt_done ? 1 : request->asked.n;
  for (size_t i = 0; i < n_ended; ++i) request->stream->push(ChoiceEnd{owned->choice + i, reason});
  request->open_choices -= n_ended;
  if (request->open_choices == 0) finish_request(*request, reason);
}

void Scheduler::Worker::fail_request(Request& request, Error error) {
  if (!request.error) request.error = std::move(error);
  reap();
}

void Scheduler::Worker::finish_request(Request& request, EndReason reason) {
  const Clock::time_point now = Clock::now();
  const Clock::time_point started = request.started.value_or(now);
  const Clock::time_point first = request.first_token.value_or(now);
  const Timings timings{.queue_seconds = seconds(request.submitted, started),
                        .prefill_seconds = seconds(started, first),
                        .decode_seconds = seconds(first, request.last_token.value_or(first))};
  count([&](SchedulerMetrics& metrics) {
    ++(request.error                     ? metrics.failed
       : reason == EndReason::kCancelled ? metrics.cancelled
                                         : metrics.finished);
    metrics.request_seconds.add(seconds(request.submitted, now));
    constexpr double kShare = 0.1;  // of the newest in the mean: the last ten or so count
    mean_request_seconds_ += kShare * (seconds(started, now) - mean_request_seconds_);
  });
  active_.fetch_sub(1);
  request.stream->push(GenerationEnd{.error = request.error, .usage = request.usage, .timings = timings});
}

}  // namespace atelier
