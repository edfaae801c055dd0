#include "chat/json_text.h"

#include <array>
#include <charconv>
#include <cmath>

namespace atelier::chat {
namespace {

bool depth_within(const Json& value, int depth) {
  if (!value.is_structured()) return true;
  if (depth == 0) return false;
  for (const Json& child : value)
    if (!depth_within(child, depth - 1)) return false;
  return true;
}

// Looks at brackets and commas only, before anything is built: a value of 16 bytes and its place in a tree
// cost many times the two bytes that ask for them.
Status check_size(std::string_view text, std::string_view what) {
  int depth = 0;
  size_t n_values = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      ++n_values;
      if (++depth > kMaxJsonDepth)
        return fail(ErrorCode::kLimit, "{}: expected JSON nested at most {} deep, found more", what,
                    kMaxJsonDepth);
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',') {
      ++n_values;
    }
  }
  if (n_values > kMaxJsonValues)
    return fail(ErrorCode::kLimit, "{}: expected JSON of at most {} values, found more", what,
                kMaxJsonValues);
  return {};
}

enum class Style { kCompact, kPython };

// Shortest digits that read back the same, laid out by the rules of ryu (Rust) or of repr (Python): decimal
// while the point falls within (lowest, 16] digits, else scientific.
std::string number_text(double value, Style style) {
  if (!std::isfinite(value)) return "null";
  std::array<char, 32> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<size_t>(end.ptr - buffer.data()));
  const size_t e = text.find('e');
  int exponent = 0;
  const char* digits_of_exponent = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(digits_of_exponent, text.data() + text.size(), exponent);
  const bool negative = text[0] == '-';
  std::string digits;
  for (char c : text.substr(0, e))
    if (c >= '0' && c <= '9') digits += c;
  const int n_digits = static_cast<int>(digits.size());
  const int point = exponent + 1;  // digits before the decimal point
  const int lowest = style == Style::kCompact ? -5 : -4;
  std::string out = negative ? "-" : "";
  if (value == 0) return out + "0.0";
  if (point > lowest && point <= 16) {
    if (point <= 0) return out + "0." + std::string(static_cast<size_t>(-point), '0') + digits;
    if (point >= n_digits)
      return out + digits + std::string(static_cast<size_t>(point - n_digits), '0') + ".0";
    return out + digits.substr(0, static_cast<size_t>(point)) + "." +
           digits.substr(static_cast<size_t>(point));
  }
  out += digits.substr(0, 1);
  if (n_digits > 1) out += "." + digits.substr(1);
  if (style == Style::kCompact) return out + fmt::format("e{}", exponent);
  return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
}

void append_string(const std::string& text, std::string& out) {
  // Only strings reach dump here, so its separators do not matter; invalid UTF-8 is replaced.
  out += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

struct Writer {
  Style style;
  int indent;
  std::string out;

  void line(int depth) {
    if (indent > 0) out += "\n" + std::string(static_cast<size_t>(indent * depth), ' ');
  }
  void separator(int depth) {
    out += indent > 0 || style == Style::kCompact ? "," : ", ";
    line(depth);
  }
  void write(const Json& value, int depth) {
    if (value.is_string()) {
      append_string(value.get_ref<const std::string&>(), out);
    } else if (value.is_number_float()) {
      out += number_text(value.get<double>(), style);
    } else if (!value.is_structured()) {
      out += value.dump();
    } else if (value.empty()) {
      out += value.is_object() ? "{}" : "[]";
    } else {
      write_items(value, depth);
    }
  }
  void write_items(const Json& value, int depth) {
    const bool object = value.is_object();
    out += object ? '{' : '[';
    line(depth + 1);
    bool first = true;
    for (auto item = value.begin(); item != value.end(); ++item) {
      if (!first) separator(depth + 1);
      first = false;
      if (object) {
        append_string(item.key(), out);
        out += style == Style::kCompact ? ":" : ": ";
      }
      write(item.value(), depth + 1);
    }
    line(depth);
    out += object ? '}' : ']';
  }
};

}  // namespace

bool depth_within_limit(const Json& value) { return depth_within(value, kMaxJsonDepth); }

Result<Json> parse_json(std::string_view text, std::string_view what) {
  ATELIER_CHECK_OK(check_size(text, what));
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    return fail(ErrorCode::kInvalidArgument, "{}: expected JSON, found an error at byte {}", what,
                error.byte);
  } catch (const Json::exception& error) {  // a number out of range
    return fail(ErrorCode::kInvalidArgument, "{}: expected JSON, found {}", what, error.what());
  }
}

const Json* member(const Json& value, const char* key) {
  if (!value.is_object()) return nullptr;
  const auto found = value.find(key);
  return found == value.end() ? nullptr : &*found;
}

const std::string* string_member(const Json& value, const char* key) {
  const Json* found = member(value, key);
  return found && found->is_string() ? found->get_ptr<const std::string*>() : nullptr;
}

std::string compact_json(const Json& value) {
  Writer writer{Style::kCompact, 0, {}};
  writer.write(value, 0);
  return std::move(writer.out);
}

std::string python_json(const Json& value, int indent) {
  Writer writer{Style::kPython, indent, {}};
  writer.write(value, 0);
  return std::move(writer.out);
}

}  // namespace atelier::chat
