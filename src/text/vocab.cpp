#include "text/vocab.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace atelier {
namespace {

constexpr size_t kMinSlots = 64;
// A table that is at most 5/8 full probes a few dozen slots at worst; only strings chosen to collide need
// more.
constexpr size_t kMaxProbes = 1024;

}  // namespace

StringTable::StringTable(size_t expected_strings)
    : slots_(std::max(kMinSlots, expected_strings + expected_strings / 5 * 3 + 8)) {}

std::string_view StringTable::bytes_of(const Slot& slot, char (&inlined)[sizeof(uint64_t)]) const {
  if ((slot.key & kLong) != 0) {
    const char* at = arena_.data() + slot.offset;
    return {at + sizeof(uint32_t), static_cast<size_t>(load_little_endian<uint32_t>(at))};
  }
  std::memcpy(inlined, &slot.key, sizeof(inlined));
  return {inlined, static_cast<size_t>(slot.key >> 56) - 1};
}

Result<TokenId> StringTable::insert(std::string_view bytes, TokenId id, Probe probe) {
  ATELIER_CHECK(id >= 0);
  if ((size_ + 1) * 8 > slots_.size() * 5) ATELIER_CHECK_OK(grow());
  const uint64_t key = probe.key;
  size_t i = start_of(key, slots_.size());  // the table may have grown since the probe
  for (size_t probes = 0; slots_[i].key != kFree; i = next(i)) {
    if (slots_[i].key == key && holds(slots_[i], bytes)) {
      return std::exchange(slots_[i].id, id);
    }
    if (++probes > kMaxProbes)
      return fail(ErrorCode::kLimit, "the vocabulary's strings collide in more than {} slots", kMaxProbes);
  }
  Slot slot{key, id, 0};
  if ((key & kLong) != 0) {
    const size_t offset = arena_.size();
    if (offset + sizeof(uint32_t) + bytes.size() > UINT32_MAX)
      return fail(ErrorCode::kLimit, "the vocabulary's strings take more than 4 GiB");
    const auto length = static_cast<uint32_t>(bytes.size());
    arena_.append(reinterpret_cast<const char*>(&length), sizeof(length));
    arena_.append(bytes);
    slot.offset = static_cast<uint32_t>(offset);
  }
  slots_[i] = slot;
  ++size_;
  return kNoToken;
}

Status StringTable::grow() {
  Buffer<Slot> larger(slots_.size() * 2);
  std::swap(slots_, larger);
  for (const Slot& slot : larger.span()) {
    if (slot.key == kFree) continue;
    size_t i = start_of(slot.key, slots_.size());
    for (size_t probes = 0; slots_[i].key != kFree; i = next(i))
      if (++probes > kMaxProbes)
        return fail(ErrorCode::kLimit, "the vocabulary's strings collide in more than {} slots", kMaxProbes);
    slots_[i] = slot;
  }
  return {};
}

void TokenTexts::set(TokenId id, std::string_view bytes) {
  ATELIER_CHECK(id >= 0 && id <= kMaxTokenId && bytes.size() <= UINT32_MAX);
  const auto index = static_cast<size_t>(id);
  if (index >= texts_.size()) texts_.resize(index + 1);
  texts_[index] = {arena_.size(), static_cast<uint32_t>(bytes.size()), true};
  arena_.append(bytes);
}

}  // namespace atelier
