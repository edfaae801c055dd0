// Text with styles, in lines: what everything shown at a terminal is made of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace atelier::agent::tui {

// The user's own palette: the sixteen colours every terminal theme defines.
enum class Colour : uint8_t { kNone, kRed, kGreen, kYellow, kBlue, kMagenta, kCyan, kGrey };

struct Style {
  Colour colour = Colour::kNone;
  bool bold = false, dim = false, italic = false, underline = false, strike = false, reverse = false;
  bool operator==(const Style&) const = default;
};
inline constexpr Style kPlain{};
inline constexpr Style kDim{.dim = true};
inline constexpr Style kBold{.bold = true};
inline constexpr Style coloured(Colour colour) { return {.colour = colour}; }

struct Span {
  std::string text{};
  Style style{};
  bool operator==(const Span&) const = default;
};

// One line of text of any length. Spans hold no line ends.
struct Line {
  std::vector<Span> spans{};

  Line() = default;
  explicit Line(std::string text, Style style = {}) { add(std::move(text), style); }
  Line& add(std::string text, Style style = {});
  Line& add(const Line& other);
  bool empty() const { return spans.empty(); }
  std::string text() const;
  bool operator==(const Line&) const = default;
};
using Lines = std::vector<Line>;

// Columns a text takes: wide characters two, combining ones none. Anything unprintable counts as printable()
// shows it.
size_t width_of(std::string_view text);
size_t width_of(const Line& line);

// `text` with everything that could speak to a terminal made visible or removed: control characters, escape
// sequences, invalid UTF-8, characters that reverse text. Tabs become blanks up to the next multiple of four
// columns, counted from `column`.
std::string printable(std::string_view text, size_t column = 0);

// The byte length of the character that begins at text[at], with the combining ones after it.
size_t character_at(std::string_view text, size_t at);

struct WrapOptions {
  size_t width = 80;
  Line first{}, others{};  // put in front of the first line, and of those it is continued on
  bool words = true;       // break between words where that is possible
};
// `line` in as many lines as its width asks for; at least one.
Lines wrap(const Line& line, const WrapOptions& options);

// The beginning of `line` that fits, with "…" (or "~") where something is missing.
Line clipped(const Line& line, size_t width, bool unicode = true);

// As bytes for a terminal, without a line end. Without `colours` only bold, dim and the like remain; with
// `plain` nothing but the text.
enum class Dress : uint8_t { kColours, kAttributes, kPlain };
std::string rendered(const Line& line, Dress dress);

}  // namespace atelier::agent::tui
