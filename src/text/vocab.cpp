#include "text/vocab.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace atelier {
namespace {

constexpr size_t kMinSlots = 64;
// A table that is at most 5/8 full probes a few dozen slots at worst; only strings chosen to collide need
// more.
constexpr size_t kMaxProbes = 1024;

template <class T>
uint64_t load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// Both halves of the 128-bit product: every bit of either factor reaches every bit of the result.
uint64_t fold_multiply(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Odd constants without structure: the fractional parts of the golden ratio and of √2 … in 64 bits.
constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;
constexpr uint64_t kRoot2 = 0x6A09E667F3BCC909;

uint64_t hash_long(std::string_view bytes) {
  uint64_t hash = kRoot2 ^ bytes.size();
  const char* at = bytes.data();
  for (size_t left = bytes.size(); left > 8; left -= 8, at += 8)
    hash = fold_multiply(hash ^ load<uint64_t>(at), kGolden);
  return fold_multiply(hash ^ load<uint64_t>(bytes.data() + bytes.size() - 8), kRoot2);
}

}  // namespace

StringTable::StringTable(size_t expected_strings)
    : slots_(std::bit_ceil(std::max(kMinSlots, expected_strings / 5 * 8 + 8))) {}

// Little-endian: character i in bits 8i. Reads overlap where the length is no power of two.
uint64_t StringTable::key_of(std::string_view bytes) {
  const size_t n = bytes.size();
  const char* at = bytes.data();
  if (n > 7) return hash_long(bytes) | kLong;
  const uint64_t length = static_cast<uint64_t>(n) << 56;
  if (n >= 4) return length | load<uint32_t>(at) | load<uint32_t>(at + n - 4) << (8 * (n - 4));
  if (n == 0) return length;
  return length | load<uint8_t>(at) | load<uint8_t>(at + n / 2) << (8 * (n / 2)) |
         load<uint8_t>(at + n - 1) << (8 * (n - 1));
}

size_t StringTable::start_of(uint64_t key, size_t mask) {
  return static_cast<size_t>(fold_multiply(key ^ kRoot2, kGolden)) & mask;
}

std::string_view StringTable::bytes_of(const Slot& slot, char (&inlined)[8]) const {
  if ((slot.key & kLong) != 0) {
    const char* at = arena_.data() + slot.offset;
    return {at + sizeof(uint32_t), static_cast<size_t>(load<uint32_t>(at))};
  }
  std::memcpy(inlined, &slot.key, sizeof(inlined));
  return {inlined, static_cast<size_t>(slot.key >> 56)};
}

bool StringTable::holds(const Slot& slot, uint64_t key, std::string_view bytes) const {
  if (slot.key != key) return false;
  if ((key & kLong) == 0) return true;
  const char* at = arena_.data() + slot.offset;
  return load<uint32_t>(at) == bytes.size() &&
         std::memcmp(at + sizeof(uint32_t), bytes.data(), bytes.size()) == 0;
}

TokenId StringTable::find(std::string_view bytes) const {
  if (bytes.size() > longest_) return kNoToken;
  const uint64_t key = key_of(bytes);
  const size_t mask = slots_.size() - 1;
  for (size_t i = start_of(key, mask);; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.id == kNoToken || holds(slot, key, bytes)) return slot.id;
  }
}

Status StringTable::insert(std::string_view bytes, TokenId id) {
  ATELIER_CHECK(id >= 0);
  if ((size_ + 1) * 8 > slots_.size() * 5) ATELIER_CHECK_OK(grow());
  const uint64_t key = key_of(bytes);
  const size_t mask = slots_.size() - 1;
  size_t i = start_of(key, mask);
  for (size_t probes = 0; slots_[i].id != kNoToken; i = (i + 1) & mask) {
    if (holds(slots_[i], key, bytes)) {
      slots_[i].id = id;
      return {};
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
  longest_ = std::max(longest_, bytes.size());
  return {};
}

Status StringTable::grow() {
  std::vector<Slot> larger(slots_.size() * 2);
  const size_t mask = larger.size() - 1;
  for (const Slot& slot : slots_) {
    if (slot.id == kNoToken) continue;
    size_t i = start_of(slot.key, mask);
    for (size_t probes = 0; larger[i].id != kNoToken; i = (i + 1) & mask)
      if (++probes > kMaxProbes)
        return fail(ErrorCode::kLimit, "the vocabulary's strings collide in more than {} slots", kMaxProbes);
    larger[i] = slot;
  }
  slots_ = std::move(larger);
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
