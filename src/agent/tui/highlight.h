// Colours for program text, told from its tokens: strings, comments, keywords, numbers. Enough for reading.
#pragma once

#include <string>
#include <string_view>

#include "agent/tui/styled.h"

namespace atelier::agent::tui {

struct Language;
// By the name after a fence ("cpp", "python", "sh") or by a file's name; null: none we know.
const Language* language_named(std::string_view name);
const Language* language_of_file(std::string_view path);

// Highlights a text line by line: comments and strings may go on over lines.
class Highlighter {
 public:
  explicit Highlighter(const Language* language) : language_(language) {}
  // `text`: without line end, printable.
  Line line(std::string_view text);

 private:
  const Language* language_;
  std::string open_{};  // what ends the comment or string the line begins in
  Style open_style_{};
};

}  // namespace atelier::agent::tui
