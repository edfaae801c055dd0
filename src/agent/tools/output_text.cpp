#include "agent/tools/output_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/workspace/quote.h"

namespace atelier::agent {
namespace {

constexpr char kEscape = '\x1b';
constexpr size_t kMaxSequence = 4096;  // an escape sequence longer than this is text

// The bytes of the escape sequence that `text` begins with; 0 where it is not complete.
size_t escape_extent(std::string_view text) {
  if (text.size() < 2) return 0;
  const char kind = text[1];
  if (kind == '[') {  // CSI: parameters, then one byte from @ to ~
    for (size_t i = 2; i < text.size(); ++i)
      if (text[i] >= '@' && text[i] <= '~') return i + 1;
    return text.size() > kMaxSequence ? 2 : 0;
  }
  if (kind == ']' || kind == 'P' || kind == 'X' || kind == '^' || kind == '_') {  // a string, to BEL or ST
    for (size_t i = 2; i < text.size(); ++i) {
      if (text[i] == '\a') return i + 1;
      if (text[i] == kEscape && i + 1 < text.size()) return text[i + 1] == '\\' ? i + 2 : i;
    }
    return text.size() > kMaxSequence ? 2 : 0;
  }
  if (kind >= ' ' && kind <= '/') {  // intermediates, then one final byte
    for (size_t i = 2; i < text.size(); ++i)
      if (text[i] < ' ' || text[i] > '/') return i + 1;
    return text.size() > kMaxSequence ? 2 : 0;
  }
  return 2;
}

// Reorders or hides what stands beside it on a screen.
bool is_deceptive(char32_t c) {
  return (c >= 0x80 && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
         c == 0x200e || c == 0x200f || c == 0x061c;
}

// How many bytes at the end of `text` may begin a character that is not complete.
size_t open_character_bytes(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const size_t needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return needs > back ? back : 0;
  }
  return 0;
}

// Appends what of `text` is plain; returns how many bytes at its end have to wait for more.
size_t append_plain(std::string_view text, bool last, std::string& out) {
  size_t i = 0;
  const size_t stop = last ? text.size() : text.size() - open_character_bytes(text);
  while (i < stop) {
    const char c = text[i];
    if (c == kEscape) {
      const size_t extent = escape_extent(text.substr(i));
      if (extent == 0) {
        if (!last) return text.size() - i;
        break;
      }
      i += extent;
    } else if (c == '\r') {
      if (i + 1 == text.size() && !last) return 1;
      const bool ends_line = i + 1 < text.size() && text[i + 1] == '\n';
      if (!ends_line && i + 1 < text.size()) out.erase(out.find_last_of('\n') + 1);
      ++i;
    } else if (c == '\b') {
      if (!out.empty() && out.back() != '\n') out.pop_back();
      ++i;
    } else if ((c >= 0 && c < ' ' && c != '\n' && c != '\t') || c == '\x7f') {
      ++i;
    } else {
      char32_t point = 0;
      const size_t length = utf8_at(text, i, point);
      if (length == 0) {
        out += "\xef\xbf\xbd";
        ++i;
      } else {
        if (!is_deceptive(point)) out += text.substr(i, length);
        i += length;
      }
    }
  }
  return text.size() - i;
}

}  // namespace

std::string plain_text(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  append_plain(bytes, /*last=*/true, out);
  return out;
}

std::string PlainStream::push(std::string_view bytes) {
  held_ += bytes;
  std::string out;
  const size_t wait = append_plain(held_, /*last=*/false, out);
  held_.erase(0, held_.size() - wait);
  return out;
}

std::string PlainStream::finish() { return plain_text(std::exchange(held_, {})); }

Shortened shorten_middle(std::string_view text, size_t max_bytes, std::string_view note) {
  if (text.size() <= max_bytes) return {std::string(text), 0};
  // A line end within this distance of a cut is worth moving to.
  const size_t slack = max_bytes / 8;
  size_t head = max_bytes / 2, tail = text.size() - (max_bytes - head);
  if (const size_t line = text.rfind('\n', head); line != std::string_view::npos && head - line <= slack)
    head = line + 1;
  if (const size_t line = text.find('\n', tail); line != std::string_view::npos && line - tail <= slack)
    tail = line + 1;
  const auto is_inside = [&](size_t at) { return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80; };
  while (head > 0 && is_inside(head)) --head;
  while (tail < text.size() && is_inside(tail)) ++tail;
  const size_t left_out = tail - head;
  std::string out(text.substr(0, head));
  if (!out.empty() && out.back() != '\n') out += '\n';
  const size_t hole = note.find("{}");
  out += note.substr(0, hole);
  if (hole != std::string_view::npos) out += std::to_string(left_out), out += note.substr(hole + 2);
  out += '\n';
  out += text.substr(tail);
  return {std::move(out), left_out};
}

}  // namespace atelier::agent
