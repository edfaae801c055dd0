#include "text/unicode.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace atelier {
namespace {

bool is_scalar(char32_t c) { return c < 0x110000 && (c < 0xD800 || c > 0xDFFF); }

std::string lossy(std::string_view bytes) {
  std::string text;
  append_utf8_lossy(bytes, text);
  return text;
}

TEST(Utf8, EveryCharacterSurvives) {
  size_t count = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (!is_scalar(c)) continue;
    std::string bytes;
    append_utf8(c, bytes);
    const Utf8Char decoded = decode_utf8(bytes.data(), bytes.data() + bytes.size());
    ASSERT_TRUE(decoded.valid && decoded.code_point == c && decoded.length == bytes.size()) << uint32_t{c};
    ASSERT_EQ(lossy(bytes), bytes);
    for (size_t n = 1; n < bytes.size(); ++n) {
      ASSERT_FALSE(decode_utf8(bytes.data(), bytes.data() + n).valid);
      ASSERT_EQ(incomplete_utf8_tail(std::string_view(bytes).substr(0, n)), n) << uint32_t{c};
    }
    ASSERT_EQ(incomplete_utf8_tail(bytes), 0u);
    ++count;
  }
  EXPECT_EQ(count, 0x110000u - 0x800u);
}

TEST(Utf8, RefusesOverlongFormsSurrogatesAndBeyond) {
  for (const std::string_view bytes :
       {"\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xF8\x88\x80\x80\x80", "\xFF", "\x80", "\xC3("}) {
    const Utf8Char decoded = decode_utf8(bytes.data(), bytes.data() + bytes.size());
    EXPECT_FALSE(decoded.valid);
    EXPECT_EQ(decoded.length, 1u);
    EXPECT_EQ(incomplete_utf8_tail(bytes), 0u);
  }
}

// The examples of the Unicode standard, chapter 3.9: one U+FFFD per maximal subpart.
TEST(Utf8, ReplacesMaximalSubparts) {
  EXPECT_EQ(lossy("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"),
            "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
  EXPECT_EQ(lossy("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(lossy("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(lossy("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFDB");
  EXPECT_EQ(lossy("\xE2\x82"), "\uFFFD");
}

TEST(CharClasses, KnowsTheCategories) {
  const CharClasses& classes = CharClasses::get();
  const std::vector<std::pair<char32_t, CharClass>> known = {
      {U'A', CharClass::kUpper},        {U'ǅ', CharClass::kUpper},
      {U'ß', CharClass::kLower},        {U'ʰ', CharClass::kOtherLetter},
      {U'中', CharClass::kOtherLetter}, {0x301, CharClass::kMark},
      {U'7', CharClass::kNumber},       {U'½', CharClass::kNumber},
      {U'_', CharClass::kPunctuation},  {U'+', CharClass::kSymbol},
      {U'😀', CharClass::kSymbol},      {U'\n', CharClass::kSpace},
      {0x85, CharClass::kSpace},        {0x3000, CharClass::kSpace},
      {0x200B, CharClass::kOther},      {0, CharClass::kOther},
      {0x10FFFF, CharClass::kOther},    {0x20000, CharClass::kOtherLetter},
      {0xE0100, CharClass::kMark},      {0x16FF4, CharClass::kNewNumber},
      {0x1F1E6, CharClass::kSymbol},    {0x3134A, CharClass::kOtherLetter}};
  for (const auto& [code_point, expected] : known)
    EXPECT_EQ(classes[code_point], expected) << uint32_t{code_point};
  for (char32_t c = 0; c < 0x80; ++c) EXPECT_EQ(kAsciiClasses[c], class_set(classes[c])) << uint32_t{c};
  for (size_t c = 0x80; c < 0x100; ++c) EXPECT_EQ(kAsciiClasses[c], 0u);
}

}  // namespace
}  // namespace atelier
