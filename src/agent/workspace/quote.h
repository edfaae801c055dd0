// Text from models and files inside messages for people: it must not be able to speak to a terminal.
#pragma once

#include <string>
#include <string_view>

namespace atelier::agent {

// `text` between double quotes, control bytes and invalid UTF-8 as \xNN, cut after about `max_bytes` with
// "…".
std::string in_quotes(std::string_view text, size_t max_bytes = 120);

// Whether every byte belongs to well-formed UTF-8.
bool is_utf8(std::string_view text);

// The length of the well-formed UTF-8 character at `text[at]`, and its code point; 0 where there is none.
size_t utf8_at(std::string_view text, size_t at, char32_t& code_point);

}  // namespace atelier::agent
