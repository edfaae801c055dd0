#include "chat/template/string_literal.h"

#include <algorithm>

#include "text/unicode.h"

namespace atelier::chat::jinja {
namespace {

constexpr std::string_view kNamed = "abfnrtv\\'\"";
constexpr std::string_view kMeaning = "\a\b\f\n\r\t\v\\'\"";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Appends the character of `n_digits` hexadecimal digits at `at`.
Status append_hex(std::string_view text, size_t at, size_t n_digits, std::string& out) {
  char32_t code = 0;
  for (size_t i = 0; i < n_digits; ++i) {
    const int digit = at + i < text.size() ? hex_value(text[at + i]) : -1;
    if (digit < 0)
      return fail(ErrorCode::kInvalidArgument, "an escape that needs {} hexadecimal digits", n_digits);
    code = code * 16 + static_cast<char32_t>(digit);
  }
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
    return fail(ErrorCode::kInvalidArgument, "an escape for {:#x}, which is no character",
                static_cast<uint32_t>(code));
  append_utf8(code, out);
  return {};
}

}  // namespace

Result<std::string> unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (const size_t named = kNamed.find(c); named != std::string_view::npos) {
      out += kMeaning[named];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const size_t n_digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      ATELIER_CHECK_OK(append_hex(text, i + 1, n_digits, out));
      i += n_digits;
    } else if (c >= '0' && c <= '7') {
      char32_t code = 0;
      size_t n = 0;
      for (; n < 3 && i + n < text.size() && text[i + n] >= '0' && text[i + n] <= '7'; ++n)
        code = code * 8 + static_cast<char32_t>(text[i + n] - '0');
      append_utf8(code, out);
      i += n - 1;
    } else if (c == 'N') {
      return fail(ErrorCode::kInvalidArgument, "an escape by name (\\N), which is not supported");
    } else if (c != '\n') {
      out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace atelier::chat::jinja
