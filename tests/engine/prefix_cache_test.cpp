// The prefix cache against sequences whose content says which tokens they were made of.
#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/engine/scheduler_fixture.h"

namespace atelier::testing {
namespace {

class PrefixCacheTest : public ::testing::TestWithParam<size_t> {
 protected:
  // Extends a sequence by `tokens`, as a forward pass would: HistoryModel writes them into the cache.
  void extend(KvSequence& sequence, std::span<const TokenId> tokens) {
    const Engine::Item item{&sequence, tokens, Engine::Logits::kNone};
    ASSERT_TRUE(engine->evaluate({&item, 1}));
  }
  KvSequence sequence_of(std::span<const TokenId> tokens) {
    KvSequence sequence = engine->new_sequence();
    extend(sequence, tokens);
    return sequence;
  }
  void insert(PrefixCache& cache, const std::vector<TokenId>& tokens) {
    cache.insert(tokens, sequence_of(tokens));
  }
  // What the model says after `tokens`, of which `sequence` holds a beginning.
  TokenId next(KvSequence& sequence, std::span<const TokenId> tokens) {
    const Engine::Item item{&sequence, tokens.subspan(sequence.length())};
    return greedy_token(engine->evaluate({&item, 1}).value().row(0));
  }
  // The length found for `tokens`; what was found continues as a fresh computation would.
  size_t found(PrefixCache& cache, const std::vector<TokenId>& tokens) {
    PrefixCache::Hit hit = cache.find(tokens, tokens.size() - 1);
    KvSequence fresh = engine->new_sequence();
    const TokenId wanted = next(fresh, tokens);
    if (!hit.sequence) return 0;
    const size_t length = hit.sequence->length();
    EXPECT_EQ(cache.usable(tokens, tokens.size() - 1), length);
    EXPECT_EQ(next(*hit.sequence, tokens), wanted);
    return length;
  }
  bool windowed() const { return GetParam() > 0; }

  std::unique_ptr<Engine> engine = history_engine({.window = GetParam()});
};

TEST_P(PrefixCacheTest, FindsTheLongestBeginning) {
  PrefixCache cache(engine->kv_pool(), UINT64_MAX);
  const std::vector<TokenId> system = some_ids(200), a = joined(system, some_ids(100, 1)),
                             b = joined(system, some_ids(150, 2));
  EXPECT_EQ(found(cache, a), 0u);
  insert(cache, system);
  EXPECT_EQ(found(cache, a), 200u);
  EXPECT_EQ(found(cache, system), 199u);  // the last token is always computed
  insert(cache, a);
  insert(cache, b);
  EXPECT_EQ(found(cache, joined(a, {1, 2, 3})), 300u);
  EXPECT_EQ(found(cache, joined(b, {1})), 350u);
  EXPECT_EQ(found(cache, joined(system, {9, 9, 9})), 200u);
  EXPECT_EQ(found(cache, some_ids(50, 7)), 0u);
}

TEST_P(PrefixCacheTest, InTheMiddleOfAnEdgeOnlyWhatCanBeCutBack) {
  PrefixCache cache(engine->kv_pool(), UINT64_MAX);
  const std::vector<TokenId> all = some_ids(1000);
  insert(cache, all);
  const auto beginning = [&](size_t n) {
    return joined(std::vector<TokenId>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n)),
                  some_ids(20, 3));
  };
  EXPECT_EQ(found(cache, beginning(990)), 990u);
  EXPECT_EQ(found(cache, beginning(500)), windowed() ? 0u : 500u);
  EXPECT_EQ(cache.find(beginning(500), 519).matched, 500u);
}

// A checkpoint deep inside another branch serves where this branch has none.
TEST_P(PrefixCacheTest, OtherBranchesServeTheCommonPart) {
  PrefixCache cache(engine->kv_pool(), UINT64_MAX);
  const std::vector<TokenId> common = some_ids(300);
  insert(cache, joined(common, some_ids(10, 1)));
  insert(cache, joined(common, some_ids(700, 2)));
  std::vector<TokenId> half_way = joined(common, some_ids(350, 2));
  EXPECT_EQ(found(cache, joined(half_way, some_ids(5, 3))), windowed() ? 300u : 650u);
}

TEST_P(PrefixCacheTest, LongerOnesTakeTheirBeginningsPlace) {
  PrefixCache cache(engine->kv_pool(), UINT64_MAX);
  std::vector<TokenId> tokens = some_ids(300);
  insert(cache, tokens);
  tokens = joined(tokens, some_ids(20, 1));
  insert(cache, tokens);
  EXPECT_EQ(cache.entries(), 1u);
  tokens = joined(tokens, some_ids(500, 2));
  insert(cache, tokens);
  EXPECT_EQ(cache.entries(), windowed() ? 2u : 1u);
  insert(cache, some_ids(300));  // what is there already
  EXPECT_EQ(cache.entries(), windowed() ? 2u : 1u);
  EXPECT_EQ(found(cache, joined(some_ids(300), {1})), 300u);
}

TEST_P(PrefixCacheTest, PagesAreCountedOnceAndComeBack) {
  {
    PrefixCache cache(engine->kv_pool(), UINT64_MAX);
    KvSequence sequence = sequence_of(some_ids(640));
    std::vector<TokenId> tokens = some_ids(640);
    cache.insert(tokens, sequence.fork());
    for (size_t branch = 1; branch < 5; ++branch) {
      KvSequence other = sequence.fork();
      extend(other, some_ids(640, branch));
      cache.insert(joined(tokens, some_ids(640, branch)), std::move(other));
    }
    sequence = engine->new_sequence();
    EXPECT_EQ(cache.bytes(), engine->kv_pool().bytes_in_use());
    while (cache.evict_one()) EXPECT_EQ(cache.bytes(), engine->kv_pool().bytes_in_use());
    EXPECT_EQ(cache.entries(), 0u);
    EXPECT_EQ(cache.bytes(), 0u);
    insert(cache, tokens);
    EXPECT_GT(cache.bytes(), 0u);
    cache.clear();
    EXPECT_EQ(cache.bytes(), 0u);
    insert(cache, tokens);
  }
  EXPECT_EQ(engine->kv_pool().bytes_in_use(), 0u);
}

TEST_P(PrefixCacheTest, WhatWasUsedLongestAgoGoesFirst) {
  PrefixCache cache(engine->kv_pool(), UINT64_MAX);
  for (size_t i = 0; i < 3; ++i) insert(cache, some_ids(100, i));
  EXPECT_EQ(found(cache, joined(some_ids(100, 0), {1})), 100u);
  EXPECT_TRUE(cache.evict_one());
  EXPECT_EQ(found(cache, joined(some_ids(100, 1), {1})), 0u);
  EXPECT_EQ(found(cache, joined(some_ids(100, 0), {1})), 100u);
  EXPECT_EQ(found(cache, joined(some_ids(100, 2), {1})), 100u);
}

// Of a conversation that has to go, the beginning stays longest where it was a place of its own before.
TEST_P(PrefixCacheTest, BranchesAreGivenUpFromTheirEnds) {
  PrefixCache cache(engine->kv_pool(), UINT64_MAX);
  const std::vector<TokenId> system = some_ids(200), whole = joined(system, some_ids(300, 1));
  insert(cache, system);
  insert(cache, whole);
  const uint64_t before = cache.bytes();
  EXPECT_TRUE(cache.evict_one());
  EXPECT_LT(cache.bytes(), before);
  const size_t left = found(cache, joined(whole, {1}));
  EXPECT_EQ(left, windowed() ? 500u : 200u);  // with windows the system prompt is the older entry
  EXPECT_TRUE(cache.evict_one());
  EXPECT_EQ(found(cache, joined(whole, {1})), 0u);
  EXPECT_FALSE(cache.evict_one());
}

TEST_P(PrefixCacheTest, TheBoundHolds) {
  const uint64_t bound = 40 * 256;
  PrefixCache cache(engine->kv_pool(), bound);
  for (size_t i = 0; i < 30; ++i) {
    insert(cache, some_ids(100 + i * 10, i));
    EXPECT_LE(cache.bytes(), bound);
  }
  EXPECT_GT(cache.entries(), 0u);
  EXPECT_GT(cache.evictions(), 0u);
  EXPECT_EQ(found(cache, joined(some_ids(390, 29), {1})), 390u);
  PrefixCache none(engine->kv_pool(), 0);
  insert(none, some_ids(10));
  EXPECT_EQ(none.entries(), 0u);
}

// Random prompts over few tokens share beginnings of every length; whatever is found continues exactly.
TEST_P(PrefixCacheTest, RandomUseIsExact) {
  PrefixCache cache(engine->kv_pool(), 200 * 256);
  std::mt19937 random(5);
  std::vector<std::vector<TokenId>> known = {{}};
  size_t hits = 0;
  for (int round = 0; round < 1500; ++round) {
    std::vector<TokenId> tokens = known[random() % known.size()];
    if (!tokens.empty()) tokens.resize(1 + random() % tokens.size());
    const size_t more = 1 + random() % 150;
    for (size_t i = 0; i < more; ++i) tokens.push_back(static_cast<TokenId>(random() % 2));
    if (tokens.size() > 700) tokens.resize(700);
    hits += found(cache, tokens) > 0 ? 1 : 0;
    if (random() % 3 == 0) cache.evict_one();
    insert(cache, tokens);
    known.push_back(tokens);
    EXPECT_EQ(cache.bytes(), engine->kv_pool().bytes_in_use());
  }
  EXPECT_GT(hits, 200u);
}

INSTANTIATE_TEST_SUITE_P(Windows, PrefixCacheTest, ::testing::Values(0, 128), [](const auto& info) {
  return info.param == 0 ? std::string("none") : std::to_string(info.param);
});

}  // namespace
}  // namespace atelier::testing
