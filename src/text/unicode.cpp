#include "text/unicode.h"

#include <algorithm>
#include <iterator>

namespace atelier {
namespace {

struct ClassRange {
  char32_t first;
  char32_t last;
  CharClass char_class;
};

// The letters that unicode_ranges.inc uses.
constexpr CharClass U = CharClass::kUpper;
constexpr CharClass L = CharClass::kLower;
constexpr CharClass O = CharClass::kOtherLetter;
constexpr CharClass M = CharClass::kMark;
constexpr CharClass N = CharClass::kNumber;
constexpr CharClass P = CharClass::kPunctuation;
constexpr CharClass S = CharClass::kSymbol;
constexpr CharClass W = CharClass::kSpace;
constexpr CharClass D = CharClass::kNewNumber;
constexpr ClassRange kRanges[] = {
#include "text/unicode_ranges.inc"
};

}  // namespace

constexpr std::array<ClassSet, 256> kAsciiClasses = [] {
  std::array<ClassSet, 256> sets{};
  for (char32_t c = 0; c < 0x80; ++c) sets[c] = class_set(CharClass::kOther);
  for (const ClassRange& range : kRanges)
    for (char32_t c = range.first; c <= range.last && c < 0x80; ++c) sets[c] = class_set(range.char_class);
  return sets;
}();

CharClasses::CharClasses() {
  for (const ClassRange& range : kRanges) {
    if (range.first >= kTableSize) break;
    std::fill(table_.begin() + range.first, table_.begin() + range.last + 1, range.char_class);
  }
}

const CharClasses& CharClasses::get() {
  static const CharClasses classes;
  return classes;
}

CharClass CharClasses::beyond_table(char32_t code_point) {
  const ClassRange* range =
      std::lower_bound(std::begin(kRanges), std::end(kRanges), code_point,
                       [](const ClassRange& candidate, char32_t value) { return candidate.last < value; });
  return range != std::end(kRanges) && range->first <= code_point ? range->char_class : CharClass::kOther;
}

}  // namespace atelier
