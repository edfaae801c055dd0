// Regular expressions with bounded cost, run by PCRE2: what people and models search for, and those of
// tokenizer files, written for Oniguruma (Ruby's syntax, as Hugging Face tokenizers uses it). Where Oniguruma
// and PCRE2 read an expression differently it is rewritten; where that is not possible it is refused.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier {

// What one search may spend. An expression that runs into a limit on some text fails there; that is never
// taken for "no match".
inline constexpr uint32_t kRegexMatchLimit = 2'000'000;  // steps of backtracking
inline constexpr uint32_t kRegexDepthLimit = 500'000;    // nested backtracking points
inline constexpr uint32_t kRegexHeapKib = 64 << 10;
// What all searches in a text may take together, so that time is linear in the text: real expressions take 5
// to 60.
inline constexpr uint64_t kRegexStepsPerByte = 256;
inline constexpr uint64_t kRegexFreeSteps = 8 * kRegexMatchLimit;
inline constexpr size_t kMaxRegexBytes = 16 << 10;

enum class RegexSyntax { kOniguruma, kPcre2 };

class Regex {
 public:
  // Errors: kCorrupt (not an expression), kUnsupported (names the construct), kLimit (too long).
  static Result<Regex> compile(std::string_view pattern, RegexSyntax syntax = RegexSyntax::kOniguruma);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  struct Match {
    size_t begin = 0;
    size_t end = 0;
  };
  // All matches in `text` (any bytes; those that are no UTF-8 end a text), leftmost first, not overlapping.
  // An empty match right behind the one before is passed over. Errors: kLimit (which one, and at which byte).
  Status find_all(std::string_view text, std::vector<Match>& matches) const;

 private:
  struct Code;
  explicit Regex(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code_;
};

// The same expression for PCRE2 (UTF, UCP, multi-line, line ends LF). Errors: kUnsupported.
Result<std::string> translate_oniguruma(std::string_view pattern);

}  // namespace atelier
