// Ten thousand requests (half of them with sliding windows) given up at random moments by several clients at
// once: queued, in the middle of a prompt, between tokens, by cancelling or by letting go. Every one ends,
// and nothing of them is left: no page, no sequence, no place.
#include <gtest/gtest.h>

#include <random>

#include "tests/engine/scheduler_fixture.h"

namespace atelier::testing {
namespace {

constexpr size_t kClients = 4;
constexpr size_t kRequestsEach = 1250;

struct Tally {
  std::atomic<uint64_t> accepted{0}, refused{0}, ended{0}, dropped{0};
};

class Client {
 public:
  Client(Scheduler& scheduler, Tally& tally, uint64_t seed)
      : scheduler_(scheduler), tally_(tally), random_(seed) {}

  void run() {
    for (size_t i = 0; i < kRequestsEach;) {
      if (open_.size() < 6 && submit(i)) {
        ++i;
        continue;
      }
      if (!open_.empty()) give_up_one();
    }
    while (!open_.empty()) give_up_one();
  }

 private:
  bool submit(size_t index) {
    GenerationRequest request;
    request.prompt =
        joined(some_ids(40 + random_() % 3 * 30, random_() % 4), some_ids(1 + random_() % 30, index));
    request.sampler.seed = random_();
    request.max_tokens = 1 + random_() % 25;
    if (random_() % 6 == 0) request.n = 3;
    request.fairness_key = std::to_string(random_() % 3);
    auto stream = scheduler_.submit(std::move(request));
    if (!stream) {
      EXPECT_EQ(stream.error().code, ErrorCode::kOverloaded) << stream.error().message;
      ++tally_.refused;
      return false;
    }
    ++tally_.accepted;
    open_.push_back(std::move(*stream));
    return true;
  }

  void give_up_one() {
    const size_t at = random_() % open_.size();
    std::swap(open_[at], open_.back());
    std::unique_ptr<GenerationStream> stream = std::move(open_.back());
    open_.pop_back();
    for (uint64_t n = random_() % 8; n > 0; --n)
      if (const auto event = stream->next(); event && std::holds_alternative<GenerationEnd>(*event)) {
        ++tally_.ended;
        return;
      }
    if (random_() % 2 == 0) {
      ++tally_.dropped;
      return;  // the handle goes, and the request with it
    }
    if (random_() % 4 == 0) stream->cancel(random_() % 3 == 0 ? 1 : 0);
    stream->cancel();
    while (const auto event = stream->next()) {
      if (std::holds_alternative<GenerationEnd>(*event)) ++tally_.ended;
    }
  }

  Scheduler& scheduler_;
  Tally& tally_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<GenerationStream>> open_;
};

class Cancellations : public ::testing::TestWithParam<size_t> {};  // the window

TEST_P(Cancellations, LeaveNothingBehind) {
  const auto page = history_engine({.window = GetParam()})->kv_pool().sequence_bytes(1);
  Scheduler scheduler(history_engine({.window = GetParam(),
                                      .engine = {.n_threads = 1,
                                                 .prefill_chunk = 32,
                                                 .ignore_memory = true,
                                                 .drafts = {.row_cost = 0.0},
                                                 .max_kv_bytes = page * 48}}),
                      {.max_running = 6, .max_queued = 12, .prefix_cache_bytes = page * 16});
  Tally tally;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kClients; ++i)
    threads.emplace_back([&, i] { Client(scheduler, tally, GetParam() * 10 + i).run(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(tally.accepted, kClients * kRequestsEach);
  EXPECT_EQ(tally.ended + tally.dropped, tally.accepted);
  EXPECT_EQ(bytes_left_behind(scheduler), 0u);
  const SchedulerMetrics metrics = scheduler.metrics();
  EXPECT_EQ(metrics.requests, tally.accepted);
  EXPECT_EQ(metrics.refused, tally.refused);
  EXPECT_EQ(metrics.finished + metrics.cancelled + metrics.failed, metrics.requests);
  EXPECT_EQ(metrics.failed, 0u);
  EXPECT_GT(metrics.cancelled, metrics.requests / 4);
  EXPECT_EQ(metrics.queued + metrics.running + metrics.set_aside + metrics.cache_entries, 0u);
  // The next good request is served.
  GenerationRequest request;
  request.prompt = some_ids(50);
  request.max_tokens = 5;
  EXPECT_EQ(ask(scheduler, std::move(request)).tokens().size(), 5u);
}

INSTANTIATE_TEST_SUITE_P(Windows, Cancellations, ::testing::Values(0, 64),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace atelier::testing
