// GGUF v2 and v3, little-endian: a parsed view of one file's bytes. Nothing is copied: keys, strings and
// arrays point into the bytes, which must outlive every object here.
//
// The bytes are untrusted, and may even change while they are viewed (a mapped file that somebody
// overwrites): iteration over strings therefore checks each length again and never leaves the array's own
// bytes.
//
// Source: github.com/ggml-org/ggml, docs/gguf.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/names.h"
#include "io/tensor_view.h"

namespace atelier {

// Limits on what a file may ask for; beyond them it is refused with kLimit.
inline constexpr uint64_t kMaxGgufKeys = 65'536;
inline constexpr uint64_t kMaxGgufKeyBytes = 65'535;  // the format's own bound
inline constexpr uint64_t kMaxGgufTensors = 1 << 20;
inline constexpr uint64_t kMaxGgufTensorNameBytes = 255;
inline constexpr uint64_t kMaxGgufAlignment = 65'536;
inline constexpr uint64_t kMaxGgufParts = 1'024;

// `gguf_type` as stored; the numbers are part of the format.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};
std::string_view gguf_type_name(GgufType type);  // "u32", "string", "array", …

struct GgufValue {
  GgufType type = GgufType::kUint8;
  GgufType elem_type = GgufType::kUint8;  // of a kArray (never kArray itself); equal to `type` otherwise
  uint64_t count = 1;                     // elements of a kArray; 1 otherwise
  // The encoded value: a scalar's bytes, a string's characters, an array's elements (strings there each
  // follow their 8-byte length). Not aligned.
  std::span<const std::byte> bytes;
};

struct GgufEntry {
  std::string_view key;
  GgufValue value;
};

// The strings of an array, in order; each is a view into the file.
class GgufStrings {
 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    using pointer = const std::string_view*;
    using reference = std::string_view;

    Iterator() = default;
    Iterator(std::span<const std::byte> rest, uint64_t left) : rest_(rest), left_(left) { load(); }
    std::string_view operator*() const { return current_; }
    Iterator& operator++() {
      --left_;
      load();
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const Iterator& other) const { return left_ == other.left_; }

   private:
    // Takes the next string off `rest_`; an empty one where the length no longer fits.
    void load() {
      current_ = {};
      uint64_t length = 0;
      if (left_ == 0 || rest_.size() < sizeof(length)) return;
      std::memcpy(&length, rest_.data(), sizeof(length));
      rest_ = rest_.subspan(sizeof(length));
      if (length > rest_.size()) length = 0;
      current_ = {reinterpret_cast<const char*>(rest_.data()), static_cast<size_t>(length)};
      rest_ = rest_.subspan(static_cast<size_t>(length));
    }
    std::span<const std::byte> rest_;
    uint64_t left_ = 0;
    std::string_view current_;
  };

  GgufStrings() = default;
  explicit GgufStrings(const GgufValue& array) : bytes_(array.bytes), count_(array.count) {}
  size_t size() const { return static_cast<size_t>(count_); }
  bool empty() const { return count_ == 0; }
  Iterator begin() const { return {bytes_, count_}; }
  Iterator end() const { return {}; }

 private:
  std::span<const std::byte> bytes_;
  uint64_t count_ = 0;
};

// The numbers (or booleans) of an array of any width, each converted on access.
template <class T>
class GgufNumbers {
 public:
  GgufNumbers() = default;
  explicit GgufNumbers(const GgufValue& array) : array_(array) {}
  size_t size() const { return static_cast<size_t>(array_.count); }
  bool empty() const { return array_.count == 0; }
  T operator[](size_t i) const;  // i < size()

 private:
  GgufValue array_{GgufType::kArray, GgufType::kUint8, 0, {}};
};
using GgufIntegers = GgufNumbers<int64_t>;  // unsigned values past INT64_MAX are clamped to it
using GgufFloats = GgufNumbers<double>;
extern template class GgufNumbers<int64_t>;
extern template class GgufNumbers<double>;

// The key-value section. Every accessor fails with kNotFound if the key is absent and kCorrupt if its value
// is of another kind; the message names the key, what was expected and what was found. The `_or` forms give
// the fallback for an absent key and still fail on a wrong kind.
class GgufMetadata {
 public:
  std::span<const GgufEntry> entries() const { return entries_; }  // sorted by key
  const GgufValue* find(std::string_view key) const;
  bool contains(std::string_view key) const { return find(key) != nullptr; }

  Result<std::string_view> string(std::string_view key) const;
  Result<uint64_t> uint(std::string_view key) const;    // any integer type, value ≥ 0
  Result<int64_t> integer(std::string_view key) const;  // any integer type that fits
  Result<double> number(std::string_view key) const;    // any integer or float type
  Result<bool> boolean(std::string_view key) const;     // bool only
  Result<GgufStrings> strings(std::string_view key) const;
  Result<GgufIntegers> integers(std::string_view key) const;  // array of any integer type or bool
  Result<GgufFloats> floats(std::string_view key) const;      // array of any integer or float type

  Result<std::string_view> string_or(std::string_view key, std::string_view fallback) const;
  Result<uint64_t> uint_or(std::string_view key, uint64_t fallback) const;
  Result<int64_t> integer_or(std::string_view key, int64_t fallback) const;
  Result<double> number_or(std::string_view key, double fallback) const;
  Result<bool> boolean_or(std::string_view key, bool fallback) const;

  // The section as one JSON object for `show` and for hyper-parameters. Left out: keys that start with
  // "tokenizer." and hold arrays, and arrays of more than 4,096 elements. Bytes that are not UTF-8 become
  // U+FFFD.
  nlohmann::json to_json() const;

 private:
  friend class GgufFile;
  std::vector<GgufEntry> entries_;
};

// One file (or one part of a split one), checked completely before it is returned: every count, length, type,
// offset and size has been held against the bytes present; names and keys are unique, valid UTF-8 without
// control characters; tensors are aligned and do not overlap.
class GgufFile {
 public:
  // `name` stands in front of error messages. Errors: kCorrupt, kUnsupported (version 1, big-endian, unknown
  // tensor types, rank > kMaxRank), kLimit.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, std::string_view name);

  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  const GgufMetadata& metadata() const { return metadata_; }
  std::span<const TensorView> tensors() const { return tensors_; }  // in the file's order
  std::vector<TensorView> release_tensors() { return std::move(tensors_); }

 private:
  static Result<GgufFile> parse_unnamed(std::span<const std::byte> bytes);

  uint32_t version_ = 0;
  uint64_t alignment_ = 0;
  NameArena names_;
  GgufMetadata metadata_;
  std::vector<TensorView> tensors_;
};

}  // namespace atelier
