// What one request gets, alone and beside others: the same tokens as from a session of its own, in order,
// with the right counts, until whatever ends it.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "engine/generate.h"
#include "engine/session.h"
#include "tests/engine/scheduler_fixture.h"

namespace atelier::testing {
namespace {

constexpr size_t kMebi = size_t{1} << 20;

std::vector<TokenId> expected(const std::vector<TokenId>& prompt, size_t max_tokens, uint64_t seed = 0) {
  const auto engine = history_engine();
  Session session(*engine);
  return generate(session, prompt, {.sampler = {.seed = seed}, .max_tokens = max_tokens}).value().tokens;
}

GenerationRequest request(std::vector<TokenId> prompt, size_t max_tokens, uint64_t seed = 0) {
  GenerationRequest out;
  out.prompt = std::move(prompt);
  out.max_tokens = max_tokens;
  out.sampler.seed = seed;
  return out;
}

TEST(Scheduler, AnswersAsASessionDoes) {
  Scheduler scheduler(history_engine(), {});
  const std::vector<TokenId> prompt = some_ids(300);
  const Answer answer = ask(scheduler, request(prompt, 50, 7));
  EXPECT_EQ(answer.tokens(), expected(prompt, 50, 7));
  EXPECT_EQ(answer.reason(), EndReason::kLength);
  EXPECT_FALSE(answer.end->error.has_value());
  EXPECT_EQ(answer.end->usage.prompt_tokens, 300u);
  EXPECT_EQ(answer.end->usage.cached_tokens, 0u);
  EXPECT_EQ(answer.end->usage.completion_tokens, 50u);
  EXPECT_EQ(answer.prompt->prompt_tokens, 300u);
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
}

TEST(Scheduler, NeighboursChangeNothing) {
  Scheduler scheduler(history_engine(), {.max_running = 6});
  std::vector<std::unique_ptr<GenerationStream>> streams;
  for (size_t i = 0; i < 20; ++i)
    streams.push_back(scheduler.submit(request(some_ids(1 + i * 37, i), 20 + i, i)).value());
  for (size_t i = 0; i < streams.size(); ++i)
    EXPECT_EQ(read_all(*streams[i]).tokens(), expected(some_ids(1 + i * 37, i), 20 + i, i)) << i;
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
}

// Every layer of a pass is an opportunity for running streams: with no patience at all each is used.
TEST(Scheduler, InterludesChangeNothing) {
  Scheduler scheduler(history_engine(), {.max_stall = std::chrono::milliseconds(0)});
  auto running = scheduler.submit(request(some_ids(10), 400, 1)).value();
  auto prompt = scheduler.submit(request(some_ids(2000, 1), 5, 2)).value();
  EXPECT_EQ(read_all(*prompt).tokens(), expected(some_ids(2000, 1), 5, 2));
  EXPECT_EQ(read_all(*running).tokens(), expected(some_ids(10), 400, 1));
}

TEST(Scheduler, EndsForEveryReason) {
  Scheduler scheduler(history_engine({.engine = {.n_threads = 1, .context = 40, .ignore_memory = true}}), {});
  const std::vector<TokenId> prompt = some_ids(8);
  const std::vector<TokenId> tokens = expected(prompt, 40);
  EXPECT_EQ(ask(scheduler, request(prompt, 5)).tokens().size(), 5u);

  const Answer full = ask(scheduler, request(prompt, SIZE_MAX));
  EXPECT_EQ(full.reason(), EndReason::kLength);
  EXPECT_EQ(full.tokens().size(), 33u);  // 40 positions less 8 of the prompt, and one token nobody evaluates

  GenerationRequest stopped = request(prompt, SIZE_MAX);
  stopped.stop_tokens = {tokens[3]};
  const size_t stop_at = static_cast<size_t>(std::ranges::find(tokens, tokens[3]) - tokens.begin());
  const Answer stop = ask(scheduler, std::move(stopped));
  EXPECT_EQ(stop.reason(), EndReason::kStop);
  EXPECT_EQ(stop.tokens().size(), stop_at + 1);
  EXPECT_TRUE(stop.choices[0].events.back().is_stop);
  EXPECT_FALSE(stop.choices[0].events.front().is_stop && stop_at > 0);

  const Answer nothing = ask(scheduler, request(prompt, 0));
  EXPECT_EQ(nothing.reason(), EndReason::kLength);
  EXPECT_TRUE(nothing.tokens().empty());
  EXPECT_TRUE(nothing.prompt.has_value());
}

TEST(Scheduler, BadRequestsAreNamedAtOnce) {
  Scheduler scheduler(
      history_engine(
          {.engine = {.n_threads = 1, .context = 1000, .ignore_memory = true, .max_kv_bytes = 2 * 8 * 256}}),
      {.max_running = 4});
  const auto code = [&](GenerationRequest bad) { return scheduler.submit(std::move(bad)).error().code; };
  EXPECT_EQ(code(request({}, 1)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(request({-1}, 1)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(request({HistoryModel::kVocab}, 1)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(request(some_ids(1001), 1)), ErrorCode::kLimit);
  EXPECT_EQ(code(request(some_ids(990), 1)), ErrorCode::kOutOfMemory);
  GenerationRequest many = request(some_ids(4), 1);
  many.n = 5;
  EXPECT_EQ(code(std::move(many)), ErrorCode::kLimit);
  GenerationRequest none = request(some_ids(4), 1);
  none.n = 0;
  EXPECT_EQ(code(std::move(none)), ErrorCode::kLimit);
  GenerationRequest hot = request(some_ids(4), 1);
  hot.sampler.temperature = -1;
  EXPECT_EQ(code(std::move(hot)), ErrorCode::kInvalidArgument);
  GenerationRequest boundaries = request(some_ids(4), 1);
  boundaries.boundaries = {3, 2};
  EXPECT_EQ(code(std::move(boundaries)), ErrorCode::kInvalidArgument);
  GenerationRequest logprobs = request(some_ids(4), 1);
  logprobs.top_logprobs = 21;
  EXPECT_EQ(code(std::move(logprobs)), ErrorCode::kLimit);
  EXPECT_EQ(ask(scheduler, request(some_ids(4), 3)).tokens(), expected(some_ids(4), 3));
}

TEST(Scheduler, ChoicesShareThePromptAndDrawForThemselves) {
  Scheduler scheduler(history_engine(), {});
  const std::vector<TokenId> prompt = some_ids(200);
  GenerationRequest several = request(prompt, 30, 5);
  several.n = 4;
  const Answer answer = ask(scheduler, std::move(several));
  ASSERT_EQ(answer.choices.size(), 4u);
  EXPECT_EQ(answer.choices[0].tokens, expected(prompt, 30, 5));
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(answer.choices[i].tokens, expected(prompt, 30, 5 + i * 0x9e3779b97f4a7c15)) << i;
    EXPECT_NE(answer.choices[i].tokens, answer.choices[0].tokens);
  }
  EXPECT_EQ(answer.end->usage.prompt_tokens, 200u);
  EXPECT_EQ(answer.end->usage.completion_tokens, 120u);
  EXPECT_EQ(scheduler.metrics().prefill_tokens, 200u);
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
}

TEST(Scheduler, LogprobsAreThoseOfTheModel) {
  Scheduler scheduler(history_engine(), {});
  const std::vector<TokenId> prompt = some_ids(100);
  GenerationRequest asked = request(prompt, 4);
  asked.sampler = {.temperature = 0.5f, .seed = 3};
  asked.top_logprobs = 2;
  asked.prompt_logprobs = true;
  const Answer answer = ask(scheduler, std::move(asked));
  const auto log_share = [](double logit) {  // logits are 4, 3, 2 and 248 zeros
    return logit - std::log(std::exp(4.0) + std::exp(3.0) + std::exp(2.0) + 248);
  };
  ASSERT_EQ(answer.prompt->logprobs.size(), 99u);
  const auto engine = history_engine();
  KvSequence sequence = engine->new_sequence();
  const Engine::Item item{&sequence, prompt, Engine::Logits::kAll};
  const auto logits = engine->evaluate({&item, 1}).value();
  for (size_t i = 0; i < 99; ++i) {
    const PromptEvent::Entry& entry = answer.prompt->logprobs[i];
    const auto id = static_cast<size_t>(prompt[i + 1]);
    EXPECT_EQ(entry.token.token, prompt[i + 1]);
    EXPECT_NEAR(entry.token.logprob, log_share(static_cast<double>(logits.row(i)[id])), 1e-5);
    ASSERT_EQ(entry.top.size(), 2u);
    EXPECT_EQ(entry.top[0].token, greedy_token(logits.row(i)));
    EXPECT_NEAR(entry.top[0].logprob, log_share(4), 1e-5);
    EXPECT_NEAR(entry.top[1].logprob, log_share(3), 1e-5);
  }
  for (const TokenEvent& event : answer.choices[0].events) {
    ASSERT_EQ(event.top.size(), 2u);
    EXPECT_NEAR(event.top[0].logprob, log_share(4), 1e-5);
    EXPECT_LE(event.logprob, event.top[0].logprob);
  }
}

// Allows odd tokens only, one word of the mask at a time, and ends after `limit`.
class OddTokens final : public TokenFilter {
 public:
  explicit OddTokens(size_t limit) : limit_(limit) {}
  Result<bool> allowed(std::span<uint64_t> mask) override {
    if (seen_ == 1) return false;  // the second token is free
    for (size_t i = 0; i < mask.size(); ++i) mask[i] = 0;
    if (seen_ == 100) return true;  // dead end
    for (size_t id = 1; id < HistoryModel::kVocab; id += 2) mask[id / 64] |= uint64_t{1} << (id % 64);
    return true;
  }
  bool accept(TokenId) override { return ++seen_ < limit_; }
  std::unique_ptr<TokenFilter> clone() const override { return std::make_unique<OddTokens>(*this); }

 private:
  size_t limit_;
  size_t seen_ = 0;
};

TEST(Scheduler, FiltersMaskAndEnd) {
  Scheduler scheduler(history_engine(), {});
  GenerationRequest asked = request(some_ids(20), SIZE_MAX);
  asked.filter = std::make_unique<OddTokens>(40);
  asked.n = 3;
  const Answer answer = ask(scheduler, std::move(asked));
  ASSERT_EQ(answer.choices.size(), 3u);
  for (const Answer::Choice& choice : answer.choices) {
    EXPECT_EQ(choice.reason, EndReason::kStop);
    ASSERT_EQ(choice.tokens.size(), 40u);
    for (size_t i = 0; i < 40; ++i) {
      if (i == 1) continue;
      EXPECT_EQ(choice.tokens[i] % 2, 1);
    }
  }
  EXPECT_NE(answer.choices[0].tokens, answer.choices[1].tokens);

  GenerationRequest stuck = request(some_ids(20), SIZE_MAX);
  stuck.filter = std::make_unique<OddTokens>(1000);
  const Answer failed = ask(scheduler, std::move(stuck));
  EXPECT_EQ(failed.reason(), EndReason::kError);
  EXPECT_EQ(failed.end->error->code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(failed.tokens().size(), 100u);
  EXPECT_EQ(ask(scheduler, request(some_ids(4), 3)).tokens(), expected(some_ids(4), 3));
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
}

TEST(Scheduler, AFullQueueRefusesAtOnceAndFreesPlacesOnCancel) {
  Gate gate;
  Scheduler scheduler(history_engine({.before_pass = [&](const Batch&) { gate.wait(); }}),
                      {.max_running = 1, .max_queued = 3});
  auto running = scheduler.submit(request(some_ids(4), 2)).value();
  while (scheduler.metrics().queued > 0) std::this_thread::yield();
  std::vector<std::unique_ptr<GenerationStream>> queued;
  for (size_t i = 0; i < 3; ++i) queued.push_back(scheduler.submit(request(some_ids(4, i), 2)).value());
  const auto refused = scheduler.submit(request(some_ids(4), 2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
  EXPECT_GE(scheduler.retry_after().count(), 1);
  EXPECT_EQ(scheduler.metrics().refused, 1u);
  // The scheduler's thread is busy: leaving the queue does not wait for it.
  queued[1]->cancel();
  const Answer left = read_all(*queued[1]);
  EXPECT_EQ(left.reason(), EndReason::kCancelled);
  EXPECT_FALSE(left.prompt.has_value());
  EXPECT_EQ(left.end->usage.prompt_tokens, 4u);
  // So it can be done any number of times without anything piling up.
  for (size_t i = 0; i < 1000; ++i) {
    auto another = scheduler.submit(request(some_ids(4), 2));
    ASSERT_TRUE(another);
  }
  queued[1] = scheduler.submit(request(some_ids(4, 1), 2)).value();
  EXPECT_FALSE(scheduler.submit(request(some_ids(4), 2)));
  gate.open();
  EXPECT_EQ(read_all(*running).tokens(), expected(some_ids(4), 2));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(read_all(*queued[i]).tokens(), expected(some_ids(4, i), 2));
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
  EXPECT_EQ(scheduler.metrics().cancelled, 1001u);
}

TEST(Scheduler, CancelledWhilePrefillingDecodingAndChosen) {
  std::atomic<size_t> passes{0};
  Gate gate;
  Scheduler scheduler(history_engine({.before_pass =
                                          [&](const Batch&) {
                                            if (++passes == 3) gate.wait();
                                          }}),
                      {});
  auto prefilling = scheduler.submit(request(some_ids(3000), 10)).value();
  while (passes < 3) std::this_thread::yield();
  prefilling->cancel();
  gate.open();
  const Answer cut = read_all(*prefilling);
  EXPECT_EQ(cut.reason(), EndReason::kCancelled);
  EXPECT_TRUE(cut.tokens().empty());
  EXPECT_LT(scheduler.metrics().prefill_tokens, 3000u);

  auto decoding = scheduler.submit(request(some_ids(30), 100'000)).value();
  Answer answer;
  while (answer.choices.empty() || answer.tokens().size() < 5) add_event(answer, *decoding->next());
  decoding->cancel();
  while (auto event = decoding->next()) add_event(answer, std::move(*event));
  EXPECT_EQ(answer.reason(), EndReason::kCancelled);
  EXPECT_FALSE(answer.end->error.has_value());

  GenerationRequest several = request(some_ids(30), 3000);
  several.n = 3;
  auto chosen = scheduler.submit(std::move(several)).value();
  chosen->cancel(1);
  chosen->cancel(77);  // there is none
  const Answer rest = read_all(*chosen);
  EXPECT_EQ(rest.choices.at(1).reason, EndReason::kCancelled);
  EXPECT_EQ(rest.choices.at(0).reason, EndReason::kLength);
  EXPECT_EQ(rest.choices.at(2).tokens.size(), 3000u);
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
}

TEST(Scheduler, DroppedStreamsAreCancelled) {
  Scheduler scheduler(history_engine(), {});
  for (size_t i = 0; i < 50; ++i) (void)scheduler.submit(request(some_ids(500, i), 100'000)).value();
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
  EXPECT_EQ(scheduler.metrics().cancelled, 50u);
}

TEST(Scheduler, AFullStreamRestsAndGoesOnWhenRead) {
  Scheduler scheduler(history_engine(), {.max_running = 2, .stream_events = 8});
  const std::vector<TokenId> prompt = some_ids(70);
  auto slow = scheduler.submit(request(prompt, 200, 3)).value();
  auto slow2 = scheduler.submit(request(some_ids(60, 1), 200, 4)).value();
  while (scheduler.metrics().resting < 2) std::this_thread::yield();
  // Both places are taken by clients that do not read; others are served nevertheless.
  for (size_t i = 0; i < 5; ++i) {
    auto quick = scheduler.submit(request(some_ids(40, 9 + i), 50)).value();
    EXPECT_EQ(read_all(*quick).tokens(), expected(some_ids(40, 9 + i), 50));
  }
  EXPECT_GE(scheduler.metrics().set_aside, 1u);
  EXPECT_EQ(read_all(*slow).tokens(), expected(prompt, 200, 3));
  EXPECT_EQ(read_all(*slow2).tokens(), expected(some_ids(60, 1), 200, 4));
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
}

// Nobody reads, and there is memory for two of six prompts: all answers arrive, computed again where need be.
TEST(Scheduler, PagesThatRunOutAreGivenUpAndComputedAgain) {
  Scheduler scheduler(
      history_engine({.engine = {.n_threads = 1,
                                 .prefill_chunk = 64,
                                 .ignore_memory = true,
                                 .max_kv_bytes = 256 * 8 * 6}}),  // 6 slabs of 8 pages of 256 bytes
      {});
  std::vector<std::unique_ptr<GenerationStream>> streams;
  for (size_t i = 0; i < 6; ++i)
    streams.push_back(scheduler.submit(request(some_ids(600, i), 700, i)).value());
  for (size_t i = 0; i < 6; ++i)
    EXPECT_EQ(read_all(*streams[i]).tokens(), expected(some_ids(600, i), 700, i)) << i;
  EXPECT_GT(scheduler.metrics().preemptions, 0u);
  EXPECT_LE(scheduler.metrics().kv_bytes_in_use, 256u * 8 * 6);
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
}

TEST(Scheduler, AGenerationThatOutgrowsAllMemoryFailsAlone) {
  Scheduler scheduler(history_engine({.engine = {.n_threads = 1,
                                                 .prefill_chunk = 64,
                                                 .ignore_memory = true,
                                                 .max_kv_bytes = 256 * 8 * 4}}),
                      {});
  auto large = scheduler.submit(request(some_ids(600), SIZE_MAX)).value();
  auto small = scheduler.submit(request(some_ids(100, 1), 200)).value();
  const Answer failed = read_all(*large);
  EXPECT_EQ(failed.reason(), EndReason::kError);
  EXPECT_EQ(failed.end->error->code, ErrorCode::kOutOfMemory);
  EXPECT_FALSE(failed.tokens().empty());
  EXPECT_EQ(read_all(*small).tokens(), expected(some_ids(100, 1), 200));
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
}

TEST(Scheduler, WhenReadyIsCalledOnceAndCanBeWithdrawn) {
  Gate gate;
  Scheduler scheduler(history_engine({.before_pass = [&](const Batch&) { gate.wait(); }}), {});
  auto stream = scheduler.submit(request(some_ids(4), 20)).value();
  std::atomic<size_t> calls{0}, withdrawn{0};
  stream->when_ready([&] { ++withdrawn; });
  stream->when_ready([&] { ++calls; });
  gate.open();
  while (!scheduler.idle()) std::this_thread::yield();
  EXPECT_EQ(calls, 1u);
  EXPECT_EQ(withdrawn, 0u);
  stream->when_ready([&] { ++calls; });  // events are waiting: at once
  EXPECT_EQ(calls, 2u);
  const Answer answer = read_all(*stream);
  EXPECT_EQ(answer.tokens().size(), 20u);
  stream->when_ready([&] { ++calls; });  // nothing will come any more
  EXPECT_EQ(calls, 2u);
  EXPECT_FALSE(stream->next().has_value());
}

TEST(Scheduler, TheEndOfTheSchedulerEndsItsStreams) {
  std::vector<std::unique_ptr<GenerationStream>> streams;
  {
    Scheduler scheduler(history_engine(), {.max_running = 2});
    for (size_t i = 0; i < 5; ++i)
      streams.push_back(scheduler.submit(request(some_ids(100, i), 100'000)).value());
    (void)streams[0]->next();
    scheduler.drain();
    EXPECT_EQ(scheduler.submit(request(some_ids(3), 1)).error().code, ErrorCode::kInterrupted);
  }
  for (size_t i = 0; i < 5; ++i) {
    Answer answer;
    answer.prompt.emplace();  // that of the first was taken
    while (auto event = streams[i]->next())
      if (!std::holds_alternative<PromptEvent>(*event)) add_event(answer, std::move(*event));
    EXPECT_EQ(answer.reason(), EndReason::kCancelled);
    ASSERT_TRUE(answer.end.has_value());
  }
}

TEST(Scheduler, MetricsAddUp) {
  Scheduler scheduler(history_engine(), {});
  for (size_t i = 0; i < 3; ++i) ask(scheduler, request(some_ids(100), 10));
  while (!scheduler.idle()) std::this_thread::yield();
  const SchedulerMetrics metrics = scheduler.metrics();
  EXPECT_EQ(metrics.requests, 3u);
  EXPECT_EQ(metrics.finished, 3u);
  EXPECT_EQ(metrics.prompt_tokens, 300u);
  EXPECT_EQ(metrics.cached_tokens, 2 * 99u);
  EXPECT_EQ(metrics.prefill_tokens, 100u + 1 + 1);
  EXPECT_EQ(metrics.completion_tokens, 30u);
  EXPECT_EQ(metrics.first_token_seconds.count(), 3u);
  EXPECT_EQ(metrics.between_token_seconds.count(), 27u);
  EXPECT_EQ(metrics.request_seconds.count(), 3u);
  EXPECT_EQ(metrics.kv_bytes_limit, UINT64_MAX);
  EXPECT_LT(metrics.kv_bytes_in_use, kMebi);
}

}  // namespace
}  // namespace atelier::testing
