// Byte-pair encoding against its definition, on random vocabularies: the short cuts (whole characters, pieces
// cut where no merge reaches across, several pieces at a time) must not show.
#include "text/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "text/bpe_builder.h"
#include "text/byte_alphabet.h"

namespace atelier {
namespace {

using Ids = std::vector<TokenId>;

struct Vocabulary {
  std::map<std::string, TokenId> ids;  // by what the token stands for
  std::vector<std::pair<std::string, std::string>> merges;
};

// `symbols` and then `n_merges` random merges of what there is.
Vocabulary random_vocabulary(const std::vector<std::string>& symbols, size_t n_merges, std::mt19937& random) {
  Vocabulary v;
  std::vector<std::string> texts;
  const auto enter = [&](const std::string& text) {
    if (v.ids.emplace(text, static_cast<TokenId>(v.ids.size())).second) texts.push_back(text);
  };
  for (const std::string& symbol : symbols) enter(symbol);
  std::map<std::pair<std::string, std::string>, bool> seen;
  while (v.merges.size() < n_merges) {
    const std::pair pair{texts[random() % texts.size()], texts[random() % texts.size()]};
    if (pair.first.size() + pair.second.size() > 12 || !seen.emplace(pair, true).second) continue;
    v.merges.push_back(pair);
    enter(pair.first + pair.second);
  }
  // Not always in the order in which they can happen.
  if (random() % 2 == 0) std::shuffle(v.merges.begin(), v.merges.end(), random);
  return v;
}

Ids merge_slowly(const Vocabulary& v, std::vector<std::string> symbols) {
  std::map<std::pair<std::string, std::string>, size_t> ranks;
  for (size_t i = 0; i < v.merges.size(); ++i) ranks[v.merges[i]] = i;
  for (;;) {
    size_t best = SIZE_MAX;
    size_t at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto rank = ranks.find({symbols[i], symbols[i + 1]});
      if (rank != ranks.end() && rank->second < best) {
        best = rank->second;
        at = i;
      }
    }
    if (best == SIZE_MAX) break;
    symbols[at] += symbols[at + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  Ids ids;
  for (const std::string& symbol : symbols) ids.push_back(v.ids.at(symbol));
  return ids;
}

std::unique_ptr<Bpe> build(const Vocabulary& v, BpeSymbols symbols, BpeOptions options = {}) {
  const auto spell = [&](const std::string& bytes) {
    std::string text;
    if (symbols == BpeSymbols::kCharacters) return bytes;
    byte_alphabet::append_text(bytes, text);
    return text;
  };
  BpeBuilder builder(symbols, {}, v.ids.size());
  for (const auto& [text, id] : v.ids) EXPECT_TRUE(builder.add_token(spell(text), id));
  for (const auto& [left, right] : v.merges) EXPECT_TRUE(builder.add_merge(spell(left), spell(right)));
  auto bpe = std::move(builder).build(std::move(options));
  EXPECT_TRUE(bpe) << bpe.error().message;
  return std::move(*bpe);
}

Ids encode(const Bpe& bpe, const std::vector<std::string>& pieces) {
  std::string text;
  std::vector<size_t> ends;
  for (const std::string& piece : pieces) ends.push_back((text += piece).size());
  std::vector<std::string_view> views;
  size_t start = 0;
  for (const size_t end : ends) {
    views.push_back(std::string_view(text).substr(start, end - start));
    start = end;
  }
  PieceCache cache(text.size());
  Ids ids;
  for (size_t i = 0; i < views.size(); i += PieceModel::kMaxBatch)
    bpe.encode(std::span(views).subspan(i, std::min(views.size() - i, PieceModel::kMaxBatch)), cache, ids);
  return ids;
}

// Characters of one to four bytes that share lead and continuation bytes.
const std::vector<std::string> kCharacters = {"a", "b",  " ",  "é",  "è",  "д",
                                              "е", "中", "串", "丱", "😀", "😁"};

std::string random_text(std::mt19937& random, size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += kCharacters[random() % kCharacters.size()];
  return text;
}

std::vector<std::string> bytes_of(const std::string& text) {
  std::vector<std::string> bytes;
  for (const char byte : text) bytes.emplace_back(1, byte);
  return bytes;
}

std::vector<std::string> characters_of(std::string_view text) {
  std::vector<std::string> characters;
  while (!text.empty()) {
    const size_t n = decode_utf8(text.data(), text.data() + text.size()).length;
    characters.emplace_back(text.substr(0, n));
    text.remove_prefix(n);
  }
  return characters;
}

TEST(Bpe, BytesMergeAsDefined) {
  std::mt19937 random(1);
  std::string all;
  for (const std::string& c : kCharacters) all += c;
  size_t merged = 0;
  for (int round = 0; round < 60; ++round) {
    const Vocabulary v = random_vocabulary(bytes_of(all), 20 + random() % 150, random);
    const auto bpe = build(v, BpeSymbols::kBytes);
    std::vector<std::string> pieces;
    Ids expected;
    for (int i = 0; i < 80; ++i) {
      std::string piece = random_text(random, 1 + random() % (i % 20 == 0 ? 120 : 9));
      if (i % 5 == 0) piece.erase(random() % piece.size(), 1);  // no longer UTF-8
      if (piece.empty()) continue;
      const Ids ids = merge_slowly(v, bytes_of(piece));
      merged += piece.size() - ids.size();
      expected.insert(expected.end(), ids.begin(), ids.end());
      pieces.push_back(piece);
    }
    ASSERT_EQ(encode(*bpe, pieces), expected) << "round " << round;
    // Again, each twice: now partly from memory.
    std::vector<std::string> doubled;
    for (const std::string& piece : pieces) doubled.insert(doubled.end(), 2, piece);
    const Ids twice = encode(*bpe, doubled);
    ASSERT_EQ(twice.size(), 2 * expected.size());
    size_t at = 0;
    for (const std::string& piece : pieces) {
      const Ids ids = merge_slowly(v, bytes_of(piece));
      for (int copy = 0; copy < 2; ++copy)
        for (const TokenId id : ids) ASSERT_EQ(twice[at++], id) << "round " << round;
    }
  }
  EXPECT_GT(merged, 2000u);
}

TEST(Bpe, CharactersMergeAsDefined) {
  std::mt19937 random(2);
  size_t merged = 0;
  for (int round = 0; round < 60; ++round) {
    const Vocabulary v = random_vocabulary(kCharacters, 5 + random() % 100, random);
    const auto bpe = build(v, BpeSymbols::kCharacters);
    for (const size_t length : {size_t{1}, size_t{5}, size_t{40}, size_t{300}}) {
      const std::string text = random_text(random, length);
      const Ids expected = merge_slowly(v, characters_of(text));
      merged += length - expected.size();
      ASSERT_EQ(encode(*bpe, {text}), expected) << "round " << round;
    }
  }
  EXPECT_GT(merged, 1000u);
}

// "x" is no token: it is spelled in bytes where they are tokens, and else unknown, of which a run may be one.
TEST(Bpe, CharactersThatAreNoTokens) {
  Vocabulary v;
  v.ids = {{"<unk>", 0}, {"a", 1}, {"b", 2}, {"ab", 3}, {"<0xC3>", 4}, {"<0xA9>", 5}};
  v.merges = {{"a", "b"}};
  const auto bytes = [] {
    std::vector<TokenId> tokens(256, kNoToken);
    tokens[0xC3] = 4;
    tokens[0xA9] = 5;
    return tokens;
  };
  const auto ids = [&](BpeOptions options, const std::string& text) {
    return encode(*build(v, BpeSymbols::kCharacters, std::move(options)), {text});
  };
  EXPECT_EQ(ids({}, "axxb"), (Ids{3}));
  EXPECT_EQ(ids({.unk = 0}, "abxxab"), (Ids{3, 0, 0, 3}));
  EXPECT_EQ(ids({.unk = 0, .fuse_unk = true}, "abxxab"), (Ids{3, 0, 3}));
  EXPECT_EQ(ids({.unk = 0, .fuse_unk = true, .byte_tokens = bytes()}, "aéb"), (Ids{1, 4, 5, 2}));
  // Hugging Face holds unknown characters back until the next token that is a character.
  EXPECT_EQ(ids({.unk = 0, .fuse_unk = true, .byte_tokens = bytes()}, "xéxb"), (Ids{4, 5, 0, 2}));
  EXPECT_EQ(ids({.unk = 0, .byte_tokens = bytes()}, "a\xC3\xFF\xA9"), (Ids{1, 4, 5, 0}));
  // What spells a byte token out is text.
  EXPECT_EQ(ids({.unk = 0, .fuse_unk = true, .byte_tokens = bytes()}, "<0xC3>"), Ids{0});
}

}  // namespace
}  // namespace atelier
