#include "agent/tui/styled.h"

#include <fmt/format.h>
#include <locale.h>
#include <wchar.h>

#include <algorithm>

#include "agent/tools/output_text.h"
#include "agent/workspace/quote.h"

namespace atelier::agent::tui {
namespace {

constexpr size_t kTabColumns = 4;

// The C library knows the widths, in any locale whose characters are Unicode's. This one it has built in.
size_t columns_of(char32_t c) {
  static const locale_t unicode = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (c < 0x80) return c >= ' ' && c != 0x7f ? 1 : 0;
  if (unicode == nullptr) return 1;
  const locale_t before = ::uselocale(unicode);
  const int width = ::wcwidth(static_cast<wchar_t>(c));
  ::uselocale(before);
  return width < 0 ? 1 : static_cast<size_t>(width);
}

// A character and its bytes; malformed ones are single bytes shown as U+FFFD.
struct Character {
  size_t bytes = 1;
  size_t columns = 1;
};
Character character(std::string_view text, size_t at) {
  char32_t c = 0;
  const size_t bytes = utf8_at(text, at, c);
  return bytes == 0 ? Character{} : Character{bytes, columns_of(c)};
}

std::string_view colour_code(Colour colour) {
  switch (colour) {
    case Colour::kNone:
      return "";
    case Colour::kRed:
      return "31";
    case Colour::kGreen:
      return "32";
    case Colour::kYellow:
      return "33";
    case Colour::kBlue:
      return "34";
    case Colour::kMagenta:
      return "35";
    case Colour::kCyan:
      return "36";
    case Colour::kGrey:
      return "90";
  }
  return "";
}

// "1;31", empty for plain text.
std::string codes(const Style& style, Dress dress) {
  std::string out;
  const auto add = [&out](std::string_view code) { out += (out.empty() ? "" : ";") + std::string(code); };
  if (style.bold) add("1");
  if (style.dim) add("2");
  if (style.italic) add("3");
  if (style.underline) add("4");
  if (style.reverse) add("7");
  if (style.strike) add("9");
  if (dress == Dress::kColours && style.colour != Colour::kNone) add(colour_code(style.colour));
  return out;
}

// Puts spans in lines of a width.
class Wrapper {
 public:
  explicit Wrapper(const WrapOptions& options) : options_(options) { begin(options.first); }

  void add(const Span& span) {
    for (size_t at = 0; at < span.text.size();) {
      const size_t end = options_.words ? word_end(span.text, at) : span.text.size();
      put(std::string_view(span.text).substr(at, end - at), span.style);
      at = end;
    }
  }
  Lines finish() {
    out_.push_back(std::move(line_));
    return std::move(out_);
  }

 private:
  // A run of blanks, or a word; words of scripts without blanks break anywhere.
  static size_t word_end(std::string_view text, size_t at) {
    const bool blank = text[at] == ' ';
    size_t end = at;
    while (end < text.size() && (text[end] == ' ') == blank) {
      const Character c = character(text, end);
      if (c.columns == 2 && end > at) break;
      end += c.bytes;
      if (c.columns == 2) break;
    }
    return end;
  }
  void begin(const Line& prefix) {
    line_ = prefix;
    used_ = prefix_ = width_of(prefix);
  }
  void new_line() {
    // A blank at the end of a line is not needed.
    if (options_.words && used_ > prefix_ && line_.spans.back().text.ends_with(' ')) {
      std::string& text = line_.spans.back().text;
      while (used_ > prefix_ && text.ends_with(' ')) text.pop_back(), --used_;
      if (text.empty()) line_.spans.pop_back();
    }
    out_.push_back(std::move(line_));
    begin(options_.others);
  }
  size_t room() const { return options_.width > used_ ? options_.width - used_ : 0; }

  void put(std::string_view word, const Style& style) {
    const size_t width = width_of(word);
    if (width <= room()) return append(word, width, style);
    if (options_.words && word[0] == ' ') return new_line();
    if (options_.words && used_ > prefix_) new_line();
    while (!word.empty() && width_of(word) > room()) {
      size_t bytes = 0, columns = 0;
      while (bytes < word.size()) {
        const Character c = character(word, bytes);
        if (columns + c.columns > room()) break;
        columns += c.columns;
        bytes += c.bytes;
      }
      if (bytes == 0 && used_ == prefix_) bytes = character(word, 0).bytes;  // narrower than a character
      if (bytes > 0) append(word.substr(0, bytes), columns, style);
      word.remove_prefix(bytes);
      if (!word.empty()) new_line();
    }
    if (!word.empty()) append(word, width_of(word), style);
  }
  void append(std::string_view text, size_t columns, const Style& style) {
    line_.add(std::string(text), style);
    used_ += columns;
  }

  const WrapOptions& options_;
  Lines out_;
  Line line_;
  size_t used_ = 0, prefix_ = 0;
};

}  // namespace

Line& Line::add(std::string text, Style style) {
  if (text.empty()) return *this;
  if (!spans.empty() && spans.back().style == style) {
    spans.back().text += text;
  } else {
    spans.push_back({std::move(text), style});
  }
  return *this;
}

Line& Line::add(const Line& other) {
  for (const Span& span : other.spans) add(span.text, span.style);
  return *this;
}

std::string Line::text() const {
  std::string all;
  for (const Span& span : spans) all += span.text;
  return all;
}

size_t width_of(std::string_view text) {
  size_t columns = 0;
  for (size_t at = 0; at < text.size();) {
    const Character c = character(text, at);
    columns += c.columns;
    at += c.bytes;
  }
  return columns;
}

size_t width_of(const Line& line) {
  size_t columns = 0;
  for (const Span& span : line.spans) columns += width_of(span.text);
  return columns;
}

std::string printable(std::string_view text, size_t column) {
  const std::string plain = plain_text(text);
  if (plain.find_first_of("\t\n") == std::string::npos) return plain;
  std::string out;
  for (size_t at = 0; at < plain.size();) {
    const Character c = character(plain, at);
    if (plain[at] == '\t') {
      const size_t blanks = kTabColumns - column % kTabColumns;
      out.append(blanks, ' ');
      column += blanks;
    } else if (plain[at] == '\n') {
      out += ' ';
      ++column;
    } else {
      out.append(plain, at, c.bytes);
      column += c.columns;
    }
    at += c.bytes;
  }
  return out;
}

size_t character_at(std::string_view text, size_t at) {
  size_t end = at + character(text, at).bytes;
  while (end < text.size()) {
    const Character c = character(text, end);
    const bool joins = c.columns == 0 && static_cast<unsigned char>(text[end]) >= 0x80;
    if (!joins) break;
    end += c.bytes;
  }
  return std::min(end, text.size()) - at;
}

Lines wrap(const Line& line, const WrapOptions& options) {
  Wrapper wrapper(options);
  for (const Span& span : line.spans) wrapper.add(span);
  return wrapper.finish();
}

Line clipped(const Line& line, size_t width, bool unicode) {
  if (width_of(line) <= width) return line;
  Line out;
  if (width == 0) return out;
  size_t used = 0;
  for (const Span& span : line.spans)
    for (size_t at = 0; at < span.text.size();) {
      const Character c = character(span.text, at);
      if (used + c.columns > width - 1) return out.add(unicode ? "…" : "~", span.style);
      out.add(span.text.substr(at, c.bytes), span.style);
      used += c.columns;
      at += c.bytes;
    }
  return out;
}

std::string rendered(const Line& line, Dress dress) {
  if (dress == Dress::kPlain) return line.text();
  std::string out;
  for (const Span& span : line.spans) {
    const std::string style = codes(span.style, dress);
    out += style.empty() ? span.text : fmt::format("\x1b[{}m{}\x1b[0m", style, span.text);
  }
  return out;
}

}  // namespace atelier::agent::tui
