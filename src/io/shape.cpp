#include "io/shape.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace atelier {

Shape::Shape(std::initializer_list<uint64_t> list) : rank(list.size()) {
  ATELIER_CHECK(list.size() <= kMaxRank);
  std::copy(list.begin(), list.end(), dims.begin());
}

uint64_t Shape::elems() const {
  uint64_t product = 1;
  for (size_t axis = 0; axis < rank; ++axis) product *= dims[axis];
  return product;
}

uint64_t Shape::cols() const { return rank == 0 ? 1 : dims[rank - 1]; }

uint64_t Shape::rows() const { return cols() == 0 ? 0 : elems() / cols(); }

std::string Shape::to_string() const {
  return fmt::format("[{}]", fmt::join(dims.begin(), dims.begin() + rank, ", "));
}

}  // namespace atelier
