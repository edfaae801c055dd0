// The printable alphabet in which byte-level vocabularies write their tokens: each of the 256 bytes is one
// character; those that are printable Latin-1 stand for themselves, the others follow from U+0100 on ("Ġ" is
// the space). Source: openai/gpt-2, src/encoder.py, bytes_to_unicode.
#pragma once

#include <algorithm>
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
// another character. `text` is valid UTF-8 or is refused. All characters have one or two bytes.
inline bool append_bytes(std::string_view text, std::string& bytes) {
  const size_t n = text.size();
  for (size_t i = 0; i < n;) {
    char32_t c = static_cast<uint8_t>(text[i++]);
    if (c >= 0x80) {
      if (c < 0xC2 || c > 0xDF || i == n || (text[i] & 0xC0) != 0x80) return false;
      c = (c & 0x1F) << 6 | (static_cast<uint8_t>(text[i++]) & 0x3F);
      if (c >= kByteOf.size()) return false;
    }
    if (kByteOf[c] < 0) return false;
    bytes.push_back(static_cast<char>(kByteOf[c]));
  }
  return true;
}

// The other way: the text that stands for `bytes`.
inline void append_text(std::string_view bytes, std::string& text) {
  for (const char byte : bytes) {
    const auto value = static_cast<int16_t>(static_cast<uint8_t>(byte));
    append_utf8(static_cast<char32_t>(std::find(kByteOf.begin(), kByteOf.end(), value) - kByteOf.begin()),
                text);
  }
}

}  // namespace byte_alphabet
}  // namespace atelier
