// Building model files field by field, knowing where every integer lies, and holding a parser to its promise
// on any bytes: a value or a typed error.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/gguf.h"
#include "tests/figure.h"
#include "tests/io/allocation_meter.h"

namespace atelier::testing {

// A heap block of exactly the given bytes: AddressSanitizer sees one byte too far.
class ExactBytes {
 public:
  explicit ExactBytes(std::string_view content)
      : size_(content.size()), data_(std::make_unique<std::byte[]>(content.size())) {
    if (size_ > 0) std::memcpy(data_.get(), content.data(), size_);
  }
  std::span<const std::byte> span() const { return {data_.get(), size_}; }

 private:
  size_t size_;
  std::unique_ptr<std::byte[]> data_;
};

class GgufBuilder {
 public:
  struct Field {
    size_t at, width;
  };

  std::string bytes;
  std::vector<Field> fields;

  template <class T>
  GgufBuilder& number(T value) {
    fields.push_back({bytes.size(), sizeof(T)});
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  GgufBuilder& raw(std::string_view text) {
    bytes += text;
    return *this;
  }
  GgufBuilder& text(std::string_view text) { return number<uint64_t>(text.size()).raw(text); }
  GgufBuilder& header(uint64_t n_tensors, uint64_t n_pairs, uint32_t version = 3) {
    return raw("GGUF").number(version).number(n_tensors).number(n_pairs);
  }
  GgufBuilder& key(std::string_view key, GgufType type) {
    return text(key).number(static_cast<uint32_t>(type));
  }
  GgufBuilder& array(std::string_view name, GgufType elem_type, uint64_t count) {
    return key(name, GgufType::kArray).number(static_cast<uint32_t>(elem_type)).number(count);
  }
  // `dims` innermost first, as the file has them.
  GgufBuilder& tensor(std::string_view name, std::initializer_list<uint64_t> dims, uint32_t ggml_type,
                      uint64_t offset) {
    text(name).number(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) number(dim);
    return number(ggml_type).number(offset);
  }
  GgufBuilder& pad(size_t alignment, char with = '\0') {
    while (bytes.size() % alignment != 0) bytes += with;
    return *this;
  }
  GgufBuilder& zeros(size_t n) {
    bytes.append(n, '\0');
    return *this;
  }
};

inline GgufType kEveryGgufType[] = {GgufType::kUint8,   GgufType::kInt8,   GgufType::kUint16,
                                    GgufType::kInt16,   GgufType::kUint32, GgufType::kInt32,
                                    GgufType::kFloat32, GgufType::kBool,   GgufType::kString,
                                    GgufType::kUint64,  GgufType::kInt64,  GgufType::kFloat64};

// Values at which integer code goes wrong, for a field that holds `now`.
inline std::array<uint64_t, 12> boundary_values(uint64_t now) {
  return {0,
          1,
          now - 1,
          now + 1,
          (1ull << 31) - 1,
          1ull << 31,
          1ull << 32,
          (1ull << 61),
          (1ull << 63) - 1,
          1ull << 63,
          UINT64_MAX - 7,
          UINT64_MAX};
}

// What a sweep has tried, for whoever runs the test program.
inline void print_sweep(std::string_view what, size_t tried, size_t refused) {
  print_figure("hostile files, {}: {} tried, {} refused with a typed error, {} read", what, tried, refused,
               tried - refused);
}

// What refusing a file of `file_bytes` may cost: four times its size and 16 MiB. The time is printed, never
// judged.
class RefusalCost {
 public:
  explicit RefusalCost(size_t file_bytes) : file_bytes_(file_bytes) {}
  // Called once the file has been refused.
  void expect_bounded(std::string_view what) const {
    const size_t peak = meter_.peak_bytes();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began_;
    EXPECT_LE(peak, 4 * file_bytes_ + (16u << 20)) << what;
    print_figure("refusing {}, {:.1f} MB: {:.2f} x its size in memory, {:.2f} ms per 64 KiB", what,
                 static_cast<double>(file_bytes_) / 1e6,
                 static_cast<double>(peak) / static_cast<double>(file_bytes_),
                 took.count() * 65536 / static_cast<double>(file_bytes_));
  }

 private:
  size_t file_bytes_;
  AllocationMeter meter_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

// The error is one of those a file may cause, and says something.
inline void expect_typed(const Error& error) {
  EXPECT_TRUE(error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kUnsupported ||
              error.code == ErrorCode::kLimit)
      << error.message;
  EXPECT_GT(error.message.size(), 10u);
  EXPECT_EQ(error.message.find('\n'), std::string::npos);
}

}  // namespace atelier::testing
