// Cuts text into the pieces inside which a tokenizer merges. The published vocabularies define this by
// regular expressions; the ones that matter are matched by hand here, in linear time on any input.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "text/unicode.h"

namespace atelier {

// One splitting step; a tokenizer applies one or several, each to the pieces of the one before. All of them
// keep every byte: what an expression does not match forms pieces of its own.
enum class SplitStep : uint8_t {
  kGpt2,              // 's|'t|'re|… | ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  kLlama3,            // (?i:'s|…)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|…
  kQwen2,             // the same with \p{N}
  kO200k,             // words end where lower case meets upper case; gpt-oss
  kDeepSeekNumbers,   // \p{N}{1,3}
  kDeepSeekCjk,       // [一-龥぀-ゟ゠-ヿ]+
  kDeepSeekWords,     // ASCII punctuation with letters, words with marks, punctuation, spaces
  kIndividualDigits,  // every numeric character by itself
  kDigitRuns,         // runs of numeric characters
};
inline constexpr size_t kMaxSplitSteps = 8;

// The step that does exactly what `regex` does under Hugging Face's Split (every published spelling we know).
std::optional<SplitStep> find_split_step(std::string_view regex);
// Whether that expression matches every character of any text, so that no piece is what it did not match.
bool covers_all_text(SplitStep step);

// The pieces of one text, one after the other. No step: the whole text is one piece.
class PieceReader {
 public:
  PieceReader(std::span<const SplitStep> steps, std::string_view text);
  // Sets `piece` to the next one, or returns false after the last.
  bool next(std::string_view& piece);

 private:
  struct Level {
    const char* at;
    const char* end;
  };
  const CharClasses& classes_;
  std::span<const SplitStep> steps_;
  // levels_[i]: what step i has still to cut, of the piece that step i − 1 handed down. With no steps level 0
  // is the text itself.
  std::array<Level, kMaxSplitSteps> levels_;
  size_t depth_ = 0;  // the deepest level in use
};

}  // namespace atelier
