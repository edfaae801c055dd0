// The character classes of split patterns, and UTF-8.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/utf8.h"

namespace atelier {

// General categories as far as split patterns tell them apart.
enum class CharClass : uint8_t {
  kOther,        // everything else: controls, formats, private use, unassigned
  kUpper,        // Lu, Lt
  kLower,        // Ll
  kOtherLetter,  // Lm, Lo
  kMark,         // M
  kNumber,       // N
  kPunctuation,  // P
  kSymbol,       // S
  kSpace,        // White_Space, line ends included
  kNewNumber,    // N in the Unicode version of the Digits pre-tokenizer, unassigned in that of the patterns
};

// Sets of classes, as bits.
using ClassSet = uint32_t;
template <class... Classes>
constexpr ClassSet class_set(Classes... classes) {
  return ((ClassSet{1} << static_cast<unsigned>(classes)) | ...);
}
constexpr bool contains(ClassSet set, CharClass c) { return (set >> static_cast<unsigned>(c) & 1) != 0; }

// The class of each ASCII character as a set; bytes from 0x80 on have none.
extern const std::array<ClassSet, 256> kAsciiClasses;

inline constexpr ClassSet kLetters = class_set(CharClass::kUpper, CharClass::kLower, CharClass::kOtherLetter);

// Class of every code point. One table serves the process; it is built on first use.
class CharClasses {
 public:
  static const CharClasses& get();
  CharClass operator[](char32_t code_point) const {
    return code_point < kTableSize ? table_[code_point] : beyond_table(code_point);
  }

 private:
  // Planes 0 and 1. Above lie ideographs and variation selectors, few ranges that are searched.
  static constexpr size_t kTableSize = 0x20000;
  CharClasses();
  static CharClass beyond_table(char32_t code_point);
  std::array<CharClass, kTableSize> table_{};
};

}  // namespace atelier
