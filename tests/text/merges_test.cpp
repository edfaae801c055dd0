#include "text/merges.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace atelier {
namespace {

using Rank = MergeTable::Rank;

struct Rules {
  MergeTable table;
  std::map<std::pair<TokenId, TokenId>, std::pair<Rank, TokenId>> map;
  TokenId n_ids = 0;
};

// Random rules over `n_symbols` symbols: each merges two tokens that exist into a new one.
Rules random_rules(TokenId n_symbols, size_t n_rules, uint32_t seed) {
  Rules rules;
  rules.n_ids = n_symbols;
  std::mt19937 random(seed);
  for (Rank rank = 0; rules.map.size() < n_rules; ++rank) {
    // Small ids more often, so that rules meet what other rules make.
    const auto any = [&] {
      return static_cast<TokenId>(uint64_t{random() % static_cast<uint32_t>(rules.n_ids)} *
                                  (random() % 1001) / 1000);
    };
    const std::pair pair{any(), any()};
    if (rules.map.contains(pair)) {
      --rank;
      continue;
    }
    rules.map[pair] = {rank, rules.n_ids};
    EXPECT_TRUE(rules.table.add(pair.first, pair.second, rules.n_ids));
    ++rules.n_ids;
  }
  EXPECT_TRUE(rules.table.finish());
  return rules;
}

// The definition: look at all pairs, merge the leftmost of the lowest rank, start again.
std::vector<TokenId> merge_slowly(const Rules& rules, std::vector<TokenId> ids) {
  for (;;) {
    Rank best = MergeTable::kNoMerge;
    size_t at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto rule = rules.map.find({ids[i], ids[i + 1]});
      if (rule != rules.map.end() && rule->second.first < best) {
        best = rule->second.first;
        at = i;
      }
    }
    if (best == MergeTable::kNoMerge) return ids;
    ids[at] = rules.map.at({ids[at], ids[at + 1]}).second;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

std::vector<TokenId> merge(const MergeTable& table, std::vector<TokenId> ids) {
  std::vector<Rank> ranks(ids.size(), 12345);  // the last one must not matter
  for (size_t i = 0; i + 1 < ids.size(); ++i) ranks[i] = table.rank(ids[i], ids[i + 1]);
  ids.resize(table.merge(ids, ranks));
  return ids;
}

TEST(MergeTable, FindsItsPairsAndNoOthers) {
  const Rules rules = random_rules(50, 5000, 1);
  for (const auto& [pair, rule] : rules.map) {
    ASSERT_EQ(rules.table.rank(pair.first, pair.second), rule.first);
    ASSERT_EQ(rules.table.merged(rule.first), rule.second);
  }
  std::mt19937 random(2);
  for (int i = 0; i < 20'000; ++i) {
    const std::pair pair{static_cast<TokenId>(random() % 6000), static_cast<TokenId>(random() % 6000)};
    const auto rule = rules.map.find(pair);
    ASSERT_EQ(rules.table.rank(pair.first, pair.second),
              rule == rules.map.end() ? MergeTable::kNoMerge : rule->second.first);
  }
}

TEST(MergeTable, LaterDuplicatesCount) {
  MergeTable table;
  ASSERT_TRUE(table.add(1, 2, 3));
  ASSERT_TRUE(table.add(2, 1, 4));
  ASSERT_TRUE(table.add(1, 2, 5));
  ASSERT_TRUE(table.finish());
  EXPECT_EQ(table.rank(1, 2), 2u);
  EXPECT_EQ(table.merged(table.rank(1, 2)), 5);
}

TEST(MergeTable, AnEmptyTableMergesNothing) {
  MergeTable table;
  ASSERT_TRUE(table.finish());
  EXPECT_EQ(merge(table, {1, 2, 3}), (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ(merge(table, {}), std::vector<TokenId>{});
}

// Lengths on both sides of where the algorithm changes, with few symbols so that much merges.
TEST(MergeTable, AgreesWithTheDefinition) {
  for (const TokenId n_symbols : {1, 2, 3, 6}) {
    const Rules rules = random_rules(n_symbols, 120, static_cast<uint32_t>(n_symbols));
    std::mt19937 random(9);
    size_t merged = 0;
    for (const size_t length :
         std::initializer_list<size_t>{1, 2, 3, 7, 8, 9, 47, 48, 49, 127, 128, 129, 130, 200, 400}) {
      for (int repeat = 0; repeat < 20; ++repeat) {
        std::vector<TokenId> ids(length);
        for (TokenId& id : ids) id = static_cast<TokenId>(random() % static_cast<uint32_t>(n_symbols));
        const std::vector<TokenId> expected = merge_slowly(rules, ids);
        merged += length - expected.size();
        ASSERT_EQ(merge(rules.table, ids), expected) << "length " << length;
      }
    }
    EXPECT_GT(merged, 500u);
  }
}

}  // namespace
}  // namespace atelier
