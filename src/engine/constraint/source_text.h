// Reading a small language character by character, for the parsers of this folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier::constraint {

// The characters of UTF-8 text; kInvalidArgument at the first byte that is none, with `what` in front.
Result<std::u32string> decode_source(std::string_view text, std::string_view what);

std::string to_utf8(std::u32string_view text);
// For messages: the character in quotes if it can be shown, else U+XXXX.
std::string in_quotes(char32_t c);
std::string in_quotes(std::string_view text);  // cut after 60 bytes

class SourceCursor {
 public:
  explicit SourceCursor(std::u32string_view text) : text_(text) {}

  static constexpr char32_t kEnd = 0xFFFFFFFF;
  bool at_end() const { return at_ == text_.size(); }
  char32_t peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : kEnd; }
  char32_t next() { return at_end() ? kEnd : text_[at_++]; }
  bool accept(char32_t c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  bool accept(std::u32string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  size_t position() const { return at_; }
  void go_to(size_t position) { at_ = position; }
  std::u32string_view since(size_t position) const { return text_.substr(position, at_ - position); }
  size_t line() const;  // from 1

  // Exactly `n` hexadecimal digits; nothing, and nothing read, if they are not there.
  std::optional<char32_t> hex(size_t n);
  // Decimal digits; values past 2^32 - 2 come back as 2^32 - 2.
  std::optional<uint32_t> number();

 private:
  std::u32string_view text_;
  size_t at_ = 0;
};

}  // namespace atelier::constraint
