#include "io/json_reader.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <nlohmann/json.hpp>
#include <random>

namespace atelier::testing {
namespace {

bool accepts(std::string_view text) {
  JsonHeaderReader in(text);
  return simdjson::validate_utf8(text.data(), text.size()) && in.skip() && in.end();
}

TEST(JsonHeaderReader, StringsAreUnescaped) {
  const auto read = [](std::string_view text) -> std::string {
    JsonHeaderReader in(text);
    const auto string = in.string();
    return string ? std::string(*string) : "error: " + string.error().message;
  };
  EXPECT_EQ(read(R"("plain")"), "plain");
  EXPECT_EQ(read(R"( "a\"\\\/\b\f\n\r\tz" )"), "a\"\\/\b\f\n\r\tz");
  EXPECT_EQ(read(R"("\u0041\u00e9\u5b57\ud83d\ude00")"), "Aé字😀");
  EXPECT_EQ(read(R"("字\u0041字")"), "字A字");
  EXPECT_EQ(read(R"("\u0000")"), std::string(1, '\0'));
  for (const char* bad : {R"("\ud800")", R"("\ude00")", R"("\ud800\u0041")", R"("\u12")", R"("\u12g4")",
                          R"("\x41")", R"("abc)", "\"a\nb\"", R"("\)", "7", ""})
    EXPECT_TRUE(read(bad).starts_with("error: JSON byte")) << bad;
}

TEST(JsonHeaderReader, IntegersArePlainAndBounded) {
  const auto read = [](std::string_view text) -> std::optional<uint64_t> {
    JsonHeaderReader in(text);
    const auto value = in.uint();
    return value && in.end() ? std::optional(*value) : std::nullopt;
  };
  EXPECT_EQ(read(" 0 "), 0u);
  EXPECT_EQ(read("18446744073709551615"), UINT64_MAX);
  for (const char* bad :
       {"18446744073709551616", "-1", "+1", "01", "1.0", "1e3", "1E3", "", " ", "x", "1x", "0x1"})
    EXPECT_EQ(read(bad), std::nullopt) << bad;
}

TEST(JsonHeaderReader, ErrorsNamePlaceExpectedAndFound) {
  JsonHeaderReader in(R"({"a" 1})");
  const Status status = in.object([&](std::string_view) { return in.skip(); });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "JSON byte 5: expected ':', found '1'");
  EXPECT_EQ(JsonHeaderReader("\x01").end().error().message, "JSON byte 0: expected the end, found byte 0x01");
}

TEST(JsonHeaderReader, NestingIsBounded) {
  JsonHeaderReader deep("[[[[]]]]");
  EXPECT_TRUE(deep.skip(5));
  JsonHeaderReader too_deep("[[[[]]]]");
  EXPECT_EQ(too_deep.skip(3).error().code, ErrorCode::kLimit);
  const std::string bomb(10'000'000, '[');
  EXPECT_EQ(JsonHeaderReader(bomb).skip().error().code, ErrorCode::kLimit);
}

// Accepts what another parser accepts, on a document, its prefixes and 300,000 mutations of it.
TEST(JsonHeaderReader, AgreesWithAnotherParserAboutWhatIsJson) {
  const std::string text =
      R"({"a":[1,-2.5,3e-7,0.1E-2,0],"b":{"c":null,"d":[true,false,[],{}]},"e":"x\u00e9\n\"字"} )";
  ASSERT_TRUE(accepts(text));
  const auto agree = [](const std::string& candidate) {
    ASSERT_EQ(accepts(candidate), nlohmann::json::accept(candidate)) << candidate;
  };
  for (size_t length = 0; length <= text.size(); ++length) agree(text.substr(0, length));
  std::mt19937 rng(5);
  // Too few digits for an exponent that overflows a double: the other parser refuses those, we do not look.
  constexpr std::string_view kAlphabet = "{}[]:,\"\\ \n\tutrfalsn012.eE+-x\xc3\xa9\x01";
  size_t accepted = 0;
  for (int round = 0; round < 300'000; ++round) {
    std::string mutated = text;
    for (uint32_t n = rng() % 2 + 1; n > 0; --n) {
      const size_t at = rng() % mutated.size();
      const char c = kAlphabet[rng() % kAlphabet.size()];
      switch (rng() % 3) {
        case 0:
          mutated[at] = c;
          break;
        case 1:
          mutated.insert(at, 1, c);
          break;
        default:
          mutated.erase(at, 1);
          break;
      }
    }
    agree(mutated);
    accepted += accepts(mutated);
  }
  EXPECT_GT(accepted, 10'000u);
  EXPECT_LT(accepted, 290'000u);
}

}  // namespace
}  // namespace atelier::testing
