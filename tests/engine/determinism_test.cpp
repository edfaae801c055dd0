// What --deterministic promises, and what holds without it too: the same logits, to the bit, whatever the
// number of threads, the chunks of the prompt, the neighbours in the batch, and what came from the cache.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/engine.h"
#include "tests/figure.h"

namespace atelier {
namespace {

namespace fs = std::filesystem;

// Logits of the last kRows positions; the hash of all of them would not say where they part.
constexpr size_t kRows = 40;

class DeterminismTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const fs::path folder = fs::path(ATELIER_TEST_DATA) / "models" / GetParam();
    std::ifstream file(folder / "tokens.json");
    tokens_ = nlohmann::json::parse(file).get<std::vector<TokenId>>();
    path_ = fs::exists(folder / "model.gguf") ? folder / "model.gguf" : folder;
    ASSERT_GT(all().size(), 200u);
  }

  std::span<const TokenId> all() const { return tokens_; }

  std::unique_ptr<Engine> load(size_t n_threads, size_t kv_bits = 16) const {
    auto engine = Engine::load(path_, {.n_threads = n_threads, .prefill_chunk = 512, .kv_bits = kv_bits});
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  }

  // Continues `sequence` with the tokens from its length on, `chunk` at a time; logits of the last positions.
  // `neighbours` other sequences take part in every pass, with other tokens and other numbers of them.
  std::vector<float> run(Engine& engine, KvSequence& sequence, size_t chunk, size_t neighbours = 0) const {
    std::vector<KvSequence> others;
    for (size_t i = 0; i < neighbours; ++i) others.push_back(engine.new_sequence());
    std::vector<float> logits;
    while (sequence.length() < all().size()) {
      const size_t first = sequence.length(), n = std::min(chunk, all().size() - first);
      std::vector<Engine::Item> items;
      for (size_t i = 0; i < neighbours; ++i) {
        const size_t at = others[i].length(),
                     more = std::min<size_t>(1 + (first + 3 * i) % 5, all().size() - at);
        // Backwards, so that a neighbour's tokens are others.
        items.push_back({&others[i], all().subspan(all().size() - at - more, more), Engine::Logits::kLast});
      }
      items.insert(items.begin() + static_cast<std::ptrdiff_t>(neighbours / 2),
                   {&sequence, all().subspan(first, n), Engine::Logits::kAll});
      const auto evaluated = engine.evaluate(items);
      EXPECT_TRUE(evaluated) << evaluated.error().message;
      if (!evaluated) return {};
      const size_t ours = static_cast<size_t>(
          std::count_if(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(neighbours / 2),
                        [](const Engine::Item& item) { return !item.tokens.empty(); }));
      for (size_t row = 0; row < n; ++row) {
        const auto values = evaluated->row(ours + row);
        if (first + row >= all().size() - kRows) logits.insert(logits.end(), values.begin(), values.end());
      }
    }
    return logits;
  }
  std::vector<float> run(Engine& engine, size_t chunk, size_t neighbours = 0) const {
    KvSequence sequence = engine.new_sequence();
    return run(engine, sequence, chunk, neighbours);
  }

  static bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && !a.empty() &&
           std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  }

  std::vector<TokenId> tokens_;
  fs::path path_;
};

TEST_P(DeterminismTest, ThreadsAndChunksChangeNoBit) {
  std::vector<float> first;
  size_t equal = 0;
  for (const size_t threads : {1u, 2u, 4u}) {
    const auto engine = load(threads);
    for (const size_t chunk : {512u, 64u, 7u, 1u}) {
      const std::vector<float> logits = run(*engine, chunk);
      if (first.empty()) first = logits;
      EXPECT_TRUE(same_bits(first, logits)) << threads << " threads, chunks of " << chunk;
      equal += same_bits(first, logits);
    }
  }
  testing::print_figure(
      "determinism, {}: {} of 12 runs (1, 2, 4 threads x chunks of 1, 7, 64, 512) bit-identical", GetParam(),
      equal);
}

TEST_P(DeterminismTest, NeighboursChangeNoBit) {
  const auto engine = load(2);
  const std::vector<float> alone = run(*engine, 64);
  size_t equal = 0;
  for (const size_t neighbours : {1u, 3u, 7u})
    for (const size_t chunk : {64u, 1u}) {
      const bool same = same_bits(alone, run(*engine, chunk, neighbours));
      EXPECT_TRUE(same) << neighbours << " neighbours, chunks of " << chunk;
      equal += same;
    }
  testing::print_figure("determinism, {}: {} of 6 runs (1, 3, 7 neighbours x chunks of 1, 64) bit-identical",
                        GetParam(), equal);
}

// A kept prefix that was computed with neighbours and in other chunks, forked, gone past, and gone back to.
TEST_P(DeterminismTest, APrefixFromTheCacheChangesNoBit) {
  const auto engine = load(2);
  const std::vector<float> fresh = run(*engine, 512);
  for (const size_t kept : {size_t{1}, size_t{63}, size_t{64}, size_t{129}, all().size() - kRows}) {
    KvSequence prefix = engine->new_sequence();
    const Engine::Item item{&prefix, all().first(kept), Engine::Logits::kNone};
    ASSERT_TRUE(engine->evaluate({&item, 1}));
    KvSequence went_elsewhere = prefix.fork();
    const Engine::Item detour{&went_elsewhere, all().first(20), Engine::Logits::kLast};
    ASSERT_TRUE(engine->evaluate({&detour, 1}));
    KvSequence reused = prefix.fork();
    EXPECT_TRUE(same_bits(fresh, run(*engine, reused, 7))) << kept << " tokens kept";
    if (went_elsewhere.can_truncate(kept)) {
      went_elsewhere.truncate(kept);
      EXPECT_TRUE(same_bits(fresh, run(*engine, went_elsewhere, 64)))
          << kept << " tokens kept, after a detour";
    }
  }
}

// A cache of 8 bits changes the logits, a little, and no bit of what is said above.
TEST_P(DeterminismTest, EightBitsInTheCache) {
  const std::vector<float> sixteen = run(*load(1), 512);
  const auto engine = load(2, 8);
  const std::vector<float> eight = run(*engine, 512);
  ASSERT_EQ(eight.size(), sixteen.size());
  EXPECT_FALSE(same_bits(eight, sixteen));
  double error = 0, energy = 0;
  for (size_t i = 0; i < eight.size(); ++i) {
    error += std::pow(double{eight[i]} - double{sixteen[i]}, 2);
    energy += std::pow(double{sixteen[i]}, 2);
  }
  // 8 bits of a block err by about 0.5 % of its values; halving the bits once more would err by 16 times
  // that.
  EXPECT_LT(std::sqrt(error / energy), 0.05);
  EXPECT_TRUE(same_bits(eight, run(*load(1, 8), 7)));
  EXPECT_TRUE(same_bits(eight, run(*engine, 64, 3)));
  KvSequence prefix = engine->new_sequence();
  const Engine::Item item{&prefix, all().first(129), Engine::Logits::kNone};
  ASSERT_TRUE(engine->evaluate({&item, 1}));
  KvSequence fork = prefix.fork();
  EXPECT_TRUE(same_bits(eight, run(*engine, fork, 1)));
  EXPECT_LT(engine->kv_pool().sequence_bytes(640), load(1)->kv_pool().sequence_bytes(640));
}

// The comparison can fail: one token more or less is seen.
TEST_P(DeterminismTest, AnotherTokenIsSeen) {
  const auto engine = load(1);
  const std::vector<float> before = run(*engine, 512);
  tokens_[tokens_.size() - kRows] = (tokens_[tokens_.size() - kRows] + 1) % 50;
  EXPECT_FALSE(same_bits(before, run(*engine, 512)));
}

INSTANTIATE_TEST_SUITE_P(Models, DeterminismTest,
                         ::testing::Values("llama-f32", "llama-gguf-mixed", "llama-gguf-k-quants",
                                           "gpt-oss-hf", "gpt-oss-gguf", "gpt-oss-gguf-q8_0", "gpt2-gguf",
                                           "qwen3-gguf", "gemma3-gguf"),
                         [](const auto& name) {
                           std::string identifier = name.param;
                           std::ranges::replace(identifier, '-', '_');
                           return identifier;
                         });

}  // namespace
}  // namespace atelier
