#include "text/json_reader.h"

#include <simdjson.h>

#include <charconv>
#include <limits>
#include <utility>

#include "text/unicode.h"

namespace atelier {
namespace {

constexpr bool is_white(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
// Ends the plain part of a string: quote, backslash, control character.
constexpr bool ends_plain(char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; }

}  // namespace

JsonReader::JsonReader(std::string_view text, size_t start) : text_(text), at_(start) { fresh_.set(); }

Status JsonReader::validate(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) return fail(ErrorCode::kCorrupt, "JSON with a byte order mark");
  if (!simdjson::validate_utf8(text.data(), text.size()))
    return fail(ErrorCode::kCorrupt, "not JSON: expected UTF-8, found other bytes");
  return {};
}

Status JsonReader::status() const {
  if (ok_) return {};
  return tl::unexpected<Error>(error_);
}

void JsonReader::fail_here(std::string message) {
  if (!ok_) return;
  ok_ = false;
  error_.message = fmt::format("byte {}: {}", at_, message);
  at_ = text_.size();
}

char JsonReader::next_char() {
  while (at_ < text_.size() && is_white(text_[at_])) ++at_;
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool JsonReader::take(char expected) {
  if (const char found = next_char(); found != expected) {
    if (at_ == text_.size())
      fail_here(fmt::format("expected '{}', found the end of the file", expected));
    else
      fail_here(fmt::format("expected '{}', found '{}'", expected, found));
    return false;
  }
  ++at_;
  return true;
}

JsonReader::Kind JsonReader::peek() {
  switch (const char c = next_char()) {
    case '{':
      return Kind::kObject;
    case '[':
      return Kind::kArray;
    case '"':
      return Kind::kString;
    case 't':
    case 'f':
      return Kind::kBoolean;
    case 'n':
      return Kind::kNull;
    default:
      return c == '-' || is_digit(c) ? Kind::kNumber : Kind::kInvalid;
  }
}

void JsonReader::open(char bracket) {
  if (!take(bracket)) return;
  if (++depth_ > kMaxDepth) {
    fail_here(fmt::format("nested more than {} deep", kMaxDepth));
    depth_ = kMaxDepth;
  }
  fresh_.set(depth_);
}

// Takes the comma in front of an item or the closing bracket. A comma before the bracket is left to fail when
// the item is read.
bool JsonReader::next_item(char close) {
  const char c = next_char();
  if (c == close && ok_) {
    ++at_;
    --depth_;
    return false;
  }
  if (fresh_.test(depth_)) {
    fresh_.reset(depth_);
    return ok_;
  }
  if (!take(',')) return false;
  if (next_char() == close) fail_here("a comma without a value behind it");
  return ok_;
}

void JsonReader::begin_object() { open('{'); }
void JsonReader::begin_array() { open('['); }
bool JsonReader::next_element() { return next_item(']'); }

bool JsonReader::next_key(std::string_view& key) {
  if (!next_item('}')) return false;
  key = string_token();
  take(':');
  return ok_;
}

std::string_view JsonReader::string() { return string_token(); }

std::string_view JsonReader::string_token() {
  if (!take('"')) return {};
  const size_t start = at_;
  const char* text = text_.data();
  size_t i = at_;
  while (i < text_.size() && !ends_plain(text[i])) ++i;
  at_ = i;
  if (i < text_.size() && text[i] == '"') {
    ++at_;
    return text_.substr(start, i - start);
  }
  return unescape(start);
}

// The rest of a string that is not plain; at_ stands at the first character that is not.
std::string_view JsonReader::unescape(size_t start) {
  unescaped_.assign(text_.substr(start, at_ - start));
  while (at_ < text_.size() && text_[at_] != '"') {
    const char c = text_[at_++];
    if (static_cast<unsigned char>(c) < 0x20) {
      fail_here("a control character inside a string");
      return {};
    }
    if (c != '\\') {
      unescaped_.push_back(c);
      continue;
    }
    const char escape = at_ < text_.size() ? text_[at_++] : '\0';
    switch (escape) {
      case '"':
      case '\\':
      case '/':
        unescaped_.push_back(escape);
        break;
      case 'b':
        unescaped_.push_back('\b');
        break;
      case 'f':
        unescaped_.push_back('\f');
        break;
      case 'n':
        unescaped_.push_back('\n');
        break;
      case 'r':
        unescaped_.push_back('\r');
        break;
      case 't':
        unescaped_.push_back('\t');
        break;
      case 'u': {
        char32_t c1 = hex4();
        if (c1 >= 0xD800 && c1 < 0xDC00 && text_.substr(at_, 2) == "\\u") {
          at_ += 2;
          const char32_t c2 = hex4();
          c1 = c2 >= 0xDC00 && c2 < 0xE000 ? 0x10000 + ((c1 - 0xD800) << 10) + (c2 - 0xDC00) : 0xD800;
        }
        if (c1 >= 0xD800 && c1 < 0xE000) fail_here("half of a surrogate pair in a string");
        if (ok_) append_utf8(c1, unescaped_);
        break;
      }
      default:
        fail_here("an unknown escape in a string");
    }
    if (!ok_) return {};
  }
  if (!take('"')) return {};
  return unescaped_;
}

char32_t JsonReader::hex4() {
  uint32_t value = 0;
  const std::string_view digits = text_.substr(std::min(at_, text_.size()), 4);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() < 4 || error != std::errc{} || end != digits.data() + 4) {
    fail_here("expected four hexadecimal digits");
    return 0;
  }
  at_ += 4;
  return value;
}

std::string_view JsonReader::number_token() {
  next_char();
  const size_t start = at_;
  const auto peek_at = [this](size_t i) { return i < text_.size() ? text_[i] : '\0'; };
  const auto digits = [&] {
    const size_t first = at_;
    while (is_digit(peek_at(at_))) ++at_;
    if (at_ == first) fail_here("expected a number");
  };
  if (peek_at(at_) == '-') ++at_;
  if (peek_at(at_) == '0')
    ++at_;  // no leading zeros
  else
    digits();
  if (ok_ && peek_at(at_) == '.') {
    ++at_;
    digits();
  }
  if (ok_ && (peek_at(at_) | 0x20) == 'e') {
    ++at_;
    if (peek_at(at_) == '+' || peek_at(at_) == '-') ++at_;
    digits();
  }
  if (ok_ && (is_digit(peek_at(at_)) || peek_at(at_) == '.')) fail_here("a malformed number");
  return ok_ ? text_.substr(start, at_ - start) : std::string_view{};
}

int64_t JsonReader::integer() {
  const std::string_view token = number_token();
  if (!ok_) return 0;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (error != std::errc{} || end != token.data() + token.size()) {
    fail_here(fmt::format("expected a 64-bit integer, found {}", token.substr(0, 40)));
    return 0;
  }
  return value;
}

double JsonReader::number() {
  const std::string_view token = number_token();
  if (!ok_) return 0;
  double value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (error != std::errc{} || end != token.data() + token.size()) {
    fail_here(fmt::format("a number out of range: {}", token.substr(0, 40)));
    return 0;
  }
  return value;
}

void JsonReader::expect_word(std::string_view word) {
  if (text_.substr(std::min(at_, text_.size()), word.size()) != word)
    fail_here(fmt::format("expected a JSON value ({})", word));
  else
    at_ += word.size();
}

bool JsonReader::boolean() {
  const char c = next_char();
  if (c != 't' && c != 'f') {
    fail_here("expected true or false");
    return false;
  }
  expect_word(c == 't' ? "true" : "false");
  return ok_ && c == 't';
}

bool JsonReader::null() {
  if (next_char() != 'n') return false;
  expect_word("null");
  return ok_;
}

// Recursion is bounded by kMaxDepth.
void JsonReader::skip() {
  switch (peek()) {
    case Kind::kObject: {
      begin_object();
      for (std::string_view key; next_key(key);) skip();
      break;
    }
    case Kind::kArray:
      begin_array();
      while (next_element()) skip();
      break;
    case Kind::kString:
      string_token();
      break;
    case Kind::kNumber:
      number_token();
      break;
    case Kind::kBoolean:
      boolean();
      break;
    case Kind::kNull:
      null();
      break;
    case Kind::kInvalid:
      fail_here("expected a JSON value");
      break;
  }
}

std::string_view JsonReader::raw() {
  next_char();
  const size_t start = at_;
  skip();
  return ok_ ? text_.substr(start, at_ - start) : std::string_view{};
}

void JsonReader::finish() {
  if (next_char() != '\0' || at_ < text_.size()) fail_here("expected the end of the file");
}

}  // namespace atelier
