// A pull parser for the JSON of model files: safetensors headers and tokenizers, tens of megabytes of short
// strings from people we do not know. It holds no tree and no index, so its memory is one unescaped string
// whatever the file says; the general parsers we use elsewhere would take seven times the file. Strict RFC
// 8259.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier {

// Values are taken in the order in which they stand. The first error sticks: from then on every call returns
// at once (next_* return false), so that loops end and the caller looks at status() once, afterwards.
//
//   reader.begin_object();
//   for (std::string_view key; reader.next_key(key);) { if (key == "id") id = reader.integer(); else
//   reader.skip(); } reader.finish(); ATELIER_CHECK_OK(reader.status());
class JsonReader {
 public:
  static constexpr size_t kMaxDepth = 64;

  // Reads `text` from byte `start` on. `text` has passed validate() and outlives the reader.
  explicit JsonReader(std::string_view text, size_t start = 0);
  // What must hold of the whole text before it is read: it is UTF-8 without a byte order mark.
  static Status validate(std::string_view text);

  enum class Kind { kObject, kArray, kString, kNumber, kBoolean, kNull, kInvalid };
  Kind peek();  // of the value that comes next

  void begin_object();
  bool next_key(std::string_view& key);  // `key` is valid until the next string or key is read
  void begin_array();
  bool next_element();

  std::string_view string();  // valid until the next string or key is read
  int64_t integer();
  uint64_t unsigned_integer();
  double number();
  bool boolean();
  bool null();             // takes a null if one is next
  void skip();             // any value, checked for syntax
  std::string_view raw();  // the same, and its text
  void finish();           // only white space may be left

  // For values that are well-formed and yet wrong. Errors name the byte.
  void fail_here(std::string message);
  void fail_here(Error error);
  void fail_with(Error error);  // without a place, for what goes wrong later than it was read
  bool ok() const { return ok_; }
  Status status() const;
  size_t position() const { return at_; }

 private:
  char next_char();  // the next one that is not white space, '\0' at the end; not taken
  bool take(char expected);
  void wrong(std::string_view expected);  // expected that, found what is next
  void open(char bracket);
  bool next_item(char close);
  std::string_view string_token();
  std::string_view unescape(size_t start);
  void escape();
  char32_t hex4();
  std::string_view number_token();
  template <class Integer>
  Integer integer_token(std::string_view expected);
  void take_word(std::string_view word);

  std::string_view text_;
  size_t at_ = 0;
  size_t depth_ = 0;
  std::bitset<kMaxDepth + 1> fresh_;  // per depth: no item has been read yet
  std::string unescaped_;
  bool ok_ = true;
  Error error_{ErrorCode::kCorrupt, {}};
};

}  // namespace atelier
