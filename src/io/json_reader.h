// A pull reader for JSON of a known form in untrusted bytes: no allocation but for strings with escapes, no
// copy of the text, every byte held against the end. Used for safetensors headers and indexes, where a parser
// that indexes the text first would take seven times its size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier {

class JsonHeaderReader {
 public:
  explicit JsonHeaderReader(std::string_view text) : text_(text) {}

  // Reads an object; on_key(key) must read that key's value. `key` is valid until the next string is read.
  template <class OnKey>
  Status object(OnKey&& on_key) {
    ATELIER_CHECK_OK(expect('{'));
    if (accept('}')) return {};
    do {
      ATELIER_TRY(const std::string_view key, string());
      ATELIER_CHECK_OK(expect(':'));
      ATELIER_CHECK_OK(on_key(key));
    } while (accept(','));
    return expect('}');
  }

  // Reads an array; on_element() must read one element.
  template <class OnElement>
  Status array(OnElement&& on_element) {
    ATELIER_CHECK_OK(expect('['));
    if (accept(']')) return {};
    do {
      ATELIER_CHECK_OK(on_element());
    } while (accept(','));
    return expect(']');
  }

  // The string's characters, unescaped; a view into the text, or, where there were escapes, into this reader,
  // valid until the next string is read. Surrogates must come in pairs.
  Result<std::string_view> string();
  // A plain integer from 0 to 2^64 - 1: no sign, fraction, exponent or leading zero.
  Result<uint64_t> uint();
  // Any value, checked for its form; at most `max_depth` deep.
  Status skip(int max_depth = 32);
  // Nothing but white space is left.
  Status end();

  size_t offset() const { return at_; }

 private:
  void skip_space();
  bool accept(char wanted);
  Status expect(char wanted);
  Status escape();
  Result<uint32_t> hex4();
  Status skip_literal(std::string_view literal);
  Status skip_number();
  tl::unexpected<Error> wrong(std::string_view expected) const;

  std::string_view text_;
  size_t at_ = 0;
  std::string unescaped_;
};

}  // namespace atelier
