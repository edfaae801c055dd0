// UTF-8 and the character classes of split patterns.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

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

// A byte that is part of no valid UTF-8 character counts as a character of its own, with this value.
inline constexpr char32_t kInvalidByte = 0xFFFD;

struct Utf8Char {
  char32_t code_point;  // kInvalidByte where `valid` is false
  uint32_t length;      // bytes, ≥ 1
  bool valid;
};
// The character at `at`, which is before `end`.
Utf8Char decode_utf8(const char* at, const char* end);

void append_utf8(char32_t code_point, std::string& out);

// How much of `bytes` is the beginning of a valid character that is not complete: 0 to 3 bytes at its end.
size_t incomplete_utf8_tail(std::string_view bytes);

// Appends `bytes`, with every maximal invalid part replaced by U+FFFD (Unicode chapter 3.9, as browsers and
// Rust's from_utf8_lossy do).
void append_utf8_lossy(std::string_view bytes, std::string& out);

}  // namespace atelier
