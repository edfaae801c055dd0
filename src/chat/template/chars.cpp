#include "chat/template/chars.h"

#include <algorithm>
#include <iterator>
#include <span>

namespace atelier::chat::jinja {
namespace {

struct CaseRun {
  char32_t first;
  char32_t last;
  uint32_t step;
  int32_t delta;
};

struct SpecialCase {
  char32_t c;
  std::string_view mapped;
};

#include "chat/template/case_ranges.inc"

char32_t mapped(std::span<const CaseRun> runs, char32_t c) {
  const auto run =
      std::lower_bound(runs.begin(), runs.end(), c,
                       [](const CaseRun& candidate, char32_t value) { return candidate.last < value; });
  if (run == runs.end() || c < run->first || (c - run->first) % run->step != 0) return c;
  return static_cast<char32_t>(static_cast<int32_t>(c) + run->delta);
}

std::string_view special(std::span<const SpecialCase> table, char32_t c) {
  const auto found =
      std::lower_bound(table.begin(), table.end(), c,
                       [](const SpecialCase& entry, char32_t value) { return entry.c < value; });
  return found != table.end() && found->c == c ? found->mapped : std::string_view();
}

CharClass class_of(char32_t c) { return CharClasses::get()[c]; }

bool holds(std::string_view set, std::string_view character) {
  for (size_t at = 0; at < set.size();) {
    const size_t length = char_at(set, at).length;
    if (set.substr(at, length) == character) return true;
    at += length;
  }
  return false;
}

}  // namespace

size_t previous_char(std::string_view text, size_t end) {
  for (size_t n = std::min<size_t>(4, end); n > 1; --n) {
    const Utf8Char c = decode_utf8(text.data() + end - n, text.data() + end);
    if (c.valid && c.length == n) return end - n;
  }
  return end - 1;
}

size_t count_chars(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at += char_at(text, at).length) ++count;
  return count;
}

size_t byte_of_char(std::string_view text, size_t index) {
  size_t at = 0;
  for (; index > 0 && at < text.size(); --index) at += char_at(text, at).length;
  return at;
}

bool is_space(char32_t c) { return (c >= 0x1c && c <= 0x1f) || class_of(c) == CharClass::kSpace; }
bool is_alpha(char32_t c) { return contains(kLetters, class_of(c)); }
bool is_digit(char32_t c) {
  return (c >= '0' && c <= '9') || (c >= 0x80 && class_of(c) == CharClass::kNumber);
}
bool is_upper(char32_t c) { return class_of(c) == CharClass::kUpper; }
bool is_lower(char32_t c) { return class_of(c) == CharClass::kLower; }
bool is_printable(char32_t c) {
  const CharClass of = class_of(c);
  return of != CharClass::kOther && (c == ' ' || of != CharClass::kSpace);
}

char32_t to_upper(char32_t c) { return mapped(kUpperRuns, c); }
char32_t to_lower(char32_t c) { return mapped(kLowerRuns, c); }
std::string_view special_upper(char32_t c) { return c < 0xdf ? "" : special(kUpperSpecial, c); }
std::string_view special_lower(char32_t c) { return c < 0xdf ? "" : special(kLowerSpecial, c); }

Extent strip(std::string_view text, std::string_view set, bool left, bool right) {
  const auto goes = [&](size_t at, size_t length) {
    if (!set.empty()) return holds(set, text.substr(at, length));
    const Utf8Char c = char_at(text, at);
    return c.valid && is_space(c.code_point);
  };
  Extent kept{0, text.size()};
  while (right && kept.end > 0) {
    const size_t at = previous_char(text, kept.end);
    if (!goes(at, kept.end - at)) break;
    kept.end = at;
  }
  while (left && kept.begin < kept.end) {
    const size_t length = char_at(text, kept.begin).length;
    if (!goes(kept.begin, length)) break;
    kept.begin += length;
  }
  return kept;
}

}  // namespace atelier::chat::jinja
