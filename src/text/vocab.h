// The vocabulary in its two directions: byte strings → ids, and ids → byte strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier {

using TokenId = int32_t;
inline constexpr TokenId kNoToken = -1;
// Ids beyond this are refused: three times the largest vocabulary known.
inline constexpr TokenId kMaxTokenId = (1 << 20) - 1;

// Byte strings → ids by open addressing. Strings of at most 7 bytes, which most look-ups are for, live inside
// their slot, so that finding one touches a single cache line.
class StringTable {
 public:
  explicit StringTable(size_t expected_strings = 0);

  // A string entered twice keeps the later id, as in a JSON object read into a map. Errors: kLimit (more than
  // 4 GiB of strings, or strings made to collide).
  Status insert(std::string_view bytes, TokenId id);
  TokenId find(std::string_view bytes) const;  // kNoToken if absent

  size_t size() const { return size_; }
  size_t longest() const { return longest_; }  // bytes

  // visit(bytes, id) for every string, in no particular order; `bytes` is valid during the call.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.id == kNoToken) continue;
      char inlined[8];
      visit(bytes_of(slot, inlined), slot.id);
    }
  }

 private:
  struct Slot {
    uint64_t key = 0;  // short: length in the top byte, characters below; long: hash with the top bit set
    TokenId id = kNoToken;
    uint32_t offset = 0;  // of a long string in arena_, behind its 4-byte length
  };
  static constexpr uint64_t kLong = uint64_t{1} << 63;

  static uint64_t key_of(std::string_view bytes);
  static size_t start_of(uint64_t key, size_t mask);
  std::string_view bytes_of(const Slot& slot, char (&inlined)[8]) const;
  bool holds(const Slot& slot, uint64_t key, std::string_view bytes) const;
  Status grow();

  std::vector<Slot> slots_;  // a power of two, at most 5/8 full
  std::string arena_;
  size_t size_ = 0;
  size_t longest_ = 0;
};

// Ids → byte strings.
class TokenTexts {
 public:
  void set(TokenId id, std::string_view bytes);  // 0 ≤ id ≤ kMaxTokenId; replaces what was there
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
