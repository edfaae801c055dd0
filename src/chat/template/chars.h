// Characters of text as Python sees them: code points. A byte that is part of no valid UTF-8 counts as one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "text/unicode.h"

namespace atelier::chat::jinja {

inline Utf8Char char_at(std::string_view text, size_t at) {
  return decode_utf8(text.data() + at, text.data() + text.size());
}
// The byte at which the character that ends before byte `end` begins; `end` > 0.
size_t previous_char(std::string_view text, size_t end);

size_t count_chars(std::string_view text);
// The byte at which character `index` begins; text.size() if there are no more than `index`.
size_t byte_of_char(std::string_view text, size_t index);

bool is_space(char32_t c);  // str.isspace
bool is_alpha(char32_t c);  // str.isalpha
bool is_digit(char32_t c);  // of any script: str.isdecimal
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_printable(char32_t c);  // repr shows it as it is

// Unicode's mappings of one character to one.
char32_t to_upper(char32_t c);
char32_t to_lower(char32_t c);
// What becomes several characters, as "ß" does "SS"; empty for all others.
std::string_view special_upper(char32_t c);
std::string_view special_lower(char32_t c);

// The bytes [begin, end) that remain of `text` when characters of `set` are taken from its ends; an empty set
// stands for white space.
struct Extent {
  size_t begin = 0;
  size_t end = 0;
};
Extent strip(std::string_view text, std::string_view set, bool left, bool right);

}  // namespace atelier::chat::jinja
