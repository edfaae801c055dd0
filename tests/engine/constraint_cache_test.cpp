// Constraints are compiled once for all who ask, found again, and bounded; and text runs up to where a tag
// begins.
#include "engine/constraint/constraint_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "engine/constraint/free_text.h"
#include "tests/engine/constraint_vocabulary.h"

namespace atelier::constraint {
namespace {

TEST(ConstraintCache, CompilesOnceAndTellsKindsApart) {
  ConstraintCache cache(WordVocabulary::common());
  const auto a = cache.json_schema(R"({"type":"integer"})").value();
  EXPECT_EQ(a, cache.json_schema(R"({"type":"integer"})").value());
  EXPECT_NE(a, cache.json_schema(R"({"type":"integer"})", {.space = JsonSpace::kCompact}).value());
  const auto regex = cache.regex("a+").value();
  EXPECT_EQ(regex, cache.regex("a+").value());
  EXPECT_EQ(cache.size(), 3u);
  int compiled = 0;
  const auto compile = [&]() -> Result<std::shared_ptr<const Grammar>> {
    ++compiled;
    return fail(ErrorCode::kUnsupported, "no");
  };
  EXPECT_FALSE(cache.get("key", compile));
  EXPECT_FALSE(cache.get("key", compile));
  EXPECT_EQ(compiled, 2);
  EXPECT_EQ(cache.size(), 3u);
}

TEST(ConstraintCache, ForgetsWhatWasUsedLongestAgo) {
  ConstraintCache cache(WordVocabulary::common());
  const auto first = cache.regex("first").value();
  for (size_t i = 0; i < 2 * ConstraintCache::kMaxEntries; ++i) {
    ASSERT_TRUE(cache.regex(fmt::format("x{}", i)));
    ASSERT_EQ(cache.regex("first").value(), first);
  }
  EXPECT_EQ(cache.size(), ConstraintCache::kMaxEntries);
  const auto again = cache.regex("x0");  // long forgotten, compiled anew
  EXPECT_TRUE(again);
}

TEST(ConstraintCache, IsForAllThreads) {
  ConstraintCache cache(WordVocabulary::common());
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        const auto constraint = cache.regex(fmt::format("[a-z]{{{}}}", 1 + i % 5)).value();
        ConstraintMatcher matcher(constraint);
        std::vector<uint64_t> mask(cache.text_mask().size());
        if (matcher.allowed(mask) && has_bit(mask, 'a') && !has_bit(mask, '0')) ++right;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 80);
  EXPECT_EQ(cache.size(), 5u);
}

TEST(ConstraintCache, TheTextMaskLeavesOutSpecialTokens) {
  const auto vocabulary = WordVocabulary::common();
  ConstraintCache cache(vocabulary);
  for (size_t id = 0; id < vocabulary->vocab_size(); ++id)
    EXPECT_EQ(has_bit(cache.text_mask(), static_cast<TokenId>(id)),
              static_cast<TokenId>(id) != vocabulary->special());
}

TEST(FreeText, EndsWhereATagBegins) {
  for (const std::string tag : {"<tool>", "aab", "ababc", "é日é", "x"}) {
    GrammarBuilder builder;
    const RuleId root = builder.declare("root");
    builder.define(root, text_without(tag, builder).value());
    const auto grammar = builder.build(root).value();
    // Every text of the tag's characters and one other, up to a length.
    std::vector<std::string> chars = {"z"};
    for (size_t i = 0; i < tag.size();) {
      const auto lead = static_cast<uint8_t>(tag[i]);
      const size_t n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : 3;
      if (std::ranges::find(chars, tag.substr(i, n)) == chars.end()) chars.push_back(tag.substr(i, n));
      i += n;
    }
    std::mt19937 random(3);
    for (int run = 0; run < 2000; ++run) {
      std::string text;
      for (size_t n = random() % 14; n > 0; --n)
        text += random() % 9 == 0 ? tag : chars[random() % chars.size()];
      EXPECT_EQ(matches(grammar, text), text.find(tag) == text.npos) << tag << ": " << text;
    }
  }
}

}  // namespace
}  // namespace atelier::constraint
