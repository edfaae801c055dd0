#include "ops/context.h"

#include <algorithm>

#include "base/checked.h"

namespace atelier {
namespace {
// One chunk serves a forward pass of a small model; larger needs get chunks of their own size. Pages of a
// chunk that are never touched cost nothing.
constexpr size_t kChunkBytes = size_t{8} << 20;
}  // namespace

std::byte* Arena::take_bytes(size_t bytes) {
  const size_t need = round_up(std::max<size_t>(bytes, 1), kCacheLineBytes);
  while (chunk_ < chunks_.size() && chunks_[chunk_].size() - used_ < need) {
    ++chunk_;
    used_ = 0;
  }
  if (chunk_ == chunks_.size()) {
    const size_t last = chunks_.empty() ? 0 : chunks_.back().size();
    chunks_.emplace_back(std::max({need, kChunkBytes, last}));
  }
  std::byte* taken = chunks_[chunk_].data() + used_;
  used_ += need;
  return taken;
}

void Arena::reset() { rewind({}); }

size_t Arena::capacity_bytes() const {
  size_t bytes = 0;
  for (const RawBuffer& chunk : chunks_) bytes += chunk.size();
  return bytes;
}

}  // namespace atelier
