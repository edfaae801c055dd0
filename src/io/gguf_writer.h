// Writing GGUF version 3.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "io/gguf.h"
#include "io/tensor_writer.h"

namespace atelier {

// The GgufType that stores a C++ type.
template <class T>
  requires std::is_arithmetic_v<T>
constexpr GgufType gguf_type_of() {
  if constexpr (std::same_as<T, bool>)
    return GgufType::kBool;
  else if constexpr (std::same_as<T, float>)
    return GgufType::kFloat32;
  else if constexpr (std::same_as<T, double>)
    return GgufType::kFloat64;
  else if constexpr (sizeof(T) == 1)
    return std::is_signed_v<T> ? GgufType::kInt8 : GgufType::kUint8;
  else if constexpr (sizeof(T) == 2)
    return std::is_signed_v<T> ? GgufType::kInt16 : GgufType::kUint16;
  else if constexpr (sizeof(T) == 4)
    return std::is_signed_v<T> ? GgufType::kInt32 : GgufType::kUint32;
  else
    return std::is_signed_v<T> ? GgufType::kInt64 : GgufType::kUint64;
}

class GgufWriter {
 public:
  struct Options {
    uint64_t alignment = 32;  // power of two; written as general.alignment where it is not 32
  };
  explicit GgufWriter(Options options);
  GgufWriter() : GgufWriter(Options{}) {}

  // Keys are written in the order in which they are set; a key set twice makes write() fail.
  template <class T>
    requires std::is_arithmetic_v<T>
  void set(std::string_view key, T value) {
    begin_value(key, gguf_type_of<T>());
    append(&value, sizeof(T));
  }
  void set(std::string_view key, std::string_view value);
  void set(std::string_view key, const char* value) { set(key, std::string_view(value)); }

  template <class T>
    requires std::is_arithmetic_v<T>
  void set_array(std::string_view key, std::span<const T> values) {
    begin_array(key, gguf_type_of<T>(), values.size());
    append(values.data(), values.size_bytes());
  }
  void set_array(std::string_view key, std::span<const std::string> values);

  // Shape as everywhere in this program, outermost first.
  void add_tensor(TensorSpec tensor) { tensors_.push_back(std::move(tensor)); }
  std::span<const TensorSpec> tensors() const { return tensors_; }

  // Writes all of it under a temporary name, fsyncs and renames. Errors: kInvalidArgument (names, shapes,
  // types GGUF does not have), kIo, and whatever `fill` returns.
  Status write(const std::filesystem::path& path, const FillRows& fill) const;

 private:
  void begin_value(std::string_view key, GgufType type);
  void begin_array(std::string_view key, GgufType elem_type, uint64_t count);
  void append(const void* data, size_t bytes);
  void append_string(std::string_view text);
  Result<std::string> encode_header(std::span<const uint64_t> offsets) const;

  uint64_t alignment_;
  std::vector<std::string> keys_;
  std::string pairs_;  // the key-value section as it is written
  std::vector<TensorSpec> tensors_;
};

}  // namespace atelier
