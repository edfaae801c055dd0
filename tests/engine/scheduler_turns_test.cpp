// Who goes first: owners take turns, short prompts overtake, long ones get on, running streams never wait for
// more than a pass, and what several prompts begin with is computed once.
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>

#include "tests/engine/scheduler_fixture.h"

namespace atelier::testing {
namespace {

// What the engine evaluated, pass by pass; held up until the test has submitted all it wants to.
class Log {
 public:
  struct Pass {
    std::vector<TokenId> tokens;
    std::vector<int32_t> positions;
    bool has(TokenId token) const { return std::ranges::find(tokens, token) != tokens.end(); }
  };

  std::function<void(const Batch&)> hook() {
    return [this](const Batch& batch) {
      gate.wait();
      const std::lock_guard lock(mutex_);
      passes_.push_back(
          {{batch.tokens.begin(), batch.tokens.end()}, {batch.positions.begin(), batch.positions.end()}});
    };
  }
  std::vector<Pass> passes() const {
    const std::lock_guard lock(mutex_);
    return passes_;
  }

  Gate gate;

 private:
  mutable std::mutex mutex_;
  std::vector<Pass> passes_;
};

// A prompt that can be told from others by its tokens.
std::vector<TokenId> prompt_of(TokenId token, size_t n) { return std::vector<TokenId>(n, token); }

GenerationRequest keyed_request(std::vector<TokenId> prompt, size_t max_tokens, std::string key = "") {
  GenerationRequest out;
  out.prompt = std::move(prompt);
  out.max_tokens = max_tokens;
  out.fairness_key = std::move(key);
  return out;
}

TEST(SchedulerTurns, OwnersOfManyRequestsDoNotHoldUpOthers) {
  Log log;
  Scheduler scheduler(history_engine({.before_pass = log.hook()}), {.max_running = 1});
  std::vector<std::unique_ptr<GenerationStream>> streams;
  for (TokenId i = 0; i < 6; ++i)
    streams.push_back(scheduler.submit(keyed_request(prompt_of(10 + i, 5), 1, "greedy")).value());
  streams.push_back(scheduler.submit(keyed_request(prompt_of(20, 5), 1, "modest")).value());
  streams.push_back(scheduler.submit(keyed_request(prompt_of(30, 5), 1, "third")).value());
  log.gate.open();
  for (auto& stream : streams) read_all(*stream);
  std::vector<TokenId> order;
  for (const Log::Pass& pass : log.passes()) order.push_back(pass.tokens[0]);
  // Whichever of the greedy ones was begun before the others came, the rest takes turns.
  ASSERT_EQ(order.size(), 8u);
  const auto place = [&](TokenId token) { return std::ranges::find(order, token) - order.begin(); };
  EXPECT_LE(place(20), 2);
  EXPECT_LE(place(30), 3);
  for (TokenId i = 1; i < 6; ++i) EXPECT_LT(place(10 + i - 1), place(10 + i));
}

TEST(SchedulerTurns, ShortPromptsOvertakeAndLongOnesGetOn) {
  Log log;
  Scheduler scheduler(history_engine({.before_pass = log.hook()}), {.max_running = 64});
  auto first = scheduler.submit(keyed_request(prompt_of(1, 2), 1)).value();  // holds the thread up
  auto large = scheduler.submit(keyed_request(prompt_of(2, 1280), 1)).value();
  std::vector<std::unique_ptr<GenerationStream>> streams;
  for (TokenId i = 0; i < 40; ++i)
    streams.push_back(scheduler.submit(keyed_request(prompt_of(10 + i, 64), 1)).value());
  log.gate.open();
  for (auto& stream : streams) read_all(*stream);
  EXPECT_EQ(read_all(*large).tokens().size(), 1u);
  const std::vector<Log::Pass> passes = log.passes();
  // 40 short prompts of a pass each; every fourth pass is the long one's.
  size_t of_large = 0, of_short = 0;
  for (const Log::Pass& pass : passes) {
    if (of_short == 40) break;
    of_large += pass.has(2) ? 1 : 0;
    of_short += pass.tokens[0] >= 10 ? 1 : 0;
  }
  EXPECT_EQ(of_short, 40u);
  EXPECT_GE(of_large, 10u);
  EXPECT_LE(of_large, 15u);
}

TEST(SchedulerTurns, SeveralPromptsShareAPass) {
  Log log;
  Scheduler scheduler(history_engine({.before_pass = log.hook()}), {});
  auto first = scheduler.submit(keyed_request(prompt_of(1, 2), 1)).value();
  std::vector<std::unique_ptr<GenerationStream>> streams;
  for (TokenId i = 0; i < 6; ++i)
    streams.push_back(scheduler.submit(keyed_request(prompt_of(10 + i, 20), 1)).value());
  log.gate.open();
  for (auto& stream : streams) read_all(*stream);
  size_t passes = 0;
  for (const Log::Pass& pass : log.passes()) {
    EXPECT_LE(pass.tokens.size(), 64u);
    passes += pass.tokens[0] >= 10 ? 1 : 0;
  }
  EXPECT_LE(passes,
            3u);  // 120 tokens in passes of 64, the first of which may have started with fewer prompts
}

TEST(SchedulerTurns, RunningStreamsGetATokenBetweenAnyTwoPassesOfAPrompt) {
  Log log;
  Scheduler scheduler(history_engine({.before_pass = log.hook()}), {});
  auto running = scheduler.submit(keyed_request(prompt_of(1, 3), 3000)).value();
  auto large = scheduler.submit(keyed_request(prompt_of(2, 3000), 1)).value();
  log.gate.open();
  read_all(*large);
  running->cancel();
  bool was_prompt = false;
  size_t prompt_passes = 0;
  for (const Log::Pass& pass : log.passes()) {
    const bool is_prompt = pass.has(2) && pass.positions.size() > 1;
    EXPECT_FALSE(is_prompt && was_prompt);
    was_prompt = is_prompt;
    prompt_passes += is_prompt ? 1 : 0;
  }
  EXPECT_GE(prompt_passes, 3000u / 64);
}

class SharedBeginnings : public ::testing::TestWithParam<size_t> {};

TEST_P(SharedBeginnings, AreComputedOnceEvenAtTheSameTime) {
  Log log;
  Scheduler scheduler(history_engine({.window = GetParam(), .before_pass = log.hook()}), {});
  auto first = scheduler.submit(keyed_request(prompt_of(1, 2), 1)).value();
  const std::vector<TokenId> system = some_ids(500);
  std::vector<std::unique_ptr<GenerationStream>> streams;
  for (TokenId i = 0; i < 8; ++i)
    streams.push_back(scheduler.submit(keyed_request(joined(system, prompt_of(100 + i, 30)), 3)).value());
  log.gate.open();
  size_t cached = 0;
  for (auto& stream : streams) cached += read_all(*stream).end->usage.cached_tokens;
  EXPECT_EQ(cached, 7 * 500u);
  EXPECT_EQ(scheduler.metrics().prefill_tokens, 2 + 500u + 8 * 30);
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
}

TEST_P(SharedBeginnings, DoNotHangOnOneThatIsCancelled) {
  Log log;
  Scheduler scheduler(history_engine({.window = GetParam(), .before_pass = log.hook()}), {});
  auto first = scheduler.submit(keyed_request(prompt_of(1, 2), 1)).value();
  const std::vector<TokenId> system = some_ids(500);
  auto one = scheduler.submit(keyed_request(joined(system, prompt_of(100, 30)), 3)).value();
  auto two = scheduler.submit(keyed_request(joined(system, prompt_of(101, 30)), 3)).value();
  log.gate.open();
  (void)first->next();
  one->cancel();
  EXPECT_EQ(read_all(*two).tokens().size(), 3u);
}

TEST_P(SharedBeginnings, TheSecondTurnFindsTheFirst) {
  Scheduler scheduler(history_engine({.window = GetParam()}), {});
  const std::vector<TokenId> prompt = some_ids(700);
  const Answer first = ask(scheduler, keyed_request(prompt, 40));
  const std::vector<TokenId> history = joined(prompt, first.tokens());
  const Answer second = ask(scheduler, keyed_request(joined(history, some_ids(20, 3)), 5));
  EXPECT_EQ(second.end->usage.cached_tokens, 700u + 40 - 1);
  // A client that renders the answer differently still has the prompt.
  const Answer other = ask(scheduler, keyed_request(joined(prompt, some_ids(20, 4)), 5));
  EXPECT_EQ(other.end->usage.cached_tokens, 700u);
}

TEST_P(SharedBeginnings, MessageEndsArePlacesToResume) {
  Scheduler scheduler(history_engine({.window = GetParam()}), {.checkpoint_spacing = 100});
  const std::vector<TokenId> system = some_ids(230), prompt = joined(system, some_ids(900, 1));
  GenerationRequest with = keyed_request(prompt, 2);
  with.boundaries = {230, 250, 600, 1000, 1020};
  ask(scheduler, std::move(with));
  const auto cached = [&](size_t n, size_t variant) {
    std::vector<TokenId> tokens(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(n));
    return ask(scheduler, keyed_request(joined(tokens, some_ids(30, variant)), 1)).end->usage.cached_tokens;
  };
  const bool windowed = GetParam() > 0;
  EXPECT_EQ(cached(230, 2), 230u);
  EXPECT_EQ(cached(600, 3), 600u);
  EXPECT_EQ(cached(1020, 4), 1020u);
  // Not a place that was announced; it becomes one, as somebody has parted here now.
  EXPECT_EQ(cached(800, 5), windowed ? 600u : 800u);
  EXPECT_EQ(cached(800, 6), 800u);
}

TEST_P(SharedBeginnings, WithoutACacheNothingIsShared) {
  Scheduler scheduler(history_engine({.window = GetParam()}), {.prefix_cache_bytes = 0});
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(ask(scheduler, keyed_request(some_ids(300), 3)).end->usage.cached_tokens, 0u);
  while (!scheduler.idle()) std::this_thread::yield();
  scheduler.drop_prefix_cache().wait();
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
}

INSTANTIATE_TEST_SUITE_P(Windows, SharedBeginnings, ::testing::Values(0, 128), [](const auto& info) {
  return info.param == 0 ? std::string("none") : std::to_string(info.param);
});

}  // namespace
}  // namespace atelier::testing
