// The scheduler's parts that can be told apart: turns, pace, log-probabilities, histograms.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/scheduler_logprobs.h"
#include "engine/scheduler_metrics.h"
#include "engine/scheduler_pace.h"
#include "engine/scheduler_queue.h"

namespace atelier {
namespace {

TEST(FairQueue, KeysTakeTurnsAndKeepTheirOrder) {
  FairQueue<int> queue;
  for (int i = 0; i < 5; ++i) queue.push("greedy", i);
  queue.push("modest", 100);
  queue.push("other", 200);
  queue.push("modest", 101);
  EXPECT_EQ(queue.size(), 8u);
  std::vector<int> order;
  while (!queue.empty()) {
    const int front = queue.front();
    order.push_back(queue.pop());
    EXPECT_EQ(order.back(), front);
    if (order.size() == 4) queue.push("late", 300);
  }
  EXPECT_EQ(order, (std::vector<int>{0, 100, 200, 1, 101, 2, 300, 3, 4}));
}

TEST(FairQueue, RemovalLeavesTheOthersInPlace) {
  FairQueue<int> queue;
  for (int i = 0; i < 6; ++i) queue.push(i % 2 == 0 ? "even" : "odd", i);
  queue.remove_if([](int value) { return value % 2 == 0 || value == 3; });
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 5);
  EXPECT_TRUE(queue.empty());
}

TEST(Pace, TakesWhatFitsTheStall) {
  Pace pace(0.25, 512);
  EXPECT_EQ(pace.tokens(true), 512u);
  pace.passed(512, 0.2);  // fits
  EXPECT_EQ(pace.tokens(true), 512u);
  pace.passed(512, 1.0);  // four times too long
  EXPECT_EQ(pace.tokens(true), 128u);
  EXPECT_EQ(pace.tokens(false), 512u);  // nobody waits
  pace.passed(100, 0.1);                // says nothing about more
  EXPECT_EQ(pace.tokens(true), 128u);
  pace.passed(128, 0.2);
  EXPECT_EQ(pace.tokens(true), 161u);
  pace.passed(161, 1000);
  EXPECT_EQ(pace.tokens(true), Pace::kMinTokens);
  for (int i = 0; i < 100; ++i) pace.passed(pace.tokens(true), 0.01);
  EXPECT_EQ(pace.tokens(true), 512u);
  EXPECT_EQ(Pace(0.25, 4).tokens(true), 4u);
}

TEST(TokenLogprobs, AreTheLogarithmOfTheSoftmax) {
  const std::vector<float> logits = {1000.0f, 1001.0f, 998.0f, 1001.0f};
  const TokenLogprobs found = token_logprobs(logits, 2, 3);
  const double total = std::exp(-1.0) + 1 + std::exp(-3.0) + 1;
  EXPECT_EQ(found.own.token, 2);
  EXPECT_NEAR(found.own.logprob, -3 - std::log(total), 1e-6);
  ASSERT_EQ(found.top.size(), 3u);
  EXPECT_EQ(found.top[0].token, 1);
  EXPECT_EQ(found.top[1].token, 3);
  EXPECT_EQ(found.top[2].token, 0);
  EXPECT_NEAR(found.top[2].logprob, -1 - std::log(total), 1e-6);
  EXPECT_TRUE(token_logprobs(logits, 0, 0).top.empty());
  EXPECT_EQ(token_logprobs(logits, 0, 20).top.size(), 4u);
}

TEST(Histogram, BucketsTakeUpperBoundsIn) {
  constexpr double kBounds[] = {1, 10};
  Histogram histogram(kBounds);
  for (const double value : {0.5, 1.0, 1.5, 10.0, 11.0}) histogram.add(value);
  EXPECT_EQ(std::vector(histogram.counts().begin(), histogram.counts().end()),
            (std::vector<uint64_t>{2, 2, 1}));
  EXPECT_EQ(histogram.count(), 5u);
  EXPECT_DOUBLE_EQ(histogram.sum(), 24);
}

}  // namespace
}  // namespace atelier
