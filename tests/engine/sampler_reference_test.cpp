// The samplers against a straightforward reference: double precision, no shortcuts, lists that are sorted
// anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "engine/repetition.h"
#include "engine/sampler.h"

namespace atelier {
namespace {

// Words with a byte each, and a few tokens that are not: for DRY's breakers.
class ByteTokens final : public Tokenizer {
 public:
  using Tokenizer::encode;
  void encode(std::string_view text, Specials, std::vector<TokenId>& ids) const override {
    for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
  }
  std::string_view token_bytes(TokenId id) const override {
    static const std::vector<std::string> bytes = [] {
      std::vector<std::string> all;
      for (int i = 0; i < 256; ++i) all.emplace_back(1, static_cast<char>(i));
      all.insert(all.end(), {"a: b", "<", "br", ">", "", "ab"});
      return all;
    }();
    return id >= 0 && static_cast<size_t>(id) < bytes.size()
               ? std::string_view(bytes[static_cast<size_t>(id)])
               : std::string_view();
  }
  bool is_special(TokenId) const override { return false; }
  std::optional<TokenId> find_token(std::string_view) const override { return std::nullopt; }
  size_t vocab_size() const override { return 262; }
  std::optional<TokenId> bos() const override { return std::nullopt; }
  std::optional<TokenId> eos() const override { return std::nullopt; }
  bool add_bos() const override { return false; }
};

using Distribution = std::map<TokenId, double>;  // what may be drawn, summing to 1

void normalise(Distribution& p) {
  double sum = 0;
  for (const auto& [id, share] : p) sum += share;
  for (auto& [id, share] : p) share /= sum;
}

std::vector<std::pair<TokenId, double>> sorted(const Distribution& p) {
  std::vector<std::pair<TokenId, double>> list(p.begin(), p.end());
  std::ranges::sort(list, {}, [](const auto& entry) { return std::pair(-entry.second, entry.first); });
  return list;
}

void keep_first(Distribution& p, const std::vector<std::pair<TokenId, double>>& order, size_t n) {
  Distribution kept;
  for (size_t i = 0; i < std::min(n, order.size()); ++i) kept.insert(order[i]);
  p = kept;
  normalise(p);
}

// How long the end of `tokens` is repeated just before position `i`, looking at each pair of tokens.
size_t naive_repetition(const std::vector<TokenId>& tokens, size_t i) {
  size_t n = 0;
  while (n < i && tokens[i - 1 - n] == tokens[tokens.size() - 1 - n]) ++n;
  return n;
}

void reference_dry(const SamplerOptions& o, std::vector<TokenId> seen, size_t limit,
                   std::vector<double>& logits) {
  if (seen.size() > o.dry_window)
    seen.erase(seen.begin(), seen.end() - static_cast<std::ptrdiff_t>(o.dry_window));
  std::map<TokenId, size_t> longest;
  for (size_t i = 1; i < seen.size(); ++i) {
    const size_t n = std::min(naive_repetition(seen, i), limit);
    longest[seen[i]] = std::max(longest[seen[i]], n);
  }
  for (const auto& [id, n] : longest)
    if (n > 0 && n >= o.dry_allowed_length)
      logits[static_cast<size_t>(id)] -=
          static_cast<double>(o.dry_multiplier) *
          std::pow(static_cast<double>(o.dry_base),
                   static_cast<double>(n) - static_cast<double>(o.dry_allowed_length));
}

// What the options leave of the logits. `excludes`: XTC acts in this step.
Distribution reference(const SamplerOptions& o, std::vector<double> logits, bool excludes) {
  Distribution p;
  for (size_t i = 0; i < logits.size(); ++i)
    p[static_cast<TokenId>(i)] = std::exp(logits[i] / static_cast<double>(o.temperature));
  normalise(p);
  if (o.top_k > 0) keep_first(p, sorted(p), o.top_k);
  if (o.top_p < 1) {
    const auto order = sorted(p);
    size_t n = 0;
    for (double sum = 0; n < order.size() && sum < static_cast<double>(o.top_p); ++n) sum += order[n].second;
    keep_first(p, order, n);
  }
  if (o.min_p > 0) {
    const double least = sorted(p)[0].second * static_cast<double>(o.min_p);
    std::erase_if(p, [&](const auto& entry) { return entry.second < least; });
    normalise(p);
  }
  if (o.typical_p < 1) {
    double entropy = 0;
    for (const auto& [id, share] : p) entropy -= share * std::log(share);
    std::vector<std::pair<TokenId, double>> order(p.begin(), p.end());
    const auto distance = [&](double share) { return std::abs(-std::log(share) - entropy); };
    std::ranges::sort(order, {},
                      [&](const auto& entry) { return std::pair(distance(entry.second), entry.first); });
    size_t n = 0;
    for (double sum = 0; n < order.size() && sum < static_cast<double>(o.typical_p); ++n)
      sum += order[n].second;
    keep_first(p, order, n);
  }
  if (excludes) {
    const auto order = sorted(p);
    size_t above = 0;
    while (above < order.size() && order[above].second >= static_cast<double>(o.xtc_threshold)) ++above;
    for (size_t i = 0; i + 1 < above; ++i) p.erase(order[i].first);
    normalise(p);
  }
  return p;
}

// Draws must be as the distribution has them: none outside, and the share of each within five standard
// deviations.
constexpr int kSteps = 4000;
void expect_drawn_from(const Distribution& expected, const std::vector<TokenId>& drawn) {
  std::map<TokenId, int> counts;
  for (const TokenId id : drawn) ++counts[id];
  for (const auto& [id, n] : counts) EXPECT_TRUE(expected.contains(id)) << id;
  const auto n = static_cast<double>(drawn.size());
  for (const auto& [id, p] : expected)
    EXPECT_NEAR(counts[id] / n, p, 5 * std::sqrt(p * (1 - p) / n) + 1 / n) << id;
}

std::vector<float> random_logits(std::mt19937& rng, size_t n) {
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(n);
  for (float& logit : logits) logit = normal(rng);
  return logits;
}

std::vector<double> as_doubles(const std::vector<float>& logits) { return {logits.begin(), logits.end()}; }

TEST(SamplerReference, CutsOfEveryKindTogether) {
  std::mt19937 rng(11);
  std::uniform_real_distribution<float> unit(0.02f, 1);
  const auto sometimes = [&](float value, float off) { return rng() % 2 == 0 ? value : off; };
  for (int round = 0; round < 60; ++round) {
    SamplerOptions options{.temperature = 0.3f + 1.5f * unit(rng), .seed = rng()};
    options.top_k = rng() % 2 == 0 ? 1 + rng() % 30 : 0;
    options.top_p = sometimes(unit(rng), 1);
    options.min_p = sometimes(0.2f * unit(rng), 0);
    options.typical_p = sometimes(unit(rng), 1);
    const std::vector<float> logits = random_logits(rng, 40);
    const Distribution expected = reference(options, as_doubles(logits), false);
    Sampler sampler(options);
    std::vector<TokenId> drawn;
    for (uint64_t step = 0; step < kSteps; ++step) drawn.push_back(sampler.sample(logits, {}, step));
    expect_drawn_from(expected, drawn);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

// The reference notices: draws at one temperature are not those of another.
TEST(SamplerReference, WrongDrawsAreNoticed) {
  std::mt19937 rng(12);
  const std::vector<float> logits = random_logits(rng, 40);
  const SamplerOptions options{.temperature = 1.0f, .top_k = 10, .seed = 1};
  SamplerOptions other = options;
  other.temperature = 1.3f;
  const Distribution expected = reference(other, as_doubles(logits), false);
  std::map<TokenId, int> counts;
  Sampler sampler(options);
  for (uint64_t step = 0; step < kSteps; ++step) ++counts[sampler.sample(logits, {}, step)];
  double worst = 0;
  for (const auto& [id, p] : expected)
    worst = std::max(
        worst, std::abs(static_cast<double>(counts[id]) / kSteps - p) / std::sqrt(p * (1 - p) / kSteps));
  EXPECT_GT(worst, 5);
}

TEST(SamplerReference, XtcLeavesOutAllLikelyTokensButTheLast) {
  std::mt19937 rng(13);
  for (int round = 0; round < 30; ++round) {
    SamplerOptions options{.temperature = 1.5f, .xtc_probability = 1, .seed = rng()};
    options.xtc_threshold = 0.02f + 0.03f * static_cast<float>(round % 8);
    const std::vector<float> logits = random_logits(rng, 12);
    Sampler sampler(options);
    std::vector<TokenId> drawn;
    for (uint64_t step = 0; step < kSteps; ++step) drawn.push_back(sampler.sample(logits, {}, step));
    expect_drawn_from(reference(options, as_doubles(logits), true), drawn);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

TEST(SamplerReference, XtcHappensAsOftenAsAsked) {
  // Two tokens above the threshold: the likelier one is drawn only where nothing is left out.
  const std::vector<float> logits = {std::log(0.6f), std::log(0.3f), std::log(0.1f)};
  Sampler sampler({.xtc_probability = 0.4f, .xtc_threshold = 0.2f, .seed = 3});
  int likeliest = 0;
  for (uint64_t step = 0; step < kSteps; ++step) likeliest += sampler.sample(logits, {}, step) == 0;
  EXPECT_NEAR(static_cast<double>(likeliest) / kSteps, 0.6 * 0.6, 5 * std::sqrt(0.36 * 0.64 / kSteps));
  // One above it: nothing happens. So does with a threshold nobody reaches.
  Sampler alone({.xtc_probability = 1, .xtc_threshold = 0.5f, .seed = 3});
  int first = 0;
  for (uint64_t step = 0; step < kSteps; ++step) first += alone.sample(logits, {}, step) == 0;
  EXPECT_NEAR(static_cast<double>(first) / kSteps, 0.6, 5 * std::sqrt(0.24 / kSteps));
}

// μ by the recurrence of the paper, from the tokens drawn; what is drawn is always within it.
TEST(SamplerReference, MirostatFollowsItsRecurrence) {
  std::mt19937 rng(14);
  for (const float tau : {1.0f, 3.0f, 5.0f}) {
    const SamplerOptions options{.temperature = 1.2f,
                                 .top_k = 1,
                                 .mirostat = true,
                                 .mirostat_tau = tau,
                                 .mirostat_eta = 0.2f,
                                 .seed = 5};
    Sampler sampler(options);
    double mu = 2 * static_cast<double>(tau);
    double surprises = 0;
    constexpr int kMirostatSteps = 3000;
    for (uint64_t step = 0; step < kMirostatSteps; ++step) {
      const std::vector<float> logits = random_logits(rng, 200);
      SamplerOptions all{.temperature = options.temperature};
      Distribution p = reference(all, as_doubles(logits), false);
      const TokenId best = sorted(p)[0].first;
      std::erase_if(p,
                    [&](const auto& entry) { return entry.first != best && -std::log2(entry.second) > mu; });
      normalise(p);
      const TokenId drawn = sampler.sample(logits, {}, step);
      ASSERT_TRUE(p.contains(drawn)) << step;
      const double surprise = -std::log2(p[drawn]);
      mu -= static_cast<double>(options.mirostat_eta) * (surprise - static_cast<double>(tau));
      surprises += surprise;
    }
    EXPECT_NEAR(surprises / kMirostatSteps, static_cast<double>(tau), 0.1);
  }
}

TEST(SamplerReference, MirostatBeginsAnewWithStepZero) {
  std::mt19937 rng(15);
  std::vector<std::vector<float>> logits;
  for (int i = 0; i < 50; ++i) logits.push_back(random_logits(rng, 100));
  Sampler sampler({.mirostat = true, .mirostat_tau = 2, .seed = 8});
  const auto run = [&] {
    std::vector<TokenId> drawn;
    for (uint64_t step = 0; step < logits.size(); ++step)
      drawn.push_back(sampler.sample(logits[step], {}, step));
    return drawn;
  };
  const auto first = run();
  EXPECT_EQ(run(), first);
}

// The logits that DRY leaves, read off by which bias makes a token win.
TEST(SamplerReference, DryPunishesTheLongestRepetition) {
  std::mt19937 rng(16);
  for (int round = 0; round < 400; ++round) {
    SamplerOptions options{.dry_multiplier = 0.8f, .temperature = 0};
    options.dry_allowed_length = rng() % 4;
    if (rng() % 2 == 0) options.dry_window = rng() % 30;
    options.dry_base = 1.0f + 0.25f * static_cast<float>(rng() % 4);
    std::vector<TokenId> seen;
    for (size_t i = rng() % 40; i > 0; --i) seen.push_back(static_cast<TokenId>(rng() % 3));
    const std::vector<float> logits = random_logits(rng, 3);
    std::vector<double> expected = as_doubles(logits);
    reference_dry(options, seen, seen.size(), expected);
    const auto best = std::ranges::max_element(expected) - expected.begin();
    std::vector<double> others = expected;
    others.erase(others.begin() + best);
    if (expected[static_cast<size_t>(best)] - *std::ranges::max_element(others) < 1e-4) continue;
    ASSERT_EQ(Sampler(options).sample(logits, seen, 0), best) << "round " << round;
  }
}

TEST(RepetitionFinder, AgreesWithComparingEveryPair) {
  std::mt19937 rng(17);
  RepetitionFinder finder;
  std::vector<Continuation> found;
  for (int round = 0; round < 2000; ++round) {
    std::vector<TokenId> tokens;
    for (size_t i = rng() % 50; i > 0; --i)
      tokens.push_back(static_cast<TokenId>(rng() % static_cast<unsigned>(1 + round % 4)));
    const size_t most = rng() % 60;
    std::vector<std::pair<TokenId, size_t>> expected;
    for (size_t i = 1; i < tokens.size(); ++i)
      if (const size_t n = std::min(naive_repetition(tokens, i), most); n > 0)
        expected.push_back({tokens[i], n});
    finder.find(tokens, most, found);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i)
      ASSERT_EQ(std::pair(found[i].token, found[i].length), expected[i]) << "round " << round << " at " << i;
  }
}

// A search for each place would not come back before the test's time limit.
TEST(RepetitionFinder, LinearOnTheWorstSequence) {
  const std::vector<TokenId> tokens(1 << 20, 7);
  RepetitionFinder finder;
  std::vector<Continuation> found;
  finder.find(tokens, tokens.size(), found);
  ASSERT_EQ(found.size(), tokens.size() - 1);
  EXPECT_EQ(found.back().length, tokens.size() - 1);
  EXPECT_EQ(found.front().length, 1u);
}

TEST(TokensBehindBreaker, InsideATokenAndAcrossSeveral) {
  const ByteTokens tokenizer;
  const auto behind = [&](std::vector<TokenId> tokens, std::vector<std::string> breakers) {
    return tokens_behind_breaker(tokens, breakers, tokenizer);
  };
  constexpr TokenId kColon = 256, kOpen = 257, kBr = 258, kClose = 259, kNothing = 260, kAb = 261;
  EXPECT_EQ(behind({}, {"x"}), 0u);
  EXPECT_EQ(behind({'x', 'y', 'z'}, {}), 3u);
  EXPECT_EQ(behind({'x', 'y', 'z'}, {"", "q"}), 3u);
  EXPECT_EQ(behind({'x', 'y', 'z'}, {"x"}), 2u);
  EXPECT_EQ(behind({'x', 'y', 'x', 'z'}, {"x"}), 1u);
  EXPECT_EQ(behind({'y', kColon, 'z'}, {":"}), 1u);
  EXPECT_EQ(behind({'y', kOpen, kBr, kClose, 'z', 'z'}, {"<br>"}), 2u);
  EXPECT_EQ(behind({'y', kOpen, kBr, kNothing, kClose, 'z'}, {"<br>", "<"}), 1u);
  EXPECT_EQ(behind({'y', kOpen, kBr, 'z'}, {"<br>"}), 4u);
  EXPECT_EQ(behind({kAb, kAb, 'c'}, {"ba"}), 1u);
  EXPECT_EQ(behind({kOpen, kBr, kClose}, {"<br>"}), 0u);
}

TEST(Sampler, DryStopsAtBreakers) {
  const ByteTokens tokenizer;
  // "abab:ab" repeats "ab"; behind the colon only "ab" counts, and with "b" as a breaker nothing.
  const std::vector<TokenId> seen = {'x', 'a', 'b', 'a', 'b', ':', 'a', 'b'};
  std::vector<float> logits(256, 0.0f);
  logits['a'] = 5;
  logits['q'] = 4.5f;
  const auto choose = [&](std::vector<std::string> breakers) {
    SamplerOptions options{.dry_multiplier = 1, .dry_breakers = std::move(breakers), .temperature = 0};
    return Sampler(options, &tokenizer).sample(logits, seen, 0);
  };
  EXPECT_EQ(choose({":"}), 'q');
  EXPECT_EQ(choose({"b"}), 'a');
  EXPECT_EQ(choose({}), 'q');
}

TEST(Sampler, NewOptionsOutOfRangeAreNamed) {
  const auto error = [](SamplerOptions options) {
    const Status status = check_sampler_options(options);
    return status ? std::string() : status.error().message;
  };
  EXPECT_TRUE(error({.dry_multiplier = -1}).starts_with("dry_multiplier"));
  EXPECT_TRUE(error({.dry_base = 0.5f}).starts_with("dry_base"));
  EXPECT_TRUE(
      error({.dry_breakers = std::vector<std::string>(65, "x")}).starts_with("dry_sequence_breakers"));
  EXPECT_TRUE(error({.dry_breakers = {std::string(300, 'x')}}).starts_with("dry_sequence_breakers"));
  EXPECT_TRUE(error({.xtc_probability = 2}).starts_with("xtc_probability"));
  EXPECT_TRUE(error({.xtc_threshold = -1}).starts_with("xtc_threshold"));
  EXPECT_TRUE(error({.mirostat_tau = NAN}).starts_with("mirostat_tau"));
  EXPECT_TRUE(error({.mirostat_eta = 2}).starts_with("mirostat_eta"));
  EXPECT_EQ(error({}), "");
}

}  // namespace
}  // namespace atelier
