// Lines and blanks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace atelier::agent {

inline bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }
inline bool is_control_byte(char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view right_trimmed(std::string_view text);
std::string_view trimmed(std::string_view text);

// `text` with typographic dashes, quotes and spaces as their ASCII forms, then trimmed: models write the one
// where the file has the other.
std::string folded(std::string_view text);

// The lines of `text` without their "\n". What follows the last one is a line only if it is not empty.
std::vector<std::string_view> split_lines(std::string_view text);

}  // namespace atelier::agent
