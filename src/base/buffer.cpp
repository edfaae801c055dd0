#include "base/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/checked.h"

namespace atelier {
namespace {

// From here on memory comes straight from mmap: zero pages for free, given back at once, huge pages possible.
constexpr size_t kMapFromBytes = size_t{1} << 20;

}  // namespace

RawBuffer::RawBuffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  if (bytes >= kMapFromBytes) {
    void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ATELIER_CHECK(mapped != MAP_FAILED);
    madvise(mapped, bytes, MADV_HUGEPAGE);  // a hint; refusal changes speed only
    data_ = static_cast<std::byte*>(mapped);
    return;
  }
  data_ = static_cast<std::byte*>(std::aligned_alloc(kCacheLineBytes, round_up(bytes, kCacheLineBytes)));
  ATELIER_CHECK(data_ != nullptr);
  std::memset(data_, 0, bytes);
}

RawBuffer::RawBuffer(RawBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

RawBuffer& RawBuffer::operator=(RawBuffer&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

RawBuffer::~RawBuffer() { release(); }

void RawBuffer::release() {
  if (data_ == nullptr) return;
  if (size_ >= kMapFromBytes) {
    munmap(data_, size_);
  } else {
    std::free(data_);
  }
  data_ = nullptr;
}

}  // namespace atelier
