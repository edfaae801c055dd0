// Cuts a template into text and the tokens between its braces, with Jinja's rules about white space: a block
// tag takes the newline behind it (trim_blocks) and the blanks before it on its line (lstrip_blocks), "-"
// takes all white space, "+" none; one newline at the very end of the template is dropped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier::chat::jinja {

struct Position {
  uint32_t line = 1;    // from 1
  uint32_t column = 1;  // from 1, in characters
};

// "line 3, column 14: …"
Error error_at(Position at, Error error);

struct Token {
  enum class Kind : uint8_t {
    kText,  // outside of braces
    kPrintBegin,
    kPrintEnd,
    kBlockBegin,
    kBlockEnd,
    kName,
    kString,   // text: unescaped
    kInteger,  // text: as written
    kFloat,
    kOperator,
    kEnd,  // of the template
  };
  Kind kind = Kind::kEnd;
  std::string text;
  Position at;
};

inline constexpr size_t kMaxTemplateBytes = size_t{1} << 20;

// Ends with a kEnd token. Errors: kLimit for a template of more than kMaxTemplateBytes, kInvalidArgument
// with line and column for everything else.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace atelier::chat::jinja
