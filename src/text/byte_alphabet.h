// The printable alphabet in which byte-level vocabularies write their tokens: each of the 256 bytes is one
// character; those that are printable Latin-1 stand for themselves, the others follow from U+0100 on ("Ġ" is
// the space). Source: openai/gpt-2, src/encoder.py, bytes_to_unicode.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "text/unicode.h"

namespace atelier {

namespace byte_alphabet {

inline constexpr char32_t kFirstShifted = 0x100;
inline constexpr size_t kShifted = 68;

constexpr bool stands_for_itself(char32_t c) {
  return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF);
}

// Byte of each character of the alphabet; −1 for characters that do not belong to it.
inline constexpr std::array<int16_t, kFirstShifted + kShifted> kByteOf = [] {
  std::array<int16_t, kFirstShifted + kShifted> bytes{};
  size_t shifted = kFirstShifted;
  for (char32_t c = 0; c < kFirstShifted; ++c) {
    bytes[c] = -1;
    if (stands_for_itself(c))
      bytes[c] = static_cast<int16_t>(c);
    else
      bytes[shifted++] = static_cast<int16_t>(c);
  }
  return bytes;
}();

// Appends the bytes that `text` stands for, or returns false, with `bytes` cut off anywhere, if it holds
// another character. `text` is valid UTF-8 or is refused.
inline bool append_bytes(std::string_view text, std::string& bytes) {
  const char* at = text.data();
  const char* end = at + text.size();
  while (at != end) {
    const Utf8Char c = decode_utf8(at, end);
    if (!c.valid || c.code_point >= kByteOf.size() || kByteOf[c.code_point] < 0) return false;
    bytes.push_back(static_cast<char>(kByteOf[c.code_point]));
    at += c.length;
  }
  return true;
}

}  // namespace byte_alphabet
}  // namespace atelier
