// The vocabulary in its two directions: byte strings → ids, and ids → byte strings.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"

namespace atelier {

using TokenId = int32_t;
inline constexpr TokenId kNoToken = -1;
// Ids beyond this are refused: three times the largest vocabulary known.
inline constexpr TokenId kMaxTokenId = (1 << 20) - 1;

template <class T>
uint64_t load_little_endian(const char* at) {
  static_assert(std::endian::native == std::endian::little);
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// Byte strings → ids by open addressing. Strings of at most 7 bytes, which most look-ups are for, live inside
// their slot, so that finding one touches a single cache line.
class StringTable {
 public:
  explicit StringTable(size_t expected_strings = 0);

  // A string entered twice keeps the later id, as in a JSON object read into a map. Errors: kLimit (more than
  // 4 GiB of strings, or strings made to collide).
  // Returns the id it had, or kNoToken.
  Result<TokenId> insert(std::string_view bytes, TokenId id) { return insert(bytes, id, prepare(bytes)); }
  TokenId find(std::string_view bytes) const { return find(bytes, prepare(bytes)); }  // kNoToken if absent

  // A look-up in two steps, so that several can wait for memory at once: prepare() starts to fetch the slot.
  struct Probe {
    uint64_t key;
    size_t slot;
  };
  Probe prepare(std::string_view bytes) const {
    const uint64_t key = key_of(bytes);
    const size_t slot = start_of(key, slots_.size());
    __builtin_prefetch(&slots_[slot]);
    return {key, slot};
  }
  Result<TokenId> insert(std::string_view bytes, TokenId id, Probe probe);
  TokenId find(std::string_view bytes, Probe probe) const {
    for (size_t i = probe.slot;; i = next(i)) {
      const Slot& slot = slots_[i];
      if (slot.key == probe.key && holds(slot, bytes)) return slot.id;
      if (slot.key == kFree) return kNoToken;
    }
  }

  size_t size() const { return size_; }

  // visit(bytes, id) for every string, in no particular order; `bytes` is valid during the call.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : slots_.span()) {
      if (slot.key == kFree) continue;
      char inlined[sizeof(slot.key)];
      visit(bytes_of(slot, inlined), slot.id);
    }
  }

 private:
  // A key is never 0. Short strings: characters, the first in the lowest byte, and length + 1 in the top
  // byte. Long ones: a hash with the top bit set.
  struct Slot {
    uint64_t key;
    TokenId id;
    uint32_t offset;  // of a long string in arena_, where its 4-byte length stands in front of it
  };
  static constexpr uint64_t kFree = 0;
  static constexpr uint64_t kLong = uint64_t{1} << 63;
  static constexpr size_t kShortBytes = 7;

  static uint64_t fold_multiply(uint64_t a, uint64_t b);
  static uint64_t hash_long(std::string_view bytes);
  static uint64_t key_of(std::string_view bytes);
  static size_t start_of(uint64_t key, size_t n_slots);
  size_t next(size_t slot) const { return slot + 1 == slots_.size() ? 0 : slot + 1; }
  std::string_view bytes_of(const Slot& slot, char (&inlined)[sizeof(uint64_t)]) const;
  bool holds(const Slot& slot, std::string_view bytes) const;  // the keys being equal
  Status grow();

  Buffer<Slot> slots_;  // at most 5/8 full
  std::string arena_;
  size_t size_ = 0;
};

// Both halves of the 128-bit product: every bit of either factor reaches the result.
inline uint64_t StringTable::fold_multiply(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Eight bytes at a time, the last ones overlapping. The constants are the fractions of √2 and the golden
// ratio.
inline uint64_t StringTable::hash_long(std::string_view bytes) {
  uint64_t hash = 0x6A09E667F3BCC909 ^ bytes.size();
  const char* at = bytes.data();
  for (size_t left = bytes.size(); left > 8; left -= 8, at += 8)
    hash = fold_multiply(hash ^ load_little_endian<uint64_t>(at), 0x9E3779B97F4A7C15);
  return fold_multiply(hash ^ load_little_endian<uint64_t>(bytes.data() + bytes.size() - 8),
                       0x6A09E667F3BCC909);
}

inline uint64_t StringTable::key_of(std::string_view bytes) {
  const size_t n = bytes.size();
  const char* at = bytes.data();
  if (n > kShortBytes) return hash_long(bytes) | kLong;
  const uint64_t length = static_cast<uint64_t>(n + 1) << 56;
  if (n >= 4) {
    return length | load_little_endian<uint32_t>(at) |
           load_little_endian<uint32_t>(at + n - 4) << (8 * (n - 4));
  }
  if (n == 0) return length;
  return length | load_little_endian<uint8_t>(at) | load_little_endian<uint8_t>(at + n / 2) << (8 * (n / 2)) |
         load_little_endian<uint8_t>(at + n - 1) << (8 * (n - 1));
}

// The hash scaled to the table, whose size is any number below 2^32.
inline size_t StringTable::start_of(uint64_t key, size_t n_slots) {
  const uint64_t hash = fold_multiply(key ^ 0x6A09E667F3BCC909, 0x9E3779B97F4A7C15);
  return static_cast<size_t>((hash >> 32) * n_slots >> 32);
}

inline bool StringTable::holds(const Slot& slot, std::string_view bytes) const {
  if ((slot.key & kLong) == 0) return true;
  const char* at = arena_.data() + slot.offset;
  const size_t n = bytes.size();
  if (load_little_endian<uint32_t>(at) != n) return false;
  at += sizeof(uint32_t);
  if (n > 16) return std::memcmp(at, bytes.data(), n) == 0;
  // 8 to 16 bytes: two overlapping halves.
  return ((load_little_endian<uint64_t>(at) ^ load_little_endian<uint64_t>(bytes.data())) |
          (load_little_endian<uint64_t>(at + n - 8) ^ load_little_endian<uint64_t>(bytes.data() + n - 8))) ==
         0;
}

// Ids → byte strings.
class TokenTexts {
 public:
  void reserve(size_t tokens) { texts_.reserve(tokens); }
  void set(TokenId id, std::string_view bytes);  // 0 ≤ id ≤ kMaxTokenId; replaces what was there
  void unset(TokenId id) { texts_[static_cast<size_t>(id)] = {}; }  // contains(id)
  std::string_view operator[](TokenId id) const {
    if (!contains(id)) return {};
    const Text& text = texts_[static_cast<size_t>(id)];
    return {arena_.data() + text.offset, text.length};
  }
  bool contains(TokenId id) const {
    return id >= 0 && static_cast<size_t>(id) < texts_.size() && texts_[static_cast<size_t>(id)].used;
  }
  size_t size() const { return texts_.size(); }  // one past the highest id

 private:
  struct Text {
    size_t offset = 0;
    uint32_t length = 0;
    bool used = false;
  };
  std::vector<Text> texts_;
  std::string arena_;
};

}  // namespace atelier
