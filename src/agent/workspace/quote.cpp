#include "agent/workspace/quote.h"

#include <fmt/format.h>

#include <cstdint>

namespace atelier::agent {
namespace {

// C0, DEL, C1, and the controls that reorder what is shown (bidirectional text).
bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

size_t utf8_at(std::string_view text, size_t at, char32_t& code_point) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(at);
  if (lead < 0x80) {
    code_point = lead;
    return 1;
  }
  const size_t n = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (n == 0 || text.size() - at < n) return 0;
  char32_t value = lead & (0x7fu >> n);
  for (size_t i = 1; i < n; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
    value = (value << 6) | (byte(at + i) & 0x3fu);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[n] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 0;
  code_point = value;
  return n;
}

bool is_utf8(std::string_view text) {
  char32_t ignored = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t n = utf8_at(text, at, ignored);
    if (n == 0) return false;
    at += n;
  }
  return true;
}

std::string in_quotes(std::string_view text, size_t max_bytes) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    if (out.size() > max_bytes) return out + "…\"";
    char32_t c = 0;
    const size_t n = utf8_at(text, at, c);
    if (n == 1 && (c == '"' || c == '\\')) {
      out += '\\';
      out += static_cast<char>(c);
    } else if (n == 1 && c == '\t') {
      out += "\\t";
    } else if (n > 0 && !is_control(c)) {
      out += text.substr(at, n);
    } else {
      for (size_t i = 0; i < (n == 0 ? 1 : n); ++i)
        out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[at + i]));
    }
    at += n == 0 ? 1 : n;
  }
  return out + "\"";
}

}  // namespace atelier::agent
