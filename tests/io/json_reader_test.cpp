#include "io/json_reader.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace atelier {
namespace {

// Whether the whole text is one JSON value.
Status check(std::string_view text) {
  ATELIER_CHECK_OK(JsonReader::validate(text));
  JsonReader reader(text);
  reader.skip();
  reader.finish();
  return reader.status();
}

TEST(JsonReader, AcceptsWhatTheGrammarAllows) {
  for (const char* text :
       {R"({})", R"([])", R"("")", R"(0)", R"(-0)", R"(-1.5e+3)", R"(1E5)", R"(true)", R"( null )",
        R"({"a":[1,{"b":[[]]}],"":"\u00e9\n"})", "[1 ,\t2\r\n]", R"("\ud83d\ude00")"})
    EXPECT_TRUE(check(text)) << text;
}

TEST(JsonReader, RefusesWhatItDoesNot) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[",
                           "]",
                           "}",
                           "[1",
                           "[1,",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           R"({"a"})",
                           R"({"a":})",
                           R"({"a":1,})",
                           R"({a:1})",
                           R"({"a":1 "b":2})",
                           R"("a)",
                           R"("\x")",
                           R"("\u12")",
                           R"("\u12g4")",
                           R"("\ud83d")",
                           R"("\ud83d\u0041")",
                           R"("\ude00")",
                           "\"\x01\"",
                           "\"a\nb\"",
                           "01",
                           "1.",
                           ".5",
                           "-",
                           "1e",
                           "+1",
                           "0x10",
                           "tru",
                           "nul",
                           "nan",
                           "1 2",
                           "[1}",
                           "{1:2}",
                           "'a'",
                           "\xEF\xBB\xBF[]",
                           "[\"\xFF\"]"})
    EXPECT_FALSE(check(text)) << text;
}

TEST(JsonReader, RefusesZeroBytes) {
  EXPECT_FALSE(check(std::string_view("[]\0", 3)));
  EXPECT_FALSE(check(std::string_view("\0", 1)));
  EXPECT_FALSE(check(std::string_view("[1\0]", 4)));
}

TEST(JsonReader, BoundsNesting) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(check(nested(JsonReader::kMaxDepth)));
  EXPECT_FALSE(check(nested(JsonReader::kMaxDepth + 1)));
  EXPECT_FALSE(check(nested(1'000'000)));
  EXPECT_EQ(check(std::string(1'000'000, '[')).error().code, ErrorCode::kLimit);
}

TEST(JsonReader, ReadsValues) {
  JsonReader reader(R"({"a": -12, "b": 2.5, "c": "x\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00", "d": true,
                        "e": null, "f": [1, 2], "g": {"h": [{}]}})");
  std::string_view key;
  reader.begin_object();
  ASSERT_TRUE(reader.next_key(key));
  EXPECT_EQ(reader.integer(), -12);
  ASSERT_TRUE(reader.next_key(key));
  EXPECT_EQ(key, "b");
  EXPECT_EQ(reader.number(), 2.5);
  ASSERT_TRUE(reader.next_key(key));
  EXPECT_EQ(reader.string(), "x\"\\/\b\f\n\r\tAé€😀");
  ASSERT_TRUE(reader.next_key(key));
  EXPECT_FALSE(reader.null());
  EXPECT_TRUE(reader.boolean());
  ASSERT_TRUE(reader.next_key(key));
  EXPECT_TRUE(reader.null());
  ASSERT_TRUE(reader.next_key(key));
  reader.begin_array();
  ASSERT_TRUE(reader.next_element());
  EXPECT_EQ(reader.integer(), 1);
  ASSERT_TRUE(reader.next_element());
  EXPECT_EQ(reader.integer(), 2);
  EXPECT_FALSE(reader.next_element());
  ASSERT_TRUE(reader.next_key(key));
  EXPECT_EQ(key, "g");
  EXPECT_EQ(reader.raw(), R"({"h": [{}]})");
  EXPECT_FALSE(reader.next_key(key));
  reader.finish();
  EXPECT_TRUE(reader.status());
}

TEST(JsonReader, IntegersMustBeIntegersThatFit) {
  for (const char* text : {"1.0", "1e3", "9223372036854775808", "\"1\"", "true", "null", "-"}) {
    JsonReader reader(text);
    reader.integer();
    EXPECT_FALSE(reader.status()) << text;
  }
  JsonReader reader("-9223372036854775808");
  EXPECT_EQ(reader.integer(), INT64_MIN);
  EXPECT_TRUE(reader.status());
}

TEST(JsonReader, UnsignedIntegersArePlainAndBounded) {
  const auto read = [](std::string_view text) -> std::optional<uint64_t> {
    JsonReader reader(text);
    const uint64_t value = reader.unsigned_integer();
    reader.finish();
    return reader.ok() ? std::optional(value) : std::nullopt;
  };
  EXPECT_EQ(read(" 0 "), 0u);
  EXPECT_EQ(read("18446744073709551615"), UINT64_MAX);
  for (const char* bad :
       {"18446744073709551616", "-1", "-0", "+1", "01", "1.0", "1e3", "1E3", "", " ", "x", "1x", "0x1"})
    EXPECT_EQ(read(bad), std::nullopt) << bad;
}

TEST(JsonReader, ErrorsNamePlaceExpectedAndFound) {
  const auto error = [](std::string_view text) { return check(text).error().message; };
  EXPECT_EQ(error(R"({"a" 1})"), "JSON byte 5: expected ':', found '1'");
  EXPECT_EQ(error("1\x01"), "JSON byte 1: expected the end, found byte 0x01");
  EXPECT_EQ(error("[1,"), "JSON byte 3: expected a value, found the end");
  EXPECT_EQ(error("[1,]"), "JSON byte 3: expected a value behind the comma, found ']'");
  EXPECT_EQ(error(R"("\q")"), "JSON byte 2: expected an escape, found 'q'");
  EXPECT_EQ(error("[trux]"), "JSON byte 1: expected true, found 't'");
  JsonReader reader("[7.5]");
  reader.begin_array();
  ASSERT_TRUE(reader.next_element());
  reader.integer();
  EXPECT_EQ(reader.status().error().message, "JSON byte 1: expected an integer of 64 bits, found 7.5");
}

TEST(JsonReader, TheFirstErrorSticks) {
  JsonReader reader("[1, x, 2]");
  reader.begin_array();
  size_t elements = 0;
  while (reader.next_element()) {
    ++elements;
    reader.integer();
  }
  EXPECT_EQ(elements, 2u);
  EXPECT_FALSE(reader.ok());
  const std::string message = reader.status().error().message;
  EXPECT_NE(message.find("byte 4"), std::string::npos) << message;
  EXPECT_EQ(reader.integer(), 0);
  reader.fail_here("something else");
  EXPECT_EQ(reader.status().error().message, message);
}

// Accepts what another parser accepts, on a document, its prefixes and 300,000 mutations of it.
TEST(JsonReader, AgreesWithAnotherParserAboutWhatIsJson) {
  const std::string text =
      R"({"a":[1,-2.5,3e-7,0.1E-2,0],"b":{"c":null,"d":[true,false,[],{}]},"e":"x\u00e9\n\"字"} )";
  ASSERT_TRUE(check(text));
  const auto agree = [](const std::string& candidate) {
    ASSERT_EQ(check(candidate).has_value(), nlohmann::json::accept(candidate)) << candidate;
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
    accepted += check(mutated).has_value();
  }
  EXPECT_GT(accepted, 10'000u);
  EXPECT_LT(accepted, 290'000u);
}

}  // namespace
}  // namespace atelier
