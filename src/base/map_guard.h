// Keeps a mapped file that shrinks, or whose disk fails, from killing the process.
//
// Touching a page of a mapping behind which the file no longer has bytes raises SIGBUS in the thread that
// touches it. The handler installed here looks the address up among the registered mappings, marks the
// mapping as faulted, puts zero pages over all of it and returns: the access is repeated and reads zeros.
// Whoever uses the bytes asks faulted() afterwards and discards what was computed. A SIGBUS anywhere else
// goes to the handler that was there before.
//
// Signal handlers belong to the process, so this is the one place that keeps process-wide state: a fixed
// table that the handler can read without locks.
#pragma once

#include <cstddef>
#include <span>

namespace atelier {

class MapGuard {
 public:
  static constexpr size_t kMaxMappings = 4096;

  MapGuard() = default;  // guards nothing
  // Guards `mapping`, whole pages from mmap; it must stay mapped until this object goes. Where kMaxMappings
  // are guarded already the result is inactive.
  explicit MapGuard(std::span<const std::byte> mapping);
  MapGuard(MapGuard&& other) noexcept;
  MapGuard& operator=(MapGuard&& other) noexcept;
  ~MapGuard();

  bool active() const { return slot_ >= 0; }
  // Whether any access has failed so far: the mapping reads as zeros since.
  bool faulted() const;

 private:
  int slot_ = -1;
};

}  // namespace atelier
