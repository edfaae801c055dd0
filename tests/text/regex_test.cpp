#include "text/regex.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/splitter.h"

namespace atelier {
namespace {

using Pieces = std::vector<std::string>;

Pieces matches(std::string_view pattern, std::string_view text) {
  auto regex = Regex::compile(pattern);
  EXPECT_TRUE(regex) << regex.error().message;
  if (!regex) return {};
  std::vector<Regex::Match> found;
  const Status status = regex->find_all(text, found);
  EXPECT_TRUE(status) << status.error().message;
  Pieces pieces;
  for (const auto& [begin, end] : found) pieces.emplace_back(text.substr(begin, end - begin));
  return pieces;
}

Error error_of(std::string_view pattern) {
  const auto regex = Regex::compile(pattern);
  EXPECT_FALSE(regex) << pattern;
  return regex ? Error{} : regex.error();
}

TEST(Regex, FindsEveryMatch) {
  EXPECT_EQ(matches(R"(\p{L}+|\d)", "ab1é 23中"), (Pieces{"ab", "1", "é", "2", "3", "中"}));
  EXPECT_EQ(matches("x", "abc"), Pieces{});
  EXPECT_EQ(matches("x", ""), Pieces{});
  EXPECT_EQ(matches("(?i:k)", "kK\u212A"), (Pieces{"k", "K", "\u212A"}));
}

TEST(Regex, AnEmptyMatchBehindAnotherIsPassedOver) {
  EXPECT_EQ(matches("a*", "baac"), (Pieces{"", "aa", ""}));
  EXPECT_EQ(matches("(?=é)", "xéé"), (Pieces{"", ""}));
}

// Where Oniguruma and PCRE2 read the same text differently, Oniguruma is right.
TEST(Regex, ReadsOnigurumasSyntax) {
  EXPECT_EQ(matches(R"(\h+)", "xAf0 \t"), Pieces{"Af0"});
  EXPECT_EQ(matches(R"([\h]+\H)", "12g"), Pieces{"12g"});
  EXPECT_EQ(matches(R"(\s)", "a\u180E\u2028\x0B\u0085z"), (Pieces{"\u2028", "\x0B", "\u0085"}));
  EXPECT_EQ(matches(R"(\S+)", "a\u180E b"), (Pieces{"a\u180E", "b"}));
  EXPECT_EQ(matches(R"(\v)", "\x0B\n\u2028"), Pieces{"\x0B"});
  EXPECT_EQ(matches(R"(\w+)", "a_\u0301\u203F½ ⅷ"), (Pieces{"a_\u0301\u203F", "ⅷ"}));
  EXPECT_EQ(matches(R"(\W)", "a½"), Pieces{"½"});
  EXPECT_EQ(matches(R"(^.)", "ab\ncd"), (Pieces{"a", "c"}));
  EXPECT_EQ(matches(R"(.+)", "a\rb\nc"), (Pieces{"a\rb", "c"}));
  EXPECT_EQ(matches(R"(\u4e2d)", "中"), Pieces{"中"});
  EXPECT_EQ(matches(R"([^\]\-a]+)", "a]b-"), Pieces{"b"});
  EXPECT_EQ(matches(R"([]a]+)", "x]a"), Pieces{"]a"});
}

TEST(Regex, RefusesWhatItCannotSayTheSameWay) {
  for (const std::string_view pattern :
       {R"([a&&b])", R"([a[bc]])", R"([[:alpha:]])", R"(\bx)", R"(\Kx)", R"(\G)", R"(a{1,2}+)", R"(a{,3})",
        R"((?m:.))", R"((?s:.))", R"((?R))", R"((*FAIL))", R"([\W])", R"(\Qa\E)", R"(\C)", R"(a\)", R"([a)",
        R"(\u12)", R"((?<n>a))"}) {
    const Error error = error_of(pattern);
    EXPECT_EQ(error.code, ErrorCode::kUnsupported) << error.message;
    EXPECT_NE(error.message.find(pattern), std::string::npos) << error.message;
  }
  EXPECT_EQ(error_of("(a").code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(R"(\p{Nonsense})").code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(std::string(kMaxRegexBytes + 1, 'a')).code, ErrorCode::kLimit);
  EXPECT_FALSE(Regex::compile(std::string(200, '(') + std::string(200, ')')));
}

TEST(Regex, SaysWhichLimitWasReached) {
  const auto error_on = [](std::string_view pattern, const std::string& text) {
    const auto regex = Regex::compile(pattern);
    std::vector<Regex::Match> found;
    const Status status = regex->find_all(text, found);
    EXPECT_FALSE(status) << pattern;
    return status ? Error{} : status.error();
  };
  Error error = error_on("(a+)+$", "b" + std::string(40, 'a') + "!");
  EXPECT_EQ(error.code, ErrorCode::kLimit);
  EXPECT_NE(error.message.find("match limit of 2000000 steps at byte 0"), std::string::npos) << error.message;
  error = error_on("(?:a|b)*[cd]", std::string(3'000'000, 'a'));
  EXPECT_EQ(error.code, ErrorCode::kLimit);
  EXPECT_NE(error.message.find("limit of"), std::string::npos) << error.message;
}

// Each search here takes time linear in the text behind it, all of them together would take days.
TEST(Regex, SearchesThatAreDearTogetherAreStopped) {
  const std::string text(1 << 18, 'a');
  for (const std::string_view pattern : {"a*[bc]", "(?=(a*))\\1[bc]", "a+?[bc]"}) {
    const auto regex = Regex::compile(pattern);
    ASSERT_TRUE(regex) << regex.error().message;
    std::vector<Regex::Match> found;
    const Status status = regex->find_all(text, found);
    ASSERT_FALSE(status) << pattern;
    EXPECT_EQ(status.error().code, ErrorCode::kLimit) << status.error().message;
  }
}

TEST(Regex, BytesThatAreNoUtf8EndATextEach) {
  EXPECT_EQ(matches("[ab]+",
                    "ab\xFF\xFE"
                    "ba\xE4"),
            (Pieces{"ab", "ba"}));
  EXPECT_EQ(matches("b$", "ab\xFFz"), Pieces{"b"});
  EXPECT_EQ(matches("x", "\xFF"), Pieces{});
}

// Each match must not look at all of the text that follows it.
TEST(Regex, ManyMatchesTakeLinearTime) {
  std::string text;
  while (text.size() < (4u << 20)) text += "word ";
  const auto regex = Regex::compile(R"( ?\p{L}+|\s+(?!\S)|\s+)");
  std::vector<Regex::Match> found;
  ASSERT_TRUE(regex->find_all(text, found));
  EXPECT_GT(found.size(), text.size() / 6);
}

// The expressions we match by hand give the same pieces when PCRE2 runs them.
TEST(Regex, AgreesWithTheSplittersWrittenByHand) {
  constexpr std::string_view kLlama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  constexpr std::string_view kO200k =
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const std::string_view text =
      "Don't SHOUT'S at fooBar 12345 ½ …!?/\r\n\r\n  \t x\u3000日本語ですǅab Ａｂ'ſ \u0301e\u0301 #tag\n   "
      "end  ";
  for (const std::string_view pattern : {kLlama3, kO200k}) {
    const SplitStep step = *find_split_step(pattern);
    Pieces by_hand;
    PieceReader reader(std::span(&step, 1), text);
    for (std::string_view piece; reader.next(piece);) by_hand.emplace_back(piece);
    EXPECT_EQ(matches(pattern, text), by_hand) << pattern;
  }
}

}  // namespace
}  // namespace atelier
