// The symbols that merging over characters starts from.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/unicode.h"
#include "text/vocab.h"

namespace atelier {

// Characters → ids, in two levels: few of the 4352 pages of 256 characters are in use.
class CharMap {
 public:
  CharMap();
  void set(char32_t character, TokenId id);
  TokenId operator[](char32_t character) const {
    return pages_[page_of_[character / kPageSize]][character % kPageSize];
  }

 private:
  static constexpr size_t kPageSize = 256;
  using Page = std::array<TokenId, kPageSize>;
  std::array<uint16_t, (kMaxCodePoint + 1) / kPageSize> page_of_{};
  std::vector<Page> pages_;  // the first one is empty and stands for all that are
};

// Which symbols some merge may join: the last of its left part with the first of its right part. Between any
// two others a piece can be cut without changing the result. A Bloom filter: now and then it says yes for no.
class JoinablePairs {
 public:
  JoinablePairs() = default;
  explicit JoinablePairs(size_t expected_pairs);

  void add(TokenId left, TokenId right) {
    const uint64_t hash = hash_of(left, right);
    bits_[hash >> 32 & mask_] |= bit_of(hash);
  }
  bool contains(TokenId left, TokenId right) const {
    const uint64_t hash = hash_of(left, right);
    const uint64_t bits = bit_of(hash);
    return (bits_[hash >> 32 & mask_] & bits) == bits;
  }

 private:
  static uint64_t hash_of(TokenId left, TokenId right) {
    const uint64_t key = static_cast<uint64_t>(left) << 20 | static_cast<uint64_t>(right);
    const uint64_t mixed = (key ^ key >> 17) * 0x9E3779B97F4A7C15;
    return (mixed ^ mixed >> 32) * 0xD1B54A32D192ED03;
  }
  // Three of the 64 bits of a word.
  static uint64_t bit_of(uint64_t hash) {
    return uint64_t{1} << (hash & 63) | uint64_t{1} << (hash >> 6 & 63) | uint64_t{1} << (hash >> 12 & 63);
  }

  std::vector<uint64_t> bits_;
  size_t mask_ = 0;
};

}  // namespace atelier
