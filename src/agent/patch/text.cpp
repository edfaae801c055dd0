#include "agent/patch/text.h"

#include <algorithm>

#include "agent/workspace/quote.h"

namespace atelier::agent {
namespace {

// The ASCII form of a typographic character; 0 where it has none.
char plain_form(char32_t c) {
  if ((c >= 0x2010 && c <= 0x2015) || c == 0x2212 || c == 0xfe58 || c == 0xfe63 || c == 0xff0d) return '-';
  if ((c >= 0x2018 && c <= 0x201b) || c == 0x2032) return '\'';
  if ((c >= 0x201c && c <= 0x201f) || c == 0x2033) return '"';
  if (c == 0xa0 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f || c == 0x3000) return ' ';
  return 0;
}

}  // namespace

std::string_view right_trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view trimmed(std::string_view text) {
  text = right_trimmed(text);
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}

std::string folded(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    char32_t c = 0;
    const size_t n = utf8_at(text, at, c);
    if (const char form = n > 1 ? plain_form(c) : '\0'; form != 0) {
      plain += form;
    } else {
      plain += text.substr(at, n == 0 ? 1 : n);
    }
    at += n == 0 ? 1 : n;
  }
  return std::string(trimmed(plain));
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

}  // namespace atelier::agent
