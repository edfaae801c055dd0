#include "text/token_spelling.h"

#include <fmt/format.h>

namespace atelier {
namespace {

constexpr int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::optional<uint8_t> parse_byte_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const int high = hex_digit(token[3]);
  const int low = hex_digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<uint8_t>(high * 16 + low);
}

std::string byte_token(uint8_t byte) { return fmt::format("<0x{:02X}>", byte); }

void TokenSpelling::append_to(std::string& bytes, std::string_view token) const {
  if (byte_tokens) {
    if (const auto byte = parse_byte_token(token)) {
      bytes.push_back(static_cast<char>(*byte));
      return;
    }
  }
  if (space.empty()) {
    bytes += token;
    return;
  }
  for (size_t at = 0; at < token.size();) {
    const size_t found = std::min(token.find(space, at), token.size());
    bytes += token.substr(at, found - at);
    if (found < token.size()) bytes.push_back(' ');
    at = found + space.size();
  }
}

}  // namespace atelier
