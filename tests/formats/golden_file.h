// Vectors written by tools/format_goldens.py.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace atelier {

struct GoldenFile {
  uint32_t n_blocks = 0;
  std::vector<std::byte> first;   // n_blocks · first_bytes
  std::vector<std::byte> second;  // n_blocks · second_bytes
};

// Empty where the file is missing or of another length.
inline GoldenFile read_golden(const std::string& name, size_t first_bytes, size_t second_bytes) {
  GoldenFile golden;
  const Result<std::string> content = read_file(std::string(ATELIER_TEST_DATA) + "/formats/" + name, 1 << 20);
  if (!content || content->size() < 4) return golden;
  uint32_t n = 0;
  std::memcpy(&n, content->data(), sizeof(n));
  if (content->size() != 4 + n * (first_bytes + second_bytes)) return golden;
  const auto* bytes = reinterpret_cast<const std::byte*>(content->data()) + 4;
  golden.n_blocks = n;
  golden.first.assign(bytes, bytes + n * first_bytes);
  golden.second.assign(bytes + n * first_bytes, bytes + n * (first_bytes + second_bytes));
  return golden;
}

inline std::vector<float> as_floats(std::span<const std::byte> bytes) {
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), bytes.size());
  return floats;
}

// The index of the first element whose bits differ, or -1.
inline ptrdiff_t first_bit_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return 0;
  for (size_t i = 0; i < a.size(); ++i)
    if (std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i])) return static_cast<ptrdiff_t>(i);
  return -1;
}

}  // namespace atelier
