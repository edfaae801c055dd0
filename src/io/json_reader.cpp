#include "io/json_reader.h"

#include <simdjson.h>

#include <charconv>
#include <utility>

#include "base/utf8.h"

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

void JsonReader::fail_here(std::string message) { fail_here(Error{ErrorCode::kCorrupt, std::move(message)}); }

void JsonReader::fail_here(Error error) {
  fail_with({error.code, fmt::format("JSON byte {}: {}", at_, error.message)});
}

void JsonReader::fail_with(Error error) {
  if (!ok_) return;
  ok_ = false;
  error_ = std::move(error);
  at_ = text_.size();
}

char JsonReader::next_char() {
  while (at_ < text_.size() && is_white(text_[at_])) ++at_;
  return at_ < text_.size() ? text_[at_] : '\0';
}

void JsonReader::wrong(std::string_view expected) {
  const auto found = at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : 0;
  if (at_ >= text_.size())
    fail_here(fmt::format("expected {}, found the end", expected));
  else if (found < 0x20 || found >= 0x7F)
    fail_here(fmt::format("expected {}, found byte {:#04x}", expected, found));
  else
    fail_here(fmt::format("expected {}, found '{}'", expected, static_cast<char>(found)));
}

bool JsonReader::take(char expected) {
  if (next_char() != expected || at_ >= text_.size()) {
    wrong(fmt::format("'{}'", expected));
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
    fail_here({ErrorCode::kLimit, fmt::format("expected at most {} levels, found more", kMaxDepth)});
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
  if (next_char() == close) wrong("a value behind the comma");
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
  while (ok_ && at_ < text_.size() && text_[at_] != '"') {
    const char c = text_[at_];
    if (static_cast<unsigned char>(c) < 0x20) {
      wrong("a string without control characters");
    } else if (c == '\\') {
      ++at_;
      escape();
    } else {
      unescaped_.push_back(c);
      ++at_;
    }
  }
  if (!ok_ || !take('"')) return {};
  return unescaped_;
}

void JsonReader::escape() {
  constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
  const size_t which = at_ < text_.size() ? kLetters.find(text_[at_]) : std::string_view::npos;
  if (which != std::string_view::npos) {
    unescaped_.push_back(kMeanings[which]);
    ++at_;
    return;
  }
  if (at_ >= text_.size() || text_[at_] != 'u') return wrong("an escape");
  ++at_;
  char32_t c = hex4();
  if (c >= 0xD800 && c < 0xDC00 && text_.substr(at_, 2) == "\\u") {
    at_ += 2;
    const char32_t low = hex4();
    c = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : 0xD800;
  }
  if (c >= 0xD800 && c < 0xE000) wrong("both halves of a surrogate pair before here");
  if (ok_) append_utf8(c, unescaped_);
}

char32_t JsonReader::hex4() {
  uint32_t value = 0;
  const std::string_view digits = text_.substr(std::min(at_, text_.size()), 4);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() < 4 || error != std::errc{} || end != digits.data() + 4) {
    wrong("four hexadecimal digits");
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
    if (at_ == first) wrong("a digit");
  };
  if (peek() != Kind::kNumber) wrong("a number");
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
  if (ok_ && (is_digit(peek_at(at_)) || peek_at(at_) == '.')) wrong("the end of a number");
  return ok_ ? text_.substr(start, at_ - start) : std::string_view{};
}

template <class Integer>
Integer JsonReader::integer_token(std::string_view expected) {
  next_char();
  const size_t start = at_;
  const std::string_view token = number_token();
  if (!ok_) return 0;
  Integer value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (error != std::errc{} || end != token.data() + token.size()) {
    at_ = start;
    fail_here(fmt::format("expected {}, found {}", expected, token.substr(0, 40)));
    return 0;
  }
  return value;
}

int64_t JsonReader::integer() { return integer_token<int64_t>("an integer of 64 bits"); }
uint64_t JsonReader::unsigned_integer() { return integer_token<uint64_t>("an integer from 0 to 2^64 - 1"); }

double JsonReader::number() {
  const std::string_view token = number_token();
  if (!ok_) return 0;
  double value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (error != std::errc{} || end != token.data() + token.size()) {
    fail_here(fmt::format("expected a number that a double holds, found {}", token.substr(0, 40)));
    return 0;
  }
  return value;
}

void JsonReader::take_word(std::string_view word) {
  if (!text_.substr(at_).starts_with(word)) return wrong(word);
  at_ += word.size();
}

bool JsonReader::boolean() {
  const char c = next_char();
  if (c == 't')
    take_word("true");
  else if (c == 'f')
    take_word("false");
  else
    wrong("true or false");
  return ok_ && c == 't';
}

bool JsonReader::null() {
  if (next_char() != 'n') return false;
  take_word("null");
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
      wrong("a value");
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
  next_char();
  if (at_ < text_.size()) wrong("the end");
}

}  // namespace atelier
