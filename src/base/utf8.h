// UTF-8, of which any bytes may claim to be some.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace atelier {

inline constexpr char32_t kMaxCodePoint = 0x10FFFF;

// A byte that is part of no valid UTF-8 character counts as a character of its own, with this value.
inline constexpr char32_t kInvalidByte = 0xFFFD;

struct Utf8Char {
  char32_t code_point;  // kInvalidByte where `valid` is false
  uint32_t length;      // bytes, ≥ 1
  bool valid;
};

// The character at `at`, which is before `end`. Overlong forms, surrogates and values past U+10FFFF are
// invalid.
inline Utf8Char decode_utf8(const char* at, const char* end) {
  const auto byte = [at](size_t i) { return static_cast<char32_t>(static_cast<uint8_t>(at[i])); };
  const auto continues = [&byte](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const auto left = static_cast<size_t>(end - at);
  if (lead < 0xE0) {
    if (lead >= 0xC2 && left >= 2 && continues(1)) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2, true};
  } else if (lead < 0xF0) {
    if (left >= 3 && continues(1) && continues(2)) {
      const char32_t c = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
      if (c >= 0x800 && (c < 0xD800 || c > 0xDFFF)) return {c, 3, true};
    }
  } else if (left >= 4 && continues(1) && continues(2) && continues(3)) {
    const char32_t c =
        (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    if (lead < 0xF8 && c >= 0x10000 && c <= 0x10FFFF) return {c, 4, true};
  }
  return {kInvalidByte, 1, false};
}

void append_utf8(char32_t code_point, std::string& out);

// How many of the first bytes of `text` are valid UTF-8.
size_t valid_utf8_prefix(std::string_view text);

// How much of `bytes` is the beginning of a valid character that is not complete: 0 to 3 bytes at its end.
size_t incomplete_utf8_tail(std::string_view bytes);

// Appends `bytes`, with every maximal invalid part replaced by U+FFFD (Unicode chapter 3.9, as browsers and
// Rust's from_utf8_lossy do).
void append_utf8_lossy(std::string_view bytes, std::string& out);

}  // namespace atelier
