#include "chat/template/text_ops.h"

#include <algorithm>
#include <string>

#include "chat/template/chars.h"

namespace atelier::chat::jinja {
namespace {

constexpr size_t kNowhere = std::string_view::npos;

bool is_line_end(char32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

char32_t cased(char32_t c, Casing casing, bool inside_word, bool first) {
  switch (casing) {
    case Casing::kUpper:
      return to_upper(c);
    case Casing::kLower:
      return to_lower(c);
    case Casing::kCapitalize:
      return first ? to_upper(c) : to_lower(c);
    case Casing::kTitle:
      return inside_word ? to_lower(c) : to_upper(c);
    case Casing::kSwap:
      return is_upper(c) ? to_lower(c) : to_upper(c);
  }
  return c;
}

std::vector<std::pair<size_t, size_t>> words(std::string_view text) {
  std::vector<std::pair<size_t, size_t>> found;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = char_at(text, at);
    const bool space = c.valid && is_space(c.code_point);
    if (!space && !inside) found.emplace_back(at, at);
    at += c.length;
    if (!space) found.back().second = at;
    inside = !space;
  }
  return found;
}

std::vector<std::pair<size_t, size_t>> pieces(std::string_view text, std::string_view separator) {
  std::vector<std::pair<size_t, size_t>> found;
  size_t at = 0;
  for (size_t next = text.find(separator); next != kNowhere; next = text.find(separator, at)) {
    found.emplace_back(at, next);
    at = next + separator.size();
  }
  found.emplace_back(at, text.size());
  return found;
}

}  // namespace

Result<Text> with_case(const Text& text, Casing casing, Budget& budget) {
  const std::string_view bytes = text.bytes();
  ATELIER_CHECK_OK(budget.spend_bytes(4 * bytes.size()));
  TextBuilder out;
  bool inside_word = false;
  std::string made;
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Char c = char_at(bytes, at);
    const std::string_view several = casing == Casing::kUpper   ? special_upper(c.code_point)
                                     : casing == Casing::kLower ? special_lower(c.code_point)
                                                                : std::string_view();
    const char32_t changed = c.valid ? cased(c.code_point, casing, inside_word, at == 0) : c.code_point;
    if (!several.empty()) {
      out.append_like(text, at, several);
    } else if (changed == c.code_point) {
      out.append(text, at, at + c.length);
    } else {
      made.clear();
      append_utf8(changed, made);
      out.append_like(text, at, made);
    }
    inside_word = c.valid && (is_upper(c.code_point) || is_lower(c.code_point));
    at += c.length;
  }
  return out.take();
}

Text stripped(const Text& text, const Text* set, bool left, bool right) {
  if (set != nullptr && set->empty()) return text;
  const Extent kept = strip(text.bytes(), set ? set->bytes() : std::string_view(), left, right);
  return text.slice(kept.begin, kept.end);
}

Result<std::vector<Value>> split(const Text& text, const Text* separator, int64_t limit, bool from_right,
                                 Budget& budget) {
  const std::string_view bytes = text.bytes();
  ATELIER_CHECK_OK(budget.spend_bytes(2 * bytes.size()));
  auto parts = separator ? pieces(bytes, separator->bytes()) : words(bytes);
  const auto most = static_cast<uint64_t>(limit) + 1;
  // What remains once the limit is reached keeps its white space at the far end.
  if (limit >= 0 && parts.size() >= most) {
    if (from_right) {
      const auto rest = parts.begin() + static_cast<std::ptrdiff_t>(parts.size() - most);
      rest->first = 0;
      parts.erase(parts.begin(), rest);
    } else {
      parts.resize(most);
      parts.back().second = bytes.size();
    }
  }
  ATELIER_CHECK_OK(budget.spend(kStepsPerObject * parts.size()));
  std::vector<Value> values;
  values.reserve(parts.size());
  for (const auto& [begin, end] : parts) values.push_back(text.slice(begin, end));
  return values;
}

Result<std::vector<Value>> split_lines(const Text& text, bool keep_ends, Budget& budget) {
  const std::string_view bytes = text.bytes();
  ATELIER_CHECK_OK(budget.spend_bytes(4 * bytes.size()));
  std::vector<Value> lines;
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Char c = char_at(bytes, at);
    const size_t end = at;
    at += c.length;
    if (!c.valid || !is_line_end(c.code_point)) continue;
    if (c.code_point == '\r' && at < bytes.size() && bytes[at] == '\n') ++at;
    ATELIER_CHECK_OK(budget.spend(kStepsPerObject));
    lines.push_back(text.slice(begin, keep_ends ? at : end));
    begin = at;
  }
  if (begin < bytes.size()) lines.push_back(text.slice(begin, bytes.size()));
  return lines;
}

Result<Text> replaced(const Text& text, const Text& old, const Text& with, int64_t limit, Budget& budget) {
  const std::string_view bytes = text.bytes();
  ATELIER_CHECK_OK(budget.spend_bytes(2 * bytes.size()));
  TextBuilder out;
  size_t at = 0;
  for (int64_t n = 0; limit < 0 || n < limit; ++n) {
    const size_t found = bytes.find(old.bytes(), at);
    // An empty text is found before every character, and once at the end.
    if (found == kNowhere || (old.empty() && n > 0 && at == bytes.size())) break;
    ATELIER_CHECK_OK(budget.spend_bytes(with.size()));
    out.append(text, at, found);
    out.append(with);
    at = found + old.size();
    if (old.empty() && at < bytes.size()) {
      const size_t next = at + char_at(bytes, at).length;
      out.append(text, at, next);
      at = next;
      // The place behind the last character counts too.
      if (at == bytes.size() && (limit < 0 || n + 1 < limit)) {
        ATELIER_CHECK_OK(budget.spend_bytes(with.size()));
        out.append(with);
      }
    }
  }
  out.append(text, at, bytes.size());
  return out.take();
}

Result<Text> aligned(const Text& text, int64_t width, const Text& fill, Alignment alignment, Budget& budget) {
  ATELIER_CHECK_OK(budget.spend_bytes(text.size()));
  const auto length = static_cast<int64_t>(count_chars(text.bytes()));
  if (width <= length) return text;
  const int64_t missing = width - length;
  ATELIER_CHECK_OK(budget.spend_bytes(static_cast<uint64_t>(missing) * fill.size()));
  int64_t before = alignment == Alignment::kRight ? missing : 0;
  if (alignment == Alignment::kCenter) before = missing / 2 + (missing & width & 1);
  TextBuilder out;
  for (int64_t i = 0; i < before; ++i) out.append(fill);
  out.append(text);
  for (int64_t i = before; i < missing; ++i) out.append(fill);
  return out.take();
}

Result<Text> indented(const Text& text, const Value& width, bool first, bool blank, Budget& budget) {
  Text indent;
  if (width.text()) {
    indent = *width.text();
  } else if (const auto count = width.integer()) {
    const int64_t blanks = std::max<int64_t>(*count, 0);
    ATELIER_CHECK_OK(budget.spend_bytes(static_cast<uint64_t>(blanks)));
    indent = Text::trusted(std::string(static_cast<size_t>(blanks), ' '));
  } else {
    return fail(ErrorCode::kInvalidArgument, "indent: expected an int or a str, found {}", width.type_name());
  }
  // A line end at the very end begins a line of its own here.
  TextBuilder padded;
  padded.append(text);
  padded.append_data("\n");
  ATELIER_TRY(const std::vector<Value> lines, split_lines(padded.take(), false, budget));
  TextBuilder out;
  for (size_t i = 0; i < lines.size(); ++i) {
    const Text& line = *lines[i].text();
    ATELIER_CHECK_OK(budget.spend_bytes(indent.size() + line.size()));
    const bool wanted = i == 0 ? first : blank || !line.empty();
    if (i > 0) out.append_trusted("\n");
    if (wanted) out.append(indent);
    out.append(line);
  }
  return out.take();
}

}  // namespace atelier::chat::jinja
