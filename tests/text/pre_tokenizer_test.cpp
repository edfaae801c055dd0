#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace atelier {
namespace {

namespace p = pre_tokenizer;
using Pieces = std::vector<std::string>;

template <class... Steps>
PreTokenizer of(Steps... steps) {
  PreTokenizer result;
  const bool added = (result.add(std::move(steps)).has_value() && ...);
  EXPECT_TRUE(added);
  return result;
}

Pieces split(const PreTokenizer& pre_tokenizer, std::string_view text, bool first = true) {
  PieceArena arena;
  std::vector<std::string_view> pieces;
  const Status status = pre_tokenizer.split(text, first, arena, pieces);
  EXPECT_TRUE(status) << status.error().message;
  return {pieces.begin(), pieces.end()};
}

// What Hugging Face tokenizers 0.23 gives for the same delimiter and text.
TEST(PreTokenizer, DelimitersGoWhereTheyBelong) {
  const auto with = [](p::Behavior behavior, bool invert = false) {
    return split(of(p::Split{p::Literal{"-"}, behavior, invert}), "the-final--countdown-");
  };
  EXPECT_EQ(with(p::Behavior::kIsolated), (Pieces{"the", "-", "final", "-", "-", "countdown", "-"}));
  EXPECT_EQ(with(p::Behavior::kRemoved), (Pieces{"the", "final", "countdown"}));
  EXPECT_EQ(with(p::Behavior::kRemoved, true), (Pieces{"-", "-", "-", "-"}));
  EXPECT_EQ(with(p::Behavior::kMergedWithPrevious), (Pieces{"the-", "final-", "-", "countdown-"}));
  EXPECT_EQ(with(p::Behavior::kMergedWithNext), (Pieces{"the", "-final", "-", "-countdown", "-"}));
  EXPECT_EQ(with(p::Behavior::kContiguous), (Pieces{"the", "-", "final", "--", "countdown", "-"}));
}

TEST(PreTokenizer, SplitsByExpressionsAndClasses) {
  auto expression = Regex::compile(R"(\d+)");
  ASSERT_TRUE(expression);
  EXPECT_EQ(split(of(p::Split{std::move(*expression), p::Behavior::kIsolated}),
                  "a12b\xFF"
                  "3"),
            (Pieces{"a", "12", "b\xFF", "3"}));
  EXPECT_EQ(
      split(of(p::Split{p::AnyOf{class_set(CharClass::kSpace)}, p::Behavior::kRemoved}), " a\u3000b \n"),
      (Pieces{"a", "b"}));
  EXPECT_EQ(split(of(p::Split{p::AnyOf{class_set(CharClass::kPunctuation), true}}), "a+b。"),
            (Pieces{"a", "+", "b", "。"}));
  EXPECT_EQ(split(of(p::Split{p::Literal{"x"}, p::Behavior::kRemoved}), "xx"), Pieces{});
}

TEST(PreTokenizer, Metaspace) {
  const std::string bar = "▁";
  const auto metaspace = [&](p::Prepend prepend, bool cut) { return of(p::Metaspace{bar, prepend, cut}); };
  EXPECT_EQ(split(metaspace(p::Prepend::kAlways, true), "Hey  friend "),
            (Pieces{"▁Hey", "▁", "▁friend", "▁"}));
  EXPECT_EQ(split(metaspace(p::Prepend::kAlways, false), "Hey you"), Pieces{"▁Hey▁you"});
  EXPECT_EQ(split(metaspace(p::Prepend::kAlways, true), " Hey"), Pieces{"▁Hey"});
  EXPECT_EQ(split(metaspace(p::Prepend::kAlways, true), "▁Hey"), Pieces{"▁Hey"});
  EXPECT_EQ(split(metaspace(p::Prepend::kNever, true), "Hey you"), (Pieces{"Hey", "▁you"}));
  EXPECT_EQ(split(metaspace(p::Prepend::kFirst, true), "Hey", /*first=*/true), Pieces{"▁Hey"});
  EXPECT_EQ(split(metaspace(p::Prepend::kFirst, true), "Hey", /*first=*/false), Pieces{"Hey"});
  const auto words = [&](p::Prepend prepend) {
    return of(p::Split{p::AnyOf{class_set(CharClass::kSpace)}, p::Behavior::kRemoved},
              p::Metaspace{bar, prepend, true});
  };
  EXPECT_EQ(split(words(p::Prepend::kAlways), "a b"), (Pieces{"▁a", "▁b"}));
  EXPECT_EQ(split(words(p::Prepend::kFirst), "a b"), (Pieces{"▁a", "b"}));
  EXPECT_EQ(split(words(p::Prepend::kFirst), " a b"), (Pieces{"a", "b"}));
}

TEST(PreTokenizer, StepsFollowOneAnother) {
  EXPECT_TRUE(of(SplitStep::kIndividualDigits, SplitStep::kGpt2).is_simple());
  EXPECT_FALSE(of(p::PrefixSpace{}, SplitStep::kGpt2).is_simple());
  EXPECT_EQ(split(of(p::PrefixSpace{}, SplitStep::kGpt2), "hey you"), (Pieces{" hey", " you"}));
  EXPECT_EQ(split(of(p::PrefixSpace{}, SplitStep::kGpt2), " hey"), Pieces{" hey"});
  EXPECT_EQ(split(of(SplitStep::kIndividualDigits, p::Split{p::Literal{"b"}, p::Behavior::kRemoved}), "1b2"),
            (Pieces{"1", "2"}));
  PreTokenizer full;
  for (size_t i = 0; i < kMaxSplitSteps; ++i) ASSERT_TRUE(full.add(SplitStep::kGpt2));
  EXPECT_EQ(full.add(p::PrefixSpace{}).error().code, ErrorCode::kLimit);
}

}  // namespace
}  // namespace atelier
