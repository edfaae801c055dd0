// A text file as lines that remember how they ended.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier::agent {

enum class LineEnd : unsigned char { kNone, kLf, kCrLf };

inline constexpr size_t kMaxLines = 1'000'000;

struct TextLine {
  std::string_view text;
  LineEnd end = LineEnd::kLf;
};

// Views into the content it was made from. A lone carriage return is part of its line.
struct TextFile {
  bool byte_order_mark = false;  // the UTF-8 one, kept and not part of the first line
  std::vector<TextLine> lines;

  // kInvalidArgument for a binary file: one with a zero byte. kLimit past kMaxLines.
  static Result<TextFile> parse(std::string_view name, std::string_view content);

  bool ends_with_newline() const { return lines.empty() || lines.back().end != LineEnd::kNone; }
  // The ending of most lines, and of lines that no neighbour tells one.
  LineEnd usual_end() const;
};

inline constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
void append_line(std::string& out, std::string_view text, LineEnd end);

}  // namespace atelier::agent
