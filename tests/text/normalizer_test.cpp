#include "text/normalizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/unicode.h"

namespace atelier {
namespace {

namespace n = normalizer;

template <class... Steps>
std::string normalised(std::string_view text, Steps... steps) {
  Normalizer normalizer;
  const bool added = (normalizer.add(std::move(steps)).has_value() && ...);
  EXPECT_TRUE(added);
  std::string out = "to be replaced";
  const Status status = normalizer.apply(text, out);
  EXPECT_TRUE(status) << status.error().message;
  return out;
}

// Examples of Unicode annex 15, tables 4 to 8.
TEST(NormalForm, AsTheAnnexHasThem) {
  EXPECT_EQ(normalised("\u212B \u2126", NormalForm::kNfc), "\u00C5 \u03A9");
  EXPECT_EQ(normalised("\u1E69", NormalForm::kNfd), "s\u0323\u0307");
  EXPECT_EQ(normalised("\u1E0B\u0323", NormalForm::kNfd), "d\u0323\u0307");
  EXPECT_EQ(normalised("\u1E0B\u0323", NormalForm::kNfc), "\u1E0D\u0307");
  EXPECT_EQ(normalised("q\u0307\u0323", NormalForm::kNfc), "q\u0323\u0307");
  EXPECT_EQ(normalised("\uFB01 2\u2075", NormalForm::kNfc), "\uFB01 2\u2075");
  EXPECT_EQ(normalised("\uFB01 2\u2075", NormalForm::kNfkc), "fi 25");
  EXPECT_EQ(normalised("\u1E9B\u0323", NormalForm::kNfkd), "s\u0323\u0307");
  EXPECT_EQ(normalised("\u1E9B\u0323", NormalForm::kNfkc), "\u1E69");
  EXPECT_EQ(normalised("\u1112\u1161\u11AB\uD55C", NormalForm::kNfc), "\uD55C\uD55C");
  EXPECT_EQ(normalised("\uD55C", NormalForm::kNfd), "\u1112\u1161\u11AB");
  EXPECT_EQ(normalised("\uD558\u11AB", NormalForm::kNfc), "\uD55C");
}

TEST(NormalForm, LeavesTheRestAlone) {
  const std::string text = "plain, ünïcödé, кириллица, 中文かな, 한국어 😀\r\n\xFF\xE4\x80";
  EXPECT_EQ(normalised(text, NormalForm::kNfc), text);
  EXPECT_EQ(normalised("", NormalForm::kNfkd), "");
  // A byte that is no character keeps marks from combining across it.
  EXPECT_EQ(normalised("e\xFF\u0301", NormalForm::kNfc), "e\xFF\u0301");
  EXPECT_EQ(normalised("\u0301e", NormalForm::kNfc), "\u0301e");
  EXPECT_EQ(normalised("e\u0301\u0301e\u0301", NormalForm::kNfc), "é\u0301é");
}

// NFC of NFD is NFC of the character, for all of them, whatever stands around.
TEST(NormalForm, FormsAgreeOnEveryCharacter) {
  for (char32_t c = 0; c < 0x30000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text = "a";
    append_utf8(c, text);
    text += "\u0323x";
    const std::string composed = normalised(text, NormalForm::kNfc);
    ASSERT_EQ(normalised(text, NormalForm::kNfd, NormalForm::kNfc), composed) << uint32_t{c};
    ASSERT_EQ(normalised(composed, NormalForm::kNfc), composed) << uint32_t{c};
    ASSERT_EQ(normalised(text, NormalForm::kNfkd), normalised(text, NormalForm::kNfkd, NormalForm::kNfkd))
        << uint32_t{c};
  }
}

// As Hugging Face's tokenizers have it, whose tables are of Unicode 9.
TEST(NormalForm, LaterCharactersAreStarters) {
  for (const std::string text : {"\u0E92\u0ECA\u0EBA", "\u0995\u09FE\u09BC", "\u0C25\u0C55\u0C3C", "\u32FF",
                                 "\uA7F2", "\U00011935\U00011930", "a\u1ABF\u0301"})
    for (const NormalForm form : {NormalForm::kNfc, NormalForm::kNfd, NormalForm::kNfkc, NormalForm::kNfkd})
      EXPECT_EQ(normalised(text, form), text);
  EXPECT_EQ(normalised("\u0EC8\u0EB8", NormalForm::kNfc), "\u0EB8\u0EC8");  // older ones are sorted
}

// A sort that is quadratic does not come back before the test's time limit.
TEST(NormalForm, LongRunsOfMarks) {
  std::string text = "e";
  while (text.size() < (2u << 20)) text += "\u0301\u0323";
  const std::string composed = normalised(text, NormalForm::kNfc);
  EXPECT_EQ(composed.substr(0, 5), "\u1EB9\u0323");
  EXPECT_TRUE(composed.ends_with("\u0301\u0301"));
}

TEST(Normalizer, Steps) {
  EXPECT_EQ(normalised("ÀİΣ\xFF", n::Lowercase{}), "ài\u0307σ\xFF");
  EXPECT_EQ(normalised("e\u0301\u0903x", n::StripAccents{}), "ex");
  EXPECT_EQ(normalised(" \u3000a b\t", n::Strip{true, true}), "a b");
  EXPECT_EQ(normalised(" a ", n::Strip{true, false}), "a ");
  EXPECT_EQ(normalised(" a ", n::Strip{false, true}), " a");
  EXPECT_EQ(normalised(" \n", n::Strip{true, true}), "");
  EXPECT_EQ(normalised("a", n::Prepend{"▁"}), "▁a");
  EXPECT_EQ(normalised("", n::Prepend{"▁"}), "");
  EXPECT_EQ(normalised("aaab", n::ReplaceText{"aa", "x"}), "xab");
  EXPECT_EQ(normalised("a\tb\x01\x7F\u200B\u2581c\xFF", n::Nmt{}), "a b  c\xFF");
  auto runs = Regex::compile(" {2,}");
  ASSERT_TRUE(runs);
  EXPECT_EQ(normalised("a  b c   ", n::ReplaceMatches{std::move(*runs), "▁"}), "a▁b c▁");
  EXPECT_EQ(normalised("A b", n::Prepend{"▁"}, n::ReplaceText{" ", "▁"}, n::Lowercase{}), "▁a▁b");
}

TEST(Normalizer, SentencePiece) {
  EXPECT_EQ(normalised(" a  b ", n::SentencePiece{}), "▁a▁▁b▁");
  EXPECT_EQ(normalised(" a  b ", n::SentencePiece{.add_dummy_prefix = true}), "▁▁a▁▁b▁");
  EXPECT_EQ(normalised(" a  b ", n::SentencePiece{.remove_extra_spaces = true, .add_dummy_prefix = true}),
            "▁a▁b");
  EXPECT_EQ(normalised("  ", n::SentencePiece{.remove_extra_spaces = true, .add_dummy_prefix = true}), "");
}

// A trie of darts-clone for "a" → "x" and "ab" → "yz", laid out by hand: a unit's children are at its place
// XOR its offset XOR their label, a value under the label 0.
std::string tiny_charsmap() {
  std::vector<uint32_t> units(512);
  const auto unit = [](uint32_t offset, bool leaf, uint32_t label) {
    return offset << 10 | uint32_t{leaf} << 8 | label;
  };
  units[0] = unit(0x100, false, 0);                            // root → 0x100
  units[0x100 ^ 'a'] = unit((0x100 ^ 'a') ^ 0x80, true, 'a');  // → 0x80
  units[0x80] = uint32_t{1} << 31 | 0;                         // "x"
  units[0x80 ^ 'b'] = unit((0x80 ^ 'b') ^ 0x40, true, 'b');    // → 0x40
  units[0x40] = uint32_t{1} << 31 | 2;                         // "yz"
  const auto bytes = static_cast<uint32_t>(units.size() * sizeof(uint32_t));
  std::string out(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
  out.append(reinterpret_cast<const char*>(units.data()), bytes);
  return out + std::string("x\0yz\0", 5);
}

TEST(Charsmap, FindsShortestAndLongest) {
  const auto charsmap = Charsmap::parse(tiny_charsmap());
  ASSERT_TRUE(charsmap) << charsmap.error().message;
  const auto shortest = charsmap->find("abc", Charsmap::Prefer::kShortest);
  ASSERT_TRUE(shortest);
  EXPECT_EQ(shortest->length, 1u);
  EXPECT_EQ(shortest->replacement, "x");
  const auto longest = charsmap->find("abc", Charsmap::Prefer::kLongest);
  ASSERT_TRUE(longest);
  EXPECT_EQ(longest->length, 2u);
  EXPECT_EQ(longest->replacement, "yz");
  EXPECT_FALSE(charsmap->find("ba", Charsmap::Prefer::kLongest));
  EXPECT_FALSE(charsmap->find("", Charsmap::Prefer::kLongest));
  EXPECT_EQ(normalised("cab", n::SentencePiece{.charsmap = *charsmap, .has_charsmap = true}), "cyz");
  // By clusters: "a" with its accent is one of three bytes, and becomes "x" as a whole.
  EXPECT_EQ(normalised("abca\u0301\r\n\xFF", n::Precompiled{*charsmap}), "xbcx\r\n\xFF");
}

TEST(Charsmap, MalformedOnesAreRefusedOrHarmless) {
  const std::string good = tiny_charsmap();
  for (size_t size = 0; size < 2052; ++size) ASSERT_FALSE(Charsmap::parse(good.substr(0, size))) << size;
  EXPECT_FALSE(Charsmap::parse(good + "\xFF"));
  EXPECT_FALSE(Charsmap::parse(std::string(4, '\0')));
  // Wherever the trie leads, it stays inside.
  for (size_t at = 4; at < 2052; ++at) {
    std::string changed = good;
    changed[at] = '\xFF';
    const auto charsmap = Charsmap::parse(changed);
    ASSERT_TRUE(charsmap);
    for (const std::string_view text : {"a", "ab", "abab", "\xFF"}) {
      (void)charsmap->find(text, Charsmap::Prefer::kShortest);
      (void)charsmap->find(text, Charsmap::Prefer::kLongest);
    }
  }
}

}  // namespace
}  // namespace atelier
