// A matrix somebody else owns: rows of `cols` consecutive elements, `stride` elements apart.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "base/check.h"

namespace atelier {

template <class T>
struct MatView {
  T* data = nullptr;
  size_t rows = 0;
  size_t cols = 0;
  size_t stride = 0;  // elements from one row's start to the next; ≥ cols

  MatView() = default;
  MatView(T* data_, size_t rows_, size_t cols_) : MatView(data_, rows_, cols_, cols_) {}
  MatView(T* data_, size_t rows_, size_t cols_, size_t stride_)
      : data(data_), rows(rows_), cols(cols_), stride(stride_) {}
  // A mutable view can be read: MatView<float> converts to MatView<const float>.
  template <class U>
    requires(std::is_const_v<T> && std::is_same_v<U, std::remove_const_t<T>>)
  MatView(const MatView<U>& other)
      : data(other.data), rows(other.rows), cols(other.cols), stride(other.stride) {}

  std::span<T> row(size_t r) const {
    ATELIER_CHECK(r < rows);
    return {data + r * stride, cols};
  }
  // Rows [first, first + n).
  MatView row_range(size_t first, size_t n) const {
    ATELIER_CHECK(first <= rows && n <= rows - first);
    return {data + first * stride, n, cols, stride};
  }
  // Columns [first, first + n) of every row.
  MatView col_range(size_t first, size_t n) const {
    ATELIER_CHECK(first <= cols && n <= cols - first);
    return {data + first, rows, n, stride};
  }
};

}  // namespace atelier
