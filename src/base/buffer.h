// Memory that is owned: move-only, 64-byte aligned, zero-filled, asking for huge pages when large.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "base/check.h"
#include "base/mat_view.h"

namespace atelier {

inline constexpr size_t kCacheLineBytes = 64;

// Untyped owner behind Buffer<T>. Pages are mapped lazily: untouched parts of a large buffer cost nothing.
class RawBuffer {
 public:
  RawBuffer() = default;
  explicit RawBuffer(size_t bytes);  // CHECKs on exhaustion: callers compare with available memory first
  RawBuffer(RawBuffer&& other) noexcept;
  RawBuffer& operator=(RawBuffer&& other) noexcept;
  ~RawBuffer();

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void release();
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// `n` values of a trivial type, all bits zero at first.
template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(size_t n) : raw_(n * sizeof(T)), size_(n) { ATELIER_CHECK(n <= SIZE_MAX / sizeof(T)); }

  T* data() const { return reinterpret_cast<T*>(raw_.data()); }
  size_t size() const { return size_; }
  std::span<T> span() const { return {data(), size_}; }
  T& operator[](size_t i) const { return data()[i]; }
  MatView<T> mat(size_t rows, size_t cols) const {
    ATELIER_CHECK(rows * cols <= size_);
    return {data(), rows, cols};
  }

 private:
  RawBuffer raw_;
  size_t size_ = 0;
};

}  // namespace atelier
