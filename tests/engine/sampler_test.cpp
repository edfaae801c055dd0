#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

namespace atelier {
namespace {

// How often each token comes out of `n` draws.
std::map<TokenId, int> histogram(SamplerOptions options, std::span<const float> logits, int n,
                                 std::span<const TokenId> seen = {}) {
  Sampler sampler(std::move(options));
  std::map<TokenId, int> counts;
  for (int step = 0; step < n; ++step) ++counts[sampler.sample(logits, seen, static_cast<uint64_t>(step))];
  return counts;
}

// Probabilities 0.5, 0.25, 0.15, 0.1.
const std::vector<float> kLogits = {std::log(0.25f), std::log(0.5f), std::log(0.1f), std::log(0.15f)};
constexpr int kDraws = 20000;
// Five standard deviations of a binomial share over kDraws draws: 5·sqrt(0.25 / 20000).
constexpr double kTolerance = 0.018;

double share(const std::map<TokenId, int>& counts, TokenId id) {
  const auto found = counts.find(id);
  return found == counts.end() ? 0 : static_cast<double>(found->second) / kDraws;
}

TEST(Sampler, GreedyTakesTheLargestAndTheFirstOfEquals) {
  EXPECT_EQ(greedy_token(std::vector<float>{1, 3, 2}), 1);
  EXPECT_EQ(greedy_token(std::vector<float>{3, 1, 3}), 0);
  EXPECT_EQ(histogram({.temperature = 0}, kLogits, 10).size(), 1u);
}

TEST(Sampler, DrawsFollowTheProbabilities) {
  const auto counts = histogram({.seed = 7}, kLogits, kDraws);
  EXPECT_NEAR(share(counts, 0), 0.25, kTolerance);
  EXPECT_NEAR(share(counts, 1), 0.50, kTolerance);
  EXPECT_NEAR(share(counts, 2), 0.10, kTolerance);
  EXPECT_NEAR(share(counts, 3), 0.15, kTolerance);
}

TEST(Sampler, TemperatureSharpens) {
  const auto counts = histogram({.temperature = 0.5f, .seed = 1}, kLogits, kDraws);
  const double total = 0.25 * 0.25 + 0.5 * 0.5 + 0.1 * 0.1 + 0.15 * 0.15;  // p^(1/T), renormalised
  EXPECT_NEAR(share(counts, 1), 0.25 / total, kTolerance);
}

TEST(Sampler, CutsKeepWhatTheyShould) {
  EXPECT_EQ(histogram({.top_k = 2}, kLogits, kDraws).size(), 2u);
  EXPECT_EQ(histogram({.top_p = 0.5f}, kLogits, kDraws).size(), 1u);
  EXPECT_EQ(histogram({.top_p = 0.76f}, kLogits, kDraws).size(), 3u);
  EXPECT_EQ(histogram({.min_p = 0.25f}, kLogits, kDraws).size(), 3u);
  const auto halves = histogram({.top_k = 2, .seed = 3}, kLogits, kDraws);
  EXPECT_NEAR(share(halves, 1), 2.0 / 3, kTolerance);
}

// Entropy of kLogits is 1.208 nats; the surprise of p = 0.25 (1.386) is closest to it.
TEST(Sampler, TypicalKeepsTheExpectedSurprise) {
  const auto counts = histogram({.typical_p = 0.2f}, kLogits, kDraws);
  ASSERT_EQ(counts.size(), 1u);
  EXPECT_EQ(counts.begin()->first, 0);
}

TEST(Sampler, TopPWorksPastTheFirstSortedStretch) {
  const std::vector<float> flat(1000, 0.0f);
  Sampler sampler({.top_p = 0.5f, .seed = 5});
  for (uint64_t step = 0; step < 2000; ++step) EXPECT_LT(sampler.sample(flat, {}, step), 501);
}

TEST(Sampler, PenaltiesAndBias) {
  const std::vector<float> logits = {2.0f, 1.9f, -1.0f};
  const std::vector<TokenId> seen = {0, 0, 2};
  EXPECT_EQ(Sampler({.repetition_penalty = 1.2f, .temperature = 0}).sample(logits, seen, 0), 1);
  EXPECT_EQ(Sampler({.presence_penalty = 0.2f, .temperature = 0}).sample(logits, seen, 0), 1);
  EXPECT_EQ(Sampler({.frequency_penalty = 0.06f, .temperature = 0}).sample(logits, seen, 0), 1);
  EXPECT_EQ(Sampler({.frequency_penalty = 0.04f, .temperature = 0}).sample(logits, seen, 0), 0);
  // Only the last token counts as seen: 2, which cannot win anyway.
  EXPECT_EQ(
      Sampler({.repetition_penalty = 1.2f, .penalty_window = 1, .temperature = 0}).sample(logits, seen, 0),
      0);
  EXPECT_EQ(Sampler({.logit_bias = {{2, 100.0f}}, .temperature = 0}).sample(logits, {}, 0), 2);
  EXPECT_EQ(Sampler({.logit_bias = {{-1, 100.0f}, {99, 100.0f}}, .temperature = 0}).sample(logits, {}, 0), 0);
}

TEST(Sampler, OnlyAllowedTokensComeOut) {
  const std::vector<TokenId> allowed = {0, 2};
  Sampler sampler({.seed = 9});
  for (uint64_t step = 0; step < 500; ++step) EXPECT_NE(sampler.sample(kLogits, {}, step, allowed) % 2, 1);
  EXPECT_EQ(Sampler({.temperature = 0}).sample(kLogits, {}, 0, allowed), 0);
}

TEST(Sampler, ADrawDependsOnSeedAndStepOnly) {
  Sampler a({.seed = 42}), b({.seed = 42}), other({.seed = 43});
  int differences = 0;
  for (uint64_t step = 0; step < 200; ++step) {
    const TokenId drawn = a.sample(kLogits, {}, step);
    differences += drawn != other.sample(kLogits, {}, step);
    if (step % 3 == 0) {
      EXPECT_EQ(drawn, b.sample(kLogits, {}, step));  // b skips steps
    }
  }
  EXPECT_GT(differences, 50);
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
  EXPECT_TRUE(check_sampler_options({}));
  const Status failed = check_sampler_options({.top_p = 1.5f});
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("top_p"), std::string::npos);
  EXPECT_FALSE(check_sampler_options({.temperature = -1}));
  EXPECT_FALSE(check_sampler_options({.temperature = std::nanf("")}));
}

// A mask says the same as a list, with every option.
TEST(Sampler, MasksAndListsAgree) {
  std::vector<float> logits;
  for (size_t i = 0; i < 200; ++i) logits.push_back(static_cast<float>((i * 37) % 101) * 0.05f);
  std::vector<TokenId> allowed;
  std::vector<uint64_t> mask(4);
  for (size_t id : {3u, 63u, 64u, 65u, 127u, 128u, 150u, 199u}) {
    allowed.push_back(static_cast<TokenId>(id));
    mask[id / 64] |= uint64_t{1} << (id % 64);
  }
  const std::vector<TokenId> seen = {3, 3, 64, 7};
  for (const SamplerOptions& options :
       {SamplerOptions{}, SamplerOptions{.temperature = 0}, SamplerOptions{.top_k = 3},
        SamplerOptions{.repetition_penalty = 1.5f, .frequency_penalty = 0.3f, .top_p = 0.8f},
        SamplerOptions{.logit_bias = {{65, 9.0f}, {10, 100.0f}}, .temperature = 0.7f, .min_p = 0.1f}}) {
    Sampler one(options), other(options);
    for (uint64_t step = 0; step < 200; ++step)
      ASSERT_EQ(one.sample(logits, seen, step, allowed), other.sample_masked(logits, seen, step, mask));
  }
}

TEST(Sampler, AMaskOfImpossibleTokensGivesTheFirst) {
  const float never = -std::numeric_limits<float>::infinity();
  Sampler sampler(SamplerOptions{});
  EXPECT_EQ(sampler.sample_masked(std::vector<float>{1, never, never}, {}, 0, std::vector<uint64_t>{6}), 1);
}

}  // namespace
}  // namespace atelier
