#include "text/splitter.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace atelier {
namespace {

constexpr ClassSet kSpaces = class_set(CharClass::kSpace);
constexpr ClassSet kNumbers = class_set(CharClass::kNumber);
constexpr ClassSet kMarks = class_set(CharClass::kMark);
constexpr ClassSet kNumeric = class_set(CharClass::kNumber, CharClass::kNewNumber);
constexpr ClassSet kPunctuationOrSymbol = class_set(CharClass::kPunctuation, CharClass::kSymbol);
constexpr ClassSet kNotSpaceLetterNumber = ~(kSpaces | kLetters | kNumbers);

// o200k's two overlapping sets: upper takes [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], lower [\p{Ll}\p{Lm}\p{Lo}\p{M}].
constexpr ClassSet kEitherCase = class_set(CharClass::kOtherLetter) | kMarks;
constexpr ClassSet kUpperSide = class_set(CharClass::kUpper) | kEitherCase;
constexpr ClassSet kLowerSide = class_set(CharClass::kLower) | kEitherCase;

constexpr bool is_line_end(char32_t c) { return c == '\r' || c == '\n'; }

// A character with its class; the end of the text is a character of length 0 that is in no class.
struct Char {
  char32_t code_point = 0;
  uint32_t length = 0;
  ClassSet its_class = 0;
  bool in(ClassSet set) const { return (its_class & set) != 0; }
};

enum class IgnoreCase { kNo, kYes };

// Matches the parts of the expressions at a position. Every function takes a position and returns the end of
// the match, which is the position itself where an optional part is absent.
class Matcher {
 public:
  Matcher(const CharClasses& classes, const char* end) : classes_(classes), end_(end) {}

  Char at(const char* p) const {
    if (p == end_) return {};
    const auto byte = static_cast<uint8_t>(*p);
    if (byte < 0x80) return {byte, 1, kAsciiClasses[byte]};
    const Utf8Char decoded = decode_utf8(p, end_);
    return {decoded.code_point, decoded.length, class_set(classes_[decoded.code_point])};
  }

  // [set]*
  const char* run(const char* p, ClassSet set) const {
    for (;;) {
      while (p != end_ && (kAsciiClasses[static_cast<uint8_t>(*p)] & set) != 0) ++p;
      if (p == end_ || static_cast<uint8_t>(*p) < 0x80) return p;
      const Char c = at(p);
      if (!c.in(set)) return p;
      p += c.length;
    }
  }

  // [set]{0,n}
  const char* run_of(const char* p, ClassSet set, size_t n) const {
    for (Char c = at(p); n > 0 && c.in(set); c = at(p), --n) p += c.length;
    return p;
  }

  // [\r\n]*, or [\r\n/]*
  const char* line_ends(const char* p, bool slash) const {
    while (p != end_ && (is_line_end(static_cast<uint8_t>(*p)) || (slash && *p == '/'))) ++p;
    return p;
  }

  // ('s|'t|'re|'ve|'m|'ll|'d)?
  const char* contraction(const char* p, IgnoreCase ignore_case) const {
    if (p == end_ || *p != '\'' || end_ - p < 2) return p;
    const int fold = ignore_case == IgnoreCase::kYes ? 0x20 : 0;
    const auto letter = [&](size_t i) { return static_cast<char>(p[i] | (is_ascii_upper(p[i]) ? fold : 0)); };
    const char first = letter(1);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return p + 2;
    if (end_ - p < 3) return p;
    const char second = letter(2);
    if ((first == 'r' || first == 'v') && second == 'e') return p + 3;
    if (first == 'l' && second == 'l') return p + 3;
    // U+017F LONG S is a case of s.
    if (fold != 0 && std::string_view(p + 1, 2) == "\xC5\xBF") return p + 3;
    return p;
  }

  // A run of white space that starts at `p`: \s+(?!\S)|\s+, and before it \s*[\r\n]+ where `newlines` is set.
  // The look-ahead leaves the last character of a run to the word behind it, unless it is the only one.
  const char* space(const char* p, bool newlines) const {
    const char* last = p;                 // the run's last character
    const char* after_newline = nullptr;  // behind the run's last line end
    const char* e = p;
    for (Char c = at(e); c.in(kSpaces); c = at(e)) {
      last = e;
      e += c.length;
      if (is_line_end(c.code_point)) after_newline = e;
    }
    if (newlines && after_newline != nullptr) return after_newline;
    return e == end_ || last == p ? e : last;
  }

 private:
  static constexpr bool is_ascii_upper(char c) { return c >= 'A' && c <= 'Z'; }

  const CharClasses& classes_;
  const char* end_;
};

const char* next_gpt2(const Matcher& m, const char* p) {
  if (const char* e = m.contraction(p, IgnoreCase::kNo); e != p) return e;
  const char* start = p;
  Char c = m.at(p);
  if (c.code_point == ' ') {
    if (const Char following = m.at(p + 1); following.in(~kSpaces)) {
      start = p + 1;
      c = following;
    }
  }
  if (c.in(kLetters)) return m.run(start, kLetters);
  if (c.in(kNumbers)) return m.run(start, kNumbers);
  if (c.in(kNotSpaceLetterNumber)) return m.run(start, kNotSpaceLetterNumber);
  return m.space(p, /*newlines=*/false);
}

// What Llama 3, Qwen2 and o200k share behind words and numbers:
//  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+, or with [\r\n/]*
const char* next_punctuation_or_space(const Matcher& m, const char* p, const Char& c, bool slash) {
  const char* start = c.code_point == ' ' ? p + 1 : p;
  const char* e = m.run(start, kNotSpaceLetterNumber);
  if (e != start) return m.line_ends(e, slash);
  return m.space(p, /*newlines=*/true);
}

const char* next_llama3(const Matcher& m, const char* p, size_t max_digits) {
  const Char c = m.at(p);
  if (c.in(kLetters)) return m.run(p, kLetters);
  if (c.in(kNumbers)) return m.run_of(p, kNumbers, max_digits);
  if (const char* e = m.contraction(p, IgnoreCase::kYes); e != p) return e;
  if (!is_line_end(c.code_point)) {
    const char* word = p + c.length;
    if (const char* e = m.run(word, kLetters); e != word) return e;
  }
  return next_punctuation_or_space(m, p, c, /*slash=*/false);
}

// o200k's word alternatives, behind the optional character in front:
//   first   upper* lower+     second   upper+ lower*
// The sets share caseless letters and marks, so a run that no lower-case letter follows satisfies the first
// up to its last caseless character (upper* gives back until lower+ has one), and else only the second.
struct O200kWord {
  const char* first = nullptr;  // null: does not match
  const char* second = nullptr;
};
O200kWord match_o200k_word(const Matcher& m, const char* p) {
  const char* e = p;
  const char* after_caseless = nullptr;
  Char c = m.at(e);
  for (; c.in(kUpperSide); c = m.at(e)) {
    e += c.length;
    if (c.in(kEitherCase)) after_caseless = e;
  }
  if (c.in(kLowerSide)) return {m.run(e, kLowerSide), nullptr};
  return {after_caseless, e == p ? nullptr : e};
}

const char* next_o200k(const Matcher& m, const char* p) {
  const Char c = m.at(p);
  const auto with_suffix = [&m](const char* e) { return m.contraction(e, IgnoreCase::kYes); };
  if (c.in(kLetters)) {
    const O200kWord word = match_o200k_word(m, p);
    return with_suffix(word.first != nullptr ? word.first : word.second);
  }
  if (c.in(kNumbers)) return m.run_of(p, kNumbers, 3);
  // In order: the first alternative with this character in front; the first alternative from this character
  // on, which is then a mark and satisfies it; the second with this character in front.
  if (!is_line_end(c.code_point)) {
    const O200kWord word = match_o200k_word(m, p + c.length);
    if (word.first != nullptr) return with_suffix(word.first);
    if (c.in(kMarks)) return with_suffix(match_o200k_word(m, p).first);
    if (word.second != nullptr) return with_suffix(word.second);
  }
  return next_punctuation_or_space(m, p, c, /*slash=*/true);
}

constexpr bool is_ascii_letter(char32_t c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
constexpr bool is_ascii_punctuation(char32_t c) {
  return c > 0x20 && c < 0x7F && !is_ascii_letter(c) && !(c >= '0' && c <= '9');
}

// The expression at `p`, or `p` where it does not match:
// [!-/:-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
const char* match_deepseek_words(const Matcher& m, const char* p) {
  const Char c = m.at(p);
  const char* behind = p + c.length;
  if (is_ascii_punctuation(c.code_point)) {
    const char* e = behind;
    while (is_ascii_letter(m.at(e).code_point)) ++e;
    if (e != behind) return e;
  }
  if (!c.in(kLetters | kPunctuationOrSymbol) && !is_line_end(c.code_point)) {
    if (const char* e = m.run(behind, kLetters | kMarks); e != behind) return e;
  }
  if (const char* e = m.run(p, kLetters | kMarks); e != p) return e;
  const char* start = c.code_point == ' ' ? behind : p;
  if (const char* e = m.run(start, kPunctuationOrSymbol); e != start) return m.line_ends(e, false);
  return m.space(p, /*newlines=*/true);
}

const char* next_deepseek_words(const Matcher& m, const char* p, const char* end) {
  if (const char* e = match_deepseek_words(m, p); e != p) return e;
  do p += m.at(p).length;
  while (p != end && match_deepseek_words(m, p) == p);
  return p;
}

// 一-龥, ぀-ゟ, ゠-ヿ
constexpr bool is_deepseek_cjk(const Char& c) {
  return (c.code_point >= 0x4E00 && c.code_point <= 0x9FA5) ||
         (c.code_point >= 0x3040 && c.code_point <= 0x30FF);
}

const char* next_deepseek_cjk(const Matcher& m, const char* p, const char* end) {
  Char c = m.at(p);
  const bool inside = is_deepseek_cjk(c);
  do {
    p += c.length;
    c = m.at(p);
  } while (p != end && is_deepseek_cjk(c) == inside);
  return p;
}

// At most `max_length` characters of `set`, or a run of others.
const char* next_in_or_out(const Matcher& m, const char* p, ClassSet set, size_t max_length) {
  return m.at(p).in(set) ? m.run_of(p, set, max_length) : m.run(p, ~set);
}

// The end of the piece that starts at `p` < `end`.
const char* next_piece(SplitStep step, const CharClasses& classes, const char* p, const char* end) {
  const Matcher m(classes, end);
  switch (step) {
    case SplitStep::kGpt2:
      return next_gpt2(m, p);
    case SplitStep::kLlama3:
      return next_llama3(m, p, 3);
    case SplitStep::kQwen2:
      return next_llama3(m, p, 1);
    case SplitStep::kO200k:
      return next_o200k(m, p);
    case SplitStep::kDeepSeekNumbers:
      return next_in_or_out(m, p, kNumbers, 3);
    case SplitStep::kDeepSeekCjk:
      return next_deepseek_cjk(m, p, end);
    case SplitStep::kDeepSeekWords:
      return next_deepseek_words(m, p, end);
    case SplitStep::kIndividualDigits:
      return next_in_or_out(m, p, kNumeric, 1);
    case SplitStep::kDigitRuns:
      return next_in_or_out(m, p, kNumeric, SIZE_MAX);
  }
  return end;
}

}  // namespace

std::optional<SplitStep> find_split_step(std::string_view regex) {
  static constexpr std::pair<std::string_view, SplitStep> kKnown[] = {
      {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", SplitStep::kGpt2},
      {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", SplitStep::kGpt2},
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       SplitStep::kLlama3},
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       SplitStep::kQwen2},
      {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       SplitStep::kO200k},
      {R"(\p{N}{1,3})", SplitStep::kDeepSeekNumbers},
      {"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", SplitStep::kDeepSeekCjk},
      {"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
       "?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
       SplitStep::kDeepSeekWords},
  };
  for (const auto& [known, step] : kKnown)
    if (known == regex) return step;
  return std::nullopt;
}

bool covers_all_text(SplitStep step) {
  return step == SplitStep::kGpt2 || step == SplitStep::kLlama3 || step == SplitStep::kQwen2 ||
         step == SplitStep::kO200k;
}

PieceReader::PieceReader(std::span<const SplitStep> steps, std::string_view text)
    : classes_(CharClasses::get()), steps_(steps) {
  ATELIER_CHECK(steps.size() <= kMaxSplitSteps);
  levels_[0] = {text.data(), text.data() + text.size()};
}

bool PieceReader::next(std::string_view& piece) {
  while (levels_[depth_].at == levels_[depth_].end) {
    if (depth_ == 0) return false;
    --depth_;
  }
  for (;;) {
    Level& level = levels_[depth_];
    const char* start = level.at;
    level.at = steps_.empty() ? level.end : next_piece(steps_[depth_], classes_, start, level.end);
    if (depth_ + 1 >= steps_.size()) {
      piece = {start, static_cast<size_t>(level.at - start)};
      return true;
    }
    levels_[++depth_] = {start, level.at};
  }
}

}  // namespace atelier
