#include "engine/constraint/json_value.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "text/unicode.h"

namespace atelier::constraint {
namespace {

class JsonParser {
 public:
  JsonParser(std::string_view text, std::string_view what, int max_depth)
      : text_(text), what_(what), max_depth_(max_depth) {}

  Result<JsonValue> document() {
    ATELIER_TRY(JsonValue value, this->value(0));
    skip_space();
    if (at_ != text_.size()) return wrong("the end");
    return value;
  }

 private:
  tl::unexpected<Error> wrong(std::string_view expected) const {
    if (at_ >= text_.size())
      return fail(ErrorCode::kInvalidArgument, "{}: byte {}: expected {}, found the end", what_, at_,
                  expected);
    const auto byte = static_cast<uint8_t>(text_[at_]);
    if (byte >= 0x20 && byte < 0x7F)
      return fail(ErrorCode::kInvalidArgument, "{}: byte {}: expected {}, found {:?}", what_, at_, expected,
                  text_[at_]);
    return fail(ErrorCode::kInvalidArgument, "{}: byte {}: expected {}, found byte {:#04x}", what_, at_,
                expected, byte);
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Result<JsonValue> value(int depth) {
    skip_space();
    if (depth > max_depth_)
      return fail(ErrorCode::kLimit, "{}: byte {}: expected at most {} nested values, found more", what_, at_,
                  max_depth_);
    switch (peek()) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"': {
        ATELIER_TRY(std::string text, string());
        return JsonValue{.kind = JsonValue::Kind::kString, .text = std::move(text)};
      }
      case 'n':
        return word("null", JsonValue::Kind::kNull);
      case 't':
        return word("true", JsonValue::Kind::kTrue);
      case 'f':
        return word("false", JsonValue::Kind::kFalse);
      default:
        return number();
    }
  }

  Result<JsonValue> word(std::string_view word, JsonValue::Kind kind) {
    if (!text_.substr(at_).starts_with(word)) return wrong("a value");
    at_ += word.size();
    return JsonValue{.kind = kind};
  }

  bool digits() {
    const size_t begin = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ > begin;
  }
  Result<JsonValue> number() {
    const size_t begin = at_;
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;
    } else if (!digits()) {
      return wrong("a value");
    }
    if (peek() == '.') {
      ++at_;
      if (!digits()) return wrong("a digit");
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (!digits()) return wrong("a digit");
    }
    return JsonValue{.kind = JsonValue::Kind::kNumber, .text = std::string(text_.substr(begin, at_ - begin))};
  }

  Result<JsonValue> array(int depth) {
    ++at_;
    JsonValue out = JsonValue::array();
    if (accept(']')) return out;
    do {
      ATELIER_TRY(JsonValue item, value(depth + 1));
      out.items.push_back(std::move(item));
    } while (accept(','));
    if (!accept(']')) return wrong("\",\" or \"]\"");
    return out;
  }

  Result<JsonValue> object(int depth) {
    ++at_;
    JsonValue out = JsonValue::object();
    if (accept('}')) return out;
    std::unordered_set<std::string> names;
    do {
      skip_space();
      if (peek() != '"') return wrong("a member's name");
      const size_t begin = at_;
      ATELIER_TRY(std::string name, string());
      if (!names.insert(name).second) {
        at_ = begin;
        return wrong("each member once");
      }
      if (!accept(':')) return wrong("\":\"");
      ATELIER_TRY(JsonValue member, value(depth + 1));
      out.members.emplace_back(std::move(name), std::move(member));
    } while (accept(','));
    if (!accept('}')) return wrong("\",\" or \"}\"");
    return out;
  }

  Result<std::string> string() {
    ++at_;
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') {
        ATELIER_CHECK_OK(escape(out));
        continue;
      }
      if (static_cast<uint8_t>(text_[at_]) < 0x20) return wrong("a string without control characters");
      const Utf8Char c = decode_utf8(text_.data() + at_, text_.data() + text_.size());
      if (!c.valid) return wrong("UTF-8");
      out += text_.substr(at_, c.length);
      at_ += c.length;
    }
    if (at_ == text_.size()) return wrong("the end of the string");
    ++at_;
    return out;
  }

  std::optional<char32_t> hex4() {
    char32_t value = 0;
    for (size_t i = 0; i < 4; ++i) {
      const char c = at_ + i < text_.size() ? text_[at_ + i] : '\0';
      const std::string_view digits = "0123456789abcdef";
      const size_t digit = digits.find(static_cast<char>(c >= 'A' && c <= 'F' ? c + 32 : c));
      if (digit == std::string_view::npos) return std::nullopt;
      value = value << 4 | static_cast<char32_t>(digit);
    }
    at_ += 4;
    return value;
  }

  Status escape(std::string& out) {
    ++at_;
    constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
    const size_t simple = kNames.find(peek());
    if (at_ < text_.size() && simple != std::string_view::npos) {
      out.push_back(kValues[simple]);
      ++at_;
      return {};
    }
    if (peek() != 'u') return wrong("an escape");
    ++at_;
    auto c = hex4();
    if (c && *c >= 0xD800 && *c <= 0xDBFF && text_.substr(at_).starts_with("\\u")) {
      at_ += 2;
      const auto low = hex4();
      if (!low || *low < 0xDC00 || *low > 0xDFFF) return wrong("the second half of a surrogate pair");
      c = 0x10000 + ((*c - 0xD800) << 10) + (*low - 0xDC00);
    } else if (!c || (*c >= 0xD800 && *c <= 0xDFFF)) {
      return wrong("four hexadecimal digits of a character");
    }
    append_utf8(*c, out);
    return {};
  }

  std::string_view text_;
  std::string_view what_;
  int max_depth_;
  size_t at_ = 0;
};

// From the value up to the root, or false if it is not below `at`.
bool find_path(const JsonValue& at, const JsonValue& value, std::string& path) {
  if (&at == &value) return true;
  const size_t length = path.size();
  for (size_t i = 0; i < at.items.size(); ++i) {
    path += "/" + std::to_string(i);
    if (find_path(at.items[i], value, path)) return true;
    path.resize(length);
  }
  for (const auto& [name, member] : at.members) {
    path += '/';
    for (const char c : name) path += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    if (find_path(member, value, path)) return true;
    path.resize(length);
  }
  return false;
}

}  // namespace

const JsonValue* JsonValue::find(std::string_view name) const {
  for (const auto& [key, value] : members)
    if (key == name) return &value;
  return nullptr;
}

JsonValue& JsonValue::add(std::string_view name, JsonValue value) {
  members.emplace_back(std::string(name), std::move(value));
  return members.back().second;
}

std::string_view kind_name(JsonValue::Kind kind) {
  switch (kind) {
    case JsonValue::Kind::kNull:
      return "null";
    case JsonValue::Kind::kFalse:
    case JsonValue::Kind::kTrue:
      return "a boolean";
    case JsonValue::Kind::kNumber:
      return "a number";
    case JsonValue::Kind::kString:
      return "a string";
    case JsonValue::Kind::kArray:
      return "an array";
    case JsonValue::Kind::kObject:
      return "an object";
  }
  return "?";
}

Result<JsonValue> parse_json_value(std::string_view text, std::string_view what,
                                   const JsonValueLimits& limits) {
  if (text.size() > limits.max_bytes)
    return fail(ErrorCode::kLimit, "{}: expected at most {} bytes, found {}", what, limits.max_bytes,
                text.size());
  return JsonParser(text, what, limits.max_depth).document();
}

std::string json_pointer(const JsonValue& root, const JsonValue& value) {
  std::string path;
  find_path(root, value, path);
  return path;
}

const JsonValue* resolve_pointer(const JsonValue& root, std::string_view pointer) {
  const JsonValue* at = &root;
  while (!pointer.empty()) {
    if (pointer[0] != '/') return nullptr;
    pointer.remove_prefix(1);
    const size_t end = std::min(pointer.find('/'), pointer.size());
    std::string name;
    for (size_t i = 0; i < end; ++i) {
      const bool escaped = pointer[i] == '~' && i + 1 < end;
      name.push_back(!escaped ? pointer[i] : pointer[++i] == '1' ? '/' : '~');
    }
    pointer.remove_prefix(end);
    if (at->is_array()) {
      const bool is_index =
          !name.empty() && name.size() < 9 && name.find_first_not_of("0123456789") == name.npos;
      if (!is_index || std::stoul(name) >= at->items.size()) return nullptr;
      at = &at->items[std::stoul(name)];
    } else {
      at = at->find(name);
      if (at == nullptr) return nullptr;
    }
  }
  return at;
}

}  // namespace atelier::constraint
