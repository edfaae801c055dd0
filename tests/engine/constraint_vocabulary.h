// A small vocabulary for constraints, and the ways tests follow a grammar with it.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "engine/constraint/constraint.h"
#include "engine/token_filter.h"

namespace atelier::constraint {

// Every byte, the words given, and one special token "<|end|>" at the end.
class WordVocabulary final : public Tokenizer {
 public:
  explicit WordVocabulary(const std::vector<std::string>& words) {
    for (int byte = 0; byte < 256; ++byte) tokens_.emplace_back(1, static_cast<char>(byte));
    tokens_.insert(tokens_.end(), words.begin(), words.end());
    tokens_.emplace_back("<|end|>");
  }
  // What is common in JSON and in text, with spaces, quotes, brackets and parts of characters in every place.
  static std::shared_ptr<const WordVocabulary> common() {
    return std::make_shared<WordVocabulary>(common_words());
  }
  // With so many more that masks are put together from verdicts on rules.
  static std::shared_ptr<const WordVocabulary> large() {
    std::vector<std::string> words = common_words();
    for (char a = 'a'; a <= 'l'; ++a)
      for (char b = 'a'; b <= 'l'; ++b)
        for (char c = 'a'; c <= 'l'; ++c) words.push_back({a, b, c});
    return std::make_shared<WordVocabulary>(words);
  }
  static std::vector<std::string> common_words() {
    std::vector<std::string> words = {"the",
                                      " the",
                                      "name",
                                      " name",
                                      "\"",
                                      "\":",
                                      "\": ",
                                      "\": \"",
                                      "\",\"",
                                      "\", \"",
                                      "\"}",
                                      "\"},",
                                      "},{",
                                      "}}",
                                      "{\"",
                                      "[{\"",
                                      "\"]",
                                      "],",
                                      "]}",
                                      "[]",
                                      "{}",
                                      "\\\"",
                                      "\\n",
                                      "\\u00",
                                      "\\u",
                                      "\\\\",
                                      "true",
                                      "false",
                                      "null",
                                      "tru",
                                      "ue,",
                                      "10",
                                      "00",
                                      "123",
                                      "0.",
                                      ".5",
                                      "1e",
                                      "e+",
                                      "-1",
                                      ", ",
                                      ": ",
                                      "  ",
                                      "\n",
                                      "\n  ",
                                      "\n    ",
                                      "é",
                                      "日",
                                      "日本",
                                      "\xE6\x97",
                                      "\xA5",
                                      "\xF0\x9F",
                                      "\x98\x80",
                                      "😀",
                                      "ab",
                                      "abc",
                                      "bc",
                                      "aaaa",
                                      "aa",
                                      "type\"",
                                      "value\":",
                                      "a\"",
                                      "\"a",
                                      "a\":1",
                                      "1,\"",
                                      "1}",
                                      "1]",
                                      "x",
                                      "xyz",
                                      "hello world",
                                      "        ",
                                      "the\",\"the\":\"",
                                      "é\"",
                                      "\"é",
                                      "\xC3",
                                      "),(",
                                      "((",
                                      "))",
                                      "+1",
                                      "*(",
                                      "no",
                                      "not",
                                      "yes",
                                      "-",
                                      "--"};
    for (char a = 'a'; a <= 'z'; ++a)
      for (char b = 'a'; b <= 'z'; ++b) words.push_back({a, b});
    for (int n = 0; n < 100; ++n) words.push_back(std::to_string(n));
    words.emplace_back("abc");  // some vocabularies repeat themselves
    return words;
  }

  using Tokenizer::encode;
  // Greedy, longest token first.
  void encode(std::string_view text, Specials, std::vector<TokenId>& ids) const override {
    while (!text.empty()) {
      TokenId best = static_cast<unsigned char>(text[0]);
      for (TokenId id = 256; id < special(); ++id)
        if (text.starts_with(token_bytes(id)) && token_bytes(id).size() > token_bytes(best).size()) best = id;
      ids.push_back(best);
      text.remove_prefix(token_bytes(best).size());
    }
  }
  std::string_view token_bytes(TokenId id) const override {
    return id >= 0 && static_cast<size_t>(id) < tokens_.size()
               ? std::string_view(tokens_[static_cast<size_t>(id)])
               : std::string_view();
  }
  TokenId special() const { return static_cast<TokenId>(tokens_.size() - 1); }
  bool is_special(TokenId id) const override { return id == special(); }
  std::optional<TokenId> find_token(std::string_view) const override { return std::nullopt; }
  size_t vocab_size() const override { return tokens_.size(); }
  std::optional<TokenId> bos() const override { return std::nullopt; }
  std::optional<TokenId> eos() const override { return special(); }
  bool add_bos() const override { return false; }

 private:
  std::vector<std::string> tokens_;
};

inline bool has_bit(const std::vector<uint64_t>& mask, TokenId id) {
  return (mask[static_cast<size_t>(id) / 64] >> (static_cast<size_t>(id) % 64) & 1) != 0;
}

// The mask by trying every token byte by byte.
inline std::vector<uint64_t> mask_by_trial(ConstraintMatcher& matcher, const Tokenizer& tokenizer) {
  std::vector<uint64_t> mask(token_mask_words(tokenizer.vocab_size()));
  for (size_t i = 0; i < tokenizer.vocab_size(); ++i) {
    if (!matcher.accept(static_cast<TokenId>(i), tokenizer)) continue;
    mask[i / 64] |= uint64_t{1} << (i % 64);
    matcher.rollback(1);
  }
  return mask;
}

inline std::vector<TokenId> ids_in(const std::vector<uint64_t>& mask) {
  std::vector<TokenId> ids;
  for (size_t i = 0; i < mask.size() * 64; ++i)
    if (has_bit(mask, static_cast<TokenId>(i))) ids.push_back(static_cast<TokenId>(i));
  return ids;
}

class WithVocabulary {
 public:
  explicit WithVocabulary(std::shared_ptr<const Tokenizer> tokenizer = WordVocabulary::common())
      : tokenizer_(std::move(tokenizer)), trie_(TokenTrie::build(*tokenizer_)) {}
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const std::shared_ptr<const TokenTrie>& trie() const { return trie_; }
  ConstraintMatcher matcher(const std::shared_ptr<const Grammar>& grammar) const {
    return ConstraintMatcher(Constraint::create(grammar, trie_).value());
  }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const TokenTrie> trie_;
};

// The whole text matches, taken byte by byte.
inline bool matches(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  static const WithVocabulary with;
  ConstraintMatcher matcher = with.matcher(grammar);
  return (text.empty() || matcher.accept_text(text)) && matcher.can_end();
}

}  // namespace atelier::constraint
