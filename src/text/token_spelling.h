// How vocabularies over characters write what UTF-8 or a file cannot: SentencePiece's way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace atelier {

inline constexpr std::string_view kLowerOneEighthBlock = "\xE2\x96\x81";  // ▁, for a space

// "<0x0A>" is the byte 10.
std::optional<uint8_t> parse_byte_token(std::string_view token);
std::string byte_token(uint8_t byte);

// What the text of a token stands for when it is decoded.
struct TokenSpelling {
  std::string space = {};    // stands for a space; empty: nothing does
  bool byte_tokens = false;  // "<0x0A>" stands for that byte
  bool spells() const { return !space.empty() || byte_tokens; }
  void append_to(std::string& bytes, std::string_view token) const;
};

}  // namespace atelier
