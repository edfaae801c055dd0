// The expressions by example. That they agree with the reference on everything is the business of the
// goldens.
#include "text/splitter.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace atelier {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(std::vector<SplitStep> steps, std::string_view text) {
  Pieces pieces;
  PieceReader reader(steps, text);
  for (std::string_view piece; reader.next(piece);) pieces.emplace_back(piece);
  return pieces;
}
Pieces split(SplitStep step, std::string_view text) { return split(std::vector{step}, text); }

TEST(Splitter, Gpt2) {
  const auto gpt2 = [](std::string_view text) { return split(SplitStep::kGpt2, text); };
  EXPECT_EQ(gpt2("Hello world, it's 2024!"), (Pieces{"Hello", " world", ",", " it", "'s", " 2024", "!"}));
  EXPECT_EQ(gpt2("I'LL we'll"), (Pieces{"I", "'", "LL", " we", "'ll"}));
  EXPECT_EQ(gpt2("a   b\n\n c  "), (Pieces{"a", "  ", " b", "\n\n", " c", "  "}));
  EXPECT_EQ(gpt2("a \n"), (Pieces{"a", " \n"}));
  EXPECT_EQ(gpt2("x\t\ty"), (Pieces{"x", "\t", "\t", "y"}));
  EXPECT_EQ(gpt2("a\u0301b"), (Pieces{"a", "\u0301", "b"}));
  EXPECT_EQ(gpt2("'"), (Pieces{"'"}));
  EXPECT_EQ(gpt2(""), Pieces{});
}

TEST(Splitter, Llama3) {
  const auto llama3 = [](std::string_view text) { return split(SplitStep::kLlama3, text); };
  EXPECT_EQ(llama3("I'LL pay 12345$\n\n"), (Pieces{"I", "'LL", " pay", " ", "123", "45", "$\n\n"}));
  EXPECT_EQ(llama3("(word) \n\n  next"), (Pieces{"(word", ")", " \n\n", " ", " next"}));
  EXPECT_EQ(llama3("it'\u017F"), (Pieces{"it", "'\u017F"}));
  EXPECT_EQ(llama3("\tx\n y"), (Pieces{"\tx", "\n", " y"}));
  EXPECT_EQ(split(SplitStep::kQwen2, "12 34"), (Pieces{"1", "2", " ", "3", "4"}));
}

TEST(Splitter, O200k) {
  const auto o200k = [](std::string_view text) { return split(SplitStep::kO200k, text); };
  EXPECT_EQ(o200k("camelCaseHTTPServer"), (Pieces{"camel", "Case", "HTTPServer"}));
  EXPECT_EQ(o200k("HTTP SERVER's don'T"), (Pieces{"HTTP", " SERVER's", " don'T"}));
  EXPECT_EQ(o200k("a/b//\n/c"), (Pieces{"a", "/b", "//\n/", "c"}));
  EXPECT_EQ(o200k("中文ABC"), (Pieces{"中文", "ABC"}));  // a caseless letter ends the first alternative
  EXPECT_EQ(o200k("\u0301ABC "), (Pieces{"\u0301", "ABC", " "}));
  EXPECT_EQ(o200k("!\u0301"), (Pieces{"!\u0301"}));
  EXPECT_EQ(o200k("1234"), (Pieces{"123", "4"}));
}

TEST(Splitter, SeveralStepsWorkOnEachOthersPieces) {
  const std::vector<SplitStep> smollm{SplitStep::kIndividualDigits, SplitStep::kGpt2};
  EXPECT_EQ(split(smollm, "in 2024  5x"), (Pieces{"in", " ", "2", "0", "2", "4", "  ", "5", "x"}));
  const std::vector<SplitStep> deepseek{SplitStep::kDeepSeekNumbers, SplitStep::kDeepSeekCjk,
                                        SplitStep::kDeepSeekWords};
  EXPECT_EQ(split(deepseek, "x12345日本語ですtext!foo é"),
            (Pieces{"x", "123", "45", "日本語です", "text", "!foo", " é"}));
  EXPECT_EQ(split(deepseek, "\u200b\u200ba\x01\x02"), (Pieces{"\u200b", "\u200ba", "\x01\x02"}));
  EXPECT_EQ(split(SplitStep::kDigitRuns, "ab12c½"), (Pieces{"ab", "12", "c", "½"}));
  EXPECT_EQ(split(std::vector<SplitStep>{}, "as it is"), (Pieces{"as it is"}));
}

const std::vector<std::vector<SplitStep>> kAllSteps = {
    {},
    {SplitStep::kGpt2},
    {SplitStep::kLlama3},
    {SplitStep::kQwen2},
    {SplitStep::kO200k},
    {SplitStep::kDigitRuns},
    {SplitStep::kIndividualDigits, SplitStep::kGpt2},
    {SplitStep::kDeepSeekNumbers, SplitStep::kDeepSeekCjk, SplitStep::kDeepSeekWords}};

// Whatever the bytes, pieces are not empty and make up the text.
TEST(Splitter, KeepsEveryByteOfAnyText) {
  std::mt19937 random(7);
  const std::string_view parts[] = {"a",      "B",    " ",    "\n",       "\r", "'s",     "1",   "中",
                                    "\u0301", "\xE4", "\xFF", "\xF0\x9F", "/",  "\u3000", "\x80"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (uint32_t n = static_cast<uint32_t>(random()) % 24; n > 0; --n) {
      if (round % 2 == 0)
        text.push_back(static_cast<char>(random() & 0xFF));
      else
        text += parts[random() % std::size(parts)];
    }
    for (const auto& steps : kAllSteps) {
      std::string joined;
      for (const std::string& piece : split(steps, text)) {
        ASSERT_FALSE(piece.empty());
        joined += piece;
      }
      ASSERT_EQ(joined, text);
    }
  }
}

// A splitter that is quadratic on any of these does not come back before the test's time limit.
TEST(Splitter, LongRunsTakeLinearTime) {
  for (const std::string_view unit :
       {"a", "A", " ", "\n", " \n", "1", "!", "中", "\u0301", "'", "aA", "\xFF", "\u200b", "'s", "\u0301A"}) {
    std::string text;
    while (text.size() < (8u << 20)) text += unit;
    text += "x";
    for (const auto& steps : kAllSteps) {
      PieceReader reader(steps, text);
      size_t bytes = 0;
      for (std::string_view piece; reader.next(piece);) bytes += piece.size();
      ASSERT_EQ(bytes, text.size());
    }
  }
}

TEST(Splitter, KnowsPublishedExpressionsOnly) {
  EXPECT_EQ(find_split_step(R"(\p{N}{1,3})"), SplitStep::kDeepSeekNumbers);
  EXPECT_FALSE(find_split_step(R"(\p{N}{1,4})"));
  EXPECT_FALSE(find_split_step(""));
}

}  // namespace
}  // namespace atelier
