#include "engine/constraint/source_text.h"

#include <algorithm>

#include "text/unicode.h"

namespace atelier::constraint {

Result<std::u32string> decode_source(std::string_view text, std::string_view what) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.data() + i, text.data() + text.size());
    if (!c.valid)
      return fail(ErrorCode::kInvalidArgument, "{}: expected UTF-8, found byte {:#04x} at {}", what,
                  static_cast<uint8_t>(text[i]), i);
    out.push_back(c.code_point);
    i += c.length;
  }
  return out;
}

std::string to_utf8(std::u32string_view text) {
  std::string out;
  for (const char32_t c : text) append_utf8(c, out);
  return out;
}

std::string in_quotes(char32_t c) {
  if (c == SourceCursor::kEnd) return "the end";
  if (c < 0x20 || c == 0x7F) return fmt::format("U+{:04X}", static_cast<uint32_t>(c));
  std::string text;
  append_utf8(c, text);
  return fmt::format("\"{}\"", text);
}

std::string in_quotes(std::string_view text) {
  constexpr size_t kShown = 60;
  if (text.size() <= kShown) return fmt::format("\"{}\"", text);
  size_t end = kShown;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;
  return fmt::format("\"{}…\"", text.substr(0, end));
}

size_t SourceCursor::line() const {
  return 1 + static_cast<size_t>(std::ranges::count(text_.substr(0, at_), U'\n'));
}

std::optional<char32_t> SourceCursor::hex(size_t n) {
  char32_t value = 0;
  for (size_t i = 0; i < n; ++i) {
    const char32_t c = peek(i);
    char32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = c - 'A' + 10;
    } else {
      return std::nullopt;
    }
    value = value << 4 | digit;
  }
  at_ += n;
  return value;
}

std::optional<uint32_t> SourceCursor::number() {
  if (peek() < '0' || peek() > '9') return std::nullopt;
  uint64_t value = 0;
  while (peek() >= '0' && peek() <= '9')
    value = std::min<uint64_t>(value * 10 + (next() - '0'), UINT32_MAX - 1);
  return static_cast<uint32_t>(value);
}

}  // namespace atelier::constraint
