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

TEST(Pace, TakesWhatItsProductsAllow) {
  Pace pace(512);
  EXPECT_EQ(pace.tokens(0.1), 512u);  // nothing is known
  pace.passed(512, 0.2, 0, 0);
  EXPECT_EQ(pace.tokens(0.2), 512u);
  EXPECT_EQ(pace.tokens(1e-9), Pace::kMinTokens);
  EXPECT_EQ(pace.tokens(0.1), 128u);  // in proportion to the square root: 0.2 · (n / 512)^(1/2) = 0.1
  pace.passed(256, 0.18, 0, 0);       // smaller passes cost more for each token
  EXPECT_LT(pace.tokens(0.1), 256u);
  EXPECT_EQ(pace.tokens(0.2), 512u);
  EXPECT_EQ(Pace(4).tokens(0.1), 4u);
}

TEST(Pace, GrowsFromSmallPassesByWhatTheyTook) {
  Pace pace(512);
  const auto seconds = [](size_t n) { return 0.02 + 0.0002 * static_cast<double>(n); };
  size_t n = 8;
  for (int pass = 0; pass < 20; ++pass) {
    pace.passed(n, seconds(n), 0, 0);
    n = pace.tokens(0.1);
    EXPECT_LE(seconds(n), 0.1) << n;  // never too long on the way
  }
  EXPECT_GE(n, 320u);  // 400 would fit
}

TEST(Pace, OneSlowPassIsForgotten) {
  Pace pace(512);
  for (const size_t n : {256u, 512u}) pace.passed(n, 0.0002 * static_cast<double>(n), 0, 0);
  EXPECT_EQ(pace.tokens(0.13), 512u);
  pace.passed(512, 5, 0, 0);
  EXPECT_LT(pace.tokens(0.1), 512u);
  for (int pass = 0; pass < 20; ++pass) {
    const size_t n = pace.tokens(0.13);
    pace.passed(n, 0.0002 * static_cast<double>(n), 0, 0);
  }
  EXPECT_EQ(pace.tokens(0.13), 512u);
}

TEST(Pace, TakesFewerTokensTheMoreStandBefore) {
  Pace pace(512);
  EXPECT_EQ(pace.tokens_at(100'000, 512, 0.1), 512u);      // nothing is known
  pace.passed(512, 0.01, Pace::pairs(512, 0), 0.0131072);  // 1e-7 s a pair
  EXPECT_EQ(pace.tokens_at(0, 512, 0.1), 512u);
  EXPECT_NEAR(pace.attention_seconds(100, 10'000), 0.1005, 1e-9);
  const size_t fitting = pace.tokens_at(10'000, 512, 0.05);
  EXPECT_LE(pace.attention_seconds(fitting, 10'000), 0.05);
  EXPECT_GT(pace.attention_seconds(fitting + 1, 10'000), 0.05);
  EXPECT_EQ(pace.tokens_at(10'000'000, 512, 0.05), Pace::kMinTokens);
  EXPECT_EQ(pace.tokens_at(10'000'000, 5, 0.05), 5u);
  EXPECT_EQ(pace.tokens_at(10'000, 512, 0), Pace::kMinTokens);
  pace.passed(16, 0.01, Pace::pairs(16, 0), 1);  // says nothing about attention
  EXPECT_NEAR(pace.attention_seconds(100, 10'000), 0.1005, 1e-9);
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
