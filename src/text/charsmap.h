// SentencePiece's precompiled normalisation rules: a double-array trie of source strings, and the strings
// they become. Source: google/sentencepiece, src/normalizer.cc (DecodePrecompiledCharsMap);
// s-yata/darts-clone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier {

class Charsmap {
 public:
  // `bytes`: u32 size of the trie in bytes, the trie, the replacements each ended by a zero byte. Untrusted.
  // Errors: kCorrupt.
  static Result<Charsmap> parse(std::string_view bytes);

  struct Rule {
    size_t length;  // of what is replaced
    std::string_view replacement;
  };
  enum class Prefer { kShortest, kLongest };
  // The rule for a prefix of `text`, if one is there.
  std::optional<Rule> find(std::string_view text, Prefer prefer) const;

  // What Hugging Face tokenizers does: a grapheme cluster of less than six bytes that begins with a source
  // becomes its replacement as a whole; else each character does so for itself.
  void append_by_graphemes(std::string_view text, std::string& out) const;

 private:
  void append_character(std::string_view character, std::string& out) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace atelier
