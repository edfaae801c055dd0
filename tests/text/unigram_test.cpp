#include "text/unigram.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

namespace atelier {
namespace {

using Ids = std::vector<TokenId>;

std::unique_ptr<Unigram> build(const std::vector<UnigramToken>& tokens, UnigramOptions options = {.unk = 0}) {
  auto model = Unigram::create(tokens, std::move(options));
  EXPECT_TRUE(model) << model.error().message;
  return model ? std::move(*model) : nullptr;
}

Ids encode(const Unigram& model, std::string_view text) {
  PieceCache cache(text.size());
  Ids ids;
  model.encode(std::span(&text, 1), cache, ids);
  return ids;
}

// The example of the reference implementation (huggingface/tokenizers, models/unigram/model.rs).
const std::vector<UnigramToken> kExample = {{"<unk>", 0}, {"a", 0},  {"b", 0},   {"c", 0},    {"d", 0},
                                            {"cd", 1},    {"ab", 2}, {"abc", 5}, {"abcd", 10}};

TEST(Unigram, TheHighestSumWins) {
  const auto model = build(kExample);
  EXPECT_EQ(encode(*model, "abcdacdxx"), (Ids{8, 1, 5, 0}));
  EXPECT_EQ(encode(*model, "x"), Ids{0});
  EXPECT_EQ(encode(*model, "axbx"), (Ids{1, 0, 2, 0}));
  EXPECT_EQ(encode(*model, std::string(300, 'd')), Ids(300, 4));
}

TEST(Unigram, ControlTokensAreNotInTheText) {
  std::vector<UnigramToken> tokens = kExample;
  tokens.push_back({.text = "bc", .score = 100, .in_text = false});
  const auto model = build(tokens);
  EXPECT_EQ(encode(*model, "abcd"), Ids{8});
  EXPECT_EQ(model->find("bc"), kNoToken);
  EXPECT_EQ(model->find("abcd"), 8);
}

// A run of unknown characters is one token, or the bytes of all.
TEST(Unigram, UnknownCharacters) {
  const std::vector<UnigramToken> tokens = {{"<unk>", 0}, {"a", -1}, {"<0xC3>", 0}, {"<0xA9>", 0}};
  Ids bytes(256, kNoToken);
  bytes[0xC3] = 2;
  bytes[0xA9] = 3;
  const auto spelled = build(tokens, {.unk = 0, .byte_tokens = bytes});
  EXPECT_EQ(encode(*spelled, "aéé"), (Ids{1, 2, 3, 2, 3}));
  EXPECT_EQ(encode(*spelled, "éx"), Ids{0});
  EXPECT_EQ(encode(*spelled, "\xC3"), Ids{2});
  EXPECT_EQ(encode(*build(tokens), "aéxéa\xFF"), (Ids{1, 0, 1, 0}));
}

TEST(Unigram, OfOneTextTheLastTokenCounts) {
  const auto model = build({{"<unk>", 0}, {"a", -1}, {"a", -2}});
  EXPECT_EQ(encode(*model, "a"), Ids{2});
}

TEST(Unigram, BadVocabulariesAreRefused) {
  const auto refused = [](std::vector<UnigramToken> tokens, TokenId unk) {
    const auto model = Unigram::create(tokens, {.unk = unk});
    return model ? std::nullopt : std::optional(model.error().code);
  };
  EXPECT_EQ(refused({{"a", 0}}, 1), ErrorCode::kCorrupt);
  EXPECT_EQ(refused({}, 0), ErrorCode::kCorrupt);
  EXPECT_EQ(refused({{"a", 0}}, kNoToken), ErrorCode::kCorrupt);
  EXPECT_EQ(refused({{"a", std::numeric_limits<double>::quiet_NaN()}}, 0), ErrorCode::kCorrupt);
  EXPECT_EQ(refused({{"", 0}}, 0), std::nullopt);
  const std::string longest(kMaxUnigramTokenBytes, 'a');
  EXPECT_EQ(refused({{longest, 0}}, 0), std::nullopt);
  const std::string longer = longest + "a";
  EXPECT_EQ(refused({{longer, 0}}, 0), ErrorCode::kLimit);
  EXPECT_EQ(refused({{longer, 0, /*in_text=*/false}}, 0), std::nullopt);
}

// All ways to spell a text in tokens, tried.
double best_sum(const std::vector<UnigramToken>& tokens, std::string_view text) {
  if (text.empty()) return 0;
  double best = -1e9;
  for (const UnigramToken& token : tokens)
    if (text.starts_with(token.text))
      best = std::max(best, token.score + best_sum(tokens, text.substr(token.text.size())));
  return best;
}

TEST(Unigram, NoSpellingIsBetter) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> texts = {"<unk>", "a", "b", "é"};
    for (int i = 0; i < 8; ++i) {
      std::string text;
      for (uint32_t n = 2 + static_cast<uint32_t>(random()) % 3; n > 0; --n) text += texts[1 + random() % 3];
      texts.push_back(text);
    }
    std::vector<UnigramToken> tokens;
    for (const std::string& text : texts) {
      bool known = false;
      for (const UnigramToken& token : tokens) known |= token.text == text;
      if (!known) tokens.push_back({text, -static_cast<double>(random() % 1000) / 100});
    }
    const auto model = build(tokens);
    std::string text;
    for (int i = 0; i < 9; ++i) text += texts[1 + random() % 3];
    double sum = 0;
    std::string joined;
    for (const TokenId id : encode(*model, text)) {
      sum += tokens[static_cast<size_t>(id)].score;
      joined += tokens[static_cast<size_t>(id)].text;
    }
    ASSERT_EQ(joined, text);
    ASSERT_NEAR(sum, best_sum(tokens, text), 1e-9);
  }
}

}  // namespace
}  // namespace atelier
