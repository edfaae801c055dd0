// The extent of a tensor, as files state it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace atelier {

inline constexpr size_t kMaxRank = 5;

// Row-major, outermost dimension first (GGUF stores the reverse; it is turned round on reading). Rank 0 is a
// scalar.
struct Shape {
  std::array<uint64_t, kMaxRank> dims{};
  size_t rank = 0;

  Shape() = default;
  Shape(std::initializer_list<uint64_t> list);
  bool operator==(const Shape&) const = default;
  uint64_t operator[](size_t axis) const { return dims[axis]; }
  uint64_t elems() const;  // product of the dims; opening a checkpoint has checked that it does not wrap
  uint64_t cols() const;   // innermost dimension; 1 for a scalar
  uint64_t rows() const;   // elems() / cols(); 0 where a dimension is 0
  std::string to_string() const;  // "[576, 1536]"
};

}  // namespace atelier
