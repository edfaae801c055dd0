#include "io/json_reader.h"

#include <charconv>

namespace atelier {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
  }
  put(0x80 | (code & 0x3f));
}

}  // namespace

tl::unexpected<Error> JsonHeaderReader::wrong(std::string_view expected) const {
  if (at_ >= text_.size())
    return fail(ErrorCode::kCorrupt, "JSON byte {}: expected {}, found the end", at_, expected);
  const auto c = static_cast<unsigned char>(text_[at_]);
  if (c < 0x20 || c >= 0x7f)
    return fail(ErrorCode::kCorrupt, "JSON byte {}: expected {}, found byte {:#04x}", at_, expected, c);
  return fail(ErrorCode::kCorrupt, "JSON byte {}: expected {}, found '{}'", at_, expected,
              static_cast<char>(c));
}

void JsonHeaderReader::skip_space() {
  while (at_ < text_.size() &&
         (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
    ++at_;
}

bool JsonHeaderReader::accept(char wanted) {
  skip_space();
  if (at_ >= text_.size() || text_[at_] != wanted) return false;
  ++at_;
  return true;
}

Status JsonHeaderReader::expect(char wanted) {
  if (accept(wanted)) return {};
  return wrong(fmt::format("'{}'", wanted));
}

Result<std::string_view> JsonHeaderReader::string() {
  ATELIER_CHECK_OK(expect('"'));
  const size_t begin = at_;
  bool escaped = false;
  unescaped_.clear();
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '"') {
      const std::string_view plain = text_.substr(begin, at_ - begin);
      ++at_;
      return escaped ? std::string_view(unescaped_) : plain;
    }
    if (static_cast<unsigned char>(c) < 0x20) return wrong("a string without control characters");
    if (c == '\\') {
      if (!escaped) unescaped_.assign(text_.substr(begin, at_ - begin));
      escaped = true;
      ++at_;
      ATELIER_CHECK_OK(escape());
      continue;
    }
    if (escaped) unescaped_.push_back(c);
    ++at_;
  }
  return wrong("'\"'");
}

Status JsonHeaderReader::escape() {
  constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
  if (at_ >= text_.size()) return wrong("an escape");
  if (const size_t which = kLetters.find(text_[at_]); which != kLetters.npos) {
    unescaped_.push_back(kMeanings[which]);
    ++at_;
    return {};
  }
  if (text_[at_] != 'u') return wrong("an escape");
  ++at_;
  ATELIER_TRY(uint32_t code, hex4());
  if (code >= 0xdc00 && code < 0xe000) return wrong("a surrogate pair before here");
  if (code >= 0xd800 && code < 0xdc00) {
    if (text_.substr(at_, 2) != "\\u") return wrong("the second half of a surrogate pair");
    at_ += 2;
    ATELIER_TRY(const uint32_t low, hex4());
    if (low < 0xdc00 || low >= 0xe000) return wrong("the second half of a surrogate pair before here");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  append_utf8(unescaped_, code);
  return {};
}

Result<uint32_t> JsonHeaderReader::hex4() {
  uint32_t code = 0;
  const std::string_view digits = text_.substr(at_, 4);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (error != std::errc() || end != digits.data() + 4) return wrong("four hexadecimal digits");
  at_ += 4;
  return code;
}

Result<uint64_t> JsonHeaderReader::uint() {
  skip_space();
  const size_t begin = at_;
  size_t end = at_;
  while (end < text_.size() && is_digit(text_[end])) ++end;
  uint64_t value = 0;
  const auto parsed = std::from_chars(text_.data() + begin, text_.data() + end, value);
  const bool leading_zero = end - begin > 1 && text_[begin] == '0';
  const bool goes_on = end < text_.size() && (text_[end] == '.' || text_[end] == 'e' || text_[end] == 'E');
  if (parsed.ec != std::errc() || leading_zero || goes_on) return wrong("an integer from 0 to 2^64 - 1");
  at_ = end;
  return value;
}

Status JsonHeaderReader::skip(int max_depth) {
  skip_space();
  if (at_ >= text_.size()) return wrong("a value");
  if (max_depth == 0) return fail(ErrorCode::kLimit, "JSON byte {}: expected less nesting, found more", at_);
  switch (text_[at_]) {
    case '{':
      return object([&](std::string_view) { return skip(max_depth - 1); });
    case '[':
      return array([&] { return skip(max_depth - 1); });
    case '"': {
      ATELIER_CHECK_OK(string());
      return {};
    }
    case 't':
      return skip_literal("true");
    case 'f':
      return skip_literal("false");
    case 'n':
      return skip_literal("null");
    default:
      return skip_number();
  }
}

Status JsonHeaderReader::skip_literal(std::string_view literal) {
  if (text_.substr(at_, literal.size()) != literal) return wrong(literal);
  at_ += literal.size();
  return {};
}

// -? (0 | [1-9] digits) (. digits)? ([eE] [+-]? digits)?
Status JsonHeaderReader::skip_number() {
  const auto here = [&](char c) { return at_ < text_.size() && text_[at_] == c; };
  const auto digits = [&]() -> Status {
    if (at_ >= text_.size() || !is_digit(text_[at_])) return wrong("a value");
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return {};
  };
  if (here('-')) ++at_;
  if (here('0'))
    ++at_;
  else
    ATELIER_CHECK_OK(digits());
  if (here('.')) {
    ++at_;
    ATELIER_CHECK_OK(digits());
  }
  if (here('e') || here('E')) {
    ++at_;
    if (here('+') || here('-')) ++at_;
    ATELIER_CHECK_OK(digits());
  }
  return {};
}

Status JsonHeaderReader::end() {
  skip_space();
  if (at_ < text_.size()) return wrong("the end");
  return {};
}

}  // namespace atelier
